// Ops that slide a window over an image: convolutions and pools. Of a window, only what lies in the image is read, or, by
// convTranspose2d, written.

import type { Node } from '../../src/graph/node'
import type { OpName } from '../../src/ops'
import type { AvgPoolAttrs } from '../../src/ops/pool2d'
import type { WindowAttrs } from '../../src/ops/window'
import { activate, type Definition, type Fused, type Numbers } from './definition'

export const windows = {
  avgPool2d(node: Node<AvgPoolAttrs>, x) {
    const { countPadding, kernel } = node.attrs
    const count = (window: number[]) => (countPadding ? kernel[0] * kernel[1] : window.length)
    return pool(node, x, (window) => window.reduce((sum, v) => sum + v, 0) / count(window))
  },

  conv2d(node: Node<WindowAttrs & Fused & { groups?: number }>, x, w, b) {
    const { ih, iw, ic, oh, ow, kh, kw, sh, sw, dh, dw, pt, pl } = geometry(node)
    const { groups = 1 } = node.attrs
    // A filter of group g sees `seen` channels, from g * seen on.
    const seen = ic / groups
    const oc = w.length / (kh * kw * seen)
    const batch = x.length / (ih * iw * ic)
    const y = new Float64Array(batch * oh * ow * oc)
    let at = 0
    for (let n = 0; n < batch; n++)
      for (let oy = 0; oy < oh; oy++)
        for (let ox = 0; ox < ow; ox++)
          for (let o = 0; o < oc; o++) {
            let sum = b ? b[o] : 0
            for (let r = 0; r < kh; r++)
              for (let s = 0; s < kw; s++) {
                const iy = oy * sh + r * dh - pt
                const ix = ox * sw + s * dw - pl
                if (iy < 0 || iy >= ih || ix < 0 || ix >= iw) continue
                const from = Math.floor((o * groups) / oc) * seen
                for (let c = 0; c < seen; c++)
                  sum += x[((n * ih + iy) * iw + ix) * ic + from + c] * w[((o * kh + r) * kw + s) * seen + c]
              }
            y[at++] = activate(sum, node.attrs.activation)
          }
    return y
  },

  // Every input position adds its value, times the filter, to the outputs under it.
  convTranspose2d(node: Node<WindowAttrs & Fused>, x, w, b) {
    const [ih, iw, ic] = node.inputs[0].shape
    const [oh, ow, oc] = node.shape
    const { padding, kernel, strides } = node.attrs
    const [kh, kw] = kernel
    const [sh, sw] = strides
    const before = (k: number, s: number, side: 0 | 2) => {
      if (padding === 'same') return Math.floor(Math.max(0, k - s) / 2)
      return padding === 'valid' ? 0 : typeof padding === 'number' ? padding : padding[side]
    }
    const [pt, pl] = [before(kh, sh, 0), before(kw, sw, 2)]
    const batch = x.length / (ih * iw * ic)
    const y = Float64Array.from({ length: batch * oh * ow * oc }, (_, i) => b?.[i % oc] ?? 0)
    for (let n = 0; n < batch; n++)
      for (let iy = 0; iy < ih; iy++)
        for (let ix = 0; ix < iw; ix++)
          for (let r = 0; r < kh; r++)
            for (let s = 0; s < kw; s++) {
              const oy = iy * sh + r - pt
              const ox = ix * sw + s - pl
              if (oy < 0 || oy >= oh || ox < 0 || ox >= ow) continue
              for (let c = 0; c < ic; c++)
                for (let o = 0; o < oc; o++)
                  y[((n * oh + oy) * ow + ox) * oc + o] +=
                    x[((n * ih + iy) * iw + ix) * ic + c] * w[((c * kh + r) * kw + s) * oc + o]
            }
    return y.map((v) => activate(v, node.attrs.activation))
  },

  depthwiseConv2d(node: Node<WindowAttrs & Fused>, x, w, b) {
    const { ih, iw, ic, oh, ow, kh, kw, sh, sw, dh, dw, pt, pl } = geometry(node)
    const oc = w.length / (kh * kw)
    const multiplier = oc / ic
    const batch = x.length / (ih * iw * ic)
    const y = new Float64Array(batch * oh * ow * oc)
    let at = 0
    for (let n = 0; n < batch; n++)
      for (let oy = 0; oy < oh; oy++)
        for (let ox = 0; ox < ow; ox++)
          for (let o = 0; o < oc; o++) {
            let sum = b ? b[o] : 0
            for (let r = 0; r < kh; r++)
              for (let s = 0; s < kw; s++) {
                const iy = oy * sh + r * dh - pt
                const ix = ox * sw + s * dw - pl
                if (iy < 0 || iy >= ih || ix < 0 || ix >= iw) continue
                sum += x[((n * ih + iy) * iw + ix) * ic + Math.floor(o / multiplier)] * w[(r * kw + s) * oc + o]
              }
            y[at++] = activate(sum, node.attrs.activation)
          }
    return y
  },

  maxPool2d: (node: Node<WindowAttrs>, x) => pool(node, x, (window) => Math.max(...window)),
} satisfies Partial<Record<OpName, Definition>>

/** `of` is applied to the values of each window that lie in the image, channel by channel. */
function pool(node: Node<WindowAttrs>, x: Numbers, of: (window: number[]) => number): Float64Array {
  const { ih, iw, ic, oh, ow, kh, kw, sh, sw, pt, pl } = geometry(node)
  const batch = x.length / (ih * iw * ic)
  const y = new Float64Array(batch * oh * ow * ic)
  let at = 0
  for (let n = 0; n < batch; n++)
    for (let oy = 0; oy < oh; oy++)
      for (let ox = 0; ox < ow; ox++)
        for (let c = 0; c < ic; c++) {
          const window: number[] = []
          for (let iy = oy * sh - pt; iy < oy * sh - pt + kh; iy++)
            for (let ix = ox * sw - pl; ix < ox * sw - pl + kw; ix++)
              if (iy >= 0 && iy < ih && ix >= 0 && ix < iw) window.push(x[((n * ih + iy) * iw + ix) * ic + c])
          y[at++] = of(window)
        }
  return y
}

function geometry({ inputs, attrs }: Node<WindowAttrs>) {
  const [ih, iw, ic] = inputs[0].shape
  const [kh, kw] = attrs.kernel
  const [sh, sw] = attrs.strides
  const [dh, dw] = attrs.dilation ?? [1, 1]
  const [oh, pt] = axis(ih, kh, sh, dh, attrs.padding, 0)
  const [ow, pl] = axis(iw, kw, sw, dw, attrs.padding, 2)
  return { ih, iw, ic, oh, ow, kh, kw, sh, sw, dh, dw, pt, pl }
}

/** Positions of the window along one axis, and the padding before it. `side` is where [top, bottom, left, right] has the axis. */
function axis(
  n: number,
  kernel: number,
  stride: number,
  dilation: number,
  padding: WindowAttrs['padding'],
  side: 0 | 2,
): [number, number] {
  const span = (kernel - 1) * dilation + 1
  if (padding === 'same') {
    const out = Math.ceil(n / stride)
    return [out, Math.floor(Math.max(0, (out - 1) * stride + span - n) / 2)]
  }
  const sides = padding === 'valid' ? [0, 0, 0, 0] : typeof padding === 'number' ? [padding, padding, padding, padding] : padding
  return [Math.floor((n + sides[side] + sides[side + 1] - span) / stride) + 1, sides[side]]
}
