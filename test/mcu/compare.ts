// A module of target aot with naive kernels: the same plan, memory and weights; only the bodies of the kernels that multiply differ.

import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { kernelOf, parseBuild } from '../../src/deploy/kernels'
import { kernelBytes } from '../../src/session/kernels'
import { SOURCES } from './native'
import { Rewritten } from './rewrite'

/** The ops whose kernels test/mcu/naive.ts has. */
export const NAIVE: ReadonlySet<string> = new Set(['conv2d', 'dense', 'depthwiseConv2d'])

/** test/mcu/naive.ts, compiled as the shipped kernels are. */
export function naiveBuild(): Uint8Array {
  const [source, binary] = [join(SOURCES, 'naive.ts'), join('build', 'naive.wasm')]
  if (!existsSync(binary) || statSync(binary).mtimeMs < statSync(source).mtimeMs) {
    const options = ['-O3', '--noAssert', '--runtime', 'stub', '--use', 'abort=', '--importMemory']
    execFileSync(process.execPath, [
      'node_modules/assemblyscript/bin/asc.js',
      source,
      '--config',
      'none',
      ...options,
      '-o',
      binary,
    ])
  }
  return readFileSync(binary)
}

/** Which kernel each function of a module is, where it is one: bodies are copied byte for byte. */
export function kernelNames(wasm: Uint8Array): (string | undefined)[] {
  const known = new Map<string, string>()
  for (const build of (['scalar', 'interpreter'] as const).map((name) => parseBuild(kernelBytes(name)))) {
    for (const { name, kind, index } of build.exports) {
      const body =
        kind === 'function' ? build.functions[index - build.imports.filter((i) => i.kind === 'function').length]?.body : undefined
      if (body) known.set(Buffer.from(body).toString('latin1'), name)
    }
  }
  return parseBuild(wasm).functions.map(({ body }) => known.get(Buffer.from(body).toString('latin1')))
}

/** The module, of target aot, with naive kernels, as far as there are such. `names` are those of its functions. */
export function withNaive(wasm: Uint8Array, names: readonly (string | undefined)[]): Uint8Array<ArrayBuffer> {
  const naive = parseBuild(naiveBuild())
  const { functions } = parseBuild(wasm)
  const module = new Rewritten(wasm)
  module.bodies = module.bodies.map((body, i) => {
    const name = names[i]
    if (!name || !naive.exports.some((e) => e.name === name)) return body
    const kernel = kernelOf(naive, name)
    if (String(kernel.type.params) !== String(functions[i].type.params))
      throw new Error(`${name}: test/mcu/naive.ts takes other arguments than the kernel`)
    return kernel.body
  })
  return module.bytes()
}
