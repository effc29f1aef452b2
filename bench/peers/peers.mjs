// dunlin beside its peers, in one process, one thread each: matrix products, convolutions, whole networks, a training step. Every engine
// translates the same dunlin model; their answers are compared before anything is timed. Engines alternate within every round
// and the median round counts.
//
//   node peers.mjs [--json]       (after the root's build and this package's npm ci: `npm run bench:peers` does all three)
//
// It writes ../RESULTS.md. An engine that does not load, lacks an op or disagrees is null in the table, with its reason below it.

import { writeFileSync } from 'node:fs'
import { cpus } from 'node:os'
import * as dunlin from '../../dist/index.js'
import * as convnetjs from './engines/convnetjs.mjs'
import * as own from './engines/dunlin.mjs'
import * as jax from './engines/jax.mjs'
import * as jaxTraining from './engines/jaxTraining.mjs'
import * as litert from './engines/litert.mjs'
import * as onnxruntime from './engines/onnxruntime.mjs'
import * as tfjs from './engines/tfjs.mjs'
import { networks } from './networks.mjs'

/**
 * `slice`: each measurement repeats its run for about this long, in milliseconds: many short ones, so that a hiccup of the machine spoils
 * few. `warmUp`: before the first measurement it has run for this long. Training steps of the peers last up to a second.
 */
const TIMING = { rounds: 31, slice: 4, warmUp: 40 }
const TRAINING = { rounds: 7, slice: 150, warmUp: 2000 }
/** Of the largest value. float32 sums in another order, and Winograd's, stay far below; int8 peers may round a step apart, layer by layer. */
const TOLERANCE = { f32: 1e-4, i8: 0.1 }
/** Of the losses of the first training steps, relative. */
const LOSS_TOLERANCE = 1e-3
const BATCH = 64
const RATE = 1e-3

const PEERS = {
  'tfjs-wasm': tfjs.load,
  'onnxruntime-web': onnxruntime.loadWeb,
  'onnxruntime-node': onnxruntime.loadNode,
  'jax-js': jax.load,
  'LiteRT.js': litert.load,
}
const TRAINERS = {
  'jax-js': () => jaxTraining.loadTraining('convolution'),
  'jax-js by products': () => jaxTraining.loadTraining('products'),
  ConvNetJS: convnetjs.loadTraining,
}
// onnxruntime-web gives Node a global Worker when it makes a session, at the sight of which jax-js expects threads.
Object.defineProperty(globalThis, 'Worker', { get: () => undefined, set: () => {} })

const { conv2d, dense, depthwiseConv2d, input, Model, quantize, Random, tinyCnn } = dunlin
const random = new Random(1)
const floats = (n) => Float32Array.from({ length: n }, () => random.uniform(-1, 1))
const size = (shape) => shape.reduce((a, b) => a * b, 1)

/** What is compared: a model, a batch for it, and how its figure is made. */
async function cases() {
  const list = []
  const op = (kind, name, layer, shape, batch = 1) =>
    list.push({ kind, name, model: new Model(layer(input(shape))), batch, unit: 'GFLOP/s' })
  for (const n of [48, 96, 192, 384, 768]) op('matmul', `${n}x${n}x${n}`, dense({ units: n, bias: false }), [n], n)
  for (const [h, ic, oc] of [
    [28, 1, 32],
    [13, 32, 64],
    [32, 16, 16],
    [16, 32, 32],
    [8, 64, 64],
  ]) {
    op('conv 3x3', `${h}x${ic}->${oc}`, conv2d({ filters: oc, kernel: 3, padding: 'same' }), [h, h, ic])
  }
  for (const [h, c] of [
    [48, 32],
    [24, 64],
  ]) {
    op('depthwise 3x3', `${h}x${h}x${c}`, depthwiseConv2d({ kernel: 3, padding: 'same' }), [h, h, c])
    op('conv 1x1', `${h}x${h}x${c}`, conv2d({ filters: c, kernel: 1, padding: 'same' }), [h, h, c])
  }
  const models = networks()
  for (const model of models) list.push({ kind: 'network f32', name: model.name, model, batch: 1, unit: 'us' })
  for (const model of models) {
    const int8 = await quantize(model, { x: floats(32 * size(model.inputs[0].shape)) })
    list.push({ kind: 'network int8', name: model.name, model: int8, batch: 1, unit: 'us', float: model })
  }
  return list
}

/** Engines by name; one that does not load is a function that says why. */
async function engines(peers) {
  const made = {}
  for (const [name, load] of Object.entries(peers)) {
    made[name] = await load().catch((error) => () => {
      // The path that a failed import names is this machine's alone.
      throw new Error(`did not load: ${error.message.replace(/ imported from .*/s, '')}`)
    })
  }
  return made
}

