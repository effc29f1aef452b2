// Depthwise 2-D convolution: each input channel has its own filters. Vectors run over channels; the window is clipped at the
// borders, so there is no padded copy.
//
// x [batch][ih][iw][ic]   y, dy [batch][oh][ow][oc]   w, dw [kh][kw][oc]   oc = ic * m: channel o reads input channel o / m

import { endTap, firstTap } from '../window'
import { clamp1, clamp4, madd } from './tile'

/**
 * y = clamp(depthwiseConv2d(x, w) + bias, lo, hi); when `add` is 1, y += the same.
 *
 * bias     oc elements, or 0 (the null address) for none
 * scratch  (iw + 1) * ic elements, rounded up to 4, and 8 more
 * flip     1: the filter is turned by 180 degrees. With stride 1 that, `add`, and the padding seen from the other side make this the
 *          gradient with respect to x
 */
export function depthwiseConv2d_f32(
  x: usize, w: usize, bias: usize, y: usize, scratch: usize,
  batch: i32, ih: i32, iw: i32, ic: i32, oh: i32, ow: i32, oc: i32, kh: i32, kw: i32,
  sh: i32, sw: i32, dh: i32, dw: i32, pt: i32, pl: i32, lo: f32, hi: f32, flip: i32, add: i32,
): void {
  const m = oc / ic
  const taps = kh * kw
  // From a tap to the one below it, in x and in w.
  const rowBytes = (dh * iw * ic) << 2
  const tapBytes = (flip ? -kw * oc : kw * oc) << 2
  // Sums run down the columns of the window, in every way through this kernel.
  // The nine weights of four channels stay in registers along a row. Rows above and below the image are a row of zeros; the
  // columns whose window leaves the image, but for one at either side that leaves it by one column, and the last channels, take the general
  // way.
  const nine = ASC_FEATURE_SIMD && m == 1 && kh == 3 && kw == 3 && dh == 1 && dw == 1
  const vectors = nine ? oc & -4 : 0
  const first = firstTap(-pl, sw)
  const end = endTap(2 - pl, sw, iw, ow)
  const left = pl == 1
  const right = end == ow - 1 && end * sw - pl == iw - 2
  const limits = scratch + ((((iw + 1) * ic + 3) & -4) << 2)
  if (ASC_FEATURE_SIMD) {
    if (nine) {
      memory.fill(scratch, 0, limits - scratch)
      v128.store(limits, f32x4.splat(lo))
      v128.store(limits, f32x4.splat(hi), 16)
    }
  }
  for (let i = 0; i < batch; i++) {
    for (let oy = 0; oy < oh; oy++) {
      const y0 = oy * sh - pt
      const r0 = firstTap(y0, dh)
      const r1 = endTap(y0, dh, ih, kh)
      if (ASC_FEATURE_SIMD) {
        if (nine && first < end) {
          const start = <usize>(((first * sw - pl) * ic) << 2)
          const line = <usize>((iw * ic) << 2)
          const p0 = (y0 >= 0 && y0 < ih ? x + <usize>y0 * line : scratch) + start
          const p1 = (y0 + 1 >= 0 && y0 + 1 < ih ? x + <usize>(y0 + 1) * line : scratch) + start
          const p2 = (y0 + 2 >= 0 && y0 + 2 < ih ? x + <usize>(y0 + 2) * line : scratch) + start
          const to = y + ((first * oc) << 2)
          for (let o = 0; o < vectors; o += 4) {
            const at = <usize>(o << 2)
            row3x3(
              p0 + at, p1 + at, p2 + at, w + at, bias ? bias + at : scratch, limits, to + at,
              left, end - first, right, ic << 2, (sw * ic) << 2, flip != 0, add != 0,
            )
          }
        }
      }
      for (let ox = 0; ox < ow; ox++) {
        let o = ox >= first - i32(left) && ox < end + i32(right) && first < end ? vectors : 0
        if (o == oc) continue
        const x0 = ox * sw - pl
        const s0 = firstTap(x0, dw)
        const s1 = endTap(x0, dw, iw, kw)
        if (ASC_FEATURE_SIMD) {
          if (m == 1) {
            // Sixteen channels at a time, so that finding the taps costs little.
            for (; o + 16 <= oc; o += 16) {
              const b = bias + (o << 2)
              let v0 = bias ? v128.load(b) : f32x4.splat(0)
              let v1 = bias ? v128.load(b, 16) : v0
              let v2 = bias ? v128.load(b, 32) : v0
              let v3 = bias ? v128.load(b, 48) : v0
              for (let s = s0; s < s1; s++) {
                let p = x + ((((y0 + r0 * dh) * iw + x0 + s * dw) * ic + o) << 2)
                let q = w + (((flip ? taps - 1 - r0 * kw - s : r0 * kw + s) * oc + o) << 2)
                for (let r = r0; r < r1; r++) {
                  v0 = madd(v128.load(p), v128.load(q), v0)
                  v1 = madd(v128.load(p, 16), v128.load(q, 16), v1)
                  v2 = madd(v128.load(p, 32), v128.load(q, 32), v2)
                  v3 = madd(v128.load(p, 48), v128.load(q, 48), v3)
                  p += rowBytes
                  q += tapBytes
                }
              }
              const l = f32x4.splat(lo)
              const h = f32x4.splat(hi)
              const to = y + ((ox * oc + o) << 2)
              v0 = clamp4(v0, l, h)
              v1 = clamp4(v1, l, h)
              v2 = clamp4(v2, l, h)
              v3 = clamp4(v3, l, h)
              v128.store(to, add ? f32x4.add(v128.load(to), v0) : v0)
              v128.store(to, add ? f32x4.add(v128.load(to, 16), v1) : v1, 16)
              v128.store(to, add ? f32x4.add(v128.load(to, 32), v2) : v2, 32)
              v128.store(to, add ? f32x4.add(v128.load(to, 48), v3) : v3, 48)
            }
            for (; o + 4 <= oc; o += 4) {
              let v = bias ? v128.load(bias + (o << 2)) : f32x4.splat(0)
              for (let s = s0; s < s1; s++) {
                let p = x + ((((y0 + r0 * dh) * iw + x0 + s * dw) * ic + o) << 2)
                for (let r = r0; r < r1; r++) {
                  const tap = flip ? taps - 1 - r * kw - s : r * kw + s
                  v = madd(v128.load(p), v128.load(w + ((tap * oc + o) << 2)), v)
                  p += (dh * iw * ic) << 2
                }
              }
              v = clamp4(v, f32x4.splat(lo), f32x4.splat(hi))
              if (add) v = f32x4.add(v128.load(y + ((ox * oc + o) << 2)), v)
              v128.store(y + ((ox * oc + o) << 2), v)
            }
          }
        }
        for (; o < oc; o++) {
          let v = bias ? load<f32>(bias + (o << 2)) : <f32>0
          const c = o / m
          for (let s = s0; s < s1; s++) {
            for (let r = r0; r < r1; r++) {
              const tap = flip ? taps - 1 - r * kw - s : r * kw + s
              v += load<f32>(x + ((((y0 + r * dh) * iw + x0 + s * dw) * ic + c) << 2)) * load<f32>(w + ((tap * oc + o) << 2))
            }
          }
          const to = y + ((ox * oc + o) << 2)
          v = clamp1(v, lo, hi)
          store<f32>(to, add ? load<f32>(to) + v : v)
        }
      }
      y += (ow * oc) << 2
    }
    x += (ih * iw * ic) << 2
  }
}

