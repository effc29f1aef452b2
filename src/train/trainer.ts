// A trainer runs the long plan: forward, loss, backward, update, all in wasm. JavaScript draws the samples, writes them and the learning
// rate into memory, looks at the loss before the update, and tells callbacks. After each epoch the weights are copied into the model.

import type { Augmentation } from '../data/augment'
import type { Dataset } from '../data/dataset'
import { emptyOf, isStream, type Stream } from '../data/stream'
import { DunlinError } from '../graph/error'
import type { Param, TypedArray } from '../graph/node'
import { Random } from '../graph/random'
import type { Model } from '../model/model'
import { planInference, planTraining } from '../plan/build'
import type { Frozen } from '../plan/builder'
import type { Plan } from '../plan/plan'
import type { Build } from '../session/kernels'
import { Session } from '../session/session'
import { availableThreads } from '../session/threads'
import { Batches } from './batches'
import type { Callback, EpochResult, Progress, Scores, Training } from './callbacks'
import { crc32, putBack } from './checkpoint'
import { allFinite, firstNotFinite } from './divergence'
import { type Draws, drawsOf } from './draws'
import { crossEntropy, type Loss } from './losses'
import type { Metric } from './metrics'
import { Objective } from './objective'
import { adam, type Optimizer } from './optimizers'
import { describe, expectSame, type Kept, type KeptFit, keep, open, type Setting } from './resume'
import { constant, type Schedule } from './schedules'
import { type Clock, stepper } from './step'
import { Tally } from './tally'

export interface TrainerOptions {
  /** What is minimized, of the model's first output. Default: crossEntropy(). */
  loss?: Loss
  /** Told beside the loss: functions that make a metric, as `metrics.auc` is. Default: accuracy if the loss is of a classifier. */
  metrics?: readonly (() => Metric)[]
  /** Default: adam(). */
  optimizer?: Optimizer
  /** Default: constant(). */
  schedule?: Schedule
  /** Samples that are computed at once; default 32. */
  batch?: number
  /**
   * Batches in a step, default 1: their gradients are summed up for one update. But for rounding that is a step of one batch so many
   * times as large; batchNorm takes the statistics of each batch by itself.
   */
  accumulate?: number
  /** Of shuffling and augmentation; default 0. */
  seed?: number
  /** Applied in order to each training sample, on raw values, every time it is drawn. */
  augment?: readonly Augmentation[]
  /**
   * Mixes each training sample, and its target, with one of its batch: the mean of the two with shares drawn from Beta(mixup, mixup), 0.2 being
   * usual; default 0, none. Targets must be numbers, as of categoricalCrossEntropy() on `oneHot(data)`. A sample keeps its own weight. Of
   * training data metrics are told the mixed targets, or the likeliest class in them: the one with the larger share.
   */
  mixup?: number
  /** A factor for each class on the weights of its samples in training; the loss on other data is without. */
  classWeights?: readonly number[]
  /**
   * Says of a parameter, by its name (such as `conv1/w`), that it stays as it is. No gradients are computed for what has nothing to learn
   * before it; a batchNorm whose gamma and beta are frozen uses its running statistics.
   */
  frozen?: Frozen
  /** Default: the best that the host runs. */
  build?: Build
  /** How many threads share the work; default: the cores available. Results do not depend on it. */
  threads?: number
}

export interface FitOptions {
  epochs: number
  validation?: Dataset | Stream
  callbacks?: readonly Callback[]
  /** Stops between two steps: the promise is rejected with the signal's reason, the model has the weights of then. */
  signal?: AbortSignal
}

/** A call of `fit`: where it stands. */
interface Fit {
  /** Steps that the trainer had taken before. */
  first: number
  /** The epoch at hand, from 1, and steps taken in it. */
  epoch: number
  step: number
  ended: boolean
  history: EpochResult[]
  tally: Tally
  /** Of the augmentations. */
  random: Random
  callbacks: readonly Callback[]
  setting: Setting
  /** Of a stream: the checksum of what it gave in the epoch. */
  drawn?: number
  /** Where the model's weights are from. */
  before: string
}

