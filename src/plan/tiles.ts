// How many output channels of a layer are in memory at once when its weights are streamed from flash. A plan that takes four at a time
// needs the least memory; then each layer takes as many as that memory and a little more has room for, since fewer and longer pieces run
// faster: for every piece the convolution gathers what its windows read anew.

import type { Node } from '../graph/node'
import type { Tiled } from './flash'

/** A layer whose weights are streamed, in a plan. */
export interface Site {
  node: Node
  /** Output channels, and how many are a tile. */
  total: number
  tile: number
  /** The call that is its loop (or its first piece), and the bytes of the buffers that are the tile's own. */
  call: number
  bytes: number
  tiled: Tiled
}

/** Kernels compute four channels at a time. */
const LEAST = 4

/** What is written for `total` channels: `times` pieces of `count`, and one of the `rest`. */
export interface Pieces {
  count: number
  times: number
  rest: number
}

/** Pieces of at most `most` channels (and at least four): as few as can be, but rather twice as many than a rest. */
export function piecesOf(total: number, most: number): Pieces {
  if (Math.max(most, LEAST) >= total) return { count: total, times: 1, rest: 0 }
  const four = Math.max(LEAST, Math.floor(most / LEAST) * LEAST)
  const fewest = Math.ceil(total / four)
  for (let times = fewest; times <= 2 * fewest; times++) {
    const count = total / times
    if (Number.isInteger(count) && count % LEAST === 0) return { count, times, rest: 0 }
  }
  const count = Math.min(four, Math.ceil(total / fewest / LEAST) * LEAST)
  const times = Math.floor(total / count)
  return { count, times, rest: total - times * count }
}

/** A plan that was tried: where its arena ends, what lies there, and the layers that are streamed. */
export interface Tried {
  end: number
  base: number
  /** Bytes in use during a call. */
  alive: (call: number) => number
  sites: readonly Site[]
}

/** How much of the room that a layer has its tile may fill: the less, the likelier all buffers find a place below the end. */
const SHARES = [1, 3 / 4, 1 / 2, 1 / 4]

/**
 * The plan of longest pieces that takes at most `spare` times the least memory besides that. `attempt` makes the plan in which the i-th
 * layer has at most most[i] channels a piece, `measure` only its sites. `start`: the pieces for which it needs the least.
 */
export function chooseTiles<P extends Tried>(
  attempt: (most: readonly number[]) => P,
  measure: (most: readonly number[]) => readonly Site[],
  start: readonly number[],
  spare: number,
): P {
  const least = attempt(start)
  if (least.sites.every(({ total, tile }) => tile === total)) return least
  const whole = measure(least.sites.map(() => Infinity))
  const end = least.base + Math.floor((least.end - least.base) * (1 + spare))
  const room = least.sites.map(({ call }) => end - least.base - least.alive(call))
  for (const share of SHARES) {
    const most = least.sites.map(({ total, tile, bytes }, i) => {
      if (tile === total) return total
      const each = (whole[i].bytes - bytes) / (total - tile)
      return tile + Math.floor((share * room[i]) / each)
    })
    const plan = attempt(most)
    if (plan.end <= end) return plan
  }
  return least
}
