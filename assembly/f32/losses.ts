// Losses beside crossEntropy (softmax.ts), by its rule: loss[0] = sum of weight * loss of the row / mass, and dx += dloss[0] * weight / mass
// * derivative of the row's loss. The mass is the sum of the weights (both are 0 unless that is above 0), or 1 where `sum` is 1. Nothing
// flows into targets and weights.
//
// x, target, dx [rows][n], weights [rows]. The losses that go element by element (their row's loss is the mean of its elements) are one
// pair of loops, compiled for each of them.

import { exp_f32, log1p_f32, log_f32 } from './math'
import { expSum, largest, logSum, reduced } from './softmax'

const SQUARED = 0
const ABSOLUTE = 1
const HUBER = 2
const BINARY = 3
const HINGE = 4
const PROBABILITY = 5

/** ln p for p from 0 on; -100 of what is below the smallest normal number, 2^-126. */
// @ts-ignore: decorator
@inline
function logOf(p: f32): f32 {
  return p < 1.1754943508222875e-38 ? -100 : log_f32(p)
}

/** The loss of one element; `kind` is known when compiling. */
// @ts-ignore: decorator
@inline
function valueOf(kind: i32, x: f32, t: f32, delta: f32): f32 {
  // -t ln s - (1 - t) ln(1 - s) with s = sigmoid(x), written so that nothing overflows or cancels.
  if (kind == BINARY) return max<f32>(x, 0) - x * t + log1p_f32(exp_f32(-abs<f32>(x)))
  if (kind == HINGE) return max<f32>(<f32>1 - t * x, 0)
  if (kind == PROBABILITY) {
    if (!(x >= 0 && x <= 1)) return NaN
    const no = x < 0.5 ? log1p_f32(-x) : logOf(<f32>1 - x)
    return -(t * logOf(x) + (<f32>1 - t) * no)
  }
  const d = x - t
  if (kind == SQUARED) return d * d
  const a = abs<f32>(d)
  if (kind == ABSOLUTE) return a
  return a <= delta ? <f32>0.5 * d * d : delta * (a - <f32>0.5 * delta)
}

/** Its derivative by x; at a kink 0, as in PyTorch. */
// @ts-ignore: decorator
@inline
function slopeOf(kind: i32, x: f32, t: f32, delta: f32): f32 {
  if (kind == BINARY) {
    const e = exp_f32(-abs<f32>(x))
    return (x < 0 ? e : <f32>1) / (<f32>1 + e) - t
  }
  if (kind == HINGE) {
    const margin = <f32>1 - t * x
    // A NaN has to show.
    return margin > 0 ? -t : margin <= 0 ? 0 : margin
  }
  if (kind == PROBABILITY) return x >= 0 && x <= 1 ? (x - t) / max<f32>((<f32>1 - x) * x, 1e-12) : NaN
  const d = x - t
  if (kind == SQUARED) return d + d
  if (kind == ABSOLUTE) return d > 0 ? 1 : d < 0 ? -1 : d
  return max<f32>(min<f32>(d, delta), -delta)
}

// @ts-ignore: decorator
@inline
function forward(kind: i32, x: usize, target: usize, weights: usize, loss: usize, rows: i32, n: i32, delta: f32, sum: i32): void {
  let total: f32 = 0
  let mass: f32 = 0
  for (let i = 0; i < rows; i++) {
    const weight = load<f32>(weights + (i << 2))
    if (weight != 0) {
      let all: f32 = 0
      for (let j = 0; j < n; j++) {
        const at = <usize>(j << 2)
        all += valueOf(kind, load<f32>(x + at), load<f32>(target + at), delta)
      }
      total += weight * (all / <f32>n)
      mass += weight
    }
    x += n << 2
    target += n << 2
  }
  store<f32>(loss, reduced(total, mass, sum))
}

