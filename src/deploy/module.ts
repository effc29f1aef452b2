// The standalone module: a plan written down as one wasm file. Its kernels are bodies copied from the prebuilt binary, its
// function `run` is the list of calls (run.ts), its data segments are the memory as it is after `init`, and what stays in flash until it is
// loaded. It imports nothing. Where nothing stays in flash it is for every host, those without bulk memory too (bulk.ts).
// A host finds its way by exports alone (constant globals), and a small wasm runtime gives it no more RAM than it uses: that
// takes constant `__heap_base` and `__data_end`, no mutable global, and no memory.size or memory.grow anywhere.

import { DunlinError } from '../graph/error'
import { BYTES, type Dtype } from '../graph/node'
import { type Plan, type Port, unrolled } from '../plan/plan'
import { ABI, HASH_BYTES, hashDigits, portName } from './abi'
import { KINDS, type Kind, MAGIC, OPCODE, SECTION, VALUE_TYPES, Writer } from './binary'
import { replaceBulkMemory } from './bulk'
import { moduleFunctions } from './functions'
import { writeHeader } from './header'
import { type FunctionType, kernelOf, parseBuild } from './kernels'
import { loaderText } from './loader'
import { kernelsOf, writeRun } from './run'
import { describeTraining, type TrainingMetadata, trainingGlobals } from './training'

export interface ModuleOptions {
  /** Names the model in the metadata and, in capitals, the macros of the C header. */
  name: string
  /** Bytes of the prebuilt kernel binary, scalar or simd. */
  build: Uint8Array
  /** Another binary, whose kernels are taken where it has them. */
  instead?: Uint8Array
  /** Memory [16, plan.persistent) after the constants were written and `plan.init` ran. */
  contents: Uint8Array
  /** What the self-test's outputs hash to: selfTest() of an executor of the plan. */
  selfTest: number
  /** What the plan keeps in flash; left out: nothing. */
  flash?: Uint8Array
  /** Bytes past the plan's memory that the kernels of this build may read. Default 0. */
  overread?: number
  /** Names of the classes, one for each element of the last dimension of the output. */
  labels?: readonly string[]
}

/** Sizes in bytes. Each of code, data and metadata is its section of the file, with that section's own header. */
export interface ModuleSizes {
  flashBytes: number
  codeBytes: number
  dataBytes: number
  metadataBytes: number
  /** Linear memory in use: what a runtime with shrunk memory allocates. */
  ramBytes: number
  /** Size of each kernel's body, in order of first use. */
  kernels: Record<string, number>
  /** The same of the exported functions beside `run`. */
  functions: Record<string, number>
}

/** What the custom section `dunlin` holds, as JSON. Shapes are of one sample; real = scale * (q - zero_point). */
export interface Metadata {
  abi: number
  name: string
  inputs: PortMetadata[]
  outputs: PortMetadata[]
  labels: readonly string[]
  training?: TrainingMetadata
  /** The hash of all bytes of the file before it: eight hexadecimal digits. It comes last, in the last section. */
  hash: string
}

export interface PortMetadata {
  name: string
  shape: readonly number[]
  dtype: Dtype
  scale?: number
  zero_point?: number
  /** A number, or a list of one for each channel (the last dimension); `std` is alike. */
  mean?: number | readonly number[]
  std?: number | readonly number[]
}

const PAGE = 65536
/** Constants begin here: address 0 stays free, so that no pointer of a plan is null. */
const FIRST = 16
const align16 = (bytes: number) => Math.ceil(bytes / 16) * 16

