// Modules with `weights: 'ram'` are for hosts without bulk memory: no instruction of it stands in any function of them, whichever kernels they
// have; they give the bytes that the others give; tools that do not know bulk memory take them.

import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { quantize } from '../src/compress/quantize'
import { buildModule, loadModule, type ModuleTarget } from '../src/deploy'
import { MAGIC, Reader, SECTION } from '../src/deploy/binary'
import { immediates, parseBuild } from '../src/deploy/kernels'
import { DunlinError } from '../src/graph/error'
import { size } from '../src/graph/node'
import { Random } from '../src/graph/random'
import { Model } from '../src/model/model'
import type { OpName } from '../src/ops'
import { autoencoder } from '../src/zoo/autoencoder'
import { cnn1d } from '../src/zoo/cnn1d'
import { dsCnn } from '../src/zoo/dsCnn'
import { mobileNetV1 } from '../src/zoo/mobileNetV1'
import { mobileNetV2 } from '../src/zoo/mobileNetV2'
import { recurrentClassifier } from '../src/zoo/recurrentClassifier'
import { resNet8 } from '../src/zoo/resNet8'
import { shuffleNetV1 } from '../src/zoo/shuffleNetV1'
import { tinyCnn } from '../src/zoo/tinyCnn'
import { builds } from './harness'
import { samples } from './samples'

const TARGETS: readonly ModuleTarget[] = ['aot', 'interpreter', 'simd']
const PREFIX = 0xfc

/** The numbers of instructions 0xfc 8 and more, of bulk memory and of tables, in a function; a call has no meaning here. */
function bulkInstructions(body: Uint8Array): number[] {
  const found: number[] = []
  const reader = new Reader(body, 'function')
  reader.vector(() => [reader.u32(), reader.byte()])
  while (!reader.done) {
    const opcode = reader.byte()
    if (opcode !== PREFIX) {
      immediates(reader, opcode)
      continue
    }
    const number = reader.u32()
    if (number <= 7) continue
    found.push(number)
    // memory.init, data.drop, memory.copy, memory.fill have so many bytes of indices.
    reader.take([2, 1, 2, 1][number - 8])
  }
  return found
}

/** What a host without bulk memory would refuse. */
function refused(wasm: Uint8Array): string[] {
  const file = new Reader(wasm, 'module')
  file.take(MAGIC.length)
  const sections: number[] = []
  while (!file.done) {
    sections.push(file.byte())
    file.sized()
  }
  const instructions = parseBuild(wasm).functions.flatMap(({ body }, i) =>
    bulkInstructions(body).map((number) => `function ${i}: 0xfc ${number}`),
  )
  return sections.includes(SECTION.dataCount) ? ['data count section', ...instructions] : instructions
}

const folder = mkdtempSync(join(tmpdir(), 'dunlin-ram-'))
afterAll(() => rmSync(folder, { recursive: true }))

const values = (model: Model, random: Random, count: number) =>
  Object.fromEntries(
    model.inputs.map((port) => {
      const length = count * size(port.shape)
      // Indices of the smallest table there is.
      const draw = () => (port.dtype === 'f32' ? random.uniform(0.1, 2) : random.integer(2))
      return [port.name, Float32Array.from({ length }, draw)]
    }),
  )

/** The int8 model, where there is one. */
const quantized = (model: Model) =>
  quantize(model, { x: values(model, new Random(1), 4) }).catch((error) => {
    if (error instanceof DunlinError) return undefined
    throw error
  })

/** Of an op: the models of its samples, in float and, where there are such, in int8. */
async function modelsOf(op: OpName): Promise<Model[]> {
  const float = samples[op].map(({ node }) => new Model(node, { name: op }))
  // An op of indices alone has nothing that is calibrated.
  const calibrated = float.filter(({ inputs }) => inputs.some(({ dtype }) => dtype === 'f32'))
  return [...float, ...(await Promise.all(calibrated.map(quantized))).filter((model) => model !== undefined)]
}

const random = (shape: readonly number[], n: number) => {
  const draw = new Random(1)
  return Float32Array.from({ length: n * size(shape) }, () => draw.uniform(-1, 1))
}
const int8 = (model: Model) => quantize(model, { x: random(model.inputs[0].shape, 4) })
const words = recurrentClassifier({
  ...{ shape: [9], classes: 5, cell: 'lstm', units: 12, name: 'words' },
  vocabulary: { words: 2, units: 6 },
})
const ZOO: Record<string, () => Promise<Model> | Model> = {
  'tiny CNN, float': () => tinyCnn({ shape: [8, 8, 1], classes: 10 }),
  'tiny CNN': () => int8(tinyCnn({ shape: [8, 8, 1], classes: 10 })),
  'DS-CNN': () => int8(dsCnn({ shape: [49, 10, 1], classes: 12 })),
  'ResNet-8': () => int8(resNet8({ shape: [32, 32, 3], classes: 10 })),
  'MobileNet V1': () => int8(mobileNetV1({ shape: [32, 32, 3], classes: 3, width: 0.25 })),
  'MobileNet V2': () => int8(mobileNetV2({ shape: [32, 32, 3], classes: 3, width: 0.25 })),
  'ShuffleNet V1': () => int8(shuffleNetV1({ shape: [32, 32, 3], classes: 3, width: 0.25, groups: 3 })),
  autoencoder: () => int8(autoencoder()),
  'CNN of series': () => int8(cnn1d({ shape: [60, 2], classes: 3, filters: 10 })),
  GRU: () => int8(recurrentClassifier({ shape: [12, 10], classes: 6, cell: 'gru', units: 24 })),
  'words, float': () => words,
  words: () => quantize(words, { x: Int32Array.from({ length: 36 }, (_, i) => i % 2) }),
}

