// Convolutions of images, straight and transposed, and the windows that they and pools go by. An image is a node [H, W, C]; one spatial
// axis is an image of one row. What a node's attributes say is read once, for each spatial axis.

import type { Node, Param } from '../../graph/node'
import { nodeOf } from '../../ops'
import { add } from '../../ops/add'
import { concat } from '../../ops/concat'
import { pad, slice } from '../../ops/slice'
import type { Call } from './call'
import { count, type Tensor } from './tensor'
import { dimsOf, reordered, type Traced } from './value'

type Two = [number, number]
/** What is added, or cut away, before and after. */
export type Ends = readonly [number, number]

/** The window of a node over one spatial axis of `size`. */
export interface Window {
  size: number
  kernel: number
  stride: number
  dilation: number
  /** Padding at both ends. */
  pads: Two
  /** Positions that ceil_mode adds at the end. */
  more: number
}

/** The same of a transposed convolution: of its whole output so much is cut away at both ends; of less than nothing there are zeros. */
export interface Spread extends Omit<Window, 'pads' | 'more'> {
  ends: Two
}

/** Positions from the first to the last that a window sees. */
export const spanOf = ({ kernel, dilation }: Pick<Window, 'kernel' | 'dilation'>): number => (kernel - 1) * dilation + 1

/** The window over the row that one spatial axis lies in. */
const ROW: Window & Spread = { size: 1, kernel: 1, stride: 1, dilation: 1, pads: [0, 0], more: 0, ends: [0, 0] }

/** One or two windows as those over height and width. */
export const planar = <W extends Window | Spread>(list: readonly W[]): [W, W] =>
  list.length === 1 ? [ROW as Window & Spread & W, list[0]] : [list[0], list[1]]

/** Lengths of the spatial axes, of which there may be up to `most`. */
export function spatialOf(c: Call, x: Traced, most: 2 | 3): readonly number[] {
  const dims = dimsOf(x)
  const spatial = dims.length - 2
  if (spatial < 1 || spatial > most)
    return c.fail(`has ${Math.max(0, spatial)} spatial axes (its input is [${dims}]); 1 to ${most} are supported`)
  if (dims[0] !== 1)
    return c.fail(
      `has ${dims[0]} images in one sample ([${dims}]). Import with the first axis as the samples' (samples: 'first')`,
    )
  return dims.slice(2)
}

export function windowsOf(c: Call, dims: readonly number[], kernels: readonly number[]): Window[] {
  const spatial = dims.length
  const strides = c.list('strides', spatial, 1, 1)
  const dilations = c.list('dilations', spatial, 1, 1)
  const auto = c.string('auto_pad', 'NOTSET')
  const pads = auto === 'NOTSET' ? c.list('pads', 2 * spatial, 0, 0) : []
  return dims.map((size, i) => {
    const [kernel, stride, dilation] = [kernels[i], strides[i], dilations[i]]
    const span = spanOf({ kernel, dilation })
    const around = (): Two => {
      if (auto === 'NOTSET') return [pads[i], pads[i + spatial]]
      if (auto === 'VALID') return [0, 0]
      if (auto !== 'SAME_UPPER' && auto !== 'SAME_LOWER') return c.fail(`auto_pad ${auto} is not supported`)
      const total = Math.max(0, (Math.ceil(size / stride) - 1) * stride + span - size)
      const less = Math.floor(total / 2)
      return auto === 'SAME_UPPER' ? [less, total - less] : [total - less, less]
    }
    const [before, after] = around()
    const more = () => {
      if (!c.int('ceil_mode', 0)) return 0
      const room = size + before + after - span
      let out = Math.ceil(room / stride) + 1
      // A window that would begin behind the values and the padding before is none.
      if ((out - 1) * stride >= size + before) out--
      return Math.max(0, (out - 1) * stride - room)
    }
    return { size, kernel, stride, dilation, pads: [before, after], more: more() }
  })
}

export function spreadsOf(c: Call, dims: readonly number[], kernels: readonly number[]): Spread[] {
  const spatial = dims.length
  const strides = c.list('strides', spatial, 1, 1)
  const dilations = c.list('dilations', spatial, 1, 1)
  const auto = c.string('auto_pad', 'NOTSET')
  const pads = c.list('pads', 2 * spatial, 0, 0)
  const wanted = c.ints('output_shape')?.slice(-spatial)
  const last = c.list('output_padding', spatial, 0, 0)
  return dims.map((size, i) => {
    const [kernel, stride, dilation] = [kernels[i], strides[i], dilations[i]]
    const target = wanted?.length ? wanted[i] : auto.startsWith('SAME') ? size * stride : undefined
    const ends = (): Two => {
      if (target !== undefined) {
        const total = (size - 1) * stride + spanOf({ kernel, dilation }) + last[i] - target
        const less = Math.floor(total / 2)
        const [before, after] = auto === 'SAME_UPPER' ? [less, total - less] : [total - less, less]
        return [before, after - last[i]]
      }
      if (auto === 'VALID') return [0, -last[i]]
      if (auto !== 'NOTSET') return c.fail(`auto_pad ${auto} is not supported`)
      return [pads[i], pads[i + spatial] - last[i]]
    }
    return { size, kernel, stride, dilation, ends: ends() }
  })
}

