// Fixed-point arithmetic of the int8 kernels, bit for bit that of TensorFlow Lite's reference kernels with double rounding
// (gemmlowp's SaturatingRoundingDoublingHighMul and RoundingDivideByPOT; MultiplyByQuantizedMultiplier is the two in a row).
// A real factor is multiplier * 2^(shift - 31): multiplier is Q31 and not negative, shift is positive to the left.

/** a * b / 2^31, halves rounded up. Exact: of all pairs only (-2^31, -2^31) overflows, and no kernel multiplies those. */
// @ts-ignore: decorator
@inline
export function mulHigh(a: i32, b: i32): i32 {
  return <i32>((<i64>a * <i64>b + (1 << 30)) >> 31)
}

/** v / 2^bits, halves rounded away from zero; bits in [0, 31]. */
// @ts-ignore: decorator
@inline
export function shiftRound(v: i32, bits: i32): i32 {
  const mask = (1 << bits) - 1
  const half = (mask >> 1) + i32(v < 0)
  return (v >> bits) + i32((v & mask) > half)
}

/** An accumulator as an int8 value: scaled, moved to the output's zero point, clamped to [lo, hi]. */
// @ts-ignore: decorator
@inline
export function requantize(acc: i32, multiplier: i32, shift: i32, zero: i32, lo: i32, hi: i32): i32 {
  const scaled = shiftRound(mulHigh(acc << max(shift, 0), multiplier), max(-shift, 0))
  return min(max(scaled + zero, lo), hi)
}
