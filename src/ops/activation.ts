// Activations. relu, relu6: clamps; leakyRelu ... mish: curves; both element by element. softmax, logSoftmax: over the last axis.
// (conv2d and dense fuse a relu given as `activation`.)

import { DunlinError } from '../graph/error'
import type { Layer, Node, Quant } from '../graph/node'
import { CURVE, elementwise, inStep, rowwise, sameRows } from './calls'
import { softmaxScale } from './fixedPoint'
import {
  CLAMPS,
  type Emit,
  expectFinite,
  expectInputs,
  type Int8,
  makeNode,
  type Op,
  quantizedClamp,
  quantOf,
  type Unshaped,
  where,
} from './op'
import { CURVES, curveTable, elu as eluCurve, fixedCurveTable, hardSwishTable, leakyReluTable } from './table'

/** max(x, 0). */
export function relu(options: { name?: string } = {}): Layer {
  return (x) => makeNode(reluOp, { op: 'relu', name: options.name ?? '', attrs: {}, inputs: [x] })
}

/** min(max(x, 0), 6). */
export function relu6(options: { name?: string } = {}): Layer {
  return (x) => makeNode(relu6Op, { op: 'relu6', name: options.name ?? '', attrs: {}, inputs: [x] })
}

/** min(max(x, low), high). */
export function clip(options: { low?: number; high?: number; name?: string } = {}): Layer {
  const { low = -Infinity, high = Infinity, name = '' } = options
  // A file's JSON has no infinity.
  const attrs = { ...(low !== -Infinity && { low }), ...(high !== Infinity && { high }) }
  return (x) => makeNode(clipOp, { op: 'clip', name, attrs, inputs: [x] })
}

/** x where x > 0, else alpha x; default 0.01. */
export function leakyRelu(options: { alpha?: number; name?: string } = {}): Layer {
  const { alpha = 0.01, name = '' } = options
  return (x) => makeNode(leakyReluOp, { op: 'leakyRelu', name, attrs: { alpha }, inputs: [x] })
}

/** x where x > 0, else alpha (exp(x) - 1); default 1 (Clevert et al. 2016). */
export function elu(options: { alpha?: number; name?: string } = {}): Layer {
  const { alpha = 1, name = '' } = options
  return (x) => makeNode(eluOp, { op: 'elu', name, attrs: { alpha }, inputs: [x] })
}

/** x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 x^3))): x times the normal distribution (Hendrycks and Gimpel 2016), by tanh. */
export function gelu(options: { name?: string } = {}): Layer {
  return (x) => makeNode(geluOp, { op: 'gelu', name: options.name ?? '', attrs: {}, inputs: [x] })
}

/** 1 / (1 + exp(-x)). */
export function sigmoid(options: { name?: string } = {}): Layer {
  return (x) => makeNode(sigmoidOp, { op: 'sigmoid', name: options.name ?? '', attrs: {}, inputs: [x] })
}

/** The hyperbolic tangent. */
export function tanh(options: { name?: string } = {}): Layer {
  return (x) => makeNode(tanhOp, { op: 'tanh', name: options.name ?? '', attrs: {}, inputs: [x] })
}

/** x / 6 + 1 / 2, between 0 and 1 (PyTorch's; Keras has another slope). */
export function hardSigmoid(options: { name?: string } = {}): Layer {
  return (x) => makeNode(hardSigmoidOp, { op: 'hardSigmoid', name: options.name ?? '', attrs: {}, inputs: [x] })
}

/** x * hardSigmoid(x) (Howard et al. 2019). */
export function hardSwish(options: { name?: string } = {}): Layer {
  return (x) => makeNode(hardSwishOp, { op: 'hardSwish', name: options.name ?? '', attrs: {}, inputs: [x] })
}

/** x * sigmoid(x), also called swish. */
export function silu(options: { name?: string } = {}): Layer {
  return (x) => makeNode(siluOp, { op: 'silu', name: options.name ?? '', attrs: {}, inputs: [x] })
}

