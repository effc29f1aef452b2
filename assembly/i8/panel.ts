// What the packed int8 kernels read: weights in panels of 8 output channels, and values laid out beside them.
//
// A panel is bias i32[8], factor f32[8], nudge f32[8], base f32[8], multiplier i32[8], shift i32[8], sum of the weights i32[8], then
// steps of 32 bytes of weights: 8 channels x 2 weights as i16, so that one dot_i16x8 makes two products for each of 4 channels; or 8 x 4
// weights as i8. What does not exist (a channel past the last, a weight past the last) is zero.
//
// The relaxed dot of i8x16 and i7x16 makes four products for each of 4 channels, where the host has it in one instruction (AVX-VNNI's
// vpdpbusd). What it makes of a second operand of 8 bits is the host's own, but always the same: where it takes it
// as unsigned and does not saturate, x + 128 is such an operand, and the sum is moved back by 128 + xZero times the sum of
// the weights. `fourProducts` asks the host; packing and the kernel get the same answer.

import { BASE } from './finish'

/** Bytes of a panel before its weights. */
// @ts-ignore: decorator
@inline
export const HEAD = 224

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
