// Augmentations that look at an image through a turned, larger or smaller window: every output pixel is the bilinear mean of the four
// pixels round its place in the source. Places are of pixels' middles: an image of width w reaches from -1/2 to w - 1/2.

import { cosPi } from '../../graph/arithmetic'
import type { Shape } from '../../graph/node'
import { type Augmentation, copier, expectFill, expectImage, expectWithin, type Fill, type Range, rangeOf } from './augmentation'

/** Turns an image [height, width, channels] round its middle by an angle drawn from [-degrees, degrees], counterclockwise. */
export function rotate(degrees: number, options: { fill?: Fill } = {}): Augmentation {
  const { fill = 0 } = options
  expectWithin('rotate', 'degrees', degrees, 0, 180)
  expectFill('rotate', fill)
  const copy = copier()
  return (sample, shape, random) => {
    expectImage('rotate', sample, shape)
    const turn = random.uniform(-degrees, degrees) / 180
    const cos = cosPi(Math.abs(turn))
    const sin = Math.sign(turn) * cosPi(Math.abs(0.5 - Math.abs(turn)))
    const [y, x] = middle(shape)
    resample(copy(sample), sample, shape, fill, [cos, sin, y - cos * y - sin * x], [-sin, cos, x + sin * y - cos * x])
  }
}

/**
 * Enlarges what is seen in an image [height, width, channels] by a factor drawn from `factor` (such as [0.8, 1.25]), round its middle:
 * above 1 the border is lost, below 1 there is `fill` round it.
 */
export function zoom(factor: Range, options: { fill?: Fill } = {}): Augmentation {
  const { fill = 0 } = options
  const range = rangeOf('zoom', 'factor', factor, 0.01, 100)
  expectFill('zoom', fill)
  const copy = copier()
  return (sample, shape, random) => {
    expectImage('zoom', sample, shape)
    const part = 1 / random.uniform(...range)
    const [y, x] = middle(shape)
    resample(copy(sample), sample, shape, fill, [part, 0, y - part * y], [0, part, x - part * x])
  }
}

/**
 * Cuts a part out of an image [height, width, channels] and enlarges it to the whole. Its sides are a share of the image's, drawn from
 * [least, 1]; its place is drawn uniformly.
 */
export function crop(least: number): Augmentation {
  expectWithin('crop', 'least', least, 0.01, 1)
  const copy = copier()
  return (sample, shape, random) => {
    expectImage('crop', sample, shape)
    const part = random.uniform(least, 1)
    const [top, left] = [0, 1].map((axis) => random.uniform(0, (1 - part) * shape[axis]) + (part - 1) / 2)
    resample(copy(sample), sample, shape, 'edge', [part, 0, top], [0, part, left])
  }
}

const middle = ([height, width]: Shape) => [(height - 1) / 2, (width - 1) / 2] as const

type Line = readonly [byY: number, byX: number, start: number]

/** Output pixel (y, x) is the source at (row[0] y + row[1] x + row[2], column[0] y + ...). */
function resample(source: Float32Array, into: Float32Array, shape: Shape, fill: Fill, row: Line, column: Line): void {
  const [height, width, channels] = shape
  const edge = fill === 'edge'
  const outside = edge ? 0 : fill
  const within = (v: number, count: number) => (edge ? Math.max(0, Math.min(count - 1, v)) : v)
  let i = 0
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const v = within(row[0] * y + row[1] * x + row[2], height)
      const u = within(column[0] * y + column[1] * x + column[2], width)
      const top = Math.floor(v)
      const left = Math.floor(u)
      const low = v - top
      const far = u - left
      // -1 is outside; a pixel of weight 0 may be.
      const above = top >= 0 && top < height ? top * width : -1
      const below = top >= -1 && top + 1 < height ? (top + 1) * width : -1
      const west = left >= 0 && left < width ? left : -1
      const east = left >= -1 && left + 1 < width ? left + 1 : -1
      const nw = above < 0 || west < 0 ? -1 : (above + west) * channels
      const ne = above < 0 || east < 0 ? -1 : (above + east) * channels
      const sw = below < 0 || west < 0 ? -1 : (below + west) * channels
      const se = below < 0 || east < 0 ? -1 : (below + east) * channels
      for (let c = 0; c < channels; c++, i++) {
        const upper = (1 - far) * (nw < 0 ? outside : source[nw + c]) + far * (ne < 0 ? outside : source[ne + c])
        const lower = (1 - far) * (sw < 0 ? outside : source[sw + c]) + far * (se < 0 ? outside : source[se + c])
        into[i] = (1 - low) * upper + low * lower
      }
    }
  }
}
