// What the int8 rows of conv2d, depthwiseConv2d and dense share: they accumulate x * w + bias in int32 and requantize each output
// channel by the fixed-point form of scale(x) * scale(w) / scale(y).

import { DunlinError } from '../graph/error'
import type { Node } from '../graph/node'
import { quantizeMultiplier } from './fixedPoint'
import { type Activation, type Buffer, clampOf, type Emit, quantizedClamp, quantOf, where } from './op'

/** What a kernel of this family computes with. */
export interface Operands {
  /** For the packed weights. */
  name: string
  x: Buffer
  w: Buffer
  b: Buffer
  /** One for each of the output channels. */
  multiplier: Buffer
  shift: Buffer
  y: Buffer
  channels: number
  /** Zero points of x and y, and the clamp: every kernel's last arguments. */
  after: readonly [xZero: number, yZero: number, lo: number, hi: number]
}

/** The operands of a node; multipliers and shifts are constants of the plan. */
export function operandsOf(e: Emit, node: Node<{ activation?: Activation }>): Operands {
  const [x, w, b] = node.inputs
  if (!b)
    throw new DunlinError(
      `${where(node)}: an int8 node wants an int32 bias as its third input. Make int8 models with quantize().`,
    )
  const channels = node.shape[node.shape.length - 1]
  const [qx, qw, qy] = [x, w, node].map(quantOf)
  if (qw.scale.length !== channels && qw.scale.length !== 1) {
    throw new DunlinError(`${where(node)}: weights have ${qw.scale.length} scales, wanted 1 or ${channels}.`)
  }
  // The reference multiplies in float32 where a dense layer's weights have one scale (GetQuantizedConvolutionMultipler), else in float64.
  const product = (c: number) => qx.scale[0] * qw.scale[c % qw.scale.length]
  const whole = node.op === 'dense' && qw.scale.length === 1 ? () => Math.fround(product(0)) : product
  const fixed = Array.from({ length: channels }, (_, c) => quantizeMultiplier(whole(c) / qy.scale[0]))
  const constant = (what: 'multiplier' | 'shift') =>
    e.constant(
      `${node.name}/${what}`,
      Int32Array.from(fixed, (f) => f[what]),
    )
  const [multiplier, shift] = [constant('multiplier'), constant('shift')]
  return {
    name: node.name,
    x: e.value(x),
    w: e.value(w),
    b: e.value(b),
    multiplier,
    shift,
    y: e.value(node),
    channels,
    after: [qx.zeroPoint, qy.zeroPoint, ...quantizedClamp(clampOf(node), qy)],
  }
}

/** What a kernel on weights as they are stored takes before its sizes. */
export const plainArgs = ({ x, w, b, multiplier, shift, y }: Operands) => [x, w, b, multiplier, shift, y] as const

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

/** The packed weights of a kernel that wants such. */
export function packed(e: Emit, { name, w, b, multiplier, shift, channels }: Operands, layout: WeightLayout): Buffer {
  const { segments, chunk, channelStep, segmentStep, step, four } = layout
  const panel = 56 + 8 * segments * Math.ceil(chunk / 2)
  return e.prepared(`${name}/packed`, Math.ceil(channels / 8) * panel, (to) =>
    e.call('pack_i8', w, b, multiplier, shift, to, channels, segments, chunk, channelStep, segmentStep, step, four),
  )
}

/** Words of scratch of packedConv2d_i8: a tile, `offsets` numbers, and an image of `image` i16. */
export const packedScratch = (offsets: number, image: number): number => 56 + 4 * Math.ceil(offsets / 4) + Math.ceil(image / 2)

/** The packed weights of Winograd's kernel: 16 transformed ones for the 9 of a filter. */
export function packedWinograd(e: Emit, { name, w, b, multiplier, shift, channels }: Operands, ic: number): Buffer {
  return e.prepared(`${name}/packed`, Math.ceil(channels / 8) * (56 + 128 * Math.ceil(ic / 2)), (to) =>
    e.call('pack_i8_winograd', w, b, multiplier, shift, to, channels, ic),
  )
}
