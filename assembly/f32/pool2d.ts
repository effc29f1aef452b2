// Max and average pooling and their gradients. Vectors run over channels; the window is clipped at the borders: padding is never
// the maximum and is counted in the average only where a caller says so (TFLite and Keras do not).
//
// x, dx [batch][ih][iw][c]   y, dy [batch][oh][ow][c]

import { endTap, firstTap } from '../window'

/** y = the largest value of each window; a NaN in it shows. */
export function maxPool2d_f32(
  x: usize, y: usize, batch: i32, ih: i32, iw: i32, c: i32, oh: i32, ow: i32, kh: i32, kw: i32, sh: i32, sw: i32, pt: i32, pl: i32,
): void {
  for (let i = 0; i < batch; i++) {
    for (let oy = 0; oy < oh; oy++) {
      const y0 = oy * sh - pt
      const r0 = firstTap(y0, 1)
      const r1 = endTap(y0, 1, ih, kh)
      for (let ox = 0; ox < ow; ox++) {
        const x0 = ox * sw - pl
        const s0 = firstTap(x0, 1)
        const s1 = endTap(x0, 1, iw, kw)
        const corner = x + ((((y0 + r0) * iw + x0 + s0) * c) << 2)
        let o = 0
        if (ASC_FEATURE_SIMD) {
          for (; o + 4 <= c; o += 4) {
            let v = v128.load(corner + (o << 2))
            for (let r = r0; r < r1; r++) {
              let p = corner + (((r - r0) * iw * c + o) << 2)
              for (let s = s0; s < s1; s++) {
                v = f32x4.max(v, v128.load(p))
                p += c << 2
              }
            }
            v128.store(y + (o << 2), v)
          }
        }
        for (; o < c; o++) {
          let v = load<f32>(corner + (o << 2))
          for (let r = r0; r < r1; r++) {
            let p = corner + (((r - r0) * iw * c + o) << 2)
            for (let s = s0; s < s1; s++) {
              const q = load<f32>(p)
              v = max<f32>(v, q)
              p += c << 2
            }
          }
          store<f32>(y + (o << 2), v)
        }
        y += c << 2
      }
    }
    x += (ih * iw * c) << 2
  }
}

/** dx += dy at the first value of each window, in row order, that equals its maximum y. */
export function maxPool2d_f32_dx(
  x: usize, y: usize, dy: usize, dx: usize,
  batch: i32, ih: i32, iw: i32, c: i32, oh: i32, ow: i32, kh: i32, kw: i32, sh: i32, sw: i32, pt: i32, pl: i32,
): void {
  for (let i = 0; i < batch; i++) {
    for (let oy = 0; oy < oh; oy++) {
      const y0 = oy * sh - pt
      const r0 = firstTap(y0, 1)
      const r1 = endTap(y0, 1, ih, kh)
      for (let ox = 0; ox < ow; ox++) {
        const x0 = ox * sw - pl
        const s0 = firstTap(x0, 1)
        const s1 = endTap(x0, 1, iw, kw)
        const corner = <usize>((((y0 + r0) * iw + x0 + s0) * c) << 2)
        let o = 0
        if (ASC_FEATURE_SIMD) {
          for (; o + 4 <= c; o += 4) {
            const top = v128.load(y + (o << 2))
            // The lanes that still look for their maximum keep their gradient here; the others are zero.
            let left = v128.load(dy + (o << 2))
            for (let r = r0; r < r1; r++) {
              let at = corner + (((r - r0) * iw * c + o) << 2)
              for (let s = s0; s < s1; s++) {
                const hit = f32x4.eq(v128.load(x + at), top)
                v128.store(dx + at, f32x4.add(v128.load(dx + at), v128.and(left, hit)))
                left = v128.andnot(left, hit)
                at += c << 2
              }
            }
          }
        }
        for (; o < c; o++) {
          const top = load<f32>(y + (o << 2))
          let left = load<f32>(dy + (o << 2))
          for (let r = r0; r < r1; r++) {
            let at = corner + (((r - r0) * iw * c + o) << 2)
            for (let s = s0; s < s1; s++) {
              if (load<f32>(x + at) == top) {
                store<f32>(dx + at, load<f32>(dx + at) + left)
                left = 0
              }
              at += c << 2
            }
          }
        }
        y += c << 2
        dy += c << 2
      }
    }
    x += (ih * iw * c) << 2
    dx += (ih * iw * c) << 2
  }
}

