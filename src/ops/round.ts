// round: to integers. It has no gradient: its slope is 0 wherever it has one.

import { DunlinError } from '../graph/error'
import type { Layer } from '../graph/node'
import { elementwise, inStep } from './calls'
import { expectInputs, makeNode, type Op, where } from './op'

/** In the order of the kernel's modes. */
const MODES = ['nearest', 'down', 'up', 'towardsZero'] as const

export interface RoundAttrs {
  mode: (typeof MODES)[number]
}

/** x rounded to an integer: to the nearest, halves to the even one (default), down, up or towards 0. */
export function round(options: { mode?: RoundAttrs['mode']; name?: string } = {}): Layer {
  const { mode = 'nearest', name = '' } = options
  return (x) => makeNode(roundOp, { op: 'round', name, attrs: { mode }, inputs: [x] })
}

export const roundOp: Op<RoundAttrs> = {
  shape(node) {
    expectInputs(node, 1, 'x')
    const { mode } = node.attrs
    if (!MODES.includes(mode))
      throw new DunlinError(`${where(node)}: mode wants one of ${MODES.join(', ')}, got ${JSON.stringify(mode)}.`)
    return node.inputs[0].shape
  },
  forward(e, node) {
    const [x, y] = inStep(e, node)
    const mode = MODES.indexOf(node.attrs.mode)
    elementwise(e, y.length, (from, n) => e.call('round_f32', e.at(x, from), e.at(y, from), n, mode))
  },
}
