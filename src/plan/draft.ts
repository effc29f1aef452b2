// A plan as it is written, calls on buffers, and what becomes of it: lifetimes are read off the calls, the buffers get addresses, and the
// calls become numbers.

import { DunlinError } from '../graph/error'
import { BYTES, isInput, type Node, type TypedArray, topological } from '../graph/node'
import type { Buffer, Target, Weights } from '../ops/op'
import { align, arrange, type Lifetime, lowerBound, type Over, usage } from './arena'
import { FlashStore } from './flash'
import { type Argument, callOf, inOrder, type Pending, type PendingLoop, type Planned, regionOf, resolved } from './pending'
import { type Constant, type Flash, type LayerCalls, OVERREAD, type Plan, type Port } from './plan'

/** Addresses below this are never used: 0 means "no such buffer". */
const BASE = 16
/** WebAssembly's limit for a 32-bit memory. */
const MAX_MEMORY = 2 ** 32 - 65536

/** What a row, or the bands, know of all calls [from, to) that touch both: y may lie over x (Emit.over), here in bytes. */
interface Claim {
  y: Planned
  x: Planned
  distance: number
  from: number
  to: number
}

/** Calls of bands: each begins at one of `starts`. */
interface Span {
  starts: number[]
  end: number
  /** Buffers that hold something during one band only. */
  own: Set<Planned>
}

export abstract class Draft {
  protected readonly order: Node[]
  protected readonly values = new Map<Node, Planned>()
  protected readonly buffers: Planned[] = []
  protected readonly init: Pending[] = []
  protected readonly calls: (Pending | PendingLoop)[] = []
  /** What a node's forward leaves for its backward, by node and name. */
  protected readonly kept = new Map<Node, Map<string, Planned>>()
  protected readonly store = new FlashStore()
  protected readonly layers: LayerCalls[] = []
  protected phases?: Plan['phases']
  /** Which node each call computes. */
  protected readonly nodeOf: Node[] = []
  protected readonly claims: Claim[] = []
  protected readonly spans: Span[] = []
  private measured?: ReturnType<Draft['measureOnce']>

  constructor(
    protected readonly outputs: readonly Node[],
    readonly batch: number,
    readonly target: Target,
    readonly weights: Weights,
    protected readonly observed: ReadonlySet<Node>,
  ) {
    this.order = topological(outputs)
  }

  /** The node whose memory a node's value is. */
  protected abstract root(node: Node): Node

  /** The buffer of such a node's value. */
  protected abstract whole(of: Node): Planned

  /** How many bytes of the arena are in use during a call. */
  alive(): (call: number) => number {
    const { lives, overs } = this.measure()
    return usage(lives, overs)
  }

  /** How many bytes less that is than the sizes of what lives then. */
  savings(): (call: number) => number {
    const { lives, overs } = this.measure()
    const [all, used] = [usage(lives), usage(lives, overs)]
    return (call) => all(call) - used(call)
  }

  /** Bytes that the arena would take, and those of scratch of each node. */
  trial(): { bytes: number; scratch: ReadonlyMap<Node, number> } {
    const { heads, lives, overs } = this.measure()
    const values = new Set(this.values.values())
    const passing = lives.filter((_, i) => !values.has(heads[i]))
    const used = usage(passing)
    const scratch = new Map<Node, number>()
    for (const { first } of passing) {
      const node = this.nodeOf[first]
      if (node) scratch.set(node, Math.max(scratch.get(node) ?? 0, used(first)))
    }
    return { bytes: arrange(lives, 0, overs).end, scratch }
  }

  /** Buffers of the arena, how long they live, and which may lie over which; asked when all calls are written. */
  private measure() {
    this.measured ??= this.measureOnce()
    return this.measured
  }

  private measureOnce() {
    const lifetimes = this.lifetimes()
    // What `init` works on is no part of a run, when that begins from what is in flash.
    const lasts = (b: Planned) => this.weights === 'ram' || lifetimes.get(b)!.last >= -1
    const arena = this.buffers.filter((b) => lifetimes.has(b) && lasts(b))
    const blocks = new Map<Planned, Planned[]>()
    for (const b of arena) blocks.set(b.group ?? b, [...(blocks.get(b.group ?? b) ?? []), b])
    const [heads, members] = [[...blocks.keys()], [...blocks.values()]]
    const lives = members.map((block) => ({
      bytes: block.reduce((end, b) => align(end) + bytesOf(b), 0),
      ...lifetimes.get(block[0])!,
    }))
    return { heads, members, lives, overs: this.overs(heads, lives), lifetimes }
  }

