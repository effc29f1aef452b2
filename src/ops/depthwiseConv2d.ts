// depthwiseConv2d: x [ih, iw, ic] -> [oh, ow, ic * multiplier]: every input channel has its own filters. Weights [kh, kw, oc].

import { DunlinError } from '../graph/error'
import { type Layer, type Param, param } from '../graph/node'
import { sumRows, undoActivation } from './calls'
import { initializerOf, type WeightInitializer } from './initializer'
import { allChannels, operandsOf, packed } from './int8'
import { type Activation, CLAMPS, clampOf, expectCount, expectInputs, expectShape, makeNode, type Op, where } from './op'
import {
  convSizes,
  distanceOf,
  type Images,
  imagesOf,
  type Padding,
  type Pair,
  pair,
  reachOf,
  splitImages,
  splitRows,
  type WindowAttrs,
  windowOf,
} from './window'

export interface DepthwiseConv2dAttrs extends WindowAttrs {
  activation?: Activation
}

/**
 * Depthwise 2-D convolution. x [height, width, channels] -> [oh, ow, channels * multiplier].
 * Parameters: w [kh, kw, channels * multiplier] (`initializer`, default He uniform), b [channels * multiplier] (zeros; none with
 * `bias: false`).
 */
export function depthwiseConv2d(options: {
  kernel: Pair
  multiplier?: number
  strides?: Pair
  dilation?: Pair
  padding?: Padding
  activation?: Activation
  bias?: boolean
  initializer?: WeightInitializer
  name?: string
}): Layer {
  const { kernel, multiplier = 1, strides = 1, dilation = 1, padding = 'valid', activation, bias = true, name = '' } = options
  const { initializer = 'heUniform' } = options
  const attrs = {
    kernel: pair(kernel),
    strides: pair(strides),
    dilation: pair(dilation),
    padding,
    ...(activation && { activation }),
  }
  let params: Param[] | undefined
  return (x) => {
    const [kh, kw] = attrs.kernel
    windowOf({ op: 'depthwiseConv2d', name, attrs, inputs: [x] })
    expectCount({ op: 'depthwiseConv2d', name }, 'multiplier', multiplier)
    const oc = x.shape[2] * multiplier
    const fans = { fanIn: kh * kw, fanOut: kh * kw * multiplier, rows: kh * kw }
    params ??= [
      param('w', [kh, kw, oc], initializerOf({ op: 'depthwiseConv2d', name }, initializer, fans)),
      ...(bias ? [param('b', [oc], { kind: 'zeros' })] : []),
    ]
    return makeNode(depthwiseConv2dOp, { op: 'depthwiseConv2d', name, attrs, inputs: [x, ...params] })
  }
}

