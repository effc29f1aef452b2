// From a model to the bytes of a .tflite file: one rule for each op that TensorFlow Lite has an operator for, the counterpart of
// operators.ts. A value of one sample becomes a tensor of one sample, whose first size is free.

import { DunlinError } from '../../graph/error'
import {
  BYTES,
  type Dtype,
  type InputAttrs,
  isInput,
  isParam,
  type Node,
  type Param,
  type Quant,
  type Shape,
  size,
} from '../../graph/node'
import type { Model } from '../../model/model'
import type { BatchNormAttrs } from '../../ops/batchNorm'
import type { Conv2dAttrs } from '../../ops/conv2d'
import type { LstmAttrs } from '../../ops/lstm'
import type { Activation } from '../../ops/op'
import type { AvgPoolAttrs } from '../../ops/pool2d'
import type { ResizeAttrs } from '../../ops/resize'
import type { PadAttrs, SliceAttrs } from '../../ops/slice'
import type { SvdfAttrs } from '../../ops/svdf'
import type { Padding } from '../../ops/window'
import { writeModelTable } from './flatbuffer'
import { ACTIVATIONS, type Draft, OPERATORS, type OptionsDraft, SAME, TYPE, VALID } from './schema'

/**
 * The model as a .tflite file, float or int8: importTflite reads it back to the same values, bit for bit.
 * @throws DunlinError that names the layer that TensorFlow Lite has no operator for, and the ops that can be written
 */
export function exportTflite(model: Model): Uint8Array {
  return new Export(model).run()
}

/** The padding before and after an axis: 0 is the height, 1 the width. */
function sides(padding: Padding, axis: 0 | 1): 'same' | readonly [number, number] {
  if (padding === 'same') return 'same'
  if (padding === 'valid') return [0, 0]
  return typeof padding === 'number' ? [padding, padding] : [padding[2 * axis], padding[2 * axis + 1]]
}

/** `conv2d "stem"`: how errors name a node. */
const where = ({ op, name }: Node): string => (name ? `${op} "${name}"` : op)

const TYPES: Partial<Record<Dtype, number>> = { f32: TYPE.FLOAT32, i8: TYPE.INT8, i16: TYPE.INT16, i32: TYPE.INT32 }

/** Versions of operators on int8 values, where not 2. */
const VERSIONS: Record<string, number> = {
  CONV_2D: 3,
  DEPTHWISE_CONV_2D: 3,
  FULLY_CONNECTED: 4,
  HARD_SWISH: 1,
  RESHAPE: 1,
  SVDF: 3,
}

type Rule = (e: Export, node: Node<never>) => void

class Export {
  private readonly buffers: Draft<'Buffer'>[] = [{}]
  private tensors: Draft<'Tensor'>[] = []
  private operators: Draft<'Operator'>[] = []
  private readonly codes: Draft<'OperatorCode'>[] = []
  private readonly values = new Map<Node, number>()
  private readonly stored = new Map<string, number>()
  private readonly handles = new Map<string, number>()
  /** Sizes and types of variables, to begin as zeros. */
  private readonly variables = new Map<string, Node>()

  constructor(private readonly model: Model) {}

  run(): Uint8Array {
    const { model } = this
    const inputs = model.inputs.map((node) => this.enter(node))
    for (const node of model.nodes) {
      if (isParam(node) || isInput(node)) continue
      const rule = Object.hasOwn(RULES, node.op) ? (RULES[node.op] as Rule) : undefined
      if (!rule) this.fail(node, `has no operator in a .tflite file. There are some for ${Object.keys(RULES).sort().join(', ')}`)
      rule!(this, node as Node<never>)
    }
    const outputs = model.outputs.map((node) => this.value(node))
    const named = (list: readonly number[], nodes: readonly Node[]) =>
      list.map((tensorIndex, i) => ({ name: nodes[i].name, tensorIndex }))
    const main = { name: model.name, tensors: this.tensors, inputs, outputs, operators: this.operators }
    const initial = this.initial(main)
    return writeModelTable({
      version: 3,
      description: 'dunlin',
      operatorCodes: this.codes,
      subgraphs: [main, ...initial],
      buffers: this.buffers,
      signatureDefs: [{ key: 'serving_default', inputs: named(inputs, model.inputs), outputs: named(outputs, model.outputs) }],
    })
  }

