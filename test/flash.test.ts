// Modules whose weights stay in flash: whatever is streamed in whatever pieces, results are those of the session, byte for byte; what the
// builder says a module takes is what it takes; and budgets refuse what does not fit.

import { describe, expect, it } from 'vitest'
import { quantize } from '../src/compress/quantize'
import { buildModule, type ModuleReport } from '../src/deploy'
import { MAGIC, SECTION, VALUE_TYPES, Writer } from '../src/deploy/binary'
import { type Callee, writeRun } from '../src/deploy/run'
import { DunlinError } from '../src/graph/error'
import { BYTES, input, type Node, size } from '../src/graph/node'
import { Random } from '../src/graph/random'
import { Model } from '../src/model/model'
import { sequential } from '../src/model/sequential'
import { relu6, sigmoid, softmax } from '../src/ops/activation'
import { add } from '../src/ops/add'
import { gridScales, storeChannels } from '../src/ops/channels'
import { conv2d } from '../src/ops/conv2d'
import { dense } from '../src/ops/dense'
import { depthwiseConv2d } from '../src/ops/depthwiseConv2d'
import { embedding } from '../src/ops/embedding'
import { quantizeMultiplier } from '../src/ops/fixedPoint'
import { gru } from '../src/ops/gru'
import { globalAvgPool2d, maxPool2d } from '../src/ops/pool2d'
import { flatten } from '../src/ops/reshape'
import { planInference } from '../src/plan/build'
import { type Call, LOAD, type Loop, unrolled } from '../src/plan/plan'
import { piecesOf } from '../src/plan/tiles'
import { Session } from '../src/session/session'
import { autoencoder } from '../src/zoo/autoencoder'
import { dsCnn } from '../src/zoo/dsCnn'
import { mobileNetV1 } from '../src/zoo/mobileNetV1'
import { resNet8 } from '../src/zoo/resNet8'
import { tinyCnn } from '../src/zoo/tinyCnn'
import { drawn, expectEqual } from './deployed'
import { builds, in_, interpreter, out, run } from './harness'

const floats = (random: Random, length: number) => Float32Array.from({ length }, () => random.uniform(-2, 2))

/** An int8 model of a float one whose biases are not all zero. */
async function quantized(model: Model, seed: number): Promise<Model> {
  const random = new Random(seed)
  for (const p of model.params) if (/\/b$/.test(p.name)) p.data.set(floats(random, p.data.length))
  return quantize(model, { x: floats(random, 8 * size(model.inputs[0].shape)) })
}

describe('pieces', () => {
  it('cover the channels, are multiples of four and not larger than allowed', () => {
    for (let total = 1; total <= 200; total++) {
      for (const most of [0, 1, 4, 7, 13, 48, 100, 1000]) {
        const { count, times, rest } = piecesOf(total, most)
        const note = `${total} channels, ${most} at most`
        expect(times * count + rest, note).toBe(total)
        expect(count, note).toBeLessThanOrEqual(Math.max(most, 4))
        expect(times, note).toBeGreaterThan(0)
        expect(rest >= 0 && rest < count, note).toBe(true)
        if (count < total) expect(count % 4, note).toBe(0)
      }
    }
    expect(piecesOf(64, 24)).toEqual({ count: 16, times: 4, rest: 0 })
    expect(piecesOf(10, 5)).toEqual({ count: 4, times: 2, rest: 2 })
  })
})

