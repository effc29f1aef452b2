// The f32 calls that a convolution over buffers is written as, forward and both gradients: conv2d makes them once or once for each of its
// groups, convTranspose2d with the roles of x and y exchanged.

import type { Buffer, Emit } from './op'
import { CLAMPS } from './op'
import { chooseConv3x3 } from './variants'
import type { Window } from './window'

/** The window on [ih, iw, ic] -> [oh, ow, oc] for `batch` images. Weights are [oc][kh][kw][ic]. */
export interface Convolution extends Window {
  batch: number
  oc: number
}

const sizesOf = ({ batch, ih, iw, ic, oh, ow, oc, kh, kw, sh, sw, dh, dw, pt, pl }: Convolution) =>
  [batch, ih, iw, ic, oh, ow, oc, kh, kw, sh, sw, dh, dw, pt, pl] as const

/** Weights are asked for where they are packed, which may be once for a session: then a copy that `w` makes lives no longer. */
type Weights = () => Buffer

/** y = clamp(conv2d(x, w) + bias). `name` is the layer's, for its packed weights. */
export function convolve(
  e: Emit,
  name: string,
  g: Convolution,
  x: Buffer,
  w: Weights,
  bias: Buffer | 0,
  y: Buffer,
  clamp: readonly [number, number],
): void {
  const tile = winogradTile(e, 'f32', g)
  if (tile) {
    const strides = [0, 9 * g.ic, 1, 3 * g.ic, g.ic] as const
    const sizes = [g.batch, g.ih, g.iw, g.ic, g.oh, g.ow, g.oc, g.pt, g.pl] as const
    winograd(e, name, tile, x, w, strides, bias, y, sizes, clamp, 0)
    return
  }
  const k = g.kh * g.kw * g.ic
  const packed = e.prepared(`${name}/packed`, Math.ceil(g.oc / 8) * 8 * (k + 1), (to) =>
    e.call('pack_f32', w(), bias, to, g.oc, k, k, 1),
  )
  e.call('conv2d_f32', x, packed, y, padded(e, g), ...sizesOf(g), ...clamp)
}

/** dw += the gradient by the weights. */
export function convolveDw(e: Emit, g: Convolution, x: Buffer, dy: Buffer, dw: Buffer): void {
  const tile = winogradTile(e, 'f32', g)
  if (tile) {
    const { batch, ih, iw, ic, oh, ow, oc, pt, pl } = g
    const [down, across] = [Math.ceil(oh / tile), Math.ceil(ow / tile)]
    const four = (n: number) => Math.ceil(n / 4) * 4
    const block = Math.min(WINOGRAD_BLOCK_DW, batch * down * across)
    const images = four((tile * down + 2) * (tile * across + 2) * ic) + four(tile * down * tile * across * oc)
    const scratch = e.scratch(images + 144 + (tile + 2) ** 2 * (block * (four(ic) + four(oc)) + oc * four(ic) + 48))
    e.call('conv2d_f32_dw_winograd', x, dy, dw, scratch, tile, block, batch, ih, iw, ic, oh, ow, oc, pt, pl)
    return
  }
  e.call('conv2d_f32_dw', x, dy, dw, padded(e, g), ...sizesOf(g))
}

/** dx += the gradient by x. */
export function convolveDx(e: Emit, name: string, g: Convolution, dy: Buffer, w: Weights, dx: Buffer): void {
  const tile = winogradTile(e, 'f32', g)
  if (tile) {
    // A convolution of dy: the filter turned by 180 degrees, channels exchanged, the padding seen from the other side.
    const strides = [8 * g.ic, 1, 9 * g.ic, -3 * g.ic, -g.ic] as const
    const sizes = [g.batch, g.oh, g.ow, g.oc, g.ih, g.iw, g.ic, 2 - g.pt, 2 - g.pl] as const
    winograd(e, name, tile, dy, w, strides, 0, dx, sizes, CLAMPS.none, 1)
    return
  }
  const packed = e.scratch(transposedLength(g))
  e.call('conv2d_f32_dx_pack', w(), 0, packed, g.oc, g.kh, g.kw, g.ic, g.sh, g.sw, g.dh, g.dw)
  e.call('conv2d_f32_dx', dy, packed, dx, e.scratch(spreadLength(g)), ...sizesOf(g), ...CLAMPS.none, 1)
}

