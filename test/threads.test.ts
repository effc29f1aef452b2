// Threads: the same bits for any number of them, whichever network; workers start where there is something to split and nowhere else, go
// with the last session, hold no process, and are missed when they are lost. (That every op may be split: test/ops.test.ts.)

import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import { describe, expect, it } from 'vitest'
import { quantize } from '../src/compress/quantize'
import { writeModule } from '../src/deploy/module'
import { DunlinError } from '../src/graph/error'
import { input, type Layer, type Node } from '../src/graph/node'
import { Random } from '../src/graph/random'
import { Model } from '../src/model/model'
import { sequential } from '../src/model/sequential'
import { relu, tanh } from '../src/ops/activation'
import { add } from '../src/ops/add'
import { batchNorm } from '../src/ops/batchNorm'
import { conv2d } from '../src/ops/conv2d'
import { convTranspose2d } from '../src/ops/convTranspose2d'
import { crossEntropy } from '../src/ops/crossEntropy'
import { dense } from '../src/ops/dense'
import { depthwiseConv2d } from '../src/ops/depthwiseConv2d'
import { dropout } from '../src/ops/dropout'
import { gru } from '../src/ops/gru'
import { layerNorm } from '../src/ops/layerNorm'
import { lstm } from '../src/ops/lstm'
import { avgPool2d, maxPool2d } from '../src/ops/pool2d'
import { flatten } from '../src/ops/reshape'
import { planTraining } from '../src/plan/build'
import { type Plan, partsOf, printPlan, threadsOf, unrolled } from '../src/plan/plan'
import { BUILDS, type Build, kernelBytes } from '../src/session/kernels'
import { Session } from '../src/session/session'
import { withSharedMemory } from '../src/session/sharedMemory'
import { availableThreads } from '../src/session/threads'
import { partWord } from '../src/session/worker'
import { adam, type Optimizer, sgd } from '../src/train/optimizers'
import { tinyCnn } from '../src/zoo/tinyCnn'

const BATCH = 16
const CLASSES = 5
const runnable = BUILDS.filter((build) => WebAssembly.validate(kernelBytes(build) as BufferSource))

/** Values of every input of a plan, drawn from a seed. */
function feed(session: Session, seed: number): void {
  const random = new Random(seed)
  for (const port of session.plan.inputs) {
    const draw = () => (port.dtype === 'i32' ? random.integer(CLASSES) : random.uniform(-1, 1))
    session.feed(port, Array.from({ length: port.length }, draw))
  }
}

/** All bytes that outlive a run (weights and what the optimizer keeps), and the outputs, after `runs` runs. */
async function bits(plan: Plan, threads: number, build: Build, runs: number): Promise<string[]> {
  const session = await Session.create(plan, { threads, build })
  expect(session.info().threads).toBe(Math.min(threads, threadsOf(plan)))
  const hyper = plan.state.find((r) => r.name === 'hyper')
  if (hyper) session.view(hyper).set([1e-2, 1e-2, 0, 1, 1e-8].slice(0, hyper.length))
  return Array.from({ length: runs }, (_, i) => {
    feed(session, i)
    session.run()
    const bytes = [...plan.outputs.map((port) => session.fetch(port)), session.contents(16)]
    return bytes.map((b) => Buffer.from(b.buffer, b.byteOffset, b.byteLength).toString('base64')).join(' ')
  })
}

function trainingPlan(model: Model, threads: number, optimizer: Optimizer): Plan {
  const [logits] = model.outputs
  const loss = crossEntropy(logits, input([1], { name: 'labels', dtype: 'i32' }), input([1], { name: 'weights' }))
  const { update, hyperLength } = optimizer
  return planTraining(loss, [logits], { batch: BATCH, update, hyperLength, threads })
}

