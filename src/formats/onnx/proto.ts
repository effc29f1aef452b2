// The messages of an ONNX file (onnx/onnx.proto, whose field numbers these tables are) as plain objects, read and written by pbf. A
// reader trusts no length: each is checked against what holds it, so that what is made is never much larger than the file. Only what the
// tables name is kept; a graph inside an attribute (If, Loop) is passed over, so that messages nest no deeper than the tables do.

import { PbfReader, PbfWriter } from 'pbf'
import { DunlinError } from '../../graph/error'

export interface TensorProto {
  dims: number[]
  dataType: number
  name: string
  rawData?: Uint8Array
  floatData: number[]
  int32Data: number[]
  int64Data: number[]
  doubleData: number[]
  uint64Data: number[]
  externalData: { key: string; value: string }[]
  dataLocation: number
  /** Where it begins in the file. */
  at: number
}

export interface AttributeProto {
  name: string
  type: number
  f: number
  i: number
  s?: Uint8Array
  t?: TensorProto
  floats: number[]
  ints: number[]
  strings: Uint8Array[]
}

export interface NodeProto {
  input: string[]
  output: string[]
  name: string
  opType: string
  domain: string
  attribute: AttributeProto[]
  at: number
}

export interface ValueInfoProto {
  name: string
  type?: { tensorType?: { elemType: number; shape?: { dim: { dimValue: number; dimParam: string }[] } } }
}

export interface ModelProto {
  irVersion: number
  producerName: string
  opsetImport: { domain: string; version: number }[]
  graph?: {
    node: NodeProto[]
    name: string
    initializer: TensorProto[]
    input: ValueInfoProto[]
    output: ValueInfoProto[]
  }
  functions: unknown[]
}

/** What may be written: everything may be left out. */
export type Partly<T> = T extends Uint8Array
  ? T
  : T extends (infer E)[]
    ? Partly<E>[]
    : T extends object
      ? { [K in keyof T]?: Partly<T[K]> }
      : T

type Kind = 'int' | 'float' | 'double' | 'string' | 'bytes' | Message
interface Field {
  name: string
  kind: Kind
  many?: true
}
interface Message {
  [number: number]: Field
}

const one = (name: string, kind: Kind): Field => ({ name, kind })
const many = (name: string, kind: Kind): Field => ({ name, kind, many: true })

const ENTRY: Message = { 1: one('key', 'string'), 2: one('value', 'string') }
export const TENSOR: Message = {
  1: many('dims', 'int'),
  2: one('dataType', 'int'),
  4: many('floatData', 'float'),
  5: many('int32Data', 'int'),
  7: many('int64Data', 'int'),
  8: one('name', 'string'),
  9: one('rawData', 'bytes'),
  10: many('doubleData', 'double'),
  11: many('uint64Data', 'int'),
  13: many('externalData', ENTRY),
  14: one('dataLocation', 'int'),
}
const ATTRIBUTE: Message = {
  1: one('name', 'string'),
  2: one('f', 'float'),
  3: one('i', 'int'),
  4: one('s', 'bytes'),
  5: one('t', TENSOR),
  7: many('floats', 'float'),
  8: many('ints', 'int'),
  9: many('strings', 'bytes'),
  20: one('type', 'int'),
}
const NODE: Message = {
  1: many('input', 'string'),
  2: many('output', 'string'),
  3: one('name', 'string'),
  4: one('opType', 'string'),
  5: many('attribute', ATTRIBUTE),
  7: one('domain', 'string'),
}
const DIM: Message = { 1: one('dimValue', 'int'), 2: one('dimParam', 'string') }
const TENSOR_TYPE: Message = { 1: one('elemType', 'int'), 2: one('shape', { 1: many('dim', DIM) }) }
const VALUE: Message = { 1: one('name', 'string'), 2: one('type', { 1: one('tensorType', TENSOR_TYPE) }) }
const GRAPH: Message = {
  1: many('node', NODE),
  2: one('name', 'string'),
  5: many('initializer', TENSOR),
  11: many('input', VALUE),
  12: many('output', VALUE),
}
export const MODEL: Message = {
  1: one('irVersion', 'int'),
  2: one('producerName', 'string'),
  7: one('graph', GRAPH),
  8: many('opsetImport', { 1: one('domain', 'string'), 2: one('version', 'int') }),
  25: many('functions', {}),
}

const ZEROS: Record<string, unknown> = { int: 0, float: 0, double: 0, string: '' }
const [VARINT, FIXED64, BYTES, FIXED32] = [0, 1, 2, 5]
const WIRE: Record<string, number> = { int: VARINT, float: FIXED32, double: FIXED64 }

/** The message that all of `file` is; `source` names the file in errors. */
export function readMessage<T>(spec: Message, file: Uint8Array, source: string): T {
  return new Reader(file, source).message(spec, file.length) as T
}

