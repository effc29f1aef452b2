// layerNorm: every vector along the last axis is shifted and scaled to mean 0 and variance 1, then by gamma and beta. It knows no batch:
// training and inference are the same. (Ba, Kiros and Hinton, "Layer Normalization", 2016.)

import { type Layer, type Param, param, size } from '../graph/node'
import { channelsOf, EPSILONS, expectPerChannel } from './batchNorm'
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
    const y = e.value(node)
    const n = channelsOf(node)
    const rows = y.length / n
    const statistics = e.saved(node, 'statistics', 2 * rows)
    e.call('layerNorm_f32', e.value(x), e.value(gamma), e.value(beta), y, statistics, rows, n, node.attrs.epsilon)
  },

  backward(e, node) {
    const [x, gamma, beta] = node.inputs
    const dy = e.grad(node)
    if (!dy) return
    const n = channelsOf(node)
    const rows = dy.length / n
    const statistics = e.saved(node, 'statistics', 2 * rows)
    const dbeta = e.grad(beta)
    if (dbeta) e.call('sumRows_f32', dy, dbeta, rows, n)
    const dgamma = e.grad(gamma)
    if (dgamma) e.call('layerNorm_f32_dw', e.value(x), statistics, dy, dgamma, rows, n)
    const dx = e.grad(x)
    if (dx) e.call('layerNorm_f32_dx', e.value(x), e.value(gamma), statistics, dy, dx, rows, n)
  },
}
