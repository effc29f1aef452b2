// Batches: samples, targets and weights of a dataset are written into a session's memory as the plan of a loss wants them, and the outputs
// are read back. Every view is made once: a step makes no garbage.

import type { Augmentation } from '../data/augment'
import type { Dataset, Samples } from '../data/dataset'
import { type Shape, size, type TypedArray } from '../graph/node'
import type { Random } from '../graph/random'
import { argmax } from '../model/model'
import type { Port } from '../plan/plan'
import { enter } from '../session/door'
import type { Session } from '../session/session'

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
  /** The sample that is changed, where samples are. */
  private readonly changed: Float32Array
  private readonly each: { target: number; output: number }

  /** With `random` each sample of `data.x` is changed by `augment`. */
  constructor(
    session: Session,
    private readonly source: Source,
    private readonly augment: readonly Augmentation[] = [],
    private readonly random?: Random,
  ) {
    const { data, inputs, target, weights, output, soft } = source
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
    this.changed = new Float32Array(random && augment.length ? size(data.shape) : 0)
  }

  /** Writes `count` samples, from the `at`-th of an order on. Past them the order starts again, with samples of weight 0. */
  draw(order: ArrayLike<number>, at: number, count: number): void {
    const { data, soft } = this.source
    const { batch, told } = this
    const each = this.each.target
    for (let i = 0; i < batch; i++) {
      const index = order[(at + i) % order.length]
      for (let j = 0; j < each; j++) this.target[i * each + j] = data.y[index * each + j]
      if (soft) told[i] = argmax(data.y, index * each, each)
      else for (let j = 0; j < each; j++) told[i * each + j] = data.y[index * each + j]
      this.weights[i] = i < count ? this.weightOf(index) : 0
    }
    for (const { port, samples, each, into } of this.feeds) {
      const changes = this.changed.length > 0 && samples === data
      for (let i = 0; i < batch; i++) {
        const index = order[(at + i) % order.length]
        if (changes) this.change(samples.x, samples.shape, index)
        enter(port, changes ? this.changed : samples.x, changes ? 0 : index * each, each, into, i * each)
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

  private change(x: TypedArray, shape: Shape, index: number): void {
    const { changed, random } = this
    const { length } = changed
    const from = index * length
    // Ten times as fast as one by one, but it makes a view, which a few values are not worth.
    if (length > SHORT) changed.set(x.subarray(from, from + length))
    else for (let j = 0; j < length; j++) changed[j] = x[from + j]
    for (const change of this.augment) change(changed, shape, random as Random)
  }
}