describe('numbers of channels', () => {
  /** Scales as quantize() finds them, over many orders of magnitude, with channels of zeros. */
  const wanted = (random: Random, n: number) =>
    Array.from({ length: n }, () => (random.integer(12) ? 10 ** random.uniform(random.integer(2) ? -2 : -9, 0) : 0))

  it('have scales on the grid: float32, within a 512th of what is wanted', () => {
    for (let seed = 0; seed < 200; seed++) {
      const random = new Random(seed)
      const w = wanted(random, 1 + random.integer(30))
      // The largest may be such that nothing is rounded.
      if (random.integer(3) === 0) w[0] = 1
      const grid = gridScales(w)
      const largest = Math.max(...w)
      grid.forEach((scale, c) => {
        const note = `seed ${seed}, channel ${c}: ${w[c]} -> ${scale}`
        expect(scale > 0 && scale === Math.fround(scale), note).toBe(true)
        // The grid ends at 257 / 512 / 2^15 of the largest.
        if (w[c] > largest / 2 ** 15.99) expect(Math.abs(scale / w[c] - 1), note).toBeLessThanOrEqual(1 / 512 + 2 ** -14)
        else expect(scale, note).toBeGreaterThanOrEqual(w[c])
      })
    }
  })

  it.each([...builds, interpreter].map((build) => [build.name, build] as const))(
    'come out of what is stored exactly as TensorFlow Lite computes them (%s)',
    (_, build) => {
      const kinds = new Map<string, number>()
      for (let seed = 0; seed < 200; seed++) {
        const random = new Random(seed)
        const n = 1 + random.integer(20)
        const grid = seed % 3 > 0
        const scale = grid ? gridScales(wanted(random, n)) : wanted(random, n).map((s) => Math.fround(s || 1))
        const [x, y] = [0, 0].map(() => ({ scale: [Math.fround(10 ** random.uniform(-4, 0))], zeroPoint: 0 }))
        const bits = seed % 5 === 4 ? 30 : seed % 5 === 3 ? 23 : 19
        const bias = Int32Array.from({ length: n }, () => Math.trunc(random.uniform(-(2 ** bits), 2 ** bits)))
        const fixed = scale.map((s) => quantizeMultiplier((x.scale[0] * s) / y.scale[0]))
        const stored = storeChannels(bias, fixed, x, { scale, zeroPoint: 0 }, y)
        kinds.set(stored.kind, (kinds.get(stored.kind) ?? 0) + 1)
        const want = [bias, ...(['multiplier', 'shift'] as const).map((what) => Int32Array.from(fixed, (f) => f[what]))]
        const note = `seed ${seed}, ${stored.kind}`
        if (stored.kind === 'plain') expect([stored.bias, stored.multiplier, stored.shift], note).toEqual(want)
        else {
          const made = [out('i32', n), out('i32', n), out('i32', n)]
          const numbers = stored.kind === 'coded' ? [stored.grid.high, stored.grid.low, stored.grid.exponent] : []
          const kernel = stored.kind === 'coded' ? 'codedChannels_i8' : 'channels_i8'
          expect(run(build, kernel, [in_(stored.words), ...made, n, ...numbers]), note).toEqual(want)
        }
      }
      // All three forms were there, and the short one nearly wherever scales were on the grid.
      expect([...kinds.keys()].sort()).toEqual(['coded', 'plain', 'records'])
      expect(kinds.get('coded')).toBeGreaterThan(60)
    },
  )
})

/** Channels that fit no tile, residual sums, groups, a table, a layer that is applied twice. */
function network(random: Random): Node {
  const upTo = (n: number) => 1 + random.integer(n)
  const channels = 2 * upTo(10)
  const twice = conv2d({ filters: channels, kernel: 3, padding: 'same' })
  let x: Node = conv2d({ filters: channels, kernel: upTo(3), padding: 'same', activation: 'relu' })(
    input([4 + upTo(6), 4 + upTo(6), upTo(4)]),
  )
  x = add({ activation: 'relu' })(x, twice(twice(x)))
  x = depthwiseConv2d({ kernel: 3, padding: 'same', multiplier: upTo(2), strides: upTo(2) })(x)
  x = conv2d({ filters: 2 * upTo(6), kernel: 1, groups: 2 })(x)
  x = random.integer(2) ? maxPool2d({ kernel: 2, padding: 'same' })(x) : sigmoid()(relu6()(x))
  x = flatten()(random.integer(2) ? globalAvgPool2d()(x) : x)
  return softmax()(dense({ units: upTo(13) })(dense({ units: upTo(40) })(x)))
}

