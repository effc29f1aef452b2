// 3x3 convolution with stride 1 in int8 by Winograd's F(2x2, 3x3) in integers: the same result as conv2d_i8 with 16 products for
// 2x2 outputs of a channel instead of 36. With G doubled on both sides everything is an integer, and 4 times the sum comes out:
//
//   4 y = A^T [ (2G w (2G)^T) . (B^T x B) ] A      points 0, 1, -1 and infinity
//
// A transformed value is at most 4 * 255, a transformed weight 9 * 127: both are i16, so dot_i16x8 makes their products. Sums may
// wrap on the way; the result does not, as long as 4 * 9 * ic * 255 * 127 fits in i32. (F(4x4, 3x3) would need 24^2 and more bits.)
//
// Where the host makes four products in a step, which takes bytes, the direct kernel is faster, and computes the result instead
// (`npm run bench -- --explain`, conv_i8: direct in the relaxed build beside winograd2 in the simd build).

import { begin, finish, finish4x8, TILE } from './finish'
import { convolve as direct } from './packedConv2d'
import { fourProducts, HEAD, pack, packNumbers, widen } from './panel'
import { sums1x8, sums4x8 } from './tile'

/** Positions of a transformed 4x4 patch. */
// @ts-ignore: decorator
@inline
const POSITIONS = 16

/**
 * Packs filters, biases and scales into panels.
 *
 * w                        i8 [n][3][3][ic]
 * bias, multiplier, shift  i32 [n], as for conv2d_i8
 * y                        ceil(n / 8) panels of 224 + 512 * ceil(ic / 2) bytes: numbers, then for each position the pairs of weights;
 *                          where the host makes four products in a step, as pack_i8 of 3 segments of 3 * ic, which is less
 */
export function pack_i8_winograd(w: usize, bias: usize, multiplier: usize, shift: usize, y: usize, n: i32, ic: i32): void {
  if (ASC_FEATURE_RELAXED_SIMD && fourProducts()) return pack(w, bias, multiplier, shift, y, n, 3, 3 * ic, 9 * ic, 3 * ic, 1)
  const position = ((ic + 1) >> 1) << 5
  const panel = HEAD + POSITIONS * position
  memory.fill(y, 0, panel * ((n + 7) >> 3))
  for (let o = 0; o < n; o++) {
    const to = y + (o >> 3) * panel + ((o & 7) << 2)
    packNumbers(load<i32>(bias + (o << 2)), load<i32>(multiplier + (o << 2)), load<i32>(shift + (o << 2)), to)
    for (let i = 0; i < ic; i++) {
      const from = w + (o * 9 * ic + i)
      let at = to + HEAD + ((i >> 1) << 5) + ((i & 1) << 1)
      for (let r = 0; r < 4; r++) {
        const a = filterLine(from, 3 * ic, r)
        const b = filterLine(from + ic, 3 * ic, r)
        const c = filterLine(from + 2 * ic, 3 * ic, r)
        store<i16>(at, a << 1)
        store<i16>(at + position, a + b + c)
        store<i16>(at + 2 * position, a - b + c)
        store<i16>(at + 3 * position, c << 1)
        at += position << 2
      }
    }
  }
}

/** Row r of 2G times a column of the filter. */
// @ts-ignore: decorator
@inline
function filterLine(w: usize, step: i32, r: i32): i32 {
  const a = <i32>load<i8>(w)
  const b = <i32>load<i8>(w + step)
  const c = <i32>load<i8>(w + 2 * step)
  if (r == 0) return a << 1
  if (r == 3) return c << 1
  return r == 1 ? a + b + c : a - b + c
}

// The transforms are written once for T = v128 (eight values, four sums) and T = i32 (one).

// @ts-ignore: decorator
@inline
function values<T>(p: usize): T {
  if (isVector<T>()) return v128.load(p)
  return <T>load<i16>(p)
}

// @ts-ignore: decorator
@inline
function putValues<T>(p: usize, v: T): void {
  if (isVector<T>()) v128.store(p, v)
  else store<i16>(p, <i16>v)
}

// @ts-ignore: decorator
@inline
function plus<T>(a: T, b: T): T {
  if (isVector<T>()) return i16x8.add(a, b)
  return a + b
}

// @ts-ignore: decorator
@inline
function minus<T>(a: T, b: T): T {
  if (isVector<T>()) return i16x8.sub(a, b)
  return a - b
}

/** Row of B^T x B from two rows of x, a - b or a + b: 4 values, `pixel` bytes apart, to 4 positions. */
// @ts-ignore: decorator
@inline
function enterLine<T>(a: usize, b: usize, add: bool, pixel: i32, to: usize, position: i32): void {
  const t0 = add ? plus<T>(values<T>(a), values<T>(b)) : minus<T>(values<T>(a), values<T>(b))
  const t1 = add ? plus<T>(values<T>(a + pixel), values<T>(b + pixel)) : minus<T>(values<T>(a + pixel), values<T>(b + pixel))
  const p2 = pixel << 1
  const t2 = add ? plus<T>(values<T>(a + p2), values<T>(b + p2)) : minus<T>(values<T>(a + p2), values<T>(b + p2))
  const p3 = pixel * 3
  const t3 = add ? plus<T>(values<T>(a + p3), values<T>(b + p3)) : minus<T>(values<T>(a + p3), values<T>(b + p3))
  putValues<T>(to, minus<T>(t0, t2))
  putValues<T>(to + position, plus<T>(t1, t2))
  putValues<T>(to + 2 * position, minus<T>(t2, t1))
  putValues<T>(to + 3 * position, minus<T>(t1, t3))
}

