// Metrics against definitions that are slow and plain: pairs for the area under the curve, counting for everything else; in one go and
// batch by batch.

import { describe, expect, it } from 'vitest'
import { DunlinError } from '../src/graph/error'
import { Random } from '../src/graph/random'
import * as model from '../src/model/model'
import {
  accuracy,
  auc,
  type Confusion,
  confusionMatrix,
  confusionTable,
  f1,
  type Metric,
  macro,
  meanAbsoluteError,
  meanSquaredError,
  measure,
  precision,
  recall,
  scores,
  topK,
} from '../src/train/metrics'

/** Outputs of few distinct values, so that there are ties, and labels. */
function drawn(seed: number, count: number, classes: number) {
  const random = new Random(seed)
  const y = Float32Array.from({ length: count * classes }, () => random.integer(7) / 4 - 0.5)
  return { y, labels: Int32Array.from({ length: count }, () => random.integer(Math.max(2, classes))) }
}
const row = (y: Float32Array, i: number, classes: number) => [...y.subarray(i * classes, (i + 1) * classes)]
const share = (list: boolean[]) => list.filter(Boolean).length / list.length

const METRICS: [string, () => Metric<unknown>][] = [
  ['accuracy', accuracy],
  ['topK(2)', () => topK(2)],
  ['confusionMatrix', confusionMatrix],
  ['precision', precision],
  ['recall of class 1', () => recall({ class: 1 })],
  ['f1', f1],
]
const BINARY: [string, () => Metric<unknown>][] = [
  ['auc', auc],
  ['meanAbsoluteError', meanAbsoluteError],
  ['meanSquaredError', meanSquaredError],
  ['accuracy', accuracy],
]

describe('a metric', () => {
  it.each([
    ...METRICS.map(([name, make]) => [name, make, 4] as const),
    ...BINARY.map(([name, make]) => [name, make, 1] as const),
  ])('%s is the same batch by batch, and starts afresh after a reset', (_, make, classes) => {
    const { y, labels } = drawn(3, 50, classes)
    const whole = measure(make(), y, labels)
    const metric = make()
    metric.add(y.subarray(0, 10 * classes), labels.subarray(0, 10))
    metric.reset()
    for (let at = 0; at < 50; at += 16) metric.add(y.subarray(at * classes, (at + 16) * classes), labels.subarray(at, at + 16))
    expect(metric.result()).toEqual(whole)
    expect(metric.result()).toEqual(whole)
  })

  it('of nothing is NaN', () => {
    for (const make of [accuracy, auc, f1, precision, meanSquaredError]) {
      expect(make().result(), make.name).toBeNaN()
      expect(measure(make(), [], []), make.name).toBeNaN()
    }
    expect(confusionMatrix().result()).toEqual([])
  })
})

describe('classes', () => {
  it.each([2, 3, 10])('accuracy and topK of %d', (classes) => {
    const { y, labels } = drawn(classes, 200, classes)
    expect(measure(accuracy(), y, labels)).toBe(model.accuracy(y, labels))
    expect(measure(topK(1), y, labels)).toBe(model.accuracy(y, labels))
    for (let k = 1; k <= classes; k++) {
      const right = [...labels].map((label, i) => {
        const order = row(y, i, classes)
          .map((v, j) => [v, j])
          .sort((a, b) => b[0] - a[0] || a[1] - b[1])
        return order.slice(0, k).some(([, j]) => j === label)
      })
      expect(measure(topK(k), y, labels), `top ${k}`).toBe(share(right))
    }
    expect(measure(topK(classes), y, labels)).toBe(1)
  })

  it('a single output is 1 above the threshold', () => {
    expect(measure(accuracy(), [0.4, 0.6, 0.5, 0.9], [0, 1, 1, 0])).toBe(0.5)
    expect(measure(accuracy({ threshold: 0 }), [-0.4, 0.6, 0.1], [-1, 1, -1])).toBe(2 / 3)
    expect(measure(confusionMatrix(), [0.4, 0.6, 0.5, 0.9], [0, 1, 1, 0])).toEqual([
      [1, 1],
      [1, 1],
    ])
  })

  it('of a label that is none of them do not count, as in the loss', () => {
    const y = [0, 1, 1, 0, 0, 1]
    for (const unknown of [-1, 2, 0.5, Number.NaN]) {
      expect(measure(accuracy(), y, [1, unknown, 0])).toBe(0.5)
      expect(measure(topK(1), y, [1, unknown, 0])).toBe(0.5)
      expect(measure(confusionMatrix(), y, [1, unknown, 0])).toEqual([
        [0, 1],
        [0, 1],
      ])
    }
  })

  it('an output that is not a number is not among the largest', () => {
    expect(measure(topK(1), [Number.NaN, 1, 0], [0])).toBe(0)
    expect(measure(topK(2), [Number.NaN, 1, 0], [0])).toBe(0)
    expect(measure(topK(1), [Number.NaN, 1, 0], [1])).toBe(1)
  })
})

