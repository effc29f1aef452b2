// Recurrent layers in int8, from quantize() to the module: what it makes of weights, ranges and cell states; the bytes that every target and
// build gives, against test/reference/i8Recurrent.ts by the numbers of the quantized model; states, directions and refusals; and how far a
// quantized classifier is from the float one.

import { describe, expect, it } from 'vitest'
import { quantize } from '../src/compress/quantize'
import { type Dataset, makeDataset } from '../src/data/dataset'
import { buildModule, loadModule } from '../src/deploy'
import { input, isParam, type Node, type Param, type Quant } from '../src/graph/node'
import { Random } from '../src/graph/random'
import { Model } from '../src/model/model'
import { sequential } from '../src/model/sequential'
import { opOf } from '../src/ops'
import { bidirectional } from '../src/ops/bidirectional'
import { dense } from '../src/ops/dense'
import { quantizeMultiplier } from '../src/ops/fixedPoint'
import { gru } from '../src/ops/gru'
import { lstm } from '../src/ops/lstm'
import { makeNode } from '../src/ops/op'
import type { Recurrent, RecurrentOptions } from '../src/ops/recurrent'
import { simpleRnn } from '../src/ops/simpleRnn'
import { planInference } from '../src/plan/build'
import { BUILDS, kernelBytes } from '../src/session/kernels'
import { Session } from '../src/session/session'
import { adam } from '../src/train/optimizers'
import { Trainer } from '../src/train/trainer'
import { Fenced } from './fenced'
import { builds, in_ } from './harness'
import * as reference from './reference/i8Recurrent'

type Make = (options: RecurrentOptions) => Recurrent
const LAYERS: [string, Make][] = [
  ['lstm', lstm],
  ['gru', gru],
  ['simpleRnn', simpleRnn],
  ['simpleRnn with relu', (options) => simpleRnn({ ...options, activation: 'relu' })],
]
const hosted = BUILDS.filter((build) => WebAssembly.validate(kernelBytes(build) as BufferSource))
const BATCH = 3
const floats = (random: Random, n: number, most = 1) => Float32Array.from({ length: n }, () => random.uniform(-most, most))
const i8 = (random: Random, n: number) => Int8Array.from({ length: n }, () => random.integer(256) - 128)

/** A model whose biases and weights are large enough that gates open and close. */
function lively(output: Node, seed: number): Model {
  const model = new Model(output, { seed })
  const random = new Random(seed, 9)
  for (const p of model.params) p.data = floats(random, p.data.length, p.shape.length === 1 ? 1 : 1.5)
  model.changed()
  return model
}

/** The output for BATCH samples of int8, which every target, build and number of parts agrees on. */
async function computed(node: Node, x: Int8Array): Promise<Int8Array> {
  const results = new Map<string, Int8Array>()
  for (const target of ['session', 'module'] as const) {
    for (const build of hosted) {
      const session = await Session.create(planInference([node], { batch: BATCH, target }), { build })
      session.view(session.plan.inputs[0]).set(x)
      session.run()
      results.set(`${target} ${build}`, session.view(session.plan.outputs[0]).slice() as Int8Array)
    }
  }
  // The same row on fenced buffers, whole and in parts, as threads would run it.
  for (const build of builds) {
    for (const parts of [1, 2]) {
      const e = new Fenced(build, BATCH, 'session', false, false, parts)
      for (const n of node.inputs) e.values.set(n, e.place(n.name, in_(isParam(n) ? n.data : x)))
      opOf(node.op)!.int8!.forward(e, node)
      e.check(node.op)
      results.set(`${build.name}, fenced, in ${parts}`, e.read(e.value(node)) as Int8Array)
    }
  }
  const first = results.get('module scalar') as Int8Array
  for (const [which, y] of results) expect(y, which).toEqual(first)
  return first
}

/** What the reference computes with, from the numbers of a quantized layer alone. */
function layerOf(node: Node, x: Int8Array, batch: number): reference.Layer & { relu: boolean; cellBits: number; clip: number } {
  const [of, w, u, b, bu] = node.inputs as Param[]
  const attrs = node.attrs as { [name: string]: unknown }
  const [qx, qw, qu, qy] = [of, w, u, node].map((n) => n.quant as Quant)
  const relu = attrs.activation === 'relu'
  const unit = relu ? qy.scale[0] / 128 : 2 ** -12
  // Effective scales are float32 in TensorFlow Lite.
  const factor = (a: number, c: number) => quantizeMultiplier(Math.fround(Math.fround(a * c) / unit))
  return {
    ...{ x, w: w.data as Int8Array, u: u.data as Int8Array, b: b.data as Int32Array, bu: bu?.data as Int32Array },
    factors: qw.scale.map((s, g) => ({ w: factor(s, qx.scale[0]), u: factor(qu.scale[g], qy.scale[0]) })),
    ...{ batch, t: of.shape[0], channels: of.shape[1], units: u.shape[1] },
    ...{ sequences: attrs.sequences === true, reverse: attrs.reverse === true, relu },
    ...{ xZero: qx.zeroPoint, yZero: qy.zeroPoint },
    factor: quantizeMultiplier(Math.fround((node.op === 'lstm' ? 2 ** -30 : relu ? unit : 2 ** -15) / qy.scale[0])),
    ...{
      cellBits: attrs.cellBits as number,
      clip: Math.trunc(((attrs.cellClip as number) ?? 0) * 2 ** (15 - (attrs.cellBits as number))),
    },
  }
}

