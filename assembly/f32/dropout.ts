// Dropout: each element is 0 with a probability, else scaled up so that the mean stays. Which ones drop is a function of numbers alone
// (seed, layer, step, index of the element) by a counter-based generator, Philox4x32-10 (Salmon et al., "Parallel random numbers: as
// easy as 1, 2, 3", 2011): no state, so the backward draws the same mask again, and threads, builds and restarts change nothing.
//
// Words of the key: seed, layer. Words of the counter: index / 4, 0, step, 0. Element i has word i % 4 of the four that come out; it
// drops when that is below `threshold`, as unsigned integers.

// @ts-ignore: decorator
@inline
function drop(
  from: usize, to: usize, step: u32, n: i32, first: i32, threshold: u32, scale: f32, seed: u32, layer: u32, add: bool,
): void {
  for (let i = 0; i < n; i += 4) {
    let c0 = <u32>(first + i) >> 2
    let c1: u32 = 0
    let c2 = step
    let c3: u32 = 0
    let k0 = seed
    let k1 = layer
    for (let round = 0; round < 10; round++) {
      const p = <u64>c0 * 0xd2511f53
      const q = <u64>c2 * 0xcd9e8d57
      c0 = <u32>(q >> 32) ^ c1 ^ k0
      c1 = <u32>q
      c2 = <u32>(p >> 32) ^ c3 ^ k1
      c3 = <u32>p
      k0 += 0x9e3779b9
      k1 += 0xbb67ae85
    }
    keep(from, to, c0, threshold, scale, add)
    if (i + 1 < n) keep(from + 4, to + 4, c1, threshold, scale, add)
    if (i + 2 < n) keep(from + 8, to + 8, c2, threshold, scale, add)
    if (i + 3 < n) keep(from + 12, to + 12, c3, threshold, scale, add)
    from += 16
    to += 16
  }
}

/** By select: a branch on chance is guessed wrong every other time. */
// @ts-ignore: decorator
@inline
function keep(from: usize, to: usize, word: u32, threshold: u32, scale: f32, add: bool): void {
  const before = add ? load<f32>(to) : <f32>0
  store<f32>(to, select<f32>(before + load<f32>(from) * scale, before, word >= threshold))
}

/** y = x * scale where it is kept, else 0. step i32 [1]; first: index of the first of these n elements, a multiple of 4; y may be x. */
export function dropout_f32(
  x: usize, step: usize, y: usize, n: i32, first: i32, threshold: u32, scale: f32, seed: u32, layer: u32,
): void {
  drop(x, y, load<u32>(step), n, first, threshold, scale, seed, layer, false)
}

/** dx += dy * scale where it was kept. */
export function dropout_f32_dx(
  dy: usize, step: usize, dx: usize, n: i32, first: i32, threshold: u32, scale: f32, seed: u32, layer: u32,
): void {
  drop(dy, dx, load<u32>(step), n, first, threshold, scale, seed, layer, true)
}
