// From a graph to a plan. The rows of the ops write calls on buffers (`Emit`); lifetimes are then read off the calls themselves, the
// buffers get addresses, and the calls become numbers.
// A training plan is the same list made longer: forward, backward in reverse order, one update for each parameter.

import { DunlinError } from '../graph/error'
import {
  ARRAYS,
  BYTES,
  type Dtype,
  isInput,
  isParam,
  type Node,
  type Param,
  size,
  type TypedArray,
  topological,
} from '../graph/node'
import { opOf } from '../ops'
import { elementwise, fill } from '../ops/calls'
import { type Buffer, type Emit, type KernelName, type Target, where } from '../ops/op'
import { align, arrange, lowerBound } from './arena'
import type { Call, Constant, Plan, Port, Region } from './plan'

/** Addresses below this are never used: 0 means "no such buffer". */
const BASE = 16
/** Kernels may read this far past a buffer's end. */
const OVERREAD = 16
/** WebAssembly's limit for a 32-bit memory. */
const MAX_MEMORY = 2 ** 32 - 65536
/** Multiply-adds that a part is worth being handed to another thread for: some microseconds, a few times what that takes. */
const WORTH = 2 ** 16

/** A parameter that a training step updates: its `n` values, their gradients, and arrays that the optimizer keeps beside them. */
export interface Updated {
  name: string
  w: Buffer
  g: Buffer
  n: number
  /** Zero at first, as long as the parameter. */
  state: (name: string) => Buffer
}

/** Writes the updates of all parameters, whose gradients are complete. */
export type Update = (e: Emit, params: readonly Updated[], hyper: Buffer) => void

/** Says of a parameter, by its name (such as `conv1/w`), that training leaves it as it is. */
export type Frozen = (name: string) => boolean

interface Planned extends Buffer {
  address: number
  data?: TypedArray
  /** Where the buffer stands in the plan; arena buffers live only between the calls that name them. */
  role: 'arena' | 'constant' | 'state' | 'prepared' | 'gradient' | 'input' | 'output'
}

/** A buffer from some element on. */
interface Within extends Buffer {
  of: Planned
  bytes: number
}

type Argument = number | Planned | Within

interface Pending {
  kernel: KernelName
  args: Argument[]
  /** The parts of a split call after the first. */
  others: Argument[][]
}

/**
 * The plan that computes `outputs` for `batch` samples; `target` is who will run it (default: a session), on up to `threads` threads
 * (default: 1). Results do not depend on their number. What the forward of `observed` nodes saves can be read after a run (plan.saved).
 */
export function planInference(
  outputs: readonly Node[],
  options: { batch: number; target?: Target; threads?: number; observed?: ReadonlySet<Node> },
): Plan {
  const builder = new Builder(outputs, options.batch, false, options.target, options.threads, undefined, options.observed)
  builder.forward()
  return builder.finish()
}

/**
 * The plan of one training step on `batch` samples: the loss, its gradients, an update of every trainable parameter. `outputs` are
 * read after the step beside the loss. Its state has `hyper` (`hyperLength` floats that the host writes before a step),
 * and the optimizer's arrays under `<parameter>/<name>`. Parameters whose name is `frozen` stay as they are. `threads` as in
 * planInference.
 *
 * With `accumulate` the gradients of several batches can be summed up for one update: the calls from `phases.gradients` to
 * `phases.update` run once for each batch. The state has `share` then, one float that the host writes before each of them: the factor
 * on the gradients of that batch.
 */
export function planTraining(
  loss: Node,
  outputs: readonly Node[],
  options: { batch: number; update: Update; hyperLength: number; frozen?: Frozen; accumulate?: boolean; threads?: number },
): Plan {
  const builder = new Builder([loss, ...outputs], options.batch, true, 'session', options.threads, options.frozen)
  builder.forward()
  builder.backward(loss, options.update, options.hyperLength, options.accumulate)
  return builder.finish()
}

/** The forward calls of a training step alone, to look at all of its values. */
export function planForward(outputs: readonly Node[], options: { batch: number; frozen?: Frozen }): Plan {
  const builder = new Builder(outputs, options.batch, true, 'session', 1, options.frozen)
  builder.forward()
  return builder.finish()
}

