// convTranspose2d: a convolution run backwards, [ih, iw, ic] -> [oh, ow, oc] with about stride times the size. It is the gradient by x of a
// conv2d from the output to the input, so its kernels are that conv2d's with the roles exchanged: forward is its dx, dx its forward,
// dw its dw.

import { DunlinError } from '../graph/error'
import { type Layer, type Node, type Param, param, size } from '../graph/node'
import { accumulate, sumRows, undoActivation } from './calls'
import { convolve, convolveDw, convolveTransposed } from './convolution'
import {
  type Activation,
  CLAMPS,
  clampOf,
  type Emit,
  expectCount,
  expectInputs,
  expectShape,
  makeNode,
  type Op,
  rows,
  type Unshaped,
  where,
} from './op'
import {
  expectPairs,
  type Images,
  imageOf,
  type Padding,
  type Pair,
  pair,
  sides,
  type Window,
  type WindowAttrs,
  windowOf,
} from './window'

export interface ConvTranspose2dAttrs extends WindowAttrs {
  outputPadding: readonly [number, number]
  activation?: Activation
}

/**
 * Transposed 2-D convolution. x [height, width, channels] -> [oh, ow, filters], where oh = (height - 1) * stride + kernel - padding (both
 * sides) + outputPadding. With padding "same" oh = height * stride, as TensorFlow has it.
 * `outputPadding`, less than the stride: rows and columns more at the bottom and right, of the sizes that the padding leaves open.
 * Parameters: w [channels, kh, kw, filters] (He uniform), b [filters] (zeros; none with `bias: false`).
 */
export function convTranspose2d(options: {
  filters: number
  kernel: Pair
  strides?: Pair
  padding?: Padding
  outputPadding?: Pair
  activation?: Activation
  bias?: boolean
  name?: string
}): Layer {
  const { filters, kernel, strides = 1, padding = 'valid', outputPadding = 0, activation, bias = true, name = '' } = options
  const attrs = {
    kernel: pair(kernel),
    strides: pair(strides),
    padding,
    outputPadding: pair(outputPadding),
    ...(activation && { activation }),
  }
  let params: Param[] | undefined
  return (x) => {
    const [kh, kw] = attrs.kernel
    expectCount({ op: 'convTranspose2d', name }, 'filters', filters)
    mirrored({ op: 'convTranspose2d', name, attrs, inputs: [x] }, filters)
    const channels = x.shape[2]
    // An output sees about kernel / stride positions of the input in each direction.
    const taps = Math.ceil(kh / attrs.strides[0]) * Math.ceil(kw / attrs.strides[1])
    params ??= [
      param('w', [channels, kh, kw, filters], { kind: 'heUniform', fanIn: taps * channels, fanOut: kh * kw * filters }),
      ...(bias ? [param('b', [filters], { kind: 'zeros' })] : []),
    ]
    return makeNode(convTranspose2dOp, { op: 'convTranspose2d', name, attrs, inputs: [x, ...params] })
  }
}

/** The window of the conv2d whose gradient this is: from [oh, ow, filters] to the shape of x. */
function mirrored(node: Unshaped<ConvTranspose2dAttrs>, filters: number): Window {
  const { kernel, strides, padding, outputPadding } = node.attrs
  const image = imageOf(node)
  expectPairs(node, { kernel, strides })
  const [oh, ow] = ([0, 1] as const).map((axis) => {
    const [n, k, s] = [image[axis], kernel[axis], strides[axis]]
    const around = sides(node, padding, axis)
    const more = Array.isArray(outputPadding) && outputPadding.length === 2 ? outputPadding[axis] : -1
    if (!Number.isInteger(more) || more < 0 || more >= s || (around === 'same' && more > 0)) {
      throw new DunlinError(
        `${where(node)}: outputPadding wants integers from 0 on that are less than the strides [${strides}], and 0 with padding "same", got ${JSON.stringify(outputPadding)}.`,
      )
    }
    const size = around === 'same' ? n * s : (n - 1) * s + k - around[0] - around[1] + more
    if (size < 1) {
      throw new DunlinError(
        `${where(node)}: padding ${JSON.stringify(padding)} leaves nothing of the output (input [${image}], kernel ${kernel.join('x')}). Use less padding.`,
      )
    }
    return size
  })
  return windowOf({ ...node, attrs: { kernel, strides, padding }, inputs: [{ ...node.inputs[0], shape: [oh, ow, filters] }] })
}

const convolutionOf = (e: Emit, node: Node<ConvTranspose2dAttrs>): Images => ({
  ...mirrored(node, node.shape[2]),
  batch: rows(e, node),
  oc: node.inputs[0].shape[2],
})

export const convTranspose2dOp: Op<ConvTranspose2dAttrs> = {
  shape(node) {
    const [x, w, b] = node.inputs
    if (node.inputs.length !== 2) expectInputs(node, 3, 'x, w, b')
    clampOf(node)
    const filters = w.shape[3]
    expectCount(node, 'filters', filters)
    const { ih, iw, kh, kw } = mirrored(node, filters)
    const wanted = [x.shape[2], kh, kw, filters]
    const remedy = 'Weights are [input channels, kernel height, kernel width, filters]; a layer applied twice shares them.'
    expectShape(node, 'w', w.shape, wanted, remedy)
    if (b) expectShape(node, 'b', b.shape, [filters], 'There is one bias for each filter.')
    return [ih, iw, filters]
  },

  macs: ({ inputs: [x, w] }) => x.shape[0] * x.shape[1] * size(w.shape),

  forward(e, node) {
    const [x, w, b] = node.inputs
    const bias = b ? e.value(b) : 0
    const weights = () => e.value(w)
    convolveTransposed(e, node.name, convolutionOf(e, node), e.value(x), weights, bias, e.value(node), clampOf(node))
  },

  backward(e, node) {
    const [x, w, b] = node.inputs
    const dy = e.grad(node)
    if (!dy) return
    const g = convolutionOf(e, node)
    undoActivation(e, node, dy)
    const db = b && e.grad(b)
    if (db) sumRows(e, dy, db, dy.length / g.ic, g.ic)
    const dw = e.grad(w)
    if (dw) convolveDw(e, g, dy, e.value(x), dw)
    const sink = e.sink(x)
    if (!sink) return
    const sum = sink.add ? e.scratch(sink.dx.length) : sink.dx
    convolve(e, node.name, g, dy, () => e.value(w), 0, sum, CLAMPS.none)
    if (sink.add) accumulate(e, sum, sink.dx)
  },
}
