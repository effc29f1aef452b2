// What the packed int8 kernels share: weights in panels of 8 output channels, tiles of 4 output positions by 8 channels, and a
// requantization of 4 lanes at a time that is exact without 64-bit lanes.
//
// A panel is bias i32[8], factor f32[8], nudge f32[8], multiplier i32[8], shift i32[8], then for each pair of products 8 x 2 weights
// as i16: two weights of a channel are neighbours, so that one dot_i16x8 makes two products for each of 4 channels. What does not
// exist (a channel past the last, the second of an odd pair) is zero.
//
// Requantization. With z = acc * multiplier * 2^(shift - 31) and d = 2^(shift - 1) (0 without a shift), the two roundings of
// TensorFlow Lite's arithmetic are together floor(z + 1/2 + d) for acc >= 0 and floor(z + 1/2 - d) for acc < 0, because
// floor((floor(a / p) + c) / q) = floor((a + c * p) / (p * q)). In f32 z errs by three roundings and z +- d by one more: for |z| <= 512
// less than 4 * 513 * 2^-24 < 2^-12. So where z +- d is further than that from a half, its nearest integer is the answer; the
// others, one in two thousand, are computed in integers; so are channels with a shift to the left or whose z can reach 2^21 (no
// trained network has one): their factor is NaN.

import { requantize } from './requantize'

/** Bytes of a panel before its weights. */
// @ts-ignore: decorator
@inline
export const HEAD = 160
/** Bytes of the sums of a tile, at the start of the scratch of a packed kernel: i32 [4][8]. */
// @ts-ignore: decorator
@inline
export const TILE = 128

/** Bytes of a panel. */
// @ts-ignore: decorator
@inline
export function panelBytes(pairs: i32): i32 {
  return HEAD + (pairs << 5)
}

/**
 * Packs weights, biases and scales into panels. A channel's weights are `segments` x `chunk` elements, paired along the chunk.
 *
 * w                        i8, element (channel o, segment s, i) at w[o * wChannel + s * wSegment + i * wStep]
 * bias, multiplier, shift  i32 [n], as for conv2d_i8
 * y                        ceil(n / 8) panels of 160 + 32 * segments * ceil(chunk / 2) bytes
 */
export function pack_i8(
  w: usize, bias: usize, multiplier: usize, shift: usize, y: usize,
  n: i32, segments: i32, chunk: i32, wChannel: i32, wSegment: i32, wStep: i32,
): void {
  const bytes = panelBytes(segments * ((chunk + 1) >> 1))
  for (let o = 0; o < n; o += 8) {
    memory.fill(y, 0, bytes)
    const width = min(8, n - o)
    for (let l = 0; l < width; l++) {
      const at = <usize>((o + l) << 2)
      const to = y + (l << 2)
      const m = load<i32>(multiplier + at)
      const e = load<i32>(shift + at)
      store<i32>(to, load<i32>(bias + at))
      store<f32>(to, e < 0 ? reinterpret<f32>((127 + e - 1) << 23) : 0, 64)
      store<i32>(to, m, 96)
      store<i32>(to, e, 128)
      let largest = Math.abs(<f64>load<i32>(bias + at))
      let pair = to + HEAD
      for (let s = 0; s < segments; s++) {
        let from = w + ((o + l) * wChannel + s * wSegment)
        for (let i = 0; i < chunk; i++) {
          const weight = load<i8>(from)
          largest += Math.abs(weight) * 255
          store<i16>(pair + ((i & 1) << 1), weight)
          from += wStep
          pair += (i & 1) << 5
        }
        pair += (chunk & 1) << 5
      }
      const factor = <f64>m * reinterpret<f64>(<i64>(1023 - 31 + e) << 52)
      store<f32>(to, e > 0 || largest * factor >= 2097152 ? f32.NaN : <f32>factor, 32)
    }
    y += bytes
  }
}

/** to[i] = x[i] - zero as i16, for n elements that do not overlap. */
// @ts-ignore: decorator
@inline
export function widen(x: usize, to: usize, n: i32, zero: i32): void {
  let i = 0
  if (ASC_FEATURE_SIMD) {
    if (n >= 8) {
      const z = i16x8.splat(<i16>zero)
      // The last vector ends where the elements end: it may do some of them again.
      for (; i < n; i += 8) {
        const at = min(i, n - 8)
        v128.store(to + (at << 1), i16x8.sub(v128.load8x8_s(x + at), z))
      }
    }
  }
  for (; i < n; i++) store<i16>(to + (i << 1), <i16>(<i32>load<i8>(x + i) - zero))
}

/**
 * sums[i][0..8) = bias + sum over segments and pairs of a_i * w, i = 0..3. Windows may be aliased: that is how a tail ends.
 * A window is `rows` x `cols` segments of `pairs` pairs of i16, rowStep and colStep bytes apart.
 */