export const depthwiseConv2dOp: Op<DepthwiseConv2dAttrs> = {
  shape(node) {
    const [, w, b] = node.inputs
    if (node.inputs.length !== 2) expectInputs(node, 3, 'x, w, b')
    const { oh, ow, kh, kw, ic } = windowOf(node)
    clampOf(node)
    const oc = w.shape[2]
    expectShape(node, 'w', w.shape, [kh, kw, oc], 'Weights are [kernel height, kernel width, output channels].')
    if (oc % ic) throw new DunlinError(`${where(node)}: ${oc} output channels are not a multiple of the ${ic} input channels.`)
    if (b) expectShape(node, 'b', b.shape, [oc], 'There is one bias for each output channel.')
    return [oh, ow, oc]
  },

  macs(node) {
    const { oh, ow, kh, kw } = windowOf(node)
    return oh * ow * kh * kw * node.shape[2]
  },

  forward(e, node) {
    const [x, w, b] = node.inputs
    const g = imagesOf(e, node)
    const [read, written] = [e.value(x), e.value(node)]
    const weights = [e.value(w), b ? e.value(b) : 0] as const
    splitRows(e, g, macsOf(g), (share, xAt, yAt) => {
      const border = e.scratch(borderLength(share))
      const numbers = [...convSizes(share), ...clampOf(node), 0, 0] as const
      e.call('depthwiseConv2d_f32', e.at(read, xAt), ...weights, e.at(written, yAt), border, ...numbers)
    })
  },

  backward(e, node) {
    const [x, w, b] = node.inputs
    const dy = e.grad(node)
    if (!dy) return
    const oc = node.shape[2]
    undoActivation(e, node, dy)
    const db = b && e.grad(b)
    if (db) sumRows(e, dy, db, dy.length / oc, oc)
    const dw = e.grad(w)
    const g = imagesOf(e, node)
    if (dw) {
      const read = e.value(x)
      const multiplier = oc / g.ic
      const part = (from: number, n: number) => {
        const buffers = [e.at(read, from / multiplier), e.at(dy, from), e.at(dw, from)] as const
        e.call('depthwiseConv2d_f32_dw', ...buffers, ...convSizes(g), n)
      }
      e.split(oc, macsOf(g), part, 4 * multiplier)
    }
    const dx = e.grad(x)
    if (!dx) return
    const weights = e.value(w)
    const { ih, iw, ic, oh, ow, kh, kw, sh, sw, dh, pt, pl } = g
    if (sh === 1 && sw === 1 && oc === ic) {
      // A depthwise convolution of dy with the filters turned by 180 degrees, the padding seen from the other side.
      const padding = { pt: (kh - 1) * dh - pt, pl: (kw - 1) * g.dw - pl }
      const back = { ...g, ih: oh, iw: ow, oh: ih, ow: iw, ...padding }
      splitRows(e, back, macsOf(back), (share, dyAt, dxAt) => {
        const border = e.scratch(borderLength(share))
        const numbers = [...convSizes(share), ...CLAMPS.none, 1, 1] as const
        e.call('depthwiseConv2d_f32', e.at(dy, dyAt), weights, 0, e.at(dx, dxAt), border, ...numbers)
      })
    } else {
      splitImages(e, g, macsOf(g), (share, dxAt, dyAt) =>
        e.call('depthwiseConv2d_f32_dx', e.at(dy, dyAt), weights, e.at(dx, dxAt), ...convSizes(share)),
      )
    }
  },

  int8: {
    quant: 'calibrated',
    weightAxis: 2,
    reach: (node) => reachOf(windowOf(node)),
    forward(e, node) {
      const g = imagesOf(e, node)
      if (e.target === 'module') {
        const [x, y] = [e.value(node.inputs[0]), e.value(node)]
        splitRows(e, g, macsOf(g), (share, xAt, yAt) => {
          const [read, written] = [e.at(x, xAt), e.at(y, yAt)]
          allChannels(e, node, (of, after) => {
            // A window is read before its result is stored, channel by channel; but small windows are computed column by column.
            if (share.kh > 3 || share.kw > 3 || share.dh > 1)
              e.over(written, read, distanceOf(share, share.oc === share.ic ? 0 : 1))
            e.call('depthwiseConv2d_i8', read, ...of, written, ...convSizes(share), ...after)
          })
        })
        return
      }
      const operands = operandsOf(e, node)
      const { x, y, after } = operands
      const { ow, oc, kh, kw, sh, sw, dh, dw } = g
      const layout = { segments: kw, chunk: kh, channelStep: 1, segmentStep: oc, step: kw * oc }
      const weights = packed(e, operands, layout)
      const line = 8 * ((ow - 1) * sw + (kw - 1) * dw + 1)
      const reach = ((kh - 1) >> 1) * 2 * dh
      splitRows(e, g, macsOf(g), (share, xAt, yAt) => {
        const block = Math.max(1, Math.min(share.oh, Math.floor((LINES / line - reach - 1) / sh) + 1))
        const numbers = 4 * Math.ceil((kw * ((kh + 1) >> 1) + block * ow) / 4)
        const scratch = e.scratch(60 + numbers + line * ((block - 1) * sh + reach + 1))
        e.call('packedDepthwiseConv2d_i8', e.at(x, xAt), weights, e.at(y, yAt), scratch, block, ...convSizes(share), ...after)
      })
    },
  },
}

/** Words of lines that packedDepthwiseConv2d_i8 lays out at once where it can: half of a first-level cache. */
const LINES = 4096

/** Scratch of depthwiseConv2d_f32: a row of zeros above and below the image, and the limits of the clamp. */
const borderLength = ({ iw, ic }: Images): number => Math.ceil(((iw + 1) * ic) / 4) * 4 + 8

const macsOf = ({ batch, oh, ow, oc, kh, kw }: Images): number => batch * oh * ow * oc * kh * kw
