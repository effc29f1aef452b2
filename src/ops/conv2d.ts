// conv2d: x [ih, iw, ic] -> [oh, ow, oc], weights OHWI. Bias and relu are fused into the kernel. Groups are convolutions of their own on
// copies of their channels: two passes over x and y, which cost little beside the products, and no kernel of its own.

import { DunlinError } from '../graph/error'
import { type Layer, type Node, type Param, param } from '../graph/node'
import { fill, rowwise, sumRows, undoActivation } from './calls'
import { convolve, convolveDw, convolveDx, convScratch, macsOf, WINOGRAD_BLOCK, winogradTile } from './convolution'
import { initializerOf, type WeightInitializer } from './initializer'
import { channelwise, type Operands, operandsOf, packed, packedScratch, packedWinograd } from './int8'
import {
  type Activation,
  type Buffer,
  clampOf,
  type Emit,
  expectCount,
  expectInputs,
  expectShape,
  makeNode,
  type Op,
  type Unshaped,
  where,
} from './op'
import {
  convSizes,
  distanceOf,
  type Images,
  imagesOf,
  type Padding,
  type Pair,
  pair,
  reachOf,
  splitRows,
  type WindowAttrs,
  windowOf,
} from './window'

export interface Conv2dAttrs extends WindowAttrs {
  activation?: Activation
  /** Left out: 1. */
  groups?: number
}

/**
 * 2-D convolution. x [height, width, channels] -> [oh, ow, filters].
 * With `groups`, the i-th share of the filters sees only the i-th share of the channels; a filter for each channel is faster as a
 * depthwiseConv2d.
 * Parameters: w [filters, kh, kw, channels / groups] (`initializer`, default He uniform), b [filters] (zeros; none with `bias: false`).
 */
export function conv2d(options: {
  filters: number
  kernel: Pair
  strides?: Pair
  dilation?: Pair
  padding?: Padding
  groups?: number
  activation?: Activation
  bias?: boolean
  initializer?: WeightInitializer
  name?: string
}): Layer {
  const {
    filters,
    kernel,
    strides = 1,
    dilation = 1,
    padding = 'valid',
    groups = 1,
    activation,
    bias = true,
    name = '',
    initializer = 'heUniform',
  } = options
  const attrs = {
    kernel: pair(kernel),
    strides: pair(strides),
    dilation: pair(dilation),
    padding,
    ...(groups !== 1 && { groups }),
    ...(activation && { activation }),
  }
  let params: Param[] | undefined
  return (x) => {
    const [kh, kw] = attrs.kernel
    windowOf({ op: 'conv2d', name, attrs, inputs: [x] })
    expectCount({ op: 'conv2d', name }, 'filters', filters)
    const channels = channelsOfGroup({ op: 'conv2d', name, attrs, inputs: [x] }, filters)
    const [fanIn, fanOut] = [kh * kw * channels, (kh * kw * filters) / groups]
    params ??= [
      param(
        'w',
        [filters, kh, kw, channels],
        initializerOf({ op: 'conv2d', name }, initializer, { fanIn, fanOut, rows: filters }),
      ),
      ...(bias ? [param('b', [filters], { kind: 'zeros' })] : []),
    ]
    return makeNode(conv2dOp, { op: 'conv2d', name, attrs, inputs: [x, ...params] })
  }
}

