// A session runs a plan: one wasm instance, one memory of the plan's size, and workers on it where the plan is split and the host has shared
// memory. It sees regions and calls, never ops. Dropping it frees everything.

import { instantiateSync } from '@assemblyscript/loader'
import { DunlinError } from '../graph/error'
import { ARRAYS, size, type TypedArray } from '../graph/node'
import { type Call, LOAD, OVERREAD, type Plan, type Port, partsOf, type Region, threadsOf, unrolled } from '../plan/plan'
import { enter, leave, type Values } from './door'
import { type Build, bestBuild, kernelModule, sharedKernelModule } from './kernels'
import { availableThreads, joinCrew, noThreads, type Team, watch } from './threads'

type Kernel = (...args: number[]) => void

/** A kernel with its arguments bound: a call makes no garbage, where spreading a list boxes each number that is no integer. */
type Part = () => void

interface Bound {
  /** One, or where the call is split several. */
  parts: Part[]
  /** Which of the split calls it is. */
  split: number
}

const PAGE = 65536

export class Session {
  private readonly calls: Bound[]
  /** What a module of the plan keeps in flash; empty where it keeps nothing there. */
  readonly flash: Uint8Array<ArrayBuffer>
  private team?: Team
  /** Why it has one thread although it was to have more. */
  private reason?: string

  private constructor(
    readonly plan: Plan,
    readonly build: Build,
    private readonly memory: WebAssembly.Memory,
    kernels: Record<string, Kernel>,
  ) {
    let splits = 0
    const bytes = new Uint8Array(memory.buffer)
    this.flash = new Uint8Array(plan.flash?.bytes ?? 0)
    const load: Kernel = (to, from, count) => bytes.set(this.flash.subarray(from, from + count), to)
    const bind = (c: Call): Bound => {
      const kernel = c.kernel === LOAD ? load : kernels[c.kernel]
      const parts = partsOf(c)
      if (parts.some((args) => kernel?.length !== args.length)) {
        throw new DunlinError(
          `The plan calls ${c.kernel} with ${c.args.length} arguments; the ${build} kernels have ${kernel ? `one of ${kernel.length}` : 'none of that name'}.`,
        )
      }
      return { parts: parts.map((args) => kernel.bind(undefined, ...args)), split: parts.length > 1 ? splits++ : 0 }
    }
    this.calls = unrolled(plan.calls).map(bind)
    for (const constant of plan.constants) this.view(constant).set(constant.data)
    for (const { parts } of plan.init.map(bind)) for (const part of parts) part()
    this.keepFlash(bytes)
    for (const constant of plan.learning?.initial ?? []) this.view(constant).set(constant.data)
  }

  /** Takes out of memory what is to be in flash. */
  private keepFlash(bytes: Uint8Array): void {
    const { plan } = this
    if (!plan.flash) return
    for (const { address, dtype, length, ...of } of plan.flash.regions) {
      const data = 'data' in of ? of.data : this.view({ name: '', address: of.made, dtype, length })
      this.flash.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), address)
    }
    bytes.fill(0, 0, plan.flash.workspace)
  }

  /**
   * Loads the kernels (`build`: the best that the host runs) and the plan's constants, and runs its `init`. `threads`: how many run the
   * calls, this one included; default: the cores available, and never more than the plan was made for. Results do not depend on it.
   * Where the host allows no shared memory, one thread runs all.
   */
  static async create(plan: Plan, options: { build?: Build; threads?: number } = {}): Promise<Session> {
    const build = options.build ?? bestBuild()
    const { threads = availableThreads() } = options
    if (!Number.isInteger(threads) || threads < 1) throw new DunlinError(`threads wants a positive integer, got ${threads}.`)
    const wanted = Math.min(threads, threadsOf(plan))
    if (wanted === 1) return Session.on(plan, build, await kernelModule(build), false)
    const why = noThreads()
    const module = why ? undefined : await sharedKernelModule(build)
    if (!module) {
      const session = Session.on(plan, build, await kernelModule(build), false)
      session.alone(why ?? 'its kernels, or this host, have no shared memory')
      return session
    }
    const session = Session.on(plan, build, module, true)
    const calls = unrolled(plan.calls).flatMap((c) => (c.others ? [{ kernel: c.kernel, parts: partsOf(c) }] : []))
    try {
      session.team = await joinCrew(module, session.memory, calls, wanted)
      watch(session, session.team)
    } catch (error) {
      session.alone(`a worker did not start: ${(error as Error).message}`)
    }
    return session
  }

  private static on(plan: Plan, build: Build, module: WebAssembly.Module, shared: boolean): Session {
    const initial = Math.ceil((Math.max(plan.memory, plan.flash?.workspace ?? 0) + OVERREAD) / PAGE)
    let memory: WebAssembly.Memory
    try {
      memory = new WebAssembly.Memory({ initial, ...(shared && { maximum: initial, shared }) })
    } catch {
      throw new DunlinError(`This host has no ${plan.memory} bytes of memory for the plan. Use a smaller batch or network.`)
    }
    const { instance } = instantiateSync(module, { env: { memory } })
    return new Session(plan, build, memory, instance.exports as unknown as Record<string, Kernel>)
  }

  /**
   * Runs the plan's calls once, or those of a part. Feed every input before each run: its memory is used again once it has been read.
   */
  run(from = 0, to = this.calls.length): void {
    const { team } = this
    team?.begin()
    for (let i = from; i < to; i++) {
      const { parts, split } = this.calls[i]
      if (team && parts.length > 1) team.run(split, parts)
      else for (let j = 0; j < parts.length; j++) parts[j]()
    }
  }

  /** A live view of a region, valid as long as the session; with more than one thread it is one of a SharedArrayBuffer. */
  view(region: Region): TypedArray {
    return new ARRAYS[region.dtype](this.memory.buffer, region.address, region.length)
  }

  /** Copies `count` samples, from the `from`-th of `values` on, through the port's door into memory, at sample `to` of the batch. */
  feed(port: Port, values: Values, from = 0, count = port.batch, to = 0): void {
    const each = size(port.shape)
    enter(port, values, from * each, count * each, this.view(port), to * each)
  }

  /** The first `count` samples of a port as real numbers. */
  fetch(port: Port, count = port.batch): Float32Array {
    return leave(port, this.view(port).subarray(0, count * size(port.shape)))
  }

  /** A copy of the memory that outlives a run, from address `from`: constants and what `init` made of them. */
  contents(from: number): Uint8Array {
    return new Uint8Array(this.memory.buffer).slice(from, this.plan.persistent)
  }

  /** Which build runs, in how much memory, on how many threads; `reason`: why on one, where it was to be more. */
  info(): { build: Build; memoryBytes: number; calls: number; threads: number; reason?: string } {
    const { build, plan, team, reason } = this
    const threads = 1 + (team?.hands.length ?? 0)
    return { build, memoryBytes: plan.memory, calls: plan.calls.length, threads, ...(reason && { reason }) }
  }

  /** Goes on without workers, and says so: once in a process. */
  private alone(reason: string): void {
    this.reason = reason
    if (!warned) console.warn(`dunlin: one thread computes, not several: ${reason}.`)
    warned = true
  }
}

let warned = false
