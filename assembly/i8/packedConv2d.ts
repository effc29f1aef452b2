// 2-D convolution and dense layers in int8 as an implicit GEMM on packed weights: the same result as conv2d_i8, faster, for hosts
// with memory to spare. An image is widened once to i16 with its zero point taken off and its padding made real, so that
// the inner loop has no tests; a panel of weights stays in the cache while all tiles of 4 output pixels go by.

import { finish, HEAD, panelBytes, sums1x8, TILE, tile1x8, tile4x8, widen } from './panel'

/**
 * y = clamp(yZero + scale_o * (bias[o] + sum (x - xZero) * w)), as conv2d_i8. A dense layer is a 1x1 window on [1][batch] pixels.
 *
 * x        i8 [batch][ih][iw][ic]
 * b        packed by pack_i8: oc channels, contiguous along a kernel row: (kh, kw * ic), or dilated along it (kh * kw, ic)
 * y        i8 [batch][oh][ow][oc]
 * scratch  128 bytes, then one image in i16: ((oh - 1) * sh + (kh - 1) * dh + 1) * ((ow - 1) * sw + (kw - 1) * dw + 1) * ic
 * Zero points, lo and hi in [-128, 127]; kh * kw * ic at most 65536.
 */
export function packedConv2d_i8(
  x: usize, b: usize, y: usize, scratch: usize,
  batch: i32, ih: i32, iw: i32, ic: i32, oh: i32, ow: i32, oc: i32, kh: i32, kw: i32, sh: i32, sw: i32, dh: i32, dw: i32,
  pt: i32, pl: i32, xZero: i32, yZero: i32, lo: i32, hi: i32,
): void {
  // After a relu negative sums end at the zero point.
  if (lo >= yZero) convolve(x, b, y, scratch, batch, ih, iw, ic, oh, ow, oc, kh, kw, sh, sw, dh, dw, pt, pl, xZero, yZero, lo, hi, true)
  else convolve(x, b, y, scratch, batch, ih, iw, ic, oh, ow, oc, kh, kw, sh, sw, dh, dw, pt, pl, xZero, yZero, lo, hi, false)
}

// @ts-ignore: decorator
@inline
function convolve(
  x: usize, b: usize, y: usize, scratch: usize,
  batch: i32, ih: i32, iw: i32, ic: i32, oh: i32, ow: i32, oc: i32, kh: i32, kw: i32, sh: i32, sw: i32, dh: i32, dw: i32,
  pt: i32, pl: i32, xZero: i32, yZero: i32, lo: i32, hi: i32, positive: bool,
): void {
  const ph = (oh - 1) * sh + (kh - 1) * dh + 1
  const pw = (ow - 1) * sw + (kw - 1) * dw + 1
  const image = scratch + TILE
  const imageLine = (pw * ic) << 1
  const inside = min(iw, pw - pl) * ic
  const padded = pt > 0 || pl > 0 || ph > ih || pw > iw
  const cols = dw == 1 ? 1 : kw
  const pairs = ((dw == 1 ? kw * ic : ic) + 1) >> 1
  const rowStep = <usize>(dh * imageLine)
  const colStep = <usize>((dw * ic) << 1)
  const line = sh * imageLine
  const pixel = (sw * ic) << 1
  const pixels = oh * ow
  const panel = panelBytes(kh * cols * pairs)
  for (let i = 0; i < batch; i++) {
    if (padded) memory.fill(image, 0, ph * imageLine)
    for (let r = max(0, pt); r < min(ph, pt + ih); r++) {
      widen(x + (r - pt) * iw * ic, image + (r * imageLine + ((pl * ic) << 1)), inside, xZero)
    }
    let w = b
    for (let o = 0; o < oc; o += 8) {
      const width = min(8, oc - o)
      let from = image
      let column = 0
      let to = y + o
      for (let p = 0; p < pixels; p += 4) {
        // 4 consecutive output pixels, which may sit on two or more rows; past the end the last one again.
        const count = min(4, pixels - p)
        const a0 = from + column * pixel
        if (++column == ow) { column = 0; from += line }
        const a1 = count > 1 ? from + column * pixel : a0
        if (++column == ow) { column = 0; from += line }
        const a2 = count > 2 ? from + column * pixel : a1
        if (++column == ow) { column = 0; from += line }
        const a3 = count > 3 ? from + column * pixel : a2
        if (++column == ow) { column = 0; from += line }
        if (ASC_FEATURE_SIMD) {
          if (count > 1) {
            tile4x8(
              a0, a1, a2, a3, kh, rowStep, cols, colStep, pairs, w, scratch, to, count, oc, width, yZero, lo, hi, positive, false,
            )
          } else tile1x8(a0, kh, rowStep, cols, colStep, pairs, w, scratch, to, width, yZero, lo, hi, positive)
        } else {
          for (let k = 0; k < count; k++) {
            const a = k == 0 ? a0 : k == 1 ? a1 : k == 2 ? a2 : a3
            sums1x8(a, kh, rowStep, cols, colStep, pairs, w, w + HEAD, scratch + (k << 5))
          }
          finish(scratch, w, to, oc, count, width, yZero, lo, hi)
        }
        to += oc << 2
      }
      w += panel
    }
    x += ih * iw * ic
    y += pixels * oc
  }
}
