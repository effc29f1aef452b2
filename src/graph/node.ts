// A graph is made of nodes. One node is one value: the op that makes it, the op's attributes, its inputs, its shape, dtype and,
// for integers that stand for reals, its quantization. A parameter is a node that also holds its typed array.
// Shapes are those of one sample: the batch is a number of the plan, not of the graph.

import { DunlinError } from './error'

export type Dtype = 'f32' | 'i8' | 'u8' | 'i16' | 'i32'
export type TypedArray = Float32Array | Int8Array | Uint8Array | Int16Array | Int32Array
export type Shape = readonly number[]

/** real = scale * (q - zeroPoint). Parameters may have one scale per output channel; values have one. */
export interface Quant {
  scale: readonly number[]
  zeroPoint: number
}

/** Draws whose variance depends on how many connections a unit has: 2 / fanIn, 2 / (fanIn + fanOut), 1 / fanIn. */
export type ScaledDraw = 'heUniform' | 'heNormal' | 'glorotUniform' | 'glorotNormal' | 'lecunUniform' | 'lecunNormal'

/**
 * A parameter's first values: `fanIn` and `fanOut` count connections of one unit; `orthogonal` takes the values as a matrix of so many
 * rows.
 */
export type Initializer =
  | { kind: 'zeros' | 'ones' }
  | { kind: 'constant'; value: number }
  | { kind: 'orthogonal'; rows: number }
  | { kind: ScaledDraw; fanIn: number; fanOut: number }

export interface Node<A = unknown> {
  readonly op: string
  /** Unique in a model, which names the nodes that the user did not. */
  name: string
  readonly attrs: A
  readonly inputs: readonly Node[]
  readonly shape: Shape
  readonly dtype: Dtype
  readonly quant?: Quant
  /** Whether there is one such value for each sample (anything that depends on an input) or one for all (parameters). */
  readonly batched: boolean
}

/** A node whose op is `param`: weights. `mask`, where present, is 1 for a weight that lives and 0 for a pruned one. */
export interface Param extends Node<ParamAttrs> {
  data: TypedArray
  mask?: Uint8Array
}

export interface ParamAttrs {
  init?: Initializer
  trainable: boolean
}

/** Raw values enter as (raw - mean) / std: a number for all, or lists of one for each channel (the last dimension). */
export interface Normalize {
  mean: number | readonly number[]
  std: number | readonly number[]
}

export interface InputAttrs {
  normalize?: Normalize
}

/** What a device wants at the ends of a network. */
export interface Ends {
  /**
   * What inputs of real numbers take. 'u8': bytes from 0 to 255, as a camera gives them; 'i16': samples from -32768 to 32767, as a sensor
   * does. They are the raw values of the model: normalization and quantization are computed inside. Inputs of indices, and those
   * that take samples of 16 bits already, stay as they are. Default: what the network reads, which the host computes.
   */
  input?: 'u8' | 'i16'
  /** 'probabilities': a softmax follows a first output that has none. Default: what the network gives. */
  output?: 'probabilities'
}

/** A layer: from the node it reads to the node it makes. A layer owns its parameters; applied twice, it shares them. */
export type Layer = (x: Node) => Node

export const ARRAYS = { f32: Float32Array, i8: Int8Array, u8: Uint8Array, i16: Int16Array, i32: Int32Array } as const
export const BYTES: Record<Dtype, number> = { f32: 4, i8: 1, u8: 1, i16: 2, i32: 4 }

export const size = (shape: Shape): number => shape.reduce((a, b) => a * b, 1)
export const isParam = (node: Node): node is Param => node.op === 'param'
export const isInput = (node: Node): node is Node<InputAttrs> => node.op === 'input'

/** An entrance of the graph: values of `shape` for each sample. `normalize` is applied to what the user feeds in. */
export function input(shape: Shape, options: { name?: string; dtype?: Dtype; normalize?: Normalize } = {}): Node<InputAttrs> {
  const { name = 'input', dtype = 'f32', normalize } = options
  checkShape(`input "${name}"`, shape)
  const attrs = normalize ? { normalize: checkNormalize(`input "${name}"`, normalize, shape) } : {}
  return { op: 'input', name, attrs, inputs: [], shape: [...shape], dtype, batched: true }
}

/** A copy. Also of what a file says, so that it may be anything. */
export function checkNormalize(what: string, { mean, std }: Normalize, shape: Shape): Normalize {
  const channels = shape.at(-1) ?? 1
  if (Array.isArray(mean) !== Array.isArray(std) || [mean, std].some((v) => Array.isArray(v) && v.length !== channels)) {
    const kind = (v: unknown) => (Array.isArray(v) ? `a list of ${v.length}` : 'no list')
    throw new DunlinError(
      `${what}: normalize wants two numbers, or two lists of ${channels}, one for each channel of shape [${shape}]; mean is ${kind(mean)}, std ${kind(std)}.`,
    )
  }
  const bad = [mean].flat().findIndex((m, c) => {
    const s = [std].flat()[c]
    return !(Number.isFinite(m) && s > 0 && Number.isFinite(s))
  })
  if (bad >= 0) {
    const of = Array.isArray(mean) ? ` of channel ${bad}` : ''
    throw new DunlinError(
      `${what}: normalize wants a finite mean and a std above 0, got mean ${[mean].flat()[bad]} and std ${[std].flat()[bad]}${of}.`,
    )
  }
  return typeof mean === 'number' ? { mean, std } : { mean: [...mean], std: [...(std as readonly number[])] }
}

/** A float parameter, trained unless `trainable` is false. Its array is empty until a model draws its values. */
export function param(name: string, shape: Shape, init: Initializer, trainable = true): Param {
  checkShape(`parameter "${name}"`, shape)
  const data = new Float32Array(0)
  return {
    op: 'param',
    name,
    attrs: { init, trainable },
    inputs: [],
    shape: [...shape],
    dtype: 'f32',
    batched: false,
    data,
  }
}

/** Every node that the outputs depend on, inputs before the nodes that read them. */
export function topological(outputs: readonly Node[]): Node[] {
  const order: Node[] = []
  const done = new Set<Node>()
  // An explicit stack: a network may be deeper than the call stack.
  const stack = [...outputs].reverse().map((node) => ({ node, next: 0 }))
  while (stack.length) {
    const top = stack[stack.length - 1]
    if (done.has(top.node)) stack.pop()
    else if (top.next < top.node.inputs.length) stack.push({ node: top.node.inputs[top.next++], next: 0 })
    else {
      done.add(top.node)
      order.push(top.node)
      stack.pop()
    }
  }
  return order
}

/** The graph with each node replaced by what `change` makes of it and its replaced inputs. How passes are written. */
export function mapGraph(outputs: readonly Node[], change: (node: Node, inputs: readonly Node[]) => Node): Node[] {
  const made = new Map<Node, Node>()
  const replaced = (node: Node) => made.get(node) as Node
  for (const node of topological(outputs)) made.set(node, change(node, node.inputs.map(replaced)))
  return outputs.map(replaced)
}

/** Limit of a tensor's size: byte addresses of a 32-bit memory. */
const MAX_ELEMENTS = 2 ** 29

export function checkShape(what: string, shape: Shape): void {
  if (!shape.every((d) => Number.isInteger(d) && d > 0) || size(shape) > MAX_ELEMENTS) {
    throw new DunlinError(`${what}: shape [${shape}] is not a list of positive integers whose product is at most 2^29.`)
  }
}
