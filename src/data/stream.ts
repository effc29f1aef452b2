// A stream: samples that come one by one, anew in each epoch, for data larger than memory and data that are made as they are used. Only a
// few batches of it are ever in memory. What comes is checked sample by sample, as a dataset is checked where it is made.

import { DunlinError } from '../graph/error'
import { ARRAYS, checkShape, type Dtype, type Shape, size, type TypedArray } from '../graph/node'
import { Random } from '../graph/random'
import type { Dataset } from './dataset'

export interface StreamSample {
  /** size(shape) raw values. Copied at once: a generator may use its array again. */
  x: ArrayLike<number>
  /** The label, or size(target) numbers. */
  y: number | ArrayLike<number>
  /** How much the sample counts; default 1. */
  weight?: number
}

export type StreamSource = Iterable<StreamSample> | AsyncIterable<StreamSample>

export interface Stream {
  /** Of one sample. */
  shape: Shape
  /** What `x` is kept as until it is used. */
  dtype: Dtype
  /** 0 where there is a `target`. */
  classes: number
  target?: Shape
  labels?: string[]
  /** Samples in an epoch. */
  count: number
  /** Samples that are mixed; 0 if they come in their own order. */
  shuffle: number
  /** Steps that are drawn ahead. */
  prefetch: number
  /** What errors call it. */
  source: string
  samples(epoch: number): StreamSource
}

/**
 * Data for a trainer that need not fit into memory. `samples` gives, for an epoch counted from 1, an iterable or async iterable (a
 * generator, say) of at least `count` samples; what comes after is not asked for. An async one is read ahead by `prefetch` steps (default
 * 2) while others are computed, as far as its reading needs no processor; any other is read when a step needs it. For evaluation, epoch 1 is
 * drawn, in its own order.
 *
 * `shuffle`: so many samples are held, and one drawn from them at random (by the trainer's seed) makes room for the next: the larger, the
 * better mixed. `dtype`: 'f32' (default), or 'i32' for inputs of integers, or 'u8' where that is what comes. To go on from a checkpoint,
 * the samples of the epoch before it are drawn again: the same epoch must give the same samples.
 *
 * @throws DunlinError when an option is wrong; in training, with the epoch and the number of the sample, when one is not what was said.
 */
export function stream(options: {
  shape: Shape
  classes?: number
  target?: Shape
  count: number
  samples: (epoch: number) => StreamSource
  dtype?: Dtype
  labels?: string[]
  shuffle?: number
  prefetch?: number
  source?: string
}): Stream {
  const {
    shape,
    classes = 0,
    target,
    count,
    samples,
    dtype = 'f32',
    labels,
    shuffle = 0,
    prefetch = 2,
    source = 'stream',
  } = options
  checkShape(source, shape)
  if (target) checkShape(`${source}: target`, target)
  if (target ? classes : !Number.isInteger(classes) || classes < 1) {
    const got = `${classes} classes and ${target ? `a target [${target}]` : 'no target'}`
    throw new DunlinError(`${source}: got ${got}. Set classes to the largest label plus 1, or target to the shape of numbers.`)
  }
  if (!Number.isInteger(count) || count < 1)
    throw new DunlinError(`${source}: count wants the number of samples in an epoch, a positive integer, got ${count}.`)
  if (!Object.hasOwn(ARRAYS, dtype))
    throw new DunlinError(`${source}: dtype wants one of ${Object.keys(ARRAYS).join(', ')}, got ${JSON.stringify(dtype)}.`)
  if (labels && labels.length !== classes)
    throw new DunlinError(`${source}: got ${labels.length} label names for ${classes} classes. Give one name for each class.`)
  for (const [key, v] of Object.entries({ shuffle, prefetch }))
    if (!Number.isInteger(v) || v < 0) throw new DunlinError(`${source}: ${key} wants an integer from 0 on, got ${v}.`)
  if (typeof samples !== 'function')
    throw new DunlinError(`${source}: samples wants a function that gives the samples of an epoch, got ${typeof samples}.`)
  return {
    ...{ shape: [...shape], dtype, classes, count, shuffle, prefetch, source, samples },
    ...(target && { target: [...target] }),
    ...(labels && { labels: [...labels] }),
  }
}

export const isStream = (data: Dataset | Stream): data is Stream => 'samples' in data

/** Room for samples, side by side as in a dataset. */
interface Room {
  x: TypedArray
  y: Int32Array | Float32Array
  weights: Float32Array
}

const roomFor = ({ dtype, shape, target }: Stream, count: number): Room => ({
  x: new ARRAYS[dtype](count * size(shape)),
  y: target ? new Float32Array(count * size(target)) : new Int32Array(count),
  weights: new Float32Array(count),
})

/** A dataset without samples, as which a stream is checked and read: a reader puts the arrays of a step after the other into it. */
export function emptyOf(stream: Stream): Dataset {
  const { shape, classes, count, target, labels } = stream
  return { ...roomFor(stream, 0), shape, classes, count, ...(target && { target }), ...(labels && { labels }) }
}

