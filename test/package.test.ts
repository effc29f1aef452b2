// The package as its users get it: what is in the tarball, and that it works from a project that knows nothing but its name.

import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { build } from 'esbuild'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

const manifest = JSON.parse(readFileSync('package.json', 'utf8'))
const run = (file: string, args: string[], cwd: string) =>
  execFileSync(file, args, { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })
const node = (file: string) => run(process.execPath, [file], project)

let root = ''
let project = ''
let packed: { filename: string; size: number; files: { path: string }[] }

beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'dunlin-package-'))
  project = join(root, 'project')
  mkdirSync(project)
  writeFileSync(join(project, 'package.json'), '{ "name": "project", "private": true }')
  ;[packed] = JSON.parse(run('npm', ['pack', '--json', '--ignore-scripts', '--pack-destination', root], '.'))
  run('npm', ['install', '--offline', '--ignore-scripts', '--no-audit', '--no-fund', join(root, packed.filename)], project)
})
afterAll(() => rmSync(root, { recursive: true, force: true }))

describe('the tarball', () => {
  it('holds what a user needs and nothing else', () => {
    const files = packed.files.map((f) => f.path)
    expect(new Set(files.map((f) => f.split('/')[0]))).toEqual(
      new Set(['LICENSE', 'README.md', 'assembly', 'data', 'dist', 'package.json']),
    )
    const at = (part: string) => files.filter((f) => f.startsWith(part))
    expect(
      at('dist/')
        .filter((f) => !f.endsWith('.d.ts'))
        .sort(),
    ).toEqual(
      [
        'LICENSES.txt',
        'cli.js',
        'data.cjs',
        'data.js',
        'formats.cjs',
        'formats.js',
        'index.cjs',
        'index.js',
        'kernels/interpreter.wasm',
        'kernels/relaxed.wasm',
        'kernels/scalar.wasm',
        'kernels/simd.wasm',
        'node.cjs',
        'node.js',
        'zoo.cjs',
        'zoo.js',
      ].map((f) => `dist/${f}`),
    )
    expect(at('data/').sort()).toEqual(['data/README.md', 'data/digits.csv.gz'])
    expect(at('assembly/').every((f) => f.endsWith('.ts'))).toBe(true)
  })

  it('depends on nothing', () => {
    for (const key of ['dependencies', 'peerDependencies', 'optionalDependencies']) expect(manifest[key] ?? {}).toEqual({})
    expect(readdirSync(join(project, 'node_modules')).filter((f) => !f.startsWith('.'))).toEqual(['dunlin'])
  })

  it('says on what terms the packages bundled in it are', () => {
    const text = readFileSync(join(project, 'node_modules/dunlin/dist/LICENSES.txt'), 'utf8')
    for (const name of ['@assemblyscript/loader', 'cli-progress', 'fast-png', 'fflate', 'iobuffer', 'jpeg-js', 'modern-tar'])
      expect(text).toMatch(new RegExp(`^${name} [\\d.]+ \\((MIT|BSD-3-Clause|Apache-2\\.0)\\)$`, 'm'))
  })

  it('exports files that are there', () => {
    const leaves = (v: unknown): string[] => (typeof v === 'object' ? Object.values(v as object).flatMap(leaves) : [String(v)])
    const paths = leaves([manifest.exports, manifest.bin, manifest.main, manifest.module, manifest.types])
    expect(paths.length).toBeGreaterThan(8)
    for (const path of paths.filter((p) => !p.includes('*')))
      expect(existsSync(join(project, 'node_modules/dunlin', path)), path).toBe(true)
  })
})

/** Trains, saves, loads and deploys a line's worth of each, and prints what must not differ. */
const USE = `
async function main() {
  const data = node.loadDigits()
  const model = dunlin.tinyCnn({ shape: data.shape, classes: 10, normalize: dunlin.statistics(data) })
  await new dunlin.Trainer(model).fit(dunlin.subset(data, [...Array(64).keys()]), { epochs: 1 })
  node.writeModel('model.safetensors', model)
  const loaded = node.readModel('model.safetensors')
  const { wasm } = await dunlin.buildModule(await dunlin.quantize(loaded, data))
  const copy = formats.importTflite(formats.exportTflite(loaded)).model
  const known = zoo.dsCnn({ shape: [49, 10, 1], classes: 12 })
  const [label] = (await dunlin.loadModule(wasm)).predict(data.x.subarray(0, 64))
  const refused = []
  for (const read of [() => node.readModel('missing'), () => decode.parsePng(new Uint8Array(9), 'a.png'), () => node.loadNpy('package.json'), () => node.loadImageFolder('.'), () => formats.importTflite(new Uint8Array(9))]) {
    try { await read() } catch (e) { refused.push(e instanceof dunlin.DunlinError) }
  }
  const same = decode.split === dunlin.split && decode.stream === dunlin.stream && zoo.tinyCnn === dunlin.tinyCnn && known instanceof dunlin.Model && copy instanceof dunlin.Model
  console.log(JSON.stringify([data.count, loaded instanceof dunlin.Model, refused, same, Number.isFinite(label), typeof node.progressBar]))
}
main()
`
const USED = '[1797,true,[true,true,true,true,true],true,true,"function"]\n'