/** Streams of the seed. */
const SHUFFLE = 101
const AUGMENT = 102
/** The event loop is let in this often, in milliseconds: a page stays alive, Ctrl-C is seen. */
const YIELD_AFTER = 50

/** Trains a model: a loss on its first output (on what goes into a last softmax or sigmoid, when the loss has that in itself). */
export class Trainer implements Training {
  private readonly options: Required<Omit<TrainerOptions, 'build' | 'classWeights'>> & TrainerOptions
  private readonly objective: Objective
  private session?: Session
  /** Steps taken so far, over all calls of `fit`. */
  private steps = 0
  private busy = false
  private fitting?: Fit
  /** From `resume` to the next `fit`. */
  private kept?: Kept

  constructor(
    readonly model: Model,
    options: TrainerOptions = {},
  ) {
    const [output] = model.outputs
    const { loss = crossEntropy(), accumulate = 1, classWeights, mixup = 0 } = options
    const defaults = {
      metrics: loss.metrics?.(output) ?? [],
      optimizer: adam(),
      schedule: constant(),
      batch: 32,
      seed: 0,
      threads: availableThreads(),
    }
    this.options = { ...defaults, augment: [], frozen: () => false, ...options, loss, accumulate, mixup }
    if (model.nodes.some((n) => n.dtype === 'i8'))
      throw new DunlinError(`Trainer: model "${model.name}" is quantized. Train the float model, then quantize it.`)
    if (!Number.isInteger(accumulate) || accumulate < 1)
      throw new DunlinError(`Trainer: accumulate wants a positive integer, got ${accumulate}.`)
    this.objective = new Objective(model, loss, classWeights, mixup)
  }

  /** The plan of one step. */
  plan(): Plan {
    const { batch, optimizer, frozen, accumulate, threads } = this.options
    const { update, hyperLength } = optimizer
    const { loss, output } = this.objective
    return planTraining(loss, [output], { batch, update, hyperLength, frozen, accumulate: accumulate > 1, threads })
  }

  /**
   * Goes `epochs` times over the data in an order drawn from the seed; over a stream in that of the stream. The last batch of an epoch is
   * filled up with samples of weight 0.
   * After `resume` it goes on with the fit that was stopped, and gives the history of all of it.
   *
   * Throws when the loss or a weight is no longer finite, and says in which step and layer; the model then has the weights of the last
   * whole epoch (or of the checkpoint that it went on from), and the next fit begins with an optimizer as new.
   */
  async fit(data: Dataset | Stream, options: FitOptions): Promise<EpochResult[]> {
    const { epochs, validation, signal } = options
    if (!Number.isInteger(epochs) || epochs < 1) throw new DunlinError(`fit: epochs wants a positive integer, got ${epochs}.`)
    this.check(data, 'training data')
    if (validation) this.check(validation, 'validation data')
    if (this.busy)
      throw new DunlinError('fit: this trainer is training already. Wait for the other fit, or abort it by its signal.')
    signal?.throwIfAborted()
    this.busy = true
    let draws: Draws | undefined
    try {
      const fit = this.begin(data, options)
      const session = (this.session ??= await Session.create(this.plan(), this.options))
      for (const { from, param } of this.pairs(session)) from.set(param.data)
      session.plan.state.forEach((region, i) => {
        if (this.kept) session.view(region).set(this.kept.state[i])
      })
      this.kept = undefined
      this.fitting = fit
      const { batch, accumulate, seed } = this.options
      draws = drawsOf(data, batch * accumulate, new Random(seed, SHUFFLE + fit.first))
      await this.run(fit, session, draws, options)
      this.fitting = undefined
      return fit.history
    } finally {
      draws?.end()
      this.busy = false
    }
  }

