// What an op is: one row of the table OPS. A row states the shape rule, the cost, and which kernel calls compute the value (f32, int8)
// and the gradient. What a row leaves out is unsupported, and the error says so.
// A row writes calls through `Emit`; whether it is planned for inference or training, and where buffers lie, is not its business.

import type { instantiate } from '../../build/scalar'
import { DunlinError } from '../graph/error'
import { checkShape, type Dtype, type Node, type Quant, type Shape, type TypedArray } from '../graph/node'

/** The kernels as the AssemblyScript compiler declares them. */
type Kernels = Omit<Awaited<ReturnType<typeof instantiate>>, 'memory'>
export type KernelName = keyof Kernels & string
/** A kernel's arguments: where it takes an address, a buffer or 0 (no such buffer). */
type Args<K extends KernelName> = Addresses<Parameters<Kernels[K]>>
type Addresses<T extends unknown[]> = { [I in keyof T]: number | Buffer }

/** A stretch of memory whose address the planner chooses. */
export interface Buffer {
  readonly name: string
  readonly dtype: Dtype
  readonly length: number
}

/** A step of gradient descent: w -= lr * v with v = momentum * v + gradient, or the gradient itself where there is no velocity. */
export interface Descent {
  velocity: Buffer | 0
  lr: number
  momentum: number
}

export type Target = 'session' | 'module'
/** Where weights are while the calls run: in memory, or in a module's flash, from where calls bring what they need to memory. */
export type Weights = 'ram' | 'flash'

/** Numbers that a layer has for each of its output channels: `each` elements of `data`. */
export interface Table {
  name: string
  data: TypedArray
  each: number
}

export interface Emit {
  /** Samples that a run computes at once. */
  readonly batch: number
  /** Who runs the calls: a session has room for packed weights; a module wants little code and memory. int8 results are equal. */
  readonly target: Target
  readonly weights: Weights
  /** Whether a module's host interprets its kernels: those for that pack what they read. */
  readonly interpreted: boolean
  /** Whether the run is a training step: then dropout drops, and batch norm measures the batch. */
  readonly training: boolean
  /** The node's value: its shape for each sample, or once if it does not depend on an input. */
  value(node: Node): Buffer
  /** Where the gradient of the node's value is summed up; undefined when nothing before it learns. */
  grad(node: Node): Buffer | undefined
  /**
   * The same for a call that writes all of it: with `add` 0 nothing is there yet and it overwrites, with 1 it adds. To be asked for
   * right before that call.
   */
  sink(node: Node): { dx: Buffer; add: 0 | 1 } | undefined
  /** Makes the gradient of the node, when no more calls of this backward read or write it, that of x. False when x has one already. */
  pass(node: Node, x: Node): boolean
  /** Whether a backward of the node follows: what its forward leaves is wanted. */
  learns(node: Node): boolean
  /** `length` elements for one call, by default words of 4 bytes. Their contents are undefined. */
  scratch(length: number, dtype?: Dtype): Buffer
  /** `length` words of 4 bytes that the node's forward leaves for its backward: the same buffer for the same name. */
  saved(node: Node, name: string, length: number): Buffer
  /** `length` words of 4 bytes that keep their contents from run to run, zero at first: the same buffer for the same name. */
  state(name: string, length: number): Buffer
  /** i32 [1]: how many training steps were taken before this one. The host writes it. */
  step(): Buffer
  /** Numbers known when planning. */
  constant(name: string, data: TypedArray): Buffer
  /** `length` words of 4 bytes made from parameters by `fill`: once per session when the parameters stand still, else in every run. */
  prepared(name: string, length: number, fill: (to: Buffer) => void): Buffer
  /**
   * To be said right before a call: that `y` may lie over `x`, which holds elements of the same width, where nothing reads x any more: y may begin
   * anywhere up to `distance` elements (default 0) before x begins, because at every time what the kernel has written of y ends no
   * further behind y's beginning than what it has yet to read of x, and `distance`. A planner that has no use for it does nothing.
   */
  over(y: Buffer, x: Buffer, distance?: number): void
  /** What `make` derives from the node alone, `what` by name: made once, however often the node is written down. */
  once<T>(node: Node, what: string, make: () => T): T
  /** Whether some call so far is of this kernel: then it takes no more code. */
  uses(kernel: KernelName): boolean
  /**
   * Where a step is one sample's, and the parameter's gradient but an outer product: what takes the step at once, so that no gradient lies in
   * memory. It is to be called after the last read of the parameter. Undefined: the gradient is wanted.
   */
  descent(param: Node): Descent | undefined
  call<K extends KernelName>(kernel: K, ...args: Args<K>): void
  /**
   * Has `part` write the call that computes the outputs [from, from + count), once for each thread, with ranges that follow each other
   * and begin at a multiple of `grain` (default 1): all `total` outputs at once where `work`, in multiply-adds, is too little to share.
   * Parts run at the same time: no output of one may be read or written by another, and scratch is a part's own where it is taken
   * inside. What is one for all (values, gradients, prepared) is asked for outside. Where a range begins may not change the
   * order of a sum.
   */
  split(total: number, work: number, part: (from: number, count: number) => void, grain?: number): void
  /**
   * Has `part` write the calls that compute the output channels [from, from + count), given what the tables have for those: all `total` of
   * them where weights are in memory; where they are in flash as many at a time as the planner finds room for, by a loop. So `from` may
   * move nothing but addresses (`at`), and a call that is written for other `from` is otherwise the same.
   */
  tiles(total: number, tables: readonly Table[], part: (from: number, count: number, ...of: Buffer[]) => void): void
  /** The buffer from its `elements`-th element on; no buffer stays none. */
  at<B extends Buffer | 0>(buffer: B, elements: number): B
}

