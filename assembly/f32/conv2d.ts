// 2-D convolution as an implicit GEMM: the 4x8 tile reads 4 output pixels' windows straight from the image, no im2col.
// Padding is made real first, one image at a time, in scratch (a copy with a border of zeros), so that the inner loops have no tests.
// The gradient with respect to x is a convolution of dy (spread by the stride) with the flipped, transposed weights; the gradient
// with respect to w is a sum of outer products over pixels.
//
// x [batch][ih][iw][ic]   y, dy [batch][oh][ow][oc]   w, dw [oc][kh][kw][ic]   stride sh sw, dilation dh dw, padding pt (top) pl (left)

import { outer } from './outer'
import { spread } from './spread'
import { tile1x8, tile4x8 } from './tile'

/** y = clamp(conv(x, b) + bias) over one image whose padding is already in place; with `add`, y += the same. */
// @ts-ignore: decorator
@inline
function convolve(
  x: usize, b: usize, y: usize, iw: i32, ic: i32, oh: i32, ow: i32, oc: i32, kh: i32, kw: i32,
  sh: i32, sw: i32, dh: i32, dw: i32, lo: f32, hi: f32, add: bool,
): void {
  const pixels = oh * ow
  // Without dilation along a row, the kw * ic values under a kernel row are contiguous.
  const cols = dw == 1 ? 1 : kw
  const chunk = dw == 1 ? kw * ic : ic
  const colStep = <usize>((dw * ic) << 2)
  const rowStep = <usize>((dh * iw * ic) << 2)
  const panel = (kh * kw * ic + 1) << 5
  const lineBytes = (sh * iw * ic) << 2
  const pixelBytes = (sw * ic) << 2
  const outBytes = oc << 2
  let line = x
  let column = 0
  for (let p = 0; p < pixels; p += 4) {
    // Windows of 4 consecutive output pixels, which may sit on two or more rows; past the end the last one again.
    const a0 = line + column * pixelBytes
    const c0 = y + p * outBytes
    let a1 = a0, a2: usize, a3: usize
    let c1 = c0, c2: usize, c3: usize
    if (p + 1 < pixels) {
      if (++column == ow) { column = 0; line += lineBytes }
      a1 = line + column * pixelBytes
      c1 = c0 + outBytes
    }
    a2 = a1
    c2 = c1
    if (p + 2 < pixels) {
      if (++column == ow) { column = 0; line += lineBytes }
      a2 = line + column * pixelBytes
      c2 = c1 + outBytes
    }
    a3 = a2
    c3 = c2
    if (p + 3 < pixels) {
      if (++column == ow) { column = 0; line += lineBytes }
      a3 = line + column * pixelBytes
      c3 = c2 + outBytes
    }
    if (++column == ow) { column = 0; line += lineBytes }
    let w = b
    for (let j = 0; j < oc; j += 8) {
      const at = <usize>(j << 2)
      const width = min(8, oc - j)
      if (c1 == c0) tile1x8(a0, 4, kh, rowStep, cols, colStep, chunk, w, c0 + at, width, lo, hi, add, false)
      else tile4x8(a0, a1, a2, a3, 4, kh, rowStep, cols, colStep, chunk, w, c0 + at, c1 + at, c2 + at, c3 + at, width, lo, hi, add, false)
      w += panel
    }
  }
}

/**
 * y = clamp(conv2d(x, w) + bias, lo, hi).
 *
 * b        weights and bias packed by pack_f32(w, bias, b, oc, kh * kw * ic, kh * kw * ic, 1)
 * scratch  ((oh - 1) * sh + (kh - 1) * dh + 1) * ((ow - 1) * sw + (kw - 1) * dw + 1) * ic elements; unused when the window never
 *          leaves the image
 */
export function conv2d_f32(
  x: usize, b: usize, y: usize, scratch: usize,
  batch: i32, ih: i32, iw: i32, ic: i32, oh: i32, ow: i32, oc: i32, kh: i32, kw: i32,
  sh: i32, sw: i32, dh: i32, dw: i32, pt: i32, pl: i32, lo: f32, hi: f32,
): void {
  const ph = (oh - 1) * sh + (kh - 1) * dh + 1
  const pw = (ow - 1) * sw + (kw - 1) * dw + 1
  const inside = pt == 0 && pl == 0 && ph <= ih && pw <= iw
  for (let i = 0; i < batch; i++) {
    if (!inside) spread(x, scratch, ih, iw, ic << 2, ph, pw, 1, 1, pt, pl)
    convolve(inside ? x : scratch, b, y, inside ? iw : pw, ic, oh, ow, oc, kh, kw, sh, sw, dh, dw, lo, hi, false)
    x += (ih * iw * ic) << 2
    y += (oh * ow * oc) << 2
  }
}

