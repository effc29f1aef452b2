// Optimizers: which kernel updates a parameter, which arrays it keeps, and the few numbers that change from step to step. What all have
// in common, clipping and settings by group of parameters, is done once, in `makeOptimizer`.

import { power } from '../graph/arithmetic'
import { DunlinError } from '../graph/error'
import { CURVE, elementwise } from '../ops/calls'
import type { Buffer, Emit } from '../ops/op'
import type { Update, Updated } from '../plan/builder'

export interface Optimizer {
  /** What it is and how it is set, as text: a training that was stopped goes on with the same only. */
  readonly settings: string
  /** Peak learning rate; a schedule multiplies it. */
  lr: number
  update: Update
  hyperLength: number
  /** What the kernel finds at `hyper` in step `t` (from 1) with learning rate `lr`. */
  hyper(t: number, lr: number): number[]
}

/** Factors on the settings of the optimizer, for the parameters whose name (such as `conv1/w`) matches. */
export interface ParameterGroup {
  match: (name: string) => boolean
  /** On the learning rate; 0 leaves the parameters as they are. */
  lr?: number
  weightDecay?: number
  l1?: number
}

export interface OptimizerOptions {
  lr?: number
  /** L2: weightDecay * w is added to the gradient. (adamW: lr * weightDecay * w is taken off the weight.) */
  weightDecay?: number
  /** L1: l1 * sign(w) is added to the gradient. */
  l1?: number
  /** Gradients are first clamped to [-clipValue, clipValue], element by element. */
  clipValue?: number
  /** Then all gradients together are scaled down to this Euclidean norm, where theirs is larger. */
  clipNorm?: number
  /** A parameter belongs to the first group that matches it; to none: factors of 1. */
  groups?: readonly ParameterGroup[]
}

interface Betas {
  beta1?: number
  beta2?: number
  epsilon?: number
}

/** Stochastic gradient descent; `momentum` 0..1, with `nesterov` Nesterov's, with `dampening` a damped one (as torch.optim.SGD). */
export function sgd(options: { momentum?: number; nesterov?: boolean; dampening?: number } & OptimizerOptions = {}): Optimizer {
  const { lr = 0.1, weightDecay = 0, momentum = 0, nesterov = false, dampening = 0 } = options
  check('sgd', {}, { momentum, dampening })
  if (nesterov && !momentum) throw new DunlinError('sgd: nesterov wants a momentum above 0, such as 0.9.')
  if (nesterov && dampening) throw new DunlinError(`sgd: nesterov wants no dampening, got ${dampening}. Leave one of them out.`)
  return makeOptimizer(
    'sgd',
    { ...options, lr, weightDecay },
    {
      // The first gradient enters the velocity undamped.
      hyper: (t, rate) => [rate, t === 1 ? 1 : 1 - dampening],
      update(e, { w, g, n, state }, hyper, { rate, weightDecay, l1 }) {
        const velocity = momentum ? state('velocity') : 0
        e.call('sgd_f32', w, g, velocity, hyper, n, rate, momentum, nesterov ? 1 : 0, weightDecay, l1)
      },
    },
  )
}

/**
 * Adam (Kingma and Ba, 2015), as torch.optim.Adam: weight decay is added to the gradient. With `amsgrad` steps are divided by the
 * largest second moment so far (Reddi et al., 2018).
 */
export function adam(options: { amsgrad?: boolean } & Betas & OptimizerOptions = {}): Optimizer {
  return adamLike('adam', options, { lr: 1e-3, weightDecay: 0 }, adamHyper)
}

/** Adam with decoupled weight decay (Loshchilov and Hutter, 2019), as torch.optim.AdamW; `weightDecay` is 0.01 if not given. */
export function adamW(options: { amsgrad?: boolean } & Betas & OptimizerOptions = {}): Optimizer {
  return adamLike('adamW', options, { lr: 1e-3, weightDecay: 0.01 }, adamHyper, true)
}

