// Losses: weights of 0 and others, labels that name no class, and targets as each loss wants them.

import { input, type Node, size } from '../../src/graph/node'
import { Random } from '../../src/graph/random'
import type { OpName } from '../../src/ops'
import { crossEntropy } from '../../src/ops/crossEntropy'
import {
  binaryCrossEntropy,
  categoricalCrossEntropy,
  hinge,
  huber,
  klDivergence,
  type LossOptions,
  meanAbsoluteError,
  meanSquaredError,
} from '../../src/ops/losses'
import { type Sample, text } from './sample'

const loss = (
  classes: number,
  labels: number[],
  weights: number[],
  range = 2,
  labelSmoothing?: number,
  reduction?: 'sum',
): Sample => ({
  what: `${classes} classes, labels ${labels}, weights ${weights}, logits within ${range}, smoothing ${labelSmoothing ?? 0} ${reduction ?? ''}`,
  batch: labels.length,
  node: crossEntropy(input([classes]), input([1], { name: 'labels', dtype: 'i32' }), input([1], { name: 'weights' }), {
    labelSmoothing,
    reduction,
  }),
  given: { 1: Int32Array.from(labels), 2: Float32Array.from(weights) },
  range,
})

type MakeLoss<O> = (prediction: Node, target: Node, weights: Node, options?: O) => Node

/** Samples of a loss with a target of the prediction's shape: [shape, weights, options]; `target` draws the targets. */
const lossLike =
  <O>(make: MakeLoss<O>, target: (random: Random, shape: readonly number[], count: number) => number[], range = 2) =>
  ([shape, weights, options]: readonly [readonly number[], number[], O?]): Sample => ({
    what: `${text(shape)} weights ${weights} ${options ? text(options) : ''}`,
    batch: weights.length,
    node: make(input(shape), input(shape, { name: 'target' }), input([1], { name: 'weights' }), options),
    given: { 1: Float32Array.from(target(new Random(size(shape)), shape, weights.length)), 2: Float32Array.from(weights) },
    range,
  })

const drawn =
  (low: number, high: number) =>
  (random: Random, shape: readonly number[], count: number): number[] =>
    Array.from({ length: count * size(shape) }, () => random.uniform(low, high))

/** Differences at 0 and 1 would leave the range: the predictions are drawn between. */
const ofProbabilities = (shape: readonly number[], weights: number[], options: LossOptions): Sample => {
  const attrs = { ...options, fromLogits: false }
  const sample = lossLike(binaryCrossEntropy, drawn(0, 1))([shape, weights, attrs])
  return { ...sample, low: 0.02, range: 0.98 }
}

const signs = (random: Random, shape: readonly number[], count: number): number[] =>
  Array.from({ length: count * size(shape) }, () => random.integer(2) * 2 - 1)

/** Probabilities of the classes, a third of them 0. */
const probabilities = (random: Random, [classes]: readonly number[], count: number): number[] =>
  Array.from({ length: count }, () => {
    const row = Array.from({ length: classes }, (_, j) => (j % 3 === 1 ? 0 : random.uniform(0.01, 1)))
    const sum = row.reduce((a, b) => a + b, 0)
    return row.map((v) => v / sum)
  }).flat()

const lossShapes: [number[], number[]][] = [
  [[1], [1]],
  [[1], [1, 2, 0.5]],
  [[5], [1, 0, 2]],
  [
    [2, 3],
    [1, 1],
  ],
  [[3, 2, 4], [0.5]],
  [[17], [3, 1]],
  [[4], [0, 0]],
]

const lossRows: [number[], number[]][] = [
  [[1], [1]],
  [[2], [1, 2, 0.5]],
  [[5], [1, 0, 2]],
  [[10], [1, 1]],
  [[17], [0.25]],
  [[33], [3, 1]],
  [[4], [0, 0]],
]

export const losses = {
  binaryCrossEntropy: [
    ...lossShapes.map(lossLike(binaryCrossEntropy, drawn(0, 1), 3)),
    lossLike(binaryCrossEntropy, drawn(0, 1), 3)([[5], [1, 0, 2], { reduction: 'sum' }]),
    ...lossShapes.map(([shape, weights]) => ofProbabilities(shape, weights, {})),
    ofProbabilities([5], [1, 0, 2], { reduction: 'sum' }),
  ],
  categoricalCrossEntropy: [
    ...lossRows.map(lossLike(categoricalCrossEntropy, probabilities)),
    ...[0.1, 0.5].map((labelSmoothing) => lossLike(categoricalCrossEntropy, probabilities)([[7], [1, 2], { labelSmoothing }])),
    lossLike(categoricalCrossEntropy, probabilities)([[7], [1, 0, 2], { labelSmoothing: 0.1, reduction: 'sum' }]),
  ],
  crossEntropy: [
    loss(2, [1], [1]),
    loss(10, [3, 0, 9], [1, 1, 1]),
    loss(5, [4, 2, 1, 0], [0.5, 0, 2, 1]),
    loss(17, [16, 5, 7], [1, 0.25, 0]),
    loss(33, [32], [3]),
    loss(4, [0, 3], [0, 0]),
    loss(5, [-1, 2, 5, 4], [1, 0.5, 1, 1]),
    loss(3, [2 ** 31 - 1, -(2 ** 31)], [1, 1]),
    loss(2, [0, 1], [1, 3], 2, 0.5),
    loss(10, [3, 0, 9], [1, 0, 2], 2, 0.1),
    loss(17, [16, -7], [1, 1], 2, 0.2),
    loss(5, [-1, 2, 5, 4], [1, 0.5, 1, 3], 2, 0.1, 'sum'),
  ],
  hinge: [...lossShapes.map(lossLike(hinge, signs)), lossLike(hinge, signs)([[5], [1, 0, 2], { reduction: 'sum' }])],
  huber: [
    ...lossShapes.map(lossLike(huber, drawn(-2, 2))),
    ...[0.25, 3].map((delta) => lossLike(huber, drawn(-2, 2))([[9], [1, 2], { delta }])),
    lossLike(huber, drawn(-2, 2))([[5], [1, 0, 2], { reduction: 'sum' }]),
  ],
  klDivergence: [
    ...lossRows.map(lossLike(klDivergence, probabilities)),
    lossLike(klDivergence, probabilities)([[5], [1, 0, 2], { reduction: 'sum' }]),
  ],
  meanAbsoluteError: [
    ...lossShapes.map(lossLike(meanAbsoluteError, drawn(-2, 2))),
    lossLike(meanAbsoluteError, drawn(-2, 2))([[5], [1, 0, 2], { reduction: 'sum' }]),
  ],
  meanSquaredError: [
    ...lossShapes.map(lossLike(meanSquaredError, drawn(-2, 2))),
    lossLike(meanSquaredError, drawn(-2, 2))([[5], [1, 0, 2], { reduction: 'sum' }]),
  ],
} satisfies Partial<Record<OpName, Sample[]>>