class Builder implements Emit {
  private readonly order: Node[]
  private readonly values = new Map<Node, Planned>()
  private readonly grads = new Map<Node, Planned>()
  /** Nodes that a trainable parameter flows into: only they have gradients. */
  private readonly learning = new Set<Node>()
  /** What a node's forward leaves for its backward, by node and name. */
  private readonly kept = new Map<Node, Map<string, Planned>>()
  private readonly buffers: Planned[] = []
  private readonly states = new Map<string, Planned>()
  private counter?: Planned
  private readonly init: Pending[] = []
  private readonly calls: Pending[] = []
  private into = this.calls
  /** Calls that clear the gradients of parameters before several runs; undefined where every run clears its own. */
  private clear?: Pending[]
  private phases?: Plan['phases']

  constructor(
    private readonly outputs: readonly Node[],
    readonly batch: number,
    readonly training: boolean,
    readonly target: Target = 'session',
    private readonly threads = 1,
    frozen: Frozen = () => false,
    private readonly observed: ReadonlySet<Node> = new Set(),
  ) {
    if (!Number.isInteger(threads) || threads < 1) throw new DunlinError(`threads wants a positive integer, got ${threads}.`)
    if (!Number.isInteger(batch) || batch < 1) throw new DunlinError(`batch wants a positive integer, got ${batch}.`)
    this.order = topological(outputs)
    if (!training) return
    for (const node of this.order) {
      const learns = isParam(node)
        ? node.attrs.trainable && node.dtype === 'f32' && !frozen(node.name)
        : node.inputs.some((x) => this.learning.has(x))
      if (learns) this.learning.add(node)
    }
  }

  forward(): void {
    for (const node of this.order) {
      if (isInput(node) || isParam(node)) continue
      const row = opOf(node.op)
      if (!row) throw new DunlinError(`${where(node)}: there is no such op.`)
      if (this.isAlias(node)) continue
      const why = node.dtype !== 'f32' && row.int8?.unsupported?.(node)
      if (why) throw new DunlinError(`${where(node)}: ${why}`)
      const forward = node.dtype === 'f32' ? row.forward : row.int8?.forward
      if (!forward) throw new DunlinError(`${where(node)}: has no ${node.dtype} kernel.`)
      forward.call(row, this, node)
    }
  }

  backward(loss: Node, update: Update, hyperLength: number, accumulate = false): void {
    if (size(loss.shape) !== 1 || loss.batched)
      throw new DunlinError(
        `${where(loss)}: a loss is one number for the batch, this has shape [${loss.shape}]${loss.batched ? ' for each sample' : ''}.`,
      )
    if (accumulate) this.clear = []
    const seed = this.sink(loss)?.dx
    if (!seed) throw new DunlinError('Nothing to train: the loss depends on no trainable parameter.')
    if (accumulate) this.call('accumulate_f32', this.state('share', 1), seed, 1, 0)
    else fill(this, seed, 1)
    for (const node of [...this.order].reverse()) {
      if (isInput(node) || isParam(node) || !this.grads.has(this.root(node))) continue
      const row = opOf(node.op)
      if (this.isAlias(node)) continue
      if (!row?.backward) throw new DunlinError(`${where(node)}: has no gradient, so nothing before it can be trained.`)
      row.backward(this, node)
    }
    const hyper = this.state('hyper', hyperLength)
    const updated = this.order.filter(isParam).flatMap((node) => {
      const g = this.grads.get(node)
      return g ? [{ node, w: this.value(node), g }] : []
    })
    const params = updated.map(({ node: { name }, w, g }): Updated => {
      const arrays = new Map<string, Planned>()
      const state = (array: string) => {
        const kept = arrays.get(array) ?? this.state(`${name}/${array}`, w.length)
        arrays.set(array, kept)
        return kept
      }
      return { name, w, g, n: w.length, state }
    })
    this.calls.unshift(...(this.clear ?? []))
    this.phases = { gradients: this.clear?.length ?? 0, update: this.calls.length }
    update(this, params, hyper)
    for (const { node, w } of updated) {
      const mask = node.mask && this.constant(`${node.name}/mask`, node.mask)
      if (mask) elementwise(this, w.length, (from, n) => this.call('mask_f32', this.at(w, from), this.at(mask, from), n))
    }
  }

  // Emit

  value(node: Node): Planned {
    const of = this.root(node)
    let buffer = this.values.get(of)
    if (!buffer) {
      const length = size(of.shape) * (of.batched ? this.batch : 1)
      if (isParam(of)) buffer = this.add(of.name, of.dtype, length, 'constant', dataOf(of))
      else buffer = this.add(of.name || of.op, of.dtype, length, isInput(of) ? 'input' : 'arena')
      this.values.set(of, buffer)
    }
    return buffer
  }

