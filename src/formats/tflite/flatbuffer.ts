// Reads and writes the FlatBuffer of a .tflite file by the rows of schema.ts, on Google's library. That library trusts a file; here every
// offset is checked before it is followed, and no more is read than the file could hold: tables may share what they point to, so that a
// small file could otherwise unfold into a large one. Tables nest as deep as the schema, never deeper.

import { Builder, ByteBuffer } from 'flatbuffers'
import { DunlinError } from '../../graph/error'
import {
  type Draft,
  FILE_IDENTIFIER,
  OPTIONS,
  type OptionsDraft,
  type OptionsName,
  type Row,
  SCALARS,
  TABLES,
  type TableName,
} from './schema'

type Scalar = keyof typeof SCALARS
type Kind = Scalar | 'string' | 'union' | TableName
type Field = readonly [number: number, kind: Kind | readonly [Kind], absent?: number]

const fieldsOf = (table: TableName) => Object.entries(TABLES[table]) as unknown as [string, Field][]
const isScalar = (kind: Kind | readonly [Kind]): kind is Scalar => typeof kind === 'string' && Object.hasOwn(SCALARS, kind)
const UNIONS = new Map<number, OptionsName>(Object.entries(OPTIONS).map(([name, kind]) => [kind, name as OptionsName]))

/** Bytes of a text that are read: names go into errors, and a damaged one would go on to the end of the file. */
const LONGEST = 1000

/** The model table of a file; `source` names it in errors. */
export function readModelTable(bytes: Uint8Array, source: string): Row<'Model'> {
  return new Reader(bytes, source).root()
}

class Reader {
  private readonly buffer: ByteBuffer
  /** Elements that may still be read. */
  private left: number

  constructor(
    private readonly bytes: Uint8Array,
    private readonly source: string,
  ) {
    this.buffer = new ByteBuffer(bytes)
    // A fair file has less elements than bytes, but for fields that it leaves out.
    this.left = 64 * bytes.length + 1024
  }

  root(): Row<'Model'> {
    if (this.bytes.length < 8) this.fail(0, `it has ${this.bytes.length} bytes, its head alone takes 8`)
    if (!this.buffer.__has_identifier(FILE_IDENTIFIER)) {
      throw new DunlinError(
        `${this.source}: not a .tflite file: bytes 4 to 7 are not "${FILE_IDENTIFIER}". Convert the model with TensorFlow's TFLiteConverter (or ai_edge_torch).`,
      )
    }
    return this.table('Model', this.follow(0)) as Row<'Model'>
  }

  private fail(at: number, what: string): never {
    throw new DunlinError(`${this.source}: not a valid .tflite file: at byte ${at} ${what}. Was it cut short or changed?`)
  }

  /** That `count` bytes from `at` on are in the file. */
  private within(at: number, count: number, what: string): void {
    if (!(at >= 0 && count >= 0 && at + count <= this.bytes.length))
      this.fail(at, `${what} of ${count} bytes does not lie in the file's ${this.bytes.length}`)
  }

  private spend(count: number, at: number): void {
    this.left -= count
    if (this.left < 0) this.fail(at, 'it unfolds into more than a file of its size can hold')
  }

  /** Where the offset at `at` leads. */
  private follow(at: number): number {
    this.within(at, 4, 'an offset')
    const to = at + this.buffer.readUint32(at)
    this.within(to, 4, 'what an offset leads to')
    return to
  }

  private table(name: TableName, at: number): Record<string, unknown> {
    this.within(at, 4, 'a table')
    const fields = at - this.buffer.readInt32(at)
    this.within(fields, 4, 'the list of fields of a table')
    const [listed, length] = [this.buffer.readUint16(fields), this.buffer.readUint16(fields + 2)]
    this.within(fields, listed, 'the list of fields of a table')
    this.within(at, length, 'a table')
    const place = (number: number, bytes: number): number | undefined => {
      const slot = 4 + 2 * number
      const offset = slot + 2 <= listed ? this.buffer.readUint16(fields + slot) : 0
      if (offset === 0) return undefined
      if (offset + bytes > length) this.fail(at, `field ${number} of ${name} lies outside of its table`)
      return at + offset
    }
    const row: Record<string, unknown> = {}
    const entries = fieldsOf(name)
    this.spend(1 + entries.length, at)
    for (const [field, [number, kind, absent = 0]] of entries) {
      if (isScalar(kind)) {
        const found = place(number, SCALARS[kind])
        const value = found === undefined ? absent : this.scalar(kind, found)
        row[field] = kind === 'bool' ? value !== 0 : value
        continue
      }
      const found = place(number, 4)
      if (found !== undefined && kind === 'union') row[field] = this.union(place(number - 1, 1), found)
      else if (found !== undefined) row[field] = this.value(kind as Kind | readonly [Kind], this.follow(found))
    }
    return row
  }

