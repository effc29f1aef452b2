// Writes a plan: the rows of the ops write calls on buffers through `Emit`, node by node, forward and, in training, backward.
// Where a module's weights are in flash it puts the loads before the calls, tile by tile; where memory is short, band by band.

import { DunlinError } from '../graph/error'
import { BYTES, type Dtype, isInput, isParam, type Node, type Param, size, type TypedArray } from '../graph/node'
import { opOf } from '../ops'
import { elementwise, fill } from '../ops/calls'
import { type Buffer, type Descent, type Emit, type KernelName, type Table, type Target, type Weights, where } from '../ops/op'
import { align } from './arena'
import { type Banded, bandDistance, bandsOf, geometryOf, type Rows, rowOf, sourcesOf } from './bands'
import { Draft } from './draft'
import { dtypeOf, type Tiled } from './flash'
import { choosePatches, type Needs } from './patches'
import { type Argument, dataOf, growth, load, type Pending, type PendingLoop, type Planned, type Within } from './pending'
import { piecesOf, type Site } from './tiles'

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

/** The band of rows that is being written down. */
interface Band {
  rows: Rows
  /** Values that live for a band only. */
  values: Map<Node, Planned>
  /** Scratch and constants of the bands before, by name, in the order in which each band asks for them; and how many this one has. */
  asked: Map<string, Planned[]>
  had: Map<string, number>
  /** How many sites are before what is written next. */
  site: number
  /** The first call of all bands, and of this one. */
  begins: number
  start: number
}

/** Writes a plan: first `forward`, then what else there is to it, at last `finish`. */
export class Builder extends Draft implements Emit {
  protected readonly grads = new Map<Node, Planned>()
  /** Nodes that a trainable parameter flows into: only they have gradients. */
  protected readonly learning = new Set<Node>()
  private counter?: Planned
  private into: (Pending | PendingLoop)[] = this.calls
  /** Parameters that were brought from flash for the node that is being written. */
  private loaded = new Map<Node, Planned>()
  private readonly used = new Set<KernelName>()
  private readonly states = new Map<string, Planned>()
  /** Buffers that the next call to use them finds filled from flash: the load, and what it brings. */
  private readonly pending = new Map<Planned, () => Pending>()
  private readonly brought = new Map<Planned, TypedArray | Planned>()
  /** The same numbers are in memory once. */
  private readonly tables = new Map<TypedArray, Planned>()
  /** Buffers that the writing of a tile made, for the next tile to use in the same order. */
  private tileBuffers?: { made: Planned[]; next: number }
  readonly sites: Site[] = []
  /** What is being written is the one call, or loop of one turn, that computes a node. */
  private single = false
  /** Calls that clear the gradients of parameters before several runs; undefined where every run clears its own. */
  protected clear?: Pending[]
  /** Which node is being written. */
  private node!: Node
  /** Nodes whose value may lie over one that they read. */
  readonly overlying = new Set<Node>()
  /** What was said of the next call. */
  private readonly said: { y: Buffer; x: Buffer; distance: number }[] = []
  private band?: Band

  constructor(
    outputs: readonly Node[],
    batch: number,
    readonly training: boolean,
    target: Target = 'session',
    private readonly threads = 1,
    /** Left out: nothing in training; without training everything. */
    frozen?: Frozen,
    observed: ReadonlySet<Node> = new Set(),
    weights: Weights = 'ram',
    readonly interpreted = false,
    /** The most channels that each of the sites computes at once; by default as few as can be. */
    private readonly most: readonly number[] = [],
    private readonly banded: readonly Banded[] = [],
    /** What was derived from nodes, for all plans that are tried. */
    private readonly derived = new Map<Node, Map<string, unknown>>(),
  ) {
    super(outputs, batch, target, weights, observed)
    if (!Number.isInteger(threads) || threads < 1) throw new DunlinError(`threads wants a positive integer, got ${threads}.`)
    if (!Number.isInteger(batch) || batch < 1) throw new DunlinError(`batch wants a positive integer, got ${batch}.`)
    if (!training && !frozen) return
    for (const node of this.order) {
      const learns = isParam(node)
        ? node.attrs.trainable && node.dtype === 'f32' && !frozen?.(node.name)
        : node.inputs.some((x) => this.learning.has(x))
      if (learns) this.learning.add(node)
    }
  }

