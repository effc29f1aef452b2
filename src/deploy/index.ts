// Deploying: the model becomes the module. Its plan for one sample is written down as a standalone .wasm, with a C header.

import { DunlinError } from '../graph/error'
import type { Plan } from '../plan/plan'
import { type Build, kernelBytes } from '../session/kernels'
import { Session } from '../session/session'
import { type ModuleReport, writeModule } from './module'

export { loadModule, type StandaloneModule } from './load'
export type { Metadata, ModuleReport, PortMetadata } from './module'

/** What a module is built from: a Model is one. */
interface Deployable {
  name: string
  labels: readonly string[]
  plan(batch: number, target: 'module'): Plan
}

export interface BuiltModule {
  wasm: Uint8Array<ArrayBuffer>
  /** C99: addresses, shapes, quantization, labels. */
  header: string
  report: ModuleReport
}

/** The kernels of each target: those of a build, or others in their place where `instead` has them. */
const KERNELS: Record<ModuleTarget, { build: Build; instead?: 'interpreter' }> = {
  aot: { build: 'scalar' },
  simd: { build: 'simd' },
  interpreter: { build: 'scalar', instead: 'interpreter' },
}

/** Who runs a module: a compiler (ahead of time, just in time, or wasm2c and a C compiler), one that has 128-bit SIMD, or an interpreter. */
export type ModuleTarget = 'aot' | 'simd' | 'interpreter'

/**
 * The model as one .wasm without imports. `target` (default 'aot') chooses the form of its loops; int8 results are the same. 'aot' is for
 * hosts that compile; 'simd' is faster where those have 128-bit SIMD (browsers, servers); 'interpreter' is faster where each
 * instruction is interpreted (small devices). 'aot' and 'interpreter' run in every WebAssembly runtime. The same model gives the same bytes.
 */
export async function buildModule(model: Deployable, options: { target?: ModuleTarget } = {}): Promise<BuiltModule> {
  const { target = 'aot' } = options
  if (!Object.hasOwn(KERNELS, target))
    throw new DunlinError(`buildModule: target wants ${Object.keys(KERNELS).join(', ')}, got ${JSON.stringify(target)}.`)
  const { build, instead } = KERNELS[target]
  const plan = model.plan(1, 'module')
  // Weights are packed, if at all, by the plan's own `init`.
  const contents = (await Session.create(plan, { build })).contents(16)
  const kernels = { build: kernelBytes(build), ...(instead && { instead: kernelBytes(instead) }) }
  return writeModule(plan, { name: model.name, ...kernels, contents, labels: model.labels })
}
