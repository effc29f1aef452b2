// Depthwise 2-D convolution in int8: channel o of y reads channel o / (oc / ic) of x only. Padding is a real 0 and is left out.
// SIMD works along the channels, 8 at a time; other code along columns, three rows of weights at once, where the window is 3x3 or smaller.
// Arithmetic of TensorFlow Lite's reference kernel (integer_ops/depthwise_conv.h).

import { LANE } from './positions'
import { belowZero, requantize, requantizeBy, roundingOf } from './requantize'
import { endTap, firstTap } from '../window'

/**
 * y[b][oy][ox][o] = clamp(yZero + scale_o * (bias[o] + sum (x - xZero) * w[ky][kx][o]))
 * @param x i8 [batch][ih][iw][ic]
 * @param w i8 [kh][kw][oc], zero point 0; oc is a multiple of ic
 * @param bias i32 [oc], scale of x times scale of w[..][o]
 * @param multiplier i32 [oc], Q31
 * @param shift i32 [oc], in [-31, 31], positive to the left
 * @param y i8 [batch][oh][ow][oc]; may lie where all of x has been read, for a value is stored
 * when its window was (not so for interpreters)
 * @param sh, sw stride; dh, dw dilation; pt, pl rows of padding above and columns to the left
 * @param xZero, yZero zero points, in [-128, 127], like lo and hi
 */
export function depthwiseConv2d_i8(
  x: usize, w: usize, bias: usize, multiplier: usize, shift: usize, y: usize,
  batch: i32, ih: i32, iw: i32, ic: i32, oh: i32, ow: i32, oc: i32, kh: i32, kw: i32, sh: i32, sw: i32, dh: i32, dw: i32,
  pt: i32, pl: i32, xZero: i32, yZero: i32, lo: i32, hi: i32,
): void {
  const depth = oc / ic
  const xLine = iw * ic
  const xColumn = dw * ic
  for (let b = 0; b < batch; b++) {
    if (ASC_FEATURE_SIMD) {
      for (let oy = 0; oy < oh; oy++) {
        const top = oy * sh - pt
        const ky = firstTap(top, dh)
        const kyEnd = endTap(top, dh, ih, kh)
        for (let ox = 0; ox < ow; ox++) {
          const left = ox * sw - pl
          const kx = firstTap(left, dw)
          const kxEnd = endTap(left, dw, iw, kw)
          const from = x + (left + kx * dw) * ic
          let o = 0
          const zero = i16x8.splat(<i16>xZero)
          while (o < oc) {
            // Up to 8 channels: neighbours in x when depth is 1, else those that read the same channel of x.
            const i = depth == 1 ? o : o / depth
            const end = min(o + 8, depth == 1 ? oc : (i + 1) * depth)
            let low = i32x4.splat(0)
            let high = i32x4.splat(0)
            for (let r = ky; r < kyEnd; r++) {
              let p = from + ((top + r * dh) * xLine + i)
              let q = w + ((r * kw + kx) * oc + o)
              for (let c = kx; c < kxEnd; c++) {
                const raw = depth == 1 ? v128.load8x8_s(p) : i16x8.splat(load<i8>(p))
                const v = i16x8.sub(raw, zero)
                const u = v128.load8x8_s(q)
                low = i32x4.add(low, i32x4.extmul_low_i16x8_s(v, u))
                high = i32x4.add(high, i32x4.extmul_high_i16x8_s(v, u))
                p += xColumn
                q += oc
              }
            }
            // The 8 sums move down a lane each time, so that one copy of the code serves them all.
            for (; o < end; o++) {
              const at = o << 2
              const acc = i32x4.extract_lane(low, 0) + load<i32>(bias + at)
              store<i8>(y + o, requantize(acc, load<i32>(multiplier + at), load<i32>(shift + at), yZero, lo, hi))
              low = v128.shuffle<i32>(low, high, 1, 2, 3, 4)
              high = v128.shuffle<i32>(high, high, 1, 2, 3, 0)
            }
          }
          y += oc
        }
      }
    } else if (kh <= 3 && kw <= 3 && dh == 1) {
      for (let o = 0; o < oc; o++) {
        const at = o << 2
        threeRows(
          x + o / depth, w + o, bias + at, multiplier + at, shift + at, y + o,
          ih, iw, ic, oh, ow, oc, kh, kw, sh, sw, dw, pt, pl, xZero, yZero, lo, hi,
        )
      }
      y += oh * ow * oc
    } else {
      for (let oy = 0; oy < oh; oy++) {
        for (let ox = 0; ox < ow; ox++) {
          for (let o = 0; o < oc; o++) {
            const at = o << 2
            let acc = load<i32>(bias + at)
            let q = w + o
            let iy = oy * sh - pt
            const end = iy + kh * dh
            do {
              let ix = ox * sw - pl
              let p = x + (iy * xLine + ix * ic + o / depth)
              const right = ix + kw * dw
              do {
                if (<u32>iy < <u32>ih && <u32>ix < <u32>iw) acc += (<i32>load<i8>(p) - xZero) * load<i8>(q)
                p += xColumn
                q += oc
                ix += dw
              } while (ix < right)
              iy += dh
            } while (iy < end)
            store<i8>(y++, requantize(acc, load<i32>(multiplier + at), load<i32>(shift + at), yZero, lo, hi))
          }
        }
      }
    }
    x += ih * xLine
  }
}

