// The safetensors container (huggingface.co/docs/safetensors): 8 bytes of header length, a JSON header of names, dtypes, shapes and
// byte ranges, then the bytes. Reading trusts nothing: every number is checked before it is used.

import { DunlinError } from '../graph/error'
import { ARRAYS, BYTES, type Dtype, type Shape, size, type TypedArray } from '../graph/node'

export interface Tensor {
  dtype: Dtype
  shape: Shape
  data: TypedArray
}

const NAMES: Record<Dtype, string> = { f32: 'F32', i8: 'I8', u8: 'U8', i16: 'I16', i32: 'I32' }
const DTYPES = new Map(Object.entries(NAMES).map(([dtype, name]) => [name, dtype as Dtype]))
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
  source: string,
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
    const dtype = DTYPES.get(entry.dtype as string)
    if (!dtype) return fail(`tensor "${name}" has dtype ${JSON.stringify(entry.dtype)}; F32, I8, U8, I16 and I32 are read`)
    const shape = entry.shape as number[]
    if (!Array.isArray(shape) || !shape.every((d) => Number.isInteger(d) && d >= 0))
      return fail(`tensor "${name}" has no valid shape`)
    const [from, to] = Array.isArray(entry.data_offsets) ? (entry.data_offsets as number[]) : [Number.NaN, Number.NaN]
    if (!(Number.isInteger(from) && Number.isInteger(to) && from >= 0 && from <= to && to <= bytes)) {
      fail(`tensor "${name}" lies at bytes [${from}, ${to}] of ${bytes}`)
    }
    if (to - from !== size(shape) * BYTES[dtype])
      fail(`tensor "${name}" of shape [${shape}] has ${to - from} bytes, wanted ${size(shape) * BYTES[dtype]}`)
    // A copy: the file's bytes need not be aligned for the array.
    const start = 8 + length + from
    tensors.set(name, { dtype, shape, data: new ARRAYS[dtype](file.slice(start, start + (to - from)).buffer) })
  }
  return { tensors, metadata }
}

const isRecord = (v: unknown): v is Record<string, unknown> => typeof v === 'object' && v !== null && !Array.isArray(v)
