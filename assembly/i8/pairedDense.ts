// Fully connected layer in int8 for interpreters, where each instruction costs alike: one multiplication of 64 bits computes two products
// of a sum, and a value of x is laid out once for many rows of weights. The same values as dense_i8. Its weights are u8 with zero point
// 128, for then the bytes of a word are lanes as they are: a mask takes out two.

import { requantizeWide } from './requantize'

/** Bytes 0 and 4 of a word: two lanes of 32 bits. */
// @ts-ignore: decorator
@inline
const PAIR: i64 = 0xff_0000_00ff
/** The same number in both lanes. */
// @ts-ignore: decorator
@inline
const BOTH: i64 = 0x1_0000_0001
/** Each byte's sign. */
// @ts-ignore: decorator
@inline
const SIGNS: i64 = 0x8080_8080_8080_8080
/** Rows that share what is laid out of x: their sums are in scratch. */
// @ts-ignore: decorator
@inline
const ROWS = 32

/** Eight values plus 128, as u8, and the latter four before the others. */
// @ts-ignore: decorator
@inline
function turned(x: usize): i64 {
  return rotl(load<i64>(x), 32) ^ SIGNS
}

/** x[i + 4] and, in the upper lane, x[i], both less zero, of what is turned. */
// @ts-ignore: decorator
@inline
function pair(x: i64, i: i32, zeros: i64): i64 {
  return ((x >>> (8 * i)) & PAIR) - zeros
}

/** a, and in its upper half the eight products of the values in four pairs and of the weights at q; nothing behind those is read. */
// @ts-ignore: decorator
@inline
function fourPairs(a: i64, v0: i64, v1: i64, v2: i64, v3: i64, q: usize): i64 {
  const w = load<i64>(q)
  return a + (w & PAIR) * v0 + ((w >>> 8) & PAIR) * v1 + ((w >>> 16) & PAIR) * v2 + ((w >>> 24) & PAIR) * v3
}

/**
 * y[b][j] = clamp(yZero + scale_j * (bias[j] + sum_i (x[b][i] - xZero) * (w[j][i] - 128))). A pair of values is v = x[i + 4] + x[i] * 2^32,
 * each less xZero, and one of weights u = w[i] + w[i + 4] * 2^32; modulo 2^64 their product is the two products x[i] * w[i] +
 * x[i + 4] * w[i + 4] times 2^32, and below them x[i + 4] * w[i]. The latter's sum over all i stays below 2^31 = 65536 / 2 * 2^16, in either
 * direction: so a sum begins at 2^31, and its upper half is exactly that of the products, modulo 2^32. The 128 times the sum of all
 * values by which the weights are too much is taken off at the end.
 * @param x i8 [batch][k]
 * @param w u8 [n][k], zero point 128
 * @param bias, multiplier, shift i32 [n], as of dense_i8
 * @param y i8 [batch][yStep], of which n are written; overlaps nothing
 * @param scratch i64 [min(n, 32)]
 * @param k at most 65536
 * @param xZero, yZero zero points, in [-128, 127], like lo and hi
 */
export function pairedDense_i8(
  x: usize, w: usize, bias: usize, multiplier: usize, shift: usize, y: usize, scratch: usize,
  batch: i32, n: i32, k: i32, yStep: i32, xZero: i32, yZero: i32, lo: i32, hi: i32,
): void {
  for (let b = 0; b < batch; b++) {
    rows(x, w, bias, multiplier, shift, y, scratch, n, k, xZero, yZero, lo, hi)
    x += k
    y += yStep
  }
}

/** One sample. */
// @ts-ignore: decorator
@inline
function rows(
  x: usize, w: usize, bias: usize, multiplier: usize, shift: usize, y: usize, scratch: usize,
  n: i32, k: i32, xZero: i32, yZero: i32, lo: i32, hi: i32,
): void {
  const toMultiplier = multiplier - bias
  const toShift = shift - bias
  const zeros = <i64>(128 + xZero) * BOTH
  // As few groups of rows as can be, of almost the same number.
  let groups = (n + ROWS - 1) / ROWS
  do {
    const count = (n + groups - 1) / groups
    const end = scratch + (count << 3)
    let a = scratch
    do {
      store<i64>(a, <i64>1 << 31)
      a += 8
    } while (a < end)
    let sum: i64 = 0
    let p = x
    let q = w
    let left = k
    while (left >= 32) {
      const x0 = turned(p)
      const x1 = turned(p + 8)
      const x2 = turned(p + 16)
      const x3 = turned(p + 24)
      const v0 = pair(x0, 0, zeros)
      const v1 = pair(x0, 1, zeros)
      const v2 = pair(x0, 2, zeros)
      const v3 = pair(x0, 3, zeros)
      const v4 = pair(x1, 0, zeros)
      const v5 = pair(x1, 1, zeros)
      const v6 = pair(x1, 2, zeros)
      const v7 = pair(x1, 3, zeros)
      const v8 = pair(x2, 0, zeros)
      const v9 = pair(x2, 1, zeros)
      const v10 = pair(x2, 2, zeros)
      const v11 = pair(x2, 3, zeros)
      const v12 = pair(x3, 0, zeros)
      const v13 = pair(x3, 1, zeros)
      const v14 = pair(x3, 2, zeros)
      const v15 = pair(x3, 3, zeros)
      sum += v0 + v1 + v2 + v3 + v4 + v5 + v6 + v7 + v8 + v9 + v10 + v11 + v12 + v13 + v14 + v15
      let row = q
      let a = scratch
      do {
        let s = load<i64>(a)
        s += (load<i64>(row) & PAIR) * v0
        s += (load<i64>(row, 1) & PAIR) * v1
        s += (load<i64>(row, 2) & PAIR) * v2
        s += (load<i64>(row, 3) & PAIR) * v3
        s += (load<i64>(row, 8) & PAIR) * v4
        s += (load<i64>(row, 9) & PAIR) * v5
        s += (load<i64>(row, 10) & PAIR) * v6
        s += (load<i64>(row, 11) & PAIR) * v7
        s += (load<i64>(row, 16) & PAIR) * v8
        s += (load<i64>(row, 17) & PAIR) * v9
        s += (load<i64>(row, 18) & PAIR) * v10
        s += (load<i64>(row, 19) & PAIR) * v11
        store<i64>(a, fourPairs(s, v12, v13, v14, v15, row + 24))
        row += k
        a += 8
      } while (a < end)
      p += 32
      q += 32
      left -= 32
    }
    while (left >= 8) {
      const x0 = turned(p)
      const v0 = pair(x0, 0, zeros)
      const v1 = pair(x0, 1, zeros)
      const v2 = pair(x0, 2, zeros)
      const v3 = pair(x0, 3, zeros)
      sum += v0 + v1 + v2 + v3
      let row = q
      let a = scratch
      do {
        store<i64>(a, fourPairs(load<i64>(a), v0, v1, v2, v3, row))
        row += k
        a += 8
      } while (a < end)
      p += 8
      q += 8
      left -= 8
    }
    const low = <i32>sum
    const much = (low + <i32>((sum - low) >> 32)) << 7
    a = scratch
    do {
      let s = <i32>(load<i64>(a) >> 32) - much + load<i32>(bias)
      for (let i = 0; i < left; i++) s += (<i32>load<i8>(p + i) - xZero) * (<i32>load<u8>(q + i) - 128)
      store<i8>(y, requantizeWide(s, load<i32>(bias + toMultiplier), load<i32>(bias + toShift), yZero, lo, hi))
      y++
      bias += 4
      q += k
      a += 8
    } while (a < end)
    w += count * k
    n -= count
  } while (--groups)
}
