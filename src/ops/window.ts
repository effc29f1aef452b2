// The geometry that convolutions and pools share: a window slides over the two spatial axes of [height, width, channels].
// Padding "same" is TensorFlow's: the output has ceil(input / stride) positions and an odd total puts the extra row or column
// at the bottom or right.

import { DunlinError } from '../graph/error'
import type { Node, Shape } from '../graph/node'
import { type Emit, type Reach, rows, type Unshaped, where } from './op'

/** One number for both axes, or [vertical, horizontal]. */
export type Pair = number | readonly [number, number]
/** 'valid': none; 'same'; one number for all sides; or [top, bottom, left, right]. */
export type Padding = 'valid' | 'same' | number | readonly [number, number, number, number]

export interface WindowAttrs {
  kernel: readonly [number, number]
  strides: readonly [number, number]
  dilation?: readonly [number, number]
  padding: Padding
}

export interface Window {
  ih: number
  iw: number
  ic: number
  oh: number
  ow: number
  kh: number
  kw: number
  sh: number
  sw: number
  dh: number
  dw: number
  pt: number
  pl: number
}

export const pair = (p: Pair): readonly [number, number] => (typeof p === 'number' ? [p, p] : p)

/** Numbers of the window of a node whose first input is an image; throws when it does not fit. */
export function windowOf(node: Unshaped<WindowAttrs>): Window {
  const { kernel, strides, dilation = [1, 1], padding } = node.attrs
  const [ih, iw, ic] = imageOf(node)
  expectPairs(node, { kernel, strides, dilation })
  const v = axis(node, 'height', ih, kernel[0], strides[0], dilation[0], sides(node, padding, 0))
  const h = axis(node, 'width', iw, kernel[1], strides[1], dilation[1], sides(node, padding, 1))
  return {
    ...{ ih, iw, ic, oh: v.out, ow: h.out, kh: kernel[0], kw: kernel[1], sh: strides[0], sw: strides[1] },
    ...{ dh: dilation[0], dw: dilation[1], pt: v.before, pl: h.before },
  }
}

/** The shape of a node's first input, which must be an image. */
export function imageOf(node: Unshaped): Shape {
  const shape = node.inputs[0]?.shape ?? []
  if (shape.length !== 3) {
    throw new DunlinError(`${where(node)}: wants an image [height, width, channels], got shape [${shape}]. Reshape it first.`)
  }
  return shape
}

export function expectPairs(node: Unshaped, pairs: Record<string, readonly [number, number]>): void {
  for (const [what, p] of Object.entries(pairs)) {
    if (!Array.isArray(p) || p.length !== 2 || !p.every((n) => Number.isInteger(n) && n > 0 && n < 65536)) {
      throw new DunlinError(`${where(node)}: ${what} wants two positive integers, got ${JSON.stringify(p)}.`)
    }
  }
}

/** The padding before and after an axis: 0 is the height, 1 the width. */
export function sides(node: Unshaped, padding: Padding, axisIndex: 0 | 1): 'same' | readonly [number, number] {
  if (padding === 'same') return 'same'
  if (padding === 'valid') return [0, 0]
  const all = typeof padding === 'number' ? [padding, padding, padding, padding] : padding
  if (!Array.isArray(all) || all.length !== 4 || !all.every((n) => Number.isInteger(n) && n >= 0 && n < 65536)) {
    throw new DunlinError(
      `${where(node)}: padding wants "valid", "same", a number or [top, bottom, left, right] of integers from 0 on, got ${JSON.stringify(padding)}.`,
    )
  }
  return [all[axisIndex * 2], all[axisIndex * 2 + 1]]
}

function axis(
  node: Unshaped<WindowAttrs>,
  what: string,
  size: number,
  kernel: number,
  stride: number,
  dilation: number,
  padding: 'same' | readonly [number, number],
): { out: number; before: number } {
  const span = (kernel - 1) * dilation + 1
  if (padding === 'same') {
    const out = Math.ceil(size / stride)
    const total = Math.max(0, (out - 1) * stride + span - size)
    return { out, before: Math.floor(total / 2) }
  }
  const padded = size + padding[0] + padding[1]
  if (Math.max(...padding) >= span) {
    throw new DunlinError(
      `${where(node)}: padding of ${Math.max(...padding)} on one side leaves windows of kernel span ${span} that see nothing of the input. Use less padding.`,
    )
  }
  if (span > padded) {
    const [kh, kw] = node.attrs.kernel
    throw new DunlinError(
      `${where(node)}: kernel ${kh}x${kw} does not fit the padded input: its ${what} spans ${span} of ${padded} ` +
        `(input [${node.inputs[0].shape}], padding ${JSON.stringify(node.attrs.padding)}). Use padding "same" or a smaller kernel.`,
    )
  }
  return { out: Math.floor((padded - span) / stride) + 1, before: padding[0] }
}

