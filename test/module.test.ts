// The standalone module of a real model: whatever runs it gives the bytes that the session gives, for every test sample.

import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { prune } from '../src/compress/prune'
import { quantize } from '../src/compress/quantize'
import { type Dataset, split, statistics, subset } from '../src/data/dataset'
import { type BuiltModule, buildModule, loadModule } from '../src/deploy'
import { HASH_BYTES, hashDigits } from '../src/deploy/abi'
import { MAGIC, SECTION, Writer } from '../src/deploy/binary'
import { loadDigits } from '../src/files'
import { DunlinError } from '../src/graph/error'
import { input } from '../src/graph/node'
import { Random } from '../src/graph/random'
import { argmax, Model } from '../src/model/model'
import { sequential } from '../src/model/sequential'
import { batchNorm } from '../src/ops/batchNorm'
import { conv2d } from '../src/ops/conv2d'
import { convTranspose2d } from '../src/ops/convTranspose2d'
import { layerNorm } from '../src/ops/layerNorm'
import { Session } from '../src/session/session'
import { adam } from '../src/train/optimizers'
import { oneCycle } from '../src/train/schedules'
import { Trainer } from '../src/train/trainer'
import { tinyCnn } from '../src/zoo/tinyCnn'

const EACH = 64
const LABELS = ['zero', 'one', 'two', 'three', 'four', 'five', 'six', 'seven', 'eight', 'nine']

let test: Dataset
let float: Model
let int8: Model
let inputs: Int8Array
let outputs: Int8Array
const TARGETS = ['aot', 'interpreter', 'simd'] as const
let built: Record<(typeof TARGETS)[number], BuiltModule>

beforeAll(async () => {
  const [train, heldOut] = split(loadDigits(), 0.2, 0)
  test = heldOut
  float = tinyCnn({ shape: [8, 8, 1], classes: 10, normalize: statistics(train), labels: LABELS, name: 'digits' })
  await new Trainer(float, { optimizer: adam({ lr: 1e-2 }), schedule: oneCycle() }).fit(train, { epochs: 8 })
  int8 = await quantize(
    prune(float, { sparsity: 0.3 }),
    subset(
      train,
      Uint32Array.from({ length: 300 }, (_, i) => i),
    ),
  )
  const [aot, interpreter, simd] = await Promise.all(
    [undefined, ...TARGETS.slice(1)].map((target) => buildModule(int8, { target })),
  )
  built = { aot, interpreter, simd }
  // The session's bytes: all samples through its door, one run each.
  const session = await int8.session(1)
  const [input] = session.plan.inputs
  const [output] = session.plan.outputs
  inputs = new Int8Array(test.count * EACH)
  outputs = new Int8Array(test.count * 10)
  for (let i = 0; i < test.count; i++) {
    session.feed(input, test.x, i)
    inputs.set(session.view(input), i * EACH)
    session.run()
    outputs.set(session.view(output), i * 10)
  }
})

