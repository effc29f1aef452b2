// ONNX ops that only move elements, or tell where they are. Most change the view on a value and make no node.

import type { Node } from '../../graph/node'
import { nodeOf } from '../../ops'
import { add, mul } from '../../ops/add'
import { resize } from '../../ops/resize'
import { pad } from '../../ops/slice'
import type { Call } from './call'
import type { Rule } from './elementwise'
import { cut, joined, MOST_PIECES, taken } from './pieces'
import { byMatrix } from './product'
import { count, tensorOf } from './tensor'
import {
  along,
  dimsOf,
  fromImage,
  imageOf,
  plain,
  rejoined,
  reviewed,
  shaped,
  type Traced,
  transposed,
  type Value,
  view,
} from './value'

/** A value under other dimensions with as many elements. Where the file has a fixed number of samples, 1 stands for it. */
function toDims(c: Call, x: Traced, wanted: readonly number[]): Traced {
  const have = count(dimsOf(x))
  const { batch } = c.scope
  const forOne = batch !== undefined && batch > 1 && wanted[0] === batch ? [1, ...wanted.slice(1)] : wanted
  const dims = count(wanted) === have ? wanted : forOne
  if (count(dims) !== have) return c.fail(`cannot give [${dimsOf(x)}] the shape [${wanted}]`)
  return reviewed(x, dims)
}

function reshapeTo(c: Call, x: Traced, target: readonly number[], zeroCopies: boolean): Traced {
  const from = dimsOf(x)
  const dims = target.map((d, i) => (d === 0 && zeroCopies ? (from[i] ?? 0) : d))
  const open = dims.indexOf(-1)
  if (open >= 0) {
    const { batch } = c.scope
    const have = count(from)
    let known = dims.filter((d) => d !== -1)
    if (have % count(known) !== 0 && batch !== undefined && batch > 1 && dims[0] === batch) {
      dims[0] = 1
      known = dims.filter((d) => d !== -1)
    }
    if (dims.lastIndexOf(-1) !== open || have % count(known) !== 0) return c.fail(`cannot give [${from}] the shape [${target}]`)
    dims[open] = have / count(known)
  }
  return toDims(c, x, dims)
}

/** The axes that Squeeze and Unsqueeze name: an attribute up to opset 12, an input from 13 on. */
const axesOf = (c: Call, rank: number): number[] | undefined =>
  (c.opset < 13 ? c.ints('axes') : c.integersOf(1, 'axes'))?.map((a) => c.axis(a, rank))

function padded(x: Traced, axis: number, before: number, after: number, value: number): Traced {
  if (!before && !after) return x
  const where = along(x, axis)
  const padding = [
    [0, 0],
    [before, after],
    [0, 0],
  ] as const
  return rejoined(x, axis, where, pad({ padding, value })(where.node))
}

/** Where the elements around an axis of `n` come from. */
const MIRRORS: Record<string, (i: number, n: number) => number> = {
  edge: (i, n) => Math.max(0, Math.min(n - 1, i)),
  reflect: (i, n) => (n === 1 ? 0 : i < 0 ? -i : i >= n ? 2 * (n - 1) - i : i),
  wrap: (i, n) => ((i % n) + n) % n,
}

