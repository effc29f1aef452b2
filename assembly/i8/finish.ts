// Where a packed int8 kernel's sums end: a requantization of 4 lanes at a time that is exact without 64-bit lanes.
//
// With z = sum * multiplier * 2^(shift - 31) and d = 2^(shift - 1) (0 without a shift), the two roundings of
// TensorFlow Lite's arithmetic are together floor(z + 1/2 + d) for sum >= 0 and floor(z + 1/2 - d) for sum < 0, because
// floor((floor(a / p) + c) / q) = floor((a + c * p) / (p * q)). Where lo is the zero point, as after a relu, all negative sums end
// there, and the first form serves every sum.
// In f32, z + 768.5 + d has its integer above bit 14 and 14 bits of fraction below. For |z| <= 256 it errs by less than 2 of the
// last of these bits: 3 roundings of z are 3/4, those of d and of the sum 1/2 each. It is computed 2 bits too high; then where the
// fraction is 4 bits or more its integer part is the answer; the others, one in four thousand, are computed in integers, and so
// are channels with a shift to the left, whose factor is NaN. Beyond |z| = 256 the bits still grow with z, and the answer saturates.

import { madd } from '../f32/tile'
import { requantize } from './requantize'

/**
 * Bytes at the start of the scratch of a packed kernel: the sums of two positions, i32 [2][8]; vectors of `begin`, at 64 the sign bit, 80 BASE,
 * 128 FRACTION, 144 the zero point, 160 lo, 176 hi; at 192 what the sums of a panel start from, i32 [8].
 */
// @ts-ignore: decorator
@inline
export const TILE = 224

/** 768.5, and the 2 bits by which the sum is computed too high. */
// @ts-ignore: decorator
@inline
export const BASE: f32 = 768.5 + 2.0 / 16384

/** What is above the fraction in the bits of 768. */
// @ts-ignore: decorator
@inline
export const INTEGER = 0x44400000 >> 14

/** The bits of a fraction of 4 or more: below, the answer is not clear. */
// @ts-ignore: decorator
@inline
export const FRACTION = 16380

/** Leaves what finish2x8 needs behind its sums: a vector that is loaded costs less than one that is built in the loop. */
// @ts-ignore: decorator
@inline
export function begin(sums: usize, yZero: i32, lo: i32, hi: i32): void {
  if (!ASC_FEATURE_SIMD) return
  v128.store(sums, f32x4.splat(-0.0), 64)
  v128.store(sums, f32x4.splat(BASE), 80)
  v128.store(sums, i32x4.splat(FRACTION), 128)
  v128.store(sums, i32x4.splat(yZero - INTEGER), 144)
  v128.store(sums, i8x16.splat(<i8>lo), 160)
  v128.store(sums, i8x16.splat(<i8>hi), 176)
}

/** What the sums of a panel start from with four products: the bias, less what 128 + xZero added to x adds. Left behind the vectors. */
// @ts-ignore: decorator
@inline
export function beginPanel(panel: usize, sums: usize, xZero: i32): usize {
  const to = sums + 192
  if (!ASC_FEATURE_SIMD) return to
  const added = i32x4.splat(128 + xZero)
  v128.store(to, i32x4.sub(v128.load(panel), i32x4.mul(v128.load(panel, 192), added)))
  v128.store(to, i32x4.sub(v128.load(panel, 16), i32x4.mul(v128.load(panel, 208), added)), 16)
  return to
}

/** The scaled sum, as bits with 14 of fraction; `positive`: negative sums need only stay below zero. `sign`: -0.0, the sign bit alone. */
// @ts-ignore: decorator
@inline
export function scaled(sum: v128, factor: v128, nudge: v128, base: v128, sign: v128, positive: bool): v128 {
  const v = f32x4.convert_i32x4_s(sum)
  if (positive) return madd(v, factor, base)
  // A fused product has a rounding less.
  return f32x4.add(madd(v, factor, v128.or(v128.and(sum, sign), nudge)), base)
}

/** The integer parts of two vectors, moved to the zero point, as i16. */
// @ts-ignore: decorator
@inline
export function integers(u0: v128, u1: v128, zero: v128): v128 {
  return i16x8.narrow_i32x4_s(i32x4.add(i32x4.shr_s(u0, 14), zero), i32x4.add(i32x4.shr_s(u1, 14), zero))
}

/**
 * The requantized sums v00 v01 and v10 v11 go to `upper` positions from y on, yStep bytes apart, v20 v21 and v30 v31 to `lower`
 * positions from y2 on; upper and lower are 0..2, width is 1..8. Sums of positions that do not exist are arbitrary: that they are not
 * clear costs only time. `sums`: i32 [2][8] to put them down, and the vectors of `begin`.
 */
