// add, sub, mul, div: of two values, element by element. An axis of length 1, or one that is missing in front, is repeated along the
// other value's, and so is a parameter for each sample: the smaller side is written out first, by a move whose steps are 0.
// add, as in a residual connection, can have a relu fused.

import { DunlinError } from '../graph/error'
import { isParam, type Node, type Shape, size } from '../graph/node'
import { accumulate, elementwise, fill, undoActivation } from './calls'
import { addScales, quantizeMultiplier } from './fixedPoint'
import { type Block, expectFourLoops, moveGradient, moveValue, stepsOf } from './move'
import {
  type Activation,
  type Buffer,
  CLAMPS,
  clampOf,
  type Emit,
  expectInputs,
  type Int8,
  makeNode,
  type Op,
  quantizedClamp,
  quantOf,
  type Unshaped,
  where,
} from './op'

type Pairwise = (a: Node, b: Node) => Node

/** a + b. Axes of length 1, or missing in front, are repeated along the other's. */
export function add(options: { activation?: Activation; name?: string } = {}): Pairwise {
  const { activation, name = '' } = options
  return (a, b) => makeNode(addOp, { op: 'add', name, attrs: { ...(activation && { activation }) }, inputs: [a, b] })
}

/** a - b, of shapes as add takes them. */
export function sub(options: { name?: string } = {}): Pairwise {
  return (a, b) => makeNode(subOp, { op: 'sub', name: options.name ?? '', attrs: {}, inputs: [a, b] })
}

/** a * b element by element, of shapes as add takes them: a gate. */
export function mul(options: { name?: string } = {}): Pairwise {
  return (a, b) => makeNode(mulOp, { op: 'mul', name: options.name ?? '', attrs: {}, inputs: [a, b] })
}

/** a / b element by element, of shapes as add takes them. */
export function div(options: { name?: string } = {}): Pairwise {
  return (a, b) => makeNode(divOp, { op: 'div', name: options.name ?? '', attrs: {}, inputs: [a, b] })
}

function commonShape(node: Unshaped): Shape {
  expectInputs(node, 2, 'a, b')
  const [a, b] = node.inputs.map((x) => x.shape)
  const rank = Math.max(a.length, b.length)
  const [wide, other] = [a, b].map((shape) => [...Array<number>(rank - shape.length).fill(1), ...shape])
  if (wide.some((n, i) => n !== other[i] && n !== 1 && other[i] !== 1)) {
    throw new DunlinError(
      `${where(node)}: b has shape [${b}], a [${a}]. Both sides have one shape, or 1 where one is repeated; a 1x1 conv2d can change the channels of one.`,
    )
  }
  const shape = wide.map((n, i) => Math.max(n, other[i]))
  for (const x of node.inputs) if (isSmaller(x, shape, false)) expectFourLoops(node, repeated(x.shape, shape))
  return shape
}

/** Whether an operand is to be written out. */
const isSmaller = (x: Node, shape: Shape, batched: boolean) => size(x.shape) !== size(shape) || x.batched !== batched

/** Where each element of a value of `shape` lies in an operand of another shape. */
function repeated(from: Shape, shape: Shape): Block {
  const missing = shape.length - from.length
  const steps = stepsOf(from)
  const x = shape.map((_, i) => (i < missing || from[i - missing] === 1 ? 0 : steps[i - missing]))
  return { shape, x: { at: 0, steps: x }, y: { at: 0, steps: stepsOf(shape) } }
}

/** An operand in the shape of the value, for each sample. */
function operand(e: Emit, node: Node, i: 0 | 1): Buffer {
  const x = node.inputs[i]
  const { length } = e.value(node)
  if (!isSmaller(x, node.shape, node.batched)) return e.value(x)
  const from = e.value(x)
  const block = repeated(x.shape, node.shape)
  // What is repeated for each sample needs to be so once.
  if (isParam(x)) return e.prepared(`${node.name}/${'ab'[i]}`, length, (to) => moveValue(e, node, x, from, to, block))
  const to = e.scratch(length)
  moveValue(e, node, x, from, to, block)
  return to
}

const operands = (e: Emit, node: Node): [Buffer, Buffer, Buffer] => [operand(e, node, 0), operand(e, node, 1), e.value(node)]

