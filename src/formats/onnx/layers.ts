// ONNX's convolutions, pools, normalizations and reductions, each under its own name. Images come in and leave as views [N, C, H, W] on
// nodes [H, W, C]; one spatial axis is an image of one row.

import type { Node, Param } from '../../graph/node'
import { nodeOf } from '../../ops'
import { logSoftmax, softmax, sqrt } from '../../ops/activation'
import { add, div, mul, sub } from '../../ops/add'
import { concat } from '../../ops/concat'
import { pad, slice } from '../../ops/slice'
import type { Call } from './call'
import type { Rule } from './elementwise'
import { layerName } from './product'
import { count, type Tensor } from './tensor'
import {
  alike,
  arrange,
  dimsOf,
  fromImage,
  imageOf,
  innermost,
  reordered,
  reviewed,
  shaped,
  type Traced,
  transposed,
  view,
} from './value'

type Two = [number, number]

/** The window of a node over its one or two spatial axes: numbers for [height, width]. */
interface Sizes {
  spatial: number
  kernel: Two
  strides: Two
  dilation: Two
  /** [top, bottom, left, right] */
  pads: [number, number, number, number]
  /** Rows and columns that ceil_mode adds at the end. */
  more: Two
}

/** A list for one spatial axis as one for two. */
const two = (list: readonly number[], other: number): Two => (list.length === 1 ? [other, list[0]] : [list[0], list[1]])

function expectImage(c: Call, x: Traced): number {
  const dims = dimsOf(x)
  const spatial = dims.length - 2
  if (spatial !== 1 && spatial !== 2) return c.fail(`has ${spatial} spatial axes (its input is [${dims}]); 1 and 2 are supported`)
  if (dims[0] !== 1)
    return c.fail(
      `has ${dims[0]} images in one sample ([${dims}]). Import with the first axis as the samples' (samples: 'first')`,
    )
  return spatial
}

function windowOf(c: Call, x: Traced, kernelShape: readonly number[]): Sizes {
  const spatial = expectImage(c, x)
  const dims = two(dimsOf(x).slice(2), 1)
  const kernel = two(kernelShape, 1)
  const strides = two(c.list('strides', spatial, 1, 1), 1)
  const dilation = two(c.list('dilations', spatial, 1, 1), 1)
  const auto = c.string('auto_pad', 'NOTSET')
  const span = kernel.map((k, i) => (k - 1) * dilation[i] + 1)
  const around = [0, 1].map((i): Two => {
    if (auto === 'NOTSET') {
      const list = c.list('pads', 2 * spatial, 0, 0)
      return i === 0 && spatial === 1 ? [0, 0] : [list[i - 2 + spatial], list[i - 2 + 2 * spatial]]
    }
    if (auto === 'VALID') return [0, 0]
    if (auto !== 'SAME_UPPER' && auto !== 'SAME_LOWER') return c.fail(`auto_pad ${auto} is not supported`)
    const total = Math.max(0, (Math.ceil(dims[i] / strides[i]) - 1) * strides[i] + span[i] - dims[i])
    const less = Math.floor(total / 2)
    return auto === 'SAME_UPPER' ? [less, total - less] : [total - less, less]
  })
  const more = [0, 1].map((i) => {
    if (!c.int('ceil_mode', 0)) return 0
    const room = dims[i] + around[i][0] + around[i][1] - span[i]
    let out = Math.ceil(room / strides[i]) + 1
    // A window that would begin behind the values and the padding before is none.
    if ((out - 1) * strides[i] >= dims[i] + around[i][0]) out--
    return Math.max(0, (out - 1) * strides[i] - room)
  }) as Two
  const pads = [...around[0], ...around[1]] as Sizes['pads']
  return { spatial, kernel, strides, dilation, pads, more }
}

/** What a window's numbers are as attributes; padding that leaves windows without a value goes before, as values. */
function attrsOf(image: Node, { kernel, strides, dilation, pads, more }: Sizes, value: number) {
  const all = [pads[0], pads[1] + more[0], pads[2], pads[3] + more[1]] as const
  const span = kernel.map((k, i) => (k - 1) * dilation[i] + 1)
  const large = all.some((p, i) => p >= span[i >> 1])
  const padding = [
    [all[0], all[1]],
    [all[2], all[3]],
    [0, 0],
  ] as const
  const x = large ? pad({ padding, value })(image) : image
  const none = large || all.every((p) => p === 0)
  return { x, attrs: { kernel, strides, ...(none ? { padding: 'valid' as const } : { padding: all }) } }
}