class Reader {
  private readonly pbf: PbfReader

  constructor(
    file: Uint8Array,
    private readonly source: string,
  ) {
    this.pbf = new PbfReader(file)
  }

  message(spec: Message, end: number): Record<string, unknown> {
    const made: Record<string, unknown> = { at: this.pbf.pos }
    for (const { name, kind, many } of Object.values(spec) as Field[])
      if (many) made[name] = []
      else if (typeof kind === 'string' && kind in ZEROS) made[name] = ZEROS[kind]
    while (this.pbf.pos < end) {
      const tag = this.varint(end)
      const wire = tag & 7
      const field = spec[Math.floor(tag / 8)] as Field | undefined
      if (!field) this.skip(wire, end)
      else if (field.many) this.append(made[field.name] as unknown[], field.kind, wire, end)
      else made[field.name] = this.value(field.kind, wire, end)
    }
    return made
  }

  private fail(what: string): never {
    throw new DunlinError(
      `${this.source}: not a valid ONNX file: ${what} at byte ${this.pbf.pos}. Was it cut short, or is it no ONNX file?`,
    )
  }

  private varint(end: number): number {
    let value: number
    try {
      value = this.pbf.readVarint(true)
    } catch {
      return this.fail('a number of more than 10 bytes')
    }
    if (!(this.pbf.pos <= end)) this.fail('a number that is cut short')
    return value
  }

  /** The end of what comes next, whose length stands before it. */
  private length(end: number): number {
    const length = this.varint(end)
    if (!(length >= 0 && length <= end - this.pbf.pos)) this.fail(`a field that claims ${length} bytes, of ${end - this.pbf.pos}`)
    return this.pbf.pos + length
  }

  private room(bytes: number, end: number): void {
    if (this.pbf.pos + bytes > end) this.fail(`a field of ${bytes} bytes, of ${end - this.pbf.pos}`)
  }

  private skip(wire: number, end: number): void {
    if (wire === VARINT) this.varint(end)
    else if (wire === BYTES) this.pbf.pos = this.length(end)
    else if (wire === FIXED64 || wire === FIXED32) {
      this.room(wire === FIXED64 ? 8 : 4, end)
      this.pbf.pos += wire === FIXED64 ? 8 : 4
    } else this.fail(`a field of wire type ${wire}`)
  }

  private append(list: unknown[], kind: Kind, wire: number, end: number): void {
    const packed = typeof kind === 'string' && wire === BYTES && Object.hasOwn(WIRE, kind)
    if (!packed) {
      list.push(this.value(kind, wire, end))
      return
    }
    const last = this.length(end)
    while (this.pbf.pos < last) list.push(this.value(kind, WIRE[kind as string], last))
  }

  private value(kind: Kind, wire: number, end: number): unknown {
    const wanted = typeof kind === 'string' ? (WIRE[kind] ?? BYTES) : BYTES
    if (wire !== wanted) this.fail(`a field of wire type ${wire}, wanted ${wanted},`)
    if (kind === 'int') return this.varint(end)
    if (kind === 'float' || kind === 'double') {
      this.room(kind === 'float' ? 4 : 8, end)
      return kind === 'float' ? this.pbf.readFloat() : this.pbf.readDouble()
    }
    const last = this.length(end)
    if (typeof kind !== 'string') return this.message(kind, last)
    const bytes = this.pbf.buf.subarray(this.pbf.pos, last)
    this.pbf.pos = last
    return kind === 'string' ? text(bytes) : bytes
  }
}

/** Bytes as text; what is no UTF-8 becomes U+FFFD. */
export const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes)

/** The bytes of a message. Fields that are left out are not written; numbers that are given are, zero or not. */
export function writeMessage(spec: Message, message: object): Uint8Array {
  const pbf = new PbfWriter()
  writeFields(spec, message as Record<string, unknown>, pbf)
  return pbf.finish()
}

function writeFields(spec: Message, message: Record<string, unknown>, pbf: PbfWriter): void {
  for (const [number, { name, kind, many }] of Object.entries(spec) as [string, Field][]) {
    const value = message[name]
    if (value === undefined) continue
    for (const v of many ? (value as unknown[]) : [value]) writeField(pbf, +number, kind, v)
  }
}

function writeField(pbf: PbfWriter, number: number, kind: Kind, v: unknown): void {
  if (typeof kind !== 'string')
    pbf.writeMessage(number, (m, to) => writeFields(kind, m as Record<string, unknown>, to), v as object)
  else if (kind === 'int') pbf.writeVarintField(number, v as number)
  else if (kind === 'float') pbf.writeFloatField(number, v as number)
  else if (kind === 'double') pbf.writeDoubleField(number, v as number)
  else if (kind === 'string') pbf.writeStringField(number, v as string)
  else pbf.writeBytesField(number, v as Uint8Array)
}
