// Where buffers lie. Each is alive from the first call that names it to the last; two that are alive at once must not overlap, unless one
// is known to be written only where the other has been read (`Over`).
// Greedy (Pisarchyk and Lee, "Efficient Memory Management for Deep Neural Net Inference", 2020): in order of size, and again in order
// of time, forwards and backwards, each at the lowest address where it collides with none already placed; then some more times, with
// what came to lie on top placed first. Deterministic.

/** Bytes, and the first and last call (inclusive) during which they must hold. */
export interface Lifetime {
  bytes: number
  first: number
  last: number
}

/**
 * Of two buffers that are alive at once, `y` may begin anywhere up to `distance` bytes before `x` begins, and so lie over it: what is
 * written there has been read. (Stoutchinin, Conti and Benini call it the diagonal memory optimisation.)
 */
export interface Over {
  y: number
  x: number
  /** Below 0: y may begin as far behind the beginning of x. */
  distance: number
}

export const ALIGNMENT = 16
export const align = (address: number): number => Math.ceil(address / ALIGNMENT) * ALIGNMENT

/** How often an order is tried again. */
const ROUNDS = 16

/** Addresses for `buffers` in order, from `base` on, and the end of the memory they take: the best of the orders tried. */
export function arrange(
  buffers: readonly Lifetime[],
  base: number,
  overs: readonly Over[] = [],
): { addresses: number[]; end: number } {
  const least = base + lowerBound(buffers, overs)
  const inOrder = (before: (a: Lifetime, b: Lifetime) => number) =>
    buffers.map((_, i) => i).sort((a, b) => before(buffers[a], buffers[b]) || a - b)
  const bySize = inOrder((a, b) => b.bytes - a.bytes || a.first - b.first)
  const byTime = inOrder((a, b) => a.first - b.first || b.bytes - a.bytes)
  // What lies over another is below it: the last of a chain goes first.
  const backwards = overs.length ? [inOrder((a, b) => b.last - a.last || b.bytes - a.bytes)] : []
  const under = distances(buffers, overs)
  let best = place(buffers, base, bySize, under)
  for (const first of [bySize, byTime, ...backwards]) {
    let order = first
    for (let round = 0; round <= ROUNDS && best.end > least; round++) {
      const found = place(buffers, base, order, under)
      if (found.end < best.end) best = found
      order = [found.top, ...order.filter((i) => i !== found.top)]
    }
  }
  return { addresses: best.addresses, end: best.end }
}

/** How far buffer i must begin behind buffer j: all of j, or less where i may have j over it. */
type Distances = (i: number, j: number) => number

function distances(buffers: readonly Lifetime[], overs: readonly Over[]): Distances {
  const known = new Map(overs.map(({ y, x, distance }) => [x * buffers.length + y, distance]))
  return (i, j) => Math.min(buffers[j].bytes, known.get(i * buffers.length + j) ?? Number.POSITIVE_INFINITY)
}

/** Places the buffers in this order. `top` is one that nothing lies above. */
function place(buffers: readonly Lifetime[], base: number, order: readonly number[], behind: Distances) {
  const addresses = new Array<number>(buffers.length).fill(base)
  const placed: number[] = []
  let end = base
  let top = 0
  for (const i of order) {
    const { bytes, first, last } = buffers[i]
    // Addresses between `low` and `high` collide.
    const taken: { low: number; high: number }[] = []
    for (const j of placed) {
      const other = buffers[j]
      if (other.first > last || other.last < first) continue
      taken.push({ low: addresses[j] - behind(j, i), high: addresses[j] + behind(i, j) })
    }
    taken.sort((a, b) => a.low - b.low)
    let at = base
    for (const { low, high } of taken) {
      if (at <= low) break
      if (at < high) at = align(high)
    }
    addresses[i] = at
    placed.push(i)
    if (at + bytes > end) {
      end = at + bytes
      top = i
    }
  }
  return { addresses, end: align(end), top }
}

/** The most bytes that are alive at once, less what of them may lie over others: no arrangement takes less. */
export const lowerBound = (buffers: readonly Lifetime[], overs: readonly Over[] = []): number => peakOf(buffers, overs).bytes

/** The same, and the first call during which it is so. */
export function peakOf(buffers: readonly Lifetime[], overs: readonly Over[] = []): { bytes: number; call: number } {
  const at = new Map<number, number>()
  const change = (call: number, bytes: number) => at.set(call, (at.get(call) ?? 0) + bytes)
  for (const { bytes, first, last } of buffers) {
    change(first, align(bytes))
    change(last + 1, -align(bytes))
  }
  // Of y at most what is not before x lies over it; so of all that y may lie over.
  const shared = new Map<number, Over[]>()
  for (const over of overs) shared.set(over.y, [...(shared.get(over.y) ?? []), over])
  for (const [y, list] of shared) {
    const whole = align(buffers[y].bytes)
    const most = (distance: number) => Math.max(0, whole - Math.max(0, align(distance)))
    const first = Math.min(...list.map(({ x }) => Math.max(buffers[x].first, buffers[y].first)))
    const last = Math.max(...list.map(({ x }) => Math.min(buffers[x].last, buffers[y].last)))
    const sum = list.reduce((all, { x, distance }) => all + Math.min(align(buffers[x].bytes), most(distance)), 0)
    const saved = Math.min(sum, most(Math.min(...list.map((o) => o.distance))))
    change(first, -saved)
    change(last + 1, saved)
  }
  let live = 0
  const peak = { bytes: 0, call: 0 }
  for (const call of [...at.keys()].sort((a, b) => a - b)) {
    live += at.get(call) as number
    if (live > peak.bytes) Object.assign(peak, { bytes: live, call })
  }
  return peak
}
