// IDX, the file format of MNIST and of the sets made in its image (Fashion-MNIST, KMNIST, EMNIST):
// two zero bytes, a type byte, the number of dimensions, each dimension as a big-endian uint32, then the values, last dimension
// fastest. Only unsigned bytes (type 0x08) are read. A file is right only if its length is exactly what its header says.
// Format: Y. LeCun, C. Cortes, C. Burges, "The MNIST database of handwritten digits".

import { DunlinError } from '../graph/error'
import type { Shape } from '../graph/node'
import { type Dataset, makeDataset } from './dataset'

export interface Idx {
  /** What errors call it: the file's name. */
  source: string
  /** Dimensions, the count of samples first. */
  shape: Shape
  /** A view of the parsed bytes, not a copy. */
  data: Uint8Array
}

const UNSIGNED_BYTE = 0x08
const TYPES: Record<number, string> = { 9: 'int8', 11: 'int16', 12: 'int32', 13: 'float32', 14: 'float64' }

/** @throws DunlinError when `bytes` are not exactly one IDX file of unsigned bytes. */
export function parseIdx(bytes: Uint8Array, source: string): Idx {
  const hex = (n: number) => `0x${n.toString(16).padStart(2, '0')}`
  if (bytes[0] === 0x1f && bytes[1] === 0x8b) {
    throw new DunlinError(`${source}: got gzip (it starts with 0x1f 0x8b), wanted plain IDX. Decompress it first.`)
  }
  const whole = 'The file is cut short: copy or download it again'
  if (bytes.length < 4) throw new DunlinError(`${source}: got ${bytes.length} bytes, an IDX file starts with 4. ${whole}.`)
  const [zero0, zero1, type, rank] = bytes
  if (zero0 !== 0 || zero1 !== 0) {
    const got = Array.from(bytes.subarray(0, 4), hex).join(' ')
    throw new DunlinError(
      `${source}: starts with ${got}, an IDX file of bytes with 0x00 0x00 0x08. Check that this is an IDX file.`,
    )
  }
  if (type !== UNSIGNED_BYTE) {
    const known = TYPES[type] ? `${hex(type)} (${TYPES[type]})` : hex(type)
    throw new DunlinError(
      `${source}: IDX type ${known} is not supported, wanted 0x08 (unsigned byte). Convert the file to bytes.`,
    )
  }
  if (rank === 0)
    throw new DunlinError(`${source}: IDX header with 0 dimensions, wanted at least 1. Check that this is an IDX file.`)
  const header = 4 + 4 * rank
  if (bytes.length < header) {
    throw new DunlinError(`${source}: got ${bytes.length} bytes, an IDX header of ${rank} dimensions has ${header}. ${whole}.`)
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const shape = Array.from({ length: rank }, (_, i) => view.getUint32(4 + 4 * i))
  const length = shape.reduce((a, b) => a * b, 1)
  if (bytes.length !== header + length) {
    const wanted = `its header [${shape}] wants ${header} + ${length} = ${header + length}`
    const remedy = bytes.length < header + length ? whole : 'There are bytes after the end: use the original file'
    throw new DunlinError(`${source}: got ${bytes.length} bytes, ${wanted}. ${remedy}.`)
  }
  return { source, shape, data: new Uint8Array(bytes.buffer, bytes.byteOffset + header, length) }
}

/**
 * `images` [count, height, width] and `labels` [count] as a dataset of samples [height, width, 1] with raw pixels 0..255.
 * Options: `classes`, and `labels`, one name for each class.
 */
export function idxDataset(images: Idx, labels: Idx, options: { classes: number; labels?: string[] }): Dataset {
  const order = 'Pass the images first, then the labels'
  if (images.shape.length !== 3) {
    throw new DunlinError(`${images.source}: got shape [${images.shape}], wanted images [count, height, width]. ${order}.`)
  }
  if (labels.shape.length !== 1) {
    throw new DunlinError(`${labels.source}: got shape [${labels.shape}], wanted labels [count]. ${order}.`)
  }
  const [count, height, width] = images.shape
  if (labels.shape[0] !== count) {
    const got = `${labels.shape[0]} labels for the ${count} images of ${images.source}`
    throw new DunlinError(`${labels.source}: got ${got}, wanted as many labels as images. Use the two files of one set.`)
  }
  // Byte pixels cannot be wrong one by one, so what is left to refuse is a label (or a size of 0).
  const source = height * width === 0 ? images.source : labels.source
  return makeDataset({ x: images.data, y: new Int32Array(labels.data), shape: [height, width, 1], source, ...options })
}