/** Adam with Nesterov's momentum (Dozat, 2016), as torch.optim.NAdam from 2.0 on, with its momentum decay of 0.004. */
export function nadam(options: Betas & OptimizerOptions = {}): Optimizer {
  return adamLike('nadam', options, { lr: 2e-3, weightDecay: 0 }, ({ b1, b2, epsilon }) => (t, rate) => {
    // The momentum of a step grows from b1 / 2 to b1.
    const momentum = (step: number) => b1 * (1 - 0.5 * power(NADAM_DECAY, step))
    let product = 1
    // Its product is nothing after some hundred steps.
    for (let i = 1; i <= t && product > 1e-20; i++) product *= momentum(i)
    const next = momentum(t + 1)
    const a = (rate * next) / (1 - product * next)
    const b = (rate * (1 - momentum(t))) / (1 - product)
    return [rate, a, b, 1 / Math.sqrt(1 - power(b2, t)), epsilon]
  })
}

/** 0.96^0.004. */
const NADAM_DECAY = 0.9998367253526753

/** Rectified Adam (Liu et al., 2020), as torch.optim.RAdam: plain momentum until the second moment has been seen often enough. */
export function radam(options: Betas & OptimizerOptions = {}): Optimizer {
  return adamLike('radam', options, { lr: 1e-3, weightDecay: 0 }, ({ b1, b2, beta2, epsilon }) => (t, rate) => {
    const lr = rate / (1 - power(b1, t))
    // Length of the average that the second moment is after t steps, and in the end.
    const most = 2 / (1 - beta2) - 1
    const decayed = power(beta2, t)
    const length = most - (2 * t * decayed) / (1 - decayed)
    if (length <= 5) return [rate, lr, 0, 0, 1]
    const rectified = Math.sqrt(((length - 4) * (length - 2) * most) / ((most - 4) * (most - 2) * length))
    // As in torch, epsilon is added before the second moment is corrected.
    const root = 1 / Math.sqrt(1 - power(b2, t))
    return [rate, lr * rectified, 0, root, epsilon * root]
  })
}

/** RMSprop (Hinton, 2012), as torch.optim.RMSprop; `decay` is its alpha. With `centered` the mean's square is taken off (Graves, 2013). */
export function rmsprop(
  options: { decay?: number; epsilon?: number; momentum?: number; centered?: boolean } & OptimizerOptions = {},
): Optimizer {
  const { lr = 0.01, weightDecay = 0, decay = 0.99, epsilon = 1e-8, momentum = 0, centered = false } = options
  check('rmsprop', { epsilon }, { decay, momentum })
  return makeOptimizer(
    'rmsprop',
    { ...options, lr, weightDecay },
    {
      hyper: (_, rate) => [rate],
      update(e, { w, g, n, state }, hyper, { rate, weightDecay, l1 }) {
        const [v, m, u] = [state('v'), centered ? state('m') : 0, momentum ? state('velocity') : 0]
        e.call('rmsprop_f32', w, g, v, m, u, hyper, n, rate, decay, epsilon, momentum, weightDecay, l1)
      },
    },
  )
}

/** Adagrad (Duchi, Hazan and Singer, 2011), as torch.optim.Adagrad. */
export function adagrad(options: { epsilon?: number } & OptimizerOptions = {}): Optimizer {
  const { lr = 0.01, weightDecay = 0, epsilon = 1e-10 } = options
  check('adagrad', { epsilon }, {})
  return makeOptimizer(
    'adagrad',
    { ...options, lr, weightDecay },
    {
      hyper: (_, rate) => [rate],
      update(e, { w, g, n, state }, hyper, { rate, weightDecay, l1 }) {
        e.call('adagrad_f32', w, g, state('sum'), hyper, n, rate, epsilon, weightDecay, l1)
      },
    },
  )
}

/** The kernel's decay rates are float32 (b1, b2); bias corrections are those of the same numbers. */
type AdamHyper = (numbers: { b1: number; b2: number; beta2: number; epsilon: number }) => Optimizer['hyper']

const adamHyper: AdamHyper =
  ({ b1, b2, epsilon }) =>
  (t, rate) => [rate, rate / (1 - power(b1, t)), 0, 1 / Math.sqrt(1 - power(b2, t)), epsilon]