  grad(node: Node): Planned | undefined {
    const of = this.root(node)
    if (!this.learning.has(of)) return undefined
    let buffer = this.grads.get(of)
    if (!buffer) {
      const kept = isParam(of) && this.clear
      buffer = this.add(`d ${of.name || of.op}`, 'f32', this.value(of).length, kept ? 'gradient' : 'arena')
      this.grads.set(of, buffer)
      const into = this.into
      if (kept) this.into = kept
      fill(this, buffer, 0)
      this.into = into
    }
    return buffer
  }

  sink(node: Node): { dx: Planned; add: 0 | 1 } | undefined {
    const of = this.root(node)
    if (!this.learning.has(of)) return undefined
    const first = !this.grads.has(of) && !(isParam(of) && this.clear)
    if (first) this.grads.set(of, this.add(`d ${of.name || of.op}`, 'f32', this.value(of).length, 'arena'))
    return { dx: this.grad(of) as Planned, add: first ? 0 : 1 }
  }

  pass(node: Node, x: Node): boolean {
    const of = this.root(x)
    const dy = this.grads.get(this.root(node))
    if (!dy || isParam(of) || !this.learning.has(of) || this.grads.has(of)) return false
    this.grads.set(of, dy)
    return true
  }

  learns(node: Node): boolean {
    return this.learning.has(this.root(node)) || this.observed.has(node)
  }

  scratch(length: number, dtype: Dtype = 'f32'): Planned {
    return this.add('scratch', dtype, length, 'arena')
  }

  saved(node: Node, name: string, length: number): Planned {
    const names = this.kept.get(node) ?? new Map<string, Planned>()
    this.kept.set(node, names)
    const buffer = names.get(name) ?? this.add(`${node.name}/${name}`, 'f32', length, 'arena')
    names.set(name, buffer)
    return buffer
  }

  state(name: string, length: number): Planned {
    const state = this.states.get(name) ?? this.add(name, 'f32', length, 'state')
    if (state.length !== length)
      throw new DunlinError(
        `State "${name}" is kept by two nodes, of ${state.length} and of ${length} words. Give one of them another name.`,
      )
    this.states.set(name, state)
    return state
  }

  step(): Planned {
    this.counter ??= this.add('step', 'i32', 1, 'state')
    return this.counter
  }

  constant(name: string, data: TypedArray): Planned {
    const dtype = (Object.keys(ARRAYS) as Dtype[]).find((d) => data instanceof ARRAYS[d]) as Dtype
    return this.add(name, dtype, data.length, 'constant', data)
  }

  prepared(name: string, length: number, fill: (to: Buffer) => void): Planned {
    const buffer = this.add(name, 'f32', length, this.training ? 'arena' : 'prepared')
    const before = this.into
    this.into = this.training ? this.calls : this.init
    fill(buffer)
    this.into = before
    return buffer
  }

  call(kernel: KernelName, ...args: readonly (number | Buffer)[]): void {
    this.into.push({ kernel, args: args as Argument[], others: [] })
  }

  split(total: number, work: number, part: (from: number, count: number) => void, grain = 1): void {
    const grains = Math.ceil(total / grain)
    // What runs once is not worth a thread.
    const parts = this.into === this.init ? 1 : Math.min(this.threads, grains, Math.floor(work / WORTH))
    if (parts <= 1) {
      part(0, total)
      return
    }
    const begin = (i: number) => Math.min(total, Math.floor((grains * i) / parts) * grain)
    const before = this.into
    const lists = Array.from({ length: parts }, (_, i) => {
      this.into = []
      part(begin(i), begin(i + 1) - begin(i))
      return this.into
    })
    this.into = before
    // A part is a call; where it is several, these go side by side one after another.
    const [first, ...rest] = lists
    first.forEach((c, at) => {
      before.push({ ...c, others: rest.map((list) => list[at].args) })
    })
  }

  at<B extends Buffer | 0>(buffer: B, elements: number): B {
    if (buffer === 0 || elements === 0) return buffer
    const whole = buffer as Buffer as Planned | Within
    const [of, bytes] = 'of' in whole ? [whole.of, whole.bytes] : [whole, 0]
    const { name, dtype, length } = whole
    const within: Within = { name, dtype, length: length - elements, of, bytes: bytes + elements * BYTES[dtype] }
    return within as Buffer as B
  }

  // Planning

  /** A reshape's value and gradient are its input's. */
  private root(node: Node): Node {
    let of = node
    while (this.isAlias(of)) of = of.inputs[0]
    return of
  }

  private isAlias(node: Node): boolean {
    const alias = opOf(node.op)?.alias
    return alias === true || (alias === 'inference' && !this.training)
  }

