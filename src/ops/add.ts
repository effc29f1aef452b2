// add, sub, mul, div: of two values of one shape, element by element. add, as in a residual connection, can have a relu fused.

import { DunlinError } from '../graph/error'
import type { Node } from '../graph/node'
import { accumulate, elementwise, sameRows, undoActivation } from './calls'
import { addScales, quantizeMultiplier } from './fixedPoint'
import {
  type Activation,
  type Buffer,
  CLAMPS,
  clampOf,
  type Emit,
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

/** a / b element by element, both of one shape. */
export function div(options: { name?: string } = {}): (a: Node, b: Node) => Node {
  return (a, b) => makeNode(divOp, { op: 'div', name: options.name ?? '', attrs: {}, inputs: [a, b] })
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

/** Values of both inputs and the node: kernels go through all three in step, so y may lie over either. */
function operands(e: Emit, node: Node): [Buffer, Buffer, Buffer] {
  const [a, b, y] = [e.value(node.inputs[0]), e.value(node.inputs[1]), e.value(node)]
  e.over(y, a)
  e.over(y, b)
  return [a, b, y]
}

export const addOp: Op<{ activation?: Activation }> = {
  shape(node) {
    clampOf(node)
    return sameShape(node)
  },
  forward(e, node) {
    const [a, b, y] = operands(e, node)
    const clamp = clampOf(node)
    elementwise(e, y.length, (from, n) => e.call('add_f32', e.at(a, from), e.at(b, from), e.at(y, from), n, ...clamp))
  },
  backward(e, node) {
    const dy = e.grad(node)
    if (!dy) return
    undoActivation(e, node, dy)
    const [a, b] = node.inputs
    spread(e, dy, b)
    if (!e.pass(node, a)) spread(e, dy, a)
  },
  int8: { quant: 'calibrated', reach: sameRows, forward: (e, node) => combineInt8(e, node, 'add_i8', clampOf(node)) },
}

/** The sum or difference of int8 values. */
function combineInt8(e: Emit, node: Node, kernel: 'add_i8' | 'sub_i8', clamp: readonly [number, number]): void {
  const [a, b, y] = operands(e, node)
  const [qa, qb, qy] = [...node.inputs, node].map(quantOf)
  const s = addScales(qa.scale[0], qb.scale[0], qy.scale[0])
  const fixed = [s.a.multiplier, s.a.shift, s.b.multiplier, s.b.shift, s.y.multiplier, s.y.shift] as const
  const zeros = [qa.zeroPoint, qb.zeroPoint, qy.zeroPoint] as const
  const numbers = [...zeros, ...fixed, ...quantizedClamp(clamp, qy)] as const
  elementwise(e, y.length, (from, n) => e.call(kernel, e.at(a, from), e.at(b, from), e.at(y, from), n, ...numbers))
}

function combine(e: Emit, node: Node, kernel: 'sub_f32' | 'mul_f32' | 'div_f32'): void {
  const [a, b, y] = operands(e, node)
  elementwise(e, y.length, (from, n) => e.call(kernel, e.at(a, from), e.at(b, from), e.at(y, from), n))
}

/** dx += dy. */
function spread(e: Emit, dy: Buffer, x: Node): void {
  const sink = e.sink(x)
  if (sink) accumulate(e, dy, sink.dx, sink.add)
}

export const subOp: Op = {
  shape: sameShape,
  forward: (e, node) => combine(e, node, 'sub_f32'),
  backward(e, node) {
    const dy = e.grad(node)
    if (!dy) return
    const [a, b] = node.inputs
    const db = e.grad(b)
    if (db) elementwise(e, dy.length, (from, n) => e.call('sub_f32', e.at(db, from), e.at(dy, from), e.at(db, from), n))
    if (!e.pass(node, a)) spread(e, dy, a)
  },
  int8: { quant: 'calibrated', reach: sameRows, forward: (e, node) => combineInt8(e, node, 'sub_i8', CLAMPS.none) },
}

export const mulOp: Op = {
  shape: sameShape,
  forward: (e, node) => combine(e, node, 'mul_f32'),
  backward(e, node) {
    const dy = e.grad(node)
    if (!dy) return
    const [a, b] = node.inputs.map((x) => e.value(x))
    const times = (factor: Buffer, to: Buffer) =>
      elementwise(e, dy.length, (from, n) => e.call('mul_f32_dx', e.at(factor, from), e.at(dy, from), e.at(to, from), n))
    const da = e.grad(node.inputs[0])
    const db = e.grad(node.inputs[1])
    if (da) times(b, da)
    if (db) times(a, db)
  },
  int8: {
    quant: 'calibrated',
    reach: sameRows,
    forward(e, node) {
      const [a, b, y] = operands(e, node)
      const [qa, qb, qy] = [...node.inputs, node].map(quantOf)
      const { multiplier, shift } = quantizeMultiplier((qa.scale[0] * qb.scale[0]) / qy.scale[0])
      const numbers = [qa.zeroPoint, qb.zeroPoint, qy.zeroPoint, multiplier, shift, -128, 127] as const
      elementwise(e, y.length, (from, n) => e.call('mul_i8', e.at(a, from), e.at(b, from), e.at(y, from), n, ...numbers))
    },
  },
}

export const divOp: Op = {
  shape: sameShape,
  forward: (e, node) => combine(e, node, 'div_f32'),
  backward(e, node) {
    const dy = e.grad(node)
    if (!dy) return
    const [, b, y] = operands(e, node)
    const da = e.grad(node.inputs[0])
    const db = e.grad(node.inputs[1])
    if (da) elementwise(e, dy.length, (from, n) => e.call('div_f32_da', e.at(b, from), e.at(dy, from), e.at(da, from), n))
    if (!db) return
    const part = (from: number, n: number) =>
      e.call('div_f32_db', e.at(b, from), e.at(y, from), e.at(dy, from), e.at(db, from), n)
    elementwise(e, dy.length, part)
  },
}