const floats = (t: Tensor): Float32Array => Float32Array.from(t.data as ArrayLike<number>)

/** A bias of so many numbers. */
function biasOf(c: Call, i: number, length: number): Param[] {
  const b = c.optional(i, 'B')
  if (!b) return []
  if (count(b.dims) !== length) c.fail(`has ${count(b.dims)} biases for ${length} channels`)
  return [c.param('b', [length], floats(b), b)]
}

/** The convolution of a value by stored weights [O, I / group, ...]. */
export function convolution(c: Call, x: Traced, w: Tensor, bias: Param[]): Traced {
  const kernelShape = w.dims.slice(2)
  const sizes = windowOf(c, x, kernelShape)
  const [o, i] = w.dims
  const group = c.int('group', 1)
  const channels = dimsOf(x)[1]
  if (kernelShape.length !== sizes.spatial || group < 1 || i * group !== channels || o % group)
    return c.fail(`has weights [${w.dims}] for an input [${dimsOf(x)}] and ${group} groups`)
  const [kh, kw] = sizes.kernel
  const { x: image, attrs } = attrsOf(imageOf(x), sizes, 0)
  const name = layerName(c, w)
  const all = { ...attrs, dilation: sizes.dilation }
  if (group === channels && group > 1) {
    const weights = c.param('w', [kh, kw, o], reordered(floats(w), [o, kh, kw], [1, 2, 0]), w)
    const node = nodeOf('depthwiseConv2d', { name, attrs: all, inputs: [image, weights, ...bias] })
    return fromImage(x, node, sizes.spatial)
  }
  const weights = c.param('w', [o, kh, kw, i], reordered(floats(w), [o, i, kh, kw], [0, 2, 3, 1]), w)
  const attrsWithGroups = { ...all, ...(group > 1 && { groups: group }) }
  const node = nodeOf('conv2d', { name, attrs: attrsWithGroups, inputs: [image, weights, ...bias] })
  return fromImage(x, node, sizes.spatial)
}

/** The transposed convolution, group by group; dilated weights are written out with zeros between. */
function transposedConvolution(c: Call): Traced {
  const x = c.x(0)
  const w = c.constant(1, 'W')
  const spatial = expectImage(c, x)
  const [channels, each, ...kernelShape] = w.dims
  const group = c.int('group', 1)
  if (kernelShape.length !== spatial || channels !== dimsOf(x)[1] || group < 1 || channels % group)
    return c.fail(`has weights [${w.dims}] for an input [${dimsOf(x)}] and ${group} groups`)
  const dilation = two(c.list('dilations', spatial, 1, 1), 1)
  const strides = two(c.list('strides', spatial, 1, 1), 1)
  const small = two(kernelShape, 1)
  const kernel = small.map((k, i) => (k - 1) * dilation[i] + 1) as Two
  if (count(kernel) > 2 ** 16) c.fail(`has a kernel that spans [${kernel}]`)
  const dims = two(dimsOf(x).slice(2), 1)
  const auto = c.string('auto_pad', 'NOTSET')
  const list = c.list('pads', 2 * spatial, 0, 0)
  const wanted = c.ints('output_shape')
  const last = two(c.list('output_padding', spatial, 0, 0), 0)
  // Of the whole output, so many rows are cut away at both ends; below 0 zeros are added.
  const cutting = [0, 1].map((i): Two => {
    const full = (dims[i] - 1) * strides[i] + kernel[i]
    const fixed = wanted?.length ? two(wanted.slice(-spatial), 1)[i] : undefined
    const target = fixed ?? (auto.startsWith('SAME') ? dims[i] * strides[i] : undefined)
    if (target !== undefined && !(i === 0 && spatial === 1)) {
      const total = full + last[i] - target
      const less = Math.floor(total / 2)
      const [before, after] = auto === 'SAME_UPPER' ? [less, total - less] : [total - less, less]
      return [before, after - last[i]]
    }
    if (auto !== 'NOTSET' && auto !== 'VALID' && target === undefined) return c.fail(`auto_pad ${auto} is not supported`)
    if (auto === 'VALID' || (i === 0 && spatial === 1)) return [0, -last[i]]
    return [list[i - 2 + spatial], list[i - 2 + 2 * spatial] - last[i]]
  })
  const bias = biasOf(c, 2, each * group)
  const image = imageOf(x)
  const inputs = channels / group
  const data = reordered(floats(w), [channels, each, ...small], [0, 2, 3, 1])
  const parts = Array.from({ length: group }, (_, g) => {
    const weights = new Float32Array(inputs * kernel[0] * kernel[1] * each)
    for (let i = 0; i < inputs; i++)
      for (let h = 0; h < small[0]; h++)
        for (let v = 0; v < small[1]; v++) {
          const from = (((g * inputs + i) * small[0] + h) * small[1] + v) * each
          weights.set(data.subarray(from, from + each), ((i * kernel[0] + h * dilation[0]) * kernel[1] + v * dilation[1]) * each)
        }
    const params = [c.param('w', [inputs, ...kernel, each], weights), ...(group === 1 ? bias : [])]
    const size = [...dims, inputs]
    const own = group === 1 ? image : slice({ begin: [0, 0, g * inputs], size })(image)
    // Whole; what is cut away is cut behind it, where it is not what the layer itself can leave out.
    const inside = group === 1 && cutting.every(([a, b], i) => a >= 0 && a < kernel[i] && b > -strides[i] && b < kernel[i])
    const sides = inside ? cutting.flatMap(([a, b]) => [a, Math.max(0, b)]) : [0, 0, 0, 0]
    const outputPadding = inside ? cutting.map(([, b]) => Math.max(0, -b)) : [0, 0]
    const padding = sides.every((p) => p === 0) ? 'valid' : (sides as [number, number, number, number])
    const attrs = { kernel, strides, padding, outputPadding: outputPadding as Two } as const
    const name = group === 1 ? layerName(c, w) : ''
    const node = nodeOf('convTranspose2d', { name, attrs, inputs: [own, ...params] })
    return inside ? node : trimmed(node, cutting)
  })
  const whole = parts.length === 1 ? parts[0] : concat({ axis: -1 })(...parts)
  // With a bias of its own each group would need a piece of it.
  const y = group > 1 && bias.length ? c.both(whole, bias[0], add()) : whole
  return fromImage(x, y, spatial)
}