  private add(name: string, dtype: Dtype, length: number, role: Planned['role'], data?: TypedArray): Planned {
    const buffer: Planned = { name, dtype, length, role, address: 0, ...(data && { data }) }
    this.buffers.push(buffer)
    return buffer
  }

  finish(): Plan {
    const lifetimes = this.lifetimes()
    // Constants first: a module stores them as one segment, which ends where they end.
    const kinds: Planned['role'][] = ['constant', 'prepared', 'state', 'gradient']
    let at = BASE
    for (const role of kinds) {
      for (const buffer of this.buffers) {
        if (buffer.role !== role) continue
        buffer.address = at
        at = align(at + buffer.length * BYTES[buffer.dtype])
      }
    }
    const arena = this.buffers.filter((b) => lifetimes.has(b))
    const bytes = arena.map((b) => ({
      bytes: b.length * BYTES[b.dtype],
      ...(lifetimes.get(b) as { first: number; last: number }),
    }))
    const { addresses, end } = arrange(bytes, at)
    arena.forEach((buffer, i) => {
      buffer.address = addresses[i]
    })
    const memory = end + OVERREAD
    if (memory > MAX_MEMORY) {
      throw new DunlinError(
        `The network needs ${memory} bytes for a batch of ${this.batch}, more than the 4 GiB of a WebAssembly memory. Use a smaller batch.`,
      )
    }
    const number = (a: Argument) => (typeof a === 'number' ? a : 'of' in a ? a.of.address + a.bytes : a.address)
    const resolve = ({ kernel, args, others }: Pending): Call => ({
      kernel,
      args: args.map(number),
      ...(others.length && { others: others.map((o) => o.map(number)) }),
    })
    const region = ({ name, address, dtype, length }: Planned): Region => ({ name, address, dtype, length })
    return {
      memory,
      persistent: at,
      arena: { bytes: end - at, lowerBound: lowerBound(bytes) },
      constants: this.buffers.filter((b) => b.data).map((b): Constant => ({ ...region(b), data: b.data as TypedArray })),
      state: this.buffers.filter((b) => b.role === 'state').map(region),
      init: this.init.map(resolve),
      calls: this.calls.map(resolve),
      ...(this.phases && { phases: this.phases }),
      ...(this.observed.size && { saved: this.remembered().map(region) }),
      inputs: this.order.filter(isInput).map((n) => this.port(n)),
      outputs: this.outputs.map((n) => this.port(n)),
    }
  }

  /** What observed nodes saved. */
  private remembered(): Planned[] {
    return [...this.observed].flatMap((node) => [...(this.kept.get(node)?.values() ?? [])])
  }

  /** First and last call of every arena buffer. Inputs live from before the first call, outputs until after the last. */
  private lifetimes(): Map<Planned, { first: number; last: number }> {
    const lives = new Map<Planned, { first: number; last: number }>()
    const touch = (arg: Argument, call: number) => {
      if (typeof arg === 'number') return
      const buffer = 'of' in arg ? arg.of : arg
      if (!['arena', 'input', 'output'].includes(buffer.role)) return
      const life = lives.get(buffer)
      if (life) {
        life.first = Math.min(life.first, call)
        life.last = Math.max(life.last, call)
      } else lives.set(buffer, { first: call, last: call })
    }
    // What `init` uses in passing lives before everything else.
    this.init.forEach((c, i) => {
      for (const arg of c.args) touch(arg, i - this.init.length - 1)
    })
    for (const node of this.order) if (isInput(node)) touch(this.value(node), -1)
    this.calls.forEach((c, i) => {
      for (const arg of [c.args, ...c.others].flat()) touch(arg, i)
    })
    for (const node of this.outputs) touch(this.value(node), this.calls.length)
    for (const buffer of this.remembered()) touch(buffer, this.calls.length)
    return lives
  }

  private port(node: Node): Port {
    const { address, dtype, length } = this.value(node)
    const normalize = isInput(node) ? node.attrs.normalize : undefined
    return {
      name: node.name || node.op,
      address,
      dtype,
      length,
      batch: node.batched ? this.batch : 1,
      shape: node.shape,
      ...(node.quant && { quant: node.quant }),
      ...(normalize && { normalize }),
    }
  }
}

function dataOf(param: Param): TypedArray {
  if (param.data.length !== size(param.shape)) {
    throw new DunlinError(
      `parameter "${param.name}": has no values yet. Make a Model of the graph first: it draws them from its seed.`,
    )
  }
  return param.data
}
