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
  const least = lowerBound(buffers, overs)
  const sizes = buffers.map((b) => align(b.bytes))
  const inOrder = (before: (a: Lifetime, b: Lifetime) => number) =>
    buffers.map((_, i) => i).sort((a, b) => before(buffers[a], buffers[b]) || a - b)
  const orders = [
    inOrder((a, b) => b.bytes - a.bytes || a.first - b.first),
    inOrder((a, b) => a.first - b.first || b.bytes - a.bytes),
  ]
  // What lies over another begins before it: a chain of such is placed from its end on, or from its beginning on and from the top.
  if (overs.length) orders.push(inOrder((a, b) => b.last - a.last || b.bytes - a.bytes))
  const upwards = distancesOf(buffers, sizes, overs)
  const sides = overs.length ? [upwards, mirrored(upwards, sizes)] : [upwards]
  let best = { addresses: [] as number[], end: Number.POSITIVE_INFINITY }
  for (const [side, distances] of sides.entries()) {
    for (const first of orders) {
      let order = first
      for (let round = 0; round <= ROUNDS && best.end > least; round++) {
        const { addresses, end, top } = place(sizes, order, distances)
        if (end < best.end) best = { addresses: side ? addresses.map((a, i) => end - a - sizes[i]) : addresses, end }
        order = [top, ...order.filter((i) => i !== top)]
      }
    }
  }
  return { addresses: best.addresses.map((a) => base + a), end: base + best.end }
}

/** Of a buffer: which others live while it does, how far it must begin behind such a one, or that one behind it. */
type Distances = { other: number; behind: number; before: number }[][]

function distancesOf(buffers: readonly Lifetime[], sizes: readonly number[], overs: readonly Over[]): Distances {
  const known = new Map(overs.map(({ y, x, distance }) => [x * buffers.length + y, align(distance)]))
  const behind = (i: number, j: number) => Math.min(sizes[j], known.get(i * buffers.length + j) ?? Number.POSITIVE_INFINITY)
  return buffers.map((a, i) =>
    buffers.flatMap((b, j) =>
      i === j || a.first > b.last || b.first > a.last ? [] : [{ other: j, behind: behind(i, j), before: behind(j, i) }],
    ),
  )
}

/** The same for addresses counted from the top down, from where a buffer ends. */
const mirrored = (distances: Distances, sizes: readonly number[]): Distances =>
  distances.map((list, i) =>
    list.map(({ other, behind, before }) => {
      const longer = sizes[i] - sizes[other]
      return { other, behind: before - longer, before: behind + longer }
    }),
  )

/** Places the buffers in this order. `top` is one that nothing lies above. */
function place(sizes: readonly number[], order: readonly number[], distances: Distances) {
  const addresses = new Array<number>(sizes.length).fill(-1)
  let end = 0
  let top = 0
  for (const i of order) {
    // Addresses between `low` and `high` collide.
    const taken: { low: number; high: number }[] = []
    for (const { other, behind, before } of distances[i]) {
      const address = addresses[other]
      if (address >= 0) taken.push({ low: address - before, high: address + behind })
    }
    taken.sort((a, b) => a.low - b.low)
    let at = 0
    for (const { low, high } of taken) {
      if (at <= low) break
      if (at < high) at = high
    }
    addresses[i] = at
    if (at + sizes[i] > end) {
      end = at + sizes[i]
      top = i
    }
  }
  return { addresses, end, top }
}

/** The most bytes that are alive at once, less what of them may lie over others: no arrangement takes less. */
export const lowerBound = (buffers: readonly Lifetime[], overs: readonly Over[] = []): number =>
  changes(buffers, overs).live.reduce((most, live) => Math.max(most, live), 0)

/** The bytes that are alive during a call, less what of them may lie over others. */
export function usage(buffers: readonly Lifetime[], overs: readonly Over[] = []): (call: number) => number {
  const { from, live } = changes(buffers, overs)
  return (call) => live[call - from] ?? 0
}

/** How many bytes are alive during each call from `from` on. */
function changes(buffers: readonly Lifetime[], overs: readonly Over[]): { from: number; live: Float64Array } {
  const from = buffers.reduce((least, { first }) => Math.min(least, first), 0)
  const to = buffers.reduce((most, { last }) => Math.max(most, last), 0) + 1
  const at = new Float64Array(to - from + 1)
  const change = (first: number, last: number, bytes: number) => {
    at[first - from] += bytes
    at[last + 1 - from] -= bytes
  }
  for (const { bytes, first, last } of buffers) change(first, last, align(bytes))
  // Of y at most what is not before x lies over it; so of all that y may lie over.
  const shared = new Map<number, Over[]>()
  for (const over of overs) {
    const list = shared.get(over.y)
    if (list) list.push(over)
    else shared.set(over.y, [over])
  }
  for (const [y, list] of shared) {
    const whole = align(buffers[y].bytes)
    const most = (distance: number) => Math.max(0, whole - Math.max(0, align(distance)))
    const { first: begin, last: end } = buffers[y]
    const first = list.reduce((least, { x }) => Math.min(least, Math.max(buffers[x].first, begin)), Number.POSITIVE_INFINITY)
    const last = list.reduce((latest, { x }) => Math.max(latest, Math.min(buffers[x].last, end)), Number.NEGATIVE_INFINITY)
    const sum = list.reduce((all, { x, distance }) => all + Math.min(align(buffers[x].bytes), most(distance)), 0)
    const least = list.reduce((least, { distance }) => Math.min(least, distance), Number.POSITIVE_INFINITY)
    change(first, last, -Math.min(sum, most(least)))
  }
  for (let i = 1; i < at.length; i++) at[i] += at[i - 1]
  return { from, live: at }
}
