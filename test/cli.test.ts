// The command line as a person or a script meets it: the built program in a process of its own, its output, its files and its errors.

import { execFile } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { buildModule, loadModule } from '../src/deploy'
import { input } from '../src/graph/node'
import { Random } from '../src/graph/random'
import { Model } from '../src/model/model'
import { readModel, writeModel } from '../src/node'
import { dense } from '../src/ops/dense'

const CLI = resolve('dist/cli.js')

interface Result {
  code: number
  stdout: string
  stderr: string
}

/** Runs dunlin in folder `cwd`. */
const dunlin = (cwd: string, ...args: string[]): Promise<Result> =>
  new Promise((done) => {
    const child = execFile(process.execPath, [CLI, ...args], { cwd }, (_, stdout, stderr) =>
      done({ code: child.exitCode ?? -1, stdout, stderr }),
    )
  })

let root = ''
let dir = ''
let folders = 0
beforeAll(() => {
  if (!existsSync(CLI)) throw new Error('dist/cli.js is missing: run "node build.mjs".')
  root = mkdtempSync(join(tmpdir(), 'dunlin-cli-'))
})
afterAll(() => rmSync(root, { recursive: true, force: true }))
beforeEach(() => {
  dir = join(root, String(folders++))
  mkdirSync(dir)
})

const uint32 = (n: number) => [n >>> 24, (n >>> 16) & 255, (n >>> 8) & 255, n & 255]
const idx = (shape: number[], values: ArrayLike<number>) =>
  Uint8Array.from([0, 0, 8, shape.length, ...shape.flatMap(uint32), ...Array.from(values)])

/** A set in MNIST's layout of bright bars, upright and lying: two classes that one epoch can tell apart. */
function bars(folder: string, { gz = false, label = (i: number) => i % 2 } = {}): string {
  mkdirSync(folder)
  const random = new Random(1)
  for (const [part, count] of [
    ['train', 96],
    ['t10k', 40],
  ] as const) {
    const pixels = new Uint8Array(count * 64)
    for (let i = 0; i < count; i++) {
      const at = 1 + random.integer(6)
      for (let j = 0; j < 8; j++) pixels[i * 64 + (i % 2 ? at * 8 + j : j * 8 + at)] = 200 + random.integer(56)
    }
    const labels = idx(
      [count],
      Array.from({ length: count }, (_, i) => label(i)),
    )
    const files = { [`${part}-images-idx3-ubyte`]: idx([count, 8, 8], pixels), [`${part}-labels-idx1-ubyte`]: labels }
    for (const [name, bytes] of Object.entries(files))
      writeFileSync(join(folder, gz ? `${name}.gz` : name), gz ? gzipSync(bytes) : bytes)
  }
  return folder
}