/** The same plan, build, contents and labels give the same bytes. */
export function writeModule(
  plan: Plan,
  options: ModuleOptions,
): { wasm: Uint8Array<ArrayBuffer>; header: string; loader: string; report: ModuleSizes } {
  const { name, contents, flash = new Uint8Array(0), overread = 0, labels = [] } = options
  checkPlan(plan, options)
  const builds = [...(options.instead ? [options.instead] : []), options.build].map(parseBuild)
  for (const { data } of builds) {
    if (data.length) {
      throw new DunlinError(
        `kernel build: it has ${data.length} data segment(s), which no copied kernel could find. Build it without static data.`,
      )
    }
  }
  const names = kernelsOf(plan.calls)
  const kernels = names.map((kernel) => {
    const build = builds.find(({ exports }) => exports.some(({ name }) => name === kernel)) ?? builds[builds.length - 1]
    return kernelOf(build, kernel)
  })
  // What needs bulk memory to load its weights has it.
  if (!flash.length) replaceBulkMemory(names, kernels, (kernel) => kernelOf(builds[builds.length - 1], kernel))
  const { learning } = plan
  const written = writeRun(
    plan.calls,
    plan.map?.layers ?? [],
    kernels.map(({ type }, i) => ({ name: names[i], type })),
    learning,
  )
  // What is written ends with run, and train_step where there is one.
  const first = kernels.length + written.length
  const run = first - (learning ? 2 : 1)
  const own = moduleFunctions(plan, run, first, options.selfTest)
  const functions = [...kernels, ...written, ...own]

  const types: FunctionType[] = []
  const typeOf = (type: FunctionType) => {
    const found = types.findIndex((t) => String(t.params) === String(type.params) && String(t.results) === String(type.results))
    return found >= 0 ? found : types.push(type) - 1
  }
  const functionTypes = functions.map(({ type }) => typeOf(type))
  const ramBytes = align16(plan.memory + overread)
  const globals: [string, number][] = [
    ...addresses('input', plan.inputs),
    ...addresses('output', plan.outputs),
    ['abi', ABI],
    ...(learning ? trainingGlobals(learning) : []),
    ['__heap_base', ramBytes],
    ['__data_end', align16(plan.persistent)],
  ]
  const exports: [string, Kind, number][] = [
    ['memory', 'memory', 0],
    ['run', 'function', run],
    ...(learning ? [['train_step', 'function', run + 1] as [string, Kind, number]] : []),
    ...own.map((f, i): [string, Kind, number] => [f.name, 'function', first + i]),
    ...globals.map(([global], i): [string, Kind, number] => [global, 'global', i]),
  ]
  const pages = Math.ceil(ramBytes / PAGE)

  const w = new Writer().raw(MAGIC)
  w.section(SECTION.type, (s) =>
    s.vector(types, (t) => {
      s.byte(0x60)
      for (const list of [t.params, t.results]) s.vector(list, (v) => s.byte(VALUE_TYPES[v]))
    }),
  )
  w.section(SECTION.function, (s) => s.vector(functionTypes, (t) => s.u32(t)))
  w.section(SECTION.memory, (s) => s.vector([pages], (n) => s.byte(1).u32(n).u32(n)))
  w.section(SECTION.global, (s) =>
    s.vector(globals, ([, v]) => s.byte(VALUE_TYPES.i32).byte(0).byte(OPCODE.i32Const).i32(v).byte(OPCODE.end)),
  )
  w.section(SECTION.export, (s) => s.vector(exports, ([n, kind, index]) => s.text(n).byte(KINDS.indexOf(kind)).u32(index)))
  let used = contents.length
  while (used && contents[used - 1] === 0) used--
  // A body that copies from a segment wants to know beforehand how many there are.
  if (flash.length) w.section(SECTION.dataCount, (s) => s.u32(used ? 2 : 1))
  const codeBytes = w.section(SECTION.code, (s) => s.vector(functions, ({ body }) => s.u32(body.length).raw(body)))
  const dataBytes =
    used || flash.length
      ? w.section(SECTION.data, (s) => {
          s.u32((used ? 1 : 0) + (flash.length ? 1 : 0))
          if (flash.length) s.u32(1).u32(flash.length).raw(flash)
          if (used) s.u32(0).byte(OPCODE.i32Const).i32(FIRST).byte(OPCODE.end).u32(used).raw(contents.subarray(0, used))
        })
      : 0
  const [inputs, outputs] = [plan.inputs.map(describe), plan.outputs.map(describe)]
  const training = learning && describeTraining(learning)
  const metadata: Metadata = { abi: ABI, name, inputs, outputs, labels, training, hash: '00000000' }
  const metadataBytes = w.section(SECTION.custom, (s) => s.text('dunlin').raw(new TextEncoder().encode(JSON.stringify(metadata))))

  const wasm = w.bytes()
  wasm.set(new TextEncoder().encode(hashDigits(wasm)), wasm.length - HASH_BYTES)
  const sizes = Object.fromEntries(kernels.map(({ body }, i) => [names[i], body.length]))
  const ownSizes = Object.fromEntries(own.map((f) => [f.name, f.body.length]))
  return {
    wasm,
    header: writeHeader({
      name,
      inputs: plan.inputs,
      outputs: plan.outputs,
      labels,
      functions: own.map((f) => f.name),
      ramBytes,
      learning,
    }),
    loader: loaderText(),
    report: { flashBytes: wasm.length, codeBytes, dataBytes, metadataBytes, ramBytes, kernels: sizes, functions: ownSizes },
  }
}

