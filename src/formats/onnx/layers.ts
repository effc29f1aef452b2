// ONNX's convolutions, pools, normalizations and reductions, each under its own name. Images come in and leave as views [N, C, H, W] on
// nodes [H, W, C], volumes as [N, C, D, H, W] on [D, H, W, C].

import { isParam, type Node, type Param } from '../../graph/node'
import { nodeOf } from '../../ops'
import { logSoftmax, softmax, sqrt } from '../../ops/activation'
import { add, div, mul, sub } from '../../ops/add'
import { concat } from '../../ops/concat'
import { pad, slice } from '../../ops/slice'
import type { Call } from './call'
import {
  attrsOf,
  biasOf,
  convolved,
  planar,
  spatialOf,
  spreadOut,
  spreadsOf,
  type Window,
  weightsOf,
  windowsOf,
} from './convolution'
import type { Rule } from './elementwise'
import { indicesOf } from './indices'
import { layerName } from './product'
import { count, type Tensor } from './tensor'
import { alike, arrange, dimsOf, fromImage, imageOf, innermost, reviewed, shaped, type Traced, transposed, view } from './value'
import { convolvedVolume, spreadVolume } from './volume'

const floats = (t: Tensor): Float32Array => Float32Array.from(t.data as ArrayLike<number>)

/** The convolution of a value by stored weights [O, I / group, ...]. */
export function convolution(c: Call, x: Traced, w: Tensor, bias: Param[]): Traced {
  const dims = spatialOf(c, x, 3)
  const [o, i, ...kernel] = w.dims
  const groups = c.int('group', 1)
  const channels = dimsOf(x)[1]
  if (kernel.length !== dims.length || !count(w.dims) || groups < 1 || i * groups !== channels || o % groups)
    return c.fail(`has weights [${w.dims}] for an input [${dimsOf(x)}] and ${groups} groups`)
  const windows = windowsOf(c, dims, kernel)
  const name = layerName(c, w)
  if (dims.length === 3) return fromImage(x, convolvedVolume(c, imageOf(x), windows, w, { name, groups, params: bias }), 3)
  const [rows, columns] = planar(windows)
  const [kh, kw] = [rows.kernel, columns.kernel]
  const weights =
    groups === channels && groups > 1
      ? weightsOf(c, { ...w, dims: [o, kh, kw] }, [1, 2, 0], [kh, kw, o])
      : weightsOf(c, { ...w, dims: [o, i, kh, kw] }, [0, 2, 3, 1], [o, kh, kw, i])
  return fromImage(x, convolved(imageOf(x), [rows, columns], { name, groups, params: [weights, ...bias] }), dims.length)
}

/** The transposed convolution by stored weights [I, O / group, ...]. */
function transposedConvolution(c: Call): Traced {
  const x = c.x(0)
  const w = c.constant(1, 'W')
  const dims = spatialOf(c, x, 3)
  const [channels, each, ...kernel] = w.dims
  const groups = c.int('group', 1)
  if (kernel.length !== dims.length || !count(w.dims) || channels !== dimsOf(x)[1] || groups < 1 || channels % groups)
    return c.fail(`has weights [${w.dims}] for an input [${dimsOf(x)}] and ${groups} groups`)
  const layer = { name: layerName(c, w), groups, params: biasOf(c, 2, each * groups) }
  const spreads = spreadsOf(c, dims, kernel)
  if (dims.length === 3) return fromImage(x, spreadVolume(c, imageOf(x), spreads, w, layer), 3)
  const [rows, columns] = planar(spreads)
  const flat = { ...w, dims: [channels, each, rows.kernel, columns.kernel] }
  return fromImage(x, spreadOut(c, imageOf(x), [rows, columns], flat, layer), dims.length)
}

/** What no maximum is: the lowest float. */
const LOWEST = -3.4028234663852886e38

/** A pool over any number of spatial axes; those of more than two, and of dilated windows, axis by axis. */
function pooled(c: Call, kind: 'max' | 'avg'): Traced {
  const x = c.x(0)
  const kernelShape = c.ints('kernel_shape') ?? []
  const spatial = x.axes.length - 2
  if (kernelShape.length !== spatial || !kernelShape.every((k) => Number.isInteger(k) && k > 0))
    return c.fail(`wants kernel_shape for ${spatial} axes, got [${kernelShape}]`)
  const counted = kind === 'avg' && c.int('count_include_pad', 0) !== 0
  if (spatial > 2) return axiswise(c, x, kind, kernelShape)
  const windows = planar(windowsOf(c, spatialOf(c, x, 2), kernelShape))
  const longer = windows.some((w) => w.more > 0)
  if (windows.some((w) => w.dilation > 1)) {
    if (kind === 'avg' || longer) return c.fail('a dilated pool is supported of MaxPool, without ceil_mode')
    return dilatedMax(c, x, windows)
  }
  if (counted && longer) return c.fail('ceil_mode together with count_include_pad is not supported')
  const { x: image, attrs } = attrsOf(imageOf(x), windows, kind === 'max' ? LOWEST : 0)
  const node =
    kind === 'max'
      ? nodeOf('maxPool2d', { name: '', attrs, inputs: [image] })
      : nodeOf('avgPool2d', { name: '', attrs: { ...attrs, ...(counted && { countPadding: true }) }, inputs: [image] })
  return fromImage(x, node, spatial)
}

