// Hostile model files, by the hundred thousand: every mutant of a valid .onnx, .safetensors or .tflite file ends in a model or in a clear error
// (test/mutants.ts). Beside the files that the tests make, those in folders that are named. A failure says how to make it again.
//
//   npm run fuzz:formats [-- [--mutants 100000] [--seed 1] [--from 0] [--format NAME]... [--files FOLDER]...]

import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { bundled } from './bundled.mjs'

const { FORMATS, fuzz } = await bundled('test/mutants.ts', 'mutants')
const { values } = parseArgs({
  options: {
    mutants: { type: 'string', default: '100000' },
    seed: { type: 'string', default: '1' },
    from: { type: 'string', default: '0' },
    format: { type: 'string', multiple: true, default: Object.keys(FORMATS) },
    files: { type: 'string', multiple: true, default: [] },
  },
})
const [count, seed, from] = [values.mutants, values.seed, values.from].map(Number)
/** Larger ones would take long, and have the same things in them. */
const MOST_BYTES = 400_000

function found(extension) {
  return values.files.flatMap((folder) =>
    readdirSync(folder, { recursive: true })
      .filter((f) => f.endsWith(`.${extension}`) && statSync(join(folder, f)).size <= MOST_BYTES)
      .map((f) => [f, new Uint8Array(readFileSync(join(folder, f)))]),
  )
}

let failed = false
for (const name of values.format) {
  const began = performance.now()
  try {
    const files = new Map([...(await FORMATS[name].files()), ...found(name)])
    const { models, errors, ran, slowest } = await fuzz(FORMATS[name], files, { count, seed, from })
    const seconds = ((performance.now() - began) / 1000).toFixed(0)
    const ends = `${models} models (${ran} of them run), ${errors} errors, the slowest ${slowest.toFixed(0)} ms`
    console.log(`${name}: ${models + errors} mutants of ${files.size} files, seed ${seed}: ${ends} (${seconds} s)`)
  } catch (error) {
    failed = true
    console.error(`${name}: ${error.message}`)
  }
}
process.exit(failed ? 1 : 0)