  private union(kindAt: number | undefined, at: number): unknown {
    const kind = kindAt === undefined ? 0 : this.buffer.readUint8(kindAt)
    const name = UNIONS.get(kind)
    return name ? { kind: name, row: this.table(name, this.follow(at)) } : { kind }
  }

  private value(kind: Kind | readonly [Kind], at: number): unknown {
    if (typeof kind !== 'string') return this.vector(kind[0], at)
    if (kind !== 'string') return this.table(kind as TableName, at)
    const length = this.buffer.readUint32(at)
    this.within(at + 4, length, 'a text')
    this.spend(length, at)
    return new TextDecoder().decode(this.bytes.subarray(at + 4, at + 4 + Math.min(length, LONGEST)))
  }

  private vector(kind: Kind, at: number): unknown {
    const length = this.buffer.readUint32(at)
    const first = at + 4
    const each = isScalar(kind) ? SCALARS[kind] : 4
    this.within(first, length * each, `a list of ${length}`)
    if (kind === 'u8') return this.bytes.subarray(first, first + length)
    this.spend(length, at)
    const item = (at: number) => (isScalar(kind) ? this.scalar(kind, at) : this.value(kind, this.follow(at)))
    return Array.from({ length }, (_, i) => item(first + i * each))
  }

  private scalar(kind: Scalar, at: number): number {
    switch (kind) {
      case 'i8':
        return this.buffer.readInt8(at)
      case 'bool':
      case 'u8':
        return this.buffer.readUint8(at)
      case 'i32':
        return this.buffer.readInt32(at)
      case 'u32':
        return this.buffer.readUint32(at)
      case 'f32':
        return this.buffer.readFloat32(at)
      case 'i64':
        return Number(this.buffer.readInt64(at))
      case 'u64':
        return Number(this.buffer.readUint64(at))
    }
  }
}

/** The file of a model table. */
export function writeModelTable(model: Draft<'Model'>): Uint8Array {
  const data = model.buffers?.reduce((sum, b) => sum + (b.data?.length ?? 0), 0) ?? 0
  const writer = new Writer(new Builder(data + 65536))
  return writer.finish(writer.table('Model', model))
}

class Writer {
  constructor(private readonly builder: Builder) {}

  finish(root: number): Uint8Array {
    this.builder.finish(root, FILE_IDENTIFIER)
    return this.builder.asUint8Array().slice()
  }

  /** What a table points to is written before it. */
  table(name: TableName, row: object): number {
    const { builder } = this
    const values = row as Record<string, unknown>
    const entries = fieldsOf(name).filter(([field]) => values[field] !== undefined)
    const pointers = entries.map(([field, [, kind]]) => (isScalar(kind) ? 0 : this.pointed(kind, values[field])))
    const numbers = fieldsOf(name).map(([, [number]]) => number)
    builder.startObject(Math.max(-1, ...numbers) + 1)
    entries.forEach(([field, [number, kind, absent = 0]], i) => {
      if (isScalar(kind)) this.scalar(kind, number, Number(values[field]), absent)
      else {
        if (kind === 'union') builder.addFieldInt8(number - 1, OPTIONS[(values[field] as OptionsDraft).kind], 0)
        builder.addFieldOffset(number, pointers[i], 0)
      }
    })
    return builder.endObject()
  }

  private pointed(kind: Kind | readonly [Kind], value: unknown): number {
    const { builder } = this
    if (kind === 'string') return builder.createString(value as string)
    if (kind === 'union') return this.table((value as OptionsDraft).kind, (value as OptionsDraft).row)
    if (typeof kind === 'string') return this.table(kind as TableName, value as object)
    const [of] = kind
    if (of === 'u8') {
      // Weights are read in place by other programs: the schema wants them at multiples of 16.
      builder.prep(16, (value as Uint8Array).length)
      return builder.createByteVector(value as Uint8Array)
    }
    const list = value as readonly unknown[]
    if (!isScalar(of)) {
      const offsets = list.map((item) => this.table(of as TableName, item as object))
      builder.startVector(4, offsets.length, 4)
      for (const offset of offsets.reverse()) builder.addOffset(offset)
      return builder.endVector()
    }
    builder.startVector(SCALARS[of], list.length, SCALARS[of])
    for (let i = list.length - 1; i >= 0; i--) this.element(of, Number(list[i]))
    return builder.endVector()
  }

  private element(kind: Scalar, value: number): void {
    const { builder } = this
    if (SCALARS[kind] === 1) builder.addInt8(value)
    else if (kind === 'f32') builder.addFloat32(value)
    else if (SCALARS[kind] === 8) builder.addInt64(BigInt(value))
    else builder.addInt32(value)
  }

  private scalar(kind: Scalar, number: number, value: number, absent: number): void {
    const { builder } = this
    if (SCALARS[kind] === 1) builder.addFieldInt8(number, value, absent)
    else if (kind === 'f32') builder.addFieldFloat32(number, value, absent)
    else if (SCALARS[kind] === 8) builder.addFieldInt64(number, BigInt(value), BigInt(absent))
    else builder.addFieldInt32(number, value, absent)
  }
}