/** B^T x B of the 4x4 patch at x. */
// @ts-ignore: decorator
@inline
function enterPatch<T>(x: usize, pixel: i32, line: i32, to: usize, position: i32): void {
  enterLine<T>(x, x + 2 * line, false, pixel, to, position)
  enterLine<T>(x + line, x + 2 * line, true, pixel, to + 4 * position, position)
  enterLine<T>(x + 2 * line, x + line, false, pixel, to + 8 * position, position)
  enterLine<T>(x + line, x + 3 * line, false, pixel, to + 12 * position, position)
}

// @ts-ignore: decorator
@inline
function sum3<T>(a: T, b: T, c: T): T {
  if (isVector<T>()) return i32x4.add(i32x4.add(a, b), c)
  return a + b + c
}

// @ts-ignore: decorator
@inline
function rest3<T>(a: T, b: T, c: T): T {
  if (isVector<T>()) return i32x4.sub(i32x4.sub(a, b), c)
  return a - b - c
}

/** bias + a quarter of the value. */
// @ts-ignore: decorator
@inline
function whole<T>(v: T, bias: T): T {
  if (isVector<T>()) return i32x4.add(i32x4.shr_s(v, 2), bias)
  return (v >> 2) + bias
}

/** Products of one column of positions, times the upper row of A^T. */
// @ts-ignore: decorator
@inline
function above<T>(m: usize, position: i32): T {
  return sum3<T>(load<T>(m), load<T>(m + 4 * position), load<T>(m + 8 * position))
}

/** Times the lower row. */
// @ts-ignore: decorator
@inline
function below<T>(m: usize, position: i32): T {
  return rest3<T>(load<T>(m + 4 * position), load<T>(m + 8 * position), load<T>(m + 12 * position))
}

/**
 * y = clamp(yZero + scale_o * (bias[o] + sum (x - xZero) * w)), as conv2d_i8 for 3x3 filters, stride 1.
 *
 * x        i8 [batch][ih][iw][ic], ic a multiple of 8, at most 1843
 * u        packed by pack_i8_winograd
 * y        i8 [batch][oh][ow][oc]
 * scratch  bytes: 224, then one padded image in i16, (2 * th + 2) * (2 * tw + 2) * ic of them with th = ceil(oh / 2), tw = ceil(ow / 2);
 *          then 32 * block * ic, then 512 * block, then 2048; with four products in a step as for packedConv2d_i8, which is less
 * block    tiles of 2x2 outputs transformed at once, a multiple of 4
 * Zero points, lo and hi in [-128, 127].
 */
