// The slow, complete, readable definition of every op: plain loops in double precision, nothing shared with src or the kernels.
// Layouts are the graph's: images [height][width][channels], conv2d weights [oc][kh][kw][ic], depthwise [kh][kw][oc], dense
// [out][in]; what depends on an input has a leading axis of samples. `expectNear` says how far from it a kernel may be.

import type { Node } from '../../src/graph/node'
import type { OpName } from '../../src/ops'
import type { Activation } from '../../src/ops/op'
import type { RecurrentAttrs } from '../../src/ops/recurrent'
import type { WindowAttrs } from '../../src/ops/window'

export type Numbers = ArrayLike<number>
type Definition = (node: Node<never>, ...inputs: Numbers[]) => Float64Array

/** Half a unit in the last place of 1: the relative error of one float32 operation. */
export const EPSILON = 2 ** -24

export const reference: Record<OpName, Definition> = {
  add: (node: Node<Fused>, a, b) => Float64Array.from(a, (v, i) => activate(v + b[i], node.attrs.activation)),

  avgPool2d: (node: Node<WindowAttrs>, x) => pool(node, x, (window) => window.reduce((sum, v) => sum + v, 0) / window.length),

  conv2d(node: Node<WindowAttrs & Fused>, x, w, b) {
    const { ih, iw, ic, oh, ow, kh, kw, sh, sw, dh, dw, pt, pl } = geometry(node)
    const oc = w.length / (kh * kw * ic)
    const batch = x.length / (ih * iw * ic)
    const y = new Float64Array(batch * oh * ow * oc)
    let at = 0
    for (let n = 0; n < batch; n++)
      for (let oy = 0; oy < oh; oy++)
        for (let ox = 0; ox < ow; ox++)
          for (let o = 0; o < oc; o++) {
            let sum = b ? b[o] : 0
            for (let r = 0; r < kh; r++)
              for (let s = 0; s < kw; s++) {
                const iy = oy * sh + r * dh - pt
                const ix = ox * sw + s * dw - pl
                if (iy < 0 || iy >= ih || ix < 0 || ix >= iw) continue
                for (let c = 0; c < ic; c++) sum += x[((n * ih + iy) * iw + ix) * ic + c] * w[((o * kh + r) * kw + s) * ic + c]
              }
            y[at++] = activate(sum, node.attrs.activation)
          }
    return y
  },

  crossEntropy(node, x, labels, weights) {
    const classes = node.inputs[0].shape[0]
    let total = 0
    let mass = 0
    for (let i = 0; i < labels.length; i++) {
      const p = softmax(Array.from({ length: classes }, (_, j) => x[i * classes + j]))
      total -= weights[i] * Math.log(p[labels[i]])
      mass += weights[i]
    }
    return Float64Array.of(mass > 0 ? total / mass : 0)
  },

  dense(node: Node<Fused>, x, w, b) {
    const inputs = node.inputs[0].shape[0]
    const units = w.length / inputs
    return Float64Array.from({ length: (x.length / inputs) * units }, (_, at) => {
      const row = Math.floor(at / units)
      const unit = at % units
      let sum = b ? b[unit] : 0
      for (let i = 0; i < inputs; i++) sum += x[row * inputs + i] * w[unit * inputs + i]
      return activate(sum, node.attrs.activation)
    })
  },

  depthwiseConv2d(node: Node<WindowAttrs & Fused>, x, w, b) {
    const { ih, iw, ic, oh, ow, kh, kw, sh, sw, dh, dw, pt, pl } = geometry(node)
    const oc = w.length / (kh * kw)
    const multiplier = oc / ic
    const batch = x.length / (ih * iw * ic)
    const y = new Float64Array(batch * oh * ow * oc)
    let at = 0
    for (let n = 0; n < batch; n++)
      for (let oy = 0; oy < oh; oy++)
        for (let ox = 0; ox < ow; ox++)
          for (let o = 0; o < oc; o++) {
            let sum = b ? b[o] : 0
            for (let r = 0; r < kh; r++)
              for (let s = 0; s < kw; s++) {
                const iy = oy * sh + r * dh - pt
                const ix = ox * sw + s * dw - pl
                if (iy < 0 || iy >= ih || ix < 0 || ix >= iw) continue
                sum += x[((n * ih + iy) * iw + ix) * ic + Math.floor(o / multiplier)] * w[(r * kw + s) * oc + o]
              }
            y[at++] = activate(sum, node.attrs.activation)
          }
    return y
  },

  gru: (node: Node<RecurrentAttrs>, ...inputs) =>
    recurrent(node, inputs, 5, 1, (gates, products, [h]) => {
      const units = h.length
      const state = h.map((before, j) => {
        const r = sigmoid(gates[j] + products[j])
        const z = sigmoid(gates[units + j] + products[units + j])
        const n = Math.tanh(gates[2 * units + j] + r * products[2 * units + j])
        return (1 - z) * n + z * before
      })
      return [state]
    }),

  lstm: (node: Node<RecurrentAttrs>, ...inputs) =>
    recurrent(node, inputs, 4, 2, (gates, products, [h, c]) => {
      const units = h.length
      const sums = gates.map((g, j) => g + products[j])
      const cell = c.map((before, j) => sigmoid(sums[units + j]) * before + sigmoid(sums[j]) * Math.tanh(sums[2 * units + j]))
      return [cell.map((v, j) => sigmoid(sums[3 * units + j]) * Math.tanh(v)), cell]
    }),

  maxPool2d: (node: Node<WindowAttrs>, x) => pool(node, x, (window) => Math.max(...window)),

  relu: (_, x) => Float64Array.from(x, (v) => activate(v, 'relu')),

  relu6: (_, x) => Float64Array.from(x, (v) => activate(v, 'relu6')),

  reshape: (_, x) => Float64Array.from(x),

  simpleRnn: (node: Node<RecurrentAttrs & { activation: string }>, ...inputs) =>
    recurrent(node, inputs, 4, 1, (gates, products) => {
      const sums = gates.map((g, j) => g + products[j])
      return [sums.map((v) => (node.attrs.activation === 'relu' ? Math.max(v, 0) : Math.tanh(v)))]
    }),

  softmax(node, x) {
    const n = node.shape[node.shape.length - 1]
    const y = new Float64Array(x.length)
    for (let at = 0; at < x.length; at += n) y.set(softmax(Array.from({ length: n }, (_, j) => x[at + j])), at)
    return y
  },
}