  forward(): void {
    for (const node of this.order) {
      const banded = this.banded.find((b) => b.nodes.includes(node))
      if (!banded) this.compute(node)
      else if (node === banded.nodes.at(-1)) this.computeBands(banded)
    }
  }

  private compute(node: Node): void {
    if (isInput(node) || isParam(node)) return
    const row = opOf(node.op)
    if (!row) throw new DunlinError(`${where(node)}: there is no such op.`)
    if (this.isAlias(node)) return
    const why = node.dtype !== 'f32' && row.int8?.unsupported?.(node)
    if (why) throw new DunlinError(`${where(node)}: ${why}`)
    const forward = node.dtype === 'f32' ? row.forward : row.int8?.forward
    if (!forward) throw new DunlinError(`${where(node)}: has no ${node.dtype} kernel.`)
    const first = this.calls.length
    const stored = this.storedBytes()
    this.node = node
    forward.call(row, this, node)
    this.loaded.clear()
    this.pending.clear()
    const [top, end] = this.band?.rows.get(node) ?? [0, 1]
    const share = (node.batched ? this.batch : 1) * (this.band ? (end - top) / node.shape[0] : 1)
    this.layers.push({
      ...{
        name: node.name,
        op: node.op,
        first,
        end: this.calls.length,
        at: this.band ? this.band.begins + first - this.band.start : first,
      },
      ...{ macs: share * (row.macs?.(node) ?? 0), elements: share * size(node.shape) },
      storedBytes: this.storedBytes() - stored,
    })
    while (this.nodeOf.length < this.calls.length) this.nodeOf.push(node)
  }

