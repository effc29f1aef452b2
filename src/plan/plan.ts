// A plan is a network written out: a memory size and flat lists of kernel calls whose arguments are all numbers.
// It is pure data. Two executors read it, the session (src/session) and the standalone module (src/deploy); neither knows
// which ops it came from.

import type { Dtype, Normalize, Quant, TypedArray } from '../graph/node'

/** One call of an exported kernel: addresses are bytes from the start of memory, the rest sizes and numbers. */
export interface Call {
  kernel: string
  args: number[]
  /** The call's further parts, where it is split: the same kernel with other arguments, in any order or at the same time. */
  others?: number[][]
}

/** All parts of a call. */
export const partsOf = (call: Call): number[][] => [call.args, ...(call.others ?? [])]

/** The most parts that a call of the plan has: more threads would have nothing to do. */
export const threadsOf = (plan: Plan): number => plan.calls.reduce((most, call) => Math.max(most, partsOf(call).length), 1)

/** A named stretch of memory. `length` counts elements of `dtype`. */
export interface Region {
  name: string
  address: number
  dtype: Dtype
  length: number
}

/** A region with contents that are there before `init` runs: a parameter, or numbers derived when planning. */
export interface Constant extends Region {
  data: TypedArray
}

/** A region that the host writes before a run or reads after it: `batch` samples of `shape`. */
export interface Port extends Region {
  batch: number
  shape: readonly number[]
  /** real = scale * (q - zeroPoint), when dtype is an integer that stands for a real number. */
  quant?: Quant
  normalize?: Normalize
}

/**
 * How a module learns from the sample in its input. Calls before `loss` are a run. Those from there to `gradients` make the loss and its
 * gradient; if the loss is not finite, the step ends there. Those up to `update` work the gradients out, and where a step is one sample's
 * they may change parameters already; the last ones change parameters by the gradients of `batch` samples and clear these.
 */
export interface Learning {
  phases: { loss: number; gradients: number; update: number }
  /** Samples between two updates. */
  batch: number
  /** f32 [1]: the loss of the sample. */
  loss: Region
  /** i32 [1]: the sample's class, to be written before the calls of the loss; one that is no class makes the loss NaN. */
  label?: Region
  /** Where there are no classes: what the output should have been, to be written before a run. */
  target?: Port
  /** i32 [1], where batch is above 1: samples since the last update. */
  count?: Region
  /** All that training changes, one after another: values, velocities, sums of gradients, the count. */
  parameters: Region[]
}

export interface Plan {
  /** Bytes of linear memory that the plan uses, from address 0 on. */
  memory: number
  /** [16, persistent) holds what must outlive a run: constants and what `init` derives from them. The arena follows. */
  persistent: number
  /** Bytes of the arena, and the most that are alive at once in it: no arrangement takes less. */
  arena: { bytes: number; lowerBound: number }
  /** Model parameters, then numbers derived when planning. Written once, before `init`. */
  constants: Constant[]
  /** Zeroed state that a training run keeps between calls (optimizer moments), and what the trainer reads and writes. */
  state: Region[]
  /** Run once, after the constants are written: packing. */
  init: Call[]
  /** Run each time. */
  calls: Call[]
  /**
   * Of a training plan: where in `calls` its parts begin. Those before `gradients` clear what is summed up over several runs; from there
   * to `update` a batch's gradients are added; those from `update` on change the parameters.
   */
  phases?: { gradients: number; update: number }
  /** Of a module that learns. */
  learning?: Learning
  /** What the forward of observed nodes saved, named `<node>/<name>`: there to be read after a run. */
  saved?: Region[]
  inputs: Port[]
  outputs: Port[]
}

/** The plan as text, one line a region and a call, the parts of a split one side by side: for snapshots, diffs and curious people. */
export function printPlan(plan: Plan): string {
  const region = (kind: string, r: Region) => `${kind} ${r.name} ${r.dtype}[${r.length}] @${r.address}`
  const number = (a: number) => (Number.isInteger(a) || !Number.isFinite(a) ? String(a) : a.toPrecision(6))
  const call = (c: Call) =>
    `  ${c.kernel}${partsOf(c)
      .map((args) => `(${args.map(number).join(', ')})`)
      .join(' | ')}`
  return [
    `memory ${plan.memory} persistent ${plan.persistent} arena ${plan.arena.bytes} (live at once ${plan.arena.lowerBound})`,
    ...plan.constants.map((r) => region('constant', r)),
    ...plan.state.map((r) => region('state', r)),
    ...plan.inputs.map((r) => region('input', r)),
    ...plan.outputs.map((r) => region('output', r)),
    'init',
    ...plan.init.map(call),
    'calls',
    ...plan.calls.map(call),
  ].join('\n')
}
