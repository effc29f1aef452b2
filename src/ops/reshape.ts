// reshape: the same values in the same memory under another shape. flatten is the reshape to a vector.

import { DunlinError } from '../graph/error'
import { type Layer, type Shape, size } from '../graph/node'
import { expectInputs, makeNode, type Op, where } from './op'

/** The same values under another shape with as many elements. */
export function reshape(options: { shape: Shape; name?: string }): Layer {
  return (x) =>
    makeNode(reshapeOp, { op: 'reshape', name: options.name ?? '', attrs: { shape: [...options.shape] }, inputs: [x] })
}

/** x [any shape] -> [number of its elements]. */
export function flatten(options: { name?: string } = {}): Layer {
  return (x) => reshape({ ...options, shape: [size(x.shape)] })(x)
}

export const reshapeOp: Op<{ shape: Shape }> = {
  shape(node) {
    expectInputs(node, 1, 'x')
    const { shape } = node.attrs
    const from = node.inputs[0].shape
    if (!Array.isArray(shape) || size(shape) !== size(from)) {
      throw new DunlinError(
        `${where(node)}: [${from}] has ${size(from)} elements, [${shape}] has not. A reshape keeps their number.`,
      )
    }
    return shape
  },
  alias: true,
  int8: { quant: 'input', forward() {} },
}