/** Has `part` add a gradient of the value's shape into an operand's, summed over what was repeated. */
function gradient(e: Emit, node: Node, i: 0 | 1, part: (to: Buffer) => void): void {
  const x = node.inputs[i]
  const dx = e.grad(x)
  if (!dx) return
  if (!isSmaller(x, node.shape, node.batched)) {
    part(dx)
    return
  }
  const sum = e.scratch(e.value(node).length)
  fill(e, sum, 0)
  part(sum)
  moveGradient(e, node, x, sum, dx, repeated(x.shape, node.shape))
}

/** A value that is not for each sample, or of another shape, has no int8 kernel. */
const unsupported: Int8<never>['unsupported'] = (node) =>
  node.inputs.some((x) => isSmaller(x, node.shape, node.batched)) &&
  'repeats one of its sides, which int8 does not. Give it two values of one shape.'

export const addOp: Op<{ activation?: Activation }> = {
  shape(node) {
    clampOf(node)
    return commonShape(node)
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
    spread(e, node, 1, dy)
    if (isSmaller(node.inputs[0], node.shape, node.batched) || !e.pass(node, node.inputs[0])) spread(e, node, 0, dy)
  },
  int8: { quant: 'calibrated', unsupported, forward: (e, node) => combineInt8(e, node, 'add_i8', clampOf(node)) },
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

/** dx += dy. */
function spread(e: Emit, node: Node, i: 0 | 1, dy: Buffer): void {
  const x = node.inputs[i]
  if (isSmaller(x, node.shape, node.batched)) {
    const dx = e.grad(x)
    if (dx) moveGradient(e, node, x, dy, dx, repeated(x.shape, node.shape))
    return
  }
  const sink = e.sink(x)
  if (sink) accumulate(e, dy, sink.dx, sink.add)
}

export const subOp: Op = {
  shape: commonShape,
  forward(e, node) {
    const [a, b, y] = operands(e, node)
    elementwise(e, y.length, (from, n) => e.call('sub_f32', e.at(a, from), e.at(b, from), e.at(y, from), n))
  },
  backward(e, node) {
    const dy = e.grad(node)
    if (!dy) return
    gradient(e, node, 1, (to) =>
      elementwise(e, dy.length, (from, n) => e.call('sub_f32', e.at(to, from), e.at(dy, from), e.at(to, from), n)),
    )
    if (isSmaller(node.inputs[0], node.shape, node.batched) || !e.pass(node, node.inputs[0])) spread(e, node, 0, dy)
  },
  int8: { quant: 'calibrated', unsupported, forward: (e, node) => combineInt8(e, node, 'sub_i8', CLAMPS.none) },
}

export const mulOp: Op = {
  shape: commonShape,
  forward(e, node) {
    const [a, b, y] = operands(e, node)
    elementwise(e, y.length, (from, n) => e.call('mul_f32', e.at(a, from), e.at(b, from), e.at(y, from), n))
  },
  backward(e, node) {
    const dy = e.grad(node)
    if (!dy) return
    for (const i of [0, 1] as const) {
      if (!e.learns(node.inputs[i])) continue
      const factor = operand(e, node, i === 0 ? 1 : 0)
      gradient(e, node, i, (to) =>
        elementwise(e, dy.length, (from, n) => e.call('mul_f32_dx', e.at(factor, from), e.at(dy, from), e.at(to, from), n)),
      )
    }
  },
  int8: {
    quant: 'calibrated',
    unsupported,
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
  shape: commonShape,
  forward(e, node) {
    const [a, b, y] = operands(e, node)
    elementwise(e, y.length, (from, n) => e.call('div_f32', e.at(a, from), e.at(b, from), e.at(y, from), n))
  },
  backward(e, node) {
    const dy = e.grad(node)
    if (!dy) return
    const b = operand(e, node, 1)
    const y = e.value(node)
    gradient(e, node, 0, (to) =>
      elementwise(e, dy.length, (from, n) => e.call('div_f32_da', e.at(b, from), e.at(dy, from), e.at(to, from), n)),
    )
    gradient(e, node, 1, (to) =>
      elementwise(e, dy.length, (from, n) =>
        e.call('div_f32_db', e.at(b, from), e.at(y, from), e.at(dy, from), e.at(to, from), n),
      ),
    )
  },
}
