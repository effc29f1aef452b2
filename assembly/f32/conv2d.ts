// 2-D convolution as an implicit GEMM: the 4x8 tile reads 4 output pixels' windows straight from the image, no im2col.
// Padding is made real first, one image at a time, in scratch (a copy with a border of zeros), so that the inner loops have no tests.
// The gradient with respect to x is a convolution of dy (spread by the stride) with the flipped, transposed weights; the gradient
// with respect to w is a sum of outer products over pixels.
//
// x [batch][ih][iw][ic]   y, dy [batch][oh][ow][oc]   w, dw [oc][kh][kw][ic]   stride sh sw, dilation dh dw, padding pt (top) pl (left)

import { spread } from './spread'
import { madd, tile1x8, tile4x8 } from './tile'

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
 * ldw   elements from one position of w to the next: ic, or more where w, bias and y are a range of the channels
 * bias  ic elements, or 0 (the null address): no bias, as a gradient wants it
 * y     ceil(ic / 8) * 8 * (kh * kw * oc + 1) elements
 */
export function conv2d_f32_dx_pack(w: usize, bias: usize, y: usize, oc: i32, kh: i32, kw: i32, ic: i32, ldw: i32): void {
  const taps = kh * kw
  for (let j = 0; j < ic; j += 8) {
    const width = min(8, ic - j)
    memory.fill(y, 0, (taps * oc + 1) << 5)
    if (bias != 0) for (let l = 0; l < width; l++) store<f32>(y + (l << 2), load<f32>(bias + ((j + l) << 2)))
    y += 32
    for (let t = taps - 1; t >= 0; t--) {
      for (let o = 0; o < oc; o++) {
        const from = w + (((o * taps + t) * ldw + j) << 2)
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
  for (let i = 0; i < batch; i++) {
    if (!inside) spread(x, scratch, ih, iw, ic << 2, ph, pw, 1, 1, pt, pl)
    const image = inside ? x : scratch
    for (let r = 0; r < kh; r++) {
      for (let s = 0; s < cols; s++) {
        const window = image + ((r * dilh * width + s * dilw) * ic << 2)
        const at = (r * kw + s) * ic
        for (let o = 0; o < oc; o += 4) {
          const left = min(4, oc - o)
          for (let q = 0; q < chunk; ) {
            const to = dw + ((o * k + at + q) << 2)
            const rest = chunk - q
            if (ASC_FEATURE_SIMD) {
              if (rest > 4) outer4x8(window + (q << 2), dy + (o << 2), to, k, left, min(8, rest), oh, ow, lineBytes, <usize>(sw * ic << 2), <usize>(ldy << 2))
              else outer4x4(window + (q << 2), dy + (o << 2), to, k, left, rest, oh, ow, lineBytes, <usize>(sw * ic << 2), <usize>(ldy << 2))
              q += rest > 4 ? 8 : 4
            } else {
              outer4x1(window + (q << 2), dy + (o << 2), to, k, left, oh, ow, lineBytes, <usize>(sw * ic << 2), <usize>(ldy << 2))
              q++
            }
          }
        }
      }
    }
    x += (ih * iw * ic) << 2
    dy += (oh * ow * ldy) << 2
  }
}

// @ts-ignore: decorator
@inline
function addLanes(y: usize, v: v128, width: i32): void {
  if (width >= 4) v128.store(y, f32x4.add(v128.load(y), v))
  else {
    store<f32>(y, load<f32>(y) + f32x4.extract_lane(v, 0))
    if (width > 1) store<f32>(y, load<f32>(y, 4) + f32x4.extract_lane(v, 1), 4)
    if (width > 2) store<f32>(y, load<f32>(y, 8) + f32x4.extract_lane(v, 2), 8)
  }
}

/** y[i][0..width) += sum over pixels of dy[pixel][i] * x[pixel][0..width), i < left (1..4), rows of y k apart. */
// @ts-ignore: decorator
@inline
function outer4x8(
  x: usize, dy: usize, y: usize, k: i32, left: i32, width: i32,
  oh: i32, ow: i32, lineBytes: usize, xStep: usize, dyStep: usize,
): void {
  let v00 = f32x4.splat(0)
  let v01 = v00
  let v10 = v00
  let v11 = v00
  let v20 = v00
  let v21 = v00
  let v30 = v00
  let v31 = v00
  let g = dy
  for (let r = 0; r < oh; r++) {
    let p = x
    for (let q = ow; q > 0; q--) {
      const x0 = v128.load(p)
      const x1 = v128.load(p, 16)
      const g0 = v128.load32_splat(g)
      v00 = madd(g0, x0, v00)
      v01 = madd(g0, x1, v01)
      const g1 = v128.load32_splat(g, 4)
      v10 = madd(g1, x0, v10)
      v11 = madd(g1, x1, v11)
      const g2 = v128.load32_splat(g, 8)
      v20 = madd(g2, x0, v20)
      v21 = madd(g2, x1, v21)
      const g3 = v128.load32_splat(g, 12)
      v30 = madd(g3, x0, v30)
      v31 = madd(g3, x1, v31)
      p += xStep
      g += dyStep
    }
    x += lineBytes
  }
  addLanes(y, v00, 4)
  addLanes(y + 16, v01, width - 4)
  if (left > 1) {
    y += k << 2
    addLanes(y, v10, 4)
    addLanes(y + 16, v11, width - 4)
  }
  if (left > 2) {
    y += k << 2
    addLanes(y, v20, 4)
    addLanes(y + 16, v21, width - 4)
  }
  if (left > 3) {
    y += k << 2
    addLanes(y, v30, 4)
    addLanes(y + 16, v31, width - 4)
  }
}

// @ts-ignore: decorator
@inline
function outer4x4(
  x: usize, dy: usize, y: usize, k: i32, left: i32, width: i32,
  oh: i32, ow: i32, lineBytes: usize, xStep: usize, dyStep: usize,
): void {
  let v0 = f32x4.splat(0)
  let v1 = v0
  let v2 = v0
  let v3 = v0
  let g = dy
  for (let r = 0; r < oh; r++) {
    let p = x
    for (let q = ow; q > 0; q--) {
      const x0 = v128.load(p)
      v0 = madd(v128.load32_splat(g), x0, v0)
      v1 = madd(v128.load32_splat(g, 4), x0, v1)
      v2 = madd(v128.load32_splat(g, 8), x0, v2)
      v3 = madd(v128.load32_splat(g, 12), x0, v3)
      p += xStep
      g += dyStep
    }
    x += lineBytes
  }
  addLanes(y, v0, width)
  if (left > 1) addLanes(y + (k << 2), v1, width)
  if (left > 2) addLanes(y + (k << 3), v2, width)
  if (left > 3) addLanes(y + (k * 12), v3, width)
}

// @ts-ignore: decorator
@inline
function outer4x1(
  x: usize, dy: usize, y: usize, k: i32, left: i32,
  oh: i32, ow: i32, lineBytes: usize, xStep: usize, dyStep: usize,
): void {
  let v0: f32 = 0
  let v1: f32 = 0
  let v2: f32 = 0
  let v3: f32 = 0
  let g = dy
  for (let r = 0; r < oh; r++) {
    let p = x
    for (let q = ow; q > 0; q--) {
      const x0 = load<f32>(p)
      v0 += load<f32>(g) * x0
      v1 += load<f32>(g, 4) * x0
      v2 += load<f32>(g, 8) * x0
      v3 += load<f32>(g, 12) * x0
      p += xStep
      g += dyStep
    }
    x += lineBytes
  }
  store<f32>(y, load<f32>(y) + v0)
  if (left > 1) store<f32>(y + (k << 2), load<f32>(y + (k << 2)) + v1)
  if (left > 2) store<f32>(y + (k << 3), load<f32>(y + (k << 3)) + v2)
  if (left > 3) store<f32>(y + (k * 12), load<f32>(y + (k * 12)) + v3)
}
