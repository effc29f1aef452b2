// A tally of an epoch: the mean loss, each batch by its weight, and metrics over its samples. Results are computed when they are read:
// that of a metric may take a while.

import { DunlinError } from '../graph/error'
import type { Scores } from './callbacks'
import { putBack } from './checkpoint'
import type { Metric } from './metrics'

export class Tally {
  private readonly made: Metric[]
  private readonly sums = { loss: 0, weight: 0 }

  /** `sum`: the loss of a batch is a sum, by weight already. */
  constructor(
    makers: readonly (() => Metric)[],
    private readonly sum = false,
  ) {
    this.made = makers.map((make) => make())
    const names = this.made.map(({ name }) => name)
    const twice = names.find((name, i) => names.indexOf(name) < i)
    if (twice !== undefined) throw new DunlinError(`Trainer: there are two metrics "${twice}". Give each a name of its own.`)
  }

  /** Forgets everything. */
  reset(): void {
    this.sums.loss = 0
    this.sums.weight = 0
    for (const metric of this.made) metric.reset()
  }

  /** Takes in the loss of a batch, and outputs and targets of its samples. */
  add(loss: number, weight: number, outputs: ArrayLike<number>, targets: ArrayLike<number>): void {
    this.sums.loss += this.sum ? loss : loss * weight
    this.sums.weight += weight
    for (const metric of this.made) metric.add(outputs, targets)
  }

  /** The mean; that of samples that do not count is 0. */
  get loss(): number {
    return this.sums.loss / (this.sums.weight || 1)
  }

  /** The result of each metric, by its name. */
  get metrics(): Record<string, number> {
    return Object.fromEntries(this.made.map((metric) => [metric.name, metric.result()]))
  }

  /** Over everything since the last reset. */
  result(): Scores {
    return { loss: this.loss, metrics: this.metrics }
  }

  /** Plain data: all that it knows. */
  get state(): object {
    return { sums: this.sums, metrics: this.made.map(({ state }) => state ?? null) }
  }

  set state(kept: object) {
    const { sums, metrics } = kept as { sums: object; metrics: (object | null)[] }
    putBack(this.sums, sums)
    this.made.forEach(({ state }, i) => {
      if (state && metrics[i]) putBack(state, metrics[i])
    })
  }
}