/** Where ports lie and how large they are, by the names of the exports that say so. */
const addresses = (kind: 'input' | 'output', ports: readonly Port[]) =>
  ports.flatMap((port, i): [string, number][] => [
    [portName(kind, i), port.address],
    [`${portName(kind, i)}_bytes`, bytesOf(port)],
  ])

/** What a module cannot hold is refused. */
function checkPlan(plan: Plan, { name, contents, flash, labels }: ModuleOptions): void {
  const module = `module "${name}"`
  if (!plan.inputs.length || !plan.outputs.length) {
    throw new DunlinError(
      `${module}: a module has inputs and outputs, the plan has ${plan.inputs.length} and ${plan.outputs.length}. Plan a whole graph.`,
    )
  }
  const split = unrolled(plan.calls).find((call) => call.others)
  if (split)
    throw new DunlinError(`${module}: the plan splits ${split.kernel} for threads, a module has one. Plan with threads 1.`)
  // Addresses and sizes go out as i32, which hosts read as signed.
  const { memory, persistent } = plan
  if (
    !(
      Number.isInteger(memory) &&
      Number.isInteger(persistent) &&
      0 <= persistent &&
      persistent <= memory &&
      memory <= 2 ** 31 - 16
    )
  ) {
    throw new DunlinError(
      `${module}: the plan has memory ${memory} and persistent ${persistent}, wanted 0 <= persistent <= memory < 2 GiB.`,
    )
  }
  const wanted = Math.max(0, persistent - FIRST)
  if (contents.length !== wanted) {
    throw new DunlinError(
      `${module}: contents are ${contents.length} bytes, wanted ${wanted}. Give memory [${FIRST}, ${persistent}) of a session on this plan.`,
    )
  }
  const stored = plan.flash?.bytes ?? 0
  if ((flash?.length ?? 0) !== stored)
    throw new DunlinError(
      `${module}: flash is ${flash?.length ?? 0} bytes, wanted ${stored}. Give that of a session on this plan.`,
    )
  for (const port of [...plan.inputs, ...plan.outputs]) {
    const what = `${module}: port "${port.name}"`
    if (port.batch !== 1)
      throw new DunlinError(`${what} holds ${port.batch} samples, a module runs one at a time. Plan with batch 1.`)
    if (!(Number.isInteger(port.address) && port.address >= 0 && port.address + bytesOf(port) <= memory)) {
      throw new DunlinError(
        `${what} lies at [${port.address}, ${port.address + bytesOf(port)}), outside of the plan's memory of ${memory} bytes.`,
      )
    }
    const scale = port.quant ? Math.fround(port.quant.scale[0]) : 1
    if (!(scale > 0 && scale < Infinity))
      throw new DunlinError(`${what} has scale ${port.quant?.scale[0]}, wanted a positive float.`)
  }
  const [output] = plan.outputs
  const classes = output.shape.at(-1) ?? 1
  if (labels?.length && labels.length !== classes) {
    throw new DunlinError(
      `${module}: ${labels.length} labels for output "${output.name}" of shape [${output.shape}]. Give ${classes}, one for each class, or none.`,
    )
  }
}

const bytesOf = (port: Port) => port.length * BYTES[port.dtype]

/** Only what is known: absent properties are left out of the JSON. */
function describe({ name, shape, dtype, quant, normalize }: Port): PortMetadata {
  return { name, shape, dtype, scale: quant?.scale[0], zero_point: quant?.zeroPoint, mean: normalize?.mean, std: normalize?.std }
}