/** Two windows as attributes; padding that leaves windows without a value goes before, as values. */
export function attrsOf(image: Node, windows: readonly [Window, Window], value: number) {
  const [rows, columns] = windows.map(({ pads, more }): Two => [pads[0], pads[1] + more])
  const all = [...rows, ...columns] as [number, number, number, number]
  const spans = windows.map(spanOf)
  const large = all.some((p, i) => p >= spans[i >> 1])
  const x = large ? pad({ padding: [rows, columns, [0, 0]], value })(image) : image
  const none = large || all.every((p) => p === 0)
  const [kernel, strides] = [windows.map((w) => w.kernel) as Two, windows.map((w) => w.stride) as Two]
  return { x, attrs: { kernel, strides, ...(none ? { padding: 'valid' as const } : { padding: all }) } }
}

const floats = (t: Tensor): Float32Array => Float32Array.from(t.data as ArrayLike<number>)

/** Weights in another order of their axes, under the shape that a layer wants. */
export const weightsOf = (c: Call, w: Tensor, order: readonly number[], shape: readonly number[]): Param =>
  c.param('w', shape, reordered(floats(w), w.dims, order), w)

/** A bias of so many numbers. */
export function biasOf(c: Call, i: number, length: number): Param[] {
  const b = c.optional(i, 'B')
  if (!b) return []
  if (count(b.dims) !== length) c.fail(`has ${count(b.dims)} biases for ${length} channels`)
  return [c.param('b', [length], floats(b), b)]
}

/** What a layer over images is, beside its windows. */
export interface Layer {
  name: string
  groups: number
  /** The weights, and a bias or none. */
  params: readonly Param[]
}

/** The convolution of an image by weights [O, kh, kw, I / groups]; by [kh, kw, C], a filter for each channel, as a depthwiseConv2d. */
export function convolved(image: Node, windows: readonly [Window, Window], { name, groups, params }: Layer): Node {
  const { x, attrs: window } = attrsOf(image, windows, 0)
  const attrs = { ...window, dilation: windows.map((w) => w.dilation) as Two }
  const inputs = [x, ...params]
  if (params[0].shape.length === 3) return nodeOf('depthwiseConv2d', { name, attrs, inputs })
  return nodeOf('conv2d', { name, attrs: { ...attrs, ...(groups > 1 && { groups }) }, inputs })
}

/**
 * The transposed convolution of an image by stored weights [I, O / groups, kh, kw], group by group; dilated weights are written out with
 * zeros between. `params` is the bias, if there is one.
 */
export function spreadOut(
  c: Call,
  image: Node,
  spreads: readonly [Spread, Spread],
  w: Tensor,
  { name, groups, params: bias }: Layer,
): Node {
  const [channels, each, ...small] = w.dims
  const kernel = spreads.map(spanOf) as Two
  if (count(kernel) > 2 ** 16) c.fail(`has a kernel that spans [${kernel}]`)
  const strides = spreads.map((s) => s.stride) as Two
  const ends = spreads.map((s) => s.ends)
  const inputs = channels / groups
  const data = reordered(floats(w), w.dims, [0, 2, 3, 1])
  // What is cut away is left out by the layer itself where it can be; else it is cut behind it.
  const inside = groups === 1 && ends.every(([a, b], i) => a >= 0 && a < kernel[i] && b > -strides[i] && b < kernel[i])
  const sides = inside ? ends.flatMap(([a, b]) => [a, Math.max(0, b)]) : [0, 0, 0, 0]
  const outputPadding = (inside ? ends.map(([, b]) => Math.max(0, -b)) : [0, 0]) as Two
  const padding = sides.every((p) => p === 0) ? 'valid' : (sides as [number, number, number, number])
  const parts = Array.from({ length: groups }, (_, g) => {
    const weights = new Float32Array(inputs * kernel[0] * kernel[1] * each)
    for (let i = 0; i < inputs; i++)
      for (let h = 0; h < small[0]; h++)
        for (let v = 0; v < small[1]; v++) {
          const from = (((g * inputs + i) * small[0] + h) * small[1] + v) * each
          const [row, column] = [h * spreads[0].dilation, v * spreads[1].dilation]
          weights.set(data.subarray(from, from + each), ((i * kernel[0] + row) * kernel[1] + column) * each)
        }
    const params = [c.param('w', [inputs, ...kernel, each], weights), ...(inside ? bias : [])]
    const size = [image.shape[0], image.shape[1], inputs]
    const own = groups === 1 ? image : slice({ begin: [0, 0, g * inputs], size })(image)
    const attrs = { kernel, strides, padding, outputPadding } as const
    const node = nodeOf('convTranspose2d', { name: groups === 1 ? name : '', attrs, inputs: [own, ...params] })
    return inside ? node : trimmed(node, ends)
  })
  const whole = parts.length === 1 ? parts[0] : concat({ axis: -1 })(...parts)
  // Zeros that were put at the ends have a bias too, and each group would need a piece of it.
  return !inside && bias.length ? c.both(whole, bias[0], add()) : whole
}

/** A node of three axes without some of the first two at their ends; of fewer than none there are zeros, which are put there first. */
export function trimmed(x: Node, ends: readonly Ends[]): Node {
  const [more, less] = [-1, 1].map((sign) => ends.map(([a, b]) => [Math.max(0, sign * a), Math.max(0, sign * b)] as const))
  const some = (list: readonly Ends[]) => list.some(([a, b]) => a > 0 || b > 0)
  const whole = some(more) ? pad({ padding: [...more, [0, 0]] })(x) : x
  if (!some(less)) return whole
  const size = [...less.map(([a, b], i) => whole.shape[i] - a - b), x.shape[2]]
  return slice({ begin: [...less.map(([a]) => a), 0], size })(whole)
}