describe('a module whose weights are in RAM', () => {
  it.each(Object.keys(samples) as OpName[])('has no instruction of bulk memory, and the bits of a session: %s', async (op) => {
    for (const model of await modelsOf(op)) {
      for (const target of TARGETS) {
        const { wasm } = await buildModule(model, { target, weights: 'ram' })
        const what = `${op}, ${model.outputs[0].dtype}, ${model.inputs.map(({ shape }) => `[${shape}]`)}, ${target}`
        expect(refused(wasm), what).toEqual([])
        // It hashes all outputs, and the hash that it wants is that of a session with the kernels as they are.
        ;(await loadModule(wasm, what)).selfTest()
      }
    }
  })

  it.each(Object.keys(ZOO))('has the bytes of the one whose weights are in flash: %s', async (name) => {
    const model = await ZOO[name]()
    const x = values(model, new Random(2), 1)
    for (const target of TARGETS) {
      const modules = await Promise.all((['ram', 'flash'] as const).map((weights) => buildModule(model, { target, weights })))
      expect(modules.map(({ wasm }) => refused(wasm).length > 0)).toEqual([false, true])
      const [ram, flash] = await Promise.all(modules.map(({ wasm }) => loadModule(wasm)))
      expect([...ram.predict(x)], target).toEqual([...flash.predict(x)])
    }
  })

  it.each(['sgd', 'momentum'] as const)('learns without such instructions, too (%s)', async (optimizer) => {
    const model = tinyCnn({ shape: [8, 8, 1], classes: 10 })
    for (const target of TARGETS) {
      const [ram, flash] = await Promise.all(
        (['ram', 'flash'] as const).map((weights) =>
          buildModule(model, { target, weights, train: { layers: 'all', optimizer, lr: 0.05, batch: 2 } }),
        ),
      )
      expect(refused(ram.wasm)).toEqual([])
      const learned = []
      for (const { wasm } of [ram, flash]) {
        const module = await loadModule(wasm)
        const losses = Array.from({ length: 6 }, (_, i) => module.training!.learn(random([8, 8, 1], i + 1).subarray(64 * i), i))
        expect(losses.every(Number.isFinite)).toBe(true)
        learned.push([...module.training!.parameters])
      }
      expect(learned[0], target).toEqual(learned[1])
    }
  })
})

describe.each(builds.map((build) => [build.name, build] as const))('the loops (%s)', (_, { memory, kernels }) => {
  const draw = new Random(3)
  const before = Uint8Array.from({ length: 80 }, () => draw.integer(256))
  /** The bytes after `change`, of both. */
  const both = (change: (bytes: Uint8Array) => void, kernel: string, ...args: number[]) => {
    const [want, got] = [before.slice(), new Uint8Array(memory.buffer, 1024, before.length)]
    got.set(before)
    change(want)
    kernels[kernel](...args)
    expect([...got], `${kernel}(${args})`).toEqual([...want])
  }

  it('copy as memory.copy does, also what overlaps', () => {
    for (let n = 0; n <= 30; n++) {
      for (let from = 20; from < 30; from++)
        for (const to of [...Array(20).keys()].map((i) => from - 10 + i))
          both((b) => b.copyWithin(to, from, from + n), 'copy_u8', 1024 + to, 1024 + from, n)
    }
  })

  it('fill as memory.fill does', () => {
    for (let n = 0; n <= 30; n++)
      for (const value of [0, 1, 0x80, -1, 0x1234]) both((b) => b.fill(value, 21, 21 + n), 'fill_u8', 1045, value, n)
  })
})

const missing = (command: string) => spawnSync(command, ['--version']).error !== undefined
/** wabt's references stand on its bulk memory: without the one, without the other. */
const WITHOUT = ['--disable-bulk-memory', '--disable-reference-types']

describe('wabt without bulk memory', () => {
  const file = (wasm: Uint8Array) => {
    const path = join(folder, 'module.wasm')
    writeFileSync(path, wasm)
    return path
  }

  it.skipIf(missing('wasm-validate'))('refuses what such hosts refuse', async () => {
    const { wasm } = await buildModule(await ZOO['tiny CNN']())
    expect(() => execFileSync('wasm-validate', [...WITHOUT, file(wasm)], { stdio: 'pipe' })).toThrow(/data count|data_count|bulk/)
  })

  it.skipIf(missing('wasm-validate') || missing('wasm-interp')).each(Object.keys(ZOO))(
    'takes modules and computes their bits: %s',
    async (name) => {
      const model = await ZOO[name]()
      for (const target of ['aot', 'interpreter'] as const) {
        const { wasm } = await buildModule(model, { target, weights: 'ram' })
        const path = file(wasm)
        execFileSync('wasm-validate', [...WITHOUT, path])
        if (model.macs > 2e6) continue
        const said = execFileSync('wasm-interp', [...WITHOUT, path, '--run-all-exports'], { encoding: 'utf8' })
        expect(said, target).toContain('self_test() => i32:0')
      }
    },
  )

  it.skipIf(missing('wasm-validate'))('takes a module of every op', async () => {
    for (const op of (Object.keys(samples) as OpName[]).filter((op) => samples[op].length)) {
      const [first] = await modelsOf(op)
      for (const target of TARGETS)
        execFileSync('wasm-validate', [...WITHOUT, file((await buildModule(first, { target, weights: 'ram' })).wasm)])
    }
  })
})
