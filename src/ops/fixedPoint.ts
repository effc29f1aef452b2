// From real scales to the integers that the int8 kernels multiply by: real = multiplier * 2^(shift - 31), with a multiplier in
// [2^30, 2^31) and a shift that is positive to the left. The arithmetic is TensorFlow Lite's (QuantizeMultiplier,
// PreprocessSoftmaxScaling, CalculateInputRadius and the preparation of ADD), because one unit of a multiplier is a bit of an
// output. Scales are those of the model file: float32 values, computed with in double precision.

import { DunlinError } from '../graph/error'

export interface FixedPoint {
  /** Q31: 0, or in [2^30, 2^31). */
  multiplier: number
  /** At least -31; positive multiplies by a power of two, negative divides. */
  shift: number
}

export interface SoftmaxScale extends FixedPoint {
  /** A logit that is further below its row's largest than this (a number <= 0) has probability 0. */
  diffMin: number
}

/** Integer bits of the exponent's argument in softmax: Q5.26, so exp() is taken of [-32, 0]. */
const SOFTMAX_INTEGER_BITS = 5
/** Bits that ADD shifts its inputs left by before they are scaled; the output's scale takes them back. */
const ADD_LEFT_SHIFT = 20

/** The nearest fixed-point number to `real` >= 0. What is below about 2^-32 becomes 0. */
export function quantizeMultiplier(real: number): FixedPoint {
  if (!(real >= 0 && real < 2 ** 31)) {
    throw new DunlinError(`A fixed-point multiplier is a number in [0, 2^31), got ${real}: check the scales it is a ratio of.`)
  }
  if (real === 0) return { multiplier: 0, shift: 0 }
  let { fraction, exponent } = split(real)
  let multiplier = Math.round(fraction * 2 ** 31)
  if (multiplier === 2 ** 31) {
    multiplier = 2 ** 30
    exponent++
  }
  return exponent < -31 ? { multiplier: 0, shift: 0 } : { multiplier, shift: exponent }
}

/** real = fraction * 2^exponent with fraction in [0.5, 1), exactly: C's frexp. */
export function split(real: number): { fraction: number; exponent: number } {
  // The logarithm may be off by one next to a power of two, and 2^exponent is out of range below 2^-1022.
  let exponent = Math.max(Math.floor(Math.log2(real)) + 1, -1000)
  let fraction = real / 2 ** exponent
  for (; fraction >= 1; exponent++) fraction /= 2
  for (; fraction < 0.5; exponent--) fraction *= 2
  return { fraction, exponent }
}

/** What softmax_i8 multiplies differences of logits by, for logits of `inputScale` and the exponent's factor `beta`. */
export function softmaxScale(inputScale: number, beta = 1): SoftmaxScale {
  const fractionBits = 31 - SOFTMAX_INTEGER_BITS
  const real = Math.min(beta * inputScale * 2 ** fractionBits, 2 ** 31 - 1)
  if (!(real > 1)) {
    throw new DunlinError(
      `softmax: input scale ${inputScale} times beta ${beta} is not above 2^-${fractionBits}: calibrate with typical data.`,
    )
  }
  const { multiplier, shift } = quantizeMultiplier(real)
  const radius = Math.floor(((2 ** SOFTMAX_INTEGER_BITS - 1) * 2 ** fractionBits) / 2 ** shift)
  return { multiplier, shift, diffMin: 0 - radius }
}

/**
 * What add_i8 multiplies by. Both inputs are brought to twice the larger of their scales, so that the sum cannot overflow;
 * every shift is 0 or negative.
 */
export function addScales(aScale: number, bScale: number, yScale: number): { a: FixedPoint; b: FixedPoint; y: FixedPoint } {
  const twiceLarger = 2 * Math.max(aScale, bScale)
  const y = twiceLarger / (2 ** ADD_LEFT_SHIFT * yScale)
  if (!(aScale > 0 && bScale > 0 && y > 0 && y < 1)) {
    throw new DunlinError(
      `add: input scales ${aScale} and ${bScale} do not fit output scale ${yScale}: it must exceed 2^-19 of the larger.`,
    )
  }
  return { a: quantizeMultiplier(aScale / twiceLarger), b: quantizeMultiplier(bScale / twiceLarger), y: quantizeMultiplier(y) }
}
