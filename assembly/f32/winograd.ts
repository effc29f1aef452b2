// 3x3 convolution with stride 1 by Winograd's minimal filtering (Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", 2015):
// F(4x4, 3x3) makes 4x4 outputs of a 6x6 patch with 36 multiplications a channel instead of 144, F(2x2, 3x3) 2x2 of 4x4 with 16
// instead of 36. Patches and filters are transformed, for each of the 36 (16) positions one matrix product over channels follows
// (the tile of GEMM), and the products are transformed back, with bias and clamp.
//
//   y = A^T [ (G w G^T) . (B^T x B) ] A      points 0, 1, -1, 2, -2 (F(2x2): 0, 1, -1) and infinity
//
// Error: products grow and cancel on the way back, so an output is off by up to c * 2^-24 * max|x| * (the largest sum of |w| over an
// output's filter), c = 4 for F(2x2) and 24 for F(4x4); test/winograd.test.ts holds both to it.
//
// The transforms are written once for T = v128 (four channels) and T = f32 (the scalar build).

import { gemm } from './gemm'
import { splat } from './lanes'
import { spread } from './spread'
import { clamp1, clamp4, madd } from './tile'

// @ts-ignore: decorator
@inline
export function plus<T>(a: T, b: T): T {
  if (isVector<T>()) return f32x4.add(a, b)
  return a + b
}

// @ts-ignore: decorator
@inline
export function minus<T>(a: T, b: T): T {
  if (isVector<T>()) return f32x4.sub(a, b)
  return a - b
}

// @ts-ignore: decorator
@inline
function clamped<T>(v: T, lo: T, hi: T): T {
  if (isVector<T>()) return clamp4(v, lo, hi)
  return <T>clamp1(<f32>v, <f32>lo, <f32>hi)
}

/** a * b + c. */
// @ts-ignore: decorator
@inline
export function scaled<T>(a: T, b: T, c: T): T {
  if (isVector<T>()) return madd(a, b, c)
  return a * b + c
}

/**
 * A constant of a loop. Where V8 knows a vector's value it makes it anew wherever it is used, in three instructions: so it is not to know. `size`
 * is an argument that is never negative.
 */
// @ts-ignore: decorator
@inline
export function constant<T>(v: f32, size: i32): T {
  return splat<T>(v + <f32>(size >>> 31))
}

/**
 * Where the values of a patch lie: rows of 6 vectors. A line, which is a row or a column, takes its steps as types: a distance that is
 * known when compiling is a class of that size and becomes part of an instruction; where it is not, an address has to be added up.
 */
@unmanaged
export class Column {
  low: u64
  high: u64
}
@unmanaged
export class Row extends Column {
  b0: u64; b1: u64; c0: u64; c1: u64; d0: u64; d1: u64; e0: u64; e1: u64; f0: u64; f1: u64
}
/** A distance in a variable. */
@unmanaged
export class Far {}

// @ts-ignore: decorator
@inline
export const COLUMN: i32 = offsetof<Column>()
// @ts-ignore: decorator
@inline
export const ROW: i32 = offsetof<Row>()

/**
 * Bytes between the positions' matrices: without them, positions would lie a power of two apart and share a few sets of the first-level
 * cache, which has less ways than there are positions.
 */
// @ts-ignore: decorator
@inline
export const APART = 64

/**
 * One column (or row) of B^T x: n + 2 values, A apart, to as many, B apart. Where A is Far, they are `from` bytes apart, else `from` is
 * 0; the same with B and `to`. p4, n4, n5: 4, -4, -5.
 */
