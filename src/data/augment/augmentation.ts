// Augmentations: functions that change one training sample in place, differently each time it is drawn. They run on the batch
// as floats, after it is copied from the dataset, so the dataset itself stays as it is. They see raw values, before normalization: what
// they add or fill in is in the units of the data. All chance comes from `random`.

import { DunlinError } from '../../graph/error'
import { type Shape, size } from '../../graph/node'
import type { Random } from '../../graph/random'

/** Changes `sample`, size(shape) values, in place. */
export type Augmentation = (sample: Float32Array, shape: Shape, random: Random) => void

/** From the least to the largest; a single number is both. */
export type Range = number | readonly [low: number, high: number]

/** What stands where an image has no pixel: a value (default 0), or the nearest pixel. */
export type Fill = number | 'edge'

/** A copy of the sample to read from while it is overwritten; the same array again for the next sample. */
export function copier(): (sample: Float32Array) => Float32Array {
  let copy = new Float32Array(0)
  return (sample) => {
    if (copy.length !== sample.length) copy = new Float32Array(sample.length)
    copy.set(sample)
    return copy
  }
}

/** Value i becomes the old value i + by, where there is one; others stay. */
export function move(sample: Float32Array, by: number): void {
  sample.copyWithin(Math.max(0, -by), Math.max(0, by), sample.length - Math.max(0, -by))
}

export function expectImage(name: string, sample: Float32Array, shape: Shape): void {
  if (shape.length !== 3) fail(name, sample, shape, 'an image [height, width, channels]')
  if (sample.length !== size(shape)) fail(name, sample, shape, `${size(shape)} values`)
}

/** A first axis of time and any others. */
export function expectSeries(name: string, sample: Float32Array, shape: Shape): void {
  if (shape.length < 1) fail(name, sample, shape, 'a series [steps] or [steps, channels]')
  if (sample.length !== size(shape)) fail(name, sample, shape, `${size(shape)} values`)
}

function fail(name: string, sample: Float32Array, shape: Shape, wanted: string): never {
  const got = `a sample of ${sample.length} values and shape [${shape}]`
  throw new DunlinError(`${name}: got ${got}, wanted ${wanted}. Leave ${name} out for other samples.`)
}

/** A finite number in [low, high]. */
export function expectWithin(name: string, what: string, v: number, low: number, high = Infinity): void {
  if (Number.isFinite(v) && v >= low && v <= high) return
  const wanted = high === Infinity ? `a number from ${low} on` : `a number in [${low}, ${high}]`
  throw new DunlinError(`${name}: ${what} is ${v}, wanted ${wanted}.`)
}

export function expectPixels(name: string, what: string, v: number): void {
  if (!(Number.isInteger(v) && v >= 0))
    throw new DunlinError(`${name}: got ${v} ${what}, wanted an integer from 0 on. Use a number such as 2.`)
}

export function expectFill(name: string, fill: unknown, others: readonly string[] = ['edge']): void {
  if (Number.isFinite(fill) || others.includes(fill as string)) return
  const wanted = ['a finite number', ...others.map((o) => `"${o}"`)].join(' or ')
  throw new DunlinError(`${name}: fill is ${String(fill)}, wanted ${wanted}.`)
}

/** Both ends, each in [low, high] and in this order. */
export function rangeOf(name: string, what: string, range: Range, low: number, high = Infinity): readonly [number, number] {
  const [from, to] = typeof range === 'number' ? [range, range] : range
  for (const v of [from, to]) expectWithin(name, what, v, low, high)
  if (from > to) throw new DunlinError(`${name}: ${what} is a range from ${from} to ${to}, wanted the smaller number first.`)
  return [from, to]
}
