// The kernel binaries import a memory that is not shared. For threads the same bytes are given another import, and no binary more is
// shipped: in the binary format a memory's limits begin with flags, 0 (a minimum) or 3 (shared, with a minimum and a maximum).
// Source: WebAssembly Core Specification and its threads proposal, binary format of limits.

const IMPORT_SECTION = 2
const MEMORY = 2
/** 65536 pages, all that 32 bits address, as LEB128. */
const MOST_PAGES = [0x80, 0x80, 0x04]

/** The module with its one import, a memory, made a shared one. */
export function withSharedMemory(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  let at = 8
  const number = () => {
    let value = 0
    for (let shift = 0; ; shift += 7) {
      const byte = bytes[at++]
      value |= (byte & 0x7f) << shift
      if (byte < 0x80) return value
    }
  }
  while (at < bytes.length) {
    const begin = at++
    const size = number()
    const body = at
    if (bytes[begin] !== IMPORT_SECTION) {
      at += size
      continue
    }
    const count = number()
    for (let name = 0; name < 2; name++) at = number() + at
    if (count !== 1 || bytes[at] !== MEMORY || bytes[at + 1] !== 0) break
    const flags = at + 1
    const entry = [...bytes.subarray(body, flags), 3, ...bytes.subarray(flags + 1, body + size), ...MOST_PAGES]
    const length = [(entry.length & 0x7f) | 0x80, entry.length >> 7]
    return Uint8Array.from([...bytes.subarray(0, begin + 1), ...length, ...entry, ...bytes.subarray(body + size)])
  }
  throw new Error('The kernels import something else than one memory.')
}
