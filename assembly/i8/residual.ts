// An addition's input on the scale that it shares with the other; and the residual connection in the store of a convolution: the int8
// result c is added to the residual r as add_i8 would add them, so that c itself never lies in memory.

import { mulHigh, requantize, shiftRound } from './requantize'

/** Bits that the inputs of an addition gain before they are scaled to a common scale. */
// @ts-ignore: decorator
@inline
export const GUARD_BITS = 20

/** An input of an addition, v less its zero point, on the common scale. */
// @ts-ignore: decorator
@inline
export function guarded(v: i32, multiplier: i32, shift: i32): i32 {
  return shiftRound(mulHigh(v << GUARD_BITS, multiplier), -shift)
}

/**
 * What a convolution stores: its result c, or with `add` the sum of c and the residual at address r,
 * clamp(sZero + sScale * (rScale * (r - rZero) + cScale * (c - cZero))), bit for bit as add_i8.
 */
// @ts-ignore: decorator
@inline
export function withResidual(
  c: i32, cZero: i32, add: bool, r: usize, rZero: i32, rMultiplier: i32, rShift: i32, cMultiplier: i32, cShift: i32,
  sMultiplier: i32, sShift: i32, sZero: i32, sLo: i32, sHi: i32,
): i32 {
  if (!add) return c
  const sum = guarded(<i32>load<i8>(r) - rZero, rMultiplier, rShift) + guarded(c - cZero, cMultiplier, cShift)
  return requantize(sum, sMultiplier, sShift, sZero, sLo, sHi)
}
