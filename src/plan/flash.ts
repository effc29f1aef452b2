// What a module leaves in flash, in the order in which layers ask for it. The same numbers are there once; tables of a layer that is computed
// by tiles lie tile by tile, so that all that a tile has of them is one load.

import { BYTES, type Dtype, type TypedArray } from '../graph/node'
import type { Table } from '../ops/op'
import type { Flash, Part } from './plan'

/** Numbers known now, or a buffer in which `init` leaves them. */
export type Contents = TypedArray | { address: number }

interface Stored {
  name: string
  dtype: Dtype
  length: number
  address: number
  of: Contents
  parts?: readonly Part[]
}

/** Tables, tile by tile: `n` channels from `from` on are `n * channel` bytes from `address + from * channel` on. */
export interface Tiled {
  name: string
  address: number
  channel: number
  /** What those bytes are, one after another; `at`: the place of its table in the list. */
  parts: readonly { at: number; name: string; dtype: Dtype; each: number }[]
}

export class FlashStore {
  private readonly stored: Stored[] = []
  private readonly places = new Map<Contents, number>()

  get bytes(): number {
    const last = this.stored.at(-1)
    return last ? last.address + last.length * BYTES[last.dtype] : 0
  }

  /** Where these numbers are. */
  put(name: string, dtype: Dtype, length: number, of: Contents, parts?: readonly Part[]): number {
    const found = this.places.get(of)
    if (found !== undefined) return found
    const address = this.bytes
    this.stored.push({ name, dtype, length, address, of, ...(parts && { parts }) })
    this.places.set(of, address)
    return address
  }

  /**
   * Puts the tables in tiles of `count` of the `total` channels. Words come first: those of the first tile, and of any tile of a multiple of
   * 4 channels, are aligned when loaded.
   */
  putTiles(total: number, count: number, tables: readonly Table[]): Tiled {
    const parts = tables.map(({ name, data, each }, at) => ({ at, name, data, each, dtype: dtypeOf(data) }))
    parts.sort((a, b) => BYTES[b.dtype] - BYTES[a.dtype])
    const channel = parts.reduce((sum, p) => sum + p.each * BYTES[p.dtype], 0)
    const all = new Uint8Array(total * channel)
    for (let from = 0, to = 0; from < total; from += count) {
      for (const { data, each } of parts) {
        const of = data.subarray(from * each, Math.min(total, from + count) * each)
        all.set(new Uint8Array(of.buffer, of.byteOffset, of.byteLength), to)
        to += of.byteLength
      }
    }
    const name = tables.map((t) => t.name).join(', ')
    const contents = parts.map((p) => ({ name: p.name, bytes: total * p.each * BYTES[p.dtype] }))
    return { name, address: this.put(name, 'u8', all.length, all, contents), channel, parts }
  }

  /** `workspace`: bytes of memory that `init` works in. */
  plan(workspace: number): Flash {
    const regions = this.stored.map(({ of, ...region }) => ({
      ...region,
      ...('address' in of ? { made: of.address } : { data: of }),
    }))
    return { bytes: this.bytes, regions, workspace }
  }
}

export const dtypeOf = (data: TypedArray): Dtype =>
  data instanceof Float32Array
    ? 'f32'
    : data instanceof Int8Array
      ? 'i8'
      : data instanceof Uint8Array
        ? 'u8'
        : data instanceof Int16Array
          ? 'i16'
          : 'i32'
