// Arithmetic on one 16-bit number, held in an i32, or on the eight of a vector: a formula written with it over T serves the SIMD builds
// (T = v128) and the scalar one (T = i32), with the same bits. Fixed-point numbers as in gemmlowp: Qm.n has m integer and n fraction bits,
// and m + n = 15.

import { shiftRound, shiftRound4 } from '../i8/requantize'

// @ts-ignore: decorator
@inline
export function splat<T>(v: i32): T {
  if (isVector<T>()) return i16x8.splat(<i16>v)
  else return v
}

// @ts-ignore: decorator
@inline
export function read<T>(p: usize): T {
  if (isVector<T>()) return v128.load(p)
  else return <i32>load<i16>(p)
}

// @ts-ignore: decorator
@inline
export function write<T>(p: usize, v: T): void {
  if (isVector<T>()) v128.store(p, v)
  else store<i16>(p, v)
}

/** a + b where that fits. */
// @ts-ignore: decorator
@inline
export function add<T>(a: T, b: T): T {
  if (isVector<T>()) return i16x8.add(a, b)
  else return a + b
}

/** a - b where that fits. */
// @ts-ignore: decorator
@inline
export function sub<T>(a: T, b: T): T {
  if (isVector<T>()) return i16x8.sub(a, b)
  else return a - b
}

/** a + b, saturated. */
// @ts-ignore: decorator
@inline
export function addSaturated<T>(a: T, b: T): T {
  if (isVector<T>()) return i16x8.add_sat_s(a, b)
  else return min(max(a + b, -32768), 32767)
}

/** a * b / 2^15, halves up (gemmlowp's SaturatingRoundingDoublingHighMul); never of -2^15 and -2^15. */
// @ts-ignore: decorator
@inline
export function mulHigh<T>(a: T, b: T): T {
  // The relaxed form is free to choose for the one pair that does not come.
  if (isVector<T>()) return ASC_FEATURE_RELAXED_SIMD ? i16x8.relaxed_q15mulr_s(a, b) : i16x8.q15mulr_sat_s(a, b)
  else return (a * b + (1 << 14)) >> 15
}

/** a * b / 2^bits, halves away from zero; bits from 15 on. */
// @ts-ignore: decorator
@inline
export function mulShift<T>(a: T, b: T, bits: i32): T {
  if (isVector<T>()) {
    return i16x8.narrow_i32x4_s(
      shiftRound4(i32x4.extmul_low_i16x8_s(a, b), bits),
      shiftRound4(i32x4.extmul_high_i16x8_s(a, b), bits),
    )
  } else return shiftRound(a * b, bits)
}

/** v / 2^bits, halves up. */
// @ts-ignore: decorator
@inline
export function halved<T>(v: T, bits: i32): T {
  const half = 1 << (bits - 1)
  if (isVector<T>()) return i16x8.shr_s(i16x8.add(v, i16x8.splat(<i16>half)), bits)
  else return (v + half) >> bits
}

/** v * 2^bits where that fits. */
// @ts-ignore: decorator
@inline
export function doubled<T>(v: T, bits: i32): T {
  if (isVector<T>()) return i16x8.shl(v, bits)
  else return v << bits
}

// @ts-ignore: decorator
@inline
export function least<T>(a: T, b: T): T {
  if (isVector<T>()) return i16x8.min_s(a, b)
  else return min(a, b)
}

// @ts-ignore: decorator
@inline
export function most<T>(a: T, b: T): T {
  if (isVector<T>()) return i16x8.max_s(a, b)
  else return max(a, b)
}

/** The bits of v that `bits` has. */
// @ts-ignore: decorator
@inline
export function masked<T>(v: T, bits: i32): T {
  if (isVector<T>()) return v128.and(v, i16x8.splat(<i16>bits))
  else return v & bits
}

/** a where v < limit, else b. */
// @ts-ignore: decorator
@inline
export function below<T>(v: T, limit: i32, a: T, b: T): T {
  if (isVector<T>()) return v128.bitselect(a, b, i16x8.lt_s(v, i16x8.splat(<i16>limit)))
  else return v < limit ? a : b
}

/** a where v is 0, else b. */
// @ts-ignore: decorator
@inline
export function ifZero<T>(v: T, a: T, b: T): T {
  if (isVector<T>()) return v128.bitselect(a, b, i16x8.eq(v, i16x8.splat(0)))
  else return v == 0 ? a : b
}
