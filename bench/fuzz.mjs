// Random inputs for modules, by the thousand: none may trap, memory being exactly `__heap_base` bytes, and both targets must give the same
// bytes. Run natively, as C by wasm2c. A trap names its run and the folder that keeps the module and its inputs (`inputs.trap`).
// With --simd it is the simd target, here in V8, which is faster for large networks: memory there is whole pages, so that what lies past
// `__heap_base` has to stay as it was. A trap or a write there names its run; the same seed gives the same inputs again.
//
//   npm run fuzz:module [-- [--inputs 100000] [--seed 1] [--simd] [--network NAME]...]

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { bundled } from './bundled.mjs'

const mcu = await bundled('test/mcu/index.ts', 'mcu')
const { values } = parseArgs({
  options: {
    inputs: { type: 'string', default: '100000' },
    seed: { type: 'string', default: '1' },
    simd: { type: 'boolean' },
    network: { type: 'string', multiple: true },
  },
})
const lacking = !values.simd && mcu.without('wasm2c', 'gcc')
if (lacking) {
  console.error(lacking)
  process.exit(1)
}
const [inputs, seed] = [values.inputs, values.seed].map(Number)
const QUANTIZED = { ...mcu.NETWORKS, ...mcu.OTHERS }
const GUARD = 0xa5
const NAMES = [...Object.keys(QUANTIZED), ...Object.keys(mcu.FLOATS)]

/** The bytes of native.c: of one kind each time. */
function filler(seed) {
  let state = (Math.imul(seed, 2654435761) | 1) >>> 0
  const draw = () => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return (state >>>= 0)
  }
  const ends = [0x80, 0x7f, 0xff, 0x00]
  return (to) => {
    const [kind, a, b] = [draw() & 7, draw(), draw()]
    for (let i = 0; i < to.length; i++) {
      const r = draw() >>> 8
      to[i] = kind < 4 ? r : kind === 4 ? (r & 1 ? a : b) : kind === 5 ? a : r & 64 ? ends[r & 3] : r >>> 8
    }
  }
}

/** The simd target in this engine; the hash is that of native.c. */
async function fuzzHere(model) {
  const { wasm } = await mcu.buildModule(model, { target: 'simd' })
  const { exports } = (await WebAssembly.instantiate(wasm)).instance
  const bytes = new Uint8Array(exports.memory.buffer)
  const number = (name) => exports[name].value
  const ports = (kind) =>
    Object.keys(exports)
      .filter((name) => new RegExp(`^${kind}(_\\d+)?$`).test(name))
      .map((name) => bytes.subarray(number(name), number(name) + number(`${name}_bytes`)))
  const [ins, outs, beyond] = [ports('input'), ports('output'), bytes.subarray(number('__heap_base'))]
  const fill = filler(seed)
  const guard = new Uint8Array(beyond.length).fill(GUARD)
  beyond.set(guard)
  let hash = 0xcbf29ce484222325n
  for (let i = 0; i < inputs; i++) {
    for (const port of ins) fill(port)
    try {
      if (exports.run() !== 0) throw new Error('it failed')
      if (Buffer.compare(beyond, guard)) throw new Error('it wrote past __heap_base')
    } catch (error) {
      throw new Error(`run ${i}, seed ${seed}: ${error.message}`)
    }
    for (const port of outs) for (const byte of port) hash = BigInt.asUintN(64, (hash ^ BigInt(byte)) * 0x100000001b3n)
  }
  return hash.toString(16).padStart(16, '0')
}

async function fuzz(model, target) {
  const folder = mkdtempSync(join(tmpdir(), 'dunlin-fuzz-'))
  const { wasm } = await mcu.buildModule(model, { target })
  await mcu.compileNative(wasm, folder)
  const hash = await mcu.fuzzNative(folder, inputs, seed)
  rmSync(folder, { recursive: true })
  return hash
}

let failed = false
for (const name of values.network ?? NAMES) {
  const began = performance.now()
  try {
    const model = mcu.FLOATS[name]?.() ?? (await QUANTIZED[name]()).model
    const each = values.simd ? [fuzzHere(model)] : ['aot', 'interpreter'].map((target) => fuzz(model, target))
    const [a, b = a] = await Promise.all(each)
    if (a !== b) throw new Error(`the targets differ: outputs hash to ${a} and ${b}`)
    const seconds = (performance.now() - began) / 1000
    console.log(`${name}: ${inputs} inputs, seed ${seed}, no trap, outputs ${a} (${seconds.toFixed(1)} s)`)
  } catch (error) {
    failed = true
    console.error(`${name}: ${error.message}`)
  }
}
process.exit(failed ? 1 : 0)
