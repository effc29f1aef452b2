// Between float and int8 values inside of a graph, and from one int8 scale to another: where a network is int8 in part, as imported models
// may be, and those whose float head learns on a device. (quantize() makes whole models int8, whose inputs and outputs change at the door.)

import { DunlinError } from '../graph/error'
import type { Layer, Quant } from '../graph/node'
import { elementwise, inStep, sameRows } from './calls'
import { quantizeMultiplier } from './fixedPoint'
import { expectInputs, makeNode, type Op, quantOf, type Unshaped, where } from './op'

/** A float value as int8: zeroPoint + x / scale, rounded half away from zero and clamped (TensorFlow Lite's QUANTIZE). */
export function toInt8(options: { quant: Quant; name?: string }): Layer {
  const { quant, name = '' } = options
  return (x) => makeNode(toInt8Op, { op: 'toInt8', name, attrs: {}, inputs: [x] }, { dtype: 'i8', quant })
}

/** The real numbers that an int8 value stands for: scale * (q - zeroPoint). x int8 of any shape -> f32 of the same shape. */
export function dequantize(options: { name?: string } = {}): Layer {
  return (x) => makeNode(dequantizeOp, { op: 'dequantize', name: options.name ?? '', attrs: {}, inputs: [x] })
}

/** An int8 value on another scale, rounded as everywhere in int8. */
export function rescale(options: { quant: Quant; name?: string }): Layer {
  const { quant, name = '' } = options
  return (x) => makeNode(rescaleOp, { op: 'rescale', name, attrs: {}, inputs: [x] }, { dtype: 'i8', quant })
}

const only = (dtype: 'f32' | 'i8') => (node: Unshaped) => {
  expectInputs(node, 1, 'x')
  const [x] = node.inputs
  if (x.dtype !== dtype) {
    const remedy = dtype === 'i8' ? 'Float values need none.' : 'Use rescale for int8 values.'
    throw new DunlinError(`${where(node)}: x is ${x.dtype}, wanted ${dtype}. ${remedy}`)
  }
  if (dtype === 'i8') quantOf(x)
  return x.shape
}

export const toInt8Op: Op = {
  shape: /* @__PURE__ */ only('f32'),
  int8: {
    quant: 'calibrated',
    reads: ['f32'],
    forward(e, node) {
      const [x, y] = [e.value(node.inputs[0]), e.value(node)]
      const { scale, zeroPoint } = quantOf(node)
      elementwise(e, y.length, (from, n) => e.call('toInt8_i8', e.at(x, from), e.at(y, from), n, scale[0], zeroPoint))
    },
  },
}

export const dequantizeOp: Op = {
  shape: /* @__PURE__ */ only('i8'),
  reads: ['i8'],
  forward(e, node) {
    const [x, y] = [e.value(node.inputs[0]), e.value(node)]
    const { scale, zeroPoint } = quantOf(node.inputs[0])
    elementwise(e, y.length, (from, n) => e.call('dequantize_i8', e.at(x, from), e.at(y, from), n, scale[0], zeroPoint))
  },
}

export const rescaleOp: Op = {
  shape: /* @__PURE__ */ only('i8'),
  int8: {
    quant: 'calibrated',
    reach: sameRows,
    forward(e, node) {
      const [x, y] = inStep(e, node)
      const [from, to] = [quantOf(node.inputs[0]), quantOf(node)]
      const { multiplier, shift } = quantizeMultiplier(from.scale[0] / to.scale[0])
      const after = [multiplier, shift, from.zeroPoint, to.zeroPoint] as const
      // A move of one row to the same place.
      elementwise(e, y.length, (at, n) =>
        e.call('requantize_i8', e.at(x, at), e.at(y, at), 1, 1, 1, n, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, ...after),
      )
    },
  },
}
