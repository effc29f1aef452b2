// dense: y = x w^T + b on the last axis, weights [out][in]. Three matrix products: forward, dx = dy w, dw = dy^T x.

import { DunlinError } from '../graph/error'
import { type Layer, type Node, type Param, param, size } from '../graph/node'
import { multiply, multiplyInto, pack, packedLength, sumRows, undoActivation } from './calls'
import { convScratch } from './convolution'
import { initializerOf, type WeightInitializer } from './initializer'
import { channelwise, operandsOf, packed, packedScratch, weightsOf } from './int8'
import {
  type Activation,
  type Buffer,
  clampOf,
  type Emit,
  expectCount,
  expectInputs,
  expectShape,
  makeNode,
  type Op,
  rows,
  where,
} from './op'

export interface DenseAttrs {
  activation?: Activation
}

/**
 * Fully connected layer. x [inputs] -> [units]; of a sequence [steps, inputs] each step: [steps, units].
 * Parameters: w [units, inputs] (`initializer`, default He uniform before relu, else Glorot uniform), b [units] (zeros; none with
 * `bias: false`).
 */
export function dense(options: {
  units: number
  activation?: Activation
  bias?: boolean
  initializer?: WeightInitializer
  name?: string
}): Layer {
  const { units, activation, bias = true, initializer = activation ? 'heUniform' : 'glorotUniform', name = '' } = options
  const attrs = { ...(activation && { activation }) }
  let params: Param[] | undefined
  return (x) => {
    expectVector(x.shape, { op: 'dense', name })
    expectCount({ op: 'dense', name }, 'units', units)
    const inputs = x.shape[x.shape.length - 1]
    const init = initializerOf({ op: 'dense', name }, initializer, { fanIn: inputs, fanOut: units, rows: units })
    params ??= [param('w', [units, inputs], init), ...(bias ? [param('b', [units], { kind: 'zeros' })] : [])]
    return makeNode(denseOp, { op: 'dense', name, attrs, inputs: [x, ...params] })
  }
}

function expectVector(shape: readonly number[], node: { op: string; name: string }): void {
  if (shape.length !== 1 && shape.length !== 2) {
    throw new DunlinError(
      `${where(node)}: wants a vector of inputs, got shape [${shape}]. Put flatten() or a global pool before it.`,
    )
  }
}

/** Vectors that a run computes: one or more for each sample. */
const vectorsOf = (e: Emit, node: Node): number => (rows(e, node) * size(node.shape)) / node.inputs[1].shape[0]

/** Weights of a layer that takes no time to speak of, on whatever kernel; and twice the bytes of scratch that this may cost. */
const SMALL = 8192

export const denseOp: Op<DenseAttrs> = {
  shape(node) {
    const [x, w, b] = node.inputs
    if (node.inputs.length !== 2) expectInputs(node, 3, 'x, w, b')
    expectVector(x.shape, node)
    clampOf(node)
    expectShape(
      node,
      'w',
      w.shape,
      [w.shape[0], x.shape[x.shape.length - 1]],
      'Weights are [units, inputs]; a layer applied twice shares them.',
    )
    if (b) expectShape(node, 'b', b.shape, [w.shape[0]], 'There is one bias for each unit.')
    return [...x.shape.slice(0, -1), w.shape[0]]
  },

  macs: (node) => size(node.shape) * node.inputs[1].shape[1],

  forward(e, node) {
    const [x, w, b] = node.inputs
    const [n, k] = w.shape
    if (e.target === 'module') {
      const bias = b ? e.value(b) : 0
      e.call('dense_f32', e.value(x), e.value(w), bias, e.value(node), vectorsOf(e, node), n, k, ...clampOf(node))
      return
    }
    const packed = e.prepared(`${node.name}/packed`, packedLength(n, k), (to) =>
      pack(e, e.value(w), b ? e.value(b) : 0, to, { n, k, wn: k, wk: 1 }),
    )
    const sizes = { m: vectorsOf(e, node), n, k, am: k, ak: 1, ldc: n }
    multiply(e, e.value(x), packed, e.value(node), sizes, clampOf(node), 0)
  },

  backward(e, node) {
    const [x, w, b] = node.inputs
    const [n, k] = w.shape
    const m = vectorsOf(e, node)
    const dy = e.grad(node)
    if (!dy) return
    undoActivation(e, node, dy)
    if (e.target === 'module') {
      plainBackward(e, node, dy)
      return
    }
    const db = b && e.grad(b)
    if (db) sumRows(e, dy, db, m, n)
    if (e.learns(w)) {
      const packed = e.scratch(packedLength(k, m))
      pack(e, e.value(x), 0, packed, { n: k, k: m, wn: 1, wk: k })
      multiplyInto(e, w, dy, packed, { m: n, n: k, k: m, am: 1, ak: n, ldc: k })
    }
    if (e.learns(x)) {
      const packed = e.scratch(packedLength(k, n))
      pack(e, e.value(w), 0, packed, { n: k, k: n, wn: 1, wk: k })
      multiplyInto(e, x, dy, packed, { m, n: k, k: n, am: n, ak: 1, ldc: k })
    }
  },

  int8: {
    quant: 'calibrated',
    weightAxis: 0,
    forward(e, node) {
      const [n, k] = node.inputs[1].shape
      const m = vectorsOf(e, node)
      if (e.target === 'module') {
        moduleInt8(e, node, m)
        return
      }
      const operands = operandsOf(e, node)
      const { x, y, after } = operands
      const weights = packed(e, operands, { segments: 1, chunk: k, channelStep: k, segmentStep: k, step: 1 })
      // A 1x1 convolution on an image of one row, a pixel for each sample.
      const part = (from: number, count: number) => {
        const sizes = [1, 1, count, k, 1, count, n, 1, 1, 1, 1, 1, 1, 0, 0] as const
        const scratch = e.scratch(packedScratch(1 + count, count * k))
        e.call('packedConv2d_i8', e.at(x, from * k), weights, e.at(y, from * n), scratch, ...sizes, ...after)
      }
      e.split(m, m * n * k, part, 4)
    },
  },
}

