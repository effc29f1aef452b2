// Convolutions over three axes by those over two. A volume is a node [D, H, W, C]; its images one below the other are one tall image, on
// which one layer runs, with the slices of its kernel side by side as channels. Windows that see two images are cut away; where the
// convolution is transposed, rows between the images keep them apart.

import type { Node } from '../../graph/node'
import { add } from '../../ops/add'
import { concat } from '../../ops/concat'
import { slice } from '../../ops/slice'
import type { Call } from './call'
import { convolved, type Ends, type Layer, type Spread, spanOf, spreadOut, trimmed, type Window, weightsOf } from './convolution'
import { MOST_PIECES } from './pieces'
import type { Tensor } from './tensor'
import { reordered, shaped } from './value'

const NONE: Ends = [0, 0]

/** A node of three axes within zeros along the first two. */
const within = (x: Node, first: Ends, second: Ends): Node =>
  trimmed(
    x,
    [first, second].map(([a, b]) => [-a, -b] as const),
  )

function expectFits(c: Call, kernel: number, lengths: readonly number[]): void {
  if (kernel > MOST_PIECES) c.fail(`has a kernel of depth ${kernel}; at most ${MOST_PIECES} are supported`)
  if (lengths.some((n) => n < 1)) c.fail(`leaves ${lengths.join(' x ')} as depth and height of its output; wanted are 1 and more`)
}

/** The convolution by weights [O, I / groups, kd, kh, kw]: for each depth what its window sees of the others, as channels. */
export function convolvedVolume(c: Call, x: Node, windows: readonly Window[], w: Tensor, layer: Layer): Node {
  const [depth, rows, columns] = windows
  const [d, h, iw, channels] = x.shape
  const [od, oh] = [depth, rows].map((v) => Math.floor((v.size + v.pads[0] + v.pads[1] - spanOf(v)) / v.stride) + 1)
  expectFits(c, depth.kernel, [od, oh])
  // Rows of an image with its padding: a multiple of the stride, so that windows begin alike in each.
  const all = rows.pads[0] + h + rows.pads[1]
  const stride = oh === 1 ? all : rows.stride
  const height = Math.ceil(all / stride) * stride
  const volume = within(shaped(x, [d, h, iw * channels]), depth.pads, [rows.pads[0], height - h - rows.pads[0]])
  const slices = Array.from({ length: depth.kernel }, (_, k) => {
    const block = { begin: [k * depth.dilation, 0, 0], size: [od, height, iw * channels], strides: [depth.stride, 1, 1] }
    return shaped(slice(block)(volume), [od * height * iw * layer.groups, channels / layer.groups])
  })
  const beside = slices.length === 1 ? slices[0] : concat({ axis: 1 })(...slices)
  const image = shaped(beside, [od * height, iw, depth.kernel * channels])
  const weights = weightsOf(c, w, [0, 3, 4, 2, 1], [w.dims[0], rows.kernel, columns.kernel, depth.kernel * w.dims[1]])
  // As many windows as rows / stride: the last ones of each image see the next, and are cut away.
  const tall: Window = { ...rows, stride, pads: [0, Math.max(0, spanOf(rows) - stride)] }
  const y = convolved(image, [tall, columns], { ...layer, params: [weights, ...layer.params] })
  const [, ow, filters] = y.shape
  const made = height / stride
  return shaped(trimmed(shaped(y, [od, made, ow * filters]), [NONE, [0, made - oh]]), [od, oh, ow, filters])
}

/**
 * The transposed convolution by weights [I, O / groups, kd, kh, kw]: each depth spread out by all slices of the kernel, whose results
 * are added up at the depths where they lie.
 */
export function spreadVolume(c: Call, x: Node, spreads: readonly Spread[], w: Tensor, layer: Layer): Node {
  const [depth, rows, columns] = spreads
  const { groups, params } = layer
  const [d, h, iw, channels] = x.shape
  const [inputs, each, kd, kh, kw] = w.dims
  const [od, oh] = [depth, rows].map((s) => (s.size - 1) * s.stride + spanOf(s) - s.ends[0] - s.ends[1])
  expectFits(c, kd, [od, oh])
  // Rows of an image with room for what the kernel spreads behind it.
  const span = spanOf(rows)
  const height = h - 1 + Math.ceil(span / rows.stride)
  const image = shaped(within(shaped(x, [d, h, iw * channels]), NONE, [0, height - h]), [d * height, iw, channels])
  const data = reordered(Float32Array.from(w.data as ArrayLike<number>), w.dims, [0, 2, 1, 3, 4])
  const slices = { ...w, data, dims: [inputs, kd * each, kh, kw] }
  const tall: Spread = { ...rows, ends: [0, span - rows.stride] }
  const y = spreadOut(c, image, [tall, columns], slices, { ...layer, params: [] })
  const [, ow, filters] = y.shape
  const made = height * rows.stride
  const images = trimmed(shaped(y, [d, made, ow * filters]), [NONE, [rows.ends[0], made - rows.ends[0] - oh]])
  const [n, long] = [oh * ow * groups, d * depth.stride]
  const parts = Array.from({ length: kd }, (_, k) => {
    const own = slice({ begin: [0, k, 0], size: [d * n, 1, each] })(shaped(images, [d * n, kd, each]))
    const apart = within(shaped(own, [d, 1, n * each]), NONE, [0, depth.stride - 1])
    const first = k * depth.dilation - depth.ends[0]
    return trimmed(shaped(apart, [long, 1, n * each]), [[-first, first + long - od], NONE])
  })
  const sum = shaped(
    parts.reduce((a, b) => add()(a, b)),
    [od, oh, ow, groups * each],
  )
  return params.length ? c.both(sum, params[0], add()) : sum
}