/** An image without some rows and columns at its ends; of fewer than none there are zeros. */
function trimmed(image: Node, ends: readonly Two[]): Node {
  const begin = ends.map(([a]) => Math.max(0, a))
  const size = ends.map(([a, b], i) => image.shape[i] - Math.max(0, a) - Math.max(0, b))
  const cut = slice({ begin: [...begin, 0], size: [...size, image.shape[2]] })(image)
  const padding = [...ends.map(([a, b]) => [Math.max(0, -a), Math.max(0, -b)] as const), [0, 0] as const]
  return padding.every(([a, b]) => a === 0 && b === 0) ? cut : pad({ padding })(cut)
}

/** A pool over any number of spatial axes; those of more than two, and of dilated windows, axis by axis. */
function pooled(c: Call, kind: 'max' | 'avg'): Traced {
  const x = c.x(0)
  const kernelShape = c.ints('kernel_shape') ?? []
  const spatial = x.axes.length - 2
  if (kernelShape.length !== spatial || !kernelShape.every((k) => Number.isInteger(k) && k > 0))
    return c.fail(`wants kernel_shape for ${spatial} axes, got [${kernelShape}]`)
  const counted = kind === 'avg' && c.int('count_include_pad', 0) !== 0
  if (spatial > 2) return axiswise(c, x, kind, kernelShape)
  const sizes = windowOf(c, x, kernelShape)
  if (sizes.dilation.some((d) => d > 1)) {
    if (kind === 'avg' || sizes.more.some((m) => m > 0))
      return c.fail('a dilated pool is supported of MaxPool, without ceil_mode')
    return dilatedMax(c, x, sizes)
  }
  if (counted && sizes.more.some((m) => m > 0)) return c.fail('ceil_mode together with count_include_pad is not supported')
  const { x: image, attrs } = attrsOf(imageOf(x), sizes, kind === 'max' ? -3.4028234663852886e38 : 0)
  const node =
    kind === 'max'
      ? nodeOf('maxPool2d', { name: '', attrs, inputs: [image] })
      : nodeOf('avgPool2d', { name: '', attrs: { ...attrs, ...(counted && { countPadding: true }) }, inputs: [image] })
  return fromImage(x, node, sizes.spatial)
}

