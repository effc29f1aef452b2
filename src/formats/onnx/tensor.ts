// Tensors of an ONNX file: their element types, and their values as a typed array, whatever field they are stored in. 64-bit integers
// become doubles, exact up to 2^53; half precision becomes single.

import { fromBfloat16, fromFloat16 } from '../../graph/arithmetic'
import { DunlinError } from '../../graph/error'
import type { TensorProto } from './proto'

export type Data = Float32Array | Float64Array | Int8Array | Uint8Array | Int16Array | Uint16Array | Int32Array | Uint32Array

interface TypeRow {
  code: number
  bytes: number
  make: (length: number) => Data
  /** Limits of an integer. */
  range?: readonly [number, number]
}

const array =
  <D extends Data>(kind: new (length: number) => D) =>
  (length: number) =>
    new kind(length)

export const TYPES = {
  float32: { code: 1, bytes: 4, make: array(Float32Array) },
  uint8: { code: 2, bytes: 1, make: array(Uint8Array), range: [0, 255] },
  int8: { code: 3, bytes: 1, make: array(Int8Array), range: [-128, 127] },
  uint16: { code: 4, bytes: 2, make: array(Uint16Array), range: [0, 65535] },
  int16: { code: 5, bytes: 2, make: array(Int16Array), range: [-32768, 32767] },
  int32: { code: 6, bytes: 4, make: array(Int32Array), range: [-(2 ** 31), 2 ** 31 - 1] },
  int64: { code: 7, bytes: 8, make: array(Float64Array), range: [-(2 ** 63), 2 ** 63] },
  bool: { code: 9, bytes: 1, make: array(Uint8Array), range: [0, 1] },
  float16: { code: 10, bytes: 2, make: array(Float32Array) },
  float64: { code: 11, bytes: 8, make: array(Float64Array) },
  uint32: { code: 12, bytes: 4, make: array(Uint32Array), range: [0, 2 ** 32 - 1] },
  uint64: { code: 13, bytes: 8, make: array(Float64Array), range: [0, 2 ** 64] },
  bfloat16: { code: 16, bytes: 2, make: array(Float32Array) },
} satisfies Record<string, TypeRow>

export type ElementType = keyof typeof TYPES

/** A tensor whose values are known: stored in the file, or computed from such. */
export interface Tensor {
  kind: 'tensor'
  type: ElementType
  dims: readonly number[]
  data: Data
  /** Its name in the file, where it is stored there. */
  name?: string
  /** The integers that it stands for, where it is a DequantizeLinear of stored ones. */
  steps?: { scale: Data; zero: Data; axis: number; type: ElementType }
}

/** Gives the bytes that a tensor has in another file: `length` bytes (undefined: to its end) from `offset` on of the file `location`. */
export type External = (location: string, offset: number, length: number | undefined) => Uint8Array

/** Most elements of a tensor, as a shape may have. */
const MOST = 2 ** 29

export const rangeOf = (type: ElementType): readonly [number, number] | undefined => (TYPES[type] as TypeRow).range
export const isInteger = (type: ElementType): boolean => rangeOf(type) !== undefined
export const count = (dims: readonly number[]): number => dims.reduce((a, b) => a * b, 1)

/** The type of a code; undefined for strings and what is newer. */
export const typeOf = (code: number): ElementType | undefined =>
  (Object.keys(TYPES) as ElementType[]).find((t) => TYPES[t].code === code)

export const tensor = (type: ElementType, dims: readonly number[], data: Data): Tensor => ({ kind: 'tensor', type, dims, data })

/** A tensor of float32, or of another type, from any numbers. */
export function tensorOf(dims: readonly number[], values: ArrayLike<number>, type: ElementType = 'float32'): Tensor {
  const data = TYPES[type].make(values.length)
  for (let i = 0; i < values.length; i++) data[i] = values[i]
  return tensor(type, dims, data)
}

/** The tensor of a message; `what` names it in errors. */
export function readTensor(proto: TensorProto, what: string, external?: External): Tensor {
  const fail = (why: string): never => {
    throw new DunlinError(`${what}: ${why} (tensor "${proto.name}" at byte ${proto.at}).`)
  }
  const type = typeOf(proto.dataType)
  if (!type) return fail(`has elements of type ${proto.dataType}; read are ${Object.keys(TYPES).join(', ')}`)
  const { dims } = proto
  if (!dims.every((d) => Number.isInteger(d) && d >= 0) || !(count(dims) <= MOST)) fail(`has no valid shape: [${dims}]`)
  const length = count(dims)
  const { bytes, make } = TYPES[type]
  const raw = proto.dataLocation === 1 ? outside(proto, fail, length * bytes, external) : proto.rawData
  if (raw) {
    if (raw.length !== length * bytes) fail(`has ${raw.length} bytes, wanted ${length * bytes} for [${dims}] of ${type}`)
    return { ...tensor(type, dims, fromBytes(type, raw, length)), name: proto.name }
  }
  const field = (
    {
      float32: proto.floatData,
      float64: proto.doubleData,
      int64: proto.int64Data,
      uint32: proto.uint64Data,
      uint64: proto.uint64Data,
    } as Partial<Record<ElementType, number[]>>
  )[type]
  const values = field ?? proto.int32Data
  if (values.length !== length) fail(`has ${values.length} values, wanted ${length} for [${dims}]`)
  const data = make(length)
  const half = type === 'float16' || type === 'bfloat16'
  values.forEach((v, i) => {
    data[i] = half ? HALVES[type](v) : v
  })
  return { ...tensor(type, dims, data), name: proto.name }
}

function outside({ externalData }: TensorProto, fail: (why: string) => never, bytes: number, external?: External): Uint8Array {
  const entry = (key: string) => externalData.find((e) => e.key === key)?.value
  const location = entry('location')
  if (location === undefined) return fail('has its values in another file, which it does not name')
  if (!external)
    return fail(`has its values in another file, ${JSON.stringify(location)}. Give a function \`external\` that reads it`)
  const [offset, length] = [Number(entry('offset') ?? 0), Number(entry('length') ?? bytes)]
  if (!Number.isSafeInteger(offset) || offset < 0 || length !== bytes)
    fail(`lies at ${entry('offset')}, ${entry('length')} bytes long, of ${JSON.stringify(location)}; wanted ${bytes}`)
  return external(location, offset, length)
}

function fromBytes(type: ElementType, raw: Uint8Array, length: number): Data {
  // A copy: the file's bytes need not be aligned for the array. (The slice of a Node Buffer is none.)
  const { buffer } = new Uint8Array(raw)
  if (type === 'int64') return Float64Array.from(new BigInt64Array(buffer), Number)
  if (type === 'uint64') return Float64Array.from(new BigUint64Array(buffer), Number)
  if (type === 'float16' || type === 'bfloat16') return Float32Array.from(new Uint16Array(buffer), HALVES[type])
  const { make } = TYPES[type]
  return new (make(0).constructor as new (b: ArrayBufferLike, at: number, n: number) => Data)(buffer, 0, length)
}

/** What the 16 bits of an element stand for. */
const HALVES = { float16: fromFloat16, bfloat16: fromBfloat16 }