export interface Op<A = unknown> {
  /** Shape of the value for one sample. Checks attributes and inputs; throws what a person can act on. */
  shape(node: Unshaped<A>): Shape
  /** Multiply-accumulates for one sample; 0 when left out. */
  macs?(node: Node<A>): number
  /** The value is one for the whole batch although its inputs are not (a loss). */
  reducesBatch?: true
  /** The value is its first input, in the same memory: always (a reshape), or in inference only (a dropout). */
  alias?: true | 'inference'
  /** Dtypes of its inputs, where they are not the value's own; a list where one may have several. */
  reads?: readonly (Dtype | readonly Dtype[])[]
  forward?(e: Emit, node: Node<A>): void
  /** Adds into the gradients of its inputs. */
  backward?(e: Emit, node: Node<A>): void
  int8?: Int8<A>
}

export interface Int8<A> {
  /**
   * Where the value's quantization comes from: the calibration, its first input, its weights (second input, which then have one scale and
   * a zero point as values have), or fixed by TFLite's specification.
   */
  quant: 'calibrated' | 'input' | 'weights' | Quant
  /** Dtypes of its inputs, where they are not int8 and, with `weightAxis`, the int32 bias. */
  reads?: readonly (Dtype | readonly Dtype[])[]
  /** Why this node has no int8 kernel although others of its op have; false when it has. */
  unsupported?(node: Node<A>): string | false
  /** What its first input is, where that is not int8: it must then be an input of the model, which is given this dtype and scale. */
  samples?: { dtype: Dtype; quant: Quant }
  /** Which axis of the weights (second input) has a scale of its own for each index; the third input is then an int32 bias. */
  weightAxis?: number
  /** The products of a layer that has several, in place of `weightAxis`. */
  products?: readonly Int8Product[]
  /** The float node whose values make the range of the value's scale, where that is more than the values that the node gives. */
  observed?(node: Node<A>): Node
  /**
   * Attributes of the int8 node that calibration finds: from the largest magnitudes of what the forward of the observed node saves (or
   * keeps as state) under these names.
   */
  measured?: { saved: readonly string[]; attrs(node: Node<A>, largest: readonly number[]): object }
  /**
   * From which rows of the images that it reads the rows of its value, an image, are computed. Rows of the table that have it compute any
   * rows alone, through one `e.split`, when planned for a module; undefined: this node does not.
   */
  reach?(node: Node<A>): Reach | undefined
  forward(e: Emit, node: Node<A>): void
}

/** The rows [top, end) that the rows [from, to) are computed from. */
export type Reach = (from: number, to: number) => readonly [top: number, end: number]

