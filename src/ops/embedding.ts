// embedding: a learned vector for each of a number of things, looked up by index.

import { DunlinError } from '../graph/error'
import { type Layer, type Node, type Param, param } from '../graph/node'
import { rowwise } from './calls'
import { type Emit, expectCount, expectInputs, expectShape, makeNode, type Op, where } from './op'

/**
 * x i32 [t], indices from 0 to count - 1 -> [t, units]: the row of each index. Begin with `input([t], { dtype: 'i32' })`. An index out of
 * range is taken as the nearest one in it.
 * Parameter: w [count, units], uniform with variance 1 / units, so that a row is about 1 long.
 */
export function embedding(options: { count: number; units: number; name?: string }): Layer {
  const { count, units, name = '' } = options
  let w: Param | undefined
  return (x) => {
    expectCount({ op: 'embedding', name }, 'count', count)
    expectCount({ op: 'embedding', name }, 'units', units)
    w ??= param('w', [count, units], { kind: 'glorotUniform', fanIn: units, fanOut: units })
    return makeNode(embeddingOp, { op: 'embedding', name, attrs: {}, inputs: [x, w] })
  }
}

export const embeddingOp: Op = {
  reads: ['i32', 'f32'],
  shape(node) {
    expectInputs(node, 2, 'x, w')
    const [x, w] = node.inputs
    if (x.dtype !== 'i32' || x.shape.length !== 1) {
      throw new DunlinError(
        `${where(node)}: wants indices i32 [t], got ${x.dtype} [${x.shape}]. Begin with input([t], { dtype: 'i32' }).`,
      )
    }
    expectShape(node, 'w', w.shape, [w.shape[0], w.shape[1]], 'The table is [count, units].')
    return [x.shape[0], w.shape[1]]
  },
  forward: (e, node) => forward(e, node, 'embedding_f32'),
  backward(e, node) {
    const [x, w] = node.inputs
    const dy = e.grad(node)
    const dw = e.grad(w)
    if (dy && dw) e.call('embedding_f32_dw', e.value(x), dy, dw, e.value(x).length, ...sizes(w.shape))
  },
  int8: { quant: 'weights', reads: ['i32', 'i8'], forward: (e, node) => forward(e, node, 'embedding_i8') },
}

function forward(e: Emit, node: Node, kernel: 'embedding_f32' | 'embedding_i8'): void {
  const [x, w] = node.inputs
  const [indices, table, y] = [x, w, node].map((of) => e.value(of))
  const units = w.shape[1]
  const part = (from: number, n: number) =>
    e.call(kernel, e.at(indices, from), table, e.at(y, from * units), n, ...sizes(w.shape))
  rowwise(e, indices.length, units, part)
}

const sizes = ([count, units]: readonly number[]) => [count, units] as const
