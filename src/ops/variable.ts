// recall and remember: a value that goes from one run to the next, as streaming models have it. recall gives what remember took in the run
// before, zeros in the first. A model keeps them until its weights change (`model.changed()`), for each sample of the batch.

import { DunlinError } from '../graph/error'
import { checkShape, type Node, type Shape, size } from '../graph/node'
import { elementwise, inStep } from './calls'
import {
  type Buffer,
  CLAMPS,
  type Emit,
  expectInputs,
  expectShape,
  makeNode,
  type Op,
  quantOf,
  rows,
  type Unshaped,
  where,
} from './op'
import { scaledTable } from './table'

export interface VariableAttrs {
  variable: string
}

export interface RecallAttrs extends VariableAttrs {
  shape: Shape
}

/**
 * The value of `variable`, of this shape, that the run before remembered. `of`: any value of which there is one for each sample. No gradient
 * goes from a run to the one before.
 */
export function recall(options: { variable: string; shape: Shape; name?: string }): (of: Node) => Node {
  const { variable, shape, name = '' } = options
  return (of) => makeNode(recallOp, { op: 'recall', name, attrs: { variable, shape: [...shape] }, inputs: [of] })
}

/** y, and on the way `value` becomes what the next run recalls: `recalled` is the recall of the variable. */
export function remember(options: { variable: string; name?: string }): (y: Node, value: Node, recalled: Node) => Node {
  const { variable, name = '' } = options
  return (y, value, recalled) => makeNode(rememberOp, { op: 'remember', name, attrs: { variable }, inputs: [y, value, recalled] })
}

/** Longest name of a variable. */
const LONGEST = 1000

function expectVariable(node: Unshaped<VariableAttrs>): void {
  const { variable } = node.attrs
  if (typeof variable !== 'string' || !variable.length || variable.length > LONGEST) {
    throw new DunlinError(
      `${where(node)}: variable wants a name of 1 to ${LONGEST} letters, got ${JSON.stringify(variable)?.slice(0, 50)}.`,
    )
  }
}

/** Where a variable is kept: zeros stand for real zeros, also in int8. */
const kept = (e: Emit, node: Node<VariableAttrs>, of: Node): Buffer =>
  e.state(`variable ${node.attrs.variable}`, Math.ceil((rows(e, of) * size(of.shape)) / (of.dtype === 'i8' ? 4 : 1)))

/** y = x; a clamp to everything is a copy. */
const copy = (e: Emit, x: Buffer, y: Buffer, length: number): void =>
  elementwise(e, length, (from, n) => e.call('clamp_f32', e.at(x, from), e.at(y, from), n, ...CLAMPS.none))

/** Bytes at other steps from their first: `v` by a table of all. */
const wrapped = (value: (v: number) => number): Int8Array => Int8Array.from({ length: 256 }, (_, i) => value(i - 128))

export const recallOp: Op<RecallAttrs> = {
  shape(node) {
    expectInputs(node, 1, 'of')
    expectVariable(node)
    const { shape } = node.attrs
    if (!Array.isArray(shape)) throw new DunlinError(`${where(node)}: shape wants a list of sizes, got ${JSON.stringify(shape)}.`)
    checkShape(where(node), shape)
    if (!node.inputs[0].batched)
      throw new DunlinError(`${where(node)}: its input is one for all samples. Give it a value that depends on an input.`)
    return shape
  },
  forward(e, node) {
    const y = e.value(node)
    copy(e, kept(e, node, node), y, y.length)
  },
  int8: {
    quant: 'calibrated',
    forward(e, node) {
      const y = e.value(node)
      const { zeroPoint } = quantOf(node)
      const bytes = kept(e, node, node)
      const table = e.constant(
        `${node.name}/table`,
        wrapped((v) => v + zeroPoint),
      )
      e.call('lookup_i8', bytes, table, y, y.length)
    },
  },
}

export const rememberOp: Op<VariableAttrs> = {
  shape(node) {
    expectInputs(node, 3, 'y, value, recalled')
    expectVariable(node)
    const [y, value, recalled] = node.inputs
    const { variable } = node.attrs
    if (recalled.op !== 'recall' || (recalled.attrs as VariableAttrs).variable !== variable)
      throw new DunlinError(`${where(node)}: recalled wants the recall of variable "${variable}", got ${where(recalled)}.`)
    expectShape(node, 'value', value.shape, recalled.shape, 'What is remembered has the shape of what is recalled.')
    if (!y.batched || !value.batched) throw new DunlinError(`${where(node)}: y and value must depend on an input.`)
    return y.shape
  },
  forward(e, node) {
    const [, value, recalled] = node.inputs
    copy(e, e.value(value), kept(e, node, recalled), e.value(value).length)
    const [from, to] = inStep(e, node)
    copy(e, from, to, to.length)
  },
  backward(e, node) {
    const dy = e.grad(node)
    const dx = e.grad(node.inputs[0])
    if (dy && dx) elementwise(e, dy.length, (from, n) => e.call('accumulate_f32', e.at(dy, from), e.at(dx, from), n, 1))
  },
  int8: {
    quant: 'input',
    forward(e, node) {
      const [, value, recalled] = node.inputs
      const { zeroPoint } = quantOf(recalled)
      const scaled = scaledTable(quantOf(value), quantOf(recalled))
      const table = e.constant(
        `${node.name}/table`,
        scaled.map((v) => v - zeroPoint),
      )
      e.call('lookup_i8', e.value(value), table, kept(e, node, recalled), e.value(value).length)
      const [x, y] = inStep(e, node)
      elementwise(e, y.length, (from, n) => e.call('clamp_i8', e.at(x, from), e.at(y, from), n, -128, 127))
    },
  },
}
