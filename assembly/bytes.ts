// memory.copy and memory.fill as plain loops, with the same arguments: modules for hosts without bulk memory call these where kernels have
// those instructions. No kernel calls them.

/** Copies n bytes; the two stretches may overlap. */
export function copy_u8(to: usize, from: usize, n: usize): void {
  if (to - from < n) {
    // What is written first would be read later: last first.
    while (n) {
      n--
      store<u8>(to + n, load<u8>(from + n))
    }
    return
  }
  for (; n >= 8; n -= 8, to += 8, from += 8) store<u64>(to, load<u64>(from))
  for (; n; n--) store<u8>(to++, load<u8>(from++))
}

/** n bytes become the lowest of `value`. */
export function fill_u8(to: usize, value: i32, n: usize): void {
  const eight = <u64>(value & 0xff) * 0x0101010101010101
  for (; n >= 8; n -= 8, to += 8) store<u64>(to, eight)
  for (; n; n--) store<u8>(to++, <u8>value)
}
