// Which parts of a network are computed by bands of rows (bands.ts), so that it needs the least memory: found by trying. What a try would
// need at least is estimated from the graph alone, with the planner's own bound; tries are gone on from where they take the most (a beam
// search), and the best few are planned.

import { BYTES, isInput, isParam, type Node, size } from '../graph/node'
import { type Lifetime, type Over, usage } from './arena'
import { type Banded, bandDistance, bandsOf, type Geometry, geometryOf, type Rows, repeatedMacs, rowOf, sourcesOf } from './bands'

/** Bytes that a node takes beside its value, and whether its value may lie over one that it reads; alone, or in bands. */
export type Needs = (node: Node, inBands: boolean) => { scratch: number; over: boolean }

/** Values of more than this many nodes after one another are not computed by bands: what is computed twice adds up. */
const LONGEST = 16
/** How many tries of a round are gone on from, for how many rounds, and how many of all are planned. */
const KEPT = 3
const ROUNDS = 16
const PLANNED = 4
/** What a call weighs: about 25 bytes of code, and an interpreter takes three bytes of RAM for each. */
const CALL = 75

/**
 * The plan with the parts of the network by bands that takes the least memory and costs at most `recompute` times the multiply-accumulates
 * of the network besides; of equals that which costs least. `order`: all nodes; `rootOf`: the node whose memory a value is in; `plan` tries.
 */
export function choosePatches<P extends { bytes: number }>(
  order: readonly Node[],
  outputs: readonly Node[],
  rootOf: (node: Node) => Node,
  needs: Needs,
  recompute: number,
  plan: (banded: readonly Banded[]) => P,
): P {
  const network = networkOf(order, outputs, rootOf, needs)
  const inUse = usageOf(network, needs)
  // Bands make other values live longer, but only while they are computed: what is in use at other nodes stays the same.
  const stateOf = (parts: readonly Part[]): State => {
    let peak = { bytes: 0, node: 0 }
    const take = (other: Peak) => {
      if (other.bytes > peak.bytes || (other.bytes === peak.bytes && other.node < peak.node)) peak = other
    }
    inUse.forEach((bytes, node) => {
      if (!parts.some((p) => p.from <= node && node <= p.to)) take({ bytes, node })
    })
    for (const part of parts) take(part.peak)
    const cost = parts.reduce((sum, p) => sum + p.cost, 0) / network.macs
    const calls = parts.reduce((sum, p) => sum + p.bands * p.banded.nodes.length, 0)
    return { parts, cost, calls, node: peak.node, ...weighed({ bytes: peak.bytes, cost, calls }) }
  }
  const first = stateOf([])
  const found = new Map<string, State>()
  const around = new Map<number, Part[]>()
  const partsAt = (node: number) => {
    const parts = around.get(node) ?? partsAround(network, node, needs)
    around.set(node, parts)
    return parts
  }
  for (let round = 0, states = [first]; round < ROUNDS && states.length; round++) {
    const tries = states.flatMap((from) =>
      partsAt(from.node)
        .filter(({ peak }) => peak.bytes <= from.bytes)
        .map((part) => stateOf([...from.parts.filter((p) => part.to < p.from || p.to < part.from), part]))
        // Of several nodes that take the most, one is dealt with after the other.
        .filter(({ bytes, node }) => bytes < from.bytes || (bytes === from.bytes && node > from.node))
        .filter(({ cost }) => cost <= recompute),
    )
    const best = new Map<string, State>()
    for (const state of tries.sort(better)) {
      if (best.size === KEPT) break
      const key = keyOf(state)
      if (!best.has(key)) best.set(key, state)
    }
    for (const [key, state] of best) found.set(key, state)
    states = [...best.values()]
  }
  const promising = [first, ...[...found.values()].sort(better).slice(0, PLANNED)].sort(better)
  let best: (State & { planned: P }) | undefined
  for (const state of promising) {
    // None takes less than was estimated, which leaves out only what adds to it.
    if (best && better(best, state) <= 0) break
    const planned = plan(state.parts.map((p) => p.banded))
    const real = { ...state, ...weighed({ ...state, bytes: planned.bytes }), planned }
    if (!best || better(real, best) < 0) best = real
  }
  return best!.planned
}