  fail(node: Node, what: string): never {
    throw new DunlinError(`exportTflite: ${where(node)} ${what}.`)
  }

  /** The tensor of an input. What it is normalized by is computed in the graph: files do not know of it. */
  private enter(node: Node<InputAttrs>): number {
    const { normalize } = node.attrs
    if (node.dtype === 'u8' || node.dtype === 'i16' || node.dtype === 'i32')
      this.fail(node, `is ${node.dtype}; inputs are f32 or i8`)
    if (!normalize) {
      const index = this.activation(node.name, node.shape, node.dtype, node.quant)
      this.values.set(node, index)
      return index
    }
    const raw = this.activation(node.name, node.shape, 'f32')
    const [mean, std] = [[normalize.mean].flat(), [normalize.std].flat()]
    const factor = this.constant(
      `${node.name}/factor`,
      [std.length],
      Float32Array.from(std, (s) => 1 / s),
    )
    const shift = this.constant(
      `${node.name}/shift`,
      [std.length],
      Float32Array.from(std, (s, i) => -mean[i] / s),
    )
    const scaled = this.activation(`${node.name}/scaled`, node.shape, 'f32')
    this.operator('MUL', [raw, factor], [scaled], { kind: 'Mul', row: {} })
    const normal = this.activation(`${node.name}/normalized`, node.shape, 'f32')
    this.operator('ADD', [scaled, shift], [normal], { kind: 'Add', row: {} })
    this.values.set(node, normal)
    if (node.dtype === 'i8') {
      const quantized = this.activation(`${node.name}/int8`, node.shape, 'i8', node.quant)
      this.operator('QUANTIZE', [normal], [quantized], { kind: 'Quantize', row: {} })
      this.values.set(node, quantized)
    }
    return raw
  }

  /** The subgraph that runs once: it writes zeros into the variables. */
  private initial(main: { operators: Draft<'Operator'>[] }): Draft<'SubGraph'>[] {
    if (!this.variables.size) return []
    this.operator('CALL_ONCE', [], [], { kind: 'CallOnce', row: { initSubgraphIndex: 1 } })
    main.operators.unshift(main.operators.pop()!)
    this.tensors = []
    this.operators = []
    this.handles.clear()
    for (const [name, node] of this.variables) {
      const zeros = new Uint8Array(size(node.shape) * BYTES[node.dtype]).fill(node.quant?.zeroPoint ?? 0)
      const value = this.tensor(`${name}/zeros`, [1, ...node.shape], node.dtype, node.quant, zeros)
      this.operator('ASSIGN_VARIABLE', [this.handle(name), value], [], { kind: 'AssignVariable', row: {} })
    }
    return [{ name: 'initialize', tensors: this.tensors, inputs: [], outputs: [], operators: this.operators }]
  }

  /** The tensor that stands for a variable. */
  handle(name: string): number {
    let handle = this.handles.get(name)
    if (handle === undefined) {
      handle = this.tensors.push({ name: `${name}/handle`, shape: [], type: TYPE.RESOURCE, buffer: 0 }) - 1
      this.handles.set(name, handle)
      this.operator('VAR_HANDLE', [], [handle], { kind: 'VarHandle', row: { container: '', sharedName: name } })
    }
    return handle
  }

  variable(name: string, node: Node): number {
    this.variables.set(name, node)
    return this.handle(name)
  }

