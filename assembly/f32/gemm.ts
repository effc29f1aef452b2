// Matrix product and the packing of its second operand. Dense layers, their gradients and 1x1 convolutions are calls of it:
// the strides of A (elements from row to row and along k) make a transposed A cost nothing, `pack_f32` transposes B.

import { sixes, tile1x32, tile1x8, tile4x8, tile6x8 } from './tile'

/** Bytes of A that are multiplied with all of B before the next: as much as stays in the first-level cache beside a panel of B. */
// @ts-ignore: decorator
@inline
const BLOCK = 36864

/**
 * Packs B into panels of 8 columns: y = for each panel 8 biases, then k rows of 8 weights; columns past n are zero.
 *
 * w     element (column j, row i) at w[j * wn + i * wk]
 * bias  n elements, or 0 (the null address): no bias
 * y     ceil(n / 8) * 8 * (k + 1) elements
 */
export function pack_f32(w: usize, bias: usize, y: usize, n: i32, k: i32, wn: i32, wk: i32): void {
  for (let j = 0; j < n; j += 8) {
    const width = min(8, n - j)
    for (let l = 0; l < 8; l++) {
      store<f32>(y + (l << 2), bias != 0 && l < width ? load<f32>(bias + ((j + l) << 2)) : 0)
    }
    y += 32
    let p = w + ((j * wn) << 2)
    if (width < 8) memory.fill(y, 0, k << 5)
    if (wn == 1 && width == 8) {
      for (let i = 0; i < k; i++) {
        if (ASC_FEATURE_SIMD) {
          v128.store(y, v128.load(p))
          v128.store(y, v128.load(p, 16), 16)
        } else {
          store<u64>(y, load<u64>(p))
          store<u64>(y, load<u64>(p, 8), 8)
          store<u64>(y, load<u64>(p, 16), 16)
          store<u64>(y, load<u64>(p, 24), 24)
        }
        y += 32
        p += wk << 2
      }
    } else if (ASC_FEATURE_SIMD && wk == 1 && width == 8) {
      // Rows of B become columns, 4 x 8 at a time.
      let i = 0
      for (; i + 4 <= k; i += 4) {
        turn(p, wn << 2, y)
        turn(p + (wn << 4), wn << 2, y + 16)
        p += 16
        y += 128
      }
      for (; i < k; i++) {
        let from = p
        for (let l = 0; l < 32; l += 4) {
          store<f32>(y + l, load<f32>(from))
          from += wn << 2
        }
        p += 4
        y += 32
      }
    } else {
      for (let l = 0; l < width; l++) {
        let from = p
        let to = y + (l << 2)
        for (let i = 0; i < k; i++) {
          store<f32>(to, load<f32>(from))
          from += wk << 2
          to += 32
        }
        p += wn << 2
      }
      y += k << 5
    }
  }
}

/** Four rows of four, `step` bytes apart, to four columns, 32 bytes apart. */
// @ts-ignore: decorator
@inline
function turn(x: usize, step: usize, y: usize): void {
  const r0 = v128.load(x)
  const r1 = v128.load(x + step)
  x += 2 * step
  const r2 = v128.load(x)
  const r3 = v128.load(x + step)
  const a = v128.shuffle<f32>(r0, r1, 0, 4, 1, 5)
  const b = v128.shuffle<f32>(r2, r3, 0, 4, 1, 5)
  const c = v128.shuffle<f32>(r0, r1, 2, 6, 3, 7)
  const d = v128.shuffle<f32>(r2, r3, 2, 6, 3, 7)
  v128.store(y, v128.shuffle<f64>(a, b, 0, 2))
  v128.store(y, v128.shuffle<f64>(a, b, 1, 3), 32)
  v128.store(y, v128.shuffle<f64>(c, d, 0, 2), 64)
  v128.store(y, v128.shuffle<f64>(c, d, 1, 3), 96)
}

/**
 * c = clamp(a * b + bias, lo, hi), or when `add` is 1 c += the same.
 *
 * a  [m][k], element (i, q) at a[i * am + q * ak]; am or ak is 1, and where am is, up to 2 elements more are read
 * b  packed by pack_f32, bias inside
 * c  [m][n], rows ldc elements apart
 */
