// A value cut into pieces along an axis, and pieces put together: what Slice, Split, Gather, Concat and others come to.

import type { Node } from '../../graph/node'
import { concat } from '../../ops/concat'
import { slice } from '../../ops/slice'
import type { Call } from './call'
import { along, arrange, dimsOf, type Factor, plain, rejoined, shaped, type Traced, view } from './value'

/** Most pieces that one node is cut into, or put together of. */
export const MOST_PIECES = 4096

/** Every `step`-th of `n` elements along an axis, from `begin` on. */
export function cut(x: Traced, axis: number, begin: number, n: number, step: number): Traced {
  if (begin === 0 && step === 1 && n === dimsOf(x)[axis]) return x
  const where = along(x, axis)
  const [before, , after] = where.node.shape
  const node = slice({ begin: [0, begin, 0], size: [before, n, after], strides: [1, step, 1] })(where.node)
  return rejoined(x, axis, where, node)
}

/** Elements of an axis by their indices, in pieces that are evenly spaced. */
export function taken(c: Call, x: Traced, axis: number, indices: readonly number[]): Traced {
  const pieces: { begin: number; n: number; step: number }[] = []
  for (let i = 0; i < indices.length; ) {
    const step = i + 1 < indices.length ? indices[i + 1] - indices[i] || 1 : 1
    let n = 1
    while (i + n < indices.length && indices[i + n] - indices[i + n - 1] === step) n++
    pieces.push({ begin: indices[i], n, step })
    i += n
  }
  if (pieces.length > MOST_PIECES) return c.fail(`takes ${pieces.length} pieces; at most ${MOST_PIECES} are supported`)
  return joined(
    c,
    pieces.map(({ begin, n, step }) => cut(x, axis, begin, n, step)),
    axis,
  )
}

/** Values one after another along an axis. */
export function joined(c: Call, all: readonly Traced[], axis: number): Traced {
  if (all.length === 1) return all[0]
  // The first that has more than the axis says how the others lie.
  const guide = all.find((x) => x.node.op !== 'param' && x.axes[axis].length) ?? all.find((x) => x.node.op !== 'param') ?? all[0]
  const others = guide.axes.flatMap((f, i) => (i === axis ? [] : f))
  const { before } = along(guide, axis)
  const order = [...before, ...guide.memory.filter((f) => !guide.axes[axis].includes(f) && !before.includes(f))]
  const nodes = all.map((x) => {
    const own = x.axes.flatMap((f, i) => (i === axis ? [] : f))
    const same = own.length === others.length && own.every((f, i) => f.size === others[i].size)
    if (!same) return undefined
    const mine = order.map((f) => own[others.indexOf(f)])
    const at = before.length
    const node = arrange(x, [...mine.slice(0, at), ...x.axes[axis], ...mine.slice(at)])
    const product = (factors: readonly Factor[]) => factors.reduce((n, f) => n * f.size, 1)
    return shaped(node, [product(mine.slice(0, at)), product(x.axes[axis]), product(mine.slice(at))])
  })
  if (nodes.every((n) => n !== undefined)) {
    const after = order.slice(before.length)
    return rejoined(guide, axis, { before, after }, concat({ axis: 1 })(...(nodes as Node[])))
  }
  const flat = all.map((x) => view(plain(x), dimsOf(x), x))
  const dims = dimsOf(all[0])
  if (flat.some((x) => dimsOf(x).some((d, i) => i !== axis && d !== dims[i])))
    return c.fail(`values of shapes ${all.map((x) => `[${dimsOf(x)}]`).join(', ')} do not go together along axis ${axis}`)
  return joined(c, flat, axis)
}