describe('weights in flash', () => {
  it.each([0, 1, 2, 3, 4, 5])('int8 networks give the same bytes, seed %i', async (seed) => {
    const model = await quantized(new Model(network(new Random(seed)), { seed }), seed)
    await expectEqual(model, `seed ${seed}`)
    // And those of the session that nobody plans for a device.
    const plan = planInference(model.outputs, { batch: 1 })
    const [usual, device] = await Promise.all([
      Session.create(plan, { threads: 1 }),
      Session.create(model.plan(1, 'module', 1, { weights: 'flash' })),
    ])
    const x = drawn('i8', plan.inputs[0].length, new Random(seed))
    const [a, b] = [usual, device].map((session) => {
      session.view(session.plan.inputs[0]).set(new Int8Array(x.buffer))
      session.run()
      return [...session.view(session.plan.outputs[0])]
    })
    expect(b, `seed ${seed}`).toEqual(a)
  })

  it.each([0, 1, 2])('float networks, whose weights are packed, give the same bits, seed %i', async (seed) => {
    await expectEqual(new Model(network(new Random(seed)), { seed }), `f32, seed ${seed}`)
  })

  it('other layers load what they have whole', async () => {
    const vectors = sequential(embedding({ count: 7, units: 6 }), gru({ units: 5, sequences: true }), gru({ units: 4 }))
    const float = new Model(vectors(input([6], { dtype: 'i32' })), { seed: 3 })
    await expectEqual(float, 'recurrent, f32')
    const x = Int32Array.from({ length: 60 }, (_, i) => (i * 5) % 7)
    await expectEqual(await quantize(float, { x }), 'recurrent, i8')
  })

  it('takes RAM for the layer that runs, not for all weights', async () => {
    const model = await quantized(autoencoder(), 1)
    const [flash, ram] = [(await buildModule(model)).report, (await buildModule(model, { weights: 'ram' })).report]
    const weights = model.params.reduce((sum, p) => sum + size(p.shape) * BYTES[p.dtype], 0)
    expect(ram.ramBytes).toBeGreaterThan(weights)
    expect(flash.ramBytes).toBeLessThan(weights / 50)
  })
})

describe('run', () => {
  /** Kernels of so many i32 parameters. */
  const callees: Callee[] = [3, 1, 9].map((params, i) => ({
    name: `k${i}`,
    type: { params: Array.from({ length: params }, () => 'i32' as const), results: [] },
  }))

  /** Layers of few kinds whose numbers are alike, sums and products of each other, or anything. */
  function plan(random: Random): { calls: (Call | Loop)[]; layers: { name: string; first: number; end: number }[] } {
    const calls: (Call | Loop)[] = []
    const layers: { name: string; first: number; end: number }[] = []
    for (let i = 2 + random.integer(12); i > 0; i--) {
      const [a, b] = [1 + random.integer(40), random.integer(2 ** random.integer(31)) - 1000]
      const call = (kernel: number): Call => {
        const n = callees[kernel].type.params.length
        const number = () => [7, a, b, a * 12, a + 5, a * (a + 4), b + 3 * a, -1, random.integer(5)][random.integer(9)]
        const fixed = [7, a, b, b + 16 * a, a * (a + 4), 1, 0, 3 * a, -128]
        return { kernel: `k${kernel}`, args: random.integer(3) ? fixed.slice(0, n) : Array.from({ length: n }, number) }
      }
      const first = calls.length
      const kind = random.integer(3)
      if (kind !== 1) calls.push(call(0))
      if (kind > 0) {
        const body = [call(2), call(1)]
        const steps = body.map(({ args }) => args.map((_, j) => (j % 3 ? 0 : a)))
        calls.push({ times: random.integer(2) ? 1 : 1 + random.integer(4), body, steps })
      }
      if (kind === 2) calls.push({ times: 2, body: [call(1)], steps: [[1]] })
      if (random.integer(5)) layers.push({ name: `layer ${random.integer(3)}`, first, end: calls.length })
    }
    return { calls, layers }
  }

  it('makes the calls of the plan, in order, with their numbers', () => {
    for (let seed = 0; seed < 300; seed++) {
      const { calls, layers } = plan(new Random(seed))
      const made: string[] = []
      const functions = writeRun(calls, layers, callees)
      const imports = Object.fromEntries(
        callees.map(({ name }) => [name, (...args: number[]) => void made.push(`${name}(${args})`)]),
      )
      expect(instantiate(functions, imports)(), `seed ${seed}`).toBe(0)
      expect(made, `seed ${seed}`).toEqual(unrolled(calls).map(({ kernel, args }) => `${kernel}(${args.map((v) => v | 0)})`))
    }
  })

  it('writes layers of a kind as one function', () => {
    const layer = (i: number): Call => ({ kernel: 'k2', args: [i, i * 4, i * 16, 1, 2, 3, 1000 + 64 * i, 5, i] })
    const calls = Array.from({ length: 10 }, (_, i) => layer(i + 1))
    const layers = calls.map((_, i) => ({ name: `${i}`, first: i, end: i + 1 }))
    const functions = writeRun(calls, layers, callees)
    expect(functions.map(({ type }) => type.params.length)).toEqual([1, 0])
    expect(writeRun(calls.slice(0, 1), layers.slice(0, 1), callees)).toHaveLength(1)
  })

  it('reads no flash that is not there', () => {
    expect(() => writeRun([{ kernel: LOAD, args: [0, 0] }], [], callees)).toThrow(
      /kernel "load", call 0 .* 2 arguments, it takes 3/,
    )
  })

  /** Puts the functions into a module whose kernels are imported. */
  function instantiate(
    functions: ReturnType<typeof writeRun>,
    imports: Record<string, (...args: number[]) => void>,
  ): () => number {
    const w = new Writer().raw(MAGIC)
    const types = [...callees, ...functions].map(({ type }) => type)
    w.section(SECTION.type, (s) =>
      s.vector(types, (t) => {
        s.byte(0x60)
        for (const list of [t.params, t.results]) s.vector(list, (v) => s.byte(VALUE_TYPES[v]))
      }),
    )
    w.section(SECTION.import, (s) => s.vector(callees, ({ name }, i) => s.text('k').text(name).byte(0).u32(i)))
    w.section(SECTION.function, (s) => s.vector(functions, (_, i) => s.u32(callees.length + i)))
    w.section(SECTION.export, (s) =>
      s
        .u32(1)
        .text('run')
        .byte(0)
        .u32(callees.length + functions.length - 1),
    )
    w.section(SECTION.code, (s) => s.vector(functions, ({ body }) => s.u32(body.length).raw(body)))
    const module = new WebAssembly.Module(w.bytes())
    return new WebAssembly.Instance(module, { k: imports }).exports.run as () => number
  }
})