export const conv2dOp: Op<Conv2dAttrs> = {
  shape(node) {
    const [, w, b] = node.inputs
    if (node.inputs.length !== 2) expectInputs(node, 3, 'x, w, b')
    const { oh, ow, kh, kw } = windowOf(node)
    clampOf(node)
    expectShape(
      node,
      'w',
      w.shape,
      [w.shape[0], kh, kw, channelsOfGroup(node, w.shape[0])],
      'Weights are [filters, kernel height, kernel width, input channels / groups]; a layer applied twice shares them.',
    )
    if (b) expectShape(node, 'b', b.shape, [w.shape[0]], 'There is one bias for each filter.')
    return [oh, ow, w.shape[0]]
  },

  macs(node) {
    const { oh, ow, kh, kw, ic } = windowOf(node)
    return (oh * ow * kh * kw * ic * node.shape[2]) / (node.attrs.groups ?? 1)
  },

  forward(e, node) {
    const [x, w, b] = node.inputs
    const { name, attrs } = node
    const bias = b ? e.value(b) : 0
    const { groups = 1 } = attrs
    if (groups === 1) {
      convolve(e, name, imagesOf(e, node), e.value(x), () => e.value(w), bias, e.value(node), clampOf(node))
      return
    }
    const { g, xs, ws, ys, bs } = groupsOf(e, node)
    for (let i = 0; i < groups; i++) {
      const part = `${name}/${i}`
      const partBias = bias && e.prepared(`${part}/b`, bs.length, (to) => bs.take(i, bias, to))
      const y = e.scratch(ys.length)
      convolve(e, part, g, xs.take(i, e.value(x)), () => ws.take(i, e.value(w)), partBias, y, clampOf(node))
      ys.give(i, y, e.value(node), 0)
    }
  },

  backward(e, node) {
    const [x, w, b] = node.inputs
    const oc = node.shape[2]
    const dy = e.grad(node)
    if (!dy) return
    undoActivation(e, node, dy)
    const db = b && e.grad(b)
    if (db) sumRows(e, dy, db, dy.length / oc, oc)
    const { groups = 1 } = node.attrs
    const dw = e.grad(w)
    if (groups === 1) {
      const g = imagesOf(e, node)
      if (dw) convolveDw(e, g, e.value(x), dy, dw)
      const sink = e.sink(x)
      if (sink) convolveDx(e, node.name, g, dy, () => e.value(w), sink.dx, sink.add)
      return
    }
    const sink = e.sink(x)
    const { g, xs, ws, ys } = groupsOf(e, node)
    for (let i = 0; i < groups; i++) {
      const part = ys.take(i, dy)
      if (dw) {
        const sum = zeros(e, ws.length)
        convolveDw(e, g, xs.take(i, e.value(x)), part, sum)
        ws.give(i, sum, dw, 1)
      }
      if (sink) {
        const sum = e.scratch(xs.length)
        convolveDx(e, `${node.name}/${i}`, g, part, () => ws.take(i, e.value(w)), sum, 0)
        xs.give(i, sum, sink.dx, sink.add)
      }
    }
  },

  int8: {
    quant: 'calibrated',
    weightAxis: 0,
    reach: (node) => ((node.attrs.groups ?? 1) === 1 ? reachOf(windowOf(node)) : undefined),
    forward(e, node) {
      if (e.target === 'module') {
        convolveStored(e, node)
        return
      }
      const whole = operandsOf(e, node)
      const { groups = 1 } = node.attrs
      if (groups === 1) {
        convolveInt8(e, imagesOf(e, node), whole)
        return
      }
      const { g, xs, ws, ys } = groupsOf(e, node)
      for (let i = 0; i < groups; i++) {
        const x = xs.take(i, whole.x)
        const y = e.scratch(ys.length, 'i8')
        const w = e.at(whole.w, i * ws.length)
        const [b, multiplier, shift] = [whole.b, whole.multiplier, whole.shift].map((all) => e.at(all, i * g.oc))
        convolveInt8(e, g, { name: `${node.name}/${i}`, x, w, b, multiplier, shift, y, channels: g.oc, after: whole.after })
        ys.give(i, y, whole.y, 0)
      }
    },
  },
}

/** The most output positions that conv2d_i8 computes at a time. */
const POSITIONS = 3

/** The int8 convolution in a module, on weights as they are stored. */
function convolveStored(e: Emit, node: Node<Conv2dAttrs>): void {
  const { groups = 1 } = node.attrs
  const { g, xs, ys } = groupsOf(e, node)
  for (let i = 0; i < groups; i++) {
    const x = groups === 1 ? e.value(node.inputs[0]) : xs.take(i, e.value(node.inputs[0]))
    const y = groups === 1 ? e.value(node) : e.scratch(ys.length, 'i8')
    splitRows(e, g, macsOf(g), (share, xAt, yAt) => {
      const { batch, ih, iw, ic, oh, ow, oc, kh, kw, sh, sw, dh, dw, pt, pl } = share
      const [read, written] = [e.at(x, xAt), e.at(y, yAt)]
      const part: Parameters<typeof channelwise>[2] = (from, count, of, after) => {
        const bytes = convScratch(e.interpreted, share)
        const scratch = bytes && e.scratch(bytes, 'i8')
        const sizes = [batch, ih, iw, ic, oh, ow, count, oc, kh, kw, sh, sw, dh, dw, pt, pl] as const
        if (count === oc) e.over(written, read, distanceOf(share, POSITIONS))
        e.call('conv2d_i8', read, ...of, e.at(written, from), scratch, ...sizes, ...after)
      }
      channelwise(e, node, part, { first: i * oc, total: oc })
    })
    if (groups > 1) ys.give(i, y, e.value(node), 0)
  }
}

