// A host for standalone modules in JavaScript: everything it needs is in the file. It uses the plain WebAssembly API and no kernel.
// build.mjs makes of this file alone the text of the loader that is written beside a module (loader.ts), so that both are one.

import { ARRAYS, size, type TypedArray } from '../graph/node'
import { enter, leave, type Values } from '../session/door'
import { ABI, hashDigits, portName } from './abi'
import type { Metadata, PortMetadata } from './module'
import type { TrainingMetadata } from './training'

/** The values of one raw sample, or those of each input by name. */
export type Sample = Values | Record<string, Values>

export interface StandaloneModule {
  readonly metadata: Metadata
  /** Linear memory that the network uses. */
  readonly ramBytes: number
  /** What the module exports: for all that has no name here. */
  readonly exports: WebAssembly.Exports
  /** The module's ports as they are in its memory: write, `run`, read. */
  readonly inputs: readonly TypedArray[]
  readonly outputs: readonly TypedArray[]
  run(): void
  /** Of a module that learns. */
  readonly training?: StandaloneTraining
  /** The first output as real numbers; normalization and quantization are applied. The other outputs are then there to `read`. */
  predict(sample: Sample): Float32Array
  /** The index of the largest element of that output: the class, when the model is a classifier. */
  classify(sample: Sample): number
  /** Output `index` of the last run as real numbers. */
  read(index: number): Float32Array
  /** Zeroes the state that a stateful model keeps from run to run. */
  reset(): void
  /** Throws unless the module computes here, to the bit, what it computed when it was built. Its state is zero then. */
  selfTest(): void
}

export interface StandaloneTraining {
  /** All that training changes, in the module's memory: copy it to keep it, write it back to go on. Metadata say what lies where. */
  readonly parameters: Uint8Array
  /** What the output should have been, where the module learns numbers: to be written before a step. */
  readonly target?: Float32Array
  /** A step of training on the sample in the inputs; its loss. One that is not finite, as of a class that there is not, changes nothing. */
  step(label: number): number
  /** The same for a raw sample. The module's output is then what it predicted before it learned. */
  learn(sample: Sample, label: number): number
}

/** Instantiates a module made by buildModule, which must be whole. `source` names it in errors, which are of the class `Failure`. */
export async function load(
  wasm: Uint8Array | ArrayBuffer,
  source = 'module',
  Failure: new (message: string) => Error = Error,
): Promise<StandaloneModule> {
  let failure: Error | undefined
  const fail = (what: string): never => {
    throw (failure = new Failure(`${source}: ${what}.`))
  }
  const refuse = (what: string) => fail(`${what}. Build it again with dunlin`)
  try {
    const bytes = new Uint8Array(wasm)
    const module = await WebAssembly.compile(bytes)
    const [section] = WebAssembly.Module.customSections(module, 'dunlin')
    if (!section) refuse('no module of dunlin: it has no section "dunlin"')
    const metadata: Metadata = JSON.parse(new TextDecoder().decode(section))
    if (metadata.abi !== ABI) refuse(`ABI ${metadata.abi}, this loader knows ABI ${ABI}`)
    if (metadata.hash !== hashDigits(bytes)) refuse('damaged: its bytes do not have its hash')
    return host(metadata, (await WebAssembly.instantiate(module)).exports as unknown as Exports, fail)
  } catch (e) {
    if (e === failure) throw e
    return refuse(`no module of ABI ${ABI}, or damaged (${(e as Error).message})`)
  }
}

type Exports = Record<string, WebAssembly.Global & ((...args: number[]) => number)> & { memory: WebAssembly.Memory }

/** What `load` gives. Throws whatever it comes upon when the metadata are of another module than the exports. */
function host(metadata: Metadata, exports: Exports, fail: (what: string) => never): StandaloneModule {
  const { memory } = exports
  const ramBytes = exports.__heap_base.value
  const view = (kind: 'input' | 'output') => (port: PortMetadata, i: number) => {
    const name = portName(kind, i)
    const array = new ARRAYS[port.dtype](memory.buffer, exports[name].value, size(port.shape))
    if (array.byteLength !== exports[`${name}_bytes`].value) throw Error(name)
    return array
  }
  const inputs = metadata.inputs.map(view('input'))
  const outputs = metadata.outputs.map(view('output'))
  const call = (name: string, ...args: number[]) => (exports[name] ?? fail(`it has no "${name}"`))(...args)
  const expect = (name: string) => {
    const status = call(name)
    if (status) fail(`${name}() returned ${status}, wanted 0`)
  }
  const run = () => expect('run')
  const read = (index: number) => leave(door(metadata.outputs[index]), outputs[index])
  const feed = (sample: Sample) => {
    const named = (sample.length === undefined ? sample : { [metadata.inputs[0].name]: sample }) as Record<string, Values>
    metadata.inputs.forEach((port, i) => {
      const [values, { length }] = [named[port.name], inputs[i]]
      if (values?.length !== length)
        fail(`input "${port.name}" got ${values?.length ?? 'no'} values, wanted ${length} (shape [${port.shape}])`)
      enter(door(port), values, 0, length, inputs[i], 0)
    })
  }
  const infer = (sample: Sample) => {
    feed(sample)
    run()
  }
  const stretch = (name: string): [ArrayBuffer, number, number] => [
    memory.buffer,
    exports[name].value,
    exports[`${name}_bytes`].value,
  ]
  const trainingOf = ({ truth }: TrainingMetadata): StandaloneTraining => {
    const [buffer, at, bytes] = truth === 'target' ? stretch('target') : []
    const step = (label: number) => call('train_step', label)
    return {
      parameters: new Uint8Array(...stretch('parameters')),
      ...(bytes !== undefined && { target: new Float32Array(buffer!, at, bytes / 4) }),
      step,
      learn(sample, label) {
        feed(sample)
        return step(label)
      },
    }
  }
  return {
    metadata,
    ramBytes,
    exports,
    inputs,
    outputs,
    run,
    read,
    ...(metadata.training && { training: trainingOf(metadata.training) }),
    predict(sample) {
      infer(sample)
      return read(0)
    },
    classify(sample) {
      infer(sample)
      return call('classify')
    },
    reset: () => void exports.reset?.(),
    selfTest: () => expect('self_test'),
  }
}

const door = ({ scale, zero_point: zeroPoint = 0, mean = 0, std }: PortMetadata) => ({
  quant: scale ? { scale: [scale], zeroPoint } : undefined,
  normalize: std ? { mean, std } : undefined,
})
