// Model -> ONNX file (opset 17). Float ops as they are; of an int8 model each op stands between DequantizeLinear and QuantizeLinear, which
// runtimes fuse into integer kernels. Values around convolutions and pools are [N, C, H, W], all others [N, ...] as the graph has them; where
// a value is wanted in the other order, one Transpose makes it.

import { DunlinError } from '../../graph/error'
import { isParam, type Node, type Param, type Quant, type TypedArray } from '../../graph/node'
import type { Model } from '../../model/model'
import type { ClipAttrs } from '../../ops/activation'
import type { BatchNormAttrs } from '../../ops/batchNorm'
import type { Conv2dAttrs } from '../../ops/conv2d'
import type { ConvTranspose2dAttrs } from '../../ops/convTranspose2d'
import { type Activation, where } from '../../ops/op'
import type { AvgPoolAttrs } from '../../ops/pool2d'
import type { RecurrentAttrs } from '../../ops/recurrent'
import type { ResizeAttrs } from '../../ops/resize'
import type { RoundAttrs } from '../../ops/round'
import type { PadAttrs, SliceAttrs } from '../../ops/slice'
import { type WindowAttrs, windowOf } from '../../ops/window'
import { type AttributeProto, MODEL, type ModelProto, type NodeProto, type Partly, type TensorProto, writeMessage } from './proto'
import { count, TYPES } from './tensor'
import { reordered } from './value'

const OPSET = 17
/** The first version of the file format that has this opset. */
const IR_VERSION = 8
const CODES = { f32: TYPES.float32.code, i8: TYPES.int8.code, u8: TYPES.uint8.code, i16: TYPES.int16.code, i32: TYPES.int32.code }

/** As the graph has it, with the samples in front; or an image with the channels before its height and width. */
type Layout = 'own' | 'first'
type Attributes = Record<string, number | string | readonly number[] | readonly string[]>
type Rule = (e: Exporter, node: Node<never>) => { name: string; layout: Layout }

/**
 * The model as an ONNX file that runtimes read. Inputs and outputs are floats, images in the order [N, C, H, W]; N is open. Names are those
 * of the model's nodes and parameters. An op that ONNX has no counterpart of is an error.
 */
export function exportOnnx(model: Model): Uint8Array {
  return new Exporter(model).file()
}

class Exporter {
  private readonly nodes: Partly<NodeProto>[] = []
  private readonly initializers: Partly<TensorProto>[] = []
  /** Where a value is, by layout: floats, and for int8 values what they stand for. */
  private readonly values = new Map<Node, Map<Layout, string>>()
  private readonly taken = new Set<string>()
  private readonly stored = new Map<Param, string>()

  constructor(private readonly model: Model) {}

  file(): Uint8Array {
    const inputs = this.model.inputs.map((node) => {
      if (node.attrs.normalize)
        throw new DunlinError(`${where(node)}: normalizes what comes in, which ONNX has no place for. Normalize the data before.`)
      const layout: Layout = this.feedsImages(node) ? 'first' : 'own'
      const name = this.unique(node.name)
      this.put(node, layout, node.quant ? this.rounded(name, node.quant) : name)
      return { name, type: this.type(node, layout) }
    })
    for (const node of this.model.nodes) {
      if (isParam(node) || node.op === 'input') continue
      const rule: Rule | undefined = Object.hasOwn(RULES, node.op) ? RULES[node.op] : undefined
      const recurrent = Object.hasOwn(RECURRENT, node.op)
      if (!rule || (recurrent && node.dtype !== 'f32'))
        throw new DunlinError(
          `${where(node)}: cannot be written as ONNX${rule ? ' in int8' : ''}. Ops that can: ${Object.keys(RULES).join(', ')}.`,
        )
      let { name, layout } = rule(this, node as Node<never>)
      const { activation } = node.attrs as { activation?: Activation }
      if (activation === 'relu' || activation === 'relu6') name = this.clamped(name, 0, activation === 'relu' ? undefined : 6)
      this.put(node, layout, node.quant && name !== this.alias ? this.rounded(name, node.quant) : name)
    }
    const outputs = this.model.outputs.map((node, i) => {
      const layout: Layout = this.values.get(node)?.has('first') ? 'first' : 'own'
      const name = this.unique(this.taken.has(node.name) ? `${node.name}_output` : node.name || `output${i}`)
      this.nodes.push({ opType: 'Identity', input: [this.value(node, layout)], output: [name], name: `${name}_identity` })
      return { name, type: this.type(node, layout) }
    })
    const graph = { name: this.model.name, node: this.nodes, initializer: this.initializers, input: inputs, output: outputs }
    const file: Partly<ModelProto> = {
      ...{ irVersion: IR_VERSION, producerName: 'dunlin' },
      opsetImport: [{ domain: '', version: OPSET }],
      graph: graph as Partly<ModelProto>['graph'],
    }
    return writeMessage(MODEL, file)
  }

