// Depthwise 2-D convolution: each input channel has its own filters. Vectors run over channels; the window is clipped at the
// borders, so there is no padded copy.
//
// x [batch][ih][iw][ic]   y, dy [batch][oh][ow][oc]   w, dw [kh][kw][oc]   oc = ic * m: channel o reads input channel o / m

import { clamp1, clamp4, madd } from './tile'

/** The first kernel row (or column) whose input index `start + i * dilation` is not negative. */
// @ts-ignore: decorator
@inline
export function firstTap(start: i32, dilation: i32): i32 {
  return start < 0 ? (dilation - 1 - start) / dilation : 0
}

/** One past the last kernel row (or column), at most `kernel`, whose input index is below `limit`. */
// @ts-ignore: decorator
@inline
export function endTap(start: i32, dilation: i32, kernel: i32, limit: i32): i32 {
  return start >= limit ? 0 : min(kernel, (limit - 1 - start) / dilation + 1)
}

/** y = clamp(depthwiseConv2d(x, w) + bias, lo, hi). bias: oc elements, or 0 (the null address) for none. */
export function depthwiseConv2d_f32(
  x: usize, w: usize, bias: usize, y: usize,
  batch: i32, ih: i32, iw: i32, ic: i32, oh: i32, ow: i32, oc: i32, kh: i32, kw: i32,
  sh: i32, sw: i32, dh: i32, dw: i32, pt: i32, pl: i32, lo: f32, hi: f32,
): void {
  const m = oc / ic
  for (let i = 0; i < batch; i++) {
    for (let oy = 0; oy < oh; oy++) {
      const y0 = oy * sh - pt
      const r0 = firstTap(y0, dh)
      const r1 = endTap(y0, dh, kh, ih)
      for (let ox = 0; ox < ow; ox++) {
        const x0 = ox * sw - pl
        const s0 = firstTap(x0, dw)
        const s1 = endTap(x0, dw, kw, iw)
        let o = 0
        if (ASC_FEATURE_SIMD) {
          if (m == 1) {
            for (; o + 4 <= oc; o += 4) {
              let v = bias ? v128.load(bias + (o << 2)) : f32x4.splat(0)
              for (let r = r0; r < r1; r++) {
                let p = x + ((((y0 + r * dh) * iw + x0 + s0 * dw) * ic + o) << 2)
                let q = w + (((r * kw + s0) * oc + o) << 2)
                for (let s = s0; s < s1; s++) {
                  v = madd(v128.load(p), v128.load(q), v)
                  p += (dw * ic) << 2
                  q += oc << 2
                }
              }
              v128.store(y + (o << 2), clamp4(v, f32x4.splat(lo), f32x4.splat(hi)))
            }
          }
        }
        for (; o < oc; o++) {
          let v = bias ? load<f32>(bias + (o << 2)) : <f32>0
          const c = o / m
          for (let r = r0; r < r1; r++) {
            for (let s = s0; s < s1; s++) {
              v += load<f32>(x + ((((y0 + r * dh) * iw + x0 + s * dw) * ic + c) << 2)) * load<f32>(w + (((r * kw + s) * oc + o) << 2))
            }
          }
          store<f32>(y + (o << 2), clamp1(v, lo, hi))
        }
        y += oc << 2
      }
    }
    x += (ih * iw * ic) << 2
  }
}

/** dx += the gradient with respect to x: every output pixel adds dy * w to the pixels of its window. */
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
      const r1 = endTap(y0, dh, kh, ih)
      for (let ox = 0; ox < ow; ox++) {
        const x0 = ox * sw - pl
        const s0 = firstTap(x0, dw)
        const s1 = endTap(x0, dw, kw, iw)
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

/** dw += the gradient with respect to w, summed over the batch: per tap and channel a dot product over output pixels. */
export function depthwiseConv2d_f32_dw(
  x: usize, dy: usize, dw: usize,
  batch: i32, ih: i32, iw: i32, ic: i32, oh: i32, ow: i32, oc: i32, kh: i32, kw: i32,
  sh: i32, sw: i32, dilh: i32, dilw: i32, pt: i32, pl: i32,
): void {
  const m = oc / ic
  for (let i = 0; i < batch; i++) {
    for (let r = 0; r < kh; r++) {
      // The output rows and columns whose input index under this tap is inside the image.
      const y0 = r * dilh - pt
      const oy0 = firstTap(y0, sh)
      const oy1 = endTap(y0, sh, oh, ih)
      for (let s = 0; s < kw; s++) {
        const x0 = s * dilw - pl
        const ox0 = firstTap(x0, sw)
        const ox1 = endTap(x0, sw, ow, iw)
        const to = dw + (((r * kw + s) * oc) << 2)
        let o = 0
        if (ASC_FEATURE_SIMD) {
          if (m == 1) {
            for (; o + 4 <= oc; o += 4) {
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
        for (; o < oc; o++) {
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
