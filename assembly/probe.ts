// What the machine can do: multiply-adds on twelve independent vectors that never leave registers. The bench divides by it.

import { madd } from './f32/tile'

/** Runs `n` rounds of 12 vector multiply-adds (96 floating-point operations; 2 in the scalar build) and stores their sum at y. */
export function peak_f32(y: usize, n: i32): void {
  if (ASC_FEATURE_SIMD) {
    const a = f32x4.splat(0.999)
    const b = f32x4.splat(0.001)
    let v0 = f32x4.splat(1)
    let v1 = f32x4.splat(2)
    let v2 = f32x4.splat(3)
    let v3 = f32x4.splat(4)
    let v4 = f32x4.splat(5)
    let v5 = f32x4.splat(6)
    let v6 = f32x4.splat(7)
    let v7 = f32x4.splat(8)
    let v8 = f32x4.splat(9)
    let v9 = f32x4.splat(10)
    let v10 = f32x4.splat(11)
    let v11 = f32x4.splat(12)
    for (let i = 0; i < n; i++) {
      v0 = madd(v0, a, b)
      v1 = madd(v1, a, b)
      v2 = madd(v2, a, b)
      v3 = madd(v3, a, b)
      v4 = madd(v4, a, b)
      v5 = madd(v5, a, b)
      v6 = madd(v6, a, b)
      v7 = madd(v7, a, b)
      v8 = madd(v8, a, b)
      v9 = madd(v9, a, b)
      v10 = madd(v10, a, b)
      v11 = madd(v11, a, b)
    }
    v0 = f32x4.add(f32x4.add(f32x4.add(v0, v1), f32x4.add(v2, v3)), f32x4.add(f32x4.add(v4, v5), f32x4.add(v6, v7)))
    v128.store(y, f32x4.add(v0, f32x4.add(f32x4.add(v8, v9), f32x4.add(v10, v11))))
  } else {
    let v: f32 = 1
    for (let i = 0; i < n; i++) v = v * 0.999 + 0.001
    store<f32>(y, v)
  }
}
