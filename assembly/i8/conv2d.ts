// 2-D convolution in int8: y = clamp(yZero + scale_o * (bias[o] + sum over the window of (x - xZero) * w[o])), as it is or added to a
// residual. The window is clipped at the borders: a padded value is a real 0 and adds nothing.
// Arithmetic of TensorFlow Lite's reference kernel (integer_ops/conv.h, ConvPerChannel).

import { fourChannels } from './fourChannels'
import { positions, threePositions } from './positions'
import { endTap, firstTap } from '../window'

/**
 * @param x i8 [batch][ih][iw][ic]
 * @param w i8 [oc][kh][kw][ic], zero point 0
 * @param bias i32 [oc], scale of x times scale of w[o]
 * @param multiplier i32 [oc], Q31
 * @param shift i32 [oc], in [-31, 31], positive to the left
 * @param y i8 [batch][oh][ow][yStep], of which oc channels are written; overlaps nothing
 * @param scratch as long as convScratch in src/ops/conv2d.ts says, aligned to 16
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
  convolve(
    x, w, bias, multiplier, shift, y, scratch, batch, ih, iw, ic, oh, ow, oc, yStep, kh, kw, sh, sw, dh, dw, pt, pl,
    xZero, yZero, lo, hi, false, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
  )
}

/**
 * y = r + conv2d: what conv2d_i8 computes, and add_i8 of it and the residual, bit for bit.
 * @param r i8, like y; y may be r
 * @param rZero zero point of r; yZero, lo and hi are those of the convolution's own result
 * @param rMultiplier, cMultiplier, sMultiplier of r, of the convolution's result and of the sum, as those of add_i8's a, b and y; Q31, with
 * shifts in [-31, 0]
 * @param sZero zero point of the sum, in [-128, 127], like sLo and sHi
 */
export function conv2dAdd_i8(
  x: usize, w: usize, bias: usize, multiplier: usize, shift: usize, r: usize, y: usize, scratch: usize,
  batch: i32, ih: i32, iw: i32, ic: i32, oh: i32, ow: i32, oc: i32, yStep: i32, kh: i32, kw: i32, sh: i32, sw: i32,
  dh: i32, dw: i32, pt: i32, pl: i32, xZero: i32, yZero: i32, lo: i32, hi: i32, rZero: i32, rMultiplier: i32, rShift: i32,
  cMultiplier: i32, cShift: i32, sMultiplier: i32, sShift: i32, sZero: i32, sLo: i32, sHi: i32,
): void {
  convolve(
    x, w, bias, multiplier, shift, y, scratch, batch, ih, iw, ic, oh, ow, oc, yStep, kh, kw, sh, sw, dh, dw, pt, pl,
    xZero, yZero, lo, hi, true, r, rZero, rMultiplier, rShift, cMultiplier, cShift, sMultiplier, sShift, sZero, sLo, sHi,
  )
}

