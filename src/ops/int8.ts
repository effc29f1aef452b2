// What the int8 rows of conv2d, depthwiseConv2d and dense share: they accumulate x * w + bias in int32 and requantize each output
// channel by the fixed-point form of scale(x) * scale(w) / scale(y).

import { DunlinError } from '../graph/error'
import type { Node, Quant } from '../graph/node'
import { quantizeMultiplier } from './fixedPoint'
import { type Activation, type Buffer, clampOf, type Emit, quantizedClamp, quantOf, where } from './op'

/** The quantization of a node and its multipliers and shifts, one for each output channel, as constants of the plan. */
export function requantization(e: Emit, node: Node, channels: number): { x: Quant; y: Quant; multiplier: Buffer; shift: Buffer } {
  const [x, w, y] = [quantOf(node.inputs[0]), quantOf(node.inputs[1]), quantOf(node)]
  if (w.scale.length !== channels && w.scale.length !== 1) {
    throw new DunlinError(`${where(node)}: weights have ${w.scale.length} scales, wanted 1 or ${channels}.`)
  }
  const fixed = Array.from({ length: channels }, (_, c) =>
    quantizeMultiplier((x.scale[0] * w.scale[c % w.scale.length]) / y.scale[0]),
  )
  const multiplier = e.constant(
    `${node.name}/multiplier`,
    Int32Array.from(fixed, (f) => f.multiplier),
  )
  const shift = e.constant(
    `${node.name}/shift`,
    Int32Array.from(fixed, (f) => f.shift),
  )
  return { x, y, multiplier, shift }
}

/** The arguments that an int8 kernel of this family takes before and after its sizes. */
export function int8Args(e: Emit, node: Node<{ activation?: Activation }>) {
  const [x, w, b] = node.inputs
  if (!b)
    throw new DunlinError(
      `${where(node)}: an int8 node wants an int32 bias as its third input. Make int8 models with quantize().`,
    )
  const q = requantization(e, node, node.shape[node.shape.length - 1])
  return {
    before: [e.value(x), e.value(w), e.value(b), q.multiplier, q.shift, e.value(node)] as const,
    after: [q.x.zeroPoint, q.y.zeroPoint, ...quantizedClamp(clampOf(node), q.y)] as const,
  }
}
