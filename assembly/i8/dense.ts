// Fully connected layer in int8: y[b][j] = clamp(yZero + scale_j * (bias[j] + sum_i (x[b][i] - xZero) * w[j][i])).
// Arithmetic of TensorFlow Lite's reference kernel (integer_ops/fully_connected.h), with a scale for each output.

import { fourChannels } from './fourChannels'
import { requantize } from './requantize'

/**
 * @param x i8 [batch][k]
 * @param w i8 [n][k], zero point 0
 * @param bias i32 [n], scale of x times scale of w
 * @param multiplier i32 [n], Q31
 * @param shift i32 [n], in [-31, 31], positive to the left
 * @param y i8 [batch][yStep], of which n are written; overlaps nothing
 * @param k at most 65536, so that int32 sums cannot overflow
 * @param xZero, yZero zero points, in [-128, 127], like lo and hi
 */
export function dense_i8(
  x: usize, w: usize, bias: usize, multiplier: usize, shift: usize, y: usize,
  batch: i32, n: i32, k: i32, yStep: i32, xZero: i32, yZero: i32, lo: i32, hi: i32,
): void {
  for (let b = 0; b < batch; b++) {
    let j = 0
    do {
      // Four outputs: the last four, if fewer are left; or, of fewer than four, one.
      if (!ASC_FEATURE_SIMD && n >= 4) j = min(j, n - 4)
      const at = j << 2
      const q = w + j * k
      if (ASC_FEATURE_SIMD) {
        fourChannels(
          x, q, bias + at, multiplier + at, shift + at, y + j, n - j,
          1, 0, 0, 1, 0, 0, k, k, xZero, yZero, lo, hi,
        )
        j += 4
      } else {
        fourOutputs(x, q, n < 4 ? 0 : k, bias + at, multiplier + at, shift + at, y + j, k, xZero, yZero, lo, hi)
        j += n < 4 ? 1 : 4
      }
    } while (j < n)
    x += k
    y += yStep
  }
}

/**
 * Four outputs where there is no SIMD: each value of x is loaded once for four weights, in words of four values, since what a load costs is
 * its check of bounds.
 * @param x i8 [k]
 * @param w i8 [4][k]; wStep is k, or 0 for one output instead of four
 */
// @ts-ignore: decorator
@inline
function fourOutputs(
  x: usize, w: usize, wStep: i32, bias: usize, multiplier: usize, shift: usize, y: usize, k: i32, xZero: i32, yZero: i32, lo: i32, hi: i32,
): void {
  let p = x
  let q = w
  let a0 = 0
  let a1 = 0
  let a2 = 0
  let a3 = 0
  let left = k
  do {
    // Four values of each, or, of what is left, one.
    let u: i32
    let w0: i32
    let w1: i32
    let w2: i32
    let w3: i32
    let count = 4
    const q2 = q + (wStep << 1)
    if (left >= 4) {
      u = load<i32>(p)
      w0 = load<i32>(q)
      w1 = load<i32>(q + wStep)
      w2 = load<i32>(q2)
      w3 = load<i32>(q2 + wStep)
    } else {
      count = 1
      u = load<u8>(p)
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
      a0 += a * <i32><i8>w0
      a1 += a * <i32><i8>w1
      a2 += a * <i32><i8>w2
      a3 += a * <i32><i8>w3
      u >>= 8
      w0 >>= 8
      w1 >>= 8
      w2 >>= 8
      w3 >>= 8
    } while (--count)
  } while (left)
  const end = y + (wStep ? 4 : 1)
  let to = y
  do {
    const acc = a0 + load<i32>(bias)
    store<i8>(to, requantize(acc, load<i32>(multiplier), load<i32>(shift), yZero, lo, hi))
    a0 = a1
    a1 = a2
    a2 = a3
    to++
    bias += 4
    multiplier += 4
    shift += 4
  } while (to < end)
}
