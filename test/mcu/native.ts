// A module as C by wasm2c, compiled with its memory cut to exactly `__heap_base` bytes: the strict host. Here for this machine; machines.ts
// has the emulated ones.

import { readFileSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { run } from './tools'

/** The folder of the C sources; tests and benches are started in the repository's root. */
export const SOURCES = resolve('test/mcu')

/** The header that wasm2c's output includes; a cross compiler does not look where it lies. */
const RUNTIME_HEADER = '/usr/include/wasm-rt.h'

/** Writes net.c, net.h and ports.h into `folder`; returns what every compiler has to be told. */
export async function toC(wasm: Uint8Array, folder: string): Promise<string[]> {
  writeFileSync(join(folder, 'net.wasm'), wasm)
  await run('wasm2c', ['net.wasm', '-n', 'net', '-o', 'net.c'], folder)
  writeFileSync(join(folder, 'wasm-rt.h'), readFileSync(RUNTIME_HEADER))
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(wasm as BufferSource))
  const constant = (name: string) => (exports[name] as WebAssembly.Global).value as number
  const names = Object.keys(exports)
  const ports = (kind: string) => names.filter((name) => new RegExp(`^${kind}(_\\d+)?$`).test(name))
  const lines = ['input', 'output'].map(
    (kind) =>
      `#define ${kind.toUpperCase()}S(each) ${ports(kind)
        .map((p) => `each(${p})`)
        .join(' ')}`,
  )
  lines.push(`#define INPUT_BYTES ${ports('input').reduce((sum, port) => sum + constant(`${port}_bytes`), 0)}`)
  for (const name of ['self_test', 'train_step']) if (names.includes(name)) lines.push(`#define HAS_${name.toUpperCase()}`)
  writeFileSync(join(folder, 'ports.h'), `${lines.join('\n')}\n`)
  // Fused, a multiplication and an addition would round once.
  return ['-I.', '-DNDEBUG', '-ffp-contract=off', `-DRAM_BYTES=${constant('__heap_base')}`]
}

/** Compiles the module and its host for this machine; the program is `native` in `folder`. */
export async function compileNative(wasm: Uint8Array, folder: string, ...more: string[]): Promise<void> {
  const options = [...(await toC(wasm, folder)), ...more]
  const sources = ['net.c', ...['runtime.c', 'native.c'].map((f) => join(SOURCES, f))]
  const checks = ['-DWASM_RT_MEMCHECK_SIGNAL_HANDLER=0', '-fno-strict-aliasing']
  await run('gcc', ['-O2', '-march=native', ...options, ...checks, ...sources, '-lm', '-o', 'native'], folder)
}

/** The outputs for these samples, one after another. */
export async function runNative(folder: string, inputs: Uint8Array): Promise<Uint8Array> {
  writeFileSync(join(folder, 'inputs'), inputs)
  await run('./native', [], folder)
  return readFileSync(join(folder, 'outputs'))
}

/** Runs the module on so many random inputs. A trap is an error; the result is a hash of all outputs. */
export const fuzzNative = async (folder: string, inputs: number, seed: number): Promise<string> =>
  (await run('./native', [String(inputs), String(seed)], folder)).trim()