/**
 * One channel of one image: column by column, three rows of the window at a time. The weights of a column of the window
 * are packed into the lanes of an i64, the row above all others in the lowest of those used and the last row in lane 2, so that a value
 * of x times them is what it adds to three outputs. From row to row the sums move up a lane: each has met the next row of
 * weights then, and is complete in lane 2. A lane has 21 bits: |sum| <= 9 * 255 * 128 < 2^19, and the two lower lanes together are less than
 * half of 2^42, so that rounding to lane 2 gives its sum; above its 21 bits lies what was left of an older one, and is cut off.
 * @param x of its input channel
 */
// @ts-ignore: decorator
@inline
function threeRows(
  x: usize, w: usize, bias: usize, multiplier: usize, shift: usize, y: usize, ih: i32, iw: i32, ic: i32, oh: i32, ow: i32, oc: i32,
  kh: i32, kw: i32, sh: i32, sw: i32, dw: i32, pt: i32, pl: i32, xZero: i32, yZero: i32, lo: i32, hi: i32,
): void {
  // The last column of the window is w2.
  let w0: i64 = 0
  let w1: i64 = 0
  let w2: i64 = 0
  for (let kx = kw; kx > 0; kx--) {
    let q = w
    let lane: i64 = (3 - kh) * LANE
    w0 = w1
    w1 = w2
    w2 = 0
    do {
      w2 += <i64>load<i8>(q) << lane
      q += kw * oc
      lane += LANE
    } while (lane < 3 * LANE)
    w += oc
  }
  const up = max(load<i32>(shift), 0)
  const bits = max(-load<i32>(shift), 0)
  const b = load<i32>(bias)
  const m = <i64>load<i32>(multiplier)
  const positive = roundingOf(bits)
  const negative = positive - belowZero(bits)
  const down = <i64>bits + 31
  const xLine = iw * ic
  const yLine = ow * oc
  const end = (oh - 1) * sh + kh - pt
  for (let ox = 0; ox < ow; ox++) {
    const right = ox * sw - pl + (kw - 1) * dw
    const middle = right - dw
    const left = middle - dw
    // Columns beyond the image weigh nothing.
    const u0 = <u32>left < <u32>iw ? w0 : 0
    const u1 = <u32>middle < <u32>iw ? w1 : 0
    const u2 = <u32>right < <u32>iw ? w2 : 0
    let p0 = x + (<u32>left < <u32>iw ? left * ic : 0)
    let p1 = x + (<u32>middle < <u32>iw ? middle * ic : 0)
    let p2 = x + (<u32>right < <u32>iw ? right * ic : 0)
    const zeros = (u0 + u1 + u2) * xZero
    let to = y
    let iy = -pt
    let next = kh - 1 - pt
    let sum: i64 = 0
    do {
      sum <<= LANE
      if (<u32>iy < <u32>ih) {
        sum += u0 * load<i8>(p0) + u1 * load<i8>(p1) + u2 * load<i8>(p2) - zeros
        p0 += xLine
        p1 += xLine
        p2 += xLine
      }
      if (iy == next) {
        const a = (<i32>((sum + (1 << (2 * LANE - 1))) << 1 >> (2 * LANE + 1)) + b) << up
        store<i8>(to, requantizeBy(a, m, a < 0 ? negative : positive, down, yZero, lo, hi))
        to += yLine
        next += sh
      }
      iy++
    } while (iy < end)
    y += oc
  }
}
