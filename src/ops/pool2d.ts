// maxPool2d, avgPool2d: a window over [ih, iw, c] keeps its largest value or its mean, channel by channel. Padding is never the
// maximum and is not counted in the mean.

import type { Layer, Node } from '../graph/node'
import { expectInputs, makeNode, type Op, quantOf } from './op'
import { type Padding, type Pair, pair, poolSizes, type WindowAttrs, windowOf } from './window'

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

/** The mean of each window. x [height, width, channels] -> [oh, ow, channels]. */
export function avgPool2d(options: PoolOptions): Layer {
  return (x) => makeNode(avgPool2dOp, { op: 'avgPool2d', name: options.name ?? '', attrs: attrsOf(options), inputs: [x] })
}

/** The largest value over all positions. x [height, width, channels] -> [1, 1, channels]. */
export function globalMaxPool2d(options: { name?: string } = {}): Layer {
  return (x) => maxPool2d({ ...options, kernel: [x.shape[0], x.shape[1]] })(x)
}

/** The mean over all positions. x [height, width, channels] -> [1, 1, channels]. */
export function globalAvgPool2d(options: { name?: string } = {}): Layer {
  return (x) => avgPool2d({ ...options, kernel: [x.shape[0], x.shape[1]] })(x)
}

function shape(node: Parameters<Op<WindowAttrs>['shape']>[0]) {
  expectInputs(node, 1, 'x')
  const { oh, ow, ic } = windowOf(node)
  return [oh, ow, ic]
}

const sameQuant = (node: Node) => {
  quantOf(node)
  return [-128, 127] as const
}

export const maxPool2dOp: Op<WindowAttrs> = {
  shape,
  forward(e, node) {
    e.call('maxPool2d_f32', e.value(node.inputs[0]), e.value(node), ...poolSizes(e, node))
  },
  backward(e, node) {
    const [x] = node.inputs
    const dy = e.grad(node)
    const dx = e.grad(x)
    if (dy && dx) e.call('maxPool2d_f32_dx', e.value(x), e.value(node), dy, dx, ...poolSizes(e, node))
  },
  int8: {
    quant: 'input',
    forward: (e, node) =>
      e.call('maxPool2d_i8', e.value(node.inputs[0]), e.value(node), ...poolSizes(e, node), ...sameQuant(node)),
  },
}

export const avgPool2dOp: Op<WindowAttrs> = {
  shape,
  forward(e, node) {
    e.call('avgPool2d_f32', e.value(node.inputs[0]), e.value(node), ...poolSizes(e, node))
  },
  backward(e, node) {
    const dy = e.grad(node)
    const dx = e.grad(node.inputs[0])
    if (dy && dx) e.call('avgPool2d_f32_dx', dy, dx, ...poolSizes(e, node))
  },
  int8: {
    quant: 'input',
    forward: (e, node) =>
      e.call('avgPool2d_i8', e.value(node.inputs[0]), e.value(node), ...poolSizes(e, node), ...sameQuant(node)),
  },
}
