// Augmentations of the values themselves: brightness, contrast, noise. For samples of any shape.

import { exp, log } from '../../graph/arithmetic'
import { DunlinError } from '../../graph/error'
import type { Random } from '../../graph/random'
import { type Augmentation, expectWithin, type Range, rangeOf } from './augmentation'

interface Limits {
  /** The least and the largest value there is, such as [0, 255]: what would be beyond becomes that. Default: none. */
  clamp?: readonly [low: number, high: number]
}

/** Adds to all values one number drawn from [-most, most]. */
export function brightness(most: number, options: Limits = {}): Augmentation {
  expectWithin('brightness', 'most', most, 0)
  const limit = limiter('brightness', options)
  return (sample, _, random) => {
    const by = random.uniform(-most, most)
    for (let i = 0; i < sample.length; i++) sample[i] += by
    limit(sample)
  }
}

/** Multiplies the distance of all values from the mean of the sample by one factor drawn from `factor`, such as [0.7, 1.4]. */
export function contrast(factor: Range, options: Limits = {}): Augmentation {
  const range = rangeOf('contrast', 'factor', factor, 0)
  const limit = limiter('contrast', options)
  return (sample, _, random) => {
    const by = random.uniform(...range)
    let sum = 0
    for (let i = 0; i < sample.length; i++) sum += sample[i]
    const mean = sum / sample.length
    for (let i = 0; i < sample.length; i++) sample[i] = mean + (sample[i] - mean) * by
    limit(sample)
  }
}

/**
 * Adds normally distributed noise to each value: of the standard deviation `std`; or so that the signal, taken as the mean square of
 * the sample, is `snr` decibels above the noise (silence then stays silent). A range is drawn from for each sample.
 */
export function noise(options: ({ std: Range } | { snr: Range }) & Limits): Augmentation {
  const limit = limiter('noise', options)
  const { std, snr } = options as { std?: Range; snr?: Range }
  if ((std === undefined) === (snr === undefined))
    throw new DunlinError(`noise: wants either std, in the units of the data, or snr, in decibels.`)
  const range = std !== undefined ? rangeOf('noise', 'std', std, 0) : rangeOf('noise', 'snr', snr!, -200, 200)
  return (sample, _, random) => {
    const drawn = random.uniform(...range)
    const deviation = std !== undefined ? drawn : rootMeanSquare(sample) * exp((-drawn / 20) * Math.LN10)
    addNormal(sample, deviation, random)
    limit(sample)
  }
}

/** The polar method, as Random.normal, with both numbers that it gives: of a second of sound 16,000 are wanted. */
function addNormal(sample: Float32Array, deviation: number, random: Random): void {
  for (let i = 0; i < sample.length; ) {
    const u = random.uniform(-1, 1)
    const v = random.uniform(-1, 1)
    const s = u * u + v * v
    if (!(s > 0 && s < 1)) continue
    const factor = deviation * Math.sqrt((-2 * log(s)) / s)
    sample[i++] += u * factor
    if (i < sample.length) sample[i++] += v * factor
  }
}

function rootMeanSquare(sample: Float32Array): number {
  let sum = 0
  for (let i = 0; i < sample.length; i++) sum += sample[i] * sample[i]
  return Math.sqrt(sum / sample.length)
}

function limiter(name: string, { clamp }: Limits): (sample: Float32Array) => void {
  if (!clamp) return () => {}
  const [low, high] = clamp
  if (!(low < high)) throw new DunlinError(`${name}: clamp is [${low}, ${high}], wanted the smaller value first.`)
  return (sample) => {
    for (let i = 0; i < sample.length; i++) sample[i] = Math.max(low, Math.min(high, sample[i]))
  }
}