  /** Mean loss and metrics on data that is not trained on. */
  async evaluate(data: Dataset | Stream, options: { signal?: AbortSignal } = {}): Promise<Scores> {
    this.check(data, 'data')
    const { batch, build, loss: of, metrics, threads } = this.options
    const plan = planInference([this.objective.loss, this.objective.output], { batch, threads })
    const session = await Session.create(plan, { build, threads })
    const draws = drawsOf(data, batch)
    const batches = new Batches(session, this.objective.source(session.plan, draws.data))
    const loss = session.view(session.plan.outputs[0])
    const tally = new Tally(metrics, of.sum)
    const pause = new Pause()
    try {
      await unlessAborted(Promise.resolve(draws.begin(1, 0)), options.signal)
      for (let step = 0; step < draws.steps; step++) {
        const taken = draws.take(step)
        const at = typeof taken === 'number' ? taken : await unlessAborted(taken, options.signal)
        const { order } = draws
        const count = draws.count(step)
        batches.draw(order, at, count)
        session.run()
        tally.add(loss[0], batches.weight(order, at, count), batches.outputsOf(count), batches.targetsOf(count))
        if (pause.due()) await pause.take()
        options.signal?.throwIfAborted()
      }
    } finally {
      draws.end()
    }
    return tally.result()
  }

  /**
   * Everything that it takes to go on as if never stopped: weights, what optimizer, schedule, callbacks and metrics remember, and the place
   * in the epoch. To be made between steps: in a callback's `settled`, or after an abort.
   */
  checkpoint(): Uint8Array {
    const { session, fitting: fit } = this
    if (!session) throw new DunlinError('checkpoint: nothing was trained yet. Call fit first.')
    const pairs = this.pairs(session)
    const bad = pairs.find(({ from }) => !allFinite(from))
    if (bad) throw this.lost(`the weights "${bad.param.name}" are not finite`)
    return keep(
      { setting: this.setting(), build: session.build, steps: this.steps, ...(fit && { fit: plain(fit) }) },
      session,
      pairs.map(({ from, param }) => ({ param, data: from })),
    )
  }

  /**
   * Takes up what `checkpoint` kept, on a trainer made like that one: the weights now, the rest in the next `fit`, with the same data,
   * epochs and callbacks, whose results have the same bits as if it had never stopped. Without the option `build` it uses the build of
   * the checkpoint. `source` names the checkpoint in errors. After an error nothing has changed.
   */
  resume(checkpoint: Uint8Array, source = 'checkpoint'): void {
    if (this.busy) throw new DunlinError('resume: this trainer is training. Wait for the fit, or abort it by its signal.')
    const { params } = this.model
    const kept = open(checkpoint, source, { setting: this.setting(), state: this.plan().state, params })
    for (const p of params) p.data.set(kept.weights.get(p.name)!)
    this.model.changed()
    this.options.build ??= kept.content.build
    this.kept = kept
    this.steps = kept.content.steps
    this.session = undefined
    this.fitting = undefined
  }

