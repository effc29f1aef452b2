// Batch normalization over the last axis: y = (x - mean) / sqrt(variance + epsilon) * gamma + beta, channel by channel, and its gradient.
// A kernel goes over the values once, in blocks of rows that stay in the first-level cache while the channels, four in a vector, go by.
//
// x, y, dy, dx [rows][c]: every position of every sample is a row   gamma, beta, mean, variance, dgamma, dbeta [c]

import { add, div, mul, read, splat, sqrt, sub, whenInside, write } from './lanes'
import { clamp1, clamp4 } from './tile'

/** Rows of a block. Sums are taken block by block: their rounding errors grow with BLOCK / 4 + rows / BLOCK instead of rows. */
// @ts-ignore: decorator
@inline
const BLOCK: i32 = 64

/**
 * The mean and the biased variance of each channel; the running ones move towards them: r += momentum * (statistic - r), with the
 * unbiased variance (PyTorch's rule).
 *
 * The mean and the squared deviations of a block take two passes over it; blocks are merged by the formula of Chan, Golub and LeVeque
 * ("Updating formulae and a pairwise algorithm for computing sample variances", 1979), so a large mean costs no accuracy.
 * rows  at least 2
 * ldx   elements from one row of x to the next: c, or more where all buffers are a range of the channels
 */
export function batchNorm_f32_statistics(
  x: usize, mean: usize, variance: usize, runningMean: usize, runningVariance: usize, rows: i32, c: i32, ldx: i32,
  momentum: f32,
): void {
  for (let done = 0; done < rows; done += BLOCK) {
    const count = min(BLOCK, rows - done)
    let at: usize = 0
    if (ASC_FEATURE_SIMD) {
      for (let j = 4; j <= c; j += 4, at += 16) measure<v128>(x + at, mean + at, variance + at, done, count, ldx << 2)
    }
    for (const end = <usize>(c << 2); at < end; at += 4) measure<f32>(x + at, mean + at, variance + at, done, count, ldx << 2)
    x += (count * ldx) << 2
  }
  for (const end = mean + (c << 2); mean < end; mean += 4) {
    const m = load<f32>(mean)
    const squares = load<f32>(variance)
    store<f32>(variance, squares / <f32>rows)
    store<f32>(runningMean, load<f32>(runningMean) + momentum * (m - load<f32>(runningMean)))
    const unbiased = squares / <f32>(rows - 1)
    store<f32>(runningVariance, load<f32>(runningVariance) + momentum * (unbiased - load<f32>(runningVariance)))
    variance += 4
    runningMean += 4
    runningVariance += 4
  }
}

/** Merges a block of `count` rows into the mean and the sum of squared deviations of the `done` rows before it. */
// @ts-ignore: decorator
@inline
function measure<T>(x: usize, mean: usize, squares: usize, done: i32, count: i32, step: usize): void {
  let s0 = splat<T>(0)
  let s1 = s0
  let s2 = s0
  let s3 = s0
  let p = x
  let i = count
  for (; i >= 4; i -= 4) {
    s0 = add<T>(s0, read<T>(p))
    s1 = add<T>(s1, read<T>(p + step))
    s2 = add<T>(s2, read<T>(p + 2 * step))
    s3 = add<T>(s3, read<T>(p + 3 * step))
    p += 4 * step
  }
  for (; i > 0; i--, p += step) s0 = add<T>(s0, read<T>(p))
  const m = mul<T>(add<T>(add<T>(s0, s1), add<T>(s2, s3)), splat<T>(<f32>1 / <f32>count))
  s0 = s1 = s2 = s3 = splat<T>(0)
  p = x
  for (i = count; i >= 4; i -= 4) {
    const d0 = sub<T>(read<T>(p), m)
    const d1 = sub<T>(read<T>(p + step), m)
    const d2 = sub<T>(read<T>(p + 2 * step), m)
    const d3 = sub<T>(read<T>(p + 3 * step), m)
    s0 = add<T>(s0, mul<T>(d0, d0))
    s1 = add<T>(s1, mul<T>(d1, d1))
    s2 = add<T>(s2, mul<T>(d2, d2))
    s3 = add<T>(s3, mul<T>(d3, d3))
    p += 4 * step
  }
  for (; i > 0; i--, p += step) {
    const d = sub<T>(read<T>(p), m)
    s0 = add<T>(s0, mul<T>(d, d))
  }
  const q = add<T>(add<T>(s0, s1), add<T>(s2, s3))
  if (done == 0) {
    write<T>(mean, m)
    write<T>(squares, q)
  } else {
    const share = <f32>count / <f32>(done + count)
    const d = sub<T>(m, read<T>(mean))
    write<T>(mean, add<T>(read<T>(mean), mul<T>(d, splat<T>(share))))
    write<T>(squares, add<T>(read<T>(squares), add<T>(q, mul<T>(mul<T>(d, d), splat<T>(<f32>done * share)))))
  }
}

