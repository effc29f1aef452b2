// The slow, complete, readable definition of every op: plain loops in double precision, nothing shared with src or the kernels.
// Layouts are the graph's: images [height][width][channels], conv2d weights [oc][kh][kw][ic], depthwise [kh][kw][oc], dense
// [out][in]; what depends on an input has a leading axis of samples. `expectNear` says how far from it a kernel may be.

import type { Node } from '../../src/graph/node'
import type { OpName } from '../../src/ops'
import type { Activation } from '../../src/ops/op'
import type { WindowAttrs } from '../../src/ops/window'

export type Numbers = ArrayLike<number>
type Definition = (node: Node<never>, ...inputs: Numbers[]) => Float64Array

/** Half a unit in the last place of 1: the relative error of one float32 operation. */
export const EPSILON = 2 ** -24

export const reference: Record<OpName, Definition> = {
  add: (node: Node<Fused>, a, b) => Float64Array.from(a, (v, i) => activate(v + b[i], node.attrs.activation)),

  avgPool2d: (node: Node<WindowAttrs>, x) => pool(node, x, (window) => window.reduce((sum, v) => sum + v, 0) / window.length),

  binaryCrossEntropy: (_, x, target, weights) =>
    meanLoss(x, target, weights, (z, t) => {
      // ln(1 + e^z) - t z, from the side that does not overflow.
      return Math.max(z, 0) + Math.log1p(Math.exp(-Math.abs(z))) - t * z
    }),

  categoricalCrossEntropy(node: Node<Smoothed>, x, target, weights) {
    const classes = node.inputs[0].shape[0]
    const smoothing = node.attrs.labelSmoothing ?? 0
    return rowLoss(weights, (i) => {
      const p = logSoftmax(Array.from({ length: classes }, (_, j) => x[i * classes + j]))
      return p.reduce((sum, v, j) => sum - ((1 - smoothing) * target[i * classes + j] + smoothing / classes) * v, 0)
    })
  },

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

  crossEntropy(node: Node<Smoothed>, x, labels, weights) {
    const classes = node.inputs[0].shape[0]
    const smoothing = node.attrs?.labelSmoothing ?? 0
    const known = Float64Array.from(weights, (w, i) => (labels[i] >= 0 && labels[i] < classes ? w : 0))
    return rowLoss(known, (i) => {
      const p = logSoftmax(Array.from({ length: classes }, (_, j) => x[i * classes + j]))
      return -(1 - smoothing) * p[labels[i]] - smoothing * (p.reduce((sum, v) => sum + v, 0) / classes)
    })
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

  hinge: (_, x, target, weights) => meanLoss(x, target, weights, (v, t) => Math.max(0, 1 - t * v)),

  huber: (node: Node<{ delta: number }>, x, target, weights) =>
    meanLoss(x, target, weights, (v, t) => {
      const [d, { delta }] = [Math.abs(v - t), node.attrs]
      return d <= delta ? (d * d) / 2 : delta * (d - delta / 2)
    }),

  klDivergence(node, x, target, weights) {
    const classes = node.inputs[0].shape[0]
    return rowLoss(weights, (i) => {
      const p = logSoftmax(Array.from({ length: classes }, (_, j) => x[i * classes + j]))
      return p.reduce((sum, v, j) => {
        const t = target[i * classes + j]
        return t > 0 ? sum + t * (Math.log(t) - v) : sum
      }, 0)
    })
  },

  maxPool2d: (node: Node<WindowAttrs>, x) => pool(node, x, (window) => Math.max(...window)),

  meanAbsoluteError: (_, x, target, weights) => meanLoss(x, target, weights, (v, t) => Math.abs(v - t)),

  meanSquaredError: (_, x, target, weights) => meanLoss(x, target, weights, (v, t) => (v - t) ** 2),

  relu: (_, x) => Float64Array.from(x, (v) => activate(v, 'relu')),

  relu6: (_, x) => Float64Array.from(x, (v) => activate(v, 'relu6')),

  reshape: (_, x) => Float64Array.from(x),

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

interface Smoothed {
  labelSmoothing?: number
}

/** The rule of all losses: the weighted mean of the losses of the samples that weigh something; 0 of none. */
function rowLoss(weights: Numbers, lossOf: (sample: number) => number): Float64Array {
  let total = 0
  let mass = 0
  for (let i = 0; i < weights.length; i++) {
    if (!weights[i]) continue
    total += weights[i] * lossOf(i)
    mass += weights[i]
  }
  return Float64Array.of(mass > 0 ? total / mass : 0)
}

/** The loss of a sample is the mean of its elements'. */
function meanLoss(x: Numbers, target: Numbers, weights: Numbers, of: (x: number, target: number) => number): Float64Array {
  const n = x.length / weights.length
  return rowLoss(weights, (i) => {
    let sum = 0
    for (let j = i * n; j < (i + 1) * n; j++) sum += of(x[j], target[j])
    return sum / n
  })
}

function logSoftmax(x: number[]): number[] {
  const top = Math.max(...x)
  const log = Math.log(x.reduce((sum, v) => sum + Math.exp(v - top), 0))
  return x.map((v) => v - top - log)
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
