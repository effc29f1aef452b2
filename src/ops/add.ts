// add: the sum of two values of one shape, as in a residual connection. A relu can be fused.

import { DunlinError } from '../graph/error'
import type { Node } from '../graph/node'
import { addScales } from './fixedPoint'
import { type Activation, clampOf, expectInputs, expectShape, makeNode, type Op, quantizedClamp, quantOf, where } from './op'

/** a + b, both of one shape. */
export function add(options: { activation?: Activation; name?: string } = {}): (a: Node, b: Node) => Node {
  const { activation, name = '' } = options
  return (a, b) => makeNode(addOp, { op: 'add', name, attrs: { ...(activation && { activation }) }, inputs: [a, b] })
}

export const addOp: Op<{ activation?: Activation }> = {
  shape(node) {
    expectInputs(node, 2, 'a, b')
    const [a, b] = node.inputs
    clampOf(node)
    expectShape(node, 'b', b.shape, a.shape, 'Both sides of a sum have one shape; a 1x1 conv2d can change the channels of one.')
    if (a.batched !== b.batched) {
      throw new DunlinError(
        `${where(node)}: one side has a value for each sample, the other (${where(a.batched ? b : a)}) one for all. Both must depend on an input.`,
      )
    }
    return a.shape
  },
  forward(e, node) {
    const y = e.value(node)
    e.call('add_f32', e.value(node.inputs[0]), e.value(node.inputs[1]), y, y.length, ...clampOf(node))
  },
  backward(e, node) {
    const dy = e.grad(node)
    if (!dy) return
    if (node.attrs.activation) e.call('clamp_f32_mask', e.value(node), dy, dy.length, ...clampOf(node))
    for (const x of node.inputs) {
      const dx = e.grad(x)
      if (dx) e.call('accumulate_f32', dy, dx, dy.length)
    }
  },
  int8: {
    quant: 'calibrated',
    forward(e, node) {
      const [a, b] = node.inputs
      const y = e.value(node)
      const [qa, qb, qy] = [quantOf(a), quantOf(b), quantOf(node)]
      const s = addScales(qa.scale[0], qb.scale[0], qy.scale[0])
      const fixed = [s.a.multiplier, s.a.shift, s.b.multiplier, s.b.shift, s.y.multiplier, s.y.shift] as const
      const zeros = [qa.zeroPoint, qb.zeroPoint, qy.zeroPoint] as const
      e.call('add_i8', e.value(a), e.value(b), y, y.length, ...zeros, ...fixed, ...quantizedClamp(clampOf(node), qy))
    },
  },
}
