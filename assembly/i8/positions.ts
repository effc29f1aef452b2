// The int8 micro-kernels that convolution and dense share where there is no SIMD: four output channels of a few output positions, so that
// each value of x is loaded once for four weights, and each weight once for all positions. Two forms:
// `positions` is for compilers: sums of one or two positions in registers, and words of four values, since what a load costs
// beside a multiplication is its check of bounds.
// `threePositions` is for interpreters, where each instruction costs alike: one multiplication of 64 bits computes three products.

import { result } from './residual'

/**
 * y[i][j] = clamp(yZero + scale_j * (bias[j] + sum (x_i - xZero) * w_j)), or that and the residual, for the positions i < n and the
 * channels j in [0, min(4, channels)).
 * @param x i8 [k] of position 0, and with `two` of position 1 at x + xStep, which is read even if n is 1
 * @param w i8 [channels][k]
 * @param bias, multiplier, shift i32 for each channel
 * @param y, r of channel 0; positions are yStep apart
 */
// @ts-ignore: decorator
@inline
export function positions(
  two: bool, x: usize, xStep: i32, w: usize, bias: usize, multiplier: usize, shift: usize, y: usize, n: i32, yStep: i32, channels: i32,
  k: i32, xZero: i32, yZero: i32, lo: i32, hi: i32, add: bool, r: usize, rZero: i32, rMultiplier: i32, rShift: i32,
  cMultiplier: i32, cShift: i32, sMultiplier: i32, sShift: i32, sZero: i32, sLo: i32, sHi: i32,
): void {
  // A channel that does not exist computes the last one again, and is not stored.
  const last = min(channels, 4) - 1
  let p = x
  let p1 = two ? x + xStep : 0
  let q = w
  let q1 = w + k * min(1, last)
  let q2 = w + k * min(2, last)
  let q3 = w + k * last
  let a0 = 0
  let a1 = 0
  let a2 = 0
  let a3 = 0
  let b0 = 0
  let b1 = 0
  let b2 = 0
  let b3 = 0
  let left = k
  while (left > 0) {
    // Four values of each, or, of what is left, one.
    let u: i32
    let u1 = 0
    let w0: i32
    let w1: i32
    let w2: i32
    let w3: i32
    let count = 4
    if (left >= 4) {
      u = load<i32>(p)
      if (two) u1 = load<i32>(p1)
      w0 = load<i32>(q)
      w1 = load<i32>(q1)
      w2 = load<i32>(q2)
      w3 = load<i32>(q3)
    } else {
      count = 1
      u = load<u8>(p)
      if (two) u1 = load<u8>(p1)
      w0 = load<u8>(q)
      w1 = load<u8>(q1)
      w2 = load<u8>(q2)
      w3 = load<u8>(q3)
    }
    p += count
    p1 += count
    q += count
    q1 += count
    q2 += count
    q3 += count
    left -= count
    do {
      const v = <i32><i8>u - xZero
      const v1 = <i32><i8>u1 - xZero
      a0 += v * <i32><i8>w0
      if (two) b0 += v1 * <i32><i8>w0
      a1 += v * <i32><i8>w1
      if (two) b1 += v1 * <i32><i8>w1
      a2 += v * <i32><i8>w2
      if (two) b2 += v1 * <i32><i8>w2
      a3 += v * <i32><i8>w3
      if (two) b3 += v1 * <i32><i8>w3
      u >>= 8
      if (two) u1 >>= 8
      w0 >>= 8
      w1 >>= 8
      w2 >>= 8
      w3 >>= 8
    } while (--count)
  }
  for (let j = 0; j <= last; j++) {
    const b = load<i32>(bias + (j << 2))
    const m = load<i32>(multiplier + (j << 2))
    const s = load<i32>(shift + (j << 2))
    let to = j
    for (let i = 0; i < n; i++) {
      store<i8>(y + to, result(
        a0 + b, m, s, yZero, lo, hi,
        add, r + to, rZero, rMultiplier, rShift, cMultiplier, cShift, sMultiplier, sShift, sZero, sLo, sHi,
      ))
      to += yStep
      a0 = b0
    }
    a0 = a1
    a1 = a2
    a2 = a3
    b0 = b1
    b1 = b2
    b2 = b3
  }
}