/** y = the sum of the values of each window that are inside the image / `area`, or where that is 0 / their number: their mean. */
export function avgPool2d_f32(
  x: usize, y: usize,
  batch: i32, ih: i32, iw: i32, c: i32, oh: i32, ow: i32, kh: i32, kw: i32, sh: i32, sw: i32, pt: i32, pl: i32, area: i32,
): void {
  for (let i = 0; i < batch; i++) {
    for (let oy = 0; oy < oh; oy++) {
      const y0 = oy * sh - pt
      const r0 = firstTap(y0, 1)
      const r1 = endTap(y0, 1, ih, kh)
      for (let ox = 0; ox < ow; ox++) {
        const x0 = ox * sw - pl
        const s0 = firstTap(x0, 1)
        const s1 = endTap(x0, 1, iw, kw)
        const corner = x + ((((y0 + r0) * iw + x0 + s0) * c) << 2)
        const scale = <f32>1 / <f32>(area ? area : (r1 - r0) * (s1 - s0))
        let o = 0
        if (ASC_FEATURE_SIMD) {
          for (; o + 4 <= c; o += 4) {
            let v = f32x4.splat(0)
            for (let r = r0; r < r1; r++) {
              let p = corner + (((r - r0) * iw * c + o) << 2)
              for (let s = s0; s < s1; s++) {
                v = f32x4.add(v, v128.load(p))
                p += c << 2
              }
            }
            v128.store(y + (o << 2), f32x4.mul(v, f32x4.splat(scale)))
          }
        }
        for (; o < c; o++) {
          let v: f32 = 0
          for (let r = r0; r < r1; r++) {
            let p = corner + (((r - r0) * iw * c + o) << 2)
            for (let s = s0; s < s1; s++) {
              v += load<f32>(p)
              p += c << 2
            }
          }
          store<f32>(y + (o << 2), v * scale)
        }
        y += c << 2
      }
    }
    x += (ih * iw * c) << 2
  }
}

/** dx += dy / what the forward divides by, over each window. */
export function avgPool2d_f32_dx(
  dy: usize, dx: usize,
  batch: i32, ih: i32, iw: i32, c: i32, oh: i32, ow: i32, kh: i32, kw: i32, sh: i32, sw: i32, pt: i32, pl: i32, area: i32,
): void {
  for (let i = 0; i < batch; i++) {
    for (let oy = 0; oy < oh; oy++) {
      const y0 = oy * sh - pt
      const r0 = firstTap(y0, 1)
      const r1 = endTap(y0, 1, ih, kh)
      for (let ox = 0; ox < ow; ox++) {
        const x0 = ox * sw - pl
        const s0 = firstTap(x0, 1)
        const s1 = endTap(x0, 1, iw, kw)
        const corner = dx + ((((y0 + r0) * iw + x0 + s0) * c) << 2)
        const scale = <f32>1 / <f32>(area ? area : (r1 - r0) * (s1 - s0))
        let o = 0
        if (ASC_FEATURE_SIMD) {
          for (; o + 4 <= c; o += 4) {
            const v = f32x4.mul(v128.load(dy + (o << 2)), f32x4.splat(scale))
            for (let r = r0; r < r1; r++) {
              let p = corner + (((r - r0) * iw * c + o) << 2)
              for (let s = s0; s < s1; s++) {
                v128.store(p, f32x4.add(v128.load(p), v))
                p += c << 2
              }
            }
          }
        }
        for (; o < c; o++) {
          const v = load<f32>(dy + (o << 2)) * scale
          for (let r = r0; r < r1; r++) {
            let p = corner + (((r - r0) * iw * c + o) << 2)
            for (let s = s0; s < s1; s++) {
              store<f32>(p, load<f32>(p) + v)
              p += c << 2
            }
          }
        }
        dy += c << 2
      }
    }
    dx += (ih * iw * c) << 2
  }
}
