// Images: PNG by fast-png, JPEG by jpeg-js, to bytes of grey or red, green and blue. Both libraries believe what a file says of its size, so
// that is held against the file first: no file makes more pixels than its bytes can describe.

import { convertIndexedToRgb, decode as decodePng } from 'fast-png'
import { Unzlib } from 'fflate'
import jpeg from 'jpeg-js'
import { DunlinError } from '../graph/error'

export interface Image {
  /** What errors call it: the file's name. */
  source: string
  width: number
  height: number
  /** 1: grey; 3: red, green, blue. */
  channels: number
  /** [height, width, channels], 0..255. */
  data: Uint8Array
}

export interface ImageOptions {
  /** 3 (default): red, green, blue; 1: grey, 0.299 R + 0.587 G + 0.114 B. */
  channels?: 1 | 3
}

/** Larger images are refused. */
const MAX_PIXELS = 2 ** 26
/** A block of 8 x 8 pixels takes a bit of a JPEG at least. */
const JPEG_PIXELS_PER_BYTE = 512
const JPEG_MEGABYTES = 1024
const PNG_SIGNATURE = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]

/** A PNG or JPEG, by its content. */
export function parseImage(bytes: Uint8Array, source: string, options: ImageOptions = {}): Image {
  if (bytes[0] === 0xff && bytes[1] === 0xd8) return parseJpeg(bytes, source, options)
  if (PNG_SIGNATURE.every((byte, i) => bytes[i] === byte)) return parsePng(bytes, source, options)
  const got = bytes.length ? 'does not begin as a PNG or JPEG' : 'is empty'
  throw new DunlinError(`${source}: ${got}, wanted one of these. Convert it, or leave it out.`)
}

/**
 * A JPEG, baseline or progressive. Colours that are stored at half the resolution are repeated, not interpolated; the orientation that a camera
 * may have noted is not applied.
 */
export function parseJpeg(bytes: Uint8Array, source: string, options: ImageOptions = {}): Image {
  const channels = channelsOf(options, source)
  try {
    const { width, height, data } = jpeg.decode(bytes, {
      useTArray: true,
      formatAsRGBA: false,
      tolerantDecoding: false,
      maxResolutionInMP: Math.min(MAX_PIXELS, bytes.length * JPEG_PIXELS_PER_BYTE) / 1e6,
      maxMemoryUsageInMB: JPEG_MEGABYTES,
    })
    checkSides(width, height)
    return { source, width, height, channels, data: channels === 3 ? data : grey(data, 3) }
  } catch (cause) {
    throw damaged(source, 'JPEG', cause)
  }
}

/** A PNG of any kind; of 16 bits the upper 8 are taken, transparency is left out. */
export function parsePng(bytes: Uint8Array, source: string, options: ImageOptions = {}): Image {
  const channels = channelsOf(options, source)
  try {
    const { width, height, depth, kind, file } = plainPng(bytes)
    const image = decodePng(file, { checkCrc: true })
    const stored = kind === INDEXED ? convertIndexedToRgb(image) : bytesOf(image.data, width, depth)
    const of = stored.length / (width * height)
    const data = channels === 3 ? (of === 3 ? stored : colour(stored, of)) : of < 3 ? firstOf(stored, of) : grey(stored, of)
    return { source, width, height, channels, data }
  } catch (cause) {
    throw damaged(source, 'PNG', cause)
  }
}

function channelsOf({ channels = 3 }: ImageOptions, source: string): 1 | 3 {
  if (channels === 1 || channels === 3) return channels
  throw new DunlinError(`${source}: channels wants 1 (grey) or 3 (red, green, blue), got ${channels}.`)
}

function damaged(source: string, kind: string, cause: unknown): DunlinError {
  const got = `this ${kind} cannot be read (${(cause as Error).message})`
  return new DunlinError(`${source}: ${got}. It is cut short, damaged or of a rare kind: replace it or leave it out.`, { cause })
}

function checkSides(width: number, height: number): void {
  if (!(width > 0 && height > 0 && width * height <= MAX_PIXELS))
    throw new Error(`it claims ${width} x ${height} pixels, wanted from 1 to ${MAX_PIXELS}`)
}

/** Kinds of colour, by their number in the format, and how many values a pixel has. */
const INDEXED = 3
const PNG_KINDS: Record<number, number> = { 0: 1, 2: 3, [INDEXED]: 1, 4: 2, 6: 4 }
/** Of an interlaced file: where each pass begins and how far its pixels are apart. */
const PASSES = [
  [0, 0, 8, 8],
  [4, 0, 8, 8],
  [0, 4, 4, 8],
  [2, 0, 4, 4],
  [0, 2, 2, 4],
  [1, 0, 2, 2],
  [0, 1, 1, 2],
]

