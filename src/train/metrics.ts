// Metrics: what people judge a model by, beside the loss. A metric takes in batch after batch and has its result at any time; `measure`
// does it at once. Sums are float64. `predictions` holds the model's outputs, sample after sample.
//
// Classes: `targets` has one label for each sample; with one output a sample (binary) the label is 0 or 1 (or -1 or 1) and the answer is 1
// above `threshold`, with more the answer is the largest. A sample whose label is none of the classes does not count, as in crossEntropy.

import { DunlinError } from '../graph/error'
import { argmax } from '../model/model'
import { formatTable } from '../model/table'

type Numbers = ArrayLike<number>

export interface Metric<R = number> {
  readonly name: string
  /** Forgets everything. */
  reset(): void
  /** Takes in the outputs and targets of some samples, in lists that are used again afterwards. */
  add(predictions: Numbers, targets: Numbers): void
  /** Over everything since the last reset; a mean of nothing is NaN. */
  result(): R
  /** Plain data: all that it knows. Kept with a checkpoint and put back, it goes on as if never stopped. */
  readonly state?: object
}

interface Threshold {
  /** Of a single output: 0.5 (default) for probabilities, 0 for logits. */
  threshold?: number
}

/** The metric of all these samples. */
export function measure<R>(metric: Metric<R>, predictions: Numbers, targets: Numbers): R {
  metric.reset()
  metric.add(predictions, targets)
  return metric.result()
}

/** Share of the samples with the right answer; of yes-or-no outputs with as many targets, share of the right ones. */
export function accuracy(options: Threshold = {}): Metric {
  const answer = answers('accuracy', options)
  return mean('accuracy', (predictions, targets, tally) => {
    answer(predictions, targets, (label, answered) => tally(label === answered ? 1 : 0))
  })
}

/** Share of the samples whose label is among the `k` largest outputs; of equal outputs the first counts as larger. */
export function topK(k: number): Metric {
  if (!Number.isInteger(k) || k < 1) throw new DunlinError(`topK: k wants a positive integer, got ${k}.`)
  const name = `top${k}`
  return mean(name, (predictions, targets, tally) => {
    const classes = outputsOf(name, predictions, targets)
    for (let i = 0; i < targets.length; i++) {
      const label = targets[i]
      if (!isClass(label, classes)) continue
      const own = predictions[i * classes + label]
      let before = 0
      for (let j = 0; j < classes; j++) {
        const other = predictions[i * classes + j]
        // An output that is no number is behind all others.
        if (other > own || (other === own && j < label) || (Number.isNaN(own) && j !== label)) before++
      }
      tally(before < k ? 1 : 0)
    }
  })
}

/** Mean of |prediction - target| over all elements. */
export function meanAbsoluteError(): Metric {
  return overElements('meanAbsoluteError', Math.abs)
}

/** Mean of (prediction - target)^2 over all elements. */
export function meanSquaredError(): Metric {
  return overElements('meanSquaredError', (d) => d * d)
}

/** How often each class (row) was answered with each class (column). */
export type Confusion = number[][]

/** The confusion matrix; `confusionTable` prints it, `scores` reads precision and recall off it. */
export function confusionMatrix(options: Threshold = {}): Metric<Confusion> {
  const name = 'confusionMatrix'
  const answer = answers(name, options)
  const state: { counts: Confusion } = { counts: [] }
  return {
    name,
    state,
    reset() {
      state.counts = []
    },
    add(predictions, targets) {
      if (!targets.length) return
      const classes = Math.max(2, outputsOf(name, predictions, targets))
      if (!state.counts.length) state.counts = Array.from({ length: classes }, () => new Array<number>(classes).fill(0))
      const { counts } = state
      if (counts.length !== classes)
        throw new DunlinError(
          `${name}: got outputs of ${classes} classes after some of ${counts.length}. Reset it between models.`,
        )
      answer(predictions, targets, (label, answered) => {
        counts[label][answered]++
      })
    },
    result: () => state.counts.map((row) => [...row]),
  }
}

export interface Scores {
  /** Of the samples that got this answer, the share that it is right for. */
  precision: number
  /** Of the samples of this class, the share that got this answer. */
  recall: number
  /** Harmonic mean of the two. */
  f1: number
  /** Samples of this class. */
  count: number
}

/** Of each class. A share of no samples is 0. */
export function scores(confusion: Confusion): Scores[] {
  return confusion.map((row, i) => {
    const right = row[i]
    const count = row.reduce((a, b) => a + b, 0)
    const answered = confusion.reduce((sum, other) => sum + other[i], 0)
    const share = (of: number) => (of ? right / of : 0)
    // 2 p r / (p + r), without what cancels out.
    return { precision: share(answered), recall: share(count), f1: share((answered + count) / 2), count }
  })
}

/** Mean over the classes that occur, as a label or as an answer; each class counts alike (macro average). NaN if none does. */
export function macro(confusion: Confusion): Omit<Scores, 'count'> {
  const all = scores(confusion).filter(({ count }, i) => count || confusion.some((row) => row[i]))
  const over = (key: keyof Scores) => all.reduce((sum, s) => sum + s[key], 0) / all.length
  return { precision: over('precision'), recall: over('recall'), f1: over('f1') }
}

/** Precision of a class (its name is then `precision1`), or the macro average over all. */
export function precision(options: { class?: number } & Threshold = {}): Metric {
  return score('precision', options)
}

