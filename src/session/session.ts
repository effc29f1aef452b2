// A session runs a plan: one wasm instance, one memory of the plan's size. It sees regions and calls, never ops. Dropping it frees
// everything.

import { instantiateSync } from '@assemblyscript/loader'
import { DunlinError } from '../graph/error'
import { ARRAYS, size, type TypedArray } from '../graph/node'
import type { Call, Plan, Port, Region } from '../plan/plan'
import { enter, leave, type Values } from './door'
import { type Build, bestBuild, kernelModule } from './kernels'

type Kernel = (...args: number[]) => void

const PAGE = 65536

export class Session {
  /** Kernels with their arguments bound: a call makes no garbage, where spreading a list boxes each number that is no integer. */
  private readonly calls: (() => void)[]

  private constructor(
    readonly plan: Plan,
    readonly build: Build,
    private readonly memory: WebAssembly.Memory,
    kernels: Record<string, Kernel>,
  ) {
    const bind = (c: Call): (() => void) => {
      const kernel = kernels[c.kernel]
      if (kernel?.length !== c.args.length) {
        throw new DunlinError(
          `The plan calls ${c.kernel} with ${c.args.length} arguments; the ${build} kernels have ${kernel ? `one of ${kernel.length}` : 'none of that name'}.`,
        )
      }
      return kernel.bind(undefined, ...c.args)
    }
    this.calls = plan.calls.map(bind)
    for (const constant of plan.constants) this.view(constant).set(constant.data)
    for (const call of plan.init.map(bind)) call()
  }

  /** Loads the kernels (`build`: the best that the host runs) and the plan's constants, and runs its `init`. */
  static async create(plan: Plan, options: { build?: Build } = {}): Promise<Session> {
    const build = options.build ?? bestBuild()
    const module = await kernelModule(build)
    let memory: WebAssembly.Memory
    try {
      memory = new WebAssembly.Memory({ initial: Math.ceil(plan.memory / PAGE) })
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
    for (let i = from; i < to; i++) this.calls[i]()
  }

  /** A live view of a region, valid as long as the session. */
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

  /** Which build runs, in how much memory. */
  info(): { build: Build; memoryBytes: number; calls: number } {
    return { build: this.build, memoryBytes: this.plan.memory, calls: this.plan.calls.length }
  }
}
