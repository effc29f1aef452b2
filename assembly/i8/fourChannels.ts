// The int8 micro-kernel that convolution and dense share in SIMD builds: four output channels of one output position, so that each value of x
// is loaded once for four weights. Sums are int32; then each is requantized with its channel's numbers.
//
// The values of x are read in segments: `rows` x `columns` segments of `run` contiguous bytes, xRow and xColumn apart; the
// weights of a channel likewise, wRow and wColumn apart. Dense is one segment; a convolution's clipped window is rows of
// columns * ic contiguous bytes, or, dilated along the row, rows x columns of ic bytes.
// 8 products at a time: x - xZero and w fit in 16 bits, and a sum of two products in 32.

import { requantize } from './requantize'

/**
 * y[j] = clamp(yZero + scale_j * (bias[j] + sum (x - xZero) * w_j)) for the channels j in [0, min(4, channels)).
 * @param w first weight of channel 0 in the window; channel j is wChannel bytes further
 * @param bias, multiplier, shift i32 for each channel, of channel 0
 */
// @ts-ignore: decorator
@inline
export function fourChannels(
  x: usize, w: usize, bias: usize, multiplier: usize, shift: usize, y: usize, channels: i32,
  rows: i32, xRow: i32, wRow: i32, columns: i32, xColumn: i32, wColumn: i32, run: i32, wChannel: i32,
  xZero: i32, yZero: i32, lo: i32, hi: i32,
): void {
  // A channel that does not exist computes the last one again, and is not stored.
  const last = min(channels, 4) - 1
  const w1 = wChannel * min(1, last)
  const w2 = wChannel * min(2, last)
  const w3 = wChannel * last
  const zero = i16x8.splat(<i16>xZero)
  let s0 = i32x4.splat(0)
  let s1 = i32x4.splat(0)
  let s2 = i32x4.splat(0)
  let s3 = i32x4.splat(0)
  for (let r = 0; r < rows; r++) {
    for (let c = 0; c < columns; c++) {
      let p = x + (r * xRow + c * xColumn)
      let q = w + (r * wRow + c * wColumn)
      let left = run
      for (; left >= 8; left -= 8) {
        const v = i16x8.sub(v128.load8x8_s(p), zero)
        s0 = i32x4.add(s0, i32x4.dot_i16x8_s(v, v128.load8x8_s(q)))
        s1 = i32x4.add(s1, i32x4.dot_i16x8_s(v, v128.load8x8_s(q + w1)))
        s2 = i32x4.add(s2, i32x4.dot_i16x8_s(v, v128.load8x8_s(q + w2)))
        s3 = i32x4.add(s3, i32x4.dot_i16x8_s(v, v128.load8x8_s(q + w3)))
        p += 8
        q += 8
      }
      if (left > 0) {
        // Lanes past the end hold whatever follows in memory: x is made 0 there.
        const inside = i16x8.lt_s(i16x8(0, 1, 2, 3, 4, 5, 6, 7), i16x8.splat(<i16>left))
        const v = v128.and(i16x8.sub(v128.load8x8_s(p), zero), inside)
        s0 = i32x4.add(s0, i32x4.dot_i16x8_s(v, v128.load8x8_s(q)))
        s1 = i32x4.add(s1, i32x4.dot_i16x8_s(v, v128.load8x8_s(q + w1)))
        s2 = i32x4.add(s2, i32x4.dot_i16x8_s(v, v128.load8x8_s(q + w2)))
        s3 = i32x4.add(s3, i32x4.dot_i16x8_s(v, v128.load8x8_s(q + w3)))
      }
    }
  }
  // Sums of the lanes: first 4 vectors into 2, then into 1.
  const s01 = i32x4.add(v128.shuffle<i32>(s0, s1, 0, 4, 1, 5), v128.shuffle<i32>(s0, s1, 2, 6, 3, 7))
  const s23 = i32x4.add(v128.shuffle<i32>(s2, s3, 0, 4, 1, 5), v128.shuffle<i32>(s2, s3, 2, 6, 3, 7))
  const sums = i32x4.add(v128.shuffle<i32>(s01, s23, 0, 1, 4, 5), v128.shuffle<i32>(s01, s23, 2, 3, 6, 7))
  let a0 = i32x4.extract_lane(sums, 0)
  let a1 = i32x4.extract_lane(sums, 1)
  let a2 = i32x4.extract_lane(sums, 2)
  const a3 = i32x4.extract_lane(sums, 3)
  for (let j = 0; j <= last; j++) {
    const acc = a0 + load<i32>(bias + (j << 2))
    store<i8>(y + j, requantize(acc, load<i32>(multiplier + (j << 2)), load<i32>(shift + (j << 2)), yZero, lo, hi))
    a0 = a1
    a1 = a2
    a2 = a3
  }
}