  private tensor(name: string, shape: Shape, dtype: Dtype, quant?: Quant, data?: Uint8Array, axis = 0): number {
    const buffer = data ? this.buffers.push({ data }) - 1 : 0
    const quantization = quant && {
      scale: [...quant.scale],
      zeroPoint: quant.scale.map(() => quant.zeroPoint),
      ...(quant.scale.length > 1 && { quantizedDimension: axis }),
    }
    return this.tensors.push({ name, shape: [...shape], type: TYPES[dtype], buffer, ...(quantization && { quantization }) }) - 1
  }

  /** A tensor of values: one sample, or any number. */
  activation(name: string, shape: Shape, dtype: Dtype, quant?: Quant): number {
    const index = this.tensor(name, [1, ...shape], dtype, quant)
    this.tensors[index] = { ...this.tensors[index], shapeSignature: [-1, ...shape] }
    return index
  }

  /** A tensor that keeps its contents from run to run. */
  state(name: string, shape: Shape, dtype: Dtype, quant?: Quant): number {
    const index = this.tensor(name, shape, dtype, quant)
    this.tensors[index] = { ...this.tensors[index], isVariable: true }
    return index
  }

  constant(
    name: string,
    shape: Shape,
    data: Float32Array | Int32Array | Int8Array | Int16Array,
    quant?: Quant,
    axis = 0,
  ): number {
    const dtype =
      data instanceof Float32Array ? 'f32' : data instanceof Int32Array ? 'i32' : data instanceof Int16Array ? 'i16' : 'i8'
    return this.tensor(name, shape, dtype, quant, new Uint8Array(data.buffer, data.byteOffset, data.byteLength), axis)
  }

  numbers(name: string, values: readonly number[], shape: Shape = [values.length]): number {
    return this.constant(name, shape, Int32Array.from(values))
  }

  /** The tensor of a parameter, under another shape if one is given; once for all that share it. */
  param(node: Node, param: Node | undefined, shape = param?.shape, axis = 0): number {
    if (!param) return -1
    if (!isParam(param)) return this.fail(node, `computes its weights (${where(param)}); only stored ones can be written`)
    const key = `${param.name} ${shape}`
    const index = this.stored.get(key) ?? this.constant(param.name, shape!, param.data as Float32Array, param.quant, axis)
    this.stored.set(key, index)
    return index
  }

  /** The bias of a convolution: zeros where there is none, which other runtimes (XNNPACK) do not expect. */
  bias(node: Node): number {
    const b: Node | undefined = node.inputs[2]
    const channels = node.shape[node.shape.length - 1]
    return b ? this.param(node, b) : this.constant(`${node.name}/b`, [channels], new Float32Array(channels))
  }

  /** The tensor of a value, or of a parameter that stands for one. */
  value(node: Node): number {
    return isParam(node) ? this.param(node, node) : (this.values.get(node) as number)
  }

  /** Makes the node's tensor the output of an operator. */
  emit(node: Node, operator: string, inputs: readonly number[], options?: OptionsDraft, version?: number): void {
    const output = this.activation(node.name, node.shape, node.dtype, node.quant)
    this.operator(operator, inputs, [output], options, version ?? (node.dtype === 'i8' ? (VERSIONS[operator] ?? 2) : 1))
    this.values.set(node, output)
  }

  /** Makes the node the same as a tensor that is there. */
  same(node: Node, tensor: number): void {
    this.values.set(node, tensor)
  }

  operator(name: string, inputs: readonly number[], outputs: readonly number[], options?: OptionsDraft, version = 1): void {
    const builtinCode = OPERATORS.indexOf(name)
    let opcodeIndex = this.codes.findIndex((c) => c.builtinCode === builtinCode && c.version === version)
    if (opcodeIndex < 0)
      opcodeIndex = this.codes.push({ builtinCode, deprecatedBuiltinCode: Math.min(builtinCode, 127), version }) - 1
    this.operators.push({ opcodeIndex, inputs: [...inputs], outputs: [...outputs], ...(options && { options }) })
  }

