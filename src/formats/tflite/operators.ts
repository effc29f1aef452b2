// One rule for each operator of TensorFlow Lite that dunlin has: which node it is here. What a rule does not check, the op's own shape rule
// does. Rules give the value of each output; where a tensor's shape is another one of the same size, import.ts reshapes.

import { type Node, type Param, type Quant, type Shape, size } from '../../graph/node'
import { nodeOf, type OpName } from '../../ops'
import { ACTIVATIONS, type OptionsName, type Row, SAME, TYPE, VALID } from './schema'
import type { Tensor, Tensors } from './tensors'

/** One operator of the file, as its rule sees it. */
export interface Call {
  readonly operator: string
  readonly name: string
  readonly inputs: readonly number[]
  readonly outputs: readonly Tensor[]
  readonly tensors: Tensors
  readonly fail: (what: string) => never
  /** The operator's options; those of a file without any are all default. */
  options<K extends OptionsName>(kind: K): Row<K>
  /** Tensor of input i. */
  tensor(i: number): Tensor
  /** Value of input i, for one sample. */
  x(i: number): Node
  has(i: number): boolean
}

export type Rule = (c: Call) => Node[]

/** What int8 values have beside a shape: the scale of output i. */
const typed = (c: Call, i = 0): { dtype: 'f32' | 'i8'; quant?: Quant } => {
  const dtype = c.tensors.dtype(c.outputs[i])
  return dtype === 'i8' ? { dtype, quant: c.tensors.quant(c.outputs[i]) } : { dtype }
}

/** The node of an op, whose output is output i of the operator. */
function make(c: Call, op: OpName, attrs: object, inputs: readonly Node[], name = c.name, integer = typed(c)): Node {
  const wanted = integer.dtype
  const strange = inputs.find((x) => x.batched && x.dtype !== wanted)
  if (strange) c.fail(`reads "${strange.name}", which is ${strange.dtype}, for an output that is ${wanted}. Wanted the same type`)
  return nodeOf(op, { name, attrs, inputs }, integer)
}

const reshaped = (x: Node, shape: Shape, name: string): Node =>
  String(x.shape) === String(shape)
    ? x
    : nodeOf('reshape', { name, attrs: { shape }, inputs: [x] }, { dtype: x.dtype, quant: x.quant })

type Fused = (typeof ACTIVATIONS)[number]

function activationOf(c: Call, code: number): Fused {
  const name = ACTIVATIONS[code]
  if (!name) c.fail(`has fused activation ${code}; there are ${ACTIVATIONS.join(', ')}`)
  return name
}

/** Activations that a kernel's clamp computes. */
const CLAMPED: Partial<Record<Fused, 'relu' | 'relu6'>> = { RELU: 'relu', RELU6: 'relu6' }

/** A node with the operator's fused activation: in its kernel where `inside` says that it can be, else as a node of its own. */
function fused(c: Call, code: number, inside: boolean, build: (activation: object, name: string) => Node): Node {
  const activation = activationOf(c, code)
  if (activation === 'NONE') return build({}, c.name)
  const clamp = CLAMPED[activation]
  if (clamp && inside) return build({ activation: clamp }, c.name)
  const before = build({}, `${c.name}/linear`)
  if (clamp) return make(c, clamp, {}, [before])
  if (activation === 'RELU_N1_TO_1') return make(c, 'clip', { low: -1, high: 1 }, [before])
  if (activation === 'TANH' && before.dtype === 'f32') return make(c, 'tanh', {}, [before])
  return c.fail(`has the fused activation ${activation}, which dunlin has not for ${before.dtype}`)
}

const padding = (c: Call, code: number): 'same' | 'valid' =>
  code === SAME ? 'same' : code === VALID ? 'valid' : c.fail(`has padding ${code}, wanted 0 (SAME) or 1 (VALID)`)

