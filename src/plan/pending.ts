// A plan before its buffers have addresses: calls on buffers, which become calls on numbers.

import { DunlinError } from '../graph/error'
import { BYTES, type Param, size, type TypedArray } from '../graph/node'
import type { Buffer, KernelName } from '../ops/op'
import { align } from './arena'
import { type Call, LOAD, type Loop, type Region } from './plan'

export interface Planned extends Buffer {
  length: number
  address: number
  data?: TypedArray
  /** Where the buffer stands in the plan; arena buffers live only between the calls that name them. */
  role: 'arena' | 'constant' | 'prepared' | 'parameter' | 'velocity' | 'gradient' | 'state' | 'input' | 'output'
  /** Buffers of one tile lie side by side: then the code that writes down their addresses needs but one. */
  group?: Planned
}

/** A buffer from some element on. */
export interface Within extends Buffer {
  of: Planned
  bytes: number
}

export type Argument = number | Planned | Within

export interface Pending {
  kernel: KernelName | typeof LOAD
  args: Argument[]
  /** The parts of a split call after the first. */
  others: Argument[][]
}

export interface PendingLoop {
  times: number
  body: Pending[]
  steps: number[][]
}

/** Gives the buffers addresses one after another, from `base` on; returns where they end. */
export function inOrder(buffers: readonly Planned[], base: number): number {
  let at = base
  for (const buffer of buffers) {
    buffer.address = at
    at = align(at + buffer.length * BYTES[buffer.dtype])
  }
  return at
}

/** The call that fills a buffer from an address in flash. */
export const load = (to: Planned, from: number): Pending => ({
  kernel: LOAD,
  args: [to, from, to.length * BYTES[to.dtype]],
  others: [],
})

/** By how much an argument grows from a tile to the next. */
export function growth(a: Argument, b: Argument): number {
  if (typeof a === 'number' || typeof b === 'number') return (b as number) - (a as number)
  return ('of' in b ? b.bytes : 0) - ('of' in a ? a.bytes : 0)
}

const numberOf = (a: Argument): number => (typeof a === 'number' ? a : 'of' in a ? a.of.address + a.bytes : a.address)

export const callOf = ({ kernel, args, others }: Pending): Call => ({
  kernel,
  args: args.map(numberOf),
  ...(others.length && { others: others.map((o) => o.map(numberOf)) }),
})

export const resolved = (c: Pending | PendingLoop): Call | Loop => ('body' in c ? { ...c, body: c.body.map(callOf) } : callOf(c))

/** The values of a parameter. */
export function dataOf(param: Param): TypedArray {
  if (param.data.length !== size(param.shape)) {
    throw new DunlinError(
      `parameter "${param.name}": has no values yet. Make a Model of the graph first: it draws them from its seed.`,
    )
  }
  return param.data
}

export const regionOf = ({ name, address, dtype, length }: Planned): Region => ({ name, address, dtype, length })
