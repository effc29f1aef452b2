// A dataset is flat arrays, samples and what is to be learned about them, with the shape of one sample. It is checked once, where it is
// made; everything after that (batching, splitting, training) trusts it. Pixels keep the type they came in, so that 60,000 images
// take one byte a pixel; they become floats batch by batch.

import { DunlinError } from '../graph/error'
import { ARRAYS, checkShape, type Shape, size, type TypedArray } from '../graph/node'
import { Random } from '../graph/random'

export interface Samples {
  /** count * size(shape) raw values, sample after sample, each in row-major order (images: height, width, channels). */
  x: TypedArray
  /** Of one sample. */
  shape: Shape
}

export interface Dataset extends Samples {
  /** count class labels in [0, classes); or, where there is a `target`, count * size(target) numbers. */
  y: Int32Array | Float32Array
  /** 0 where `y` holds numbers. */
  classes: number
  /** Of the numbers in `y` for one sample, where it holds no labels. */
  target?: Shape
  count: number
  /** One name for each class. */
  labels?: string[]
  /** How much each sample counts in training and in a loss; all the same if there are none. */
  weights?: Float32Array
  /** Of a model with several inputs: what goes into those beside that of `x`, by the name of the input. */
  others?: Record<string, Samples>
}

/** A file that was left out, or a row of it, and why. */
export interface Skipped {
  file: string
  reason: string
}

/** Separates the draws of `split` from other uses of the same seed. */
const SPLIT_STREAM = 0x5b117

/**
 * Checks the parts and puts them together; `x` is kept, not copied. Either `classes`, and `y` is a label for each sample, or `target`, the
 * shape of one sample's numbers in `y`. `source` is what errors call it, such as a file name.
 * @throws DunlinError when lengths disagree, a label is not an integer in [0, classes), a weight is below 0, or a value is NaN or infinite.
 */
export function makeDataset(parts: {
  x: Dataset['x']
  y: ArrayLike<number>
  shape: Shape
  classes?: number
  target?: Shape
  labels?: string[]
  weights?: ArrayLike<number>
  others?: Record<string, Samples>
  source?: string
}): Dataset {
  const { x, y, shape, classes = 0, target, labels, weights, others, source = 'dataset' } = parts
  checkShape(source, shape)
  checkType(x, source)
  if (target) {
    checkShape(`${source}: target`, target)
    if (classes)
      throw new DunlinError(`${source}: got classes and a target. Leave target out for labels, classes for other numbers.`)
  } else if (!Number.isInteger(classes) || classes < 1) {
    throw new DunlinError(
      `${source}: got ${classes} classes, wanted a positive integer. Set classes to the largest label plus 1, or target to the shape of the numbers in y.`,
    )
  }
  if (labels && labels.length !== classes) {
    throw new DunlinError(`${source}: got ${labels.length} label names for ${classes} classes. Give one name for each class.`)
  }
  const count = target ? y.length / size(target) : y.length
  if (count === 0) throw new DunlinError(`${source}: got 0 samples, wanted at least 1. Check that the right data was loaded.`)
  if (target && !Number.isInteger(count)) {
    const got = `y has ${y.length} values, wanted a multiple of the ${size(target)} of a target [${target}]`
    throw new DunlinError(`${source}: ${got}. Check the target's shape.`)
  }
  checkValues({ x, shape }, count, target ? 'targets' : 'labels', source)
  if (target) {
    const bad = Array.prototype.findIndex.call(y, (v: number) => !Number.isFinite(Math.fround(v)))
    if (bad >= 0) {
      const where = `the target of sample ${Math.floor(bad / size(target))}`
      throw new DunlinError(`${source}: ${where} is ${y[bad]}, wanted finite 32-bit numbers. Repair or leave out the sample.`)
    }
  } else checkLabels(y, classes, source)
  for (const [name, other] of Object.entries(others ?? {})) {
    checkShape(`${source}: others.${name}`, other.shape)
    checkType(other.x, `${source}: others.${name}`)
    checkValues(other, count, 'samples', `${source}: others.${name}`)
  }
  if (weights) checkWeights(weights, count, source)
  return {
    x,
    y: target ? asFloats(y) : y instanceof Int32Array ? y : Int32Array.from(y),
    shape: [...shape],
    classes,
    count,
    ...(target && { target: [...target] }),
    ...(labels && { labels: [...labels] }),
    ...(weights && { weights: asFloats(weights) }),
    ...(others && { others: { ...others } }),
  }
}

const asFloats = (list: ArrayLike<number>) => (list instanceof Float32Array ? list : Float32Array.from(list))

function checkType(x: unknown, source: string): void {
  if ([Uint8Array, Int8Array, Int16Array, Int32Array, Float32Array].some((type) => x instanceof type)) return
  const got = (x as object | undefined)?.constructor?.name ?? String(x)
  const wanted = 'Uint8Array, Int8Array, Int16Array, Int32Array or Float32Array'
  throw new DunlinError(`${source}: x is ${got}, wanted ${wanted}. Copy it into one of these.`)
}

/** `x` has as many samples as there are `what`, all finite. */
function checkValues({ x, shape }: Samples, count: number, what: string, source: string): void {
  const values = size(shape)
  if (x.length !== count * values) {
    const wanted = `${count} ${what} x ${values} values of a sample [${shape}] = ${count * values}`
    throw new DunlinError(`${source}: x has ${x.length} values, wanted ${wanted}. Check the shape and the number of ${what}.`)
  }
  if (x instanceof Float32Array) {
    const bad = x.findIndex((v) => !Number.isFinite(v))
    if (bad >= 0) {
      const where = `sample ${Math.floor(bad / values)}, value ${bad % values} of ${values}`
      throw new DunlinError(`${source}: ${where} is ${x[bad]}, wanted a finite 32-bit number. Repair or leave out the sample.`)
    }
  }
}