function expected(node: Node, x: Int8Array, batch = BATCH, h?: number[], state?: number[]): Int8Array {
  const layer = layerOf(node, x, batch)
  const zeros = () => new Array(batch * layer.units).fill(0)
  if (node.op === 'lstm') return reference.lstm(layer, h ?? zeros(), state ?? zeros())
  return node.op === 'gru' ? reference.gru(layer, h ?? zeros(), state ?? zeros()) : reference.simpleRnn(layer, h ?? zeros())
}

describe.each(LAYERS)('%s', (_, make) => {
  it('gives the bytes of the reference in every target and build', async () => {
    for (let seed = 0; seed < 12; seed++) {
      const random = new Random(seed)
      const between = (from: number, to: number) => from + random.integer(to - from + 1)
      const [t, channels, units] = [between(1, 7), between(1, 20), between(1, 20)]
      const flags = { sequences: random.integer(2) === 1, reverse: random.integer(2) === 1 }
      const model = lively(make({ units, ...flags })(input([t, channels])), seed)
      const int8 = await quantize(model, { x: floats(random, 20 * t * channels, 3) })
      const x = i8(random, BATCH * t * channels)
      const [node] = int8.outputs
      expect(node.dtype).toBe('i8')
      expect(await computed(node, x), `seed ${seed}`).toEqual(expected(node, x))
    }
  })

  it('is saved and loaded, and deployed as a module, byte for byte', async () => {
    const random = new Random(4)
    const layers = sequential(make({ units: 9, sequences: true, reverse: true }), make({ units: 5 }), dense({ units: 3 }))
    const x = floats(random, 40 * 6 * 4, 2)
    const int8 = await quantize(lively(layers(input([6, 4])), 4), { x })
    const want = await int8.predict(x, { build: 'scalar' })
    const loaded = Model.load(int8.save())
    expect(await loaded.predict(x)).toEqual(want)
    for (const target of ['aot', 'interpreter', 'simd'] as const) {
      const module = await loadModule((await buildModule(loaded, { target })).wasm)
      for (let n = 0; n < 40; n++) {
        expect(module.predict(x.subarray(n * 24, (n + 1) * 24)), `${target} ${n}`).toEqual(want.subarray(n * 3, (n + 1) * 3))
      }
    }
  })

  it('that is stateful goes on from run to run, in a session and in a module', async () => {
    const random = new Random(5)
    const [t, channels, units, runs] = [2, 3, 5, 6]
    const model = lively(make({ units, stateful: true, sequences: true })(input([t, channels])), 11)
    const x = floats(random, runs * t * channels, 2)
    const int8 = await quantize(model, { x })
    const [node] = int8.outputs
    const [h, state] = [new Array(units).fill(0), new Array(units).fill(0)]
    const session = await int8.session(1)
    const module = await loadModule((await buildModule(int8)).wasm)
    const [entrance, exit] = [session.plan.inputs[0], session.plan.outputs[0]]
    for (let r = 0; r < runs; r++) {
      session.feed(entrance, x, r)
      const fed = session.view(entrance).slice() as Int8Array
      session.run()
      const want = expected(node, fed, 1, h, state)
      expect(session.view(exit), `run ${r}`).toEqual(want)
      module.inputs[0].set(fed)
      module.run()
      expect(module.outputs[0], `run ${r}`).toEqual(want)
    }
    expect(h.some((v) => v !== 0)).toBe(true)
  })

  it.each(['sum', 'concat'] as const)('bidirectional joins both ways by %s', async (merge) => {
    const random = new Random(6)
    const model = lively(bidirectional(make({ units: 6, sequences: true }), { merge })(input([5, 4])), 6)
    const x = floats(random, 30 * 20, 2)
    const int8 = await quantize(model, { x })
    const [f, q] = [await model.predict(x), await int8.predict(x)]
    const range = 255 * int8.outputs[0].quant!.scale[0]
    const distance = Math.sqrt(f.reduce((sum, v, i) => sum + (v - q[i]) ** 2, 0) / f.length)
    expect(distance / range).toBeLessThan(0.02)
    for (const build of hosted) expect(await int8.predict(x, { build }), build).toEqual(q)
  })

  it('obeys the contract: weights symmetric with a scale for each gate, biases on the scale of their product', async () => {
    const random = new Random(7)
    const [t, channels, units] = [4, 3, 5]
    const float = lively(make({ units, name: 'r' })(input([t, channels])), 7)
    const int8 = await quantize(float, { x: floats(random, 50 * t * channels) })
    const [node] = int8.outputs
    const [x, w, u, b, bu] = node.inputs as Param[]
    const gates = w.shape[0] / units
    expect(bu === undefined).toBe(node.op !== 'gru')
    for (const [weights, bias, other] of [
      [w, b, x],
      [u, bu, node],
    ] as const) {
      expect(weights.dtype).toBe('i8')
      expect(weights.quant!.zeroPoint).toBe(0)
      expect(weights.quant!.scale.length).toBe(gates)
      const each = weights.data.length / gates
      const original = float.params.find((p) => p.name === weights.name)!.data
      weights.quant!.scale.forEach((s, g) => {
        const [of, from] = [weights.data, original].map((d) => [...d.subarray(g * each, (g + 1) * each)])
        expect(Math.max(...of.map(Math.abs))).toBe(127)
        expect(Math.max(...of.map((v, i) => Math.abs(v * s - from[i])))).toBeLessThanOrEqual(s / 2 + 1e-6)
      })
      if (!bias) continue
      expect(bias.dtype).toBe('i32')
      expect(bias.quant!.scale).toEqual(weights.quant!.scale.map((s) => s * other.quant!.scale[0]))
      const biases = float.params.find((p) => p.name === bias.name)!.data
      bias.data.forEach((v, i) => {
        const s = bias.quant!.scale[Math.floor(i / units)]
        expect(Math.abs(v * s - biases[i])).toBeLessThanOrEqual(s / 2 + 1e-6)
      })
    }
  })

  it('takes its range from the states of all steps, also where only the last is given', async () => {
    const random = new Random(8)
    const shape = [6, 3]
    const x = floats(random, 40 * 18, 2)
    const last = await quantize(lively(make({ units: 4, name: 'r' })(input(shape)), 8), { x })
    const all = await quantize(lively(make({ units: 4, name: 'r', sequences: true })(input(shape)), 8), { x })
    expect(last.outputs[0].quant).toEqual(all.outputs[0].quant)
  })

  it('refuses masks and given states by the name of the layer', async () => {
    const options = { units: 2, name: 'ear' }
    const from = input([3, 2])
    const masked = new Model(make(options)(from, input([3], { name: 'mask' })))
    const { op } = masked.outputs[0]
    await expect(quantize(masked, { x: [0] })).rejects.toThrow(
      `quantize: ${op} "ear" reads a mask, which its int8 kernel does not. Leave the mask out, or the model float.`,
    )
    const states = Array.from({ length: op === 'lstm' ? 2 : 1 }, (_, i) => input([2], { name: `s${i}` }))
    await expect(quantize(new Model(make(options)(from, undefined, states)), { x: [0] })).rejects.toThrow(
      `quantize: ${op} "ear" is given its initial state, which its int8 kernel is not.`,
    )
  })
})

