// The model file: safetensors whose metadata entry `dunlin` is the graph as JSON. Weights are tensors under their parameters' names; a
// pruned parameter is stored as one bit for each weight (`<name>.mask`) and the weights that live (`<name>.values`).

import { DunlinError } from '../graph/error'
import {
  ARRAYS,
  checkShape,
  type InputAttrs,
  input,
  isParam,
  type Node,
  type Param,
  type ParamAttrs,
  type Quant,
  size,
} from '../graph/node'
import { OPS, opOf } from '../ops'
import { type Int8, makeNode, where } from '../ops/op'
import { readSafetensors, type Tensor, writeSafetensors } from './safetensors'

export const FORMAT_VERSION = 1

interface GraphFile {
  version: number
  name: string
  labels: string[]
  nodes: NodeFile[]
  /** Indices into `nodes`. */
  outputs: number[]
}

interface NodeFile {
  op: string
  name: string
  attrs: unknown
  /** Indices of earlier nodes. */
  inputs: number[]
  shape: number[]
  dtype: string
  quant?: Quant
}

export function serialize(model: {
  name: string
  labels: readonly string[]
  nodes: readonly Node[]
  outputs: readonly Node[]
}): Uint8Array {
  const index = new Map(model.nodes.map((n, i) => [n, i]))
  const tensors = new Map<string, Tensor>()
  for (const p of model.nodes.filter(isParam)) {
    if (!p.mask) tensors.set(p.name, { dtype: p.dtype, shape: p.shape, data: p.data })
    else {
      const { mask, data } = p
      const bits = new Uint8Array(Math.ceil(mask.length / 8))
      mask.forEach((m, i) => {
        bits[i >> 3] |= m << (i & 7)
      })
      const live = data.filter((_: number, i: number) => mask[i])
      tensors.set(`${p.name}.mask`, { dtype: 'u8', shape: [bits.length], data: bits })
      tensors.set(`${p.name}.values`, { dtype: p.dtype, shape: [live.length], data: live })
    }
  }
  // 4-byte elements first, so that every tensor is aligned in the file.
  const aligned = new Map([...tensors].sort(([, a], [, b]) => b.data.BYTES_PER_ELEMENT - a.data.BYTES_PER_ELEMENT))
  const graph: GraphFile = {
    version: FORMAT_VERSION,
    name: model.name,
    labels: [...model.labels],
    nodes: model.nodes.map(({ op, name, attrs, inputs, shape, dtype, quant }) => ({
      ...{ op, name, attrs, inputs: inputs.map((x) => index.get(x) as number), shape: [...shape], dtype },
      ...(quant && { quant }),
    })),
    outputs: model.outputs.map((n) => index.get(n) as number),
  }
  return writeSafetensors(aligned, { dunlin: JSON.stringify(graph) })
}

