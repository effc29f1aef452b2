// A trainer runs the long plan: forward, loss, backward, update, all in wasm. JavaScript draws the samples, writes them and the learning
// rate into memory, and reads the loss and the outputs back. After each epoch the weights are copied into the model.

import type { Augmentation } from '../data/augment'
import type { Dataset } from '../data/dataset'
import { DunlinError } from '../graph/error'
import { input, isParam, type Node, size } from '../graph/node'
import { Random } from '../graph/random'
import { argmax, type Model } from '../model/model'
import { crossEntropy } from '../ops/crossEntropy'
import { planInference, planTraining } from '../plan/build'
import type { Plan, Region } from '../plan/plan'
import type { Build } from '../session/kernels'
import { Session } from '../session/session'
import type { Callback, EpochResult } from './callbacks'
import { adam, type Optimizer } from './optimizers'
import { constant, type Schedule } from './schedules'

export interface TrainerOptions {
  /** Default: adam(). */
  optimizer?: Optimizer
  /** Default: constant(). */
  schedule?: Schedule
  /** Samples in a step; default 32. */
  batch?: number
  /** Of shuffling and augmentation; default 0. */
  seed?: number
  /** Applied in order to each training sample, on raw values, every time it is drawn. */
  augment?: readonly Augmentation[]
  /** Default: the best that the host runs. */
  build?: Build
}

/** Streams of the seed. */
const SHUFFLE = 101
const AUGMENT = 102
/** The event loop is let in this often, in milliseconds: a page stays alive, Ctrl-C is seen. */
const YIELD_AFTER = 50

/** Trains a classifier: softmax cross entropy on the model's first output (from its logits, when it ends in a softmax). */
export class Trainer {
  private readonly options: Required<Omit<TrainerOptions, 'build'>> & { build?: Build }
  private readonly logits: Node
  private readonly loss: Node
  private session?: Session
  /** Steps taken so far, over all calls of `fit`. */
  private steps = 0

  constructor(
    readonly model: Model,
    options: TrainerOptions = {},
  ) {
    this.options = { optimizer: adam(), schedule: constant(), batch: 32, seed: 0, augment: [], ...options }
    const [output] = model.outputs
    if (model.inputs.length !== 1)
      throw new DunlinError(`Trainer: model "${model.name}" has ${model.inputs.length} inputs, wanted 1.`)
    if (model.nodes.some((n) => n.dtype !== 'f32'))
      throw new DunlinError(`Trainer: model "${model.name}" is quantized. Train the float model, then quantize it.`)
    this.logits = output.op === 'softmax' ? output.inputs[0] : output
    this.loss = crossEntropy(this.logits, input([1], { name: 'labels', dtype: 'i32' }), input([1], { name: 'weights' }))
  }

  /** The plan of one step. */
  plan(): Plan {
    const { batch, optimizer } = this.options
    return planTraining(this.loss, [this.logits], { batch, update: optimizer.update, hyperLength: optimizer.hyperLength })
  }

  /**
   * Goes `epochs` times over the data in an order drawn from the seed. The last step of an epoch is filled up with samples of weight 0.
   * Throws when the loss is no longer finite; the model then has the weights of the last whole epoch.
   */
  async fit(
    data: Dataset,
    options: { epochs: number; validation?: Dataset; callbacks?: readonly Callback[] },
  ): Promise<EpochResult[]> {
    const { epochs, validation, callbacks = [] } = options
    if (!Number.isInteger(epochs) || epochs < 1) throw new DunlinError(`fit: epochs wants a positive integer, got ${epochs}.`)
    this.checkData(data, 'training data')
    if (validation) this.checkData(validation, 'validation data')
    const { batch, optimizer, schedule, seed } = this.options
    const session = (this.session ??= await Session.create(this.plan(), { build: this.options.build }))
    this.upload(session)
    const [hyper] = session.plan.state.filter((r) => r.name === 'hyper')
    const counter = session.plan.state.find((r) => r.name === 'step')
    const first = this.steps
    const stepsPerEpoch = Math.ceil(data.count / batch)
    const shuffle = new Random(seed, SHUFFLE + first)
    const draw = this.batches(session, data, new Random(seed, AUGMENT + first))
    const order = Uint32Array.from({ length: data.count }, (_, i) => i)
    const history: EpochResult[] = []
    let yielded = performance.now()

    for (let epoch = 1; epoch <= epochs; epoch++) {
      shuffle.shuffle(order)
      let loss = 0
      let right = 0
      for (let step = 1; step <= stepsPerEpoch; step++) {
        const at = (step - 1) * batch
        const count = Math.min(batch, data.count - at)
        draw(order, at, count)
        const rate = optimizer.lr * schedule(this.steps - first, stepsPerEpoch * epochs)
        session.view(hyper).set(optimizer.hyper(this.steps + 1, rate))
        if (counter) session.view(counter)[0] = this.steps
        session.run()
        this.steps++
        const result = this.results(session, data.y, order, at, count)
        if (!Number.isFinite(result.loss)) {
          // The optimizer's state may hold what the weights have: the next fit starts afresh.
          this.session = undefined
          this.steps = 0
          throw new DunlinError(
            `Training diverged: the loss is ${result.loss} in epoch ${epoch}, step ${step} (learning rate ${rate.toPrecision(3)}). Use a smaller learning rate. The model has the weights from before this epoch.`,
          )
        }
        loss += result.loss * count
        right += result.right
        const seen = at + count
        const progress = { epoch, epochs, step, steps: stepsPerEpoch, loss: loss / seen, accuracy: right / seen }
        for (const c of callbacks) c.step?.(progress)
        if (performance.now() - yielded > YIELD_AFTER) {
          await new Promise((resolve) => setTimeout(resolve))
          yielded = performance.now()
        }
      }
      this.download(session)
      const result: EpochResult = { epoch, loss: loss / data.count, accuracy: right / data.count }
      if (validation) result.validation = await this.evaluate(validation)
      history.push(result)
      const progress = { epoch, epochs, step: stepsPerEpoch, steps: stepsPerEpoch, loss: result.loss, accuracy: result.accuracy }
      const stop = callbacks.map((c) => c.epochEnd?.(result, progress)).includes('stop')
      if (stop) break
    }
    return history
  }

