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
 * clamp(sZero + sScale * (rScale * (r - rZero) + cScale * (c - cZero))), bit for bit as add_i8.
 * @param c the result of the convolution, in [-128, 127]
 * @param r address of the residual, i8
 */
// @ts-ignore: decorator
@inline
export function residual(
  c: i32, cZero: i32, r: usize, rZero: i32, rMultiplier: i32, rShift: i32, cMultiplier: i32, cShift: i32,
  sMultiplier: i32, sShift: i32, sZero: i32, sLo: i32, sHi: i32,
): i32 {
  const sum = guarded(<i32>load<i8>(r) - rZero, rMultiplier, rShift) + guarded(c - cZero, cMultiplier, cShift)
  return requantize(sum, sMultiplier, sShift, sZero, sLo, sHi)
}
