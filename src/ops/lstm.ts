// lstm: a cell c that gates open and close, and an output h, step by step over a sequence. recurrent.ts says how the work is divided.

import { DunlinError } from '../graph/error'
import type { Node } from '../graph/node'
import { CURVED, fixedLoop, fixedRow, GATE } from './fixedRecurrent'
import { expectNumber, type Op, where } from './op'
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

/** The cell state of an int8 layer is an i16 that stands for numbers from -2^cellBits to 2^cellBits. */
export interface LstmAttrs extends RecurrentAttrs {
  /** 0 to 6; quantize() makes it of the largest state it sees. */
  cellBits?: number
  /** Largest magnitude of a cell state, as TensorFlow Lite's models can have. */
  cellClip?: number
}

const MOST_CELL_BITS = 6

/**
 * Long short-term memory (Hochreiter and Schmidhuber 1997; Gers et al. 2000). x [steps, channels] -> [units], or [steps, units] with
 * `sequences`. i, f, o = sigmoid, g = tanh of w x + b + u h; c = f c + i g; h = o tanh c.
 * Parameters, gates in the order i, f, g, o: w [4 * units, channels], u [4 * units, units], b [4 * units].
 * Its int8 form is bit for bit TensorFlow Lite's integer LSTM (UNIDIRECTIONAL_SEQUENCE_LSTM, 16 bits for gates and cell state).
 */
export function lstm(options: RecurrentOptions): Recurrent {
  return makeRecurrent(lstmOp, FAMILY, options, (common) => common)
}

const clipOf = ({ attrs }: Node<LstmAttrs>): number => attrs.cellClip || Infinity

export const lstmOp: Op<LstmAttrs> = {
  shape(node) {
    const { cellBits, cellClip } = node.attrs
    if (cellBits !== undefined && !(Number.isInteger(cellBits) && cellBits >= 0 && cellBits <= MOST_CELL_BITS)) {
      throw new DunlinError(`${where(node)}: cellBits is ${cellBits}, wanted an integer in [0, ${MOST_CELL_BITS}].`)
    }
    if (cellClip !== undefined) expectNumber(node, 'cellClip', cellClip, 0, Infinity)
    return recurrentShape(node, FAMILY)
  },
  macs: recurrentMacs,
  forward(e, node) {
    forwardLoop(e, node, FAMILY, ({ gates, mask, u, y, states, before, q, sizes }) => {
      e.call('lstm_f32', gates, mask, u, y, states[0], states[1], before[0], before[1], q, ...sizes, clipOf(node))
    })
  },
  backward(e, node) {
    backwardBuffers(e, node, FAMILY, ({ gates, mask, u, before, dy, dstates, sizes }) => {
      e.call('lstm_f32_dx', gates, mask, u, before[1], dy, dstates[0], dstates[1], ...sizes, clipOf(node))
    })
  },
  int8: /* @__PURE__ */ fixedRow(FAMILY, {
    measured: {
      saved: ['c before', 'c'],
      // As TensorFlow Lite's calibration, but for states beyond its kernels' formats, which saturate.
      attrs({ attrs }, largest) {
        let cellBits = 0
        while (cellBits < MOST_CELL_BITS && 2 ** cellBits < Math.max(...largest)) cellBits++
        return { ...attrs, cellBits }
      },
    },
    forward(e, node) {
      const { cellBits, cellClip = 0 } = node.attrs
      if (cellBits === undefined)
        throw new DunlinError(`${where(node)}: an int8 layer without cellBits. Make int8 models with quantize().`)
      const clip = Math.min(32767, Math.trunc(cellClip * 2 ** (15 - cellBits)))
      const units = { states: ['h', 'c'], gate: GATE, hidden: CURVED * CURVED }
      fixedLoop(e, node, FAMILY, units, ({ x, w, b, u, scales, y, states, scratch, numbers }) => {
        e.call('lstm_i8', x, w, b, u, scales, y, states[0], states[1], scratch, ...numbers, cellBits, clip)
      })
    },
  }),
}