  /** The first input of a windowed node, with explicit padding made by a PAD; and the padding that is left. */
  padded(node: Node<{ padding: Padding }>): { x: number; padding: number } {
    const [x] = node.inputs
    const [v, h] = ([0, 1] as const).map((axis) => sides(node.attrs.padding, axis))
    if (v === 'same' || h === 'same') return { x: this.value(x), padding: SAME }
    const around = [[0, 0], v, h, [0, 0]]
    if (around.flat().every((n) => n === 0)) return { x: this.value(x), padding: VALID }
    const shape = [x.shape[0] + v[0] + v[1], x.shape[1] + h[0] + h[1], x.shape[2]]
    const output = this.activation(`${node.name}/padded`, shape, x.dtype, x.quant)
    const paddings = this.numbers(`${node.name}/padding`, around.flat(), [4, 2])
    this.operator('PAD', [this.value(x), paddings], [output], { kind: 'Pad', row: {} }, x.dtype === 'i8' ? 2 : 1)
    return { x: output, padding: VALID }
  }
}

const activationOf = (node: Node<{ activation?: Activation }>): number =>
  node.attrs.activation ? ACTIVATIONS.indexOf(node.attrs.activation === 'relu' ? 'RELU' : 'RELU6') : 0

const inputsOf = (e: Export, node: Node): number[] => node.inputs.map((x) => e.value(x))

const plain =
  (operator: string, options?: OptionsDraft): Rule =>
  (e, node) =>
    e.emit(node, operator, inputsOf(e, node), options)

const combine =
  (operator: string, kind: 'Add' | 'Sub' | 'Mul'): Rule =>
  (e, node: Node<{ activation?: Activation }>) =>
    e.emit(node, operator, inputsOf(e, node), { kind, row: { activation: activationOf(node) } })

const conv2d: Rule = (e, node: Node<Conv2dAttrs>) => {
  const { strides, dilation = [1, 1] } = node.attrs
  const { x, padding } = e.padded(node)
  const [strideH, strideW] = strides
  const [dilationH, dilationW] = dilation
  const row = { padding, strideH, strideW, dilationH, dilationW, activation: activationOf(node) }
  e.emit(node, 'CONV_2D', [x, e.param(node, node.inputs[1]), e.bias(node)], { kind: 'Conv2D', row })
}

const depthwiseConv2d: Rule = (e, node: Node<Conv2dAttrs>) => {
  const { strides, dilation = [1, 1] } = node.attrs
  const { x, padding } = e.padded(node)
  const [strideH, strideW] = strides
  const [dilationH, dilationW] = dilation
  const [from, w] = node.inputs
  const depthMultiplier = node.shape[2] / from.shape[2]
  const row = { padding, strideH, strideW, dilationH, dilationW, depthMultiplier, activation: activationOf(node) }
  const weights = e.param(node, w, [1, ...w.shape], 3)
  e.emit(node, 'DEPTHWISE_CONV_2D', [x, weights, e.bias(node)], { kind: 'DepthwiseConv2D', row })
}

const dense: Rule = (e, node: Node<{ activation?: Activation }>) => {
  const [x, w, b] = node.inputs
  const row = { activation: activationOf(node), keepNumDims: x.shape.length > 1 }
  e.emit(node, 'FULLY_CONNECTED', [e.value(x), e.param(node, w), e.param(node, b)], { kind: 'FullyConnected', row })
}

const pool =
  (operator: string): Rule =>
  (e, node: Node<AvgPoolAttrs>) => {
    const { kernel, strides, countPadding } = node.attrs
    if (operator === 'MAX_POOL_2D' || !countPadding) {
      const padding = [0, 1].map((axis) => sides(node.attrs.padding, axis as 0 | 1))
      if (!padding.includes('same') && padding.flat().some((n) => n !== 0))
        e.fail(node, `has padding ${JSON.stringify(node.attrs.padding)}; pools of a .tflite file have "same" or "valid"`)
    } else if (node.attrs.padding === 'same') e.fail(node, 'counts padding "same" in its mean, which a .tflite file does not')
    const { x, padding } = e.padded(node)
    const row = { padding, strideH: strides[0], strideW: strides[1], filterHeight: kernel[0], filterWidth: kernel[1] }
    e.emit(node, operator, [x], { kind: 'Pool2D', row })
  }