/** Weights and bias of a layer: float, dequantized where only they are int8 ("dynamic range"), or int8 with an int32 bias. */
function parameters(c: Call, x: Node, axis: number, channels: number, shape?: Shape, along = axis): Param[] {
  const { tensors } = c
  if (x.dtype === 'f32') {
    return [tensors.floats(c.inputs[1], shape), ...(c.has(2) ? [tensors.floats(c.inputs[2], [channels])] : [])]
  }
  const w = tensors.weights(c.inputs[1], along, shape)
  const scale = w.quant!.scale.map((s) => s * x.quant!.scale[0])
  const none = () => tensors.param(`${c.name}/no bias`, [channels], 'i32', new Int32Array(channels), { scale, zeroPoint: 0 })
  return [w, c.has(2) ? tensors.bias(c.inputs[2], channels) : none()]
}

const conv2d: Rule = (c) => {
  const o = c.options('Conv2D')
  const x = c.x(0)
  const [filters, kh, kw, channels] = c.tensor(1).shape
  const attrs = {
    kernel: [kh, kw],
    strides: [o.strideH, o.strideW],
    dilation: [o.dilationH, o.dilationW],
    padding: padding(c, o.padding),
    ...(x.shape[2] !== channels && { groups: x.shape[2] / channels }),
  }
  const params = parameters(c, x, 0, filters)
  return [fused(c, o.activation, true, (a, name) => make(c, 'conv2d', { ...attrs, ...a }, [x, ...params], name))]
}

const depthwiseConv2d: Rule = (c) => {
  const o = c.options('DepthwiseConv2D')
  const x = c.x(0)
  const { shape } = c.tensor(1)
  if (shape.length !== 4 || shape[0] !== 1) c.fail(`has weights of shape [${shape}], wanted [1, height, width, channels]`)
  const attrs = {
    kernel: [shape[1], shape[2]],
    strides: [o.strideH, o.strideW],
    dilation: [o.dilationH, o.dilationW],
    padding: padding(c, o.padding),
  }
  const params = parameters(c, x, 2, shape[3], shape.slice(1), 3)
  return [fused(c, o.activation, true, (a, name) => make(c, 'depthwiseConv2d', { ...attrs, ...a }, [x, ...params], name))]
}

/** On a vector, or on each of a row of them. */
const fullyConnected: Rule = (c) => {
  const o = c.options('FullyConnected')
  if (o.weightsFormat !== 0) c.fail(`has shuffled weights (format ${o.weightsFormat}). Convert the model with the default format`)
  const x = c.x(0)
  const { shape } = c.tensor(1)
  const [units, k] = shape
  if (shape.length !== 2 || size(x.shape) % k) c.fail(`has weights [${shape}] for an input of ${size(x.shape)} values a sample`)
  const rows = size(x.shape) / k
  const vectors = reshaped(x, rows === 1 ? [k] : [rows, k], `${c.name}/flatten`)
  const params = parameters(c, x, 0, units)
  return [fused(c, o.activation, true, (a, name) => make(c, 'dense', a, [vectors, ...params], name))]
}

const pool =
  (op: 'avgPool2d' | 'maxPool2d'): Rule =>
  (c) => {
    const o = c.options('Pool2D')
    const attrs = {
      kernel: [o.filterHeight, o.filterWidth],
      strides: [o.strideH, o.strideW],
      padding: padding(c, o.padding),
    }
    return [fused(c, o.activation, false, (_, name) => make(c, op, attrs, [c.x(0)], name))]
  }

const unary =
  (op: OpName, attrs: object = {}): Rule =>
  (c) => [make(c, op, attrs, [c.x(0)])]

const gelu: Rule = (c) => {
  if (!c.options('Gelu').approximate) c.fail('is computed by erf; dunlin has the one by tanh (approximate)')
  return [make(c, 'gelu', {}, [c.x(0)])]
}

/** An activation that keeps its input's scale in dunlin; where TensorFlow Lite's changes it, it is brought to the new one before. */
const clamp =
  (op: 'relu' | 'relu6' | 'clip', attrs: object = {}): Rule =>
  (c) => [make(c, op, attrs, [rescaled(c, c.x(0))])]

