// MaxPool's second output, where in its input each maximum lies, by ops that there are: of the window's positions, the first whose value
// is the maximum. A position is 1 as long as none before it was one, and what it is further on than the one before is added up. Values
// have to be finite.

import { type Node, type Param, param } from '../../graph/node'
import { clip } from '../../ops/activation'
import { add, mul, sub } from '../../ops/add'
import { pad, slice } from '../../ops/slice'
import type { Call } from './call'
import type { Window } from './convolution'
import { dimsOf, fromImage, imageOf, type Traced } from './value'

/** Most positions of a window: each is some nodes of the graph. */
const MOST = 256
/** What makes 1 or more of the smallest difference, 2^-149, in two steps. */
const LARGE = [2 ** 127, 2 ** 24]
/** Integers up to here are floats. */
const EXACT = 2 ** 24

/** Indices of the maxima `y` of the windows over x, as if x were one row. `lowest`: what padding holds. */
export function indicesOf(c: Call, x: Traced, windows: readonly [Window, Window], y: Traced, lowest: number): Traced {
  const [rows, columns] = windows
  const taps = rows.kernel * columns.kernel
  const [, channels] = dimsOf(x)
  const area = rows.size * columns.size
  if (x.samples !== undefined && c.scope.batch !== 1)
    return c.fail('counts its output Indices on through all samples. Export with a batch of 1, or without that output')
  if (taps > MOST)
    return c.fail(
      `has its output Indices for windows of ${MOST} positions and fewer, this has ${taps}. Export without that output`,
    )
  // Distances in the file's order, row by row; or column by column.
  const [down, right] = c.int('storage_order', 0) ? [1, rows.size] : [columns.size, 1]
  const most = imageOf(y)
  const [oh, ow] = most.shape
  if (channels * Math.max(area, oh * ow) > EXACT)
    return c.fail(
      `has its output Indices of ${EXACT} elements and fewer ([${dimsOf(x)}] to [${dimsOf(y)}]). Export without that output`,
    )
  const ends = windows.map(({ pads: [before, after], more }) => [before, after + more] as const)
  const padded = ends.flat().some((n) => n > 0)
  const image = padded ? pad({ padding: [...ends, [0, 0]], value: lowest })(imageOf(x)) : imageOf(x)
  const first = Float32Array.from({ length: oh * ow * channels }, (_, i) => {
    const [channel, column, row] = [i % channels, Math.floor(i / channels) % ow, Math.floor(i / channels / ow)]
    return channel * area + (row * rows.stride - rows.pads[0]) * down + (column * columns.stride - columns.pads[0]) * right
  })
  let index: Node = constant(most.shape, first)
  let left: Node | undefined
  for (let tap = 0; tap + 1 < taps; tap++) {
    const at = (t: number) => [Math.floor(t / columns.kernel) * rows.dilation, (t % columns.kernel) * columns.dilation]
    const [top, side] = at(tap)
    const strides = [rows.stride, columns.stride, 1]
    const value = slice({ begin: [top, side, 0], size: most.shape, strides })(image)
    // 0 where it is the maximum, else 1.
    const other = clip({ low: 0, high: 1 })(LARGE.reduce((x, v) => c.times(x, v), sub()(most, value)))
    left = left ? mul()(left, other) : other
    const [below, beside] = at(tap + 1)
    index = c.both(c.times(left, (below - top) * down + (beside - side) * right), index, add())
  }
  // Of a window of one position: where it is, for every sample.
  if (!left) index = c.both(clip({ low: 0, high: 0 })(most), index, add())
  return { ...fromImage(x, index, dimsOf(x).length - 2), type: 'int64' }
}

const constant = (shape: readonly number[], data: Float32Array): Param => ({
  ...param('k', shape, { kind: 'zeros' }, false),
  data,
})
