// matMul: the product of two matrices that are both computed, or of as many pairs of them as the axes in front count.

import { DunlinError } from '../graph/error'
import { type Node, type Shape, size } from '../graph/node'
import { type Buffer, type Emit, expectInputs, makeNode, type Op, rows, type Unshaped, where } from './op'

/** a [..., m, k] times b [..., k, n] -> [..., m, n]; the axes in front are the same in both. */
export function matMul(options: { name?: string } = {}): (a: Node, b: Node) => Node {
  return (a, b) => makeNode(matMulOp, { op: 'matMul', name: options.name ?? '', attrs: {}, inputs: [a, b] })
}

function productShape(node: Unshaped): Shape {
  expectInputs(node, 2, 'a, b')
  const [a, b] = node.inputs
  const fits = a.shape.length >= 2 && a.shape.length === b.shape.length && a.shape.slice(0, -2).every((n, i) => n === b.shape[i])
  if (!fits || a.shape.at(-1) !== b.shape.at(-2)) {
    throw new DunlinError(
      `${where(node)}: wants a [..., m, k] and b [..., k, n] with the same axes in front, got [${a.shape}] and [${b.shape}].`,
    )
  }
  const stored = node.inputs.find((x) => !x.batched)
  if (stored && node.inputs.some((x) => x.batched)) {
    throw new DunlinError(
      `${where(node)}: one side (${where(stored)}) has no value for each sample. Use dense, or a 1x1 conv2d, for a product with weights.`,
    )
  }
  return [...a.shape.slice(0, -1), b.shape[b.shape.length - 1]]
}

const sizesOf = (node: Node) => {
  const [m, n] = node.shape.slice(-2)
  return { m, n, k: node.inputs[0].shape[node.shape.length - 1], each: size(node.shape.slice(0, -2)) }
}

/** Steps along the rows and columns of the factors, as the kernel takes them. */
type Steps = readonly [am: number, ak: number, bk: number, bn: number]

/** Products [m][k] [k][n], of whatever is each of these here, added to y or not. */
function products(
  e: Emit,
  node: Node,
  [a, b, y]: readonly Buffer[],
  [m, n, k]: readonly [number, number, number],
  steps: Steps,
  add: 0 | 1,
): void {
  const part = (from: number, count: number) => {
    const at = [e.at(a, from * m * k), e.at(b, from * k * n), e.at(y, from * m * n)] as const
    e.call('matMul_f32', ...at, count, m, n, k, ...steps, add)
  }
  const count = rows(e, node) * sizesOf(node).each
  e.split(count, count * m * n * k, part)
}

export const matMulOp: Op = {
  shape: productShape,
  macs(node) {
    const { m, n, k, each } = sizesOf(node)
    return m * n * k * each
  },
  forward(e, node) {
    const { m, n, k } = sizesOf(node)
    const [a, b] = node.inputs.map((x) => e.value(x))
    products(e, node, [a, b, e.value(node)], [m, n, k], [k, 1, n, 1], 0)
  },
  backward(e, node) {
    const { m, n, k } = sizesOf(node)
    const [a, b] = node.inputs.map((x) => e.value(x))
    const dy = e.grad(node)
    if (!dy) return
    // da = dy b^T, db = a^T dy.
    const da = e.sink(node.inputs[0])
    if (da) products(e, node, [dy, b, da.dx], [m, k, n], [n, 1, 1, n], da.add)
    const db = e.sink(node.inputs[1])
    if (db) products(e, node, [a, dy, db.dx], [k, n, m], [1, k, n, 1], db.add)
  },
}
