// The numbers of output channels as they lie in flash, unpacked: 8 bytes for a channel in place of 12.

/**
 * @param records [n] of 8 bytes: bias (24 bits, signed), shift (8 bits, signed), multiplier (i32), little-endian
 * @param bias, multiplier, shift i32 [n], as the kernels of layers take them
 */
export function channels_i8(records: usize, bias: usize, multiplier: usize, shift: usize, n: i32): void {
  for (let at = 0; at < n << 2; at += 4) {
    const word = load<i32>(records)
    store<i32>(bias + at, (word << 8) >> 8)
    store<i32>(shift + at, word >> 24)
    store<i32>(multiplier + at, load<i32>(records, 4))
    records += 8
  }
}
