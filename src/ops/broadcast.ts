// broadcast: a value repeated along axes in which it is 1 or that it has not, to meet another one in a sum or a product.

import { DunlinError } from '../graph/error'
import { checkShape, type Node, type Shape } from '../graph/node'
import { type Block, expectThreeAxes, moveBackward, moveForward, moveInt8, stepsOf } from './move'
import { expectInputs, makeNode, type Op, where } from './op'

/**
 * x repeated to `shape` (default: that of `like`): axes are matched from the last one back, as NumPy does. There is one for each sample
 * where `like` or x has one for each: so a parameter meets values.
 */
export function broadcast(options: { shape?: Shape; name?: string } = {}): (x: Node, like: Node) => Node {
  const { name = '' } = options
  return (x, like) =>
    makeNode(broadcastOp, { op: 'broadcast', name, attrs: { shape: [...(options.shape ?? like.shape)] }, inputs: [x, like] })
}

export const broadcastOp: Op<{ shape: Shape }> = {
  shape(node) {
    expectInputs(node, 2, 'x, like')
    const { shape } = node.attrs
    const [{ shape: from }] = node.inputs
    if (!Array.isArray(shape)) throw new DunlinError(`${where(node)}: shape wants a list of sizes, got ${JSON.stringify(shape)}.`)
    checkShape(where(node), shape)
    expectThreeAxes(node, shape)
    const before = shape.length - from.length
    if (before < 0 || from.some((n, i) => n !== 1 && n !== shape[i + before])) {
      throw new DunlinError(
        `${where(node)}: [${from}] does not repeat into [${shape}]: counted from the last axis back, a size is the same or 1.`,
      )
    }
    return shape
  },
  forward: (e, node) => moveForward(e, node, node.inputs[0], repeated(node)),
  backward: (e, node) => moveBackward(e, node, node.inputs[0], repeated(node)),
  int8: { quant: 'input', forward: (e, node) => moveInt8(e, node, node.inputs[0], repeated(node)) },
}

/** Every element of y, from x with steps of 0 where it is repeated. */
function repeated({ inputs: [x], shape }: Node<{ shape: Shape }>): Block {
  const steps = stepsOf(x.shape)
  const before = shape.length - x.shape.length
  const from = shape.map((_, i) => (i < before || x.shape[i - before] === 1 ? 0 : steps[i - before]))
  return { shape, x: { at: 0, steps: from }, y: { at: 0, steps: stepsOf(shape) } }
}
