// 2-D convolution in int8: y = clamp(yZero + scale_o * (bias[o] + sum over the window of (x - xZero) * w[o])).
// The window is clipped at the borders, so that no scratch is needed: a padded value is a real 0 and adds nothing.
// Arithmetic of TensorFlow Lite's reference kernel (integer_ops/conv.h, ConvPerChannel).

import { fourChannels } from './fourChannels'
import { endTap, firstTap } from '../window'

/**
 * @param x i8 [batch][ih][iw][ic]
 * @param w i8 [oc][kh][kw][ic], zero point 0
 * @param bias i32 [oc], scale of x times scale of w[o]
 * @param multiplier i32 [oc], Q31
 * @param shift i32 [oc], in [-31, 31], positive to the left
 * @param y i8 [batch][oh][ow][oc]; overlaps nothing
 * @param sh, sw stride; dh, dw dilation; pt, pl rows of padding above and columns to the left
 * @param xZero, yZero zero points, in [-128, 127], like lo and hi; kh * kw * ic is at most 65536
 */
export function conv2d_i8(
  x: usize, w: usize, bias: usize, multiplier: usize, shift: usize, y: usize,
  batch: i32, ih: i32, iw: i32, ic: i32, oh: i32, ow: i32, oc: i32, kh: i32, kw: i32, sh: i32, sw: i32, dh: i32, dw: i32,
  pt: i32, pl: i32, xZero: i32, yZero: i32, lo: i32, hi: i32,
): void {
  const xLine = iw * ic
  const wRow = kw * ic
  const wChannel = kh * wRow
  for (let b = 0; b < batch; b++) {
    for (let oy = 0; oy < oh; oy++) {
      const top = oy * sh - pt
      const ky = firstTap(top, dh)
      const rows = endTap(top, dh, ih, kh) - ky
      for (let ox = 0; ox < ow; ox++) {
        const left = ox * sw - pl
        const kx = firstTap(left, dw)
        const columns = endTap(left, dw, iw, kw) - kx
        // Without dilation along a row, what a row of the window reads is contiguous, and so are its weights.
        const whole = dw == 1
        const from = x + ((top + ky * dh) * xLine + (left + kx * dw) * ic)
        for (let o = 0; o < oc; o += 4) {
          const at = o << 2
          fourChannels(
            from, w + (o * wChannel + ky * wRow + kx * ic), bias + at, multiplier + at, shift + at, y + o, oc - o,
            rows, dh * xLine, wRow, whole ? 1 : columns, dw * ic, ic, whole ? columns * ic : ic, wChannel, xZero, yZero, lo, hi,
          )
        }
        y += oc
      }
    }
    x += ih * xLine
  }
}
