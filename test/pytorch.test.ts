// Training as a whole against PyTorch: 20 Adam steps of the tiny CNN, and of one with batch normalization, from the same weights on the
// same batches give the same losses. test/fixtures/tinyCnn/losses.py made them and says how both sides draw weights and batches.

import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { type Dataset, makeDataset } from '../src/data/dataset'
import { input, size } from '../src/graph/node'
import { Random } from '../src/graph/random'
import { Model } from '../src/model/model'
import { sequential } from '../src/model/sequential'
import { batchNorm } from '../src/ops/batchNorm'
import { conv2d } from '../src/ops/conv2d'
import { dense } from '../src/ops/dense'
import { maxPool2d } from '../src/ops/pool2d'
import { flatten } from '../src/ops/reshape'
import type { Build } from '../src/session/kernels'
import { adam } from '../src/train/optimizers'
import { Trainer } from '../src/train/trainer'
import { tinyCnn } from '../src/zoo/tinyCnn'
import { builds } from './harness'

interface Run {
  parameters: { name: string; shape: number[]; low: number; high: number }[]
  /** Before each step, on its batch. */
  losses: number[]
  /** After the last, on its batch, with running statistics. */
  evaluated: number
}
interface Fixture {
  seed: number
  batch: number
  rate: number
  classes: number
  shape: number[]
  streams: { patterns: number; batches: number }
  networks: Record<keyof typeof NETWORKS, Run>
}

/** Relative, of float32 against float64. Ours stay below 1e-6; a wrong epsilon of Adam or another momentum of batchNorm shows. */
const TOLERANCE = 1e-4

const NETWORKS = {
  tinyCnn: ({ shape, classes }: Fixture) => tinyCnn({ shape, classes }),
  'with batchNorm': ({ shape, classes }: Fixture) => {
    const convolution = (filters: number, i: number) => [
      conv2d({ filters, kernel: 3, padding: 'same', bias: false, name: `conv${i}` }),
      batchNorm({ activation: 'relu', name: `norm${i}` }),
      maxPool2d({ kernel: 2 }),
    ]
    const end = [flatten(), dense({ units: classes, name: 'dense' })]
    return new Model(sequential(...convolution(8, 1), ...convolution(16, 2), ...end)(input(shape)))
  },
}

const fixture: Fixture = JSON.parse(readFileSync(new URL('fixtures/tinyCnn/losses.json', import.meta.url), 'utf8'))

/** The batch of a step: images of a class are its pattern and noise. */
function batchOf({ seed, batch, classes, shape, streams }: Fixture, step: number): Dataset {
  const each = size(shape)
  const random = new Random(seed, streams.patterns)
  const patterns = Float32Array.from({ length: classes * each }, () => random.uniform(-1, 1))
  const noise = new Random(seed, streams.batches + step)
  const x = new Float32Array(batch * each)
  const y = new Int32Array(batch)
  for (let i = 0; i < batch; i++) {
    y[i] = Math.floor(noise.uniform(0, classes))
    for (let j = 0; j < each; j++) x[i * each + j] = 0.7 * patterns[y[i] * each + j] + 0.3 * noise.uniform(-1, 1)
  }
  return makeDataset({ x, y, shape, classes })
}

/** Gives the model the weights of the recipe. */
function draw(model: Model, { parameters }: Run): void {
  for (const [stream, { name, shape, low, high }] of parameters.entries()) {
    const p = model.params.find((p) => p.name === name)
    expect(p?.shape, name).toEqual(shape)
    const random = new Random(fixture.seed, stream)
    p!.data = Float32Array.from({ length: size(shape) }, () => random.uniform(low, high))
  }
  const learned = model.params.filter((p) => p.attrs.trainable !== false).map((p) => p.name)
  expect(learned).toEqual(parameters.map((p) => p.name))
}

describe.each(Object.keys(NETWORKS) as (keyof typeof NETWORKS)[])('%s', (name) => {
  const want = fixture.networks[name]

  it('has a fixture that has learned something', () => {
    expect(want.losses.length).toBe(20)
    expect(want.losses[19]).toBeLessThan(0.8 * want.losses[0])
  })

  it.each(builds.map((b) => b.name as Build))("20 losses are PyTorch's, %s", async (build) => {
    const model = NETWORKS[name](fixture)
    draw(model, want)
    const trainer = new Trainer(model, { optimizer: adam({ lr: fixture.rate }), batch: fixture.batch, build })
    const far: number[] = []
    for (const [step, loss] of want.losses.entries()) {
      const [result] = await trainer.fit(batchOf(fixture, step), { epochs: 1 })
      far.push(Math.abs(result.loss - loss) / loss)
    }
    const { loss } = await trainer.evaluate(batchOf(fixture, want.losses.length - 1))
    far.push(Math.abs(loss - want.evaluated) / want.evaluated)
    expect(Math.max(...far), `relative differences ${far.map((d) => d.toExponential(1))}`).toBeLessThan(TOLERANCE)
  })
})