describe('the report', () => {
  const expectWhole = (report: ModuleReport, wasm: Uint8Array) => {
    expect(report.flash.reduce((sum, { bytes }) => sum + bytes, 0)).toBe(wasm.length)
    expect(report.peak.bytes).toBeLessThanOrEqual(report.ramBytes)
    expect(Math.max(...report.layers.map((l) => l.ramBytes))).toBe(report.peak.bytes)
    for (const { address, bytes } of report.buffers) expect(address + bytes).toBeLessThanOrEqual(report.ramBytes)
  }

  it.each(['flash', 'ram'] as const)('says what a module takes, by part, layer and buffer (%s)', async (weights) => {
    const model = await quantized(tinyCnn({ shape: [8, 8, 1], classes: 10 }), 1)
    const { wasm, report } = await buildModule(model, { weights })
    expectWhole(report, wasm)
    const { exports } = (await WebAssembly.instantiate(wasm)).instance
    expect(report.ramBytes).toBe((exports.__heap_base as WebAssembly.Global).value)
    expect(report.layers.map((l) => l.name)).toEqual(['conv1', 'pool1', 'conv2', 'pool2', 'dense'])
    expect(report.macs).toBe(model.macs)
    const stored = Object.fromEntries(report.flash.map(({ name, bytes }) => [name, bytes]))
    expect([stored.w, stored.channels]).toEqual([72 + 1152 + 640, 4 * (8 + 16 + 10)])
    expect(report.buffers.find((b) => b.name === 'input')).toMatchObject({ bytes: 64, first: 'conv1', last: 'conv1' })
    expect(report.buffers.find((b) => b.name === 'conv1')).toMatchObject({ bytes: 512, first: 'conv1', last: 'pool1' })
    // An interpreter runs more instructions for the same sums.
    const interpreted = (await buildModule(model, { weights, target: 'interpreter' })).report
    expect(interpreted.instructions).toBeGreaterThan(2 * report.instructions)
    expect(report.instructions).toBe(report.layers.reduce((sum, l) => sum + l.instructions, 0))
    // Compiled kernels were counted, what an interpreter makes of them was not.
    expect([report, interpreted].map(({ layers }) => layers.map((l) => l.estimated))).toEqual(
      [false, true].map((estimated) => Array(5).fill(estimated)),
    )
  })

  it('is the same bytes each time, from whatever order they are asked in', async () => {
    const model = await quantized(tinyCnn({ shape: [8, 8, 1], classes: 10 }), 1)
    const [a, , b] = [await buildModule(model), await buildModule(model, { weights: 'ram' }), await buildModule(model)]
    expect(b).toEqual(a)
  })
})