/** Draws the samples of a stream, `step` at a time. A last step that has fewer is filled up with the first samples of the epoch. */
export class StreamReader {
  /** The samples at hand: `at` of them, those of the step that was taken last. */
  readonly data: Dataset
  at = 0
  private readonly each: { x: number; y: number }
  /** Rooms for a step each: those to be filled, and those that are, in their order. */
  private free: Room[]
  private filled: Room[] = []
  private current?: Room
  /** The samples to be mixed; `slots`: the first `held` are taken. */
  private readonly mixed: Room
  private readonly slots: Uint32Array
  /** The first samples of the epoch, where its last step is to be filled up with them. */
  private readonly first?: Room
  private held = 0
  /** Samples to hold before one is given: without mixing one. */
  private reach = 1
  /** Of the epoch: samples received, and those put into a room. */
  private received = 0
  private given = 0
  private taken = 0
  private epoch = 0
  private iterator?: Iterator<StreamSample> | AsyncIterator<StreamSample>
  private ahead = false
  private random?: Random
  private failure?: { error: unknown }
  private filling = false
  private bell?: () => void

  constructor(
    private readonly stream: Stream,
    private readonly step: number,
  ) {
    const { shape, target = [1], shuffle, prefetch } = stream
    this.data = emptyOf(stream)
    this.each = { x: size(shape), y: size(target) }
    const mix = Math.max(1, Math.min(shuffle, stream.count))
    this.mixed = roomFor(stream, mix)
    this.slots = Uint32Array.from({ length: mix }, (_, i) => i)
    if (stream.count % step) this.first = roomFor(stream, Math.min(step, stream.count))
    this.free = Array.from({ length: 1 + Math.max(1, prefetch) }, () => roomFor(stream, step))
  }

  /** Begins with the samples of an epoch, mixed by `seed` if there is one. */
  begin(epoch: number, seed?: number): void {
    this.end()
    this.epoch = epoch
    this.free.push(...this.filled.splice(0))
    this.held = this.received = this.given = this.taken = 0
    this.failure = undefined
    this.random = seed === undefined || this.stream.shuffle < 2 ? undefined : new Random(seed)
    this.reach = this.random ? this.slots.length : 1
    const samples = this.stream.samples(epoch) as Partial<Iterable<StreamSample> & AsyncIterable<StreamSample>>
    const begun = samples?.[Symbol.asyncIterator]?.() ?? samples?.[Symbol.iterator]?.()
    if (!begun) throw new DunlinError(`${this.stream.source}: samples(${epoch}) is not iterable. Give an array or a generator.`)
    this.ahead = samples[Symbol.asyncIterator] !== undefined
    this.iterator = begun
    this.readAhead()
  }

  /** Whether there is something to be read ahead. */
  get isBehind(): boolean {
    return this.ahead && this.free.length > 0 && this.given < this.stream.count
  }

  /** Labels or targets of the samples at hand. */
  get y(): TypedArray {
    return this.data.y.subarray(0, this.at * this.each.y)
  }

  /** Puts the next step's samples into `data`. A promise if they are not there yet. */
  take(): void | Promise<void> {
    if (!this.ahead && this.failure === undefined) this.fillNow()
    if (this.filled.length) return this.use()
    return this.wait()
  }

  /** Asks for no more. */
  end(): void {
    const { iterator } = this
    this.iterator = undefined
    // What a generator throws while it is closed is about samples that nobody wants.
    try {
      Promise.resolve(iterator?.return?.()).catch(() => {})
    } catch {}
  }

  private async wait(): Promise<void> {
    while (!this.filled.length) {
      if (this.failure) throw this.failure.error
      await new Promise<void>((resolve) => (this.bell = resolve))
    }
    this.use()
  }

  private use(): void {
    const room = this.filled.shift()!
    if (this.current) this.free.push(this.current)
    this.current = room
    this.at = Math.min(this.step, this.stream.count - this.taken)
    this.taken += this.at
    Object.assign(this.data, room)
    this.readAhead()
  }

  /** One step of a source that answers at once. */
  private fillNow(): void {
    const iterator = this.iterator as Iterator<StreamSample>
    const room = this.free.pop()!
    try {
      let count = 0
      while ((count = this.put(room, count)) < this.wanted) this.receive(iterator.next())
      this.finish(room, count)
    } catch (error) {
      this.fail(error, room)
    }
  }

