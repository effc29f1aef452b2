// Between float and int8 values inside of a graph, and from one scale to another: what importers need where a model is int8 in part.
// (quantize() makes whole models int8, whose inputs and outputs change at the door.)

import { DunlinError } from '../graph/error'
import type { Layer, Quant } from '../graph/node'
import { elementwise } from './calls'
import { moveInt8, stepsOf } from './move'
import { expectInputs, makeNode, type Op, quantOf, type Unshaped, where } from './op'

const only = (dtype: 'f32' | 'i8') => (node: Unshaped) => {
  expectInputs(node, 1, 'x')
  const [x] = node.inputs
  if (x.dtype !== dtype) throw new DunlinError(`${where(node)}: wants a value that is ${dtype}, ${where(x)} is ${x.dtype}.`)
  return x.shape
}

/** A float value as int8: zeroPoint + x / scale, rounded half away from zero and clamped (TensorFlow Lite's QUANTIZE). */
export function toInt8(options: { quant: Quant; name?: string }): Layer {
  const { quant, name = '' } = options
  return (x) => makeNode(toInt8Op, { op: 'toInt8', name, attrs: {}, inputs: [x] }, { dtype: 'i8', quant })
}

/** An int8 value as float: scale * (q - zeroPoint). */
export function toFloat(options: { name?: string } = {}): Layer {
  return (x) => makeNode(toFloatOp, { op: 'toFloat', name: options.name ?? '', attrs: {}, inputs: [x] })
}

/** An int8 value on another scale, rounded as everywhere in int8. */
export function rescale(options: { quant: Quant; name?: string }): Layer {
  const { quant, name = '' } = options
  return (x) => makeNode(rescaleOp, { op: 'rescale', name, attrs: {}, inputs: [x] }, { dtype: 'i8', quant })
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

export const toFloatOp: Op = {
  shape: /* @__PURE__ */ only('i8'),
  reads: ['i8'],
  forward(e, node) {
    const [x, y] = [e.value(node.inputs[0]), e.value(node)]
    const { scale, zeroPoint } = quantOf(node.inputs[0])
    elementwise(e, y.length, (from, n) => e.call('toFloat_f32', e.at(x, from), e.at(y, from), n, scale[0], zeroPoint))
  },
}

export const rescaleOp: Op = {
  shape: /* @__PURE__ */ only('i8'),
  int8: {
    quant: 'calibrated',
    forward(e, node) {
      const [x] = node.inputs
      const whole = { at: 0, steps: stepsOf(x.shape) }
      moveInt8(e, node, x, { shape: x.shape, x: whole, y: whole })
    },
  },
}
