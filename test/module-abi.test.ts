// The ABI of a module: what its functions beside `run` do, several ports, state that is kept, and the loader that is written beside it.

import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import ts from 'typescript'
import { describe, expect, it } from 'vitest'
import { quantize } from '../src/compress/quantize'
import { buildModule, loadModule, type StandaloneModule } from '../src/deploy'
import { moduleFunctions, selfTest } from '../src/deploy/functions'
import { parseBuild } from '../src/deploy/kernels'
import { type Dtype, input, type Node, type Normalize, type TypedArray } from '../src/graph/node'
import { Random } from '../src/graph/random'
import { argmax, Model } from '../src/model/model'
import { sequential } from '../src/model/sequential'
import { concat } from '../src/ops/concat'
import { conv2d } from '../src/ops/conv2d'
import { dense } from '../src/ops/dense'
import { embedding } from '../src/ops/embedding'
import { gru } from '../src/ops/gru'
import { lstm } from '../src/ops/lstm'
import { flatten } from '../src/ops/reshape'
import type { Plan, Port, Region } from '../src/plan/plan'
import { Session } from '../src/session/session'
import { tinyCnn } from '../src/zoo/tinyCnn'

const numbers = (seed: number, length: number) => {
  const random = new Random(seed)
  return Float32Array.from({ length }, () => random.uniform(-2, 2))
}

/** Two inputs, two outputs; the second output reads one input only. */
function twoOfEach(): Model {
  const [image, more] = [input([5, 5, 2], { name: 'image' }), input([3], { name: 'more' })]
  const seen = sequential(conv2d({ filters: 3, kernel: 3, activation: 'relu' }), flatten())(image)
  const classes = dense({ units: 4, name: 'classes' })(concat()(seen, more))
  const amount = dense({ units: 1, name: 'amount' })(more)
  return new Model([classes, amount], { seed: 2, name: 'two', labels: ['a', 'b', 'c', 'd'] })
}

const tell = (steps: number) =>
  new Model(sequential(lstm({ units: 5, stateful: true }), dense({ units: 3 }))(input([steps, 4])), { seed: 3, name: 'tell' })

const read = () => {
  const words = input([6], { dtype: 'i32', name: 'words' })
  return new Model(sequential(embedding({ count: 9, units: 4 }), gru({ units: 4 }), dense({ units: 2 }))(words), { seed: 4 })
}

const MODELS: Record<string, () => Promise<Model>> = {
  float: async () => tinyCnn({ shape: [8, 8, 1], classes: 10 }),
  int8: async () => quantize(tinyCnn({ shape: [8, 8, 1], classes: 10 }), { x: numbers(1, 20 * 64) }),
  'two inputs and outputs': async () => twoOfEach(),
  'two of each, int8': async () => quantize(twoOfEach(), { x: { image: numbers(1, 500), more: numbers(2, 30) } }),
  stateful: async () => tell(2),
  'stateful int8': async () => quantize(tell(2), { x: numbers(5, 80) }),
  indices: async () => read(),
}

describe.each(Object.keys(MODELS))('self_test of a model: %s', (name) => {
  it.each(['aot', 'simd', 'interpreter'] as const)('passes, and leaves the state zero (%s)', async (target) => {
    const { wasm } = await buildModule(await MODELS[name](), { target })
    const module = await loadModule(wasm)
    module.selfTest()
    for (const values of module.inputs) values.fill(1)
    module.run()
    module.selfTest()
    const after = module.outputs.map((output) => output.slice())
    module.selfTest()
    expect(module.outputs).toEqual(after)
    expect(
      after.every((output) => Array.from(output).every(Number.isFinite)),
      'only finite outputs',
    ).toBe(true)
  })

  it('fails when a byte of what it computes with is another', async () => {
    const module = await loadModule((await buildModule(await MODELS[name](), { weights: 'ram' })).wasm)
    const end = (module.exports.__data_end as WebAssembly.Global).value
    const memory = new Uint8Array((module.exports.memory as WebAssembly.Memory).buffer)
    let noticed = 0
    let changed = 0
    for (let at = 16; at < end; at += 1 + Math.floor(end / 50)) {
      memory[at] ^= 0x40
      changed++
      try {
        module.selfTest()
      } catch (error) {
        expect((error as Error).message).toBe('module: self_test() returned 1, wanted 0.')
        noticed++
      }
      memory[at] ^= 0x40
    }
    // A weight that meets only zeros, or padding, changes nothing.
    expect(noticed).toBeGreaterThan(changed / 8)
    module.selfTest()
  })
})

