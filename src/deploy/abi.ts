// What a module and its host agree on: the version, the names of ports, the hash. docs/module.md is the text of it.

/** Version of what a module promises its host: its exports, what they mean, and how to run it. */
export const ABI = 2

/** The export that holds the address of a port; its size in bytes is in that name with `_bytes`. */
export const portName = (kind: 'input' | 'output', index: number): string => (index ? `${kind}_${index}` : kind)

/** FNV-1a of 32 bits (Fowler, Noll, Vo): a change of one byte always changes it. Goes on from `hash`. */
export function hashOf(bytes: Uint8Array, hash = 0x811c9dc5): number {
  let h = hash
  for (const byte of bytes) h = Math.imul(h ^ byte, 0x01000193)
  return h >>> 0
}

/** How a file ends: eight hexadecimal digits, the hash of every byte before them, and `"}`, which closes the JSON around them. */
export const HASH_BYTES = 10
export const hashDigits = (bytes: Uint8Array): string => hashOf(bytes.subarray(0, -HASH_BYTES)).toString(16).padStart(8, '0')