/** Adam's kernel: `hyper` makes of it what it is. */
function adamLike(
  name: string,
  options: { amsgrad?: boolean } & Betas & OptimizerOptions,
  defaults: Base,
  hyper: AdamHyper,
  decoupled = false,
): Optimizer {
  const { lr = defaults.lr, weightDecay = defaults.weightDecay } = options
  const { beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8, amsgrad = false } = options
  check(name, { epsilon }, { beta1, beta2 })
  const [b1, b2] = [Math.fround(beta1), Math.fround(beta2)]
  return makeOptimizer(
    name,
    { ...options, lr, weightDecay },
    {
      hyper: hyper({ b1, b2, beta2, epsilon }),
      update(e, { w, g, n, state }, hyper, { rate, weightDecay, l1 }) {
        const [l2, decay] = decoupled ? [0, weightDecay] : [weightDecay, 0]
        const [m, v, top] = [state('m'), state('v'), amsgrad ? state('top') : 0]
        e.call('adam_f32', w, g, m, v, top, hyper, n, rate, beta1, beta2, l2, l1, decay)
      },
    },
  )
}

type Base = Required<Pick<OptimizerOptions, 'lr' | 'weightDecay'>>

/** Settings of one parameter: its group's factors are in them. */
interface Settings {
  /** Factor on the learning rate. */
  rate: number
  weightDecay: number
  l1: number
}

function makeOptimizer(
  name: string,
  options: OptimizerOptions & Base,
  of: { hyper: Optimizer['hyper']; update(e: Emit, p: Updated, hyper: Buffer, settings: Settings): void },
): Optimizer {
  const { lr, weightDecay, l1 = 0, clipValue, clipNorm, groups = [] } = options
  check(name, { lr, weightDecay, l1 }, {})
  for (const [key, limit] of Object.entries({ clipValue, clipNorm })) {
    if (limit !== undefined && !(limit > 0)) throw new DunlinError(`${name}: ${key} wants a number above 0, got ${limit}.`)
  }
  for (const { match: _, ...factors } of groups) check(`${name}: a group`, factors, {})
  return {
    // Functions, such as the `match` of a group, leave no trace.
    settings: `${name} ${JSON.stringify(options)}`,
    lr,
    hyper: of.hyper,
    hyperLength: of.hyper(1, lr).length,
    update(e, params, hyper) {
      const live = params.flatMap((p) => {
        const { lr: rate = 1, ...factors }: Omit<ParameterGroup, 'match'> = groups.find((g) => g.match(p.name)) ?? {}
        const own = { rate, weightDecay: weightDecay * (factors.weightDecay ?? 1), l1: l1 * (factors.l1 ?? 1) }
        return rate > 0 ? [{ p, own }] : []
      })
      const gradients = live.map(({ p }) => p.g)
      if (clipValue !== undefined) {
        for (const g of gradients)
          elementwise(e, g.length, (from, n) => e.call('clamp_f32', e.at(g, from), e.at(g, from), n, -clipValue, clipValue))
      }
      if (clipNorm !== undefined) limitNorm(e, gradients, clipNorm)
      for (const { p, own } of live) {
        const part = (from: number, n: number) => of.update(e, partOf(e, p, from, n), hyper, own)
        elementwise(e, p.n, part, CURVE)
      }
    },
  }
}

/** Elements [from, from + n) of a parameter, as one of its own. */
const partOf = (e: Emit, { name, w, g, state }: Updated, from: number, n: number): Updated => ({
  name,
  w: e.at(w, from),
  g: e.at(g, from),
  n,
  state: (array) => e.at(state(array), from),
})

function limitNorm(e: Emit, gradients: readonly Buffer[], norm: number): void {
  // One f64.
  const sum = e.scratch(2)
  e.call('fill_f32', sum, 2, 0)
  for (const g of gradients) e.call('sumSquares_f32', g, sum, g.length)
  for (const g of gradients) elementwise(e, g.length, (from, n) => e.call('limitNorm_f32', e.at(g, from), sum, n, norm))
}

function check(name: string, positive: Record<string, number | undefined>, share: Record<string, number>): void {
  for (const [key, v] of Object.entries(positive)) {
    if (v !== undefined && !(v >= 0 && Number.isFinite(v)))
      throw new DunlinError(`${name}: ${key} wants a number from 0 on, got ${v}.`)
  }
  for (const [key, v] of Object.entries(share)) {
    if (!(v >= 0 && v < 1)) throw new DunlinError(`${name}: ${key} wants a number in [0, 1), got ${v}.`)
  }
}
