// Ops on values that are known when a graph is imported: the arithmetic on shapes that exporters write, weights that are stored in
// another form, tables. Slow and plain; everything that is computed here is computed once.

import type { Call } from './call'
import { count, type Data, type ElementType, isInteger, rangeOf, type Tensor, TYPES, tensor, tensorOf, typeOf } from './tensor'
import { reordered } from './value'

type Fold = (c: Call) => Tensor | readonly Tensor[]

const stored = (c: Call, i: number): Tensor => c.constant(i, `${i}`)

/** Takes so many elements from what may still be made. */
function room(c: Call, dims: readonly number[]): number {
  const n = count(dims)
  c.scope.room -= n
  if (!dims.every((d) => Number.isInteger(d) && d >= 0) || !(c.scope.room >= 0)) c.fail(`makes [${dims}], which is too much`)
  return n
}

/** A number as a type stores it. */
function kept(type: ElementType, v: number): number {
  const range = rangeOf(type)
  if (!range) return v
  return type === 'bool' ? +(v !== 0) : Math.trunc(v)
}

/** For each element of the common shape, its index in an operand. */
function indices(c: Call, dims: readonly number[], to: readonly number[]): Int32Array {
  const missing = to.length - dims.length
  const steps = to.map((_, i) => (i < missing || dims[i - missing] === 1 ? 0 : count(dims.slice(i - missing + 1))))
  const at = new Int32Array(room(c, to))
  const index = to.map(() => 0)
  let from = 0
  for (let i = 0; i < at.length; i++) {
    at[i] = from
    for (let a = to.length - 1; a >= 0; a--) {
      from += steps[a]
      if (++index[a] < to[a]) break
      from -= steps[a] * to[a]
      index[a] = 0
    }
  }
  return at
}

function commonDims(c: Call, all: readonly (readonly number[])[]): number[] {
  const rank = Math.max(...all.map((d) => d.length))
  return Array.from({ length: rank }, (_, i) => {
    const sizes = all.map((d) => d[i - (rank - d.length)] ?? 1)
    const wide = sizes.find((n) => n !== 1) ?? 1
    return sizes.every((n) => n === 1 || n === wide) ? wide : c.fail(`[${all.join('] and [')}] do not go together`)
  })
}

/** A function of elements, of operands whose axes of 1 are repeated. */
const each =
  (of: (v: number[], type: ElementType) => number, result?: ElementType): Fold =>
  (c) => {
    const all = c.inputs.map((_, i) => stored(c, i))
    if (!all.length) return c.fail('has no inputs')
    const dims = commonDims(
      c,
      all.map((t) => t.dims),
    )
    const places = all.map((t) => indices(c, t.dims, dims))
    const type = result ?? all[all.length - 1].type
    const data = TYPES[type].make(count(dims))
    const v = all.map(() => 0)
    for (let i = 0; i < data.length; i++) {
      for (let j = 0; j < all.length; j++) v[j] = all[j].data[places[j][i]]
      data[i] = kept(type, of(v, type))
    }
    return tensor(type, dims, data)
  }

/** The same elements under other dimensions. */
const again = (t: Tensor, dims: readonly number[]): Tensor => ({ ...t, dims, steps: undefined })

function reshaped(c: Call): Tensor {
  const t = stored(c, 0)
  const target = Array.from(stored(c, 1).data as ArrayLike<number>)
  const dims = target.map((d, i) => (d === 0 && !c.int('allowzero', 0) ? (t.dims[i] ?? 0) : d))
  const open = dims.indexOf(-1)
  if (open >= 0) dims[open] = count(t.dims) / count(dims.filter((d) => d !== -1))
  return count(dims) === count(t.dims) && dims.every((d) => Number.isInteger(d) && d >= 0)
    ? again(t, dims)
    : c.fail(`cannot give [${t.dims}] the shape [${target}]`)
}

const axesOf = (c: Call, rank: number): number[] | undefined =>
  (c.opset < 13 ? c.ints('axes') : c.integersOf(1, 'axes'))?.map((a) => c.axis(a, rank))

/** Elements by an index along one axis. */
function gathered(c: Call, t: Tensor, axis: number, at: readonly number[], dims: readonly number[]): Tensor {
  const inner = count(t.dims.slice(axis + 1))
  const outer = count(t.dims.slice(0, axis))
  const data = TYPES[t.type].make(room(c, dims))
  let to = 0
  for (let o = 0; o < outer; o++)
    for (const i of at) for (let j = 0; j < inner; j++) data[to++] = t.data[(o * t.dims[axis] + i) * inner + j]
  return tensor(t.type, dims, data)
}

