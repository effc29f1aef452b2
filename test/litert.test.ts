// What dunlin writes as .tflite, run by an independent runtime: LiteRT.js, TensorFlow Lite with XNNPACK inside. It is where bench/peers has its
// packages (npm ci there), or where DUNLIN_LITERT says; without it the tests are skipped.

import { existsSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { beforeAll, describe, expect, it } from 'vitest'
import { quantize } from '../src/compress/quantize'
import { exportTflite } from '../src/formats'
import { input, isInput, mapGraph, size } from '../src/graph/node'
import { Model } from '../src/model/model'
import { dequantize, toInt8 } from '../src/ops/convert'
import { dsCnn } from '../src/zoo/dsCnn'
import { resNet8 } from '../src/zoo/resNet8'
import { tinyCnn } from '../src/zoo/tinyCnn'
import { drawn, draws, FLOAT_ONLY, LAYERS } from './tflite-layers'

const PEERS = join(import.meta.dirname, '../bench/peers')
const folder = resolve(process.env.DUNLIN_LITERT ?? join(PEERS, 'node_modules/@litertjs/core'))
const there = existsSync(folder)
if (!there) console.log(`LiteRT.js: ${folder} is not there; skipped`)

interface Tensor {
  toTypedArray(): Float32Array
  delete(): void
}
interface Litert {
  compile(file: Uint8Array): Promise<{ run(x: Tensor[]): Promise<Tensor[]>; delete(): void }>
  Tensor: new (values: Float32Array, shape: readonly number[]) => Tensor
}
let litert: Litert

/** What the runtime makes of the file of a model, sample by sample. */
async function computed(model: Model, x: Float32Array): Promise<number[]> {
  const [{ shape }] = model.inputs
  const compiled = await litert.compile(exportTflite(model))
  const y: number[] = []
  for (let at = 0; at < x.length; at += size(shape)) {
    const tensor = new litert.Tensor(x.slice(at, at + size(shape)), [1, ...shape])
    const [first, ...others] = await compiled.run([tensor])
    y.push(...first.toTypedArray())
    for (const t of [tensor, first, ...others]) t.delete()
  }
  compiled.delete()
  return y
}

/** The largest difference as a share of the largest value. */
async function difference(model: Model, x: Float32Array): Promise<number> {
  const [y, want] = [await computed(model, x), await model.predict(x, { threads: 1 })]
  expect(y).toHaveLength(want.length)
  return Math.max(...y.map((v, i) => Math.abs(v - want[i]))) / Math.max(...want.map(Math.abs))
}

const NETWORKS: Record<string, () => Model> = {
  'tiny CNN': () => tinyCnn({ shape: [28, 28, 1], classes: 10 }),
  'ResNet-8': () => resNet8({ shape: [32, 32, 3], classes: 10 }),
  'DS-CNN': () => dsCnn({ shape: [49, 10, 1], classes: 12 }),
}

describe.skipIf(!there)('files of dunlin in LiteRT.js', () => {
  beforeAll(async () => {
    const { open } = await import(pathToFileURL(join(PEERS, 'engines/litert.mjs')).href)
    litert = await open(folder)
  })

  /** What it refuses to load: "Variable tensors not yet supported". */
  const stateful = ['lstm', 'lstm, its last step', 'svdf']

  it.each(Object.entries({ ...LAYERS, ...FLOAT_ONLY }))('float %s', async (name, make) => {
    const model = drawn(make())
    if (stateful.includes(name)) await expect(litert.compile(exportTflite(model))).rejects.toThrow('Failed to load model')
    else expect(await difference(model, draws(model, 2))).toBeLessThan(1e-5)
  })

  it.each(Object.entries(NETWORKS))('float %s', async (_, make) => {
    const model = make()
    expect(await difference(model, draws(model, 2))).toBeLessThan(1e-5)
  })

  // The interface takes float tensors: the int8 network gets its ends in float. XNNPACK rounds in float where TensorFlow Lite's reference, and
  // dunlin, round twice in integers: results are up to two steps apart.
  it.each(Object.entries(NETWORKS))('int8 %s, its ends in float', async (_, make) => {
    const float = make()
    const int8 = await quantize(float, { x: draws(float, 16) })
    const outputs = mapGraph(int8.outputs, (node, inputs) =>
      isInput(node) ? toInt8({ quant: node.quant! })(input(node.shape, { name: node.name })) : { ...node, inputs },
    )
    const model = new Model(outputs.map((y) => dequantize()(y)))
    const [step] = int8.outputs[0].quant!.scale
    const x = draws(model, 4)
    const [y, want] = [await computed(model, x), await model.predict(x, { threads: 1 })]
    expect(Math.max(...y.map((v, i) => Math.abs(v - want[i]) / step))).toBeLessThan(2.5)
  })
})
