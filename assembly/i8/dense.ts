// Fully connected layer in int8: y[b][j] = clamp(yZero + scale_j * (bias[j] + sum_i (x[b][i] - xZero) * w[j][i])).
// Arithmetic of TensorFlow Lite's reference kernel (integer_ops/fully_connected.h), with a scale for each output.

import { fourChannels } from './fourChannels'
import { onePosition } from './positions'

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
        onePosition(x, q, n < 4 ? 0 : k, bias + at, multiplier + at, shift + at, y + j, k, xZero, yZero, lo, hi)
        j += n < 4 ? 1 : 4
      }
    } while (j < n)
    x += k
    y += yStep
  }
}
