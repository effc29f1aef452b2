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
import * as dunlin from '../dist/index.js'

const { adam, add, batchNorm, bestBuild, conv2d, dense, flatten, globalAvgPool2d, input, maxPool2d, Model, Random } = dunlin
const { sequential, Session, Trainer, tinyCnn } = dunlin

const ROUNDS = 15
/** Each measurement repeats the step for about this long, in milliseconds. */
const SLICE = 150
const BATCH = 64
const CLASSES = 10
const RATE = 1e-3
/** Losses of the first steps, relative: both compute in float32, and sum in another order. */
const TOLERANCE = 1e-3
const THREADS = [1, 2]

const json = process.argv.includes('--json')
const build = bestBuild()

const relu = { activation: 'relu' }

/** The convolutional network of Keras' guide "Convolutional Neural Network (CNN)", on images of 28x28. */
const keras = sequential(
  conv2d({ filters: 32, kernel: 3, ...relu }),
  maxPool2d({ kernel: 2 }),
  conv2d({ filters: 64, kernel: 3, ...relu }),
  maxPool2d({ kernel: 2 }),
  conv2d({ filters: 64, kernel: 3, ...relu }),
  flatten(),
  dense({ units: 64, ...relu }),
  dense({ units: CLASSES }),
)

/**
 * MLPerf Tiny's image classification (bench/peers/networks.mjs) as it is trained: batch normalization is not folded. Padding is the same
 * on all sides: PyTorch has no other without a copy.
 */
function resnet8() {
  const norm = (filters, strides, activation) =>
    sequential(conv2d({ filters, kernel: 3, strides, padding: 1, bias: false }), batchNorm({ activation }))
  let x = norm(16, 1, 'relu')(input([32, 32, 3]))
  for (const [filters, strides] of [
    [16, 1],
    [32, 2],
    [64, 2],
  ]) {
    const y = sequential(norm(filters, strides, 'relu'), norm(filters, 1))(x)
    x = add(relu)(y, strides === 1 ? x : conv2d({ filters, kernel: 1, strides })(x))
  }
  return new Model(sequential(globalAvgPool2d(), flatten(), dense({ units: CLASSES }))(x))
}

const digits = [28, 28, 1]
const mlp = sequential(flatten(), dense({ units: 128, ...relu }), dense({ units: CLASSES }))
const NETWORKS = [
  { name: 'MLP 784-128-10', make: () => new Model(mlp(input(digits))) },
  { name: 'Keras CNN', make: () => new Model(keras(input(digits))) },
  { name: 'tiny CNN', make: () => tinyCnn({ shape: digits, classes: CLASSES }) },
  { name: 'ResNet-8', make: resnet8 },
]

/** A training session: `run(steps)` starts from the model's weights and gives ms of a step, the first excepted, and all losses. */
async function own(model, { x, labels }, threads) {
  const optimizer = adam({ lr: RATE })
  const trainer = new Trainer(model, { batch: BATCH, optimizer, build, threads })
  const session = await Session.create(trainer.plan(), { build, threads })
  const { constants, state, inputs, outputs } = session.plan
  const hyper = session.view(state.find((r) => r.name === 'hyper'))
  const [loss, ones] = [session.view(outputs[0]), new Float32Array(BATCH).fill(1)]
  const run = (steps) => {
    for (const constant of constants) session.view(constant).set(constant.data)
    for (const region of state) session.view(region).fill(0)
    const losses = []
    let began
    for (let step = 0; step <= steps; step++) {
      if (step === 1) began = performance.now()
      for (const [i, values] of [x, labels, ones].entries()) session.feed(inputs[i], values)
      hyper.set(optimizer.hyper(step + 1, RATE))
      session.run()
      losses.push(loss[0])
    }
    return { ms: (performance.now() - began) / steps, losses }
  }
  return { run, threads: session.info().threads ?? 1 }
}

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
  const mine = await own(model, data, threads)
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