/** A matrix product inside of a layer: which inputs are its weights [rows, k] and its bias [rows], and whose scale its other factor has. */
export interface Int8Product {
  weights: number
  bias?: number
  of: 'input' | 'value'
  /** How many scales the weights have, each for as many rows. */
  scales: number
}

/** A node before its shape is known. */
export type Unshaped<A = unknown> = Pick<Node<A>, 'op' | 'name' | 'attrs' | 'inputs'>

/** Makes a node by its op's row. `dtype` and `quant` are given by passes that make integer graphs. */
export function makeNode<A>(row: Op<A>, node: Unshaped<A>, integer?: { dtype: Dtype; quant?: Quant }): Node<A> {
  const shape = row.shape(node)
  checkShape(where(node), shape)
  const batched = !row.reducesBatch && node.inputs.some((x) => x.batched)
  return { ...node, shape, batched, dtype: integer?.dtype ?? 'f32', ...(integer?.quant && { quant: integer.quant }) }
}

/** `conv2d "stem"`: how errors name a node. */
export const where = (node: { op: string; name: string }): string => (node.name ? `${node.op} "${node.name}"` : node.op)

/** Number of samples a value has in a run. */
export const rows = (e: Emit, node: Node): number => (node.batched ? e.batch : 1)

export type Activation = 'relu' | 'relu6'
export const CLAMPS: Record<Activation | 'none', readonly [number, number]> = {
  none: [-Infinity, Infinity],
  relu: [0, Infinity],
  relu6: [0, 6],
}

export function clampOf(node: Unshaped<{ activation?: Activation }>): readonly [number, number] {
  const clamp = Object.hasOwn(CLAMPS, node.attrs.activation ?? 'none') && CLAMPS[node.attrs.activation ?? 'none']
  if (!clamp)
    throw new DunlinError(
      `${where(node)}: activation "${node.attrs.activation}" cannot be fused. Use "relu", "relu6", or a layer of its own.`,
    )
  return clamp
}

/** The same clamp on quantized values (TFLite CalculateActivationRangeQuantized). */
export function quantizedClamp([lo, hi]: readonly [number, number], { scale, zeroPoint }: Quant): [number, number] {
  const q = (v: number) => {
    const steps = Math.fround(v / scale[0])
    return zeroPoint + Math.sign(steps) * Math.round(Math.abs(steps))
  }
  return [Math.max(-128, lo === -Infinity ? -128 : q(lo)), Math.min(127, hi === Infinity ? 127 : q(hi))]
}

/** Quantization of a node of an integer graph. */
export function quantOf(node: Node): Quant {
  if (!node.quant) throw new DunlinError(`${where(node)}: an int8 value without a scale. Make int8 models with quantize().`)
  return node.quant
}

export function expectInputs(node: Unshaped, count: number, what: string): void {
  if (node.inputs.length !== count)
    throw new DunlinError(`${where(node)}: wants ${count} inputs (${what}), got ${node.inputs.length}.`)
}

export function expectShape(node: Unshaped, what: string, got: Shape, wanted: Shape, remedy: string): void {
  if (got.length !== wanted.length || got.some((d, i) => d !== wanted[i])) {
    throw new DunlinError(`${where(node)}: ${what} has shape [${got}], wanted [${wanted}]. ${remedy}`)
  }
}

export function expectFinite(node: { op: string; name: string }, what: string, value: number): void {
  if (!Number.isFinite(value)) throw new DunlinError(`${where(node)}: ${what} wants a finite number, got ${value}.`)
}

export function expectCount(node: { op: string; name: string }, what: string, count: number): void {
  if (!Number.isInteger(count) || count < 1)
    throw new DunlinError(`${where(node)}: ${what} wants a positive integer, got ${count}.`)
}

/** A finite number in [low, high]; attributes come from files too. */
export function expectNumber(node: { op: string; name: string }, what: string, v: number, low: number, high: number): void {
  if (!(Number.isFinite(v) && v >= low && v <= high)) {
    const range = high === Infinity ? `from ${low} on` : `in [${low}, ${high}]`
    throw new DunlinError(`${where(node)}: ${what} wants a number ${range}, got ${v}.`)
  }
}