/**
 * Packs w [oc][kh][kw][ic] for conv2d_f32_dx: flipped in both directions, oc and ic exchanged.
 *
 * bias  ic elements, or 0 (the null address): no bias, as a gradient wants it
 * y     ceil(ic / 8) * 8 * (kh * kw * oc + 1) elements
 */
export function conv2d_f32_dx_pack(w: usize, bias: usize, y: usize, oc: i32, kh: i32, kw: i32, ic: i32): void {
  const taps = kh * kw
  for (let j = 0; j < ic; j += 8) {
    const width = min(8, ic - j)
    memory.fill(y, 0, (taps * oc + 1) << 5)
    if (bias != 0) for (let l = 0; l < width; l++) store<f32>(y + (l << 2), load<f32>(bias + ((j + l) << 2)))
    y += 32
    for (let t = taps - 1; t >= 0; t--) {
      for (let o = 0; o < oc; o++) {
        const from = w + (((o * taps + t) * ic + j) << 2)
        for (let l = 0; l < width; l++) store<f32>(y + (l << 2), load<f32>(from + (l << 2)))
        y += 32
      }
    }
  }
}

/**
 * dx = clamp(the gradient of conv2d with respect to x + bias, lo, hi), or when `add` is 1 dx += the same. (With bias and clamp it is the
 * forward of a transposed convolution.)
 *
 * b        packed by conv2d_f32_dx_pack
 * scratch  (ih + (kh - 1) * dh) * (iw + (kw - 1) * dw) * oc elements
 */
export function conv2d_f32_dx(
  dy: usize, b: usize, dx: usize, scratch: usize,
  batch: i32, ih: i32, iw: i32, ic: i32, oh: i32, ow: i32, oc: i32, kh: i32, kw: i32,
  sh: i32, sw: i32, dh: i32, dw: i32, pt: i32, pl: i32, lo: f32, hi: f32, add: i32,
): void {
  const ph = ih + (kh - 1) * dh
  const pw = iw + (kw - 1) * dw
  for (let i = 0; i < batch; i++) {
    spread(dy, scratch, oh, ow, oc << 2, ph, pw, sh, sw, (kh - 1) * dh - pt, (kw - 1) * dw - pl)
    convolve(scratch, b, dx, pw, oc, ih, iw, ic, kh, kw, 1, 1, dh, dw, lo, hi, add != 0)
    dx += (ih * iw * ic) << 2
    dy += (oh * ow * oc) << 2
  }
}

/**
 * dw += the gradient of conv2d with respect to w, summed over the batch. Tiles of 4 output channels by 8 (or 4) contiguous
 * weights stay in registers while the whole image goes by.
 *
 * scratch  as for conv2d_f32
 */
export function conv2d_f32_dw(
  x: usize, dy: usize, dw: usize, scratch: usize,
  batch: i32, ih: i32, iw: i32, ic: i32, oh: i32, ow: i32, oc: i32, kh: i32, kw: i32,
  sh: i32, sw: i32, dilh: i32, dilw: i32, pt: i32, pl: i32,
): void {
  const ph = (oh - 1) * sh + (kh - 1) * dilh + 1
  const pw = (ow - 1) * sw + (kw - 1) * dilw + 1
  const inside = pt == 0 && pl == 0 && ph <= ih && pw <= iw
  const width = inside ? iw : pw
  const cols = dilw == 1 ? 1 : kw
  const chunk = dilw == 1 ? kw * ic : ic
  const k = kh * kw * ic
  const lineBytes = <usize>((sh * width * ic) << 2)
  for (let i = 0; i < batch; i++) {
    if (!inside) spread(x, scratch, ih, iw, ic << 2, ph, pw, 1, 1, pt, pl)
    const image = inside ? x : scratch
    for (let r = 0; r < kh; r++) {
      for (let s = 0; s < cols; s++) {
        const window = image + ((r * dilh * width + s * dilw) * ic << 2)
        const at = (r * kw + s) * ic
        outer(window, dy, dw + (at << 2), oc, chunk, k, oh, ow, lineBytes, <usize>(sw * ic << 2), <usize>(oc << 2))
      }
    }
    x += (ih * iw * ic) << 2
    dy += (oh * ow * oc) << 2
  }
}
