// The f32 calls that a convolution over buffers is written as, forward and both gradients: conv2d makes them once or once for each of its
// groups, convTranspose2d with the roles of x and y exchanged.

import { pack, packedLength } from './calls'
import type { Buffer, Emit } from './op'
import { CLAMPS } from './op'
import { type Conv3x3Kind, chooseConv3x3 } from './variants'
import { convSizes, type Images, splitImages, splitRows, type Window } from './window'

/** Multiply-accumulates of a whole batch. */
export const macsOf = ({ batch, oh, ow, oc, kh, kw, ic }: Images): number => batch * oh * ow * oc * kh * kw * ic

/** Weights are asked for where they are packed, which may be once for a session: then a copy that `w` makes lives no longer. */
type Weights = () => Buffer

/** y = clamp(conv2d(x, w) + bias), weights [oc][kh][kw][ic]. `name` is the layer's, for its packed weights. */
export function convolve(
  e: Emit,
  name: string,
  g: Images,
  x: Buffer,
  w: Weights,
  bias: Buffer | 0,
  y: Buffer,
  clamp: readonly [number, number],
): void {
  const tile = winogradTile(e, 'f32', g)
  if (tile) {
    winograd(e, name, tile, x, w, bias, y, g, clamp)
    return
  }
  const k = g.kh * g.kw * g.ic
  const packed = e.prepared(`${name}/packed`, packedLength(g.oc, k), (to) => pack(e, w(), bias, to, { n: g.oc, k, wn: k, wk: 1 }))
  splitRows(e, g, macsOf(g), (share, xAt, yAt) =>
    e.call('conv2d_f32', e.at(x, xAt), packed, e.at(y, yAt), padded(e, share), ...convSizes(share), ...clamp),
  )
}

/** dw += the gradient by the weights. */
export function convolveDw(e: Emit, g: Images, x: Buffer, dy: Buffer, dw: Buffer): void {
  const k = g.kh * g.kw * g.ic
  const tile = winogradTile(e, 'f32_dw', g)
  const part = (from: number, oc: number) => {
    if (tile) winogradDw(e, tile, { ...g, oc }, x, e.at(dy, from), e.at(dw, from * k), g.oc)
    else e.call('conv2d_f32_dw', x, e.at(dy, from), e.at(dw, from * k), padded(e, g), ...convSizes({ ...g, oc }), g.oc)
  }
  e.split(g.oc, macsOf(g) / (tile ? 2 : 1), part, 4)
}

/** dw += for the output channels of g, of the ldy that a pixel of dy has. */
function winogradDw(e: Emit, tile: 2 | 4, g: Images, x: Buffer, dy: Buffer, dw: Buffer, ldy: number): void {
  const { batch, ih, iw, ic, oh, ow, oc, pt, pl } = g
  const [down, across] = [Math.ceil(oh / tile), Math.ceil(ow / tile)]
  const block = Math.min(WINOGRAD_BLOCK_DW, batch * down * across)
  const images = four((tile * down + 2) * (tile * across + 2) * ic) + four(tile * down * tile * across * oc)
  const scratch = e.scratch(images + 144 + (tile + 2) ** 2 * (block * (four(ic) + four(oc)) + oc * four(ic) + 48))
  e.call('conv2d_f32_dw_winograd', x, dy, dw, scratch, tile, block, batch, ih, iw, ic, oh, ow, oc, pt, pl, ldy)
}

/** dx += the gradient by x, or with `add` 0 dx = the same. */
export function convolveDx(e: Emit, name: string, g: Images, dy: Buffer, w: Weights, dx: Buffer, add: 0 | 1): void {
  const tile = winogradTile(e, 'f32', g)
  if (tile) {
    winogradDx(e, name, tile, g, dy, w, dx, add)
    return
  }
  const packed = e.scratch(transposedLength(g))
  packTransposed(e, g, w(), 0, packed)
  runBackwards(e, g, dy, packed, dx, CLAMPS.none, add)
}

