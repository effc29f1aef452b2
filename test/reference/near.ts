// Floats compared: element by element, each within a bound, which for a kernel is counted in roundings of float32.

import type { Numbers } from './definition'

/** Half a unit in the last place of 1: the relative error of one float32 operation. */
export const EPSILON = 2 ** -24

/**
 * Throws at the first element with |got - want| > bound, or a number where the other is NaN. `bound` is one for all or one for
 * each element; `what` says whose values they are, with the seed where there is one.
 */
export function expectNear(got: Numbers, want: Numbers, bound: number | Numbers, what: string): void {
  if (got.length !== want.length) throw new Error(`${what}: got ${got.length} elements, wanted ${want.length}.`)
  for (let i = 0; i < want.length; i++) {
    const allowed = typeof bound === 'number' ? bound : bound[i]
    if (Object.is(got[i], want[i]) || Math.abs(got[i] - want[i]) <= allowed) continue
    throw new Error(
      `${what}: element ${i} of ${want.length} is ${got[i]}, wanted ${want[i]}: off by ${Math.abs(got[i] - want[i])}, allowed ${allowed}.`,
    )
  }
}

export const largest = (values: Numbers): number => Array.from(values).reduce((most, v) => Math.max(most, Math.abs(v)), 0)
