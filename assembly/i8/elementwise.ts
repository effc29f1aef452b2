// Element by element in int8: sum, difference and product of two values with scales of their own, clamping, and functions by table.
// 8 or 16 elements at a time with SIMD, the rest one by one.

import { madd } from '../f32/tile'
import { factorOf, nudgeOf, requantize8 } from './eight'
import { INTEGER } from './finish'
import { belowZero, mulHigh, requantize, roundingOf, shiftRound } from './requantize'

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
  combine(a, b, y, n, aZero, bZero, yZero, aMultiplier, aShift, bMultiplier, bShift, yMultiplier, yShift, lo, hi, false)
}

/** add_i8 with a difference for the sum (sub.h). */
export function sub_i8(
  a: usize, b: usize, y: usize, n: i32, aZero: i32, bZero: i32, yZero: i32,
  aMultiplier: i32, aShift: i32, bMultiplier: i32, bShift: i32, yMultiplier: i32, yShift: i32, lo: i32, hi: i32,
): void {
  combine(a, b, y, n, aZero, bZero, yZero, aMultiplier, aShift, bMultiplier, bShift, yMultiplier, yShift, lo, hi, true)
}

// @ts-ignore: decorator
@inline
function combine(
  a: usize, b: usize, y: usize, n: i32, aZero: i32, bZero: i32, yZero: i32,
  aMultiplier: i32, aShift: i32, bMultiplier: i32, bShift: i32, yMultiplier: i32, yShift: i32, lo: i32, hi: i32, minus: bool,
): void {
  const aUp = roundingOf(-aShift)
  const bUp = roundingOf(-bShift)
  const yUp = roundingOf(-yShift)
  const aLow = aUp - belowZero(-aShift)
  const bLow = bUp - belowZero(-bShift)
  const yLow = yUp - belowZero(-yShift)
  let i = 0
  if (ASC_FEATURE_SIMD) {
    // In f32: v = a * fa + b * fb + base, with the integer above bit 14 and 14 bits of fraction below (768 <= v + 256 < 1280 or the
    // answer saturates). With F the larger factor, a, fa, b, fb and their sum err by 3/4 F of the last of these bits, base and v by
    // 1/2 each; the roundings of the fixed-point arithmetic, which see 20 bits more than a, move it by less than F / 10. Computed
    // `margin` bits too high, the integer part is the answer where the fraction is 2 * margin bits or more. Others are done again.
    const yFactor = <f64>yMultiplier * power(yShift - 31) * power(GUARD_BITS)
    const fa = <f64>aMultiplier * power(aShift - 31) * yFactor
    const size = <f64>bMultiplier * power(bShift - 31) * yFactor
    const fb = minus ? -size : size
    let margin = 2
    while (margin < 64 && <f64>margin < 1.1 + 0.9 * max(fa, size)) margin <<= 1
    const aFactor = f32x4.splat(margin < 64 ? <f32>fa : f32.NaN)
    const bFactor = f32x4.splat(<f32>fb)
    const base = f32x4.splat(<f32>(768.5 + <f64>yZero - <f64>aZero * fa - <f64>bZero * fb + <f64>margin / 16384))
    const fraction = i32x4.splat(16384 - (margin << 1))
    // Not known when compiling: V8 makes a known vector anew wherever it is used.
    const integer = i32x4.splat(INTEGER + (n >>> 31))
    const low = i8x16.splat(<i8>lo)
    const high = i8x16.splat(<i8>hi)
    for (; i <= n - 16; i += 16) {
      const p = a + i
      const q = b + i
      const s0 = sums(v128.load8x8_s(p), v128.load8x8_s(q), false, aFactor, bFactor, base)
      const s1 = sums(v128.load8x8_s(p), v128.load8x8_s(q), true, aFactor, bFactor, base)
      const s2 = sums(v128.load8x8_s(p, 8), v128.load8x8_s(q, 8), false, aFactor, bFactor, base)
      const s3 = sums(v128.load8x8_s(p, 8), v128.load8x8_s(q, 8), true, aFactor, bFactor, base)
      const left = i32x4.min_u(v128.and(s0, fraction), v128.and(s1, fraction))
      const right = i32x4.min_u(v128.and(s2, fraction), v128.and(s3, fraction))
      if (i32x4.all_true(i32x4.min_u(left, right))) {
        const wide0 = i16x8.narrow_i32x4_s(i32x4.sub(i32x4.shr_s(s0, 14), integer), i32x4.sub(i32x4.shr_s(s1, 14), integer))
        const wide1 = i16x8.narrow_i32x4_s(i32x4.sub(i32x4.shr_s(s2, 14), integer), i32x4.sub(i32x4.shr_s(s3, 14), integer))
        v128.store(y + i, i8x16.min_s(i8x16.max_s(i8x16.narrow_i16x8_s(wide0, wide1), low), high))
      } else {
        for (let j = i; j < i + 16; j++) {
          const u = scaled((<i32>load<i8>(a + j) - aZero) << GUARD_BITS, aMultiplier, aUp, aLow, aShift)
          const v = scaled((<i32>load<i8>(b + j) - bZero) << GUARD_BITS, bMultiplier, bUp, bLow, bShift)
          store<i8>(y + j, min(max(scaled(minus ? u - v : u + v, yMultiplier, yUp, yLow, yShift) + yZero, lo), hi))
        }
      }
    }
  }
  for (; i < n; i++) {
    const u = scaled((<i32>load<i8>(a + i) - aZero) << GUARD_BITS, aMultiplier, aUp, aLow, aShift)
    const v = scaled((<i32>load<i8>(b + i) - bZero) << GUARD_BITS, bMultiplier, bUp, bLow, bShift)
    store<i8>(y + i, min(max(scaled(minus ? u - v : u + v, yMultiplier, yUp, yLow, yShift) + yZero, lo), hi))
  }
}

