// Element by element in int8: addition of two values with scales of their own, and clamping.
// 8 or 16 elements at a time with SIMD, the rest one by one.

import { mulHigh, requantize, scale4, shiftRound } from './requantize'

/** Bits that the inputs of an addition gain before they are scaled to a common scale. */
// @ts-ignore: decorator
@inline
const GUARD_BITS = 20

/**
 * y[i] = clamp(yZero + yScale * (aScale * (a[i] - aZero) + bScale * (b[i] - bZero))), in TensorFlow Lite's reference
 * arithmetic (integer_ops/add.h): both inputs shifted left by 20 bits, scaled and rounded, added, scaled and rounded.
 * @param a, b, y i8 [n]; y may be a or b
 * @param aMultiplier, bMultiplier, yMultiplier Q31, with shifts in [-31, 0]
 * @param aZero, bZero, yZero zero points, in [-128, 127], like lo and hi
 */
export function add_i8(
  a: usize, b: usize, y: usize, n: i32, aZero: i32, bZero: i32, yZero: i32,
  aMultiplier: i32, aShift: i32, bMultiplier: i32, bShift: i32, yMultiplier: i32, yShift: i32, lo: i32, hi: i32,
): void {
  let i = 0
  if (ASC_FEATURE_SIMD) {
    const az = i16x8.splat(<i16>aZero)
    const bz = i16x8.splat(<i16>bZero)
    const yz = i32x4.splat(yZero)
    const am = i32x4.splat(aMultiplier)
    const bm = i32x4.splat(bMultiplier)
    const ym = i32x4.splat(yMultiplier)
    for (; i <= n - 8; i += 8) {
      const u = i16x8.sub(v128.load8x8_s(a + i), az)
      const v = i16x8.sub(v128.load8x8_s(b + i), bz)
      const u0 = scale4(i32x4.shl(i32x4.extend_low_i16x8_s(u), GUARD_BITS), am, -aShift)
      const u1 = scale4(i32x4.shl(i32x4.extend_high_i16x8_s(u), GUARD_BITS), am, -aShift)
      const v0 = scale4(i32x4.shl(i32x4.extend_low_i16x8_s(v), GUARD_BITS), bm, -bShift)
      const v1 = scale4(i32x4.shl(i32x4.extend_high_i16x8_s(v), GUARD_BITS), bm, -bShift)
      const y0 = i32x4.add(scale4(i32x4.add(u0, v0), ym, -yShift), yz)
      const y1 = i32x4.add(scale4(i32x4.add(u1, v1), ym, -yShift), yz)
      // Narrowing saturates, which the clamp that follows would have done.
      const wide = i16x8.narrow_i32x4_s(y0, y1)
      const narrow = i8x16.narrow_i16x8_s(wide, wide)
      v128.store64_lane(y + i, i8x16.min_s(i8x16.max_s(narrow, i8x16.splat(<i8>lo)), i8x16.splat(<i8>hi)), 0)
    }
  }
  for (; i < n; i++) {
    const u = shiftRound(mulHigh((<i32>load<i8>(a + i) - aZero) << GUARD_BITS, aMultiplier), -aShift)
    const v = shiftRound(mulHigh((<i32>load<i8>(b + i) - bZero) << GUARD_BITS, bMultiplier), -bShift)
    store<i8>(y + i, requantize(u + v, yMultiplier, yShift, yZero, lo, hi))
  }
}

/**
 * y[i] = clamp(x[i], lo, hi)
 * @param x, y i8 [n]; y may be x
 * @param lo, hi in [-128, 127]
 */
export function clamp_i8(x: usize, y: usize, n: i32, lo: i32, hi: i32): void {
  let i = 0
  if (ASC_FEATURE_SIMD) {
    for (; i <= n - 16; i += 16) {
      v128.store(y + i, i8x16.min_s(i8x16.max_s(v128.load(x + i), i8x16.splat(<i8>lo)), i8x16.splat(<i8>hi)))
    }
  }
  for (; i < n; i++) store<i8>(y + i, min(max(<i32>load<i8>(x + i), lo), hi))
}
