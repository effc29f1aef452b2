// CIFAR-10 and CIFAR-100 in their binary version: records of a label (in CIFAR-100 two: the coarse one, then the fine one) and 3,072 bytes,
// 32 x 32 pixels of red, then green, then blue. They become images [32, 32, 3].
// Format: A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", and the sets' page.

import { type Dataset, makeDataset } from '../data/dataset'
import { DunlinError } from '../graph/error'

export interface CifarOptions {
  /** 10 (default) or 100: which of the two sets it is. */
  classes?: 10 | 100
  /** One name for each class. */
  labels?: string[]
}

const SIDE = 32
const PLANE = SIDE * SIDE
const CHANNELS = 3

/** The records of one file or several, such as data_batch_1.bin to data_batch_5.bin, with raw pixels 0..255. */
export function cifarDataset(files: readonly { bytes: Uint8Array; source: string }[], options: CifarOptions = {}): Dataset {
  const { classes = 10, labels } = options
  const first = classes === 100 ? 2 : 1
  const record = first + PLANE * CHANNELS
  for (const { bytes, source } of files) {
    if (bytes.length % record || !bytes.length) {
      const wanted = `a multiple of ${record}, the record of CIFAR-${classes}`
      throw new DunlinError(
        `${source}: got ${bytes.length} bytes, wanted ${wanted}. It is cut short, or of the other set (option classes).`,
      )
    }
  }
  const count = files.reduce((sum, { bytes }) => sum + bytes.length / record, 0)
  const x = new Uint8Array(count * PLANE * CHANNELS)
  const y = new Int32Array(count)
  let i = 0
  for (const { bytes, source } of files) {
    for (let at = 0; at < bytes.length; at += record, i++) {
      y[i] = bytes[at + first - 1]
      if (y[i] >= classes) {
        const got = `record ${at / record} has label ${y[i]}`
        throw new DunlinError(`${source}: ${got}, wanted 0..${classes - 1}. It is damaged, or of the other set (option classes).`)
      }
      for (let c = 0; c < CHANNELS; c++) {
        const plane = at + first + c * PLANE
        for (let p = 0; p < PLANE; p++) x[(i * PLANE + p) * CHANNELS + c] = bytes[plane + p]
      }
    }
  }
  return makeDataset({ x, y, shape: [SIDE, SIDE, CHANNELS], classes, labels, source: files[0]?.source ?? 'CIFAR' })
}
