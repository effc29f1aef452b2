// svdf: filters that are a vector over the inputs times a vector over time, on one step of a stream at a time. The products with the inputs
// are a matrix product; its results are kept for `memory` steps, from run to run.

import { DunlinError } from '../graph/error'
import { isParam, type Layer, type Node, type Param, param, size } from '../graph/node'
import { multiply, multiplyInto, pack, packedLength, sumRows, undoActivation } from './calls'
import { quantizeMultiplier } from './fixedPoint'
import { initializerOf } from './initializer'
import {
  type Activation,
  CLAMPS,
  clampOf,
  type Emit,
  expectCount,
  expectNumber,
  expectShape,
  makeNode,
  type Op,
  quantOf,
  rows,
  type Table,
  type Unshaped,
  where,
} from './op'

export interface SvdfAttrs {
  /** Filters whose sum is a unit. */
  rank: number
  activation?: Activation
  /** Of an int8 layer: what one step of its state, an i16, stands for. */
  stateScale?: number
}

/**
 * A layer of a stream (Nakkiran et al. 2015; TensorFlow Lite's SVDF). x [inputs], one step -> [units]: each unit sums up `rank` filters, and
 * a filter looks at `memory` steps, this one and those of the runs before, which begin as zeros.
 * Parameters: f [units * rank, inputs] and w [units * rank, memory], the newest step last (Glorot uniform), b [units] (zeros).
 * A gradient goes to this run's step only. int8 layers come from .tflite files; quantize() makes none.
 */
export function svdf(options: { units: number; memory: number; rank?: number; activation?: Activation; name?: string }): Layer {
  const { units, memory, rank = 1, activation, name = '' } = options
  let params: Param[] | undefined
  return (x) => {
    const node = { op: 'svdf', name }
    for (const [what, count] of Object.entries({ units, memory, rank })) expectCount(node, what, count)
    expectVector({ ...node, inputs: [x], attrs: {} })
    const filters = units * rank
    const fan = (fanIn: number) => initializerOf(node, 'glorotUniform', { fanIn, fanOut: units, rows: filters })
    params ??= [
      param('f', [filters, x.shape[0]], fan(x.shape[0])),
      param('w', [filters, memory], fan(memory)),
      param('b', [units], { kind: 'zeros' }),
    ]
    return makeNode(svdfOp, { ...node, attrs: { rank, ...(activation && { activation }) }, inputs: [x, ...params] })
  }
}

function expectVector(node: Unshaped): void {
  const [x] = node.inputs
  if (x.shape.length !== 1 || !x.batched)
    throw new DunlinError(
      `${where(node)}: wants one step of a stream, a vector [inputs] for each sample, got shape [${x.shape}].`,
    )
}