  /** Fills rooms as long as there are free ones. */
  private async readAhead(): Promise<void> {
    const { iterator } = this
    if (!this.ahead || !iterator || this.filling) return
    this.filling = true
    let room: Room | undefined
    try {
      while (this.free.length && this.given < this.stream.count && !this.failure) {
        room = this.free.pop()!
        let count = 0
        while ((count = this.put(room, count)) < this.wanted) {
          const result = await (iterator as AsyncIterator<StreamSample>).next()
          // Another epoch has begun, or there is none.
          if (this.iterator !== iterator) return
          this.receive(result)
        }
        this.finish(room, count)
        room = undefined
      }
    } catch (error) {
      if (this.iterator === iterator) {
        this.fail(error, room!)
        room = undefined
      }
    } finally {
      this.filling = false
      if (this.iterator !== iterator) {
        if (room) this.free.push(room)
        this.readAhead()
      }
    }
  }

  /** Samples in the step that is being filled. */
  private get wanted(): number {
    return Math.min(this.step, this.stream.count - this.given)
  }

  private finish(room: Room, count: number): void {
    const { first } = this
    if (first) {
      if (!this.given) for (let i = 0; i < first.weights.length; i++) this.move(room, i, first, i)
      for (let i = count; i < this.step; i++) this.move(first, (i - count) % first.weights.length, room, i)
    }
    this.given += count
    this.filled.push(room)
    if (this.given === this.stream.count) this.end()
    this.bell?.()
  }

  private fail(error: unknown, room: Room): void {
    this.failure = { error }
    this.free.push(room)
    this.end()
    this.bell?.()
  }

  /** Moves samples that are mixed enough into a room that has `count`; gives how many it has then. */
  private put(room: Room, count: number): number {
    const { mixed, slots } = this
    while (count < this.wanted && (this.held === this.reach || this.received === this.stream.count)) {
      const i = this.random ? this.random.integer(this.held) : 0
      const slot = slots[i]
      this.held--
      slots[i] = slots[this.held]
      slots[this.held] = slot
      this.move(mixed, slot, room, count++)
    }
    return count
  }

  private move(from: Room, i: number, to: Room, j: number): void {
    const { x, y } = this.each
    to.x.set(from.x.subarray(i * x, (i + 1) * x), j * x)
    to.y.set(from.y.subarray(i * y, (i + 1) * y), j * y)
    to.weights[j] = from.weights[i]
  }

  /** Checks what came and holds a copy of it. */
  private receive(result: IteratorResult<StreamSample>): void {
    const { stream, each, mixed, epoch, received } = this
    const { source, classes, count, shape, target } = stream
    if (!result || result.done) {
      const got = `samples(${epoch}) ended after ${received}, wanted ${count} samples in an epoch`
      throw new DunlinError(`${source}: ${got}. Set count to as many as there are.`)
    }
    const at = `${source}: epoch ${epoch}, sample ${received}`
    const { x, y, weight = 1 } = result.value ?? {}
    const slot = this.slots[this.held]
    copy(x, mixed.x, slot, each.x, at, `a sample [${shape}]`)
    if (target) copy(y as ArrayLike<number>, mixed.y, slot, each.y, `${at}: its target`, `a target [${target}]`)
    else if (typeof y === 'number' && Number.isInteger(y) && y >= 0 && y < classes) mixed.y[slot] = y
    else throw new DunlinError(`${at} has label ${say(y)}, wanted an integer in 0..${classes - 1} (${classes} classes).`)
    mixed.weights[slot] = weight
    if (!(weight >= 0 && Number.isFinite(mixed.weights[slot])))
      throw new DunlinError(`${at} has weight ${say(weight)}, wanted a number from 0 on.`)
    this.held++
    this.received++
  }
}

/** `values`, `each` of them, into a place of `to`, where each must be what it was. (In float32 it may be rounded.) */
function copy(values: ArrayLike<number>, to: TypedArray, slot: number, each: number, at: string, wanted: string): void {
  if (values?.length !== each)
    throw new DunlinError(`${at} has ${values?.length ?? 'no'} values, wanted the ${each} of ${wanted}. Check the shape.`)
  const isFloat = to instanceof Float32Array
  const isWhole = values instanceof Uint8Array || values instanceof Int8Array
  const from = slot * each
  // Many times as fast as one by one, and right where nothing can be cut off.
  if (isView(values) && (isFloat || values.constructor === to.constructor)) {
    to.set(values, from)
    if (!isFloat || isWhole) return
  } else for (let i = 0; i < each; i++) to[from + i] = values[i]
  for (let i = 0; i < each; i++) {
    if (isFloat ? Number.isFinite(to[from + i]) : to[from + i] === values[i]) continue
    const what = isFloat ? 'a finite 32-bit number' : `an integer that fits ${to.constructor.name}`
    throw new DunlinError(`${at}: value ${i} of ${each} is ${say(values[i])}, wanted ${what}. Repair or leave out the sample.`)
  }
}

const isView = (values: ArrayLike<number>): values is TypedArray => ArrayBuffer.isView(values) && !(values instanceof DataView)

const say = (v: unknown) => (typeof v === 'number' ? String(v) : typeof v === 'string' ? JSON.stringify(v) : typeof v)
