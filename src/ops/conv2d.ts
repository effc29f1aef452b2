// conv2d: x [ih, iw, ic] -> [oh, ow, oc], weights OHWI. Bias and relu are fused into the kernel.

import { type Layer, type Node, type Param, param } from '../graph/node'
import { initializerOf, type WeightInitializer } from './initializer'
import { int8Args, packedArgs } from './int8'
import {
  type Activation,
  type Buffer,
  CLAMPS,
  clampOf,
  type Emit,
  expectCount,
  expectInputs,
  expectShape,
  makeNode,
  type Op,
  rows,
} from './op'
import { chooseConv3x3 } from './variants'
import { convSizes, type Padding, type Pair, pair, type WindowAttrs, windowOf } from './window'

export interface Conv2dAttrs extends WindowAttrs {
  activation?: Activation
}

/**
 * 2-D convolution. x [height, width, channels] -> [oh, ow, filters].
 * Parameters: w [filters, kh, kw, channels] (`initializer`, default He uniform), b [filters] (zeros; none with `bias: false`).
 */
export function conv2d(options: {
  filters: number
  kernel: Pair
  strides?: Pair
  dilation?: Pair
  padding?: Padding
  activation?: Activation
  bias?: boolean
  initializer?: WeightInitializer
  name?: string
}): Layer {
  const { filters, kernel, strides = 1, dilation = 1, padding = 'valid', activation, bias = true, name = '' } = options
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
    windowOf({ op: 'conv2d', name, attrs, inputs: [x] })
    const taps = kh * kw
    expectCount({ op: 'conv2d', name }, 'filters', filters)
    const fans = { fanIn: taps * x.shape[2], fanOut: taps * filters, rows: filters }
    params ??= [
      param('w', [filters, kh, kw, x.shape[2]], initializerOf({ op: 'conv2d', name }, initializer, fans)),
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
    const tile = winogradTile(e, node)
    const bias = b ? e.value(b) : 0
    if (tile) {
      const strides = [0, 9 * g.ic, 1, 3 * g.ic, g.ic] as const
      const sizes = [rows(e, node), g.ih, g.iw, g.ic, g.oh, g.ow, oc, g.pt, g.pl] as const
      winograd(e, node.name, tile, e.value(x), e.value(w), strides, bias, e.value(node), sizes, clampOf(node), 0)
      return
    }
    const k = g.kh * g.kw * g.ic
    const packed = e.prepared(`${node.name}/packed`, Math.ceil(oc / 8) * 8 * (k + 1), (to) =>
      e.call('pack_f32', e.value(w), bias, to, oc, k, k, 1),
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
    if (!dx) return
    const tile = winogradTile(e, node)
    if (tile) {
      // A convolution of dy: the filter turned by 180 degrees, channels exchanged, the padding seen from the other side.
      const strides = [8 * g.ic, 1, 9 * g.ic, -3 * g.ic, -g.ic] as const
      const sizes = [rows(e, node), g.oh, g.ow, oc, g.ih, g.iw, g.ic, 2 - g.pt, 2 - g.pl] as const
      winograd(e, node.name, tile, dy, e.value(w), strides, 0, dx, sizes, CLAMPS.none, 1)
      return
    }
    const packed = e.scratch(Math.ceil(g.ic / 8) * 8 * (g.kh * g.kw * oc + 1))
    e.call('conv2d_f32_dx_pack', e.value(w), packed, oc, g.kh, g.kw, g.ic)
    const spread = e.scratch((g.ih + (g.kh - 1) * g.dh) * (g.iw + (g.kw - 1) * g.dw) * oc)
    e.call('conv2d_f32_dx', dy, packed, dx, spread, ...convSizes(e, node))
  },

  int8: {
    quant: 'calibrated',
    weightAxis: 0,
    forward(e, node) {
      if (e.target === 'module') {
        const { before, after } = int8Args(e, node)
        e.call('conv2d_i8', ...before, ...convSizes(e, node), ...after)
        return
      }
      const { ic, oh, ow, kh, kw, sh, sw, dh, dw } = windowOf(node)
      // A kernel row is contiguous in x and in w, unless it is dilated.
      const [segments, chunk] = dw === 1 ? [kh, kw * ic] : [kh * kw, ic]
      const layout = { segments, chunk, channelStep: kh * kw * ic, segmentStep: chunk, step: 1 }
      const { before, after } = packedArgs(e, node, layout)
      const image = ((oh - 1) * sh + (kh - 1) * dh + 1) * ((ow - 1) * sw + (kw - 1) * dw + 1) * ic
      e.call('packedConv2d_i8', ...before, e.scratch(32 + Math.ceil(image / 2)), ...convSizes(e, node), ...after)
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

/**
 * Outputs of a Winograd tile in each direction, when that is how this convolution and its gradient are computed. A module takes the
 * direct kernel: less code, a quarter of the weights.
 */
function winogradTile(e: Emit, node: Node<Conv2dAttrs>): 2 | 4 | undefined {
  if (e.target === 'module') return undefined
  const { kh, kw, sh, sw, dh, dw, oh, ow, ic } = windowOf(node)
  const fits = kh === 3 && kw === 3 && sh === 1 && sw === 1 && dh === 1 && dw === 1
  return fits ? chooseConv3x3({ oh, ow, ic, oc: node.shape[2] }).tile : undefined
}

/** Tiles transformed at once: their transforms stay in the second-level cache. */
const WINOGRAD_BLOCK = 16

/** `strides`: first, wo, wi, wr, ws of conv2d_f32_winograd_pack; `sizes`: batch ih iw ic oh ow oc pt pl of the convolution. */
function winograd(
  e: Emit,
  name: string,
  tile: 2 | 4,
  x: Buffer,
  w: Buffer,
  strides: readonly [number, number, number, number, number],
  bias: Buffer | 0,
  y: Buffer,
  sizes: readonly [number, number, number, number, number, number, number, number, number],
  clamp: readonly [number, number],
  add: 0 | 1,
): void {
  const [, , , ic, oh, ow, oc] = sizes
  const positions = (tile + 2) ** 2
  const [down, across] = [Math.ceil(oh / tile), Math.ceil(ow / tile)]
  const group = Math.min(sizes[0], Math.max(1, Math.floor(WINOGRAD_BLOCK / (down * across))))
  const block = Math.min(WINOGRAD_BLOCK, group * down * across)
  const four = (n: number) => Math.ceil(n / 4) * 4
  const packed = e.prepared(`${name}/packed`, positions * Math.ceil(oc / 8) * 8 * (ic + 1), (to) =>
    e.call('conv2d_f32_winograd_pack', w, to, e.scratch(72), tile, oc, ic, ...strides),
  )
  const images = four(group * (tile * down + 2) * (tile * across + 2) * ic)
  const scratch = e.scratch(images + positions * 4 + positions * block * (four(ic) + four(oc)))
  e.call('conv2d_f32_winograd', x, packed, bias, y, scratch, tile, block, group, ...sizes, ...clamp, add)
}