/** The int8 convolution of these operands in a session. */
function convolveInt8(e: Emit, g: Images, operands: Operands): void {
  const { x, y, after } = operands
  const { ic, kh, kw, dw } = g
  const macs = macsOf(g)
  if (winogradTile(e, 'i8', g)) {
    const weights = packedWinograd(e, operands, ic)
    const part = ({ batch, ih, iw, oh, ow, oc, pt, pl }: Images, xAt: number, yAt: number) => {
      const [down, across] = [Math.ceil(oh / 2), Math.ceil(ow / 2)]
      const block = Math.min(WINOGRAD_BLOCK, 4 * Math.ceil((down * across) / 4))
      const scratch = e.scratch(56 + (2 * down + 2) * (across + 1) * ic + block * (8 * ic + 128) + 512)
      const sizes = [batch, ih, iw, ic, oh, ow, oc, pt, pl] as const
      e.call('packedConv2d_i8_winograd', e.at(x, xAt), weights, e.at(y, yAt), scratch, block, ...sizes, ...after)
    }
    splitRows(e, g, macs / 2, part, 2)
    return
  }
  // A kernel row is contiguous in x and in w, unless it is dilated.
  const [segments, chunk] = dw === 1 ? [kh, kw * ic] : [kh * kw, ic]
  const weights = packed(e, operands, { segments, chunk, channelStep: kh * kw * ic, segmentStep: chunk, step: 1 })
  const part = (share: Images, xAt: number, yAt: number) => {
    const { oh, ow, sh, sw, dh } = share
    const image = ((oh - 1) * sh + (kh - 1) * dh + 1) * ((ow - 1) * sw + (kw - 1) * dw + 1) * ic
    const scratch = e.scratch(packedScratch(kh * kw + oh * ow, image))
    e.call('packedConv2d_i8', e.at(x, xAt), weights, e.at(y, yAt), scratch, ...convSizes(share), ...after)
  }
  splitRows(e, g, macs, part)
}

/** Input channels that a filter sees. */
function channelsOfGroup(node: Unshaped<Conv2dAttrs>, filters: number): number {
  const { groups = 1 } = node.attrs
  const channels = node.inputs[0].shape[2]
  expectCount(node, 'groups', groups)
  if (channels % groups || filters % groups) {
    throw new DunlinError(
      `${where(node)}: ${groups} groups do not divide ${channels} channels and ${filters} filters. Both want a multiple of the groups.`,
    )
  }
  return channels / groups
}

/** The convolution of one group, and the parts of x, weights, bias and y that belong to group i. */
function groupsOf(e: Emit, node: Node<Conv2dAttrs>) {
  const { groups = 1 } = node.attrs
  const whole = imagesOf(e, node)
  const g: Images = { ...whole, ic: whole.ic / groups, oc: whole.oc / groups }
  const { batch, ih, iw, ic, oh, ow, oc, kh, kw } = g
  return {
    g,
    xs: partsOf(e, groups, batch * ih * iw, ic),
    ws: partsOf(e, groups, 1, oc * kh * kw * ic),
    bs: partsOf(e, groups, 1, oc),
    ys: partsOf(e, groups, batch * oh * ow, oc),
  }
}

/**
 * A matrix of `rows` cut by columns into `groups` parts of `n` each: copies of part i out of it, and back or added into it. (What is
 * int8 is never added to.)
 */
function partsOf(e: Emit, groups: number, rows: number, n: number) {
  const copy = (from: Buffer, to: Buffer, xWidth: number, xAt: number, yWidth: number, yAt: number, add: 0 | 1) => {
    const share = (first: number, count: number) => {
      const [read, written] = [e.at(from, first * xWidth), e.at(to, first * yWidth)]
      if (from.dtype === 'i8') e.call('move_i8', read, written, 1, 1, count, n, xAt, 0, 0, xWidth, 1, yAt, 0, 0, yWidth, 1)
      else e.call('copyColumns_f32', read, written, count, n, xWidth, xAt, yWidth, yAt, add)
    }
    rowwise(e, rows, n, share)
  }
  return {
    length: rows * n,
    take(i: number, from: Buffer, part = e.scratch(rows * n, from.dtype)): Buffer {
      copy(from, part, groups * n, i * n, n, 0, 0)
      return part
    },
    give: (i: number, part: Buffer, to: Buffer, add: 0 | 1) => copy(part, to, n, 0, groups * n, i * n, add),
  }
}

function zeros(e: Emit, length: number): Buffer {
  const buffer = e.scratch(length)
  fill(e, buffer, 0)
  return buffer
}