/**
 * `count` outputs of four channels from three rows of the image; `pixel` bytes to the next column, `step` to the next window. With `left`
 * one more before them, whose window has no first column, and with `right` one more after them, whose window has no last one.
 * bias: four values; limits: four times lo, then four times hi (in memory, because the registers hold weights).
 */
// @ts-ignore: decorator
@inline
function row3x3(
  p0: usize, p1: usize, p2: usize, w: usize, bias: usize, limits: usize, y: usize,
  left: bool, count: i32, right: bool, pixel: usize, step: usize, flip: bool, add: bool,
): void {
  const tap: usize = flip ? -pixel : pixel
  const q = flip ? w + 8 * pixel : w
  const w0 = v128.load(q)
  const w1 = v128.load(q + tap)
  const w2 = v128.load(q + 2 * tap)
  const w3 = v128.load(q + 3 * tap)
  const w4 = v128.load(q + 4 * tap)
  const w5 = v128.load(q + 5 * tap)
  const w6 = v128.load(q + 6 * tap)
  const w7 = v128.load(q + 7 * tap)
  const w8 = v128.load(q + 8 * tap)
  if (left) {
    const at = pixel - step
    const v = column(column(v128.load(bias), p0, p1, p2, at, w1, w4, w7), p0, p1, p2, at + pixel, w2, w5, w8)
    finish(y - pixel, v, limits, add)
  }
  if (step == pixel && count > 2) {
    // Stride 1: a column is loaded once and serves three outputs, which take turns in a, b and c.
    let a = column(column(v128.load(bias), p0, p1, p2, 0, w0, w3, w6), p0, p1, p2, pixel, w1, w4, w7)
    let b = column(v128.load(bias), p0, p1, p2, pixel, w0, w3, w6)
    let c = b
    p0 += 2 * pixel
    p1 += 2 * pixel
    p2 += 2 * pixel
    for (; count > 2; count -= 3) {
      const x00 = v128.load(p0)
      a = madd(x00, w2, a)
      b = madd(x00, w1, b)
      c = madd(x00, w0, v128.load(bias))
      const x01 = v128.load(p1)
      a = madd(x01, w5, a)
      b = madd(x01, w4, b)
      c = madd(x01, w3, c)
      const x02 = v128.load(p2)
      a = madd(x02, w8, a)
      b = madd(x02, w7, b)
      c = madd(x02, w6, c)
      finish(y, a, limits, add)
      p0 += pixel
      p1 += pixel
      p2 += pixel
      y += pixel
      const x10 = v128.load(p0)
      b = madd(x10, w2, b)
      c = madd(x10, w1, c)
      a = madd(x10, w0, v128.load(bias))
      const x11 = v128.load(p1)
      b = madd(x11, w5, b)
      c = madd(x11, w4, c)
      a = madd(x11, w3, a)
      const x12 = v128.load(p2)
      b = madd(x12, w8, b)
      c = madd(x12, w7, c)
      a = madd(x12, w6, a)
      finish(y, b, limits, add)
      p0 += pixel
      p1 += pixel
      p2 += pixel
      y += pixel
      const x20 = v128.load(p0)
      c = madd(x20, w2, c)
      a = madd(x20, w1, a)
      b = madd(x20, w0, v128.load(bias))
      const x21 = v128.load(p1)
      c = madd(x21, w5, c)
      a = madd(x21, w4, a)
      b = madd(x21, w3, b)
      const x22 = v128.load(p2)
      c = madd(x22, w8, c)
      a = madd(x22, w7, a)
      b = madd(x22, w6, b)
      finish(y, c, limits, add)
      p0 += pixel
      p1 += pixel
      p2 += pixel
      y += pixel
    }
    p0 -= 2 * pixel
    p1 -= 2 * pixel
    p2 -= 2 * pixel
  }
  for (; count > 0; count--) {
    const v = column(column(v128.load(bias), p0, p1, p2, 0, w0, w3, w6), p0, p1, p2, pixel, w1, w4, w7)
    finish(y, column(v, p0, p1, p2, 2 * pixel, w2, w5, w8), limits, add)
    p0 += step
    p1 += step
    p2 += step
    y += pixel
  }
  if (right) {
    const v = column(column(v128.load(bias), p0, p1, p2, 0, w0, w3, w6), p0, p1, p2, pixel, w1, w4, w7)
    finish(y, v, limits, add)
  }
}

