// Losses of one sample with their gradients in the same call: what a module that learns has in place of losses.ts and softmax.ts, whose
// bits they have. A loss that is no number says that the sample is not to be learned from.

import { exp_f32, log_f32 } from './math'
import { largest } from './softmax'

/**
 * loss[0] = -ln p[label], dx = share * (p - onehot(label)), with p = softmax(x). A label that is no class gives a loss of NaN, and dx is
 * then not written.
 *
 * x, dx [n], label i32 [1]
 */
export function crossEntropy_f32_sample(x: usize, label: usize, loss: usize, dx: usize, n: i32, share: f32): void {
  const right = load<i32>(label)
  if (<u32>right >= <u32>n) {
    store<f32>(loss, NaN)
    return
  }
  const top = largest(x, n)
  let sum: f32 = 0
  for (let j = 0; j < n; j++) {
    const e = exp_f32(load<f32>(x + (j << 2)) - top)
    store<f32>(dx + (j << 2), e)
    sum += e
  }
  store<f32>(loss, log_f32(sum) + (top - load<f32>(x + (right << 2))))
  for (let j = 0; j < n; j++) {
    const at = dx + (j << 2)
    store<f32>(at, share * (load<f32>(at) / sum - (j == right ? <f32>1 : <f32>0)))
  }
}

/** loss[0] = the mean of (x - target)^2, dx = share * 2 (x - target) / n. x, target, dx [n]. */
export function meanSquaredError_f32_sample(x: usize, target: usize, loss: usize, dx: usize, n: i32, share: f32): void {
  const scale = share / <f32>n
  let sum: f32 = 0
  for (let j = 0; j < n; j++) {
    const d = load<f32>(x + (j << 2)) - load<f32>(target + (j << 2))
    sum += d * d
    store<f32>(dx + (j << 2), scale * (d + d))
  }
  store<f32>(loss, sum / <f32>n)
}