/** x = clamp(the gradient by x, given y, + bias): a convolution run backwards. */
export function convolveTransposed(
  e: Emit,
  name: string,
  g: Images,
  y: Buffer,
  w: Weights,
  bias: Buffer | 0,
  x: Buffer,
  clamp: readonly [number, number],
): void {
  const packed = e.prepared(`${name}/packed`, transposedLength(g), (to) => packTransposed(e, g, w(), bias, to))
  runBackwards(e, g, y, packed, x, clamp, 0)
}

function packTransposed(e: Emit, g: Images, w: Buffer, bias: Buffer | 0, to: Buffer): void {
  const { oc, kh, kw, ic, sh, sw, dh, dw } = g
  e.call('conv2d_f32_dx_pack', w, bias, to, oc, kh, kw, ic, sh, sw, dh, dw)
}

function runBackwards(
  e: Emit,
  g: Images,
  dy: Buffer,
  packed: Buffer,
  dx: Buffer,
  clamp: readonly [number, number],
  add: 0 | 1,
): void {
  splitImages(e, g, macsOf(g), (share, dxAt, dyAt) => {
    const length = spreadLength(share)
    const scratch = length ? e.scratch(length) : 0
    e.call('conv2d_f32_dx', e.at(dy, dyAt), packed, e.at(dx, dxAt), scratch, ...convSizes(share), ...clamp, add)
  })
}

/** Elements of conv2d_f32_dx's packed weights. */
const transposedLength = ({ ic, oc, kh, kw, sh, sw }: Images): number => Math.ceil(ic / 8) * 8 * (kh * kw * oc + sh * sw)

/** Elements of conv2d_f32_dx's scratch: dy of one image with a border of zeros; none when it needs none. */
function spreadLength({ ih, iw, oh, ow, oc, kh, kw, sh, sw, dh, dw, pt, pl }: Images): number {
  const side = (taps: number, dilation: number, stride: number, out: number, size: number, before: number) =>
    Math.floor(((taps - 1) * dilation) / stride) + Math.max(out, Math.floor((size - 1 + before) / stride) + 1)
  const [rows, columns] = [side(kh, dh, sh, oh, ih, pt), side(kw, dw, sw, ow, iw, pl)]
  return rows === oh && columns === ow ? 0 : rows * columns * oc
}

/** Scratch for one image with its padding made real; none when the window never leaves the image. */
function padded(e: Emit, { ih, iw, ic, oh, ow, kh, kw, sh, sw, dh, dw, pt, pl }: Images): Buffer | 0 {
  const ph = (oh - 1) * sh + (kh - 1) * dh + 1
  const pw = (ow - 1) * sw + (kw - 1) * dw + 1
  return pt === 0 && pl === 0 && ph <= ih && pw <= iw ? 0 : e.scratch(ph * pw * ic)
}

/**
 * Outputs of a Winograd tile in each direction, when that is how this convolution and its gradient are computed. A module takes the
 * direct kernel: less code, a quarter of the weights.
 */
export function winogradTile(e: Emit, kind: Conv3x3Kind, { kh, kw, sh, sw, dh, dw, oh, ow, ic, oc }: Images): 2 | 4 | undefined {
  if (e.target === 'module') return undefined
  const fits = kh === 3 && kw === 3 && sh === 1 && sw === 1 && dh === 1 && dw === 1
  return fits ? chooseConv3x3(kind, { oh, ow, ic, oc }).tile : undefined
}

/** Tiles transformed at once: their transforms stay in the second-level cache. */
export const WINOGRAD_BLOCK = 16
/** The same for the gradient by the weights, whose sums are loaded and stored once for each block. */
const WINOGRAD_BLOCK_DW = 32