const now = () => performance.now()

/** Milliseconds of one of `count` runs. What returns a promise is waited for. */
async function time({ run }, count) {
  const began = now()
  for (let i = 0; i < count; i++) {
    const pending = run()
    if (pending) await pending
  }
  return (now() - began) / count
}

/** Largest difference as a share of the largest value. */
function difference(got, want) {
  if (got.length !== want.length) throw new Error(`gives ${got.length} values, dunlin ${want.length}`)
  let [worst, largest] = [0, 0]
  for (let i = 0; i < want.length; i++) {
    largest = Math.max(largest, Math.abs(want[i]))
    // Math.max hands NaN on, and NaN is below no tolerance.
    worst = Math.max(worst, Math.abs(got[i] - want[i]))
  }
  return worst / largest
}

/** The case's engines, run once and in agreement; what failed goes to `reasons`. */
async function prepare({ kind, model, batch, float }, all) {
  const fresh = kind.startsWith('network')
  const x = floats(batch * size(model.inputs[0].shape))
  const runners = { dunlin: await all.dunlin(model, batch, x, fresh) }
  const reasons = {}
  runners.dunlin.run()
  const want = runners.dunlin.read().slice()
  runners.dunlin.run()
  if (difference(runners.dunlin.read(), want) !== 0)
    throw new Error(`${kind} ${model.name}: dunlin's second run differs from its first`)
  const tolerance = TOLERANCE[model.inputs[0].dtype]
  const peers = float ? { 'dunlin f32': () => all.dunlin(float, batch, x, fresh), ...all } : all
  for (const [name, engine] of Object.entries(peers)) {
    if (name === 'dunlin') continue
    try {
      const runner = await engine(model, batch, x, runners.dunlin.stored)
      await time(runner, 1)
      const d = difference(await runner.read(), want)
      if (!(d <= tolerance)) {
        process.exitCode = 1
        throw new Error(`disagrees: differs by ${d.toExponential(1)} of the largest value, ${tolerance} allowed`)
      }
      runners[name] = runner
    } catch (error) {
      reasons[name] = error.message.split('\n')[0]
    }
  }
  return { runners, reasons, peers: Object.keys(peers).filter((name) => name !== 'dunlin') }
}

/** A training step as a case, with the engines whose first losses are dunlin's. */
async function prepareTraining() {
  const model = tinyCnn({ shape: [28, 28, 1], classes: 10 })
  const data = { x: floats(BATCH * 784), labels: Int32Array.from({ length: BATCH }, () => random.integer(10)) }
  const losses = async (runner) => {
    const list = []
    for (let step = 0; step < 5; step++) {
      await time(runner, 1)
      list.push(await runner.read())
    }
    return list
  }
  const runners = { dunlin: await (await own.loadTraining())(model, data, RATE) }
  const want = await losses(runners.dunlin)
  const reasons = {}
  const all = await engines(TRAINERS)
  for (const [name, train] of Object.entries(all)) {
    try {
      const runner = await train(model, data, RATE)
      const got = await losses(runner)
      if (!got.every((loss, i) => Math.abs(loss / want[i] - 1) <= LOSS_TOLERANCE)) {
        process.exitCode = 1
        throw new Error(`disagrees: its losses are ${got.join(', ')}, dunlin's ${want.join(', ')}`)
      }
      runners[name] = runner
    } catch (error) {
      reasons[name] = error.message.split('\n')[0]
    }
  }
  return { kind: 'train', name: `tiny CNN, batch ${BATCH}`, unit: 'ms', runners, reasons, peers: Object.keys(TRAINERS) }
}

const median = (list) => [...list].sort((a, b) => a - b)[list.length >> 1]

async function measure(prepared, { rounds, slice, warmUp }) {
  for (const { runners } of prepared) {
    for (const runner of Object.values(runners)) {
      let [count, ms] = [1, 0]
      for (const began = now(); now() - began < warmUp; count *= 2) ms = await time(runner, count)
      runner.count = Math.max(1, Math.round(slice / ms))
      runner.times = []
    }
  }
  for (let round = 0; round < rounds; round++) {
    for (const { runners } of prepared) {
      const order = Object.values(runners)
      // Each round begins with another engine: none always follows the same neighbour's use of the caches.
      for (let i = 0; i < order.length; i++) {
        const runner = order[(i + round) % order.length]
        // The caches are the other engines' still: one run is not counted.
        await time(runner, 1)
        runner.times.push(await time(runner, runner.count))
      }
    }
  }
}

const all = { dunlin: await own.load(), ...(await engines(PEERS)) }
const prepared = []
for (const one of await cases()) prepared.push({ ...one, ...(await prepare(one, all)) })
await measure(prepared, TIMING)
const training = await prepareTraining()
await measure([training], TRAINING)
prepared.push(training)