/** A network of random layers, all of which leave images of some channels. */
function randomNetwork(seed: number): Model {
  const random = new Random(seed)
  const filters = () => 1 + random.integer(24)
  const layers: (() => Layer)[] = [
    () => conv2d({ filters: filters(), kernel: 3, padding: 'same', activation: 'relu' }),
    () => conv2d({ filters: 2 * filters(), kernel: [1, 2], groups: 1, padding: 'same', strides: 1 + random.integer(2) }),
    () => depthwiseConv2d({ kernel: 3, padding: 'same', multiplier: 1 + random.integer(2) }),
    () => convTranspose2d({ filters: filters(), kernel: 2, strides: 1 + random.integer(2), padding: 'same' }),
    () => batchNorm({ activation: 'relu6' }),
    () => layerNorm(),
    () => dropout({ rate: 0.3 }),
    () => tanh(),
    () => maxPool2d({ kernel: 2, strides: 1, padding: 'same' }),
    () => avgPool2d({ kernel: 3, strides: 2, padding: 'same' }),
    () => (x: Node) => add()(relu()(x), x),
  ]
  const drawn = Array.from({ length: 7 }, () => layers[random.integer(layers.length)]())
  const first = conv2d({ filters: 8 + random.integer(17), kernel: 3, padding: 'same' })
  const x = input([10 + random.integer(6), 9 + random.integer(6), 1 + random.integer(4)])
  return new Model(sequential(first, ...drawn, flatten(), dense({ units: CLASSES }))(x), { seed })
}

const networks: [string, () => Model][] = [
  ['the tiny CNN', () => tinyCnn({ shape: [28, 28, 1], classes: CLASSES })],
  [
    'a CNN with batch norm and groups',
    () =>
      new Model(
        sequential(
          conv2d({ filters: 24, kernel: 3, padding: 'same', bias: false }),
          batchNorm({ activation: 'relu' }),
          conv2d({ filters: 16, kernel: 3, strides: 2, groups: 2 }),
          batchNorm({ activation: 'relu' }),
          flatten(),
          dense({ units: 100, activation: 'relu' }),
          dense({ units: CLASSES }),
        )(input([15, 14, 3])),
      ),
  ],
  [
    'an LSTM under a GRU',
    () =>
      new Model(sequential(lstm({ units: 24, sequences: true }), gru({ units: 19 }), dense({ units: CLASSES }))(input([12, 9]))),
  ],
  ...[1, 2, 3, 4, 5, 6].map((seed): [string, () => Model] => [`random network ${seed}`, () => randomNetwork(seed)]),
]

