// dunlin beside its peers, in one process, one thread each: matrix products, convolutions, whole networks. Every engine translates the
// same dunlin model; their answers are compared before anything is timed. Engines alternate within every round and the median round counts.
//
//   node peers.mjs [--json]       (after the root's build and this package's npm ci: `npm run bench:peers` does all three)
//
// It writes ../RESULTS.md. An engine that does not load, lacks an op or disagrees is null in the table, with its reason below it.

import { writeFileSync } from 'node:fs'
import { cpus } from 'node:os'
import * as dunlin from '../../dist/index.js'
import * as own from './engines/dunlin.mjs'
import * as jax from './engines/jax.mjs'
import * as onnxruntime from './engines/onnxruntime.mjs'
import * as tfjs from './engines/tfjs.mjs'
import { networks } from './networks.mjs'

const ROUNDS = 31
/** Each measurement repeats its run for about this long, in milliseconds: many short ones, so that a hiccup of the machine spoils few. */
const SLICE = 4
/** Before the first measurement it has run for this long. */
const WARM_UP = 40
/** Of the largest value. float32 sums in another order, and Winograd's, stay far below; int8 peers may round a step apart, layer by layer. */
const TOLERANCE = { f32: 1e-4, i8: 0.1 }

const PEERS = {
  'tfjs-wasm': tfjs.load,
  'onnxruntime-web': onnxruntime.loadWeb,
  'onnxruntime-node': onnxruntime.loadNode,
  'jax-js': jax.load,
}
// onnxruntime-web gives Node a global Worker when it makes a session, at the sight of which jax-js expects threads.
Object.defineProperty(globalThis, 'Worker', { get: () => undefined, set: () => {} })

const { conv2d, dense, depthwiseConv2d, input, Model, quantize, Random } = dunlin
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
async function engines() {
  const made = { dunlin: await own.load() }
  for (const [name, load] of Object.entries(PEERS)) {
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

const median = (list) => [...list].sort((a, b) => a - b)[list.length >> 1]

async function measure(prepared) {
  for (const { runners } of prepared) {
    for (const runner of Object.values(runners)) {
      let [count, ms] = [1, 0]
      for (const began = now(); now() - began < WARM_UP; count *= 2) ms = await time(runner, count)
      runner.count = Math.max(1, Math.round(SLICE / ms))
      runner.times = []
    }
  }
  for (let round = 0; round < ROUNDS; round++) {
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

const all = await engines()
const prepared = []
for (const one of await cases()) prepared.push({ ...one, ...(await prepare(one, all)) })
await measure(prepared)

const rows = prepared.map(({ kind, name, model, batch, unit, runners, reasons, peers }) => {
  const figure = (engine) => {
    if (!runners[engine]) return null
    const ms = median(runners[engine].times)
    return unit === 'us' ? ms * 1000 : (2 * model.macs * batch) / ms / 1e6
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
Median of ${ROUNDS} rounds in which the engines alternate; in brackets how many times faster dunlin is (the median of the rounds' ratios).
Before the timing all answers agreed to ${TOLERANCE.f32} of the largest value (int8: ${TOLERANCE.i8}).

Timed is one run on weights that are packed and an input that the engine holds already. onnxruntime-web copies input and output on every
run, which its interface does not let a user avoid; on networks dunlin copies its input on every run too. onnxruntime-node is native code
(its kernels may use AVX-512), the others are WebAssembly. Batch normalization is folded into the networks' convolutions, softmax is included.
`,
  ]
  const number = (v) => (v >= 100 ? v.toFixed(0) : v.toFixed(1))
  const said = new Set()
  for (const [title, of] of [
    ['float32, GFLOP/s', rows.filter((r) => r.unit !== 'us')],
    ['One image through a network, float32, microseconds', rows.filter((r) => r.kind === 'network f32')],
    ['The same quantized to int8, microseconds', rows.filter((r) => r.kind === 'network int8')],
  ]) {
    // Engines that can do none of a table's rows have no column in it.
    const peers = Object.keys(of[0].peers).filter((peer) => of.some((r) => r.peers[peer] !== null))
    const cells = of.map((r) => [
      r.unit === 'us' ? r.name : `${r.kind}, ${r.name}`,
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
