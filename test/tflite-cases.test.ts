// Real .tflite models with recorded outputs (TensorFlow Lite Micro's reference kernels): int8 to the last bit in every build and as a module
// for every target, float within 1e-5 of the largest output. The models are not in the repository: DUNLIN_CASES is another folder that has tflite/ in it.

import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { describe, expect, it } from 'vitest'
import { parseNpy } from '../src/decode'
import { buildModule } from '../src/deploy'
import { exportTflite, importTflite } from '../src/formats'
import { type Node, size } from '../src/graph/node'
import type { Model } from '../src/model/model'
import type { Target } from '../src/ops/op'
import { planInference } from '../src/plan/build'
import { BUILDS, kernelBytes } from '../src/session/kernels'
import { Session } from '../src/session/session'
import { deployed, TARGETS } from './deployed'

const folder = join(resolve(process.env.DUNLIN_CASES ?? '../shared/cases'), 'tflite')
const hosted = BUILDS.filter((build) => WebAssembly.validate(kernelBytes(build) as BufferSource))
const there = existsSync(folder)
if (!there) console.log(`tflite cases: ${folder} is not there; skipped`)
const models = there ? readdirSync(folder).sort() : ['(none)']

/** A hybrid model's other runtime quantizes activations on the way: its outputs are no target for exact arithmetic. */
const LOOSE: Record<string, number> = { kws_dscnn_float: 0.05 }

/** Runs of a module, one after another: a stream's go on where the one before ended. */
const MODULE_RUNS = 3
/** The bytes of the i-th of n samples. */
const bytesOf = (v: Int8Array, i: number, n: number) => new Uint8Array(v.slice((i * v.length) / n, ((i + 1) * v.length) / n))

interface Manifest {
  sets: Record<string, { n: number; in: string; out: string }>
}

const read = (model: string, file: string) => readFileSync(join(folder, model, file))
const open = (model: string) => importTflite(new Uint8Array(read(model, 'model.tflite')), { source: `${model}.tflite` })
const array = (model: string, file: string) => parseNpy(new Uint8Array(read(model, file)), file).data

/** What a session computes for stored inputs, as it stores it: sample after sample, each from a fresh state. */
async function computed(
  model: Model,
  outputs: readonly Node[],
  build: (typeof BUILDS)[number],
  x: ArrayLike<number>,
  batch: number,
  target: Target = 'session',
) {
  const session = await Session.create(planInference(outputs, { batch, target }), { build, threads: 1 })
  const { inputs } = session.plan
  const each = size(inputs[0].shape)
  const all: number[][] = outputs.map(() => [])
  for (let at = 0; at < x.length / each; at += batch) {
    session.view(inputs[0]).set(Array.prototype.slice.call(x, at * each, (at + batch) * each))
    session.run()
    session.plan.outputs.forEach((port, i) => {
      all[i].push(...session.view(port))
    })
  }
  expect(model.inputs).toHaveLength(1)
  expect(all[0].length).toBeGreaterThan(0)
  return all
}

describe.skipIf(!there)('recorded outputs of .tflite models', () => {
  it.each(models)('%s', async (name) => {
    const manifest = JSON.parse(read(name, 'manifest.json').toString()) as Manifest
    const times = Array.from({ length: 5 }, () => {
      const start = performance.now()
      open(name)
      return performance.now() - start
    })
    console.log(`${name}: imported in ${times[0].toFixed(1)} ms, then in ${Math.min(...times).toFixed(1)} ms`)
    const { model } = open(name)
    const { model: copy } = importTflite(exportTflite(model))
    for (const [set, { n, in: from, out }] of Object.entries(manifest.sets)) {
      const [x, want] = [array(name, from), array(name, out)]
      if (x instanceof Int8Array && want instanceof Int8Array) {
        for (const target of TARGETS) {
          const run = await deployed((await buildModule(model, { target })).wasm)
          const got = Array.from({ length: MODULE_RUNS }, (_, i) => run([bytesOf(x, i, n)])[0])
          const wanted = got.map((_, i) => bytesOf(want, i, n))
          expect(got, `${name} ${set}, a module for ${target}, its weights in flash`).toEqual(wanted)
        }
      }
      for (const build of hosted) {
        const [y] = await computed(model, model.outputs, build, x, n % 4 === 0 ? 4 : 1)
        if (model.outputs[0].dtype === 'i8') {
          const wrong = y.flatMap((v, i) => (v === want[i] ? [] : [i]))
          expect(wrong, `${name} ${set} ${build}: outputs that differ${wrong.length ? await firstWrong(name) : ''}`).toEqual([])
          expect(
            (await computed(model, model.outputs, build, x, 1, 'module'))[0],
            `${name} ${set} ${build}, as a module`,
          ).toEqual(y)
          expect((await computed(copy, copy.outputs, build, x, 1))[0], `${name} ${set} ${build}, written and read`).toEqual(y)
          continue
        }
        const largest = Math.max(...Array.from(want, Math.abs))
        const error = Math.max(...y.map((v, i) => Math.abs(v - want[i]))) / largest
        console.log(`${name} ${set} ${build}: largest error ${error.toExponential(1)} of the largest output`)
        expect(error, `${name} ${set} ${build}`).toBeLessThan(LOOSE[name] ?? 1e-5)
      }
    }
  })
})

/** The first recorded layer that is not as it was computed. */
async function firstWrong(name: string): Promise<string> {
  const layers = join(folder, name, 'layers_rand0')
  if (!existsSync(layers)) return ''
  const { model } = open(name)
  const rows = JSON.parse(readFileSync(join(layers, 'manifest.json'), 'utf8')) as { i: number; name: string; tensor: number }[]
  const x = array(name, 'rand.in.npy').slice(0, size(model.inputs[0].shape))
  for (const row of rows) {
    const node = model.nodes.find((n) => n.name === row.name)
    if (!node) continue
    const [y] = await computed(model, [node], 'scalar', x, 1)
    const want = parseNpy(new Uint8Array(readFileSync(join(layers, `op${row.i}_t${row.tensor}.npy`))), row.name).data
    const at = y.findIndex((v, i) => v !== want[i])
    if (at >= 0) return `; first in layer ${row.i} (${node.op} "${row.name}"): element ${at} is ${y[at]}, wanted ${want[at]}`
  }
  return '; each layer alone is right'
}