/** Without padding, the pool over several axes is a pool over each. */
function axiswise(c: Call, x: Traced, kind: 'max' | 'avg', kernel: readonly number[]): Traced {
  const spatial = kernel.length
  const strides = c.list('strides', spatial, 1, 1)
  const pads = c.list('pads', 2 * spatial, 0, 0)
  const dilations = c.list('dilations', spatial, 1, 1)
  const same = (list: readonly number[], v: number) => list.every((n) => n === v)
  if (
    c.string('auto_pad', 'NOTSET') !== 'NOTSET' ||
    !same(dilations, 1) ||
    c.int('ceil_mode', 0) ||
    (kind === 'avg' && !same(pads, 0))
  )
    return c.fail(`over ${spatial} axes is supported without auto_pad, dilations and ceil_mode; an average also without pads`)
  let y = x
  kernel.forEach((k, i) => {
    const axis = i + 2
    const dims = dimsOf(y)
    const rest = y.axes.map((_, a) => a).filter((a) => a !== axis)
    // [others, this axis] as an image of one row.
    const turned = transposed(y, [...rest, axis])
    const { node, outer } = innermost(turned, [rest.length])
    const others = node.shape[0]
    const image = shaped(node, [others, dims[axis], 1])
    const window = { kernel: [1, k], strides: [1, strides[i]], padding: [0, 0, pads[i], pads[i + spatial]] } as const
    const attrs = { ...window, ...(pads[i] + pads[i + spatial] === 0 && { padding: 'valid' as const }) }
    const op = kind === 'max' ? 'maxPool2d' : 'avgPool2d'
    const made = nodeOf(op, { name: '', attrs, inputs: [image] })
    const own = made.shape[1] === 1 ? [] : [{ size: made.shape[1] }]
    const axes = [...turned.axes.slice(0, -1), own]
    const back = y.axes.map((_, a) => (a === axis ? rest.length : rest.indexOf(a)))
    y = transposed({ ...turned, node: made, axes, memory: [...outer, ...own] }, back)
  })
  return y
}

/** The largest of values that lie apart: pieces of the image beside each other on a new axis, row by row and column by column. */
function dilatedMax(c: Call, x: Traced, { spatial, kernel, strides, dilation, pads }: Sizes): Traced {
  let image = imageOf(x)
  if (pads.some((p) => p > 0)) {
    const padding = [
      [pads[0], pads[1]],
      [pads[2], pads[3]],
      [0, 0],
    ] as const
    image = pad({ padding, value: -3.4028234663852886e38 })(image)
  }
  for (const axis of [0, 1] as const) {
    const [k, s, d] = [kernel[axis], strides[axis], dilation[axis]]
    if (k > 1024) c.fail(`has a kernel of ${k}`)
    const out = Math.floor((image.shape[axis] - (k - 1) * d - 1) / s) + 1
    if (out < 1) c.fail(`has a window that is larger than its input [${dimsOf(x)}]`)
    const size = image.shape.map((n, i) => (i === axis ? out : n))
    const steps = size.map((_, i) => (i === axis ? s : 1))
    const pieces = Array.from({ length: k }, (_, j) => {
      const begin = size.map((_, i) => (i === axis ? j * d : 0))
      return shaped(slice({ begin, size, strides: steps })(image), [1, count(size), 1])
    })
    const all = pieces.length === 1 ? pieces[0] : concat({ axis: 0 })(...pieces)
    const attrs = { kernel: [k, 1], strides: [k, 1], padding: 'valid' } as const
    image = shaped(nodeOf('maxPool2d', { name: '', attrs, inputs: [all] }), size)
  }
  return fromImage(x, image, spatial)
}