// @ts-ignore: decorator
@inline
export function sums4x8(
  a0: usize, a1: usize, a2: usize, a3: usize, rows: i32, rowStep: usize, cols: i32, colStep: usize, pairs: i32,
  panel: usize, sums: usize,
): void {
  if (ASC_FEATURE_SIMD) {
    let v00 = v128.load(panel)
    let v01 = v128.load(panel, 16)
    let v10 = v00
    let v11 = v01
    let v20 = v00
    let v21 = v01
    let v30 = v00
    let v31 = v01
    let p = panel + HEAD
    for (let r = 0; r < rows; r++) {
      for (let s = 0; s < cols; s++) {
        const at = <usize>r * rowStep + <usize>s * colStep
        let p0 = a0 + at
        let p1 = a1 + at
        let p2 = a2 + at
        let p3 = a3 + at
        for (let q = pairs; q > 0; q--) {
          const w0 = v128.load(p)
          const w1 = v128.load(p, 16)
          const x0 = v128.load32_splat(p0)
          v00 = i32x4.add(v00, i32x4.dot_i16x8_s(x0, w0))
          v01 = i32x4.add(v01, i32x4.dot_i16x8_s(x0, w1))
          const x1 = v128.load32_splat(p1)
          v10 = i32x4.add(v10, i32x4.dot_i16x8_s(x1, w0))
          v11 = i32x4.add(v11, i32x4.dot_i16x8_s(x1, w1))
          const x2 = v128.load32_splat(p2)
          v20 = i32x4.add(v20, i32x4.dot_i16x8_s(x2, w0))
          v21 = i32x4.add(v21, i32x4.dot_i16x8_s(x2, w1))
          const x3 = v128.load32_splat(p3)
          v30 = i32x4.add(v30, i32x4.dot_i16x8_s(x3, w0))
          v31 = i32x4.add(v31, i32x4.dot_i16x8_s(x3, w1))
          p += 32
          p0 += 4
          p1 += 4
          p2 += 4
          p3 += 4
        }
      }
    }
    v128.store(sums, v00)
    v128.store(sums, v01, 16)
    v128.store(sums, v10, 32)
    v128.store(sums, v11, 48)
    v128.store(sums, v20, 64)
    v128.store(sums, v21, 80)
    v128.store(sums, v30, 96)
    v128.store(sums, v31, 112)
  }
}

/** The same for one window. */
// @ts-ignore: decorator
@inline
export function sums1x8(
  a: usize, rows: i32, rowStep: usize, cols: i32, colStep: usize, pairs: i32, panel: usize, sums: usize,
): void {
  let p = panel + HEAD
  if (ASC_FEATURE_SIMD) {
    let v0 = v128.load(panel)
    let v1 = v128.load(panel, 16)
    for (let r = 0; r < rows; r++) {
      for (let s = 0; s < cols; s++) {
        let p0 = a + <usize>r * rowStep + <usize>s * colStep
        for (let q = pairs; q > 0; q--) {
          const x = v128.load32_splat(p0)
          v0 = i32x4.add(v0, i32x4.dot_i16x8_s(x, v128.load(p)))
          v1 = i32x4.add(v1, i32x4.dot_i16x8_s(x, v128.load(p, 16)))
          p += 32
          p0 += 4
        }
      }
    }
    v128.store(sums, v0)
    v128.store(sums, v1, 16)
  } else {
    let v0 = load<i32>(panel)
    let v1 = load<i32>(panel, 4)
    let v2 = load<i32>(panel, 8)
    let v3 = load<i32>(panel, 12)
    let v4 = load<i32>(panel, 16)
    let v5 = load<i32>(panel, 20)
    let v6 = load<i32>(panel, 24)
    let v7 = load<i32>(panel, 28)
    for (let r = 0; r < rows; r++) {
      for (let s = 0; s < cols; s++) {
        let p0 = a + <usize>r * rowStep + <usize>s * colStep
        for (let q = pairs; q > 0; q--) {
          const x = <i32>load<i16>(p0)
          const z = <i32>load<i16>(p0, 2)
          v0 += x * load<i16>(p) + z * load<i16>(p, 2)
          v1 += x * load<i16>(p, 4) + z * load<i16>(p, 6)
          v2 += x * load<i16>(p, 8) + z * load<i16>(p, 10)
          v3 += x * load<i16>(p, 12) + z * load<i16>(p, 14)
          v4 += x * load<i16>(p, 16) + z * load<i16>(p, 18)
          v5 += x * load<i16>(p, 20) + z * load<i16>(p, 22)
          v6 += x * load<i16>(p, 24) + z * load<i16>(p, 26)
          v7 += x * load<i16>(p, 28) + z * load<i16>(p, 30)
          p += 32
          p0 += 4
        }
      }
    }
    store<i32>(sums, v0)
    store<i32>(sums, v1, 4)
    store<i32>(sums, v2, 8)
    store<i32>(sums, v3, 12)
    store<i32>(sums, v4, 16)
    store<i32>(sums, v5, 20)
    store<i32>(sums, v6, 24)
    store<i32>(sums, v7, 28)
  }
}

