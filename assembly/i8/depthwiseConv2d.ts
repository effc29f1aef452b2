// Depthwise 2-D convolution in int8: channel o of y reads channel o / (oc / ic) of x only. Padding is a real 0 and is left out.
// SIMD works along the channels, 8 at a time; scalar code on 4 at a time, to share the walk over the window.
// Arithmetic of TensorFlow Lite's reference kernel (integer_ops/depthwise_conv.h).

import { requantize } from './requantize'
import { endTap, firstTap } from '../window'

/**
 * y[b][oy][ox][o] = clamp(yZero + scale_o * (bias[o] + sum (x - xZero) * w[ky][kx][o]))
 * @param x i8 [batch][ih][iw][ic]
 * @param w i8 [kh][kw][oc], zero point 0; oc is a multiple of ic
 * @param bias i32 [oc], scale of x times scale of w[..][o]
 * @param multiplier i32 [oc], Q31
 * @param shift i32 [oc], in [-31, 31], positive to the left
 * @param y i8 [batch][oh][ow][oc]; may lie where all of x has been read: a value is stored when its window was
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
            // A channel that does not exist computes the last one again, and is not stored.
            const end = min(o + 4, oc)
            const o1 = min(o + 1, end - 1)
            const o2 = min(o + 2, end - 1)
            const o3 = end - 1
            const i = o / depth
            const i1 = o1 / depth - i
            const i2 = o2 / depth - i
            const i3 = o3 / depth - i
            let a0 = 0
            let a1 = 0
            let a2 = 0
            let a3 = 0
            for (let r = ky; r < kyEnd; r++) {
              let p = from + ((top + r * dh) * xLine + i)
              let q = w + ((r * kw + kx) * oc)
              for (let c = kx; c < kxEnd; c++) {
                a0 += (<i32>load<i8>(p) - xZero) * load<i8>(q + o)
                a1 += (<i32>load<i8>(p + i1) - xZero) * load<i8>(q + o1)
                a2 += (<i32>load<i8>(p + i2) - xZero) * load<i8>(q + o2)
                a3 += (<i32>load<i8>(p + i3) - xZero) * load<i8>(q + o3)
                p += xColumn
                q += oc
              }
            }
            for (; o < end; o++) {
              const at = o << 2
              const acc = a0 + load<i32>(bias + at)
              store<i8>(y + o, requantize(acc, load<i32>(multiplier + at), load<i32>(shift + at), yZero, lo, hi))
              a0 = a1
              a1 = a2
              a2 = a3
            }
          }
        }
        y += oc
      }
    }
    x += ih * xLine
  }
}