describe('in a project', () => {
  it('is imported', () => {
    writeFileSync(
      join(project, 'use.mjs'),
      `import * as dunlin from 'dunlin'\nimport * as decode from 'dunlin/data'\nimport * as node from 'dunlin/node'\nimport * as zoo from 'dunlin/zoo'\nimport * as formats from 'dunlin/formats'\n${USE}`,
    )
    expect(node('use.mjs')).toBe(USED)
  })

  it('is required', () => {
    writeFileSync(
      join(project, 'use.cjs'),
      `const dunlin = require('dunlin')\nconst decode = require('dunlin/data')\nconst node = require('dunlin/node')\nconst zoo = require('dunlin/zoo')\nconst formats = require('dunlin/formats')\n${USE}`,
    )
    expect(node('use.cjs')).toBe(USED)
  })

  it('gives hosts that compile no bytes the kernels as files', () => {
    writeFileSync(
      join(project, 'kernels.mjs'),
      `import { readFileSync } from 'node:fs'
      import { provideKernels, tinyCnn } from 'dunlin'
      const file = new URL(import.meta.resolve('dunlin/kernels/simd.wasm'))
      provideKernels('simd', new WebAssembly.Module(readFileSync(file)))
      WebAssembly.compile = () => { throw new Error('compiled bytes') }
      console.log((await tinyCnn({ shape: [8, 8, 1], classes: 10 }).predict(new Uint8Array(64))).length)`,
    )
    expect(node('kernels.mjs')).toBe('10\n')
  })

  it('has a command', () => {
    expect(run(join(project, 'node_modules/.bin/dunlin'), ['--help'], project)).toContain('dunlin demo')
  })

  // The strictest resolution; a bundler's accepts what it accepts.
  it('has types that check, also inside, as Node resolves them', () => {
    const types = join(project, 'types')
    mkdirSync(types, { recursive: true })
    mkdirSync(join(project, 'node_modules/@types'), { recursive: true })
    for (const name of ['@types/node', 'undici-types']) {
      const link = join(project, 'node_modules', name)
      if (!existsSync(link)) symlinkSync(resolve('node_modules', name), link)
    }
    const use = `import { conv2d, dense, DunlinError, flatten, input, Model, sequential, Trainer, type Dataset, type EpochResult } from 'dunlin'
      import { imageDataset, parseWav, type FileSet, type Wav } from 'dunlin/data'
      import { loadDigits, loadImageFolder, progressBar } from 'dunlin/node'
      import { mobileNetV1, type ClassifierOptions } from 'dunlin/zoo'
      const data: Dataset = loadDigits()
      const network = sequential(conv2d({ filters: 4, kernel: 3, activation: 'relu' }), flatten(), dense({ units: data.classes }))
      const model = new Model(network(input(data.shape)), { seed: 1 })
      export const history: Promise<EpochResult[]> = new Trainer(model).fit(data, { epochs: 1, callbacks: [progressBar()] })
      export const wav: Wav = parseWav(new Uint8Array(44), 'a.wav')
      export const sets: Promise<FileSet>[] = [loadImageFolder('a', { channels: 1 }), imageDataset([{ name: 'a.png', read: () => new Uint8Array(9) }])]
      export const y: Promise<Float32Array> = model.predict([1, 2, 3])
      export const isOurs = (e: unknown): e is DunlinError => e instanceof DunlinError
      const options: ClassifierOptions = { shape: [96, 96, 3], classes: 2 }
      export const known: Model = mobileNetV1({ ...options, width: 0.25 })
      // @ts-expect-error: an activation that does not exist
      dense({ units: 1, activation: 'sine' })
      // @ts-expect-error: a layer without its size
      dense({})
    `
    writeFileSync(join(types, 'use.mts'), use)
    const compilerOptions = {
      module: 'nodenext',
      target: 'es2022',
      lib: ['es2022', 'dom'],
      types: ['node'],
      strict: true,
      skipLibCheck: false,
      noEmit: true,
    }
    writeFileSync(join(types, 'tsconfig.json'), JSON.stringify({ compilerOptions, include: ['use.mts'] }))
    let said = ''
    try {
      run(process.execPath, [resolve('node_modules/typescript/bin/tsc'), '-p', types], project)
    } catch (error) {
      said = (error as { stdout: string }).stdout
    }
    expect(said).toBe('')
  })

  it('is bundled for a browser without any setting, and only as far as it is used', async () => {
    const bundle = async (code: string) => {
      const { warnings, outputFiles } = await build({
        ...{ stdin: { contents: code, resolveDir: project }, bundle: true, platform: 'browser', format: 'esm', minify: true },
        ...{ write: false, logLevel: 'silent' },
      })
      expect(warnings).toEqual([])
      return outputFiles[0].text
    }
    const whole = await bundle(`export * from 'dunlin'; export * from 'dunlin/zoo'`)
    expect(whole).not.toMatch(/\brequire\(|from\s*['"]node:/)
    const data = await bundle(`export * from 'dunlin/data'`)
    expect(data).not.toMatch(/\brequire\(|from\s*['"]node:/)
    // Decoders come with dunlin/data only.
    for (const mark of ['IHDR', 'RIFF', 'ustar']) expect([whole.includes(mark), data.includes(mark)]).toEqual([false, true])
    const part = await bundle(`import { Random } from 'dunlin'; console.log(new Random(1).next())`)
    expect(part.length).toBeLessThan(whole.length / 20)
    const player = await bundle(`export { loadModule } from 'dunlin'`)
    expect(player.length).toBeLessThan(16 * 1024)
  })
})
