// Deploying: the model becomes the module. Its plan for one sample is written down as a standalone .wasm, with a C header.

import { DunlinError } from '../graph/error'
import type { Ends, Node } from '../graph/node'
import type { ModulePlan } from '../plan/build'
import { planTrain, type TrainOptions } from '../plan/learn'
import { OVERREAD, type Plan, type Region, unrolled, type Weights } from '../plan/plan'
import { type Build, bestBuild, kernelBytes } from '../session/kernels'
import { Session } from '../session/session'
import { selfTest } from './functions'
import { load, type StandaloneModule } from './load'
import { writeModule } from './module'
import { checkBudgets, type ModuleReport, type ModuleTarget, reportOf } from './report'
import { kernelsOf } from './run'

export type { TrainOptions } from '../plan/learn'
export type { Sample, StandaloneModule, StandaloneTraining } from './load'
export type { Metadata, PortMetadata } from './module'
export type { BufferReport, LayerReport, ModuleReport, ModuleTarget } from './report'
export type { TrainingMetadata } from './training'

/** What a module is built from: a Model is one. */
interface Deployable {
  name: string
  labels: readonly string[]
  outputs: readonly Node[]
  plan(batch: number, target: 'module', threads: number, options: ModulePlan): Plan
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

/** The kernels of each target: those of a build, or others in their place where `instead` has them. */
const KERNELS: Record<ModuleTarget, { build: Build; instead?: 'interpreter' }> = {
  aot: { build: 'scalar' },
  simd: { build: 'simd' },
  interpreter: { build: 'scalar', instead: 'interpreter' },
}

/** Its `input` and `output` say what stands at the ends of the network. */
export interface ModuleBuildOptions extends Ends {
  /**
   * The form of its loops; results are the same in int8. 'aot' (default) is for hosts that compile; 'simd' is faster where those have 128-bit
   * SIMD (browsers, servers); 'interpreter' is faster where each instruction is interpreted (small devices). 'aot' and 'interpreter'
   * run in every WebAssembly runtime.
   */
  target?: ModuleTarget
  /**
   * 'flash' (default): weights stay in the file, which a device has in its flash, and pass through RAM as they are needed. 'ram': they are
   * copied to RAM when the module starts, and no instruction of bulk memory is used: for hosts that have none.
   */
  weights?: Weights
  /**
   * The most that it may take, in bytes: a model that does not fit is refused, with what takes the most and what would fit. Where flash is short
   * RAM is not saved by bands of rows, whose calls take code.
   */
  ramBytes?: number
  flashBytes?: number
  /**
   * The module also learns: its export `train_step` takes the class of the sample in the input and returns the loss; what it changes lies
   * at `parameters`, `parameters_bytes` long, to be stored and put back by the host (Metadata.training says how). A loss that is not finite, and
   * so a class that there is not, changes nothing. Dropout is off and batchNorm keeps its statistics. The same samples give the same
   * bits in every host that rounds each operation (gcc behind wasm2c: -ffp-contract=off).
   */
  train?: TrainOptions
}

/** The model as one .wasm without imports. The same model and options give the same bytes. */
export async function buildModule(model: Deployable, options: ModuleBuildOptions = {}): Promise<BuiltModule> {
  const { target = 'aot', weights = 'flash', ramBytes, flashBytes, input, output, train } = options
  if (!Object.hasOwn(KERNELS, target))
    throw new DunlinError(`buildModule: target wants ${Object.keys(KERNELS).join(', ')}, got ${JSON.stringify(target)}.`)
  if (weights !== 'flash' && weights !== 'ram')
    throw new DunlinError(`buildModule: weights wants flash or ram, got ${JSON.stringify(weights)}.`)
  const ended = input || output ? model.withEnds({ input, output }) : model
  const built = async (less: ModulePlan) => {
    const how = { weights, interpreted: target === 'interpreter', ...less }
    const plan = train ? planTrain(ended.outputs, how, train) : ended.plan(1, 'module', 1, how)
    return write(model, plan, target, weights)
  }
  const [ram, flash] = [ramBytes, flashBytes].map((bytes) => bytes ?? Number.POSITIVE_INFINITY)
  let less: ModulePlan = {}
  let module = await built(less)
  // What is spent for speed is saved where RAM is short; and bands of rows, which save RAM and take code, where flash is.
  if (module.report.ramBytes > ram) module = await built((less = { spare: 0 }))
  if (module.report.flashBytes > flash && !train) module = await built({ ...less, recompute: -1 })
  const isFloat = ended.outputs[0].dtype === 'f32'
  checkBudgets(`module "${model.name}"`, module.report, { ramBytes, flashBytes }, isFloat)
  return module
}

/** The module of a plan. */
async function write(model: Deployable, plan: Plan, target: ModuleTarget, weights: Weights): Promise<BuiltModule> {
  const { build, instead } = KERNELS[target]
  // Weights are packed, if at all, by the plan's own `init`. Integers are the same in every build, and no int8 kernel of a module packs
  // weights in a way of its build: the fastest serves.
  const exact = !kernelsOf([...plan.init, ...plan.calls]).some((kernel) => kernel.includes('f32'))
  const session = await Session.create(plan, { build: exact ? bestBuild() : build, threads: 1 })
  const [contents, flash] = [session.contents(16), session.flash]
  const kernels = { build: kernelBytes(build), ...(instead && { instead: kernelBytes(instead) }) }
  const overread = target === 'simd' ? OVERREAD : 0
  const { name, labels } = model
  const built = writeModule(plan, { name, ...kernels, contents, flash, selfTest: selfTest(inference(session)), overread, labels })
  return { ...built, report: reportOf(plan, built.report, target, weights) }
}

/** A session that runs what `run` will: not what follows where a module learns. */
function inference(session: Session) {
  const { plan } = session
  const calls = plan.learning && unrolled(plan.calls.slice(0, plan.learning.phases.loss)).length
  return { plan, view: (region: Region) => session.view(region), run: () => session.run(0, calls) }
}

/** Instantiates a module made by buildModule, which must be whole; `source` names it in errors. */
export const loadModule = (wasm: Uint8Array | ArrayBuffer, source?: string): Promise<StandaloneModule> =>
  load(wasm, source, DunlinError)
