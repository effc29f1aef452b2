// The slow, complete, readable definition of every op: plain loops in double precision, nothing shared with src or the kernels.
// Layouts are the graph's: images [height][width][channels], conv2d weights [oc][kh][kw][ic], depthwise [kh][kw][oc], dense
// [out][in]; what depends on an input has a leading axis of samples. `expectNear` says how far from it a kernel may be.

import { type Node, type Normalize, type Shape, size } from '../../src/graph/node'
import type { OpName } from '../../src/ops'
import type { BinaryCrossEntropyAttrs, HuberAttrs, LossAttrs } from '../../src/ops/losses'
import type { Activation } from '../../src/ops/op'
import type { AvgPoolAttrs } from '../../src/ops/pool2d'
import type { RecurrentAttrs } from '../../src/ops/recurrent'
import type { RoundAttrs } from '../../src/ops/round'
import type { LogMelAttrs, MfccAttrs } from '../../src/ops/spectrum'
import type { WindowAttrs } from '../../src/ops/window'
import { dctReference, logMelReference } from './sound'

export type Numbers = ArrayLike<number>
type Definition = (node: Node<never>, ...inputs: Numbers[]) => Float64Array

/** Half a unit in the last place of 1: the relative error of one float32 operation. */
export const EPSILON = 2 ** -24

