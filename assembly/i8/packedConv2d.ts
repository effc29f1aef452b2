// 2-D convolution and dense layers in int8 as an implicit GEMM on packed weights: the same result as conv2d_i8, faster, for hosts
// with memory to spare. An image is laid out once with its padding made real, as i16 with its zero point taken off or, for four products
// in a step, as u8, so that the inner loop has no tests; a panel of weights stays in the cache while all tiles of output pixels go by.

import { begin, beginPanel, finish, TILE } from './finish'
import { fourProducts, grid, HEAD, panelBytes, shift, widen } from './panel'
import { sums1x8, tile1x8, tile4x8, tile6x8 } from './tile'

/**
 * y = clamp(yZero + scale_o * (bias[o] + sum (x - xZero) * w)), as conv2d_i8. A dense layer is a 1x1 window on [1][batch] pixels.
 *
 * x        i8 [batch][ih][iw][ic]
 * b        packed by pack_i8: oc channels, contiguous along a kernel row: (kh, kw * ic), or dilated along it (kh * kw, ic)
 * y        i8 [batch][oh][ow][oc]
 * scratch  224 bytes; kh * kw + oh * ow words, rounded up to 4; then one image in i16:
 *          ((oh - 1) * sh + (kh - 1) * dh + 1) * ((ow - 1) * sw + (kw - 1) * dw + 1) * ic
 * Zero points, lo and hi in [-128, 127]; kh * kw * ic at most 65536.
 */
export function packedConv2d_i8(
  x: usize, b: usize, y: usize, scratch: usize,
  batch: i32, ih: i32, iw: i32, ic: i32, oh: i32, ow: i32, oc: i32, kh: i32, kw: i32, sh: i32, sw: i32, dh: i32, dw: i32,
  pt: i32, pl: i32, xZero: i32, yZero: i32, lo: i32, hi: i32,
): void {
  begin(scratch, yZero, lo, hi)
  if (ASC_FEATURE_RELAXED_SIMD && fourProducts()) {
    convolve(x, b, y, scratch, batch, ih, iw, ic, oh, ow, oc, kh, kw, sh, sw, dh, dw, pt, pl, xZero, yZero, lo, hi, true)
  } else convolve(x, b, y, scratch, batch, ih, iw, ic, oh, ow, oc, kh, kw, sh, sw, dh, dw, pt, pl, xZero, yZero, lo, hi, false)
}

/** The same by steps of four products or two, behind `begin`. */
// @ts-ignore: decorator
@inline
export function convolve(
  x: usize, b: usize, y: usize, scratch: usize,
  batch: i32, ih: i32, iw: i32, ic: i32, oh: i32, ow: i32, oc: i32, kh: i32, kw: i32, sh: i32, sw: i32, dh: i32, dw: i32,
  pt: i32, pl: i32, xZero: i32, yZero: i32, lo: i32, hi: i32, four: bool,
): void {
  const ph = (oh - 1) * sh + (kh - 1) * dh + 1
  const pw = (ow - 1) * sw + (kw - 1) * dw + 1
  // Bytes of a value: u8 for four products in a step, i16 for two.
  const bytes = four ? 1 : 2
  const line = pw * ic * bytes
  const inside = min(iw, pw - pl) * ic
  const padded = pt > 0 || pl > 0 || ph > ih || pw > iw
  // Where the windows begin, and where the segments of one lie in it.
  const cols = dw == 1 ? 1 : kw
  const chunk = dw == 1 ? kw * ic : ic
  const steps = four ? (chunk + 3) >> 2 : (chunk + 1) >> 1
  const segments = kh * cols
  const pixels = oh * ow
  const offsets = scratch + TILE
  const starts = offsets + (segments << 2)
  const image = (starts + (pixels << 2) + 15) & -16
  grid(offsets, kh, dh * line, cols, dw * ic * bytes)
  grid(starts, oh, sh * line, ow, sw * ic * bytes)
  const panel = panelBytes(segments * steps)
  if (padded) memory.fill(image, <u8>(four ? 128 + xZero : 0), ph * line)
  for (let i = 0; i < batch; i++) {
    for (let r = max(0, pt); r < min(ph, pt + ih); r++) {
      const from = x + (r - pt) * iw * ic
      const to = image + (r * line + pl * ic * bytes)
      if (four) shift(from, to, inside)
      else widen(from, to, inside, xZero)
    }
    let w = b
    for (let o = 0; o < oc; o += 8) {
      const width = min(8, oc - o)
      const start = four ? beginPanel(w, scratch, xZero) : w
      let p = 0
      if (ASC_FEATURE_SIMD) {
        // The last tile ends where the pixels end: it may do some of them again. A single pixel that is left over, or any where there are
        // not enough for a tile, goes alone.
        const wide = four ? 6 : 4
        for (; pixels >= wide && p < pixels - 1; p += wide) {
          const first = min(p, pixels - wide)
          const at = starts + (first << 2)
          const to = y + (first * oc + o)
          const a0 = image + load<u32>(at)
          const a1 = image + load<u32>(at, 4)
          const a2 = image + load<u32>(at, 8)
          const a3 = image + load<u32>(at, 12)
          if (four) {
            const a4 = image + load<u32>(at, 16)
            const a5 = image + load<u32>(at, 20)
            tile6x8(a0, a1, a2, a3, a4, a5, segments, offsets, steps, start, w, scratch, to, oc, width, yZero, lo, hi)
          } else tile4x8(a0, a1, a2, a3, segments, offsets, steps, start, w, scratch, to, oc, width, yZero, lo, hi, false)
        }
      }
      for (; p < pixels; p++) {
        const a = image + load<u32>(starts + (p << 2))
        const to = y + (p * oc + o)
        if (ASC_FEATURE_SIMD) {
          tile1x8(a, segments, offsets, steps, start, w, scratch, to, width, yZero, lo, hi, four)
        } else {
          sums1x8(a, segments, offsets, steps, w, w + HEAD, scratch)
          finish(scratch, w, to, oc, 1, width, yZero, lo, hi)
        }
      }
      w += panel
    }
    x += ih * iw * ic
    y += pixels * oc
  }
}
