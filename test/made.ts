// Small files of each format, made here by hand or by the encoders of the libraries, for the tests of what reads them.

import { deflateSync } from 'node:zlib'
import { packTar } from 'modern-tar'
import { crc32 } from '../src/train/checkpoint'

const ascii = (text: string) => Array.from(text, (c) => c.charCodeAt(0))
const big = (n: number) => [n >>> 24, (n >>> 16) & 255, (n >>> 8) & 255, n & 255]
const little = (n: number, bytes: number) => Array.from({ length: bytes }, (_, i) => Math.floor(n / 2 ** (8 * i)) & 255)

/** With other bytes at some places. */
export function changed(bytes: Uint8Array, ...places: [at: number, byte: number][]): Uint8Array {
  const to = bytes.slice()
  for (const [at, byte] of places) to[at] = byte
  return to
}

/** An NPY file: `bytes` are the values as they lie in it. */
export function npy(
  descr: string,
  shape: number[],
  bytes: Uint8Array,
  { fortran = false, version = 1 }: { fortran?: boolean; version?: number } = {},
): Uint8Array {
  const dimensions = shape.length === 1 ? `${shape[0]},` : shape.join(', ')
  const dict = `{'descr': '${descr}', 'fortran_order': ${fortran ? 'True' : 'False'}, 'shape': (${dimensions}), }`
  const start = version === 1 ? 10 : 12
  const header = `${dict.padEnd(Math.ceil((dict.length + start + 1) / 64) * 64 - start - 1)}\n`
  return Uint8Array.of(0x93, ...ascii('NUMPY'), version, 0, ...little(header.length, start - 8), ...ascii(header), ...bytes)
}

/** A chunk of a PNG, with its checksum. */
export const chunk = (id: string, data: ArrayLike<number>): number[] => {
  const inner = Uint8Array.of(...ascii(id), ...Array.from(data))
  return [...big(data.length), ...inner, ...big(crc32(inner))]
}

/** A PNG of these scanlines, each with the number of its filter in front. */
export function png(
  [width, height]: [number, number],
  [depth, kind, interlaced = 0]: [depth: number, kind: number, interlaced?: number],
  lines: number[],
  more: number[] = [],
): Uint8Array {
  const header = [...big(width), ...big(height), depth, kind, 0, 0, interlaced]
  const pixels = deflateSync(Uint8Array.from(lines))
  const signature = [0x89, ...ascii('PNG\r\n'), 0x1a, 0x0a]
  return Uint8Array.of(...signature, ...chunk('IHDR', header), ...more, ...chunk('IDAT', pixels), ...chunk('IEND', []))
}

/** A WAV file of `values`, which lie in it as `write` says. */
export function wav(
  values: number[],
  { kind = 1, bits = 16, channels = 1, rate = 8000, before = [] as number[], extensible = false } = {},
): Uint8Array {
  const each = bits / 8
  const view = new DataView(new ArrayBuffer(values.length * each))
  for (const [i, v] of values.entries()) {
    const at = i * each
    if (kind === 3) bits === 32 ? view.setFloat32(at, v, true) : view.setFloat64(at, v, true)
    else if (bits === 8) view.setUint8(at, v + 128)
    else for (const [k, byte] of little(v < 0 ? v + 2 ** bits : v, each).entries()) view.setUint8(at + k, byte)
  }
  const common = (code: number) => [
    ...little(code, 2),
    ...little(channels, 2),
    ...little(rate, 4),
    ...little(rate * channels * each, 4),
    ...little(channels * each, 2),
    ...little(bits, 2),
  ]
  const guid = [...little(kind, 2), 0, 0, 0, 0, 0x10, 0, 0x80, 0, 0, 0xaa, 0, 0x38, 0x9b, 0x71]
  const format = extensible ? [...common(0xfffe), ...little(22, 2), ...little(bits, 2), ...little(0, 4), ...guid] : common(kind)
  const data = [...ascii('data'), ...little(view.byteLength, 4), ...new Uint8Array(view.buffer)]
  const body = [
    ...ascii('WAVEfmt '),
    ...little(format.length, 4),
    ...format,
    ...before,
    ...data,
    ...(view.byteLength & 1 ? [0] : []),
  ]
  return Uint8Array.of(...ascii('RIFF'), ...little(body.length, 4), ...body)
}

/** A tar archive of files, in this order; what ends in / is a folder. */
export const tar = (files: Record<string, Uint8Array>): Promise<Uint8Array> =>
  packTar(
    Object.entries(files).map(([name, body]) =>
      name.endsWith('/')
        ? { header: { name, type: 'directory' as const, size: 0, mtime: new Date(0) } }
        : { header: { name, size: body.length, mtime: new Date(0) }, body },
    ),
  )
