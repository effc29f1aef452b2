// The bytes of a wasm file, written and read: LEB128 numbers, strings, vectors, sections.
// Writer appends to a growing buffer; Reader walks a buffer and never leaves it: whatever the bytes are, it ends in a value or
// in a DunlinError that gives the offset. What the bytes mean is the business of kernels.ts (reading) and module.ts (writing).
// Source: WebAssembly Core Specification 2.0, chapter 5 (binary format).

import { DunlinError } from '../graph/error'

export const MAGIC = [0, 0x61, 0x73, 0x6d, 1, 0, 0, 0]

export const VALUE_TYPES = { i32: 0x7f, i64: 0x7e, f32: 0x7d, f64: 0x7c, v128: 0x7b } as const
export type ValueType = keyof typeof VALUE_TYPES

export const SECTION = {
  custom: 0,
  type: 1,
  import: 2,
  function: 3,
  table: 4,
  memory: 5,
  global: 6,
  export: 7,
  start: 8,
  element: 9,
  code: 10,
  data: 11,
  dataCount: 12,
} as const

/** Instructions that are written, by their names in the specification. */
export const OPCODE = {
  loop: 0x03,
  if: 0x04,
  end: 0x0b,
  brIf: 0x0d,
  return: 0x0f,
  call: 0x10,
  drop: 0x1a,
  select: 0x1b,
  localGet: 0x20,
  localSet: 0x21,
  localTee: 0x22,
  i32Load: 0x28,
  f32Load: 0x2a,
  i32Load8S: 0x2c,
  i32Load8U: 0x2d,
  i32Load16S: 0x2e,
  i32Store: 0x36,
  f32Store: 0x38,
  i32Store8: 0x3a,
  i32Store16: 0x3b,
  i32Const: 0x41,
  f32Const: 0x43,
  i32Ne: 0x47,
  i32LtS: 0x48,
  i32LtU: 0x49,
  i32GtS: 0x4a,
  f32Ne: 0x5c,
  f32Gt: 0x5e,
  i32Add: 0x6a,
  i32Sub: 0x6b,
  i32Mul: 0x6c,
  i32Or: 0x72,
  i32Xor: 0x73,
  i32ShrS: 0x75,
  i32ShrU: 0x76,
  f32Sub: 0x93,
  f32ConvertI32S: 0xb2,
} as const
/** The type of a block that leaves nothing on the stack. */
export const NO_RESULT = 0x40

/** Kinds of imports and exports, by their number in the format. */
export const KINDS = ['function', 'table', 'memory', 'global', 'tag'] as const
export type Kind = (typeof KINDS)[number]

export class Writer {
  private buffer = new Uint8Array(256)
  length = 0

  raw(bytes: ArrayLike<number>): this {
    const end = this.length + bytes.length
    if (end > this.buffer.length) {
      const grown = new Uint8Array(Math.max(end, 2 * this.buffer.length))
      grown.set(this.buffer.subarray(0, this.length))
      this.buffer = grown
    }
    this.buffer.set(bytes, this.length)
    this.length = end
    return this
  }

  byte(value: number): this {
    if (this.length === this.buffer.length) return this.raw([value])
    this.buffer[this.length++] = value
    return this
  }

  /** Unsigned LEB128. */
  u32(value: number): this {
    let rest = value >>> 0
    while (rest > 0x7f) {
      this.byte((rest & 0x7f) | 0x80)
      rest >>>= 7
    }
    return this.byte(rest)
  }

  /** Signed LEB128 of the 32 low bits: an address above 2^31 keeps its bits. */
  i32(value: number): this {
    let rest = value | 0
    // The last byte is the one whose bit 6, extended, gives all the bits that are left.
    while (rest < -0x40 || rest > 0x3f) {
      this.byte((rest & 0x7f) | 0x80)
      rest >>= 7
    }
    return this.byte(rest & 0x7f)
  }

