// 2-D convolution as an implicit GEMM: a tile reads the windows of 4 or 6 output pixels straight from the image, no im2col.
// Padding is made real first, one image at a time, in scratch (a copy with a border of zeros), so that the inner loops have no tests.
// The gradient with respect to x is a convolution of dy (spread by the stride) with the flipped, transposed weights; the gradient
// with respect to w is a sum of outer products over pixels.
//
// x [batch][ih][iw][ic]   y, dy [batch][oh][ow][oc]   w, dw [oc][kh][kw][ic]   stride sh sw, dilation dh dw, padding pt (top) pl (left)

import { outer } from './outer'
import { spread } from './spread'
import { clamp4, sixes, storeLanes, tile1x8, tile4x8, tile6x8 } from './tile'

/**
 * y = clamp(conv(x, b) + bias) over one image whose padding is already in place; with `add`, y += the same. Pixels of y are outBytes
 * apart, its rows outLine.
 */
// @ts-ignore: decorator
@inline
function convolve(
  x: usize, b: usize, y: usize, outBytes: i32, outLine: i32, iw: i32, ic: i32, oh: i32, ow: i32, oc: i32, kh: i32, kw: i32,
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
  let line = x
  let out = y
  let column = 0
  let p = 0
  if (ASC_FEATURE_RELAXED_SIMD) {
    for (const six = sixes(pixels); p < six; p += 6) {
      const a0 = line + column * pixelBytes
      const c0 = out + column * outBytes
      if (++column == ow) { column = 0; line += lineBytes; out += outLine }
      const a1 = line + column * pixelBytes
      const c1 = out + column * outBytes
      if (++column == ow) { column = 0; line += lineBytes; out += outLine }
      const a2 = line + column * pixelBytes
      const c2 = out + column * outBytes
      if (++column == ow) { column = 0; line += lineBytes; out += outLine }
      const a3 = line + column * pixelBytes
      const c3 = out + column * outBytes
      if (++column == ow) { column = 0; line += lineBytes; out += outLine }
      const a4 = line + column * pixelBytes
      const c4 = out + column * outBytes
      if (++column == ow) { column = 0; line += lineBytes; out += outLine }
      const a5 = line + column * pixelBytes
      const c5 = out + column * outBytes
      if (++column == ow) { column = 0; line += lineBytes; out += outLine }
      let w = b
      for (let j = 0; j < oc; j += 8) {
        const at = <usize>(j << 2)
        tile6x8(
          a0, a1, a2, a3, a4, a5, 4, kh, rowStep, cols, colStep, chunk, w,
          c0 + at, c1 + at, c2 + at, c3 + at, c4 + at, c5 + at, min(8, oc - j), lo, hi, add, false,
        )
        w += panel
      }
    }
  }
  for (; p < pixels; p += 4) {
    // Windows of 4 consecutive output pixels, which may sit on two or more rows; past the end the last one again.
    const a0 = line + column * pixelBytes
    const c0 = out + column * outBytes
    let a1 = a0, a2: usize, a3: usize
    let c1 = c0, c2: usize, c3: usize
    if (p + 1 < pixels) {
      if (++column == ow) { column = 0; line += lineBytes; out += outLine }
      a1 = line + column * pixelBytes
      c1 = out + column * outBytes
    }
    a2 = a1
    c2 = c1
    if (p + 2 < pixels) {
      if (++column == ow) { column = 0; line += lineBytes; out += outLine }
      a2 = line + column * pixelBytes
      c2 = out + column * outBytes
    }
    a3 = a2
    c3 = c2
    if (p + 3 < pixels) {
      if (++column == ow) { column = 0; line += lineBytes; out += outLine }
      a3 = line + column * pixelBytes
      c3 = out + column * outBytes
    }
    if (++column == ow) { column = 0; line += lineBytes; out += outLine }
    let w = b
    for (let j = 0; j < oc; j += 8) {
      const at = <usize>(j << 2)
      const width = min(8, oc - j)
      if (c1 == c0) tile1x8(a0, 4, kh, rowStep, cols, colStep, chunk, w, c0 + at, width, lo, hi, add)
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
    if (!inside) spread(x, scratch, ih, iw, ic << 2, ph, pw, pt, pl)
    convolve(inside ? x : scratch, b, y, oc << 2, ow * oc << 2, inside ? iw : pw, ic, oh, ow, oc, kh, kw, sh, sw, dh, dw, lo, hi, false)
    x += (ih * iw * ic) << 2
    y += (oh * ow * oc) << 2
  }
}

// The gradient by x of a strided convolution. Row iy of dx meets row oy of dy by tap r where iy + pt = oy * sh + r * dh. So the rows of dx
// fall into sh phases, by (iy + pt) mod sh; those of one phase are a convolution of stride 1 of dy with the taps of that phase, which
// are a step apart; columns likewise. No product with a zero between the pixels of dy is made.

/** Of `taps` taps at a dilation, those whose distance leaves `phase` when divided by the stride: the first, or `taps`. */
// @ts-ignore: decorator
@inline
function firstOf(phase: i32, taps: i32, stride: i32, dilation: i32): i32 {
  let r = 0
  while (r < taps && r * dilation % stride != phase) r++
  return r
}

/** From a tap of a phase to the next. */
// @ts-ignore: decorator
@inline
function stepOf(stride: i32, dilation: i32): i32 {
  let step = 1
  while (step * dilation % stride != 0) step++
  return step
}

/** How many taps there are from `first` on. */
// @ts-ignore: decorator
@inline
function countOf(first: i32, taps: i32, step: i32): i32 {
  return first < taps ? (taps - 1 - first) / step + 1 : 0
}

/**
 * Packs w [oc][kh][kw][ic] for conv2d_f32_dx: phase after phase, flipped in both directions, oc and ic exchanged.
 *
 * bias  ic elements, or 0 (the null address): no bias, as a gradient wants it
 * y     ceil(ic / 8) * 8 * (kh * kw * oc + sh * sw) elements
 */
export function conv2d_f32_dx_pack(
  w: usize, bias: usize, y: usize, oc: i32, kh: i32, kw: i32, ic: i32, sh: i32, sw: i32, dh: i32, dw: i32,
): void {
  const rStep = stepOf(sh, dh)
  const sStep = stepOf(sw, dw)
  for (let phase = 0; phase < sh * sw; phase++) {
    const r0 = firstOf(phase / sw, kh, sh, dh)
    const s0 = firstOf(phase % sw, kw, sw, dw)
    const rows = countOf(r0, kh, rStep)
    const cols = countOf(s0, kw, sStep)
    for (let j = 0; j < ic; j += 8) {
      const width = min(8, ic - j)
      memory.fill(y, 0, (rows * cols * oc + 1) << 5)
      if (bias != 0) for (let l = 0; l < width; l++) store<f32>(y + (l << 2), load<f32>(bias + ((j + l) << 2)))
      y += 32
      for (let r = rows - 1; r >= 0; r--) {
        for (let s = cols - 1; s >= 0; s--) {
          const tap = (r0 + r * rStep) * kw + s0 + s * sStep
          for (let o = 0; o < oc; o++) {
            const from = w + (((o * kh * kw + tap) * ic + j) << 2)
            for (let l = 0; l < width; l++) store<f32>(y + (l << 2), load<f32>(from + (l << 2)))
            y += 32
          }
        }
      }
    }
  }
}

/** y = clamp(bias) on oh x ow pixels, outBytes apart in rows outLine apart: a phase without taps. */
// @ts-ignore: decorator
@inline
function biasAlone(bias: usize, y: usize, outBytes: i32, outLine: i32, oh: i32, ow: i32, oc: i32, lo: f32, hi: f32): void {
  const l = f32x4.splat(lo)
  const h = f32x4.splat(hi)
  for (let r = 0; r < oh; r++) {
    let out = y
    for (let p = 0; p < ow; p++) {
      for (let j = 0; j < oc; j += 4) storeLanes(out + (j << 2), clamp4(v128.load(bias + (j << 2)), l, h), oc - j)
      out += outBytes
    }
    y += outLine
  }
}

/**
 * dx = clamp(the gradient of conv2d with respect to x + bias, lo, hi), or when `add` is 1, which wants
 * neither bias nor clamp, dx += the gradient. (With bias and clamp it is the forward of a transposed convolution.)
 *
 * b        packed by conv2d_f32_dx_pack
 * scratch  rows * columns * oc elements: rows = floor((kh - 1) * dh / sh) + max(oh, floor((ih - 1 + pt) / sh) + 1), columns likewise;
 *          unused when they are oh and ow
 */
export function conv2d_f32_dx(
  dy: usize, b: usize, dx: usize, scratch: usize,
  batch: i32, ih: i32, iw: i32, ic: i32, oh: i32, ow: i32, oc: i32, kh: i32, kw: i32,
  sh: i32, sw: i32, dh: i32, dw: i32, pt: i32, pl: i32, lo: f32, hi: f32, add: i32,
): void {
  const top = (kh - 1) * dh / sh
  const left = (kw - 1) * dw / sw
  const ph = top + max(oh, (ih - 1 + pt) / sh + 1)
  const pw = left + max(ow, (iw - 1 + pl) / sw + 1)
  const rStep = stepOf(sh, dh)
  const sStep = stepOf(sw, dw)
  // From a tap of a phase to the next, in pixels of dy.
  const yStep = rStep * dh / sh
  const xStep = sStep * dw / sw
  const pixel = ic << 2
  const inside = ph == oh && pw == ow
  for (let i = 0; i < batch; i++) {
    if (!inside) spread(dy, scratch, oh, ow, oc << 2, ph, pw, top, left)
    const image = inside ? dy : scratch
    let w = b
    for (let phase = 0; phase < sh * sw; phase++) {
      const py = phase / sw
      const px = phase % sw
      const rows = countOf(firstOf(py, kh, sh, dh), kh, rStep)
      const cols = countOf(firstOf(px, kw, sw, dw), kw, sStep)
      // The first pixel of dx in this phase, and the pixel of dy that the phase's first tap would see from there.
      const my = max(0, (pt - py + sh - 1) / sh)
      const mx = max(0, (pl - px + sw - 1) / sw)
      const iy = py - pt + sh * my
      const ix = px - pl + sw * mx
      if (iy < ih && ix < iw) {
        const to = dx + (iy * iw + ix) * pixel
        const down = (ih - 1 - iy) / sh + 1
        const across = (iw - 1 - ix) / sw + 1
        if (ASC_FEATURE_SIMD && rows * cols == 0) {
          if (!add) biasAlone(w, to, sw * pixel, sh * iw * pixel, down, across, ic, lo, hi)
        } else {
          const oy = my - firstOf(py, kh, sh, dh) * dh / sh - (rows - 1) * yStep + top
          const ox = mx - firstOf(px, kw, sw, dw) * dw / sw - (cols - 1) * xStep + left
          convolve(
            image + (oy * pw + ox) * (oc << 2), w, to, sw * pixel, sh * iw * pixel,
            pw, oc, down, across, ic, rows, cols, 1, 1, yStep, xStep, lo, hi, add != 0,
          )
        }
      }
      w += ((ic + 7) >> 3) * ((rows * cols * oc + 1) << 5)
    }
    dx += ih * iw * pixel
    dy += (oh * ow * oc) << 2
  }
}

/**
 * dw += the gradient of conv2d with respect to w, summed over the batch. Tiles of 4 or 6 output channels by 8 contiguous weights stay in
 * registers while some rows of the image go by.
 *
 * scratch  as for conv2d_f32
 * ldy      elements from one pixel of dy to the next: oc, or more where dy and dw are a range of the output channels
 */
export function conv2d_f32_dw(
  x: usize, dy: usize, dw: usize, scratch: usize,
  batch: i32, ih: i32, iw: i32, ic: i32, oh: i32, ow: i32, oc: i32, kh: i32, kw: i32,
  sh: i32, sw: i32, dilh: i32, dilw: i32, pt: i32, pl: i32, ldy: i32,
): void {
  const ph = (oh - 1) * sh + (kh - 1) * dilh + 1
  const pw = (ow - 1) * sw + (kw - 1) * dilw + 1
  const inside = pt == 0 && pl == 0 && ph <= ih && pw <= iw
  const width = inside ? iw : pw
  const cols = dilw == 1 ? 1 : kw
  const chunk = dilw == 1 ? kw * ic : ic
  const k = kh * kw * ic
  const lineBytes = <usize>((sh * width * ic) << 2)
  // Tiles go over a row, or a few short ones, one after the other: x and dy of those come from a near cache.
  const block = max(1, 64 / ow)
  for (let i = 0; i < batch; i++) {
    if (!inside) spread(x, scratch, ih, iw, ic << 2, ph, pw, pt, pl)
    const image = inside ? x : scratch
    for (let top = 0; top < oh; top += block) {
      const rows = min(block, oh - top)
      const g = dy + ((top * ow * ldy) << 2)
      for (let r = 0; r < kh; r++) {
        for (let s = 0; s < cols; s++) {
          const window = image + <usize>top * lineBytes + ((r * dilh * width + s * dilw) * ic << 2)
          const at = (r * kw + s) * ic
          outer(window, g, dw + (at << 2), oc, chunk, k, rows, ow, lineBytes, <usize>(sw * ic << 2), <usize>(ldy << 2))
        }
      }
    }
    x += (ih * iw * ic) << 2
    dy += (oh * ow * ldy) << 2
  }
}