describe.each(TARGETS)('the module for %s', (target) => {
  it('gives the bytes of the session for every test sample', async () => {
    const { instance } = await WebAssembly.instantiate(built[target].wasm)
    const exports = instance.exports as Record<string, WebAssembly.Global> & { memory: WebAssembly.Memory; run(): number }
    expect([exports.input_bytes.value, exports.output_bytes.value]).toEqual([EACH, 10])
    const x = new Int8Array(exports.memory.buffer, exports.input.value, EACH)
    const y = new Int8Array(exports.memory.buffer, exports.output.value, 10)
    for (let i = 0; i < test.count; i++) {
      x.set(inputs.subarray(i * EACH, (i + 1) * EACH))
      expect(exports.run()).toBe(0)
      expect([...y], `sample ${i}`).toEqual([...outputs.subarray(i * 10, (i + 1) * 10)])
    }
  })

  it('predicts what the model predicts, through its own door', async () => {
    const module = await loadModule(built[target].wasm)
    const all = await int8.predict(test.x)
    let right = 0
    for (let i = 0; i < test.count; i++) {
      const y = module.predict(test.x.subarray(i * EACH, (i + 1) * EACH))
      expect([...y], `sample ${i}`).toEqual([...all.subarray(i * 10, (i + 1) * 10)])
      if (argmax(y) === test.y[i]) right++
    }
    expect(right / test.count).toBe((await int8.evaluate(test)).accuracy)
  })

  it('is small, imports nothing and exports the ABI', () => {
    const { wasm, report } = built[target]
    expect(wasm.length).toBeLessThanOrEqual(16 * 1024)
    expect(report.flashBytes).toBe(wasm.length)
    const module = new WebAssembly.Module(wasm)
    expect(WebAssembly.Module.imports(module)).toEqual([])
    expect(WebAssembly.Module.exports(module)).toEqual([
      { name: 'memory', kind: 'memory' },
      ...['run', 'self_test', 'classify'].map((name) => ({ name, kind: 'function' })),
      ...['input', 'input_bytes', 'output', 'output_bytes', 'abi', '__heap_base', '__data_end'].map((name) => ({
        name,
        kind: 'global',
      })),
    ])
    const { exports } = new WebAssembly.Instance(module)
    const value = (name: string) => (exports[name] as WebAssembly.Global).value as number
    expect(value('abi')).toBe(2)
    expect(value('__data_end')).toBeLessThanOrEqual(value('input'))
    expect(Math.max(value('input') + EACH, value('output') + 10)).toBeLessThanOrEqual(value('__heap_base'))
    expect(report.ramBytes).toBe(value('__heap_base'))
    expect(() => ((exports.input as WebAssembly.Global).value = 0)).toThrow(TypeError)
  })

  it('is the same bytes every time, also from the saved model', async () => {
    const again = await buildModule(Model.load(int8.save()), { target })
    expect(again).toEqual(built[target])
  })

  it('describes itself', async () => {
    const { metadata } = await loadModule(built[target].wasm)
    expect(metadata).toMatchObject({ abi: 2, name: 'digits', labels: LABELS })
    expect(metadata.inputs).toMatchObject([{ name: 'input', shape: [8, 8, 1], dtype: 'i8' }])
    expect(metadata.outputs).toMatchObject([{ name: 'dense', shape: [10], dtype: 'i8' }])
    expect(metadata.outputs[0].scale).toBe(int8.outputs[0].quant?.scale[0])
  })
})

describe('a module whose channels have each their own mean and std', () => {
  const normalize = { mean: [125.3, 123, 113.9], std: [63, 62.1, 66.7] }
  const model = new Model(sequential(conv2d({ filters: 4, kernel: 3 }), batchNorm())(input([6, 5, 3], { normalize })), {
    name: 'colours',
  })
  const x = Uint8Array.from({ length: 40 * 90 }, (_, i) => (i * 7919) % 256)

  it.each(['float', 'int8'])('predicts what the model predicts (%s)', async (kind) => {
    const deployed = kind === 'float' ? model : await quantize(model, { x })
    const { wasm, header } = await buildModule(deployed)
    const module = await loadModule(wasm)
    expect(module.metadata.inputs[0]).toMatchObject(normalize)
    expect(header).toContain('#define COLOURS_INPUT_CHANNELS 3\n')
    const session = await Session.create(deployed.plan(1, 'module'), { build: 'scalar' })
    const [door] = session.plan.inputs
    for (let i = 0; i < 40; i++) {
      session.feed(door, x, i)
      session.run()
      expect(module.predict(x.subarray(i * 90, (i + 1) * 90))).toEqual(session.fetch(session.plan.outputs[0]))
      const [v, c] = [x[i * 90 + 4], 1]
      const real = (v - normalize.mean[c]) / normalize.std[c]
      session.feed(door, x, i)
      const { quant } = door
      const wanted = quant ? Math.max(-128, Math.min(127, quant.zeroPoint + Math.round(real / quant.scale[0]))) : real
      expect(session.view(door)[4]).toBeCloseTo(wanted, 5)
    }
  })
})

