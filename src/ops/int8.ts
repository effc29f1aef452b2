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

/** How the weights of an output channel lie in memory: `segments` x `chunk` elements at these steps. */
export interface WeightLayout {
  segments: number
  chunk: number
  channelStep: number
  segmentStep: number
  step: number
  /** 1 for packedConv2d_i8, which takes four weights in a step where the host can. */
  four: 0 | 1
}

/** The arguments that an int8 kernel of this family takes before and after its sizes. */
export function int8Args(e: Emit, node: Node<{ activation?: Activation }>) {
  const { x, w, b, multiplier, shift, y, after } = operands(e, node)
  return { before: [x, w, b, multiplier, shift, y] as const, after }
}

/** The same for a kernel on packed weights, but for its scratch, which comes last before the sizes. */
export function packedArgs(e: Emit, node: Node<{ activation?: Activation }>, layout: WeightLayout) {
  const { x, w, b, multiplier, shift, y, after } = operands(e, node)
  const { segments, chunk, channelStep, segmentStep, step, four } = layout
  const channels = node.shape[node.shape.length - 1]
  const panel = 56 + 8 * segments * Math.ceil(chunk / 2)
  const packed = e.prepared(`${node.name}/packed`, Math.ceil(channels / 8) * panel, (to) =>
    e.call('pack_i8', w, b, multiplier, shift, to, channels, segments, chunk, channelStep, segmentStep, step, four),
  )
  return { x, packed, y, after }
}

/** Words of scratch of packedConv2d_i8: a tile, `offsets` numbers, and an image of `image` i16. */
export const packedScratch = (offsets: number, image: number): number => 56 + 4 * Math.ceil(offsets / 4) + Math.ceil(image / 2)

/** The arguments of Winograd's kernel: 16 transformed weights for the 9 of a filter. */
export function winogradArgs(e: Emit, node: Node<{ activation?: Activation }>) {
  const { x, w, b, multiplier, shift, y, after } = operands(e, node)
  const [channels, , , ic] = node.inputs[1].shape
  const packed = e.prepared(`${node.name}/packed`, Math.ceil(channels / 8) * (56 + 128 * Math.ceil(ic / 2)), (to) =>
    e.call('pack_i8_winograd', w, b, multiplier, shift, to, channels, ic),
  )
  return { x, packed, y, after }
}

function operands(e: Emit, node: Node<{ activation?: Activation }>) {
  const [x, w, b] = node.inputs
  if (!b)
    throw new DunlinError(
      `${where(node)}: an int8 node wants an int32 bias as its third input. Make int8 models with quantize().`,
    )
  const q = requantization(e, node, node.shape[node.shape.length - 1])
  const after = [q.x.zeroPoint, q.y.zeroPoint, ...quantizedClamp(clampOf(node), q.y)] as const
  return { x: e.value(x), w: e.value(w), b: e.value(b), multiplier: q.multiplier, shift: q.shift, y: e.value(node), after }
}