/** In inference a factor and a shift for each channel. (fold() makes them part of the layer before.) */
const batchNorm: Rule = (e, node: Node<BatchNormAttrs>) => {
  const [x, ...params] = node.inputs
  if (!params.every(isParam) || node.dtype !== 'f32') e.fail(node, 'is not one of stored float parameters')
  const [gamma, beta, mean, variance] = params as Param[]
  const { epsilon, activation } = node.attrs
  const scale = Float64Array.from(gamma.data, (g, i) => g / Math.sqrt(variance.data[i] + epsilon))
  const factor = e.constant(`${node.name}/factor`, gamma.shape, Float32Array.from(scale))
  const shift = e.constant(
    `${node.name}/shift`,
    gamma.shape,
    Float32Array.from(scale, (s, i) => beta.data[i] - mean.data[i] * s),
  )
  const scaled = e.activation(`${node.name}/scaled`, node.shape, 'f32')
  e.operator('MUL', [e.value(x), factor], [scaled], { kind: 'Mul', row: {} })
  e.emit(node, 'ADD', [scaled, shift], { kind: 'Add', row: { activation: activationOf({ ...node, attrs: { activation } }) } })
}

/** Operators repeat what is smaller by themselves: axes are matched from the last one, of values after that of samples. */
const broadcast: Rule = (e, node) => {
  const [x] = node.inputs
  if (isParam(x) || x.shape.length === node.shape.length) return e.same(node, e.value(x))
  const shape = [...node.shape.slice(x.shape.length).map(() => 1), ...x.shape]
  const output = e.activation(`${node.name}/axes`, shape, x.dtype, x.quant)
  e.operator('RESHAPE', [e.value(x), e.numbers(`${node.name}/shape`, [-1, ...shape])], [output], {
    kind: 'Reshape',
    row: { newShape: [-1, ...shape] },
  })
  e.same(node, output)
}

const clip: Rule = (e, node: Node<{ low?: number; high?: number }>) => {
  const { low, high } = node.attrs
  if (low !== -1 || high !== 1)
    e.fail(node, `is between ${low ?? -Infinity} and ${high ?? Infinity}; there is an operator for -1 and 1, and relu and relu6`)
  e.emit(node, 'RELU_N1_TO_1', inputsOf(e, node))
}

const concat: Rule = (e, node: Node<{ axis: number }>) =>
  e.emit(node, 'CONCATENATION', inputsOf(e, node), { kind: 'Concatenation', row: { axis: node.attrs.axis + 1 } })

const elu: Rule = (e, node: Node<{ alpha: number }>) => {
  if (node.attrs.alpha !== 1 || node.dtype !== 'f32')
    e.fail(node, `has alpha ${node.attrs.alpha}; there is a float operator for 1`)
  e.emit(node, 'ELU', inputsOf(e, node))
}

const float =
  (operator: string, options?: OptionsDraft): Rule =>
  (e, node) => {
    if (node.dtype !== 'f32') e.fail(node, `is ${node.dtype}; there is a float operator only`)
    e.emit(node, operator, inputsOf(e, node), options)
  }

const leakyRelu: Rule = (e, node: Node<{ alpha: number }>) =>
  e.emit(node, 'LEAKY_RELU', inputsOf(e, node), { kind: 'LeakyRelu', row: { alpha: node.attrs.alpha } })

const mean: Rule = (e, node: Node<{ axes: readonly number[] }>) => {
  const axes = e.numbers(
    `${node.name}/axes`,
    node.attrs.axes.map((a) => a + 1),
  )
  e.emit(node, 'MEAN', [...inputsOf(e, node), axes], { kind: 'Reducer', row: { keepDims: false } })
}

