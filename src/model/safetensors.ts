// The safetensors container (huggingface.co/docs/safetensors): 8 bytes of header length, a JSON header of names, dtypes, shapes and
// byte ranges, then the bytes. Reading trusts nothing: every number is checked before it is used. dunlin writes its own types; those of other
// programs are read as the next of these that holds their numbers.

import { fromBfloat16, fromFloat16 } from '../graph/arithmetic'
import { DunlinError } from '../graph/error'
import { ARRAYS, type Dtype, type Shape, size, type TypedArray } from '../graph/node'

/** dunlin's own types, and doubles: what wide integers are read as, exact up to 2^53. */
export type Tensor = { dtype: Dtype; shape: Shape; data: TypedArray } | { dtype: 'f64'; shape: Shape; data: Float64Array }

/** How the elements of a type are stored, and what they become. */
interface Stored {
  bytes: number
  dtype: Tensor['dtype']
  read(bytes: ArrayBuffer): Tensor['data']
}

const NAMES: Record<Tensor['dtype'], string> = { f32: 'F32', f64: 'F64', i8: 'I8', u8: 'U8', i16: 'I16', i32: 'I32' }
const OWN = Object.entries({ ...ARRAYS, f64: Float64Array }).map(([dtype, array]): [string, Stored] => {
  const type = dtype as Tensor['dtype']
  return [NAMES[type], { bytes: array.BYTES_PER_ELEMENT, dtype: type, read: (b) => new array(b) }]
})
const STORED = new Map<unknown, Stored>([
  ...OWN,
  ['BOOL', { bytes: 1, dtype: 'u8', read: (b) => new Uint8Array(b) }],
  ['F16', { bytes: 2, dtype: 'f32', read: (b) => Float32Array.from(new Uint16Array(b), fromFloat16) }],
  ['BF16', { bytes: 2, dtype: 'f32', read: (b) => Float32Array.from(new Uint16Array(b), fromBfloat16) }],
  ['U16', { bytes: 2, dtype: 'i32', read: (b) => Int32Array.from(new Uint16Array(b)) }],
  ['U32', { bytes: 4, dtype: 'f64', read: (b) => Float64Array.from(new Uint32Array(b)) }],
  ['I64', { bytes: 8, dtype: 'f64', read: (b) => Float64Array.from(new BigInt64Array(b), Number) }],
  ['U64', { bytes: 8, dtype: 'f64', read: (b) => Float64Array.from(new BigUint64Array(b), Number) }],
])
/** The format's own limit on the header. */
const MAX_HEADER = 100_000_000

/** Tensors and string metadata as a safetensors file. */
export function writeSafetensors(tensors: ReadonlyMap<string, Tensor>, metadata: Record<string, string>): Uint8Array {
  const header: [string, unknown][] = [['__metadata__', metadata]]
  let end = 0
  for (const [name, { dtype, shape, data }] of tensors) {
    header.push([name, { dtype: NAMES[dtype], shape, data_offsets: [end, end + data.byteLength] }])
    end += data.byteLength
  }
  // Spaces after the JSON let the tensors start at a multiple of 8.
  const json = new TextEncoder().encode(JSON.stringify(Object.fromEntries(header)))
  const length = Math.ceil(json.length / 8) * 8
  const file = new Uint8Array(8 + length + end)
  new DataView(file.buffer).setBigUint64(0, BigInt(length), true)
  file.fill(0x20, 8, 8 + length)
  file.set(json, 8)
  let at = 8 + length
  for (const { data } of tensors.values()) {
    file.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), at)
    at += data.byteLength
  }
  return file
}

/** The tensors and metadata of a safetensors file; `source` names it in errors. */
export function readSafetensors(
  file: Uint8Array,
  source = 'safetensors file',
): { tensors: Map<string, Tensor>; metadata: Map<string, string> } {
  const fail = (what: string): never => {
    throw new DunlinError(`${source}: not a valid safetensors file: ${what}. Was it cut short or changed? Save the model again.`)
  }
  if (file.length < 8) fail(`it has ${file.length} bytes, the header's length alone takes 8`)
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength)
  const length = Number(view.getBigUint64(0, true))
  if (length > MAX_HEADER || 8 + length > file.length) fail(`its header claims ${length} bytes, the file has ${file.length}`)
  let header: unknown
  try {
    header = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(file.subarray(8, 8 + length)))
  } catch (error) {
    fail(`its header is no JSON (${(error as Error).message})`)
  }
  if (!isRecord(header)) return fail('its header is no JSON object')

  const metadata = new Map<string, string>()
  const tensors = new Map<string, Tensor>()
  const bytes = file.length - 8 - length
  for (const [name, entry] of Object.entries(header)) {
    if (!isRecord(entry)) return fail(`the entry "${name}" is no object`)
    if (name === '__metadata__') {
      for (const [key, value] of Object.entries(entry))
        typeof value === 'string' ? metadata.set(key, value) : fail(`metadata "${key}" is no string`)
      continue
    }
    const stored = STORED.get(entry.dtype)
    if (!stored)
      return fail(`tensor "${name}" has dtype ${JSON.stringify(entry.dtype)}; ${[...STORED.keys()].join(', ')} are read`)
    const shape = entry.shape as number[]
    if (!Array.isArray(shape) || !shape.every((d) => Number.isInteger(d) && d >= 0))
      return fail(`tensor "${name}" has no valid shape`)
    const [from, to] = Array.isArray(entry.data_offsets) ? (entry.data_offsets as number[]) : [Number.NaN, Number.NaN]
    if (!(Number.isInteger(from) && Number.isInteger(to) && from >= 0 && from <= to && to <= bytes)) {
      fail(`tensor "${name}" lies at bytes [${from}, ${to}] of ${bytes}`)
    }
    const wanted = size(shape) * stored.bytes
    if (to - from !== wanted) fail(`tensor "${name}" of shape [${shape}] has ${to - from} bytes, wanted ${wanted}`)
    // A copy: the file's bytes need not be aligned for the array. (The slice of a Node Buffer is none.)
    const start = 8 + length
    const { buffer } = new Uint8Array(file.subarray(start + from, start + to))
    tensors.set(name, { dtype: stored.dtype, shape, data: stored.read(buffer) } as Tensor)
  }
  return { tensors, metadata }
}

const isRecord = (v: unknown): v is Record<string, unknown> => typeof v === 'object' && v !== null && !Array.isArray(v)
