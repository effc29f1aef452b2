// What the machine can do: the inner loop of a matrix product with nothing around it, fed from 2 KiB of first-level cache. The bench
// divides by it. (Sums that only feed themselves are slower: they wait for the product as well as for the addition.) Twelve
// sums are more than a fused product needs to be under way all the time, with some to spare for what else delays it; where product and
// addition are apart eight are enough, and fit into registers.

import { madd } from './f32/tile'

/** `n` rounds of 240 vector multiply-adds (1,920 floating-point operations; 2 in the scalar build) on the 512 elements at x; their sum at y. */
export function peak_f32(x: usize, y: usize, n: i32): void {
  if (ASC_FEATURE_SIMD) {
    const c0 = v128.load(x)
    const c1 = v128.load(x, 16)
    let v0 = c0
    let v1 = c1
    let v2 = c0
    let v3 = c1
    let v4 = c0
    let v5 = c1
    let v6 = c0
    let v7 = c1
    let v8 = c0
    let v9 = c1
    let va = c0
    let vb = c1
    for (let i = 0; i < n; i++) {
      let p = x
      for (let q = ASC_FEATURE_RELAXED_SIMD ? 20 : 30; q > 0; q--) {
        const x0 = v128.load(p)
        v0 = madd(x0, c0, v0)
        v1 = madd(x0, c1, v1)
        const x1 = v128.load(p, 16)
        v2 = madd(x1, c0, v2)
        v3 = madd(x1, c1, v3)
        const x2 = v128.load(p, 32)
        v4 = madd(x2, c0, v4)
        v5 = madd(x2, c1, v5)
        const x3 = v128.load(p, 48)
        v6 = madd(x3, c0, v6)
        v7 = madd(x3, c1, v7)
        if (ASC_FEATURE_RELAXED_SIMD) {
          const x4 = v128.load(p, 64)
          v8 = madd(x4, c0, v8)
          v9 = madd(x4, c1, v9)
          const x5 = v128.load(p, 80)
          va = madd(x5, c0, va)
          vb = madd(x5, c1, vb)
        }
        p += ASC_FEATURE_RELAXED_SIMD ? 96 : 64
      }
    }
    if (ASC_FEATURE_RELAXED_SIMD) v0 = f32x4.add(f32x4.add(v0, v8), f32x4.add(v9, f32x4.add(va, vb)))
    v0 = f32x4.add(f32x4.add(f32x4.add(v0, v1), f32x4.add(v2, v3)), f32x4.add(f32x4.add(v4, v5), f32x4.add(v6, v7)))
    v128.store(y, v0)
  } else {
    let v: f32 = 1
    for (let i = 0; i < n; i++) v = v * load<f32>(x) + load<f32>(x, 4)
    store<f32>(y, v)
  }
}

/** The same for int8: `n` rounds of 256 pairwise products of i16 added up in i32 (4,096 operations; 2 in the scalar build), 2 KiB at x. */
export function peak_i8(x: usize, y: usize, n: i32): void {
  if (ASC_FEATURE_SIMD) {
    const c0 = v128.load(x)
    const c1 = v128.load(x, 16)
    let v0 = c0
    let v1 = c1
    let v2 = c0
    let v3 = c1
    let v4 = c0
    let v5 = c1
    let v6 = c0
    let v7 = c1
    for (let i = 0; i < n; i++) {
      let p = x
      for (let q = 0; q < 32; q++) {
        const x0 = v128.load(p)
        v0 = i32x4.add(i32x4.dot_i16x8_s(x0, c0), v0)
        v1 = i32x4.add(i32x4.dot_i16x8_s(x0, c1), v1)
        const x1 = v128.load(p, 16)
        v2 = i32x4.add(i32x4.dot_i16x8_s(x1, c0), v2)
        v3 = i32x4.add(i32x4.dot_i16x8_s(x1, c1), v3)
        const x2 = v128.load(p, 32)
        v4 = i32x4.add(i32x4.dot_i16x8_s(x2, c0), v4)
        v5 = i32x4.add(i32x4.dot_i16x8_s(x2, c1), v5)
        const x3 = v128.load(p, 48)
        v6 = i32x4.add(i32x4.dot_i16x8_s(x3, c0), v6)
        v7 = i32x4.add(i32x4.dot_i16x8_s(x3, c1), v7)
        p += 64
      }
    }
    v0 = i32x4.add(i32x4.add(i32x4.add(v0, v1), i32x4.add(v2, v3)), i32x4.add(i32x4.add(v4, v5), i32x4.add(v6, v7)))
    v128.store(y, v0)
  } else {
    let v = 1
    for (let i = 0; i < n; i++) v += v * load<i16>(x)
    store<i32>(y, v)
  }
}
