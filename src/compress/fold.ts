// A pass: a batchNorm that alone reads a convolution or dense layer becomes part of that layer's weights and bias, and costs nothing.
// y = (w x + b - mean) s + beta with s = gamma / sqrt(variance + epsilon) is (s w) x + ((b - mean) s + beta).

import { isParam, mapGraph, type Node, type Param, size } from '../graph/node'
import { Model } from '../model/model'
import { opOf } from '../ops'
import type { BatchNormAttrs } from '../ops/batchNorm'
import type { Activation } from '../ops/op'
import { makeNode } from '../ops/op'

/** Which axis of the weights the channels of the output are. */
const CHANNEL_AXIS: Record<string, number> = { conv2d: 0, convTranspose2d: 3, dense: 0, depthwiseConv2d: 2 }

/**
 * The model with every batchNorm folded that only follows a conv2d, convTranspose2d, dense or depthwiseConv2d, for inference: its running
 * statistics are now part of the weights. A layer without a bias gets one; an activation of the batchNorm becomes the layer's.
 * The model itself is left as it is.
 */
export function fold(model: Model): Model {
  const readers = new Map<Node, number>()
  for (const node of model.nodes) for (const x of node.inputs) readers.set(x, (readers.get(x) ?? 0) + 1)
  for (const node of model.outputs) readers.set(node, (readers.get(node) ?? 0) + 1)

  /** The layer before `x`, through reshapes that keep the channels apart, when nothing else reads what is between. */
  const hostOf = (x: Node): Node | undefined => {
    let at = x
    const channels = x.shape[x.shape.length - 1]
    while (readers.get(at) === 1 && at.op === 'reshape' && at.inputs[0].shape.at(-1) === channels) at = at.inputs[0]
    const host = readers.get(at) === 1 && Object.hasOwn(CHANNEL_AXIS, at.op) ? at : undefined
    const free = host && !(host.attrs as { activation?: Activation }).activation
    return free && host.inputs.slice(1).every((p) => isParam(p) && p.dtype === 'f32') ? host : undefined
  }
  const hosts = new Map<Node, Node>()
  for (const node of model.nodes) {
    const host = node.op === 'batchNorm' && node.inputs.slice(1).every(isParam) ? hostOf(node.inputs[0]) : undefined
    if (host) hosts.set(host, node)
  }
  const folded = new Set(hosts.values())

  const outputs = mapGraph(model.outputs, (node, inputs) => {
    if (folded.has(node)) return inputs[0]
    const norm = hosts.get(node)
    if (!norm) return isParam(node) ? { ...node, data: node.data.slice() } : { ...node, inputs }
    const { activation } = norm.attrs as BatchNormAttrs
    const attrs = { ...(node.attrs as object), ...(activation && { activation }) }
    return makeNode(opOf(node.op)!, { op: node.op, name: node.name, attrs, inputs: [inputs[0], ...scaled(node, norm)] })
  })
  return new Model(outputs, { name: model.name, labels: model.labels })
}

/** What a batchNorm makes of each channel in inference: scale * x + shift. */
export function affine(norm: Node): { scale: Float64Array; shift: Float64Array } {
  const [, gamma, beta, mean, variance] = norm.inputs as [Node, ...Param[]]
  const { epsilon } = norm.attrs as BatchNormAttrs
  const scale = Float64Array.from(gamma.data, (g, c) => g / Math.sqrt(variance.data[c] + epsilon))
  return { scale, shift: scale.map((s, c) => beta.data[c] - mean.data[c] * s) }
}

/** Weights and bias of a layer with those of the batchNorm after it in them, each rounded once. */
function scaled(host: Node, norm: Node): [Param, Param] {
  const [, w, b] = host.inputs as [Node, Param, Param?]
  const beta = norm.inputs[2] as Param
  const { scale, shift } = affine(norm)
  const inner = size(w.shape.slice(CHANNEL_AXIS[host.op] + 1))
  const weights = Float32Array.from(w.data, (v, i) => v * scale[Math.floor(i / inner) % scale.length])
  const bias = Float32Array.from(scale, (s, c) => (b?.data[c] ?? 0) * s + shift[c])
  return [
    { ...w, data: weights },
    { ...(b ?? beta), name: b?.name ?? `${host.name}/b`, data: bias },
  ]
}
