// Ops between integers and the real numbers that they stand for.

import type { Node, Normalize } from '../../src/graph/node'
import type { OpName } from '../../src/ops'
import type { Definition } from './definition'

export const conversions = {
  dequantize(node, x) {
    const { scale, zeroPoint } = (node as Node).inputs[0].quant!
    return Float64Array.from(x, (q) => Math.fround(scale[0]) * (q - zeroPoint))
  },

  normalize(node: Node<Normalize>, x) {
    const [mean, std] = [[node.attrs.mean].flat(), [node.attrs.std].flat()]
    return Float64Array.from(x, (v, i) => (v - mean[i % mean.length]) / std[i % std.length])
  },

  /** Before it is rounded and clamped, as that of toInt8. */
  rescale: (node, x) => Float64Array.from(x, (q) => steps(node, real(node.inputs[0], q))),

  toInt8: (node, x) => Float64Array.from(x, (v) => steps(node, v)),
} satisfies Partial<Record<OpName, Definition>>

/** What an int8 value stands for, and the number of steps that a real one is. */
const real = ({ quant }: Node, q: number) => quant!.scale[0] * (q - quant!.zeroPoint)
const steps = ({ quant }: Node, v: number) => quant!.zeroPoint + v / quant!.scale[0]
