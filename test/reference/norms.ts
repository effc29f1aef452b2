// Ops that make a value from all those of its row, its channel or some axes: normalizations, softmax and means.

import { type Node, size } from '../../src/graph/node'
import type { OpName } from '../../src/ops'
import { activate, type Definition, everywhere, type Fused, logSoftmax, position } from './definition'

export const norms = {
  batchNorm(node: Node<Normalized>, x, gamma, beta, mean, variance) {
    const c = gamma.length
    const { epsilon, activation } = node.attrs
    return Float64Array.from(x, (v, i) => {
      const normalized = (v - mean[i % c]) / Math.sqrt(variance[i % c] + epsilon)
      return activate(normalized * gamma[i % c] + beta[i % c], activation)
    })
  },

  layerNorm(node: Node<Normalized>, x, gamma, beta) {
    const n = gamma.length
    const y = new Float64Array(x.length)
    for (let at = 0; at < x.length; at += n) {
      const [mean, variance] = moments(Array.from({ length: n }, (_, j) => x[at + j]))
      for (let j = 0; j < n; j++) y[at + j] = ((x[at + j] - mean) / Math.sqrt(variance + node.attrs.epsilon)) * gamma[j] + beta[j]
    }
    return y
  },

  logSoftmax(node, x) {
    const n = node.shape[node.shape.length - 1]
    return Float64Array.from(x, (_, i) => logSoftmax(Array.from({ length: n }, (_, j) => x[i - (i % n) + j]))[i % n])
  },

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

  softmax(node, x) {
    const n = node.shape[node.shape.length - 1]
    const y = new Float64Array(x.length)
    for (let at = 0; at < x.length; at += n) y.set(softmax(Array.from({ length: n }, (_, j) => x[at + j])), at)
    return y
  },
} satisfies Partial<Record<OpName, Definition>>

export interface Normalized extends Fused {
  epsilon: number
}

/** Mean and biased variance. */
export function moments(values: readonly number[]): [number, number] {
  const mean = values.reduce((sum, v) => sum + v, 0) / values.length
  return [mean, values.reduce((sum, v) => sum + (v - mean) ** 2, 0) / values.length]
}

function softmax(x: number[]): number[] {
  const top = Math.max(...x)
  const e = x.map((v) => Math.exp(v - top))
  const sum = e.reduce((a, b) => a + b, 0)
  return e.map((v) => v / sum)
}