/** The mean or the largest over some axes; these stay, with length 1. */
export function reduced(x: Traced, axes: readonly number[], kind: 'max' | 'avg'): Traced {
  const own = new Set(axes.flatMap((a) => x.axes[a]))
  const kept = x.memory.filter((f) => !own.has(f))
  const emptied = x.axes.map((f, i) => (axes.includes(i) ? [] : f))
  if (!own.size) return x
  const first = x.memory.findIndex((f) => own.has(f))
  const run = x.memory.slice(first, first + own.size)
  // Where they lie together in memory they stay there; else they come last.
  const stay = run.every((f) => own.has(f))
  const order = stay ? x.memory : [...kept, ...own]
  const at = stay ? first : kept.length
  const [outer, inner] = [kept.slice(0, at), kept.slice(at)]
  const product = (list: readonly { size: number }[]) => list.reduce((n, f) => n * f.size, 1)
  const n = product([...own])
  const node = arrange(x, order)
  // As an image: of two axes its own, else columns of `n`.
  const image = outer.length === 0 && own.size === 2
  const kernel: Two = image ? [run[0].size, run[1].size] : [n, 1]
  const from = shaped(node, image ? [...kernel, product(inner)] : [product(outer) * n, 1, product(inner)])
  const attrs = { kernel, strides: kernel, padding: 'valid' } as const
  const op = kind === 'max' ? 'maxPool2d' : 'avgPool2d'
  return { ...x, node: nodeOf(op, { name: '', attrs, inputs: [from] }), axes: emptied, memory: kept }
}

/** A Reduce op; `of` is given x and the axes. */
const reduction =
  (of: (c: Call, x: Traced, axes: number[]) => Traced, inputFrom: number): Rule =>
  (c) => {
    const x = c.x(0, 'data')
    const dims = dimsOf(x)
    const given = c.opset < inputFrom ? c.ints('axes') : c.integersOf(1, 'axes')
    if (!given?.length && c.int('noop_with_empty_axes', 0)) return x
    const axes = given?.length ? given.map((a) => c.axis(a, dims.length)) : dims.map((_, i) => i)
    c.apart(x, axes, 'reduces')
    const y = of(c, x, axes)
    return c.int('keepdims', 1)
      ? y
      : reviewed(
          y,
          dims.filter((_, i) => !axes.includes(i)),
        )
  }

const sizeOf = (x: Traced, axes: readonly number[]) => axes.reduce((n, a) => n * dimsOf(x)[a], 1)
const negated = (c: Call, x: Traced) => alike(x, c.times(x.node, -1))
const summed = (c: Call, x: Traced, axes: number[]) => {
  const mean = reduced(x, axes, 'avg')
  return alike(mean, c.times(mean.node, sizeOf(x, axes)))
}
const squared = (x: Traced) => alike(x, mul()(x.node, x.node))

const normalizeRows =
  (make: () => (x: Node) => Node): Rule =>
  (c) => {
    const x = c.x(0)
    const rank = x.axes.length
    const axis = c.axis(c.int('axis', c.opset < 13 ? 1 : -1), rank)
    // Up to opset 12 all axes from `axis` on are one.
    const axes = c.opset < 13 ? Array.from({ length: rank - axis }, (_, i) => axis + i) : [axis]
    c.apart(x, axes, 'normalizes along')
    const { node, outer, inner } = innermost(x, axes)
    const rows = shaped(node, node.shape[0] === 1 ? [node.shape[1]] : node.shape)
    return { ...x, node: make()(rows), memory: [...outer, ...inner] }
  }

const EPSILON = 1e-5

function layerNormalization(c: Call): (Traced | undefined)[] {
  const x = c.x(0)
  const dims = dimsOf(x)
  const axis = c.axis(c.int('axis', -1), dims.length)
  const axes = dims.flatMap((_, i) => (i >= axis ? [i] : []))
  c.apart(x, axes, 'normalizes along')
  const n = count(dims.slice(axis))
  const node = shaped(
    arrange(x, x.axes.flat()),
    axis === 0 || count(dims.slice(0, axis)) === 1 ? [n] : [count(dims.slice(0, axis)), n],
  )
  const vector = (i: number, name: string, otherwise: number): Param => {
    const t = c.optional(i, name)
    if (t && count(t.dims) !== n) c.fail(`has a ${name} of shape [${t.dims}] for ${n} values; one for each is supported`)
    return c.param(i === 1 ? 'gamma' : 'beta', [n], t ? floats(t) : new Float32Array(n).fill(otherwise), t)
  }
  const params = [vector(1, 'Scale', 1), vector(2, 'B', 0)]
  const epsilon = c.float('epsilon', EPSILON)
  const scale = c.inputs[1]?.kind === 'tensor' ? layerName(c, c.inputs[1] as Tensor) : ''
  const y = nodeOf('layerNorm', { name: scale, attrs: { epsilon }, inputs: [node, ...params] })
  const outputs: (Traced | undefined)[] = [view(y, dims, x)]
  // The mean, and 1 / the standard deviation.
  if (c.proto.output[1] || c.proto.output[2]) {
    const mean = reduced(x, axes, 'avg')
    const apart = c.pairwise(x, mean, sub())
    const variance = reduced(squared(apart), axes, 'avg')
    const deviation = sqrt()(c.plus(variance.node, epsilon))
    outputs.push(mean, alike(variance, c.reciprocal(deviation)))
  }
  return outputs
}