  /** The last value that is its input under another name, which is not rounded again. */
  alias = ''

  private unique(base: string): string {
    let name = base
    for (let i = 2; this.taken.has(name); i++) name = `${base}_${i}`
    this.taken.add(name)
    return name
  }

  private feedsImages(node: Node): boolean {
    const through = new Set(['pad', 'slice', 'add', 'sub', 'mul', 'div', 'clip', 'relu', 'relu6', 'concat', 'dropout'])
    const readers = this.model.nodes.filter((n) => n.inputs.includes(node))
    return node.shape.length === 3 && readers.some((n) => IMAGES.has(n.op) || (through.has(n.op) && this.feedsImages(n)))
  }

  private type(node: Node, layout: Layout) {
    const [h, w, c] = node.shape
    const dims = layout === 'first' ? [c, h, w] : node.shape
    const dim = [{ dimParam: 'N' }, ...dims.map((d) => ({ dimValue: d }))]
    return { tensorType: { elemType: node.dtype === 'i32' ? CODES.i32 : CODES.f32, shape: { dim } } }
  }

  private put(node: Node, layout: Layout, name: string): void {
    this.values.set(node, new Map([[layout, name]]))
  }

  /** Which order a value is in already. */
  layoutOf(node: Node): Layout {
    return this.values.get(node)?.has('first') ? 'first' : 'own'
  }

  /** The value of a node as floats in an order. A parameter has that of the graph. */
  value(node: Node, layout: Layout): string {
    if (isParam(node)) return this.param(node)
    const names = this.values.get(node) as Map<Layout, string>
    let name = names.get(layout)
    if (!name) {
      const perm = layout === 'first' ? [0, 3, 1, 2] : [0, 2, 3, 1]
      const [[, from]] = [...names]
      name = this.emit('Transpose', [from], { perm })
      names.set(layout, name)
    }
    return name
  }

  emit(op: string, input: readonly string[], attributes: Attributes = {}, node = ''): string {
    return this.emitAll(op, input, attributes, node, 1)[0]
  }

  /** The first `count` outputs of a node; those that nobody wants have no name. */
  emitAll(op: string, input: readonly string[], attributes: Attributes, node: string, outputs: number): string[] {
    const name = this.unique(node || op)
    const output = Array.from({ length: outputs }, (_, i) => (i === 0 ? `${name}_y` : `${name}_y${i}`))
    for (const o of output) this.taken.add(o)
    const attribute = Object.entries(attributes).map(([key, v]): Partly<AttributeProto> => {
      const bytes = (s: string) => new TextEncoder().encode(s)
      if (typeof v === 'string') return { name: key, s: bytes(v), type: 3 }
      if (typeof v === 'number') return INTEGERS.has(key) ? { name: key, i: v, type: 2 } : { name: key, f: v, type: 1 }
      if (typeof v[0] === 'string') return { name: key, strings: (v as readonly string[]).map(bytes), type: 8 }
      return { name: key, ints: [...(v as readonly number[])], type: 7 }
    })
    this.nodes.push({ opType: op, name, input: [...input], output, attribute })
    return output
  }

  /** A stored tensor. */
  constant(data: TypedArray | readonly number[], dims: readonly number[], base = 'constant'): string {
    const name = this.unique(base)
    const ints = Array.isArray(data)
    const values = ints ? new BigInt64Array((data as readonly number[]).map(BigInt)) : (data as TypedArray)
    const dtype = (Object.keys(CODES) as (keyof typeof CODES)[]).find((d) => ARRAY[d] === values.constructor)
    this.initializers.push({
      ...{ name, dims: [...dims] },
      dataType: ints ? TYPES.int64.code : CODES[dtype as keyof typeof CODES],
      rawData: new Uint8Array(values.buffer, values.byteOffset, values.byteLength),
    })
    return name
  }

  scalar(v: number): string {
    return this.constant(Float32Array.of(v), [])
  }

