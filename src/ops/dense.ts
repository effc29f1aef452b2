// dense: y = x w^T + b on the last axis, weights [out][in]. Three matrix products: forward, dx = dy w, dw = dy^T x.

import { DunlinError } from '../graph/error'
import { type Layer, type Param, param, size } from '../graph/node'
import { initializerOf, type WeightInitializer } from './initializer'
import { int8Args, packedArgs, packedScratch } from './int8'
import { type Activation, clampOf, expectCount, expectInputs, expectShape, makeNode, type Op, rows, where } from './op'

export interface DenseAttrs {
  activation?: Activation
}

/**
 * Fully connected layer. x [inputs] -> [units].
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
    const init = initializerOf({ op: 'dense', name }, initializer, { fanIn: x.shape[0], fanOut: units, rows: units })
    params ??= [param('w', [units, x.shape[0]], init), ...(bias ? [param('b', [units], { kind: 'zeros' })] : [])]
    return makeNode(denseOp, { op: 'dense', name, attrs, inputs: [x, ...params] })
  }
}

function expectVector(shape: readonly number[], node: { op: string; name: string }): void {
  if (shape.length !== 1) {
    throw new DunlinError(
      `${where(node)}: wants a vector of inputs, got shape [${shape}]. Put flatten() or a global pool before it.`,
    )
  }
}

export const denseOp: Op<DenseAttrs> = {
  shape(node) {
    const [x, w, b] = node.inputs
    if (node.inputs.length !== 2) expectInputs(node, 3, 'x, w, b')
    expectVector(x.shape, node)
    clampOf(node)
    expectShape(node, 'w', w.shape, [w.shape[0], x.shape[0]], 'Weights are [units, inputs]; a layer applied twice shares them.')
    if (b) expectShape(node, 'b', b.shape, [w.shape[0]], 'There is one bias for each unit.')
    return [w.shape[0]]
  },

  macs: (node) => size(node.inputs[1].shape),

  forward(e, node) {
    const [x, w, b] = node.inputs
    const [n, k] = w.shape
    const packed = e.prepared(`${node.name}/packed`, Math.ceil(n / 8) * 8 * (k + 1), (to) =>
      e.call('pack_f32', e.value(w), b ? e.value(b) : 0, to, n, k, k, 1),
    )
    e.call('gemm_f32', e.value(x), packed, e.value(node), rows(e, node), n, k, k, 1, n, ...clampOf(node), 0)
  },

  backward(e, node) {
    const [x, w, b] = node.inputs
    const [n, k] = w.shape
    const m = rows(e, node)
    const dy = e.grad(node)
    if (!dy) return
    if (node.attrs.activation) e.call('clamp_f32_mask', e.value(node), dy, dy.length, ...clampOf(node))
    const db = b && e.grad(b)
    if (db) e.call('sumRows_f32', dy, db, m, n)
    const dw = e.grad(w)
    if (dw) {
      const packed = e.scratch(Math.ceil(k / 8) * 8 * (m + 1))
      e.call('pack_f32', e.value(x), 0, packed, k, m, 1, k)
      e.call('gemm_f32', dy, packed, dw, n, k, m, 1, n, k, -Infinity, Infinity, 1)
    }
    const dx = e.grad(x)
    if (dx) {
      const packed = e.scratch(Math.ceil(k / 8) * 8 * (n + 1))
      e.call('pack_f32', e.value(w), 0, packed, k, n, 1, k)
      e.call('gemm_f32', dy, packed, dx, m, k, n, n, 1, k, -Infinity, Infinity, 1)
    }
  },

  int8: {
    quant: 'calibrated',
    weightAxis: 0,
    forward(e, node) {
      const [n, k] = node.inputs[1].shape
      const m = rows(e, node)
      if (e.target === 'module') {
        const { before, after } = int8Args(e, node)
        e.call('dense_i8', ...before, m, n, k, ...after)
        return
      }
      const { before, after } = packedArgs(e, node, { segments: 1, chunk: k, channelStep: k, segmentStep: k, step: 1, four: 1 })
      // A 1x1 convolution on an image of one row, a pixel for each sample.
      const sizes = [1, 1, m, k, 1, m, n, 1, 1, 1, 1, 1, 1, 0, 0] as const
      e.call('packedConv2d_i8', ...before, e.scratch(packedScratch(1 + m, m * k)), ...sizes, ...after)
    },
  },
}