/** ln(1 + exp(x)). */
export function softplus(options: { name?: string } = {}): Layer {
  return (x) => makeNode(softplusOp, { op: 'softplus', name: options.name ?? '', attrs: {}, inputs: [x] })
}

/** x * tanh(softplus(x)) (Misra 2019). */
export function mish(options: { name?: string } = {}): Layer {
  return (x) => makeNode(mishOp, { op: 'mish', name: options.name ?? '', attrs: {}, inputs: [x] })
}

/** exp(x) / sum of exp(x), over the last axis. For training leave it out: the loss `crossEntropy` takes logits. */
export function softmax(options: { name?: string } = {}): Layer {
  return (x) => makeNode(softmaxOp, { op: 'softmax', name: options.name ?? '', attrs: {}, inputs: [x] })
}

/** ln softmax(x), over the last axis. */
export function logSoftmax(options: { name?: string } = {}): Layer {
  return (x) => makeNode(logSoftmaxOp, { op: 'logSoftmax', name: options.name ?? '', attrs: {}, inputs: [x] })
}

/** e^x; x is taken as the nearest number in [-87, 88]. */
export function exp(options: { name?: string } = {}): Layer {
  return (x) => makeNode(expOp, { op: 'exp', name: options.name ?? '', attrs: {}, inputs: [x] })
}

/** ln x, of x > 0. */
export function log(options: { name?: string } = {}): Layer {
  return (x) => makeNode(logOp, { op: 'log', name: options.name ?? '', attrs: {}, inputs: [x] })
}

/** The square root of x >= 0. */
export function sqrt(options: { name?: string } = {}): Layer {
  return (x) => makeNode(sqrtOp, { op: 'sqrt', name: options.name ?? '', attrs: {}, inputs: [x] })
}

/** 2 / sqrt(pi) times the integral of e^-t^2 from 0 to x: x / 2 * (1 + erf(x / sqrt 2)) is gelu without its approximation. */
export function erf(options: { name?: string } = {}): Layer {
  return (x) => makeNode(erfOp, { op: 'erf', name: options.name ?? '', attrs: {}, inputs: [x] })
}

/** The row of a clamp between `limits`. */
const clamp = <A>(limits: (attrs: A) => readonly [number, number], check: (node: Unshaped<A>) => void = () => {}): Op<A> => ({
  shape(node) {
    expectInputs(node, 1, 'x')
    check(node)
    return node.inputs[0].shape
  },
  forward(e, node) {
    const [x, y] = inStep(e, node)
    elementwise(e, y.length, (from, n) => e.call('clamp_f32', e.at(x, from), e.at(y, from), n, ...limits(node.attrs)))
  },
  backward(e, node) {
    const dy = e.grad(node)
    const dx = e.grad(node.inputs[0])
    if (!dy || !dx) return
    const y = e.value(node)
    const part = (from: number, n: number) =>
      e.call('clamp_f32_dx', e.at(y, from), e.at(dy, from), e.at(dx, from), n, ...limits(node.attrs))
    elementwise(e, dy.length, part)
  },
  int8: {
    quant: 'input',
    reach: sameRows,
    forward(e, node) {
      const [x, y] = inStep(e, node)
      const clamp = quantizedClamp(limits(node.attrs), quantOf(node))
      elementwise(e, y.length, (from, n) => e.call('clamp_i8', e.at(x, from), e.at(y, from), n, ...clamp))
    },
  },
})

export const reluOp: Op = /* @__PURE__ */ clamp(() => CLAMPS.relu)
export const relu6Op: Op = /* @__PURE__ */ clamp(() => CLAMPS.relu6)

export interface ClipAttrs {
  low?: number
  high?: number
}

