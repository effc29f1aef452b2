// `dunlin train`, `eval --config` and `predict` as a person meets them: the built program in a process of its own, its files, its words.

import { execFile } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { encode } from 'fast-png'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { readExperiment } from '../src/cli/experiment'
import { buildModule } from '../src/deploy'
import { writeFileAtomic } from '../src/files'
import { Random } from '../src/graph/random'
import { readModel } from '../src/node'

const CLI = resolve('dist/cli.js')

let dir = ''
beforeAll(() => {
  if (!existsSync(CLI)) throw new Error('dist/cli.js is missing: run "node build.mjs".')
  dir = mkdtempSync(join(tmpdir(), 'dunlin-train-'))
})
afterAll(() => rmSync(dir, { recursive: true, force: true }))

const dunlin = (...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> =>
  new Promise((done) => {
    const child = execFile(process.execPath, [CLI, ...args], { cwd: dir }, (_, stdout, stderr) =>
      done({ code: child.exitCode ?? -1, stdout, stderr }),
    )
  })

const SIDE = 12
const CLASSES = ['across', 'upright']

/** A bright bar on a dark image, lying or upright. */
function bar(random: Random, kind: number): Uint8Array {
  const pixels = Uint8Array.from({ length: SIDE * SIDE }, () => random.integer(60))
  const at = 1 + random.integer(SIDE - 2)
  for (let j = 0; j < SIDE; j++) pixels[kind ? j * SIDE + at : at * SIDE + j] = 180 + random.integer(76)
  return pixels
}

const png = (data: Uint8Array) => encode({ width: SIDE, height: SIDE, channels: 1, depth: 8, data })

/** A folder of PNG files for each class. */
function pictures(name: string, count: number, seed: number): string {
  const random = new Random(seed)
  for (const [kind, label] of CLASSES.entries()) {
    mkdirSync(join(dir, name, label), { recursive: true })
    for (let i = 0; i < count; i++) writeFileSync(join(dir, name, label, `${i}.png`), png(bar(random, kind)))
  }
  return name
}

const write = (name: string, content: unknown) => {
  writeFileSync(join(dir, name), typeof content === 'string' ? content : JSON.stringify(content))
  return name
}

const bytes = (name: string) => readFileSync(join(dir, name))

describe('a configuration', () => {
  it('becomes a trained model, its int8 form, a log, curves and results; started again it goes on, with the same bits', async () => {
    pictures('train', 40, 1)
    pictures('held', 12, 2)
    const config = write('bars.json', {
      ...{ data: { images: { path: 'train', channels: 1 } }, test: { images: { path: 'held', channels: 1 } } },
      ...{ network: 'tinyCnn', augment: [{ shift: 1 }], optimizer: { adam: { lr: 0.02 } }, schedule: 'oneCycle' },
      ...{ batch: 16, epochs: 4, validation: 'test', quantize: 32 },
    })
    const first = await dunlin('train', config, '--out', 'a', '--json')
    expect([first.code, first.stderr]).toEqual([0, ''])
    const result = JSON.parse(first.stdout)
    expect(result).toMatchObject({ name: 'bars', epochs: 4, samples: { train: 80, test: 24 }, parameters: 80 + 1168 + 290 })
    expect(result.float.metrics.accuracy).toBeGreaterThan(0.9)
    expect(result.int8.accuracy).toBeGreaterThan(0.9)
    expect(JSON.parse(bytes('a/result.json').toString())).toEqual(result)
    expect(readdirSync(join(dir, 'a')).sort()).toEqual(
      ['checkpoints', 'curves.svg', 'log.csv', 'model-int8.safetensors', 'model.safetensors', 'result.json'].sort(),
    )
    expect(bytes('a/log.csv').toString().trim().split('\n')).toHaveLength(5)
    expect(bytes('a/curves.svg').toString()).toMatch(/^<svg[\s\S]*validation accuracy[\s\S]*<\/svg>$/)
    const model = readModel(join(dir, 'a/model.safetensors'))
    expect(model.labels).toEqual(CLASSES)
    expect(model.inputs[0].attrs.normalize).toBeDefined()

    // Ended already: nothing is trained again, and all of it is told again.
    const again = await dunlin('train', config, '--out', 'a')
    expect(again.stdout).toMatch(/goes on from a.checkpoints/)
    expect(JSON.parse(bytes('a/result.json').toString()).float).toEqual(result.float)
    expect(bytes('a/log.csv').toString().trim().split('\n')).toHaveLength(5)

    const anew = await dunlin('train', config, '--out', 'a', '--fresh', '--threads', '1')
    expect(anew.stdout).not.toMatch(/goes on/)
    expect(JSON.parse(bytes('a/result.json').toString()).float).toEqual(result.float)
    expect(readModel(join(dir, 'a/model.safetensors')).params[0].data).toEqual(model.params[0].data)

    const told = await dunlin('eval', 'a/model.safetensors', '--config', config)
    expect(told.stdout).toBe(`a/model.safetensors: accuracy ${result.float.metrics.accuracy.toFixed(4)} on 24 samples\n`)
  })

  it('may be a module with functions, whose report is told with the results', async () => {
    const config = write(
      'module.mjs',
      `import { input, dense, flatten, sequential, Model } from ${JSON.stringify(resolve('dist/index.js'))}
       import { loadDigits } from ${JSON.stringify(resolve('dist/node.js'))}
       import { split } from ${JSON.stringify(resolve('dist/index.js'))}
       export default {
         data: () => { const [train, test] = split(loadDigits(), 0.5, 1); return { train, test } },
         network: ({ shape, classes }, normalize, seed) =>
           new Model(sequential(flatten(), dense({ units: classes }))(input(shape, { normalize })), { seed }),
         normalize: 'all', epochs: 2, quantize: false, validation: 0.1,
         report: ({ model, int8, test }) => ({ weights: model.parameterCount, quantized: int8 !== undefined, tested: test.count }),
       }`,
    )
    const { code, stdout, stderr } = await dunlin('train', config, '--json', '--seed', '3')
    expect([code, stderr]).toEqual([0, ''])
    const result = JSON.parse(stdout)
    expect(result).toMatchObject({ name: 'module', seed: 3, weights: 650, quantized: false, tested: 899 })
    expect(result.samples).toEqual({ train: 808, test: 899 })
    expect(existsSync(join(dir, 'out/module/model-int8.safetensors'))).toBe(false)
  })

  describe('in TypeScript', () => {
    const project = (name: string, packages: Record<string, string>) => {
      mkdirSync(join(dir, name, 'node_modules'), { recursive: true })
      for (const [what, where] of Object.entries(packages)) symlinkSync(resolve(where), join(dir, name, 'node_modules', what))
      write(
        `${name}/network.ts`,
        `import { input, dense, flatten, sequential, Model, type Dataset, type Normalize } from 'dunlin'
         export const network = ({ shape, classes }: Dataset, normalize: Normalize | undefined, seed: number): Model =>
           new Model(sequential(flatten(), dense({ units: classes as number }))(input(shape, { normalize })), { seed })`,
      )
      return write(
        `${name}/digits.ts`,
        `import { basename } from 'node:path'
         import { network } from './network.ts'
         export default { name: basename('a/typed') as string, data: { digits: {} }, network, epochs: 1, quantize: false }`,
      )
    }

    it('is run where Node, or an esbuild beside it, knows the language', async () => {
      const config = project('typed', { dunlin: '.', esbuild: 'node_modules/esbuild' })
      const { code, stdout, stderr } = await dunlin('train', config, '--json')
      expect([code, stderr.replace(/^.*(ExperimentalWarning|--trace-warnings).*\n/gm, '')]).toEqual([0, ''])
      expect(JSON.parse(stdout)).toMatchObject({ name: 'typed', parameters: 650 })
    }, 30_000)

    it.skipIf((process.features as { typescript?: unknown }).typescript)(
      'says what is missing where neither is there',
      async () => {
        const { code, stderr } = await dunlin('train', project('bare', { dunlin: '.' }))
        expect([code, stderr]).toEqual([
          1,
          expect.stringMatching(/does not run TypeScript: use Node 22.18 or later, npm install esbuild/),
        ])
      },
    )
  })

  const GOOD = { data: { digits: {} }, network: 'tinyCnn', epochs: 1 }
  it.each([
    ['there is none', undefined, /there is no such file/],
    ['it is no JSON', '{ "data": ', /is not valid JSON/],
    ['it is a list', [], /wanted an object with data, network and epochs/],
    ['a setting is missing', { network: 'tinyCnn', epochs: 1 }, /the setting "data" is missing/],
    ['a setting is unknown', { ...GOOD, epoch: 3 }, /there is no setting "epoch"; there are name, data/],
    ['a network is unknown', { ...GOOD, network: 'resnet' }, /network: got "resnet", wanted one of autoencoder/],
    ['an optimizer is unknown', { ...GOOD, optimizer: { adm: {} } }, /optimizer: got \{"adm":\{\}\}, wanted one of adagrad/],
    ['a name is one of all objects', { ...GOOD, loss: 'constructor' }, /loss: got "constructor", wanted one of binary/],
    ['an augmentation has a wrong argument', { ...GOOD, augment: [{ padCrop: -1 }] }, /padCrop/],
    ['a kind of data is unknown', { ...GOOD, data: { picture: { path: 'x' } } }, /wanted one of the kinds digits, idx/],
    ['data have no path', { ...GOOD, data: { images: {} } }, /images wants \{ "path"/],
    ['data are not there', { ...GOOD, data: { images: { path: 'nowhere' } } }, /nowhere/],
    ['a group is unknown', { ...GOOD, split: { fraction: 0.2, by: 'group:who' } }, /got "group:who"/],
    ['epochs are no number', { ...GOOD, epochs: 'many' }, /epochs wants a positive integer/],
    ['validation is a word', { ...GOOD, validation: 'some' }, /validation wants "test"/],
    ['normalize is a word', { ...GOOD, normalize: 'yes' }, /normalize wants "channels"/],
  ])('is refused in one line where %s', async (what, content, message) => {
    const name = `${what.replace(/\W/g, '-')}.json`
    if (content !== undefined) write(name, content)
    const { code, stderr } = await dunlin('train', name, '--json')
    expect(code).toBe(1)
    expect(stderr).toMatch(message)
    expect(stderr.trim().split('\n')).toHaveLength(1)
  })

  it('of a module that fails is named', async () => {
    write('broken.mjs', 'throw new Error("what a pity")')
    const { code, stderr } = await dunlin('train', 'broken.mjs')
    expect([code, stderr]).toEqual([
      1,
      expect.stringMatching(/^dunlin: broken.mjs: cannot be loaded \(what a pity\)\. Correct it\./),
    ])
  })

  const examples = readdirSync('examples', { recursive: true }).map(String)
  it.each(examples.filter((file) => /\/(config|keras|augmented)\.(json|mjs)$/.test(file)))(
    'of the example %s is one',
    async (file) => {
      const { experiment } = await readExperiment(join('examples', file))
      expect(experiment.epochs).toBeGreaterThan(0)
    },
    30_000,
  )
})

describe('predict', () => {
  it('says what a model, and its module, see in files of each kind', async () => {
    const model = readModel(join(dir, 'a/model-int8.safetensors'))
    writeFileAtomic(join(dir, 'a/model.wasm'), (await buildModule(model)).wasm)
    const random = new Random(5)
    const [lying, upright] = [bar(random, 0), bar(random, 1)]
    writeFileSync(join(dir, 'one.png'), png(lying))
    write('two.csv', [lying, upright].map((pixels) => pixels.join(',')).join('\n'))
    writeFileSync(join(dir, 'one.npy'), npy([SIDE, SIDE, 1], upright))
    const expected = [
      ['one.png', 0, 'across'],
      ['two.csv', 0, 'across'],
      ['two.csv', 1, 'upright'],
      ['one.npy', 0, 'upright'],
    ]
    for (const file of ['a/model.safetensors', 'a/model-int8.safetensors', 'a/model.wasm']) {
      const { code, stdout, stderr } = await dunlin('predict', file, 'one.png', 'two.csv', 'one.npy', '--json')
      expect([code, stderr], file).toEqual([0, ''])
      const said = JSON.parse(stdout) as { file: string; sample: number; classes: { label: string; share: number }[] }[]
      expect(said.map((s) => [s.file, s.sample, s.classes[0].label])).toEqual(expected)
    }
    const { stdout } = await dunlin('predict', 'a/model.safetensors', 'two.csv')
    expect(stdout).toMatch(/^two\.csv \(0\): across \d+\.\d %, upright \d+\.\d %\ntwo\.csv \(1\): upright /)
  })

  it.each([
    ['a kind it does not read', 'notes.txt', 'hello', /predict reads \.png, \.jpg, \.wav, \.npy and \.csv/],
    ['an image that is none', 'bad.png', 'hello', /bad\.png: does not begin as a PNG or JPEG/],
    ['rows of another length', 'short.csv', '1,2,3', /has 3 values, wanted a multiple of the 144/],
    ['a sound', 'a.wav', 'RIFF', /a\.wav/],
    ['a file that is not there', 'missing.png', undefined, /missing\.png/],
  ])('refuses %s', async (_, name, content, message) => {
    if (content !== undefined) write(name, content)
    const { code, stderr } = await dunlin('predict', 'a/model.safetensors', name)
    expect(code).toBe(1)
    expect(stderr).toMatch(message)
    expect(stderr.trim().split('\n')).toHaveLength(1)
  })
})

/** A .npy file of bytes. */
function npy(shape: number[], data: Uint8Array): Uint8Array {
  const header = `{'descr': '|u1', 'fortran_order': False, 'shape': (${shape.join(', ')}), }`.padEnd(117, ' ')
  const head = [0x93, ...Buffer.from('NUMPY'), 1, 0, 118, 0, ...Buffer.from(`${header}\n`)]
  return Uint8Array.from([...head, ...data])
}
