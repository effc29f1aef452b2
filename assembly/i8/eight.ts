// Eight accumulators that share a factor, requantized at once: in f32 by finish.ts's method where that is exact, else in 64-bit lanes.

import { BASE, FRACTION, INTEGER, integers, scaled } from './finish'
import { mulHigh4, shiftRound4 } from './requantize'

/** What the factor multiplier * 2^(shift - 31) is in f32; NaN where it is 1 or more: then no lane is exact. */
// @ts-ignore: decorator
@inline
export function factorOf(multiplier: i32, shift: i32): v128 {
  return f32x4.splat(shift > 0 ? f32.NaN : <f32>multiplier * reinterpret<f32>((127 - 31 + shift) << 23))
}

/** By how much the two roundings of a factor with a shift to the right move an accumulator away from 0. */
// @ts-ignore: decorator
@inline
export function nudgeOf(shift: i32): v128 {
  return f32x4.splat(shift < 0 ? reinterpret<f32>((127 + shift - 1) << 23) : 0)
}

/** requantize of the eight, but for the clamp to [lo, hi], in the lower half of a vector. */
// @ts-ignore: decorator
@inline
export function requantize8(low: v128, high: v128, factor: v128, nudge: v128, multiplier: i32, shift: i32, zero: i32): v128 {
  const base = f32x4.splat(BASE)
  const sign = f32x4.splat(-0.0)
  const u0 = scaled(low, factor, nudge, base, sign, false)
  const u1 = scaled(high, factor, nudge, base, sign, false)
  const fraction = i32x4.splat(FRACTION)
  if (i32x4.all_true(i32x4.min_u(v128.and(u0, fraction), v128.and(u1, fraction)))) {
    const wide = integers(u0, u1, i32x4.splat(zero - INTEGER))
    return i8x16.narrow_i16x8_s(wide, wide)
  }
  const left = max(shift, 0)
  const right = max(-shift, 0)
  const zeros = i32x4.splat(zero)
  const a = i32x4.add(shiftRound4(mulHigh4(i32x4.shl(low, left), multiplier), right), zeros)
  const b = i32x4.add(shiftRound4(mulHigh4(i32x4.shl(high, left), multiplier), right), zeros)
  const wide = i16x8.narrow_i32x4_s(a, b)
  return i8x16.narrow_i16x8_s(wide, wide)
}
