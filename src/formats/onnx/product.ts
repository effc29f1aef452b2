// Products of matrices. One with stored weights is a dense layer, or where it has more than one row for each sample a 1x1 convolution.
// Columns of the weights are put in the order in which the value's elements lie, so that a flattened image needs no transpose.

import { isParam, type Node, type Param } from '../../graph/node'
import { nodeOf, type OpName } from '../../ops'
import { add } from '../../ops/add'
import { matMul } from '../../ops/matMul'
import type { Call } from './call'
import type { Rule } from './elementwise'
import { joined, taken } from './pieces'
import { count, type Tensor, tensorOf } from './tensor'
import {
  alike,
  dimsOf,
  innermost,
  plain,
  reordered,
  reviewed,
  shaped,
  type Traced,
  transposed,
  type Value,
  view,
  widened,
} from './value'

/** The name of the layer whose weights a tensor is, by PyTorch's names of them. */
export function layerName(c: Call, weights: Tensor): string {
  return /^(.+)[./](weight|kernel|w)$/.exec(weights.name ?? '')?.[1] ?? c.name
}

/** x times w^T on the last axis: weights [units, k] and a bias [units] or none. */
function weighted(c: Call, x: Traced, w: Tensor, b: Tensor | undefined, name: string): Traced {
  const [units, k] = w.dims
  const last = x.axes.length - 1
  const { node, outer, inner } = innermost(x, [last])
  if (k !== dimsOf(x)[last]) return c.fail(`multiplies [${dimsOf(x)}] by weights for ${k} values`)
  // Columns as the value's elements lie.
  const own = x.axes[last]
  const sizes = own.map((f) => f.size)
  const order = inner.map((f) => own.indexOf(f))
  const data = Float32Array.from(w.data as ArrayLike<number>)
  const columns = reordered(data, [units, ...sizes], [0, ...order.map((i) => i + 1)])
  const rows = node.shape[0]
  const shape = rows === 1 ? [units, k] : [units, 1, 1, k]
  const params: Param[] = [c.param('w', shape, columns, w)]
  if (b) params.push(c.param('b', [units], Float32Array.from(b.data as ArrayLike<number>), b))
  const attrs = { kernel: [1, 1], strides: [1, 1], dilation: [1, 1], padding: 'valid' } as const
  const product =
    rows === 1
      ? nodeOf('dense', { name, attrs: {}, inputs: [shaped(node, [k]), ...params] })
      : nodeOf('conv2d', { name, attrs, inputs: [shaped(node, [1, rows, k]), ...params] })
  const made = units === 1 ? [] : [{ size: units }]
  return { ...x, node: product, type: 'float32', axes: [...x.axes.slice(0, -1), made], memory: [...outer, ...made] }
}

/** A stored matrix the other way round. */
function turned(w: Tensor): Tensor {
  const [rows, columns] = w.dims
  const data = reordered(w.data as Float32Array, [rows, columns], [1, 0])
  const axis = w.steps && { ...w.steps, axis: 1 - w.steps.axis }
  return { ...w, dims: [columns, rows], data, ...(axis && { steps: axis }) }
}

/** Each vector along an axis of x replaced by a matrix [m, n] times it. */
export function byMatrix(c: Call, x: Traced, axis: number, matrix: Tensor): Traced {
  const rank = x.axes.length
  const back = Array.from({ length: rank }, (_, i) => i)
  const order = [...back.filter((i) => i !== axis), axis]
  const y = weighted(c, transposed(x, order), matrix, undefined, '')
  // What makes no model's weight is not trained.
  const [, w] = y.node.inputs as [Node, Param]
  Object.assign(w, { attrs: { trainable: false } })
  return transposed(
    y,
    back.map((i) => order.indexOf(i)),
  )
}

/** The product of two computed values of the same axes in front. */
function computed(c: Call, a: Traced, b: Traced): Traced {
  const rank = Math.max(a.axes.length, b.axes.length, 2)
  const [l, r] = [widened(a, rank), widened(b, rank)]
  const [left, right] = [dimsOf(l), dimsOf(r)]
  if (left.slice(0, -2).some((n, i) => n !== right[i]))
    return c.fail(`multiplies [${left}] by [${right}]; of two computed values the axes in front have to be the same`)
  if (l.node.batched !== r.node.batched) return matrixwise(c, l, r)
  // Of two values with samples, sample goes by sample: one axis in front of both.
  const separate = l.unsure || r.unsure || (l.samples === r.samples && (l.samples ?? 0) < rank - 2)
  if (!separate && r.samples !== undefined) c.apart(r, [r.samples], 'multiplies samples with one another along')
  if (left[rank - 1] !== right[rank - 2]) return c.fail(`multiplies [${left}] by [${right}]`)
  const node = matMul()(plain(l), plain(r))
  return view(node, [...left.slice(0, -1), right[rank - 1]], { samples: l.samples })
}

/** Most matrices of a stored tensor, each of which becomes a layer. */
const MOST_MATRICES = 1024

