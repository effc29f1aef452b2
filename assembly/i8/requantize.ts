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

/** mulHigh of four lanes, b the same for all. */
// @ts-ignore: decorator
@inline
export function mulHigh4(a: v128, b: i32): v128 {
  const factor = i32x4.splat(b)
  const half = i64x2.splat(1 << 30)
  const low = i64x2.shr_s(i64x2.add(i64x2.extmul_low_i32x4_s(a, factor), half), 31)
  const high = i64x2.shr_s(i64x2.add(i64x2.extmul_high_i32x4_s(a, factor), half), 31)
  return v128.shuffle<i32>(low, high, 0, 2, 4, 6)
}

/** shiftRound of four lanes, bits the same for all. */
// @ts-ignore: decorator
@inline
export function shiftRound4(v: v128, bits: i32): v128 {
  const mask = (1 << bits) - 1
  const half = i32x4.sub(i32x4.splat(mask >> 1), i32x4.shr_s(v, 31))
  return i32x4.sub(i32x4.shr_s(v, bits), i32x4.gt_s(v128.and(v, i32x4.splat(mask)), half))
}

/** An accumulator as an int8 value: scaled, moved to the output's zero point, clamped to [lo, hi]. */
// @ts-ignore: decorator
@inline
export function requantize(acc: i32, multiplier: i32, shift: i32, zero: i32, lo: i32, hi: i32): i32 {
  const scaled = shiftRound(mulHigh(acc << max(shift, 0), multiplier), max(-shift, 0))
  return min(max(scaled + zero, lo), hi)
}

/**
 * The same in the fewest instructions, for interpreters: in 64 bits nothing overflows, so that shiftRound needs no comparison. Half of
 * 2^bits, less 1 for a negative v, is (2^bits + its sign) >> 1, and for bits = 0 that is 0.
 */
// @ts-ignore: decorator
@inline
export function requantizeWide(acc: i32, multiplier: i32, shift: i32, zero: i32, lo: i32, hi: i32): i32 {
  const up = max(shift, 0)
  const bits = <i64>(up - shift)
  const v = (<i64>(acc << up) * <i64>multiplier + (1 << 30)) >> 31
  const scaled = <i32>((v + ((((<i64>1) << bits) + (v >> 63)) >> 1)) >> bits)
  return min(max(scaled + zero, lo), hi)
}

// The same where a multiplier serves several accumulators: what follows from it alone is computed once, and both roundings are one shift.
// mulHigh is floor((a * m + 2^30) / 2^31), and shiftRound(v, bits) is floor((v + h) / 2^bits), where h is half of 2^bits, less 1 if v < 0 and
// bits > 0. Floors of floors of quotients are floors: together floor((a * m + 2^30 + h * 2^31) / 2^(31 + bits)), below 2^63 all of it. That
// a < 0 stands for v < 0 makes no difference: where they differ v is 0, and the result is 0 either way.

/** 2^30 + h * 2^31 for a >= 0. */
// @ts-ignore: decorator
@inline
export function roundingOf(bits: i32): i64 {
  return ((<i64>1 << bits >> 1) << 31) + (1 << 30)
}

/** What it is less for a < 0. */
// @ts-ignore: decorator
@inline
export function belowZero(bits: i32): i64 {
  return <i64>(bits > 0) << 31
}

/** requantize of a, which is an accumulator << max(shift, 0); `rounding` as above for its sign, and down = 31 + max(-shift, 0). */
// @ts-ignore: decorator
@inline
export function requantizeBy(a: i32, multiplier: i64, rounding: i64, down: i64, zero: i32, lo: i32, hi: i32): i32 {
  return min(max(<i32>((<i64>a * multiplier + rounding) >> down) + zero, lo), hi)
}
