// Which parts of a network are computed by bands of rows (bands.ts), so that it needs the least memory: found by trying. What a try would
// need at least is estimated from the graph alone, with the planner's own bound; tries are gone on from where they take the most (a beam
// search), and the best few are planned.

import { BYTES, isInput, isParam, type Node, size } from '../graph/node'
import { type Lifetime, type Over, peakOf, usage } from './arena'
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
  const draftOf = (parts: readonly Part[]): Draft => ({
    parts,
    bytes: inUse.reduce(
      (most, bytes, at) => (bytes > most && !parts.some((p) => p.from <= at && at <= p.to) ? bytes : most),
      parts.reduce((most, p) => Math.max(most, p.least), 0),
    ),
    cost: parts.reduce((sum, p) => sum + p.cost, 0) / network.macs,
    calls: parts.reduce((sum, p) => sum + p.bands * p.banded.nodes.length, 0),
  })
  const stateOf = (draft: Draft): State => ({ ...draft, ...estimate(network, draft.parts, needs) })
  const known = new Map<string, State>()
  const knownOf = (draft: Draft): State => {
    const key = draft.parts
      .map(({ from, to, banded }) => `${from} ${to} ${banded.rows}`)
      .sort()
      .join()
    const state = known.get(key) ?? stateOf(draft)
    known.set(key, state)
    return state
  }
  const first = knownOf(draftOf([]))
  const found: State[] = []
  const around = new Map<number, Part[]>()
  const partsAt = (node: number) => {
    const parts = around.get(node) ?? partsAround(network, node, needs)
    around.set(node, parts)
    return parts
  }
  for (let round = 0, states = [first]; round < ROUNDS && states.length; round++) {
    const drafts = states.flatMap((state) =>
      partsAt(state.node)
        .filter(({ least }) => least < state.bytes)
        .map((part) => ({
          from: state,
          draft: draftOf([...state.parts.filter((p) => part.to < p.from || p.to < part.from), part]),
        }))
        .filter(({ draft }) => draft.cost <= recompute),
    )
    drafts.sort((a, b) => better(a.draft, b.draft))
    states = []
    for (const { from, draft } of drafts) {
      // A state weighs no less than its draft, and so do those of the drafts from here on.
      if (states.length === KEPT && better(states[KEPT - 1], draft) < 0) break
      const state = knownOf(draft)
      // Of several nodes that take the most, one is dealt with after the other.
      if (state.bytes > from.bytes || (state.bytes === from.bytes && state.node <= from.node)) continue
      states = [...states, state].sort(better).slice(0, KEPT)
    }
    found.push(...states)
  }
  const promising = [first, ...[...new Set(found)].sort(better).slice(0, PLANNED)].sort(better)
  let best: (State & { planned: P }) | undefined
  for (const state of promising) {
    // None takes less than was estimated, which leaves out only what adds to it.
    if (best && better(best, state) <= 0) break
    const planned = plan(state.parts.map((p) => p.banded))
    const real = { ...state, bytes: planned.bytes, planned }
    if (!best || better(real, best) < 0) best = real
  }
  return best!.planned
}

/** Parts of a network by bands: the bytes that it takes at the very least, what it repeats of the network, and calls. */
interface Draft {
  parts: readonly Part[]
  bytes: number
  cost: number
  calls: number
}

/** The same with about the bytes that it takes, and the node at which it does. */
interface State extends Draft {
  node: number
}

/** Memory counts most; but not if it is bought with as large a share of the time, or with more code than that. */
const weight = ({ bytes, cost, calls }: Draft) => bytes * (1 + cost) + CALL * calls
const better = (a: Draft, b: Draft) => weight(a) - weight(b)

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
  /** Bytes that it takes at the very least. */
  least: number
  /** Bytes of the values that live for a band. */
  bytes: ReadonlyMap<Node, number>
  overs: readonly Overlying[]
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
function partsAround({ nodes, values, geometry }: Network, at: number, needs: Needs): Part[] {
  const parts: Part[] = []
  for (let from = Math.min(at, nodes.length - 1); from >= 0; from--) {
    for (let to = at; to < Math.min(nodes.length, from + LONGEST); to++) {
      const within = nodes.slice(from, to + 1)
      const last = within[within.length - 1]
      const inside = new Set(within.slice(0, -1))
      if (!within.every(geometry.reachOf)) break
      if ([...inside].some((n) => values.get(n)!.last > to)) continue
      const sources = sourcesOf({ nodes: within, rows: 1 }, geometry)
      const least = Math.max(bytesOf(last), ...sources.map(bytesOf))
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
        parts.push({ banded, bands: bands.length, from, to, least, bytes, overs, cost: repeatedMacs(banded, bands, geometry) })
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

/** About how many bytes the network takes, and the node at which it takes them. */
function estimate(network: Network, parts: readonly Part[], needs: Needs) {
  const { lives, overs } = livesOf(network, parts, needs)
  const { bytes, call } = peakOf(lives, overs)
  return { bytes, node: call }
}

/** About how many bytes are in use at each node without bands. Bands elsewhere make other values live longer, so they never take less. */
function usageOf(network: Network, needs: Needs): number[] {
  const { lives, overs } = livesOf(network, [], needs)
  return network.nodes.map((_, at) => usage(lives, overs)(at))
}

function livesOf({ nodes, values, overs: overlying }: Network, parts: readonly Part[], needs: Needs) {
  const partOf = nodes.map((_, at) => parts.find((p) => p.from <= at && at <= p.to))
  const lives: Lifetime[] = []
  const index = new Map<Node, number>()
  for (const [node, { first, last }] of values) {
    const made = partOf[first]
    const bytes = made?.bytes.get(node)
    index.set(node, lives.length)
    if (bytes !== undefined) lives.push({ bytes, first, last })
    else {
      const read = partOf[last]
      lives.push({ bytes: bytesOf(node), first: made?.from ?? first, last: read && read !== made ? read.to : last })
    }
  }
  nodes.forEach((node, at) => {
    const bytes = needs(node, partOf[at] !== undefined).scratch
    if (bytes) lives.push({ bytes, first: at, last: at })
  })
  const overs: Over[] = []
  const add = ({ y, x, distance }: Overlying) => overs.push({ y: index.get(y)!, x: index.get(x)!, distance })
  for (const part of parts) part.overs.forEach(add)
  nodes.forEach((_, at) => {
    if (!partOf[at]) overlying[at].forEach(add)
  })
  return { lives, overs }
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