/** Products that fit into a lane of 21 bits: |x - xZero| <= 255 and |w| <= 128, so 32 of them stay below 2^20. */
// @ts-ignore: decorator
@inline
const WINDOW = 32
// @ts-ignore: decorator
@inline
const LANE = 21
/** What makes the two lower lanes of a sum positive, so that a lane borrows nothing from the one above. */
// @ts-ignore: decorator
@inline
const POSITIVE: i64 = (1 << 20) + (1 << 41)

/**
 * The same of three positions, of which n are stored. A packed value is v0 + v1 * 2^21 + v2 * 2^42, where v_i = x_i - xZero; so
 * a sum of packed values times weights is s0 + s1 * 2^21 + s2 * 2^42 with the three sums of products. After at most WINDOW products
 * |s_i| <= 32 * 255 * 128 < 2^20: s0 + 2^20 and s1 + 2^20 are in [0, 2^21), and s2 fits in the upper 22 bits. So bits 0 to 20, 21 to 41
 * and 42 to 63 of the sum and POSITIVE are exactly s0 + 2^20, s1 + 2^20 and s2, and are added to int32 sums; what 2^20 adds in each
 * window is taken off at the beginning, modulo 2^32.
 * @param x packed values, i64 [k]
 */
// @ts-ignore: decorator
@inline
export function threePositions(
  x: usize, w: usize, bias: usize, multiplier: usize, shift: usize, y: usize, n: i32, yStep: i32, channels: i32,
  k: i32, yZero: i32, lo: i32, hi: i32, add: bool, r: usize, rZero: i32, rMultiplier: i32, rShift: i32,
  cMultiplier: i32, cShift: i32, sMultiplier: i32, sShift: i32, sZero: i32, sLo: i32, sHi: i32,
): void {
  const last = min(channels, 4) - 1
  let p = x
  let q0 = w
  let q1 = w + k * min(1, last)
  let q2 = w + k * min(2, last)
  let q3 = w + k * last
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
  while (left > 0) {
    let a0 = POSITIVE
    let a1 = a0
    let a2 = a0
    let a3 = a0
    let count = min(left, WINDOW)
    left -= count
    for (; count >= 4; count -= 4) {
      const v0 = load<i64>(p)
      a0 += v0 * load<i8>(q0)
      a1 += v0 * load<i8>(q1)
      a2 += v0 * load<i8>(q2)
      a3 += v0 * load<i8>(q3)
      const v1 = load<i64>(p, 8)
      a0 += v1 * load<i8>(q0, 1)
      a1 += v1 * load<i8>(q1, 1)
      a2 += v1 * load<i8>(q2, 1)
      a3 += v1 * load<i8>(q3, 1)
      const v2 = load<i64>(p, 16)
      a0 += v2 * load<i8>(q0, 2)
      a1 += v2 * load<i8>(q1, 2)
      a2 += v2 * load<i8>(q2, 2)
      a3 += v2 * load<i8>(q3, 2)
      const v3 = load<i64>(p, 24)
      a0 += v3 * load<i8>(q0, 3)
      a1 += v3 * load<i8>(q1, 3)
      a2 += v3 * load<i8>(q2, 3)
      a3 += v3 * load<i8>(q3, 3)
      p += 32
      q0 += 4
      q1 += 4
      q2 += 4
      q3 += 4
    }
    for (; count > 0; count--) {
      const v = load<i64>(p)
      a0 += v * load<i8>(q0++)
      a1 += v * load<i8>(q1++)
      a2 += v * load<i8>(q2++)
      a3 += v * load<i8>(q3++)
      p += 8
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
  }
  for (let j = 0; j <= last; j++) {
    const b = load<i32>(bias + (j << 2))
    const m = load<i32>(multiplier + (j << 2))
    const s = load<i32>(shift + (j << 2))
    let to = j
    for (let i = 0; i < n; i++) {
      store<i8>(y + to, result(
        s00 + b, m, s, yZero, lo, hi,
        add, r + to, rZero, rMultiplier, rShift, cMultiplier, cShift, sMultiplier, sShift, sZero, sLo, sHi,
      ))
      to += yStep
      s00 = s01
      s01 = s02
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
  }
}
