// concat: values one after another along an axis, for instance the channels of several branches.

import { DunlinError } from '../graph/error'
import { type Node, size } from '../graph/node'
import { type Block, moveBackward, moveForward, moveInt8, stepsOf } from './move'
import { expectShape, makeNode, type Op, where } from './op'

/**
 * Any number of values that differ in the size of one axis only, one after another along it. `axis` counts the axes of one sample; below
 * 0 from the last one back; default -1: the channels.
 */
export function concat(options: { axis?: number; name?: string } = {}): (...nodes: Node[]) => Node {
  const { axis = -1, name = '' } = options
  return (...nodes) => {
    const fromFront = axis < 0 ? axis + (nodes[0]?.shape.length ?? 0) : axis
    return makeNode(concatOp, { op: 'concat', name, attrs: { axis: fromFront }, inputs: nodes })
  }
}

export const concatOp: Op<{ axis: number }> = {
  shape(node) {
    const { axis } = node.attrs
    const [first, ...others] = node.inputs
    if (!first) throw new DunlinError(`${where(node)}: wants one input or more, got none.`)
    if (!Number.isInteger(axis) || axis < 0 || axis >= first.shape.length)
      throw new DunlinError(
        `${where(node)}: axis ${axis} is not an axis of [${first.shape}]; its axes are 0 to ${first.shape.length - 1}.`,
      )
    const at = (x: Node, n: number) => x.shape.map((d, i) => (i === axis ? n : d))
    for (const x of others) {
      expectShape(node, where(x), x.shape, at(first, x.shape[axis]), `Only axis ${axis} may differ from the first input.`)
      if (x.batched !== first.batched) {
        throw new DunlinError(
          `${where(node)}: one input has a value for each sample, another (${where(x.batched ? first : x)}) one for all. All must depend on an input.`,
        )
      }
    }
    return at(
      first,
      node.inputs.reduce((sum, x) => sum + x.shape[axis], 0),
    )
  },
  forward(e, node) {
    for (const [i, block] of pieces(node).entries()) moveForward(e, node, node.inputs[i], block)
  },
  backward(e, node) {
    for (const [i, block] of pieces(node).entries()) moveBackward(e, node, node.inputs[i], block)
  },
  int8: {
    // TensorFlow Lite's quantizer keeps the scales of the inputs too, and brings each to that of the output before the CONCATENATION.
    quant: 'calibrated',
    forward(e, node) {
      for (const [i, block] of pieces(node).entries()) moveInt8(e, node, node.inputs[i], block)
    },
  },
}

/** Where each input lies in the value. */
function pieces(node: Node<{ axis: number }>): Block[] {
  const { axis } = node.attrs
  const inner = size(node.shape.slice(axis + 1))
  let before = 0
  return node.inputs.map(({ shape }) => {
    const at = before * inner
    before += shape[axis]
    return { shape, x: { at: 0, steps: stepsOf(shape) }, y: { at, steps: stepsOf(node.shape) } }
  })
}