describe('a module of the float model', () => {
  it('gives the bits of a session that runs its plan, and nearly those of the session with Winograd', async () => {
    const module = await loadModule((await buildModule(float, { target: 'aot' })).wasm)
    const plan = float.plan(1, 'module')
    const session = await Session.create(plan, { build: 'scalar' })
    const usual = await float.predict(test.x.subarray(0, 20 * EACH), { build: 'scalar' })
    // Winograd's constant times the 64 terms of a logit.
    const bound = 24 * 2 ** -24 * 64 * usual.reduce((most, v) => Math.max(most, Math.abs(v)), 0)
    for (let i = 0; i < 20; i++) {
      const y = module.predict(test.x.subarray(i * EACH, (i + 1) * EACH))
      session.feed(plan.inputs[0], test.x, i)
      session.run()
      expect([...y], `sample ${i}`).toEqual([...session.fetch(plan.outputs[0])])
      for (let j = 0; j < 10; j++)
        expect(Math.abs(y[j] - usual[i * 10 + j]), `sample ${i}, logit ${j}`).toBeLessThanOrEqual(bound)
    }
  })

  it.each(TARGETS)('of groups, transposed convolutions and normalizations, too (%s)', async (target) => {
    const layers = sequential(
      conv2d({ filters: 6, kernel: 3, groups: 2, padding: 'same' }),
      batchNorm({ activation: 'relu6' }),
      convTranspose2d({ filters: 5, kernel: 3, strides: 2, padding: 1, activation: 'relu' }),
      layerNorm(),
    )
    const model = new Model(layers(input([3, 4, 4])), { seed: 4 })
    const plan = model.plan(1, 'module')
    const session = await Session.create(plan, { build: target === 'simd' ? 'simd' : 'scalar' })
    const module = await loadModule((await buildModule(model, { target })).wasm)
    const random = new Random(4)
    for (let i = 0; i < 3; i++) {
      const x = Float32Array.from({ length: 48 }, () => random.uniform(-2, 2))
      session.feed(plan.inputs[0], x)
      session.run()
      expect([...module.predict(x)], `sample ${i} (seed 4)`).toEqual([...session.fetch(plan.outputs[0])])
    }
  })
})

