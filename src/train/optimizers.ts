// Optimizers: which kernel updates a parameter, which arrays it keeps, and the few numbers that change from step to step.

import { DunlinError } from '../graph/error'
import type { Update } from '../plan/build'

export interface Optimizer {
  /** Peak learning rate; a schedule multiplies it. */
  lr: number
  update: Update
  hyperLength: number
  /** What the kernel finds at `hyper` in step `t` (from 1) with learning rate `lr`. */
  hyper(t: number, lr: number): number[]
}

interface Regularization {
  /** L2: weightDecay * w is added to the gradient. */
  weightDecay?: number
  /** L1: l1 * sign(w) is added to the gradient. */
  l1?: number
}

/** Stochastic gradient descent; `momentum` 0..1, with `nesterov` Nesterov's (as torch.optim.SGD). */
export function sgd(options: { lr?: number; momentum?: number; nesterov?: boolean } & Regularization = {}): Optimizer {
  const { lr = 0.1, momentum = 0, nesterov = false, weightDecay = 0, l1 = 0 } = options
  check('sgd', { lr, momentum, weightDecay, l1 }, { momentum })
  if (nesterov && !momentum) throw new DunlinError('sgd: nesterov wants a momentum above 0, such as 0.9.')
  return {
    lr,
    hyperLength: 1,
    hyper: (_, rate) => [rate],
    update: (e, { w, g, n, hyper, state }) =>
      e.call('sgd_f32', w, g, momentum ? state('velocity') : 0, hyper, n, momentum, nesterov ? 1 : 0, weightDecay, l1),
  }
}

/** Adam (Kingma and Ba, 2015), as torch.optim.Adam: weight decay is added to the gradient. */
export function adam(
  options: { lr?: number; beta1?: number; beta2?: number; epsilon?: number } & Regularization = {},
): Optimizer {
  const { lr = 1e-3, beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8, weightDecay = 0, l1 = 0 } = options
  check('adam', { lr, epsilon, weightDecay, l1 }, { beta1, beta2 })
  // The kernel's decay rates are float32; the bias correction is that of the same numbers.
  const [b1, b2] = [Math.fround(beta1), Math.fround(beta2)]
  return {
    lr,
    hyperLength: 2,
    hyper: (t, rate) => [rate / (1 - power(b1, t)), 1 / Math.sqrt(1 - power(b2, t))],
    update: (e, { w, g, n, hyper, state }) =>
      e.call('adam_f32', w, g, state('m'), state('v'), hyper, n, beta1, beta2, epsilon, weightDecay, l1),
  }
}

/** x^n by squaring: unlike Math.pow, the same bits on every engine. */
function power(x: number, n: number): number {
  let y = 1
  for (let square = x; n > 0; n = Math.floor(n / 2), square *= square) if (n % 2) y *= square
  return y
}

function check(name: string, positive: Record<string, number>, share: Record<string, number>): void {
  for (const [key, v] of Object.entries(positive)) {
    if (!(v >= 0 && Number.isFinite(v))) throw new DunlinError(`${name}: ${key} wants a number from 0 on, got ${v}.`)
  }
  for (const [key, v] of Object.entries(share)) {
    if (!(v >= 0 && v < 1)) throw new DunlinError(`${name}: ${key} wants a number in [0, 1), got ${v}.`)
  }
}
