// Ops that multiply matrices: an output is the product of a row and a column.

import type { Node } from '../../src/graph/node'
import type { OpName } from '../../src/ops'
import { activate, type Definition, type Fused } from './definition'

export const products = {
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
} satisfies Partial<Record<OpName, Definition>>
