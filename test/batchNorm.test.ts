// Batch normalization beyond its value and gradient: the statistics of many rows with a large mean, and what a trainer leaves in a model.

import { describe, expect, it } from 'vitest'
import { type Dataset, makeDataset } from '../src/data/dataset'
import { input, type Param } from '../src/graph/node'
import { Random } from '../src/graph/random'
import { Model } from '../src/model/model'
import { sequential } from '../src/model/sequential'
import { batchNorm } from '../src/ops/batchNorm'
import { dense } from '../src/ops/dense'
import { layerNorm } from '../src/ops/layerNorm'
import { flatten } from '../src/ops/reshape'
import { sgd } from '../src/train/optimizers'
import { Trainer } from '../src/train/trainer'
import { builds, in_, inout, out, run } from './harness'
import { EPSILON, expectNear } from './reference/near'

/** Mean and squared deviations over rows of each channel, in float64. */
function measured(x: ArrayLike<number>, c: number): { mean: Float64Array; squares: Float64Array } {
  const rows = x.length / c
  const column = (j: number) => Array.from({ length: rows }, (_, i) => x[i * c + j])
  const mean = Float64Array.from({ length: c }, (_, j) => column(j).reduce((sum, v) => sum + v, 0) / rows)
  const squares = mean.map((m, j) => column(j).reduce((sum, v) => sum + (v - m) ** 2, 0))
  return { mean, squares }
}

describe.each(builds)('batchNorm_f32_statistics, $name', (build) => {
  const MOMENTUM = 0.25

  // In a block of 64 rows 16 terms are added in each of four sums; a rounding for each block that is merged comes on top. An error of
  // the means, e = k * EPSILON * |mean|, changes the deviations: the variance v is off by 2 k EPSILON v + 2 e sqrt(v) + e^2.
  it.each([
    [2, 1, 0],
    [63, 5, 3],
    [64, 4, -10],
    [65, 7, 1000],
    [1000, 9, 1000],
    [4099, 3, 30000],
  ])('%i rows of %i channels round %f', (rows, c, offset) => {
    const seed = rows
    const random = new Random(seed)
    const x = Float32Array.from({ length: rows * c }, () => offset + random.uniform(-2, 2))
    const [mean0, variance0] = [0, 1].map(() => Float32Array.from({ length: c }, () => random.uniform(0.5, 2)))
    const buffers = [in_(x), out('f32', c), out('f32', c), inout(mean0), inout(variance0)]
    const [mean, variance, runningMean, runningVariance] = run(build, 'batchNorm_f32_statistics', [
      ...buffers,
      rows,
      c,
      c,
      MOMENTUM,
    ])
    const want = measured(x, c)
    const k = 16 + 8 + rows / 64
    const e = k * EPSILON * (Math.abs(offset) + 2)
    const bound = want.squares.map((s) => 2 * k * EPSILON * (s / rows) + 2 * e * Math.sqrt(s / rows) + e * e)
    const what = `(seed ${seed})`
    const biased = want.squares.map((s) => s / rows)
    expectNear(mean, want.mean, e, `mean ${what}`)
    expectNear(variance, biased, bound, `variance ${what}`)
    const moved = (before: number, to: number) => before + MOMENTUM * (to - before)
    const means = want.mean.map((m, j) => moved(mean0[j], m))
    expectNear(runningMean, means, e + 4 * EPSILON * (Math.abs(offset) + 4), `running mean ${what}`)
    const variances = want.squares.map((s, j) => moved(variance0[j], s / (rows - 1)))
    const most = bound.map((b) => b * (rows / (rows - 1)) + 4 * EPSILON * 8)
    expectNear(runningVariance, variances, most, `running variance ${what}`)
  })
})

