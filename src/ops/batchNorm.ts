// batchNorm: each channel (the last axis) is shifted and scaled to the mean and variance that it has over the batch and all positions.
// In training these are the batch's, and the running ones follow them; else the running ones are used.
// (Ioffe and Szegedy, "Batch Normalization", 2015.)

import { DunlinError } from '../graph/error'
import { type Layer, type Node, type Param, param, size } from '../graph/node'
import { accumulate, columnwise, rowwise } from './calls'
import {
  type Activation,
  type Buffer,
  clampOf,
  type Emit,
  expectInputs,
  expectNumber,
  expectShape,
  makeNode,
  type Op,
  where,
} from './op'

export interface BatchNormAttrs {
  momentum: number
  epsilon: number
  activation?: Activation
}

/**
 * y = (x - mean) / sqrt(variance + epsilon) * gamma + beta. x [..., channels] -> the same shape.
 *
 * A training step takes mean and (biased) variance over the batch and every axis but the last, and moves the running ones towards
 * them: r += momentum * (statistic - r), with the unbiased variance, as PyTorch does (Keras' momentum is 1 minus ours).
 * Everything else uses the running ones, and so does a frozen layer (neither gamma nor beta is trained). A relu can be fused.
 * Parameters, each [channels]: gamma (ones), beta (zeros), and mean (zeros) and variance (ones), which no optimizer changes.
 */
export function batchNorm(options: { momentum?: number; epsilon?: number; activation?: Activation; name?: string } = {}): Layer {
  const { momentum = 0.1, epsilon = 1e-5, activation, name = '' } = options
  const attrs = { momentum, epsilon, ...(activation && { activation }) }
  let params: Param[] | undefined
  return (x) => {
    const shape = [channelsOf({ op: 'batchNorm', name, attrs, inputs: [x] })]
    params ??= [
      param('gamma', shape, { kind: 'ones' }),
      param('beta', shape, { kind: 'zeros' }),
      param('mean', shape, { kind: 'zeros' }, false),
      param('variance', shape, { kind: 'ones' }, false),
    ]
    return makeNode(batchNormOp, { op: 'batchNorm', name, attrs, inputs: [x, ...params] })
  }
}

/** What a normalization takes as its epsilon: above 0, so that a channel of equal values stays finite. */
export const EPSILONS = [1e-12, 1] as const

/** Length of the last axis of a node's first input, which normalizations want. */
export function channelsOf(node: Pick<Node, 'op' | 'name' | 'attrs' | 'inputs'>): number {
  const shape = node.inputs[0]?.shape ?? []
  if (!shape.length) throw new DunlinError(`${where(node)}: wants a value with at least one axis, got shape [].`)
  return shape[shape.length - 1]
}

/** The inputs after the first are vectors with one number for each channel, the same for all samples. */
export function expectPerChannel(node: Pick<Node, 'op' | 'name' | 'attrs' | 'inputs'>, names: readonly string[]): void {
  for (const [i, what] of names.entries()) {
    const p = node.inputs[i + 1]
    expectShape(node, what, p.shape, [channelsOf(node)], 'There is one for each channel; a layer applied twice shares them.')
    if (p.batched) throw new DunlinError(`${where(node)}: ${what} has a value for each sample. It wants a parameter.`)
  }
}

export const batchNormOp: Op<BatchNormAttrs> = {
  shape(node) {
    expectInputs(node, 5, 'x, gamma, beta, mean, variance')
    expectNumber(node, 'momentum', node.attrs.momentum, 0, 1)
    expectNumber(node, 'epsilon', node.attrs.epsilon, ...EPSILONS)
    clampOf(node)
    expectPerChannel(node, ['gamma', 'beta', 'mean', 'variance'])
    return node.inputs[0].shape
  },

  macs: (node) => size(node.shape),

  forward(e, node) {
    const [x, gamma, beta, mean, variance] = node.inputs
    const [values, y] = [e.value(x), e.value(node)]
    const c = channelsOf(node)
    const n = y.length / c
    const used = statistics(e, node)
    if (measures(e, node)) {
      if (n < 2)
        throw new DunlinError(
          `${where(node)}: a training step with one value for each channel has no variance. Use a batch of 2 or more.`,
        )
      const running = [e.value(mean), e.value(variance)] as const
      const part = (from: number, count: number) => {
        const [m, v, rm, rv] = [...used, ...running].map((b) => e.at(b, from))
        e.call('batchNorm_f32_statistics', e.at(values, from), m, v, rm, rv, n, count, c, node.attrs.momentum)
      }
      columnwise(e, n, c, part)
    }
    const perChannel = [e.value(gamma), e.value(beta), ...used] as const
    e.over(y, values)
    const part = (from: number, count: number) => {
      const [read, written] = [values, y].map((b) => e.at(b, from * c))
      e.call('batchNorm_f32', read, ...perChannel, written, count, c, node.attrs.epsilon, ...clampOf(node))
    }
    rowwise(e, n, c, part)
  },

  backward(e, node) {
    const [x, gamma, beta] = node.inputs
    const dy = e.grad(node)
    if (!dy) return
    const c = channelsOf(node)
    const n = dy.length / c
    const { epsilon } = node.attrs
    const clamp = clampOf(node)
    const values = e.value(x)
    const [mean, variance] = statistics(e, node)
    const scale = [e.value(gamma), e.value(beta)] as const
    const sums = [e.scratch(c), e.scratch(c)] as const
    const sum = (from: number, count: number) => {
      const [xs, g, b, m, v, ds, s0, s1] = [values, ...scale, mean, variance, dy, ...sums].map((buffer) => e.at(buffer, from))
      e.call('batchNorm_f32_sums', xs, g, b, m, v, ds, s0, s1, n, count, c, epsilon, ...clamp)
    }
    columnwise(e, n, c, sum)
    for (const [i, p] of [gamma, beta].entries()) {
      const sink = e.sink(p)
      if (sink) accumulate(e, sums[i], sink.dx, sink.add)
    }
    const sink = e.sink(x)
    if (!sink) return
    const share = measures(e, node) ? 1 / n : 0
    const part = (from: number, count: number) => {
      const [xs, ds, to] = [values, dy, sink.dx].map((b) => e.at(b, from * c))
      e.call('batchNorm_f32_dx', xs, ...scale, mean, variance, ds, ...sums, to, count, c, epsilon, share, ...clamp, sink.add)
    }
    rowwise(e, n, c, part)
  },
}

/** Whether this run takes the statistics of its batch: in training, unless the layer is frozen (neither gamma nor beta learns). */
function measures(e: Emit, node: Node): boolean {
  const [, gamma, beta] = node.inputs
  return e.training && (e.learns(gamma) || e.learns(beta))
}

/** Mean and variance that normalize: the batch's, which the forward leaves, or the running ones. */
function statistics(e: Emit, node: Node): readonly [Buffer, Buffer] {
  const [, , , mean, variance] = node.inputs
  if (!measures(e, node)) return [e.value(mean), e.value(variance)]
  const c = channelsOf(node)
  return [e.saved(node, 'mean', c), e.saved(node, 'variance', c)]
}