/** sum + the products of a column of the window, `at` bytes on in three rows. */
// @ts-ignore: decorator
@inline
function column(sum: v128, p0: usize, p1: usize, p2: usize, at: usize, w0: v128, w1: v128, w2: v128): v128 {
  return madd(v128.load(p2 + at), w2, madd(v128.load(p1 + at), w1, madd(v128.load(p0 + at), w0, sum)))
}

// @ts-ignore: decorator
@inline
function finish(y: usize, v: v128, limits: usize, add: bool): void {
  let r = clamp4(v, v128.load(limits), v128.load(limits, 16))
  if (add) r = f32x4.add(v128.load(y), r)
  v128.store(y, r)
}

/** dx += the gradient with respect to x, for any stride: every output pixel adds dy * w to the pixels of its window. */
export function depthwiseConv2d_f32_dx(
  dy: usize, w: usize, dx: usize,
  batch: i32, ih: i32, iw: i32, ic: i32, oh: i32, ow: i32, oc: i32, kh: i32, kw: i32,
  sh: i32, sw: i32, dh: i32, dw: i32, pt: i32, pl: i32,
): void {
  const m = oc / ic
  for (let i = 0; i < batch; i++) {
    for (let oy = 0; oy < oh; oy++) {
      const y0 = oy * sh - pt
      const r0 = firstTap(y0, dh)
      const r1 = endTap(y0, dh, ih, kh)
      for (let ox = 0; ox < ow; ox++) {
        const x0 = ox * sw - pl
        const s0 = firstTap(x0, dw)
        const s1 = endTap(x0, dw, iw, kw)
        for (let r = r0; r < r1; r++) {
          for (let s = s0; s < s1; s++) {
            const p = dx + ((((y0 + r * dh) * iw + x0 + s * dw) * ic) << 2)
            const q = w + (((r * kw + s) * oc) << 2)
            let o = 0
            if (ASC_FEATURE_SIMD) {
              if (m == 1) {
                for (; o + 4 <= oc; o += 4) {
                  const at = <usize>(o << 2)
                  v128.store(p + at, madd(v128.load(dy + at), v128.load(q + at), v128.load(p + at)))
                }
              }
            }
            for (; o < oc; o++) {
              const to = p + ((o / m) << 2)
              store<f32>(to, load<f32>(to) + load<f32>(dy + (o << 2)) * load<f32>(q + (o << 2)))
            }
          }
        }
        dy += oc << 2
      }
    }
    dx += (ih * iw * ic) << 2
  }
}