  /** Four bytes, rounded to the nearest float. NaN is always the canonical one, so that bytes do not depend on the engine. */
  f32(value: number): this {
    if (Number.isNaN(value)) return this.raw([0, 0, 0xc0, 0x7f])
    const bytes = new Uint8Array(4)
    new DataView(bytes.buffer).setFloat32(0, value, true)
    return this.raw(bytes)
  }

  text(value: string): this {
    const bytes = new TextEncoder().encode(value)
    return this.u32(bytes.length).raw(bytes)
  }

  vector<T>(items: readonly T[], write: (item: T, index: number) => void): this {
    this.u32(items.length)
    items.forEach(write)
    return this
  }

  /** Anything that carries its length in bytes in front. */
  sized(fill: (inner: Writer) => void): this {
    const inner = new Writer()
    fill(inner)
    return this.u32(inner.length).raw(inner.bytes())
  }

  /** A section; returns how many bytes it takes in the file. */
  section(id: number, fill: (inner: Writer) => void): number {
    const start = this.length
    this.byte(id).sized(fill)
    return this.length - start
  }

  bytes(): Uint8Array<ArrayBuffer> {
    return this.buffer.slice(0, this.length)
  }
}

export class Reader {
  /** Reads `bytes` from `at` to `end`; `what` names them in errors. */
  constructor(
    private readonly bytes: Uint8Array,
    readonly what: string,
    private at = 0,
    private readonly end = bytes.length,
  ) {}

  get done(): boolean {
    return this.at === this.end
  }

  get position(): number {
    return this.at
  }

  fail(problem: string): never {
    throw new DunlinError(
      `${this.what}: ${problem} (byte ${this.at}). Use scalar.wasm or simd.wasm as shipped in dunlin/kernels.`,
    )
  }

  take(length: number): Uint8Array {
    if (length > this.end - this.at) this.fail(`${length} bytes wanted, ${this.end - this.at} left`)
    this.at += length
    return this.bytes.subarray(this.at - length, this.at)
  }

  byte(): number {
    return this.take(1)[0]
  }

  u32(): number {
    let value = 0
    for (let shift = 0; shift < 35; shift += 7) {
      const byte = this.byte()
      if (shift === 28 && byte > 0x0f) break
      value += (byte & 0x7f) * 2 ** shift
      if (byte < 0x80) return value
    }
    return this.fail('a number of more than 32 bits')
  }

  /** Passes over a signed LEB128 number of at most `bits` bits: the copier never needs its value. */
  skipSigned(bits: 33 | 64): void {
    for (let i = 0; i < Math.ceil(bits / 7); i++) if (this.byte() < 0x80) return
    this.fail(`a number of more than ${bits} bits`)
  }

  text(): string {
    return new TextDecoder('utf-8', { ignoreBOM: true }).decode(this.take(this.u32()))
  }

  /** No element is shorter than a byte, so a count beyond the bytes that are left is refused before anything is done with it. */
  vector<T>(read: (index: number) => T): T[] {
    const count = this.u32()
    if (count > this.end - this.at) this.fail(`a list of ${count}, with ${this.end - this.at} bytes left`)
    return Array.from({ length: count }, (_, i) => read(i))
  }

  /** A reader of the stretch of bytes whose length comes next; this one goes on after it. */
  sized(): Reader {
    const length = this.u32()
    this.take(length)
    return new Reader(this.bytes, this.what, this.at - length, this.at)
  }

  rest(): Uint8Array {
    return this.take(this.end - this.at)
  }

  valueType(): ValueType {
    const byte = this.byte()
    const found = (Object.keys(VALUE_TYPES) as ValueType[]).find((t) => VALUE_TYPES[t] === byte)
    return found ?? this.fail(`value type 0x${byte.toString(16)} is not one of ${Object.keys(VALUE_TYPES).join(', ')}`)
  }

  kind(): Kind {
    const byte = this.byte()
    return KINDS[byte] ?? this.fail(`${byte} is no kind of import or export`)
  }
}