/** Curves whose int8 output has a scale that the specification fixes. */
const fixedCurve =
  (op: 'sigmoid' | 'tanh' | 'softmax', scale: number, zeroPoint: number): Rule =>
  (c) => {
    const { quant } = typed(c)
    if (quant && (quant.scale[0] !== scale || quant.zeroPoint !== zeroPoint)) {
      c.fail(`has an output of scale ${quant.scale[0]} and zero point ${quant.zeroPoint}, wanted ${scale} and ${zeroPoint}`)
    }
    if (op === 'softmax' && c.options('Softmax').beta !== 1) c.fail(`has beta ${c.options('Softmax').beta}, wanted 1`)
    return [make(c, op, {}, [c.x(0)])]
  }

/** x on the scale of output i. */
function rescaled(c: Call, x: Node, i = 0): Node {
  const { dtype, quant } = typed(c, i)
  if (dtype !== 'i8' || x.dtype !== 'i8') return x
  const same = x.quant!.scale[0] === quant!.scale[0] && x.quant!.zeroPoint === quant!.zeroPoint
  return same ? x : nodeOf('rescale', { name: `${c.name}/scale`, attrs: {}, inputs: [x] }, { dtype, quant })
}

/** Input i with the output's shape and type: a constant becomes a parameter, and what is smaller is repeated. */
function operand(c: Call, i: number, shape: Shape, like: Node | undefined): Node {
  if (!c.tensors.isConstant(c.inputs[i])) {
    const x = c.x(i)
    return String(x.shape) === String(shape) ? x : spread(c, x, shape, like ?? x, i)
  }
  if (!like) return c.fail('computes with constants only. Fold them when converting the model')
  const stored = c.tensors.dtype(c.outputs[0]) === 'f32' ? c.tensors.floats(c.inputs[i]) : c.tensors.values(c.inputs[i])
  return spread(c, stored, shape, like, i)
}

function spread(c: Call, x: Node, shape: Shape, like: Node, i: number): Node {
  // Axes are counted from the last; a stored tensor may have those of samples, too.
  const own = x.shape.slice(Math.max(0, x.shape.length - shape.length))
  if (size(own) !== size(x.shape))
    c.fail(`input ${i} has shape [${x.shape}], which does not repeat into [${shape}] for each sample`)
  const attrs = { shape }
  const from = own.length === x.shape.length ? x : { ...x, shape: own }
  return nodeOf(
    'broadcast',
    { name: `${c.name}/${i === 0 ? 'a' : 'b'}`, attrs, inputs: [from, like] },
    { dtype: x.dtype, quant: x.quant },
  )
}

const combine =
  (op: 'add' | 'sub' | 'mul', kind: 'Add' | 'Sub' | 'Mul'): Rule =>
  (c) => {
    const { shape } = c.tensors.sample(c.outputs[0])
    const like = [0, 1].filter((i) => !c.tensors.isConstant(c.inputs[i])).map((i) => c.x(i))[0]
    const [a, b] = [operand(c, 0, shape, like), operand(c, 1, shape, like)]
    return [fused(c, c.options(kind).activation, op === 'add', (attrs, name) => make(c, op, attrs, [a, b], name))]
  }

/** The axis of a sample that axis `axis` of the file's tensor is. */
function axisOf(c: Call, tensor: Tensor, axis: number): number {
  const { shape, first } = c.tensors.sample(tensor)
  const rank = shape.length + first
  const at = (axis < 0 ? axis + rank : axis) - first
  if (!Number.isInteger(axis) || at + first < 0 || at >= shape.length)
    c.fail(`has axis ${axis}, its input [${tensor.shape}] has ${rank}`)
  if (at < 0) c.fail(`works along axis ${axis}, which counts samples. Each sample is computed on its own here`)
  return at
}

