// A host for standalone modules in JavaScript: everything it needs is in the file. It uses the plain WebAssembly API and no kernel.

import { DunlinError } from '../graph/error'
import { ARRAYS, type Dtype, size, type TypedArray } from '../graph/node'
import { enter, leave, type Values } from '../session/door'
import { ABI } from './header'
import type { Metadata, PortMetadata } from './module'

export interface StandaloneModule {
  readonly metadata: Metadata
  /** Linear memory that the network uses. */
  readonly ramBytes: number
  /** The module's input and output as they are in its memory: write, `run`, read. */
  readonly input: TypedArray
  readonly output: TypedArray
  run(): void
  /** Of a module that learns. */
  readonly training?: StandaloneTraining
  /** The output for one raw sample as real numbers; normalization and quantization are applied. */
  predict(sample: Values): Float32Array
}

export interface StandaloneTraining {
  /** All that training changes, in the module's memory: copy it to keep it, write it back to go on. Metadata say what lies where. */
  readonly parameters: Uint8Array
  /** What the output should have been, where the module learns numbers: to be written before a step. */
  readonly target?: Float32Array
  /** A step of training on the sample in `input`; its loss. One that is not finite, as of a class that there is not, changes nothing. */
  step(label: number): number
  /** The same for a raw sample. The module's output is then what it predicted before it learned. */
  learn(sample: Values, label: number): number
}

/** Instantiates a module made by buildModule; `source` names it in errors. */
export async function loadModule(wasm: Uint8Array, source = 'module'): Promise<StandaloneModule> {
  const fail = (what: string): never => {
    throw new DunlinError(`${source}: ${what}. Build it again with dunlin.`)
  }
  const module = await WebAssembly.compile(wasm as BufferSource).catch((e: Error) => fail(`no valid WebAssembly (${e.message})`))
  const [section] = WebAssembly.Module.customSections(module, 'dunlin')
  if (!section) return fail('a WebAssembly file without a section "dunlin"; it is no module of dunlin')
  let metadata: Metadata
  try {
    metadata = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(section))
  } catch (e) {
    return fail(`its section "dunlin" is no JSON (${(e as Error).message})`)
  }
  if (metadata?.abi !== ABI) fail(`ABI ${metadata?.abi}, this dunlin knows ABI ${ABI}`)
  if (WebAssembly.Module.imports(module).length) fail('it imports something; a module of dunlin imports nothing')
  const { exports } = await WebAssembly.instantiate(module)
  const { memory, run } = exports
  if (!(memory instanceof WebAssembly.Memory) || typeof run !== 'function') return fail('it lacks the exports "memory" and "run"')
  const number = (name: string): number => {
    const global = exports[name]
    return global instanceof WebAssembly.Global && Number.isInteger(global.value)
      ? (global.value as number)
      : fail(`it lacks the constant "${name}"`)
  }
  const view = (name: 'input' | 'output', port: PortMetadata | undefined) => {
    const address = number(name)
    const bytes = number(`${name}_bytes`)
    if (!port || !Object.hasOwn(ARRAYS, port.dtype) || !Array.isArray(port.shape)) return fail(`its metadata describe no ${name}`)
    const array = ARRAYS[port.dtype as Dtype]
    if (size(port.shape) * array.BYTES_PER_ELEMENT !== bytes || address < 0 || address + bytes > memory.buffer.byteLength) {
      fail(`its ${name} of shape [${port.shape}] does not fit ${bytes} bytes at ${address}`)
    }
    return new array(memory.buffer, address, size(port.shape))
  }
  const [inPort, outPort] = [metadata.inputs?.[0], metadata.outputs?.[0]]
  const [input, output] = [view('input', inPort), view('output', outPort)]
  const [entrance, exit] = [door(inPort), door(outPort)]
  const { mean, std } = inPort
  if ([mean, std].some((v) => typeof v === 'object' && !(Array.isArray(v) && v.length === inPort.shape.at(-1)))) {
    fail(`its input of shape [${inPort.shape}] has a mean or std that is no list of one for each channel`)
  }
  const start = () => {
    const status = run()
    if (status !== 0) throw new DunlinError(`${source}: run() returned ${status}, wanted 0.`)
  }
  const fill = (sample: Values) => {
    if (sample.length !== input.length)
      throw new DunlinError(
        `${source}: the sample has ${sample.length} values, wanted ${input.length} (shape [${inPort.shape}]).`,
      )
    enter(entrance, sample, 0, sample.length, input, 0)
  }
  const stretch = (name: string): [number, number] => {
    const [address, bytes] = [number(name), number(`${name}_bytes`)]
    if (address < 0 || bytes < 0 || address % 4 || bytes % 4 || address + bytes > memory.buffer.byteLength)
      fail(`its ${name} do not fit ${bytes} bytes at ${address}`)
    return [address, bytes]
  }
  const trainingOf = (): StandaloneTraining | undefined => {
    if (!metadata.training) return undefined
    const { train_step: step } = exports
    if (typeof step !== 'function') return fail('it lacks the export "train_step"')
    const [at, bytes] = metadata.training.truth === 'target' ? stretch('target') : []
    return {
      parameters: new Uint8Array(memory.buffer, ...stretch('parameters')),
      ...(at !== undefined && { target: new Float32Array(memory.buffer, at, bytes! / 4) }),
      step: (label) => step(label),
      learn(sample, label) {
        fill(sample)
        return step(label)
      },
    }
  }
  const training = trainingOf()
  return {
    metadata,
    ramBytes: number('__heap_base'),
    input,
    output,
    run: start,
    ...(training && { training }),
    predict(sample) {
      fill(sample)
      start()
      return leave(exit, output)
    },
  }
}

const door = ({ scale, zero_point, mean, std }: PortMetadata) => ({
  ...(scale !== undefined && { quant: { scale: [scale], zeroPoint: zero_point ?? 0 } }),
  ...(std !== undefined && { normalize: { mean: mean ?? 0, std } }),
})
