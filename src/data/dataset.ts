// A dataset is two flat arrays, samples and class labels, with the shape of one sample. It is checked once, where it is made;
// everything after that (batching, splitting, training) trusts it. Pixels keep the type they came in, so that 60,000 images
// take one byte a pixel; they become floats batch by batch.

import { DunlinError } from '../graph/error'
import { checkShape, type Shape, size } from '../graph/node'
import { Random } from '../graph/random'

export interface Dataset {
  /** count * size(shape) raw values, sample after sample, each in row-major order (images: height, width, channels). */
  x: Uint8Array | Float32Array | Int8Array
  /** count class labels in [0, classes). */
  y: Int32Array
  /** Of one sample. */
  shape: Shape
  classes: number
  count: number
  /** One name for each class. */
  labels?: string[]
}

/** Separates the draws of `split` from other uses of the same seed. */
const SPLIT_STREAM = 0x5b117

/**
 * Checks the parts and puts them together; `x` is kept, not copied. `source` is what errors call it, such as a file name.
 * @throws DunlinError when lengths disagree, a label is not an integer in [0, classes), or a value is NaN or infinite.
 */
export function makeDataset(parts: {
  x: Dataset['x']
  y: ArrayLike<number>
  shape: Shape
  classes: number
  labels?: string[]
  source?: string
}): Dataset {
  const { x, y, shape, classes, labels, source = 'dataset' } = parts
  checkShape(source, shape)
  if (!(x instanceof Uint8Array || x instanceof Float32Array || x instanceof Int8Array)) {
    const got = (x as object | undefined)?.constructor?.name ?? String(x)
    throw new DunlinError(`${source}: x is ${got}, wanted Uint8Array, Int8Array or Float32Array. Copy it into one of these.`)
  }
  if (!Number.isInteger(classes) || classes < 1) {
    throw new DunlinError(
      `${source}: got ${classes} classes, wanted a positive integer. Set classes to the largest label plus 1.`,
    )
  }
  if (labels && labels.length !== classes) {
    throw new DunlinError(`${source}: got ${labels.length} label names for ${classes} classes. Give one name for each class.`)
  }
  const count = y.length
  if (count === 0) throw new DunlinError(`${source}: got 0 samples, wanted at least 1. Check that the right data was loaded.`)
  const values = size(shape)
  if (x.length !== count * values) {
    const wanted = `${count} labels x ${values} values of a sample [${shape}] = ${count * values}`
    throw new DunlinError(`${source}: x has ${x.length} values, wanted ${wanted}. Check the shape and the number of labels.`)
  }
  for (let i = 0; i < count; i++) {
    if (!(Number.isInteger(y[i]) && y[i] >= 0 && y[i] < classes)) {
      const wanted = `an integer in 0..${classes - 1} (${classes} classes)`
      const wide = Number.isInteger(y[i]) && y[i] >= classes
      const remedy = wide
        ? `If label ${y[i]} is right, set classes to at least ${y[i] + 1} (option classes, or --classes N)`
        : 'Correct the label'
      throw new DunlinError(`${source}: sample ${i} has label ${y[i]}, wanted ${wanted}. ${remedy}.`)
    }
  }
  if (x instanceof Float32Array) {
    const bad = x.findIndex((v) => !Number.isFinite(v))
    if (bad >= 0) {
      const where = `sample ${Math.floor(bad / values)}, value ${bad % values} of ${values}`
      throw new DunlinError(`${source}: ${where} is ${x[bad]}, wanted a finite 32-bit number. Repair or leave out the sample.`)
    }
  }
  return {
    x,
    y: y instanceof Int32Array ? y : Int32Array.from(y),
    shape: [...shape],
    classes,
    count,
    ...(labels && { labels: [...labels] }),
  }
}

/** The samples at `indices`, copied, in that order; an index may come more than once. */
export function subset(data: Dataset, indices: ArrayLike<number>): Dataset {
  const values = size(data.shape)
  const count = indices.length
  const x = allocate(data.x, count * values)
  const y = new Int32Array(count)
  for (let i = 0; i < count; i++) {
    const from = indices[i]
    if (!(Number.isInteger(from) && from >= 0 && from < data.count)) {
      throw new DunlinError(
        `subset: index ${from} at position ${i}, wanted an integer in 0..${data.count - 1}. Pass indices of samples.`,
      )
    }
    x.set(data.x.subarray(from * values, (from + 1) * values), i * values)
    y[i] = data.y[from]
  }
  return { ...data, x, y, count }
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

function allocate(like: Dataset['x'], length: number): Dataset['x'] {
  if (like instanceof Float32Array) return new Float32Array(length)
  return like instanceof Int8Array ? new Int8Array(length) : new Uint8Array(length)
}