describe('a trainer', () => {
  const COUNT = 12
  /** Images [2, 3, 2] of two classes. */
  function data(seed: number): Dataset {
    const random = new Random(seed)
    const x = Float32Array.from({ length: COUNT * 12 }, () => random.uniform(-1, 3))
    return makeDataset({ x, y: Int32Array.from({ length: COUNT }, (_, i) => i % 2), shape: [2, 3, 2], classes: 2 })
  }
  const network = () =>
    new Model(sequential(batchNorm({ momentum: 0.3, name: 'norm' }), flatten(), dense({ units: 2 }))(input([2, 3, 2])), {
      seed: 1,
    })
  const paramOf = (model: Model, name: string): Param => model.params.find((p) => p.name === `norm/${name}`)!

  it.each(builds)('leaves the running statistics in the model, untouched by the optimizer ($name)', async ({ name }) => {
    const model = network()
    const set = data(5)
    const optimizer = sgd({ lr: 0.1, weightDecay: 0.5, l1: 0.1 })
    const trainer = new Trainer(model, { batch: COUNT, optimizer, build: name as 'simd' })
    await trainer.fit(set, { epochs: 1 })
    const { mean, squares } = measured(set.x, 2)
    const positions = COUNT * 6
    expectNear(
      paramOf(model, 'mean').data,
      mean.map((m) => 0.3 * m),
      32 * EPSILON,
      'mean after a step (seed 5)',
    )
    const moved = squares.map((s) => 0.7 + (0.3 * s) / (positions - 1))
    expectNear(paramOf(model, 'variance').data, moved, 64 * EPSILON, 'variance after a step (seed 5)')
    expect([...paramOf(model, 'gamma').data].every((v) => v !== 1)).toBe(true)

    // A second fit goes on from them: they are uploaded, too.
    await trainer.fit(set, { epochs: 1 })
    expectNear(
      paramOf(model, 'mean').data,
      mean.map((m) => 0.51 * m),
      64 * EPSILON,
      'mean after two steps (seed 5)',
    )

    // What is predicted and evaluated uses the running ones, also after a save.
    const y = await model.predict(set.x)
    expect(await Model.load(model.save()).predict(set.x)).toEqual(y)
    const accuracy = set.y.filter((label, i) => (y[2 * i + 1] > y[2 * i] ? 1 : 0) === label).length / COUNT
    expect((await trainer.evaluate(set)).metrics.accuracy).toBeCloseTo(accuracy, 12)
  })

  it('says that one value has no variance', () => {
    const model = new Model(sequential(batchNorm({ name: 'norm' }), dense({ units: 2 }))(input([3])))
    expect(() => new Trainer(model, { batch: 1 }).plan()).toThrowErrorMatchingInlineSnapshot(
      `[DunlinError: batchNorm "norm": a training step with one value for each channel has no variance. Use a batch of 2 or more.]`,
    )
    expect(new Trainer(model, { batch: 2 }).plan().calls.length).toBeGreaterThan(0)
  })
})

it('normalizations say what they do not take', () => {
  const x = input([2, 3])
  expect(() => batchNorm({ momentum: 1.5 })(x)).toThrowErrorMatchingInlineSnapshot(
    `[DunlinError: batchNorm: momentum wants a number in [0, 1], got 1.5.]`,
  )
  expect(() => batchNorm({ epsilon: 0, name: 'norm' })(x)).toThrowErrorMatchingInlineSnapshot(
    `[DunlinError: batchNorm "norm": epsilon wants a number in [1e-12, 1], got 0.]`,
  )
  expect(() => layerNorm({ epsilon: Number.NaN })(x)).toThrowErrorMatchingInlineSnapshot(
    `[DunlinError: layerNorm: epsilon wants a number in [1e-12, 1], got NaN.]`,
  )
  expect(() => layerNorm()(input([]))).toThrowErrorMatchingInlineSnapshot(
    `[DunlinError: layerNorm: wants a value with at least one axis, got shape [].]`,
  )
  const shared = batchNorm()
  shared(x)
  expect(() => shared(input([2, 4]))).toThrowErrorMatchingInlineSnapshot(
    `[DunlinError: batchNorm: gamma has shape [3], wanted [4]. There is one for each channel; a layer applied twice shares them.]`,
  )
})
