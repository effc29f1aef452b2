// Weights of another framework into a model of the same layers: tensors by name, as a PyTorch state_dict (safetensors) or an NPZ file holds
// them, or a list in the order of the layers, as Keras gives it. Each is brought to dunlin's order of axes.

import { DunlinError } from '../graph/error'
import { type Node, type Param, size } from '../graph/node'
import type { Model } from '../model/model'
import { reordered } from './onnx/value'

/** A tensor of a file: its shape, and its values in row-major order. */
export interface Weights {
  shape: readonly number[]
  data: ArrayLike<number>
}

export interface WeightOptions {
  /** Which framework's axes and names the tensors have. Default 'pytorch'. */
  from?: 'pytorch' | 'keras' | 'dunlin'
  /** The tensors' names by the parameters' (`conv1/w`); what it leaves out is derived from the layers' names. */
  names?: Record<string, string>
}

/** What a parameter is called elsewhere, after its layer's name. */
const NAMES = {
  pytorch: { w: 'weight', b: 'bias', gamma: 'weight', beta: 'bias', mean: 'running_mean', variance: 'running_var' },
  keras: { w: 'kernel', b: 'bias', gamma: 'gamma', beta: 'beta', mean: 'moving_mean', variance: 'moving_variance' },
  dunlin: {},
} as const

/** The axes of a layer's weights elsewhere: axis i of dunlin's is axis order[i] of theirs. */
const ORDERS: Record<string, Partial<Record<string, readonly number[]>>> = {
  pytorch: { conv2d: [0, 2, 3, 1], convTranspose2d: [0, 2, 3, 1], depthwiseConv2d: [2, 3, 0, 1] },
  keras: { conv2d: [3, 0, 1, 2], convTranspose2d: [3, 0, 1, 2], dense: [1, 0] },
}

/**
 * Puts the values of tensors into the parameters of a model. `tensors`: by name, or a list in the order of the parameters. From PyTorch
 * filters OIHW become OHWI, and columns of a dense layer behind a flattened image are put in its order; from Keras HWIO and [inputs,
 * units]. Recurrent layers are read from PyTorch (`weight_ih_l0` and so on). Every parameter has to be found: one that is not is an
 * error that names the tensors there are.
 */
export function loadWeights(
  model: Model,
  tensors: ReadonlyMap<string, Weights> | Readonly<Record<string, Weights>> | readonly Weights[],
  options: WeightOptions = {},
): void {
  const { from = 'pytorch', names = {} } = options
  const list = Array.isArray(tensors) ? ([...tensors] as Weights[]) : undefined
  const named = tensors instanceof Map ? tensors : new Map(Object.entries(list ? {} : (tensors as Record<string, Weights>)))
  const seen = new Set<Node>()
  const found: [Param, Float32Array][] = []
  for (const node of model.nodes)
    for (const p of node.inputs) {
      if (p.op !== 'param' || seen.has(p)) continue
      seen.add(p)
      const param = p as Param
      if (param.dtype !== 'f32')
        throw new DunlinError(`loadWeights: parameter "${param.name}" is ${param.dtype}. Load weights into a float model.`)
      const take = (name: string): Weights => {
        const t = list ? list.shift() : named.get(name)
        return (
          t ??
          fail(
            param,
            list
              ? 'the list has no tensor left'
              : `there is no tensor "${name}" among ${[...named.keys()].slice(0, 40).join(', ') || 'none'}`,
          )
        )
      }
      found.push([param, valuesOf(node, param, from, Object.hasOwn(names, param.name) ? names[param.name] : undefined, take)])
    }
  if (list?.length)
    throw new DunlinError(`loadWeights: the list has ${list.length} tensors more than model "${model.name}" has parameters.`)
  // Only now: an error leaves the model as it was.
  for (const [p, values] of found) p.data.set(values)
  model.changed()
}

function fail(p: Param, why: string): never {
  throw new DunlinError(`loadWeights: parameter "${p.name}" [${p.shape}]: ${why}. Say in names which tensor it is.`)
}

function valuesOf(
  node: Node,
  p: Param,
  from: 'pytorch' | 'keras' | 'dunlin',
  given: string | undefined,
  take: (name: string) => Weights,
) {
  const own = p.name.slice(p.name.lastIndexOf('/') + 1)
  const layer = p.name.slice(0, Math.max(0, p.name.lastIndexOf('/')))
  const read = (name: string, order?: readonly number[]): Float32Array => {
    const { shape, data } = take(name)
    if (data.length !== size(p.shape) || size(shape) !== data.length) fail(p, `tensor "${name}" has shape [${shape}]`)
    const floats = Float32Array.from(data)
    if (!order) return floats
    if (shape.length !== order.length) fail(p, `tensor "${name}" has shape [${shape}], wanted ${order.length} axes`)
    const moved = order.map((i) => shape[i]).filter((n) => n !== 1)
    if (String(moved) !== String(p.shape.filter((n) => n !== 1)))
      fail(p, `tensor "${name}" has shape [${shape}], of another layer`)
    return reordered(floats, shape, order)
  }
  const recurrent = ['lstm', 'gru', 'simpleRnn'].includes(node.op)
  if (recurrent && from === 'keras') fail(p, 'recurrent layers are not read from Keras')
  if (recurrent && from === 'pytorch') {
    const name = (kind: string) => given ?? `${layer}.${kind}_l0`
    if (own === 'w' || own === 'u') return read(name(own === 'w' ? 'weight_ih' : 'weight_hh'))
    if (node.op === 'gru') return read(name(own === 'b' ? 'bias_ih' : 'bias_hh'))
    // Both biases are added there.
    const [a, b] = [read(name('bias_ih')), read(`${layer}.bias_hh_l0`)]
    return a.map((v, i) => v + b[i])
  }
  const named: Partial<Record<string, string>> = NAMES[from]
  const name = given ?? (from === 'dunlin' ? p.name : `${layer}${from === 'keras' ? '/' : '.'}${named[own] ?? own}`)
  const values = read(name, own === 'w' ? ORDERS[from]?.[node.op] : undefined)
  const [x] = node.inputs
  const image = x.op === 'reshape' ? x.inputs[0].shape : []
  if (from !== 'pytorch' || node.op !== 'dense' || own !== 'w' || image.length !== 3) return values
  // Columns of [C, H, W] as [H, W, C].
  const [h, w, c] = image
  return reordered(values, [p.shape[0], c, h, w], [0, 2, 3, 1])
}