export const clipOp: Op<ClipAttrs> = /* @__PURE__ */ clamp<ClipAttrs>(
  ({ low = -Infinity, high = Infinity }) => [low, high],
  (node) => {
    const { low, high } = node.attrs
    if (low !== undefined) expectFinite(node, 'low', low)
    if (high !== undefined) expectFinite(node, 'high', high)
    if (low !== undefined && high !== undefined && low > high)
      throw new DunlinError(`${where(node)}: low is ${low}, above high, which is ${high}.`)
  },
)

/** The int8 of an op on single elements, by the table for the scales of x and y. */
const byTable = <A>(
  tableOf: (node: Node<A>, x: Quant, y: Quant) => Int8Array,
  quant: Int8<A>['quant'] = 'calibrated',
): Int8<A> => ({
  quant,
  reach: sameRows,
  forward(e: Emit, node) {
    const values = e.once(node, 'table', () => tableOf(node, quantOf(node.inputs[0]), quantOf(node)))
    const table = e.constant(`${node.name}/table`, values)
    const [x, y] = inStep(e, node)
    elementwise(e, y.length, (from, n) => e.call('lookup_i8', e.at(x, from), table, e.at(y, from), n))
  },
})

/** Scales that TensorFlow Lite fixes. */
const FIXED: Partial<Record<keyof typeof CURVES, Quant>> = {
  sigmoid: { scale: [1 / 256], zeroPoint: -128 },
  tanh: { scale: [1 / 128], zeroPoint: 0 },
}

/** Ops on single elements that have no int8 form. */
type FloatCurve = 'erf' | 'exp' | 'log' | 'sqrt'
const tableOf = (name: keyof typeof CURVES, x: Quant, y: Quant): Int8Array => {
  const { scale, zeroPoint } = FIXED[name] ?? { scale: [], zeroPoint: 0 }
  if ((name === 'sigmoid' || name === 'tanh') && y.scale[0] === scale[0] && y.zeroPoint === zeroPoint)
    return fixedCurveTable(name, x, y)
  return name === 'hardSwish' ? hardSwishTable(x, y) : curveTable(CURVES[name], x, y)
}

/** An op on single elements; `reads` is what its gradient is computed from. */
const floatCurve = (name: keyof typeof CURVES | FloatCurve, reads: 'x' | 'y'): Op => ({
  shape(node) {
    expectInputs(node, 1, 'x')
    return node.inputs[0].shape
  },
  forward(e, node) {
    const [x, y] = inStep(e, node)
    elementwise(e, y.length, (from, n) => e.call(`${name}_f32`, e.at(x, from), e.at(y, from), n), CURVE)
  },
  backward(e, node) {
    const [x] = node.inputs
    const dy = e.grad(node)
    const dx = e.grad(x)
    if (!dy || !dx) return
    const read = e.value(reads === 'x' ? x : node)
    const part = (from: number, n: number) => e.call(`${name}_f32_dx`, e.at(read, from), e.at(dy, from), e.at(dx, from), n)
    elementwise(e, dy.length, part, CURVE)
  },
})

/** The same with an int8 form, by table. */
const curve = (name: keyof typeof CURVES, reads: 'x' | 'y'): Op => ({
  ...floatCurve(name, reads),
  int8: byTable((_, x, y) => tableOf(name, x, y), FIXED[name]),
})

/** The same with a slope, or a depth, below 0. */
const bent = (name: 'leakyRelu' | 'elu'): Op<{ alpha: number }> => ({
  shape(node) {
    expectInputs(node, 1, 'x')
    expectFinite(node, 'alpha', node.attrs.alpha)
    return node.inputs[0].shape
  },
  forward(e, node) {
    const [x, y] = inStep(e, node)
    elementwise(e, y.length, (from, n) => e.call(`${name}_f32`, e.at(x, from), e.at(y, from), n, node.attrs.alpha), CURVE)
  },
  backward(e, node) {
    const x = e.value(node.inputs[0])
    const dy = e.grad(node)
    const dx = e.grad(node.inputs[0])
    if (!dy || !dx) return
    const part = (from: number, n: number) =>
      e.call(`${name}_f32_dx`, e.at(x, from), e.at(dy, from), e.at(dx, from), n, node.attrs.alpha)
    elementwise(e, dy.length, part, CURVE)
  },
  int8: byTable(({ attrs: { alpha } }, x, y) =>
    name === 'elu' ? curveTable(eluCurve(alpha), x, y) : leakyReluTable(alpha, x, y),
  ),
})

