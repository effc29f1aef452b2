// Augmentations: functions that change one training sample in place, differently each time it is drawn. They run on the batch
// as floats, after it is copied from the dataset, so the dataset itself stays as it is. All chance comes from `random`.

import { DunlinError } from '../graph/error'
import { type Shape, size } from '../graph/node'
import type { Random } from '../graph/random'

/** Changes `sample`, size(shape) values, in place. */
export type Augmentation = (sample: Float32Array, shape: Shape, random: Random) => void

/**
 * Moves an image [height, width, channels] by up to `pixels` in each direction, drawn uniformly and independently for the two
 * axes: by whole pixels, or with `subpixel` by any amount, interpolated (bilinear), which suits images of few pixels.
 * Pixels left without a source become `fill`, in the units of the sample (background).
 */
export function shift(pixels: number, options: { subpixel?: boolean; fill?: number } = {}): Augmentation {
  const { subpixel = false, fill = 0 } = options
  if (!(pixels >= 0 && Number.isFinite(pixels) && (subpixel || Number.isInteger(pixels)))) {
    const wanted = subpixel ? 'a number from 0 on' : 'an integer from 0 on'
    throw new DunlinError(
      `shift: got ${pixels} pixels, wanted ${wanted}. Use a number such as 2, or subpixel: true for fractions.`,
    )
  }
  const draw = subpixel
    ? (random: Random) => random.uniform(-pixels, pixels)
    : (random: Random) => random.integer(2 * pixels + 1) - pixels
  let source = new Float32Array(0)
  return (sample, shape, random) => {
    if (shape.length !== 3 || sample.length !== size(shape)) {
      const got = `a sample of ${sample.length} values and shape [${shape}]`
      throw new DunlinError(`shift: got ${got}, wanted an image [height, width, channels]. Leave shift out for other samples.`)
    }
    if (source.length !== sample.length) source = new Float32Array(sample.length)
    source.set(sample)
    const [height, width, channels] = shape
    const down = draw(random)
    const right = draw(random)
    // Output pixel (y, x) reads the source at (y - down, x - right), between four pixels.
    const top = Math.floor(-down)
    const left = Math.floor(-right)
    const low = -down - top
    const far = -right - left
    const at = (y: number, x: number, c: number) =>
      y >= 0 && y < height && x >= 0 && x < width ? source[(y * width + x) * channels + c] : fill
    let i = 0
    for (let y = top; y < top + height; y++) {
      for (let x = left; x < left + width; x++) {
        for (let c = 0; c < channels; c++, i++) {
          const upper = (1 - far) * at(y, x, c) + (far && far * at(y, x + 1, c))
          const lower = low && (1 - far) * at(y + 1, x, c) + (far && far * at(y + 1, x + 1, c))
          sample[i] = (1 - low) * upper + low * lower
        }
      }
    }
  }
}
