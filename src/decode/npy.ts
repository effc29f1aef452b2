// NPY, the file of one NumPy array: a magic word and version, the length of a header, the header (a Python dict of dtype, order and shape),
// then the values. What is read here is numbers; files of Python objects are refused, never run.
// Format: numpy.lib.format, versions 1.0 to 3.0.

import { type Dataset, makeDataset } from '../data/dataset'
import { DunlinError } from '../graph/error'
import type { Shape, TypedArray } from '../graph/node'

export interface Npy {
  /** What errors call it: the file's name. */
  source: string
  /** Empty for a single number. */
  shape: Shape
  /** NumPy's name of the values' type, without their byte order. */
  dtype: NpyDtype
  /** In row-major order. Booleans are 0 and 1; 64-bit integers are float64, which holds them exactly up to 2^53. */
  data: NpyData
}

export type NpyDtype = 'f4' | 'f8' | 'i1' | 'u1' | 'i2' | 'u2' | 'i4' | 'u4' | 'i8' | 'b1'
export type NpyData = TypedArray | Int16Array | Uint16Array | Uint32Array | Float64Array

const TYPES = {
  f4: Float32Array,
  f8: Float64Array,
  i1: Int8Array,
  u1: Uint8Array,
  i2: Int16Array,
  u2: Uint16Array,
  i4: Int32Array,
  u4: Uint32Array,
  i8: BigInt64Array,
  b1: Uint8Array,
} as const

const MAGIC = [0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59]
/** Longer ones are of structured dtypes or no headers at all. */
const MAX_HEADER = 65536

/** @throws DunlinError when `bytes` are not exactly one NPY file of numbers. */
export function parseNpy(bytes: Uint8Array, source: string): Npy {
  const fail = (what: string, remedy = 'It is cut short or damaged: copy or make it again') => {
    throw new DunlinError(`${source}: ${what}. ${remedy}.`)
  }
  if (MAGIC.some((byte, i) => bytes[i] !== byte)) fail('does not begin as an NPY file', 'Check that this is an NPY file')
  if (bytes.length < 10) fail(`got ${bytes.length} bytes, an NPY file begins with 10`)
  const major = bytes[6]
  if (major < 1 || major > 3) fail(`NPY version ${major} is not supported, wanted 1 to 3`, 'Save it with numpy.save')
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const start = major === 1 ? 10 : 12
  if (bytes.length < start) fail(`got ${bytes.length} bytes, an NPY file of version ${major} begins with ${start}`)
  const length = major === 1 ? view.getUint16(8, true) : view.getUint32(8, true)
  if (length > MAX_HEADER || start + length > bytes.length)
    fail(`its header claims ${length} bytes, ${bytes.length - start} follow`)
  const header = new TextDecoder().decode(bytes.subarray(start, start + length))
  const descr = /'descr'\s*:\s*(?:'([<>=|])([a-zA-Z]\d+)'|([^,}]{0,24}))/.exec(header)
  const dtype = descr?.[2] as NpyDtype
  if (!descr || !Object.hasOwn(TYPES, dtype ?? '')) {
    const got = descr ? (dtype ?? descr[3]) : 'none'
    fail(
      `dtype ${got} is not read, wanted one of ${Object.keys(TYPES).join(', ')}`,
      'Convert the array with astype and save it again',
    )
  }
  const fortran = /'fortran_order'\s*:\s*(True|False)/.exec(header)?.[1]
  const dimensions = /'shape'\s*:\s*\(([\d,\sL]*)\)/.exec(header)?.[1]
  if (!fortran || dimensions === undefined) fail('its header has no order or shape')
  const shape = (dimensions as string).split(',').flatMap((d) => (d.trim() ? [Number(d.trim().replace(/L$/, ''))] : []))
  if (!shape.every(Number.isSafeInteger)) fail(`its header has shape (${dimensions})`)
  const type = TYPES[dtype]
  const count = shape.reduce((a, b) => a * b, 1)
  const from = start + length
  if (bytes.length - from !== count * type.BYTES_PER_ELEMENT) {
    const wanted = `its header (shape [${shape}], ${dtype}) wants ${count * type.BYTES_PER_ELEMENT}`
    fail(`got ${bytes.length - from} bytes of values, ${wanted}`)
  }
  // (The slice of a Node Buffer is no copy.)
  const own = new Uint8Array(bytes.subarray(from))
  if (descr?.[1] === '>') swap(own, type.BYTES_PER_ELEMENT)
  const stored = new type(own.buffer)
  const ordered = fortran === 'True' && shape.length > 1 ? rowMajor(stored, shape) : stored
  if (dtype === 'b1') for (let i = 0; i < ordered.length; i++) ordered[i] = ordered[i] ? 1 : 0
  if (!(ordered instanceof BigInt64Array)) return { source, shape, dtype, data: ordered }
  const data = Float64Array.from(ordered, Number)
  const bad = data.findIndex((v) => !Number.isSafeInteger(v))
  if (bad >= 0) fail(`value ${bad} is ${ordered[bad]}, wanted integers below 2^53`, 'Convert the array to float64')
  return { source, shape, dtype, data }
}

