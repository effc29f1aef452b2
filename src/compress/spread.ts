// A pass: a batchNorm that no layer before it takes in becomes a depthwise 1x1 convolution, one weight and one bias for each channel,
// which has int8 kernels. (Networks that normalize before the activation and the convolution, as DenseNet, have such.)

import { isParam, mapGraph, type Node, param, size } from '../graph/node'
import { Model } from '../model/model'
import type { BatchNormAttrs } from '../ops/batchNorm'
import { depthwiseConv2dOp } from '../ops/depthwiseConv2d'
import { makeNode } from '../ops/op'
import { reshape } from '../ops/reshape'
import { affine } from './fold'

/** The model with its batchNorms as convolutions, for inference: what fold() leaves. The parameters of other layers are shared. */
export function spread(model: Model): Model {
  const outputs = mapGraph(model.outputs, (node, inputs) => {
    if (node.op !== 'batchNorm' || !node.inputs.slice(1).every(isParam)) return { ...node, inputs }
    const channels = node.shape[node.shape.length - 1]
    const { scale, shift } = affine(node)
    const w = { ...param('w', [1, 1, channels], { kind: 'zeros' }), data: Float32Array.from(scale) }
    const b = { ...param('b', [channels], { kind: 'zeros' }), data: Float32Array.from(shift) }
    const { activation } = node.attrs as BatchNormAttrs
    const attrs = {
      kernel: [1, 1],
      strides: [1, 1],
      dilation: [1, 1],
      padding: 'valid',
      ...(activation && { activation }),
    } as const
    // A convolution wants an image; reshapes cost nothing.
    const [x] = inputs
    const image = x.shape.length === 3 ? x : reshape({ shape: [1, size(x.shape) / channels, channels] })(x)
    const y: Node = makeNode(depthwiseConv2dOp, { op: 'depthwiseConv2d', name: node.name, attrs, inputs: [image, w, b] })
    return image === x ? y : reshape({ shape: x.shape })(y)
  })
  return new Model(outputs, { name: model.name, labels: model.labels })
}
