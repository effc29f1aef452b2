// Which parts of a network are computed by bands of rows (bands.ts), so that it needs the least memory: found by trying. What a try would
// need is estimated from the graph alone, with the planner's own bound; tries are gone on from where they take the most (a beam search), and
// the best few are planned.

import { BYTES, isInput, isParam, type Node, size } from '../graph/node'
import { type Lifetime, type Over, peakOf } from './arena'
import { type Banded, bandDistance, bandsOf, type Geometry, geometryOf, type Rows, repeatedMacs, rowOf, sourcesOf } from './bands'

/** Bytes that a node takes beside its value, and whether its value may lie over one that it reads; alone, or in bands. */
export type Needs = (node: Node, inBands: boolean) => { scratch: number; over: boolean }

/** Values of more than this many nodes after one another are not computed by bands: what is computed twice adds up. */
const LONGEST = 16
/** How many tries of a round are gone on from, for how many rounds, and how many of all are planned. */
const KEPT = 4
const ROUNDS = 8
const PLANNED = 4
/** About how many bytes of code a call takes. */
const CALL = 16

/**
 * The parts of the network to compute by bands, for the least memory that costs at most `recompute` times the multiply-accumulates of the
 * network besides; of equals those that cost least. `order`: all nodes; `rootOf`: the node whose memory a value is in; `plan` tries.
 */
export function choosePatches(
  order: readonly Node[],
  outputs: readonly Node[],
  rootOf: (node: Node) => Node,
  needs: Needs,
  recompute: number,
  plan: (banded: readonly Banded[]) => { bytes: number },
): readonly Banded[] {
  const network = networkOf(order, outputs, rootOf)
  const stateOf = (parts: readonly Part[]): State => {
    const { bytes, node } = estimate(network, parts, needs)
    const cost = parts.reduce((sum, p) => sum + p.cost, 0) / network.macs
    const calls = parts.reduce((sum, p) => sum + p.bands.length * p.banded.nodes.length, 0)
    return { parts, bytes, node, cost, calls }
  }
  const first = stateOf([])
  const found: State[] = []
  for (let round = 0, states = [first]; round < ROUNDS && states.length; round++) {
    const next = states.flatMap((state) =>
      partsAround(network, state.node, state.bytes)
        .map((part) => stateOf([...state.parts.filter((p) => part.to < p.from || p.to < part.from), part]))
        .filter(({ bytes, cost }) => bytes < state.bytes && cost <= recompute),
    )
    states = next.sort(better).slice(0, KEPT)
    found.push(...states)
  }
  const tried = [first, ...found.sort(better).slice(0, PLANNED)].map((state) => ({
    ...state,
    bytes: plan(state.parts.map((p) => p.banded)).bytes,
  }))
  return tried.sort(better)[0].parts.map((p) => p.banded)
}

/** Parts of a network by bands: the bytes that it takes, the node at which it does, what it repeats of the network, and calls. */
interface State {
  parts: readonly Part[]
  bytes: number
  node: number
  cost: number
  calls: number
}

/** Memory counts most; but not if it is bought with as large a share of the time, or with more code than that. */
const weight = ({ bytes, cost, calls }: State) => bytes * (1 + cost) + CALL * calls
const better = (a: State, b: State) => weight(a) - weight(b)

interface Network {
  /** What is computed, in order. */
  nodes: readonly Node[]
  /** Every value, with the first and the last of these nodes that touch it. */
  values: ReadonlyMap<Node, { first: number; last: number }>
  macs: number
  geometry: Geometry
}

/** Nodes [from, to] by bands. */
interface Part {
  banded: Banded
  bands: readonly Rows[]
  from: number
  to: number
  /** Multiply-accumulates that are done more than once. */
  cost: number
}

const bytesOf = (node: Node) => size(node.shape) * BYTES[node.dtype]

function networkOf(order: readonly Node[], outputs: readonly Node[], rootOf: (node: Node) => Node): Network {
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
  return { nodes, values, macs, geometry }
}

/** All parts with node `at` in them that could need less than `bytes`. */
function partsAround({ nodes, values, geometry }: Network, at: number, bytes: number): Part[] {
  const parts: Part[] = []
  for (let from = Math.min(at, nodes.length - 1); from >= 0; from--) {
    for (let to = at; to < Math.min(nodes.length, from + LONGEST); to++) {
      const within = nodes.slice(from, to + 1)
      const inner = within.slice(0, -1)
      if (inner.some((n) => values.get(n)!.last > to)) continue
      const last = within[within.length - 1]
      if (bytesOf(last) >= bytes) continue
      if (!within.every(geometry.reachOf)) break
      for (const rows of heights(last.shape[0])) {
        const banded = { nodes: within, rows }
        const bands = bandsOf(banded, geometry)!
        parts.push({ banded, bands, from, to, cost: repeatedMacs(banded, bands, geometry) })
      }
    }
  }
  return parts
}

/** Heights of bands, of which each makes another number of them. */
function heights(height: number): number[] {
  const found = new Map<number, number>()
  for (let rows = Math.ceil(height / 2); rows >= 1; rows--) found.set(Math.ceil(height / rows), rows)
  return [...found.values()]
}

/** About how many bytes the network takes, and the node at which it takes them. */
function estimate({ nodes, values, geometry }: Network, parts: readonly Part[], needs: Needs) {
  const partOf = (at: number) => parts.find((p) => p.from <= at && at <= p.to)
  const lives: Lifetime[] = []
  const index = new Map<Node, number>()
  for (const [node, { first, last }] of values) {
    const made = partOf(first)
    index.set(node, lives.length)
    if (made && first < made.to) {
      const height = Math.max(...made.bands.map((rows) => rows.get(node)![1] - rows.get(node)![0]))
      lives.push({ bytes: height * rowOf(node) * BYTES[node.dtype], first, last })
    } else {
      const read = partOf(last)
      lives.push({ bytes: bytesOf(node), first: made?.from ?? first, last: read && read !== made ? read.to : last })
    }
  }
  nodes.forEach((node, at) => {
    const bytes = needs(node, partOf(at) !== undefined).scratch
    if (bytes) lives.push({ bytes, first: at, last: at })
  })
  const overs: Over[] = []
  const lies = (y: Node, x: Node, distance: number) => {
    if (x.dtype === y.dtype) overs.push({ y: index.get(y)!, x: index.get(x)!, distance: distance * BYTES[y.dtype] })
  }
  for (const { banded, bands } of parts) {
    const last = banded.nodes[banded.nodes.length - 1]
    for (const source of sourcesOf(banded, geometry)) {
      if (values.get(source)!.last <= values.get(last)!.first) lies(last, source, bandDistance(banded, bands, source, geometry))
    }
  }
  nodes.forEach((node, at) => {
    const part = partOf(at)
    // A band in the middle stands for all.
    const rows = part?.bands[Math.min(1, part.bands.length - 1)]
    for (const x of geometry.readsOf(node)) {
      if (values.get(x)!.last !== at) continue
      const inner = part && part.from <= values.get(x)!.first && at < part.to
      if (part && !inner) continue
      const distance = needs(node, part !== undefined).over ? distanceOver(node, x, geometry, rows) : undefined
      if (distance !== undefined) lies(node, x, distance)
    }
  })
  const { bytes, call } = peakOf(lives, overs)
  return { bytes, node: call }
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