function checkLabels(y: ArrayLike<number>, classes: number, source: string): void {
  for (let i = 0; i < y.length; i++) {
    if (!(Number.isInteger(y[i]) && y[i] >= 0 && y[i] < classes)) {
      const wanted = `an integer in 0..${classes - 1} (${classes} classes)`
      const wide = Number.isInteger(y[i]) && y[i] >= classes
      const remedy = wide
        ? `If label ${y[i]} is right, set classes to at least ${y[i] + 1} (option classes, or --classes N)`
        : 'Correct the label'
      throw new DunlinError(`${source}: sample ${i} has label ${y[i]}, wanted ${wanted}. ${remedy}.`)
    }
  }
}

function checkWeights(weights: ArrayLike<number>, count: number, source: string): void {
  if (weights.length !== count)
    throw new DunlinError(`${source}: got ${weights.length} weights for ${count} samples. Give one for each sample.`)
  let some = false
  for (let i = 0; i < count; i++) {
    if (!(weights[i] >= 0 && Number.isFinite(Math.fround(weights[i]))))
      throw new DunlinError(`${source}: sample ${i} has weight ${weights[i]}, wanted a number from 0 on. Correct the weight.`)
    if (Math.fround(weights[i]) > 0) some = true
  }
  if (!some) throw new DunlinError(`${source}: all weights are 0. Give a positive one to the samples that count.`)
}

/** The samples at `indices`, copied, in that order; an index may come more than once. */
export function subset(data: Dataset, indices: ArrayLike<number>): Dataset {
  for (let i = 0; i < indices.length; i++) {
    const from = indices[i]
    if (!(Number.isInteger(from) && from >= 0 && from < data.count)) {
      throw new DunlinError(
        `subset: index ${from} at position ${i}, wanted an integer in 0..${data.count - 1}. Pass indices of samples.`,
      )
    }
  }
  const { weights, others } = data
  const of = ({ x, shape }: Samples): Samples => ({ x: pick(x, size(shape), indices), shape })
  return {
    ...data,
    x: of(data).x,
    y: pick(data.y, size(data.target ?? [1]), indices),
    count: indices.length,
    ...(weights && { weights: pick(weights, 1, indices) }),
    ...(others && { others: Object.fromEntries(Object.entries(others).map(([name, other]) => [name, of(other)])) }),
  }
}

/** Rows of `each` values, copied, in the type of the list. */
function pick<T extends TypedArray>(list: T, each: number, indices: ArrayLike<number>): T {
  // Not the constructor's own: a Buffer of Node is a Uint8Array, too.
  const type = Object.values(ARRAYS).find((t) => list instanceof t)!
  const to = new type(indices.length * each) as T
  for (let i = 0; i < indices.length; i++) to.set(list.subarray(indices[i] * each, (indices[i] + 1) * each), i * each)
  return to
}

/**
 * [train, held-out]: a seeded shuffle of all samples, cut in two. `fraction` is the held-out share in (0, 1);
 * Math.round(fraction * count) samples are held out. Both halves are copies in shuffled order. Not stratified: the share of
 * each class in a half is the one that chance gives.
 */
export function split(data: Dataset, fraction: number, seed: number): [train: Dataset, heldOut: Dataset] {
  const heldOut = Math.round(fraction * data.count)
  if (!(heldOut > 0 && heldOut < data.count)) {
    const got = `a held-out share of ${fraction} of ${data.count} samples leaves a side empty`
    throw new DunlinError(`split: ${got}, wanted at least 1 sample on each. Use a fraction between 0 and 1, such as 0.2.`)
  }
  const order = new Random(seed, SPLIT_STREAM).shuffle(Int32Array.from({ length: data.count }, (_, i) => i))
  return [subset(data, order.subarray(heldOut)), subset(data, order.subarray(0, heldOut))]
}

/** The data with a probability for every class as target, 1 for the label: for losses that take such, and for mixup. */
export function oneHot(data: Dataset): Dataset {
  const { y, count, classes, labels: _, ...rest } = data
  if (!classes)
    throw new DunlinError(`oneHot: the data have targets of shape [${data.target}], wanted class labels. Use them as they are.`)
  const target = new Float32Array(count * classes)
  for (let i = 0; i < count; i++) target[i * classes + y[i]] = 1
  return { ...rest, y: target, classes: 0, target: [classes], count }
}

/** Mean and population standard deviation of all values of all samples (0 when all are equal), accumulated in float64. */
export function statistics(data: Dataset): { mean: number; std: number } {
  const { x } = data
  let sum = 0
  for (let i = 0; i < x.length; i++) sum += x[i]
  const mean = sum / x.length
  // A second pass: sum of squares minus square of the sum would cancel when the mean is large.
  let squares = 0
  for (let i = 0; i < x.length; i++) squares += (x[i] - mean) ** 2
  return { mean, std: Math.sqrt(squares / x.length) }
}

/**
 * The same of each channel, the last dimension of a sample, for itself: lists as `normalize` of an input takes them (where no `std` is 0).
 */
export function channelStatistics(data: Dataset): { mean: number[]; std: number[] } {
  const { x } = data
  const channels = data.shape.at(-1) ?? 1
  const each = x.length / channels
  const mean = new Array<number>(channels).fill(0)
  const squares = new Array<number>(channels).fill(0)
  for (let c = 0; c < channels; c++) {
    for (let i = c; i < x.length; i += channels) mean[c] += x[i]
    mean[c] /= each
    for (let i = c; i < x.length; i += channels) squares[c] += (x[i] - mean[c]) ** 2
  }
  return { mean, std: squares.map((sum) => Math.sqrt(sum / each)) }
}
