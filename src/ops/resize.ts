// resize: an image to another height and width, by the nearest pixel or by the four around.

import { DunlinError } from '../graph/error'
import type { Layer, Node } from '../graph/node'
import { CURVE } from './calls'
import { type Emit, expectCount, expectInputs, makeNode, type Op, rows, where } from './op'
import { type Pair, pair } from './window'

export interface ResizeAttrs {
  size: readonly [number, number]
  method: 'nearest' | 'bilinear'
  pixels?: Pixels
}

/**
 * Where output o of n lies among m inputs. 'edges': o m / n; 'centers': (o + 1/2) m / n - 1/2; 'corners': o (m - 1) / (n - 1).
 */
export type Pixels = 'edges' | 'centers' | 'corners'

/**
 * x [height, width, channels] -> [size, channels]. `size` is one number or [height, width]; `scale` instead gives floor(side * scale).
 * 'nearest' (default) takes the pixel at floor(position * old / new); 'bilinear' puts the middles of pixels at halves. Both as PyTorch has
 * them (align_corners = false); `pixels` has others, TensorFlow's half_pixel_centers ('centers') and align_corners ('corners').
 */
export function resize(
  options: ({ size: Pair; scale?: undefined } | { scale: Pair; size?: undefined }) & {
    method?: 'nearest' | 'bilinear'
    pixels?: Pixels
    name?: string
  },
): Layer {
  const { method = 'nearest', pixels, name = '' } = options
  return (x) => {
    const [vertical, horizontal] = pair(options.scale ?? 1)
    const size = options.size
      ? pair(options.size)
      : ([Math.floor(x.shape[0] * vertical), Math.floor(x.shape[1] * horizontal)] as const)
    return makeNode(resizeOp, { op: 'resize', name, attrs: { size, method, ...(pixels && { pixels }) }, inputs: [x] })
  }
}

const KERNELS = { nearest: 'resizeNearest_f32', bilinear: 'resizeBilinear_f32' } as const
/** The kernels' numbers for `pixels`. */
const PIXELS: Record<Pixels, number> = { edges: 0, centers: 1, corners: 2 }
/** What is meant where nothing is said. */
const DEFAULT: Record<'nearest' | 'bilinear', Pixels> = { nearest: 'edges', bilinear: 'centers' }
const INT8_KERNELS = { nearest: 'resizeNearest_i8', bilinear: 'resizeBilinear_i8' } as const

export const resizeOp: Op<ResizeAttrs> = {
  shape(node) {
    expectInputs(node, 1, 'x')
    const { size, method, pixels } = node.attrs
    const from = node.inputs[0].shape
    if (from.length !== 3)
      throw new DunlinError(`${where(node)}: wants an image [height, width, channels], got shape [${from}]. Reshape it first.`)
    if (!Object.hasOwn(KERNELS, method))
      throw new DunlinError(`${where(node)}: method wants "nearest" or "bilinear", got ${JSON.stringify(method)}.`)
    if (pixels !== undefined && !Object.hasOwn(PIXELS, pixels))
      throw new DunlinError(`${where(node)}: pixels wants "edges", "centers" or "corners", got ${JSON.stringify(pixels)}.`)
    if (!Array.isArray(size) || size.length !== 2)
      throw new DunlinError(`${where(node)}: size wants [height, width], got ${JSON.stringify(size)}.`)
    expectCount(node, 'height', size[0])
    expectCount(node, 'width', size[1])
    return [...size, from[2]]
  },
  forward(e, node) {
    const [x, y] = [e.value(node.inputs[0]), e.value(node)]
    const kernel = KERNELS[node.attrs.method]
    imagewise(e, node, (xAt, yAt, n, sizes) => e.call(kernel, e.at(x, xAt), e.at(y, yAt), n, ...sizes))
  },
  backward(e, node) {
    const dy = e.grad(node)
    const dx = e.grad(node.inputs[0])
    if (!dy || !dx) return
    const kernel = `${KERNELS[node.attrs.method]}_dx` as const
    imagewise(e, node, (xAt, yAt, n, sizes) => e.call(kernel, e.at(dy, yAt), e.at(dx, xAt), n, ...sizes))
  },
  int8: {
    quant: 'input',
    forward(e, node) {
      const [x, y] = [e.value(node.inputs[0]), e.value(node)]
      const kernel = INT8_KERNELS[node.attrs.method]
      imagewise(e, node, (xAt, yAt, n, sizes) => e.call(kernel, e.at(x, xAt), e.at(y, yAt), n, ...sizes))
    },
  },
}

/** Splits a call by images; its sizes are ih iw c oh ow pixels. */
function imagewise(
  e: Emit,
  node: Node<ResizeAttrs>,
  part: (xAt: number, yAt: number, n: number, sizes: readonly [number, number, number, number, number, number]) => void,
): void {
  const [ih, iw, c] = node.inputs[0].shape
  const {
    size: [oh, ow],
    method,
    pixels = DEFAULT[method],
  } = node.attrs
  const batch = rows(e, node)
  const share = (from: number, n: number) => part(from * ih * iw * c, from * oh * ow * c, n, [ih, iw, c, oh, ow, PIXELS[pixels]])
  e.split(batch, batch * oh * ow * c * CURVE, share)
}