const rows = prepared.map(({ kind, name, model, batch, unit, runners, reasons, peers }) => {
  const figure = (engine) => {
    if (!runners[engine]) return null
    const ms = median(runners[engine].times)
    if (unit === 'GFLOP/s') return (2 * model.macs * batch) / ms / 1e6
    return unit === 'us' ? ms * 1000 : ms
  }
  const each = (f) => Object.fromEntries(peers.map((peer) => [peer, f(peer)]))
  const mine = figure('dunlin')
  // The median of the rounds' ratios, not the ratio of medians: both engines of one round had the same neighbours on the machine.
  const ratio = (peer) => runners[peer] && median(runners[peer].times.map((ms, i) => ms / runners.dunlin.times[i]))
  return {
    kind,
    name,
    dunlin: mine,
    peers: each(figure),
    ratios: each((peer) => ratio(peer) ?? null),
    unit,
    ...(Object.keys(reasons).length && { reasons }),
  }
})

const result = { cpu: cpus()[0].model, node: process.version, build: own.build, rows }
const text = report(result)
writeFileSync(new URL('../RESULTS.md', import.meta.url), text)
console.log(process.argv.includes('--json') ? JSON.stringify(result, null, 2) : text)

/** The results as Markdown that is readable as it stands. */
function report({ cpu, node, build }) {
  const parts = [
    `# dunlin beside its peers

Written by \`npm run bench:peers\`. ${cpu}, Node ${node}, dunlin's \`${build}\` build; every engine on one thread, in one process.
Median of ${TIMING.rounds} rounds (training: ${TRAINING.rounds}) in which the engines alternate; in brackets how many times faster dunlin is (the median of the rounds' ratios).
Before the timing all answers agreed to ${TOLERANCE.f32} of the largest value (int8: ${TOLERANCE.i8}),
and the losses of the first training steps to ${LOSS_TOLERANCE} of their value.

Timed is one run on weights that are packed and an input that the engine holds already. onnxruntime-web copies input and output on every
run, which its interface does not let a user avoid; on networks dunlin copies its input on every run too. onnxruntime-node is native code
(its kernels may use AVX-512), the others are WebAssembly. LiteRT.js takes float tensors only: it turns an int8 network's input into int8 and
its output into float on every run. Batch normalization is folded into the networks' convolutions, softmax is included.

The training step is forward, backward and Adam of conv 3x3x8, pool, conv 3x3x16, pool, dense 10 on ${BATCH} images of 28x28. dunlin copies the
batch in on every step, the others hold it. jax-js is there twice: by its own convolution, and with the convolution written as nine matrix
products of shifted images, the fastest way that was found in its operations; it runs under its jit where that is faster. ConvNetJS
takes sample by sample in float64; its package has no Adam, and gets one in plain JavaScript.
`,
  ]
  const number = (v) => (v >= 100 ? v.toFixed(0) : v.toFixed(1))
  const said = new Set()
  for (const [title, of] of [
    ['float32, GFLOP/s', rows.filter((r) => r.unit === 'GFLOP/s')],
    ['One image through a network, float32, microseconds', rows.filter((r) => r.kind === 'network f32')],
    ['The same quantized to int8, microseconds', rows.filter((r) => r.kind === 'network int8')],
    ['A training step, milliseconds', rows.filter((r) => r.kind === 'train')],
  ]) {
    // Engines that can do none of a table's rows have no column in it.
    const peers = Object.keys(of[0].peers).filter((peer) => of.some((r) => r.peers[peer] !== null))
    const cells = of.map((r) => [
      r.unit === 'GFLOP/s' ? `${r.kind}, ${r.name}` : r.name,
      number(r.dunlin),
      ...peers.map((p) => (r.peers[p] === null ? 'none' : `${number(r.peers[p])} (${r.ratios[p].toFixed(2)})`)),
    ])
    const table = [['', 'dunlin', ...peers], ...cells]
    const widths = table[0].map((_, c) => Math.max(...table.map((line) => line[c].length), 3))
    const lines = table.map(
      (line) => `| ${line.map((cell, c) => (c ? cell.padStart(widths[c]) : cell.padEnd(widths[c]))).join(' | ')} |`,
    )
    lines.splice(1, 0, `| ${widths.map((w, c) => (c ? `${'-'.repeat(w - 1)}:` : '-'.repeat(w))).join(' | ')} |`)
    parts.push(`## ${title}\n\n${lines.join('\n')}\n`)
    for (const r of of) for (const [peer, reason] of Object.entries(r.reasons ?? {})) said.add(`- ${peer}, ${r.kind}: ${reason}`)
  }
  if (said.size) parts.push(`## Not measured\n\n${[...said].join('\n')}\n`)
  return parts.join('\n')
}