  /** A parameter as it is, or with its axes in another order and of other lengths; of integers the reals that they are. */
  param(p: Param, order?: readonly number[], dims?: readonly number[], axis = 0): string {
    const known = !order && this.stored.get(p)
    if (known) return known
    const shape = dims ?? (order ? order.map((i) => p.shape[i]) : p.shape)
    const data = order ? reordered(p.data, p.shape, order) : p.data
    const name = this.constant(data, shape, p.name)
    const real = p.quant ? this.real(name, p.quant, p.dtype === 'i32' ? 'i32' : 'i8', axis) : name
    if (!order) this.stored.set(p, real)
    return real
  }

  private scaling({ scale, zeroPoint }: Quant, dtype: 'i8' | 'i32'): string[] {
    const dims = scale.length > 1 ? [scale.length] : []
    const zeros = new ARRAY[dtype](scale.length).fill(zeroPoint)
    return [this.constant(Float32Array.from(scale), dims, 'scale'), this.constant(zeros, dims, 'zero')]
  }

  private real(name: string, quant: Quant, dtype: 'i8' | 'i32', axis: number): string {
    return this.emit('DequantizeLinear', [name, ...this.scaling(quant, dtype)], quant.scale.length > 1 ? { axis } : {})
  }

  /** A value rounded to its steps, as floats again. */
  private rounded(name: string, quant: Quant): string {
    const scaling = this.scaling(quant, 'i8')
    return this.emit('DequantizeLinear', [this.emit('QuantizeLinear', [name, ...scaling]), ...scaling])
  }

  clamped(name: string, low?: number, high?: number): string {
    if (low === 0 && high === undefined) return this.emit('Relu', [name])
    const limit = (v?: number) => (v === undefined ? '' : this.scalar(v))
    return this.emit('Clip', high === undefined ? [name, limit(low)] : [name, limit(low), limit(high)])
  }
}

const ARRAY = { f32: Float32Array, i8: Int8Array, u8: Uint8Array, i16: Int16Array, i32: Int32Array } as const
/** Attributes that are one integer. */
const INTEGERS = new Set(['axis', 'group', 'count_include_pad', 'transB', 'hidden_size', 'linear_before_reset'])
/** Ops on images. */
const IMAGES = new Set(['conv2d', 'depthwiseConv2d', 'convTranspose2d', 'maxPool2d', 'avgPool2d', 'resize', 'batchNorm'])
const RECURRENT: Record<string, { op: string; gates: readonly number[] }> = {
  simpleRnn: { op: 'RNN', gates: [0] },
  gru: { op: 'GRU', gates: [1, 0, 2] },
  lstm: { op: 'LSTM', gates: [0, 3, 1, 2] },
}

/** An op on single elements, in whatever order the value is. */
const same =
  (of: (e: Exporter, x: string, node: Node<never>) => string): Rule =>
  (e, node) => {
    const layout = e.layoutOf(node.inputs[0])
    return { name: of(e, e.value(node.inputs[0], layout), node), layout }
  }
const simple = (op: string): Rule => same((e, x, node) => e.emit(op, [x], {}, node.name))

/** An op that computes in the order of the graph. */
const own =
  (of: (e: Exporter, inputs: string[], node: Node<never>) => string): Rule =>
  (e, node) => ({
    name: of(
      e,
      node.inputs.map((x) => e.value(x, 'own')),
      node,
    ),
    layout: 'own',
  })

const pairs =
  (op: string): Rule =>
  (e, node) => {
    const [a, b] = node.inputs
    const images = [a, b].every((x) => !isParam(x) && x.shape.length === 3) && [a, b].some((x) => e.layoutOf(x) === 'first')
    const layout = images ? 'first' : 'own'
    // Of one rank: ONNX would take the samples for an axis of the shorter.
    const rank = Math.max(a.shape.length, b.shape.length)
    const side = (x: Node) => {
      const name = e.value(x, layout)
      if (x.shape.length === rank || isParam(x)) return name
      const dims = [...Array<number>(rank - x.shape.length).fill(1), ...x.shape]
      return e.emit('Reshape', [name, e.constant([-1, ...dims], [rank + 1])])
    }
    return { name: e.emit(op, [side(a), side(b)], {}, node.name), layout }
  }

const pads = (node: Node<WindowAttrs>): number[] => {
  const { ih, iw, oh, ow, kh, kw, sh, sw, dh, dw, pt, pl } = windowOf(node)
  const { padding } = node.attrs
  if (typeof padding === 'number') return [padding, padding, padding, padding]
  if (typeof padding === 'object') return [padding[0], padding[2], padding[1], padding[3]]
  // What the last window reaches beyond the image.
  const after = (n: number, out: number, k: number, s: number, d: number, before: number) =>
    Math.max(0, (out - 1) * s + (k - 1) * d + 1 - n - before)
  return [pt, pl, after(ih, oh, kh, sh, dh, pt), after(iw, ow, kw, sw, dw, pl)]
}

