// Losses: a number for the batch from predictions, targets and weights of the samples.

import type { Node } from '../../src/graph/node'
import type { OpName } from '../../src/ops'
import type { BinaryCrossEntropyAttrs, HuberAttrs, LossAttrs } from '../../src/ops/losses'
import { type Definition, logSoftmax, type Numbers } from './definition'

export const losses = {
  binaryCrossEntropy: (node: Node<BinaryCrossEntropyAttrs>, x, target, weights) =>
    meanLoss(node, x, target, weights, (z, t) => {
      if (node.attrs.fromLogits === false) return -t * Math.log(z) - (1 - t) * Math.log1p(-z)
      // ln(1 + e^z) - t z, from the side that does not overflow.
      return Math.max(z, 0) + Math.log1p(Math.exp(-Math.abs(z))) - t * z
    }),

  categoricalCrossEntropy(node: Node<Smoothed>, x, target, weights) {
    const classes = node.inputs[0].shape[0]
    const smoothing = node.attrs.labelSmoothing ?? 0
    return rowLoss(node, weights, (i) => {
      const p = logSoftmax(Array.from({ length: classes }, (_, j) => x[i * classes + j]))
      return p.reduce((sum, v, j) => sum - ((1 - smoothing) * target[i * classes + j] + smoothing / classes) * v, 0)
    })
  },

  crossEntropy(node: Node<Smoothed>, x, labels, weights) {
    const classes = node.inputs[0].shape[0]
    const smoothing = node.attrs?.labelSmoothing ?? 0
    const known = Float64Array.from(weights, (w, i) => (labels[i] >= 0 && labels[i] < classes ? w : 0))
    return rowLoss(node, known, (i) => {
      const p = logSoftmax(Array.from({ length: classes }, (_, j) => x[i * classes + j]))
      return -(1 - smoothing) * p[labels[i]] - smoothing * (p.reduce((sum, v) => sum + v, 0) / classes)
    })
  },

  hinge: (node: Node<LossAttrs>, x, target, weights) => meanLoss(node, x, target, weights, (v, t) => Math.max(0, 1 - t * v)),

  huber: (node: Node<HuberAttrs>, x, target, weights) =>
    meanLoss(node, x, target, weights, (v, t) => {
      const [d, { delta }] = [Math.abs(v - t), node.attrs]
      return d <= delta ? (d * d) / 2 : delta * (d - delta / 2)
    }),

  klDivergence(node, x, target, weights) {
    const classes = node.inputs[0].shape[0]
    return rowLoss(node, weights, (i) => {
      const p = logSoftmax(Array.from({ length: classes }, (_, j) => x[i * classes + j]))
      return p.reduce((sum, v, j) => {
        const t = target[i * classes + j]
        return t > 0 ? sum + t * (Math.log(t) - v) : sum
      }, 0)
    })
  },

  meanAbsoluteError: (node: Node<LossAttrs>, x, target, weights) => meanLoss(node, x, target, weights, (v, t) => Math.abs(v - t)),

  meanSquaredError: (node: Node<LossAttrs>, x, target, weights) => meanLoss(node, x, target, weights, (v, t) => (v - t) ** 2),
} satisfies Partial<Record<OpName, Definition>>

interface Smoothed extends LossAttrs {
  labelSmoothing?: number
}

/** The rule of all losses: the weighted mean, or sum, of the losses of the samples that weigh something; 0 of none. */
function rowLoss({ attrs }: Node<LossAttrs>, weights: Numbers, lossOf: (sample: number) => number): Float64Array {
  let total = 0
  let mass = 0
  for (let i = 0; i < weights.length; i++) {
    if (!weights[i]) continue
    total += weights[i] * lossOf(i)
    mass += weights[i]
  }
  return Float64Array.of(attrs?.reduction === 'sum' ? total : mass > 0 ? total / mass : 0)
}

/** The loss of a sample is the mean of its elements'. */
function meanLoss(
  node: Node<LossAttrs>,
  x: Numbers,
  target: Numbers,
  weights: Numbers,
  of: (x: number, target: number) => number,
): Float64Array {
  const n = x.length / weights.length
  return rowLoss(node, weights, (i) => {
    let sum = 0
    for (let j = i * n; j < (i + 1) * n; j++) sum += of(x[j], target[j])
    return sum / n
  })
}
