// One node of an ONNX graph as its rule sees it: inputs by index, attributes by name, and errors that say which node it is.

import { DunlinError } from '../../graph/error'
import { type Node, type Param, param, type Shape, size } from '../../graph/node'
import { clip } from '../../ops/activation'
import { add, div, mul } from '../../ops/add'
import { broadcast } from '../../ops/broadcast'
import { round } from '../../ops/round'
import { type AttributeProto, type NodeProto, type TensorProto, text } from './proto'
import { count, isInteger, rangeOf, type Tensor, tensorOf } from './tensor'
import { alike, dimsOf, type Factor, reviewed, shaped, type Traced, together, type Value, view } from './value'

/** What rules share while one graph is imported. */
export interface Scope {
  opset: number
  /** Length of the samples' axis in the file: 0 where it is open, 1 or more where it is fixed, undefined where no axis is the samples'. */
  batch: number | undefined
  /** A stored tensor as a value: a parameter. */
  lift(t: Tensor): Traced
  /** What is done with the values that a parameter was made of: where int8 models find their scales. */
  steps: Map<Param, NonNullable<Tensor['steps']>>
  /** Where a value is rounded to the steps of a scale: the clamps that stand for it. */
  marks: Map<Node, Mark>
  /** Whether an int8 model is tried: what comes in and goes out as integers is then what they stand for. */
  int8: boolean
  /** Reads a tensor of an attribute. */
  tensor(proto: TensorProto, what: string): Tensor
  /** How many readers a name of the file has. */
  readers(name: string): number
  /** Whether a name is an output of the file. */
  leaves(name: string): boolean
  /** Elements that folding may still make. */
  room: number
}

/** A value's scale in an int8 model. */
export interface Mark {
  scale: number
  zeroPoint: number
}

/** Which axis is the samples', counted from the last, where that is sure. */
const samplesFromEnd = ({ samples, unsure, axes }: Traced): number | undefined =>
  samples === undefined || unsure ? undefined : axes.length - samples

/** Stored tensors under other axes, by what they are: one that two nodes read is one parameter. */
const reshaped = new WeakMap<Tensor, Map<string, Tensor>>()

export class Call {
  readonly op: string
  readonly name: string
  private readonly attributes: Map<string, AttributeProto>

  constructor(
    readonly scope: Scope,
    readonly proto: NodeProto,
    readonly index: number,
    readonly inputs: readonly (Value | undefined)[],
    readonly opset: number,
  ) {
    this.op = proto.opType
    this.name = proto.name || proto.output.find((o) => o) || proto.opType
    this.attributes = new Map(proto.attribute.map((a) => [a.name, a]))
  }

  fail(what: string): never {
    throw new DunlinError(`${this.where}: ${what}.`)
  }

  get where(): string {
    return `${this.op} "${this.name}" (node ${this.index}, byte ${this.proto.at})`
  }

  has(attribute: string): boolean {
    return this.attributes.has(attribute)
  }

  int(name: string, otherwise: number): number {
    const v = this.attributes.get(name)?.i ?? otherwise
    return Number.isSafeInteger(v) ? v : this.fail(`attribute ${name} wants an integer, got ${v}`)
  }

  float(name: string, otherwise: number): number {
    return this.attributes.get(name)?.f ?? otherwise
  }

  string(name: string, otherwise: string): string {
    const s = this.attributes.get(name)?.s
    return s ? text(s) : otherwise
  }

  strings(name: string): string[] | undefined {
    return this.attributes.get(name)?.strings.map(text)
  }

  ints(name: string): number[] | undefined {
    return this.attributes.get(name)?.ints
  }

  floats(name: string): number[] | undefined {
    return this.attributes.get(name)?.floats
  }

  /** Whether somebody reads output i. */
  wants(i: number): boolean {
    const name = this.proto.output[i]
    return Boolean(name) && this.scope.readers(name) > 0
  }

  /** The tensor of an attribute. */
  tensor(name: string): Tensor | undefined {
    const t = this.attributes.get(name)?.t
    return t && this.scope.tensor(t, this.where)
  }

