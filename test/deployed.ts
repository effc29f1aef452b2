// Modules as a bare host runs them, by their exports alone: from memory full of rubbish, and nothing may be written beyond what they ask for.
// `expectEqual` holds every way to deploy a model against sessions that run its plans, byte for byte.

import { expect } from 'vitest'
import { buildModule } from '../src/deploy'
import { portName } from '../src/deploy/abi'
import { BYTES, type Dtype } from '../src/graph/node'
import { Random } from '../src/graph/random'
import type { Model } from '../src/model/model'
import { Session } from '../src/session/session'

const POISON = 0xa5
export const TARGETS = ['aot', 'interpreter', 'simd'] as const

type Run = (inputs: readonly Uint8Array[]) => Uint8Array[]

/** Runs a module: the bytes of its outputs for those of its inputs. What it keeps from run to run begins as it was stored. */
export async function deployed(wasm: Uint8Array<ArrayBuffer>): Promise<Run> {
  const { instance } = await WebAssembly.instantiate(wasm)
  const exports = instance.exports as Record<string, WebAssembly.Global> & { memory: WebAssembly.Memory; run(): number }
  const bytes = new Uint8Array(exports.memory.buffer)
  const { value: ram } = exports.__heap_base
  return (inputs) => {
    bytes.fill(POISON, exports.__data_end.value)
    for (const [i, x] of inputs.entries()) bytes.set(x, exports[portName('input', i)].value)
    expect(exports.run()).toBe(0)
    const beyond = bytes.subarray(ram).findIndex((b) => b !== POISON)
    expect(beyond, 'RAM beyond __heap_base is untouched').toBe(-1)
    const outputs: Uint8Array[] = []
    for (let name = 'output'; exports[name]; name = portName('output', outputs.length)) {
      const { value: at } = exports[name]
      outputs.push(bytes.slice(at, at + exports[`${name}_bytes`].value))
    }
    return outputs
  }
}

/** The same for a session. */
function hosted(session: Session): Run {
  const bytesOf = (port: Parameters<Session['view']>[0]) => {
    const { buffer, byteOffset, byteLength } = session.view(port)
    return new Uint8Array(buffer, byteOffset, byteLength)
  }
  return (inputs) => {
    for (const [i, x] of inputs.entries()) bytesOf(session.plan.inputs[i]).set(x)
    session.run()
    return session.plan.outputs.map((port) => bytesOf(port).slice())
  }
}

/** Drawn values of an input as they are stored. */
export const drawn = (dtype: Dtype, length: number, random: Random, [low, high] = [-2, 2]): Uint8Array =>
  dtype === 'f32'
    ? new Uint8Array(Float32Array.from({ length }, () => random.uniform(low, high)).buffer)
    : dtype === 'i32'
      ? new Uint8Array(Int32Array.from({ length }, () => random.integer(5)).buffer)
      : Uint8Array.from({ length: length * BYTES[dtype] }, () => random.integer(256))

/** Every way to deploy a model gives the bytes of sessions that run its plans; float inputs are drawn from `range`. */
export async function expectEqual(model: Model, note: string, range?: [number, number]): Promise<void> {
  const plans = (['ram', 'flash'] as const).map((weights) => model.plan(1, 'module', 1, { weights }))
  const runs: [string, Run][] = []
  for (const plan of plans) runs.push([`${note}, in a session`, hosted(await Session.create(plan, { build: 'scalar' }))])
  for (const weights of ['flash', 'ram'] as const) {
    for (const target of TARGETS)
      runs.push([`${note}, ${target}, ${weights}`, await deployed((await buildModule(model, { weights, target })).wasm)])
  }
  const random = new Random(7)
  for (let sample = 0; sample < 2; sample++) {
    const inputs = plans[0].inputs.map(({ dtype, length }) => drawn(dtype, length, random, range))
    const [[, first], ...others] = runs
    const wanted = first(inputs)
    for (const [where, run] of others) expect(run(inputs), `${where}, sample ${sample}`).toEqual(wanted)
  }
}
