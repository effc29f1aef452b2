// ONNX file -> model. Node by node, each input is a tensor that is known, or a view on a value of the graph being made (value.ts); what is
// known is folded, the rest made by the rule of its op. Images are [height, width, channels] throughout, whatever order the file has.

import { DunlinError } from '../../graph/error'
import { input, isParam, type Node, type Param, type Shape } from '../../graph/node'
import { Model } from '../../model/model'
import { Call, type Scope } from './call'
import { ELEMENTWISE, type Rule } from './elementwise'
import { FOLDS } from './fold'
import { integerModel } from './integer'
import { LAYERS } from './layers'
import { since7 } from './opset6'
import { PRODUCTS, withBias } from './product'
import { MODEL, type ModelProto, type NodeProto, readMessage, type ValueInfoProto } from './proto'
import { kept, QUANTS } from './quant'
import { RECURRENTS } from './recurrent'
import { SHAPES } from './shape'
import { count, type ElementType, type External, readTensor, type Tensor, tensorOf, typeOf } from './tensor'
import { arrange, dimsOf, type Factor, plain, shaped, type Traced, type Value, view } from './value'

export interface OnnxOptions {
  /** The file in errors. Default 'ONNX file'. */
  source?: string
  /**
   * Which axis of the inputs is the samples'. 'first' (default): the first, open or of any length; each sample is computed by itself.
   * 'whole': none, an input is one sample with all of its axes, whose lengths the file has to say.
   */
  samples?: 'first' | 'whole'
  /** Inputs whose values are known; they become constants. */
  values?: Record<string, ArrayLike<number>>
  /** Dimensions of inputs that the file leaves open, by their names in the file. */
  dims?: Record<string, number>
  /** Reads tensors that lie in other files. Without it such a file is an error; nothing is read by itself. */
  external?: External
  /** Whether a quantized graph becomes an int8 model where all of it can. Default true; else, and where not, it is float. */
  int8?: boolean
}

/** How an input or output of the model has the axes of the file's. */
export interface OnnxPort {
  name: string
  type: ElementType
  /** As in the file, with 1 for the samples. */
  dims: readonly number[]
  /** For each axis of the model's value the file's axis. */
  order: readonly number[]
  /** The file's axis of the samples, which the model's values have in front. */
  samples?: number
}

export interface OnnxImport {
  model: Model
  inputs: OnnxPort[]
  outputs: OnnxPort[]
  /** What became of each node of the file: its op and name, and the op and name of the node that has its value; none where it was folded. */
  mappings: { index: number; operator: string; name: string; to: string }[]
  /** Why a quantized graph became a float model. */
  float?: string
}

const RULES: Record<string, Rule> = { ...ELEMENTWISE, ...SHAPES, ...PRODUCTS, ...LAYERS, ...QUANTS, ...RECURRENTS }

/** Names of the ops that are read. */
export const onnxOps = (): string[] => [...new Set([...Object.keys(RULES), 'Constant', 'ConstantOfShape', 'Range'])].sort()

const NEWEST = 21

/** Limits of what a file may ask for. */
const MOST_NODES = 2 ** 16
const MOST_FOLDED = 2 ** 26

/**
 * The model of an ONNX file (opset 7 to 21; of 6 and before the ops that mean what they mean in 7, or that repeat an operand along given
 * axes). Weights keep their layers' names, values those of the nodes that made them. A float model can be trained; a quantized one
 * (QuantizeLinear and DequantizeLinear, or QLinear ops) becomes int8 where all of it fits dunlin's int8 ops, else float with its weights
 * as they were rounded.
 */
export function importOnnx(bytes: Uint8Array, options: OnnxOptions = {}): OnnxImport {
  const { source = 'ONNX file' } = options
  try {
    const file = readMessage<ModelProto>(MODEL, bytes, source)
    const quantized = options.int8 !== false && file.graph?.node.some((n) => /^(QuantizeLinear|QLinear)/.test(n.opType))
    const tried = quantized ? new Importer(file, options, true).run() : undefined
    if (tried && !tried.float) return tried
    const made = new Importer(file, options, false).run()
    return tried ? { ...made, float: tried.float } : made
  } catch (cause) {
    if (cause instanceof DunlinError && cause.message.startsWith(source)) throw cause
    throw new DunlinError(`${source}: ${(cause as Error).message}`, { cause })
  }
}