/** y = clamp((x - mean) / sqrt(variance + epsilon) * gamma + beta, lo, hi). */
export function batchNorm_f32(
  x: usize, gamma: usize, beta: usize, mean: usize, variance: usize, y: usize, rows: i32, c: i32, epsilon: f32, lo: f32, hi: f32,
): void {
  for (let done = 0; done < rows; done += BLOCK) {
    const count = min(BLOCK, rows - done)
    let at: usize = 0
    if (ASC_FEATURE_SIMD) {
      const l = f32x4.splat(lo)
      const h = f32x4.splat(hi)
      for (let j = 4; j <= c; j += 4, at += 16) {
        const m = v128.load(mean + at)
        const b = v128.load(beta + at)
        const scale = scaleOf<v128>(gamma + at, variance + at, epsilon)
        let p = x + at
        let q = y + at
        for (let i = 0; i < count; i++, p += c << 2, q += c << 2) {
          v128.store(q, clamp4(f32x4.add(f32x4.mul(f32x4.sub(v128.load(p), m), scale), b), l, h))
        }
      }
    }
    for (const end = <usize>(c << 2); at < end; at += 4) {
      const m = load<f32>(mean + at)
      const b = load<f32>(beta + at)
      const scale = scaleOf<f32>(gamma + at, variance + at, epsilon)
      let p = x + at
      let q = y + at
      for (let i = 0; i < count; i++, p += c << 2, q += c << 2) {
        store<f32>(q, clamp1((load<f32>(p) - m) * scale + b, lo, hi))
      }
    }
    x += (count * c) << 2
    y += (count * c) << 2
  }
}

/** gamma / sqrt(variance + epsilon). */
// @ts-ignore: decorator
@inline
function scaleOf<T>(gamma: usize, variance: usize, epsilon: f32): T {
  return div<T>(read<T>(gamma), sqrt<T>(add<T>(read<T>(variance), splat<T>(epsilon))))
}

/**
 * dgamma = sum over rows of dy * (x - mean) / sqrt(variance + epsilon), dbeta = sum over rows of dy: overwritten, not added to. Where y, which
 * is computed again from x, was clamped, dy counts as 0.
 *
 * ldx  elements from one row of x and of dy to the next, as above
 */
export function batchNorm_f32_sums(
  x: usize, gamma: usize, beta: usize, mean: usize, variance: usize, dy: usize, dgamma: usize, dbeta: usize,
  rows: i32, c: i32, ldx: i32, epsilon: f32, lo: f32, hi: f32,
): void {
  memory.fill(dgamma, 0, c << 2)
  memory.fill(dbeta, 0, c << 2)
  const free = lo == -Infinity && hi == Infinity
  for (let done = 0; done < rows; done += BLOCK) {
    const count = min(BLOCK, rows - done)
    let at: usize = 0
    if (ASC_FEATURE_SIMD) {
      for (let j = 4; j <= c; j += 4, at += 16) {
        const scale = scaleOf<v128>(gamma + at, variance + at, epsilon)
        if (free) {
          sum<v128>(x + at, scale, beta + at, mean + at, dy + at, dgamma + at, dbeta + at, count, ldx << 2, lo, hi, true)
        } else sum<v128>(x + at, scale, beta + at, mean + at, dy + at, dgamma + at, dbeta + at, count, ldx << 2, lo, hi, false)
      }
    }
    for (const end = <usize>(c << 2); at < end; at += 4) {
      const scale = scaleOf<f32>(gamma + at, variance + at, epsilon)
      sum<f32>(x + at, scale, beta + at, mean + at, dy + at, dgamma + at, dbeta + at, count, ldx << 2, lo, hi, false)
    }
    x += (count * ldx) << 2
    dy += (count * ldx) << 2
  }
  for (const end = dgamma + (c << 2); dgamma < end; dgamma += 4, variance += 4) {
    store<f32>(dgamma, load<f32>(dgamma) / f32.sqrt(load<f32>(variance) + epsilon))
  }
}

