// Depthwise 2-D convolution in int8: channel o of y reads channel o / (oc / ic) of x only. Padding is a real 0 and is left out.
// SIMD works along the channels, 8 at a time; compilers' code on words of 4; interpreters' code along columns, three rows of weights at once.
// Arithmetic of TensorFlow Lite's reference kernel (integer_ops/depthwise_conv.h).

import { LANE } from './positions'
import { requantize, requantizeBy, rounding } from './requantize'
import { endTap, firstTap } from '../window'

/**
 * y[b][oy][ox][o] = clamp(yZero + scale_o * (bias[o] + sum (x - xZero) * w[ky][kx][o]))
 * @param x i8 [batch][ih][iw][ic]
 * @param w i8 [kh][kw][oc], zero point 0; oc is a multiple of ic
 * @param bias i32 [oc], scale of x times scale of w[..][o]
 * @param multiplier i32 [oc], Q31
 * @param shift i32 [oc], in [-31, 31], positive to the left
 * @param y i8 [batch][oh][ow][oc]; overlaps nothing
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
    if (INTERPRETER && kh <= 3 && kw <= 3 && dh == 1) {
      for (let o = 0; o < oc; o++) {
        threeRows(
          x + o / depth, w + o, bias + (o << 2), multiplier + (o << 2), shift + (o << 2), y + o,
          ih, iw, ic, oh, ow, oc, kh, kw, sh, sw, dw, pt, pl, xZero, yZero, lo, hi,
        )
      }
      y += oh * ow * oc
    } else {
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
          if (ASC_FEATURE_SIMD) {
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
          } else {
            while (o < oc) {
              // Four channels that are neighbours in x too, or one.
              const four = !INTERPRETER && depth == 1 && oc - o >= 4
              let a0 = 0
              let a1 = 0
              let a2 = 0
              let a3 = 0
              for (let r = ky; r < kyEnd; r++) {
                let p = from + ((top + r * dh) * xLine + (depth == 1 ? o : o / depth))
                let q = w + ((r * kw + kx) * oc + o)
                for (let c = kx; c < kxEnd; c++) {
                  if (four) {
                    const v = load<i32>(p)
                    const u = load<i32>(q)
                    a0 += (<i32><i8>v - xZero) * <i32><i8>u
                    a1 += (<i32><i8>(v >> 8) - xZero) * <i32><i8>(u >> 8)
                    a2 += (<i32><i8>(v >> 16) - xZero) * <i32><i8>(u >> 16)
                    a3 += ((v >> 24) - xZero) * (u >> 24)
                  } else {
                    a0 += (<i32>load<i8>(p) - xZero) * load<i8>(q)
                  }
                  p += xColumn
                  q += oc
                }
              }
              const end = o + (four ? 4 : 1)
              do {
                const at = o << 2
                const acc = a0 + load<i32>(bias + at)
                store<i8>(y + o, requantize(acc, load<i32>(multiplier + at), load<i32>(shift + at), yZero, lo, hi))
                a0 = a1
                a1 = a2
                a2 = a3
                o++
              } while (o < end)
            }
          }
          y += oc
        }
      }
    }
    x += ih * xLine
  }
}

/**
 * One channel of one image, for interpreters: column by column, three rows of the window at a time. The weights of a column of the window
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
  // Columns as rows: the last is w2.
  let w0: i64 = 0
  let w1: i64 = 0
  let w2: i64 = 0
  for (let kx = 0; kx < kw; kx++) {
    let column: i64 = 0
    let q = w + kx * oc
    for (let ky = 0; ky < kh; ky++) {
      column += <i64>load<i8>(q) << ((ky + 3 - kh) * LANE)
      q += kw * oc
    }
    w0 = w1
    w1 = w2
    w2 = column
  }
  const b = load<i32>(bias)
  const m = <i64>load<i32>(multiplier)
  const up = max(load<i32>(shift), 0)
  const bits = max(-load<i32>(shift), 0)
  const positive = rounding(bits, false)
  const negative = rounding(bits, true)
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
        const acc = <i32>((sum + (1 << (2 * LANE - 1))) << 1 >> (2 * LANE + 1)) + b
        store<i8>(to, requantizeBy(acc << up, m, positive, negative, bits, yZero, lo, hi))
        to += yLine
        next += sh
      }
      iy++
    } while (iy < end)
    y += oc
  }
}
