// Which parts of a network are computed by bands of rows (bands.ts), so that it needs the least memory: found by trying. What a try would
// need is estimated from the graph alone, with the planner's own bound; the best few are then planned.

import { BYTES, isInput, isParam, type Node, size } from '../graph/node'
import { type Lifetime, type Over, peakOf } from './arena'
import { type Banded, bandDistance, bandsOf, type Geometry, geometryOf, type Rows, repeatedMacs, rowOf, sourcesOf } from './bands'

/** Bytes that a node takes beside its value, and whether its value may lie over one that it reads; alone, or in bands. */
export type Needs = (node: Node, inBands: boolean) => { scratch: number; over: boolean }

/** Values of more than this many nodes after one another are not computed by bands: what is computed twice adds up. */
const LONGEST = 16
/** Tries that are planned in a round. */
const PLANNED = 4
const ROUNDS = 12

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
  const limit = recompute * network.macs
  let chosen: readonly Part[] = []
  let least = plan([])
  for (let round = 0; round < ROUNDS; round++) {
    const now = estimate(network, chosen, needs)
    const tries = partsAround(network, now.node, now.bytes)
      .map((part) => [...chosen.filter((c) => part.to < c.from || c.to < part.from), part])
      .filter((parts) => costOf(parts) <= limit)
      .map((parts) => ({ parts, bytes: estimate(network, parts, needs).bytes, cost: costOf(parts), calls: callsOf(parts) }))
      .filter(({ bytes }) => bytes < now.bytes)
      .sort((a, b) => a.bytes - b.bytes || a.cost - b.cost || a.calls - b.calls)
    let better: readonly Part[] | undefined
    for (const { parts } of tries.slice(0, PLANNED)) {
      const trial = plan(parts.map((p) => p.banded))
      if (trial.bytes >= least.bytes) continue
      least = trial
      better = parts
    }
    if (!better) break
    chosen = better
  }
  return chosen.map((p) => p.banded)
}

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

const costOf = (parts: readonly Part[]) => parts.reduce((sum, p) => sum + p.cost, 0)
const callsOf = (parts: readonly Part[]) => parts.reduce((sum, p) => sum + p.bands.length * p.banded.nodes.length, 0)
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
