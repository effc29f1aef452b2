// dropout: in training each element is 0 with a probability, else scaled up; in inference it is its input, in the same memory. The
// mask is a function of seed, layer, step and element (assembly/f32/dropout.ts), so it is computed twice and never stored.

import { DunlinError } from '../graph/error'
import type { Layer, Node } from '../graph/node'
import { CURVE, elementwise } from './calls'
import { type Buffer, type Emit, expectInputs, makeNode, type Op, where } from './op'

export interface DropoutAttrs {
  rate: number
  seed: number
}

/**
 * In training each element is 0 with probability `rate`, in [0, 1), and the others are divided by 1 - rate (Srivastava et al. 2014,
 * "inverted"). Another `seed` (an integer of 32 bits, default 0) drops others; so does a layer of another name, and each step.
 */
export function dropout(options: { rate: number; seed?: number; name?: string }): Layer {
  const { rate, seed = 0, name = '' } = options
  return (x) => makeNode(dropoutOp, { op: 'dropout', name, attrs: { rate, seed }, inputs: [x] })
}

export const dropoutOp: Op<DropoutAttrs> = {
  shape(node) {
    expectInputs(node, 1, 'x')
    const { rate, seed } = node.attrs
    if (!(typeof rate === 'number' && rate >= 0 && rate < 1))
      throw new DunlinError(`${where(node)}: rate wants a number from 0 to below 1, got ${rate}.`)
    if (seed !== (seed | 0)) throw new DunlinError(`${where(node)}: seed wants an integer of 32 bits, got ${seed}.`)
    return node.inputs[0].shape
  },
  alias: 'inference',
  forward: (e, node) => drop(e, node, 'dropout_f32', e.value(node.inputs[0]), e.value(node)),
  backward(e, node) {
    const dy = e.grad(node)
    const dx = e.grad(node.inputs[0])
    if (dy && dx) drop(e, node, 'dropout_f32_dx', dy, dx)
  },
  int8: { quant: 'input', forward() {} },
}

function drop(e: Emit, node: Node<DropoutAttrs>, kernel: 'dropout_f32' | 'dropout_f32_dx', from: Buffer, to: Buffer): void {
  const { rate, seed } = node.attrs
  // Of the 2^32 words that may come up, so many drop.
  const threshold = Math.min(2 ** 32 - 1, Math.round(rate * 2 ** 32))
  const step = e.step()
  const numbers = [threshold, 1 / (1 - rate), seed, hash(node.name)] as const
  const part = (first: number, n: number) => e.call(kernel, e.at(from, first), step, e.at(to, first), n, first, ...numbers)
  elementwise(e, to.length, part, CURVE)
}

/** FNV-1a of a name: what tells the layers of a model apart, whatever is added around them. */
function hash(name: string): number {
  let h = 0x811c9dc5
  for (let i = 0; i < name.length; i++) h = Math.imul(h ^ name.charCodeAt(i), 0x01000193)
  return h
}
