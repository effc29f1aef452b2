// gru: a state h that gates renew, step by step over a sequence; the reset acts after the product with the state, which has a bias of
// its own (cuDNN, PyTorch, Keras' reset_after). recurrent.ts says how the work is divided.

import { CURVED, fixedLoop, fixedRow, GATE } from './fixedRecurrent'
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

const FAMILY: Family = { op: 'gru', gates: 3, biases: ['b', 'c'], states: ['h'], allProducts: true }

/**
 * Gated recurrent unit (Cho et al. 2014). x [steps, channels] -> [units], or [steps, units] with `sequences`.
 * r, z = sigmoid of w x + b + u h + c; n = tanh(w x + b + r (u h + c)); h = (1 - z) n + z h.
 * Parameters, gates in the order r, z, n: w [3 * units, channels], u [3 * units, units], b and c [3 * units].
 * Its int8 form computes as TensorFlow Lite's integer LSTM does, which has no GRU: gates of 16 bits, and so many of the state besides the 8
 * that products take (assembly/i8/recurrent.ts).
 */
export function gru(options: RecurrentOptions): Recurrent {
  return makeRecurrent(gruOp, FAMILY, options, (common) => common)
}

export const gruOp: Op<RecurrentAttrs> = {
  shape: (node) => recurrentShape(node, FAMILY),
  macs: recurrentMacs,
  forward(e, node) {
    forwardLoop(e, node, FAMILY, ({ gates, mask, u, y, states, before, q, sizes, stride }) => {
      e.call('gru_f32', gates, mask, u, y, states[0], before[0], q, ...sizes, stride)
    })
  },
  backward(e, node) {
    backwardBuffers(e, node, FAMILY, ({ gates, mask, u, before, q, dy, dstates, sizes, stride }) => {
      e.call('gru_f32_dx', gates, mask, u, before[0], dy, dstates[0], q, ...sizes, stride)
    })
  },
  int8: /* @__PURE__ */ fixedRow(FAMILY, {
    forward(e, node) {
      const units = { states: ['h', 'v'], gate: GATE, hidden: CURVED }
      fixedLoop(e, node, FAMILY, units, ({ x, w, b, u, bu, scales, y, states, scratch, numbers }) => {
        e.call('gru_i8', x, w, b, u, bu, scales, y, states[0], states[1], scratch, ...numbers)
      })
    },
  }),
}