function batchNormalization(c: Call): Traced {
  if (c.int('training_mode', 0) || c.proto.output.slice(1).some((o) => o)) return c.fail('in training mode is not supported')
  const x = c.x(0)
  const channels = dimsOf(x)[1] ?? c.fail('wants a value [N, C, ...]')
  const [scale, bias, mean, variance] = ['scale', 'B', 'mean', 'var'].map((what, i) => c.constant(i + 1, what))
  const vector = (t: Tensor, name: string) => {
    if (count(t.dims) !== channels) c.fail(`has ${count(t.dims)} numbers for ${channels} channels`)
    const p = c.param(name, [channels], floats(t), t)
    return name === 'mean' || name === 'variance' ? { ...p, attrs: { trainable: false } } : p
  }
  const params = [vector(scale, 'gamma'), vector(bias, 'beta'), vector(mean, 'mean'), vector(variance, 'variance')]
  const { node, outer, inner } = innermost(x, [1])
  // ONNX's momentum is the weight of what was before.
  const attrs = { momentum: Math.max(0, Math.min(1, 1 - c.float('momentum', 0.9))), epsilon: c.float('epsilon', EPSILON) }
  const spatial = outer.map((f) => f.size)
  const image = shaped(node, [...(spatial.length === 2 ? spatial : outer.length ? [node.shape[0]] : []), channels])
  const y = nodeOf('batchNorm', { name: layerName(c, scale), attrs, inputs: [image, ...params] })
  return { ...x, node: y, memory: [...outer, ...inner] }
}

/** Each channel of each image to mean 0 and variance 1. */
function instanceNormalization(c: Call): Traced {
  const x = c.x(0)
  const axes = dimsOf(x).flatMap((_, i) => (i >= 2 ? [i] : []))
  const apart = c.pairwise(x, reduced(x, axes, 'avg'), sub())
  const variance = reduced(squared(apart), axes, 'avg')
  const deviation = alike(variance, sqrt()(c.plus(variance.node, c.float('epsilon', EPSILON))))
  const channel = (i: number, what: string) => {
    const t = c.constant(i, what)
    return c.scope.lift({ ...t, dims: [count(t.dims), ...axes.map(() => 1)] })
  }
  const scaled = c.pairwise(c.pairwise(apart, deviation, div()), channel(1, 'scale'), mul())
  return c.pairwise(scaled, channel(2, 'B'), add())
}

const globally =
  (kind: 'max' | 'avg'): Rule =>
  (c) => {
    const x = c.x(0)
    return reduced(
      x,
      dimsOf(x).flatMap((_, i) => (i >= 2 ? [i] : [])),
      kind,
    )
  }

export const LAYERS: Record<string, Rule> = {
  Conv(c) {
    const w = c.constant(1, 'W')
    return convolution(c, c.x(0), w, biasOf(c, 2, w.dims[0]))
  },
  ConvTranspose: transposedConvolution,
  MaxPool(c) {
    if (c.proto.output[1]) return c.fail('with the output Indices is not supported')
    return pooled(c, 'max')
  },
  AveragePool: (c) => pooled(c, 'avg'),
  GlobalMaxPool: globally('max'),
  GlobalAveragePool: globally('avg'),
  BatchNormalization: batchNormalization,
  InstanceNormalization: instanceNormalization,
  LayerNormalization: layerNormalization,
  Softmax: normalizeRows(softmax),
  LogSoftmax: normalizeRows(logSoftmax),
  ReduceMean: reduction((_, x, axes) => reduced(x, axes, 'avg'), 18),
  ReduceMax: reduction((_, x, axes) => reduced(x, axes, 'max'), 18),
  ReduceMin: reduction((c, x, axes) => negated(c, reduced(negated(c, x), axes, 'max')), 18),
  ReduceSum: reduction(summed, 13),
  ReduceSumSquare: reduction((c, x, axes) => summed(c, squared(x), axes), 18),
  ReduceL2: reduction((c, x, axes) => {
    const sum = summed(c, squared(x), axes)
    return alike(sum, sqrt()(sum.node))
  }, 18),
}