describe('the cell state of an int8 lstm', () => {
  /** An lstm of one unit whose cell state is the sum of `gain` over the steps so far. */
  function counter(steps: number, gain: number, sequences = false): Model {
    const model = new Model(lstm({ units: 1, name: 'count', sequences })(input([steps, 1])))
    const [w, u, b] = model.params
    w.data = Float32Array.of(0, 0, 10, 0)
    u.data = new Float32Array(4)
    // Input gate of that size, forget gate and output gate open.
    b.data = Float32Array.of(Math.log(gain / (1 - gain)), 20, 0, 20)
    model.changed()
    return model
  }
  const bitsOf = (model: Model) => (model.outputs[0].attrs as { cellBits: number }).cellBits

  it.each([
    [1, 0.9, 0],
    [2, 0.9, 1],
    [3, 0.9, 2],
    [5, 0.9, 3],
    [9, 0.9, 4],
    [18, 0.9, 5],
    [40, 0.9, 6],
    [99, 0.9, 6],
  ])('has room for what %i steps of %d make of it: 2^%i', async (steps, gain, bits) => {
    const int8 = await quantize(counter(steps, gain), { x: new Float32Array(steps).fill(1) })
    expect(bitsOf(int8)).toBe(bits)
    expect(bitsOf(await quantize(counter(steps, gain, true), { x: new Float32Array(steps).fill(1) }))).toBe(bits)
  })

  it('is looked at in a sequence of several samples where the layer is stateful', async () => {
    const model = new Model(lstm({ units: 1, stateful: true })(input([2, 1])))
    const one = counter(2, 0.9)
    model.params.forEach((p, i) => {
      p.data = one.params[i].data
    })
    model.changed()
    expect(bitsOf(await quantize(model, { x: new Float32Array(2).fill(1) }))).toBe(1)
    expect(bitsOf(await quantize(model, { x: new Float32Array(18).fill(1) }))).toBe(5)
  })

  it('is clipped where a file says so', async () => {
    const int8 = await quantize(counter(9, 0.9, true), { x: new Float32Array(9).fill(1) })
    const clipped = makeNode(
      opOf('lstm')!,
      { ...int8.outputs[0], attrs: { cellBits: 4, sequences: true, cellClip: 0.2 } },
      int8.outputs[0],
    )
    const x = i8(new Random(1), BATCH * 9)
    const y = await computed(clipped, x)
    expect(y).toEqual(expected(clipped, x))
    expect(y).not.toEqual(await computed(int8.outputs[0], x))
  })

  it('has attributes that are checked, as they come from files', async () => {
    const int8 = (await quantize(counter(2, 0.5), { x: [1, 1] })).outputs[0]
    const row = opOf('lstm')!
    const made = (attrs: object) => makeNode(row, { ...int8, attrs }, int8)
    for (const cellBits of [-1, 7, 0.5, '3', null]) {
      expect(() => made({ cellBits })).toThrow(`lstm "count": cellBits is ${cellBits}, wanted an integer in [0, 6].`)
    }
    expect(() => made({ cellBits: 1, cellClip: -1 })).toThrow('lstm "count": cellClip wants a number from 0 on, got -1.')
    expect(() => planInference([made({})], { batch: 1 })).toThrow(
      'lstm "count": an int8 layer without cellBits. Make int8 models with quantize().',
    )
    const [x, w, ...rest] = int8.inputs
    const one = { ...int8, inputs: [x, { ...w, quant: { scale: [1], zeroPoint: 0 } }, ...rest] }
    expect(() => planInference([makeNode(row, one, int8)], { batch: 1 })).toThrow(
      'lstm "count": param "count/w" has 1 scales, wanted 4, one for each gate.',
    )
  })
})

