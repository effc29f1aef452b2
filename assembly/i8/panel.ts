// What the packed int8 kernels share: weights in panels of 8 output channels, tiles of 4 or 6 output positions by 8 channels, and a
// requantization of 4 lanes at a time that is exact without 64-bit lanes.
//
// A panel is bias i32[8], factor f32[8], nudge f32[8], base f32[8], multiplier i32[8], shift i32[8], sum of the weights i32[8], then
// steps of 32 bytes of weights: 8 channels x 2 weights as i16, so that one dot_i16x8 makes two products for each of 4 channels; or 8 x 4
// weights as i8. What does not exist (a channel past the last, a weight past the last) is zero.
//
// The relaxed dot of i8x16 and i7x16 makes four products for each of 4 channels, at four times the speed where it is one instruction
// (AVX-VNNI's vpdpbusd). What it makes of a second operand of 8 bits is the host's own, but always the same: where it takes it
// as unsigned and does not saturate, x + 128 is such an operand, and the sum is moved back by 128 + xZero times the sum of
// the weights. `fourProducts` asks the host; packing and the kernel get the same answer.
//
// The tiles take four steps at a time, with a way out after each, for the reasons given in f32/tile.ts.
//
// Requantization. With z = sum * multiplier * 2^(shift - 31) and d = 2^(shift - 1) (0 without a shift), the two roundings of
// TensorFlow Lite's arithmetic are together floor(z + 1/2 + d) for sum >= 0 and floor(z + 1/2 - d) for sum < 0, because
// floor((floor(a / p) + c) / q) = floor((a + c * p) / (p * q)). Where lo is the zero point, as after a relu, all negative sums end
// there, and the first form serves every sum.
// In f32, z + 768.5 + d has its integer above bit 14 and 14 bits of fraction below. For |z| <= 256 it errs by less than 2 of the
// last of these bits: 3 roundings of z are 3/4, those of d and of the sum 1/2 each. It is computed 2 bits too high; then where the
// fraction is 4 bits or more its integer part is the answer; the others, one in four thousand, are computed in integers, and so
// are channels with a shift to the left, whose factor is NaN. Beyond |z| = 256 the bits still grow with z, and the answer saturates.

import { madd } from '../f32/tile'
import { requantize } from './requantize'

/** Bytes of a panel before its weights. */
// @ts-ignore: decorator
@inline
export const HEAD = 224
/**
 * Bytes at the start of the scratch of a packed kernel: the sums of two positions, i32 [2][8]; vectors of `begin`, at 64 the sign bit, 80 BASE,
 * 128 FRACTION, 144 the zero point, 160 lo, 176 hi; at 192 what the sums of a panel start from, i32 [8].
 */
// @ts-ignore: decorator
@inline
export const TILE = 224

/** Bytes of a panel. */
// @ts-ignore: decorator
@inline
export function panelBytes(steps: i32): i32 {
  return HEAD + (steps << 5)
}

/** Whether the relaxed dot product of this host takes its second operand as unsigned, exactly. */
// @ts-ignore: decorator
@inline
export function fourProducts(): bool {
  if (!ASC_FEATURE_RELAXED_SIMD) return false
  const sums = i32x4.relaxed_dot_i8x16_i7x16_add_s(i8x16.splat(127), i8x16.splat(-1), i32x4.splat(0))
  return i32x4.extract_lane(sums, 0) == 4 * 127 * 255
}

/** What a panel says of a channel beside its weights; `to`: the channel's place in the panel's first row. */
// @ts-ignore: decorator
@inline
export function packNumbers(bias: i32, multiplier: i32, shift: i32, to: usize): void {
  const nudge: f32 = shift < 0 ? reinterpret<f32>((127 + shift - 1) << 23) : 0
  store<i32>(to, bias)
  store<f32>(to, shift > 0 ? f32.NaN : <f32>multiplier * reinterpret<f32>((127 - 31 + shift) << 23), 32)
  store<f32>(to, nudge, 64)
  store<f32>(to, BASE + nudge, 96)
  store<i32>(to, multiplier, 128)
  store<i32>(to, shift, 160)
}

/**
 * Packs weights, biases and scales into panels. A channel's weights are `segments` x `chunk` elements, two neighbours of a chunk in a
 * step; four where the host has the instruction.
 *
 * w                        i8, element (channel o, segment s, i) at w[o * wChannel + s * wSegment + i * wStep]
 * bias, multiplier, shift  i32 [n], as for conv2d_i8
 * y                        ceil(n / 8) panels of at most 224 + 32 * segments * ceil(chunk / 2) bytes
 */