// @ts-ignore: decorator
@inline
function backward(
  kind: i32, x: usize, target: usize, weights: usize, dloss: usize, dx: usize, rows: i32, n: i32, delta: f32, sum: i32,
): void {
  const mass = sum ? <f32>1 : sumOf(weights, rows)
  if (!(mass > 0)) return
  for (let i = 0; i < rows; i++) {
    const weight = load<f32>(weights + (i << 2))
    if (weight != 0) {
      const scale = (load<f32>(dloss) * weight) / mass / <f32>n
      for (let j = 0; j < n; j++) {
        const at = <usize>(j << 2)
        const slope = slopeOf(kind, load<f32>(x + at), load<f32>(target + at), delta)
        store<f32>(dx + at, load<f32>(dx + at) + scale * slope)
      }
    }
    x += n << 2
    target += n << 2
    dx += n << 2
  }
}

// @ts-ignore: decorator
@inline
function sumOf(weights: usize, rows: i32): f32 {
  let mass: f32 = 0
  for (let i = 0; i < rows; i++) mass += load<f32>(weights + (i << 2))
  return mass
}

/** Of an element: (x - target)^2. */
export function meanSquaredError_f32(
  x: usize, target: usize, weights: usize, loss: usize, rows: i32, n: i32, sum: i32,
): void {
  forward(SQUARED, x, target, weights, loss, rows, n, 0, sum)
}

export function meanSquaredError_f32_dx(
  x: usize, target: usize, weights: usize, dloss: usize, dx: usize, rows: i32, n: i32, sum: i32,
): void {
  backward(SQUARED, x, target, weights, dloss, dx, rows, n, 0, sum)
}

/** Of an element: |x - target|. */
export function meanAbsoluteError_f32(
  x: usize, target: usize, weights: usize, loss: usize, rows: i32, n: i32, sum: i32,
): void {
  forward(ABSOLUTE, x, target, weights, loss, rows, n, 0, sum)
}

export function meanAbsoluteError_f32_dx(
  x: usize, target: usize, weights: usize, dloss: usize, dx: usize, rows: i32, n: i32, sum: i32,
): void {
  backward(ABSOLUTE, x, target, weights, dloss, dx, rows, n, 0, sum)
}

/** Of an element, with d = x - target: d^2 / 2 where |d| <= delta, else delta (|d| - delta / 2). */
export function huber_f32(
  x: usize, target: usize, weights: usize, loss: usize, rows: i32, n: i32, delta: f32, sum: i32,
): void {
  forward(HUBER, x, target, weights, loss, rows, n, delta, sum)
}

export function huber_f32_dx(
  x: usize, target: usize, weights: usize, dloss: usize, dx: usize, rows: i32, n: i32, delta: f32, sum: i32,
): void {
  backward(HUBER, x, target, weights, dloss, dx, rows, n, delta, sum)
}

/** Of an element, a logit with a target in [0, 1]: -target ln s - (1 - target) ln(1 - s), s = sigmoid(x). */
export function binaryCrossEntropy_f32(
  x: usize, target: usize, weights: usize, loss: usize, rows: i32, n: i32, sum: i32,
): void {
  forward(BINARY, x, target, weights, loss, rows, n, 0, sum)
}

export function binaryCrossEntropy_f32_dx(
  x: usize, target: usize, weights: usize, dloss: usize, dx: usize, rows: i32, n: i32, sum: i32,
): void {
  backward(BINARY, x, target, weights, dloss, dx, rows, n, 0, sum)
}

/**
 * Of an element, a probability with a target in [0, 1]: -target ln x - (1 - target) ln(1 - x). As in PyTorch logarithms are at least -100,
 * and the derivative's divisor x (1 - x) at least 1e-12. NaN of what is no probability.
 */
export function binaryCrossEntropyOfProbabilities_f32(
  x: usize, target: usize, weights: usize, loss: usize, rows: i32, n: i32, sum: i32,
): void {
  forward(PROBABILITY, x, target, weights, loss, rows, n, 0, sum)
}

export function binaryCrossEntropyOfProbabilities_f32_dx(
  x: usize, target: usize, weights: usize, dloss: usize, dx: usize, rows: i32, n: i32, sum: i32,
): void {
  backward(PROBABILITY, x, target, weights, dloss, dx, rows, n, 0, sum)
}