/** The pool over several axes is a pool over each; an average only without padding. */
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
function dilatedMax(c: Call, x: Traced, windows: readonly [Window, Window]): Traced {
  let image = imageOf(x)
  const padding = [windows[0].pads, windows[1].pads, [0, 0]] as const
  if (padding.flat().some((p) => p > 0)) image = pad({ padding, value: LOWEST })(image)
  for (const axis of [0, 1] as const) {
    const { kernel: k, stride: s, dilation: d } = windows[axis]
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
  return fromImage(x, image, dimsOf(x).length - 2)
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
  const kernel: [number, number] = image ? [run[0].size, run[1].size] : [n, 1]
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
    const { mean, deviation } = moments(c, x, axes, epsilon)
    outputs.push(mean, alike(deviation, c.reciprocal(deviation.node)))
  }
  return outputs
}

function batchNormalization(c: Call): Traced | Traced[] {
  if (c.int('training_mode', 0)) return batchStatistics(c)
  if (c.proto.output.slice(1).some((o) => o))
    return c.fail('has outputs beside Y, which is training as before opset 14; attribute training_mode, from 14 on, is supported')
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

/** A value for each channel of x. */
function channelwise(c: Call, i: number, what: string, x: Traced): Traced {
  const value = c.x(i, what)
  const channels = dimsOf(x)[1] ?? c.fail('wants a value [N, C, ...]')
  if (count(dimsOf(value)) !== channels) c.fail(`has a ${what} of shape [${dimsOf(value)}] for ${channels} channels`)
  return c.fromAxis(1, x, reviewed(value, [channels])) as Traced
}

/** Along some axes: the mean, how far x lies from it, the variance, and the standard deviation with an epsilon in it. */
function moments(c: Call, x: Traced, axes: readonly number[], epsilon: number) {
  const mean = reduced(x, axes, 'avg')
  const apart = c.pairwise(x, mean, sub())
  const variance = reduced(squared(apart), axes, 'avg')
  return { mean, apart, variance, deviation: alike(variance, sqrt()(c.plus(variance.node, epsilon))) }
}

/** x with mean 0 and variance 1 along some axes; then scaled, and a bias added, for each channel. */
function normalized(c: Call, x: Traced, axes: readonly number[]) {
  const { mean, apart, variance, deviation } = moments(c, x, axes, c.float('epsilon', EPSILON))
  const scaled = c.pairwise(c.pairwise(apart, deviation, div()), channelwise(c, 1, 'scale', x), mul())
  return { y: c.pairwise(scaled, channelwise(c, 2, 'B', x), add()), mean, variance }
}

/** Each channel by its mean and variance in all samples, which go into the running ones. */
function batchStatistics(c: Call): Traced[] {
  const x = c.x(0)
  const axes = dimsOf(x).flatMap((_, i) => (i === 1 ? [] : [i]))
  c.apart(x, axes, 'with training_mode 1 takes mean and variance along')
  const { y, mean, variance } = normalized(c, x, axes)
  const momentum = c.float('momentum', 0.9)
  const running = (i: number, what: string, now: Traced) => {
    const before = channelwise(c, i, what, x)
    const stored = isParam(before.node) ? { ...before.node, attrs: { trainable: false } } : before.node
    const [old, more] = [alike(before, c.times(stored, momentum)), alike(now, c.times(now.node, 1 - momentum))]
    return reviewed(c.pairwise(old, more, add()), [dimsOf(x)[1]])
  }
  const wanted = c.proto.output.slice(1).some((o) => o)
  return wanted ? [y, running(3, 'mean', mean), running(4, 'var', variance)] : [y]
}

/** Each channel of each image to mean 0 and variance 1. */
function instanceNormalization(c: Call): Traced {
  const x = c.x(0)
  const axes = dimsOf(x).flatMap((_, i) => (i >= 2 ? [i] : []))
  return normalized(c, x, axes).y
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
    const y = pooled(c, 'max')
    if (!c.wants(1)) return y
    const [x, kernel] = [c.x(0), c.ints('kernel_shape') ?? []]
    if (kernel.length > 2) return c.fail('has its output Indices over one or two axes only. Export without that output')
    return [y, indicesOf(c, x, planar(windowsOf(c, spatialOf(c, x, 2), kernel)), y, LOWEST)]
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
