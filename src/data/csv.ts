// CSV of numbers: one row a line, fields separated by commas, the same number of them in each row, no quoting.
// A first line made of names only is a header and is skipped. Everything else must be a finite decimal number: what cannot be
// read is an error with its place, never a NaN. Rows and columns count from 1; a row's number is its line in the file.

import { DunlinError } from '../graph/error'
import { type Shape, size } from '../graph/node'
import { type Dataset, makeDataset, type Skipped } from './dataset'

// Number() alone would also take '', '0x10' and 'Infinity'.
const NUMBER = /^\s*[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?\s*$/i
// Words that stand for a missing or infinite value: a row of them is a bad row, not a header.
const NO_VALUE = /^\s*"?([+-]?(nan|inf|infinity)|na|n\/a|null|none)?"?\s*$/i

// Some names start with a digit (1x1), but a line in which all do is rather data gone wrong (0x10, 1;2).
const isHeader = (fields: string[]) =>
  fields.every((field) => !NUMBER.test(field) && !NO_VALUE.test(field)) && fields.some((field) => /^\s*"?[\p{L}_]/u.test(field))

export interface CsvOptions {
  shape: Shape
  classes: number
  /** What errors call the text: the file's name. */
  source: string
  /** One name for each class. */
  labels?: string[]
}

/** The rows of `text`, all of one length. `source` is what errors call it: the file's name. */
export function parseCsv(text: string, source: string): number[][] {
  const { lines, first } = linesOf(text, source)
  const width = lines[0].split(',').length
  const wanted = `row 1 has ${width}`
  return lines.slice(first).map((line, i) => rowOf(line, { source, width, wanted, row: first + i + 1 }))
}

/**
 * Rows of size(shape) values and a label: samples of `shape` as floats, the last column as class in [0, classes).
 * `labels` gives one name for each class.
 */
export function csvDataset(text: string, options: CsvOptions): Dataset {
  const { shape, source } = options
  const rows = parseCsv(text, source)
  const values = size(shape)
  if (rows[0].length !== values + 1) {
    const wanted = `${values} for a sample [${shape}] and 1 for its label`
    throw new DunlinError(
      `${source}: got ${columns(rows[0].length)}, wanted ${wanted}. Set shape to what a row holds before its label.`,
    )
  }
  return datasetOf(rows, options)
}

/** As `csvDataset`, but with `skip` it leaves out the rows that cannot be used, and says which and why. */
export function readCsv(text: string, options: CsvOptions & { skip?: boolean }): { data: Dataset; skipped: Skipped[] } {
  const { shape, classes, source, skip } = options
  if (!skip) return { data: csvDataset(text, options), skipped: [] }
  const { lines, first } = linesOf(text, source)
  const values = size(shape)
  const wanted = `a sample [${shape}] and its label are ${values + 1}`
  const rows: number[][] = []
  const skipped: Skipped[] = []
  for (let i = first; i < lines.length; i++) {
    try {
      const row = rowOf(lines[i], { source, width: values + 1, wanted, row: i + 1 })
      datasetOf([row], { ...options, source: `${source}: row ${i + 1}` })
      rows.push(row)
    } catch (error) {
      if (!(error instanceof DunlinError)) throw error
      skipped.push({ file: source, reason: error.message })
    }
  }
  if (!rows.length)
    throw new DunlinError(
      `${source}: no row can be used, wanted ${values} values and a label in 0..${classes - 1}. The first: ${skipped[0].reason}`,
    )
  return { data: datasetOf(rows, options), skipped }
}

function linesOf(text: string, source: string): { lines: string[]; first: number } {
  // Some programs put a byte order mark in front.
  const lines = text
    .replace(/^\uFEFF/, '')
    .trimEnd()
    .split(/\r\n|\n|\r/)
  const first = isHeader(lines[0].split(',')) ? 1 : 0
  if (first === lines.length || (lines.length === 1 && lines[0] === ''))
    throw new DunlinError(`${source}: got no rows of numbers, wanted at least 1. Check that this is the right file.`)
  return { lines, first }
}

function rowOf(line: string, at: { source: string; width: number; wanted: string; row: number }): number[] {
  const { source, width, wanted, row } = at
  const fields = line.split(',')
  if (fields.length !== width) {
    const got = `row ${row} has ${columns(fields.length)}, ${wanted}`
    throw new DunlinError(`${source}: ${got}. Give every row the same number of fields, separated by commas.`)
  }
  return fields.map((field, column) => number(field, `${source}: row ${row}, column ${column + 1}`))
}

function datasetOf(rows: readonly number[][], options: CsvOptions): Dataset {
  const values = size(options.shape)
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