/** About how many bytes are in use at most, and at which node. */
interface Peak {
  bytes: number
  node: number
}

/** Parts of a network by bands: about what it takes, what it repeats of the network, and calls. */
interface State extends Peak {
  parts: readonly Part[]
  cost: number
  calls: number
  weight: number
}

/** Memory counts most; but not if it is bought with as large a share of the time, or with more code than that. */
const weighed = ({ bytes, cost, calls }: { bytes: number; cost: number; calls: number }) => ({
  bytes,
  weight: bytes * (1 + cost) + CALL * calls,
})
const better = (a: State, b: State) => a.weight - b.weight
const keyOf = ({ parts }: State) =>
  parts
    .map(({ from, to, banded }) => `${from} ${to} ${banded.rows}`)
    .sort()
    .join()

interface Network {
  /** What is computed, in order. */
  nodes: readonly Node[]
  /** Every value, with the first and the last of these nodes that touch it. */
  values: ReadonlyMap<Node, { first: number; last: number }>
  macs: number
  /** Of each node, when it is not part of bands: what its value may lie over. */
  overs: readonly (readonly Overlying[])[]
  geometry: Geometry
}

/** Value y may begin `distance` bytes before value x. */
interface Overlying {
  y: Node
  x: Node
  distance: number
}

/** Nodes [from, to] by bands. */
interface Part {
  banded: Banded
  bands: number
  from: number
  to: number
  /** While it is computed. */
  peak: Peak
  /** Multiply-accumulates that are done more than once. */
  cost: number
}

const bytesOf = (node: Node) => size(node.shape) * BYTES[node.dtype]

function networkOf(order: readonly Node[], outputs: readonly Node[], rootOf: (node: Node) => Node, needs: Needs): Network {
  const nodes = order.filter((n) => !isInput(n) && !isParam(n) && rootOf(n) === n)
  const values = new Map<Node, { first: number; last: number }>()
  for (const node of order) if (isInput(node)) values.set(node, { first: -1, last: -1 })
  const geometry = geometryOf(rootOf)
  nodes.forEach((node, at) => {
    for (const x of geometry.readsOf(node)) values.get(x)!.last = at
    values.set(node, { first: at, last: at })
  })
  for (const node of outputs) values.get(rootOf(node))!.last = nodes.length
  const macs = nodes.reduce((sum, node) => sum + geometry.macsOf(node) * node.shape[0], 0)
  const overs = nodes.map((node, at) => (needs(node, false).over ? oversOf(node, at, values, geometry) : []))
  return { nodes, values, macs, overs, geometry }
}

/** All parts with node `at` in them. */
function partsAround(network: Network, at: number, needs: Needs): Part[] {
  const { nodes, values, geometry } = network
  const parts: Part[] = []
  for (let from = Math.min(at, nodes.length - 1); from >= 0; from--) {
    for (let to = at; to < Math.min(nodes.length, from + LONGEST); to++) {
      const within = nodes.slice(from, to + 1)
      const last = within[within.length - 1]
      const inside = new Set(within.slice(0, -1))
      if (!within.every(geometry.reachOf)) break
      if ([...inside].some((n) => values.get(n)!.last > to)) continue
      const sources = sourcesOf({ nodes: within, rows: 1 }, geometry)
      const passing = sources.filter((x) => values.get(x)!.last <= to && x.dtype === last.dtype)
      for (const rows of heights(last.shape[0])) {
        const banded = { nodes: within, rows }
        const bands = bandsOf(banded, geometry)!
        const bytes = new Map<Node, number>()
        for (const node of inside) {
          const height = bands.reduce((most, band) => Math.max(most, band.get(node)![1] - band.get(node)![0]), 0)
          bytes.set(node, height * rowOf(node) * BYTES[node.dtype])
        }
        // A band in the middle stands for all.
        const middle = bands[Math.min(1, bands.length - 1)]
        const overs = [...inside].flatMap((node, i) =>
          needs(node, true).over ? oversOf(node, from + i, values, geometry, middle, inside) : [],
        )
        for (const x of passing) {
          overs.push({ y: last, x, distance: bandDistance(banded, bands, x, geometry) * BYTES[last.dtype] })
        }
        const peak = peakDuring(network, from, to, bytes, overs, needs)
        parts.push({ banded, bands: bands.length, from, to, peak, cost: repeatedMacs(banded, bands, geometry) })
      }
    }
  }
  return parts
}

