// The rules of the source tree: who may import whom, what must not know the names of ops, what the three builds have in common.

import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path/posix'
import ts from 'typescript'
import { describe, expect, it } from 'vitest'
import { dependency, type KernelBuild, parseBuild } from '../src/deploy/kernels'
import * as dunlin from '../src/index'
import { OPS, opOf } from '../src/ops'

const files = readdirSync('src', { recursive: true, encoding: 'utf8' }).filter((f) => f.endsWith('.ts'))
const text = new Map(files.map((f) => [f, readFileSync(`src/${f}`, 'utf8')]))

/** What a file imports: files of src by their path in it, everything else as it is written. */
function importsOf(file: string): string[] {
  return ts.preProcessFile(text.get(file)!).importedFiles.map(({ fileName: name }) => {
    if (!name.startsWith('.')) return name
    const path = join(dirname(file), name)
    return [`${path}.ts`, `${path}/index.ts`].find((f) => text.has(f)) ?? path
  })
}
const graph = new Map(files.map((f) => [f, importsOf(f)]))
const folderOf = (file: string) => (file.includes('/') ? file.split('/')[0] : file)

/** Which folders (and files at the top) each may import from. Nothing may import cli. */
const MAY: Record<string, readonly string[]> = {
  graph: [],
  ops: ['graph'],
  plan: ['graph', 'ops'],
  session: ['graph', 'plan'],
  data: ['graph'],
  decode: ['graph', 'data'],
  deploy: ['graph', 'plan', 'session'],
  model: ['graph', 'ops', 'plan', 'session', 'data'],
  train: ['graph', 'ops', 'plan', 'session', 'data', 'model'],
  compress: ['graph', 'ops', 'plan', 'session', 'data', 'model', 'train'],
  zoo: ['graph', 'ops', 'model'],
  formats: ['graph', 'ops', 'model'],
  'files.ts': ['graph', 'data'],
  'folders.ts': ['graph', 'data', 'decode', 'files.ts'],
  'checkpoints.ts': ['graph', 'train', 'files.ts'],
  'logs.ts': ['graph', 'train'],
  'progress.ts': ['train'],
  report: ['train'],
  'node.ts': ['graph', 'model', 'checkpoints.ts', 'files.ts', 'folders.ts', 'logs.ts', 'progress.ts'],
  'index.ts': ['graph', 'ops', 'plan', 'session', 'data', 'deploy', 'model', 'train', 'compress', 'zoo'],
  cli: [
    'graph',
    'ops',
    'plan',
    'session',
    'data',
    'deploy',
    'model',
    'train',
    'compress',
    'zoo',
    'formats',
    'decode',
    'report',
    'files.ts',
    'folders.ts',
    'checkpoints.ts',
    'logs.ts',
    'progress.ts',
    'node.ts',
  ],
}

describe('imports', () => {
  it('are found', () => {
    expect(graph.get('session/session.ts')).toEqual(
      expect.arrayContaining(['@assemblyscript/loader', 'graph/error.ts', 'plan/plan.ts', 'session/kernels.ts']),
    )
    expect(graph.get('index.ts')).toContain('deploy/index.ts')
  })

  it('go in one direction', () => {
    const wrong: string[] = []
    for (const [file, imports] of graph) {
      const folder = folderOf(file)
      expect(Object.keys(MAY), `src/${file} is in no folder of DESIGN`).toContain(folder)
      for (const target of imports.filter((t) => text.has(t))) {
        if (folderOf(target) !== folder && !MAY[folder].includes(folderOf(target))) wrong.push(`${file} imports ${target}`)
      }
    }
    expect(wrong).toEqual([])
  })

  it('make no circle', () => {
    const state = new Map<string, 'open' | 'done'>()
    const visit = (file: string, path: string[]): void => {
      if (state.get(file) === 'done') return
      if (state.get(file) === 'open') throw new Error(`a circle: ${[...path.slice(path.indexOf(file)), file].join(' -> ')}`)
      state.set(file, 'open')
      for (const target of graph.get(file)!) if (text.has(target)) visit(target, [...path, file])
      state.set(file, 'done')
    }
    for (const file of files) visit(file, [])
  })

  it.each([
    ['index.ts', 20, ['@assemblyscript/loader', '../build/kernels', '../build/loader', '../build/scalar']],
    ['zoo/index.ts', 20, ['@assemblyscript/loader', '../build/kernels', '../build/scalar']],
    ['formats/index.ts', 10, ['@assemblyscript/loader', '../build/kernels', '../build/scalar', 'flatbuffers', 'pbf']],
    ['decode/index.ts', 10, ['fast-png', 'fflate', 'jpeg-js', 'modern-tar']],
  ])('of what runs in a browser reach nothing of Node and no packages but those bundled (%s)', (entry, least, packages) => {
    const reached = new Set([entry])
    for (const file of reached) for (const target of graph.get(file)!) if (text.has(target)) reached.add(target)
    expect(reached.size).toBeGreaterThan(least)
    const outside = [...reached].flatMap((f) => graph.get(f)!.filter((t) => !text.has(t)))
    expect(new Set(outside)).toEqual(new Set(packages))
    for (const file of reached) expect(text.get(file), file).not.toMatch(/\bprocess\.\w|\bBuffer\.from|__dirname/)
  })
})

