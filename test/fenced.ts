// Runs one op's row on one build, outside any plan: `Fenced` is an Emit whose calls run at once on the harness' fenced buffers. A
// write outside a buffer, a changed input, a scratch that is too small or expected to be zero, an output that is not
// written: all fail. Gradients exist for every float input, and start from what the test puts there, because backward adds.

import { ARRAYS, BYTES, type Dtype, isParam, type Node, size, type TypedArray } from '../src/graph/node'
import { opOf } from '../src/ops'
import type { Buffer, Emit, KernelName, Table, Target, Weights } from '../src/ops/op'
import { piecesOf } from '../src/plan/tiles'
import { Arena, type Build, type Buffer as Fence, in_, inout, out, scratch } from './harness'

interface Placed extends Buffer {
  address: number
}

export class Fenced implements Emit {
  private readonly arena: Arena
  readonly values = new Map<Node, Placed>()
  readonly grads = new Map<Node, Placed>()
  /** Nodes whose gradients have something in them. */
  readonly begun = new Set<Node>()
  private readonly kept = new Map<string, Placed>()
  private readonly states = new Map<string, Placed>()

  readonly weights: Weights
  readonly interpreted = true

  constructor(
    private readonly build: Build,
    readonly batch: number,
    readonly target: Target = 'session',
    readonly training = false,
    private readonly backward = false,
    private readonly parts = 1,
  ) {
    this.arena = new Arena(build.memory)
    this.weights = target === 'module' ? 'flash' : 'ram'
  }

  place(name: string, fence: Fence): Placed {
    const { before } = fence
    const dtype = (Object.keys(ARRAYS) as Dtype[]).find((d) => before instanceof ARRAYS[d]) as Dtype
    return { name, dtype, length: before.length, address: this.arena.alloc(fence) }
  }

  read(buffer: Buffer): TypedArray {
    return this.view(buffer).slice()
  }

  private view(buffer: Buffer): TypedArray {
    return new ARRAYS[buffer.dtype](this.build.memory.buffer, (buffer as Placed).address, buffer.length)
  }

  check(what: string): void {
    this.arena.check(`${what} (${this.build.name})`)
  }

  value(node: Node): Placed {
    let buffer = this.values.get(node)
    if (!buffer) {
      buffer = this.place(node.op, out(node.dtype, size(node.shape) * (node.batched ? this.batch : 1)))
      this.values.set(node, buffer)
    }
    return buffer
  }

  grad(node: Node): Placed | undefined {
    this.begun.add(node)
    return this.grads.get(node)
  }

  sink(node: Node): { dx: Placed; add: 0 | 1 } | undefined {
    const dx = this.grads.get(node)
    if (!dx) return undefined
    const add = this.begun.has(node) ? 1 : 0
    // What is to be overwritten may not be read before.
    if (!add) this.view(dx).fill(Number.NaN)
    this.begun.add(node)
    return { dx, add }
  }

  /** Tests look at the gradients of the inputs and of the node by themselves. */
  pass(): boolean {
    return false
  }

  learns(): boolean {
    return this.backward
  }

  scratch(length: number, dtype: Dtype = 'f32'): Placed {
    return this.place('scratch', scratch(dtype, length))
  }

  saved(node: Node, name: string, length: number): Placed {
    const key = `${node.op} ${name}`
    const buffer = this.kept.get(key) ?? this.place(name, scratch('f32', length))
    this.kept.set(key, buffer)
    return buffer
  }

  state(name: string, length: number): Placed {
    const buffer = this.states.get(name) ?? this.place(name, inout(new Float32Array(length)))
    this.states.set(name, buffer)
    return buffer
  }

  /** Tests look at gradients. */
  descent(): undefined {}

  step(): Placed {
    return this.place('step', in_(Int32Array.of(0)))
  }

  constant(name: string, data: TypedArray): Placed {
    return this.place(name, in_(data))
  }

  uses(): boolean {
    return false
  }

  /** In a module the shortest pieces. */
  tiles(total: number, tables: readonly Table[], part: (from: number, count: number, ...of: Buffer[]) => void): void {
    const { count } = piecesOf(total, this.target === 'module' ? 1 : total)
    for (let from = 0; from < total; from += count) {
      const n = Math.min(count, total - from)
      part(from, n, ...tables.map(({ name, data, each }) => this.constant(name, data.slice(from * each, (from + n) * each))))
    }
  }

  prepared(_name: string, length: number, fill: (to: Buffer) => void): Placed {
    const buffer = this.scratch(length)
    fill(buffer)
    return buffer
  }

  /** Parts run one after another, the last first: no part may need another. */
  split(total: number, _work: number, part: (from: number, count: number) => void, grain = 1): void {
    const grains = Math.ceil(total / grain)
    const parts = Math.min(this.parts, grains)
    const begin = (i: number) => Math.min(total, Math.floor((grains * i) / parts) * grain)
    for (let i = parts - 1; i >= 0; i--) part(begin(i), begin(i + 1) - begin(i))
  }

  at<B extends Buffer | 0>(buffer: B, elements: number): B {
    if (buffer === 0) return buffer
    const { name, dtype, length, address } = buffer as Buffer as Placed
    return { name, dtype, length: length - elements, address: address + elements * BYTES[dtype] } as Buffer as B
  }

  over(): void {}

  once<T>(_node: Node, _what: string, make: () => T): T {
    return make()
  }

  call(kernel: KernelName, ...args: readonly (number | Buffer)[]): void {
    const run = this.build.kernels[kernel]
    if (run?.length !== args.length) throw new Error(`${kernel}: called with ${args.length} arguments, has ${run?.length}.`)
    run(...args.map((a) => (typeof a === 'number' ? a : (a as Placed).address)))
  }
}

export interface Run {
  batch: number
  /** One array for each input of the node. */
  inputs: readonly TypedArray[]
  /** The gradient of the value: there is a backward when it is given. */
  dy?: Float32Array
  /** What the gradients of the inputs start from, by input; default: zeros. */
  before?: readonly Float32Array[]
  /** Run as in a training step: parameters that are not trainable may then be written. */
  training?: boolean
  /** Parts that each call is split into, where it can be; default 1. */
  parts?: number
}

/** The value of a node, after a backward the gradients of its float inputs, and what is in its inputs then. */
export function runNode(
  build: Build,
  node: Node,
  { batch, inputs, dy, before, training = false, parts = 1 }: Run,
): { y: Float32Array; grads: Float32Array[]; after: TypedArray[] } {
  const row = opOf(node.op)
  if (!row?.forward || (dy && !row.backward)) throw new Error(`${node.op} has no f32 kernels to run.`)
  const e = new Fenced(build, batch, 'session', training, dy !== undefined, parts)
  node.inputs.forEach((x, i) => {
    const written = training && isParam(x) && !x.attrs.trainable
    e.values.set(x, e.place(`input ${i}`, written ? inout(inputs[i]) : in_(inputs[i])))
    if (dy && x.dtype === 'f32') {
      e.grads.set(x, e.place(`gradient ${i}`, inout(before?.[i] ?? new Float32Array(inputs[i].length))))
      if (before) e.begun.add(x)
    }
  })
  row.forward(e, node)
  const y = e.read(e.value(node)) as Float32Array
  if (dy) {
    e.grads.set(node, e.place('dy', inout(dy)))
    row.backward?.(e, node)
  }
  e.check(node.op)
  const grads = node.inputs.flatMap((x) => e.grads.get(x) ?? []).map((g) => e.read(g) as Float32Array)
  return { y, grads, after: node.inputs.map((x) => e.read(e.value(x))) }
}
