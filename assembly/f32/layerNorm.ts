// Layer normalization: y = (x - mean) / sqrt(variance + epsilon) * gamma + beta, each row by its own mean and biased variance, and its
// gradient. A sum over a row is taken in four partial sums, element i in sum i % 4: the lanes of a vector.
//
// x, y, dy, dx [rows][n]   gamma, beta, dgamma [n]   statistics [rows][2]: mean and 1 / sqrt(variance + epsilon) of each row

/** y = normalized x * gamma + beta. `statistics` is for the gradient. The variance is taken in a second pass, from the mean of the first. */
export function layerNorm_f32(
  x: usize, gamma: usize, beta: usize, y: usize, statistics: usize, rows: i32, n: i32, epsilon: f32,
): void {
  const rowBytes = <usize>(n << 2)
  for (let i = 0; i < rows; i++) {
    const mean = total(x, n, 0, false) / <f32>n
    const rstd = <f32>1 / f32.sqrt(total(x, n, mean, true) / <f32>n + epsilon)
    store<f32>(statistics, mean)
    store<f32>(statistics, rstd, 4)
    let at: usize = 0
    if (ASC_FEATURE_SIMD) {
      const m = f32x4.splat(mean)
      const r = f32x4.splat(rstd)
      for (; at + 16 <= rowBytes; at += 16) {
        const v = f32x4.mul(f32x4.sub(v128.load(x + at), m), r)
        v128.store(y + at, f32x4.add(f32x4.mul(v, v128.load(gamma + at)), v128.load(beta + at)))
      }
    }
    for (; at < rowBytes; at += 4) {
      store<f32>(y + at, (load<f32>(x + at) - mean) * rstd * load<f32>(gamma + at) + load<f32>(beta + at))
    }
    x += rowBytes
    y += rowBytes
    statistics += 8
  }
}

/** The sum of x - shift over n elements, or of its square. */
// @ts-ignore: decorator
@inline
function total(x: usize, n: i32, shift: f32, square: bool): f32 {
  let s0: f32 = 0
  let s1: f32 = 0
  let s2: f32 = 0
  let s3: f32 = 0
  let i = n
  if (ASC_FEATURE_SIMD) {
    let s = f32x4.splat(0)
    const m = f32x4.splat(shift)
    for (; i >= 4; i -= 4, x += 16) {
      const v = f32x4.sub(v128.load(x), m)
      s = f32x4.add(s, square ? f32x4.mul(v, v) : v)
    }
    s0 = f32x4.extract_lane(s, 0)
    s1 = f32x4.extract_lane(s, 1)
    s2 = f32x4.extract_lane(s, 2)
    s3 = f32x4.extract_lane(s, 3)
  } else {
    for (; i >= 4; i -= 4, x += 16) {
      const v0 = load<f32>(x) - shift
      const v1 = load<f32>(x, 4) - shift
      const v2 = load<f32>(x, 8) - shift
      const v3 = load<f32>(x, 12) - shift
      s0 += square ? v0 * v0 : v0
      s1 += square ? v1 * v1 : v1
      s2 += square ? v2 * v2 : v2
      s3 += square ? v3 * v3 : v3
    }
  }
  for (; i > 0; i--, x += 4) {
    const v = load<f32>(x) - shift
    s0 += square ? v * v : v
  }
  return s0 + s1 + (s2 + s3)
}

