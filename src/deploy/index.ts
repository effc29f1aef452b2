// Deploying: the model becomes the module. Its plan for one sample is written down as a standalone .wasm, with a C header.

import type { Plan } from '../plan/plan'
import { kernelBytes } from '../session/kernels'
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

/**
 * The model as one .wasm without imports. `target`: 'scalar' runs in every WebAssembly runtime, 'simd' is faster where the runtime has
 * 128-bit SIMD (browsers, servers). The same model gives the same bytes.
 */
export async function buildModule(model: Deployable, options: { target?: 'scalar' | 'simd' } = {}): Promise<BuiltModule> {
  const { target = 'scalar' } = options
  const plan = model.plan(1, 'module')
  // Weights are packed, if at all, by the plan's own `init`.
  const contents = (await Session.create(plan, { build: target })).contents(16)
  return writeModule(plan, { name: model.name, build: kernelBytes(target), contents, labels: model.labels })
}
