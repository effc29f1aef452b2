// Ops that carry something from one step to the next: recurrent layers, which go through the steps of a sample, and those of a stream,
// of which this is the first step, before which all is zero.

import { type Node, size } from '../../src/graph/node'
import type { OpName } from '../../src/ops'
import type { RecurrentAttrs } from '../../src/ops/recurrent'
import { activate, type Definition, everywhere, type Fused, type Numbers, sigmoid } from './definition'

export const recurrent = {
  gru: (node: Node<RecurrentAttrs>, ...inputs) =>
    throughSteps(node, inputs, 5, 1, (gates, products, [h]) => {
      const units = h.length
      const state = h.map((before, j) => {
        const r = sigmoid(gates[j] + products[j])
        const z = sigmoid(gates[units + j] + products[units + j])
        const n = Math.tanh(gates[2 * units + j] + r * products[2 * units + j])
        return (1 - z) * n + z * before
      })
      return [state]
    }),

  lstm: (node: Node<RecurrentAttrs & { cellClip?: number }>, ...inputs) =>
    throughSteps(node, inputs, 4, 2, (gates, products, [h, c]) => {
      const units = h.length
      const sums = gates.map((g, j) => g + products[j])
      const clip = node.attrs.cellClip ?? Infinity
      const cell = c.map((before, j) => {
        const sum = sigmoid(sums[units + j]) * before + sigmoid(sums[j]) * Math.tanh(sums[2 * units + j])
        return Math.max(-clip, Math.min(clip, sum))
      })
      return [cell.map((v, j) => sigmoid(sums[3 * units + j]) * Math.tanh(v)), cell]
    }),

  simpleRnn: (node: Node<RecurrentAttrs & { activation: string }>, ...inputs) =>
    throughSteps(node, inputs, 4, 1, (gates, products) => {
      const sums = gates.map((g, j) => g + products[j])
      return [sums.map((v) => (node.attrs.activation === 'relu' ? Math.max(v, 0) : Math.tanh(v)))]
    }),

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

  recall: (node, of) => new Float64Array((of.length / size(node.inputs[0].shape)) * size(node.shape)),

  remember: (_, y) => Float64Array.from(y),
} satisfies Partial<Record<OpName, Definition>>

/**
 * Goes through the steps of each sample: `cell` makes the next states of w x + b, of u h + c and of the states before. Inputs are
 * x, w, u, b, for gru c, then the mask and the first states where the attributes say so; `parameters` counts those before the mask.
 */
function throughSteps(
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