/** dx += (g - mean(g) - h * mean(g * h)) / sqrt(variance + epsilon), row by row, with g = dy * gamma and h the normalized x. */
export function layerNorm_f32_dx(
  x: usize, gamma: usize, statistics: usize, dy: usize, dx: usize, rows: i32, n: i32,
): void {
  const rowBytes = <usize>(n << 2)
  for (let i = 0; i < rows; i++) {
    const mean = load<f32>(statistics)
    const rstd = load<f32>(statistics, 4)
    let s0: f32 = 0
    let s1: f32 = 0
    let s2: f32 = 0
    let s3: f32 = 0
    let t0: f32 = 0
    let t1: f32 = 0
    let t2: f32 = 0
    let t3: f32 = 0
    let at: usize = 0
    if (ASC_FEATURE_SIMD) {
      const m = f32x4.splat(mean)
      let s = f32x4.splat(0)
      let t = s
      for (; at + 16 <= rowBytes; at += 16) {
        const g = f32x4.mul(v128.load(dy + at), v128.load(gamma + at))
        s = f32x4.add(s, g)
        t = f32x4.add(t, f32x4.mul(g, f32x4.sub(v128.load(x + at), m)))
      }
      s0 = f32x4.extract_lane(s, 0)
      s1 = f32x4.extract_lane(s, 1)
      s2 = f32x4.extract_lane(s, 2)
      s3 = f32x4.extract_lane(s, 3)
      t0 = f32x4.extract_lane(t, 0)
      t1 = f32x4.extract_lane(t, 1)
      t2 = f32x4.extract_lane(t, 2)
      t3 = f32x4.extract_lane(t, 3)
    } else {
      for (; at + 16 <= rowBytes; at += 16) {
        const g0 = load<f32>(dy + at) * load<f32>(gamma + at)
        const g1 = load<f32>(dy + at, 4) * load<f32>(gamma + at, 4)
        const g2 = load<f32>(dy + at, 8) * load<f32>(gamma + at, 8)
        const g3 = load<f32>(dy + at, 12) * load<f32>(gamma + at, 12)
        s0 += g0
        s1 += g1
        s2 += g2
        s3 += g3
        t0 += g0 * (load<f32>(x + at) - mean)
        t1 += g1 * (load<f32>(x + at, 4) - mean)
        t2 += g2 * (load<f32>(x + at, 8) - mean)
        t3 += g3 * (load<f32>(x + at, 12) - mean)
      }
    }
    for (; at < rowBytes; at += 4) {
      const g = load<f32>(dy + at) * load<f32>(gamma + at)
      s0 += g
      t0 += g * (load<f32>(x + at) - mean)
    }
    const offset = (s0 + s1 + (s2 + s3)) / <f32>n
    const slope = ((t0 + t1 + (t2 + t3)) * rstd * rstd) / <f32>n
    at = 0
    if (ASC_FEATURE_SIMD) {
      const m = f32x4.splat(mean)
      const r = f32x4.splat(rstd)
      const o = f32x4.splat(offset)
      const p = f32x4.splat(slope)
      for (; at + 16 <= rowBytes; at += 16) {
        const g = f32x4.mul(v128.load(dy + at), v128.load(gamma + at))
        const inner = f32x4.sub(f32x4.sub(g, o), f32x4.mul(f32x4.sub(v128.load(x + at), m), p))
        v128.store(dx + at, f32x4.add(v128.load(dx + at), f32x4.mul(inner, r)))
      }
    }
    for (; at < rowBytes; at += 4) {
      const g = load<f32>(dy + at) * load<f32>(gamma + at)
      const inner = g - offset - (load<f32>(x + at) - mean) * slope
      store<f32>(dx + at, load<f32>(dx + at) + inner * rstd)
    }
    x += rowBytes
    dy += rowBytes
    dx += rowBytes
    statistics += 8
  }
}

/** dgamma[j] += sum over rows of dy * normalized x, j < n; rows of x and dy are ldx elements apart. (dbeta is a sumRows_f32.) */
export function layerNorm_f32_dw(x: usize, statistics: usize, dy: usize, dgamma: usize, rows: i32, n: i32, ldx: i32): void {
  const rowBytes = <usize>(n << 2)
  for (let i = 0; i < rows; i++) {
    const mean = load<f32>(statistics)
    const rstd = load<f32>(statistics, 4)
    let at: usize = 0
    if (ASC_FEATURE_SIMD) {
      const m = f32x4.splat(mean)
      const r = f32x4.splat(rstd)
      for (; at + 16 <= rowBytes; at += 16) {
        const v = f32x4.mul(f32x4.sub(v128.load(x + at), m), r)
        v128.store(dgamma + at, f32x4.add(v128.load(dgamma + at), f32x4.mul(v128.load(dy + at), v)))
      }
    }
    for (; at < rowBytes; at += 4) {
      const v = (load<f32>(x + at) - mean) * rstd
      store<f32>(dgamma + at, load<f32>(dgamma + at) + load<f32>(dy + at) * v)
    }
    x += ldx << 2
    dy += ldx << 2
    statistics += 8
  }
}
