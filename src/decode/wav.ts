// WAV: a RIFF file of chunks, of which `fmt ` says how the sound is written and `data` holds it. Read here, without a library: those there
// are have not been kept for years or take what a header says on trust.
// Format: IBM and Microsoft, "Multimedia Programming Interface and Data Specifications 1.0"; WAVE_FORMAT_EXTENSIBLE.

import { DunlinError } from '../graph/error'

export interface Wav {
  /** What errors call it: the file's name. */
  source: string
  /** Samples a second. */
  rate: number
  channels: number
  /** [length, channels], channels side by side, in -1..1 (floats are as they are). */
  data: Float32Array
}

const PCM = 1
const FLOAT = 3
const EXTENSIBLE = 0xfffe

/** @throws DunlinError when `bytes` are no whole WAV file of PCM (8, 16, 24, 32 bits) or floats (32, 64 bits). */
export function parseWav(bytes: Uint8Array, source: string): Wav {
  const fail = (what: string, remedy = 'It is cut short or damaged: copy or make it again'): never => {
    throw new DunlinError(`${source}: ${what}. ${remedy}.`)
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const word = (at: number) => String.fromCharCode(...bytes.subarray(at, at + 4))
  if (word(0) !== 'RIFF' || word(8) !== 'WAVE') fail('does not begin as a WAV file', 'Check that this is a WAV file')
  let format: { kind: number; channels: number; rate: number; bits: number } | undefined
  let data: { from: number; length: number } | undefined
  for (let at = 12; at + 8 <= bytes.length && !(format && data); ) {
    const id = word(at)
    const length = view.getUint32(at + 4, true)
    const from = at + 8
    if (from + length > bytes.length) fail(`its chunk "${printable(id)}" claims ${length} bytes, ${bytes.length - from} follow`)
    if (id === 'fmt ') {
      if (length < 16) fail(`its format has ${length} bytes, wanted at least 16`)
      const short = (offset: number) => view.getUint16(from + offset, true)
      const kind = short(0) === EXTENSIBLE && length >= 26 ? short(24) : short(0)
      format = { kind, channels: short(2), rate: view.getUint32(from + 4, true), bits: short(14) }
    } else if (id === 'data') data = { from, length }
    // Chunks begin at even places.
    at = from + length + (length & 1)
  }
  if (!format || !data) return fail(`it has no ${format ? 'sound' : 'format'} in it`)
  const { kind, channels, rate, bits } = format
  const read = readers(view)[`${kind} ${bits}`]
  if (!read) {
    const remedy = 'Convert it, for example with ffmpeg -c:a pcm_s16le'
    return fail(
      `format ${kind} of ${bits} bits is not read, wanted PCM (1) of 8, 16, 24 or 32 bits or floats (3) of 32 or 64`,
      remedy,
    )
  }
  if (!channels || !rate) fail(`its format has ${channels} channels and a rate of ${rate}`)
  const each = bits / 8
  const count = data.length / each
  if (data.length % (each * channels)) fail(`it has ${data.length} bytes of sound, wanted a multiple of ${each * channels}`)
  const values = new Float32Array(count)
  for (let i = 0; i < count; i++) values[i] = read(data.from + i * each)
  if (kind === FLOAT) {
    const bad = values.findIndex((v) => !Number.isFinite(v))
    if (bad >= 0)
      fail(`sample ${Math.floor(bad / channels)} is ${values[bad]}, wanted a finite number`, 'Repair or leave out the file')
  }
  return { source, rate, channels, data: values }
}

/** How a value is read, by format and bits. */
const readers = (view: DataView): Record<string, (at: number) => number> => ({
  [`${PCM} 8`]: (at) => (view.getUint8(at) - 128) / 2 ** 7,
  [`${PCM} 16`]: (at) => view.getInt16(at, true) / 2 ** 15,
  [`${PCM} 24`]: (at) => (view.getUint16(at, true) + view.getInt8(at + 2) * 2 ** 16) / 2 ** 23,
  [`${PCM} 32`]: (at) => view.getInt32(at, true) / 2 ** 31,
  [`${FLOAT} 32`]: (at) => view.getFloat32(at, true),
  [`${FLOAT} 64`]: (at) => view.getFloat64(at, true),
})

const printable = (text: string) => text.replace(/[^ -~]/g, '?')