export function pack_i8(
  w: usize, bias: usize, multiplier: usize, shift: usize, y: usize,
  n: i32, segments: i32, chunk: i32, wChannel: i32, wSegment: i32, wStep: i32,
): void {
  pack(w, bias, multiplier, shift, y, n, segments, chunk, wChannel, wSegment, wStep)
}

/** The same, for kernels that contain it: a kernel calls no other. */
// @ts-ignore: decorator
@inline
export function pack(
  w: usize, bias: usize, multiplier: usize, shift: usize, y: usize,
  n: i32, segments: i32, chunk: i32, wChannel: i32, wSegment: i32, wStep: i32,
): void {
  // A step has 1 << log weights of a channel, of 4 >> log bytes.
  const log = fourProducts() ? 2 : 1
  const last = (1 << log) - 1
  const bytes = panelBytes(segments * ((chunk + last) >> log))
  for (let o = 0; o < n; o += 8) {
    memory.fill(y, 0, bytes)
    const width = min(8, n - o)
    for (let l = 0; l < width; l++) {
      const to = y + (l << 2)
      packNumbers(load<i32>(bias + ((o + l) << 2)), load<i32>(multiplier + ((o + l) << 2)), load<i32>(shift + ((o + l) << 2)), to)
      let sum = 0
      let step = to + HEAD
      for (let s = 0; s < segments; s++) {
        let from = w + ((o + l) * wChannel + s * wSegment)
        for (let i = 0; i < chunk; i++) {
          const weight = load<i8>(from)
          sum += weight
          const at = step + ((i >> log) << 5)
          if (log == 2) store<i8>(at + (i & 3), weight)
          else store<i16>(at + ((i & 1) << 1), weight)
          from += wStep
        }
        step += ((chunk + last) >> log) << 5
      }
      store<i32>(to, sum, 192)
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

/** to[i] = x[i] + 128 as u8, for n elements that do not overlap. */
// @ts-ignore: decorator
@inline
export function shift(x: usize, to: usize, n: i32): void {
  let i = 0
  if (ASC_FEATURE_SIMD) {
    if (n >= 16) {
      const sign = i8x16.splat(-128)
      for (; i < n; i += 16) {
        const at = min(i, n - 16)
        v128.store(to + at, v128.xor(v128.load(x + at), sign))
      }
    }
  }
  for (; i < n; i++) store<u8>(to + i, load<u8>(x + i) ^ 128)
}

/** to[i * cols + j] = i * rowStep + j * colStep. */
// @ts-ignore: decorator
@inline
export function grid(to: usize, rows: i32, rowStep: i32, cols: i32, colStep: i32): void {
  let row = 0
  for (let i = 0; i < rows; i++) {
    let at = row
    for (let j = 0; j < cols; j++) {
      store<i32>(to, at)
      at += colStep
      to += 4
    }
    row += rowStep
  }
}

/** sum + the dot products of four channels' weights in a step with x: that of one position in all lanes, or of four channels. */
// @ts-ignore: decorator
@inline
export function products(x: v128, w: v128, sum: v128, four: bool): v128 {
  if (ASC_FEATURE_RELAXED_SIMD && four) return i32x4.relaxed_dot_i8x16_i7x16_add_s(w, x, sum)
  return i32x4.add(sum, i32x4.dot_i16x8_s(x, w))
}

/**
 * y[i][0..8) = the requantized start + sum over segments and steps of a_i * w, i < 4, by two products in a step.
 * A window is `segments` runs of 4 * `steps` bytes; `offsets` (i32) says how many bytes from its start they lie. `start`: i32 [8], the
 * bias. `raw`: panel is weights alone, and the products are left in `sums`, from zero.
 */
// @ts-ignore: decorator
@inline
export function tile4x8(
  a0: usize, a1: usize, a2: usize, a3: usize, segments: i32, offsets: usize, steps: i32, start: usize, panel: usize, sums: usize,
  y: usize, yStep: i32, width: i32, yZero: i32, lo: i32, hi: i32, raw: bool,
): void {
  let v00 = raw ? i32x4.splat(0) : v128.load(start)
  let v01 = raw ? v00 : v128.load(start, 16)
  let v10 = v00
  let v11 = v01
  let v20 = v00
  let v21 = v01
  let v30 = v00
  let v31 = v01
  let p = raw ? panel : panel + HEAD
  for (let s = 0; s < segments; s++) {
    const at: usize = raw ? 0 : load<u32>(offsets + (<usize>s << 2))
    let p0 = a0 + at
    let p1 = a1 + at
    let p2 = a2 + at
    let p3 = a3 + at
    let q = steps
    do {
      const w00 = v128.load(p)
      const w01 = v128.load(p, 16)
      const x00 = v128.load32_splat(p0)
      v00 = products(x00, w00, v00, false)
      v01 = products(x00, w01, v01, false)
      const x01 = v128.load32_splat(p1)
      v10 = products(x01, w00, v10, false)
      v11 = products(x01, w01, v11, false)
      const x02 = v128.load32_splat(p2)
      v20 = products(x02, w00, v20, false)
      v21 = products(x02, w01, v21, false)
      const x03 = v128.load32_splat(p3)
      v30 = products(x03, w00, v30, false)
      v31 = products(x03, w01, v31, false)
      if (q == 1) break
      const w10 = v128.load(p, 32)
      const w11 = v128.load(p, 48)
      const x10 = v128.load32_splat(p0, 4)
      v00 = products(x10, w10, v00, false)
      v01 = products(x10, w11, v01, false)
      const x11 = v128.load32_splat(p1, 4)
      v10 = products(x11, w10, v10, false)
      v11 = products(x11, w11, v11, false)
      const x12 = v128.load32_splat(p2, 4)
      v20 = products(x12, w10, v20, false)
      v21 = products(x12, w11, v21, false)
      const x13 = v128.load32_splat(p3, 4)
      v30 = products(x13, w10, v30, false)
      v31 = products(x13, w11, v31, false)
      if (q == 2) break
      const w20 = v128.load(p, 64)
      const w21 = v128.load(p, 80)
      const x20 = v128.load32_splat(p0, 8)
      v00 = products(x20, w20, v00, false)
      v01 = products(x20, w21, v01, false)
      const x21 = v128.load32_splat(p1, 8)
      v10 = products(x21, w20, v10, false)
      v11 = products(x21, w21, v11, false)
      const x22 = v128.load32_splat(p2, 8)
      v20 = products(x22, w20, v20, false)
      v21 = products(x22, w21, v21, false)
      const x23 = v128.load32_splat(p3, 8)
      v30 = products(x23, w20, v30, false)
      v31 = products(x23, w21, v31, false)
      if (q == 3) break
      const w30 = v128.load(p, 96)
      const w31 = v128.load(p, 112)
      const x30 = v128.load32_splat(p0, 12)
      v00 = products(x30, w30, v00, false)
      v01 = products(x30, w31, v01, false)
      const x31 = v128.load32_splat(p1, 12)
      v10 = products(x31, w30, v10, false)
      v11 = products(x31, w31, v11, false)
      const x32 = v128.load32_splat(p2, 12)
      v20 = products(x32, w30, v20, false)
      v21 = products(x32, w31, v21, false)
      const x33 = v128.load32_splat(p3, 12)
      v30 = products(x33, w30, v30, false)
      v31 = products(x33, w31, v31, false)
      p += 128
      p0 += 16
      p1 += 16
      p2 += 16
      p3 += 16
      q -= 4
    } while (q > 0)
    p += <usize>(steps & 3) << 5
  }
  if (raw) {
    v128.store(sums, v00)
    v128.store(sums, v01, 16)
    v128.store(sums, v10, 32)
    v128.store(sums, v11, 48)
    v128.store(sums, v20, 64)
    v128.store(sums, v21, 80)
    v128.store(sums, v30, 96)
    v128.store(sums, v31, 112)
  } else {
    const y2 = y + (yStep << 1)
    finish4x8(v00, v01, v10, v11, v20, v21, v30, v31, panel, sums, y, y2, yStep, 2, 2, width, yZero, lo, hi)
  }
}

/**
 * The same for six windows, by four products in a step: twelve sums are under way at a time, each of which waits for its product. The first
 * of `offsets` is 0, and one behind the last is read.
 */
// @ts-ignore: decorator
@inline
export function tile6x8(
  a0: usize, a1: usize, a2: usize, a3: usize, a4: usize, a5: usize, segments: i32, offsets: usize, steps: i32,
  start: usize, panel: usize, sums: usize, y: usize, yStep: i32, width: i32, yZero: i32, lo: i32, hi: i32,
): void {
  let v00 = v128.load(start)
  let v01 = v128.load(start, 16)
  let v10 = v00
  let v11 = v01
  let v20 = v00
  let v21 = v01
  let v30 = v00
  let v31 = v01
  let v40 = v00
  let v41 = v01
  let v50 = v00
  let v51 = v01
  let p = panel + HEAD
  for (let s = 0; s < segments; s++) {
    let q = steps
    do {
      const w00 = v128.load(p)
      const w01 = v128.load(p, 16)
      const x00 = v128.load32_splat(a0)
      v00 = products(x00, w00, v00, true)
      v01 = products(x00, w01, v01, true)
      const x01 = v128.load32_splat(a1)
      v10 = products(x01, w00, v10, true)
      v11 = products(x01, w01, v11, true)
      const x02 = v128.load32_splat(a2)
      v20 = products(x02, w00, v20, true)
      v21 = products(x02, w01, v21, true)
      const x03 = v128.load32_splat(a3)
      v30 = products(x03, w00, v30, true)
      v31 = products(x03, w01, v31, true)
      const x04 = v128.load32_splat(a4)
      v40 = products(x04, w00, v40, true)
      v41 = products(x04, w01, v41, true)
      const x05 = v128.load32_splat(a5)
      v50 = products(x05, w00, v50, true)
      v51 = products(x05, w01, v51, true)
      if (q == 1) break
      const w10 = v128.load(p, 32)
      const w11 = v128.load(p, 48)
      const x10 = v128.load32_splat(a0, 4)
      v00 = products(x10, w10, v00, true)
      v01 = products(x10, w11, v01, true)
      const x11 = v128.load32_splat(a1, 4)
      v10 = products(x11, w10, v10, true)
      v11 = products(x11, w11, v11, true)
      const x12 = v128.load32_splat(a2, 4)
      v20 = products(x12, w10, v20, true)
      v21 = products(x12, w11, v21, true)
      const x13 = v128.load32_splat(a3, 4)
      v30 = products(x13, w10, v30, true)
      v31 = products(x13, w11, v31, true)
      const x14 = v128.load32_splat(a4, 4)
      v40 = products(x14, w10, v40, true)
      v41 = products(x14, w11, v41, true)
      const x15 = v128.load32_splat(a5, 4)
      v50 = products(x15, w10, v50, true)
      v51 = products(x15, w11, v51, true)
      if (q == 2) break
      const w20 = v128.load(p, 64)
      const w21 = v128.load(p, 80)
      const x20 = v128.load32_splat(a0, 8)
      v00 = products(x20, w20, v00, true)
      v01 = products(x20, w21, v01, true)
      const x21 = v128.load32_splat(a1, 8)
      v10 = products(x21, w20, v10, true)
      v11 = products(x21, w21, v11, true)
      const x22 = v128.load32_splat(a2, 8)
      v20 = products(x22, w20, v20, true)
      v21 = products(x22, w21, v21, true)
      const x23 = v128.load32_splat(a3, 8)
      v30 = products(x23, w20, v30, true)
      v31 = products(x23, w21, v31, true)
      const x24 = v128.load32_splat(a4, 8)
      v40 = products(x24, w20, v40, true)
      v41 = products(x24, w21, v41, true)
      const x25 = v128.load32_splat(a5, 8)
      v50 = products(x25, w20, v50, true)
      v51 = products(x25, w21, v51, true)
      if (q == 3) break
      const w30 = v128.load(p, 96)
      const w31 = v128.load(p, 112)
      const x30 = v128.load32_splat(a0, 12)
      v00 = products(x30, w30, v00, true)
      v01 = products(x30, w31, v01, true)
      const x31 = v128.load32_splat(a1, 12)
      v10 = products(x31, w30, v10, true)
      v11 = products(x31, w31, v11, true)
      const x32 = v128.load32_splat(a2, 12)
      v20 = products(x32, w30, v20, true)
      v21 = products(x32, w31, v21, true)
      const x33 = v128.load32_splat(a3, 12)
      v30 = products(x33, w30, v30, true)
      v31 = products(x33, w31, v31, true)
      const x34 = v128.load32_splat(a4, 12)
      v40 = products(x34, w30, v40, true)
      v41 = products(x34, w31, v41, true)
      const x35 = v128.load32_splat(a5, 12)
      v50 = products(x35, w30, v50, true)
      v51 = products(x35, w31, v51, true)
      p += 128
      a0 += 16
      a1 += 16
      a2 += 16
      a3 += 16
      a4 += 16
      a5 += 16
      q -= 4
    } while (q > 0)
    p += <usize>(steps & 3) << 5
    // To the next segment; behind the last no one reads.
    const at = offsets + (<usize>s << 2)
    const skip = load<u32>(at, 4) - load<u32>(at) - ((steps & -4) << 2)
    a0 += skip
    a1 += skip
    a2 += skip
    a3 += skip
    a4 += skip
    a5 += skip
  }
  const y2 = y + (yStep << 1)
  const y4 = y2 + (yStep << 1)
  finishPair(v00, v01, v10, v11, panel, sums, y, yStep, 2, width, yZero, lo, hi)
  finishPair(v20, v21, v30, v31, panel, sums, y2, yStep, 2, width, yZero, lo, hi)
  finishPair(v40, v41, v50, v51, panel, sums, y4, yStep, 2, width, yZero, lo, hi)
}

/** sums[i][0..8) = the sum over pairs of a_i * w. */
// @ts-ignore: decorator
@inline
export function sums4x8(a0: usize, a1: usize, a2: usize, a3: usize, pairs: i32, w: usize, sums: usize): void {
  tile4x8(a0, a1, a2, a3, 1, 0, pairs, 0, w, sums, 0, 0, 0, 0, 0, 0, true)
}

/** tile4x8 for one window. */
// @ts-ignore: decorator
@inline
export function tile1x8(
  a: usize, segments: i32, offsets: usize, steps: i32, start: usize, panel: usize, sums: usize,
  y: usize, width: i32, yZero: i32, lo: i32, hi: i32, four: bool,
): void {
  let v0 = v128.load(start)
  let v1 = v128.load(start, 16)
  let u0 = i32x4.splat(0)
  let u1 = u0
  let t0 = u0
  let t1 = u0
  let s0 = u0
  let s1 = u0
  let p = panel + HEAD
  for (let s = 0; s < segments; s++) {
    let p0 = a + load<u32>(offsets + (<usize>s << 2))
    let q = steps
    if (four) {
      // Eight sums are under way at a time, each of which waits for its product.
      for (; q >= 4; q -= 4) {
        const x0 = v128.load32_splat(p0)
        v0 = products(x0, v128.load(p), v0, four)
        v1 = products(x0, v128.load(p, 16), v1, four)
        const x1 = v128.load32_splat(p0, 4)
        u0 = products(x1, v128.load(p, 32), u0, four)
        u1 = products(x1, v128.load(p, 48), u1, four)
        const x2 = v128.load32_splat(p0, 8)
        t0 = products(x2, v128.load(p, 64), t0, four)
        t1 = products(x2, v128.load(p, 80), t1, four)
        const x3 = v128.load32_splat(p0, 12)
        s0 = products(x3, v128.load(p, 96), s0, four)
        s1 = products(x3, v128.load(p, 112), s1, four)
        p += 128
        p0 += 16
      }
    }
    for (; q > 0; q--) {
      const x = v128.load32_splat(p0)
      v0 = products(x, v128.load(p), v0, four)
      v1 = products(x, v128.load(p, 16), v1, four)
      p += 32
      p0 += 4
    }
  }
  if (four) {
    v0 = i32x4.add(i32x4.add(v0, u0), i32x4.add(t0, s0))
    v1 = i32x4.add(i32x4.add(v1, u1), i32x4.add(t1, s1))
  }
  finish1x8(v0, v1, panel, sums, y, width, yZero, lo, hi)
}

/** sums[0..8) = start (i32 [8]; zeros at the null address) + the products of one window with the weights from w on. */
// @ts-ignore: decorator
@inline
export function sums1x8(
  a: usize, segments: i32, offsets: usize, pairs: i32, start: usize, w: usize, sums: usize,
): void {
  let p = w
  let v0 = start ? load<i32>(start) : 0
  let v1 = start ? load<i32>(start, 4) : 0
  let v2 = start ? load<i32>(start, 8) : 0
  let v3 = start ? load<i32>(start, 12) : 0
  let v4 = start ? load<i32>(start, 16) : 0
  let v5 = start ? load<i32>(start, 20) : 0
  let v6 = start ? load<i32>(start, 24) : 0
  let v7 = start ? load<i32>(start, 28) : 0
  for (let s = 0; s < segments; s++) {
    let p0 = a + <usize>(offsets ? load<u32>(offsets + (<usize>s << 2)) : 0)
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
  store<i32>(sums, v0)
  store<i32>(sums, v1, 4)
  store<i32>(sums, v2, 8)
  store<i32>(sums, v3, 12)
  store<i32>(sums, v4, 16)
  store<i32>(sums, v5, 20)
  store<i32>(sums, v6, 24)
  store<i32>(sums, v7, 28)
}

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
function finishPair(
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