describe('the confusion matrix', () => {
  // Four classes: 2 is never answered, 3 does not occur at all.
  const confusion: Confusion = [
    [5, 1, 0, 0],
    [2, 6, 0, 0],
    [1, 3, 0, 0],
    [0, 0, 0, 0],
  ]
  /** One-hot outputs with this matrix. */
  const samples = confusion.flatMap((counts, label) =>
    counts.flatMap((n, answered) => Array.from({ length: n }, () => ({ label, y: [0, 1, 2, 3].map((j) => +(j === answered)) }))),
  )
  const y = samples.flatMap((s) => s.y)
  const labels = samples.map((s) => s.label)

  it('counts labels by rows, answers by columns', () => {
    expect(measure(confusionMatrix(), y, labels)).toEqual(confusion)
  })

  it('has precision, recall and F1 of each class, 0 where there is nothing to share', () => {
    const f = (p: number, r: number) => (2 * p * r) / (p + r)
    expect(scores(confusion)).toEqual([
      { precision: 5 / 8, recall: 5 / 6, f1: expect.closeTo(f(5 / 8, 5 / 6), 12), count: 6 },
      { precision: 6 / 10, recall: 6 / 8, f1: expect.closeTo(f(6 / 10, 6 / 8), 12), count: 8 },
      { precision: 0, recall: 0, f1: 0, count: 4 },
      { precision: 0, recall: 0, f1: 0, count: 0 },
    ])
    for (const [make, key] of [
      [precision, 'precision'],
      [recall, 'recall'],
      [f1, 'f1'],
    ] as const)
      for (const only of [0, 1, 2, 3]) expect(measure(make({ class: only }), y, labels)).toBe(scores(confusion)[only][key])
  })

  it('has the mean over the classes that occur', () => {
    const { precision: p, recall: r, f1: f } = macro(confusion)
    expect(p).toBeCloseTo((5 / 8 + 6 / 10) / 3, 12)
    expect(r).toBeCloseTo((5 / 6 + 6 / 8) / 3, 12)
    expect([measure(precision(), y, labels), measure(recall(), y, labels), measure(f1(), y, labels)]).toEqual([p, r, f])
  })

  it('reads as text', () => {
    expect(confusionTable(confusion, ['cat', 'dog', 'a bird'])).toMatchInlineSnapshot(`
      "is \\ answered  cat  dog  a bird  3  precision  recall     f1
      -------------  ---  ---  ------  -  ---------  ------  -----
      cat              5    1       0  0      0.625   0.833  0.714
      dog              2    6       0  0      0.600   0.750  0.667
      a bird           1    3       0  0      0.000   0.000  0.000
      3                0    0       0  0      0.000   0.000  0.000"
    `)
  })

  it('is not one with the counts inside of the metric', () => {
    const metric = confusionMatrix()
    metric.add([1, 0], [0])
    metric.result()[0][0] = 99
    expect(metric.result()).toEqual([
      [1, 0],
      [0, 0],
    ])
  })
})