// @ts-ignore: decorator
@inline
function enterLine<T, A, B>(x: usize, from: usize, y: usize, to: usize, n: i32, p4: T, n4: T, n5: T): void {
  const d0 = load<T>(x)
  x += from
  const d1 = load<T>(x, offsetof<A>())
  x += from
  const d2 = load<T>(x, 2 * offsetof<A>())
  x += from
  const d3 = load<T>(x, 3 * offsetof<A>())
  if (n == 2) {
    store<T>(y, minus<T>(d0, d2))
    y += to
    store<T>(y, plus<T>(d1, d2), offsetof<B>())
    y += to
    store<T>(y, minus<T>(d2, d1), 2 * offsetof<B>())
    y += to
    store<T>(y, minus<T>(d1, d3), 3 * offsetof<B>())
  } else {
    x += from
    const d4 = load<T>(x, 4 * offsetof<A>())
    x += from
    const d5 = load<T>(x, 5 * offsetof<A>())
    store<T>(y, scaled<T>(d0, p4, scaled<T>(d2, n5, d4)))
    y += to
    const a = scaled<T>(d2, n4, d4)
    const b = scaled<T>(d1, n4, d3)
    store<T>(y, plus<T>(a, b), offsetof<B>())
    y += to
    store<T>(y, minus<T>(a, b), 2 * offsetof<B>())
    y += to
    const c = minus<T>(d4, d2)
    const half = minus<T>(d3, d1)
    const e = plus<T>(half, half)
    store<T>(y, plus<T>(c, e), 3 * offsetof<B>())
    y += to
    store<T>(y, minus<T>(c, e), 4 * offsetof<B>())
    y += to
    store<T>(y, scaled<T>(d1, p4, scaled<T>(d3, n5, d5)), 5 * offsetof<B>())
  }
}

/**
 * B^T x B of a patch of n + 2 lines, `line` bytes apart, of as many pixels: to positions that are `position` bytes apart. patch: 36 values
 * in passing.
 */
// @ts-ignore: decorator
@inline
export function enter<T>(
  x: usize, pixel: usize, line: usize, patch: usize, v: usize, position: usize, n: i32, p4: T, n4: T, n5: T,
): void {
  let column = patch
  for (let j = 0; j < n + 2; j++) {
    enterLine<T, Far, Row>(x, line, column, 0, n, p4, n4, n5)
    x += pixel
    column += COLUMN
  }
  const down = (n + 2) * position
  for (let i = 0; i < n + 2; i++) {
    enterLine<T, Column, Far>(patch, 0, v, position, n, p4, n4, n5)
    patch += ROW
    v += down
  }
}

/** One column (or row) of A^T m: n + 2 values to n, at distances as in enterLine. `last`: with bias and clamp. p4, p8: 4, 8. */
// @ts-ignore: decorator
@inline
function leaveLine<T, A, B>(
  x: usize, from: usize, y: usize, to: usize, n: i32, p4: T, p8: T, last: bool, bias: T, lo: T, hi: T,
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
    store<T>(y, finish<T>(plus<T>(m0, s), last, bias, lo, hi))
    y += to
    store<T>(y, finish<T>(minus<T>(d, m3), last, bias, lo, hi), offsetof<B>())
  } else {
    x += from
    const m4 = load<T>(x, 4 * offsetof<A>())
    x += from
    const m5 = load<T>(x, 5 * offsetof<A>())
    const u = plus<T>(m3, m4)
    const v = minus<T>(m3, m4)
    store<T>(y, finish<T>(plus<T>(plus<T>(m0, s), u), last, bias, lo, hi))
    y += to
    store<T>(y, finish<T>(plus<T>(d, plus<T>(v, v)), last, bias, lo, hi), offsetof<B>())
    y += to
    store<T>(y, finish<T>(scaled<T>(u, p4, s), last, bias, lo, hi), 2 * offsetof<B>())
    y += to
    store<T>(y, finish<T>(scaled<T>(v, p8, plus<T>(d, m5)), last, bias, lo, hi), 3 * offsetof<B>())
  }
}

// @ts-ignore: decorator
@inline
function finish<T>(v: T, last: bool, bias: T, lo: T, hi: T): T {
  return last ? clamped<T>(plus<T>(v, bias), lo, hi) : v
}