export const reference: Record<OpName, Definition> = {
  add: (node: Node<Fused>, a, b) => Float64Array.from(a, (v, i) => activate(v + b[i], node.attrs.activation)),

  avgPool2d(node: Node<AvgPoolAttrs>, x) {
    const { countPadding, kernel } = node.attrs
    const count = (window: number[]) => (countPadding ? kernel[0] * kernel[1] : window.length)
    return pool(node, x, (window) => window.reduce((sum, v) => sum + v, 0) / count(window))
  },

  batchNorm(node: Node<Normalized>, x, gamma, beta, mean, variance) {
    const c = gamma.length
    const { epsilon, activation } = node.attrs
    return Float64Array.from(x, (v, i) => {
      const normalized = (v - mean[i % c]) / Math.sqrt(variance[i % c] + epsilon)
      return activate(normalized * gamma[i % c] + beta[i % c], activation)
    })
  },

  broadcast(node: Node<{ shape: Shape }>, x, like) {
    const { shape } = node.inputs[0]
    const before = node.shape.length - shape.length
    const samples = like.length / size(node.inputs[1].shape)
    return everywhere(node, samples, (index, sample) => {
      const at = shape.map((n, i) => (n === 1 ? 0 : index[i + before]))
      return x[position(shape, at, node.inputs[0].batched ? sample : 0)]
    })
  },

  clip: (node: Node<{ low?: number; high?: number }>, x) =>
    Float64Array.from(x, (v) => Math.min(Math.max(v, node.attrs.low ?? -Infinity), node.attrs.high ?? Infinity)),

  concat(node: Node<{ axis: number }>, ...inputs) {
    const { axis } = node.attrs
    return everywhere(node, inputs[0].length / size(node.inputs[0].shape), (index, sample) => {
      let from = index[axis]
      let i = 0
      while (from >= node.inputs[i].shape[axis]) from -= node.inputs[i++].shape[axis]
      const { shape } = node.inputs[i]
      return inputs[i][
        position(
          shape,
          index.map((v, j) => (j === axis ? from : v)),
          sample,
        )
      ]
    })
  },

  binaryCrossEntropy: (node: Node<BinaryCrossEntropyAttrs>, x, target, weights) =>
    meanLoss(node, x, target, weights, (z, t) => {
      if (node.attrs.fromLogits === false) return -t * Math.log(z) - (1 - t) * Math.log1p(-z)
      // ln(1 + e^z) - t z, from the side that does not overflow.
      return Math.max(z, 0) + Math.log1p(Math.exp(-Math.abs(z))) - t * z
    }),

  categoricalCrossEntropy(node: Node<Smoothed>, x, target, weights) {
    const classes = node.inputs[0].shape[0]
    const smoothing = node.attrs.labelSmoothing ?? 0
    return rowLoss(node, weights, (i) => {
      const p = logSoftmax(Array.from({ length: classes }, (_, j) => x[i * classes + j]))
      return p.reduce((sum, v, j) => sum - ((1 - smoothing) * target[i * classes + j] + smoothing / classes) * v, 0)
    })
  },

  conv2d(node: Node<WindowAttrs & Fused & { groups?: number }>, x, w, b) {
    const { ih, iw, ic, oh, ow, kh, kw, sh, sw, dh, dw, pt, pl } = geometry(node)
    const { groups = 1 } = node.attrs
    // A filter of group g sees `seen` channels, from g * seen on.
    const seen = ic / groups
    const oc = w.length / (kh * kw * seen)
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
                const from = Math.floor((o * groups) / oc) * seen
                for (let c = 0; c < seen; c++)
                  sum += x[((n * ih + iy) * iw + ix) * ic + from + c] * w[((o * kh + r) * kw + s) * seen + c]
              }
            y[at++] = activate(sum, node.attrs.activation)
          }
    return y
  },

  // Every input position adds its value, times the filter, to the outputs under it.
  convTranspose2d(node: Node<WindowAttrs & Fused>, x, w, b) {
    const [ih, iw, ic] = node.inputs[0].shape
    const [oh, ow, oc] = node.shape
    const { padding, kernel, strides } = node.attrs
    const [kh, kw] = kernel
    const [sh, sw] = strides
    const before = (k: number, s: number, side: 0 | 2) => {
      if (padding === 'same') return Math.floor(Math.max(0, k - s) / 2)
      return padding === 'valid' ? 0 : typeof padding === 'number' ? padding : padding[side]
    }
    const [pt, pl] = [before(kh, sh, 0), before(kw, sw, 2)]
    const batch = x.length / (ih * iw * ic)
    const y = Float64Array.from({ length: batch * oh * ow * oc }, (_, i) => b?.[i % oc] ?? 0)
    for (let n = 0; n < batch; n++)
      for (let iy = 0; iy < ih; iy++)
        for (let ix = 0; ix < iw; ix++)
          for (let r = 0; r < kh; r++)
            for (let s = 0; s < kw; s++) {
              const oy = iy * sh + r - pt
              const ox = ix * sw + s - pl
              if (oy < 0 || oy >= oh || ox < 0 || ox >= ow) continue
              for (let c = 0; c < ic; c++)
                for (let o = 0; o < oc; o++)
                  y[((n * oh + oy) * ow + ox) * oc + o] +=
                    x[((n * ih + iy) * iw + ix) * ic + c] * w[((c * kh + r) * kw + s) * oc + o]
            }
    return y.map((v) => activate(v, node.attrs.activation))
  },

  crossEntropy(node: Node<Smoothed>, x, labels, weights) {
    const classes = node.inputs[0].shape[0]
    const smoothing = node.attrs?.labelSmoothing ?? 0
    const known = Float64Array.from(weights, (w, i) => (labels[i] >= 0 && labels[i] < classes ? w : 0))
    return rowLoss(node, known, (i) => {
      const p = logSoftmax(Array.from({ length: classes }, (_, j) => x[i * classes + j]))
      return -(1 - smoothing) * p[labels[i]] - smoothing * (p.reduce((sum, v) => sum + v, 0) / classes)
    })
  },

  dense(node: Node<Fused>, x, w, b) {
    const [units, inputs] = node.inputs[1].shape
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

  div: (_, a, b) => Float64Array.from(a, (v, i) => v / b[i]),

  // A series of which no term cancels another: e^-x^2 times the sum of 2^n x^(2n + 1) / (1 3 5 ... (2n + 1)).
  erf: (_, x) =>
    Float64Array.from(x, (v) => {
      let [sum, term] = [0, v]
      for (let n = 1; n < 150; n++, term *= (2 * v * v) / (2 * n - 1)) sum += term
      return (2 / Math.sqrt(Math.PI)) * Math.exp(-v * v) * sum
    }),

  exp: (_, x) => Float64Array.from(x, Math.exp),

  layerNorm(node: Node<Normalized>, x, gamma, beta) {
    const n = gamma.length
    const y = new Float64Array(x.length)
    for (let at = 0; at < x.length; at += n) {
      const [mean, variance] = moments(Array.from({ length: n }, (_, j) => x[at + j]))
      for (let j = 0; j < n; j++) y[at + j] = ((x[at + j] - mean) / Math.sqrt(variance + node.attrs.epsilon)) * gamma[j] + beta[j]
    }
    return y
  },

  dequantize(node, x) {
    const { scale, zeroPoint } = (node as Node).inputs[0].quant!
    return Float64Array.from(x, (q) => Math.fround(scale[0]) * (q - zeroPoint))
  },

  dropout: (_, x) => Float64Array.from(x),

  elu: (node: Node<{ alpha: number }>, x) => Float64Array.from(x, (v) => (v > 0 ? v : node.attrs.alpha * Math.expm1(v))),

  embedding(node, x, w) {
    const [rows, units] = node.inputs[1].shape
    return Float64Array.from({ length: x.length * units }, (_, at) => {
      const row = Math.min(Math.max(x[Math.floor(at / units)], 0), rows - 1)
      return w[row * units + (at % units)]
    })
  },

  // (1 + tanh u) / 2 = sigmoid(2 u), whose digits do not cancel.
  gelu: (_, x) => Float64Array.from(x, (v) => v * sigmoid(2 * Math.sqrt(2 / Math.PI) * (v + 0.044715 * v ** 3))),

  hardSigmoid: (_, x) => Float64Array.from(x, hardSigmoid),

  hardSwish: (_, x) => Float64Array.from(x, (v) => v * hardSigmoid(v)),

  leakyRelu: (node: Node<{ alpha: number }>, x) => Float64Array.from(x, (v) => (v > 0 ? v : node.attrs.alpha * v)),

  logSoftmax(node, x) {
    const n = node.shape[node.shape.length - 1]
    return Float64Array.from(x, (_, i) => logSoftmax(Array.from({ length: n }, (_, j) => x[i - (i % n) + j]))[i % n])
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

  log: (_, x) => Float64Array.from(x, Math.log),

  logMel: (node: Node<LogMelAttrs>, x) => logMelReference(node.attrs, x, node.inputs[0].shape[0]),

  lstm: (node: Node<RecurrentAttrs & { cellClip?: number }>, ...inputs) =>
    recurrent(node, inputs, 4, 2, (gates, products, [h, c]) => {
      const units = h.length
      const sums = gates.map((g, j) => g + products[j])
      const clip = node.attrs.cellClip ?? Infinity
      const cell = c.map((before, j) => {
        const sum = sigmoid(sums[units + j]) * before + sigmoid(sums[j]) * Math.tanh(sums[2 * units + j])
        return Math.max(-clip, Math.min(clip, sum))
      })
      return [cell.map((v, j) => sigmoid(sums[3 * units + j]) * Math.tanh(v)), cell]
    }),

  maxPool2d: (node: Node<WindowAttrs>, x) => pool(node, x, (window) => Math.max(...window)),

  mfcc({ attrs, inputs }: Node<MfccAttrs>, x) {
    return dctReference(logMelReference(attrs, x, inputs[0].shape[0]), attrs.bands, attrs.coefficients)
  },

  mish: (_, x) => Float64Array.from(x, (v) => v * Math.tanh(Math.log1p(Math.exp(v)))),

  matMul(node, a, b) {
    const [m, n] = node.shape.slice(-2)
    const k = node.inputs[0].shape[node.shape.length - 1]
    return Float64Array.from({ length: (a.length / k) * n }, (_, at) => {
      const [s, i, j] = [Math.floor(at / (m * n)), Math.floor(at / n) % m, at % n]
      let sum = 0
      for (let l = 0; l < k; l++) sum += a[(s * m + i) * k + l] * b[(s * k + l) * n + j]
      return sum
    })
  },

  mul: (_, a, b) => Float64Array.from(a, (v, i) => v * b[i]),

  normalize(node: Node<Normalize>, x) {
    const [mean, std] = [[node.attrs.mean].flat(), [node.attrs.std].flat()]
    return Float64Array.from(x, (v, i) => (v - mean[i % mean.length]) / std[i % std.length])
  },

  pad(node: Node<{ padding: [number, number][]; value: number }>, x) {
    const { shape } = node.inputs[0]
    return everywhere(node, x.length / size(shape), (index, sample) => {
      const from = index.map((v, i) => v - node.attrs.padding[i][0])
      return from.every((v, i) => v >= 0 && v < shape[i]) ? x[position(shape, from, sample)] : node.attrs.value
    })
  },

  permute(node: Node<{ axes: number[] }>, x) {
    const { shape } = node.inputs[0]
    return everywhere(node, x.length / size(shape), (index, sample) => {
      const from: number[] = []
      for (const [i, axis] of node.attrs.axes.entries()) from[axis] = index[i]
      return x[position(shape, from, sample)]
    })
  },

  hinge: (node: Node<LossAttrs>, x, target, weights) => meanLoss(node, x, target, weights, (v, t) => Math.max(0, 1 - t * v)),

  huber: (node: Node<HuberAttrs>, x, target, weights) =>
    meanLoss(node, x, target, weights, (v, t) => {
      const [d, { delta }] = [Math.abs(v - t), node.attrs]
      return d <= delta ? (d * d) / 2 : delta * (d - delta / 2)
    }),

  klDivergence(node, x, target, weights) {
    const classes = node.inputs[0].shape[0]
    return rowLoss(node, weights, (i) => {
      const p = logSoftmax(Array.from({ length: classes }, (_, j) => x[i * classes + j]))
      return p.reduce((sum, v, j) => {
        const t = target[i * classes + j]
        return t > 0 ? sum + t * (Math.log(t) - v) : sum
      }, 0)
    })
  },

  meanAbsoluteError: (node: Node<LossAttrs>, x, target, weights) => meanLoss(node, x, target, weights, (v, t) => Math.abs(v - t)),

  meanSquaredError: (node: Node<LossAttrs>, x, target, weights) => meanLoss(node, x, target, weights, (v, t) => (v - t) ** 2),

  mean(node: Node<{ axes: number[] }>, x) {
    const { shape } = node.inputs[0]
    const { axes } = node.attrs
    const gone = axes.map((axis) => shape[axis])
    const count = size(gone)
    const samples = x.length / size(shape)
    return everywhere(node, samples, (index, sample) => {
      let sum = 0
      for (let i = 0; i < count; i++) {
        let rest = i
        const among = gone.map((n) => {
          const v = rest % n
          rest = Math.floor(rest / n)
          return v
        })
        let kept = 0
        const at = shape.map((_, axis) => (axes.includes(axis) ? among[axes.indexOf(axis)] : index[kept++]))
        sum += x[position(shape, at, sample)]
      }
      return sum / count
    })
  },

  recall: (node, of) => new Float64Array((of.length / size(node.inputs[0].shape)) * size(node.shape)),

  relu: (_, x) => Float64Array.from(x, (v) => activate(v, 'relu')),

  relu6: (_, x) => Float64Array.from(x, (v) => activate(v, 'relu6')),

  remember: (_, y) => Float64Array.from(y),

  /** Before it is rounded and clamped, as that of toInt8. */
  rescale: (node, x) => Float64Array.from(x, (q) => steps(node, real(node.inputs[0], q))),

  reshape: (_, x) => Float64Array.from(x),

  resize(node: Node<{ size: [number, number]; method: string; pixels?: string }>, x) {
    const { shape } = node.inputs[0]
    const { method, pixels = method === 'nearest' ? 'edges' : 'centers' } = node.attrs
    /** Where output o lies; with corners and one output it is the first pixel. */
    const place = (o: number, i: number) => {
      const [from, to] = [shape[i], node.shape[i]]
      if (pixels === 'corners') return to > 1 ? (o * (from - 1)) / (to - 1) : 0
      return pixels === 'centers' ? ((o + 0.5) * from) / to - 0.5 : (o * from) / to
    }
    return everywhere(node, x.length / size(shape), ([oy, ox, c], sample) => {
      const pixel = (iy: number, ix: number) => x[position(shape, [iy, ix, c], sample)]
      if (method === 'nearest') {
        const [iy, ix] = [oy, ox].map((o, i) => Math.floor(place(o, i) + (pixels === 'edges' ? 0 : 0.5) + 1e-12))
        return pixel(iy, ix)
      }
      const [iy, ix] = [oy, ox].map((o, i) => Math.max(0, place(o, i)))
      const [y0, x0] = [Math.floor(iy), Math.floor(ix)]
      const [y1, x1] = [Math.min(y0 + 1, shape[0] - 1), Math.min(x0 + 1, shape[1] - 1)]
      const above = pixel(y0, x0) * (1 - ix + x0) + pixel(y0, x1) * (ix - x0)
      const below = pixel(y1, x0) * (1 - ix + x0) + pixel(y1, x1) * (ix - x0)
      return above * (1 - iy + y0) + below * (iy - y0)
    })
  },

  round: ({ attrs: { mode } }: Node<RoundAttrs>, x) => {
    const nearest = (v: number) => (Math.abs(v % 1) === 0.5 ? 2 * Math.round(v / 2) : Math.round(v))
    return Float64Array.from(x, { nearest, down: Math.floor, up: Math.ceil, towardsZero: Math.trunc }[mode])
  },

  sigmoid: (_, x) => Float64Array.from(x, sigmoid),

  silu: (_, x) => Float64Array.from(x, (v) => v * sigmoid(v)),

  slice: (node: Node<{ begin: number[]; strides?: number[] }>, x) => {
    const { shape } = node.inputs[0]
    return everywhere(
      node,
      x.length / size(shape),
      (index, sample) =>
        x[
          position(
            shape,
            index.map((v, i) => v * (node.attrs.strides?.[i] ?? 1) + node.attrs.begin[i]),
            sample,
          )
        ],
    )
  },

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

  softplus: (_, x) => Float64Array.from(x, (v) => Math.max(v, 0) + Math.log1p(Math.exp(-Math.abs(v)))),

  sqrt: (_, x) => Float64Array.from(x, Math.sqrt),

  sub: (_, a, b) => Float64Array.from(a, (v, i) => v - b[i]),

  /** From a state of zeros, where only the newest step counts. */
  svdf(node: Node<{ rank: number } & Fused>, x, f, w, b) {
    const [
      {
        shape: [inputs],
      },
      ,
      {
        shape: [, memory],
      },
    ] = node.inputs
    const { rank, activation } = node.attrs
    return everywhere(node, x.length / inputs, ([unit], sample) => {
      let sum = b[unit]
      for (let filter = unit * rank; filter < (unit + 1) * rank; filter++) {
        let feature = 0
        for (let i = 0; i < inputs; i++) feature += x[sample * inputs + i] * f[filter * inputs + i]
        sum += feature * w[filter * memory + memory - 1]
      }
      return activate(sum, activation)
    })
  },

  tanh: (_, x) => Float64Array.from(x, Math.tanh),

  toInt8: (node, x) => Float64Array.from(x, (v) => steps(node, v)),
}

/** Ops that compute something else in a training step. */
const inTraining: Partial<Record<OpName, Definition>> = {
  batchNorm(node: Node<Normalized>, x, gamma, beta) {
    const c = gamma.length
    const columns = Array.from({ length: c }, (_, j) => moments(Array.from(x).filter((_, i) => i % c === j)))
    const [mean, variance] = [columns.map(([m]) => m), columns.map(([, v]) => v)]
    return reference.batchNorm(node as Node<never>, x, gamma, beta, mean, variance)
  },
}

/** A node's value from its inputs' values, in inference or in a training step. */
export const evaluate = (node: Node, inputs: readonly Numbers[], training = false): Float64Array =>
  ((training && inTraining[node.op as OpName]) || reference[node.op as OpName])(node as Node<never>, ...inputs)

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

interface Normalized extends Fused {
  epsilon: number
}

/** Mean and biased variance. */
function moments(values: readonly number[]): [number, number] {
  const mean = values.reduce((sum, v) => sum + v, 0) / values.length
  return [mean, values.reduce((sum, v) => sum + (v - mean) ** 2, 0) / values.length]
}

interface Smoothed extends LossAttrs {
  labelSmoothing?: number
}

/** The rule of all losses: the weighted mean, or sum, of the losses of the samples that weigh something; 0 of none. */
function rowLoss({ attrs }: Node<LossAttrs>, weights: Numbers, lossOf: (sample: number) => number): Float64Array {
  let total = 0
  let mass = 0
  for (let i = 0; i < weights.length; i++) {
    if (!weights[i]) continue
    total += weights[i] * lossOf(i)
    mass += weights[i]
  }
  return Float64Array.of(attrs?.reduction === 'sum' ? total : mass > 0 ? total / mass : 0)
}

/** The loss of a sample is the mean of its elements'. */
function meanLoss(
  node: Node<LossAttrs>,
  x: Numbers,
  target: Numbers,
  weights: Numbers,
  of: (x: number, target: number) => number,
): Float64Array {
  const n = x.length / weights.length
  return rowLoss(node, weights, (i) => {
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

/** What an int8 value stands for, and the number of steps that a real one is. */
const real = ({ quant }: Node, q: number) => quant!.scale[0] * (q - quant!.zeroPoint)
const steps = ({ quant }: Node, v: number) => quant!.zeroPoint + v / quant!.scale[0]

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

const hardSigmoid = (v: number) => Math.min(Math.max(v / 6 + 1 / 2, 0), 1)

/** The values of a node, each from its index on every axis and the number of its sample. */
function everywhere(node: Node, batch: number, of: (index: number[], sample: number) => number): Float64Array {
  const each = size(node.shape)
  return Float64Array.from({ length: batch * each }, (_, at) => {
    const index: number[] = []
    let rest = at % each
    for (const n of [...node.shape].reverse()) {
      index.unshift(rest % n)
      rest = Math.floor(rest / n)
    }
    return of(index, Math.floor(at / each))
  })
}

/** Where an element lies in its tensor. */
const position = (shape: Shape, index: readonly number[], sample: number) =>
  shape.reduce((at, n, axis) => at * n + index[axis], sample)

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
