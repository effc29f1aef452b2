// From the bytes of a .tflite file to a model: the operators that its outputs depend on, each as the node that its rule (operators.ts)
// makes of it, under the names of the tensors. Nodes are values of one sample, so the first axis of the file's tensors falls away.

import { DunlinError } from '../../graph/error'
import { input, isInput, isParam, type Node, size } from '../../graph/node'
import { Model } from '../../model/model'
import { nodeOf } from '../../ops'
import { readModelTable } from './flatbuffer'
import { BY_SHAPE, type Call, RULES } from './operators'
import { OPERATORS, type OptionsName, type Row, SCALARS, TABLES, TYPE } from './schema'
import { type Tensor, Tensors } from './tensors'

/** What an operator of the file became. */
export interface Mapping {
  /** Its place in the file, and the operator's name there. */
  index: number
  operator: string
  /** Its first output's name. */
  name: string
  /** The nodes that it became, or why it became none. */
  to: string
}

export interface Imported {
  model: Model
  mappings: Mapping[]
}

const MOST_OPERATORS = 100_000

/**
 * The model of a .tflite file (its first subgraph): float weights can be trained, int8 models give the bits of TensorFlow Lite's reference
 * kernels. Weights that are int8 or float16 under float values are made float. `source` names the file in errors.
 * @throws DunlinError that names the operator that is not supported, and what is; or the byte at which the file is not valid
 */
export function importTflite(bytes: Uint8Array, options: { source?: string; name?: string } = {}): Imported {
  const { source = '.tflite file', name } = options
  const table = readModelTable(bytes, source)
  try {
    return new Import(bytes, table, source).run(name)
  } catch (cause) {
    if (cause instanceof DunlinError && cause.message.startsWith(source)) throw cause
    throw new DunlinError(`${source}: not a valid model: ${(cause as Error).message}`, { cause })
  }
}

class Import {
  private readonly graph: Row<'SubGraph'>
  private readonly operators: readonly Row<'Operator'>[]
  private readonly values = new Map<number, Node>()
  private readonly tensors: Tensors
  /** Where errors stand. */
  private place: string

  constructor(
    bytes: Uint8Array,
    private readonly model: Row<'Model'>,
    private readonly source: string,
  ) {
    this.place = source
    const [graph] = model.subgraphs ?? []
    if (!graph) this.fail('it has no subgraph')
    this.graph = graph
    this.operators = graph.operators ?? []
    if (this.operators.length > MOST_OPERATORS)
      this.fail(`it has ${this.operators.length} operators, the most read are ${MOST_OPERATORS}`)
    this.tensors = new Tensors(model, graph, (what) => this.fail(what), bytes.length)
  }

  private readonly fail = (what: string): never => {
    throw new DunlinError(`${this.place}: ${what}.`)
  }

  run(name: string | undefined): Imported {
    const { inputs = [], outputs = [] } = this.graph
    if (!inputs.length || !outputs.length) this.fail(`its subgraph has ${inputs.length} inputs and ${outputs.length} outputs`)
    const live = this.live(outputs)
    this.enter(inputs, live)
    const mappings = this.operators.map((_, i): Mapping => {
      const operator = this.operatorName(i)
      const first = this.operators[i].outputs?.[0]
      const name = (first !== undefined && this.graph.tensors?.[first]?.name) || ''
      return { index: i, operator, name, to: live.has(i) ? this.convert(i, operator, name) : 'nothing: no output depends on it' }
    })
    this.place = this.source
    const nodes = outputs.map((i) => this.value(i))
    return { model: new Model(this.left(nodes), { name: name ?? (this.graph.name || 'model') }), mappings }
  }

  /** Outputs that are only made float again are int8 outputs, which everyone reads as real numbers. */
  private left(outputs: readonly Node[]): Node[] {
    return outputs.map((node) => (node.op === 'toFloat' ? { ...node.inputs[0], name: node.name } : node))
  }

  private operatorName(i: number): string {
    const code = this.model.operatorCodes?.[this.operators[i].opcodeIndex]
    if (!code) return this.fail(`operator ${i} has kind ${this.operators[i].opcodeIndex}, which the file does not list`)
    const number = Math.max(code.builtinCode, code.deprecatedBuiltinCode)
    return OPERATORS[number] === 'CUSTOM' ? `CUSTOM ${code.customCode ?? ''}` : (OPERATORS[number] ?? `operator ${number}`)
  }

  /** The operators that the outputs depend on, by index. Files list them in the order in which they run. */
  private live(outputs: readonly number[]): Set<number> {
    const wanted = new Set(outputs)
    const live = new Set<number>()
    for (let i = this.operators.length - 1; i >= 0; i--) {
      const { inputs = [], outputs = [] } = this.operators[i]
      if (!outputs.some((t) => wanted.has(t))) continue
      live.add(i)
      for (const t of BY_SHAPE.has(this.operatorName(i)) ? inputs.slice(0, 1) : inputs) wanted.add(t)
    }
    return live
  }

