// maxPool2d, avgPool2d: a window over [ih, iw, c] keeps its largest value or its mean, channel by channel. Padding is never the
// maximum, and is counted in the mean only where asked for.

import { DunlinError } from '../graph/error'
import type { Layer, Node } from '../graph/node'
import { type Buffer, type Emit, expectInputs, makeNode, type Op, quantOf, type Unshaped, where } from './op'
import {
  distanceOf,
  type Images,
  imagesOf,
  type Padding,
  type Pair,
  pair,
  poolSizes,
  reachOf,
  splitImages,
  splitRows,
  type WindowAttrs,
  windowOf,
} from './window'

interface PoolOptions {
  kernel: Pair
  /** Default: the kernel, so that windows do not overlap. */
  strides?: Pair
  padding?: Padding
  name?: string
}

const attrsOf = ({ kernel, strides = kernel, padding = 'valid' }: PoolOptions): WindowAttrs => ({
  kernel: pair(kernel),
  strides: pair(strides),
  padding,
})

/** The largest value of each window. x [height, width, channels] -> [oh, ow, channels]. */
export function maxPool2d(options: PoolOptions): Layer {
  return (x) => makeNode(maxPool2dOp, { op: 'maxPool2d', name: options.name ?? '', attrs: attrsOf(options), inputs: [x] })
}

export interface AvgPoolAttrs extends WindowAttrs {
  countPadding?: boolean
}

/**
 * The mean of each window. x [height, width, channels] -> [oh, ow, channels]. At a border it is that of the values inside the image, as in
 * TFLite and Keras; with `countPadding` padding counts as zeros (torch.nn.AvgPool2d's count_include_pad, which is its default). int8 has
 * only the former.
 */
export function avgPool2d(options: PoolOptions & { countPadding?: boolean }): Layer {
  const attrs: AvgPoolAttrs = { ...attrsOf(options), ...(options.countPadding && { countPadding: options.countPadding }) }
  return (x) => makeNode(avgPool2dOp, { op: 'avgPool2d', name: options.name ?? '', attrs, inputs: [x] })
}

/** The largest value over all positions. x [height, width, channels] -> [1, 1, channels]. */
export function globalMaxPool2d(options: { name?: string } = {}): Layer {
  return (x) => maxPool2d({ ...options, kernel: [x.shape[0], x.shape[1]] })(x)
}

/** The mean over all positions. x [height, width, channels] -> [1, 1, channels]. */
export function globalAvgPool2d(options: { name?: string } = {}): Layer {
  return (x) => avgPool2d({ ...options, kernel: [x.shape[0], x.shape[1]] })(x)
}

function shape(node: Unshaped<WindowAttrs>) {
  expectInputs(node, 1, 'x')
  const { oh, ow, ic } = windowOf(node)
  return [oh, ow, ic]
}

const sameQuant = (node: Node) => {
  quantOf(node)
  return [-128, 127] as const
}

/** Writes the pool's forward, by images or rows. */
function forward(
  e: Emit,
  node: Node<WindowAttrs>,
  part: (x: Buffer, y: Buffer, sizes: ReturnType<typeof poolSizes>) => void,
): void {
  const g = imagesOf(e, node)
  const [x, y] = [e.value(node.inputs[0]), e.value(node)]
  splitRows(e, g, workOf(g), (share, xAt, yAt) => {
    const [read, written] = [e.at(x, xAt), e.at(y, yAt)]
    // A window is read before its result is stored, channel by channel.
    e.over(written, read, distanceOf(share, 0))
    part(read, written, poolSizes(share))
  })
}

const workOf = ({ batch, oh, ow, oc, kh, kw }: Images): number => 2 * batch * oh * ow * oc * kh * kw

export const maxPool2dOp: Op<WindowAttrs> = {
  shape,
  forward: (e, node) => forward(e, node, (x, y, sizes) => e.call('maxPool2d_f32', x, y, ...sizes)),
  backward(e, node) {
    const dy = e.grad(node)
    const dx = e.grad(node.inputs[0])
    if (!dy || !dx) return
    const g = imagesOf(e, node)
    const [x, y] = [e.value(node.inputs[0]), e.value(node)]
    splitImages(e, g, workOf(g), (share, xAt, yAt) => {
      const [xs, ys, ds, to] = [e.at(x, xAt), e.at(y, yAt), e.at(dy, yAt), e.at(dx, xAt)]
      e.call('maxPool2d_f32_dx', xs, ys, ds, to, ...poolSizes(share))
    })
  },
  int8: {
    quant: 'input',
    reach: (node) => reachOf(windowOf(node)),
    forward: (e, node) => forward(e, node, (x, y, sizes) => e.call('maxPool2d_i8', x, y, ...sizes, ...sameQuant(node))),
  },
}

/** What the sum of a window is divided by; 0: the number of its values. */
const areaOf = ({ attrs: { countPadding, kernel } }: Node<AvgPoolAttrs>): number => (countPadding ? kernel[0] * kernel[1] : 0)

/** Whether a window reaches beyond the image. */
function isPadded(node: Node<WindowAttrs>): boolean {
  const { ih, iw, oh, ow, kh, kw, sh, sw, pt, pl } = windowOf(node)
  return pt > 0 || pl > 0 || (oh - 1) * sh + kh > ih || (ow - 1) * sw + kw > iw
}

export const avgPool2dOp: Op<AvgPoolAttrs> = {
  shape(node) {
    const { countPadding } = node.attrs
    if (countPadding !== undefined && typeof countPadding !== 'boolean')
      throw new DunlinError(`${where(node)}: countPadding wants true or false, got ${JSON.stringify(countPadding)}.`)
    return shape(node)
  },
  forward: (e, node) => forward(e, node, (x, y, sizes) => e.call('avgPool2d_f32', x, y, ...sizes, areaOf(node))),
  backward(e, node) {
    const dy = e.grad(node)
    const dx = e.grad(node.inputs[0])
    if (!dy || !dx) return
    const g = imagesOf(e, node)
    splitImages(e, g, workOf(g), (share, xAt, yAt) =>
      e.call('avgPool2d_f32_dx', e.at(dy, yAt), e.at(dx, xAt), ...poolSizes(share), areaOf(node)),
    )
  },
  int8: {
    quant: 'input',
    unsupported: (node) =>
      node.attrs.countPadding === true &&
      isPadded(node) &&
      'counts padding in its mean, int8 (as TFLite) does not. Leave countPadding out, or train with padding "valid".',
    reach: (node) => reachOf(windowOf(node)),
    forward: (e, node) => forward(e, node, (x, y, sizes) => e.call('avgPool2d_i8', x, y, ...sizes, ...sameQuant(node))),
  },
}
