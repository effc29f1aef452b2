// depthwiseConv2d: x [ih, iw, ic] -> [oh, ow, ic * multiplier]: every input channel has its own filters. Weights [kh, kw, oc].

import { DunlinError } from '../graph/error'
import { type Layer, type Param, param } from '../graph/node'
import { initializerOf, type WeightInitializer } from './initializer'
import { int8Args, packedArgs } from './int8'
import { type Activation, CLAMPS, clampOf, expectCount, expectInputs, expectShape, makeNode, type Op, rows, where } from './op'
import { convSizes, type Padding, type Pair, pair, type WindowAttrs, windowOf } from './window'

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
    const border = e.scratch(borderLength(x))
    const sizes = convSizes(e, node)
    e.call(
      'depthwiseConv2d_f32',
      e.value(x),
      e.value(w),
      b ? e.value(b) : 0,
      e.value(node),
      border,
      ...sizes,
      ...clampOf(node),
      0,
      0,
    )
  },

  backward(e, node) {
    const [x, w, b] = node.inputs
    const dy = e.grad(node)
    if (!dy) return
    const oc = node.shape[2]
    if (node.attrs.activation) e.call('clamp_f32_mask', e.value(node), dy, dy.length, ...clampOf(node))
    const db = b && e.grad(b)
    if (db) e.call('sumRows_f32', dy, db, dy.length / oc, oc)
    const dw = e.grad(w)
    if (dw) e.call('depthwiseConv2d_f32_dw', e.value(x), dy, dw, ...convSizes(e, node))
    const dx = e.grad(x)
    if (!dx) return
    const { ih, iw, ic, oh, ow, kh, kw, sh, sw, dh, dw: dilation, pt, pl } = windowOf(node)
    if (sh === 1 && sw === 1 && oc === ic) {
      // A depthwise convolution of dy with the filters turned by 180 degrees, the padding seen from the other side.
      const sizes = [rows(e, node), oh, ow, oc, ih, iw, ic, kh, kw, 1, 1, dh, dilation] as const
      const padding = [(kh - 1) * dh - pt, (kw - 1) * dilation - pl] as const
      const border = e.scratch(borderLength(node))
      e.call('depthwiseConv2d_f32', dy, e.value(w), 0, dx, border, ...sizes, ...padding, ...CLAMPS.none, 1, 1)
    } else e.call('depthwiseConv2d_f32_dx', dy, e.value(w), dx, ...convSizes(e, node))
  },

  int8: {
    quant: 'calibrated',
    weightAxis: 2,
    forward(e, node) {
      if (e.target === 'module') {
        const { before, after } = int8Args(e, node)
        e.call('depthwiseConv2d_i8', ...before, ...convSizes(e, node), ...after)
        return
      }
      const { ow, kh, kw, sw, dh, dw } = windowOf(node)
      const oc = node.shape[2]
      const layout = { segments: kw, chunk: kh, channelStep: 1, segmentStep: oc, step: kw * oc, four: 0 } as const
      const { before, after } = packedArgs(e, node, layout)
      const lines = (((kh - 1) >> 1) * 2 * dh + 1) * ((ow - 1) * sw + (kw - 1) * dw + 1)
      e.call('packedDepthwiseConv2d_i8', ...before, e.scratch(56 + 8 * lines), ...convSizes(e, node), ...after)
    },
  },
}

/** Scratch of depthwiseConv2d_f32: a row of zeros above and below the image, and the limits of the clamp. */
const borderLength = ({ shape: [, width, channels] }: { shape: readonly number[] }): number =>
  Math.ceil(((width + 1) * channels) / 4) * 4 + 8
