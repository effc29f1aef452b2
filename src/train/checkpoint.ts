// The file of a checkpoint: safetensors with a checksum of every byte. What is no array is JSON in its metadata, entry `training`, where
// arrays and numbers that JSON does not know stand as { $array } and { $number }. JSON keeps every bit of a finite float64.

import { DunlinError } from '../graph/error'
import type { TypedArray } from '../graph/node'
import { readSafetensors, type Tensor, writeSafetensors } from '../model/safetensors'

/** A checkpoint begins with the header's length and this; then come the digits of its checksum. */
const OPENING = new TextEncoder().encode('{"__metadata__":{"crc32":"')
const LENGTH_BYTES = 8
const DIGITS = 8

/** `content`: plain data, with Float32Arrays anywhere in it; `arrays`: big ones, by name. */
export function writeCheckpoint(content: object, arrays: ReadonlyMap<string, Tensor>): Uint8Array {
  const tensors = new Map(arrays)
  const training = JSON.stringify(content, (_, v) => {
    if (typeof v === 'number' && !Number.isFinite(v)) return { $number: String(v) }
    if (!(v instanceof Float32Array)) return v
    const name = `array ${tensors.size}`
    tensors.set(name, { dtype: 'f32', shape: [v.length], data: v })
    return { $array: name }
  })
  const file = writeSafetensors(tensors, { crc32: '0'.repeat(DIGITS), training })
  const digits = crc32(file).toString(16).padStart(DIGITS, '0')
  file.set(new TextEncoder().encode(digits), LENGTH_BYTES + OPENING.length)
  return file
}

/** What `writeCheckpoint` was given. @throws DunlinError when a byte is missing or not what it was. */
export function readCheckpoint(file: Uint8Array, source: string): { content: unknown; arrays: Map<string, Tensor> } {
  const from = LENGTH_BYTES + OPENING.length
  const past = from + DIGITS
  if (file.length < past || OPENING.some((byte, i) => file[LENGTH_BYTES + i] !== byte)) {
    throw new DunlinError(
      `${source}: not a checkpoint, or cut short: it has ${file.length} bytes and does not begin as one. Use the one before.`,
    )
  }
  const digits = new TextDecoder().decode(file.subarray(from, past))
  const zeros = new Uint8Array(DIGITS).fill(0x30)
  const found = crc32(file.subarray(past), crc32(zeros, crc32(file.subarray(0, from))))
    .toString(16)
    .padStart(DIGITS, '0')
  if (found !== digits) {
    throw new DunlinError(
      `${source}: the checkpoint is cut short or damaged: its ${file.length} bytes have checksum ${found}, wanted ${JSON.stringify(digits)}. Use the one before.`,
    )
  }
  const { tensors, metadata } = readSafetensors(file, source)
  const content = JSON.parse(metadata.get('training') ?? 'null', (_, v) => {
    if (typeof v?.$number === 'string') return Number(v.$number)
    if (typeof v?.$array === 'string') return tensors.get(v.$array)?.data
    return v
  })
  return { content, arrays: tensors }
}

/** Makes `state`, which others hold on to, what it was when it was kept. */
export function putBack(state: object, kept: object): void {
  for (const key of Object.keys(state)) delete (state as Record<string, unknown>)[key]
  Object.assign(state, kept)
}

let table: Uint32Array | undefined

/** CRC-32 as of zip and PNG (ISO 3309), polynomial 0xedb88320; `before`: that of the bytes before these. */
export function crc32(bytes: TypedArray, before = 0): number {
  table ??= Uint32Array.from({ length: 256 }, (_, i) => {
    let c = i
    for (let bit = 0; bit < 8; bit++) c = c & 1 ? (c >>> 1) ^ 0xedb88320 : c >>> 1
    return c
  })
  const all = new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  let c = ~before
  for (let i = 0; i < all.length; i++) c = table[(c ^ all[i]) & 255] ^ (c >>> 8)
  return ~c >>> 0
}
