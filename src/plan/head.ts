// A pass for devices that learn: the last layer of an int8 network turned back into float, from its dequantized input on. What it learns is
// then as fine as float32, while everything before it stays int8.

import { DunlinError } from '../graph/error'
import { isParam, mapGraph, type Node, type Param, topological } from '../graph/node'
import { opOf } from '../ops'
import { dequantize } from '../ops/convert'
import { makeNode, quantOf, where } from '../ops/op'

/** The graph with its last layer, which must be int8 and dense, and all that follows it in float32. Other nodes are shared. */
export function floatHead(outputs: readonly Node[]): Node[] {
  const head = lastLayer(outputs)
  if (head?.op !== 'dense' || head.dtype !== 'i8')
    throw new DunlinError(
      `train: of an int8 model only a dense layer at the end can learn, this one's last layer is ${head ? where(head) : 'none'}. End it with dense(), or build the float model, of which any layer can learn.`,
    )
  const float = new Set<Node>()
  return mapGraph(outputs, (node, inputs) => {
    if (isParam(node)) return node
    if (node === head) {
      const [x, w, b] = head.inputs as [Node, Param, Param]
      const real = dequantize({ name: `${head.name}/x` })(x)
      const made = makeNode(opOf(head.op)!, {
        op: head.op,
        name: head.name,
        attrs: head.attrs,
        inputs: [real, dequantized(w), dequantized(b)],
      })
      float.add(made)
      return made
    }
    if (!inputs.some((x) => float.has(x))) return node
    const integer = inputs.find((x) => x.dtype === 'i8')
    if (integer)
      throw new DunlinError(
        `train: ${where(node)} after ${where(head)} also reads ${where(integer)}, which is int8. Only what depends on the last dense layer alone can become float.`,
      )
    const made = makeNode(opOf(node.op)!, { op: node.op, name: node.name, attrs: node.attrs, inputs: [...inputs] })
    float.add(made)
    return made
  })
}

/** The last node that has parameters. */
export function lastLayer(outputs: readonly Node[]): Node | undefined {
  return topological(outputs)
    .filter((node) => node.inputs.some(isParam))
    .at(-1)
}

/** The real numbers that a parameter stands for, to be trained. (Weights that were pruned away may come back: here they take room anyway.) */
function dequantized(p: Param): Param {
  const { scale } = quantOf(p)
  const each = p.data.length / scale.length
  const data = Float32Array.from(p.data as ArrayLike<number>, (q, i) => q * scale[Math.floor(i / each)])
  const { quant: _, mask: __, ...rest } = p
  return { ...rest, dtype: 'f32', data, attrs: { trainable: true } }
}
