// simpleRnn: h = act(w x + b + u h), step by step over a sequence. recurrent.ts says how the work is divided.

import { DunlinError } from '../graph/error'
import { CURVED, fixedLoop, fixedRow, GATE } from './fixedRecurrent'
import { type Op, quantOf, where } from './op'
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

const FAMILY: Family = { op: 'simpleRnn', gates: 1, biases: ['b'], states: ['h'] }

export interface SimpleRnnAttrs extends RecurrentAttrs {
  activation: 'tanh' | 'relu'
}

/**
 * Simple recurrent layer (Elman 1990). x [steps, channels] -> [units], or [steps, units] with `sequences`.
 * Parameters: w [units, channels], u [units, units], b [units].
 */
export function simpleRnn(options: RecurrentOptions & { activation?: 'tanh' | 'relu' }): Recurrent {
  const { activation = 'tanh' } = options
  return makeRecurrent(simpleRnnOp, FAMILY, options, (common) => ({ ...common, activation }))
}

export const simpleRnnOp: Op<SimpleRnnAttrs> = {
  shape(node) {
    const { activation } = node.attrs
    if (activation !== 'tanh' && activation !== 'relu') {
      throw new DunlinError(`${where(node)}: activation is ${JSON.stringify(activation)}, wanted "tanh" or "relu".`)
    }
    return recurrentShape(node, FAMILY)
  },
  macs: recurrentMacs,
  forward(e, node) {
    forwardLoop(e, node, FAMILY, ({ gates, mask, u, y, states, before, q, sizes }) => {
      e.call('simpleRnn_f32', gates, mask, u, y, states[0], before[0], q, ...sizes, +(node.attrs.activation === 'relu'))
    })
  },
  backward(e, node) {
    backwardBuffers(e, node, FAMILY, ({ gates, mask, u, dy, dstates, sizes }) => {
      e.call('simpleRnn_f32_dx', gates, mask, u, dy, dstates[0], ...sizes, +(node.attrs.activation === 'relu'))
    })
  },
  int8: /* @__PURE__ */ fixedRow(FAMILY, {
    forward(e, node) {
      // A relu needs no more of its gate than the value has: 8 bits, and 7 of fraction.
      const relu = node.attrs.activation === 'relu'
      const gate = relu ? quantOf(node).scale[0] / 128 : GATE
      const units = { states: ['h'], gate, hidden: relu ? gate : CURVED }
      fixedLoop(e, node, FAMILY, units, ({ x, w, b, u, scales, y, states, scratch, numbers }) => {
        e.call('simpleRnn_i8', x, w, b, u, scales, y, states[0], scratch, ...numbers, +relu)
      })
    },
  }),
}
