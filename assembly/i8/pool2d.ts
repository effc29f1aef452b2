// Max and average pooling in int8; x and y share scale and zero point. Windows are clipped: padding is neither the largest value
// nor counted in the mean. Channels go 8 at a time, in a vector or, of the largest, interpreted, in a word; the rest one by one.
// Arithmetic of TensorFlow Lite's reference kernels (integer_ops/pooling.h).

import { endTap, firstTap } from '../window'

/**
 * y[b][oy][ox][ch] = clamp(the largest x[b][iy][ix][ch] in the window, lo, hi)
 * @param x i8 [batch][ih][iw][c]
 * @param y i8 [batch][oh][ow][c]; may lie where all of x has been read: a value is stored when its window was
 * @param sh, sw stride; pt, pl rows of padding above and columns to the left; every window meets the input
 * @param lo, hi in [-128, 127]
 */
export function maxPool2d_i8(
  x: usize, y: usize, batch: i32, ih: i32, iw: i32, c: i32, oh: i32, ow: i32, kh: i32, kw: i32, sh: i32, sw: i32,
  pt: i32, pl: i32, lo: i32, hi: i32,
): void {
  for (let b = 0; b < batch; b++) {
    for (let oy = 0; oy < oh; oy++) {
      const top = oy * sh - pt
      const ky = firstTap(top, 1)
      const rows = endTap(top, 1, ih, kh) - ky
      for (let ox = 0; ox < ow; ox++) {
        const left = ox * sw - pl
        const kx = firstTap(left, 1)
        const columns = endTap(left, 1, iw, kw) - kx
        const from = x + ((top + ky) * iw + left + kx) * c
        let ch = 0
        if (ASC_FEATURE_SIMD) {
          for (; ch <= c - 8; ch += 8) {
            let largest = i8x16.splat(<i8>lo)
            for (let r = 0; r < rows; r++) {
              let p = from + (r * iw * c + ch)
              for (let k = 0; k < columns; k++) {
                largest = i8x16.max_s(largest, v128.load64_zero(p))
                p += c
              }
            }
            v128.store64_lane(y + ch, i8x16.min_s(largest, i8x16.splat(<i8>hi)), 0)
          }
        } else if (INTERPRETER) {
          for (; ch <= c - 8; ch += 8) {
            let largest = eightOf(lo)
            for (let r = 0; r < rows; r++) {
              let p = from + (r * iw * c + ch)
              for (let k = 0; k < columns; k++) {
                largest = largerBytes(largest, load<i64>(p))
                p += c
              }
            }
            // The smaller of two is the other one than the larger.
            if (hi < 127) largest ^= eightOf(hi) ^ largerBytes(largest, eightOf(hi))
            store<i64>(y + ch, largest)
          }
        }
        for (; ch < c; ch++) {
          let largest = lo
          for (let r = 0; r < rows; r++) {
            let p = from + (r * iw * c + ch)
            for (let k = 0; k < columns; k++) {
              largest = max(largest, <i32>load<i8>(p))
              p += c
            }
          }
          store<i8>(y + ch, min(largest, hi))
        }
        y += c
      }
    }
    x += ih * iw * c
  }
}

/** The high bits of eight bytes. */
// @ts-ignore: decorator
@inline
const HIGH: i64 = 0x8080808080808080

/** An int8 in each byte. */
// @ts-ignore: decorator
@inline
function eightOf(v: i32): i64 {
  return <i64>(v & 255) * 0x0101010101010101
}

/**
 * The larger int8 in each of eight bytes. With `not` the low seven bits: in a byte the high bit of (a | HIGH) - (b & not) says whether those
 * of a are at least those of b, and nothing is borrowed from the next; where the signs differ, that of b says whether a is larger.
 */
// @ts-ignore: decorator
@inline
function largerBytes(a: i64, b: i64): i64 {
  const differ = a ^ b
  const low = (a | HIGH) - (b & ~HIGH)
  const larger = (low ^ ((low ^ b) & differ)) & HIGH
  return b ^ (differ & (<i64>(<u64>larger >> 7) * 255))
}

/** sum / count, halves away from zero, clamped. */
// @ts-ignore: decorator
@inline
function mean(sum: i32, count: i32, lo: i32, hi: i32): i32 {
  const half = count >> 1
  return min(max((sum > 0 ? sum + half : sum - half) / count, lo), hi)
}

/**
 * y[b][oy][ox][ch] = clamp(the mean of x[b][iy][ix][ch] in the window, lo, hi), halves rounded away from zero
 * @param x i8 [batch][ih][iw][c]
 * @param y i8 [batch][oh][ow][c]; may lie where all of x has been read: a value is stored when its window was
 * @param sh, sw stride; pt, pl rows of padding above and columns to the left; every window meets the input
 * @param lo, hi in [-128, 127]
 */
export function avgPool2d_i8(
  x: usize, y: usize, batch: i32, ih: i32, iw: i32, c: i32, oh: i32, ow: i32, kh: i32, kw: i32, sh: i32, sw: i32,
  pt: i32, pl: i32, lo: i32, hi: i32,
): void {
  for (let b = 0; b < batch; b++) {
    for (let oy = 0; oy < oh; oy++) {
      const top = oy * sh - pt
      const ky = firstTap(top, 1)
      const rows = endTap(top, 1, ih, kh) - ky
      for (let ox = 0; ox < ow; ox++) {
        const left = ox * sw - pl
        const kx = firstTap(left, 1)
        const columns = endTap(left, 1, iw, kw) - kx
        const count = rows * columns
        const from = x + ((top + ky) * iw + left + kx) * c
        let ch = 0
        if (ASC_FEATURE_SIMD) {
          while (ch <= c - 8) {
            let low = i32x4.splat(0)
            let high = i32x4.splat(0)
            for (let r = 0; r < rows; r++) {
              let p = from + (r * iw * c + ch)
              for (let k = 0; k < columns; k++) {
                const v = v128.load8x8_s(p)
                low = i32x4.add(low, i32x4.extend_low_i16x8_s(v))
                high = i32x4.add(high, i32x4.extend_high_i16x8_s(v))
                p += c
              }
            }
            // The 8 sums move down a lane each time, so that one copy of the code serves them all.
            for (const end = ch + 8; ch < end; ch++) {
              store<i8>(y + ch, mean(i32x4.extract_lane(low, 0), count, lo, hi))
              low = v128.shuffle<i32>(low, high, 1, 2, 3, 4)
              high = v128.shuffle<i32>(high, high, 1, 2, 3, 0)
            }
          }
        }
        for (; ch < c; ch++) {
          let sum = 0
          for (let r = 0; r < rows; r++) {
            let p = from + (r * iw * c + ch)
            for (let k = 0; k < columns; k++) {
              sum += load<i8>(p)
              p += c
            }
          }
          store<i8>(y + ch, mean(sum, count, lo, hi))
        }
        y += c
      }
    }
    x += ih * iw * c
  }
}