  private computeBands(banded: Banded): void {
    const geometry = geometryOf((node) => this.root(node))
    const bands = bandsOf(banded, geometry)
    if (!bands) throw new DunlinError(`${where(banded.nodes[0])}: cannot be computed by bands of rows.`)
    const last = banded.nodes[banded.nodes.length - 1]
    const values = new Map<Node, Planned>()
    for (const node of banded.nodes) {
      if (node === last) continue
      const height = Math.max(...bands.map((rows) => rows.get(node)![1] - rows.get(node)![0]))
      values.set(node, this.add(node.name || node.op, node.dtype, height * rowOf(node), 'arena'))
    }
    const asked: Band['asked'] = new Map()
    const sites = this.sites.length
    const begins = this.calls.length
    const starts = bands.map((rows) => {
      const start = this.calls.length
      this.band = { rows, values, asked, had: new Map(), site: sites, begins, start }
      for (const node of banded.nodes) this.compute(node)
      return start
    })
    this.band = undefined
    const end = this.calls.length
    this.spans.push({
      starts,
      end,
      own: new Set([...values.values(), ...[...asked.values()].flat()]),
    })
    const y = this.value(last) as Planned
    for (const source of sourcesOf(banded, geometry)) {
      const distance = bandDistance(banded, bands, source, geometry) * BYTES[last.dtype]
      if (source.dtype === last.dtype)
        this.claims.push({ y, x: this.value(source) as Planned, distance, from: starts[0], to: end })
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
    this.gradients()
    const hyper = this.state('hyper', hyperLength)
    const updated = this.order.filter(isParam).flatMap((node) => {
      const g = this.grads.get(node)
      return g ? [{ node, w: this.value(node), g }] : []
    })
    const params = updated.map(({ node: { name }, w, g }): Updated => {
      const state = (array: string) => this.state(`${name}/${array}`, w.length)
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

  /** The backward calls of all nodes whose gradient is there, the last first. */
  protected gradients(): void {
    for (const node of [...this.order].reverse()) {
      if (isInput(node) || isParam(node) || !this.grads.has(this.root(node))) continue
      const row = opOf(node.op)
      if (this.isAlias(node)) continue
      if (!row?.backward) throw new DunlinError(`${where(node)}: has no gradient, so nothing before it can be trained.`)
      const first = this.calls.length
      this.node = node
      row.backward(this, node)
      this.loaded.clear()
      this.pending.clear()
      this.layerFrom(first, `d ${node.name}`)
    }
  }

  /** What was written from the call `first` on is a part of a step of training: no part of a run. */
  protected layerFrom(first: number, name: string): void {
    if (this.calls.length > first)
      this.layers.push({ name, op: 'training', macs: 0, elements: 0, storedBytes: 0, first, end: this.calls.length, at: first })
  }

  // Emit

  value(node: Node): Planned | Within {
    const of = this.root(node)
    // What a module learns is in memory, wherever its weights are.
    if (isParam(of) && this.weights === 'flash' && !this.isLearned(of)) {
      return this.into === this.init ? this.inWorkspace(of.name, dataOf(of)) : this.fetched(of)
    }
    const part = this.band?.values.get(of)
    // Where the whole value would begin, if the rows of the band were part of it.
    if (!part) return this.whole(of)
    const { name, dtype } = part
    const before = this.band!.rows.get(of)![0] * rowOf(of) * BYTES[dtype]
    return { name, dtype, length: size(of.shape), of: part, bytes: -before }
  }

  private isLearned(param: Node): boolean {
    return !this.training && this.learning.has(param)
  }

  protected whole(of: Node): Planned {
    let buffer = this.values.get(of)
    if (!buffer) {
      const length = size(of.shape) * (of.batched ? this.batch : 1)
      if (isParam(of)) buffer = this.make(of.name, of.dtype, length, this.isLearned(of) ? 'parameter' : 'constant', dataOf(of))
      else buffer = this.make(of.name || of.op, of.dtype, length, isInput(of) ? 'input' : 'arena')
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

  descent(_: Node): Descent | undefined {
    return undefined
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
    if (this.weights === 'flash') return this.into === this.init ? this.inWorkspace(name, data) : this.bring(name, data)
    return this.add(name, dtypeOf(data), data.length, 'constant', data)
  }

  tiles(total: number, tables: readonly Table[], part: (from: number, count: number, ...of: Buffer[]) => void): void {
    if (this.weights === 'ram') {
      part(0, total, ...tables.map(({ name, data }) => this.inWorkspace(name, data)))
      return
    }
    this.settle()
    const { band } = this
    const at = band ? band.site++ : this.sites.length
    const { count, times, rest } = piecesOf(total, this.most[at] ?? 0)
    const before = this.buffers.length
    const tiled = this.sites[at]?.tiled ?? this.store.putTiles(total, count, tables)
    const site: Site = { node: this.node, total, tile: count, call: this.calls.length, bytes: 0, tiled }
    const write = (from: number, n: number) => this.aside(() => part(from, n, ...this.stretches(tiled, from, n)))
    // What grows from tile to tile is seen by writing two (of a single one the second is not there, and nothing grows).
    this.tileBuffers = { made: [], next: 0 }
    this.single = times === 1 && !rest && this.into === this.calls
    const body = write(0, count)
    this.single = false
    this.tileBuffers.next = 0
    const second = write(count, count)
    this.tileBuffers = undefined
    this.into.push({ times, body, steps: body.map(({ args }, i) => args.map((a, j) => growth(a, second[i].args[j]))) })
    const made = this.buffers.slice(before)
    for (const b of made) {
      if (b !== made[0]) b.group = made[0]
      site.bytes += align(b.length * BYTES[b.dtype])
    }
    if (at === this.sites.length) this.sites.push(site)
    if (rest) this.into.push(...write(times * count, rest))
  }

  prepared(name: string, length: number, fill: (to: Buffer) => void): Planned {
    // Where a device learns, what is made of parameters that stand still is made once.
    const again = this.training || this.node.inputs.some((x) => isParam(x) && this.learning.has(x))
    const buffer = this.add(name, 'f32', length, again ? 'arena' : 'prepared')
    const before = this.into
    this.into = again ? this.calls : this.init
    fill(buffer)
    this.into = before
    return this.weights === 'flash' && !again ? this.bring(name, buffer) : buffer
  }

  once<T>(node: Node, what: string, make: () => T): T {
    const of = this.derived.get(node) ?? new Map<string, unknown>()
    this.derived.set(node, of)
    if (!of.has(what)) of.set(what, make())
    return of.get(what) as T
  }

  over(y: Buffer, x: Buffer, distance = 0): void {
    // Sessions have memory enough, and their kernels and threads another order.
    if (this.target !== 'module' || (this.into !== this.calls && !this.single)) return
    this.said.push({ y, x, distance: distance * BYTES[y.dtype] })
    this.overlying.add(this.node)
  }

  /** Of the call that is about to be written. */
  private claim({ y, x, distance }: { y: Buffer; x: Buffer; distance: number }): void {
    const place = (b: Buffer): [Planned, number] => ('of' in b ? [(b as Within).of, (b as Within).bytes] : [b as Planned, 0])
    const [[yOf, yBytes], [xOf, xBytes]] = [place(y), place(x)]
    const from = this.calls.length
    this.claims.push({ y: yOf, x: xOf, distance: distance + yBytes - xBytes, from, to: from + 1 })
  }

  uses(kernel: KernelName): boolean {
    return this.used.has(kernel)
  }

  call(kernel: KernelName, ...args: readonly (number | Buffer)[]): void {
    const ready = this.weights === 'flash' ? (args as Argument[]).map((arg) => this.ready(arg)) : (args as Argument[])
    for (const said of this.said.splice(0)) this.claim(said)
    this.into.push({ kernel, args: ready, others: [] })
    if (this.into !== this.init) this.used.add(kernel)
  }

  split(total: number, work: number, part: (from: number, count: number) => void, grain = 1): void {
    if (this.band) {
      const [top, end] = this.band.rows.get(this.node)!
      const each = total / this.node.shape[0]
      part(top * each, (end - top) * each)
      return
    }
    const grains = Math.ceil(total / grain)
    // What runs once is not worth a thread.
    const parts = this.into === this.init ? 1 : Math.min(this.threads, grains, Math.floor(work / WORTH))
    if (parts <= 1) {
      part(0, total)
      return
    }
    const begin = (i: number) => Math.min(total, Math.floor((grains * i) / parts) * grain)
    const before = this.into
    const lists = Array.from({ length: parts }, (_, i) => this.aside(() => part(begin(i), begin(i + 1) - begin(i))))
    // A part is a call; where it is several, these go side by side one after another. (Loops are a module's, which has one thread.)
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

  /** Bytes of constants and of what `init` makes, so far. */
  private storedBytes(): number {
    const kept = this.buffers.filter((b) => b.role === 'constant' || b.role === 'prepared')
    return this.weights === 'flash' ? this.store.bytes : kept.reduce((sum, b) => sum + align(b.length * BYTES[b.dtype]), 0)
  }

  /** The calls that `write` writes, in a list of their own. */
  private aside(write: () => void): Pending[] {
    const before = { into: this.into, loaded: this.loaded }
    this.into = []
    this.loaded = new Map(this.loaded)
    write()
    const list = this.into as Pending[]
    Object.assign(this, before)
    return list
  }

  /** A constant of the memory in which `init` works, and without flash of all runs. */
  private inWorkspace(name: string, data: TypedArray): Planned {
    const buffer = this.tables.get(data) ?? this.add(name, dtypeOf(data), data.length, 'constant', data)
    this.tables.set(data, buffer)
    return buffer
  }

  /** A buffer that is filled from flash before the first call that uses it. */
  private bring(name: string, of: TypedArray | Planned): Planned {
    const dtype = 'role' in of ? of.dtype : dtypeOf(of)
    const buffer = this.add(name, dtype, of.length, 'arena')
    this.brought.set(buffer, of)
    this.pending.set(buffer, () => load(buffer, this.store.put(name, dtype, of.length, of)))
    return buffer
  }

  /** A parameter, whole, for the node that is being written. */
  private fetched(of: Param): Planned {
    const buffer = this.loaded.get(of) ?? this.bring(of.name, dataOf(of))
    this.loaded.set(of, buffer)
    return buffer
  }

  /** What is loaded of tables for the `n` channels from `from` on. */
  private stretches({ name, address, channel, parts }: Tiled, from: number, n: number): Within[] {
    const of = this.add(name, 'u8', n * channel, 'arena')
    this.pending.set(of, () => load(of, address + from * channel))
    const all: Within[] = []
    let bytes = 0
    for (const { at, name, dtype, each } of parts) {
      all[at] = { name, dtype, length: n * each, of, bytes }
      bytes += n * each * BYTES[dtype]
    }
    return all
  }

  /** The argument of a call that is about to be written: filled, or where `init` finds the same. */
  private ready(arg: Argument): Argument {
    if (typeof arg === 'number') return arg
    const buffer = 'of' in arg ? arg.of : arg
    const of = this.brought.get(buffer)
    if (of && this.into === this.init) {
      const same = 'role' in of ? of : this.inWorkspace(buffer.name, of)
      return 'of' in arg ? { ...arg, of: same } : same
    }
    this.fill(buffer)
    return arg
  }

  private fill(buffer: Planned): void {
    const wanted = this.pending.get(buffer)
    this.pending.delete(buffer)
    if (wanted) this.into.push(wanted())
  }

  /** Loads what is yet to be loaded: a loop follows, which is to find it. */
  private settle(): void {
    for (const buffer of [...this.pending.keys()]) this.fill(buffer)
  }

  /** A reshape's value and gradient are its input's. */
  protected root(node: Node): Node {
    let of = node
    while (this.isAlias(of)) of = of.inputs[0]
    return of
  }

  private isAlias(node: Node): boolean {
    const alias = opOf(node.op)?.alias
    return alias === true || (alias === 'inference' && !this.training)
  }

  protected add(name: string, dtype: Dtype, length: number, role: Planned['role'], data?: TypedArray): Planned {
    const tile = this.tileBuffers
    if (tile && tile.next < tile.made.length) return tile.made[tile.next++]
    const buffer = this.again(name, (was) => {
      if (!was) return this.make(name, dtype, length, role, data)
      was.length = Math.max(was.length, length)
      return was
    })
    if (tile) {
      tile.made.push(buffer)
      tile.next++
    }
    return buffer
  }

  private make(name: string, dtype: Dtype, length: number, role: Planned['role'], data?: TypedArray): Planned {
    const buffer: Planned = { name, dtype, length, role, address: 0, ...(data && { data }) }
    this.buffers.push(buffer)
    return buffer
  }

  /** What a band asks for by this name, as an earlier band was given it. */
  private again(name: string, make: (was: Planned | undefined) => Planned): Planned {
    const { band } = this
    if (!band) return make(undefined)
    const list = band.asked.get(name) ?? []
    const had = band.had.get(name) ?? 0
    band.had.set(name, had + 1)
    list[had] = make(list[had])
    band.asked.set(name, list)
    return list[had]
  }

  /** The parts of the network to compute by bands. */
  patches<P extends { bytes: number }>(needs: Needs, recompute: number, plan: (banded: readonly Banded[]) => P): P {
    return choosePatches(this.order, this.outputs, (node) => this.root(node), needs, recompute, plan)
  }
}
