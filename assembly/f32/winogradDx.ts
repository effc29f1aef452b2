// The gradient of a 3x3 convolution of stride 1 with respect to its input, in Winograd's domain (assembly/f32/winograd.ts): there
// y = A^T [ (G w G^T) . (B^T x B) ] A for each tile, so
//
//   dx = sum over tiles of B [ (G w G^T) . (A dy A^T) ] B^T
//
// The tiles are those of dy, and each adds a patch of (n + 2) x (n + 2) to dx, where patches overlap. As a convolution of dy padded by two
// it would take the tiles of dx, which are more where the forward has no padding: 4 instead of 1 for a dy of 3x3.
//
// Error: at most c * 2^-24 * max|dy| * (the largest sum of |w| over an input channel), c as in winograd.ts; test/winograd.test.ts holds it.

import { gemm } from './gemm'
import { splat } from './lanes'
import { spread } from './spread'
import { APART, COLUMN, Column, constant, Far, minus, plus, ROW, Row, scaled } from './winograd'
import { enterGradient } from './winogradDw'

/** One column (or row) of B m: n + 2 values to as many, at distances as in enterLine; `add`: to what is there. p4, n4, n5: 4, -4, -5. */
// @ts-ignore: decorator
@inline
function patchLine<T, A, B>(
  x: usize, from: usize, y: usize, to: usize, n: i32, add: bool, p4: T, n4: T, n5: T, zero: T,
): void {
  const m0 = load<T>(x)
  x += from
  const m1 = load<T>(x, offsetof<A>())
  x += from
  const m2 = load<T>(x, 2 * offsetof<A>())
  x += from
  const m3 = load<T>(x, 3 * offsetof<A>())
  const s = plus<T>(m1, m2)
  const d = minus<T>(m1, m2)
  if (n == 2) {
    store<T>(y, add ? plus<T>(load<T>(y), m0) : m0)
    y += to
    const y1 = plus<T>(d, m3)
    store<T>(y, add ? plus<T>(load<T>(y, offsetof<B>()), y1) : y1, offsetof<B>())
    y += to
    const y2 = minus<T>(s, m0)
    store<T>(y, add ? plus<T>(load<T>(y, 2 * offsetof<B>()), y2) : y2, 2 * offsetof<B>())
    y += to
    const y3 = minus<T>(zero, m3)
    store<T>(y, add ? plus<T>(load<T>(y, 3 * offsetof<B>()), y3) : y3, 3 * offsetof<B>())
  } else {
    x += from
    const m4 = load<T>(x, 4 * offsetof<A>())
    x += from
    const m5 = load<T>(x, 5 * offsetof<A>())
    const u = plus<T>(m3, m4)
    const half = minus<T>(m3, m4)
    const v = plus<T>(half, half)
    const y0 = scaled<T>(m0, p4, zero)
    store<T>(y, add ? plus<T>(load<T>(y), y0) : y0)
    y += to
    const y1 = scaled<T>(minus<T>(m5, d), p4, minus<T>(zero, v))
    store<T>(y, add ? plus<T>(load<T>(y, offsetof<B>()), y1) : y1, offsetof<B>())
    y += to
    const y2 = scaled<T>(m0, n5, scaled<T>(s, n4, minus<T>(zero, u)))
    store<T>(y, add ? plus<T>(load<T>(y, 2 * offsetof<B>()), y2) : y2, 2 * offsetof<B>())
    y += to
    const y3 = scaled<T>(m5, n5, plus<T>(d, v))
    store<T>(y, add ? plus<T>(load<T>(y, 3 * offsetof<B>()), y3) : y3, 3 * offsetof<B>())
    y += to
    const y4 = plus<T>(plus<T>(m0, s), u)
    store<T>(y, add ? plus<T>(load<T>(y, 4 * offsetof<B>()), y4) : y4, 4 * offsetof<B>())
    y += to
    store<T>(y, add ? plus<T>(load<T>(y, 5 * offsetof<B>()), m5) : m5, 5 * offsetof<B>())
  }
}

/**
 * dx += the gradient of a 3x3 convolution of stride 1 with respect to x, or when `add` is 0 dx = the same.
 *
 * u        packed by conv2d_f32_winograd_pack with the same n, the channels exchanged
 * scratch  elements, with th = ceil(oh / n), tw = ceil(ow / n), ceil4 rounding up to 4: group * (n * th + 2) * (n * tw + 2) * ceil4(ic), and
 *          group * n * th * n * tw * oc rounded up to 4; then 144 + (n + 2)^2 * (block * (ceil4(ic) + ceil4(oc)) + 32)
 * n, block, group  as in conv2d_f32_winograd
 */
