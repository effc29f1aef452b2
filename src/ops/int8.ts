// What the int8 rows of conv2d, depthwiseConv2d and dense share: they accumulate x * w + bias in int32 and requantize each output
// channel by the fixed-point form of scale(x) * scale(w) / scale(y).

import { DunlinError } from '../graph/error'
import { isParam, type Node } from '../graph/node'
import { storeChannels } from './channels'
import { type FixedPoint, quantizeMultiplier } from './fixedPoint'
import { type Activation, type Buffer, clampOf, type Emit, quantizedClamp, quantOf, type Table, where } from './op'

/** Zero points of x and y, and the clamp: every kernel's last arguments. */
type After = readonly [xZero: number, yZero: number, lo: number, hi: number]

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
  after: After
}

/** The numbers of a node of this family. */
function numbersOf(node: Node<{ activation?: Activation }>): { channels: number; fixed: FixedPoint[]; after: After } {
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
  const after = [qx.zeroPoint, qy.zeroPoint, ...quantizedClamp(clampOf(node), qy)] as const
  // The reference multiplies in float32 where a dense layer's weights have one scale (GetQuantizedConvolutionMultipler), else in float64.
  const product = (c: number) => qx.scale[0] * qw.scale[c % qw.scale.length]
  const whole = node.op === 'dense' && qw.scale.length === 1 ? () => Math.fround(product(0)) : product
  const fixed = Array.from({ length: channels }, (_, c) => quantizeMultiplier(whole(c) / qy.scale[0]))
  return { channels, fixed, after }
}

/** The operands of a node in a session; multipliers and shifts are constants of the plan. */
export function operandsOf(e: Emit, node: Node<{ activation?: Activation }>): Operands {
  const { channels, fixed, after } = numbersOf(node)
  const [x, w, b] = node.inputs
  const constant = (what: 'multiplier' | 'shift') =>
    e.constant(
      `${node.name}/${what}`,
      Int32Array.from(fixed, (f) => f[what]),
    )
  const [multiplier, shift] = [constant('multiplier'), constant('shift')]
  return { name: node.name, x: e.value(x), w: e.value(w), b: e.value(b), multiplier, shift, y: e.value(node), channels, after }
}

/** What a module has for some output channels of a node: in the form in which it is stored, and made into what kernels take. */
interface Channels {
  tables: Table[]
  unpack(count: number, stored: readonly Buffer[]): readonly [bias: Buffer, multiplier: Buffer, shift: Buffer]
}

function channelsOf(e: Emit, node: Node, fixed: readonly FixedPoint[], first: number): Channels {
  const [x, w, b] = node.inputs
  if (!isParam(b)) throw new DunlinError(`${where(node)}: computes its bias; only a stored one can be in a module.`)
  const { scale, zeroPoint } = quantOf(w)
  const own = { scale: scale.length === 1 ? scale : scale.slice(first, first + fixed.length), zeroPoint }
  const stored = e.once(node, `channels from ${first}`, () => {
    const biases = Int32Array.from(b.data.subarray(first, first + fixed.length))
    return storeChannels(biases, fixed, quantOf(x), own, quantOf(node))
  })
  const table = (what: string, data: Int32Array, each = 1): Table => ({ name: `${node.name}/${what}`, data, each })
  if (stored.kind === 'plain') {
    const { bias, multiplier, shift } = stored
    const tables = [table('bias', bias), table('multiplier', multiplier), table('shift', shift)]
    return { tables, unpack: (_, [b, m, s]) => [b, m, s] }
  }
  return {
    tables: [table('channels', stored.words, stored.kind === 'coded' ? 1 : 2)],
    unpack(count, [words]) {
      const all = e.scratch(3 * count, 'i32')
      const made = [all, e.at(all, count), e.at(all, 2 * count)] as const
      if (stored.kind === 'coded') {
        const { high, low, exponent } = stored.grid
        e.call('codedChannels_i8', words, ...made, count, high, low, exponent)
      } else e.call('channels_i8', words, ...made, count)
      return made
    },
  }
}

/** What kernels on weights as they are stored take of some output channels. */
type Tile = readonly [w: Buffer, bias: Buffer, multiplier: Buffer, shift: Buffer]

/**
 * Has `part` write the calls of a module that compute the output channels [first + from, first + from + count) of a node, given what
 * those have. The weights lie channel by channel; `stored`: in another form than the node has them.
 */
export function channelwise(
  e: Emit,
  node: Node<{ activation?: Activation }>,
  part: (from: number, count: number, of: Tile, after: After) => void,
  options: { first?: number; total?: number; stored?: Uint8Array } = {},
): void {
  const { channels, fixed, after } = e.once(node, 'numbers', () => numbersOf(node))
  const { first = 0, total = channels } = options
  const w = weightsOf(node)
  const all = options.stored ?? w.data
  const each = all.length / channels
  const data = total === channels ? all : all.subarray(first * each, (first + total) * each)
  const { tables, unpack } = channelsOf(e, node, fixed.slice(first, first + total), first)
  e.tiles(total, [{ name: w.name, data, each }, ...tables], (from, count, weights, ...stored) =>
    part(from, count, [weights, ...unpack(count, stored)], after),
  )
}

/** The same for weights that do not lie channel by channel: one call for all. */
export function allChannels(e: Emit, node: Node<{ activation?: Activation }>, all: (of: Tile, after: After) => void): void {
  const { channels, fixed, after } = e.once(node, 'numbers', () => numbersOf(node))
  const { name, data } = weightsOf(node)
  const { tables, unpack } = channelsOf(e, node, fixed, 0)
  const whole = [{ name, data }, ...tables].map((t) => ({ name: t.name, data: t.data, each: t.data.length }))
  e.tiles(1, whole, (_from, _count, w, ...stored) => all([w, ...unpack(channels, stored)], after))
}

/** The stored weights of a node in a module. */
export function weightsOf(node: Node) {
  const [, w] = node.inputs
  if (!isParam(w)) throw new DunlinError(`${where(node)}: computes its weights; only stored weights can be in a module.`)
  return w
}

/** How the weights of an output channel lie in memory: `segments` x `chunk` elements at these steps. */
export interface WeightLayout {
  segments: number
  chunk: number
  channelStep: number
  segmentStep: number
  step: number
}

/** The packed weights of a kernel that wants such. */
export function packed(e: Emit, { name, w, b, multiplier, shift, channels }: Operands, layout: WeightLayout): Buffer {
  const { segments, chunk, channelStep, segmentStep, step } = layout
  const panel = 56 + 8 * segments * Math.ceil(chunk / 2)
  return e.prepared(`${name}/packed`, Math.ceil(channels / 8) * panel, (to) =>
    e.call('pack_i8', w, b, multiplier, shift, to, channels, segments, chunk, channelStep, segmentStep, step),
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