export function packedConv2d_i8_winograd(
  x: usize, u: usize, y: usize, scratch: usize, block: i32,
  batch: i32, ih: i32, iw: i32, ic: i32, oh: i32, ow: i32, oc: i32, pt: i32, pl: i32, xZero: i32, yZero: i32, lo: i32, hi: i32,
): void {
  begin(scratch, yZero, lo, hi)
  if (ASC_FEATURE_RELAXED_SIMD && fourProducts()) {
    return direct(x, u, y, scratch, batch, ih, iw, ic, oh, ow, oc, 3, 3, 1, 1, 1, 1, pt, pl, xZero, yZero, lo, hi, true)
  }
  const across = (ow + 1) >> 1
  const tiles = ((oh + 1) >> 1) * across
  const ph = (((oh + 1) >> 1) << 1) + 2
  const pw = (across << 1) + 2
  const pixel = ic << 1
  const line = pw * pixel
  const image = scratch + TILE
  const v = image + ph * line
  // Apart, so that positions do not share the same few sets of the first-level cache.
  const vPosition = block * pixel + 64
  const m = v + POSITIONS * vPosition
  const mPosition = (block << 5) + 64
  const pairs = ic >> 1
  const position = pairs << 5
  const panel = HEAD + POSITIONS * position
  const inside = min(iw, pw - pl) * ic
  const row = oc * ow
  for (let b = 0; b < batch; b++) {
    memory.fill(image, 0, ph * line)
    for (let r = max(0, pt); r < min(ph, pt + ih); r++) {
      widen(x + (r - pt) * iw * ic, image + (r * line + pl * pixel), inside, xZero)
    }
    for (let first = 0; first < tiles; first += block) {
      const count = min(block, tiles - first)
      const firstRow = (first / across) << 1
      const firstColumn = (first % across) << 1
      let oy = firstRow
      let ox = firstColumn
      for (let q = 0; q < count; q++) {
        const corner = image + (oy * line + ox * pixel)
        const to = v + q * pixel
        ox += 2
        if (ox >= ow) {
          ox = 0
          oy += 2
        }
        if (ASC_FEATURE_SIMD) for (let c = 0; c < pixel; c += 16) enterPatch<v128>(corner + c, pixel, line, to + c, vPosition)
        else for (let c = 0; c < pixel; c += 2) enterPatch<i32>(corner + c, pixel, line, to + c, vPosition)
      }
      let w = u
      for (let o = 0; o < oc; o += 8) {
        const width = min(8, oc - o)
        for (let p = 0; p < POSITIONS; p++) {
          const a = v + p * vPosition
          const to = m + p * mPosition
          const from = w + (HEAD + p * position)
          if (ASC_FEATURE_SIMD) {
            // Rows past the last tile hold an older block's numbers: they are computed and not read.
            for (let q = 0; q < count; q += 4) {
              const a0 = a + q * pixel
              const a2 = a0 + 2 * pixel
              sums4x8(a0, a0 + pixel, a2, a2 + pixel, pairs, from, to + (q << 5))
            }
          } else {
            for (let q = 0; q < count; q++) sums1x8(a + q * pixel, 1, 0, pairs, 0, from, to + (q << 5))
          }
        }
        oy = firstRow
        ox = firstColumn
        for (let q = 0; q < count; q++) {
          const from = m + (q << 5)
          const to = y + ((oy * ow + ox) * oc + o)
          const wide = min(2, ow - ox)
          const under = oy + 1 < oh ? wide : 0
          if (ASC_FEATURE_SIMD) {
            const bias0 = v128.load(w)
            const a0 = above<v128>(from, mPosition)
            const a1 = above<v128>(from + mPosition, mPosition)
            const a2 = above<v128>(from + 2 * mPosition, mPosition)
            const a3 = above<v128>(from + 3 * mPosition, mPosition)
            const v00 = whole<v128>(sum3<v128>(a0, a1, a2), bias0)
            const v10 = whole<v128>(rest3<v128>(a1, a2, a3), bias0)
            const b0 = below<v128>(from, mPosition)
            const b1 = below<v128>(from + mPosition, mPosition)
            const b2 = below<v128>(from + 2 * mPosition, mPosition)
            const b3 = below<v128>(from + 3 * mPosition, mPosition)
            const v20 = whole<v128>(sum3<v128>(b0, b1, b2), bias0)
            const v30 = whole<v128>(rest3<v128>(b1, b2, b3), bias0)
            const bias1 = v128.load(w, 16)
            const c0 = above<v128>(from + 16, mPosition)
            const c1 = above<v128>(from + (mPosition + 16), mPosition)
            const c2 = above<v128>(from + (2 * mPosition + 16), mPosition)
            const c3 = above<v128>(from + (3 * mPosition + 16), mPosition)
            const v01 = whole<v128>(sum3<v128>(c0, c1, c2), bias1)
            const v11 = whole<v128>(rest3<v128>(c1, c2, c3), bias1)
            const d0 = below<v128>(from + 16, mPosition)
            const d1 = below<v128>(from + (mPosition + 16), mPosition)
            const d2 = below<v128>(from + (2 * mPosition + 16), mPosition)
            const d3 = below<v128>(from + (3 * mPosition + 16), mPosition)
            const v21 = whole<v128>(sum3<v128>(d0, d1, d2), bias1)
            const v31 = whole<v128>(rest3<v128>(d1, d2, d3), bias1)
            finish4x8(
              v00, v01, v10, v11, v20, v21, v30, v31,
              w, scratch, to, to + row, oc, wide, under, width, yZero, lo, hi,
            )
          } else {
            for (let l = 0; l < 32; l += 4) {
              const bias = load<i32>(w + l)
              const a0 = above<i32>(from + l, mPosition)
              const a1 = above<i32>(from + (mPosition + l), mPosition)
              const a2 = above<i32>(from + (2 * mPosition + l), mPosition)
              const a3 = above<i32>(from + (3 * mPosition + l), mPosition)
              store<i32>(scratch + l, whole<i32>(sum3<i32>(a0, a1, a2), bias))
              store<i32>(scratch + l, whole<i32>(rest3<i32>(a1, a2, a3), bias), 32)
              const b0 = below<i32>(from + l, mPosition)
              const b1 = below<i32>(from + (mPosition + l), mPosition)
              const b2 = below<i32>(from + (2 * mPosition + l), mPosition)
              const b3 = below<i32>(from + (3 * mPosition + l), mPosition)
              store<i32>(scratch + l, whole<i32>(sum3<i32>(b0, b1, b2), bias), 64)
              store<i32>(scratch + l, whole<i32>(rest3<i32>(b1, b2, b3), bias), 96)
            }
            finish(scratch, w, to, oc, wide, width, yZero, lo, hi)
            finish(scratch + 64, w, to + row, oc, under, width, yZero, lo, hi)
          }
          ox += 2
          if (ox >= ow) {
            ox = 0
            oy += 2
          }
        }
        w += panel
      }
    }
    x += ih * iw * ic
    y += oh * row
  }
}
