// A plan is a network written out: a memory size and flat lists of kernel calls whose arguments are all numbers.
// It is pure data. Two executors read it, the session (src/session) and the standalone module (src/deploy); neither knows
// which ops it came from.

import type { Dtype, Normalize, Quant, TypedArray } from '../graph/node'

export type { Weights } from '../ops/op'

/** One call of an exported kernel: addresses are bytes from the start of memory, the rest sizes and numbers. */
export interface Call {
  kernel: string
  args: number[]
  /** The call's further parts, where it is split: the same kernel with other arguments, in any order or at the same time. */
  others?: number[][]
}

/** Calls that are made `times` times over; the arguments of body[i] grow by steps[i] each time. */
export interface Loop {
  times: number
  body: Call[]
  steps: number[][]
}

/** The name of the one call that is no kernel's, of (to, from, bytes): copies bytes of the plan's flash to memory. */
export const LOAD = 'load'

/** All parts of a call. */
export const partsOf = (call: Call): number[][] => [call.args, ...(call.others ?? [])]

/** The calls in the order in which they are made: loops written out. */
export const unrolled = (calls: readonly (Call | Loop)[]): Call[] =>
  calls.flatMap((c) => {
    if (!('body' in c)) return [c]
    return Array.from({ length: c.times }, (_, turn) =>
      c.body.map(({ kernel, args }, i) => ({ kernel, args: args.map((a, j) => a + turn * c.steps[i][j]) })),
    ).flat()
  })

/** The most parts that a call of the plan has: more threads would have nothing to do. */
export const threadsOf = (plan: Plan): number =>
  plan.calls.reduce((most, call) => Math.max(most, 'body' in call ? 1 : partsOf(call).length), 1)

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
  /** The values from which it learns: they are there before the first run. */
  initial: Constant[]
}

/** Numbers that stay where a module is stored until `load` brings them to memory. */
export interface Flash {
  bytes: number
  /**
   * `address`: from the beginning of the flash. Their contents are `data`, or what `init` leaves in memory from `made` on. `parts`: what is in
   * them, where that is more than one thing.
   */
  regions: (Region & { parts?: readonly Part[] } & ({ data: TypedArray } | { made: number }))[]
  /** Bytes of memory that constants and `init` take: before the first run, so it is the memory of the runs. */
  workspace: number
}

export interface Part {
  name: string
  bytes: number
}

/** What is written for a node, or for one band of its rows: its calls, from the `first` to before the `end`. */
export interface LayerCalls {
  name: string
  op: string
  /** Multiply-accumulates of a run, and numbers in its value. */
  macs: number
  elements: number
  /** What is stored for it: parameters and other constants. */
  storedBytes: number
  first: number
  end: number
  /** How the first of them is counted in the lives of buffers. */
  at: number
}

/**
 * A buffer of the arena, and the first and last call (inclusive) during which it holds. Where a part of the network is computed by bands of
 * rows, what a band needs is there anew for each: calls are counted as if the first band were the only one.
 */
export interface Lived {
  name: string
  address: number
  bytes: number
  first: number
  last: number
}

/** A kernel may read this far past the end of the memory that a plan asks for (those of the build `scalar` do not). */
export const OVERREAD = 16

export interface Plan {
  /** Bytes of linear memory that the plan uses, from address 0 on. */
  memory: number
  /**
   * [16, persistent) holds what must outlive a run: constants and what `init` derives from them (unless they are in flash), and state. The
   * arena follows.
   */
  persistent: number
  /** Bytes of the arena, and the most that are alive at once in it: no arrangement takes less. */
  arena: { bytes: number; lowerBound: number }
  /** Model parameters, then numbers derived when planning. Written once, before `init`. */
  constants: Constant[]
  /** Zeroed state that a training run keeps between calls (optimizer moments), and what the trainer reads and writes. */
  state: Region[]
  /** Run once, after the constants are written: packing. */
  init: Call[]
  /** Run each time. Only plans for modules have loops. */
  calls: (Call | Loop)[]
  /** Of a module with its weights in flash. */
  flash?: Flash
  /** For those who look: which calls a layer is, and which buffers lie in the arena when. */
  map?: { layers: LayerCalls[]; buffers: Lived[] }
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
  const list = (args: number[]) => `(${args.map(number).join(', ')})`
  const call = (c: Call | Loop): string =>
    'body' in c
      ? [`  ${c.times} times`, ...c.body.map((b, i) => `  ${call(b)} + ${list(c.steps[i])}`)].join('\n')
      : `  ${c.kernel}${partsOf(c).map(list).join(' | ')}`
  return [
    `memory ${plan.memory} persistent ${plan.persistent} arena ${plan.arena.bytes} (live at once ${plan.arena.lowerBound})`,
    ...plan.constants.map((r) => region('constant', r)),
    ...plan.state.map((r) => region('state', r)),
    ...plan.inputs.map((r) => region('input', r)),
    ...plan.outputs.map((r) => region('output', r)),
    ...(plan.flash?.regions.map((r) => region('flash', r)) ?? []),
    'init',
    ...plan.init.map(call),
    'calls',
    ...plan.calls.map(call),
  ].join('\n')
}