class Importer {
  private readonly graph: NonNullable<ModelProto['graph']>
  private readonly values = new Map<string, Value>()
  private readonly scope: Scope
  private readonly lifted = new Map<Tensor, Traced>()
  private readonly inputs: (OnnxPort & { node: Node })[] = []

  constructor(
    file: ModelProto,
    private readonly options: OnnxOptions,
    int8: boolean,
  ) {
    this.graph = file.graph ?? fail('holds no graph')
    const opset = file.opsetImport.find((o) => o.domain === '' || o.domain === 'ai.onnx')?.version ?? 1
    if (!(opset <= NEWEST))
      fail(`uses opset ${opset}; 7 to ${NEWEST} are read. onnx.version_converter brings a file to one of them`)
    if (this.graph.node.length > MOST_NODES) fail(`has ${this.graph.node.length} nodes; at most ${MOST_NODES} are read`)
    const readers = new Map<string, number>()
    for (const name of [...this.graph.node.flatMap((n) => n.input), ...this.graph.output.map((o) => o.name)])
      readers.set(name, (readers.get(name) ?? 0) + 1)
    this.scope = {
      opset,
      batch: undefined,
      lift: (t) => this.lift(t),
      steps: new Map(),
      marks: new Map(),
      int8,
      tensor: (proto, what) => readTensor(proto, what, options.external),
      readers: (name) => readers.get(name) ?? 0,
      leaves: (name) => this.graph.output.some((o) => o.name === name),
      room: MOST_FOLDED,
    }
  }

  run(): OnnxImport {
    for (const proto of this.graph.initializer)
      this.values.set(proto.name, readTensor(proto, `initializer "${proto.name}"`, this.options.external))
    this.enter()
    const mapped = this.graph.node.map((node, i) => this.node(node, i))
    if (!this.graph.output.length) fail('has no outputs')
    const outputs = this.graph.output.map((o) => this.leave(o))
    const name = this.graph.name || 'model'
    const inputs = this.inputs.map(({ node: _, ...port }) => port)
    const nodes = outputs.map((o) => o.node)
    const tried = this.scope.int8 ? integerModel(nodes, this.scope) : { outputs: nodes }
    const made = 'outputs' in tried ? tried.outputs : nodes
    const model = new Model(made, { name })
    const ports = outputs.map(({ node: _, ...port }) => port)
    const names = (values: (Node | undefined)[]) => values.map((n) => (n ? `${n.op} "${n.name}"` : '-')).join(', ')
    return {
      model,
      inputs: inputs.filter((p) => model.inputs.some((n) => n.name === p.name)),
      outputs: ports,
      mappings: mapped.map(({ op, name, to }, index) => ({ index, operator: op, name, to: names(to) })),
      ...('why' in tried && { float: tried.why }),
    }
  }

  /** The inputs of the graph that the file does not give. */
  private enter(): void {
    const { samples = 'first', values = {}, dims: open = {} } = this.options
    const free = this.graph.input.filter((v) => !this.values.has(v.name))
    for (const info of free) {
      const type = elementType(info)
      const dim = info.type?.tensorType?.shape?.dim
      if (!dim) fail(`input "${info.name}" has no shape`)
      const dims = dim.map((d, i) => {
        const n = d.dimParam && Object.hasOwn(open, d.dimParam) ? open[d.dimParam] : d.dimValue
        // An empty tensor has an axis of length 0.
        if (Object.hasOwn(values, info.name) && values[info.name].length === 0) return n
        return n > 0 || (samples === 'first' && i === 0 && !Object.hasOwn(values, info.name)) ? n : this.undetermined(info, i)
      })
      if (Object.hasOwn(values, info.name)) {
        const given = values[info.name]
        if (given.length !== count(dims)) fail(`input "${info.name}" is given ${given.length} values for [${dims}]`)
        this.values.set(info.name, { ...tensorOf(dims, given, type), name: info.name })
        continue
      }
      if (!(count(dims) <= 2 ** 29)) fail(`input "${info.name}" has shape [${dims}]`)
      const first = samples === 'first' && dims.length > 0
      if (first) {
        const before = this.scope.batch
        if (before !== undefined && before !== dims[0])
          fail(
            `inputs have ${before} and ${dims[0]} as their first axis, which is to be the samples'. Import with samples: 'whole'`,
          )
        this.scope.batch = dims[0] > 0 ? dims[0] : 0
      }
      this.values.set(info.name, this.input(info.name, type, first ? [1, ...dims.slice(1)] : dims, first))
    }
  }

