// What a second thread gives a training step: the same step on one thread and on two, alternating. Beside it what the machine itself gives:
// two sessions of one thread each, that share nothing, at the same time. Cores that are two hyperthreads of one, or are shared with other
// machines, give less than 2 there, and no program can be faster than that.
//
//   node bench/threads.mjs [--json]        (after npm run build; `npm run bench:threads` does both)

import { cpus } from 'node:os'
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'
import { bestBuild, Random } from '../dist/index.js'
import { BATCH, CLASSES, NETWORKS, trainingSession } from './training.mjs'

const ROUNDS = 15
/** Each measurement repeats the step for about this long, in milliseconds. */
const SLICE = 400

function prepare({ make }, threads) {
  const model = make()
  const random = new Random(1)
  const each = model.inputs[0].shape.reduce((a, b) => a * b)
  const x = Float32Array.from({ length: BATCH * each }, () => random.uniform(-1, 1))
  const labels = Int32Array.from({ length: BATCH }, () => random.integer(CLASSES))
  return trainingSession(model, { x, labels }, threads)
}

const median = (list) => [...list].sort((a, b) => a - b)[list.length >> 1]

if (isMainThread) {
  const rows = []
  for (const [index, network] of NETWORKS.entries()) {
    const [one, two] = [await prepare(network, 1), await prepare(network, 2)]
    for (const began = performance.now(); performance.now() - began < 1000; ) for (const s of [one, two]) s.run(5)
    const steps = Math.max(1, Math.round(SLICE / one.run(5).ms))
    const pair = [0, 1].map(() => new Worker(new URL(import.meta.url), { workerData: index }))
    const answer = (worker) => new Promise((resolve) => worker.once('message', resolve))
    await Promise.all(pair.map(answer))
    const together = async () => {
      const answers = pair.map(answer)
      for (const worker of pair) worker.postMessage(steps)
      return Math.max(...(await Promise.all(answers))) / 2
    }
    const times = { one: [], two: [], machine: [] }
    for (let round = 0; round < ROUNDS; round++) {
      times.one.push(one.run(steps).ms)
      times.two.push(two.run(steps).ms)
      times.machine.push(await together())
    }
    await Promise.all(pair.map((worker) => worker.terminate()))
    const gain = (list) => median(list.map((ms, i) => times.one[i] / ms))
    rows.push({
      ...{ model: network.name, threads: two.threads, oneMs: median(times.one), twoMs: median(times.two) },
      ...{ speedup: gain(times.two), machine: gain(times.machine) },
    })
  }
  const result = { cpu: cpus()[0].model, node: process.version, build: bestBuild(), rows }
  if (process.argv.includes('--json')) console.log(JSON.stringify(result, null, 2))
  else {
    console.log(`${result.cpu}, Node ${result.node}, ${result.build} build; batch ${BATCH}, Adam; ms of a training step\n`)
    console.log('model            one thread  two threads  speed-up   what the machine gives')
    for (const r of rows) {
      const ms = `${r.oneMs.toFixed(2).padStart(10)} ${r.twoMs.toFixed(2).padStart(12)}`
      console.log(`${r.model.padEnd(16)} ${ms} ${r.speedup.toFixed(2).padStart(9)} ${r.machine.toFixed(2).padStart(12)}`)
    }
  }
  // The sessions' workers wait for more.
  process.exit()
} else {
  const session = await prepare(NETWORKS[workerData], 1)
  session.run(20)
  parentPort.postMessage(0)
  parentPort.on('message', (steps) => parentPort.postMessage(session.run(steps).ms))
}
