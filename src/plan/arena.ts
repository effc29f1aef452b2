// Where buffers lie. Each is alive from the first call that names it to the last; two that are alive at once must not overlap.
// Greedy (Pisarchyk and Lee, "Efficient Memory Management for Deep Neural Net Inference", 2020): in order of size, and again in order
// of time, each at the lowest address where it collides with none already placed; then some more times, with what came to lie
// on top placed first. Deterministic.

/** Bytes, and the first and last call (inclusive) during which they must hold. */
export interface Lifetime {
  bytes: number
  first: number
  last: number
}

export const ALIGNMENT = 16
export const align = (address: number): number => Math.ceil(address / ALIGNMENT) * ALIGNMENT

/** How often an order is tried again. */
const ROUNDS = 16

/** Addresses for `buffers` in order, from `base` on, and the end of the memory they take: the best of the orders tried. */
export function arrange(buffers: readonly Lifetime[], base: number): { addresses: number[]; end: number } {
  const least = base + lowerBound(buffers)
  const inOrder = (before: (a: Lifetime, b: Lifetime) => number) =>
    buffers.map((_, i) => i).sort((a, b) => before(buffers[a], buffers[b]) || a - b)
  const bySize = inOrder((a, b) => b.bytes - a.bytes || a.first - b.first)
  const byTime = inOrder((a, b) => a.first - b.first || b.bytes - a.bytes)
  let best = place(buffers, base, bySize)
  for (const first of [bySize, byTime]) {
    let order = first
    for (let round = 0; round <= ROUNDS && best.end > least; round++) {
      const found = place(buffers, base, order)
      if (found.end < best.end) best = found
      order = [found.top, ...order.filter((i) => i !== found.top)]
    }
  }
  return { addresses: best.addresses, end: best.end }
}

/** Places the buffers in this order. `top` is one that nothing lies above. */
function place(buffers: readonly Lifetime[], base: number, order: readonly number[]) {
  const addresses = new Array<number>(buffers.length).fill(base)
  const placed: number[] = [] // by address
  let end = base
  let top = 0
  for (const i of order) {
    const { bytes, first, last } = buffers[i]
    let at = base
    for (const j of placed) {
      const other = buffers[j]
      if (other.first > last || other.last < first) continue
      if (at + bytes <= addresses[j]) break
      at = Math.max(at, align(addresses[j] + other.bytes))
    }
    addresses[i] = at
    placed.splice(placed.findIndex((j) => addresses[j] > at) >>> 0, 0, i)
    if (at + bytes > end) {
      end = at + bytes
      top = i
    }
  }
  return { addresses, end: align(end), top }
}

/** The most bytes that are alive at once: no arrangement takes less. */
export function lowerBound(buffers: readonly Lifetime[]): number {
  const at = new Map<number, number>()
  for (const { bytes, first, last } of buffers) {
    at.set(first, (at.get(first) ?? 0) + align(bytes))
    at.set(last + 1, (at.get(last + 1) ?? 0) - align(bytes))
  }
  let live = 0
  let most = 0
  for (const call of [...at.keys()].sort((a, b) => a - b)) {
    live += at.get(call) as number
    most = Math.max(most, live)
  }
  return most
}