export function gemm_f32(
  a: usize, b: usize, c: usize, m: i32, n: i32, k: i32, am: i32, ak: i32, ldc: i32, lo: f32, hi: f32, add: i32,
): void {
  if (ASC_FEATURE_SIMD && m == 1) return oneRow(a, b, c, n, k, ak << 2, lo, hi, add != 0)
  // Rows of a that are worked off before the next ones, at least four tiles: all panels of b pass by while they are in the cache.
  const block = max(24, BLOCK / (k << 2) / 12 * 12)
  for (let i = 0; i < m; i += block) {
    const rows = min(block, m - i)
    if (am == 1) gemm(a, b, c, rows, n, k, ak << 2, ldc << 2, lo, hi, add != 0, true)
    else gemm(a, b, c, rows, n, k, am << 2, ldc << 2, lo, hi, add != 0, false)
    a += (block * am) << 2
    c += (block * ldc) << 2
  }
}

/** The same for one row, four panels at a time. */
// @ts-ignore: decorator
@inline
function oneRow(a: usize, b: usize, c: usize, n: i32, k: i32, step: usize, lo: f32, hi: f32, add: bool): void {
  const panel = <usize>(k + 1) << 5
  let j = 0
  for (; j <= n - 32; j += 32) {
    tile1x32(a, step, k, b, panel, c + (j << 2), lo, hi, add)
    b += panel << 2
  }
  for (; j < n; j += 8) {
    tile1x8(a, step, 1, 0, 1, 0, k, b, c + (j << 2), min(8, n - j), lo, hi, add)
    b += panel
  }
}

/**
 * The same for kernels that contain a matrix product, with distances in bytes: `stride` from one row of A to the next, whose elements lie side
 * by side; or with `beside` from one element along k to the next, where the rows lie side by side.
 */
// @ts-ignore: decorator
@inline
export function gemm(
  a: usize, b: usize, c: usize, m: i32, n: i32, k: i32, stride: usize, cBytes: usize, lo: f32, hi: f32, add: bool, beside: bool,
): void {
  const rowBytes: usize = beside ? 4 : stride
  const step: usize = beside ? stride : 4
  const six = sixes(m)
  for (let j = 0; j < n; j += 8) {
    const width = min(8, n - j)
    let i = 0
    let p = a
    let y = c + (j << 2)
    if (ASC_FEATURE_RELAXED_SIMD) {
      for (; i < six; i += 6) {
        const p2 = p + 2 * rowBytes
        const p4 = p2 + 2 * rowBytes
        const y2 = y + 2 * cBytes
        const y4 = y2 + 2 * cBytes
        tile6x8(
          p, p + rowBytes, p2, p2 + rowBytes, p4, p4 + rowBytes, step, 1, 0, 1, 0, k, b,
          y, y + cBytes, y2, y2 + cBytes, y4, y4 + cBytes, width, lo, hi, add, beside,
        )
        p = p4 + 2 * rowBytes
        y = y4 + 2 * cBytes
      }
    }
    // One or no row left over after the tiles: the narrow tile; two or three: a tile with aliased rows. Without vectors a tile of four
    // rows is four narrow ones: one loop of them is less code.
    if (ASC_FEATURE_SIMD) {
      for (; i + 1 < m; i += 4) {
        const left = m - i
        const p2 = left > 2 ? p + 2 * rowBytes : p + rowBytes
        const y2 = left > 2 ? y + 2 * cBytes : y + cBytes
        const p3 = left > 3 ? p + 3 * rowBytes : p2
        const y3 = left > 3 ? y + 3 * cBytes : y2
        tile4x8(p, p + rowBytes, p2, p3, step, 1, 0, 1, 0, k, b, y, y + cBytes, y2, y3, width, lo, hi, add, beside)
        p += 4 * rowBytes
        y += 4 * cBytes
      }
    }
    for (; i < m; i++) {
      tile1x8(p, step, 1, 0, 1, 0, k, b, y, width, lo, hi, add)
      p += rowBytes
      y += cBytes
    }
    b += (k + 1) << 5
  }
}