/** A node's value from its inputs' values. */
export const evaluate = (node: Node, inputs: readonly Numbers[]): Float64Array =>
  reference[node.op as OpName](node as Node<never>, ...inputs)

/**
 * Throws at the first element with |got - want| > bound, or a number where the other is NaN. `bound` is one for all or one for
 * each element; `what` says whose values they are, with the seed where there is one.
 */
export function expectNear(got: Numbers, want: Numbers, bound: number | Numbers, what: string): void {
  if (got.length !== want.length) throw new Error(`${what}: got ${got.length} elements, wanted ${want.length}.`)
  for (let i = 0; i < want.length; i++) {
    const allowed = typeof bound === 'number' ? bound : bound[i]
    if (Object.is(got[i], want[i]) || Math.abs(got[i] - want[i]) <= allowed) continue
    throw new Error(
      `${what}: element ${i} of ${want.length} is ${got[i]}, wanted ${want[i]}: off by ${Math.abs(got[i] - want[i])}, allowed ${allowed}.`,
    )
  }
}

export const largest = (values: Numbers): number => Array.from(values).reduce((most, v) => Math.max(most, Math.abs(v)), 0)

interface Fused {
  activation?: Activation
}

function activate(v: number, activation?: Activation): number {
  if (!activation) return v
  return Math.min(Math.max(v, 0), activation === 'relu6' ? 6 : Infinity)
}

function softmax(x: number[]): number[] {
  const top = Math.max(...x)
  const e = x.map((v) => Math.exp(v - top))
  const sum = e.reduce((a, b) => a + b, 0)
  return e.map((v) => v / sum)
}

const sigmoid = (v: number) => 1 / (1 + Math.exp(-v))

/**
 * Goes through the steps of each sample: `cell` makes the next states of w x + b, of u h + c and of the states before. Inputs are
 * x, w, u, b, for gru c, then the mask and the first states where the attributes say so; `parameters` counts those before the mask.
 */