describe('demo', () => {
  it('--json prints JSON and nothing else, and writes what it lists', async () => {
    const { code, stdout, stderr } = await dunlin(dir, 'demo', '--epochs', '2', '--seed', '3', '--json')
    expect([code, stderr]).toEqual([0, ''])
    const report = JSON.parse(stdout)
    expect(Object.keys(report)).toEqual(['data', 'seed', 'rows', 'files'])
    expect([report.data, report.seed]).toEqual(['digits', 3])
    expect(report.rows.map((r: { variant: string }) => r.variant)).toEqual(['float', 'pruned', 'int8', 'module'])
    for (const row of report.rows) {
      expect(Object.keys(row).sort()).toEqual(['accuracy', 'bytes', 'macs', 'microseconds', 'parameters', 'ramBytes', 'variant'])
      expect(row.accuracy).toBeGreaterThan(0.3)
      expect(row.accuracy).toBeLessThanOrEqual(1)
      for (const key of ['bytes', 'macs', 'parameters', 'ramBytes'])
        expect(Number.isInteger(row[key]) && row[key] > 0, key).toBe(true)
      expect(row.microseconds).toBeGreaterThan(0)
    }
    const [float, pruned, int8, module] = report.rows
    expect(pruned.parameters).toBeLessThan(float.parameters)
    expect(int8.bytes).toBeLessThan(float.bytes)
    expect(module.accuracy).toBe(int8.accuracy)

    const files: string[] = report.files.map((f: string) => resolve(dir, f))
    expect(files.map((f) => f.slice(join(dir, 'out').length + 1)).sort()).toEqual(readdirSync(join(dir, 'out')).sort())
    const wasm = readFileSync(files.find((f) => f.endsWith('.wasm'))!)
    expect(wasm.length).toBe(module.bytes)
    expect((await loadModule(wasm)).ramBytes).toBe(module.ramBytes)
    expect(readFileSync(files.find((f) => f.endsWith('.h'))!, 'utf8')).toContain('#define')
    const models = files.filter((f) => f.endsWith('.safetensors'))
    expect(models.map((f) => readFileSync(f).length)).toEqual([float.bytes, pruned.bytes, int8.bytes])
    expect(models.map((f) => readModel(f).parameterCount)).toEqual([float.parameters, pruned.parameters, int8.parameters])
  })

  it('prints a summary, the progress and a table, the same accuracies for the same seed', async () => {
    const one = await dunlin(dir, 'demo', '--epochs', '1', '--out', 'a/b')
    expect([one.code, one.stderr]).toEqual([0, ''])
    expect(one.stdout).toMatch(/conv1 +conv2d/)
    expect(one.stdout).toMatch(/epoch 1\/1 .*ms\/step .*loss/)
    for (const variant of ['float', 'pruned', 'int8', 'module'])
      expect(one.stdout).toMatch(new RegExp(`^${variant} +\\d+\\.\\d %`, 'm'))
    const two = await dunlin(dir, 'demo', '--epochs', '1', '--out', 'c')
    const contents = (out: string) =>
      readdirSync(join(dir, out)).map((f) => [f, readFileSync(join(dir, out, f)).toString('base64')])
    expect(contents('a/b')).toEqual(contents('c'))
    expect(two.code).toBe(0)
  })

  it.each([false, true])('takes an IDX data set (gzip: %s)', async (gz) => {
    bars(join(dir, 'bars'), { gz })
    const { code, stdout, stderr } = await dunlin(
      dir,
      'demo',
      '--data',
      'bars',
      '--classes',
      '2',
      '--epochs',
      '8',
      '--json',
      '--out',
      'o',
    )
    expect([code, stderr]).toEqual([0, ''])
    const { data, rows } = JSON.parse(stdout)
    expect(data).toBe('bars')
    expect(rows[0].accuracy).toBeGreaterThan(0.9)
    expect(readdirSync(join(dir, 'o')).sort()).toEqual([
      'bars-float.safetensors',
      'bars-int8.safetensors',
      'bars-pruned.safetensors',
      'bars.h',
      'bars.wasm',
    ])
  })
})

