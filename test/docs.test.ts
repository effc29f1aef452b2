// docs/adding-an-op.md does what it says: its blocks, put into a copy of the sources, make an op that is built, checked and tested; and
// without its samples and reference the type checker names them.

import { spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

const page = readFileSync('docs/adding-an-op.md', 'utf8')
/** Blocks of code that begin with a file's name. */
const blocks = [...page.matchAll(/```ts\n\/\/ (\S+)\n([\s\S]*?)```/g)].map(([, file, code]) => ({ file, code }))

it('the page names files that there are', () => {
  const made = blocks.filter(({ file }) => !existsSync(file)).map(({ file }) => file)
  expect(made).toEqual(['assembly/f32/softsign.ts', 'src/ops/softsign.ts'])
  const named = [...page.matchAll(/[\w./-]+\.(?:ts|mjs)\b/g)].map(([name]) => name).filter((name) => !made.includes(name))
  expect(named.length).toBeGreaterThan(10)
  expect(named.filter((name) => !existsSync(name))).toEqual([])
})

describe('the example', () => {
  let copy = ''
  beforeAll(() => {
    copy = mkdtempSync(join(tmpdir(), 'dunlin-docs-'))
    for (const part of [
      'assembly',
      'src',
      'test',
      'build.mjs',
      'asconfig.json',
      'package.json',
      'tsconfig.json',
      'vitest.config.ts',
    ])
      cpSync(part, join(copy, part), { recursive: true, filter: (file) => !file.includes('fixtures') })
    // Half the time, and enough for every rule about kernels.
    const config = readFileSync('asconfig.json', 'utf8').replace('"optimizeLevel": 3', '"optimizeLevel": 1')
    writeFileSync(join(copy, 'asconfig.json'), config)
    symlinkSync(resolve('node_modules'), join(copy, 'node_modules'))
    // The type checker is asked about the tables and all that they import.
    const tables = { extends: './tsconfig.json', include: ['src/index.ts', 'test/samples.ts', 'test/reference/f32.ts'] }
    writeFileSync(join(copy, 'tsconfig.tables.json'), JSON.stringify(tables))
  })
  afterAll(() => rmSync(copy, { recursive: true, force: true }))

  /** Into a new file as it is; in an old one imports and exports go to the others, and a row to the top of the table. */
  function apply({ file, code }: (typeof blocks)[number]): void {
    const path = join(copy, file)
    if (!existsSync(path)) {
      mkdirSync(dirname(path), { recursive: true })
      writeFileSync(path, code)
      return
    }
    let text = readFileSync(path, 'utf8')
    for (const line of code.trimEnd().split('\n')) {
      const place = line.startsWith(' ') ? /(?<=^export const (?:OPS|elementwise)\b.*\{\n)/m : /^(?=import|export)/m
      expect(text, `${file} has a place for ${line}`).toMatch(place)
      text = text.replace(place, `${line}\n`)
    }
    writeFileSync(path, text)
  }

  function run(...args: string[]): string {
    const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^(VITEST|NODE_ENV|NODE_OPTIONS)/.test(name)))
    const { stdout, stderr } = spawnSync(process.execPath, args, { cwd: copy, encoding: 'utf8', env: { ...env, NO_COLOR: '1' } })
    return stdout + stderr
  }
  const typeErrors = () => run('node_modules/typescript/bin/tsc', '-p', 'tsconfig.tables.json').trim()

  it('is built, checked and tested', { timeout: 300_000 }, () => {
    const last = (file: string) => file.startsWith('test/')
    for (const block of blocks.filter(({ file }) => !last(file))) apply(block)
    expect(run('build.mjs', 'kernels')).toBe('')
    const missing = typeErrors().split('\n')
    expect(missing.filter((line) => !/^test\/(samples|reference\/f32)\.ts.*Property 'softsign' is missing/.test(line))).toEqual(
      [],
    )
    expect(missing.length).toBe(2)

    for (const block of blocks.filter(({ file }) => last(file))) apply(block)
    expect(typeErrors()).toBe('')
    const tests = ['test/ops.test.ts', 'test/architecture.test.ts']
    const names = 'softsign|^(?:imports|files|ops|kernel builds) '
    const tested = run('node_modules/vitest/vitest.mjs', 'run', '--maxWorkers=1', '-t', names, ...tests)
    expect(tested).toMatch(/Test Files +2 passed \(2\)/)
    // Seven samples on two builds or three, and each for equal bits; eleven rules of the sources.
    expect(Number(/Tests +(\d+) passed/.exec(tested)?.[1]), tested).toBeGreaterThanOrEqual(7 * 3 + 11)
  })
})