// @ts-ignore: decorator
@inline
export function finish4x8(
  v00: v128, v01: v128, v10: v128, v11: v128, v20: v128, v21: v128, v30: v128, v31: v128,
  panel: usize, sums: usize, y: usize, y2: usize, yStep: i32, upper: i32, lower: i32, width: i32, yZero: i32, lo: i32, hi: i32,
): void {
  finishPair(v00, v01, v10, v11, panel, sums, y, yStep, upper, width, yZero, lo, hi)
  finishPair(v20, v21, v30, v31, panel, sums, y2, yStep, lower, width, yZero, lo, hi)
}

/** The same for two positions, of which `count` exist. */
// @ts-ignore: decorator
@inline
export function finishPair(
  v00: v128, v01: v128, v10: v128, v11: v128,
  panel: usize, sums: usize, y: usize, yStep: i32, count: i32, width: i32, yZero: i32, lo: i32, hi: i32,
): void {
  // After a relu negative sums end at the zero point. Asked for every pair: a branch that always goes the same way.
  if (lo >= yZero) finish2x8(v00, v01, v10, v11, panel, sums, y, yStep, count, width, yZero, lo, hi, true)
  else finish2x8(v00, v01, v10, v11, panel, sums, y, yStep, count, width, yZero, lo, hi, false)
}

/** The same for one position. */
// @ts-ignore: decorator
@inline
export function finish1x8(
  v0: v128, v1: v128, panel: usize, sums: usize, y: usize, width: i32, yZero: i32, lo: i32, hi: i32,
): void {
  finish2x8(v0, v1, v0, v1, panel, sums, y, 0, 1, width, yZero, lo, hi, false)
}

/** The same; `positive`: of negative sums it is only asked that they stay below zero. */
// @ts-ignore: decorator
@inline
function finish2x8(
  v00: v128, v01: v128, v10: v128, v11: v128,
  panel: usize, sums: usize, y: usize, yStep: i32, count: i32, width: i32, yZero: i32, lo: i32, hi: i32, positive: bool,
): void {
  // Put down now: kept for the rare case in registers, the sums would push everything else out of them.
  v128.store(sums, v00)
  v128.store(sums, v01, 16)
  v128.store(sums, v10, 32)
  v128.store(sums, v11, 48)
  const fraction = v128.load(sums, 128)
  const zero = v128.load(sums, 144)
  const f0 = v128.load(panel, 32)
  const f1 = v128.load(panel, 48)
  const n0 = v128.load(panel, 64)
  const n1 = v128.load(panel, 80)
  const b0 = positive ? v128.load(panel, 96) : v128.load(sums, 80)
  const b1 = positive ? v128.load(panel, 112) : b0
  const sign = v128.load(sums, 64)
  const u00 = scaled(v00, f0, n0, b0, sign, positive)
  const u01 = scaled(v01, f1, n1, b1, sign, positive)
  const u10 = scaled(v10, f0, n0, b0, sign, positive)
  const u11 = scaled(v11, f1, n1, b1, sign, positive)
  const clear = i32x4.min_u(
    i32x4.min_u(v128.and(u00, fraction), v128.and(u01, fraction)), i32x4.min_u(v128.and(u10, fraction), v128.and(u11, fraction)),
  )
  if (i32x4.all_true(clear)) {
    const r = i8x16.narrow_i16x8_s(integers(u00, u01, zero), integers(u10, u11, zero))
    const clamped = i8x16.min_s(i8x16.max_s(r, v128.load(sums, 160)), v128.load(sums, 176))
    if (count == 2 && width == 8) {
      v128.store64_lane(y, clamped, 0)
      v128.store64_lane(y + yStep, clamped, 1)
    } else {
      v128.store(sums, clamped)
      for (let i = 0; i < count; i++) {
        for (let l = 0; l < width; l++) store<u8>(y + <usize>(i * yStep + l), load<u8>(sums + <usize>((i << 3) + l)))
      }
    }
  } else finish(sums, panel, y, yStep, count, width, yZero, lo, hi)
}

/** The same in integers for `count` positions, from sums in memory. */
// @ts-ignore: decorator
@inline
export function finish(
  sums: usize, panel: usize, y: usize, yStep: i32, count: i32, width: i32, yZero: i32, lo: i32, hi: i32,
): void {
  for (let i = 0; i < count; i++) {
    for (let l = 0; l < width; l++) {
      const at = <usize>(l << 2)
      const sum = load<i32>(sums + (<usize>(i << 5) + at))
      store<i8>(y + l, requantize(sum, load<i32>(panel + at, 128), load<i32>(panel + at, 160), yZero, lo, hi))
    }
    y += yStep
  }
}