  /** Makes the model's inputs. One that is float only to be made int8 right away is int8: its door rounds in the same way. */
  private enter(inputs: readonly number[], live: ReadonlySet<number>): void {
    const [first] = inputs.map((i) => this.tensors.at(i))
    this.tensors.batch = first.shape[0] ?? this.fail(`input "${first.name ?? ''}" is a single number, wanted samples`)
    for (const i of inputs) {
      const tensor = this.tensors.at(i)
      const readers = this.operators.flatMap((o, at) => (live.has(at) && o.inputs?.includes(i) ? [at] : []))
      const [only] = readers
      const quantized = readers.length === 1 && this.operatorName(only) === 'QUANTIZE' && tensor.type === TYPE.FLOAT32
      const as = quantized ? this.tensors.at(this.operators[only].outputs?.[0] ?? -1) : tensor
      const { shape } = this.tensors.sample(tensor)
      const node = input(shape, { name: tensor.name || 'input' })
      if (as.type === TYPE.FLOAT32) this.values.set(i, node)
      else if (as.type === TYPE.INT8 || as.type === TYPE.UINT8)
        this.values.set(i, { ...node, dtype: 'i8', quant: this.tensors.quant(as) })
      else this.tensors.dtype(as)
    }
  }

  private value(i: number): Node {
    const node = this.values.get(i)
    if (node) return node
    const { name = '' } = this.tensors.at(i)
    if (this.tensors.isConstant(i))
      this.fail(`tensor ${i} ("${name}") is stored in the file, wanted a value that depends on an input`)
    return this.fail(`tensor ${i} ("${name}") is computed by no operator before this one`)
  }

  /** Makes the nodes of an operator; what they are, for the table. */
  private convert(index: number, operator: string, name: string): string {
    this.place = `${this.source}: operator ${index} (${operator} "${name}")`
    const rule = Object.hasOwn(RULES, operator) ? RULES[operator] : undefined
    if (!rule) this.fail(`is not supported. Supported are ${Object.keys(RULES).join(', ')}`)
    const { inputs = [], outputs = [] } = this.operators[index]
    if (!outputs.length) this.fail('has no output')
    // Stored weights that are only made float: whoever reads them reads the stored ones.
    if (operator === 'DEQUANTIZE' && inputs.length === 1 && this.tensors.isConstant(inputs[0])) {
      this.tensors.alias(outputs[0], inputs[0])
      return 'nothing: its readers take the stored weights'
    }
    const call: Call = {
      operator,
      name,
      inputs,
      outputs: outputs.map((i) => this.tensors.at(i)),
      tensors: this.tensors,
      fail: this.fail,
      options: (kind) => this.options(index, kind),
      tensor: (i) => this.tensors.at(inputs[i] ?? -1),
      x: (i) => this.value(inputs[i] ?? -1),
      has: (i) => (inputs[i] ?? -1) >= 0,
    }
    const before = new Set(this.values.values())
    let made: Node[]
    try {
      made = rule!(call)
    } catch (cause) {
      if (cause instanceof DunlinError && !cause.message.startsWith(this.place))
        throw new DunlinError(`${this.place}: ${cause.message}`, { cause })
      throw cause
    }
    made.forEach((node, i) => {
      this.values.set(outputs[i], this.shaped(node, call.outputs[i]))
    })
    return described(made, before)
  }

  /** The node with the shape that the file says, which has as many elements. */
  private shaped(node: Node, tensor: Tensor): Node {
    const { shape } = this.tensors.sample(tensor)
    if (String(node.shape) === String(shape)) return node
    if (size(node.shape) !== size(shape)) this.fail(`gives [${node.shape}] for a sample, the file says [${shape}]`)
    const { dtype, quant } = node
    return nodeOf('reshape', { name: `${node.name}/shape`, attrs: { shape }, inputs: [node] }, { dtype, quant })
  }

  private options<K extends OptionsName>(index: number, kind: K): Row<K> {
    const { options } = this.operators[index]
    if (!options) return defaultsOf(kind)
    if (options.kind !== kind) this.fail(`has options of another kind (${options.kind}), wanted ${kind}Options`)
    return (options as { row: Row<K> }).row
  }
}

/** Options of a file that stores none. */
function defaultsOf<K extends OptionsName>(kind: K): Row<K> {
  const fields = Object.entries(TABLES[kind]) as [string, readonly unknown[]][]
  const scalars = fields.filter(([, [, type]]) => Object.hasOwn(SCALARS, type as string))
  return Object.fromEntries(
    scalars.map(([field, [, type, absent = 0]]) => [field, type === 'bool' ? false : absent]),
  ) as unknown as Row<K>
}

/** The nodes that were made, in the order in which they run. */
function described(made: readonly Node[], before: ReadonlySet<Node>): string {
  const found = new Set<Node>()
  const visit = (node: Node): void => {
    if (before.has(node) || found.has(node) || isParam(node) || isInput(node)) return
    node.inputs.forEach(visit)
    found.add(node)
  }
  made.forEach(visit)
  return [...found].map(({ op }) => op).join(', ') || 'its input as it is'
}
