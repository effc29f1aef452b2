// Deploying: the model becomes the module. Its plan for one sample is written down as a standalone .wasm, with a C header.

import type { Node } from '../graph/node'
import { planTrain, type TrainOptions } from '../plan/learn'
import type { Plan } from '../plan/plan'
import { kernelBytes } from '../session/kernels'
import { Session } from '../session/session'
import { type ModuleReport, writeModule } from './module'

export type { TrainOptions } from '../plan/learn'
export { loadModule, type StandaloneModule, type StandaloneTraining } from './load'
export type { Metadata, ModuleReport, PortMetadata } from './module'
export type { TrainingMetadata } from './training'

/** What a module is built from: a Model is one. */
interface Deployable {
  name: string
  labels: readonly string[]
  outputs: readonly Node[]
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
 *
 * With `train` it also learns: its export `train_step` takes the class of the sample in the input and returns the loss; what it changes lies
 * at `parameters`, `parameters_bytes` long, to be stored and put back by the host (Metadata.training says how). A loss that is not finite, and
 * so a class that there is not, changes nothing. Dropout is off and batchNorm keeps its statistics.
 */
export async function buildModule(
  model: Deployable,
  options: { target?: 'scalar' | 'simd'; train?: TrainOptions } = {},
): Promise<BuiltModule> {
  const { target = 'scalar', train } = options
  const plan = train ? planTrain(model.outputs, train) : model.plan(1, 'module')
  // Weights are packed, if at all, by the plan's own `init`.
  const contents = (await Session.create(plan, { build: target })).contents(16)
  return writeModule(plan, { name: model.name, build: kernelBytes(target), contents, labels: model.labels })
}