export function conv2d_f32_dx_winograd(
  dy: usize, u: usize, dx: usize, scratch: usize,
  n: i32, block: i32, group: i32, batch: i32, ih: i32, iw: i32, ic: i32, oh: i32, ow: i32, oc: i32, pt: i32, pl: i32, add: i32,
): void {
  if (ASC_FEATURE_SIMD) {
    if (n == 2) gradient<v128>(dy, u, dx, scratch, 2, block, group, batch, ih, iw, ic, oh, ow, oc, pt, pl, add)
    else gradient<v128>(dy, u, dx, scratch, 4, block, group, batch, ih, iw, ic, oh, ow, oc, pt, pl, add)
  } else gradient<f32>(dy, u, dx, scratch, n, block, group, batch, ih, iw, ic, oh, ow, oc, pt, pl, add)
}

// @ts-ignore: decorator
@inline
function gradient<T>(
  dy: usize, u: usize, dx: usize, scratch: usize,
  n: i32, block: i32, group: i32, batch: i32, ih: i32, iw: i32, ic: i32, oh: i32, ow: i32, oc: i32, pt: i32, pl: i32, add: i32,
): void {
  const t = n + 2
  const across = (ow + n - 1) / n
  const down = (oh + n - 1) / n
  const tiles = down * across
  const ph = n * down + 2
  const pw = n * across + 2
  const lanes = isVector<T>() ? 4 : 1
  const p4 = constant<T>(4, batch)
  const n4 = constant<T>(-4, batch)
  const n5 = constant<T>(-5, batch)
  const zero = splat<T>(0)
  const mRow = ((ic + 3) & -4) << 2
  const line = pw * mRow
  const image = ph * line
  // Whole tiles are read where they are, ragged ones from a copy with a border of zeros.
  const whole = n * down == oh && n * across == ow
  const gPixel = oc << 2
  const gLine = n * across * gPixel
  const gImage = n * down * gLine
  const copies = scratch + group * image
  const patch = copies + ((group * gImage + 15) & -16)
  const vRow = ((oc + 3) & -4) << 2
  const v = patch + 6 * ROW
  const vPosition = block * vRow + APART
  const m = v + t * t * vPosition
  const mPosition = block * mRow + APART
  const mDown = t * mPosition
  const uPosition = ((ic + 7) >> 3) * ((oc + 1) << 5)
  for (let b = 0; b < batch; b += group) {
    const images = min(group, batch - b)
    const g = whole ? dy : copies
    if (!whole) {
      for (let i = 0; i < images; i++) spread(dy + i * oh * ow * gPixel, copies + i * gImage, oh, ow, gPixel, n * down, n * across, 0, 0)
    }
    memory.fill(scratch, 0, images * image)
    for (let first = 0; first < images * tiles; first += block) {
      const count = min(block, images * tiles - first)
      for (let q = 0; q < count; q++) {
        const tile = (first + q) % tiles
        const corner = g + ((first + q) / tiles) * gImage + (tile / across) * n * gLine + (tile % across) * n * gPixel
        for (let c = 0; c < oc; c += lanes) {
          const from = corner + (c << 2)
          const to = v + q * vRow + (c << 2)
          enterGradient<T>(from, gPixel, gLine, patch, to, vPosition, n, p4)
        }
      }
      for (let p = 0; p < t * t; p++) {
        gemm(v + p * vPosition, u + p * uPosition, m + p * mPosition, count, ic, oc, vRow, mRow, -Infinity, Infinity, false, false)
      }
      for (let q = 0; q < count; q++) {
        const tile = (first + q) % tiles
        const into = scratch + ((first + q) / tiles) * image + (tile / across) * n * line + (tile % across) * n * mRow
        for (let c = 0; c < ic; c += lanes) {
          const from = m + q * mRow + (c << 2)
          const to = into + (c << 2)
          let column = patch
          let product = from
          for (let j = 0; j < t; j++) {
            patchLine<T, Far, Row>(product, mDown, column, 0, n, false, p4, n4, n5, zero)
            product += mPosition
            column += COLUMN
          }
          let row = patch
          let pixels = to
          for (let i = 0; i < t; i++) {
            patchLine<T, Column, Far>(row, 0, pixels, mRow, n, true, p4, n4, n5, zero)
            row += ROW
            pixels += line
          }
        }
      }
    }
    for (let i = 0; i < images; i++) {
      for (let r = 0; r < ih; r++) {
        let from = scratch + i * image + (r + pt) * line + pl * mRow
        for (let q = 0; q < iw; q++) {
          let c = 0
          if (isVector<T>()) {
            for (; c + 4 <= ic; c += 4) {
              const v = load<T>(from + (c << 2))
              const to = dx + (c << 2)
              store<T>(to, add ? plus<T>(load<T>(to), v) : v)
            }
          }
          for (; c < ic; c++) {
            const v = load<f32>(from + (c << 2))
            const to = dx + (c << 2)
            store<f32>(to, add ? load<f32>(to) + v : v)
          }
          from += mRow
          dx += ic << 2
        }
      }
    }
    dy += images * oh * ow * gPixel
  }
}