/** A window on a batch of images, [ih, iw, ic] -> [oh, ow, oc]. */
export interface Images extends Window {
  batch: number
  oc: number
}

export const imagesOf = (e: Emit, node: Node<WindowAttrs>): Images => ({
  ...windowOf(node),
  batch: rows(e, node),
  oc: node.shape[2],
})

/** batch ih iw ic oh ow oc kh kw sh sw dh dw pt pl: the sizes in every convolution kernel's order. */
export const convSizes = ({ batch, ih, iw, ic, oh, ow, oc, kh, kw, sh, sw, dh, dw, pt, pl }: Images) =>
  [batch, ih, iw, ic, oh, ow, oc, kh, kw, sh, sw, dh, dw, pt, pl] as const

/** batch ih iw c oh ow kh kw sh sw pt pl: the same for pools. */
export const poolSizes = ({ batch, ih, iw, ic, oh, ow, kh, kw, sh, sw, pt, pl }: Images) =>
  [batch, ih, iw, ic, oh, ow, kh, kw, sh, sw, pt, pl] as const

/** Writes the call for a share of the images, which begins at these elements of x and of y. */
export type ImagePart = (share: Images, xAt: number, yAt: number) => void

/** Splits a call that adds into x, or whose windows on x are not y's: by whole images only. */
export function splitImages(e: Emit, g: Images, work: number, part: ImagePart): void {
  const share = (from: number, batch: number) => part({ ...g, batch }, from * g.ih * g.iw * g.ic, from * g.oh * g.ow * g.oc)
  e.split(g.batch, work, share)
}

/** The rows of x that rows of y are computed from; windows that begin in the padding reach from the first row on. */
export const reachOf =
  ({ ih, kh, sh, dh, pt }: Window): Reach =>
  (from, to) => [Math.max(0, from * sh - pt), Math.min(ih, (to - 1) * sh - pt + (kh - 1) * dh + 1)]

/**
 * Splits a call that computes y from x: by images, or where there is only one by the rows of y, `grain` together. The rows of x that a
 * share sees are an image of their own, with as much padding above and below as the share has of it.
 */
export function splitRows(e: Emit, g: Images, work: number, part: ImagePart, grain = 1): void {
  if (g.batch > 1) {
    splitImages(e, g, work, part)
    return
  }
  const { iw, ic, oh, ow, oc, sh, pt } = g
  const share = (from: number, rows: number) => {
    if (rows === oh) return part(g, 0, 0)
    const [top, end] = reachOf(g)(from, from + rows)
    part({ ...g, ih: end - top, oh: rows, pt: top - (from * sh - pt) }, top * iw * ic, from * ow * oc)
  }
  e.split(oh, work, share, grain)
}

/**
 * How many elements y must begin before x (`Emit.over`) for a kernel that computes the positions of y in order, `ahead` of them at a time:
 * it may store all of them before it has read all of their windows. 0: one at a time and channel by channel, where a channel of y is
 * computed from the same one of x.
 */
export function distanceOf({ batch, ih, iw, ic, oh, ow, oc, sh, sw, pt, pl }: Images, ahead: number): number {
  const top = (oy: number) => Math.max(0, oy * sh - pt) * iw * ic
  // Within a row both ends of what is written and read grow linearly, but for windows that begin in the padding, and where the image ends
  // before `ahead` positions are full.
  const corners = [0, Math.floor(pl / sw), Math.floor(pl / sw) + 1, ow - ahead, ow - 1].filter((ox) => ox >= 0 && ox < ow)
  let most = Number.NEGATIVE_INFINITY
  for (let oy = 0; oy < oh; oy++) {
    const next = oy + 1 < oh ? top(oy + 1) : Number.POSITIVE_INFINITY
    for (const ox of corners) {
      const read = Math.min(top(oy) + Math.max(0, ox * sw - pl) * ic, next)
      const written = Math.min(oy * ow + ox + ahead, oh * ow) * oc
      most = Math.max(most, written - read)
    }
  }
  return most + Math.max(0, (batch - 1) * (oh * ow * oc - ih * iw * ic))
}