/** Rows whose sums lie in the scratch of pairedDense_i8, a word of 8 bytes for each. */
const PAIRED_ROWS = 32
/** Inputs that it takes. */
const MOST_PAIRED = 65536

/** The calls of a module for m int8 vectors. */
function moduleInt8(e: Emit, node: Node<DenseAttrs>, m: number): void {
  const [n, k] = node.inputs[1].shape
  const [x, y] = [e.value(node.inputs[0]), e.value(node)]
  const paired = e.interpreted && k <= MOST_PAIRED
  // A small layer is not worth the code of a kernel, where there is one of convolutions: a pixel for each sample, on an image of one row.
  const g = { ih: 1, iw: m, ic: k, oh: 1, ow: m, kh: 1, kw: 1, sh: 1, sw: 1, dh: 1, dw: 1, pt: 0, pl: 0 }
  const bytes = convScratch(e.interpreted, g)
  const small = n * k <= SMALL && bytes <= SMALL / 2
  if (small && e.uses('conv2d_i8') && !e.uses(paired ? 'pairedDense_i8' : 'dense_i8')) {
    channelwise(e, node, (from, count, of, after) => {
      const scratch = bytes && e.scratch(bytes, 'i8')
      const sizes = [1, 1, m, k, 1, m, count, n, 1, 1, 1, 1, 1, 1, 0, 0] as const
      e.call('conv2d_i8', x, ...of, e.at(y, from), scratch, ...sizes, ...after)
    })
  } else if (paired) {
    const w = weightsOf(node)
    // Made once for all nodes that have these weights.
    const stored = e.once(w, 'plus 128', () => Uint8Array.from(w.data, (v) => v + 128))
    channelwise(
      e,
      node,
      (from, count, of, after) => {
        const scratch = e.scratch(8 * Math.min(count, PAIRED_ROWS), 'i8')
        e.call('pairedDense_i8', x, ...of, e.at(y, from), scratch, m, count, k, n, ...after)
      },
      { stored },
    )
  } else channelwise(e, node, (from, count, of, after) => e.call('dense_i8', x, ...of, e.at(y, from), m, count, k, n, ...after))
}

/** The gradients with the weights as they lie. */
function plainBackward(e: Emit, node: Node, dy: Buffer): void {
  const [x, w, b] = node.inputs
  const [n, k] = w.shape
  const m = vectorsOf(e, node)
  // First: it is made of the weights before their step.
  const sink = e.sink(x)
  if (sink) e.call('dense_f32_dx', dy, e.value(w), sink.dx, m, n, k, sink.add)
  // Of one vector the gradient is but an outer product.
  const descent = (p: Node) => (m === 1 ? e.descent(p) : undefined)
  const step = descent(w)
  if (step) e.call('dense_f32_sgd', e.value(x), dy, e.value(w), step.velocity, n, k, step.lr, step.momentum)
  else {
    const sum = e.sink(w)
    if (sum) e.call('dense_f32_dw', e.value(x), dy, sum.dx, m, n, k, sum.add)
  }
  const biasStep = b && descent(b)
  if (biasStep) {
    e.call('dense_f32_sgd', 0, dy, e.value(b), biasStep.velocity, n, 1, biasStep.lr, biasStep.momentum)
    return
  }
  const db = b && e.grad(b)
  if (db) sumRows(e, dy, db, m, n)
}