/** Of an element, whose target is -1 or 1: max(1 - target x, 0). */
export function hinge_f32(
  x: usize, target: usize, weights: usize, loss: usize, rows: i32, n: i32, sum: i32,
): void {
  forward(HINGE, x, target, weights, loss, rows, n, 0, sum)
}

export function hinge_f32_dx(
  x: usize, target: usize, weights: usize, dloss: usize, dx: usize, rows: i32, n: i32, sum: i32,
): void {
  backward(HINGE, x, target, weights, dloss, dx, rows, n, 0, sum)
}

/** Of a row of logits: sum of -s ln softmax(x), where s = (1 - smoothing) * target + smoothing / n. */
export function categoricalCrossEntropy_f32(
  x: usize, target: usize, weights: usize, loss: usize, rows: i32, n: i32, smoothing: f32, sum: i32,
): void {
  const keep = <f32>1 - smoothing
  const rest = smoothing / <f32>n
  let total: f32 = 0
  let mass: f32 = 0
  for (let i = 0; i < rows; i++) {
    const weight = load<f32>(weights + (i << 2))
    if (weight != 0) {
      const top = largest(x, n)
      const log = logSum(x, n, top)
      let value: f32 = 0
      for (let j = 0; j < n; j++) {
        const share = keep * load<f32>(target + (j << 2)) + rest
        if (share != 0) value += share * (log + (top - load<f32>(x + (j << 2))))
      }
      total += weight * value
      mass += weight
    }
    x += n << 2
    target += n << 2
  }
  store<f32>(loss, reduced(total, mass, sum))
}

/** By an element of a row: softmax(x) * (sum of s) - s. It is the gradient of klDivergence_f32, too, without smoothing. */
export function categoricalCrossEntropy_f32_dx(
  x: usize, target: usize, weights: usize, dloss: usize, dx: usize, rows: i32, n: i32, smoothing: f32, sum: i32,
): void {
  const mass = sum ? <f32>1 : sumOf(weights, rows)
  if (!(mass > 0)) return
  const keep = <f32>1 - smoothing
  const rest = smoothing / <f32>n
  for (let i = 0; i < rows; i++) {
    const weight = load<f32>(weights + (i << 2))
    if (weight != 0) {
      const scale = (load<f32>(dloss) * weight) / mass
      const top = largest(x, n)
      const exps = expSum(x, n, top)
      let all: f32 = 0
      for (let j = 0; j < n; j++) all += keep * load<f32>(target + (j << 2)) + rest
      for (let j = 0; j < n; j++) {
        const at = <usize>(j << 2)
        const share = keep * load<f32>(target + at) + rest
        const p = exp_f32(load<f32>(x + at) - top) / exps
        store<f32>(dx + at, load<f32>(dx + at) + scale * (p * all - share))
      }
    }
    x += n << 2
    target += n << 2
    dx += n << 2
  }
}

/** Of a row of logits or of log-probabilities: sum of target * (ln target - ln softmax(x)); a target of 0 adds nothing. */
export function klDivergence_f32(
  x: usize, target: usize, weights: usize, loss: usize, rows: i32, n: i32, sum: i32,
): void {
  let total: f32 = 0
  let mass: f32 = 0
  for (let i = 0; i < rows; i++) {
    const weight = load<f32>(weights + (i << 2))
    if (weight != 0) {
      const top = largest(x, n)
      const log = logSum(x, n, top)
      let value: f32 = 0
      for (let j = 0; j < n; j++) {
        const t = load<f32>(target + (j << 2))
        // Below the smallest normal number, 2^-126, t ln t is nothing.
        if (t >= 1.1754943508222875e-38 || t != t) value += t * (log_f32(t) + log + (top - load<f32>(x + (j << 2))))
      }
      total += weight * value
      mass += weight
    }
    x += n << 2
    target += n << 2
  }
  store<f32>(loss, reduced(total, mass, sum))
}
