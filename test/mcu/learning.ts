// A device that meets another world: the digits' module, quantized, whose last layer learns, sees inverted pictures one at a time. The same
// stream of samples goes to every host: pictures that are held out, pictures with their classes to learn from, and the first again.

import { split } from '../../src/data/dataset'
import { buildModule } from '../../src/deploy'
import { loadDigits } from '../../src/files'
import { Session } from '../../src/session/session'
import type { Network } from './networks'

const [EACH, INK] = [64, 16]
/** A sample that is run only. */
export const RUN = -1

export interface Stream {
  wasm: Uint8Array<ArrayBuffer>
  ramBytes: number
  /** Each sample's bytes, then its class as 32 bits, or RUN. */
  records: Uint8Array
  inputBytes: number
  /** The class of each sample. */
  classes: readonly number[]
  /** How many are held out: the first and the last. */
  heldOut: number
}

/** `learned` pictures between twice `heldOut` others, all in a world where ink is paper. */
export async function inverted({ model }: Network, learned: number, heldOut: number): Promise<Stream> {
  const [train, test] = split(loadDigits(), 0.2, 0)
  const { wasm, report } = await buildModule(model, { train: { layers: 'last', optimizer: 'sgd', lr: 0.005 } })
  const session = await Session.create(model.plan(1), { threads: 1 })
  const [port] = session.plan.inputs
  const view = session.view(port)
  const record = view.byteLength + 4
  const of = (set: typeof train, count: number, learns: boolean) =>
    Array.from({ length: count }, (_, i) => ({ x: set.x.subarray(i * EACH, (i + 1) * EACH), y: set.y[i], learns }))
  const samples = [...of(test, heldOut, false), ...of(train, learned, true), ...of(test, heldOut, false)]
  const records = new Uint8Array(samples.length * record)
  for (const [i, { x, y, learns }] of samples.entries()) {
    session.feed(
      port,
      Float32Array.from(x, (v) => INK - v),
    )
    records.set(new Uint8Array(view.buffer, view.byteOffset, view.byteLength), i * record)
    new DataView(records.buffer).setInt32((i + 1) * record - 4, learns ? y : RUN, true)
  }
  return { wasm, ramBytes: report.ramBytes, records, inputBytes: view.byteLength, classes: samples.map(({ y }) => y), heldOut }
}

/** What this engine makes of the stream: every output, and the parameters in the end. */
export function runHere({ wasm, records, inputBytes, classes }: Stream): { outputs: Uint8Array; parameters: Uint8Array } {
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(wasm))
  const { memory, run, train_step } = exports as {
    memory: WebAssembly.Memory
    run(): number
    train_step(label: number): number
  } & WebAssembly.Exports
  const stretch = (name: string) =>
    new Uint8Array(memory.buffer, ...['', '_bytes'].map((what) => (exports[name + what] as WebAssembly.Global).value as number))
  const [input, output] = [stretch('input'), stretch('output')]
  const outputs = new Uint8Array(classes.length * output.length)
  for (const i of classes.keys()) {
    const at = i * (inputBytes + 4)
    input.set(records.subarray(at, at + inputBytes))
    const label = new DataView(records.buffer).getInt32(at + inputBytes, true)
    if (label === RUN ? run() !== 0 : !Number.isFinite(train_step(label))) throw new Error(`sample ${i} failed`)
    outputs.set(output, i * output.length)
  }
  return { outputs, parameters: stretch('parameters').slice() }
}

/** The share of samples from one to before another whose largest output is their class. */
export function accuracy({ classes }: Stream, outputs: Uint8Array, from: number, to: number): number {
  const each = outputs.length / classes.length / 4
  const values = new Float32Array(Uint8Array.from(outputs).buffer)
  let right = 0
  for (let i = from; i < to; i++) {
    const row = values.subarray(i * each, (i + 1) * each)
    if (row.indexOf(Math.max(...row)) === classes[i]) right++
  }
  return right / (to - from)
}
