// crossEntropy: the loss of a classifier, from logits: mean over the batch of -ln softmax(x)[label], each sample with a weight.

import { DunlinError } from '../graph/error'
import type { Node } from '../graph/node'
import {
  expectLogits,
  expectReduction,
  expectSamples,
  expectShare,
  type LossAttrs,
  type LossOptions,
  reductionOf,
  summed,
} from './losses'
import { expectInputs, expectShape, makeNode, type Op, rows, where } from './op'

export interface CrossEntropyAttrs extends LossAttrs {
  labelSmoothing?: number
}

/**
 * Softmax cross entropy. logits [classes], labels i32 [1], weights [1] -> one number for the whole batch. With `labelSmoothing` s in
 * [0, 1) the label has the probability 1 - s + s / classes and every other class s / classes (Szegedy et al., 2016). A sample whose
 * label is no class, such as -1, counts as one of weight 0. With reduction 'sum' the losses are summed up, each by its weight.
 */
export function crossEntropy(
  logits: Node,
  labels: Node,
  weights: Node,
  options: { labelSmoothing?: number } & LossOptions = {},
): Node {
  const attrs = { ...(options.labelSmoothing && { labelSmoothing: options.labelSmoothing }), ...reductionOf(options) }
  return makeNode(crossEntropyOp, { op: 'crossEntropy', name: 'loss', attrs, inputs: [logits, labels, weights] })
}

export const crossEntropyOp: Op<CrossEntropyAttrs> = {
  reducesBatch: true,
  shape(node) {
    expectInputs(node, 3, 'logits, labels, weights')
    const [, labels] = node.inputs
    expectLogits(node)
    if (labels.dtype !== 'i32') throw new DunlinError(`${where(node)}: labels are ${labels.dtype}, wanted i32 class indices.`)
    expectShape(node, 'labels', labels.shape, [1], 'There is one class index for each sample.')
    expectSamples(node)
    expectReduction(node)
    expectShare(node, 'labelSmoothing', node.attrs.labelSmoothing)
    return [1]
  },
  forward(e, node) {
    const [x, labels, weights] = node.inputs
    const { labelSmoothing = 0 } = node.attrs
    const sizes = [rows(e, x), x.shape[0]] as const
    e.call(
      'crossEntropy_f32',
      e.value(x),
      e.value(labels),
      e.value(weights),
      e.value(node),
      ...sizes,
      labelSmoothing,
      summed(node),
    )
  },
  backward(e, node) {
    const [x, labels, weights] = node.inputs
    const { labelSmoothing = 0 } = node.attrs
    const dy = e.grad(node)
    const dx = e.grad(x)
    const sizes = [rows(e, x), x.shape[0]] as const
    if (dy && dx)
      e.call('crossEntropy_f32_dx', e.value(x), e.value(labels), e.value(weights), dy, dx, ...sizes, labelSmoothing, summed(node))
  },
}
