// Ops that make each element from those at the same place in the inputs: arithmetic, activations, rounding.

import type { Node } from '../../src/graph/node'
import type { OpName } from '../../src/ops'
import type { RoundAttrs } from '../../src/ops/round'
import { activate, type Definition, type Fused, sigmoid } from './definition'

export const elementwise = {
  add: (node: Node<Fused>, a, b) => Float64Array.from(a, (v, i) => activate(v + b[i], node.attrs.activation)),

  clip: (node: Node<{ low?: number; high?: number }>, x) =>
    Float64Array.from(x, (v) => Math.min(Math.max(v, node.attrs.low ?? -Infinity), node.attrs.high ?? Infinity)),

  div: (_, a, b) => Float64Array.from(a, (v, i) => v / b[i]),

  dropout: (_, x) => Float64Array.from(x),

  elu: (node: Node<{ alpha: number }>, x) => Float64Array.from(x, (v) => (v > 0 ? v : node.attrs.alpha * Math.expm1(v))),

  // A series of which no term cancels another: e^-x^2 times the sum of 2^n x^(2n + 1) / (1 3 5 ... (2n + 1)).
  erf: (_, x) =>
    Float64Array.from(x, (v) => {
      let [sum, term] = [0, v]
      for (let n = 1; n < 150; n++, term *= (2 * v * v) / (2 * n - 1)) sum += term
      return (2 / Math.sqrt(Math.PI)) * Math.exp(-v * v) * sum
    }),

  exp: (_, x) => Float64Array.from(x, Math.exp),

  // (1 + tanh u) / 2 = sigmoid(2 u), whose digits do not cancel.
  gelu: (_, x) => Float64Array.from(x, (v) => v * sigmoid(2 * Math.sqrt(2 / Math.PI) * (v + 0.044715 * v ** 3))),

  hardSigmoid: (_, x) => Float64Array.from(x, hardSigmoid),

  hardSwish: (_, x) => Float64Array.from(x, (v) => v * hardSigmoid(v)),

  leakyRelu: (node: Node<{ alpha: number }>, x) => Float64Array.from(x, (v) => (v > 0 ? v : node.attrs.alpha * v)),

  log: (_, x) => Float64Array.from(x, Math.log),

  mish: (_, x) => Float64Array.from(x, (v) => v * Math.tanh(Math.log1p(Math.exp(v)))),

  mul: (_, a, b) => Float64Array.from(a, (v, i) => v * b[i]),

  relu: (_, x) => Float64Array.from(x, (v) => activate(v, 'relu')),

  relu6: (_, x) => Float64Array.from(x, (v) => activate(v, 'relu6')),

  round: ({ attrs: { mode } }: Node<RoundAttrs>, x) => {
    const nearest = (v: number) => (Math.abs(v % 1) === 0.5 ? 2 * Math.round(v / 2) : Math.round(v))
    return Float64Array.from(x, { nearest, down: Math.floor, up: Math.ceil, towardsZero: Math.trunc }[mode])
  },

  sigmoid: (_, x) => Float64Array.from(x, sigmoid),

  silu: (_, x) => Float64Array.from(x, (v) => v * sigmoid(v)),

  softplus: (_, x) => Float64Array.from(x, (v) => Math.max(v, 0) + Math.log1p(Math.exp(-Math.abs(v)))),

  sqrt: (_, x) => Float64Array.from(x, Math.sqrt),

  sub: (_, a, b) => Float64Array.from(a, (v, i) => v - b[i]),

  tanh: (_, x) => Float64Array.from(x, Math.tanh),
} satisfies Partial<Record<OpName, Definition>>

const hardSigmoid = (v: number) => Math.min(Math.max(v / 6 + 1 / 2, 0), 1)