/** The same where one is stored: each matrix of it has its own layer. */
function matrixwise(c: Call, l: Traced, r: Traced): Traced {
  const dims = dimsOf(l).slice(0, -2)
  const all = count(dims)
  if (all > MOST_MATRICES) return c.fail(`multiplies ${all} stored matrices; at most ${MOST_MATRICES} are supported`)
  const apart = (x: Traced) => reviewed(x, [all, ...dimsOf(x).slice(-2)])
  const [a, b] = [apart(l), apart(r)]
  const products = Array.from({ length: all }, (_, i) => {
    const one = (x: Traced): Value => {
      const matrix = dimsOf(x).slice(1)
      if (x.node.batched) return reviewed(taken(c, x, 0, [i]), matrix)
      const data = (plain(x) as Param).data as Float32Array
      return tensorOf(matrix, data.subarray(i * count(matrix), (i + 1) * count(matrix)))
    }
    const y = matmul(c, one(a), one(b))
    return reviewed(y, [1, ...dimsOf(y)])
  })
  const whole = joined(c, products, 0)
  return { ...reviewed(whole, [...dims, ...dimsOf(whole).slice(1)]), samples: (l.node.batched ? l : r).samples }
}

/** a times b as numpy.matmul has it. */
export function matmul(c: Call, a: Value, b: Value): Traced {
  const [da, db] = [dimsOf(a), dimsOf(b)]
  const x = (v: Value, i: number) => (v.kind === 'traced' ? v : v.kind === 'tensor' ? c.scope.lift(v) : c.x(i))
  if (da.length === 1 || db.length === 1) {
    const left = da.length === 1 ? [1, ...da] : da
    const right = db.length === 1 ? [...db, 1] : db
    const as = (v: Value, dims: readonly number[], i: number): Value =>
      v.kind === 'tensor' ? { ...v, dims } : reviewed(x(v, i), dims)
    const y = matmul(c, as(a, left, 0), as(b, right, 1))
    const dims = [...dimsOf(y)]
    if (db.length === 1) dims.pop()
    if (da.length === 1) dims.splice(dims.length - 1 - (db.length === 1 ? -1 : 0), 1)
    return reviewed(y, dims)
  }
  if (b.kind === 'tensor' && count(db.slice(0, -2)) === 1 && da.length >= db.length) {
    const w = turned({ ...b, dims: db.slice(-2) })
    return weighted(c, x(a, 0), w, undefined, layerName(c, b))
  }
  if (a.kind === 'tensor' && count(da.slice(0, -2)) === 1 && db.length >= da.length) {
    // a b = (b^T a^T)^T
    const rank = db.length
    const swap = [...Array.from({ length: rank - 2 }, (_, i) => i), rank - 1, rank - 2]
    const y = weighted(c, transposed(x(b, 1), swap), { ...a, dims: da.slice(-2) }, undefined, layerName(c, a))
    return transposed(y, swap)
  }
  return computed(c, x(a, 0), x(b, 1))
}

export const PRODUCTS: Record<string, Rule> = {
  MatMul: (c) => matmul(c, c.value(0, 'A').kind === 'quantized' ? c.x(0) : c.value(0, 'A'), c.value(1, 'B')),

  Gemm(c) {
    let a = c.x(0, 'A')
    const b = c.value(1, 'B')
    const [alpha, beta] = [c.float('alpha', 1), c.float('beta', 1)]
    if (c.int('transA', 0)) a = transposed(a, [1, 0])
    const transB = c.int('transB', 0) !== 0
    const bias = c.inputs[2]
    if (b.kind !== 'tensor') {
      const right = transB ? transposed(c.x(1, 'B'), [1, 0]) : c.x(1, 'B')
      let y = computed(c, a, right)
      y = alike(y, c.times(y.node, alpha))
      if (!bias) return y
      const more = c.x(2, 'C')
      return c.pairwise(y, alike(more, c.times(more.node, beta)), add())
    }
    const w = scaled(transB ? b : turned(b), alpha)
    const units = w.dims[0]
    const vector =
      bias?.kind === 'tensor' && (count(bias.dims) === 1 || (count(bias.dims) === units && bias.dims.at(-1) === units))
    if (!bias || vector) {
      const values = vector ? Float32Array.from({ length: units }, (_, i) => beta * (bias.data[i] ?? bias.data[0])) : undefined
      return weighted(c, a, w, values && { ...tensorOf([units], values), name: (bias as Tensor).name }, layerName(c, b))
    }
    const y = weighted(c, a, w, undefined, layerName(c, b))
    const more = c.x(2, 'C')
    return c.pairwise(y, alike(more, c.times(more.node, beta)), add())
  },
}

const scaled = (t: Tensor, factor: number): Tensor =>
  factor === 1
    ? t
    : {
        ...tensorOf(
          t.dims,
          Array.from(t.data as ArrayLike<number>, (v) => v * factor),
        ),
        name: t.name,
      }

/** A bias that an Add gives a product without one: part of the layer, if nothing else reads the product. */
export function withBias(c: Call, y: Traced, bias: Tensor): Traced | undefined {
  const { node } = y
  const units = node.shape[node.shape.length - 1]
  const plainProduct = (node.op === 'dense' || node.op === 'conv2d') && node.inputs.length === 2 && isParam(node.inputs[1])
  const attrs = node.attrs as { activation?: string }
  const last = y.axes.length - 1
  const fits = count(bias.dims) === units && bias.dims.at(-1) === units && dimsOf(y)[last] === units
  const innermostAxis = units === 1 || y.axes[last][0] === y.memory[y.memory.length - 1]
  if (!plainProduct || attrs.activation || !fits || !innermostAxis || y.axes[last].length > 1) return undefined
  const b = c.param('b', [units], Float32Array.from(bias.data as ArrayLike<number>), bias)
  return alike(y, nodeOf(node.op as OpName, { name: node.name, attrs, inputs: [...node.inputs, b] }))
}
