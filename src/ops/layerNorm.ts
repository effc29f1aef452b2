// layerNorm: every vector along the last axis is shifted and scaled to mean 0 and variance 1, then by gamma and beta. It knows no batch:
// training and inference are the same. (Ba, Kiros and Hinton, "Layer Normalization", 2016.)

import { type Layer, type Param, param, size } from '../graph/node'
import { channelsOf, EPSILONS, expectPerChannel } from './batchNorm'
import { columnwise, rowwise, sumRows } from './calls'
import { expectInputs, expectNumber, makeNode, type Op } from './op'

/**
 * y = (x - mean) / sqrt(variance + epsilon) * gamma + beta, with the mean and biased variance of each vector along the last axis.
 * x [..., channels] -> the same shape. Parameters, each [channels]: gamma (ones), beta (zeros).
 */
export function layerNorm(options: { epsilon?: number; name?: string } = {}): Layer {
  const { epsilon = 1e-5, name = '' } = options
  const attrs = { epsilon }
  let params: Param[] | undefined
  return (x) => {
    const shape = [channelsOf({ op: 'layerNorm', name, attrs, inputs: [x] })]
    params ??= [param('gamma', shape, { kind: 'ones' }), param('beta', shape, { kind: 'zeros' })]
    return makeNode(layerNormOp, { op: 'layerNorm', name, attrs, inputs: [x, ...params] })
  }
}

export const layerNormOp: Op<{ epsilon: number }> = {
  shape(node) {
    expectInputs(node, 3, 'x, gamma, beta')
    expectNumber(node, 'epsilon', node.attrs.epsilon, ...EPSILONS)
    expectPerChannel(node, ['gamma', 'beta'])
    return node.inputs[0].shape
  },

  macs: (node) => size(node.shape),

  forward(e, node) {
    const [x, gamma, beta] = node.inputs
    const [values, y] = [e.value(x), e.value(node)]
    const n = channelsOf(node)
    const rows = y.length / n
    const statistics = e.saved(node, 'statistics', 2 * rows)
    const perChannel = [e.value(gamma), e.value(beta)] as const
    const part = (from: number, count: number) => {
      const [read, written] = [values, y].map((b) => e.at(b, from * n))
      e.call('layerNorm_f32', read, ...perChannel, written, e.at(statistics, 2 * from), count, n, node.attrs.epsilon)
    }
    rowwise(e, rows, n, part)
  },

  backward(e, node) {
    const [x, gamma, beta] = node.inputs
    const dy = e.grad(node)
    if (!dy) return
    const n = channelsOf(node)
    const rows = dy.length / n
    const statistics = e.saved(node, 'statistics', 2 * rows)
    const dbeta = e.grad(beta)
    if (dbeta) sumRows(e, dy, dbeta, rows, n)
    const dgamma = e.grad(gamma)
    const values = e.value(x)
    if (dgamma) {
      const part = (from: number, count: number) =>
        e.call('layerNorm_f32_dw', e.at(values, from), statistics, e.at(dy, from), e.at(dgamma, from), rows, count, n)
      columnwise(e, rows, n, part)
    }
    const dx = e.grad(x)
    if (!dx) return
    const scale = e.value(gamma)
    const part = (from: number, count: number) => {
      const [xs, ds, to] = [values, dy, dx].map((b) => e.at(b, from * n))
      e.call('layerNorm_f32_dx', xs, scale, e.at(statistics, 2 * from), ds, to, count, n)
    }
    rowwise(e, rows, n, part)
  },
}