describe('files', () => {
  it('have at most 600 lines and begin with what they are', () => {
    for (const [file, source] of text) {
      expect(source.split('\n').length, file).toBeLessThanOrEqual(600)
      expect(source.startsWith('// '), file).toBe(true)
    }
  })

  it('draw no chance but from a seed', () => {
    for (const [file, source] of text) expect(source.replaceAll(/\/\/.*$/gm, ''), file).not.toContain('Math.random')
  })
})

describe('ops', () => {
  const names = Object.keys(OPS)

  it('are unknown to the executors: session and deploy see calls', () => {
    // Its name, or a kernel of it, between quotes.
    const literal = new RegExp(`['"\`](?:${names.join('|')})(?:_\\w*)?['"\`]`)
    for (const [file, source] of text)
      if (/^(session|deploy)\//.test(file)) expect(source.match(literal)?.[0], file).toBeUndefined()
  })

  it('are exported as layer functions under their names, losses excepted', () => {
    const layers = names.filter((name) => !opOf(name)?.reducesBatch)
    expect(layers.filter((name) => typeof (dunlin as Record<string, unknown>)[name] !== 'function')).toEqual([])
  })
})

describe('kernel builds', () => {
  const build = (name: string) => parseBuild(readFileSync(`build/${name}.wasm`))
  const surface = ({ exports, functions }: KernelBuild) =>
    exports.map(({ name, kind, index }) => `${kind} ${name} ${kind === 'function' ? functions[index].type.params : ''}`)

  it('export the same', () => {
    const [scalar, simd, relaxed] = ['scalar', 'simd', 'relaxed'].map(build)
    expect(scalar.functions.length).toBeGreaterThan(20)
    expect(surface(simd)).toEqual(surface(scalar))
    expect(surface(relaxed)).toEqual(surface(scalar))
  })

  it.each(['scalar', 'simd', 'relaxed'])('import nothing but their memory (%s)', (name) => {
    const { imports, globals, data } = build(name)
    expect(imports.map((i) => `${i.kind} ${i.module}.${i.name}`)).toEqual(['memory env.memory'])
    expect([globals, data]).toEqual([0, []])
  })

  it('have SIMD instructions in simd and none in scalar', () => {
    // 0xfd opens a SIMD instruction and means nothing where a number stands. Made 0xfe, which opens no instruction that is known here,
    // the walk over a body breaks if an instruction began with it, and goes on if it was part of a number.
    const walks = (body: Uint8Array): boolean => {
      try {
        return (
          dependency(
            body.map((b) => (b === 0xfd ? 0xfe : b)),
            'body',
          ) === undefined
        )
      } catch {
        return false
      }
    }
    const usesSimd = (name: string) => build(name).functions.filter(({ body }) => !walks(body)).length
    expect(usesSimd('scalar')).toBe(0)
    expect(usesSimd('simd')).toBeGreaterThan(10)
    expect(usesSimd('relaxed')).toBeGreaterThan(10)
  })
})
