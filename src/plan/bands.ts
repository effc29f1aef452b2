// Part of a network computed by bands of rows: for some rows of its last value, all that they need of the values before, then for the next
// rows. Values between are then only as high as a band, but rows at the seams are computed twice. (Lin et al., "MCUNetV2: Memory-Efficient
// Patch-based Inference for Tiny Deep Learning", 2021, with patches as wide as the image.)

import { isParam, type Node, size } from '../graph/node'
import { opOf } from '../ops'

/** Nodes in order of computation, of which only the last is read by others, computed for `rows` rows of that last one at a time. */
export interface Banded {
  nodes: readonly Node[]
  rows: number
}

/** Rows [top, end) of each value that a band computes or reads. */
export type Rows = Map<Node, readonly [top: number, end: number]>

/** Elements of a row of an image. */
export const rowOf = (node: Node): number => size(node.shape.slice(1))

/** What each band needs; undefined where a node cannot be computed by rows. `rootOf`: the node whose memory a value is in. */
export function bandsOf({ nodes, rows: each }: Banded, rootOf: (node: Node) => Node): Rows[] | undefined {
  const last = nodes[nodes.length - 1]
  const height = last.shape[0]
  const bands: Rows[] = []
  for (let top = 0; top < height; top += each) {
    const rows: Rows = new Map([[last, [top, Math.min(top + each, height)]]])
    for (const node of [...nodes].reverse()) {
      const wanted = rows.get(node)
      const reach = wanted && opOf(node.op)?.int8?.reach?.(node, ...wanted)
      if (!reach || node.dtype !== 'i8' || node.shape.length !== 3) return undefined
      for (const x of node.inputs) {
        if (isParam(x)) continue
        const of = rootOf(x)
        if (of.shape.join() !== x.shape.join()) return undefined
        const before = rows.get(of) ?? reach
        rows.set(of, [Math.min(before[0], reach[0]), Math.max(before[1], reach[1])])
      }
    }
    bands.push(rows)
  }
  return bands
}

/** Values that the bands read and do not compute. */
export function sourcesOf({ nodes }: Banded, rootOf: (node: Node) => Node): Node[] {
  const own = new Set(nodes)
  return [...new Set(nodes.flatMap((n) => n.inputs.filter((x) => !isParam(x)).map(rootOf)))].filter((x) => !own.has(x))
}

/**
 * How many elements the last value must begin before `source` to lie over it: what a band writes of it may reach no further than where the
 * bands from then on begin to read.
 */
export function bandDistance({ nodes }: Banded, bands: readonly Rows[], source: Node, rootOf: (node: Node) => Node): number {
  const last = nodes[nodes.length - 1]
  // Where the last node itself reads the source, its writes and reads alternate.
  const alternate = last.inputs.some((x) => rootOf(x) === source)
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

/** Multiply-accumulates of the nodes, computed by bands. */
export function macsOf({ nodes }: Banded, bands: readonly Rows[]): number {
  return nodes.reduce((sum, node) => {
    const rows = bands.reduce((all, band) => all + band.get(node)![1] - band.get(node)![0], 0)
    return sum + ((opOf(node.op)?.macs?.(node) ?? 0) * rows) / node.shape[0]
  }, 0)
}