/** Turns the bytes of each value round. */
function swap(bytes: Uint8Array, each: number): void {
  for (let i = 0; i < bytes.length; i += each) bytes.subarray(i, i + each).reverse()
}

/** From column-major order, the first index fastest. */
function rowMajor<T extends NpyData | BigInt64Array>(from: T, shape: Shape): T {
  const to = from.slice() as T
  const index = new Array<number>(shape.length).fill(0)
  const strides = shape.map((_, d) => shape.slice(0, d).reduce((a, b) => a * b, 1))
  let at = 0
  for (let i = 0; i < to.length; i++) {
    to[i] = from[at]
    for (let d = shape.length - 1; d >= 0; d--) {
      at += strides[d]
      if (++index[d] < shape[d]) break
      at -= strides[d] * shape[d]
      index[d] = 0
    }
  }
  return to
}

/**
 * `x` [count, ...shape] as samples of that shape (numbers become those of shape [1]), and `y`: with `classes` a label for each, else targets
 * [count, ...target]. Bytes stay bytes, other integers become 32-bit ones, floats float32.
 */
export function npyDataset(x: Npy, y: Npy, options: { classes?: number; labels?: string[] } = {}): Dataset {
  const { classes } = options
  const [count] = x.shape
  if (count === undefined || y.shape[0] !== count) {
    const got = `got shape [${y.shape}] for samples of shape [${x.shape}] in ${x.source}`
    throw new DunlinError(`${y.source}: ${got}, wanted as many of both in their first dimension. Pass x first, then y.`)
  }
  if (classes !== undefined && y.shape.slice(1).some((d) => d !== 1))
    throw new DunlinError(`${y.source}: got shape [${y.shape}], wanted labels [${count}]. Leave classes out for other targets.`)
  const rest = (of: Npy) => (of.shape.length > 1 ? of.shape.slice(1) : [1])
  const data = narrow(x)
  // Values that are not finite are of the samples, labels that are none of y.
  const bad = data instanceof Float32Array && data.some((v) => !Number.isFinite(v))
  const source = bad ? x.source : y.source
  return makeDataset({
    ...options,
    x: data,
    y: y.data,
    shape: rest(x),
    source,
    ...(classes === undefined && { target: rest(y) }),
  })
}

function narrow({ data, source }: Npy): TypedArray {
  if (data instanceof Uint8Array || data instanceof Int8Array || data instanceof Int32Array || data instanceof Float32Array)
    return data
  if (data instanceof Float64Array && !data.every((v) => Number.isSafeInteger(v))) return Float32Array.from(data)
  const integers = Int32Array.from(data)
  const bad = integers.findIndex((v, i) => v !== data[i])
  if (bad < 0) return integers
  throw new DunlinError(`${source}: value ${bad} is ${data[bad]}, wanted integers of 32 bits. Convert the array to float32.`)
}
