// CSV of numbers: one row a line, fields separated by commas, the same number of them in each row, no quoting.
// A first line made of names only is a header and is skipped. Everything else must be a finite decimal number: what cannot be
// read is an error with its place, never a NaN. Rows and columns count from 1; a row's number is its line in the file.

import { DunlinError } from '../graph/error'
import { type Shape, size } from '../graph/node'
import { type Dataset, makeDataset } from './dataset'

// Number() alone would also take '', '0x10' and 'Infinity'.
const NUMBER = /^\s*[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?\s*$/i
// Words that stand for a missing or infinite value: a row of them is a bad row, not a header.
const NO_VALUE = /^\s*"?([+-]?(nan|inf|infinity)|na|n\/a|null|none)?"?\s*$/i

// Some names start with a digit (1x1), but a line in which all do is rather data gone wrong (0x10, 1;2).
const isHeader = (fields: string[]) =>
  fields.every((field) => !NUMBER.test(field) && !NO_VALUE.test(field)) && fields.some((field) => /^\s*"?[\p{L}_]/u.test(field))

/** The rows of `text`, all of one length. `source` is what errors call it: the file's name. */
export function parseCsv(text: string, source: string): number[][] {
  // Some programs put a byte order mark in front.
  const lines = text
    .replace(/^\uFEFF/, '')
    .trimEnd()
    .split(/\r\n|\n|\r/)
  const width = lines[0].split(',').length
  const first = isHeader(lines[0].split(',')) ? 1 : 0
  if (first === lines.length || (lines.length === 1 && lines[0] === '')) {
    throw new DunlinError(`${source}: got no rows of numbers, wanted at least 1. Check that this is the right file.`)
  }
  const rows: number[][] = []
  for (let line = first; line < lines.length; line++) {
    const fields = lines[line].split(',')
    if (fields.length !== width) {
      const got = `row ${line + 1} has ${columns(fields.length)}, row 1 has ${width}`
      throw new DunlinError(`${source}: ${got}. Give every row the same number of fields, separated by commas.`)
    }
    rows.push(fields.map((field, column) => number(field, `${source}: row ${line + 1}, column ${column + 1}`)))
  }
  return rows
}

/**
 * Rows of size(shape) values and a label: samples of `shape` as floats, the last column as class in [0, classes).
 * `labels` gives one name for each class.
 */
export function csvDataset(text: string, options: { shape: Shape; classes: number; source: string; labels?: string[] }): Dataset {
  const { shape, source } = options
  const rows = parseCsv(text, source)
  const values = size(shape)
  if (rows[0].length !== values + 1) {
    const wanted = `${values} for a sample [${shape}] and 1 for its label`
    throw new DunlinError(
      `${source}: got ${columns(rows[0].length)}, wanted ${wanted}. Set shape to what a row holds before its label.`,
    )
  }
  const x = new Float32Array(rows.length * values)
  for (let i = 0; i < rows.length; i++) for (let j = 0; j < values; j++) x[i * values + j] = rows[i][j]
  return makeDataset({ ...options, x, y: rows.map((row) => row[values]) })
}

function number(field: string, place: string): number {
  const value = NUMBER.test(field) ? Number(field) : Number.NaN
  if (!Number.isFinite(value)) {
    const got = JSON.stringify(field.length > 24 ? `${field.slice(0, 24)}…` : field)
    throw new DunlinError(`${place}: got ${got}, wanted a finite number. Correct the field or remove the row.`)
  }
  return value
}

const columns = (n: number) => `${n} column${n === 1 ? '' : 's'}`
