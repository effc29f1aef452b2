// The mean over some axes in int8, as TensorFlow Lite's reference has it (QuantizedMeanOrSum in reference/reduce.h): the sum in int32 less
// the zero points, times scale(x) / (count * scale(y)). Sizes as in f32/mean.ts.

import { requantize } from './requantize'

/**
 * @param x, y i8
 * @param zeros zero point of x times the number of values in a mean
 * @param multiplier, shift scale(x) / (count * scale(y)): Q31, not always normalized, and in [-31, 30]
 */
export function mean_i8(
  x: usize, y: usize, n0: i32, n1: i32, n2: i32, n3: i32, m0: i32, m1: i32, m2: i32,
  x0: i32, x1: i32, x2: i32, x3: i32, s0: i32, s1: i32, s2: i32, zeros: i32, multiplier: i32, shift: i32, yZero: i32,
): void {
  for (let i0 = 0; i0 < n0; i0++) {
    for (let i1 = 0; i1 < n1; i1++) {
      for (let i2 = 0; i2 < n2; i2++) {
        for (let i3 = 0; i3 < n3; i3++) {
          const p = x + (i0 * x0 + i1 * x1 + i2 * x2 + i3 * x3)
          let sum = 0
          for (let j0 = 0; j0 < m0; j0++) {
            for (let j1 = 0; j1 < m1; j1++) {
              const q = p + (j0 * s0 + j1 * s1)
              for (let j2 = 0; j2 < m2; j2++) sum += <i32>load<i8>(q + j2 * s2)
            }
          }
          store<i8>(y++, requantize(sum - zeros, multiplier, shift, yZero, -128, 127))
        }
      }
    }
  }
}