it.skipIf(spawnSync('wasm-interp', ['--version']).error !== undefined)('self_test passes in another engine', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'dunlin-'))
  try {
    for (const [name, make] of Object.entries(MODELS)) {
      const file = join(folder, 'm.wasm')
      writeFileSync(file, (await buildModule(await make())).wasm)
      const said = execFileSync('wasm-interp', [file, '--run-all-exports'], { encoding: 'utf8' })
      expect(said, name).toContain('self_test() => i32:0')
    }
  } finally {
    rmSync(folder, { recursive: true })
  }
})

/** A module of nothing but these functions: `run` is function 0 and returns `status`. */
function bare(plan: Partial<Plan>, selfTest = 0, status = 0) {
  const functions = moduleFunctions({ outputs: [], inputs: [], state: [], ...plan } as unknown as Plan, 0, 1, selfTest)
  const hex = (...bytes: number[]) => bytes
  const leb = (n: number) => (n < 128 ? [n] : [(n & 127) | 128, n >> 7])
  const section = (id: number, body: number[]) => [id, ...leb(body.length), ...body]
  const bodies = [hex(0, 0x41, status, 0x0b), ...functions.map(({ body }) => [...body])]
  const name = (text: string) => [text.length, ...Buffer.from(text)]
  const wasm = Uint8Array.from([
    ...[0, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
    ...section(1, [2, 0x60, 0, 1, 0x7f, 0x60, 0, 0]),
    ...section(3, [bodies.length, 0, ...functions.map(({ type }) => (type.results.length ? 0 : 1))]),
    ...section(5, [1, 0, 1]),
    ...section(7, [
      functions.length + 1,
      ...name('memory'),
      ...[2, 0],
      ...functions.flatMap((f, i) => [...name(f.name), 0, i + 1]),
    ]),
    ...section(10, [bodies.length, ...bodies.flatMap((body) => [...leb(body.length), ...body])]),
  ])
  const exports = new WebAssembly.Instance(new WebAssembly.Module(wasm)).exports as Record<string, () => number>
  const { buffer } = exports.memory as unknown as WebAssembly.Memory
  return { functions, exports, buffer }
}
const port = (address: number, length: number, dtype: Dtype): Port => ({
  ...{ name: 'p', address, length, dtype, batch: 1, shape: [length] },
})

describe('the functions', () => {
  it.each<[Dtype, (buffer: ArrayBuffer, at: number, n: number) => TypedArray]>([
    ['i8', (b, at, n) => new Int8Array(b, at, n)],
    ['u8', (b, at, n) => new Uint8Array(b, at, n)],
    ['i16', (b, at, n) => new Int16Array(b, at, n)],
    ['i32', (b, at, n) => new Int32Array(b, at, n)],
    ['f32', (b, at, n) => new Float32Array(b, at, n)],
  ])('classify is argmax (%s)', (dtype, view) => {
    const random = new Random(7)
    for (const n of [2, 3, 10, 200]) {
      const { exports, buffer } = bare({ inputs: [port(0, 1, 'i8')], outputs: [port(64, n, dtype)] })
      const y = view(buffer, 64, n)
      for (let i = 0; i < 50; i++) {
        // Few distinct values: there are equals.
        for (let j = 0; j < n; j++) y[j] = random.integer(5) * (dtype === 'i8' || dtype === 'u8' ? 60 : 12345.5) - 120
        expect(exports.classify(), `Random(7): ${y}`).toBe(argmax(y))
      }
    }
  })

  it('leave classify out where the output is no vector', () => {
    for (const shape of [[], [1], [2, 2]]) {
      const outputs = [{ ...port(64, 4, 'i8'), shape }]
      expect(bare({ inputs: [port(0, 1, 'i8')], outputs }).functions.map((f) => f.name)).toEqual(['self_test'])
    }
  })

  it('write the pattern, hash what run leaves, and heed its status', () => {
    // run does nothing: outputs are the inputs themselves.
    const ports = [port(16, 7, 'i8'), port(32, 5, 'i16'), port(48, 3, 'f32'), port(64, 3, 'i32'), port(80, 2, 'u8')]
    const first = bare({ inputs: ports, outputs: ports })
    expect(first.exports.self_test()).toBe(1)
    const views = { i8: Int8Array, i16: Int16Array, f32: Float32Array, i32: Int32Array, u8: Uint8Array }
    const written = ports.map(({ address, length, dtype }) => new views[dtype](first.buffer, address, length).slice())
    // The same pattern comes from the function for executors of plans.
    const buffer = new ArrayBuffer(128)
    const view = ({ address, length, dtype }: Region) => new views[dtype](buffer, address, length)
    const hash = selfTest({ plan: { inputs: ports, outputs: ports } as unknown as Plan, view, run: () => {} })
    expect(ports.map(view)).toEqual(written)
    for (const v of new Float32Array(first.buffer, 48, 3)) expect([-4, -3, -2, -1, 0, 1, 2, 3]).toContain(v)
    for (const v of new Int32Array(first.buffer, 64, 3)) expect(v >= 0 && v < 16).toBe(true)
    expect(bare({ inputs: ports, outputs: ports }, hash).exports.self_test()).toBe(0)
    expect(bare({ inputs: ports, outputs: ports }, hash, 1).exports.self_test()).not.toBe(0)
  })

  it('reset zeroes the state and nothing else', () => {
    const state = [port(32, 3, 'f32'), port(48, 2, 'f32')]
    const { exports, buffer } = bare({ inputs: [port(0, 1, 'i8')], outputs: [port(4, 1, 'i8')], state })
    const bytes = new Uint8Array(buffer).fill(7)
    exports.reset()
    expect(bytes.indexOf(0)).toBe(32)
    expect(bytes.lastIndexOf(0)).toBe(55)
  })

  it('take at most 200 bytes of code in a module of up to 8 KB of RAM', () => {
    for (const dtype of ['i8', 'f32'] as const) {
      const state = [port(1024, 300, 'f32')]
      const { functions } = bare({ inputs: [port(4096, 100, dtype)], outputs: [port(8000, 10, dtype)], state }, 0x7fffffff)
      expect(functions.map((f) => f.name)).toEqual(['reset', 'self_test', 'classify'])
      expect(functions.reduce((sum, { body }) => sum + body.length + 1, 0)).toBeLessThanOrEqual(200)
    }
  })
})

describe('several ports', () => {
  it.each(['two inputs and outputs', 'two of each, int8'])('are read and written by name and number (%s)', async (kind) => {
    const model = await MODELS[kind]()
    const { wasm, header } = await buildModule(model)
    const module = await loadModule(wasm)
    const value = (name: string) => (module.exports[name] as WebAssembly.Global).value
    module.inputs.forEach((x, i) => {
      const name = i ? `input_${i}` : 'input'
      expect([x.byteOffset, x.byteLength]).toEqual([value(name), value(`${name}_bytes`)])
    })
    module.outputs.forEach((y, i) => {
      const name = i ? `output_${i}` : 'output'
      expect([y.byteOffset, y.byteLength]).toEqual([value(name), value(`${name}_bytes`)])
    })
    expect(module.inputs.length + module.outputs.length).toBe(4)
    expect(module.metadata.inputs.map((p) => p.name).sort()).toEqual(['image', 'more'])
    expect(module.metadata.outputs.map((p) => p.name)).toEqual(['classes', 'amount'])
    for (const name of ['INPUT_1_BYTES', 'OUTPUT_1_ADDRESS']) expect(header).toContain(`TWO_${name} `)
    const plan = model.plan(1, 'module')
    const session = await Session.create(plan, { build: 'scalar' })
    for (let i = 0; i < 5; i++) {
      const sample: Record<string, Float32Array> = { image: numbers(i, 50), more: numbers(i + 50, 3) }
      for (const p of plan.inputs) session.feed(p, sample[p.name])
      session.run()
      const wanted = plan.outputs.map((p) => session.fetch(p))
      expect(module.predict(sample)).toEqual(wanted[0])
      expect(module.read(1)).toEqual(wanted[1])
      expect(module.classify(sample)).toBe(argmax(wanted[0]))
    }
    expect(() => module.predict({ image: numbers(0, 50) })).toThrow('input "more" got no values, wanted 3 (shape [3])')
    expect(() => module.predict({ image: numbers(0, 50), more: [1] })).toThrow('input "more" got 1 values')
  })
})

describe.each(['stateful', 'stateful int8'])('state that is kept: %s', (kind) => {
  it('goes on from run to run, as the session does, and is zero again after reset', async () => {
    const model = await MODELS[kind]()
    const module = await loadModule((await buildModule(model)).wasm)
    const samples = Array.from({ length: 6 }, (_, i) => numbers(i, 8))
    const session = await model.session(1, 'scalar')
    const wanted = samples.map((x) => {
      session.feed(session.plan.inputs[0], x)
      session.run()
      return session.fetch(session.plan.outputs[0])
    })
    const run = (m: StandaloneModule) => samples.map((x) => m.predict(x))
    const first = run(module)
    // The float loop of a module is the session's; its products need not be.
    first.forEach((y, i) => {
      y.forEach((v, j) => {
        expect(v).toBeCloseTo(wanted[i][j], 5)
      })
    })
    if (kind !== 'stateful') expect(first).toEqual(wanted)
    expect(run(module)).not.toEqual(first)
    module.reset()
    expect(run(module)).toEqual(first)
    module.selfTest()
    expect(run(module)).toEqual(first)
  })

  it('comes from zeros, which take no space in the file', async () => {
    const { wasm } = await buildModule(await MODELS[kind]())
    expect(
      parseBuild(wasm)
        .exports.map((e) => e.name)
        .slice(0, 5),
    ).toEqual(['memory', 'run', 'reset', 'self_test', 'classify'])
  })
})

it('a model without state has no reset, and resetting it does nothing', async () => {
  const module = await loadModule((await buildModule(await MODELS.int8())).wasm)
  expect('reset' in module.exports).toBe(false)
  module.reset()
})

describe('the loader beside a module', () => {
  const text = buildModule(new Model(dense({ units: 2 })(input([3])))).then(({ loader }) => loader)
  const loaded = async () => import(`data:text/javascript,${encodeURIComponent(await text)}`)

  it('is one small file without dependencies, the same for all', async () => {
    const { loader } = await buildModule(await MODELS['two of each, int8']())
    expect(loader).toBe(await text)
    expect(Buffer.byteLength(loader)).toBeLessThanOrEqual(3.5 * 1024)
    expect(loader).not.toMatch(/\bimport\b|require\(|\bprocess\b|\bBuffer\b/)
  })

  it.each(Object.keys(MODELS))('gives what loadModule gives (%s)', async (name) => {
    const { wasm } = await buildModule(await MODELS[name]())
    const [ours, theirs] = [await loadModule(wasm), (await (await loaded()).load(wasm)) as StandaloneModule]
    expect(Object.keys(theirs)).toEqual(Object.keys(ours))
    theirs.selfTest()
    const sample = Object.fromEntries(ours.metadata.inputs.map((p, i) => [p.name, numbers(i, ours.inputs[i].length)]))
    expect(theirs.predict(sample)).toEqual(ours.predict(sample))
    ours.reset()
    theirs.reset()
    expect(theirs.classify(sample)).toBe(ours.classify(sample))
  })

  it('refuses what loadModule refuses, in its words', async () => {
    const { wasm } = await buildModule(await MODELS.int8())
    const { load } = await loaded()
    await expect(load(wasm.subarray(0, -1), 'm.wasm')).rejects.toThrow(/^m\.wasm: no module of ABI 2, or damaged/)
    const other = wasm.slice()
    other[other.length - 20] ^= 1
    await expect(load(other, 'm.wasm')).rejects.toThrow(/^m\.wasm: /)
    const module = await load(wasm.buffer)
    expect(() => module.predict([1])).toThrow('module: input "input" got 1 values, wanted 64 (shape [8,8,1]).')
  })

  it('has types that an editor reads', async () => {
    const use = `import { load } from './loader.js'
      const m = await load(new Uint8Array(8), 'name')
      const y: Float32Array = m.predict([1, 2])
      const k: number = m.classify({ image: y })
      m.reset(); m.selfTest(); m.run()
      // @ts-expect-error: a sample is values
      m.predict(true)
      export const all = [y, k, m.read(1), m.ramBytes.toFixed(), m.exports, m.inputs[0], m.metadata]`
    const files: Record<string, string> = { 'loader.js': await text, 'use.ts': use }
    const options: ts.CompilerOptions = {
      ...{ allowJs: true, strict: true, noEmit: true, module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2022 },
      ...{ moduleResolution: ts.ModuleResolutionKind.Bundler, lib: ['lib.es2022.d.ts', 'lib.dom.d.ts'], types: [] },
    }
    const host = ts.createCompilerHost(options)
    const { fileExists, readFile, getSourceFile } = host
    const own = (path: string) => files[path.split('/').at(-1) as string]
    host.fileExists = (path) => own(path) !== undefined || fileExists(path)
    host.readFile = (path) => own(path) ?? readFile(path)
    host.getSourceFile = (path, version) =>
      own(path) === undefined ? getSourceFile(path, version) : ts.createSourceFile(path, own(path), version, true)
    const found = ts.getPreEmitDiagnostics(ts.createProgram(['use.ts'], options, host))
    expect(found.map((d) => ts.flattenDiagnosticMessageText(d.messageText, '\n'))).toEqual([])
  })
})

describe('ends of the network', () => {
  const images = { mean: [125.3, 123, 113.9], std: [63, 62.1, 66.7] }
  const pictures = (normalize?: Normalize) =>
    sequential(conv2d({ filters: 4, kernel: 3 }), flatten(), dense({ units: 3 }))(input([4, 5, 3], { normalize }))
  const gestures = sequential(
    conv2d({ filters: 3, kernel: [3, 1] }),
    flatten(),
    dense({ units: 4 }),
  )(input([9, 1, 2], { normalize: { mean: [12, -700.5], std: [9000.1, 4096] } }))
  const bytes = Uint8Array.from({ length: 60 * 5 }, (_, i) => (i * 7919) % 256)
  // Also halves: 700.5 beside whole numbers.
  const samples = Int16Array.from({ length: 18 * 2000 }, (_, i) => (i * 40503) << 3)

  it.each<[string, Node, 'u8' | 'i16', Uint8Array | Int16Array]>([
    ['an image, each channel by itself', pictures(images), 'u8', bytes],
    ['an image, all channels alike', pictures({ mean: 127.5, std: 80 }), 'u8', bytes],
    ['an image as it is', pictures(), 'u8', bytes],
    ['samples of a sensor', gestures, 'i16', samples],
  ])('raw input: %s: the bits that the host gives when it normalizes', async (_, network, dtype, x) => {
    const float = new Model(network, { name: 'raw', seed: 6 })
    for (const model of [float, await quantize(float, { x })]) {
      const usual = await loadModule((await buildModule(model)).wasm)
      const { wasm, header } = await buildModule(model, { input: dtype })
      const module = await loadModule(wasm)
      module.selfTest()
      expect(module.metadata.inputs).toEqual([{ name: 'input', shape: float.inputs[0].shape, dtype }])
      expect(header).toContain(`RAW_INPUT_TYPE ${dtype === 'u8' ? 'uint8_t' : 'int16_t'}\n`)
      expect(header).not.toMatch(/RAW_INPUT_(MEAN|STD|SCALE)/)
      const each = module.inputs[0].length
      for (let at = 0; at < x.length; at += each) {
        const sample = x.subarray(at, at + each)
        expect(module.predict(sample)).toEqual(usual.predict(sample))
      }
      const raw = Model.load(model.withEnds({ input: dtype }).save())
      expect((await buildModule(raw)).wasm).toEqual(wasm)
    }
  })

  it('leave inputs of indices, and of sounds, as they are', async () => {
    const built = [await buildModule(read()), await buildModule(read(), { input: 'u8' })]
    expect(built[1].wasm).toEqual(built[0].wasm)
  })

  it.each(['float', 'int8', 'two of each, int8'])('probabilities: a softmax follows (%s)', async (kind) => {
    const model = await MODELS[kind]()
    const module = await loadModule((await buildModule(model, { output: 'probabilities' })).wasm)
    const usual = await loadModule((await buildModule(model)).wasm)
    module.selfTest()
    const sample = Object.fromEntries(module.metadata.inputs.map((p, i) => [p.name, numbers(i + 3, module.inputs[i].length)]))
    const logits = usual.predict(sample)
    const shares = module.predict(sample)
    const powers = logits.map((v) => Math.exp(v - Math.max(...logits)))
    const sum = powers.reduce((a, b) => a + b, 0)
    shares.forEach((share, i) => {
      expect(Math.abs(share - powers[i] / sum)).toBeLessThan(kind === 'float' ? 1e-5 : 1 / 128)
    })
    expect(module.metadata.labels).toEqual(usual.metadata.labels)
    expect(module.outputs.length).toBe(usual.outputs.length)
    const again = await buildModule(model.withEnds({ output: 'probabilities' }), { output: 'probabilities' })
    expect((await loadModule(again.wasm)).predict(sample)).toEqual(shares)
  })

  it('refuse what they do not know', async () => {
    const model = await MODELS.float()
    await expect(buildModule(model, { input: 'raw' as 'u8' })).rejects.toThrowErrorMatchingInlineSnapshot(
      `[DunlinError: input wants 'u8' or 'i16', got "raw". Leave it out for what the network reads.]`,
    )
    await expect(buildModule(model, { output: 'softmax' as 'probabilities' })).rejects.toThrowErrorMatchingInlineSnapshot(
      `[DunlinError: output wants 'probabilities', got "softmax". Leave it out for what the network gives.]`,
    )
    const one = new Model(dense({ units: 1 })(input([3])))
    await expect(buildModule(one, { output: 'probabilities' })).rejects.toThrowErrorMatchingInlineSnapshot(
      `[DunlinError: dense "dense": probabilities are of two classes and more, this output has shape [1]. Leave out output: 'probabilities'.]`,
    )
  })
})
