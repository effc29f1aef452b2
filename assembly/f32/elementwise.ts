// Kernels that go over n elements once, and sums of rows. Their vectors end in a scalar tail.

import { clamp1, clamp4 } from './tile'

/** y = value. */
export function fill_f32(y: usize, n: i32, value: f32): void {
  if (value == 0) {
    memory.fill(y, 0, n << 2)
    return
  }
  for (const end = y + (n << 2); y < end; y += 4) store<f32>(y, value)
}

/** y += x, or when `add` is 0 y = x. */
export function accumulate_f32(x: usize, y: usize, n: i32, add: i32): void {
  if (!add) {
    memory.copy(y, x, n << 2)
    return
  }
  const end = x + (n << 2)
  if (ASC_FEATURE_SIMD) {
    for (; x + 16 <= end; x += 16, y += 16) v128.store(y, f32x4.add(v128.load(y), v128.load(x)))
  }
  for (; x < end; x += 4, y += 4) store<f32>(y, load<f32>(y) + load<f32>(x))
}

/** y = clamp(a + b, lo, hi). */
export function add_f32(a: usize, b: usize, y: usize, n: i32, lo: f32, hi: f32): void {
  const end = a + (n << 2)
  if (ASC_FEATURE_SIMD) {
    const l = f32x4.splat(lo)
    const h = f32x4.splat(hi)
    for (; a + 16 <= end; a += 16, b += 16, y += 16) v128.store(y, clamp4(f32x4.add(v128.load(a), v128.load(b)), l, h))
  }
  for (; a < end; a += 4, b += 4, y += 4) store<f32>(y, clamp1(load<f32>(a) + load<f32>(b), lo, hi))
}

/** y = a - b. y may be a. */
export function sub_f32(a: usize, b: usize, y: usize, n: i32): void {
  const end = a + (n << 2)
  if (ASC_FEATURE_SIMD) {
    for (; a + 16 <= end; a += 16, b += 16, y += 16) v128.store(y, f32x4.sub(v128.load(a), v128.load(b)))
  }
  for (; a < end; a += 4, b += 4, y += 4) store<f32>(y, load<f32>(a) - load<f32>(b))
}

/** y = a * b. */
export function mul_f32(a: usize, b: usize, y: usize, n: i32): void {
  const end = a + (n << 2)
  if (ASC_FEATURE_SIMD) {
    for (; a + 16 <= end; a += 16, b += 16, y += 16) v128.store(y, f32x4.mul(v128.load(a), v128.load(b)))
  }
  for (; a < end; a += 4, b += 4, y += 4) store<f32>(y, load<f32>(a) * load<f32>(b))
}

/** da += dy * b; for the other factor give a as b. */
export function mul_f32_dx(b: usize, dy: usize, da: usize, n: i32): void {
  const end = b + (n << 2)
  if (ASC_FEATURE_SIMD) {
    for (; b + 16 <= end; b += 16, dy += 16, da += 16)
      v128.store(da, f32x4.add(v128.load(da), f32x4.mul(v128.load(dy), v128.load(b))))
  }
  for (; b < end; b += 4, dy += 4, da += 4) store<f32>(da, load<f32>(da) + load<f32>(dy) * load<f32>(b))
}

/** y = a / b. */
export function div_f32(a: usize, b: usize, y: usize, n: i32): void {
  const end = a + (n << 2)
  if (ASC_FEATURE_SIMD) {
    for (; a + 16 <= end; a += 16, b += 16, y += 16) v128.store(y, f32x4.div(v128.load(a), v128.load(b)))
  }
  for (; a < end; a += 4, b += 4, y += 4) store<f32>(y, load<f32>(a) / load<f32>(b))
}

/** da += dy / b. */
export function div_f32_da(b: usize, dy: usize, da: usize, n: i32): void {
  const end = b + (n << 2)
  if (ASC_FEATURE_SIMD) {
    for (; b + 16 <= end; b += 16, dy += 16, da += 16)
      v128.store(da, f32x4.add(v128.load(da), f32x4.div(v128.load(dy), v128.load(b))))
  }
  for (; b < end; b += 4, dy += 4, da += 4) store<f32>(da, load<f32>(da) + load<f32>(dy) / load<f32>(b))
}

/** db -= dy a / b^2, from y = a / b. */
export function div_f32_db(b: usize, y: usize, dy: usize, db: usize, n: i32): void {
  const end = b + (n << 2)
  if (ASC_FEATURE_SIMD) {
    for (; b + 16 <= end; b += 16, y += 16, dy += 16, db += 16) {
      const slope = f32x4.div(f32x4.mul(v128.load(dy), v128.load(y)), v128.load(b))
      v128.store(db, f32x4.sub(v128.load(db), slope))
    }
  }
  for (; b < end; b += 4, y += 4, dy += 4, db += 4) {
    const slope = (load<f32>(dy) * load<f32>(y)) / load<f32>(b)
    store<f32>(db, load<f32>(db) - slope)
  }
}

