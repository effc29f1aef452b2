// Deploying: the model becomes the module. Its plan for one sample is written down as a standalone .wasm, with a C header.

import { DunlinError } from '../graph/error'
import type { Node } from '../graph/node'
import type { Weights } from '../ops/op'
import { planTrain, type TrainOptions } from '../plan/learn'
import { OVERREAD, type Plan } from '../plan/plan'
import { type Build, kernelBytes } from '../session/kernels'
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
  plan(batch: number, target: 'module', threads: number, weights: Weights): Plan
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

export const isModuleTarget = (target: string): target is ModuleTarget => Object.hasOwn(KERNELS, target)

/**
 * The model as one .wasm without imports. `target` (default 'aot') chooses the form of its loops; int8 results are the same. 'aot' is for
 * hosts that compile; 'simd' is faster where those have 128-bit SIMD (browsers, servers); 'interpreter' is faster where each
 * instruction is interpreted (small devices). 'aot' and 'interpreter' run in every WebAssembly runtime. The same model gives the same bytes.
 *
 * With `train` it also learns: its export `train_step` takes the class of the sample in the input and returns the loss; what it changes lies
 * at `parameters`, `parameters_bytes` long, to be stored and put back by the host (Metadata.training says how). A loss that is not finite, and
 * so a class that there is not, changes nothing. Dropout is off and batchNorm keeps its statistics.
 * The same samples give the same bits in every host that rounds each operation (gcc behind wasm2c: -ffp-contract=off).
 */
export async function buildModule(
  model: Deployable,
  options: { target?: ModuleTarget; weights?: Weights; train?: TrainOptions } = {},
): Promise<BuiltModule> {
  const { target = 'aot', weights = 'flash', train } = options
  if (!isModuleTarget(target))
    throw new DunlinError(`buildModule: target wants ${Object.keys(KERNELS).join(', ')}, got ${JSON.stringify(target)}.`)
  const { build, instead } = KERNELS[target]
  const plan = train ? planTrain(model.outputs, weights, train) : model.plan(1, 'module', 1, weights)
  // Weights are packed, if at all, by the plan's own `init`.
  const session = await Session.create(plan, { build })
  const [contents, flash] = [session.contents(16), session.flash]
  const kernels = { build: kernelBytes(build), ...(instead && { instead: kernelBytes(instead) }) }
  return writeModule(plan, {
    name: model.name,
    ...kernels,
    contents,
    flash,
    overread: target === 'simd' ? OVERREAD : 0,
    labels: model.labels,
  })
}