  private async run(fit: Fit, session: Session, draws: Draws, { epochs, validation, signal }: FitOptions): Promise<void> {
    const { augment, mixup, optimizer, schedule } = this.options
    const { callbacks } = fit
    const { data, steps } = draws
    const batches = new Batches(session, this.objective.source(session.plan, data, true), augment, fit.random, mixup)
    const clock: Clock = { waiting: 0 }
    const take = stepper(session, batches, this.options, clock, augment.length || mixup ? fit.random : undefined)
    const looks = callbacks.some((c) => c.step)
    const pause = new Pause()
    for (const c of callbacks) c.begin?.(this)
    for (const c of callbacks) c.settled?.()
    while (!fit.ended) {
      const began = performance.now()
      clock.waiting = 0
      const times = () => ({ seconds: (performance.now() - began) / 1000, waiting: clock.waiting / 1000 })
      await this.arrival(draws.begin(fit.epoch, fit.step), session, signal)
      clock.waiting += performance.now() - began
      if (fit.drawn !== undefined && fit.drawn !== draws.checksum) throw otherSamples(fit)
      while (fit.step < steps) {
        if (signal?.aborted) {
          this.download(session)
          throw signal.reason
        }
        const taken = draws.take(fit.step, clock)
        const from = typeof taken === 'number' ? taken : await this.arrival(taken, session, signal)
        const { order } = draws
        const rate = optimizer.lr * schedule(this.steps - fit.first, steps * epochs)
        const spoiled = take(order, from, draws.count(fit.step), this.steps, rate, fit.tally)
        if (spoiled) {
          const draw = (again: Session) => {
            if (spoiled.random) fit.random.state = spoiled.random
            new Batches(again, this.objective.source(again.plan, data, true), augment, fit.random, mixup).draw(
              order,
              spoiled.at,
              spoiled.count,
            )
          }
          const first = await firstNotFinite(this.objective.loss, session, draw, this.options)
          fit.step++
          throw this.lost(`the loss is ${spoiled.loss}, ${first}`, rate)
        }
        this.steps++
        fit.step++
        fit.drawn = draws.checksum
        if (looks) {
          const { epoch, step, tally } = fit
          const progress: Progress = {
            ...{ epoch, epochs, step, steps, ...times(), loss: tally.loss },
            get metrics() {
              return tally.metrics
            },
          }
          for (const c of callbacks) c.step?.(progress)
        }
        if (fit.step < steps) for (const c of callbacks) c.settled?.()
        if (pause.due()) await pause.take()
        else if (draws.isBehind) await turn(clock)
      }
      const time = times()
      const bad = this.download(session)
      if (bad) throw this.lost(`the weights "${bad}" are not finite`)
      fit.before = 'from before this epoch'
      const scores = fit.tally.result()
      const result: EpochResult = { epoch: fit.epoch, ...scores }
      if (validation) result.validation = await this.evaluate(validation, { signal })
      const progress = { epoch: fit.epoch, epochs, step: steps, steps, ...time, ...scores }
      const stop = callbacks.map((c) => c.epochEnd?.(result, progress)).includes('stop')
      fit.history.push(result)
      fit.ended = stop || fit.epoch === epochs
      fit.epoch++
      fit.step = 0
      fit.drawn = undefined
      fit.tally.reset()
      for (const c of callbacks) c.settled?.()
    }
    for (const c of callbacks) c.end?.()
  }

  /** What `draws` promised; if it fails, the model has the weights of then, as after an abort. */
  private async arrival<T>(promised: T | Promise<T>, session: Session, signal?: AbortSignal): Promise<T> {
    try {
      return await unlessAborted(Promise.resolve(promised), signal)
    } catch (error) {
      this.download(session)
      throw error
    }
  }

  private check(data: Dataset | Stream, what: string): void {
    this.objective.check(isStream(data) ? emptyOf(data) : data, what)
  }

  /** A new fit, or the one that was kept. */
  private begin(data: Dataset | Stream, { epochs, callbacks: given = [] }: FitOptions): Fit {
    const { schedule, seed, loss: of, metrics } = this.options
    // A schedule that looks at results is told them, too.
    const callbacks = given.includes(schedule) ? given : [schedule, ...given]
    const states = statesOf(callbacks)
    const origin = isStream(data) ? { 'shuffle of the stream': data.shuffle } : { 'checksum of y': crc32(data.y) }
    const setting = { epochs, samples: data.count, ...origin, 'callbacks with a state': states.length }
    const kept = this.kept?.content.fit
    if (kept) expectSame(this.kept!.source, kept.setting, setting, 'Call fit with the same, or begin with a new trainer.')
    const first = kept?.first ?? this.steps
    const tally = new Tally(metrics, of.sum)
    const random = new Random(seed, AUGMENT + first)
    const before = 'from before this epoch'
    if (!kept) return { first, epoch: 1, step: 0, ended: false, history: [], tally, random, callbacks, setting, before }
    tally.state = kept.tally
    random.state = kept.random
    states.forEach((state, i) => {
      putBack(state, kept.callbacks[i])
    })
    const { epoch, step, ended, history, drawn } = kept
    return {
      first,
      epoch,
      step,
      ended,
      drawn,
      history: [...history],
      tally,
      random,
      callbacks,
      setting,
      before: 'of the checkpoint',
    }
  }

