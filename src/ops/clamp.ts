// clamp: a value kept within two limits. relu and relu6 are clamps with names of their own, which layers can fuse.

import { DunlinError } from '../graph/error'
import type { Layer } from '../graph/node'
import { elementwise } from './calls'
import { expectInputs, makeNode, type Op, quantizedClamp, quantOf, where } from './op'

export interface ClampAttrs {
  /** Left out: no limit. */
  low?: number
  high?: number
}

/** min(max(x, low), high); a limit left out is none. */
export function clamp(options: ClampAttrs & { name?: string }): Layer {
  const { low, high, name = '' } = options
  const attrs = { ...(low !== undefined && { low }), ...(high !== undefined && { high }) }
  return (x) => makeNode(clampOp, { op: 'clamp', name, attrs, inputs: [x] })
}

const limitsOf = ({ low = -Infinity, high = Infinity }: ClampAttrs) => [low, high] as const

export const clampOp: Op<ClampAttrs> = {
  shape(node) {
    expectInputs(node, 1, 'x')
    const [low, high] = limitsOf(node.attrs)
    if (typeof low !== 'number' || typeof high !== 'number' || !(low <= high))
      throw new DunlinError(`${where(node)}: wants numbers low <= high, got ${JSON.stringify(node.attrs)}.`)
    return node.inputs[0].shape
  },
  forward(e, node) {
    const [x, y] = [e.value(node.inputs[0]), e.value(node)]
    const limits = limitsOf(node.attrs)
    elementwise(e, y.length, (from, n) => e.call('clamp_f32', e.at(x, from), e.at(y, from), n, ...limits))
  },
  backward(e, node) {
    const dy = e.grad(node)
    const dx = e.grad(node.inputs[0])
    if (!dy || !dx) return
    const y = e.value(node)
    const limits = limitsOf(node.attrs)
    const part = (from: number, n: number) => e.call('clamp_f32_dx', e.at(y, from), e.at(dy, from), e.at(dx, from), n, ...limits)
    elementwise(e, dy.length, part)
  },
  int8: {
    quant: 'input',
    forward(e, node) {
      const [x, y] = [e.value(node.inputs[0]), e.value(node)]
      const limits = quantizedClamp(limitsOf(node.attrs), quantOf(node))
      elementwise(e, y.length, (from, n) => e.call('clamp_i8', e.at(x, from), e.at(y, from), n, ...limits))
    },
  },
}