export const SHAPES: Record<string, Rule> = {
  Reshape(c) {
    const target = c.numbers(1, 'shape')
    const x = c.x(0, 'data')
    const { batch } = c.scope
    if (x.samples === 0 && batch !== undefined && batch > 1 && ![batch, -1, 0].includes(target[0]))
      c.apart(x, [0], 'joins others to')
    return reshapeTo(c, x, target, c.int('allowzero', 0) === 0)
  },
  Flatten(c) {
    const x = c.x(0, 'input')
    const dims = dimsOf(x)
    const axis = c.int('axis', 1)
    const at = axis < 0 ? axis + dims.length : axis
    if (x.samples !== undefined && at <= x.samples) c.apart(x, [x.samples], 'joins others to')
    return reviewed(x, [count(dims.slice(0, at)), count(dims.slice(at))])
  },
  Squeeze(c) {
    const x = c.x(0, 'data')
    const dims = dimsOf(x)
    const axes = axesOf(c, dims.length) ?? dims.flatMap((d, i) => (d === 1 && i !== x.samples ? [i] : []))
    if (axes.some((a) => dims[a] !== 1)) return c.fail(`takes away axes [${axes}] of [${dims}], of which one is longer than 1`)
    return reviewed(
      x,
      dims.filter((_, i) => !axes.includes(i)),
    )
  },
  Unsqueeze(c) {
    const x = c.x(0, 'data')
    const dims = dimsOf(x)
    const given = c.opset < 13 ? c.ints('axes') : c.integersOf(1, 'axes')
    const axes = (given ?? []).map((a) => c.axis(a, dims.length + (given as number[]).length))
    const left = [...dims]
    return reviewed(
      x,
      Array.from({ length: dims.length + axes.length }, (_, i) => (axes.includes(i) ? 1 : (left.shift() ?? 1))),
    )
  },
  Transpose(c) {
    const x = c.x(0, 'data')
    const rank = x.axes.length
    const order = c.ints('perm') ?? Array.from({ length: rank }, (_, i) => rank - 1 - i)
    if ([...order].sort((a, b) => a - b).some((a, i) => a !== i) || order.length !== rank)
      return c.fail(`perm [${order}] does not name each of ${rank} axes once`)
    return transposed(x, order)
  },
  Concat(c) {
    const all = c.inputs.map((_, i) => c.x(i, 'inputs'))
    const axis = c.axis(c.int('axis', 1), all[0].axes.length)
    for (const x of all) c.apart(x, [axis], 'puts samples one after another along')
    if (all.some((x) => x.axes.length !== all[0].axes.length)) return c.fail('wants values of one rank')
    return joined(c, all, axis)
  },
  Split(c) {
    const x = c.x(0, 'input')
    const dims = dimsOf(x)
    const axis = c.axis(c.int('axis', 0), dims.length)
    c.apart(x, [axis], 'cuts')
    const outputs = c.proto.output.length
    const given = c.opset < 13 ? c.ints('split') : c.integersOf(1, 'split')
    const each = Math.ceil(dims[axis] / outputs)
    const sizes = given ?? Array.from({ length: outputs }, (_, i) => Math.min(each, dims[axis] - i * each))
    if (sizes.length !== outputs || sizes.reduce((a, b) => a + b, 0) !== dims[axis] || sizes.some((n) => n < 1))
      return c.fail(`cuts axis ${axis} of [${dims}] into [${sizes}]; lengths from 1 on that add up to the axis are supported`)
    let at = 0
    return sizes.map((n) => cut(x, axis, (at += n) - n, n, 1))
  },
  Slice(c) {
    let x = c.x(0, 'data')
    const old = c.opset < 10
    const starts = (old ? c.ints('starts') : c.integersOf(1, 'starts')) ?? []
    const ends = (old ? c.ints('ends') : c.integersOf(2, 'ends')) ?? []
    const axes = (old ? c.ints('axes') : c.integersOf(3, 'axes')) ?? starts.map((_, i) => i)
    const steps = (old ? undefined : c.integersOf(4, 'steps')) ?? starts.map(() => 1)
    if (ends.length !== starts.length || axes.length !== starts.length || steps.length !== starts.length)
      return c.fail(`wants as many starts as ends, axes and steps`)
    starts.forEach((start, i) => {
      const dims = dimsOf(x)
      const axis = c.axis(axes[i], dims.length)
      // Of the samples' axis as long as it is in the file.
      const all = axis === x.samples && (c.scope.batch ?? 0) > 1
      const [n, step] = [all ? (c.scope.batch as number) : dims[axis], steps[i]]
      if (step === 0) c.fail('wants steps other than 0')
      const from = Math.max(step < 0 ? -1 : 0, Math.min(step < 0 ? n - 1 : n, start < 0 ? start + n : start))
      const to = Math.max(step < 0 ? -1 : 0, Math.min(n, ends[i] < 0 ? ends[i] + n : ends[i]))
      const length = Math.ceil((to - from) / step)
      if (!(length > 0)) c.fail(`leaves nothing of axis ${axis} of [${dims}]`)
      if (length !== n || step !== 1) c.apart(x, [axis], 'cuts')
      if (!all) x = cut(x, axis, from, length, length === 1 ? 1 : step)
    })
    return x
  },
  Pad(c) {
    let x = c.x(0, 'data')
    const dims = dimsOf(x)
    const pads = (c.opset < 11 ? c.ints('pads') : c.integersOf(1, 'pads')) ?? []
    const value = (c.opset < 11 ? c.float('value', 0) : c.optional(2, 'constant_value')?.data[0]) ?? 0
    const axes =
      (c.opset >= 18 ? c.integersOf(3, 'axes') : undefined)?.map((a) => c.axis(a, dims.length)) ?? dims.map((_, i) => i)
    const mode = c.string('mode', 'constant')
    if (pads.length !== 2 * axes.length) return c.fail(`wants ${2 * axes.length} pads, got ${pads.length}`)
    axes.forEach((axis, i) => {
      const [before, after] = [pads[i], pads[i + axes.length]]
      if (before || after) c.apart(x, [axis], 'pads')
      if (before < 0 || after < 0) {
        x = cut(x, axis, Math.max(0, -before), dims[axis] + Math.min(0, before) + Math.min(0, after), 1)
      }
      const [more, last] = [Math.max(0, before), Math.max(0, after)]
      if (mode === 'constant') x = padded(x, axis, more, last, value)
      else if (more || last) {
        const from = MIRRORS[mode] ?? c.fail(`mode ${mode} is not supported`)
        const n = dimsOf(x)[axis]
        if (n + more + last > 65536) c.fail(`makes an axis of ${n + more + last}`)
        const indices = Array.from({ length: n + more + last }, (_, j) => from(j - more, n))
        if (indices.some((j) => j < 0 || j >= n)) c.fail(`mode ${mode} pads axis ${axis} by more than its length`)
        x = taken(c, x, axis, indices)
      }
    })
    return x
  },
  Gather(c) {
    const data = c.value(0, 'data')
    const indices = c.value(1, 'indices')
    const dims = dimsOf(data)
    const axis = c.axis(c.int('axis', 0), dims.length)
    if (indices.kind === 'tensor') {
      const x = c.x(0, 'data')
      const at = Array.from(indices.data as ArrayLike<number>, (i) => (i < 0 ? i + dims[axis] : i))
      if (at.some((i) => !(i >= 0 && i < dims[axis]))) return c.fail(`an index is not in axis ${axis} of [${dims}]`)
      if (!at.length) return c.fail('takes nothing')
      c.apart(x, [axis], 'takes elements of')
      return reviewed(taken(c, x, axis, at), [...dims.slice(0, axis), ...indices.dims, ...dims.slice(axis + 1)])
    }
    const places = c.x(1, 'indices')
    if (data.kind !== 'tensor' || axis !== 0 || dims.length !== 2 || places.node.dtype !== 'i32')
      return c.fail(
        'takes elements by computed indices; supported are rows of a stored table [count, units] by indices that are an input',
      )
    const [rows, units] = dims
    const w = c.param('w', [rows, units], Float32Array.from(data.data as ArrayLike<number>), data)
    const t = count(dimsOf(places))
    const node = nodeOf('embedding', { name: '', attrs: {}, inputs: [shaped(plain(places), [t]), w] })
    const y = view(node, [...dimsOf(places), units])
    return { ...y, samples: places.samples }
  },
  Expand(c) {
    const x = c.x(0, 'input')
    const shape = c.numbers(1, 'shape')
    return expanded(c, x, shape)
  },
  Tile(c) {
    let x = c.x(0, 'input')
    const repeats = c.numbers(1, 'repeats')
    if (repeats.length !== dimsOf(x).length) c.fail(`repeats wants ${dimsOf(x).length} numbers, got ${repeats.length}`)
    repeats.forEach((n, axis) => {
      if (n === 1) return
      c.apart(x, [axis], 'repeats')
      if (!(Number.isInteger(n) && n >= 1 && n <= MOST_PIECES)) c.fail(`repeats axis ${axis} ${n} times`)
      x = joined(c, Array<Traced>(n).fill(x), axis)
    })
    return x
  },
  /** The dimensions: those of the file, where it leaves the number of samples open with 1 for it. */
  Shape(c) {
    const dims = fileDims(c)
    const at = (i: number) => Math.max(0, Math.min(dims.length, i < 0 ? i + dims.length : i))
    const part = dims.slice(at(c.int('start', 0)), at(c.int('end', dims.length)))
    return tensorOf([part.length], part, 'int64')
  },
  Size: (c) => tensorOf([], [count(fileDims(c))], 'int64'),
  DepthToSpace(c) {
    const x = c.x(0, 'input')
    const [n, channels, h, w] = dimsOf(x)
    const b = c.int('blocksize', 1)
    const left = channels / (b * b)
    if (!Number.isInteger(left)) return c.fail(`cannot cut ${channels} channels into blocks of ${b}`)
    const crd = c.string('mode', 'DCR') === 'CRD'
    const cutUp = reviewed(x, crd ? [n, left, b, b, h, w] : [n, b, b, left, h, w])
    return reviewed(transposed(cutUp, crd ? [0, 1, 4, 2, 5, 3] : [0, 3, 4, 1, 5, 2]), [n, left, h * b, w * b])
  },
  SpaceToDepth(c) {
    const x = c.x(0, 'input')
    const [n, channels, h, w] = dimsOf(x)
    const b = c.int('blocksize', 1)
    if (h % b || w % b) return c.fail(`cannot cut [${h}, ${w}] into blocks of ${b}`)
    const cutUp = reviewed(x, [n, channels, h / b, b, w / b, b])
    return reviewed(transposed(cutUp, [0, 3, 5, 1, 2, 4]), [n, channels * b * b, h / b, w / b])
  },
  Resize: resizing,
  Upsample: resizing,
}

