// Softmax over the last axis, its logarithm, and softmax cross entropy from logits (the loss that a classifier is trained with). The
// largest logit is subtracted first, so no exponent overflows.

import { exp_f32, log_f32 } from './math'

// @ts-ignore: decorator
@inline
function largest(x: usize, n: i32): f32 {
  let top = load<f32>(x)
  for (let j = 1; j < n; j++) {
    const v = load<f32>(x + (j << 2))
    top = v > top || v != v ? v : top
  }
  return top
}

/** y = softmax(x), row by row. x, y [rows][n]; y may be x. */
export function softmax_f32(x: usize, y: usize, rows: i32, n: i32): void {
  for (let i = 0; i < rows; i++) {
    const top = largest(x, n)
    let sum: f32 = 0
    for (let j = 0; j < n; j++) {
      const e = exp_f32(load<f32>(x + (j << 2)) - top)
      store<f32>(y + (j << 2), e)
      sum += e
    }
    const scale = <f32>1 / sum
    for (let j = 0; j < n; j++) store<f32>(y + (j << 2), load<f32>(y + (j << 2)) * scale)
    x += n << 2
    y += n << 2
  }
}

/** dx += y * (dy - sum(y * dy)), row by row. */
export function softmax_f32_dx(y: usize, dy: usize, dx: usize, rows: i32, n: i32): void {
  for (let i = 0; i < rows; i++) {
    let dot: f32 = 0
    for (let j = 0; j < n; j++) dot += load<f32>(y + (j << 2)) * load<f32>(dy + (j << 2))
    for (let j = 0; j < n; j++) {
      const at = <usize>(j << 2)
      store<f32>(dx + at, load<f32>(dx + at) + load<f32>(y + at) * (load<f32>(dy + at) - dot))
    }
    y += n << 2
    dy += n << 2
    dx += n << 2
  }
}

/** y = ln softmax(x) = x - top - ln(sum of e^(x - top)), row by row. x, y [rows][n]; y may be x. */
export function logSoftmax_f32(x: usize, y: usize, rows: i32, n: i32): void {
  for (let i = 0; i < rows; i++) {
    const top = largest(x, n)
    let sum: f32 = 0
    for (let j = 0; j < n; j++) sum += exp_f32(load<f32>(x + (j << 2)) - top)
    const mass = log_f32(sum)
    for (let j = 0; j < n; j++) store<f32>(y + (j << 2), load<f32>(x + (j << 2)) - top - mass)
    x += n << 2
    y += n << 2
  }
}

/** dx += dy - e^y * sum(dy), row by row. */
export function logSoftmax_f32_dx(y: usize, dy: usize, dx: usize, rows: i32, n: i32): void {
  for (let i = 0; i < rows; i++) {
    let sum: f32 = 0
    for (let j = 0; j < n; j++) sum += load<f32>(dy + (j << 2))
    for (let j = 0; j < n; j++) {
      const at = <usize>(j << 2)
      store<f32>(dx + at, load<f32>(dx + at) + load<f32>(dy + at) - exp_f32(load<f32>(y + at)) * sum)
    }
    y += n << 2
    dy += n << 2
    dx += n << 2
  }
}

/**
 * loss[0] = sum of weight * -ln softmax(x)[label] over the rows / sum of the weights (0 when they are all 0).
 *
 * x [rows][n] logits, labels i32 [rows] in 0..n-1, weights [rows]
 */
export function crossEntropy_f32(x: usize, labels: usize, weights: usize, loss: usize, rows: i32, n: i32): void {
  let total: f32 = 0
  let mass: f32 = 0
  for (let i = 0; i < rows; i++) {
    const weight = load<f32>(weights + (i << 2))
    if (weight != 0) {
      const top = largest(x, n)
      let sum: f32 = 0
      for (let j = 0; j < n; j++) sum += exp_f32(load<f32>(x + (j << 2)) - top)
      total += weight * (log_f32(sum) + top - load<f32>(x + (load<i32>(labels + (i << 2)) << 2)))
      mass += weight
    }
    x += n << 2
  }
  store<f32>(loss, mass > 0 ? total / mass : 0)
}

/** dx += dloss[0] * weight / (sum of the weights) * (softmax(x) - onehot(label)). */
export function crossEntropy_f32_dx(
  x: usize, labels: usize, weights: usize, dloss: usize, dx: usize, rows: i32, n: i32,
): void {
  let mass: f32 = 0
  for (let i = 0; i < rows; i++) mass += load<f32>(weights + (i << 2))
  for (let i = 0; i < rows; i++) {
    const weight = load<f32>(weights + (i << 2))
    if (weight != 0) {
      const scale = (load<f32>(dloss) * weight) / mass
      const top = largest(x, n)
      let sum: f32 = 0
      for (let j = 0; j < n; j++) sum += exp_f32(load<f32>(x + (j << 2)) - top)
      const label = load<i32>(labels + (i << 2))
      for (let j = 0; j < n; j++) {
        const at = <usize>(j << 2)
        const p = exp_f32(load<f32>(x + at) - top) / sum
        store<f32>(dx + at, load<f32>(dx + at) + scale * (p - (j == label ? <f32>1 : <f32>0)))
      }
    }
    x += n << 2
    dx += n << 2
  }
}
