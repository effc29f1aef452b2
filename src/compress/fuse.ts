// A pass: an activation that only one convolution, dense layer or sum feeds becomes part of that layer's kernel.

import { mapGraph, type Node } from '../graph/node'
import { Model } from '../model/model'
import { opOf } from '../ops'
import { type Activation, makeNode } from '../ops/op'

const HOSTS = new Set(['add', 'batchNorm', 'conv2d', 'convTranspose2d', 'dense', 'depthwiseConv2d'])

/** The model with relu and relu6 fused into the layers before them; the parameters are shared with the original. */
export function fuse(model: Model): Model {
  const readers = new Map<Node, number>()
  for (const node of model.nodes) for (const x of node.inputs) readers.set(x, (readers.get(x) ?? 0) + 1)
  for (const node of model.outputs) readers.set(node, (readers.get(node) ?? 0) + 1)
  const outputs = mapGraph(model.outputs, (node, inputs) => {
    const [before] = node.inputs
    const [host] = inputs
    const fits = (node.op === 'relu' || node.op === 'relu6') && HOSTS.has(host.op) && readers.get(before) === 1
    const attrs = host?.attrs as { activation?: Activation } | undefined
    if (!fits || attrs?.activation) return { ...node, inputs }
    const row = opOf(host.op)!
    return makeNode(row, {
      op: host.op,
      name: host.name,
      attrs: { ...attrs, activation: node.op as Activation },
      inputs: host.inputs,
    })
  })
  return new Model(outputs, { name: model.name, labels: model.labels })
}