function fileDims(c: Call): number[] {
  const value = c.value(0, 'data')
  const samples = value.kind === 'tensor' ? undefined : (value.kind === 'quantized' ? value.of : value).samples
  const { batch } = c.scope
  return dimsOf(value).map((d, i) => (i === samples && batch !== undefined && batch > 1 ? batch : d))
}

/** A value repeated along axes of 1. */
export function expanded(c: Call, x: Traced, shape: readonly number[]): Traced {
  const dims = dimsOf(x)
  const rank = Math.max(dims.length, shape.length)
  const at = (list: readonly number[], i: number) => list[i - (rank - list.length)] ?? 1
  const wanted = Array.from({ length: rank }, (_, i) => Math.max(at(dims, i), at(shape, i)))
  if (count(wanted) === count(dims)) return reviewed(x, wanted)
  c.scope.room -= count(wanted)
  if (!(c.scope.room >= 0)) return c.fail(`repeats a value to [${wanted}], which is too much`)
  let y = reviewed(x, [...Array<number>(rank - dims.length).fill(1), ...dims])
  wanted.forEach((n, axis) => {
    if (n === dimsOf(y)[axis]) return
    c.apart(y, [axis], 'repeats')
    const factor = [{ size: n }]
    const ones: Traced = {
      ...view(c.scalar(1), [1]),
      node: { ...c.scalar(1), shape: [n], data: new Float32Array(n).fill(1) } as Node,
      axes: wanted.map((_, i) => (i === axis ? factor : [])),
      memory: factor,
    }
    y = c.pairwise(y, ones, mul())
  })
  return y
}