export function deserialize(file: Uint8Array, source: string): { outputs: Node[]; name: string; labels: string[] } {
  const { tensors, metadata } = readSafetensors(file, source)
  const json = metadata.get('dunlin')
  if (json === undefined)
    throw new DunlinError(
      `${source}: a safetensors file without a dunlin graph in its metadata. It holds weights only, not a model.`,
    )
  const fail = (what: string): never => {
    throw new DunlinError(`${source}: the graph in its metadata is not valid: ${what}.`)
  }
  let graph: GraphFile
  try {
    graph = JSON.parse(json)
  } catch (error) {
    return fail(`no JSON (${(error as Error).message})`)
  }
  if (graph?.version !== FORMAT_VERSION) fail(`version ${graph?.version}, this dunlin reads version ${FORMAT_VERSION}`)
  if (!Array.isArray(graph.nodes) || !Array.isArray(graph.outputs) || graph.outputs.length === 0)
    return fail('no list of nodes or outputs')
  const nodes: Node[] = []
  const at = (i: unknown, what: string): Node => {
    const earlier = Number.isInteger(i) ? nodes[i as number] : undefined
    return earlier ?? fail(`${what} refers to node ${JSON.stringify(i)}, which is not an earlier one`)
  }
  for (const n of graph.nodes) {
    const isNode = typeof n === 'object' && n !== null && typeof n.op === 'string' && typeof n.name === 'string'
    if (!isNode || !Array.isArray(n.inputs) || !Array.isArray(n.shape) || typeof n.attrs !== 'object' || n.attrs === null) {
      return fail(`node ${nodes.length} lacks its op, name, attributes, inputs or shape`)
    }
    checkShape(`${source}: ${where(n)}`, n.shape)
    if (!Object.hasOwn(ARRAYS, n.dtype)) return fail(`${where(n)} has dtype ${JSON.stringify(n.dtype)}`)
    if (n.quant !== undefined && !isQuant(n.quant)) return fail(`${where(n)} has no valid quantization`)
    const integer = { dtype: n.dtype as Node['dtype'], ...(n.quant && { quant: n.quant }) }
    const inputs = n.inputs.map((i) => at(i, where(n)))
    let node: Node
    if (n.op === 'param') node = restore(n, integer, tensors, fail)
    else if (n.op === 'input')
      node = { ...input(n.shape, { name: n.name, normalize: (n.attrs as InputAttrs).normalize }), ...integer }
    else {
      const row = opOf(n.op) ?? fail(`there is no op "${n.op}"; this dunlin has ${Object.keys(OPS).join(', ')}`)
      // Kernels read as many bytes as their dtypes say. (The third input of an int8 layer with weights is its int32 bias.)
      const {
        reads,
        weightAxis,
      }: Pick<Partial<Int8<unknown>>, 'reads' | 'weightAxis'> = (n.dtype === 'i8' ? row.int8 : row) ?? {}
      const wanted = (i: number) => reads?.[i] ?? (weightAxis !== undefined && i === 2 ? 'i32' : n.dtype)
      const other = inputs.find((x, i) => ![wanted(i)].flat().includes(x.dtype))
      if (other) fail(`${where(n)} is ${n.dtype}, its input ${where(other)} is ${other.dtype}`)
      node = makeNode(row, { op: n.op, name: n.name, attrs: n.attrs, inputs }, integer)
      if (String(node.shape) !== String(n.shape))
        fail(`${where(n)} is stored with shape [${n.shape}], its inputs give [${node.shape}]`)
    }
    nodes.push(node)
  }
  const labels = Array.isArray(graph.labels) ? graph.labels.map(String) : []
  return { outputs: graph.outputs.map((i) => at(i, 'an output')), name: String(graph.name), labels }
}

function restore(
  n: NodeFile,
  integer: Pick<Node, 'dtype' | 'quant'>,
  tensors: ReadonlyMap<string, Tensor>,
  fail: (what: string) => never,
): Param {
  const base = { op: 'param', name: n.name, attrs: n.attrs as ParamAttrs, inputs: [], shape: n.shape, batched: false, ...integer }
  const dense = tensors.get(n.name)
  if (dense) {
    if (dense.dtype === 'f64' || dense.dtype !== n.dtype || String(dense.shape) !== String(n.shape)) {
      fail(`parameter "${n.name}" is a ${n.dtype} [${n.shape}] in the graph, a ${dense.dtype} [${dense.shape}] among the tensors`)
    }
    return { ...base, data: dense.data }
  }
  const bits = tensors.get(`${n.name}.mask`)?.data
  const live = tensors.get(`${n.name}.values`)
  const count = size(n.shape)
  if (!bits || !live || live.dtype === 'f64' || live.dtype !== n.dtype || bits.length !== Math.ceil(count / 8)) {
    return fail(`parameter "${n.name}" has no tensor of its ${count} values`)
  }
  const mask = Uint8Array.from({ length: count }, (_, i) => (bits[i >> 3] >> (i & 7)) & 1)
  if (mask.reduce((a, b) => a + b, 0) !== live.data.length)
    fail(`parameter "${n.name}" has ${live.data.length} values for another number of live weights`)
  const data = new ARRAYS[integer.dtype](count)
  let next = 0
  mask.forEach((m, i) => {
    if (m) data[i] = live.data[next++]
  })
  return { ...base, data, mask }
}

const isQuant = (q: Quant): boolean =>
  typeof q === 'object' &&
  q !== null &&
  Number.isInteger(q.zeroPoint) &&
  Math.abs(q.zeroPoint) <= 128 &&
  Array.isArray(q.scale) &&
  q.scale.length > 0 &&
  q.scale.every((s) => Number.isFinite(s) && s > 0)
