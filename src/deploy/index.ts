// Deploying: the model becomes the module. Its plan for one sample is written down as a standalone .wasm, with a C header.

import { DunlinError } from '../graph/error'
import type { Ends } from '../graph/node'
import type { Plan } from '../plan/plan'
import { kernelBytes } from '../session/kernels'
import { Session } from '../session/session'
import { selfTest } from './functions'
import { load, type StandaloneModule } from './load'
import { type ModuleReport, writeModule } from './module'

export type { Sample, StandaloneModule } from './load'
export type { Metadata, ModuleReport, PortMetadata } from './module'

/** What a module is built from: a Model is one. */
interface Deployable {
  name: string
  labels: readonly string[]
  plan(batch: number, target: 'module'): Plan
  withEnds(ends: Ends): Deployable
}

export interface BuiltModule {
  wasm: Uint8Array<ArrayBuffer>
  /** C99: addresses, shapes, quantization, labels. */
  header: string
  /** An ES module without dependencies, with types in JSDoc: its `load(bytes)` is loadModule. */
  loader: string
  report: ModuleReport
}

/**
 * The model as one .wasm without imports. `target`: 'scalar' runs in every WebAssembly runtime, 'simd' is faster where the runtime has
 * 128-bit SIMD (browsers, servers). `input` and `output`: what stands at the ends of the network. The same model gives the same bytes.
 */
export async function buildModule(model: Deployable, options: Ends & { target?: 'scalar' | 'simd' } = {}): Promise<BuiltModule> {
  const { target = 'scalar', input, output } = options
  const plan = (input || output ? model.withEnds({ input, output }) : model).plan(1, 'module')
  // Weights are packed, if at all, by the plan's own `init`.
  const session = await Session.create(plan, { build: target, threads: 1 })
  const contents = session.contents(16)
  const { name, labels } = model
  return writeModule(plan, { name, build: kernelBytes(target), contents, selfTest: selfTest(session), labels })
}

/** Instantiates a module made by buildModule, which must be whole; `source` names it in errors. */
export const loadModule = (wasm: Uint8Array | ArrayBuffer, source?: string): Promise<StandaloneModule> =>
  load(wasm, source, DunlinError)