const concat: Rule = (c) => {
  const o = c.options('Concatenation')
  const like = c.inputs.findIndex((i) => !c.tensors.isConstant(i))
  if (like < 0) c.fail('joins constants only. Fold them when converting the model')
  const axis = axisOf(c, c.tensor(like), o.axis)
  const parts = c.inputs.map((t, i) => operand(c, i, c.tensors.sample(c.tensors.at(t)).shape, c.x(like)))
  return [fused(c, o.activation, false, (_, name) => make(c, 'concat', { axis }, parts, name))]
}

const pad: Rule = (c) => {
  const x = c.x(0)
  const { shape } = c.tensor(0)
  const { first } = c.tensors.sample(c.tensor(0))
  const flat = c.tensors.numbers(c.inputs[1])
  if (flat.length !== 2 * shape.length) c.fail(`has ${flat.length} numbers of padding for ${shape.length} axes`)
  const all = shape.map((_, i) => [flat[2 * i], flat[2 * i + 1]])
  if (first && all[0].some((n) => n !== 0)) c.fail('adds samples. Pad within samples')
  const value = c.has(2) ? c.tensors.reals(c.inputs[2]).data[0] : 0
  return [make(c, 'pad', { padding: all.slice(first), value }, [rescaled(c, x)])]
}

const reshape: Rule = (c) => [reshaped(rescaled(c, c.x(0)), c.tensors.sample(c.outputs[0]).shape, c.name)]

const leakyRelu: Rule = (c) => [make(c, 'leakyRelu', { alpha: c.options('LeakyRelu').alpha }, [c.x(0)])]

const mean: Rule = (c) => {
  const tensor = c.tensor(0)
  const x = c.x(0)
  const axes = [...new Set(c.tensors.numbers(c.inputs[1]).map((axis) => axisOf(c, tensor, axis)))].sort((a, b) => a - b)
  // What a whole image is averaged by can be trained, and is one kernel with other pools.
  if (x.dtype === 'f32' && x.shape.length === 3 && String(axes) === '0,1') {
    const kernel = [x.shape[0], x.shape[1]]
    return [make(c, 'avgPool2d', { kernel, strides: kernel, padding: 'valid' }, [x])]
  }
  return [make(c, 'mean', { axes }, [x])]
}

const resize =
  (method: 'nearest' | 'bilinear', kind: 'ResizeNearestNeighbor' | 'ResizeBilinear'): Rule =>
  (c) => {
    const { alignCorners, halfPixelCenters } = c.options(kind)
    const { shape } = c.tensors.sample(c.outputs[0])
    if (alignCorners && halfPixelCenters) c.fail('has align_corners and half_pixel_centers, wanted one of them')
    const pixels = alignCorners ? 'corners' : halfPixelCenters ? 'centers' : 'edges'
    return [make(c, 'resize', { size: [shape[0], shape[1]], method, pixels }, [rescaled(c, c.x(0))])]
  }

/** The axes of a tensor that is 1 sample may go anywhere: those of size 1 are none. */
const transpose: Rule = (c) => {
  const { shape } = c.tensor(0)
  const x = c.x(0)
  const axes = c.tensors.numbers(c.inputs[1]).map((a) => (a < 0 ? a + shape.length : a))
  if (String([...axes].sort((a, b) => a - b)) !== String(shape.map((_, i) => i)))
    c.fail(`has permutation [${axes}] for shape [${shape}]`)
  const { first } = c.tensors.sample(c.tensor(0))
  const { batch } = c.tensors
  if (first && batch > 1 && axes[0] !== 0) c.fail(`moves the axis of samples (permutation [${axes}])`)
  const kept = shape.map((n, i) => ({ n, i })).filter(({ n, i }) => (i === 0 && first ? false : n > 1))
  const order = axes.flatMap((a) => kept.flatMap(({ i }, at) => (i === a ? [at] : [])))
  const same = rescaled(c, x)
  if (order.every((a, i) => a === i)) return [reshaped(same, c.tensors.sample(c.outputs[0]).shape, c.name)]
  const small = reshaped(
    same,
    kept.map(({ n }) => n),
    `${c.name}/axes`,
  )
  return [make(c, 'permute', { axes: order }, [small])]
}

