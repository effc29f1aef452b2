// The README's first example runs as it stands, in a folder of its own, on the built package.

import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterAll, expect, it } from 'vitest'

const readme = readFileSync('README.md', 'utf8')
const [example] = [...readme.matchAll(/```js\n([\s\S]*?)```/g)].map((m) => m[1])
const folder = mkdtempSync(join(tmpdir(), 'dunlin-readme-'))
afterAll(() => rmSync(folder, { recursive: true }))

it('has an example of at most 20 lines of code that trains, quantizes and writes a module', () => {
  expect(example.split('\n').filter((line) => line.trim()).length).toBeLessThanOrEqual(20)
  mkdirSync(join(folder, 'node_modules'))
  symlinkSync(resolve('.'), join(folder, 'node_modules/dunlin'))
  writeFileSync(join(folder, 'example.mjs'), example)
  const { status, stdout, stderr } = spawnSync(process.execPath, ['example.mjs'], { cwd: folder, encoding: 'utf8' })
  expect(stderr.replace(/^epoch .*\n/gm, '')).toBe('')
  expect(status).toBe(0)
  const accuracy = Number(/accuracy: ([\d.]+)/.exec(stdout)?.[1])
  expect(accuracy).toBeGreaterThan(0.9)
  expect(existsSync(join(folder, 'digits.wasm')) && existsSync(join(folder, 'digits.safetensors'))).toBe(true)
})