/** u * aFactor + v * bFactor + base of the first four of eight i16, or with `upper` of the others. */
// @ts-ignore: decorator
@inline
function sums(u: v128, v: v128, upper: bool, aFactor: v128, bFactor: v128, base: v128): v128 {
  const x = f32x4.convert_i32x4_s(upper ? i32x4.extend_high_i16x8_s(u) : i32x4.extend_low_i16x8_s(u))
  const z = f32x4.convert_i32x4_s(upper ? i32x4.extend_high_i16x8_s(v) : i32x4.extend_low_i16x8_s(v))
  return f32x4.add(madd(x, aFactor, f32x4.mul(z, bFactor)), base)
}

/**
 * shiftRound(mulHigh(v, multiplier), -shift). For interpreters both roundings are one; `up` and `low`: roundingOf(-shift), and that less
 * belowZero(-shift).
 */
// @ts-ignore: decorator
@inline
function scaled(v: i32, multiplier: i32, up: i64, low: i64, shift: i32): i32 {
  if (!INTERPRETER) return shiftRound(mulHigh(v, multiplier), -shift)
  return <i32>((<i64>v * <i64>multiplier + (v < 0 ? low : up)) >> (31 - shift))
}

/** 2^e, e in [-1022, 1023]. */
// @ts-ignore: decorator
@inline
function power(e: i32): f64 {
  return reinterpret<f64>(<i64>(1023 + e) << 52)
}

/**
 * y[i] = clamp(yZero + scale * (a[i] - aZero) * (b[i] - bZero)) (integer_ops/mul.h)
 * @param a, b, y i8 [n]; y may be a or b
 * @param aZero, bZero, yZero zero points, in [-128, 127], like lo and hi
 * @param multiplier, shift scale(a) * scale(b) / scale(y): Q31, and in [-31, 14], positive to the left
 */
export function mul_i8(
  a: usize, b: usize, y: usize, n: i32, aZero: i32, bZero: i32, yZero: i32, multiplier: i32, shift: i32, lo: i32, hi: i32,
): void {
  let i = 0
  if (ASC_FEATURE_SIMD) {
    const az = i16x8.splat(<i16>aZero)
    const bz = i16x8.splat(<i16>bZero)
    const factor = factorOf(multiplier, shift)
    const nudge = nudgeOf(shift)
    for (; i <= n - 8; i += 8) {
      const u = i16x8.sub(v128.load8x8_s(a + i), az)
      const v = i16x8.sub(v128.load8x8_s(b + i), bz)
      const low = i32x4.extmul_low_i16x8_s(u, v)
      const q = requantize8(low, i32x4.extmul_high_i16x8_s(u, v), factor, nudge, multiplier, shift, yZero)
      v128.store64_lane(y + i, i8x16.min_s(i8x16.max_s(q, i8x16.splat(<i8>lo)), i8x16.splat(<i8>hi)), 0)
    }
  }
  for (; i < n; i++) {
    const product = (<i32>load<i8>(a + i) - aZero) * (<i32>load<i8>(b + i) - bZero)
    store<i8>(y + i, requantize(product, multiplier, shift, yZero, lo, hi))
  }
}

/**
 * y[i] = table[x[i] + 128]: any function of one value
 * @param x, y i8 [n]; y may be x
 * @param table i8 [256]
 */
export function lookup_i8(x: usize, table: usize, y: usize, n: i32): void {
  const middle = table + 128
  for (let i = 0; i < n; i++) store<i8>(y + i, load<i8>(middle + <usize>(<i32>load<i8>(x + i))))
}

/** y[i] = value. */
export function fill_i8(y: usize, n: i32, value: i32): void {
  memory.fill(y, <u8>value, n)
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