/** The block of x that begins at `begin` (of all axes of the file's tensor), by whole or larger steps. */
function block(
  c: Call,
  i: number,
  output: number,
  begin: readonly number[],
  count: readonly number[],
  strides?: readonly number[],
): Node {
  const tensor = c.tensor(i)
  const { first } = c.tensors.sample(tensor)
  if (first && (begin[0] !== 0 || count[0] !== tensor.shape[0])) c.fail('takes some of the samples. It must take all')
  const attrs = {
    begin: begin.slice(first),
    size: count.slice(first),
    ...(strides?.some((s) => s !== 1) && { strides: strides.slice(first) }),
  }
  const name = c.outputs[output].name || c.name
  return make(c, 'slice', attrs, [rescaled(c, c.x(i), output)], name, typed(c, output))
}

const slice: Rule = (c) => {
  const { shape } = c.tensor(0)
  const begin = c.tensors.numbers(c.inputs[1])
  const count = c.tensors.numbers(c.inputs[2]).map((n, i) => (n === -1 ? shape[i] - begin[i] : n))
  return [block(c, 0, 0, begin, count)]
}

const stridedSlice: Rule = (c) => {
  const o = c.options('StridedSlice')
  const { shape } = c.tensor(0)
  if (o.ellipsisMask || o.newAxisMask || o.offset) c.fail('has an ellipsis, a new axis or an offset, which dunlin does not read')
  const [begins, ends, strides] = [1, 2, 3].map((i) => c.tensors.numbers(c.inputs[i]))
  if ([begins, ends, strides].some((list) => list.length !== shape.length))
    c.fail(`wants ${shape.length} numbers each of begin, end and stride`)
  if (strides.some((s) => s < 1)) c.fail(`has strides [${strides}], wanted 1 or more`)
  const bit = (mask: number, i: number) => (mask >> i) & 1
  const clip = (v: number, n: number) => Math.max(0, Math.min(n, v < 0 ? v + n : v))
  const begin = shape.map((n, i) => (bit(o.beginMask, i) ? 0 : clip(begins[i], n)))
  const count = shape.map((n, i) => {
    if (bit(o.shrinkAxisMask, i)) return 1
    return Math.ceil(((bit(o.endMask, i) ? n : clip(ends[i], n)) - begin[i]) / strides[i])
  })
  return [block(c, 0, 0, begin, count, strides)]
}

/** Parts of x along an axis. */
function parts(c: Call, x: number, axis: number, sizes: readonly number[]): Node[] {
  const { shape } = c.tensor(x)
  const at = axis < 0 ? axis + shape.length : axis
  if (!(at >= 0 && at < shape.length)) c.fail(`has axis ${axis}, its input [${shape}] has ${shape.length}`)
  let before = 0
  return c.outputs.map((_, i) => {
    const begin = shape.map((_, d) => (d === at ? before : 0))
    before += sizes[i]
    return block(
      c,
      x,
      i,
      begin,
      shape.map((n, d) => (d === at ? sizes[i] : n)),
    )
  })
}

const split: Rule = (c) => {
  const [axis] = c.tensors.numbers(c.inputs[0])
  const { shape } = c.tensor(1)
  return parts(
    c,
    1,
    axis,
    c.outputs.map(() => shape.at(axis)! / c.outputs.length),
  )
}

const splitV: Rule = (c) => {
  const [axis] = c.tensors.numbers(c.inputs[2])
  const sizes = c.tensors.numbers(c.inputs[1])
  const rest = c.tensor(0).shape.at(axis)! - sizes.reduce((sum, n) => sum + Math.max(0, n), 0)
  return parts(
    c,
    0,
    axis,
    sizes.map((n) => (n < 0 ? rest : n)),
  )
}

