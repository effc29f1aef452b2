// Learning-rate schedules: the factor on the optimizer's rate at step `step` (from 0) of `steps`.

export type Schedule = (step: number, steps: number) => number

/** The optimizer's rate throughout. */
export function constant(): Schedule {
  return () => 1
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
