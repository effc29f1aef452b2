// The int8 micro-kernels of convolution where there is no SIMD: four output channels of a few output positions, so that each value of x is
// loaded once for four weights, and each weight once for all positions. Two forms:
// `twoPositions` is for compilers: sums in registers, and words of four values, since what a load costs is its check of bounds.
// `threePositions` is for interpreters, where each instruction costs alike: one multiplication of 64 bits computes three products.

import { belowZero, requantize, requantizeBy, roundingOf } from './requantize'

/** a, and the sum of eight values, each times an int8 of those at q: one expression, so that an interpreter keeps the sum on its stack. */
// @ts-ignore: decorator
@inline
function eightProducts(a: i64, v0: i64, v1: i64, v2: i64, v3: i64, v4: i64, v5: i64, v6: i64, v7: i64, q: usize): i64 {
  const half = v0 * load<i8>(q) + v1 * load<i8>(q, 1) + v2 * load<i8>(q, 2) + v3 * load<i8>(q, 3)
  return a + half + v4 * load<i8>(q, 4) + v5 * load<i8>(q, 5) + v6 * load<i8>(q, 6) + v7 * load<i8>(q, 7)
}

/**
 * y[i][j] = clamp(yZero + scale_j * (bias[j] + sum (x_i - xZero) * w_j)) for the positions i < n and four channels j.
 * @param x0, x1 i8 [k] of the two positions; x1 is read even if n is 1
 * @param w i8 [4][k]; wStep is k, or 0 for one channel instead of four
 * @param bias, multiplier, shift i32 for each channel
 * @param y of channel 0; positions are yStep apart
 */
// @ts-ignore: decorator
@inline
export function twoPositions(
  x0: usize, x1: usize, w: usize, wStep: i32, bias: usize, multiplier: usize, shift: usize, y: usize, n: i32, yStep: i32,
  k: i32, xZero: i32, yZero: i32, lo: i32, hi: i32,
): void {
  let p = x0
  const next = x1 - x0
  let q = w
  let a0 = 0
  let a1 = 0
  let a2 = 0
  let a3 = 0
  let b0 = 0
  let b1 = 0
  let b2 = 0
  let b3 = 0
  let left = k
  do {
    // Four values of each, or, of what is left, one.
    let u: i32
    let v: i32
    let w0: i32
    let w1: i32
    let w2: i32
    let w3: i32
    let count = 4
    const q2 = q + (wStep << 1)
    if (left >= 4) {
      u = load<i32>(p)
      v = load<i32>(p + next)
      w0 = load<i32>(q)
      w1 = load<i32>(q + wStep)
      w2 = load<i32>(q2)
      w3 = load<i32>(q2 + wStep)
    } else {
      count = 1
      u = load<u8>(p)
      v = load<u8>(p + next)
      w0 = load<u8>(q)
      w1 = load<u8>(q + wStep)
      w2 = load<u8>(q2)
      w3 = load<u8>(q2 + wStep)
    }
    p += count
    q += count
    left -= count
    do {
      const a = <i32><i8>u - xZero
      const b = <i32><i8>v - xZero
      a0 += a * <i32><i8>w0
      b0 += b * <i32><i8>w0
      a1 += a * <i32><i8>w1
      b1 += b * <i32><i8>w1
      a2 += a * <i32><i8>w2
      b2 += b * <i32><i8>w2
      a3 += a * <i32><i8>w3
      b3 += b * <i32><i8>w3
      u >>= 8
      v >>= 8
      w0 >>= 8
      w1 >>= 8
      w2 >>= 8
      w3 >>= 8
    } while (--count)
  } while (left)
  const end = bias + (wStep ? 16 : 4)
  let column = y
  do {
    const b = load<i32>(bias)
    const m = load<i32>(multiplier)
    const sh = load<i32>(shift)
    let to = column
    let i = n
    do {
      store<i8>(to, requantize(a0 + b, m, sh, yZero, lo, hi))
      to += yStep
      a0 = b0
    } while (--i)
    a0 = a1
    a1 = a2
    a2 = a3
    b0 = b1
    b1 = b2
    b2 = b3
    column++
    bias += 4
    multiplier += 4
    shift += 4
  } while (bias < end)
}

/** Products that fit into a lane of 21 bits: |x - xZero| <= 255 and |w| <= 128, so 32 of them stay below 2^20. */
// @ts-ignore: decorator
@inline
const WINDOW = 32
// @ts-ignore: decorator
@inline
export const LANE = 21
/** What makes the two lower lanes of a sum positive, so that a lane borrows nothing from the one above. */
// @ts-ignore: decorator
@inline
const POSITIVE: i64 = (1 << 20) + (1 << 41)

/** Three values, or a number for each of three values, in the lanes of an i64. */
// @ts-ignore: decorator
@inline
export function lanes(v0: i64, v1: i64, v2: i64): i64 {
  return v0 + (v1 << LANE) + (v2 << (2 * LANE))
}