  /** As many integers as wanted, of at least `least`. */
  list(name: string, wanted: number, otherwise: number, least: number): number[] {
    const list = this.ints(name)
    if (!list?.length) return Array<number>(wanted).fill(otherwise)
    if (list.length !== wanted || !list.every((v) => Number.isSafeInteger(v) && v >= least))
      this.fail(`attribute ${name} wants ${wanted} integers from ${least} on, got [${list}]`)
    return list
  }

  value(i: number, what: string): Value {
    return this.inputs[i] ?? this.fail(`has no input ${i} (${what})`)
  }

  /** An input as a value of the graph: a stored one as a parameter, a quantized one as integers. */
  x(i: number, what = 'X'): Traced {
    const value = this.value(i, what)
    return value.kind === 'tensor' ? this.scope.lift(value) : value.kind === 'quantized' ? this.integers(value) : value
  }

  /** An input whose values must be known now. */
  constant(i: number, what: string): Tensor {
    const value = this.value(i, what)
    return value.kind === 'tensor'
      ? value
      : this.fail(
          `its input ${i} (${what}) is computed from the graph's inputs; only values stored in the file are supported there`,
        )
  }

  /** The same of an input that may be left out. */
  optional(i: number, what: string): Tensor | undefined {
    return this.inputs[i] && this.constant(i, what)
  }

  /** The integers of such an input. */
  integersOf(i: number, what: string): number[] | undefined {
    const t = this.optional(i, what)
    return t && Array.from(t.data as ArrayLike<number>)
  }

  /** The same of an input that is there. */
  numbers(i: number, what: string): number[] {
    return Array.from(this.constant(i, what).data as ArrayLike<number>)
  }

  /** An axis as an index from 0 on. */
  axis(axis: number, rank: number): number {
    const at = axis < 0 ? axis + rank : axis
    return Number.isInteger(at) && at >= 0 && at < rank ? at : this.fail(`axis ${axis} is none of ${rank}`)
  }

  /** Refuses what would mix samples with one another. */
  apart(x: Traced, axes: readonly number[], what: string): void {
    const { batch } = this.scope
    if (x.samples !== undefined && axes.includes(x.samples) && batch !== undefined && batch !== 1) {
      this.fail(
        `${what} axis ${x.samples}, which is the samples': a model computes each sample by itself. Import with samples: 'whole' to have all axes in one sample`,
      )
    }
  }

  /** A parameter; `from` is what it was made of. */
  param(name: string, shape: Shape, data: Float32Array, from?: Tensor): Param {
    const p = { ...param(name, shape, { kind: 'zeros' }), data }
    if (from?.steps) this.scope.steps.set(p, from.steps)
    return p
  }

  /** A number as a value; it is no weight. */
  scalar(v: number): Param {
    return { ...param('k', [1], { kind: 'zeros' }, false), data: Float32Array.of(v) }
  }

  /** An op on pairs of two nodes, of which one may have axes of 1, or no samples. */
  both(a: Node, b: Node, op: (a: Node, b: Node) => Node): Node {
    const rank = Math.max(a.shape.length, b.shape.length)
    const [wide, other] = [a, b].map(({ shape }) => [...Array<number>(rank - shape.length).fill(1), ...shape])
    const shape = wide.map((n, i) => Math.max(n, other[i]))
    const repeats = (x: Node) => size(x.shape) !== size(shape) || (!x.batched && (a.batched || b.batched))
    if (!repeats(a) && !repeats(b)) return op(shaped(a, shape), shaped(b, shape))
    // Axes that are repeated alike, or not, are one.
    const groups: { n: number; inA: boolean; inB: boolean }[] = []
    shape.forEach((n, i) => {
      const last = groups.at(-1)
      const [inA, inB] = [wide[i] === n, other[i] === n]
      if (n === 1) return
      if (last && last.inA === inA && last.inB === inB) last.n *= n
      else groups.push({ n, inA, inB })
    })
    const joined = groups.length ? groups.map((g) => g.n) : [1]
    const side = (x: Node, like: Node, is: 'inA' | 'inB') => {
      const own = shaped(x, groups.length ? groups.map((g) => (g[is] ? g.n : 1)) : [1])
      return repeats(x) ? broadcast({ shape: joined })(own, like) : own
    }
    return shaped(op(side(a, b, 'inA'), side(b, a, 'inB')), shape)
  }