/** dgamma += sum over `count` rows of dy * (x - mean), dbeta += that of dy. */
// @ts-ignore: decorator
@inline
function sum<T>(
  x: usize, scale: T, beta: usize, mean: usize, dy: usize, dgamma: usize, dbeta: usize, count: i32, step: usize,
  lo: f32, hi: f32, free: bool,
): void {
  const m = read<T>(mean)
  const b = read<T>(beta)
  const l = splat<T>(lo)
  const h = splat<T>(hi)
  let s0 = splat<T>(0)
  let s1 = s0
  let t0 = s0
  let t1 = s0
  let i = count
  for (; i >= 2; i -= 2) {
    const d0 = sub<T>(read<T>(x), m)
    const d1 = sub<T>(read<T>(x + step), m)
    const g0 = alive<T>(read<T>(dy), d0, scale, b, l, h, free)
    const g1 = alive<T>(read<T>(dy + step), d1, scale, b, l, h, free)
    s0 = add<T>(s0, g0)
    s1 = add<T>(s1, g1)
    t0 = add<T>(t0, mul<T>(g0, d0))
    t1 = add<T>(t1, mul<T>(g1, d1))
    x += 2 * step
    dy += 2 * step
  }
  if (i > 0) {
    const d = sub<T>(read<T>(x), m)
    const g = alive<T>(read<T>(dy), d, scale, b, l, h, free)
    s0 = add<T>(s0, g)
    t0 = add<T>(t0, mul<T>(g, d))
  }
  write<T>(dgamma, add<T>(read<T>(dgamma), add<T>(t0, t1)))
  write<T>(dbeta, add<T>(read<T>(dbeta), add<T>(s0, s1)))
}

/** dy where y = d * scale + b is strictly inside (lo, hi), as clamp_f32_dx has it, else 0. `free`: nothing is clamped. */
// @ts-ignore: decorator
@inline
function alive<T>(dy: T, d: T, scale: T, b: T, lo: T, hi: T, free: bool): T {
  return free ? dy : whenInside<T>(add<T>(mul<T>(d, scale), b), lo, hi, dy)
}

/**
 * dx += gamma / sqrt(variance + epsilon) * (dy - share * (dbeta + (x - mean) / sqrt(variance + epsilon) * dgamma)), or when `add` is 0
 * dx = the same. Where y was clamped, dy counts as 0.
 *
 * dgamma, dbeta  of batchNorm_f32_sums
 * share          1 / rows when mean and variance are those of x, 0 when they are given
 */
export function batchNorm_f32_dx(
  x: usize, gamma: usize, beta: usize, mean: usize, variance: usize, dy: usize, dgamma: usize, dbeta: usize, dx: usize,
  rows: i32, c: i32, epsilon: f32, share: f32, lo: f32, hi: f32, add: i32,
): void {
  const free = lo == -Infinity && hi == Infinity
  for (let done = 0; done < rows; done += BLOCK) {
    const count = min(BLOCK, rows - done)
    let at: usize = 0
    if (ASC_FEATURE_SIMD) {
      for (let j = 4; j <= c; j += 4, at += 16) {
        if (free && !add) {
          back<v128>(
            x + at, gamma + at, beta + at, mean + at, variance + at, dy + at, dgamma + at, dbeta + at, dx + at, count, c << 2,
            epsilon, share, lo, hi, true, 0,
          )
        } else {
          back<v128>(
            x + at, gamma + at, beta + at, mean + at, variance + at, dy + at, dgamma + at, dbeta + at, dx + at, count, c << 2,
            epsilon, share, lo, hi, false, add,
          )
        }
      }
    }
    for (const end = <usize>(c << 2); at < end; at += 4) {
      back<f32>(
        x + at, gamma + at, beta + at, mean + at, variance + at, dy + at, dgamma + at, dbeta + at, dx + at, count, c << 2,
        epsilon, share, lo, hi, false, add,
      )
    }
    x += (count * c) << 2
    dy += (count * c) << 2
    dx += (count * c) << 2
  }
}

// @ts-ignore: decorator
@inline
function back<T>(
  x: usize, gamma: usize, beta: usize, mean: usize, variance: usize, dy: usize, dgamma: usize, dbeta: usize, dx: usize,
  count: i32, step: usize, epsilon: f32, share: f32, lo: f32, hi: f32, free: bool, more: i32,
): void {
  const m = read<T>(mean)
  const b = read<T>(beta)
  const l = splat<T>(lo)
  const h = splat<T>(hi)
  const deviation = sqrt<T>(add<T>(read<T>(variance), splat<T>(epsilon)))
  const scale = div<T>(read<T>(gamma), deviation)
  const slope = div<T>(mul<T>(read<T>(dgamma), splat<T>(share)), deviation)
  const offset = mul<T>(read<T>(dbeta), splat<T>(share))
  for (let i = 0; i < count; i++, x += step, dy += step, dx += step) {
    const d = sub<T>(read<T>(x), m)
    const g = alive<T>(read<T>(dy), d, scale, b, l, h, free)
    const v = mul<T>(sub<T>(sub<T>(g, offset), mul<T>(d, slope)), scale)
    write<T>(dx, more ? add<T>(read<T>(dx), v) : v)
  }
}
