// slice cuts a block out of a value; pad puts a value as a block into a larger one. Each is the other's gradient.

import { DunlinError } from '../graph/error'
import type { Layer, Node, Shape } from '../graph/node'
import { type Block, expectPerAxis, expectThreeAxes, moveBackward, moveForward, moveInt8, stepsOf } from './move'
import { expectFinite, expectInputs, makeNode, type Op, quantOf, where } from './op'

/**
 * The block of shape `size` that begins at `begin`: one index for each axis of x. `strides`: of every so many elements one (default 1),
 * below 0 backwards.
 */
export function slice(options: { begin: Shape; size: Shape; strides?: readonly number[]; name?: string }): Layer {
  const { begin, size, strides, name = '' } = options
  const attrs = { begin: [...begin], size: [...size], ...(strides && { strides: [...strides] }) }
  return (x) => makeNode(sliceOp, { op: 'slice', name, attrs, inputs: [x] })
}

/** x within elements of `value` (default 0): padding has [before, after] for each axis of x. */
export function pad(options: { padding: readonly (readonly [number, number])[]; value?: number; name?: string }): Layer {
  const { padding, value = 0, name = '' } = options
  const attrs = { padding: padding.map(([before, after]) => [before, after] as const), value }
  return (x) => makeNode(padOp, { op: 'pad', name, attrs, inputs: [x] })
}

export interface SliceAttrs {
  begin: Shape
  size: Shape
  strides?: readonly number[]
}

export const sliceOp: Op<SliceAttrs> = {
  shape(node) {
    expectInputs(node, 1, 'x')
    const { begin, size, strides } = node.attrs
    const from = node.inputs[0].shape
    expectThreeAxes(node, from)
    expectPerAxis(node, 'begin', begin, from, 0)
    expectPerAxis(node, 'size', size, from, 1)
    if (strides !== undefined) {
      expectPerAxis(node, 'strides', strides, from, -(2 ** 29))
      if (strides.includes(0)) throw new DunlinError(`${where(node)}: strides wants integers other than 0, got [${strides}].`)
    }
    const last = (i: number) => begin[i] + (size[i] - 1) * (strides?.[i] ?? 1)
    if (from.some((n, i) => begin[i] >= n || last(i) < 0 || last(i) >= n)) {
      const by = strides ? ` by steps of [${strides}]` : ''
      throw new DunlinError(
        `${where(node)}: a block of [${size}]${by} that begins at [${begin}] does not lie in x [${from}]. Make one of them smaller.`,
      )
    }
    return size
  },
  forward: (e, node) => moveForward(e, node, node.inputs[0], cut(node)),
  backward: (e, node) => moveBackward(e, node, node.inputs[0], cut(node)),
  int8: { quant: 'input', forward: (e, node) => moveInt8(e, node, node.inputs[0], cut(node)) },
}

/** Where a block that begins at `begin` lies in a tensor of `shape`. */
const place = (shape: Shape, begin: readonly number[]) => {
  const steps = stepsOf(shape)
  return { at: begin.reduce((sum, b, i) => sum + b * steps[i], 0), steps }
}

function cut({ attrs, inputs: [x], shape }: Node<SliceAttrs>): Block {
  const { at, steps } = place(x.shape, attrs.begin)
  const strided = steps.map((step, i) => step * (attrs.strides?.[i] ?? 1))
  return { shape, x: { at, steps: strided }, y: { at: 0, steps: stepsOf(shape) } }
}

export interface PadAttrs {
  padding: readonly (readonly [number, number])[]
  value: number
}

export const padOp: Op<PadAttrs> = {
  shape(node) {
    expectInputs(node, 1, 'x')
    const { padding, value } = node.attrs
    const from = node.inputs[0].shape
    expectThreeAxes(node, from)
    if (!Array.isArray(padding) || !padding.every((p) => Array.isArray(p) && p.length === 2))
      throw new DunlinError(`${where(node)}: padding wants [before, after] for each axis, got ${JSON.stringify(padding)}.`)
    const sides = [0, 1].map((side) => padding.map((p) => p[side]))
    for (const side of sides) expectPerAxis(node, 'padding', side, from, 0)
    expectFinite(node, 'value', value)
    return from.map((n, i) => sides[0][i] + n + sides[1][i])
  },
  forward(e, node) {
    const y = e.value(node)
    e.call('fill_f32', y, y.length, node.attrs.value)
    moveForward(e, node, node.inputs[0], inside(node))
  },
  backward: (e, node) => moveBackward(e, node, node.inputs[0], inside(node)),
  int8: {
    // A value that x never takes is as far out as x's scale goes.
    quant: 'input',
    forward(e, node) {
      const y = e.value(node)
      const { scale, zeroPoint } = quantOf(node)
      const value = Math.max(-128, Math.min(127, zeroPoint + Math.round(node.attrs.value / scale[0])))
      e.call('fill_i8', y, y.length, value)
      moveInt8(e, node, node.inputs[0], inside(node))
    },
  },
}

function inside({ attrs, inputs: [x], shape }: Node<PadAttrs>): Block {
  const begin = attrs.padding.map(([before]) => before)
  return { shape: x.shape, x: { at: 0, steps: stepsOf(x.shape) }, y: place(shape, begin) }
}
