// Memory of training: a step leaves next to no garbage on the heap and none anywhere else, and the plan says beforehand what a session takes.

import { execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { describe, expect, it } from 'vitest'
import { input, type Node } from '../src/graph/node'
import { Model } from '../src/model/model'
import { sequential } from '../src/model/sequential'
import { add } from '../src/ops/add'
import { batchNorm } from '../src/ops/batchNorm'
import { concat } from '../src/ops/concat'
import { conv2d } from '../src/ops/conv2d'
import { dense } from '../src/ops/dense'
import { depthwiseConv2d } from '../src/ops/depthwiseConv2d'
import { dropout } from '../src/ops/dropout'
import { gru } from '../src/ops/gru'
import { lstm } from '../src/ops/lstm'
import { globalAvgPool2d, maxPool2d } from '../src/ops/pool2d'
import { flatten, reshape } from '../src/ops/reshape'
import { Session } from '../src/session/session'
import { adam, sgd } from '../src/train/optimizers'
import { Trainer, type TrainerOptions } from '../src/train/trainer'
import { tinyCnn } from '../src/zoo/tinyCnn'

/** As in ResNet-8 of MLPerf Tiny, with batch norm. */
function resNet(): Model {
  const norm = (activation?: 'relu') => batchNorm({ activation })
  const conv = (filters: number, strides = 1, kernel = 3) => conv2d({ filters, kernel, strides, padding: 'same' })
  let y: Node = sequential(conv(16), norm('relu'))(input([32, 32, 3]))
  for (const [filters, strides] of [
    [16, 1],
    [32, 2],
    [64, 2],
  ]) {
    const body = sequential(conv(filters, strides), norm('relu'), conv(filters), norm())(y)
    y = add({ activation: 'relu' })(body, strides > 1 ? conv(filters, strides, 1)(y) : y)
  }
  return new Model(sequential(globalAvgPool2d(), flatten(), dense({ units: 10 }))(y))
}

function branches(): Model {
  const x = input([16, 16, 3])
  const arms = [8, 4, 12].map((filters) => conv2d({ filters, kernel: 3, padding: 'same', activation: 'relu' })(x))
  return new Model(
    sequential(maxPool2d({ kernel: 4 }), flatten(), dropout({ rate: 0.5 }), dense({ units: 10 }))(concat()(...arms)),
  )
}

const NETWORKS: Record<string, () => Model> = {
  'tiny CNN 8x8': () => tinyCnn({ shape: [8, 8, 1], classes: 10 }),
  'tiny CNN 28x28': () => tinyCnn({ shape: [28, 28, 1], classes: 10 }),
  'MLP 784-128-10': () => new Model(sequential(dense({ units: 128, activation: 'relu' }), dense({ units: 10 }))(input([784]))),
  ResNet: resNet,
  branches,
  'separable convolutions': () =>
    new Model(
      sequential(
        ...[16, 32].flatMap((filters) => [
          depthwiseConv2d({ kernel: 3, padding: 'same', activation: 'relu' }),
          conv2d({ filters, kernel: 1, activation: 'relu' }),
        ]),
        globalAvgPool2d(),
        flatten(),
        dense({ units: 10 }),
      )(input([24, 24, 4])),
    ),
  lstm: () => new Model(sequential(lstm({ units: 16 }), dense({ units: 10 }))(input([20, 8]))),
  'two grus': () =>
    new Model(
      sequential(
        gru({ units: 8, sequences: true }),
        gru({ units: 8 }),
        dense({ units: 10 }),
      )(reshape({ shape: [16, 4] })(input([64]))),
    ),
}

describe('a plan', () => {
  it.each(Object.entries(NETWORKS))('takes at most 1.3 times what lives at once: %s', (name, make) => {
    const settings: TrainerOptions[] = [
      { batch: 1 + +/ResNet/.test(name) },
      { batch: 32 },
      { batch: 64, optimizer: sgd() },
      { batch: 16, accumulate: 2 },
    ]
    for (const options of settings) {
      const { bytes, lowerBound } = new Trainer(make(), options).plan().arena
      expect(bytes / lowerBound, JSON.stringify(options)).toBeLessThanOrEqual(1.3)
      expect(bytes).toBeGreaterThanOrEqual(lowerBound)
    }
  })

  it('says what a session takes, to the byte', async () => {
    for (const make of [NETWORKS['tiny CNN 8x8'], NETWORKS.lstm]) {
      const plan = new Trainer(make(), { batch: 8 }).plan()
      const session = await Session.create(plan)
      expect(session.info().memoryBytes).toBe(plan.memory)
      // Memory comes in pages.
      const { byteLength } = session.view(plan.inputs[0]).buffer
      expect(byteLength).toBe(Math.ceil(plan.memory / 65536) * 65536)
      // Nothing reads or writes beyond: the last bytes of the last page stay as they are.
      const past = { name: 'past', address: plan.memory, dtype: 'u8' as const, length: byteLength - plan.memory }
      session.view(past).fill(0xcb)
      session.run()
      expect(session.view(past).every((v) => v === 0xcb)).toBe(true)
      expect(session.view(plan.inputs[0]).buffer.byteLength).toBe(byteLength)
    }
  })

  it('with accumulated gradients keeps one array more for each parameter that learns', () => {
    const of = (options: TrainerOptions) => new Trainer(NETWORKS['tiny CNN 8x8'](), { optimizer: adam(), ...options }).plan()
    const [one, many] = [of({}), of({ accumulate: 4 })]
    const gradients = new Trainer(NETWORKS['tiny CNN 8x8']()).model.params.reduce(
      (sum, p) => sum + Math.ceil(p.data.length / 4) * 16,
      0,
    )
    expect(many.persistent - one.persistent).toBe(gradients + 16)
    expect(many.arena.bytes).toBeLessThanOrEqual(one.arena.bytes)
  })
})

/** Bytes on the heap for each of 1,000 steps in the middle of an epoch, and by how much the process has grown. */
const MEASURE = `
import { loadDigits } from 'dunlin/node'
import { adam, sgd, shift, tinyCnn, Trainer } from 'dunlin'
const data = loadDigits()
const results = []
for (const options of [{}, { accumulate: 2 }, { augment: [shift(1)], optimizer: sgd() }]) {
  const model = tinyCnn({ shape: [8, 8, 1], classes: 10 })
  const trainer = new Trainer(model, { batch: 1, ...options })
  let steps = 0
  let heap = 0
  let grown = 0
  let least = Infinity
  const settled = () => {
    // The first epochs let the engine compile, which takes longer on a busy machine.
    if (++steps % 1200 === 150) {
      gc()
      heap = process.memoryUsage().heapUsed
      grown = process.memoryUsage().arrayBuffers
    }
    if (steps % 1200 === 1150) {
      least = Math.min(least, (process.memoryUsage().heapUsed - heap) / 1000)
      grown = process.memoryUsage().arrayBuffers - grown
      if (steps > 13200) results.push({ options: Object.keys(options).join(), least, grown })
    }
  }
  await trainer.fit(data, { epochs: options.accumulate ? 16 : 8, callbacks: [{ settled }] })
}
console.log(JSON.stringify(results))
`

it('a step leaves a few hundred bytes on the heap, and memory does not grow', () => {
  if (!existsSync('dist/index.js')) throw new Error('dist is missing: run "node build.mjs".')
  const folder = mkdtempSync(join(tmpdir(), 'dunlin-memory-'))
  const url = (name: string) => pathToFileURL(resolve('dist', name)).href
  const file = join(folder, 'measure.mjs')
  writeFileSync(file, MEASURE.replace(`'dunlin/node'`, `'${url('node.js')}'`).replace(`'dunlin'`, `'${url('index.js')}'`))
  const results = JSON.parse(execFileSync(process.execPath, ['--expose-gc', file], { encoding: 'utf8' }))
  rmSync(folder, { recursive: true })
  expect(results.length).toBe(3)
  console.log(JSON.stringify(results))
  for (const { options, least, grown } of results) {
    expect(least, options).toBeLessThan(700)
    expect(grown, options).toBeLessThan(1000)
  }
})