  /** The error of a training that has gone wrong. The optimizer may know what the weights have: the next fit starts afresh. */
  private lost(what: string, rate?: number): DunlinError {
    const { fitting: fit } = this
    const place = fit ? ` in epoch ${fit.epoch}, step ${fit.step}` : ''
    const speed = rate === undefined ? '' : ` (learning rate ${rate.toPrecision(3)})`
    this.session = undefined
    this.fitting = undefined
    this.steps = 0
    return new DunlinError(
      `Training diverged${place}${speed}: ${what}. Use a smaller learning rate. The model has the weights ${fit?.before ?? 'of the last epoch'}.`,
    )
  }

  /** What a checkpoint must agree with. */
  private setting(): Setting {
    const { batch, accumulate, seed, optimizer, metrics, augment, mixup, frozen, classWeights } = this.options
    const { loss } = this.objective
    return {
      layers: describe(this.model.nodes),
      loss: `${loss.op} ${JSON.stringify(loss.attrs)}`,
      metrics: metrics.map((make) => make().name),
      optimizer: optimizer.settings,
      ...{ batch, accumulate, seed, augmentations: augment.length, mixup, classWeights: classWeights ?? [] },
      frozen: this.model.params.map(({ name }) => name).filter(frozen),
    }
  }

  /** The model's parameters, and their places in the session's memory. */
  private pairs(session: Session): { from: TypedArray; param: Param }[] {
    const regions = new Map(session.plan.constants.map((c) => [c.name, c]))
    return this.model.params.flatMap((param) => {
      const region = regions.get(param.name)
      return region ? [{ from: session.view(region), param }] : []
    })
  }

  /** Copies the weights into the model; or if some are not finite, copies nothing and gives their name. */
  private download(session: Session): string | undefined {
    const pairs = this.pairs(session)
    const bad = pairs.find(({ from }) => !allFinite(from))
    if (bad) return bad.param.name
    for (const { from, param } of pairs) param.data.set(from)
    this.model.changed()
  }
}

const plain = ({ tally, random, callbacks, before: _, ...others }: Fit): KeptFit => {
  return { ...others, tally: tally.state, random: random.state, callbacks: statesOf(callbacks) }
}

/** What the callbacks know, of those that remember. */
const statesOf = (callbacks: readonly Callback[]): object[] => callbacks.flatMap(({ state }) => state ?? [])

/** Of a stream that gave other samples, now that they were drawn again. */
const otherSamples = ({ epoch, step }: Fit) =>
  new DunlinError(
    `The stream gave other samples in epoch ${epoch} than before the checkpoint, of ${step} steps. Make samples(epoch) give the same for the same epoch, or begin anew.`,
  )

/** Rejected with the signal's reason when it is aborted before. */
function unlessAborted<T>(promise: Promise<T>, signal?: AbortSignal): Promise<T> {
  if (!signal) return promise
  return new Promise<T>((resolve, reject) => {
    const abort = () => reject(signal.reason)
    if (signal.aborted) abort()
    signal.addEventListener('abort', abort)
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort))
  })
}

/** A turn of the event loop, in which what came from files or the network is taken in. A timer would take a millisecond or more. */
async function turn(clock: Clock): Promise<void> {
  const began = performance.now()
  await new Promise<void>((resolve) => {
    if (typeof setImmediate === 'function') setImmediate(resolve)
    else {
      const { port1, port2 } = new MessageChannel()
      port1.onmessage = () => {
        port1.close()
        resolve()
      }
      port2.postMessage(0)
    }
  })
  clock.waiting += performance.now() - began
}

/** Lets the event loop in when it is due. */
class Pause {
  private last = performance.now()

  due(): boolean {
    return performance.now() - this.last > YIELD_AFTER
  }

  async take(): Promise<void> {
    await new Promise((resolve) => setTimeout(resolve))
    this.last = performance.now()
  }
}