/** Recall of a class, or the macro average over all. */
export function recall(options: { class?: number } & Threshold = {}): Metric {
  return score('recall', options)
}

/** F1 of a class, or the macro average over all. */
export function f1(options: { class?: number } & Threshold = {}): Metric {
  return score('f1', options)
}

/** The matrix as text: a row for each class, a column for each answer, then precision, recall and F1. `labels` names the classes. */
export function confusionTable(confusion: Confusion, labels: readonly string[] = []): string {
  const names = confusion.map((_, i) => labels[i] ?? String(i))
  const each = scores(confusion)
  const rows = confusion.map((row, i) => {
    const { precision, recall, f1 } = each[i]
    return [names[i], ...row.map(String), ...[precision, recall, f1].map((v) => v.toFixed(3))]
  })
  return formatTable(['is \\ answered', ...names, 'precision', 'recall', 'f1'], rows)
}

/**
 * Area under the ROC curve: how likely a sample of class 1 gets a higher score than one of class 0, a tie counting half. Exact, by ranks:
 * it keeps a number for each sample. The score is the output, or of two outputs the second less the first. NaN while a class has no sample.
 */
export function auc(): Metric {
  const state: { values: number[]; positive: boolean[] } = { values: [], positive: [] }
  return {
    name: 'auc',
    state,
    reset() {
      state.values = []
      state.positive = []
    },
    add(predictions, targets) {
      const outputs = outputsOf('auc', predictions, targets)
      if (outputs > 2)
        throw new DunlinError(`auc: got ${outputs} outputs for each sample, wanted 1 or 2. It compares two classes.`)
      for (let i = 0; i < targets.length; i++) {
        if (outputs === 2 && !isClass(targets[i], 2)) continue
        state.values.push(outputs === 2 ? predictions[2 * i + 1] - predictions[2 * i] : predictions[i])
        state.positive.push(targets[i] > 0.5)
      }
    },
    result() {
      const { values, positive } = state
      if (values.some(Number.isNaN)) return Number.NaN
      const order = Uint32Array.from(values, (_, i) => i).sort((a, b) => values[a] - values[b] || a - b)
      const yes = positive.reduce((sum, p) => sum + (p ? 1 : 0), 0)
      // Twice the sum of the ranks of class 1, so that the mean ranks of ties are integers.
      let ranks = 0
      for (let from = 0; from < order.length; ) {
        let to = from + 1
        while (to < order.length && values[order[to]] === values[order[from]]) to++
        for (let i = from; i < to; i++) if (positive[order[i]]) ranks += from + to + 1
        from = to
      }
      return (ranks - yes * (yes + 1)) / (2 * yes * (values.length - yes))
    },
  }
}

/** A metric that is the mean of what `take` tallies. */
function mean(name: string, take: (predictions: Numbers, targets: Numbers, tally: (v: number) => void) => void): Metric {
  const state = { sum: 0, count: 0 }
  const tally = (v: number): void => {
    state.sum += v
    state.count++
  }
  return {
    name,
    state,
    reset() {
      state.sum = 0
      state.count = 0
    },
    add: (predictions, targets) => take(predictions, targets, tally),
    result: () => state.sum / state.count,
  }
}

function overElements(name: string, of: (difference: number) => number): Metric {
  return mean(name, (predictions, targets, tally) => {
    if (predictions.length !== targets.length)
      throw new DunlinError(
        `${name}: got ${predictions.length} predictions and ${targets.length} targets, wanted as many of one as of the other.`,
      )
    for (let i = 0; i < targets.length; i++) tally(of(predictions[i] - targets[i]))
  })
}

function score(name: 'precision' | 'recall' | 'f1', options: { class?: number } & Threshold): Metric {
  const { class: only, ...threshold } = options
  if (only !== undefined && !(Number.isInteger(only) && only >= 0))
    throw new DunlinError(`${name}: class wants the index of a class, got ${only}.`)
  const matrix = confusionMatrix(threshold)
  return {
    name: `${name}${only ?? ''}`,
    state: matrix.state,
    reset: matrix.reset,
    add: matrix.add,
    result() {
      const confusion = matrix.result()
      if (only === undefined || !confusion.length) return macro(confusion)[name]
      const of = scores(confusion)[only]
      if (!of) throw new DunlinError(`${name}: there is no class ${only} among the ${confusion.length} of these outputs.`)
      return of[name]
    },
  }
}

/** Calls `take` with label and answer of each sample that counts. */
function answers(name: string, { threshold = 0.5 }: Threshold) {
  return (predictions: Numbers, targets: Numbers, take: (label: number, answered: number) => void): void => {
    const outputs = outputsOf(name, predictions, targets)
    for (let i = 0; i < targets.length; i++) {
      if (outputs === 1) take(targets[i] > 0.5 ? 1 : 0, predictions[i] > threshold ? 1 : 0)
      else if (isClass(targets[i], outputs)) take(targets[i], argmax(predictions, i * outputs, outputs))
    }
  }
}

const isClass = (label: number, classes: number): boolean => Number.isInteger(label) && label >= 0 && label < classes

/** How many outputs a sample has; 1 when there are no samples. */
function outputsOf(name: string, predictions: Numbers, targets: Numbers): number {
  const outputs = predictions.length / targets.length
  if (!targets.length && !predictions.length) return 1
  if (!Number.isInteger(outputs) || outputs < 1)
    throw new DunlinError(
      `${name}: got ${predictions.length} predictions for ${targets.length} targets, wanted the same number of outputs for each sample.`,
    )
  return outputs
}
