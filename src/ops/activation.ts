// relu, relu6: clamps, element by element. softmax: over the last axis. (conv2d and dense fuse a relu given as `activation`.)

import type { Layer } from '../graph/node'
import { softmaxScale } from './fixedPoint'
import { type Activation, CLAMPS, expectInputs, makeNode, type Op, quantizedClamp, quantOf } from './op'

/** max(x, 0). */
export function relu(options: { name?: string } = {}): Layer {
  return (x) => makeNode(reluOp, { op: 'relu', name: options.name ?? '', attrs: {}, inputs: [x] })
}

/** min(max(x, 0), 6). */
export function relu6(options: { name?: string } = {}): Layer {
  return (x) => makeNode(relu6Op, { op: 'relu6', name: options.name ?? '', attrs: {}, inputs: [x] })
}

/** exp(x) / sum of exp(x), over the last axis. For training leave it out: the loss `crossEntropy` takes logits. */
export function softmax(options: { name?: string } = {}): Layer {
  return (x) => makeNode(softmaxOp, { op: 'softmax', name: options.name ?? '', attrs: {}, inputs: [x] })
}

const clamp = (activation: Activation): Op => ({
  shape(node) {
    expectInputs(node, 1, 'x')
    return node.inputs[0].shape
  },
  forward(e, node) {
    const y = e.value(node)
    e.call('clamp_f32', e.value(node.inputs[0]), y, y.length, ...CLAMPS[activation])
  },
  backward(e, node) {
    const dy = e.grad(node)
    const dx = e.grad(node.inputs[0])
    if (dy && dx) e.call('clamp_f32_dx', e.value(node), dy, dx, dy.length, ...CLAMPS[activation])
  },
  int8: {
    quant: 'input',
    forward(e, node) {
      const y = e.value(node)
      e.call('clamp_i8', e.value(node.inputs[0]), y, y.length, ...quantizedClamp(CLAMPS[activation], quantOf(node)))
    },
  },
})

export const reluOp: Op = clamp('relu')
export const relu6Op: Op = clamp('relu6')

export const softmaxOp: Op = {
  shape(node) {
    expectInputs(node, 1, 'x')
    return node.inputs[0].shape
  },
  forward(e, node) {
    const y = e.value(node)
    const n = node.shape[node.shape.length - 1]
    e.call('softmax_f32', e.value(node.inputs[0]), y, y.length / n, n)
  },
  backward(e, node) {
    const dy = e.grad(node)
    const dx = e.grad(node.inputs[0])
    const n = node.shape[node.shape.length - 1]
    if (dy && dx) e.call('softmax_f32_dx', e.value(node), dy, dx, dy.length / n, n)
  },
  int8: {
    quant: { scale: [1 / 256], zeroPoint: -128 },
    forward(e, node) {
      const y = e.value(node)
      const n = node.shape[node.shape.length - 1]
      const { multiplier, shift, diffMin } = softmaxScale(quantOf(node.inputs[0]).scale[0])
      e.call('softmax_i8', e.value(node.inputs[0]), y, y.length / n, n, multiplier, shift, diffMin)
    },
  },
}