/** One column (or row) of G w: 3 values, `from` bytes apart, to n + 2. */
// @ts-ignore: decorator
@inline
function filterLine(w: usize, from: usize, y: usize, to: usize, n: i32): void {
  const g0 = load<f32>(w)
  const g1 = load<f32>(w + from)
  const g2 = load<f32>(w + 2 * from)
  if (n == 2) {
    store<f32>(y, g0)
    store<f32>(y + to, (g0 + g1 + g2) * 0.5)
    store<f32>(y + 2 * to, (g0 - g1 + g2) * 0.5)
    store<f32>(y + 3 * to, g2)
  } else {
    store<f32>(y, g0 * 0.25)
    store<f32>(y + to, (g0 + g1 + g2) * <f32>(-1.0 / 6.0))
    store<f32>(y + 2 * to, (g0 - g1 + g2) * <f32>(-1.0 / 6.0))
    store<f32>(y + 3 * to, g0 * <f32>(1.0 / 24.0) + g1 * <f32>(1.0 / 12.0) + g2 * <f32>(1.0 / 6.0))
    store<f32>(y + 4 * to, g0 * <f32>(1.0 / 24.0) - g1 * <f32>(1.0 / 12.0) + g2 * <f32>(1.0 / 6.0))
    store<f32>(y + 5 * to, g2)
  }
}

/**
 * Transforms and packs filters: u = for each of the (n + 2)^2 positions the panels of pack_f32 (8 zeros for the bias, then k rows of 8).
 *
 * w        element (output channel o, input channel i, row r, column s) at w[first + o * wo + i * wi + r * wr + s * ws]; for the
 *          gradient with respect to x the strides flip the filter and exchange the channels
 * scratch  72 elements
 * u        (n + 2)^2 * ceil(oc / 8) * 8 * (ic + 1) elements; n: 2 or 4, outputs of a tile in each direction
 * ldu      output channels from one position of u to the next: oc, or more where w and u are a range of them that begins with a panel
 */
export function conv2d_f32_winograd_pack(
  w: usize, u: usize, scratch: usize, n: i32, oc: i32, ic: i32, ldu: i32, first: i32, wo: i32, wi: i32, wr: i32, ws: i32,
): void {
  const t = n + 2
  const panel = (ic + 1) << 5
  const position = ((ldu + 7) >> 3) * panel
  for (let p = 0; p < t * t; p++) memory.fill(u + p * position, 0, ((oc + 7) >> 3) * panel)
  for (let o = 0; o < oc; o++) {
    for (let i = 0; i < ic; i++) {
      const from = w + ((first + o * wo + i * wi) << 2)
      for (let s = 0; s < 3; s++) filterLine(from + ((s * ws) << 2), wr << 2, scratch + (s << 2), 12, n)
      for (let r = 0; r < t; r++) {
        const to = u + (o >> 3) * panel + ((i + 1) << 5) + ((o & 7) << 2) + r * t * position
        filterLine(scratch + r * 12, 4, to, position, n)
      }
    }
  }
}

/**
 * y = clamp(conv2d(x, w) + bias, lo, hi) for 3x3 filters, stride 1.
 *
 * u        packed by conv2d_f32_winograd_pack with the same n
 * bias     oc elements, or 0 (the null address)
 * scratch  elements: `group` padded images (n * th + 2) * (n * tw + 2) * ic with th = ceil(oh / n), tw = ceil(ow / n), all of them
 *          rounded up to 4; then 144 for one patch; then (n + 2)^2 * (block * (ceil4(ic) + ceil4(oc)) + 32)
 * block    tiles transformed at once
 * group    images whose tiles may share a block: small images alone would leave the matrix products without rows
 */
export function conv2d_f32_winograd(
  x: usize, u: usize, bias: usize, y: usize, scratch: usize,
  n: i32, block: i32, group: i32, batch: i32, ih: i32, iw: i32, ic: i32, oh: i32, ow: i32, oc: i32, pt: i32, pl: i32,
  lo: f32, hi: f32,
): void {
  if (ASC_FEATURE_SIMD) {
    if (n == 2) winograd<v128>(x, u, bias, y, scratch, 2, block, group, batch, ih, iw, ic, oh, ow, oc, pt, pl, lo, hi)
    else winograd<v128>(x, u, bias, y, scratch, 4, block, group, batch, ih, iw, ic, oh, ow, oc, pt, pl, lo, hi)
  } else winograd<f32>(x, u, bias, y, scratch, n, block, group, batch, ih, iw, ic, oh, ow, oc, pt, pl, lo, hi)
}