describe('auc', () => {
  /** Share of the pairs of different classes that are in order. */
  function pairs(values: Float32Array, labels: ArrayLike<number>): number {
    let [sum, count] = [0, 0]
    for (let i = 0; i < values.length; i++)
      for (let j = 0; j < values.length; j++) {
        if (labels[i] !== 1 || labels[j] !== 0) continue
        sum += values[i] > values[j] ? 1 : values[i] === values[j] ? 0.5 : 0
        count++
      }
    return sum / count
  }

  it('is the share of the pairs that are in order, a tie counting half', () => {
    for (const count of [2, 5, 30, 101]) {
      const { y, labels } = drawn(count, count, 1)
      labels.set([0, 1])
      expect(measure(auc(), y, labels), `${count} samples`).toBeCloseTo(pairs(y, labels), 12)
    }
    const random = new Random(1)
    const continuous = Float32Array.from({ length: 300 }, () => random.uniform(-1, 1))
    const labels = Int32Array.from(continuous, (v) => +(v + random.uniform(-1, 1) > 0))
    expect(measure(auc(), continuous, labels)).toBeCloseTo(pairs(continuous, labels), 12)
  })

  it('is 1 in order, 0 in reverse, a half where all are equal; NaN with one class or a value that is none', () => {
    expect(measure(auc(), [0.1, 0.2, 0.8], [0, 0, 1])).toBe(1)
    expect(measure(auc(), [0.9, 0.8, 0.2], [0, 0, 1])).toBe(0)
    expect(measure(auc(), [3, 3, 3], [0, 1, 0])).toBe(0.5)
    expect(measure(auc(), [0.1, 0.2], [1, 1])).toBeNaN()
    expect(measure(auc(), [0.1, Number.NaN, 3], [1, 0, 1])).toBeNaN()
  })

  it('of two outputs goes by the second less the first', () => {
    const { y, labels } = drawn(8, 40, 2)
    const difference = Float32Array.from(labels, (_, i) => y[2 * i + 1] - y[2 * i])
    expect(measure(auc(), y, labels)).toBe(measure(auc(), difference, labels))
  })
})

it('errors of numbers are means over the elements', () => {
  expect(measure(meanAbsoluteError(), [1, 2, -3, 0], [0, 2, 1, 0.5])).toBe(5.5 / 4)
  expect(measure(meanSquaredError(), [1, 2, -3, 0], [0, 2, 1, 0.5])).toBe(17.25 / 4)
})

it('what does not fit is refused, with what is wanted', () => {
  const message = (attempt: () => unknown) => {
    try {
      attempt()
    } catch (error) {
      expect(error).toBeInstanceOf(DunlinError)
      return (error as Error).message
    }
  }
  const two = confusionMatrix()
  two.add([1, 0], [0])
  expect([
    message(() => measure(accuracy(), [1, 2, 3], [0, 1])),
    message(() => measure(accuracy(), [1], [])),
    message(() => measure(meanSquaredError(), [1, 2], [0])),
    message(() => measure(auc(), [1, 2, 3], [0])),
    message(() => two.add([1, 0, 0], [0])),
    message(() => topK(0)),
    message(() => recall({ class: -1 })),
    message(() => measure(recall({ class: 2 }), [1, 0], [0])),
  ]).toMatchInlineSnapshot(`
    [
      "accuracy: got 3 predictions for 2 targets, wanted the same number of outputs for each sample.",
      "accuracy: got 1 predictions for 0 targets, wanted the same number of outputs for each sample.",
      "meanSquaredError: got 2 predictions and 1 targets, wanted as many of one as of the other.",
      "auc: got 3 outputs for each sample, wanted 1 or 2. It compares two classes.",
      "confusionMatrix: got outputs of 3 classes after some of 2. Reset it between models.",
      "topK: k wants a positive integer, got 0.",
      "recall: class wants the index of a class, got -1.",
      "recall: there is no class 2 among the 2 of these outputs.",
    ]
  `)
})