  /** Mean loss and accuracy on data that is not trained on. */
  async evaluate(data: Dataset): Promise<{ loss: number; accuracy: number }> {
    this.checkData(data, 'data')
    const { batch } = this.options
    const session = await Session.create(planInference([this.loss, this.logits], { batch }), { build: this.options.build })
    const draw = this.batches(session, data)
    const order = Uint32Array.from({ length: data.count }, (_, i) => i)
    let loss = 0
    let right = 0
    for (let at = 0; at < data.count; at += batch) {
      const count = Math.min(batch, data.count - at)
      draw(order, at, count)
      session.run()
      const result = this.results(session, data.y, order, at, count)
      loss += result.loss * count
      right += result.right
    }
    return { loss: loss / data.count, accuracy: right / data.count }
  }

  /** A function that writes `count` samples, from the `at`-th of an order on, with labels and weights, augmented if `random` is given. */
  private batches(session: Session, data: Dataset, random?: Random) {
    const { batch, augment } = this.options
    // In the order in which the loss reads them: the model's input may have any name.
    const [x, y, w] = session.plan.inputs
    const [labels, weights] = [session.view(y), session.view(w)]
    const each = size(data.shape)
    const sample = new Float32Array(each)
    return (order: Uint32Array, at: number, count: number) => {
      for (let i = 0; i < batch; i++) {
        // Past the end the order starts again, with weight 0.
        const index = order[(at + i) % order.length]
        labels[i] = data.y[index]
        weights[i] = i < count ? 1 : 0
        if (!random || augment.length === 0) {
          session.feed(x, data.x, index, 1, i)
          continue
        }
        for (let j = 0; j < each; j++) sample[j] = data.x[index * each + j]
        for (const change of augment) change(sample, data.shape, random)
        session.feed(x, sample, 0, 1, i)
      }
    }
  }

  private results(
    session: Session,
    y: Int32Array,
    order: Uint32Array,
    at: number,
    count: number,
  ): { loss: number; right: number } {
    const [loss, logits] = session.plan.outputs
    const values = session.view(logits)
    const classes = size(logits.shape)
    let right = 0
    for (let i = 0; i < count; i++) if (argmax(values, i * classes, classes) === y[order[at + i]]) right++
    return { loss: session.view(loss)[0], right }
  }

  /** Weights between the model's arrays and the session's memory. */
  private pairs(session: Session): { region: Region; data: Float32Array }[] {
    const regions = new Map(session.plan.constants.map((c) => [c.name, c]))
    return this.model.nodes.filter(isParam).flatMap((p) => {
      const region = regions.get(p.name)
      return region ? [{ region, data: p.data as Float32Array }] : []
    })
  }

  private upload(session: Session): void {
    for (const { region, data } of this.pairs(session)) session.view(region).set(data)
  }

  private download(session: Session): void {
    for (const { region, data } of this.pairs(session)) data.set(session.view(region))
    this.model.changed()
  }

  private checkData(data: Dataset, what: string): void {
    const [{ shape, name }] = this.model.inputs
    const classes = size(this.logits.shape)
    if (String(data.shape) !== String(shape)) {
      throw new DunlinError(
        `${what}: samples have shape [${data.shape}], input "${name}" of model "${this.model.name}" wants [${shape}].`,
      )
    }
    if (data.classes > classes) {
      throw new DunlinError(
        `${what}: it has ${data.classes} classes, model "${this.model.name}" has ${classes} outputs. Give the last layer ${data.classes} units.`,
      )
    }
  }
}
