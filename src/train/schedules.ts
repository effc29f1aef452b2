// Learning-rate schedules: the factor on the optimizer's rate at step `step` (from 0) of `steps`. Lengths are shares of all steps, so that
// a schedule fits a run of any length. A schedule that looks at results is told them after each epoch.

import { cosPi, power } from '../graph/arithmetic'
import { DunlinError } from '../graph/error'
import { type EpochResult, isBest, lossOf } from './callbacks'

export interface Schedule {
  (step: number, steps: number): number
  /** Called after each epoch, as a callback's. */
  epochEnd?(result: EpochResult): void
  /** Plain data: all that it knows. Kept with a checkpoint and put back, it goes on as if never stopped. */
  readonly state?: object
}

/** The optimizer's rate throughout. */
export function constant(): Schedule {
  return () => 1
}

/** Times `factor` (default 0.1) after every share `every` of the steps: with 1/3 the factors are 1, 0.1, 0.01. */
export function step(options: { every: number; factor?: number }): Schedule {
  const { every, factor = 0.1 } = options
  if (!(every > 0 && every <= 1)) throw new DunlinError(`step: every wants a share of all steps, such as 1 / 3, got ${every}.`)
  expectFactor('step: factor', factor)
  // 0.7 of 10 steps are 7, whatever the rounding of the product.
  return (at, steps) => power(factor, Math.floor((at / (every * steps)) * (1 + 2 ** -40)))
}

/** Half a wave of the cosine from 1 down to `end` (Loshchilov and Hutter, "SGDR", 2017), after a `warmup` as in `warmUp`. */
export function cosine(options: { warmup?: number; start?: number; end?: number } = {}): Schedule {
  const { warmup = 0, start = 0.04, end = 0 } = options
  expectFactor('cosine: end', end)
  return warmUp({ warmup, start, after: (at, steps) => end + ((1 - end) * (1 + cosPi(Math.min(1, at / steps)))) / 2 })
}

/** Up in a line over the first `warmup` share of the steps, from `start` of the rate; then as `after` says (default: `constant()`). */
export function warmUp(options: { warmup?: number; start?: number; after?: Schedule } = {}): Schedule {
  const { warmup = 0.1, start = 0.04, after = constant() } = options
  expectShare('warmUp: warmup', warmup, warmup >= 0)
  expectFactor('warmUp: start', start)
  const factor: Schedule = (at, steps) => {
    const top = warmup * steps
    return at < top ? start + (1 - start) * (at / top) : after(at - top, steps - top)
  }
  // With what it is told and knows, if it is one of those.
  return Object.assign(factor, after)
}

/**
 * One cycle (L. Smith, "Super-Convergence", 2018): up in a line over the first `warmup` share of the steps, from `start` of the
 * peak, then down in a line to 0.
 */
export function oneCycle(options: { warmup?: number; start?: number } = {}): Schedule {
  const { warmup = 0.3, start = 0.04 } = options
  return (step, steps) => {
    const top = warmup * steps
    return step < top ? start + (1 - start) * (step / top) : (steps - step) / (steps - top)
  }
}

/** Remembers the best result, and how many epochs have gone by since or since the last cut. */
export interface Plateau extends Schedule {
  epochEnd(result: EpochResult): void
  readonly state: { factor: number; waited: number; best?: number }
}

/**
 * Times `factor` (default 0.5) when what `monitor` reads off a result has not become lower, by more than `minDelta` (default 0), for
 * `patience` (default 5) epochs in a row, and never below `minimum` (default 0.001). Default: the loss, on the validation data if there is
 * any. A trainer tells it the results. It belongs to one training: make a new one for the next.
 */
export function reduceOnPlateau(
  options: {
    factor?: number
    patience?: number
    minDelta?: number
    minimum?: number
    monitor?: (result: EpochResult) => number
  } = {},
): Plateau {
  const { factor = 0.5, patience = 5, minDelta = 0, minimum = 1e-3, monitor = lossOf } = options
  expectShare('reduceOnPlateau: factor', factor, factor > 0)
  expectFactor('reduceOnPlateau: minimum', minimum)
  expectFactor('reduceOnPlateau: minDelta', minDelta)
  if (!Number.isInteger(patience) || patience < 1)
    throw new DunlinError(`reduceOnPlateau: patience wants a number of epochs from 1 on, got ${patience}.`)
  const state: Plateau['state'] = { factor: 1, waited: 0 }
  const epochEnd = (result: EpochResult): void => {
    if (isBest(state, monitor(result), minDelta)) state.waited = 0
    else if (++state.waited >= patience) {
      state.factor = Math.max(Math.min(minimum, state.factor), state.factor * factor)
      state.waited = 0
    }
  }
  return Object.assign(() => state.factor, { epochEnd, state })
}

/** A share of all steps, below 1. */
function expectShare(what: string, share: number, enough: boolean): void {
  if (!(enough && share < 1)) throw new DunlinError(`${what} wants a share below 1, got ${share}.`)
}

function expectFactor(what: string, factor: number): void {
  if (!(factor >= 0 && Number.isFinite(factor))) throw new DunlinError(`${what} wants a number from 0 on, got ${factor}.`)
}