const replaced = (dims: readonly number[], axis: number, n: number) => dims.map((d, i) => (i === axis ? n : d))

function folded(c: Call, of: (values: number[]) => number): Tensor {
  const t = stored(c, 0)
  const given = c.opset < (c.op === 'ReduceSum' ? 13 : 18) ? c.ints('axes') : c.integersOf(1, 'axes')
  const axes = given?.length ? given.map((a) => c.axis(a, t.dims.length)) : t.dims.map((_, i) => i)
  const left = t.dims.map((d, i) => (axes.includes(i) ? 1 : d))
  const at = indices(c, left, t.dims)
  const groups = Array.from({ length: count(left) }, (): number[] => [])
  at.forEach((g, i) => {
    groups[g].push(t.data[i])
  })
  const dims = c.int('keepdims', 1) ? left : left.filter((_, i) => !axes.includes(i))
  return tensorOf(dims, groups.map(of), t.type)
}

const sum = (values: number[]) => values.reduce((a, b) => a + b, 0)
/** To the nearest, halves to the even one. */
const even = (v: number) => (Math.abs(v % 1) === 0.5 ? 2 * Math.round(v / 2) : Math.round(v))

/** The numbers of a scale or zero point that go with the elements of a tensor. */
function perChannel(c: Call, t: Tensor, numbers: Data, axis: number): (i: number) => number {
  if (numbers.length === 1) return () => numbers[0]
  const inner = count(t.dims.slice(axis + 1))
  if (numbers.length !== t.dims[axis]) c.fail(`has ${numbers.length} scales for axis ${axis} of [${t.dims}]`)
  return (i) => numbers[Math.floor(i / inner) % numbers.length]
}

const quantAxis = (c: Call, t: Tensor) => (t.dims.length > 1 ? c.axis(c.int('axis', 1), t.dims.length) : 0)

/** Stored integers as reals, which remember them. */
export function dequantized(c: Call, t: Tensor, scale: Tensor, zero: Tensor | undefined, axis: number): Tensor {
  const [s, z] = [perChannel(c, t, scale.data, axis), zero ? perChannel(c, t, zero.data, axis) : () => 0]
  const data = Float32Array.from({ length: count(t.dims) }, (_, i) => Math.fround((t.data[i] - z(i)) * s(i)))
  const zeros = zero?.data ?? new Uint8Array(1)
  return { ...tensor('float32', t.dims, data), name: t.name, steps: { scale: scale.data, zero: zeros, axis, type: t.type } }
}