describe('a quantized classifier of sequences', () => {
  /** A circle in noise that begins somewhere in 32 steps: the class is which of four speeds it has. */
  function circles(seed: number, count: number): Dataset {
    const random = new Random(seed)
    const y = Int32Array.from({ length: count }, () => random.integer(4))
    const x = new Float32Array(count * 64)
    for (let n = 0; n < count; n++) {
      const [start, phase, turn] = [random.integer(8), random.uniform(0, 6), 0.3 * (y[n] + 1)]
      for (let s = 0; s < 32; s++) {
        const on = s >= start ? 1 : 0
        x[n * 64 + 2 * s] = on * Math.sin(phase + turn * s) + 0.6 * random.normal()
        x[n * 64 + 2 * s + 1] = on * Math.cos(phase + turn * s) + 0.6 * random.normal()
      }
    }
    return makeDataset({ x, y, shape: [32, 2], classes: 4 })
  }

  it.each<[string, Make, number]>([
    ['lstm', lstm, 0.01],
    ['gru', gru, 0.01],
    ['simpleRnn', simpleRnn, 0.002],
  ])('%s: is right as often as the float one, but for one in a hundred', async (op, make, lr) => {
    const [train, test] = [circles(1, 512), circles(2, 400)]
    const model = new Model(sequential(make({ units: 16 }), dense({ units: 4 }))(input([32, 2])), { seed: 3 })
    await new Trainer(model, { optimizer: adam({ lr }), seed: 3 }).fit(train, { epochs: 20 })
    const int8 = await quantize(model, { x: train.x.slice(0, 200 * 64) })
    const [a, b] = [await model.evaluate(test), await int8.evaluate(test)]
    expect(a.accuracy).toBeGreaterThan(op === 'simpleRnn' ? 0.5 : 0.95)
    expect(b.accuracy).toBeGreaterThanOrEqual(a.accuracy - 0.01)
    // The root of the mean square of the distance between the logits, as a share of their range.
    const [f, q] = [await model.predict(test.x), await int8.predict(test.x)]
    const distance = Math.sqrt(f.reduce((sum, v, i) => sum + (v - q[i]) ** 2, 0) / f.length)
    expect(distance / (Math.max(...f) - Math.min(...f))).toBeLessThan(op === 'simpleRnn' ? 0.02 : 0.005)
  })
})