  /** x times a number. */
  times(x: Node, v: number): Node {
    return v === 1 ? x : this.both(x, this.scalar(v), mul())
  }

  plus(x: Node, v: number): Node {
    return v === 0 ? x : this.both(x, this.scalar(v), add())
  }

  over(x: Node, v: number): Node {
    return v === 1 ? x : this.both(x, this.scalar(v), div())
  }

  reciprocal(x: Node): Node {
    return this.both(this.scalar(1), x, div())
  }

  /** A stored tensor of floats. */
  stored(dims: readonly number[], values: ArrayLike<number>): Tensor {
    return tensorOf(dims, values)
  }

  /** Both operands by an op on pairs. */
  pairwise(a: Traced, b: Traced, op: (a: Node, b: Node) => Node): Traced {
    const [i, j] = [samplesFromEnd(a), samplesFromEnd(b)]
    if (i !== undefined && j !== undefined && i !== j) {
      const [wide, other, end] = i > j ? [a, b, j] : [b, a, i]
      const at = wide.axes.length - end
      this.apart(other, [other.axes.length - end], `puts along axis ${at} of [${dimsOf(wide)}] the other operand's`)
    }
    const both = together(a, b)
    if (!both) return this.fail(`[${dimsOf(a)}] and [${dimsOf(b)}] do not go together`)
    const { axes, memory, samples, unsure } = both
    if (samples !== undefined && axes[samples]?.length)
      return this.fail(
        `puts a value of its own to each sample ([${dimsOf(a)}] and [${dimsOf(b)}]): a model computes each sample by itself. Import with samples: 'whole' to have all axes in one sample`,
      )
    const node = this.both(both.a, both.b, op)
    return { kind: 'traced', node, type: isInteger(a.type) ? b.type : a.type, axes, memory, samples, unsure }
  }

  /** A second operand whose axes go with those of the first from `axis` on: with axes of 1 behind its own, as ops on pairs want it. */
  fromAxis(axis: number, first: Value, second: Value): Value {
    const [wide, dims] = [dimsOf(first), dimsOf(second)]
    const at = this.axis(axis, wide.length)
    const traced = second.kind === 'quantized' ? this.integers(second) : second
    if (count(dims) === 1 && !(traced.kind === 'traced' && traced.samples !== undefined)) return second
    const behind = wide.length - at - dims.length
    if (behind < 0) this.fail(`puts [${dims}] along the axes of [${wide}] from axis ${at} on, of which there are fewer`)
    if (behind === 0) return second
    const shape = [...dims, ...Array<number>(behind).fill(1)]
    // The axes behind are none of the samples.
    if (traced.kind === 'traced') return { ...reviewed(traced, shape), samples: traced.samples, unsure: traced.unsure }
    const made = reshaped.get(traced) ?? new Map<string, Tensor>()
    reshaped.set(traced, made)
    const copy = made.get(`${shape}`) ?? { ...traced, dims: shape }
    made.set(`${shape}`, copy)
    return copy
  }

  /** The integers that a quantized value stands for, as floats. */
  integers({ of, scale, zero, axis, type }: Extract<Value, { kind: 'quantized' }>): Traced {
    const [low, high] = rangeOf(type) as readonly [number, number]
    const dims = dimsOf(of)
    const along = (t: Tensor) => this.perChannel(t, dims, axis)
    const scaled = this.pairwise(of, along(scale), div())
    const steps = alike(scaled, round()(scaled.node))
    const shifted = zero.data.some((z) => z !== 0) ? this.pairwise(steps, along(zero), add()) : steps
    return alike(shifted, clip({ low, high })(shifted.node), type)
  }

  /** A scale or zero point as a value that goes with the axis of another. */
  perChannel(t: Tensor, dims: readonly number[], axis: number): Traced {
    const n = count(t.dims)
    if (n === 1) return view(this.scalar(t.data[0]), [1])
    if (n !== dims[axis]) this.fail(`${n} scales for axis ${axis} of [${dims}]`)
    const factor: Factor[] = [{ size: n }]
    const axes = dims.map((_, i) => (i === axis ? factor : []))
    const node = { ...param('k', [n], { kind: 'zeros' }, false), data: Float32Array.from(t.data as ArrayLike<number>) }
    return { kind: 'traced', node, type: 'float32', axes, memory: factor }
  }
}