export const FOLDS: Record<string, Fold> = {
  Identity: (c) => stored(c, 0),
  Cast(c) {
    const to = typeOf(c.int('to', 1)) ?? c.fail(`to type ${c.int('to', 1)} is not supported`)
    const t = stored(c, 0)
    return tensorOf(
      t.dims,
      Array.from(t.data as ArrayLike<number>, (v) => kept(to, v)),
      to,
    )
  },
  Reshape: reshaped,
  Flatten(c) {
    const t = stored(c, 0)
    const axis = c.int('axis', 1)
    const at = axis < 0 ? axis + t.dims.length : axis
    return again(t, [count(t.dims.slice(0, at)), count(t.dims.slice(at))])
  },
  Squeeze(c) {
    const t = stored(c, 0)
    const axes = axesOf(c, t.dims.length) ?? t.dims.flatMap((d, i) => (d === 1 ? [i] : []))
    if (axes.some((a) => t.dims[a] !== 1)) return c.fail(`takes away axes [${axes}] of [${t.dims}]`)
    return again(
      t,
      t.dims.filter((_, i) => !axes.includes(i)),
    )
  },
  Unsqueeze(c) {
    const t = stored(c, 0)
    const given = (c.opset < 13 ? c.ints('axes') : c.integersOf(1, 'axes')) ?? []
    const rank = t.dims.length + given.length
    const axes = given.map((a) => c.axis(a, rank))
    const left = [...t.dims]
    return again(
      t,
      Array.from({ length: rank }, (_, i) => (axes.includes(i) ? 1 : (left.shift() ?? 1))),
    )
  },
  Transpose(c) {
    const t = stored(c, 0)
    const order = c.ints('perm') ?? t.dims.map((_, i) => t.dims.length - 1 - i)
    if ([...order].sort((a, b) => a - b).some((a, i) => a !== i) || order.length !== t.dims.length)
      return c.fail(`perm [${order}] does not name each of ${t.dims.length} axes once`)
    room(c, t.dims)
    const steps = t.steps && { ...t.steps, axis: order.indexOf(t.steps.axis) }
    const dims = order.map((i) => t.dims[i])
    return { ...t, dims, data: reordered(t.data as Float32Array, t.dims, order), steps }
  },
  Concat(c) {
    const all = c.inputs.map((_, i) => stored(c, i))
    const axis = c.axis(c.int('axis', 1), all[0].dims.length)
    const dims = replaced(all[0].dims, axis, sum(all.map((t) => t.dims[axis])))
    if (all.some((t) => t.dims.length !== dims.length || t.dims.some((d, i) => i !== axis && d !== dims[i])))
      return c.fail(`[${all.map((t) => t.dims).join('] and [')}] do not go together along axis ${axis}`)
    const data = TYPES[all[0].type].make(room(c, dims))
    const inner = count(dims.slice(axis + 1))
    let to = 0
    for (let o = 0; o < count(dims.slice(0, axis)); o++)
      for (const t of all) {
        const n = t.dims[axis] * inner
        for (let i = 0; i < n; i++) data[to++] = t.data[o * n + i]
      }
    return tensor(all[0].type, dims, data)
  },
  Gather(c) {
    const [t, at] = [stored(c, 0), stored(c, 1)]
    const axis = c.axis(c.int('axis', 0), t.dims.length)
    const n = t.dims[axis]
    const list = Array.from(at.data as ArrayLike<number>, (i) => (i < 0 ? i + n : i))
    if (list.some((i) => !(i >= 0 && i < n))) return c.fail(`an index is not in axis ${axis} of [${t.dims}]`)
    return gathered(c, t, axis, list, [...t.dims.slice(0, axis), ...at.dims, ...t.dims.slice(axis + 1)])
  },
  Slice(c) {
    let t = stored(c, 0)
    const old = c.opset < 10
    const starts = (old ? c.ints('starts') : c.integersOf(1, 'starts')) ?? []
    const ends = (old ? c.ints('ends') : c.integersOf(2, 'ends')) ?? []
    const axes = (old ? c.ints('axes') : c.integersOf(3, 'axes')) ?? starts.map((_, i) => i)
    const steps = (old ? undefined : c.integersOf(4, 'steps')) ?? starts.map(() => 1)
    starts.forEach((start, i) => {
      const axis = c.axis(axes[i], t.dims.length)
      const [n, step] = [t.dims[axis], steps[i]]
      if (!step) c.fail('wants steps other than 0')
      const from = Math.max(step < 0 ? -1 : 0, Math.min(step < 0 ? n - 1 : n, start < 0 ? start + n : start))
      const to = Math.max(step < 0 ? -1 : 0, Math.min(n, ends[i] < 0 ? ends[i] + n : ends[i]))
      const list = Array.from({ length: Math.max(0, Math.ceil((to - from) / step)) }, (_, j) => from + j * step)
      t = gathered(c, t, axis, list, replaced(t.dims, axis, list.length))
    })
    return t
  },
  Split(c) {
    const t = stored(c, 0)
    const axis = c.axis(c.int('axis', 0), t.dims.length)
    const outputs = c.proto.output.length
    const n = t.dims[axis]
    const sizes = (c.opset < 13 ? c.ints('split') : c.integersOf(1, 'split')) ?? Array<number>(outputs).fill(n / outputs)
    if (sum(sizes) !== n || !sizes.every((s) => Number.isInteger(s) && s >= 0)) return c.fail(`cuts ${n} into [${sizes}]`)
    let at = 0
    return sizes.map((s) => {
      at += s
      const list = Array.from({ length: s }, (_, i) => at - s + i)
      return gathered(c, t, axis, list, replaced(t.dims, axis, s))
    })
  },
  Expand(c) {
    const t = stored(c, 0)
    const shape = Array.from(stored(c, 1).data as ArrayLike<number>)
    const dims = commonDims(c, [t.dims, shape])
    const at = indices(c, t.dims, dims)
    return tensorOf(
      dims,
      Array.from(at, (i) => t.data[i]),
      t.type,
    )
  },
  Constant(c) {
    const value = c.tensor('value')
    if (value) return value
    if (c.has('value_float')) return tensorOf([], [c.float('value_float', 0)])
    if (c.has('value_int')) return tensorOf([], [c.int('value_int', 0)], 'int64')
    const [floats, ints] = [c.floats('value_floats'), c.ints('value_ints')]
    if (c.has('value_floats') && floats) return tensorOf([floats.length], floats)
    if (c.has('value_ints') && ints) return tensorOf([ints.length], ints, 'int64')
    return c.fail('holds no tensor, number or list of numbers; others are not supported')
  },
  ConstantOfShape(c) {
    const dims = Array.from(stored(c, 0).data as ArrayLike<number>)
    const value = c.tensor('value')
    const data = TYPES[value?.type ?? 'float32'].make(room(c, dims))
    data.fill(value?.data[0] ?? 0)
    return tensor(value?.type ?? 'float32', dims, data)
  },
  Range(c) {
    const [start, limit, delta] = [0, 1, 2].map((i) => stored(c, i).data[0])
    const n = Math.max(0, Math.ceil((limit - start) / delta))
    room(c, [n])
    return tensorOf(
      [n],
      Array.from({ length: n }, (_, i) => start + i * delta),
      stored(c, 0).type,
    )
  },
  QuantizeLinear(c) {
    const [t, scale, zero] = [stored(c, 0), stored(c, 1), c.optional(2, 'zero point')]
    const axis = quantAxis(c, t)
    const [s, z] = [perChannel(c, t, scale.data, axis), zero ? perChannel(c, t, zero.data, axis) : () => 0]
    const type = zero?.type ?? 'uint8'
    const [low, high] = rangeOf(type) ?? c.fail(`to ${type} is not supported`)
    const values = Array.from(t.data as ArrayLike<number>, (v, i) =>
      Math.max(low, Math.min(high, even(Math.fround(v / s(i))) + z(i))),
    )
    return { ...tensorOf(t.dims, values, type), name: t.name }
  },
  DequantizeLinear: (c) => dequantized(c, stored(c, 0), stored(c, 1), c.optional(2, 'zero point'), quantAxis(c, stored(c, 0))),

  Add: each(([a, b]) => a + b),
  Sub: each(([a, b]) => a - b),
  Mul: each(([a, b]) => a * b),
  Div: each(([a, b], type) => (isInteger(type) ? Math.trunc(a / b) || 0 : a / b)),
  Mod: each(([a, b]) => a - b * Math.floor(a / b)),
  Pow: each(([a, b]) => a ** b),
  Neg: each(([a]) => -a),
  Abs: each(([a]) => Math.abs(a)),
  Sqrt: each(([a]) => Math.sqrt(a)),
  Exp: each(([a]) => Math.exp(a)),
  Log: each(([a]) => Math.log(a)),
  Reciprocal: each(([a]) => 1 / a),
  Floor: each(([a]) => Math.floor(a)),
  Ceil: each(([a]) => Math.ceil(a)),
  Round: each(([a]) => even(a)),
  Relu: each(([a]) => Math.max(0, a)),
  Sigmoid: each(([a]) => 1 / (1 + Math.exp(-a))),
  Tanh: each(([a]) => Math.tanh(a)),
  Min: each((v) => Math.min(...v)),
  Max: each((v) => Math.max(...v)),
  Equal: each(([a, b]) => +(a === b), 'bool'),
  Greater: each(([a, b]) => +(a > b), 'bool'),
  Less: each(([a, b]) => +(a < b), 'bool'),
  GreaterOrEqual: each(([a, b]) => +(a >= b), 'bool'),
  LessOrEqual: each(([a, b]) => +(a <= b), 'bool'),
  Not: each(([a]) => +!a, 'bool'),
  And: each(([a, b]) => a & b, 'bool'),
  Or: each(([a, b]) => a | b, 'bool'),
  Where: each(([condition, a, b]) => (condition ? a : b)),
  ReduceSum: (c) => folded(c, sum),
  ReduceMean: (c) => folded(c, (v) => sum(v) / v.length),
  ReduceProd: (c) => folded(c, (v) => v.reduce((a, b) => a * b, 1)),
  ReduceMax: (c) => folded(c, (v) => v.reduce((a, b) => Math.max(a, b), -Infinity)),
  ReduceMin: (c) => folded(c, (v) => v.reduce((a, b) => Math.min(a, b), Infinity)),
}
