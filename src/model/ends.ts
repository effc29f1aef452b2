// What a device wants at the ends of a network: raw bytes in place of normalized, quantized ones at its inputs, probabilities in place of
// logits at its output. The graph gets an op there; what is between stays as it is.

import { DunlinError } from '../graph/error'
import { type Ends, type InputAttrs, isInput, mapGraph, type Node } from '../graph/node'
import { softmaxOp } from '../ops/activation'
import { normalizeOp } from '../ops/normalize'
import { makeNode, where } from '../ops/op'

/** Ops whose values are probabilities already. */
const DONE: readonly string[] = ['softmax', 'sigmoid']

export function changeEnds(outputs: readonly Node[], { input, output }: Ends): readonly Node[] {
  if (input !== undefined && input !== 'u8' && input !== 'i16')
    throw new DunlinError(`input wants 'u8' or 'i16', got ${JSON.stringify(input)}. Leave it out for what the network reads.`)
  if (output !== undefined && output !== 'probabilities')
    throw new DunlinError(`output wants 'probabilities', got ${JSON.stringify(output)}. Leave it out for what the network gives.`)
  const [first, ...others] = input ? mapGraph(outputs, (node, inputs) => raw(node, inputs, input)) : outputs
  return [output ? probabilities(first) : first, ...others]
}

function raw(node: Node, inputs: readonly Node[], dtype: 'u8' | 'i16'): Node {
  if (!isInput(node)) return inputs.some((x, i) => x !== node.inputs[i]) ? { ...node, inputs } : node
  if (node.dtype !== 'f32' && node.dtype !== 'i8') return node
  const { normalize = { mean: 0, std: 1 } } = node.attrs
  const entrance: Node<InputAttrs> = {
    op: 'input',
    name: node.name,
    attrs: {},
    inputs: [],
    shape: node.shape,
    dtype,
    batched: true,
  }
  const integer = node.dtype === 'i8' ? { dtype: node.dtype, quant: node.quant } : undefined
  return makeNode(normalizeOp, { op: 'normalize', name: '', attrs: normalize, inputs: [entrance] }, integer)
}

function probabilities(node: Node): Node {
  if (DONE.includes(node.op)) return node
  if (node.shape.length !== 1 || node.shape[0] < 2) {
    throw new DunlinError(
      `${where(node)}: probabilities are of two classes and more, this output has shape [${node.shape}]. Leave out output: 'probabilities'.`,
    )
  }
  const quant = softmaxOp.int8?.quant
  const integer = node.dtype === 'i8' && typeof quant === 'object' ? { dtype: node.dtype, quant } : undefined
  return makeNode(softmaxOp, { op: 'softmax', name: '', attrs: {}, inputs: [node] }, integer)
}