/**
 * twoPositions of three positions, of which n are stored. A packed value is v0 + v1 * 2^21 + v2 * 2^42, where v_i = x_i - xZero; so
 * a sum of packed values times weights is s0 + s1 * 2^21 + s2 * 2^42 with the three sums of products. After at most WINDOW products
 * |s_i| <= 32 * 255 * 128 < 2^20: s0 + 2^20 and s1 + 2^20 are in [0, 2^21), and s2 fits in the upper 22 bits. So bits 0 to 20, 21 to 41
 * and 42 to 63 of the sum and POSITIVE are exactly s0 + 2^20, s1 + 2^20 and s2, and are added to int32 sums; what 2^20 adds in each
 * window is taken off at the beginning, modulo 2^32.
 * @param x packed values, i64 [k]
 */
// @ts-ignore: decorator
@inline
export function threePositions(
  x: usize, w: usize, wStep: i32, bias: usize, multiplier: usize, shift: usize, y: usize, n: i32, yStep: i32,
  k: i32, yZero: i32, lo: i32, hi: i32,
): void {
  let p = x
  let q = w
  const mask = (1 << LANE) - 1
  const from = -((k + WINDOW - 1) / WINDOW << 20)
  let s00 = from
  let s01 = from
  let s02 = 0
  let s10 = from
  let s11 = from
  let s12 = 0
  let s20 = from
  let s21 = from
  let s22 = 0
  let s30 = from
  let s31 = from
  let s32 = 0
  let left = k
  do {
    let a0 = POSITIVE
    let a1 = a0
    let a2 = a0
    let a3 = a0
    let count = min(left, WINDOW)
    left -= count
    while (count >= 8) {
      const v0 = load<i64>(p)
      const v1 = load<i64>(p, 8)
      const v2 = load<i64>(p, 16)
      const v3 = load<i64>(p, 24)
      const v4 = load<i64>(p, 32)
      const v5 = load<i64>(p, 40)
      const v6 = load<i64>(p, 48)
      const v7 = load<i64>(p, 56)
      const q1 = q + wStep
      const q2 = q1 + wStep
      const q3 = q2 + wStep
      a0 = eightProducts(a0, v0, v1, v2, v3, v4, v5, v6, v7, q)
      a1 = eightProducts(a1, v0, v1, v2, v3, v4, v5, v6, v7, q1)
      a2 = eightProducts(a2, v0, v1, v2, v3, v4, v5, v6, v7, q2)
      a3 = eightProducts(a3, v0, v1, v2, v3, v4, v5, v6, v7, q3)
      p += 64
      q += 8
      count -= 8
    }
    while (count) {
      const q2 = q + (wStep << 1)
      const v = load<i64>(p)
      a0 += v * load<i8>(q)
      a1 += v * load<i8>(q + wStep)
      a2 += v * load<i8>(q2)
      a3 += v * load<i8>(q2 + wStep)
      p += 8
      q++
      count--
    }
    s00 += <i32>a0 & mask
    s01 += <i32>(a0 >> LANE) & mask
    s02 += <i32>(a0 >> (2 * LANE))
    s10 += <i32>a1 & mask
    s11 += <i32>(a1 >> LANE) & mask
    s12 += <i32>(a1 >> (2 * LANE))
    s20 += <i32>a2 & mask
    s21 += <i32>(a2 >> LANE) & mask
    s22 += <i32>(a2 >> (2 * LANE))
    s30 += <i32>a3 & mask
    s31 += <i32>(a3 >> LANE) & mask
    s32 += <i32>(a3 >> (2 * LANE))
  } while (left)
  const end = bias + (wStep ? 16 : 4)
  let to = y
  do {
    const b = load<i32>(bias)
    const up = max(load<i32>(shift), 0)
    const bits = max(-load<i32>(shift), 0)
    const m = <i64>load<i32>(multiplier)
    const positive = roundingOf(bits)
    const negative = positive - belowZero(bits)
    const down = <i64>bits + 31
    const a = (s00 + b) << up
    store<i8>(to, requantizeBy(a, m, a < 0 ? negative : positive, down, yZero, lo, hi))
    if (n > 1) {
      const a = (s01 + b) << up
      const next = to + yStep
      store<i8>(next, requantizeBy(a, m, a < 0 ? negative : positive, down, yZero, lo, hi))
      if (n > 2) {
        const a = (s02 + b) << up
        store<i8>(next + yStep, requantizeBy(a, m, a < 0 ? negative : positive, down, yZero, lo, hi))
      }
    }
    s00 = s10
    s01 = s11
    s02 = s12
    s10 = s20
    s11 = s21
    s12 = s22
    s20 = s30
    s21 = s31
    s22 = s32
    to++
    bias += 4
    multiplier += 4
    shift += 4
  } while (bias < end)
}