/**
 * dw += the gradient with respect to w, summed over the batch: per tap and channel a dot product over output pixels. Sixteen channels go
 * side by side, because one sum alone would wait for each of its additions.
 */
export function depthwiseConv2d_f32_dw(
  x: usize, dy: usize, dw: usize,
  batch: i32, ih: i32, iw: i32, ic: i32, oh: i32, ow: i32, oc: i32, kh: i32, kw: i32,
  sh: i32, sw: i32, dilh: i32, dilw: i32, pt: i32, pl: i32, n: i32,
): void {
  const m = oc / ic
  for (let i = 0; i < batch; i++) {
    for (let r = 0; r < kh; r++) {
      // The output rows and columns whose input index under this tap is inside the image.
      const y0 = r * dilh - pt
      const oy0 = firstTap(y0, sh)
      const oy1 = endTap(y0, sh, ih, oh)
      for (let s = 0; s < kw; s++) {
        const x0 = s * dilw - pl
        const ox0 = firstTap(x0, sw)
        const ox1 = endTap(x0, sw, iw, ow)
        const to = dw + (((r * kw + s) * oc) << 2)
        let o = 0
        if (ASC_FEATURE_SIMD) {
          if (m == 1) {
            for (; o + 16 <= n; o += 16) {
              let v0 = v128.load(to + (o << 2))
              let v1 = v128.load(to + (o << 2), 16)
              let v2 = v128.load(to + (o << 2), 32)
              let v3 = v128.load(to + (o << 2), 48)
              for (let oy = oy0; oy < oy1; oy++) {
                let p = x + ((((y0 + oy * sh) * iw + x0 + ox0 * sw) * ic + o) << 2)
                let g = dy + (((oy * ow + ox0) * oc + o) << 2)
                for (let ox = ox0; ox < ox1; ox++) {
                  v0 = madd(v128.load(p), v128.load(g), v0)
                  v1 = madd(v128.load(p, 16), v128.load(g, 16), v1)
                  v2 = madd(v128.load(p, 32), v128.load(g, 32), v2)
                  v3 = madd(v128.load(p, 48), v128.load(g, 48), v3)
                  p += (sw * ic) << 2
                  g += oc << 2
                }
              }
              v128.store(to + (o << 2), v0)
              v128.store(to + (o << 2), v1, 16)
              v128.store(to + (o << 2), v2, 32)
              v128.store(to + (o << 2), v3, 48)
            }
            for (; o + 4 <= n; o += 4) {
              let v = v128.load(to + (o << 2))
              for (let oy = oy0; oy < oy1; oy++) {
                let p = x + ((((y0 + oy * sh) * iw + x0 + ox0 * sw) * ic + o) << 2)
                let g = dy + (((oy * ow + ox0) * oc + o) << 2)
                for (let ox = ox0; ox < ox1; ox++) {
                  v = madd(v128.load(p), v128.load(g), v)
                  p += (sw * ic) << 2
                  g += oc << 2
                }
              }
              v128.store(to + (o << 2), v)
            }
          }
        }
        for (; o < n; o++) {
          let v = load<f32>(to + (o << 2))
          const c = o / m
          for (let oy = oy0; oy < oy1; oy++) {
            for (let ox = ox0; ox < ox1; ox++) {
              v += load<f32>(x + ((((y0 + oy * sh) * iw + x0 + ox * sw) * ic + c) << 2)) * load<f32>(dy + (((oy * ow + ox) * oc + o) << 2))
            }
          }
          store<f32>(to + (o << 2), v)
        }
      }
    }
    x += (ih * iw * ic) << 2
    dy += (oh * ow * oc) << 2
  }
}
