// depthwiseConv2d: x [ih, iw, ic] -> [oh, ow, ic * multiplier]: every input channel has its own filters. Weights [kh, kw, oc].

import { DunlinError } from '../graph/error'
import { type Layer, type Param, param } from '../graph/node'
import { int8Args } from './int8'
import { type Activation, clampOf, expectCount, expectInputs, expectShape, makeNode, type Op, where } from './op'
import { convSizes, type Padding, type Pair, pair, type WindowAttrs, windowOf } from './window'

export interface DepthwiseConv2dAttrs extends WindowAttrs {
  activation?: Activation
}

/**
 * Depthwise 2-D convolution. x [height, width, channels] -> [oh, ow, channels * multiplier].
 * Parameters: w [kh, kw, channels * multiplier] (He uniform), b [channels * multiplier] (zeros; none with `bias: false`).
 */
export function depthwiseConv2d(options: {
  kernel: Pair
  multiplier?: number
  strides?: Pair
  dilation?: Pair
  padding?: Padding
  activation?: Activation
  bias?: boolean
  name?: string
}): Layer {
  const { kernel, multiplier = 1, strides = 1, dilation = 1, padding = 'valid', activation, bias = true, name = '' } = options
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
    params ??= [
      param('w', [kh, kw, oc], { kind: 'heUniform', fanIn: kh * kw, fanOut: kh * kw * multiplier }),
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
    e.call(
      'depthwiseConv2d_f32',
      e.value(x),
      e.value(w),
      b ? e.value(b) : 0,
      e.value(node),
      ...convSizes(e, node),
      ...clampOf(node),
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
    if (dx) e.call('depthwiseConv2d_f32_dx', dy, e.value(w), dx, ...convSizes(e, node))
  },

  int8: {
    quant: 'calibrated',
    weightAxis: 2,
    forward(e, node) {
      const { before, after } = int8Args(e, node)
      e.call('depthwiseConv2d_i8', ...before, ...convSizes(e, node), ...after)
    },
  },
}
