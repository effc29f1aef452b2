// lstm: a cell c that gates open and close, and an output h, step by step over a sequence. recurrent.ts says how the work is divided.

import type { Op } from './op'
import {
  backwardBuffers,
  type Family,
  forwardLoop,
  makeRecurrent,
  type Recurrent,
  type RecurrentAttrs,
  type RecurrentOptions,
  recurrentMacs,
  recurrentShape,
} from './recurrent'

const FAMILY: Family = { op: 'lstm', gates: 4, biases: ['b'], states: ['h', 'c'] }

/**
 * Long short-term memory (Hochreiter and Schmidhuber 1997; Gers et al. 2000). x [steps, channels] -> [units], or [steps, units] with
 * `sequences`. i, f, o = sigmoid, g = tanh of w x + b + u h; c = f c + i g; h = o tanh c.
 * Parameters, gates in the order i, f, g, o: w [4 * units, channels], u [4 * units, units], b [4 * units].
 */
export function lstm(options: RecurrentOptions): Recurrent {
  return makeRecurrent(lstmOp, FAMILY, options, (common) => common)
}

export const lstmOp: Op<RecurrentAttrs> = {
  shape: (node) => recurrentShape(node, FAMILY),
  macs: recurrentMacs,
  forward(e, node) {
    forwardLoop(e, node, FAMILY, ({ gates, mask, u, y, states, before, q, sizes }) => {
      e.call('lstm_f32', gates, mask, u, y, states[0], states[1], before[0], before[1], q, ...sizes)
    })
  },
  backward(e, node) {
    backwardBuffers(e, node, FAMILY, ({ gates, mask, u, before, dy, dstates, sizes }) => {
      e.call('lstm_f32_dx', gates, mask, u, before[1], dy, dstates[0], dstates[1], ...sizes)
    })
  },
}