const pad: Rule = (e, node: Node<PadAttrs>) => {
  const { padding, value } = node.attrs
  const flat = [[0, 0], ...padding].flat()
  const paddings = e.numbers(`${node.name}/padding`, flat, [flat.length / 2, 2])
  if (value === 0) return e.emit(node, 'PAD', [...inputsOf(e, node), paddings], { kind: 'Pad', row: {} })
  const { quant } = node
  const q = quant && Math.max(-128, Math.min(127, quant.zeroPoint + Math.round(value / quant.scale[0])))
  const fill = e.constant(`${node.name}/value`, [1], q === undefined ? Float32Array.of(value) : Int8Array.of(q), quant)
  e.emit(node, 'PADV2', [...inputsOf(e, node), paddings, fill], { kind: 'PadV2', row: {} })
}

const permute: Rule = (e, node: Node<{ axes: readonly number[] }>) => {
  const axes = e.numbers(`${node.name}/axes`, [0, ...node.attrs.axes.map((a) => a + 1)])
  e.emit(node, 'TRANSPOSE', [...inputsOf(e, node), axes], { kind: 'Transpose', row: {} })
}

const reshape: Rule = (e, node) => {
  const shape = [-1, ...node.shape]
  e.emit(node, 'RESHAPE', [...inputsOf(e, node), e.numbers(`${node.name}/shape`, shape)], {
    kind: 'Reshape',
    row: { newShape: shape },
  })
}

const resize: Rule = (e, node: Node<ResizeAttrs>) => {
  const { size: to, method, pixels = method === 'nearest' ? 'edges' : 'centers' } = node.attrs
  const [operator, kind] =
    method === 'nearest'
      ? (['RESIZE_NEAREST_NEIGHBOR', 'ResizeNearestNeighbor'] as const)
      : (['RESIZE_BILINEAR', 'ResizeBilinear'] as const)
  const row = { alignCorners: pixels === 'corners', halfPixelCenters: pixels === 'centers' }
  e.emit(
    node,
    operator,
    [...inputsOf(e, node), e.numbers(`${node.name}/size`, to)],
    { kind, row },
    pixels === 'edges' ? undefined : 3,
  )
}

const slice: Rule = (e, node: Node<SliceAttrs>) => {
  const { begin, size: count, strides = begin.map(() => 1) } = node.attrs
  const list = (what: string, first: number, values: readonly number[]) => e.numbers(`${node.name}/${what}`, [first, ...values])
  const ends = begin.map((b, i) => b + (count[i] - 1) * strides[i] + 1)
  const args = [list('begin', 0, begin), list('end', 0, ends), list('strides', 1, strides)]
  // All samples, however many there are.
  e.emit(node, 'STRIDED_SLICE', [...inputsOf(e, node), ...args], { kind: 'StridedSlice', row: { beginMask: 1, endMask: 1 } })
}