/** Heights of bands: each a third or so less than the one before, and makes more of them. */
function heights(height: number): number[] {
  const found: number[] = []
  for (let rows = Math.ceil(height / 2); rows >= 1; rows = Math.min(rows - 1, Math.ceil(rows * 0.7))) {
    const count = Math.ceil(height / rows)
    // As few rows as make that many bands.
    found.push(Math.ceil(height / count))
  }
  return [...new Set(found)]
}

/** About how many bytes are in use at each node without bands. */
function usageOf({ nodes, values, overs }: Network, needs: Needs): number[] {
  const lives = [...values].map(([node, life]) => ({ node, bytes: bytesOf(node), ...life }))
  const scratch = nodes.map((node, at) => ({ bytes: needs(node, false).scratch, first: at, last: at }))
  const used = usedBy(lives, scratch, overs.flat())
  return nodes.map((_, at) => used(at))
}

/** The same, and where, while nodes [from, to] are computed by bands; `own`: bytes of the values that live for a band. */
function peakDuring(
  { nodes, values }: Network,
  from: number,
  to: number,
  own: ReadonlyMap<Node, number>,
  overs: readonly Overlying[],
  needs: Needs,
): Peak {
  const lives: (Lifetime & { node: Node })[] = []
  for (const [node, life] of values) {
    if (life.first > to || life.last < from) continue
    const bytes = own.get(node)
    // What every band reads or writes lives through all.
    if (bytes === undefined)
      lives.push({ node, bytes: bytesOf(node), first: Math.min(life.first, from), last: Math.max(life.last, to) })
    else lives.push({ node, bytes, ...life })
  }
  const scratch = nodes.slice(from, to + 1).map((node, i) => {
    return { bytes: needs(node, true).scratch, first: from + i, last: from + i }
  })
  const used = usedBy(lives, scratch, overs)
  let peak = { bytes: 0, node: from }
  for (let node = from; node <= to; node++) {
    const bytes = used(node)
    if (bytes > peak.bytes) peak = { bytes, node }
  }
  return peak
}

function usedBy(values: readonly (Lifetime & { node: Node })[], scratch: readonly Lifetime[], overs: readonly Overlying[]) {
  const index = new Map(values.map(({ node }, i) => [node, i]))
  const places = overs.map(({ y, x, distance }): Over => ({ y: index.get(y)!, x: index.get(x)!, distance }))
  return usage([...values, ...scratch], places)
}

/** Which values of those that a node reads last its own may lie over; `rows`: of a band, in which only values of `inside` are its own. */
function oversOf(node: Node, at: number, values: Network['values'], geometry: Geometry, rows?: Rows, inside?: ReadonlySet<Node>) {
  return geometry.readsOf(node).flatMap((x): Overlying[] => {
    if (values.get(x)!.last !== at || x.dtype !== node.dtype || (inside && !inside.has(x))) return []
    const distance = distanceOver(node, x, geometry, rows)
    return distance === undefined ? [] : [{ y: node, x, distance: distance * BYTES[node.dtype] }]
  })
}

/** About how far the rows of a node's value begin before those of its input x, to lie over it; all rows, or those of a band. */
function distanceOver(node: Node, x: Node, { reachOf }: Geometry, rows?: Rows): number | undefined {
  const reach = reachOf(node)
  if (!reach) return undefined
  const [from, to] = rows?.get(node) ?? [0, node.shape[0]]
  const first = rows?.get(x)?.[0] ?? 0
  const [wide, read] = [rowOf(node), rowOf(x)]
  let most = Number.NEGATIVE_INFINITY
  for (let row = from; row <= to; row++) {
    const top = row < to ? reach(row, row + 1)[0] : reach(to - 1, to)[1]
    most = Math.max(most, (row - from) * wide - (top - first) * read)
  }
  return most
}
