// Part of a network computed by bands of rows: for some rows of its last value, all that they need of the values before, then for the next
// rows. Values between are then only as high as a band, but rows at the seams are computed twice. (Lin et al., "MCUNetV2: Memory-Efficient
// Patch-based Inference for Tiny Deep Learning", 2021, with patches as wide as the image.)

import { isParam, type Node, size } from '../graph/node'
import { opOf } from '../ops'
import type { Reach } from '../ops/op'

/** Nodes in order of computation, of which only the last is read by others, computed for `rows` rows of that last one at a time. */
export interface Banded {
  nodes: readonly Node[]
  rows: number
}

/** Rows [top, end) of each value that a band computes or reads. */
export type Rows = Map<Node, readonly [top: number, end: number]>

/** What is to be known of the nodes of a graph, found out once. */
export interface Geometry {
  /** The node whose memory a value is in. */
  rootOf(node: Node): Node
  /** Undefined where a node cannot be computed by rows. */
  reachOf(node: Node): Reach | undefined
  /** The values that a node reads; parameters are none. */
  readsOf(node: Node): readonly Node[]
  /** Multiply-accumulates of a row. */
  macsOf(node: Node): number
}

export function geometryOf(rootOf: (node: Node) => Node): Geometry {
  const readsOf = once((node) => [...new Set(node.inputs.filter((x) => !isParam(x)).map(rootOf))])
  const reachOf = once((node) => {
    const sameShapes = node.inputs.every((x) => isParam(x) || rootOf(x).shape.join() === x.shape.join())
    return node.dtype === 'i8' && node.shape.length === 3 && sameShapes ? opOf(node.op)?.int8?.reach?.(node) : undefined
  })
  const macsOf = once((node) => (opOf(node.op)?.macs?.(node) ?? 0) / node.shape[0])
  return { rootOf, readsOf, reachOf, macsOf }
}

function once<T>(of: (node: Node) => T): (node: Node) => T {
  const known = new Map<Node, T>()
  return (node) => {
    if (!known.has(node)) known.set(node, of(node))
    return known.get(node) as T
  }
}

/** Elements of a row of an image. */
export const rowOf = (node: Node): number => size(node.shape.slice(1))

/** What each band needs; undefined where a node cannot be computed by rows. */
export function bandsOf({ nodes, rows: each }: Banded, { reachOf, readsOf }: Geometry): Rows[] | undefined {
  if (!nodes.every(reachOf)) return undefined
  const height = nodes[nodes.length - 1].shape[0]
  return Array.from({ length: Math.ceil(height / each) }, (_, band) => {
    const rows: Rows = new Map([[nodes[nodes.length - 1], [band * each, Math.min((band + 1) * each, height)]]])
    for (let i = nodes.length - 1; i >= 0; i--) {
      const reach = reachOf(nodes[i])!(...rows.get(nodes[i])!)
      for (const x of readsOf(nodes[i])) {
        const before = rows.get(x) ?? reach
        rows.set(x, [Math.min(before[0], reach[0]), Math.max(before[1], reach[1])])
      }
    }
    return rows
  })
}

/** Values that the bands read and do not compute. */
export function sourcesOf({ nodes }: Banded, { readsOf }: Geometry): Node[] {
  const own = new Set(nodes)
  return [...new Set(nodes.flatMap(readsOf))].filter((x) => !own.has(x))
}

/**
 * How many elements the last value must begin before `source` to lie over it: what a band writes of it may reach no further than where the
 * bands from then on begin to read.
 */
export function bandDistance({ nodes }: Banded, bands: readonly Rows[], source: Node, { readsOf }: Geometry): number {
  const last = nodes[nodes.length - 1]
  // Where the last node itself reads the source, its writes and reads alternate.
  const alternate = readsOf(last).includes(source)
  let most = Number.NEGATIVE_INFINITY
  let read = Number.POSITIVE_INFINITY
  for (const rows of [...bands].reverse()) {
    const written = rows.get(last)![1] * rowOf(last)
    const top = rows.get(source)![0] * rowOf(source)
    if (!alternate) most = Math.max(most, written - read)
    read = Math.min(read, top)
    if (alternate) most = Math.max(most, written - read)
  }
  return most
}

/** Multiply-accumulates that the bands do more than once. */
export function repeatedMacs({ nodes }: Banded, bands: readonly Rows[], { macsOf }: Geometry): number {
  return nodes.reduce((sum, node) => {
    const macs = macsOf(node)
    if (!macs) return sum
    const rows = bands.reduce((all, band) => all + band.get(node)![1] - band.get(node)![0], 0)
    return sum + macs * (rows - node.shape[0])
  }, 0)
}