/** float to int8, int8 to int8 of another scale. (UINT8 is int8 with another zero point.) */
const quantize: Rule = (c) => {
  const x = c.x(0)
  const quant = c.tensors.quant(c.outputs[0])
  if (x.dtype === 'i8') {
    const same = x.quant!.scale[0] === quant.scale[0] && x.quant!.zeroPoint === quant.zeroPoint
    return [same ? x : nodeOf('rescale', { name: c.name, attrs: {}, inputs: [x] }, { dtype: 'i8', quant })]
  }
  return [nodeOf('toInt8', { name: c.name, attrs: {}, inputs: [x] }, { dtype: 'i8', quant })]
}

const dequantize: Rule = (c) => {
  const x = c.x(0)
  return [x.dtype === 'f32' ? x : nodeOf('dequantize', { name: c.name, attrs: {}, inputs: [x] }, { dtype: 'f32' })]
}

/** Inputs of UNIDIRECTIONAL_SEQUENCE_LSTM by what they are; gates in the order input, forget, cell, output, as dunlin has them. */
const LSTM = {
  w: [1, 2, 3, 4],
  u: [5, 6, 7, 8],
  b: [12, 13, 14, 15],
  others: [9, 10, 11, 16, 17, 20, 21, 22, 23],
  cell: 19,
} as const

const lstm: Rule = (c) => {
  const o = c.options('UnidirectionalSequenceLSTM')
  const x = c.x(0)
  if (o.timeMajor || o.diagonalRecurrentTensors)
    c.fail('has steps before samples, or diagonal weights. Wanted [samples, steps, channels]')
  if (o.projClip || LSTM.others.some((i) => c.has(i)) || [...LSTM.w, ...LSTM.u, ...LSTM.b].some((i) => !c.has(i)))
    c.fail('has peepholes, a projection, normalized gates or no input gate. Wanted the plain LSTM')
  if (activationOf(c, o.activation) !== 'TANH') c.fail(`has activation ${activationOf(c, o.activation)}, wanted TANH`)
  const units = c.tensor(LSTM.u[0]).shape[1]
  const columns = 4 * units
  const joined = (what: 'w' | 'u' | 'b', shape: Shape, gates: readonly Param[]): Param => {
    const data =
      x.dtype === 'f32' ? new Float32Array(size(shape)) : what === 'b' ? new Int32Array(columns) : new Int8Array(size(shape))
    if (gates.some((g) => 4 * g.data.length !== data.length))
      c.fail(`has gates of ${gates.map((g) => g.data.length)} numbers, wanted ${data.length / 4} each`)
    for (const [i, g] of gates.entries()) data.set(g.data, i * g.data.length)
    const scale = gates.flatMap((g) => g.quant?.scale ?? [])
    const quant = x.dtype === 'i8' && scale.length === 4 ? { scale, zeroPoint: 0 } : undefined
    return c.tensors.param(`${c.name}/${what}`, shape, gates[0].dtype, data, quant)
  }
  const weights = (i: number) => (x.dtype === 'f32' ? c.tensors.floats(c.inputs[i]) : c.tensors.weights(c.inputs[i], 0))
  const bias = (i: number) => (x.dtype === 'f32' ? c.tensors.floats(c.inputs[i]) : c.tensors.bias(c.inputs[i], units))
  const params = [
    joined('w', [columns, x.shape[1]], LSTM.w.map(weights)),
    joined('u', [columns, units], LSTM.u.map(weights)),
    joined('b', [columns], LSTM.b.map(bias)),
  ]
  const attrs = { sequences: true, ...(o.cellClip && { cellClip: o.cellClip }) }
  if (x.dtype === 'f32') return [make(c, 'lstm', attrs, [x, ...params])]
  const cell = c.tensor(LSTM.cell).quantization?.scale?.[0] ?? 0
  const cellBits = Math.log2(cell) + 15
  if (!Number.isInteger(cellBits)) c.fail(`has a cell state of scale ${cell}, wanted a power of 2`)
  return [make(c, 'lstm', { ...attrs, cellBits }, [x, ...params])]
}