/** y = x rounded to an integer; mode 0: the nearest, halves to the even one, 1: down, 2: up, 3: towards 0. y may be x. */
export function round_f32(x: usize, y: usize, n: i32, mode: i32): void {
  const end = x + (n << 2)
  if (ASC_FEATURE_SIMD) {
    for (; x + 16 <= end; x += 16, y += 16) {
      const v = v128.load(x)
      v128.store(y, mode == 0 ? f32x4.nearest(v) : mode == 1 ? f32x4.floor(v) : mode == 2 ? f32x4.ceil(v) : f32x4.trunc(v))
    }
  }
  for (; x < end; x += 4, y += 4) {
    const v = load<f32>(x)
    store<f32>(y, mode == 0 ? nearest<f32>(v) : mode == 1 ? floor<f32>(v) : mode == 2 ? ceil<f32>(v) : trunc<f32>(v))
  }
}

/** y = clamp(x, lo, hi): relu is [0, Infinity], relu6 [0, 6]. y may be x. */
export function clamp_f32(x: usize, y: usize, n: i32, lo: f32, hi: f32): void {
  const end = x + (n << 2)
  if (ASC_FEATURE_SIMD) {
    const l = f32x4.splat(lo)
    const h = f32x4.splat(hi)
    for (; x + 16 <= end; x += 16, y += 16) v128.store(y, clamp4(v128.load(x), l, h))
  }
  for (; x < end; x += 4, y += 4) store<f32>(y, clamp1(load<f32>(x), lo, hi))
}

/** dx += dy where the clamped value y is strictly inside (lo, hi): at a kink the gradient is 0, as in PyTorch. */
export function clamp_f32_dx(y: usize, dy: usize, dx: usize, n: i32, lo: f32, hi: f32): void {
  const end = y + (n << 2)
  if (ASC_FEATURE_SIMD) {
    const l = f32x4.splat(lo)
    const h = f32x4.splat(hi)
    for (; y + 16 <= end; y += 16, dy += 16, dx += 16) {
      const v = v128.load(y)
      const live = v128.and(f32x4.gt(v, l), f32x4.lt(v, h))
      v128.store(dx, f32x4.add(v128.load(dx), v128.and(v128.load(dy), live)))
    }
  }
  for (; y < end; y += 4, dy += 4, dx += 4) {
    const v = load<f32>(y)
    if (v > lo && v < hi) store<f32>(dx, load<f32>(dx) + load<f32>(dy))
  }
}

/** dy = 0 where y is not strictly inside (lo, hi): the gradient of a clamp fused into the kernel that made y, in place. */
export function clamp_f32_mask(y: usize, dy: usize, n: i32, lo: f32, hi: f32): void {
  const end = y + (n << 2)
  if (ASC_FEATURE_SIMD) {
    const l = f32x4.splat(lo)
    const h = f32x4.splat(hi)
    for (; y + 16 <= end; y += 16, dy += 16) {
      const v = v128.load(y)
      v128.store(dy, v128.and(v128.load(dy), v128.and(f32x4.gt(v, l), f32x4.lt(v, h))))
    }
  }
  for (; y < end; y += 4, dy += 4) {
    const v = load<f32>(y)
    if (!(v > lo && v < hi)) store<f32>(dy, 0)
  }
}

/** y[j] += the sum over rows of x[row][j], j < n: the gradient of a bias. Rows of x are ldx elements apart. */
export function sumRows_f32(x: usize, y: usize, rows: i32, n: i32, ldx: i32): void {
  let j = 0
  if (ASC_FEATURE_SIMD) {
    // A cache line of each row at once.
    for (; j + 16 <= n; j += 16) {
      const to = y + (j << 2)
      let v0 = v128.load(to)
      let v1 = v128.load(to, 16)
      let v2 = v128.load(to, 32)
      let v3 = v128.load(to, 48)
      let p = x + (j << 2)
      for (let i = 0; i < rows; i++) {
        v0 = f32x4.add(v0, v128.load(p))
        v1 = f32x4.add(v1, v128.load(p, 16))
        v2 = f32x4.add(v2, v128.load(p, 32))
        v3 = f32x4.add(v3, v128.load(p, 48))
        p += ldx << 2
      }
      v128.store(to, v0)
      v128.store(to, v1, 16)
      v128.store(to, v2, 32)
      v128.store(to, v3, 48)
    }
    for (; j + 4 <= n; j += 4) {
      let v = v128.load(y + (j << 2))
      let p = x + (j << 2)
      for (let i = 0; i < rows; i++) {
        v = f32x4.add(v, v128.load(p))
        p += ldx << 2
      }
      v128.store(y + (j << 2), v)
    }
  }
  for (; j < n; j++) {
    let v = load<f32>(y + (j << 2))
    let p = x + (j << 2)
    for (let i = 0; i < rows; i++) {
      v += load<f32>(p)
      p += ldx << 2
    }
    store<f32>(y + (j << 2), v)
  }
}

/** w = 0 where the mask (one byte an element) is 0: a pruned weight stays pruned. */
export function mask_f32(w: usize, mask: usize, n: i32): void {
  for (let i = 0; i < n; i++) if (!load<u8>(mask + i)) store<f32>(w + (i << 2), 0)
}