describe('the same bits for 1, 2, 3 and 5 threads', () => {
  const counts = [2, 3, 5]

  it.each(networks)('%s: inference', async (_, make) => {
    const model = make()
    for (const batch of [1, BATCH]) {
      const plain = model.plan(batch)
      expect(threadsOf(plain)).toBe(1)
      const want = await bits(plain, 1, runnable[0], 2)
      for (const threads of counts) {
        const plan = model.plan(batch, 'session', threads)
        const got = await bits(plan, threads, runnable[0], 2)
        expect(got, `${threads} threads, batch ${batch}`).toEqual(want)
        if (batch > 1) expect(threadsOf(plan)).toBeGreaterThan(1)
      }
    }
  })

  it.each(networks)('%s: three steps of training', async (_, make) => {
    for (const optimizer of [adam({ clipValue: 0.5 }), sgd({ momentum: 0.9, clipNorm: 1 })]) {
      const want = await bits(trainingPlan(make(), 1, optimizer), 1, runnable[0], 3)
      expect(new Set(want).size).toBe(3)
      for (const threads of counts) {
        const plan = trainingPlan(make(), threads, optimizer)
        expect(threadsOf(plan)).toBeGreaterThan(1)
        expect(await bits(plan, threads, runnable[0], 3), `${threads} threads`).toEqual(want)
      }
    }
  })

  it.each(runnable)('every build (%s), also with fewer threads than the plan has parts', async (build) => {
    const [, make] = networks[1]
    const want = await bits(trainingPlan(make(), 1, adam()), 1, build, 3)
    const plan = trainingPlan(make(), 5, adam())
    expect(threadsOf(plan)).toBe(5)
    for (const threads of [1, 2, 3, 9]) expect(await bits(plan, threads, build, 3), `${threads} threads`).toEqual(want)
  })

  it('int8', async () => {
    const model = new Model(
      sequential(
        conv2d({ filters: 16, kernel: 3, padding: 'same', activation: 'relu' }),
        conv2d({ filters: 24, kernel: 3, padding: 'same', activation: 'relu' }),
        depthwiseConv2d({ kernel: 3, padding: 'same', strides: 2 }),
        maxPool2d({ kernel: 2 }),
        flatten(),
        dense({ units: 40 }),
      )(input([21, 20, 3])),
    )
    const random = new Random(1)
    const int8 = await quantize(model, { x: Float32Array.from({ length: 8 * 21 * 20 * 3 }, () => random.uniform(-1, 1)) })
    for (const batch of [1, 6]) {
      const want = await bits(int8.plan(batch), 1, runnable[0], 1)
      for (const threads of counts) {
        const plan = int8.plan(batch, 'session', threads)
        expect(threadsOf(plan)).toBeGreaterThan(1)
        expect(await bits(plan, threads, runnable[0], 1), `${threads} threads, batch ${batch}`).toEqual(want)
      }
    }
  })

  it('predict takes the number of threads', async () => {
    const model = tinyCnn({ shape: [28, 28, 1], classes: CLASSES })
    const x = Float32Array.from({ length: 64 * 784 }, (_, i) => Math.sin(i))
    expect(await model.predict(x, { threads: 2 })).toEqual(await model.predict(x, { threads: 1 }))
    expect((await model.session(64, undefined, 2)).info().threads).toBe(2)
    const { plan } = await model.session(64)
    expect(threadsOf(plan)).toBeLessThanOrEqual(availableThreads())
    if (availableThreads() > 1) expect(threadsOf(plan)).toBeGreaterThan(1)
  })
})

describe('plans', () => {
  it('print the parts of a call side by side', () => {
    const model = new Model(dense({ units: 8, bias: false, name: 'd' })(input([512])))
    const lines = printPlan(model.plan(64, 'session', 3)).split('\n')
    expect(lines.find((l) => l.includes('gemm_f32'))).toBe(
      '  gemm_f32(32816, 16400, 163888, 20, 8, 512, 512, 1, 8, -Infinity, Infinity, 0)' +
        ' | (73776, 16400, 164528, 20, 8, 512, 512, 1, 8, -Infinity, Infinity, 0)' +
        ' | (114736, 16400, 165168, 24, 8, 512, 512, 1, 8, -Infinity, Infinity, 0)',
    )
  })

  it('give the parts of a call scratch of their own', () => {
    const model = new Model(conv2d({ filters: 4, kernel: 3, padding: 'same' })(input([40, 40, 4])))
    const plan = model.plan(8, 'session', 4)
    const [call] = unrolled(plan.calls).filter((c) => c.others)
    const scratch = partsOf(call).map((args) => args[3])
    expect(scratch.length).toBe(4)
    const ends = scratch.map((at) => at + 4 * 42 * 42 * 4)
    for (const [i, at] of scratch.entries()) {
      for (const [j, end] of ends.entries()) if (i !== j) expect(at >= end || ends[i] <= scratch[j]).toBe(true)
    }
  })

  it('are refused where they make no sense', async () => {
    const model = tinyCnn({ shape: [28, 28, 1], classes: CLASSES })
    expect(() => model.plan(1, 'session', 0)).toThrowErrorMatchingInlineSnapshot(
      `[DunlinError: threads wants a positive integer, got 0.]`,
    )
    await expect(Session.create(model.plan(), { threads: 1.5 })).rejects.toThrowErrorMatchingInlineSnapshot(
      `[DunlinError: threads wants a positive integer, got 1.5.]`,
    )
    const plan = model.plan(1, 'module', 4)
    expect(threadsOf(plan)).toBeGreaterThan(1)
    const options = { name: 'm', build: kernelBytes('scalar'), contents: new Uint8Array(plan.persistent - 16), selfTest: 0 }
    expect(() => writeModule(plan, options)).toThrowErrorMatchingInlineSnapshot(
      `[DunlinError: module "m": the plan splits conv2d_f32 for threads, a module has one. Plan with threads 1.]`,
    )
  })
})

