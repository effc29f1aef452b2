// add, sub, mul: of two values of one shape, element by element. add, as in a residual connection, can have a relu fused.

import { DunlinError } from '../graph/error'
import type { Node } from '../graph/node'
import { addScales } from './fixedPoint'
import {
  type Activation,
  clampOf,
  expectInputs,
  expectShape,
  makeNode,
  type Op,
  quantizedClamp,
  quantOf,
  type Unshaped,
  where,
} from './op'

/** a + b, both of one shape. */
export function add(options: { activation?: Activation; name?: string } = {}): (a: Node, b: Node) => Node {
  const { activation, name = '' } = options
  return (a, b) => makeNode(addOp, { op: 'add', name, attrs: { ...(activation && { activation }) }, inputs: [a, b] })
}

/** a - b, both of one shape. */
export function sub(options: { name?: string } = {}): (a: Node, b: Node) => Node {
  return (a, b) => makeNode(subOp, { op: 'sub', name: options.name ?? '', attrs: {}, inputs: [a, b] })
}

/** a * b element by element, both of one shape: a gate. */
export function mul(options: { name?: string } = {}): (a: Node, b: Node) => Node {
  return (a, b) => makeNode(mulOp, { op: 'mul', name: options.name ?? '', attrs: {}, inputs: [a, b] })
}

function sameShape(node: Unshaped) {
  expectInputs(node, 2, 'a, b')
  const [a, b] = node.inputs
  expectShape(node, 'b', b.shape, a.shape, 'Both sides have one shape; a 1x1 conv2d can change the channels of one.')
  if (a.batched !== b.batched) {
    throw new DunlinError(
      `${where(node)}: one side has a value for each sample, the other (${where(a.batched ? b : a)}) one for all. Both must depend on an input.`,
    )
  }
  return a.shape
}

export const addOp: Op<{ activation?: Activation }> = {
  shape(node) {
    clampOf(node)
    return sameShape(node)
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

export const subOp: Op = {
  shape: sameShape,
  forward(e, node) {
    const y = e.value(node)
    e.call('sub_f32', e.value(node.inputs[0]), e.value(node.inputs[1]), y, y.length)
  },
  backward(e, node) {
    const dy = e.grad(node)
    if (!dy) return
    const [da, db] = node.inputs.map((x) => e.grad(x))
    if (da) e.call('accumulate_f32', dy, da, dy.length)
    if (db) e.call('sub_f32', db, dy, db, dy.length)
  },
}

export const mulOp: Op = {
  shape: sameShape,
  forward(e, node) {
    const y = e.value(node)
    e.call('mul_f32', e.value(node.inputs[0]), e.value(node.inputs[1]), y, y.length)
  },
  backward(e, node) {
    const dy = e.grad(node)
    if (!dy) return
    const [a, b] = node.inputs
    const da = e.grad(a)
    const db = e.grad(b)
    if (da) e.call('mul_f32_dx', e.value(b), dy, da, dy.length)
    if (db) e.call('mul_f32_dx', e.value(a), dy, db, dy.length)
  },
}
