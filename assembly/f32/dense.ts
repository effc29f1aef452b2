// Dense layers on weights as they lie, for modules: no packed copy, little code, and a step on one sample that needs no gradient in memory.
// Each sum runs in the order of gemm.ts, so that the bits are those of packed weights.

import { add, mul, read, splat, sub, write } from './lanes'
import { clamp1, clamp4, madd } from './tile'

/**
 * y = clamp(x w^T + bias, lo, hi).
 *
 * x     [batch][k]
 * w     [n][k]
 * bias  [n], or 0 (the null address): no bias
 * y     [batch][n]
 */
export function dense_f32(x: usize, w: usize, bias: usize, y: usize, batch: i32, n: i32, k: i32, lo: f32, hi: f32): void {
  const row = k << 2
  for (let r = 0; r < batch; r++) {
    let p = w
    let b = bias
    let o = 0
    if (ASC_FEATURE_SIMD) {
      for (; o + 4 <= n; o += 4) {
        let v = b ? v128.load(b) : f32x4.splat(0)
        let q = x
        const end = x + row
        // Four rows of four weights, turned: each vector then has one weight of each row.
        for (; q + 16 <= end; q += 16, p += 16) {
          const r0 = v128.load(p)
          const r1 = v128.load(p + row)
          const r2 = v128.load(p + 2 * row)
          const r3 = v128.load(p + 3 * row)
          const s0 = v128.shuffle<f32>(r0, r1, 0, 4, 1, 5)
          const s1 = v128.shuffle<f32>(r2, r3, 0, 4, 1, 5)
          const s2 = v128.shuffle<f32>(r0, r1, 2, 6, 3, 7)
          const s3 = v128.shuffle<f32>(r2, r3, 2, 6, 3, 7)
          v = madd(v128.load32_splat(q), v128.shuffle<f64>(s0, s1, 0, 2), v)
          v = madd(v128.load32_splat(q, 4), v128.shuffle<f64>(s0, s1, 1, 3), v)
          v = madd(v128.load32_splat(q, 8), v128.shuffle<f64>(s2, s3, 0, 2), v)
          v = madd(v128.load32_splat(q, 12), v128.shuffle<f64>(s2, s3, 1, 3), v)
        }
        for (; q < end; q += 4, p += 4) {
          let u = v128.load32_splat(p)
          u = f32x4.replace_lane(u, 1, load<f32>(p + row))
          u = f32x4.replace_lane(u, 2, load<f32>(p + 2 * row))
          u = f32x4.replace_lane(u, 3, load<f32>(p + 3 * row))
          v = madd(v128.load32_splat(q), u, v)
        }
        v128.store(y, clamp4(v, f32x4.splat(lo), f32x4.splat(hi)))
        p += 3 * row
        y += 16
        if (b) b += 16
      }
    }
    for (; o < n; o++) {
      let v: f32 = 0
      if (b) {
        v = load<f32>(b)
        b += 4
      }
      for (let q = x, end = x + row; q < end; q += 4, p += 4) v += load<f32>(q) * load<f32>(p)
      store<f32>(y, clamp1(v, lo, hi))
      y += 4
    }
    x += row
  }
}

// @ts-ignore: decorator
@inline
function dxStep<T>(dy: usize, w: usize, dx: usize, n: i32, row: usize, more: i32): void {
  let v = splat<T>(0)
  for (let o = 0; o < n; o++) {
    if (isVector<T>()) v = madd(v128.load32_splat(dy), v128.load(w), v) as T
    else v = add<T>(v, mul<T>(read<T>(dy), read<T>(w)))
    dy += 4
    w += row
  }
  write<T>(dx, more ? add<T>(read<T>(dx), v) : v)
}

/** dx = dy w, or with `more` 1 dx += the same. dy [batch][n], w [n][k], dx [batch][k]. */
export function dense_f32_dx(dy: usize, w: usize, dx: usize, batch: i32, n: i32, k: i32, more: i32): void {
  const row = k << 2
  for (let r = 0; r < batch; r++) {
    let p = w
    const end = w + row
    if (ASC_FEATURE_SIMD) for (; p + 16 <= end; p += 16, dx += 16) dxStep<v128>(dy, p, dx, n, row, more)
    for (; p < end; p += 4, dx += 4) dxStep<f32>(dy, p, dx, n, row, more)
    dy += n << 2
  }
}

// @ts-ignore: decorator
@inline
function dwStep<T>(x: usize, dy: usize, dw: usize, batch: i32, row: usize, dyRow: usize, more: i32): void {
  let v = splat<T>(0)
  for (let r = 0; r < batch; r++) {
    if (isVector<T>()) v = madd(v128.load32_splat(dy), v128.load(x), v) as T
    else v = add<T>(v, mul<T>(read<T>(dy), read<T>(x)))
    dy += dyRow
    x += row
  }
  write<T>(dw, more ? add<T>(read<T>(dw), v) : v)
}

/** dw = dy^T x, or with `more` 1 dw += the same. x [batch][k], dy [batch][n], dw [n][k]. */
export function dense_f32_dw(x: usize, dy: usize, dw: usize, batch: i32, n: i32, k: i32, more: i32): void {
  const row = k << 2
  for (let o = 0; o < n; o++) {
    let p = x
    const end = x + row
    if (ASC_FEATURE_SIMD) for (; p + 16 <= end; p += 16, dw += 16) dwStep<v128>(p, dy, dw, batch, row, n << 2, more)
    for (; p < end; p += 4, dw += 4) dwStep<f32>(p, dy, dw, batch, row, n << 2, more)
    dy += 4
  }
}

// @ts-ignore: decorator
@inline
function descend<T>(w: usize, v: usize, g: T, lr: f32, momentum: f32): void {
  let step = g
  if (v) {
    step = add<T>(mul<T>(splat<T>(momentum), read<T>(v)), g)
    write<T>(v, step)
  }
  write<T>(w, sub<T>(read<T>(w), mul<T>(splat<T>(lr), step)))
}

/**
 * A step of stochastic gradient descent on one sample, whose gradient is an outer product and never stored: g = dy^T x, and as sgd_f32 v =
 * momentum v + g, w -= lr v; without momentum, v 0 (the null address), w -= lr g.
 *
 * x   [k], or 0: ones, k of them (k = 1: the step of a bias)
 * dy  [n]
 * w, v [n][k]
 */
export function dense_f32_sgd(x: usize, dy: usize, w: usize, v: usize, n: i32, k: i32, lr: f32, momentum: f32): void {
  for (const last = dy + (n << 2); dy < last; dy += 4) {
    const g = load<f32>(dy)
    const end = w + (k << 2)
    let p = x
    if (ASC_FEATURE_SIMD) {
      for (; w + 16 <= end; w += 16) {
        descend<v128>(w, v, x ? f32x4.mul(f32x4.splat(g), v128.load(p)) : f32x4.splat(g), lr, momentum)
        p += 16
        if (v) v += 16
      }
    }
    for (; w < end; w += 4) {
      descend<f32>(w, v, x ? g * load<f32>(p) : g, lr, momentum)
      p += 4
      if (v) v += 4
    }
  }
}
