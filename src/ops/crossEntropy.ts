// crossEntropy: the loss of a classifier, from logits: mean over the batch of -ln softmax(x)[label], each sample with a weight.

import { DunlinError } from '../graph/error'
import type { Node } from '../graph/node'
import { expectInputs, expectShape, makeNode, type Op, rows, where } from './op'

/** Softmax cross entropy. logits [classes], labels i32 [1], weights [1] -> one number for the whole batch. */
export function crossEntropy(logits: Node, labels: Node, weights: Node): Node {
  return makeNode(crossEntropyOp, { op: 'crossEntropy', name: 'loss', attrs: {}, inputs: [logits, labels, weights] })
}

export const crossEntropyOp: Op = {
  reducesBatch: true,
  shape(node) {
    expectInputs(node, 3, 'logits, labels, weights')
    const [x, labels, weights] = node.inputs
    if (x.shape.length !== 1) {
      throw new DunlinError(
        `${where(node)}: wants logits [classes], got shape [${x.shape}]. End the network with flatten() or dense().`,
      )
    }
    if (labels.dtype !== 'i32') throw new DunlinError(`${where(node)}: labels are ${labels.dtype}, wanted i32 class indices.`)
    expectShape(node, 'labels', labels.shape, [1], 'There is one class index for each sample.')
    expectShape(node, 'weights', weights.shape, [1], 'There is one weight for each sample.')
    return [1]
  },
  forward(e, node) {
    const [x, labels, weights] = node.inputs
    e.call('crossEntropy_f32', e.value(x), e.value(labels), e.value(weights), e.value(node), rows(e, x), x.shape[0])
  },
  backward(e, node) {
    const [x, labels, weights] = node.inputs
    const dy = e.grad(node)
    const dx = e.grad(x)
    if (dy && dx) e.call('crossEntropy_f32_dx', e.value(x), e.value(labels), e.value(weights), dy, dx, rows(e, x), x.shape[0])
  },
}