export const leakyReluOp = /* @__PURE__ */ bent('leakyRelu')
export const eluOp = /* @__PURE__ */ bent('elu')
export const geluOp = /* @__PURE__ */ curve('gelu', 'x')
export const sigmoidOp = /* @__PURE__ */ curve('sigmoid', 'y')
export const tanhOp = /* @__PURE__ */ curve('tanh', 'y')
export const hardSigmoidOp = /* @__PURE__ */ curve('hardSigmoid', 'x')
export const hardSwishOp = /* @__PURE__ */ curve('hardSwish', 'x')
export const siluOp = /* @__PURE__ */ curve('silu', 'x')
export const softplusOp = /* @__PURE__ */ curve('softplus', 'x')
export const mishOp = /* @__PURE__ */ curve('mish', 'x')
export const erfOp = /* @__PURE__ */ floatCurve('erf', 'x')
export const expOp = /* @__PURE__ */ floatCurve('exp', 'y')
export const logOp = /* @__PURE__ */ floatCurve('log', 'x')
export const sqrtOp = /* @__PURE__ */ floatCurve('sqrt', 'y')

export const softmaxOp: Op = {
  shape(node) {
    expectInputs(node, 1, 'x')
    return node.inputs[0].shape
  },
  forward(e, node) {
    const [x, y] = inStep(e, node)
    const n = node.shape[node.shape.length - 1]
    const part = (from: number, rows: number) => e.call('softmax_f32', e.at(x, from * n), e.at(y, from * n), rows, n)
    rowwise(e, y.length / n, n, part, CURVE)
  },
  backward(e, node) {
    const dy = e.grad(node)
    const dx = e.grad(node.inputs[0])
    const n = node.shape[node.shape.length - 1]
    if (!dy || !dx) return
    const y = e.value(node)
    const part = (from: number, rows: number) =>
      e.call('softmax_f32_dx', e.at(y, from * n), e.at(dy, from * n), e.at(dx, from * n), rows, n)
    rowwise(e, dy.length / n, n, part)
  },
  int8: {
    quant: { scale: [1 / 256], zeroPoint: -128 },
    forward(e, node) {
      const [x, y] = inStep(e, node)
      const n = node.shape[node.shape.length - 1]
      const { multiplier, shift, diffMin } = softmaxScale(quantOf(node.inputs[0]).scale[0])
      const part = (from: number, rows: number) =>
        e.call('softmax_i8', e.at(x, from * n), e.at(y, from * n), rows, n, multiplier, shift, diffMin)
      rowwise(e, y.length / n, n, part, CURVE)
    },
  },
}

export const logSoftmaxOp: Op = {
  shape(node) {
    expectInputs(node, 1, 'x')
    return node.inputs[0].shape
  },
  forward(e, node) {
    const [x, y] = inStep(e, node)
    const n = node.shape[node.shape.length - 1]
    const part = (from: number, rows: number) => e.call('logSoftmax_f32', e.at(x, from * n), e.at(y, from * n), rows, n)
    rowwise(e, y.length / n, n, part, CURVE)
  },
  backward(e, node) {
    const dy = e.grad(node)
    const dx = e.grad(node.inputs[0])
    const n = node.shape[node.shape.length - 1]
    if (!dy || !dx) return
    const y = e.value(node)
    const part = (from: number, rows: number) =>
      e.call('logSoftmax_f32_dx', e.at(y, from * n), e.at(dy, from * n), e.at(dx, from * n), rows, n)
    rowwise(e, dy.length / n, n, part, CURVE)
  },
}