/** Where an output position lies in the input, by coordinate_transformation_mode. */
function source(c: Call, mode: string, scale: number, n: number, m: number, roi: readonly [number, number]) {
  const modes: Record<string, (i: number) => number> = {
    half_pixel: (i) => (i + 0.5) / scale - 0.5,
    half_pixel_symmetric(i) {
      // The output as the scale has it lies in the middle of the one that is whole.
      const center = n / 2
      return center * (1 - m / (scale * n)) + (i + 0.5) / scale - 0.5
    },
    pytorch_half_pixel: (i) => (m > 1 ? (i + 0.5) / scale - 0.5 : 0),
    // The output as long as its scale makes it, which need not be whole.
    align_corners: (i) => (scale * n > 1 ? (i * (n - 1)) / (scale * n - 1) : 0),
    asymmetric: (i) => i / scale,
    tf_half_pixel_for_nn: (i) => (i + 0.5) / scale,
    tf_crop_and_resize: (i) =>
      m > 1 ? roi[0] * (n - 1) + (i * (roi[1] - roi[0]) * (n - 1)) / (m - 1) : 0.5 * (roi[0] + roi[1]) * (n - 1),
  }
  return Object.hasOwn(modes, mode) ? modes[mode] : c.fail(`coordinate_transformation_mode ${mode} is not supported`)
}

