// Augmentations: functions that change one training sample in place, differently each time it is drawn. They run on the batch
// as floats, after it is copied from the dataset, so the dataset itself stays as it is. All chance comes from `random`.

import { DunlinError } from '../graph/error'
import { type Shape, size } from '../graph/node'
import type { Random } from '../graph/random'

/** Changes `sample`, size(shape) values, in place. */
export type Augmentation = (sample: Float32Array, shape: Shape, random: Random) => void

/**
 * Moves an image [height, width, channels] by up to `pixels` in each direction, drawn uniformly and independently for the two
 * axes. What moves out is lost; pixels left without a source become `fill`, in the units of the sample (background).
 */
export function shift(pixels: number, fill = 0): Augmentation {
  if (!Number.isInteger(pixels) || pixels < 0) {
    throw new DunlinError(`shift: got ${pixels} pixels, wanted an integer of at least 0. Use a whole number, such as 2.`)
  }
  return (sample, shape, random) => {
    if (shape.length !== 3 || sample.length !== size(shape)) {
      const got = `a sample of ${sample.length} values and shape [${shape}]`
      throw new DunlinError(`shift: got ${got}, wanted an image [height, width, channels]. Leave shift out for other samples.`)
    }
    const [height, width, channels] = shape
    const row = width * channels
    const down = random.integer(2 * pixels + 1) - pixels
    const right = (random.integer(2 * pixels + 1) - pixels) * channels
    if (Math.abs(down) >= height || Math.abs(right) >= row) {
      sample.fill(fill)
      return
    }
    // One move of the flat array shifts both axes at once. What wraps from a row into the next lands only in vacated pixels.
    const offset = down * row + right
    sample.copyWithin(Math.max(offset, 0), Math.max(-offset, 0))
    if (down > 0) sample.fill(fill, 0, down * row)
    else if (down < 0) sample.fill(fill, (height + down) * row)
    if (right === 0) return
    const first = right > 0 ? 0 : row + right
    for (let y = 0; y < height; y++) sample.fill(fill, y * row + first, y * row + first + Math.abs(right))
  }
}
