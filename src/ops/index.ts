// The table of ops: everything that dunlin can compute, one row each. Its key is the op's name everywhere: in the graph, in files, in
// the table of test samples, in errors.

import type { Dtype, Node, Quant } from '../graph/node'
import {
  clipOp,
  eluOp,
  erfOp,
  expOp,
  geluOp,
  hardSigmoidOp,
  hardSwishOp,
  leakyReluOp,
  logOp,
  logSoftmaxOp,
  mishOp,
  relu6Op,
  reluOp,
  sigmoidOp,
  siluOp,
  softmaxOp,
  softplusOp,
  sqrtOp,
  tanhOp,
} from './activation'
import { addOp, divOp, mulOp, subOp } from './add'
import { batchNormOp } from './batchNorm'
import { broadcastOp } from './broadcast'
import { concatOp } from './concat'
import { conv2dOp } from './conv2d'
import { dequantizeOp, rescaleOp, toInt8Op } from './convert'
import { convTranspose2dOp } from './convTranspose2d'
import { crossEntropyOp } from './crossEntropy'
import { denseOp } from './dense'
import { depthwiseConv2dOp } from './depthwiseConv2d'
import { dropoutOp } from './dropout'
import { embeddingOp } from './embedding'
import { gruOp } from './gru'
import { layerNormOp } from './layerNorm'
import { logMelOp, mfccOp } from './logMel'
import {
  binaryCrossEntropyOp,
  categoricalCrossEntropyOp,
  hingeOp,
  huberOp,
  klDivergenceOp,
  meanAbsoluteErrorOp,
  meanSquaredErrorOp,
} from './losses'
import { lstmOp } from './lstm'
import { matMulOp } from './matMul'
import { meanOp } from './mean'
import { normalizeOp } from './normalize'
import { makeNode, type Op, type Unshaped } from './op'
import { permuteOp } from './permute'
import { avgPool2dOp, maxPool2dOp } from './pool2d'
import { reshapeOp } from './reshape'
import { resizeOp } from './resize'
import { roundOp } from './round'
import { simpleRnnOp } from './simpleRnn'
import { padOp, sliceOp } from './slice'
import { svdfOp } from './svdf'
import { recallOp, rememberOp } from './variable'

export const OPS = {
  add: addOp,
  avgPool2d: avgPool2dOp,
  batchNorm: batchNormOp,
  broadcast: broadcastOp,
  clip: clipOp,
  concat: concatOp,
  binaryCrossEntropy: binaryCrossEntropyOp,
  categoricalCrossEntropy: categoricalCrossEntropyOp,
  conv2d: conv2dOp,
  convTranspose2d: convTranspose2dOp,
  crossEntropy: crossEntropyOp,
  dense: denseOp,
  depthwiseConv2d: depthwiseConv2dOp,
  dequantize: dequantizeOp,
  div: divOp,
  layerNorm: layerNormOp,
  dropout: dropoutOp,
  elu: eluOp,
  embedding: embeddingOp,
  erf: erfOp,
  exp: expOp,
  gelu: geluOp,
  hardSigmoid: hardSigmoidOp,
  hardSwish: hardSwishOp,
  leakyRelu: leakyReluOp,
  logSoftmax: logSoftmaxOp,
  gru: gruOp,
  log: logOp,
  logMel: logMelOp,
  lstm: lstmOp,
  matMul: matMulOp,
  maxPool2d: maxPool2dOp,
  mean: meanOp,
  mfcc: mfccOp,
  mish: mishOp,
  mul: mulOp,
  normalize: normalizeOp,
  pad: padOp,
  permute: permuteOp,
  hinge: hingeOp,
  huber: huberOp,
  klDivergence: klDivergenceOp,
  meanAbsoluteError: meanAbsoluteErrorOp,
  meanSquaredError: meanSquaredErrorOp,
  recall: recallOp,
  relu: reluOp,
  relu6: relu6Op,
  remember: rememberOp,
  rescale: rescaleOp,
  reshape: reshapeOp,
  resize: resizeOp,
  round: roundOp,
  sigmoid: sigmoidOp,
  silu: siluOp,
  slice: sliceOp,
  simpleRnn: simpleRnnOp,
  softmax: softmaxOp,
  softplus: softplusOp,
  sqrt: sqrtOp,
  sub: subOp,
  svdf: svdfOp,
  tanh: tanhOp,
  toInt8: toInt8Op,
} satisfies Record<string, Op<never>>

export type OpName = keyof typeof OPS

/** The row of an op by name; undefined when there is no such op. */
export const opOf = (name: string): Op | undefined => (Object.hasOwn(OPS, name) ? (OPS[name as OpName] as Op) : undefined)

/**
 * The node of an op by name, with inputs and attributes as its row wants them: what importers make graphs with, and passes. Integer graphs
 * say the dtype and scale of the value.
 */
export const nodeOf = (op: OpName, node: Omit<Unshaped, 'op'>, integer?: { dtype: Dtype; quant?: Quant }): Node =>
  makeNode(OPS[op] as Op, { op, ...node }, integer)
