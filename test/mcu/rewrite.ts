// A wasm file taken apart into its sections and put together again with other function bodies, or more of anything. Custom sections go.

import { MAGIC, Reader, SECTION, Writer } from '../../src/deploy/binary'

/** Sections in the order of the format. */
const ORDER = [1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 10, 11]

/** How many items a section has, and their bytes. */
interface Items {
  count: number
  bytes: Uint8Array
}

export class Rewritten {
  private readonly sections = new Map<number, Items>()

  constructor(wasm: Uint8Array) {
    const file = new Reader(wasm, 'module')
    file.take(MAGIC.length)
    while (!file.done) {
      const id = file.byte()
      const section = file.sized()
      if (id === SECTION.custom) section.rest()
      else this.sections.set(id, { count: section.u32(), bytes: section.rest() })
    }
  }

  count(id: number): number {
    return this.sections.get(id)?.count ?? 0
  }

  /** Appends an item to a section, and returns its index. */
  append(id: number, fill: (item: Writer) => void): number {
    const { count, bytes } = this.sections.get(id) ?? { count: 0, bytes: new Uint8Array() }
    const w = new Writer().raw(bytes)
    fill(w)
    this.sections.set(id, { count: count + 1, bytes: w.bytes() })
    return count
  }

  drop(id: number): void {
    this.sections.delete(id)
  }

  /** Function bodies: locals and instructions, without the length in front. */
  get bodies(): Uint8Array[] {
    const { count, bytes } = this.sections.get(SECTION.code)!
    const reader = new Reader(bytes, 'module')
    return Array.from({ length: count }, () => reader.sized().rest())
  }

  set bodies(list: readonly Uint8Array[]) {
    const w = new Writer()
    for (const body of list) w.u32(body.length).raw(body)
    this.sections.set(SECTION.code, { count: list.length, bytes: w.bytes() })
  }

  bytes(): Uint8Array<ArrayBuffer> {
    const w = new Writer().raw(MAGIC)
    const segments = this.count(SECTION.data)
    for (const id of ORDER) {
      const items = this.sections.get(id)
      if (id === SECTION.dataCount) w.section(id, (s) => s.u32(segments))
      else if (items) w.section(id, (s) => s.u32(items.count).raw(items.bytes))
    }
    return w.bytes()
  }
}
