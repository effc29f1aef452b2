// What an int8 layer has for each output channel, from the form in which a module stores it (src/ops/channels.ts) to the arrays that
// conv2d_i8 and its kin read: for a tile of channels, before the call that computes it.

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

/**
 * The same from words of bias (20 bits, signed) and code (12 bits) = 256 e + m - 257: the scale is the layer's largest times m / 512 / 2^e.
 * @param words i32 [n]
 * @param bias, multiplier, shift i32 [n]
 * @param high, low 2^53 times the fraction of scale(x) * largest / scale(y), in [1/2, 1), as two words
 * @param exponent its exponent
 */
export function codedChannels_i8(
  words: usize, bias: usize, multiplier: usize, shift: usize, n: i32, high: i32, low: i32, exponent: i32,
): void {
  const base = (<u64>(<u32>high) << 32) | <u64>(<u32>low)
  const end = words + (n << 2)
  // From a word to what is made of it: one address is moved, which is what an interpreter likes best.
  const toBias = bias - words
  const toMultiplier = multiplier - words
  const toShift = shift - words
  while (words < end) {
    const word = load<i32>(words)
    const code = word >>> 20
    // Below 2^62, which stands for 1; a multiplier's fraction is at least a half.
    const product = base * <u64>(257 + (code & 255))
    const below = u64(product < (1 << 61))
    store<i32>(words + toBias, (word << 12) >> 12)
    store<i32>(words + toMultiplier, <i32>(((product << below) + (1 << 30)) >> 31))
    store<i32>(words + toShift, exponent - (code >> 8) - <i32>below)
    words += 4
  }
}
