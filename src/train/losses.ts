// What a trainer minimizes. A `Loss` says which value of the model it judges, what the target of a sample looks like, and makes the node.
// Every one is, over a batch, the sum of weight * loss of the sample over the sum of the weights. With `reduction: 'sum'` gradients are
// those of the sum alone, so that a step grows with the batch; what is told is the mean all the same.

import type { Dtype, Node, Shape } from '../graph/node'
import * as cross from '../ops/crossEntropy'
import type { LossOptions } from '../ops/losses'
import * as ops from '../ops/losses'
import { accuracy, type Metric } from './metrics'

export interface Loss {
  /** The op's name. */
  readonly name: string
  /** The value that the loss judges for an output of the model: what goes into a last softmax or sigmoid that the loss has in itself. */
  prediction(output: Node): Node
  /** Of one sample, for a value of `prediction`. Class indices are i32 [1]. */
  target(prediction: Node): { dtype: Dtype; shape: Shape }
  /** The loss of the batch: one number. `target` as said above, `weights` [1]: how much a sample counts. */
  node(prediction: Node, target: Node, weights: Node): Node
  /** What is told beside the loss, for a model with this output, unless the user says it: makers of metrics. */
  metrics?(output: Node): readonly (() => Metric)[]
  /** Targets are probabilities of classes; metrics are told the likeliest. */
  readonly soft?: true
  /** The node is the sum of weight * loss of the sample, not divided by the sum of the weights. */
  readonly sum?: boolean
}

/**
 * Of a classifier with one right class: -ln of its probability. Targets are class indices; a sample with an index that is no class, such
 * as -1, does not count. `labelSmoothing` in [0, 1): the share of the probability that is spread over all classes.
 */
export function crossEntropy(options: { labelSmoothing?: number } & LossOptions = {}): Loss {
  return {
    name: 'crossEntropy',
    sum: isSum(options),
    prediction: before('softmax', 'logSoftmax'),
    target: () => ({ dtype: 'i32', shape: [1] }),
    node: (x, target, weights) => cross.crossEntropy(x, target, weights, options),
    metrics: () => [accuracy],
  }
}

/** Of a classifier with a probability of every class as target (soft labels, mixed images). */
export function categoricalCrossEntropy(options: { labelSmoothing?: number } & LossOptions = {}): Loss {
  const node: Loss['node'] = (x, target, weights) => ops.categoricalCrossEntropy(x, target, weights, options)
  const sum = isSum(options)
  return { name: 'categoricalCrossEntropy', prediction: before('softmax', 'logSoftmax'), target: alike, node, sum, ...soft }
}

/**
 * Of independent yes-or-no answers: each target in [0, 1]. The model ends in logits or in a sigmoid, which the loss has in itself. With
 * `fromLogits: false` it judges the output as it is, which must be a probability: for a model that ends in something else, such as
 * a hardSigmoid; after a sigmoid the default is more accurate.
 */
export function binaryCrossEntropy(options: { fromLogits?: boolean } & LossOptions = {}): Loss {
  const { fromLogits = true } = options
  const metrics: Loss['metrics'] = ({ op }) => [() => accuracy({ threshold: op === 'sigmoid' || !fromLogits ? 0.5 : 0 })]
  const node: Loss['node'] = (x, target, weights) => ops.binaryCrossEntropy(x, target, weights, options)
  const prediction = fromLogits ? before('sigmoid') : before()
  return { name: 'binaryCrossEntropy', prediction, target: alike, node, metrics, sum: isSum(options) }
}

/** Mean of the squared errors. */
export function meanSquaredError(options: LossOptions = {}): Loss {
  const node: Loss['node'] = (x, target, weights) => ops.meanSquaredError(x, target, weights, options)
  return { name: 'meanSquaredError', prediction: before(), target: alike, node, sum: isSum(options) }
}

/** Mean of the absolute errors. */
export function meanAbsoluteError(options: LossOptions = {}): Loss {
  const node: Loss['node'] = (x, target, weights) => ops.meanAbsoluteError(x, target, weights, options)
  return { name: 'meanAbsoluteError', prediction: before(), target: alike, node, sum: isSum(options) }
}

/** Squared for errors up to `delta` (default 1), absolute beyond: outliers pull no harder than an error of `delta`. */
export function huber(options: { delta?: number } & LossOptions = {}): Loss {
  const node: Loss['node'] = (x, target, weights) => ops.huber(x, target, weights, options)
  return { name: 'huber', prediction: before(), target: alike, node, sum: isSum(options) }
}

/** Kullback-Leibler divergence of the model's probabilities from those of the target: to learn from another model's answers. */
export function klDivergence(options: LossOptions = {}): Loss {
  const node: Loss['node'] = (x, target, weights) => ops.klDivergence(x, target, weights, options)
  const sum = isSum(options)
  return { name: 'klDivergence', prediction: before('softmax', 'logSoftmax'), target: alike, node, sum, ...soft }
}

/** Of a classifier that keeps a margin of 1 between its answers: targets are -1 or 1. */
export function hinge(options: LossOptions = {}): Loss {
  const metrics: Loss['metrics'] = () => [() => accuracy({ threshold: 0 })]
  const node: Loss['node'] = (x, target, weights) => ops.hinge(x, target, weights, options)
  return { name: 'hinge', prediction: before(), target: alike, node, metrics, sum: isSum(options) }
}

/** What goes into an output that one of these ops makes; any other output as it is. */
function before(...ops: string[]): Loss['prediction'] {
  return (output) => (ops.includes(output.op) ? output.inputs[0] : output)
}

const isSum = ({ reduction }: LossOptions): boolean => reduction === 'sum'
const soft = { soft: true, metrics: () => [accuracy] } as const
const alike: Loss['target'] = ({ shape }) => ({ dtype: 'f32', shape })