const NEAREST: Record<string, (x: number) => number> = {
  round_prefer_floor: (x) => Math.ceil(x - 0.5),
  round_prefer_ceil: (x) => Math.floor(x + 0.5),
  floor: Math.floor,
  ceil: Math.ceil,
}

function resizing(c: Call): Value {
  let x = c.x(0)
  const dims = dimsOf(x)
  const upsample = c.op === 'Upsample'
  const numbers = (i: number, what: string) => {
    const list = c.integersOf(i, what)
    return list?.length ? list : undefined
  }
  const scales = upsample ? (c.opset < 9 ? c.floats('scales') : numbers(1, 'scales')) : numbers(c.opset < 11 ? 1 : 2, 'scales')
  const wanted = upsample || c.opset < 11 ? undefined : numbers(3, 'sizes')
  const axes = c.ints('axes')?.map((a) => c.axis(a, dims.length)) ?? dims.map((_, i) => i)
  if ((scales ?? wanted)?.length !== axes.length) return c.fail('wants scales or sizes for each axis')
  if (c.string('keep_aspect_ratio_policy', 'stretch') !== 'stretch' || c.int('antialias', 0))
    return c.fail('keep_aspect_ratio_policy other than stretch, and antialias, are not supported')
  const oldNearest = upsample || c.opset < 11
  const mode = c.string('mode', 'nearest')
  const coordinates = c.string('coordinate_transformation_mode', oldNearest ? 'asymmetric' : 'half_pixel')
  const rounding = c.string('nearest_mode', oldNearest ? 'floor' : 'round_prefer_floor')
  const roi = coordinates === 'tf_crop_and_resize' ? (numbers(1, 'roi') ?? []) : []
  const to = axes.map((axis, i) => ({
    axis,
    n: dims[axis],
    m: wanted ? wanted[i] : Math.floor(dims[axis] * (scales as number[])[i]),
    scale: wanted ? wanted[i] / dims[axis] : (scales as number[])[i],
    crop: [roi[i] ?? 0, roi[i + axes.length] ?? 1] as const,
  }))
  for (const t of to) {
    if (!(Number.isInteger(t.m) && t.m >= 1 && t.m < 65536 && t.scale > 0)) c.fail(`gives axis ${t.axis} the length ${t.m}`)
    if (t.axis === x.samples && t.m !== 1) {
      if (t.m === c.scope.batch) t.m = t.n
      else c.apart(x, [t.axis], 'resizes')
    }
  }
  const changes = to.filter((t) => t.m !== t.n || coordinates === 'tf_crop_and_resize')
  const exact = changes.every((t) => Math.abs(t.m - t.n * t.scale) <= t.m * 2 ** -22)
  const own =
    mode === 'nearest'
      ? coordinates === 'asymmetric' && rounding === 'floor'
      : /^(pytorch_)?half_pixel$/.test(coordinates) && mode === 'linear'
  const pixels = coordinates !== 'pytorch_half_pixel' || changes.every((t) => t.m > 1)
  if (own && pixels && exact && dims.length === 4 && dims[0] === 1 && changes.every((t) => t.axis >= 2)) {
    const [h, w] = [2, 3].map((axis) => to.find((t) => t.axis === axis)?.m ?? dims[axis])
    return fromImage(x, resize({ size: [h, w], method: mode === 'nearest' ? 'nearest' : 'bilinear' })(imageOf(x)), 2)
  }
  const beyond: { axis: number; outside: boolean[] }[] = []
  for (const { axis, n, m, scale, crop } of changes) {
    const at = source(c, coordinates, scale, n, m, crop)
    const outside = (v: number) => coordinates === 'tf_crop_and_resize' && (v < 0 || v > n - 1)
    const positions = Array.from({ length: m }, (_, i) => at(i))
    if (mode === 'nearest' && !positions.some(outside)) {
      const round = NEAREST[rounding] ?? c.fail(`nearest_mode ${rounding} is not supported`)
      x = taken(
        c,
        x,
        axis,
        positions.map((v) => Math.max(0, Math.min(n - 1, round(v)))),
      )
      continue
    }
    if (positions.some(outside)) beyond.push({ axis, outside: positions.map(outside) })
    if (m * n > 2 ** 24) return c.fail(`gives axis ${axis} of ${n} the length ${m}, which is too much`)
    const matrix = new Float32Array(m * n)
    positions.forEach((v, i) => {
      if (!outside(v)) for (const [j, weight] of taps(c, mode, v, n)) matrix[i * n + j] += weight
    })
    x = byMatrix(c, x, axis, tensorOf([m, n], matrix))
  }
  const value = c.float('extrapolation_value', 0)
  if (!beyond.length || value === 0) return x
  // What no matrix reached is 0 now, and gets the value where any axis is outside.
  const shape = dimsOf(x).map((d, axis) => (beyond.some((b) => b.axis === axis) ? d : 1))
  c.scope.room -= count(shape)
  if (!(c.scope.room >= 0)) return c.fail(`makes [${shape}], which is too much`)
  const values = Float32Array.from({ length: count(shape) }, (_, at) => {
    const isOutside = beyond.some(({ axis, outside }) => outside[Math.floor(at / count(shape.slice(axis + 1))) % shape[axis]])
    return isOutside ? value : 0
  })
  return c.pairwise(x, c.scope.lift(tensorOf(shape, values)), add())
}