function recurrent(
  { inputs: nodes, attrs }: Node<RecurrentAttrs>,
  values: readonly Numbers[],
  parameters: 4 | 5,
  stateCount: number,
  cell: (gates: number[], products: number[], states: number[][]) => number[][],
): Float64Array {
  const [x, w, u, b] = values
  const [t, channels] = nodes[0].shape
  const [columns, units] = nodes[2].shape
  const mask = attrs.mask ? values[parameters] : undefined
  const first = attrs.initial ? values.slice(parameters + (mask ? 1 : 0)) : []
  const batch = x.length / (t * channels)
  const y: number[] = []
  const rows = (weights: Numbers, k: number, bias: Numbers | undefined, of: (i: number) => number) =>
    Array.from({ length: columns }, (_, j) => {
      let sum = bias ? bias[j] : 0
      for (let i = 0; i < k; i++) sum += weights[j * k + i] * of(i)
      return sum
    })
  for (let n = 0; n < batch; n++) {
    let states = Array.from({ length: stateCount }, (_, s) =>
      Array.from({ length: units }, (_, j) => first[s]?.[n * units + j] ?? 0),
    )
    const outputs: number[][] = []
    for (let k = 0; k < t; k++) {
      const step = attrs.reverse ? t - 1 - k : k
      const [h] = states
      const skipped = mask?.[n * t + step] === 0
      if (!skipped) {
        const gates = rows(w, channels, b, (i) => x[(n * t + step) * channels + i])
        const products = rows(u, units, parameters === 5 ? values[4] : undefined, (i) => h[i])
        states = cell(gates, products, states)
      }
      outputs[step] = states[0]
    }
    y.push(...(attrs.sequences ? outputs.flat() : states[0]))
  }
  return Float64Array.from(y)
}

/** `of` is applied to the values of each window that lie in the image, channel by channel. */
function pool(node: Node<WindowAttrs>, x: Numbers, of: (window: number[]) => number): Float64Array {
  const { ih, iw, ic, oh, ow, kh, kw, sh, sw, pt, pl } = geometry(node)
  const batch = x.length / (ih * iw * ic)
  const y = new Float64Array(batch * oh * ow * ic)
  let at = 0
  for (let n = 0; n < batch; n++)
    for (let oy = 0; oy < oh; oy++)
      for (let ox = 0; ox < ow; ox++)
        for (let c = 0; c < ic; c++) {
          const window: number[] = []
          for (let iy = oy * sh - pt; iy < oy * sh - pt + kh; iy++)
            for (let ix = ox * sw - pl; ix < ox * sw - pl + kw; ix++)
              if (iy >= 0 && iy < ih && ix >= 0 && ix < iw) window.push(x[((n * ih + iy) * iw + ix) * ic + c])
          y[at++] = of(window)
        }
  return y
}

function geometry({ inputs, attrs }: Node<WindowAttrs>) {
  const [ih, iw, ic] = inputs[0].shape
  const [kh, kw] = attrs.kernel
  const [sh, sw] = attrs.strides
  const [dh, dw] = attrs.dilation ?? [1, 1]
  const [oh, pt] = axis(ih, kh, sh, dh, attrs.padding, 0)
  const [ow, pl] = axis(iw, kw, sw, dw, attrs.padding, 2)
  return { ih, iw, ic, oh, ow, kh, kw, sh, sw, dh, dw, pt, pl }
}

/** Positions of the window along one axis, and the padding before it. `side` is where [top, bottom, left, right] has the axis. */
function axis(
  n: number,
  kernel: number,
  stride: number,
  dilation: number,
  padding: WindowAttrs['padding'],
  side: 0 | 2,
): [number, number] {
  const span = (kernel - 1) * dilation + 1
  if (padding === 'same') {
    const out = Math.ceil(n / stride)
    return [out, Math.floor(Math.max(0, (out - 1) * stride + span - n) / 2)]
  }
  const sides = padding === 'valid' ? [0, 0, 0, 0] : typeof padding === 'number' ? [padding, padding, padding, padding] : padding
  return [Math.floor((n + sides[side] + sides[side + 1] - span) / stride) + 1, sides[side]]
}