const lstm: Rule = (e, node: Node<LstmAttrs>) => {
  const { sequences, reverse, mask, initial, cellClip = 0, cellBits = 0 } = node.attrs
  if (reverse || mask || initial) e.fail(node, 'runs backwards, has a mask or is given its state, which its operator does not')
  const [x, w, u, b] = node.inputs
  const gates = (param: Node): number[] => {
    if (!isParam(param)) return e.fail(node, 'computes its weights; only stored ones can be written')
    const { data, shape, quant, name } = param
    const each = data.length / 4
    return [0, 1, 2, 3].map((g) => {
      const own = quant && { scale: [quant.scale[g]], zeroPoint: quant.zeroPoint }
      return e.constant(
        `${name}/${'ifgo'[g]}`,
        [shape[0] / 4, ...shape.slice(1)],
        data.slice(g * each, (g + 1) * each) as Float32Array,
        own,
      )
    })
  }
  const units = u.shape[1]
  const cell = { scale: [2 ** (cellBits - 15)], zeroPoint: 0 }
  const states = [
    e.state(`${node.name}/h`, [1, units], node.dtype, node.quant),
    node.dtype === 'i8' ? e.state(`${node.name}/c`, [1, units], 'i16', cell) : e.state(`${node.name}/c`, [1, units], 'f32'),
  ]
  const inputs = [e.value(x), ...gates(w), ...gates(u), -1, -1, -1, ...gates(b), -1, -1, ...states, -1, -1, -1, -1]
  const options: OptionsDraft = { kind: 'UnidirectionalSequenceLSTM', row: { activation: ACTIVATIONS.indexOf('TANH'), cellClip } }
  const operator = 'UNIDIRECTIONAL_SEQUENCE_LSTM'
  if (sequences) return e.emit(node, operator, inputs, options)
  const [steps] = x.shape
  const all = e.activation(`${node.name}/steps`, [steps, units], node.dtype, node.quant)
  e.operator(operator, inputs, [all], options, node.dtype === 'i8' ? 2 : 1)
  const args = [
    [0, steps - 1, 0],
    [0, steps, units],
    [1, 1, 1],
  ].map((v, i) => e.numbers(`${node.name}/${['begin', 'end', 'strides'][i]}`, v))
  e.emit(node, 'STRIDED_SLICE', [all, ...args], { kind: 'StridedSlice', row: { beginMask: 5, endMask: 5, shrinkAxisMask: 2 } })
}

const svdf: Rule = (e, node: Node<SvdfAttrs>) => {
  const [x, f, w, b] = node.inputs
  const { rank, stateScale } = node.attrs
  const state = [1, f.shape[0] * w.shape[1]]
  const kept =
    stateScale === undefined
      ? e.state(`${node.name}/state`, state, 'f32')
      : e.state(`${node.name}/state`, state, 'i16', { scale: [stateScale], zeroPoint: 0 })
  const inputs = [e.value(x), e.param(node, f), e.param(node, w), e.param(node, b), kept]
  e.emit(node, 'SVDF', inputs, { kind: 'SVDF', row: { rank, activation: activationOf(node) } })
}

const recall: Rule = (e, node: Node<{ variable: string }>) =>
  e.emit(node, 'READ_VARIABLE', [e.variable(node.attrs.variable, node)], { kind: 'ReadVariable', row: {} }, 1)

const remember: Rule = (e, node: Node<{ variable: string }>) => {
  const [y, value] = node.inputs
  e.operator('ASSIGN_VARIABLE', [e.handle(node.attrs.variable), e.value(value)], [], { kind: 'AssignVariable', row: {} })
  e.same(node, e.value(y))
}

const RULES: Record<string, (e: Export, node: Node<never>) => void> = {
  add: combine('ADD', 'Add'),
  avgPool2d: pool('AVERAGE_POOL_2D'),
  batchNorm,
  broadcast,
  clip,
  concat,
  conv2d,
  dense,
  depthwiseConv2d,
  dequantize: plain('DEQUANTIZE', { kind: 'Dequantize', row: {} }),
  dropout: (e, node: Node) => e.same(node, e.value(node.inputs[0])),
  elu,
  gelu: float('GELU', { kind: 'Gelu', row: { approximate: true } }),
  hardSwish: plain('HARD_SWISH', { kind: 'HardSwish', row: {} }),
  leakyRelu,
  logSoftmax: float('LOG_SOFTMAX'),
  lstm,
  maxPool2d: pool('MAX_POOL_2D'),
  mean,
  mul: combine('MUL', 'Mul'),
  pad,
  permute,
  recall,
  relu: plain('RELU'),
  relu6: plain('RELU6'),
  remember,
  rescale: plain('QUANTIZE', { kind: 'Quantize', row: {} }),
  reshape,
  resize,
  sigmoid: plain('LOGISTIC'),
  slice,
  softmax: plain('SOFTMAX', { kind: 'Softmax', row: { beta: 1 } }),
  sub: combine('SUB', 'Sub'),
  svdf,
  tanh: plain('TANH'),
  toInt8: plain('QUANTIZE', { kind: 'Quantize', row: {} }),
}
