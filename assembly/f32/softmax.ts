// Softmax over the last axis, its logarithm, and softmax cross entropy from logits (the loss that a classifier is trained with). The
// largest logit is subtracted first, so no exponent overflows.

import { exp_f32, log_f32 } from './math'

// @ts-ignore: decorator
@inline
export function largest(x: usize, n: i32): f32 {
  let top = load<f32>(x)
  for (let j = 1; j < n; j++) {
    const v = load<f32>(x + (j << 2))
    top = v > top || v != v ? v : top
  }
  return top
}

/** Sum of e^(x - top) over a row. */
// @ts-ignore: decorator
@inline
export function expSum(x: usize, n: i32, top: f32): f32 {
  let sum: f32 = 0
  for (let j = 0; j < n; j++) sum += exp_f32(load<f32>(x + (j << 2)) - top)
  return sum
}

/** ln of that: log(softmax(x))[j] is x[j] - top - logSum. */
// @ts-ignore: decorator
@inline
export function logSum(x: usize, n: i32, top: f32): f32 {
  return log_f32(expSum(x, n, top))
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
 * loss[0] = sum of weight * loss of the row / mass: the sum of the weights (0 unless that is above 0), or 1 with `sum`. The loss of a row is
 * (1 - smoothing) * -ln p[label] + smoothing * mean of -ln p, with p = softmax(x). A row whose label is no class has weight 0.
 *
 * x [rows][n] logits, labels i32 [rows], weights [rows]
 */
export function crossEntropy_f32(
  x: usize, labels: usize, weights: usize, loss: usize, rows: i32, n: i32, smoothing: f32, sum: i32,
): void {
  let total: f32 = 0
  let mass: f32 = 0
  for (let i = 0; i < rows; i++) {
    const label = load<i32>(labels + (i << 2))
    const weight = weightOf(weights + (i << 2), label, n)
    if (weight != 0) {
      const top = largest(x, n)
      const log = logSum(x, n, top)
      let value = log + (top - load<f32>(x + (label << 2)))
      if (smoothing != 0) {
        let all: f32 = 0
        for (let j = 0; j < n; j++) all += log + (top - load<f32>(x + (j << 2)))
        value = (<f32>1 - smoothing) * value + smoothing * (all / <f32>n)
      }
      total += weight * value
      mass += weight
    }
    x += n << 2
  }
  store<f32>(loss, reduced(total, mass, sum))
}

/** dx += dloss[0] * weight / mass * (softmax(x) - (1 - smoothing) * onehot(label) - smoothing / n). */
export function crossEntropy_f32_dx(
  x: usize, labels: usize, weights: usize, dloss: usize, dx: usize, rows: i32, n: i32, smoothing: f32, sum: i32,
): void {
  let mass: f32 = sum ? 1 : 0
  if (!sum) for (let i = 0; i < rows; i++) mass += weightOf(weights + (i << 2), load<i32>(labels + (i << 2)), n)
  if (!(mass > 0)) return
  const on = <f32>1 - smoothing
  const rest = smoothing / <f32>n
  for (let i = 0; i < rows; i++) {
    const label = load<i32>(labels + (i << 2))
    const weight = weightOf(weights + (i << 2), label, n)
    if (weight != 0) {
      const scale = (load<f32>(dloss) * weight) / mass
      const top = largest(x, n)
      const exps = expSum(x, n, top)
      for (let j = 0; j < n; j++) {
        const at = <usize>(j << 2)
        const p = exp_f32(load<f32>(x + at) - top) / exps
        store<f32>(dx + at, load<f32>(dx + at) + scale * (p - (j == label ? on : <f32>0) - rest))
      }
    }
    x += n << 2
    dx += n << 2
  }
}

/** What a loss makes of the sum of its rows: their mean, or with `sum` the sum itself. */
// @ts-ignore: decorator
@inline
export function reduced(total: f32, mass: f32, sum: i32): f32 {
  return sum ? total : mass > 0 ? total / mass : 0
}

/** The weight of a row, 0 if its label is no class: -1 is the usual mark of "unknown", and no label reads outside of the row. */
// @ts-ignore: decorator
@inline
function weightOf(weight: usize, label: i32, n: i32): f32 {
  return <u32>label < <u32>n ? load<f32>(weight) : 0
}
