// Where a trainer draws its samples from, step by step: a dataset, of which it goes through an order, or a stream, of which it is given
// the samples of the step at hand.

import type { Dataset } from '../data/dataset'
import { isStream, type Stream, StreamReader } from '../data/stream'
import type { Random } from '../graph/random'
import { crc32 } from './checkpoint'
import type { Clock } from './step'

export interface Draws {
  /** What batches are made of; that of a stream holds the samples of one step only. */
  readonly data: Dataset
  /** In an epoch. */
  readonly steps: number
  /** Samples of a step, the last of which may have fewer. */
  count(step: number): number
  /** Indices into `data`. */
  readonly order: Uint32Array
  /** Begins an epoch, from 1, after some of its steps. Epochs come in their order, but some may be left out. */
  begin(epoch: number, skip: number): void | Promise<void>
  /**
   * Makes the samples of a step be there, `order` from the place it gives on; a promise where they have to be waited for.
   * The time that it takes is added to a clock.
   */
  take(step: number, clock?: Clock): number | Promise<number>
  /** Whether more could be read while something else is done. */
  readonly isBehind: boolean
  /** Of what a stream has given in the epoch: a checksum of `y`. */
  readonly checksum?: number
  /** Asks for no more. */
  end(): void
}

/** `size` samples in a step; in an order that `shuffle` draws, or without it in their own. */
export function drawsOf(data: Dataset | Stream, size: number, shuffle?: Random): Draws {
  return isStream(data) ? fromStream(data, size, shuffle) : fromDataset(data, size, shuffle)
}

function fromDataset(data: Dataset, size: number, shuffle?: Random): Draws {
  const order = Uint32Array.from({ length: data.count }, (_, i) => i)
  let begun = 0
  return {
    ...{ data, order, isBehind: false, ...stepsOf(data.count, size) },
    begin(epoch) {
      for (; begun < epoch; begun++) shuffle?.shuffle(order)
    },
    take: (step) => step * size,
    end() {},
  }
}

function fromStream(stream: Stream, size: number, shuffle?: Random): Draws {
  const reader = new StreamReader(stream, size)
  const { data } = reader
  const order = Uint32Array.from({ length: size }, (_, i) => i)
  let begun = 0
  let checksum = 0
  const take = (_: number, clock?: Clock) => {
    const began = performance.now()
    const taken = () => {
      checksum = crc32(reader.y, checksum)
      if (clock) clock.waiting += performance.now() - began
      return 0
    }
    return reader.take()?.then(taken) ?? taken()
  }
  return {
    ...{ data, order, ...stepsOf(stream.count, size) },
    get isBehind() {
      return reader.isBehind
    },
    get checksum() {
      return checksum
    },
    async begin(epoch, skip) {
      let seed: number | undefined
      for (; begun < epoch; begun++) seed = shuffle?.next()
      checksum = 0
      reader.begin(epoch, seed)
      for (let step = 0; step < skip; step++) await take(step)
    },
    take,
    end: () => reader.end(),
  }
}

const stepsOf = (count: number, size: number) => ({
  steps: Math.ceil(count / size),
  count: (step: number) => Math.min(size, count - step * size),
})