describe('summary, eval, build', () => {
  let models = ''
  beforeAll(async () => {
    models = join(root, 'models')
    expect((await dunlin(root, 'demo', '--epochs', '3', '--json', '--out', 'models')).code).toBe(0)
  })

  it('summary prints the layers of a file', async () => {
    const file = join(models, 'digits-int8.safetensors')
    expect(await dunlin(dir, 'summary', file)).toEqual({ code: 0, stdout: `${readModel(file).summary()}\n`, stderr: '' })
  })

  it.each(['float', 'int8'])('convert writes another kind of file that computes the same (%s)', async (kind) => {
    const file = join(models, `digits-${kind}.safetensors`)
    const there = await dunlin(dir, 'convert', file, `${kind}.tflite`)
    expect([there.code, there.stderr]).toEqual([0, ''])
    expect(there.stdout).toMatch(/^ +operator +name +is\n/)
    expect(there.stdout).toMatch(/CONV_2D +conv1 +conv2d/)
    expect(there.stdout).toMatch(new RegExp(`^${kind}\\.tflite: \\d+ bytes, .* on 8 random samples \\(seed 0\\)\n$`, 'm'))
    const back = await dunlin(dir, 'convert', `${kind}.tflite`, 'back.safetensors', '--seed', '5')
    expect([back.code, back.stderr]).toEqual([0, ''])
    expect(back.stdout).toContain('the same outputs to the last bit on 8 random samples (seed 5)')
    expect(readModel(join(dir, 'back.safetensors')).outputs[0].dtype).toBe(kind === 'int8' ? 'i8' : 'f32')
    const refused = await dunlin(dir, 'convert', file, 'x.h5')
    expect([refused.code, refused.stderr]).toEqual([
      1,
      'dunlin: x.h5: convert knows a file by the end of its name: .onnx, .safetensors, .tflite.\n',
    ])
  })

  it('eval prints the accuracy on what was held out', async () => {
    const { code, stdout } = await dunlin(models, 'eval', 'digits-float.safetensors')
    expect(code).toBe(0)
    expect(stdout).toMatch(/^digits-float\.safetensors: accuracy 0\.\d{4} on 359 samples\n$/)
    bars(join(dir, 'bars'))
    const other = await dunlin(dir, 'eval', join(models, 'digits-int8.safetensors'), '--data', 'bars')
    expect(other.stdout).toMatch(/ on 40 samples\n$/)
  })

  it.each(['aot', 'interpreter', 'simd'])('build writes a module and its header (%s)', async (target) => {
    const { code, stdout, stderr } = await dunlin(
      dir,
      'build',
      join(models, 'digits-int8.safetensors'),
      '-o',
      'my.wasm',
      '--target',
      target,
    )
    expect([code, stderr]).toEqual([0, ''])
    expect(stdout).toMatch(/^my\.wasm: \d+ bytes/m)
    // Flash by part, layers and RAM, and where it is fullest.
    for (const line of [/^conv2d_i8 +1,\d+ /m, /^conv1 +conv2d +4,608 .*#/m, /^input +\d+ +64 +conv1 .*#/m, / peak$/m])
      expect(stdout).toMatch(line)
    expect(readdirSync(dir).sort()).toEqual(['my.h', 'my.mjs', 'my.wasm'])
    const wasm = readFileSync(join(dir, 'my.wasm'))
    if (target === 'aot') expect(wasm).toEqual(readFileSync(join(models, 'digits.wasm')))
    expect((await loadModule(wasm)).metadata.name).toBe('digits')
    const { load } = await import(join(dir, 'my.mjs'))
    const module = await load(wasm)
    module.selfTest()
    expect(module.metadata.labels.length).toBe(module.outputs[0].length)
  })

  it('build prints its report as JSON, and refuses what does not fit', async () => {
    const file = join(models, 'digits-int8.safetensors')
    const { code, stdout } = await dunlin(dir, 'build', file, '-o', 'my.wasm', '--weights', 'ram', '--json')
    expect(code).toBe(0)
    const report = JSON.parse(stdout)
    expect([report.weights, report.flashBytes]).toEqual(['ram', readFileSync(join(dir, 'my.wasm')).length])
    rmSync(join(dir, 'my.wasm'))
    for (const [option, bytes, message] of [
      ['--ram', '500', /takes \d+ bytes of RAM, ramBytes allows 500.*layer "/],
      ['--flash', '3000', /takes \d+ bytes of flash, flashBytes allows 3000/],
      ['--ram', '0', /--ram wants an integer from 1 on/],
      ['--weights', 'disk', /--weights wants flash or ram, got "disk"/],
    ] as const) {
      const refused = await dunlin(dir, 'build', file, '-o', 'my.wasm', option, bytes)
      expect([refused.code, refused.stdout]).toEqual([1, ''])
      expect(refused.stderr).toMatch(message)
      expect(existsSync(join(dir, 'my.wasm'))).toBe(false)
    }
  })

  it('build makes modules that learn', async () => {
    const [int8, float] = ['digits-int8', 'digits-float'].map((name) => join(models, `${name}.safetensors`))
    for (const [file, train, names] of [
      [int8, ['last'], ['dense/w', 'dense/b']],
      [float, ['conv2/b,dense', '--optimizer', 'momentum', '--momentum', '0.5'], ['conv2/b', 'dense/w', 'dense/b']],
      [float, ['all', '--batch', '4', '--lr', '1e-2', '--loss', 'meanSquaredError'], ['conv1/w', 'conv1/b', 'dense/b']],
    ] as const) {
      const said = await dunlin(dir, 'build', file, '-o', 'my.wasm', '--train', ...train)
      expect([said.code, said.stderr]).toEqual([0, ''])
      const wasm = readFileSync(join(dir, 'my.wasm'))
      const { metadata } = await loadModule(wasm)
      const learned = metadata.training!.parameters.map((p) => p.name)
      for (const name of names) expect(learned).toContain(name)
      expect([learned.includes('conv1/w'), learned.includes('dense/w/velocity')]).toEqual([
        train[0] === 'all',
        train.length === 5,
      ])
      expect([metadata.training!.batch, metadata.training!.truth]).toEqual(train[0] === 'all' ? [4, 'target'] : [1, 'label'])
      expect(readFileSync(join(dir, 'my.h'), 'utf8')).toContain('_PARAMETERS_BYTES')
      // Not more than what the options say.
      const [optimizer, lr] =
        train.length === 5 ? (['momentum', 0.005] as const) : (['sgd', train.length > 1 ? 1e-2 : 0.005] as const)
      const layers = train[0] === 'last' || train[0] === 'all' ? train[0] : train[0].split(',')
      const options = {
        layers,
        optimizer,
        lr,
        momentum: 0.5,
        ...(train[0] === 'all' && { batch: 4, loss: 'meanSquaredError' as const }),
      }
      expect(Buffer.from((await buildModule(readModel(file), { train: options })).wasm)).toEqual(wasm)
    }
  })

  it('help says how', async () => {
    const { code, stdout } = await dunlin(dir, '--help')
    expect(code).toBe(0)
    for (const command of ['demo', 'summary', 'eval', 'build']) expect(stdout).toContain(`dunlin ${command}`)
    expect((await dunlin(dir)).stdout).toBe(stdout)
  })
})

describe('bad input', () => {
  /** Exit code 1, nothing on stdout, one line on stderr that matches, nothing new in the folder. */
  async function refused(wanted: RegExp, ...args: string[]): Promise<void> {
    const before = readdirSync(dir, { recursive: true }).sort()
    const { code, stdout, stderr } = await dunlin(dir, ...args)
    const note = `dunlin ${args.join(' ')}: ${stderr}`
    expect(stderr, note).toMatch(/^dunlin: [^\n]+\n$/)
    expect(stderr, note).toMatch(wanted)
    expect([code, stdout], note).toEqual([1, ''])
    expect(readdirSync(dir, { recursive: true }).sort(), note).toEqual(before)
  }

  it('commands and options', async () => {
    await refused(/no command "dmeo"/, 'dmeo')
    await refused(/no command "__proto__"/, '__proto__')
    await refused(/'--epoch'/, 'demo', '--epoch', '3')
    await refused(/takes no --target/, 'demo', '--target', 'simd')
    await refused(/wants no files, got 1/, 'demo', 'digits')
    await refused(/wants 1 file, got 0/, 'summary')
    for (const epochs of ['0', 'many', '1.5', '-1', '']) await refused(/--epochs/, 'demo', '--epochs', epochs)
    await refused(/--epochs/, 'demo', '--epochs=-1')
    await refused(/--epochs/, 'demo', '--epochs')
    await refused(/--seed wants/, 'demo', '--seed', '1e99')
    await refused(/--classes wants/, 'demo', '--classes', '1')
  })

  it('an --out that is a file, or below one', async () => {
    writeFileSync(join(dir, 'taken'), 'mine')
    await refused(/taken is a file/, 'demo', '--epochs', '1', '--json', '--out', 'taken')
    await refused(/taken/, 'demo', '--epochs', '1', '--json', '--out', 'taken/deeper')
    expect(readFileSync(join(dir, 'taken'), 'utf8')).toBe('mine')
  })

  it('data sets', async () => {
    const demo = (folder: string) => ['demo', '--data', folder, '--json', '--epochs', '1', '--out', 'o']
    await refused(/nowhere: .*no such folder/, ...demo('nowhere'))
    mkdirSync(join(dir, 'empty'))
    await refused(/empty: .*none of them is there/, ...demo('empty'))
    const change = (folder: string, file: string, edit: (bytes: Uint8Array) => Uint8Array) => {
      const path = join(dir, folder, file)
      writeFileSync(path, edit(readFileSync(path)))
    }
    bars(join(dir, 'cut'))
    change('cut', 'train-images-idx3-ubyte', (b) => b.subarray(0, 1000))
    await refused(/cut\/train-images-idx3-ubyte: got 1000 bytes/, ...demo('cut'))
    bars(join(dir, 'cutgz'), { gz: true })
    change('cutgz', 't10k-labels-idx1-ubyte.gz', (b) => b.subarray(0, 30))
    await refused(/t10k-labels-idx1-ubyte\.gz: .*gzip/, ...demo('cutgz'))
    bars(join(dir, 'labels'), { label: (i) => (i === 7 ? 10 : 0) })
    await refused(/labels\/train-labels-idx1-ubyte: sample 7 has label 10/, ...demo('labels'))
    bars(join(dir, 'blank'))
    change('blank', 'train-images-idx3-ubyte', (b) => b.fill(9, 16))
    await refused(/blank: all training pixels are 9/, ...demo('blank'))
  })

  it('models', async () => {
    const write = (name: string, bytes: Uint8Array | string) => writeFileSync(join(dir, name), bytes)
    const model = new Model(dense({ units: 3 })(input([5])), { name: 'small' })
    writeModel(join(dir, 'small'), model)
    write('cut', model.save().subarray(0, 300))
    write('text', 'not\na\nmodel, for more than eight bytes\n')
    const broken = model.save()
    broken.set(new TextEncoder().encode('{"a":\n\n!'), 8)
    write('broken', broken)
    write('none', '')
    for (const command of [['summary'], ['eval'], ['build', '-o', 'x.wasm']]) {
      for (const name of ['missing', 'cut', 'text', 'broken', 'none', '.']) {
        const start = name === '.' ? '\\.' : name
        await refused(new RegExp(`^dunlin: ${start}: `), command[0], name, ...command.slice(1))
      }
    }
    await refused(/small/, 'eval', 'small')
    await refused(/--output wants probabilities, got "soft"/, 'build', 'small', '--output', 'soft')
    await refused(/--target wants aot, interpreter or simd/, 'build', 'small', '--target', 'avx')
    await refused(/--optimizer belongs to --train/, 'build', 'small', '--optimizer', 'sgd')
    await refused(/--optimizer wants sgd or momentum, got "adam"/, 'build', 'small', '--train', 'last', '--optimizer', 'adam')
    await refused(/--momentum belongs to --optimizer momentum/, 'build', 'small', '--train', 'last', '--momentum', '0.5')
    await refused(/--lr wants a number above 0, got "0"/, 'build', 'small', '--train', 'last', '--lr', '0')
    await refused(/--batch wants an integer from 1 on, got "0"/, 'build', 'small', '--train', 'last', '--batch', '0')
    await refused(/--loss wants crossEntropy or meanSquaredError/, 'build', 'small', '--train', 'last', '--loss', 'mse')
    await refused(
      /--momentum wants a number between 0 and 1/,
      'build',
      'small',
      '--train',
      'last',
      '--optimizer',
      'momentum',
      '--momentum',
      '1',
    )
    await refused(/there is no layer or parameter "conv9"/, 'build', 'small', '--train', 'conv9')
    await refused(/--train wants last, all or names/, 'build', 'small', '--train', '')
    await refused(/small\/x\.wasm: its folder cannot be made/, 'build', 'small', '-o', 'small/x.wasm')
  })
})