/** Which elements of an axis, with which weights, make the value at a position. */
function taps(c: Call, mode: string, v: number, n: number): [number, number][] {
  const inside = (i: number) => Math.max(0, Math.min(n - 1, i))
  const low = Math.floor(v)
  const t = v - low
  if (mode === 'linear')
    return [
      [inside(low), 1 - t],
      [inside(low + 1), t],
    ]
  if (mode === 'nearest') return [[inside(Math.round(v)), 1]]
  if (mode !== 'cubic') return c.fail(`mode ${mode} is not supported`)
  const a = c.float('cubic_coeff_a', -0.75)
  const near = (d: number) => ((a + 2) * d - (a + 3)) * d * d + 1
  const far = (d: number) => ((a * d - 5 * a) * d + 8 * a) * d - 4 * a
  let all: [number, number][] = [
    [low - 1, far(1 + t)],
    [low, near(t)],
    [low + 1, near(1 - t)],
    [low + 2, far(2 - t)],
  ]
  if (c.int('exclude_outside', 0)) {
    all = all.filter(([i]) => i >= 0 && i < n)
    const sum = all.reduce((s, [, w]) => s + w, 0)
    all = all.map(([i, w]) => [i, w / sum])
  }
  return all.map(([i, w]) => [inside(i), w])
}