/** Packed weights of Winograd's kernels, n channels out and k in. `strides`: first, wo, wi, wr, ws of conv2d_f32_winograd_pack. */
function winogradWeights(
  e: Emit,
  name: string,
  tile: 2 | 4,
  w: Weights,
  [n, k]: readonly [number, number],
  [first, wo, ...others]: readonly [number, number, number, number, number],
): Buffer {
  const positions = (tile + 2) ** 2
  return e.prepared(`${name}/packed`, positions * packedLength(n, k), (to) => {
    const weights = w()
    const part = (from: number, count: number) => {
      const at = e.at(to, from * (k + 1))
      e.call('conv2d_f32_winograd_pack', weights, at, e.scratch(72), tile, count, k, n, first + from * wo, wo, ...others)
    }
    e.split(n, 4 * positions * n * k, part, 8)
  })
}

/** How many images share a block of tiles, and tiles in it. */
function winogradBlock(tile: 2 | 4, { batch, oh, ow }: Images) {
  const [down, across] = [Math.ceil(oh / tile), Math.ceil(ow / tile)]
  const group = Math.min(batch, Math.max(1, Math.floor(WINOGRAD_BLOCK / (down * across))))
  return { down, across, group, block: Math.min(WINOGRAD_BLOCK, group * down * across) }
}

const four = (n: number) => Math.ceil(n / 4) * 4

function winograd(
  e: Emit,
  name: string,
  tile: 2 | 4,
  x: Buffer,
  w: Weights,
  bias: Buffer | 0,
  y: Buffer,
  g: Images,
  clamp: readonly [number, number],
): void {
  const { ic, oc } = g
  const packed = winogradWeights(e, name, tile, w, [oc, ic], [0, 9 * ic, 1, 3 * ic, ic])
  const part = (share: Images, xAt: number, yAt: number) => {
    const { batch, ih, iw, oh, ow, pt, pl } = share
    const { down, across, group, block } = winogradBlock(tile, share)
    const images = four(group * (tile * down + 2) * (tile * across + 2) * ic)
    const scratch = e.scratch(images + 144 + (tile + 2) ** 2 * (block * (four(ic) + four(oc)) + 32))
    const sizes = [batch, ih, iw, ic, oh, ow, oc, pt, pl] as const
    e.call('conv2d_f32_winograd', e.at(x, xAt), packed, bias, e.at(y, yAt), scratch, tile, block, group, ...sizes, ...clamp)
  }
  // Fewer tiles than the rows of a GEMM tile would take as long.
  splitRows(e, g, macsOf(g) / 2, part, tile * Math.ceil(4 / Math.ceil(g.ow / tile)))
}

function winogradDx(e: Emit, name: string, tile: 2 | 4, g: Images, dy: Buffer, w: Weights, dx: Buffer, add: 0 | 1): void {
  const { ic, oc } = g
  const packed = winogradWeights(e, name, tile, w, [ic, oc], [0, 1, 9 * ic, 3 * ic, ic])
  const part = (share: Images, dxAt: number, dyAt: number) => {
    const { batch, ih, iw, oh, ow, pt, pl } = share
    const { down, across, group, block } = winogradBlock(tile, share)
    const images = group * (tile * down + 2) * (tile * across + 2) * four(ic) + four(group * tile * down * tile * across * oc)
    const scratch = e.scratch(images + 144 + (tile + 2) ** 2 * (block * (four(ic) + four(oc)) + 32))
    const sizes = [batch, ih, iw, ic, oh, ow, oc, pt, pl] as const
    e.call('conv2d_f32_dx_winograd', e.at(dy, dyAt), packed, e.at(dx, dxAt), scratch, tile, block, group, ...sizes, add)
  }
  splitImages(e, g, macsOf(g) / 2, part)
}

/**
 * Bytes of scratch of conv2d_i8. Interpreted: the values of a window for three positions, in words of 8 bytes which overlap
 * copies; compiled: copies of two windows, where those are not read from the image.
 */
export function convScratch(interpreted: boolean, { ih, iw, ic, oh, ow, kh, kw, sh, sw, dw, pt, pl }: Window): number {
  if (interpreted) return 10 * kh * kw * ic
  const inside = pt === 0 && pl === 0 && (oh - 1) * sh < ih && (ow - 1) * sw + kw <= iw
  return kh === 1 && dw === 1 && inside ? 0 : 2 * kh * kw * ic
}