describe('loadModule', () => {
  const section = (text: string) => {
    const w = new Writer().raw(MAGIC)
    w.section(SECTION.custom, (s) => s.text('dunlin').raw(new TextEncoder().encode(text)))
    return w.bytes()
  }

  it('names the file and what is wrong with it', async () => {
    const load = (bytes: Uint8Array) => loadModule(bytes, 'm.wasm')
    await expect(load(new Uint8Array(0))).rejects.toThrow(/^m\.wasm: no module of ABI 2, or damaged \(WebAssembly/)
    await expect(load(new TextEncoder().encode('#!/bin/sh'))).rejects.toThrow(
      /^m\.wasm: no module of ABI 2, or damaged \(WebAssembly/,
    )
    await expect(load(Uint8Array.from(MAGIC))).rejects.toThrowErrorMatchingInlineSnapshot(
      `[DunlinError: m.wasm: no module of dunlin: it has no section "dunlin". Build it again with dunlin.]`,
    )
    await expect(load(section('{'))).rejects.toThrow(/^m\.wasm: no module of ABI 2, or damaged \(Expected/)
    await expect(load(section('null'))).rejects.toThrow(/^m\.wasm: no module of ABI 2, or damaged \(Cannot read/)
    for (const abi of [1, 3]) {
      await expect(load(section(`{"abi":${abi}}`))).rejects.toThrow(
        `m.wasm: ABI ${abi}, this loader knows ABI 2. Build it again with dunlin.`,
      )
    }
    await expect(load(section('{"abi":2}'))).rejects.toThrowErrorMatchingInlineSnapshot(
      `[DunlinError: m.wasm: damaged: its bytes do not have its hash. Build it again with dunlin.]`,
    )
    await expect(load(signed(section('{"abi":2,"hash":"00000000"}')))).rejects.toThrow(
      /^m\.wasm: no module of ABI 2, or damaged \(/,
    )
    const module = await load(built.aot.wasm)
    expect(() => module.predict([1, 2, 3])).toThrowErrorMatchingInlineSnapshot(
      `[DunlinError: m.wasm: input "input" got 3 values, wanted 64 (shape [8,8,1]).]`,
    )
    expect(() => module.predict({ image: new Uint8Array(64) })).toThrowErrorMatchingInlineSnapshot(
      `[DunlinError: m.wasm: input "input" got no values, wanted 64 (shape [8,8,1]).]`,
    )
  })

  it('refuses a file that is cut off, or has a byte changed, anywhere', async () => {
    const { wasm } = built.aot
    const refused = (bytes: Uint8Array) =>
      loadModule(bytes).then(
        () => false,
        (error) => error instanceof DunlinError,
      )
    const wrong: string[] = []
    for (let length = 0; length < wasm.length; length++) {
      if (!(await refused(wasm.subarray(0, length)))) wrong.push(`${length} bytes`)
      const flipped = wasm.slice()
      flipped[length] ^= 1 << (length & 7)
      if (!(await refused(flipped))) wrong.push(`byte ${length} changed`)
    }
    expect(wrong).toEqual([])
  })

  it('ends in a module or a DunlinError, whatever is changed in the file, with a hash that fits', async () => {
    const { wasm } = built.aot
    const seed = 40
    const random = new Random(seed)
    // Sections but code and data lie at the start and at the end.
    for (let i = 0; i < 1000; i++) {
      const mutant = wasm.slice()
      const at = random.integer(2) ? random.integer(300) : wasm.length - 1 - random.integer(400)
      mutant[at] = random.integer(256)
      try {
        await loadModule(signed(mutant))
      } catch (error) {
        if (!(error instanceof DunlinError)) throw new Error(`Random(${seed}), mutant ${i}: ${error}`, { cause: error })
      }
    }
  })
})

/** The file with the hash of what it holds. */
function signed(bytes: Uint8Array): Uint8Array {
  bytes.set(new TextEncoder().encode(hashDigits(bytes)), bytes.length - HASH_BYTES)
  return bytes
}

const missing = (command: string, ...args: string[]) => spawnSync(command, args).error !== undefined
/** Runs the module on the first test sample in a shell of another engine, which prints what it finds at `output`. */
const script = (bytes: Uint8Array) => `
const exports = new WebAssembly.Instance(new WebAssembly.Module(new Uint8Array([${bytes}]))).exports
new Int8Array(exports.memory.buffer, exports.input.value, ${EACH}).set([${inputs.subarray(0, EACH)}])
print(exports.run() + ':' + new Int8Array(exports.memory.buffer, exports.output.value, 10))`

function withFile<T>(name: string, contents: Uint8Array | string, use: (path: string) => T): T {
  const folder = mkdtempSync(join(tmpdir(), 'dunlin-'))
  try {
    const path = join(folder, name)
    writeFileSync(path, contents)
    return use(path)
  } finally {
    rmSync(folder, { recursive: true })
  }
}

describe('other engines', () => {
  it.skipIf(missing('wasm-validate', '--version'))('wabt finds it valid, without any extension for aot', () => {
    const flags = ['simd', 'reference-types', 'multi-value', 'saturating-float-to-int'].map((f) => `--disable-${f}`)
    withFile('digits.wasm', built.aot.wasm, (path) => execFileSync('wasm-validate', [...flags, path]))
  })

  it.skipIf(missing('wasm-interp', '--version'))('wabt runs it', () => {
    const run = (path: string) => execFileSync('wasm-interp', [path, '--run-all-exports'], { encoding: 'utf8' })
    expect(withFile('digits.wasm', built.aot.wasm, run)).toContain('run() => i32:0')
  })

  for (const shell of ['gjs', 'jsc']) {
    it.skipIf(missing(shell, '--help'))(`${shell} computes the same bytes`, () => {
      for (const { wasm } of Object.values(built)) {
        const printed = withFile('run.js', script(wasm), (path) => execFileSync(shell, [path], { encoding: 'utf8' }))
        expect(printed.trim()).toBe(`0:${outputs.subarray(0, 10)}`)
      }
    })
  }
})
