// A quantized graph as an int8 model: every value has a scale, every weight is int8 on a scale for each channel, and biases lie on the
// product of both. Where one thing does not fit, the model stays float, and this says why.

import { isInput, isParam, type Node, type Param, type Quant, topological } from '../../graph/node'
import { nodeOf, type OpName, opOf } from '../../ops'
import { rescale } from '../../ops/convert'
import { type Activation, type Int8, where } from '../../ops/op'
import type { Mark, Scope } from './call'

/** Layers whose kernels have a relu in them. */
const HOSTS = new Set(['add', 'conv2d', 'convTranspose2d', 'dense', 'depthwiseConv2d'])

/** Why it does not fit. */
class Unfit extends Error {}

export function integerModel(
  outputs: readonly Node[],
  scope: Pick<Scope, 'marks' | 'steps'>,
): { outputs: Node[] } | { why: string } {
  try {
    return { outputs: new Integers(outputs, scope).make() }
  } catch (error) {
    if (error instanceof Unfit) return { why: error.message }
    throw error
  }
}

const same = (a: Quant, b: Quant) => a.scale[0] === b.scale[0] && a.zeroPoint === b.zeroPoint
const quantOf = ({ scale, zeroPoint }: Mark): Quant => ({ scale: [scale], zeroPoint })
const unfit = (what: string): never => {
  throw new Unfit(`${what}.`)
}

class Integers {
  private readonly order: Node[]
  private readonly readers = new Map<Node, Node[]>()
  private readonly made = new Map<Node, Node>()
  /** Relus that are in the kernel of the layer before them. */
  private readonly fused = new Set<Node>()

  constructor(
    private readonly outputs: readonly Node[],
    private readonly scope: Pick<Scope, 'marks' | 'steps'>,
  ) {
    this.order = topological(outputs)
    for (const node of this.order) for (const x of node.inputs) this.readers.set(x, [...(this.readers.get(x) ?? []), node])
  }

  make(): Node[] {
    for (const node of this.order) if (!isParam(node)) this.made.set(node, this.integer(node))
    return this.outputs.map((node) => this.made.get(node) as Node)
  }

  private integer(node: Node): Node {
    if (isInput(node)) {
      if (node.dtype !== 'f32') return node
      const quant = this.ahead(node) ?? unfit(`${where(node)} is not rounded to int8 where it comes in`)
      return { ...node, dtype: 'i8', quant }
    }
    const mark = this.scope.marks.get(node)
    const inputs = node.inputs.map((x) => this.made.get(x) ?? x)
    const [x] = inputs
    if (mark) return this.brought(x, quantOf(mark), node)
    if (this.fused.has(node)) return x
    const row = opOf(node.op)
    const int8 = row?.int8 ?? unfit(`${where(node)} has no int8 kernel`)
    const why = int8.unsupported?.(node)
    if (why) unfit(`${where(node)} ${why}`)
    if (int8.products || int8.samples || int8.quant === 'weights') unfit(`${where(node)} has an int8 form of its own`)
    const activation = this.activation(node)
    const quant =
      typeof int8.quant === 'object'
        ? int8.quant
        : int8.quant === 'input'
          ? (x.quant as Quant)
          : (this.ahead(node) ?? unfit(`${where(node)} is not rounded to int8`))
    const attrs = activation ? { ...(node.attrs as object), activation } : node.attrs
    const integers = int8.weightAxis === undefined ? inputs : this.weights(node, x, int8)
    if (integers.some((v) => isParam(v) && v.dtype === 'f32')) unfit(`${where(node)} computes with a stored value of floats`)
    return nodeOf(node.op as OpName, { name: node.name, attrs, inputs: integers }, { dtype: 'i8', quant })
  }

  /** A value on another scale. */
  private brought(x: Node, quant: Quant, { name }: Node): Node {
    if (x.quant && same(x.quant, quant)) return x
    return rescale({ quant, name })(x)
  }

  /** The scale that all who read a value round it to. */
  private ahead(node: Node): Quant | undefined {
    const mark = this.scope.marks.get(node)
    if (mark) return quantOf(mark)
    const readers = this.readers.get(node) ?? []
    if (!readers.length || this.outputs.includes(node)) return undefined
    const all = readers.map((r) => {
      const moves = this.scope.marks.has(r) || opOf(r.op)?.int8?.quant === 'input'
      return moves ? this.ahead(r) : undefined
    })
    const [first] = all
    return first && all.every((q) => q && same(q, first)) ? first : undefined
  }

  /** The relu behind a layer, which becomes part of it. */
  private activation(node: Node): Activation | undefined {
    const readers = this.readers.get(node) ?? []
    const [relu] = readers
    const own = (node.attrs as { activation?: Activation }).activation
    const fits = HOSTS.has(node.op) && !own && readers.length === 1 && !this.outputs.includes(node)
    if (!fits || (relu.op !== 'relu' && relu.op !== 'relu6') || this.scope.marks.has(relu)) return undefined
    this.fused.add(relu)
    return relu.op
  }

  /** The input, and weights and bias in integers. */
  private weights(node: Node, x: Node, { weightAxis }: Int8<unknown>): Node[] {
    const [, w, b] = node.inputs as [Node, Param, Param?]
    const steps = this.scope.steps.get(w) ?? unfit(`the weights of ${where(node)} are not rounded to int8`)
    const axis = weightAxis as number
    const channels = w.shape[axis]
    const inner = w.shape.slice(axis + 1).reduce((a, n) => a * n, 1)
    if (steps.type !== 'int8' || steps.zero.some((z) => z !== 0))
      unfit(`the weights of ${where(node)} are ${steps.type} with a zero point; int8 with zero point 0 are supported`)
    if (steps.scale.length !== 1 && steps.scale.length !== channels)
      unfit(`the weights of ${where(node)} have ${steps.scale.length} scales for ${channels} channels`)
    const scale = Array.from({ length: channels }, (_, c) => steps.scale[c] ?? steps.scale[0])
    const data = Int8Array.from(w.data as ArrayLike<number>, (v, i) => Math.round(v / scale[Math.floor(i / inner) % channels]))
    if (data.includes(-128)) unfit(`the weights of ${where(node)} have the value -128; -127 to 127 are supported`)
    const biasScale = scale.map((s) => s * x.quant!.scale[0])
    const bias = Int32Array.from({ length: channels }, (_, c) => Math.round((b?.data[c] ?? 0) / biasScale[c]))
    const integer = { attrs: { trainable: false } }
    return [
      x,
      { ...w, ...integer, dtype: 'i8', data, quant: { scale, zeroPoint: 0 } } as Param,
      {
        ...w,
        ...integer,
        name: b?.name ?? 'b',
        dtype: 'i32',
        data: bias,
        shape: [channels],
        quant: { scale: biasScale, zeroPoint: 0 },
      } as Param,
    ]
  }
}
