// normalize: raw bytes or samples, as a camera or sensor gives them, into what a network reads: (raw - mean) / std, and int8 where the
// network is. It is what the door of a session does to an input, as an op, so that a module can take raw values; the bits are the door's.

import { DunlinError } from '../graph/error'
import { checkNormalize, type Layer, type Node, type Normalize, type Quant, size } from '../graph/node'
import { rowwise } from './calls'
import { type Emit, expectInputs, makeNode, type Op, quantOf, where } from './op'

/**
 * x u8 or i16 -> (x - mean) / std, in float. Begin with `input(shape, { dtype: 'u8' })`. `mean` and `std`: numbers, or lists of one for each
 * channel, the last dimension. (An `input` with `normalize` computes the same when values come in; this does when they are in memory.)
 */
export function normalize(options: Normalize & { name?: string }): Layer {
  const { mean, std, name = '' } = options
  return (x) => makeNode(normalizeOp, { op: 'normalize', name, attrs: { mean, std }, inputs: [x] })
}

export const normalizeOp: Op<Normalize> = {
  reads: [['u8', 'i16']],
  shape(node) {
    expectInputs(node, 1, 'x')
    const [x] = node.inputs
    if (x.dtype !== 'u8' && x.dtype !== 'i16')
      throw new DunlinError(
        `${where(node)}: wants raw values u8 or i16, got ${x.dtype}. Begin with input(shape, { dtype: 'u8' }).`,
      )
    checkNormalize(where(node), node.attrs, x.shape)
    return x.shape
  },
  forward(e, node) {
    const [x, y] = [e.value(node.inputs[0]), e.value(node)]
    const numbers = e.constant(`${node.name}/numbers`, words(channelsOf(node.attrs).flat()))
    byPixel(e, node, (from, n, channels) =>
      e.call('normalize_f32', e.at(x, from), numbers, e.at(y, from), n, channels, +(x.dtype === 'i16')),
    )
  },
  int8: {
    quant: 'calibrated',
    reads: [['u8', 'i16']],
    forward(e, node) {
      const [x, y] = [e.value(node.inputs[0]), e.value(node)]
      const quant = quantOf(node)
      if (x.dtype === 'u8') {
        const tables = channelsOf(node.attrs).flatMap((channel) =>
          Array.from({ length: 256 }, (_, raw) => stored(raw, channel, quant)),
        )
        const table = e.constant(`${node.name}/table`, Int8Array.from(tables))
        byPixel(e, node, (from, n, channels) => e.call('normalize_i8', e.at(x, from), table, e.at(y, from), n, channels))
      } else {
        const numbers = e.constant(`${node.name}/numbers`, words([...channelsOf(node.attrs).flat(), quant.scale[0]]))
        byPixel(e, node, (from, n, channels) =>
          e.call('normalizeWide_i8', e.at(x, from), numbers, e.at(y, from), n, channels, quant.zeroPoint),
        )
      }
    },
  },
}

/** Center and factor of each channel; numbers for all are those of one channel. */
function channelsOf({ mean, std }: Normalize): [number, number][] {
  const factors = [std].flat()
  return [mean].flat().map((center, c) => [center, 1 / factors[c]])
}

/** Where a raw value of a channel is stored in int8. */
function stored(raw: number, [center, factor]: [number, number], { scale, zeroPoint }: Quant): number {
  const v = Math.fround((raw - center) * factor) / scale[0]
  return Math.max(-128, Math.min(127, zeroPoint + (v < 0 ? -Math.round(-v) : Math.round(v))))
}

/** f64 as words: a plan's constants have no such dtype. */
const words = (numbers: readonly number[]) => new Int32Array(Float64Array.from(numbers).buffer)

function byPixel(e: Emit, node: Node<Normalize>, part: (from: number, n: number, channels: number) => void): void {
  const channels = [node.attrs.mean].flat().length
  const pixels = (size(node.shape) * (node.batched ? e.batch : 1)) / channels
  rowwise(e, pixels, channels, (from, count) => part(from * channels, count * channels, channels))
}
