// Batches: samples, targets and weights of a dataset are written into a session's memory as the plan of a loss wants them, and the outputs
// are read back. Every view is made once: a step makes no garbage.

import type { Augmentation } from '../data/augment'
import type { Dataset, Samples } from '../data/dataset'
import { size, type TypedArray } from '../graph/node'
import type { Random } from '../graph/random'
import { argmax } from '../model/model'
import type { Port } from '../plan/plan'
import { enter } from '../session/door'
import type { Session } from '../session/session'
import { drawShare } from './mixup'

/** Where a loss with its inputs finds its data: ports of a plan and samples for each input of the model. */
export interface Source {
  data: Dataset
  inputs: readonly { port: Port; samples: Samples }[]
  target: Port
  weights: Port
  output: Port
  /** Metrics are told the likeliest class of a target, not the target. */
  soft: boolean
  /** Factors on the weights of the samples of each class. */
  classWeights?: readonly number[]
}

interface Feed {
  port: Port
  samples: Samples
  each: number
  into: TypedArray
}

/** Values of a sample that are copied one by one. */
const SHORT = 256

export class Batches {
  private readonly batch: number
  private readonly feeds: Feed[]
  private readonly target: TypedArray
  private readonly weights: TypedArray
  private readonly outputs: TypedArray
  /** Of the batch that was drawn last: a run uses the memory of its inputs again. */
  private readonly told: TypedArray
  /** The sample that is changed, where samples are, and the one that is mixed with it. */
  private readonly changed: readonly [Float32Array, Float32Array]
  /** Of each sample of the batch: which sample it is mixed with, and its own share. */
  private readonly mixed: { others: Uint32Array; shares: Float64Array }
  private readonly each: { target: number; output: number }

  /**
   * With `random` each sample of `data.x` is changed by `augment`, and then, where `mixup` is not 0, each sample and its target are mixed
   * with those of another one of the batch.
   */
  constructor(
    session: Session,
    private readonly source: Source,
    private readonly augment: readonly Augmentation[] = [],
    private readonly random?: Random,
    private readonly mixup = 0,
  ) {
    const { inputs, target, weights, output, soft } = source
    this.batch = target.batch
    this.feeds = inputs.map(({ port, samples }) => {
      return { port, samples, each: size(samples.shape), into: session.view(port) }
    })
    this.target = session.view(target)
    this.weights = session.view(weights)
    this.outputs = session.view(output)
    this.each = { target: size(target.shape), output: size(output.shape) }
    const told = soft ? this.batch : this.target.length
    this.told = target.dtype === 'i32' || soft ? new Int32Array(told) : new Float32Array(told)
    const most = Math.max(...this.feeds.map(({ each }) => each))
    this.changed = [new Float32Array(augment.length || mixup ? most : 0), new Float32Array(mixup ? most : 0)]
    this.mixed = { others: new Uint32Array(mixup ? this.batch : 0), shares: new Float64Array(mixup ? this.batch : 0) }
  }

  /** Writes `count` samples, from the `at`-th of an order on. Past them the order starts again, with samples of weight 0. */
  draw(order: ArrayLike<number>, at: number, count: number): void {
    const { data, soft } = this.source
    const { batch, told, target, mixup } = this
    const { others, shares } = this.mixed
    const each = this.each.target
    for (let i = 0; i < batch; i++) {
      const index = order[(at + i) % order.length]
      for (let j = 0; j < each; j++) target[i * each + j] = data.y[index * each + j]
      if (mixup) {
        const random = this.random as Random
        others[i] = order[at + random.integer(count)]
        shares[i] = drawShare(random, mixup)
        for (let j = 0; j < each; j++) {
          target[i * each + j] = shares[i] * target[i * each + j] + (1 - shares[i]) * data.y[others[i] * each + j]
        }
      }
      if (soft) told[i] = argmax(target, i * each, each)
      else for (let j = 0; j < each; j++) told[i * each + j] = target[i * each + j]
      this.weights[i] = i < count ? this.weightOf(index) : 0
    }
    for (const { port, samples, each, into } of this.feeds) {
      const augmented = this.augment.length > 0 && samples === data
      for (let i = 0; i < batch; i++) {
        const index = order[(at + i) % order.length]
        if (!augmented && !mixup) {
          enter(port, samples.x, index * each, each, into, i * each)
          continue
        }
        const [one, other] = this.changed
        this.change(samples, index, each, augmented, one)
        if (mixup) {
          this.change(samples, others[i], each, augmented, other)
          const share = shares[i]
          for (let j = 0; j < each; j++) one[j] = share * one[j] + (1 - share) * other[j]
        }
        enter(port, one, 0, each, into, i * each)
      }
    }
  }

  /** The sum of the weights of `count` samples from the `at`-th of an order on. */
  weight(order: ArrayLike<number>, at: number, count: number): number {
    let sum = 0
    for (let i = 0; i < count; i++) sum += this.weightOf(order[at + i])
    return sum
  }

  /** Outputs of the first `count` samples of the batch. */
  outputsOf(count: number): TypedArray {
    return count === this.batch ? this.outputs : this.outputs.subarray(0, count * this.each.output)
  }

  /** Targets of the first `count` samples of the batch, as metrics take them. */
  targetsOf(count: number): TypedArray {
    return count === this.batch ? this.told : this.told.subarray(0, (count * this.told.length) / this.batch)
  }

  /** As the kernel has it, in float32. */
  private weightOf(index: number): number {
    const { data, classWeights } = this.source
    return Math.fround((data.weights?.[index] ?? 1) * (classWeights?.[data.y[index]] ?? 1))
  }

  /** Copies a sample into the first `each` of `into`, and changes it there. */
  private change({ x, shape }: Samples, index: number, each: number, augmented: boolean, into: Float32Array): void {
    const sample = into.length === each ? into : into.subarray(0, each)
    const from = index * each
    // Ten times as fast as one by one, but it makes a view, which a few values are not worth.
    if (each > SHORT) sample.set(x.subarray(from, from + each))
    else for (let j = 0; j < each; j++) sample[j] = x[from + j]
    if (!augmented) return
    for (const change of this.augment) change(sample, shape, this.random as Random)
  }
}