/** Inputs: x, weights over inputs, weights over time, bias, state. The reference's int8 kernel has no activation but its output's range. */
const svdf: Rule = (c) => {
  const { rank, activation } = c.options('SVDF')
  const [filters, inputs] = c.tensor(1).shape
  const x = reshaped(c.x(0), [inputs], `${c.name}/step`)
  const units = filters / rank
  if (x.dtype === 'f32') {
    const zeros = () => c.tensors.param(`${c.name}/no bias`, [units], 'f32', new Float32Array(units))
    const params = [
      c.tensors.floats(c.inputs[1]),
      c.tensors.floats(c.inputs[2]),
      c.has(3) ? c.tensors.floats(c.inputs[3], [units]) : zeros(),
    ]
    return [fused(c, activation, true, (a, name) => make(c, 'svdf', { rank, ...a }, [x, ...params], name))]
  }
  const state = c.tensor(4)
  if (state.type !== TYPE.INT16 || !((state.quantization?.scale?.[0] ?? 0) > 0))
    c.fail('has a state that is not INT16 with a scale')
  const params = [
    c.tensors.weights(c.inputs[1], 0),
    c.tensors.weights(c.inputs[2], 0, undefined, 'i16'),
    c.tensors.bias(c.inputs[3], units),
  ]
  return [make(c, 'svdf', { rank, stateScale: state.quantization!.scale![0] }, [x, ...params])]
}

export const RULES: Record<string, Rule> = {
  ADD: combine('add', 'Add'),
  AVERAGE_POOL_2D: pool('avgPool2d'),
  CONCATENATION: concat,
  CONV_2D: conv2d,
  DEPTHWISE_CONV_2D: depthwiseConv2d,
  DEQUANTIZE: dequantize,
  ELU: unary('elu', { alpha: 1 }),
  EXPAND_DIMS: reshape,
  FULLY_CONNECTED: fullyConnected,
  GELU: gelu,
  HARD_SWISH: unary('hardSwish'),
  LEAKY_RELU: leakyRelu,
  LOG_SOFTMAX: unary('logSoftmax'),
  LOGISTIC: fixedCurve('sigmoid', 1 / 256, -128),
  MAX_POOL_2D: pool('maxPool2d'),
  MEAN: mean,
  MUL: combine('mul', 'Mul'),
  PAD: pad,
  PADV2: pad,
  QUANTIZE: quantize,
  RELU: clamp('relu'),
  RELU6: clamp('relu6'),
  RELU_N1_TO_1: clamp('clip', { low: -1, high: 1 }),
  RESHAPE: reshape,
  RESIZE_BILINEAR: resize('bilinear', 'ResizeBilinear'),
  RESIZE_NEAREST_NEIGHBOR: resize('nearest', 'ResizeNearestNeighbor'),
  SLICE: slice,
  SOFTMAX: fixedCurve('softmax', 1 / 256, -128),
  SPLIT: split,
  SPLIT_V: splitV,
  SQUEEZE: reshape,
  STRIDED_SLICE: stridedSlice,
  SUB: combine('sub', 'Sub'),
  SVDF: svdf,
  TANH: fixedCurve('tanh', 1 / 128, 0),
  TRANSPOSE: transpose,
  UNIDIRECTIONAL_SEQUENCE_LSTM: lstm,
}

/** Operators on variables, which import.ts converts. */
export const VARIABLES = ['ASSIGN_VARIABLE', 'CALL_ONCE', 'READ_VARIABLE', 'VAR_HANDLE'] as const

/** Operators of which only the first input matters: the shape of the output says the rest. */
export const BY_SHAPE: ReadonlySet<string> = new Set([
  'EXPAND_DIMS',
  'RESHAPE',
  'RESIZE_BILINEAR',
  'RESIZE_NEAREST_NEIGHBOR',
  'SQUEEZE',
])