describe('kernels on a shared memory', () => {
  it.each(runnable)('%s', async (build) => {
    const module = await WebAssembly.compile(withSharedMemory(kernelBytes(build)))
    const pages = { initial: 1, maximum: 1 }
    const on = (memory: WebAssembly.Memory) => WebAssembly.instantiate(module, { env: { memory } })
    const { exports } = await on(new WebAssembly.Memory({ ...pages, shared: true }))
    expect(Object.keys(exports).length).toBeGreaterThan(50)
    await expect(on(new WebAssembly.Memory(pages))).rejects.toThrow(/shared/)
  })
})

/** A plan of one call that is split in two, `times` times: sums of the columns of two matrices. */
function twoParts(rows: readonly [number, number], times = 1): Plan {
  const part = (at: number, n: number) => [at, 65536 * 8 + at, n, 4, 4]
  const call = { kernel: 'sumRows_f32', args: part(16, rows[0]), others: [part(4096, rows[1])] }
  return {
    memory: 65536 * 16,
    persistent: 16,
    arena: { bytes: 0, lowerBound: 0 },
    constants: [],
    state: [],
    init: [],
    calls: Array.from({ length: times }, () => call),
    inputs: [],
    outputs: [],
  }
}

/** The workers that start while `make` runs. */
async function workersOf<T>(make: () => Promise<T>): Promise<{ value: T; workers: Worker[] }> {
  const workers: Worker[] = []
  const seen = (worker: Worker) => workers.push(worker)
  process.on('worker', seen)
  const value = await make()
  process.off('worker', seen)
  return { value, workers }
}

describe('workers', () => {
  it('are not started where no call is split', async () => {
    const model = new Model(dense({ units: 2 })(input([3])))
    const { value, workers } = await workersOf(() => model.session(1, undefined, 8))
    expect(workers.length).toBe(0)
    expect(value.info()).toMatchObject({ threads: 1 })
    expect(value.info().reason).toBeUndefined()
  })

  it('serve many sessions, in turn', async () => {
    const model = tinyCnn({ shape: [28, 28, 1], classes: CLASSES })
    const plan = model.plan(BATCH, 'session', 3)
    const all = await Promise.all([1, 2, 3, 2, 3].map((threads) => Session.create(plan, { threads })))
    const { workers } = await workersOf(() => Session.create(plan, { threads: 3 }))
    expect(workers.length).toBe(0)
    for (let run = 0; run < 3; run++) {
      const results = all.map((session) => {
        feed(session, run)
        session.run()
        return session.fetch(plan.outputs[0])
      })
      for (const result of results) expect(result).toEqual(results[0])
    }
  })

  it('that end are missed: the session says so, a new one has others', async () => {
    const plan = twoParts([10, 10])
    const wide: Plan = {
      ...plan,
      calls: unrolled(plan.calls).map((c) => ({ ...c, others: Array.from({ length: 7 }, () => c.others![0]) })),
    }
    const { value: session, workers } = await workersOf(() => Session.create(wide, { threads: 8 }))
    expect(workers.length).toBeGreaterThan(0)
    session.run()
    await Promise.all(workers.slice(0, 1).map((worker) => worker.terminate()))
    const message = /cannot run any more: worker \d+ is lost: it ended with code 1\. Make a new one/
    expect(() => session.run()).toThrow(message)
    expect(() => session.run()).toThrow(DunlinError)
    const next = await Session.create(wide, { threads: 8 })
    next.run()
    expect(next.info().threads).toBe(8)
  })

  it('that end with a part in hand are missed too', async () => {
    const session = await Session.create(twoParts([2000, 1], 50), { threads: 2 })
    const { team } = session as unknown as { team: { control: Int32Array; hands: { index: number }[] } }
    // Somebody who takes the second part in the worker's name, and is gone.
    const source = `const { workerData: { control, word, index }, parentPort } = require('node:worker_threads')
      parentPort.postMessage('here')
      while (Atomics.compareExchange(control, word, 1, -index) !== 1);`
    const [{ index }] = team.hands
    const thief = new Worker(source, { eval: true, workerData: { control: team.control, word: partWord(1), index } })
    await once(thief, 'message')
    const until = performance.now() + 20_000
    const run = () => {
      while (performance.now() < until) session.run()
    }
    expect(run).toThrow(`worker ${index} is lost: it took a part of a call and did not finish.`)
    expect(() => session.run()).toThrow(DunlinError)
    await thief.terminate()
  })

  it('and kernels that fail end the session, wherever they ran', async () => {
    const plan = twoParts([2000, 1])
    unrolled(plan.calls)[0].others![0][0] = 2 ** 31
    const session = await Session.create(plan, { threads: 2 })
    expect(() => session.run()).toThrow(/out of bounds/)
    expect(() => session.run()).toThrow(/^This session cannot run any more: .*out of bounds/)
  })
})

