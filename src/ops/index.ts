// The table of ops: everything that dunlin can compute, one row each. Its key is the op's name everywhere: in the graph, in files, in
// the table of test samples, in errors.

import { relu6Op, reluOp, softmaxOp } from './activation'
import { addOp } from './add'
import { conv2dOp } from './conv2d'
import { crossEntropyOp } from './crossEntropy'
import { denseOp } from './dense'
import { depthwiseConv2dOp } from './depthwiseConv2d'
import {
  binaryCrossEntropyOp,
  categoricalCrossEntropyOp,
  hingeOp,
  huberOp,
  klDivergenceOp,
  meanAbsoluteErrorOp,
  meanSquaredErrorOp,
} from './losses'
import type { Op } from './op'
import { avgPool2dOp, maxPool2dOp } from './pool2d'
import { reshapeOp } from './reshape'

export const OPS = {
  add: addOp,
  avgPool2d: avgPool2dOp,
  binaryCrossEntropy: binaryCrossEntropyOp,
  categoricalCrossEntropy: categoricalCrossEntropyOp,
  conv2d: conv2dOp,
  crossEntropy: crossEntropyOp,
  dense: denseOp,
  depthwiseConv2d: depthwiseConv2dOp,
  hinge: hingeOp,
  huber: huberOp,
  klDivergence: klDivergenceOp,
  maxPool2d: maxPool2dOp,
  meanAbsoluteError: meanAbsoluteErrorOp,
  meanSquaredError: meanSquaredErrorOp,
  relu: reluOp,
  relu6: relu6Op,
  reshape: reshapeOp,
  softmax: softmaxOp,
} satisfies Record<string, Op<never>>

export type OpName = keyof typeof OPS

/** The row of an op by name; undefined when there is no such op. */
export const opOf = (name: string): Op | undefined => (Object.hasOwn(OPS, name) ? (OPS[name as OpName] as Op) : undefined)
