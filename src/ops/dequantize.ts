// dequantize: int8 steps as real numbers. Before it a network is int8, after it float: the head of a quantized model that learns on a device.

import { DunlinError } from '../graph/error'
import type { Layer } from '../graph/node'
import { elementwise } from './calls'
import { expectInputs, makeNode, type Op, quantOf, where } from './op'

/** The real numbers that an int8 value stands for: scale * (q - zeroPoint). x int8 of any shape -> f32 of the same shape. */
export function dequantize(options: { name?: string } = {}): Layer {
  return (x) => makeNode(dequantizeOp, { op: 'dequantize', name: options.name ?? '', attrs: {}, inputs: [x] })
}

export const dequantizeOp: Op = {
  shape(node) {
    expectInputs(node, 1, 'x')
    const [x] = node.inputs
    if (x.dtype !== 'i8') throw new DunlinError(`${where(node)}: x is ${x.dtype}, wanted i8. Float values need no dequantize.`)
    quantOf(x)
    return x.shape
  },
  reads: ['i8'],
  forward(e, node) {
    const [x, y] = [e.value(node.inputs[0]), e.value(node)]
    const { scale, zeroPoint } = quantOf(node.inputs[0])
    elementwise(e, y.length, (from, n) => e.call('dequantize_i8', e.at(x, from), e.at(y, from), n, scale[0], zeroPoint))
  },
}