  finish(): Plan {
    const { members, lives, overs, lifetimes } = this.measure()
    const flash = this.weights === 'flash' ? this.flash(lifetimes) : undefined
    // Constants first: a module stores them as one segment, which ends where they end.
    // What is learned lies together.
    const learned = ['parameter', 'velocity', 'gradient'] as const
    const kinds: Planned['role'][] = flash ? [...learned, 'state'] : ['constant', 'prepared', ...learned, 'state']
    const kept = kinds.flatMap((role) => this.buffers.filter((b) => b.role === role))
    const at = inOrder(kept, BASE)
    const { addresses, end } = arrange(lives, at, overs)
    members.forEach((block, i) => {
      // Numbers of channels first: there are a multiple of 16 bytes of them, most often, and what follows needs no gap.
      block.sort((a, b) => Number(b.dtype === 'i32') - Number(a.dtype === 'i32'))
      inOrder(block, addresses[i])
    })
    const memory = end + (this.target === 'session' ? OVERREAD : 0)
    if (memory > MAX_MEMORY) {
      throw new DunlinError(
        `The network needs ${memory} bytes for a batch of ${this.batch}, more than the 4 GiB of a WebAssembly memory. Use a smaller batch.`,
      )
    }
    return {
      memory,
      persistent: at,
      arena: { bytes: end - at, lowerBound: lowerBound(lives, overs) },
      constants: this.buffers
        .filter((b) => b.data && b.role !== 'parameter')
        .map((b): Constant => ({ ...regionOf(b), data: b.data as TypedArray })),
      state: this.buffers.filter((b) => b.role === 'state').map(regionOf),
      init: this.init.map(callOf),
      calls: this.calls.map(resolved),
      ...(flash && { flash }),
      map: {
        layers: this.layers,
        buffers: members.flat().map((b) => ({ name: b.name, address: b.address, ...lifetimes.get(b)!, bytes: bytesOf(b) })),
      },
      ...(this.phases && { phases: this.phases }),
      ...(this.observed.size && { saved: this.remembered().map(regionOf) }),
      inputs: this.order.filter(isInput).map((n) => this.port(n)),
      outputs: this.outputs.map((n) => this.port(n)),
    }
  }

  /** The numbers in flash. What `init` works on lies in memory only until it ran, so that the runs may have that memory. */
  private flash(lifetimes: ReadonlyMap<Planned, { last: number }>): Flash {
    const passing = (b: Planned) => b.role === 'arena' && (lifetimes.get(b)?.last ?? 0) < -1
    const used = this.buffers.filter((b) => b.role === 'constant' || b.role === 'prepared' || passing(b))
    return this.store.plan(inOrder(used, BASE))
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
      const span = this.spanOf(call)
      if (span && !span.own.has(buffer)) {
        // Every band reads it, or adds to it.
        extend(buffer, span.starts[0])
        extend(buffer, span.starts[0] + longest(span) - 1)
      } else extend(buffer, this.timeOf(call))
    }
    const extend = (buffer: Planned, call: number) => {
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
    for (const node of this.order) if (isInput(node)) this.whole(this.root(node))
    for (const buffer of this.buffers) if (buffer.role === 'input') touch(buffer, -1)
    this.calls.forEach((c, i) => {
      for (const { args, others } of 'body' in c ? c.body : [c]) for (const arg of [args, ...others].flat()) touch(arg, i)
    })
    for (const node of this.outputs) touch(this.whole(this.root(node)), this.calls.length)
    for (const buffer of this.remembered()) touch(buffer, this.calls.length)
    return lives
  }

  private spanOf(call: number): Span | undefined {
    return this.spans.find(({ starts, end }) => call >= starts[0] && call < end)
  }

  /** When a call runs, as far as lifetimes go: the calls of all bands run at the times of the first, for each begins with nothing. */
  private timeOf(call: number): number {
    const span = this.spanOf(call)
    if (!span) return call
    const start = Math.max(...span.starts.filter((from) => from <= call))
    return span.starts[0] + call - start
  }

  /** The claims that hold: all that runs while both buffers live is a call of which it was said. */
  private overs(arena: readonly Planned[], lives: readonly Lifetime[]): Over[] {
    const index = new Map(arena.map((buffer, i) => [buffer, i]))
    const calls = new Map<number, number[]>()
    this.calls.forEach((_, call) => {
      const time = this.timeOf(call)
      calls.set(time, [...(calls.get(time) ?? []), call])
    })
    const pairs = new Map<number, Claim[]>()
    for (const claim of this.claims) {
      const [y, x] = [index.get(claim.y), index.get(claim.x)]
      if (y === undefined || x === undefined || x === y) continue
      const key = y * arena.length + x
      pairs.set(key, [...(pairs.get(key) ?? []), claim])
    }
    return [...pairs].flatMap(([key, claims]): Over[] => {
      const [y, x] = [Math.floor(key / arena.length), key % arena.length]
      const [first, last] = [Math.max(lives[y].first, lives[x].first), Math.min(lives[y].last, lives[x].last)]
      for (let time = first; time <= last; time++) {
        const said = calls.get(time)?.every((call) => claims.some(({ from, to }) => from <= call && call < to))
        if (!said) return []
      }
      return [{ y, x, distance: Math.max(...claims.map((c) => c.distance)) }]
    })
  }

  private port(node: Node): Port {
    const { address, dtype, length } = this.whole(this.root(node))
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

/** Calls of the longest band. */
const longest = ({ starts, end }: Span): number => Math.max(...starts.map((from, i) => (starts[i + 1] ?? end) - from))

const bytesOf = (b: Buffer) => b.length * BYTES[b.dtype]