describe('budgets', () => {
  const float = resNet8({ shape: [16, 16, 3], classes: 10 })

  it('refuse what takes more, and name the layer, what is alive there, and what fits', async () => {
    const model = await quantized(float, 1)
    const { report: roomy } = await buildModule(model)
    // Memory that is spent for speed is given up first.
    const { report } = await buildModule(model, { ramBytes: roomy.ramBytes - 1 })
    expect(report.ramBytes).toBeLessThan(roomy.ramBytes)
    expect(roomy.ramBytes).toBeLessThanOrEqual(report.ramBytes * (1 + 1 / 16))
    const attempt = buildModule(model, { ramBytes: report.ramBytes - 1 })
    await expect(attempt).rejects.toThrow(DunlinError)
    await expect(attempt).rejects.toThrow(
      new RegExp(`takes ${report.ramBytes} bytes of RAM, ramBytes allows ${report.ramBytes - 1}.*layer "${report.peak.layer}"`),
    )
    await expect(attempt).rejects.toThrow(
      new RegExp(`${report.peak.buffers[0].name}.* are alive.*What fits: ramBytes of \\d+ or more`),
    )
    await expect(buildModule(model, { flashBytes: 50_000 })).rejects.toThrow(
      /bytes of flash, flashBytes allows 50000.*the largest layers are "block3\/conv2" 37120/,
    )
    const same = await buildModule(model, { ramBytes: report.ramBytes, flashBytes: report.flashBytes })
    expect(same.report).toEqual(report)
    await expect(buildModule(model, { weights: 'ram', ramBytes: report.ramBytes })).rejects.toThrow(/weights: 'flash'/)
  })

  it('say what is wrong with options', async () => {
    await expect(buildModule(float, { ramBytes: 10 })).rejects.toThrow(/an int8 model \(quantize/)
    await expect(buildModule(float, { ramBytes: -1 })).rejects.toThrow(/ramBytes wants a positive integer, got -1/)
    await expect(buildModule(float, { flashBytes: 1.5 })).rejects.toThrow(/flashBytes wants a positive integer, got 1.5/)
    await expect(buildModule(float, { weights: 'disk' as never })).rejects.toThrow(/weights wants flash or ram, got "disk"/)
  })
})

describe('networks of MLPerf Tiny as modules', () => {
  const KB = 1024
  it.each<[string, () => Model, number, number]>([
    ['digits', () => tinyCnn({ shape: [8, 8, 1], classes: 10 }), 3 * KB, 4 * KB],
    ['tiny CNN', () => tinyCnn({ shape: [28, 28, 1], classes: 10 }), 3 * KB, 8 * KB],
    ['DS-CNN', () => dsCnn({ shape: [49, 10, 1], classes: 12 }), 5 * KB, 24 * KB],
    ['ResNet-8', () => resNet8({ shape: [32, 32, 3], classes: 10 }), 5 * KB, 50 * KB],
    ['MobileNetV1 0.25', () => mobileNetV1({ shape: [96, 96, 3], classes: 2, width: 0.25 }), 5 * KB, 60 * KB],
    ['autoencoder', () => autoencoder(), 5 * KB, 4 * KB],
  ])('%s fits', async (name, make, more, ram) => {
    const model = await quantized(make(), 1)
    const stored = model.params.reduce((sum, p) => sum + size(p.shape) * BYTES[p.dtype], 0)
    const { report } = await buildModule(model, { flashBytes: stored + more })
    console.log(`${name}: flash ${report.flashBytes} = ${stored} + ${report.flashBytes - stored}, RAM ${report.ramBytes}`)
    expect(report.flashBytes).toBeLessThanOrEqual(stored + more)
    expect(report.ramBytes).toBeLessThanOrEqual(ram)
  })
})