export const svdfOp: Op<SvdfAttrs> = {
  shape(node) {
    const { rank, stateScale } = node.attrs
    if (node.inputs.length !== 4) throw new DunlinError(`${where(node)}: wants 4 inputs (x, f, w, b), got ${node.inputs.length}.`)
    expectCount(node, 'rank', rank)
    clampOf(node)
    if (stateScale !== undefined) expectNumber(node, 'stateScale', stateScale, 1e-30, 1e30)
    expectVector(node)
    const [x, f, w, b] = node.inputs
    const filters = f.shape[0]
    if (filters % rank) throw new DunlinError(`${where(node)}: ${filters} filters are no multiple of rank ${rank}.`)
    expectShape(node, 'f', f.shape, [filters, x.shape[0]], 'Weights over inputs are [filters, inputs].')
    expectShape(node, 'w', w.shape, [filters, w.shape[1]], 'Weights over time are [filters, memory].')
    expectShape(node, 'b', b.shape, [filters / rank], 'There is one bias for each unit.')
    return [filters / rank]
  },
  macs: ({ inputs: [, f, w] }) => size(f.shape) + size(w.shape),

  forward(e, node) {
    const [x, f, w, b] = node.inputs
    const { units, filters, inputs, memory, batch } = sizesOf(e, node)
    const packed = e.prepared(`${node.name}/packed`, packedLength(filters, inputs), (to) =>
      pack(e, e.value(f), 0, to, { n: filters, k: inputs, wn: inputs, wk: 1 }),
    )
    const features = e.scratch(batch * filters)
    const product = { m: batch, n: filters, k: inputs, am: inputs, ak: 1, ldc: filters }
    multiply(e, e.value(x), packed, features, product, CLAMPS.none, 0)
    const [weights, bias, y] = [w, b, node].map((n) => e.value(n))
    const state = e.saved(node, 'state', batch * filters * memory)
    const lasting = e.state(`${node.name}/state`, batch * filters * memory)
    const numbers = [batch, units, node.attrs.rank, memory, ...clampOf(node)] as const
    e.call('svdf_f32', features, weights, bias, y, lasting, ...numbers)
    // What the backward reads is this step's.
    if (e.learns(node)) e.call('accumulate_f32', lasting, state, batch * filters * memory, 0)
  },

  backward(e, node) {
    const [x, f, w, b] = node.inputs
    const { units, filters, inputs, memory, batch } = sizesOf(e, node)
    const dy = e.grad(node)
    if (!dy) return
    undoActivation(e, node, dy)
    const db = e.grad(b)
    if (db) sumRows(e, dy, db, batch, units)
    const dw = e.grad(w)
    const sizes = [batch, units, node.attrs.rank, memory] as const
    if (dw) e.call('svdf_f32_dw', dy, e.saved(node, 'state', batch * filters * memory), dw, ...sizes)
    const dfeatures = e.scratch(batch * filters)
    e.call('svdf_f32_dx', dy, e.value(w), dfeatures, ...sizes)
    if (e.learns(f)) {
      const packed = e.scratch(packedLength(inputs, batch))
      pack(e, e.value(x), 0, packed, { n: inputs, k: batch, wn: 1, wk: inputs })
      multiplyInto(e, f, dfeatures, packed, { m: filters, n: inputs, k: batch, am: 1, ak: filters, ldc: inputs })
    }
    if (e.learns(x)) {
      const packed = e.scratch(packedLength(inputs, filters))
      pack(e, e.value(f), 0, packed, { n: inputs, k: filters, wn: 1, wk: inputs })
      multiplyInto(e, x, dfeatures, packed, { m: batch, n: inputs, k: filters, am: filters, ak: 1, ldc: inputs })
    }
  },

  int8: {
    quant: 'calibrated',
    reads: ['i8', 'i8', 'i16', 'i32'],
    unsupported: ({ dtype }) =>
      dtype === 'f32' && 'is not made int8 by quantize(); int8 ones come from .tflite files. Leave the model float.',
    forward(e, node) {
      const [x, f, w, b] = node.inputs
      const { units, filters, inputs, memory, batch } = sizesOf(e, node)
      const { rank, stateScale } = node.attrs
      if (stateScale === undefined) throw new DunlinError(`${where(node)}: an int8 layer without stateScale.`)
      const [qx, qf, qw, qy] = [x, f, w, node].map(quantOf)
      // Products and quotients of float32, as the reference has them.
      const first = quantizeMultiplier(f32(f32(f32(qx.scale[0]) * f32(qf.scale[0])) / f32(stateScale)))
      const second = quantizeMultiplier(f32(f32(f32(stateScale) * f32(qw.scale[0])) / f32(qy.scale[0])))
      const numbers = [qx.zeroPoint, qy.zeroPoint, first.multiplier, first.shift, second.multiplier, second.shift] as const
      const [from, to] = [e.value(x), e.value(node)]
      const state = e.state(`${node.name}/state`, Math.ceil((batch * filters * memory) / 2))
      const tables = [table(node, f, rank * inputs), table(node, w, rank * memory), table(node, b, 1)]
      e.tiles(units, tables, (u, count, ...of) => {
        // A tile begins at a whole word of the state: at a multiple of four units.
        const [fs, ws, bs] = of
        const [y, kept] = [e.at(to, u), e.at(state, (u * rank * memory) / 2)]
        e.call('svdf_i8', from, fs, ws, bs, y, kept, batch, inputs, count, units, rank, memory, ...numbers)
      })
    },
  },
}

/** What is stored for each unit. */
function table(node: Node, p: Node, each: number): Table {
  if (!isParam(p)) throw new DunlinError(`${where(node)}: computes its weights; an int8 layer wants stored ones.`)
  return { name: p.name, data: p.data, each }
}

const f32 = Math.fround

function sizesOf(e: Emit, node: Node<SvdfAttrs>) {
  const [x, f, w] = node.inputs
  const [filters, inputs] = f.shape
  return { filters, inputs, memory: w.shape[1], units: filters / node.attrs.rank, batch: rows(e, x) }
}