/** What a script prints that runs in a process of its own, on the built package. */
function script(source: string, ...flags: string[]): unknown {
  const head = `import { Session, tinyCnn } from ${JSON.stringify(new URL('../dist/index.js', import.meta.url).href)}
    const model = tinyCnn({ shape: [28, 28, 1], classes: 4 })
    const plan = model.plan(16, 'session', 2)\n`
  const args = [...flags, '--input-type=module', '-e', head + source]
  return JSON.parse(execFileSync(process.execPath, args, { encoding: 'utf8', timeout: 60_000 }))
}

describe('a process', () => {
  it('ends by itself, with sessions at rest', () => {
    const source = `const session = await Session.create(plan, { threads: 2 })
      session.run()
      console.log(JSON.stringify(session.info().threads))`
    expect(script(source)).toBe(2)
  })

  it('without shared memory has one thread, and says so once', () => {
    const source = `delete globalThis.SharedArrayBuffer
      const said = []
      console.warn = (text) => said.push(text)
      const sessions = [await Session.create(plan, { threads: 2 }), await Session.create(plan, { threads: 2 })]
      for (const session of sessions) session.run()
      console.log(JSON.stringify([said, ...sessions.map((s) => [s.info().threads, s.info().reason])]))`
    const reason = 'this host has no SharedArrayBuffer'
    expect(script(source)).toEqual([[`dunlin: one thread computes, not several: ${reason}.`], [1, reason], [1, reason]])
  })

  it('lets the workers go with the last session', () => {
    const source = `import { setTimeout } from 'node:timers/promises'
      let worker
      process.on('worker', (w) => { worker = w })
      let ended
      const work = async () => {
        const sessions = [await Session.create(plan, { threads: 2 }), await Session.create(plan, { threads: 2 })]
        for (const session of sessions) session.run()
        worker.on('exit', (code) => { ended = code })
        return sessions[0]
      }
      let one = await work()
      const wait = async (ms) => { for (const end = performance.now() + ms; performance.now() < end && ended === undefined; ) { gc(); await setTimeout(20) } }
      await wait(500)
      const before = ended
      one.run()
      one = undefined
      await wait(20000)
      console.log(JSON.stringify([before ?? 'there', ended]))`
    expect(script(source, '--expose-gc')).toEqual(['there', 0])
  })
})
