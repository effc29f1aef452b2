// From the bytes of a .tflite file to a model: the operators that its outputs depend on, each as the node that its rule (operators.ts)
// makes of it, under the names of the tensors. Nodes are values of one sample, so the first axis of the file's tensors falls away.

import { DunlinError } from '../../graph/error'
import { input, isInput, isParam, type Node, type Shape, size } from '../../graph/node'
import { Model } from '../../model/model'
import { nodeOf } from '../../ops'
import { readModelTable } from './flatbuffer'
import { BY_SHAPE, type Call, RULES, VARIABLES } from './operators'
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
  /** Names of variables by the tensors that stand for them, their first values, what a run reads and what it writes. */
  private readonly handles = new Map<number, string>()
  private readonly initial = new Map<string, { value: number | undefined }>()
  private readonly recalled = new Map<string, Node>()
  private readonly assigned = new Map<string, Node>()
  private readonly size: number
  /** Where errors stand. */
  private place: string

  constructor(
    bytes: Uint8Array,
    private readonly model: Row<'Model'>,
    private readonly source: string,
  ) {
    this.place = source
    this.size = bytes.length
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
    const nodes = this.remembered(this.left(outputs.map((i) => this.value(i))))
    return { model: new Model(nodes, { name: name ?? (this.graph.name || 'model') }), mappings }
  }

  /** Outputs that are only made float again are int8 outputs, which everyone reads as real numbers. */
  private left(outputs: readonly Node[]): Node[] {
    return outputs.map((node) => (node.op === 'dequantize' ? { ...node.inputs[0], name: node.name } : node))
  }

  private operatorName(i: number): string {
    return this.kindName(this.operators[i].opcodeIndex)
  }

  private kindName(index: number): string {
    const code = this.model.operatorCodes?.[index]
    if (!code) return this.fail(`an operator has kind ${index}, which the file does not list`)
    const number = Math.max(code.builtinCode, code.deprecatedBuiltinCode)
    return OPERATORS[number] === 'CUSTOM' ? `CUSTOM ${code.customCode ?? ''}` : (OPERATORS[number] ?? `operator ${number}`)
  }

  /** The operators that the outputs depend on, by index. Files list them in the order in which they run. */
  private live(outputs: readonly number[]): Set<number> {
    const wanted = new Set(outputs)
    const live = new Set<number>()
    for (let i = this.operators.length - 1; i >= 0; i--) {
      const { inputs = [], outputs = [] } = this.operators[i]
      const changes = ['ASSIGN_VARIABLE', 'CALL_ONCE'].includes(this.operatorName(i))
      if (!changes && !outputs.some((t) => wanted.has(t))) continue
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
    const { inputs = [], outputs = [] } = this.operators[index]
    if (isOnVariable(operator)) return this.variable(operator, index, inputs, outputs)
    if (!rule) this.fail(`is not supported. Supported are ${[...Object.keys(RULES), ...VARIABLES].sort().join(', ')}`)
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

  /** What an operator on a variable becomes: names and values go from one run to the next by `recall` and `remember`. */
  private variable(
    operator: (typeof VARIABLES)[number],
    index: number,
    inputs: readonly number[],
    outputs: readonly number[],
  ): string {
    if (operator === 'CALL_ONCE') return this.initialize(this.options(index, 'CallOnce').initSubgraphIndex)
    if (operator === 'VAR_HANDLE') {
      const { container = '', sharedName = '' } = this.options(index, 'VarHandle')
      this.handles.set(outputs[0], `${container}/${sharedName}`)
      return `variable "${sharedName}"`
    }
    const name = this.handles.get(inputs[0])
    if (name === undefined) return this.fail('reads or writes no variable that a VAR_HANDLE names')
    if (operator === 'ASSIGN_VARIABLE') {
      this.assigned.set(name, this.value(inputs[1] ?? -1))
      return 'remember'
    }
    // Read after it was written, it is what was written.
    const written = this.assigned.get(name)
    const tensor = this.tensors.at(outputs[0] ?? -1)
    const node = written ?? this.recalled.get(name) ?? this.recall(name, tensor)
    this.values.set(tensor.index, this.shaped(node, tensor))
    return written ? 'what was written before' : 'recall'
  }

  private recall(name: string, tensor: Tensor): Node {
    const dtype = this.tensors.dtype(tensor)
    const quant = dtype === 'i8' ? this.tensors.quant(tensor) : undefined
    const initial = this.initial.get(name)
    if (initial === undefined || (initial.value ?? Number.NaN) !== (quant?.zeroPoint ?? 0)) {
      this.fail(
        initial
          ? `starts from values that are not zeros, as they must be`
          : `reads variable "${name}", which no CALL_ONCE initializes`,
      )
    }
    const { shape } = this.tensors.sample(tensor)
    const [first] = this.graph.inputs!.map((i) => this.value(i))
    const attrs = { variable: name, shape }
    const node = nodeOf('recall', { name: tensor.name ?? '', attrs, inputs: [first] }, { dtype, ...(quant && { quant }) })
    this.recalled.set(name, node)
    return node
  }

  /** Reads the subgraph that gives variables their first values. */
  private initialize(subgraph: number): string {
    const graph = this.model.subgraphs?.[subgraph]
    if (!graph || subgraph === 0) return this.fail(`runs subgraph ${subgraph}, which the file has not`)
    const tensors = new Tensors(this.model, graph, this.fail, this.size)
    const handles = new Map<number, string>()
    const names: string[] = []
    for (const { opcodeIndex, inputs = [], outputs = [], options } of graph.operators ?? []) {
      const operator = this.kindName(opcodeIndex)
      if (operator === 'VAR_HANDLE' && options?.kind === 'VarHandle' && 'row' in options) {
        const { container = '', sharedName = '' } = options.row as Row<'VarHandle'>
        handles.set(outputs[0], `${container}/${sharedName}`)
      } else if (operator === 'ASSIGN_VARIABLE' && handles.has(inputs[0])) {
        const name = handles.get(inputs[0])!
        this.initial.set(name, { value: tensors.uniform(inputs[1]) })
        names.push(name)
      } else this.fail(`initializes variables by ${operator}; only stored values are read`)
    }
    return `the first values of ${names.length} variables`
  }

  /** The outputs; on the way to the first one the variables are remembered. */
  private remembered(outputs: Node[]): Node[] {
    let [first] = outputs
    for (const [name, value] of this.assigned) {
      const recalled = this.recalled.get(name)
      if (!recalled) continue
      if (value.dtype !== first.dtype || recalled.dtype !== first.dtype)
        this.fail(`variable "${name}" is ${value.dtype}, the first output ${first.dtype}: wanted one type`)
      const shaped = size(value.shape) === size(recalled.shape) ? value : this.fail(`variable "${name}" changes its size`)
      const inputs = [first, this.reshaped(shaped, recalled.shape), recalled]
      const integer = { dtype: first.dtype, ...(first.quant && { quant: first.quant }) }
      first = nodeOf('remember', { name: `${first.name}/remember`, attrs: { variable: name }, inputs }, integer)
    }
    return [first, ...outputs.slice(1)]
  }

  /** The node with the shape that the file says, which has as many elements. */
  private shaped(node: Node, tensor: Tensor): Node {
    const { shape } = this.tensors.sample(tensor)
    if (String(node.shape) === String(shape)) return node
    if (size(node.shape) !== size(shape)) this.fail(`gives [${node.shape}] for a sample, the file says [${shape}]`)
    return this.reshaped(node, shape)
  }

  private reshaped(node: Node, shape: Shape): Node {
    if (String(node.shape) === String(shape)) return node
    const { dtype, quant } = node
    return nodeOf('reshape', { name: `${node.name}/shape`, attrs: { shape }, inputs: [node] }, { dtype, ...(quant && { quant }) })
  }

  private options<K extends OptionsName>(index: number, kind: K): Row<K> {
    const { options } = this.operators[index]
    if (!options) return defaultsOf(kind)
    if (options.kind !== kind) this.fail(`has options of another kind (${options.kind}), wanted ${kind}Options`)
    return (options as { row: Row<K> }).row
  }
}

const isOnVariable = (operator: string): operator is (typeof VARIABLES)[number] =>
  (VARIABLES as readonly string[]).includes(operator)

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