// @ts-ignore: decorator
@inline
function convolve(
  x: usize, w: usize, bias: usize, multiplier: usize, shift: usize, y: usize, scratch: usize,
  batch: i32, ih: i32, iw: i32, ic: i32, oh: i32, ow: i32, oc: i32, yStep: i32, kh: i32, kw: i32, sh: i32, sw: i32,
  dh: i32, dw: i32, pt: i32, pl: i32, xZero: i32, yZero: i32, lo: i32, hi: i32, add: bool, r: usize, rZero: i32, rMultiplier: i32,
  rShift: i32, cMultiplier: i32, cShift: i32, sMultiplier: i32, sShift: i32, sZero: i32, sLo: i32, sHi: i32,
): void {
  if ((kh | kw | sh | sw) == 1 && (pt | pl) == 0 && oh == ih && ow == iw) {
    // A 1x1 convolution of stride 1 takes all pixels of all images as one row.
    ow *= batch * oh
    iw = ow
    ih = oh = batch = 1
  }
  const xLine = iw * ic
  const k = kh * kw * ic
  for (let b = 0; b < batch; b++) {
    for (let oy = 0; oy < oh; oy++) {
      const top = oy * sh - pt
      if (ASC_FEATURE_SIMD) {
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
              add, r + o, rZero, rMultiplier, rShift, cMultiplier, cShift, sMultiplier, sShift, sZero, sLo, sHi,
            )
          }
          y += yStep
          r += yStep
        }
      } else if (INTERPRETER) {
        const zeros = scratch + (k << 3)
        memory.fill(zeros, <u8>xZero, ic)
        const packedZero = <i64>xZero * (1 + (1 << 21) + (1 << 42))
        for (let ox = 0; ox < ow; ox += 3) {
          const left = ox * sw - pl
          let to = scratch
          for (let ky = 0; ky < kh; ky++) {
            const iy = top + ky * dh
            const inside = <u32>iy < <u32>ih
            // A row of the window as a whole where none of the three reaches beyond the image, else pixel by pixel.
            const whole = inside && dw == 1 && left >= 0 && left + 2 * sw + kw <= iw
            const end = to + (kw * ic << 3)
            let ix = left
            while (to < end) {
              const at = x + (iy * xLine + ix * ic)
              let p0 = inside && <u32>ix < <u32>iw ? at : zeros
              let p1 = inside && <u32>(ix + sw) < <u32>iw ? at + sw * ic : zeros
              let p2 = inside && <u32>(ix + 2 * sw) < <u32>iw ? at + 2 * sw * ic : zeros
              for (let left = whole ? kw * ic : ic; left > 0; left--) {
                store<i64>(to, (<i64>load<i8>(p0++)) + (<i64>load<i8>(p1++) << 21) + (<i64>load<i8>(p2++) << 42) - packedZero)
                to += 8
              }
              ix += dw
            }
          }
          const n = min(ow - ox, 3)
          for (let o = 0; o < oc; o += 4) {
            const at = o << 2
            threePositions(
              scratch, w + o * k, bias + at, multiplier + at, shift + at, y + o, n, yStep, oc - o, k, yZero, lo, hi,
              add, r + o, rZero, rMultiplier, rShift, cMultiplier, cShift, sMultiplier, sShift, sZero, sLo, sHi,
            )
          }
          y += n * yStep
          r += n * yStep
        }
      } else {
        for (let ox = 0; ox < ow; ox += 2) {
          const left = ox * sw - pl
          const n = min(ow - ox, 2)
          let from = x + (top * xLine + left * ic)
          let step = sw * ic
          // Windows of one row are read where they are; others, and those that reach beyond the image, are copied.
          if (kh > 1 || dw > 1 || <u32>top >= <u32>ih || left < 0 || left + sw + kw > iw) {
            let to = scratch
            for (let i = 0; i < n; i++) {
              const first = left + i * sw
              const whole = dw == 1 && first >= 0 && first + kw <= iw
              const bytes = whole ? kw * ic : ic
              for (let ky = 0; ky < kh; ky++) {
                const iy = top + ky * dh
                const end = to + kw * ic
                for (let ix = first; to < end; ix += dw) {
                  if (<u32>iy < <u32>ih && <u32>ix < <u32>iw) memory.copy(to, x + (iy * xLine + ix * ic), bytes)
                  else memory.fill(to, <u8>xZero, bytes)
                  to += bytes
                }
              }
            }
            from = scratch
            step = k
          }
          for (let o = 0; o < oc; o += 4) {
            const at = o << 2
            positions(
              true, from, step, w + o * k, bias + at, multiplier + at, shift + at, y + o, n, yStep, oc - o, k, xZero, yZero, lo, hi,
              add, r + o, rZero, rMultiplier, rShift, cMultiplier, cShift, sMultiplier, sShift, sZero, sLo, sHi,
            )
          }
          y += n * yStep
          r += n * yStep
        }
      }
    }
    x += ih * xLine
  }
}
