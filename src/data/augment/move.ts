// Augmentations that move whole pixels of an image, or cover them: flip, padCrop, cutout; and shift, which may also move by fractions.

import { DunlinError } from '../../graph/error'
import type { Shape } from '../../graph/node'
import { type Augmentation, copier, expectFill, expectImage, expectPixels, type Fill, move } from './augmentation'

/**
 * Mirrors an image [height, width, channels] left to right for every other sample, by chance; with `vertical` also top to bottom,
 * independently. Not for what a mirror turns into something else, such as digits.
 */
export function flip(options: { horizontal?: boolean; vertical?: boolean } = {}): Augmentation {
  const { horizontal = true, vertical = false } = options
  return (sample, shape, random) => {
    expectImage('flip', sample, shape)
    const [height, width, channels] = shape
    const row = width * channels
    if (horizontal && random.integer(2)) {
      for (let from = 0; from < sample.length; from += row) {
        for (let a = from, b = from + row - channels; a < b; a += channels, b -= channels) exchange(sample, a, b, channels)
      }
    }
    if (vertical && random.integer(2)) {
      for (let a = 0, b = (height - 1) * row; a < b; a += row, b -= row) exchange(sample, a, b, row)
    }
  }
}

function exchange(sample: Float32Array, a: number, b: number, count: number): void {
  for (let i = 0; i < count; i++) {
    const kept = sample[a + i]
    sample[a + i] = sample[b + i]
    sample[b + i] = kept
  }
}

/**
 * Pads an image [height, width, channels] by `pixels` on each side and cuts a window of the old size out of it, at a place drawn
 * uniformly. The padding is `fill`: a value (default 0), the nearest pixel ('edge'), or the image mirrored at its outermost pixels
 * ('reflect').
 */
export function padCrop(pixels: number, options: { fill?: Fill | 'reflect' } = {}): Augmentation {
  const { fill = 0 } = options
  expectPixels('padCrop', 'pixels', pixels)
  expectFill('padCrop', fill, ['edge', 'reflect'])
  const copy = copier()
  return (sample, shape, random) => {
    expectImage('padCrop', sample, shape)
    const [height, width] = shape
    if (fill === 'reflect' && pixels >= Math.min(height, width)) {
      throw new DunlinError(
        `padCrop: an image [${shape}] has no ${pixels} pixels beside its outermost ones to mirror. Use fewer, or fill "edge".`,
      )
    }
    const top = random.integer(2 * pixels + 1) - pixels
    const left = random.integer(2 * pixels + 1) - pixels
    const source = typeof fill === 'number' ? undefined : copy(sample)
    cut(sample, shape, top, left, fill, source)
  }
}

/**
 * What the window of an image's own size shows whose corner is `top` rows down and `left` columns to the right of the image's.
 * `source` is a copy of the image; only a `fill` by a number does without.
 */
function cut(
  sample: Float32Array,
  [height, width, channels]: Shape,
  top: number,
  left: number,
  fill: Fill | 'reflect',
  source?: Float32Array,
): void {
  move(sample, (top * width + left) * channels)
  // The move is right for rows and columns that are in the image; what it left in the others is replaced.
  const from = Math.min(width, Math.max(0, -left))
  const to = Math.max(from, Math.min(width, width - left))
  for (let y = 0; y < height; y++) {
    const inside = top + y >= 0 && top + y < height
    const at = y * width * channels
    if (!source) {
      sample.fill(fill as number, at, at + (inside ? from : width) * channels)
      sample.fill(fill as number, at + to * channels, at + width * channels)
      continue
    }
    const row = nearest(top + y, height, fill === 'edge') * width
    for (let x = 0; x < width; x++) {
      if (inside && x === from) x = to
      if (x === width) break
      const column = row + nearest(left + x, width, fill === 'edge')
      for (let c = 0; c < channels; c++) sample[at + x * channels + c] = source[column * channels + c]
    }
  }
}

/** The pixel in [0, count) that stands for one outside: the outermost, or the one mirrored at that. */
function nearest(at: number, count: number, edge: boolean): number {
  if (at >= 0 && at < count) return at
  if (edge) return at < 0 ? 0 : count - 1
  return at < 0 ? -at : 2 * (count - 1) - at
}

/**
 * Covers a square of `pixels` x `pixels` of an image [height, width, channels] with `fill` (default 0; DeVries and Taylor 2017). Its
 * middle is a pixel drawn uniformly, so the square may hang over the border.
 */
export function cutout(pixels: number, options: { fill?: number } = {}): Augmentation {
  const { fill = 0 } = options
  expectPixels('cutout', 'pixels', pixels)
  expectFill('cutout', fill, [])
  return (sample, shape, random) => {
    expectImage('cutout', sample, shape)
    const [height, width, channels] = shape
    const before = Math.floor(pixels / 2)
    const top = random.integer(height) - before
    const left = random.integer(width) - before
    for (let y = Math.max(0, top); y < Math.min(height, top + pixels); y++) {
      const row = y * width
      sample.fill(fill, (row + Math.max(0, left)) * channels, (row + Math.min(width, left + pixels)) * channels)
    }
  }
}

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
  const copy = copier()
  return (sample, shape, random) => {
    expectImage('shift', sample, shape)
    if (!subpixel) {
      const top = pixels - random.integer(2 * pixels + 1)
      cut(sample, shape, top, pixels - random.integer(2 * pixels + 1), fill)
      return
    }
    const source = copy(sample)
    const [height, width, channels] = shape
    const down = random.uniform(-pixels, pixels)
    const right = random.uniform(-pixels, pixels)
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
