// Random inputs for modules, by the thousand: none may trap, memory being exactly `__heap_base` bytes, and both targets must give the same
// bytes. Run natively, as C by wasm2c. A trap names its run and the folder that keeps the module and its inputs (`inputs.trap`).
//
//   npm run fuzz:module [-- [--inputs 100000] [--seed 1] [--network NAME]...]

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
    network: { type: 'string', multiple: true },
  },
})
const lacking = mcu.without('wasm2c', 'gcc')
if (lacking) {
  console.error(lacking)
  process.exit(1)
}
const [inputs, seed] = [values.inputs, values.seed].map(Number)
const QUANTIZED = { ...mcu.NETWORKS, ...mcu.OTHERS }
const NAMES = [...Object.keys(QUANTIZED), ...Object.keys(mcu.FLOATS)]

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
    const [a, b] = await Promise.all(['aot', 'interpreter'].map((target) => fuzz(model, target)))
    if (a !== b) throw new Error(`the targets differ: outputs hash to ${a} and ${b}`)
    const seconds = (performance.now() - began) / 1000
    console.log(`${name}: ${inputs} inputs, seed ${seed}, no trap, outputs ${a} (${seconds.toFixed(1)} s)`)
  } catch (error) {
    failed = true
    console.error(`${name}: ${error.message}`)
  }
}
process.exit(failed ? 1 : 0)