// @ts-ignore: decorator
@inline
function winograd<T>(
  x: usize, u: usize, bias: usize, y: usize, scratch: usize,
  n: i32, block: i32, group: i32, batch: i32, ih: i32, iw: i32, ic: i32, oh: i32, ow: i32, oc: i32, pt: i32, pl: i32,
  lo: f32, hi: f32,
): void {
  const t = n + 2
  const across = (ow + n - 1) / n
  const tiles = ((oh + n - 1) / n) * across
  const ph = n * ((oh + n - 1) / n) + 2
  const pw = n * across + 2
  const lanes = isVector<T>() ? 4 : 1
  const p4 = constant<T>(4, batch)
  const n4 = constant<T>(-4, batch)
  const n5 = constant<T>(-5, batch)
  const p8 = constant<T>(8, batch)
  const low = splat<T>(lo)
  const high = splat<T>(hi)
  const image = (ph * pw * ic) << 2
  const patch = scratch + ((group * image + 15) & -16)
  const v = patch + 6 * ROW
  const vRow = ((ic + 3) & -4) << 2
  const vPosition = block * vRow + APART
  const m = v + t * t * vPosition
  const mRow = ((oc + 3) & -4) << 2
  const mPosition = block * mRow + APART
  const mDown = t * mPosition
  const uPosition = ((oc + 7) >> 3) * ((ic + 1) << 5)
  const pixel = ic << 2
  const yPixel = oc << 2
  const yLine = ow * yPixel
  const line = pw * pixel
  for (let b = 0; b < batch; b += group) {
    const images = min(group, batch - b)
    for (let g = 0; g < images; g++) spread(x + g * ih * iw * pixel, scratch + g * image, ih, iw, pixel, ph, pw, pt, pl)
    for (let first = 0; first < images * tiles; first += block) {
      const count = min(block, images * tiles - first)
      for (let q = 0; q < count; q++) {
        const tile = (first + q) % tiles
        const corner = scratch + ((first + q) / tiles) * image + ((tile / across) * pw + (tile % across)) * n * pixel
        for (let c = 0; c < ic; c += lanes) {
          const from = corner + (c << 2)
          const to = v + q * vRow + (c << 2)
          enter<T>(from, pixel, line, patch, to, vPosition, n, p4, n4, n5)
        }
      }
      for (let p = 0; p < t * t; p++) {
        gemm(v + p * vPosition, u + p * uPosition, m + p * mPosition, count, oc, ic, vRow, mRow, -Infinity, Infinity, false, false)
      }
      for (let q = 0; q < count; q++) {
        const tile = (first + q) % tiles
        const oy = (tile / across) * n
        const ox = (tile % across) * n
        const into = y + (((((first + q) / tiles) * oh * ow + oy * ow + ox) * oc) << 2)
        const whole = oy + n <= oh && ox + n <= ow
        for (let o = 0; o < oc; o += lanes) {
          const from = m + q * mRow + (o << 2)
          const to = into + (o << 2)
          const shift = bias ? load<T>(bias + (o << 2)) : splat<T>(0)
          let column = patch
          let product = from
          for (let j = 0; j < t; j++) {
            leaveLine<T, Far, Row>(product, mDown, column, 0, n, p4, p8, false, shift, low, high)
            column += COLUMN
            product += mPosition
          }
          if (whole && o + lanes <= oc) {
            let row = patch
            let pixels = to
            for (let i = 0; i < n; i++) {
              leaveLine<T, Column, Far>(row, 0, pixels, yPixel, n, p4, p8, true, shift, low, high)
              row += ROW
              pixels += yLine
            }
          } else {
            for (let i = 0; i < n && oy + i < oh; i++) {
              // In place: the n results of a row go where its first values were.
              const row = patch + i * ROW
              leaveLine<T, Column, Column>(row, 0, row, 0, n, p4, p8, true, shift, low, high)
              for (let j = 0; j < n && ox + j < ow; j++) {
                for (let l = 0; l < lanes && o + l < oc; l++) {
                  store<f32>(to + (i * ow + j) * yPixel + (l << 2), load<f32>(row + j * COLUMN + (l << 2)))
                }
              }
            }
          }
        }
      }
    }
    x += group * ih * iw * pixel
    y += (group * oh * ow * oc) << 2
  }
}