function convolution(e: Exporter, node: Node<Conv2dAttrs>, group: number, order: readonly number[], dims?: readonly number[]) {
  const [x, w, b] = node.inputs as [Node, Param, Param?]
  const { kernel, strides, dilation = [1, 1] } = node.attrs
  const sizes = { kernel_shape: kernel, strides, dilations: dilation, pads: pads(node), group }
  const inputs = [e.value(x, 'first'), e.param(w, order, dims, 0), ...(b ? [e.param(b)] : [])]
  return { name: e.emit('Conv', inputs, sizes, node.name), layout: 'first' as const }
}

const pool =
  (op: string, globalOp: string): Rule =>
  (e, node: Node<AvgPoolAttrs>) => {
    const { kernel, strides, countPadding } = node.attrs
    const [h, w] = node.inputs[0].shape
    const x = e.value(node.inputs[0], 'first')
    const around = pads(node)
    if (kernel[0] === h && kernel[1] === w && around.every((p) => p === 0))
      return { name: e.emit(globalOp, [x], {}, node.name), layout: 'first' }
    const sizes = { kernel_shape: kernel, strides, pads: around, ...(countPadding && { count_include_pad: 1 }) }
    return { name: e.emit(op, [x], sizes, node.name), layout: 'first' }
  }

const recurrent: Rule = (e, node: Node<RecurrentAttrs & { activation?: string }>) => {
  const { op, gates } = RECURRENT[node.op]
  const { sequences, reverse, stateful, mask, initial, activation } = node.attrs
  if (stateful || mask || initial)
    throw new DunlinError(`${where(node)}: a layer with a mask, first states or states kept cannot be written as ONNX.`)
  const [x, w, u, b, c] = node.inputs as readonly (Node | undefined)[] as [Node, Node, Node, Node?, Node?]
  const hidden = u.shape[1]
  const turned = (p: Node, columns: number) => {
    const from = (p as Param).data as Float32Array
    const data = new Float32Array(from.length)
    const each = hidden * columns
    gates.forEach((g, to) => {
      data.set(from.subarray(g * each, (g + 1) * each), to * each)
    })
    return data
  }
  const bias = new Float32Array(2 * gates.length * hidden)
  if (b) bias.set(turned(b, 1))
  if (c) bias.set(turned(c, 1), gates.length * hidden)
  // [steps, N, channels], as ONNX has it.
  const steps = e.emit('Transpose', [e.value(x, 'own')], { perm: [1, 0, 2] })
  const inputs = [
    steps,
    e.constant(turned(w, w.shape[1]), [1, ...w.shape], w.name),
    e.constant(turned(u, hidden), [1, ...u.shape], u.name),
    e.constant(bias, [1, bias.length], b?.name),
  ]
  const attributes: Attributes = {
    hidden_size: hidden,
    ...(reverse && { direction: 'reverse' }),
    ...(node.op === 'gru' && { linear_before_reset: 1 }),
    ...(activation === 'relu' && { activations: ['Relu'] }),
  }
  const [y, last] = e.emitAll(op, inputs, attributes, node.name, 2)
  // [steps, 1, N, hidden], or [1, N, hidden] after the last step.
  const name = sequences
    ? e.emit('Transpose', [e.emit('Squeeze', [y, e.constant([1], [1])])], { perm: [1, 0, 2] })
    : e.emit('Squeeze', [last, e.constant([0], [1])])
  return { name, layout: 'own' }
}

/** The scale by which n becomes m, rounded down as it will be. */
function scaleFor(n: number, m: number): number {
  const scale = Math.fround(m / n)
  return Math.floor(n * scale) === m ? scale : Math.fround(scale * (1 + 2 ** -23))
}

const ROUND: Record<string, string> = { nearest: 'Round', down: 'Floor', up: 'Ceil' }

