// A training step of dunlin beside PyTorch's: four networks, batch 64, Adam, on one thread and on two. Both begin with the same weights and
// data, and their losses are compared before anything is timed. PyTorch is a Python process that waits for commands (pytorch.py). Rounds
// alternate between the two; shown are the medians, and as ratio the median of the rounds' ratios: above 1 dunlin is faster.
//
//   node bench/pytorch.mjs [--json]        (after npm run build; `npm run bench:pytorch` does both)
//
// A step of dunlin includes copying the batch into its memory; PyTorch has it in a tensor already. PyTorch also gets the faster of its two
// image layouts, tried before. Node 20 runs the relaxed build only with --experimental-wasm-relaxed-simd.

import { spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { bestBuild, Random } from '../dist/index.js'
import { BATCH, CLASSES, NETWORKS, RATE, trainingSession } from './training.mjs'

const ROUNDS = 15
/** Each measurement repeats the step for about this long, in milliseconds. */
const SLICE = 150
/** Losses of the first steps, relative: both compute in float32, and sum in another order. */
const TOLERANCE = 1e-3
const THREADS = [1, 2]

const json = process.argv.includes('--json')
const build = bestBuild()

/** The first Python that has PyTorch. */
function findPython() {
  const candidates = process.env.PYTHON ? [process.env.PYTHON] : ['python3', '/usr/bin/python3', 'python']
  const found = candidates.find((python) => spawnSync(python, ['-c', 'import torch']).status === 0)
  if (found) return found
  console.error(
    `PyTorch was not found (tried ${candidates.join(', ')}). On Debian: apt install python3-torch libopenblas0. Or set PYTHON to an interpreter that has it.`,
  )
  process.exit(1)
}

/** A Python process on `threads` threads: `ask` sends a command and waits for the answer. */
async function peer(python, threads) {
  const script = fileURLToPath(new URL('pytorch.py', import.meta.url))
  const env = { ...process.env, OMP_NUM_THREADS: String(threads), OPENBLAS_NUM_THREADS: String(threads) }
  const child = spawn(python, [script, String(threads)], { stdio: ['pipe', 'pipe', 'inherit'], env })
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  const answer = async () => {
    const { value, done } = await lines.next()
    if (done) throw new Error('pytorch.py ended; its message is above.')
    return JSON.parse(value)
  }
  const about = await answer()
  const ask = (command) => {
    child.stdin.write(`${JSON.stringify(command)}\n`)
    return answer()
  }
  return { about, ask, close: () => child.stdin.end() }
}

const median = (list) => [...list].sort((a, b) => a - b)[list.length >> 1]

async function measure({ name, make }, { ask }, threads, folder) {
  const model = make()
  const random = new Random(1)
  const [{ shape }] = model.inputs
  const count = BATCH * shape.reduce((a, b) => a * b)
  const data = {
    x: Float32Array.from({ length: count }, () => random.uniform(-1, 1)),
    labels: Int32Array.from({ length: BATCH }, () => random.integer(CLASSES)),
  }
  const mine = await trainingSession(model, data, threads)
  const files = { load: join(folder, 'model'), x: join(folder, 'x'), labels: join(folder, 'labels') }
  for (const [key, content] of Object.entries({ load: model.save(), ...data })) writeFileSync(files[key], content)
  const { format } = await ask({ ...files, batch: BATCH, rate: RATE })
  const theirs = (steps) => ask({ steps })

  const [a, b] = [mine.run(5).losses, (await theirs(5)).losses]
  const far = Math.max(...a.map((loss, i) => Math.abs(loss / b[i] - 1)))
  if (!(far <= TOLERANCE)) throw new Error(`${name}: the losses differ: dunlin's are ${a}, PyTorch's ${b}`)
  // Until the engine has optimized the kernels.
  let { ms } = mine.run(5)
  for (const began = performance.now(); performance.now() - began < 1000; ) ms = mine.run(5).ms
  const steps = Math.max(1, Math.round(SLICE / ms))
  const times = { dunlin: [], pytorch: [] }
  for (let round = 0; round < ROUNDS; round++) {
    const order = [
      ['dunlin', mine.run],
      ['pytorch', theirs],
    ]
    if (round % 2) order.reverse()
    for (const [engine, run] of order) times[engine].push((await run(steps)).ms)
  }
  return {
    ...{ model: name, threads, dunlinMs: median(times.dunlin), pytorchMs: median(times.pytorch) },
    ratio: median(times.pytorch.map((ms, i) => ms / times.dunlin[i])),
    ...{ dunlinLeastMs: Math.min(...times.dunlin), pytorchLeastMs: Math.min(...times.pytorch) },
    ...{ format, lossesDiffer: far },
    ...(mine.threads !== threads && { note: `dunlin ran on ${mine.threads} thread` }),
  }
}

const python = findPython()
const folder = mkdtempSync(join(tmpdir(), 'dunlin-pytorch-'))
const rows = []
let about
try {
  for (const threads of THREADS) {
    const other = await peer(python, threads)
    about = other.about
    for (const network of NETWORKS) rows.push(await measure(network, other, threads, folder))
    other.close()
  }
} finally {
  rmSync(folder, { recursive: true })
}

const reference = about.blas.some((file) => /\/blas\/libblas/.test(file))
const result = { cpu: cpus()[0].model, node: process.version, build, pytorch: about.version, blas: about.blas, rows }
if (json) console.log(JSON.stringify(result, null, 2))
else {
  console.log(
    `${result.cpu}, Node ${result.node}, ${build} build; PyTorch ${about.version}; batch ${BATCH}, Adam; ms of a training step\n`,
  )
  console.log("model           threads  dunlin ms  PyTorch ms  ratio   least of each   PyTorch's layout")
  for (const r of rows) {
    const figures = [r.dunlinMs.toFixed(2).padStart(9), r.pytorchMs.toFixed(2).padStart(11), r.ratio.toFixed(2).padStart(6)].join(
      ' ',
    )
    const least = `${r.dunlinLeastMs.toFixed(2).padStart(7)} ${r.pytorchLeastMs.toFixed(2).padStart(7)}`
    console.log(
      `${r.model.padEnd(15)} ${String(r.threads).padStart(7)}  ${figures}  ${least}   ${r.format}${r.note ? `; ${r.note}` : ''}`,
    )
  }
  if (reference)
    console.log('\nPyTorch multiplies matrices by the slow reference BLAS here. For a fair MLP: apt install libopenblas0.')
}