/** x = clamp(the gradient by x, given y, + bias): a convolution run backwards. */
export function convolveTransposed(
  e: Emit,
  name: string,
  g: Convolution,
  y: Buffer,
  w: Weights,
  bias: Buffer | 0,
  x: Buffer,
  clamp: readonly [number, number],
): void {
  const packed = e.prepared(`${name}/packed`, transposedLength(g), (to) =>
    e.call('conv2d_f32_dx_pack', w(), bias, to, g.oc, g.kh, g.kw, g.ic, g.sh, g.sw, g.dh, g.dw),
  )
  e.call('conv2d_f32_dx', y, packed, x, e.scratch(spreadLength(g)), ...sizesOf(g), ...clamp, 0)
}

/** Elements of conv2d_f32_dx's packed weights. */
const transposedLength = ({ ic, oc, kh, kw, sh, sw }: Convolution): number => Math.ceil(ic / 8) * 8 * (kh * kw * oc + sh * sw)

/** Elements of conv2d_f32_dx's scratch: dy of one image with a border of zeros. */
function spreadLength({ ih, iw, oh, ow, oc, kh, kw, sh, sw, dh, dw, pt, pl }: Convolution): number {
  const side = (taps: number, dilation: number, stride: number, out: number, size: number, before: number) =>
    Math.floor(((taps - 1) * dilation) / stride) + Math.max(out, Math.floor((size - 1 + before) / stride) + 1)
  return side(kh, dh, sh, oh, ih, pt) * side(kw, dw, sw, ow, iw, pl) * oc
}

/** Scratch for one image with its padding made real; none when the window never leaves the image. */
function padded(e: Emit, { ih, iw, ic, oh, ow, kh, kw, sh, sw, dh, dw, pt, pl }: Convolution): Buffer | 0 {
  const ph = (oh - 1) * sh + (kh - 1) * dh + 1
  const pw = (ow - 1) * sw + (kw - 1) * dw + 1
  return pt === 0 && pl === 0 && ph <= ih && pw <= iw ? 0 : e.scratch(ph * pw * ic)
}

/**
 * Outputs of a Winograd tile in each direction, when that is how this convolution and its gradient are computed. A module takes the
 * direct kernel: less code, a quarter of the weights.
 */
export function winogradTile(
  e: Emit,
  dtype: 'f32' | 'i8',
  { kh, kw, sh, sw, dh, dw, oh, ow, ic, oc }: Convolution,
): 2 | 4 | undefined {
  if (e.target === 'module') return undefined
  const fits = kh === 3 && kw === 3 && sh === 1 && sw === 1 && dh === 1 && dw === 1
  return fits ? chooseConv3x3(dtype, { oh, ow, ic, oc }).tile : undefined
}

/** Tiles transformed at once: their transforms stay in the second-level cache. */
export const WINOGRAD_BLOCK = 16
/** The same for the gradient by the weights, whose sums are loaded and stored once for each block. */
const WINOGRAD_BLOCK_DW = 32

/** `strides`: first, wo, wi, wr, ws of conv2d_f32_winograd_pack; `sizes`: batch ih iw ic oh ow oc pt pl of the convolution. */
function winograd(
  e: Emit,
  name: string,
  tile: 2 | 4,
  x: Buffer,
  w: Weights,
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
    e.call('conv2d_f32_winograd_pack', w(), to, e.scratch(72), tile, oc, ic, ...strides),
  )
  const images = four(group * (tile * down + 2) * (tile * across + 2) * ic)
  const scratch = e.scratch(images + 144 + positions * (block * (four(ic) + four(oc)) + 32))
  e.call('conv2d_f32_winograd', x, packed, bias, y, scratch, tile, block, group, ...sizes, ...clamp, add)
}