/** What makes the picture, without all else that a PNG may hold; its pixels are as many bytes as its header says. */
function plainPng(bytes: Uint8Array) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const chunks: { id: string; whole: Uint8Array; data: Uint8Array }[] = []
  for (let at = 8; chunks.at(-1)?.id !== 'IEND'; ) {
    if (at + 12 > bytes.length) throw new Error('it ends before its last chunk')
    const length = view.getUint32(at)
    const end = at + 12 + length
    if (end > bytes.length) throw new Error(`a chunk claims ${length} bytes, ${bytes.length - at - 12} follow`)
    const id = String.fromCharCode(...bytes.subarray(at + 4, at + 8))
    if (['IHDR', 'PLTE', 'IDAT', 'IEND'].includes(id))
      chunks.push({ id, whole: bytes.subarray(at, end), data: bytes.subarray(at + 8, end - 4) })
    at = end
  }
  const [header] = chunks
  if (header.id !== 'IHDR' || header.data.length !== 13 || chunks.filter(({ id }) => id === 'IHDR').length > 1)
    throw new Error('it has no header, or two')
  const [width, height] = [view.getUint32(16), view.getUint32(20)]
  const [depth, kind, , , interlaced] = header.data.subarray(8)
  checkSides(width, height)
  if (!PNG_KINDS[kind] || ![1, 2, 4, 8, 16].includes(depth))
    throw new Error(`colour type ${kind} of ${depth} bits does not exist`)
  // fast-png takes a byte for each pixel here.
  if (interlaced && depth < 8) throw new Error(`interlaced images of ${depth} bits are not read`)
  const line = (pixels: number) => 1 + Math.ceil((pixels * PNG_KINDS[kind] * depth) / 8)
  let wanted = height * line(width)
  if (interlaced) {
    wanted = 0
    for (const [x, y, right, down] of PASSES) {
      const [w, h] = [Math.ceil((width - x) / right), Math.ceil((height - y) / down)]
      if (w > 0 && h > 0) wanted += h * line(w)
    }
  }
  checkInflated(
    chunks.filter(({ id }) => id === 'IDAT').map(({ data }) => data),
    wanted,
  )
  const file = new Uint8Array(8 + chunks.reduce((sum, { whole }) => sum + whole.length, 0))
  file.set(PNG_SIGNATURE)
  let to = 8
  for (const { whole } of chunks) {
    file.set(whole, to)
    to += whole.length
  }
  return { width, height, depth, kind, file }
}

/** Inflates so little at once that a bomb is noticed. */
const PIECE = 16384

function checkInflated(parts: readonly Uint8Array[], wanted: number): void {
  let length = 0
  const unzlib = new Unzlib((piece) => {
    length += piece.length
    if (length > wanted) throw new Error(`its pixels are more than ${wanted} bytes`)
  })
  for (const part of parts) for (let at = 0; at < part.length; at += PIECE) unzlib.push(part.subarray(at, at + PIECE))
  unzlib.push(new Uint8Array(0), true)
  if (length !== wanted) throw new Error(`its pixels are ${length} bytes, wanted ${wanted}`)
}

/** Values of any depth as bytes. */
function bytesOf(data: ArrayLike<number>, width: number, depth: number): Uint8Array {
  if (depth === 8) return data as Uint8Array
  if (depth === 16) return Uint8Array.from(data, (v) => v >> 8)
  const line = Math.ceil((width * depth) / 8)
  const most = 2 ** depth - 1
  const to = new Uint8Array((data.length / line) * width)
  for (let i = 0; i < to.length; i++) {
    const x = (i % width) * depth
    const byte = data[Math.floor(i / width) * line + (x >> 3)]
    to[i] = (((byte >> (8 - depth - (x & 7))) & most) * 255) / most
  }
  return to
}

/** The first of each `of` values. */
const firstOf = (data: Uint8Array, of: number) =>
  of === 1 ? data : Uint8Array.from({ length: data.length / of }, (_, i) => data[i * of])

/** Red, green and blue of pixels of `of` values: grey, grey and alpha, or colour and alpha. */
function colour(data: Uint8Array, of: number): Uint8Array {
  const to = new Uint8Array((data.length / of) * 3)
  for (let i = 0, j = 0; i < data.length; i += of, j += 3) {
    to[j] = data[i]
    to[j + 1] = data[i + (of === 4 ? 1 : 0)]
    to[j + 2] = data[i + (of === 4 ? 2 : 0)]
  }
  return to
}

/** ITU-R BT.601, in 16-bit fractions: equal values keep their value. */
function grey(data: Uint8Array, of: number): Uint8Array {
  const to = new Uint8Array(data.length / of)
  for (let i = 0, j = 0; j < to.length; i += of, j++)
    to[j] = (19595 * data[i] + 38470 * data[i + 1] + 7471 * data[i + 2] + 32768) >> 16
  return to
}

/** The image at another size: each pixel is the mean of what it covers, weighted by a triangle as wide as its reach. */
export function resizeImage(image: Image, height: number, width: number): Image {
  const { channels } = image
  if (height === image.height && width === image.width) return image
  const across = resample(image.data, image.height, image.width, channels, width)
  // Columns become rows that lie `width * channels` apart.
  const data = resample(across, 1, image.height, width * channels, height)
  return { ...image, width, height, data: Uint8Array.from(data, (v) => Math.min(255, Math.max(0, Math.round(v)))) }
}

/** [rows, from, each] to [rows, to, each]. */
function resample(data: ArrayLike<number>, rows: number, from: number, each: number, to: number): Float32Array {
  const out = new Float32Array(rows * to * each)
  const step = from / to
  const reach = Math.max(1, step)
  for (let i = 0; i < to; i++) {
    const center = (i + 0.5) * step - 0.5
    const first = Math.max(0, Math.ceil(center - reach))
    const last = Math.min(from - 1, Math.floor(center + reach))
    let sum = 0
    for (let j = first; j <= last; j++) sum += 1 - Math.abs(j - center) / reach
    for (let j = first; j <= last; j++) {
      const weight = (1 - Math.abs(j - center) / reach) / sum
      if (weight <= 0) continue
      for (let row = 0; row < rows; row++) {
        const [source, target] = [(row * from + j) * each, (row * to + i) * each]
        for (let c = 0; c < each; c++) out[target + c] += weight * data[source + c]
      }
    }
  }
  return out
}