  private undetermined(info: ValueInfoProto, axis: number): number {
    const name = info.type?.tensorType?.shape?.dim[axis].dimParam
    return fail(
      `input "${info.name}" leaves the length of axis ${axis} open${name ? ` ("${name}")` : ''}. Give it in dims, by its name`,
    )
  }

  private input(name: string, type: ElementType, dims: readonly number[], first: boolean): Traced {
    const axes = dims.map((_, i) => i)
    const image = dims.length >= 3 && this.feedsImages(name)
    const order = (image ? [0, ...axes.slice(2), 1] : axes).filter((a) => !first || a !== 0)
    const shape = order.length ? order.map((a) => dims[a]) : [1]
    const dtype = this.isIndex(name) ? 'i32' : 'f32'
    const node = input(shape, { name, dtype })
    this.inputs.push({ name, type, dims, order, node, ...(first && { samples: 0 }) })
    return view(node, dims, { order: image ? [0, ...axes.slice(2), 1] : axes, type, ...(first && { samples: 0 }) })
  }

  /** The nodes that read a name, through such as leave elements where they are. */
  private readers(name: string, through: RegExp): NodeProto[] {
    const found: NodeProto[] = []
    const seen = new Set<string>()
    const names = [name]
    for (const n of names) {
      if (seen.has(n)) continue
      seen.add(n)
      for (const node of this.graph.node) {
        if (!node.input.includes(n)) continue
        found.push(node)
        if (through.test(node.opType)) names.push(...node.output)
      }
    }
    return found
  }

  private feedsImages(name: string): boolean {
    const through =
      /^(Identity|Cast|Dropout|QuantizeLinear|DequantizeLinear|Add|Sub|Mul|Div|Relu|Clip|LeakyRelu|PRelu|Elu|Selu|Celu|Sigmoid|HardSigmoid|HardSwish|Tanh|Gelu|Pad|Concat|Split|Slice)$/
    const image = /Conv|Pool$|^BatchNormalization$|^InstanceNormalization$|^Resize$|^Upsample$/
    return this.readers(name, through).some((n) => image.test(n.opType))
  }

  /** Whether an input is nothing but places in tables. */
  private isIndex(name: string): boolean {
    const all = this.readers(name, /^(Identity|Cast|Squeeze|Unsqueeze|Reshape|Flatten)$/)
    const places = all.filter((n) => n.opType === 'Gather' && this.values.get(n.input[0])?.kind === 'tensor')
    return (
      places.length > 0 &&
      all.every((n) => n.opType === 'Gather' || /^(Identity|Cast|Squeeze|Unsqueeze|Reshape|Flatten)$/.test(n.opType))
    )
  }

  private lift(t: Tensor): Traced {
    let x = this.lifted.get(t)
    if (!x) {
      if (!count(t.dims)) fail(`a tensor of shape [${t.dims}] cannot be computed with`)
      const shape: Shape = t.dims.filter((d) => d !== 1).length ? t.dims.filter((d) => d !== 1) : [1]
      const trainable = t.name !== undefined && count(t.dims) > 1 && t.type.startsWith('float')
      const data = Float32Array.from(t.data as ArrayLike<number>)
      const p: Param = {
        ...{ op: 'param', name: 'k', attrs: { trainable }, inputs: [], shape, dtype: 'f32', batched: false },
        data,
      }
      x = view(p, t.dims, { type: t.type })
      this.lifted.set(t, x)
    }
    return x
  }