const RULES: Record<string, Rule> = {
  add: pairs('Add'),
  sub: pairs('Sub'),
  mul: pairs('Mul'),
  div: pairs('Div'),
  // Of one rank with the samples in front: what reads it repeats what has none.
  broadcast(e, node: Node<{ shape: readonly number[] }>) {
    const [x] = node.inputs
    const { shape } = node.attrs
    const dims = [x.batched ? -1 : 1, ...Array<number>(shape.length - x.shape.length).fill(1), ...x.shape]
    const wide = e.emit('Reshape', [e.value(x, 'own'), e.constant(dims, [dims.length])])
    return { name: e.emit('Expand', [wide, e.constant([1, ...shape], [shape.length + 1])], {}, node.name), layout: 'own' }
  },
  conv2d: (e, node: Node<Conv2dAttrs>) => convolution(e, node, node.attrs.groups ?? 1, [0, 3, 1, 2]),
  depthwiseConv2d(e, node: Node<Conv2dAttrs>) {
    const [kh, kw, oc] = node.inputs[1].shape
    return convolution(e, node, node.inputs[0].shape[2], [2, 0, 1], [oc, 1, kh, kw])
  },
  convTranspose2d(e, node: Node<ConvTranspose2dAttrs>) {
    const [x, w, b] = node.inputs as [Node, Param, Param?]
    const { kernel, strides, outputPadding } = node.attrs
    // Padding is that of the convolution which goes the other way.
    const mirrored = { ...node, inputs: [{ ...x, shape: node.shape }], shape: x.shape } as Node<WindowAttrs>
    const sizes = { kernel_shape: kernel, strides, pads: pads(mirrored), output_padding: outputPadding }
    const inputs = [e.value(x, 'first'), e.param(w, [0, 3, 1, 2], undefined, 1), ...(b ? [e.param(b)] : [])]
    return { name: e.emit('ConvTranspose', inputs, sizes, node.name), layout: 'first' }
  },
  dense(e, node) {
    const [x, w, b] = node.inputs as readonly Node[] as [Node, Param, Param?]
    const inputs = [e.value(x, 'own'), e.param(w), ...(b ? [e.param(b)] : [])]
    return { name: e.emit('Gemm', inputs, { transB: 1 }, node.name), layout: 'own' }
  },
  matMul: own((e, [a, b], node) => e.emit('MatMul', [a, b], {}, node.name)),
  maxPool2d: pool('MaxPool', 'GlobalMaxPool'),
  avgPool2d: pool('AveragePool', 'GlobalAveragePool'),
  batchNorm(e, node: Node<BatchNormAttrs>) {
    const [x, ...params] = node.inputs as [Node, ...Param[]]
    const { epsilon, momentum } = node.attrs
    const attributes = { epsilon, momentum: 1 - momentum }
    const vectors = params.map((p) => e.param(p))
    if (x.shape.length === 3)
      return { name: e.emit('BatchNormalization', [e.value(x, 'first'), ...vectors], attributes, node.name), layout: 'first' }
    // Channels are the second axis in ONNX: all but them is one axis behind.
    const c = x.shape[x.shape.length - 1]
    const rows = count(x.shape.slice(0, -1))
    const flat = e.emit('Reshape', [e.value(x, 'own'), e.constant([-1, rows, c], [3])])
    const y = e.emit('BatchNormalization', [e.emit('Transpose', [flat], { perm: [0, 2, 1] }), ...vectors], attributes, node.name)
    const back = e.emit('Transpose', [y], { perm: [0, 2, 1] })
    return { name: e.emit('Reshape', [back, e.constant([-1, ...x.shape], [x.shape.length + 1])]), layout: 'own' }
  },
  layerNorm: own((e, inputs, node: Node<{ epsilon: number }>) =>
    e.emit('LayerNormalization', inputs, { axis: -1, epsilon: node.attrs.epsilon }, node.name),
  ),
  relu: simple('Relu'),
  relu6: same((e, x) => e.clamped(x, 0, 6)),
  clip: same((e, x, { attrs: { low, high } }: Node<ClipAttrs>) => e.clamped(x, low, high)),
  leakyRelu: same((e, x, node: Node<{ alpha: number }>) => e.emit('LeakyRelu', [x], { alpha: node.attrs.alpha }, node.name)),
  elu: same((e, x, node: Node<{ alpha: number }>) => e.emit('Elu', [x], { alpha: node.attrs.alpha }, node.name)),
  sigmoid: simple('Sigmoid'),
  tanh: simple('Tanh'),
  softplus: simple('Softplus'),
  exp: simple('Exp'),
  log: simple('Log'),
  sqrt: simple('Sqrt'),
  erf: simple('Erf'),
  hardSwish: simple('HardSwish'),
  hardSigmoid: same((e, x, node) => e.emit('HardSigmoid', [x], { alpha: 1 / 6, beta: 0.5 }, node.name)),
  silu: same((e, x) => e.emit('Mul', [x, e.emit('Sigmoid', [x])])),
  mish: same((e, x) => e.emit('Mul', [x, e.emit('Tanh', [e.emit('Softplus', [x])])])),
  // x / 2 (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))): Gelu itself is of opset 20.
  gelu: same((e, x) => {
    const cube = e.emit('Mul', [e.emit('Mul', [x, x]), x])
    const inner = e.emit('Add', [x, e.emit('Mul', [cube, e.scalar(0.044715)])])
    const curve = e.emit('Tanh', [e.emit('Mul', [inner, e.scalar(Math.sqrt(2 / Math.PI))])])
    return e.emit('Mul', [e.emit('Mul', [x, e.scalar(0.5)]), e.emit('Add', [curve, e.scalar(1)])])
  }),
  round: same((e, x, node: Node<RoundAttrs>) => {
    const op = ROUND[node.attrs.mode]
    if (!op) throw new DunlinError(`${where(node)}: mode ${node.attrs.mode} cannot be written as ONNX.`)
    return e.emit(op, [x], {}, node.name)
  }),
  softmax: own((e, [x], node) => e.emit('Softmax', [x], { axis: -1 }, node.name)),
  logSoftmax: own((e, [x], node) => e.emit('LogSoftmax', [x], { axis: -1 }, node.name)),
  dropout(e, node) {
    const layout = e.layoutOf(node.inputs[0])
    e.alias = e.value(node.inputs[0], layout)
    return { name: e.alias, layout }
  },
  reshape: own((e, [x], node) => e.emit('Reshape', [x, e.constant([-1, ...node.shape], [node.shape.length + 1])], {}, node.name)),
  permute: own((e, [x], node: Node<{ axes: readonly number[] }>) =>
    e.emit('Transpose', [x], { perm: [0, ...node.attrs.axes.map((a) => a + 1)] }, node.name),
  ),
  concat(e, node: Node<{ axis: number }>) {
    const images = node.shape.length === 3 && node.inputs.some((x) => e.layoutOf(x) === 'first')
    const layout = images ? 'first' : 'own'
    const axis = images ? [2, 3, 1][node.attrs.axis] : node.attrs.axis + 1
    const inputs = node.inputs.map((x) => e.value(x, layout))
    return { name: e.emit('Concat', inputs, { axis }, node.name), layout }
  },
  slice: own((e, [x], { attrs: { begin, size, strides }, name }: Node<SliceAttrs>) => {
    const step = strides ?? begin.map(() => 1)
    // Backwards, an end before the first element is beyond any length.
    const ends = begin.map((b, i) => {
      const end = b + size[i] * step[i]
      return end < 0 ? -(2 ** 31) : end
    })
    const axes = begin.map((_, i) => i + 1)
    const list = (values: readonly number[]) => e.constant(values, [values.length])
    return e.emit('Slice', [x, list(begin), list(ends), list(axes), list(step)], {}, name)
  }),
  pad(e, node: Node<PadAttrs>) {
    const layout = e.layoutOf(node.inputs[0])
    const { padding, value } = node.attrs
    const order = layout === 'first' ? [2, 0, 1] : padding.map((_, i) => i)
    const sides = [0, 1].flatMap((side) => [0, ...order.map((i) => padding[i][side])])
    const inputs = [e.value(node.inputs[0], layout), e.constant(sides, [sides.length]), e.scalar(value)]
    return { name: e.emit('Pad', inputs, {}, node.name), layout }
  },
  resize(e, node: Node<ResizeAttrs>) {
    const { size, method } = node.attrs
    const [h, w] = node.inputs[0].shape
    const scales = e.constant(Float32Array.of(1, 1, scaleFor(h, size[0]), scaleFor(w, size[1])), [4])
    const nearest = { mode: 'nearest', coordinate_transformation_mode: 'asymmetric', nearest_mode: 'floor' }
    const linear = { mode: 'linear', coordinate_transformation_mode: 'half_pixel' }
    const attributes = method === 'nearest' ? nearest : linear
    return { name: e.emit('Resize', [e.value(node.inputs[0], 'first'), '', scales], attributes, node.name), layout: 'first' }
  },
  embedding: own((e, [x, w], node) => e.emit('Gather', [w, x], { axis: 0 }, node.name)),
  simpleRnn: recurrent,
  gru: recurrent,
  lstm: recurrent,
}
