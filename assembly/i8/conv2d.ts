// 2-D convolution in int8: y = clamp(yZero + scale_o * (bias[o] + sum over the window of (x - xZero) * w[o])). The window is clipped at the
// borders: a padded value is a real 0 and adds nothing.
// Arithmetic of TensorFlow Lite's reference kernel (integer_ops/conv.h, ConvPerChannel).

import { fourChannels } from './fourChannels'
import { lanes, threePositions, twoPositions } from './positions'
import { endTap, firstTap } from '../window'

/**
 * @param x i8 [batch][ih][iw][ic]
 * @param w i8 [oc][kh][kw][ic], zero point 0
 * @param bias i32 [oc], scale of x times scale of w[o]
 * @param multiplier i32 [oc], Q31
 * @param shift i32 [oc], in [-31, 31], positive to the left
 * @param y i8 [batch][oh][ow][yStep], of which oc channels are written; overlaps nothing
 * @param scratch as long as convScratch in src/ops/convolution.ts says, aligned to 16
 * @param oc output channels that this call computes, of the yStep that a position of y has: w, bias, multiplier, shift and y begin
 * at the first of them
 * @param sh, sw stride; dh, dw dilation; pt, pl rows of padding above and columns to the left
 * @param xZero, yZero zero points, in [-128, 127], like lo and hi; kh * kw * ic is at most 65536
 */
export function conv2d_i8(
  x: usize, w: usize, bias: usize, multiplier: usize, shift: usize, y: usize, scratch: usize,
  batch: i32, ih: i32, iw: i32, ic: i32, oh: i32, ow: i32, oc: i32, yStep: i32, kh: i32, kw: i32, sh: i32, sw: i32,
  dh: i32, dw: i32, pt: i32, pl: i32, xZero: i32, yZero: i32, lo: i32, hi: i32,
): void {
  const xLine = iw * ic
  const k = kh * kw * ic
  for (let b = 0; b < batch; b++) {
    if (ASC_FEATURE_SIMD) {
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
              from, w + (o * k + (ky * kw + kx) * ic), bias + at, multiplier + at, shift + at, y + o, oc - o,
              rows, dh * xLine, kw * ic, whole ? 1 : columns, dw * ic, ic, whole ? columns * ic : ic, k, xZero, yZero, lo, hi,
            )
          }
          y += yStep
        }
      }
    } else {
      // Positions are counted through the rows of y.
      const count = oh * ow
      let at = 0
      while (at < count) {
        const n = min(count - at, INTERPRETER ? 3 : 2)
        let x0: usize = 0
        let x1: usize = 0
        let x2: usize = 0
        // Copies lie where packing, which goes through them from the front, never writes before it has read.
        let copy = scratch
        if (INTERPRETER) copy += 7 * k
        for (let i = INTERPRETER ? 3 : 2; i > 0; i--) {
          const position = <u32>min(at, count - 1)
          const top = <i32>(position / ow) * sh - pt
          const left = <i32>(position % ow) * sw - pl
          const whole = dw == 1 && left >= 0 && left + kw <= iw
          if (INTERPRETER) x2 = x1
          x1 = x0
          x0 = x + (top * xLine + left * ic)
          // A window of one row is read where it is; others, and those that reach beyond the image, are copied.
          if (kh > 1 || !whole || <u32>top >= <u32>ih) {
            const bytes = whole ? kw * ic : ic
            x0 = copy
            let iy = top
            do {
              const line = copy + kw * ic
              let ix = left
              do {
                if (<u32>iy < <u32>ih && <u32>ix < <u32>iw) memory.copy(copy, x + (iy * xLine + ix * ic), bytes)
                else memory.fill(copy, <u8>xZero, bytes)
                copy += bytes
                ix += dw
              } while (copy < line)
              iy += dh
            } while (copy < x0 + k)
          }
          at++
        }
        // The last position that was looked at is x0.
        if (INTERPRETER) packThree(x2, x1, x0, scratch, k, xZero)
        let o = 0
        do {
          // Four channels: the last four, if fewer are left; or, of fewer than four, one.
          if (oc >= 4) o = min(o, oc - 4)
          const step = oc >= 4 ? k : 0
          const numbers = o << 2
          const q = w + o * k
          if (INTERPRETER) {
            threePositions(
              scratch, q, step, bias + numbers, multiplier + numbers, shift + numbers, y + o, n, yStep, k, yZero, lo, hi,
            )
          } else {
            twoPositions(
              x1, x0, q, step, bias + numbers, multiplier + numbers, shift + numbers, y + o, n, yStep, k, xZero, yZero, lo, hi,
            )
          }
          o += step ? 4 : 1
        } while (o < oc)
        y += n * yStep
      }
    }
    x += ih * xLine
  }
}

/** What threePositions takes of x0, x1 and x2, i8 [k]. */
// @ts-ignore: decorator
@inline
function packThree(x0: usize, x1: usize, x2: usize, packed: usize, k: i32, xZero: i32): void {
  const zeros = lanes(xZero, xZero, xZero)
  let to = packed
  let left = k
  while (left & 3) {
    store<i64>(to, lanes(load<i8>(x0++), load<i8>(x1++), load<i8>(x2++)) - zeros)
    to += 8
    left--
  }
  while (left) {
    store<i64>(to, lanes(load<i8>(x0), load<i8>(x1), load<i8>(x2)) - zeros)
    store<i64>(to, lanes(load<i8>(x0, 1), load<i8>(x1, 1), load<i8>(x2, 1)) - zeros, 8)
    store<i64>(to, lanes(load<i8>(x0, 2), load<i8>(x1, 2), load<i8>(x2, 2)) - zeros, 16)
    store<i64>(to, lanes(load<i8>(x0, 3), load<i8>(x1, 3), load<i8>(x2, 3)) - zeros, 24)
    x0 += 4
    x1 += 4
    x2 += 4
    to += 32
    left -= 4
  }
}