  private node(proto: NodeProto, index: number): { op: string; name: string; to: (Node | undefined)[] } {
    const inputs = proto.input.map((name) => {
      if (!name) return undefined
      return this.values.get(name) ?? fail(`node ${index} (${proto.opType}) reads "${name}", which nothing before it makes`)
    })
    const { opset } = this.scope
    const own = new Call(this.scope, proto, index, inputs, opset)
    if (proto.domain && proto.domain !== 'ai.onnx') own.fail(`is of domain ${proto.domain}; ai.onnx is supported`)
    const { op } = own
    const call =
      (opset < 7 ? since7(own) : own) ??
      own.fail(`of opset ${opset} is not supported; 7 to ${NEWEST} are. onnx.version_converter brings a file to one of them`)
    const known = inputs.every((v) => !v || v.kind === 'tensor')
    const fold = known && Object.hasOwn(FOLDS, op) ? FOLDS[op] : undefined
    const rule = fold ?? (Object.hasOwn(RULES, op) ? RULES[op] : undefined)
    if (!rule) {
      if (Object.hasOwn(FOLDS, op))
        call.fail('of computed values is not supported. Its inputs have to be stored in the file, or given in values')
      return call.fail(`is not supported; supported are ${onnxOps().join(', ')}`)
    }
    const result = this.merged(call) ?? rule(call)
    const outputs = Array.isArray(result) ? (result as (Value | undefined)[]) : [result as Value]
    proto.output.forEach((name, i) => {
      if (!name || (!outputs[i] && !call.wants(i))) return
      const value = outputs[i] ?? call.fail(`its output ${i} ("${name}") is not supported`)
      this.values.set(name, value)
    })
    const to = outputs.map((v) => (!v || v.kind === 'tensor' ? undefined : v.kind === 'quantized' ? v.of.node : v.node))
    const [first] = to
    if (first && !first.name && !isParam(first)) first.name = call.name
    return { op, name: call.name, to }
  }

  /** An Add of a stored vector to a product without a bias that nothing else reads. */
  private merged(call: Call): Traced | undefined {
    if (call.op !== 'Add' || call.inputs.length !== 2) return undefined
    for (const [i, j] of [
      [0, 1],
      [1, 0],
    ]) {
      const [y, bias] = [call.inputs[i], call.inputs[j]]
      if (y?.kind !== 'traced' || bias?.kind !== 'tensor' || bias.dims.length > dimsOf(y).length) continue
      if (this.scope.readers(call.proto.input[i]) === 1) {
        const made = withBias(call, y, bias)
        if (made) return made
      }
    }
    return undefined
  }

  /** An output of the graph: in the order of its axes in the file, or with the channels of an image last. */
  private leave(info: ValueInfoProto): OnnxPort & { node: Node } {
    const value = this.values.get(info.name) ?? fail(`its output "${info.name}" is made by nothing`)
    if (value.kind === 'tensor') return fail(`its output "${info.name}" depends on no input: it is the constant [${value.dims}]`)
    const x = value.kind === 'quantized' ? this.stepsOf(value) : value
    const dims = dimsOf(x)
    const axes = dims.map((_, i) => i)
    const orders = [axes, ...(dims.length >= 3 ? [[0, ...axes.slice(2), 1]] : [])]
    const lies = (order: readonly number[]) => {
      const factors = order.flatMap((a) => x.axes[a])
      return factors.length === x.memory.length && factors.every((f: Factor, i) => f === x.memory[i])
    }
    const found = orders.find(lies)
    const order = (found ?? axes).filter((a) => a !== x.samples)
    const node = found ? arrange(x, x.memory) : plain(x)
    const shape = order.length ? order.map((a) => dims[a]) : [1]
    if (!node.batched) fail(`its output "${info.name}" depends on no input`)
    const { samples } = x
    return { name: info.name, type: x.type, dims, order, node: shaped(node, shape), ...(samples !== undefined && { samples }) }
  }

  /** An output in steps: of an int8 model what they stand for, else the integers. */
  private stepsOf(value: Extract<Value, { kind: 'quantized' }>): Traced {
    const empty: NodeProto = { input: [], output: [], name: 'output', opType: 'QuantizeLinear', domain: '', attribute: [], at: 0 }
    const call = new Call(this.scope, empty, this.graph.node.length, [], this.scope.opset)
    return this.scope.int8 ? kept(call, value) : call.integers(value)
  }
}

function elementType(info: ValueInfoProto): ElementType {
  const code = info.type?.tensorType?.elemType ?? 0
  return typeOf(code) ?? fail(`input "${info.name}" is no tensor of numbers (type ${code})`)
}

function fail(what: string): never {
  throw new DunlinError(`${what}.`)
}