/** 1.5 * 2^23: added to a number within 2^22 it leaves the nearest integer in the low bits. */
// @ts-ignore: decorator
@inline
const MAGIC: f32 = 12582912

/** sum * factor, moved away from zero by `nudge`: its nearest integer is the scaled sum, where it is clear which one is nearest. */
// @ts-ignore: decorator
@inline
function scaled(sums: usize, factor: v128, nudge: v128, sign: v128): v128 {
  const z = f32x4.mul(f32x4.convert_i32x4_s(v128.load(sums)), factor)
  return f32x4.add(z, v128.or(v128.and(z, sign), nudge))
}

/** How far the lanes of u are from their nearest integers, in bits that are ordered like the distances; NaN is the largest. */
// @ts-ignore: decorator
@inline
function distance(u: v128, magic: v128, magnitude: v128): v128 {
  return v128.and(f32x4.sub(u, f32x4.sub(f32x4.add(u, magic), magic)), magnitude)
}

/** The nearest integers, moved to the zero point, as i16. */
// @ts-ignore: decorator
@inline
function rounded(u0: v128, u1: v128, magic: v128, zero: v128): v128 {
  return i16x8.narrow_i32x4_s(i32x4.add(f32x4.add(u0, magic), zero), i32x4.add(f32x4.add(u1, magic), zero))
}

/**
 * y[i][0..width) = sums[i], requantized by the panel's numbers: i < count positions, yStep bytes apart; count is 1..4, width 1..8.
 * The sums are used up.
 */
// @ts-ignore: decorator
@inline
export function storeTile(
  sums: usize, panel: usize, y: usize, count: i32, yStep: i32, width: i32, yZero: i32, lo: i32, hi: i32,
): void {
  let done = false
  if (ASC_FEATURE_SIMD) {
    const sign = i32x4.splat(<i32>0x80000000)
    const magic = f32x4.splat(MAGIC)
    const magnitude = i32x4.splat(0x7fffffff)
    const zero = i32x4.splat(yZero - reinterpret<i32>(MAGIC))
    const f0 = v128.load(panel, 32)
    const f1 = v128.load(panel, 48)
    const n0 = v128.load(panel, 64)
    const n1 = v128.load(panel, 80)
    const u00 = scaled(sums, f0, n0, sign)
    const u01 = scaled(sums + 16, f1, n1, sign)
    let far = i32x4.max_s(distance(u00, magic, magnitude), distance(u01, magic, magnitude))
    const r0 = rounded(u00, u01, magic, zero)
    const u10 = scaled(sums + 32, f0, n0, sign)
    const u11 = scaled(sums + 48, f1, n1, sign)
    far = i32x4.max_s(far, i32x4.max_s(distance(u10, magic, magnitude), distance(u11, magic, magnitude)))
    const r1 = rounded(u10, u11, magic, zero)
    const u20 = scaled(sums + 64, f0, n0, sign)
    const u21 = scaled(sums + 80, f1, n1, sign)
    far = i32x4.max_s(far, i32x4.max_s(distance(u20, magic, magnitude), distance(u21, magic, magnitude)))
    const r2 = rounded(u20, u21, magic, zero)
    const u30 = scaled(sums + 96, f0, n0, sign)
    const u31 = scaled(sums + 112, f1, n1, sign)
    far = i32x4.max_s(far, i32x4.max_s(distance(u30, magic, magnitude), distance(u31, magic, magnitude)))
    const r3 = rounded(u30, u31, magic, zero)
    // Sums of positions that do not exist are arbitrary: that they are not clear costs only time.
    if (!v128.any_true(i32x4.gt_s(far, f32x4.splat(0.5 - 1.0 / 4096)))) {
      const l = i8x16.splat(<i8>lo)
      const h = i8x16.splat(<i8>hi)
      const r01 = i8x16.min_s(i8x16.max_s(i8x16.narrow_i16x8_s(r0, r1), l), h)
      const r23 = i8x16.min_s(i8x16.max_s(i8x16.narrow_i16x8_s(r2, r3), l), h)
      if (count == 4 && width == 8) {
        v128.store64_lane(y, r01, 0)
        v128.store64_lane(y + yStep, r01, 1)
        v128.store64_lane(y + (yStep << 1), r23, 0)
        v128.store64_lane(y + yStep * 3, r23, 1)
      } else {
        v128.store(sums, r01)
        v128.store(sums, r23, 16)
        for (let i = 0; i < count; i++) {
          for (let l = 0; l < width; l++) store<u8>(y + <usize>(i * yStep + l), load<u8>(sums + <usize>((i << 3) + l)))
        }
      }
      done = true
    }
  }
  if (!done) {
    for (let i = 0; i < count; i++) {
      for (let l = 0; l < width; l++) {
        const at = <usize>(l << 2)
        const sum = load<i32>(sums + (<usize>(i << 5) + at))
        store<i8>(y + l, requantize(sum, load<i32>(panel + at, 96), load<i32>(panel + at, 128), yZero, lo, hi))
      }
      y += yStep
    }
  }
}
