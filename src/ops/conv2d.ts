// conv2d: x [ih, iw, ic] -> [oh, ow, oc], weights OHWI. Bias and relu are fused into the kernel.

import { type Layer, type Node, type Param, param } from '../graph/node'
import { int8Args } from './int8'
import { type Activation, type Buffer, clampOf, type Emit, expectCount, expectInputs, expectShape, makeNode, type Op } from './op'
import { convSizes, type Padding, type Pair, pair, type WindowAttrs, windowOf } from './window'

export interface Conv2dAttrs extends WindowAttrs {
  activation?: Activation
}

/**
 * 2-D convolution. x [height, width, channels] -> [oh, ow, filters].
 * Parameters: w [filters, kh, kw, channels] (He uniform), b [filters] (zeros; none with `bias: false`).
 */
export function conv2d(options: {
  filters: number
  kernel: Pair
  strides?: Pair
  dilation?: Pair
  padding?: Padding
  activation?: Activation
  bias?: boolean
  name?: string
}): Layer {
  const { filters, kernel, strides = 1, dilation = 1, padding = 'valid', activation, bias = true, name = '' } = options
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
    windowOf({ op: 'conv2d', name, attrs, inputs: [x] })
    const taps = kh * kw
    expectCount({ op: 'conv2d', name }, 'filters', filters)
    params ??= [
      param('w', [filters, kh, kw, x.shape[2]], { kind: 'heUniform', fanIn: taps * x.shape[2], fanOut: taps * filters }),
      ...(bias ? [param('b', [filters], { kind: 'zeros' })] : []),
    ]
    return makeNode(conv2dOp, { op: 'conv2d', name, attrs, inputs: [x, ...params] })
  }
}

export const conv2dOp: Op<Conv2dAttrs> = {
  shape(node) {
    const [, w, b] = node.inputs
    if (node.inputs.length !== 2) expectInputs(node, 3, 'x, w, b')
    const { oh, ow, kh, kw, ic } = windowOf(node)
    clampOf(node)
    expectShape(
      node,
      'w',
      w.shape,
      [w.shape[0], kh, kw, ic],
      'Weights are [filters, kernel height, kernel width, input channels]; a layer applied twice shares them.',
    )
    if (b) expectShape(node, 'b', b.shape, [w.shape[0]], 'There is one bias for each filter.')
    return [oh, ow, w.shape[0]]
  },

  macs(node) {
    const { oh, ow, kh, kw, ic } = windowOf(node)
    return oh * ow * kh * kw * ic * node.shape[2]
  },

  forward(e, node) {
    const [x, w, b] = node.inputs
    const g = windowOf(node)
    const oc = node.shape[2]
    const k = g.kh * g.kw * g.ic
    const packed = e.prepared(`${node.name}/packed`, Math.ceil(oc / 8) * 8 * (k + 1), (to) =>
      e.call('pack_f32', e.value(w), b ? e.value(b) : 0, to, oc, k, k, 1),
    )
    e.call('conv2d_f32', e.value(x), packed, e.value(node), padded(e, node), ...convSizes(e, node), ...clampOf(node))
  },

  backward(e, node) {
    const [x, w, b] = node.inputs
    const g = windowOf(node)
    const oc = node.shape[2]
    const dy = e.grad(node)
    if (!dy) return
    if (node.attrs.activation) e.call('clamp_f32_mask', e.value(node), dy, dy.length, ...clampOf(node))
    const db = b && e.grad(b)
    if (db) e.call('sumRows_f32', dy, db, dy.length / oc, oc)
    const dw = e.grad(w)
    if (dw) e.call('conv2d_f32_dw', e.value(x), dy, dw, padded(e, node), ...convSizes(e, node))
    const dx = e.grad(x)
    if (dx) {
      const packed = e.scratch(Math.ceil(g.ic / 8) * 8 * (g.kh * g.kw * oc + 1))
      e.call('conv2d_f32_dx_pack', e.value(w), packed, oc, g.kh, g.kw, g.ic)
      const spread = e.scratch((g.ih + (g.kh - 1) * g.dh) * (g.iw + (g.kw - 1) * g.dw) * oc)
      e.call('conv2d_f32_dx', dy, packed, dx, spread, ...convSizes(e, node))
    }
  },

  int8: {
    quant: 'calibrated',
    weightAxis: 0,
    forward(e, node) {
      const { before, after } = int8Args(e, node)
      e.call('conv2d_i8', ...before, ...convSizes(e, node), ...after)
    },
  },
}

/** Scratch for one image with its padding made real; none when the window never leaves the image. */
function padded(e: Emit, node: Node<Conv2dAttrs>): Buffer | 0 {
  const { ih, iw, ic, oh, ow, kh, kw, sh, sw, dh, dw, pt, pl } = windowOf(node)
  const ph = (oh - 1) * sh + (kh - 1) * dh + 1
  const pw = (ow - 1) * sw + (kw - 1) * dw + 1
  return pt === 0 && pl === 0 && ph <= ih && pw <= iw ? 0 : e.scratch(ph * pw * ic)
}
