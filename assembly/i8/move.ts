// The moves of int8 values: concat, slice, pad, permute, channels of groups. move_i8 moves bytes; requantize_i8 brings them to another
// scale on the way, for a concat of values that have scales of their own (TensorFlow Lite's QUANTIZE, then its CONCATENATION).

import { factorOf, nudgeOf, requantize8 } from './eight'
import { requantize } from './requantize'

/**
 * y[yAt + i0 y0 + i1 y1 + i2 y2 + i3 y3] = x[xAt + i0 x0 + i1 x1 + i2 x2 + i3 x3] for all i0 < n0, i1 < n1, i2 < n2, i3 < n3.
 * @param x, y i8; overlap nothing
 */
export function move_i8(
  x: usize, y: usize, n0: i32, n1: i32, n2: i32, n3: i32,
  xAt: i32, x0: i32, x1: i32, x2: i32, x3: i32, yAt: i32, y0: i32, y1: i32, y2: i32, y3: i32,
): void {
  const together = x3 == 1 && y3 == 1
  for (let i0 = 0; i0 < n0; i0++) {
    for (let i1 = 0; i1 < n1; i1++) {
      let p = x + (xAt + i0 * x0 + i1 * x1)
      let q = y + (yAt + i0 * y0 + i1 * y1)
      for (let i2 = 0; i2 < n2; i2++) {
        if (together && n3 >= 32) memory.copy(q, p, n3)
        else for (let i3 = 0; i3 < n3; i3++) store<i8>(q + i3 * y3, load<i8>(p + i3 * x3))
        p += x2
        q += y2
      }
    }
  }
}

/**
 * The same with y[...] = yZero + scale * (x[...] - xZero), clamped to int8 (reference/requantize.h).
 * @param multiplier, shift scale(x) / scale(y): Q31, and in [-31, 22], positive to the left
 */
export function requantize_i8(
  x: usize, y: usize, n0: i32, n1: i32, n2: i32, n3: i32,
  xAt: i32, x0: i32, x1: i32, x2: i32, x3: i32, yAt: i32, y0: i32, y1: i32, y2: i32, y3: i32,
  multiplier: i32, shift: i32, xZero: i32, yZero: i32,
): void {
  const together = x3 == 1 && y3 == 1
  for (let i0 = 0; i0 < n0; i0++) {
    for (let i1 = 0; i1 < n1; i1++) {
      let p = x + (xAt + i0 * x0 + i1 * x1)
      let q = y + (yAt + i0 * y0 + i1 * y1)
      for (let i2 = 0; i2 < n2; i2++) {
        let i3 = 0
        if (ASC_FEATURE_SIMD) {
          if (together) {
            const factor = factorOf(multiplier, shift)
            const nudge = nudgeOf(shift)
            const zero = i16x8.splat(<i16>xZero)
            for (; i3 <= n3 - 4; i3 += 8) {
              const v = i16x8.sub(v128.load8x8_s(p + i3), zero)
              const low = i32x4.extend_low_i16x8_s(v)
              const r = requantize8(low, i32x4.extend_high_i16x8_s(v), factor, nudge, multiplier, shift, yZero)
              if (i3 <= n3 - 8) v128.store64_lane(q + i3, r, 0)
              else {
                v128.store32_lane(q + i3, r, 0)
                i3 -= 4
              }
            }
          }
        }
        for (; i3 < n3; i3++) {
          const v = <i32>load<i8>(p + i3 * x3) - xZero
          store<i8>(q + i3 * y3, requantize(v, multiplier, shift, yZero, -128, 127))
        }
        p += x2
        q += y2
      }
    }
  }
}
