// mixup: shares are drawn from the right distribution, batches hold the mixed samples and targets, a checkpoint goes on with the same
// bits, and what cannot be mixed is refused.

import { describe, expect, it } from 'vitest'
import { flip } from '../src/data/augment'
import { type Dataset, makeDataset, oneHot } from '../src/data/dataset'
import { input } from '../src/graph/node'
import { Random } from '../src/graph/random'
import { Model } from '../src/model/model'
import { sequential } from '../src/model/sequential'
import { concat } from '../src/ops/concat'
import { dense } from '../src/ops/dense'
import { flatten } from '../src/ops/reshape'
import { planInference } from '../src/plan/build'
import { Session } from '../src/session/session'
import { Batches } from '../src/train/batches'
import { categoricalCrossEntropy, crossEntropy, meanSquaredError } from '../src/train/losses'
import { drawShare } from '../src/train/mixup'
import { Objective } from '../src/train/objective'
import { Trainer, type TrainerOptions } from '../src/train/trainer'

const SEED = 23
const SHAPE = [2, 3, 1]
const CLASSES = 3

function dataOf(count: number): Dataset {
  const random = new Random(SEED)
  return makeDataset({
    x: Uint8Array.from({ length: count * 6 }, () => random.integer(256)),
    y: Array.from({ length: count }, (_, i) => i % CLASSES),
    shape: SHAPE,
    classes: CLASSES,
  })
}
const modelOf = (seed = 1) =>
  new Model(
    sequential(
      flatten(),
      dense({ units: 8, activation: 'relu' }),
      dense({ units: CLASSES }),
    )(input(SHAPE, { normalize: { mean: 100, std: 50 } })),
    { seed },
  )

describe('shares', () => {
  // |2 share - 1| for share from Beta(a, a): its mean square is the variance of Beta times 4, 1 / (2 a + 1).
  it.each([0.05, 0.2, 1, 3, 50])('of alpha %f are those of Beta(alpha, alpha), the larger of the two', (alpha) => {
    const random = new Random(SEED)
    const n = 20000
    let [sum, squares] = [0, 0]
    for (let i = 0; i < n; i++) {
      const share = drawShare(random, alpha)
      expect(share >= 0.5 && share <= 1, `seed ${SEED}, draw ${i}`).toBe(true)
      const d = (2 * share - 1) ** 2
      sum += d
      squares += d * d
    }
    const mean = sum / n
    const deviation = Math.sqrt((squares / n - mean ** 2) / n)
    expect(Math.abs(mean - 1 / (2 * alpha + 1)), `seed ${SEED}`).toBeLessThan(5 * deviation)
  })

  it('of alpha 1 are uniform', () => {
    const random = new Random(SEED)
    const counts = new Array(10).fill(0)
    for (let i = 0; i < 10000; i++) counts[Math.min(9, Math.floor((drawShare(random, 1) - 0.5) * 20))]++
    for (const count of counts) expect(Math.abs(count - 1000), `seed ${SEED}: ${counts}`).toBeLessThan(5 * 30)
  })
})

describe('batches', () => {
  it('hold means of two samples and of their targets', async () => {
    const labelled = dataOf(7)
    const data = oneHot(labelled)
    const before = structuredClone(data)
    const objective = new Objective(modelOf(), categoricalCrossEntropy(), undefined, 0.4)
    const session = await Session.create(planInference([objective.loss, objective.output], { batch: 5 }))
    const source = objective.source(session.plan, data, true)
    const batches = new Batches(session, source, [], new Random(SEED), 0.4)
    const order = [3, 1, 6, 0, 2, 5, 4]
    batches.draw(order, 5, 2)
    const replay = new Random(SEED)
    const [x, y, weights] = [source.inputs[0].port, source.target, source.weights].map((port) => session.view(port))
    for (let i = 0; i < 5; i++) {
      const own = order[(5 + i) % 7]
      const other = order[5 + replay.integer(2)]
      const share = drawShare(replay, 0.4)
      const mix = (list: ArrayLike<number>, each: number, j: number) =>
        share * list[own * each + j] + (1 - share) * list[other * each + j]
      for (let j = 0; j < CLASSES; j++) expect(y[i * CLASSES + j]).toBe(Math.fround(mix(data.y, CLASSES, j)))
      for (let j = 0; j < 6; j++) expect(x[i * 6 + j]).toBeCloseTo((mix(data.x, 6, j) - 100) / 50, 5)
      expect(weights[i]).toBe(i < 2 ? 1 : 0)
    }
    // The likeliest class of a mixed target is that of the sample with the larger share.
    expect([...batches.targetsOf(2)]).toEqual([labelled.y[5], labelled.y[4]])
    expect(data).toEqual(before)
  })

  it('of several inputs mix all of them with the same shares', async () => {
    const [a, b] = [input([3], { name: 'a' }), input([1], { name: 'b' })]
    const model = new Model(dense({ units: 1 })(concat()(a, b)))
    const rows = [1, 2, 3, 4]
    const others = { b: { x: Float32Array.from(rows, (v) => 10 * v), shape: [1] } }
    const x = Float32Array.from(rows.flatMap((v) => [v, v, v]))
    const data = makeDataset({ x, y: rows.map((v) => 100 * v), shape: [3], target: [1], others })
    const objective = new Objective(model, meanSquaredError(), undefined, 1)
    const session = await Session.create(planInference([objective.loss, objective.output], { batch: 4 }))
    const source = objective.source(session.plan, data, true)
    // What is done to `x` is not done to the others.
    const batches = new Batches(session, source, [(sample) => void sample.reverse()], new Random(SEED), 1)
    batches.draw([0, 1, 2, 3], 0, 4)
    const [of, ofB] = source.inputs.map(({ port }) => session.view(port))
    const told = batches.targetsOf(4)
    for (let i = 0; i < 4; i++) {
      for (let j = 0; j < 3; j++) expect(of[3 * i + j]).toBeCloseTo(told[i] / 100, 5)
      expect(ofB[i]).toBeCloseTo(told[i] / 10, 4)
    }
    expect([...told].some((v) => v % 100 !== 0)).toBe(true)
  })

  it('of a regression tell metrics the mixed numbers', async () => {
    const data = makeDataset({ x: Float32Array.of(0, 1, 2, 3), y: [0, 10, 20, 30], shape: [1], target: [1] })
    const model = new Model(dense({ units: 1 })(input([1])))
    const objective = new Objective(model, meanSquaredError(), undefined, 1)
    const session = await Session.create(planInference([objective.loss, objective.output], { batch: 4 }))
    const source = objective.source(session.plan, data, true)
    const batches = new Batches(session, source, [], new Random(SEED), 1)
    batches.draw([0, 1, 2, 3], 0, 4)
    const x = session.view(source.inputs[0].port)
    const told = batches.targetsOf(4)
    expect([...told].some((v) => v % 10 !== 0)).toBe(true)
    for (let i = 0; i < 4; i++) expect(told[i]).toBeCloseTo(10 * x[i], 4)
  })
})

describe('a trainer', () => {
  const data = oneHot(dataOf(30))
  const options = (more: TrainerOptions = {}): TrainerOptions => ({
    loss: categoricalCrossEntropy(),
    mixup: 0.3,
    augment: [flip()],
    batch: 8,
    build: 'scalar',
    ...more,
  })

  it('trains on mixed data and evaluates on the data itself', async () => {
    const model = modelOf()
    const trainer = new Trainer(model, options())
    const history = await trainer.fit(data, { epochs: 3, validation: data })
    const plain = new Trainer(modelOf(), options({ mixup: 0 }))
    expect(history[0].loss).not.toBe((await plain.fit(data, { epochs: 3 }))[0].loss)
    expect(await trainer.evaluate(data)).toEqual(history[2].validation)
  })

  it('goes on from a checkpoint with the same bits', async () => {
    const whole = modelOf()
    const history = await new Trainer(whole, options()).fit(data, { epochs: 3 })
    let kept: Uint8Array | undefined
    let steps = 0
    const stopped = new Trainer(modelOf(), options())
    const abort = new AbortController()
    const settled = () => {
      if (steps++ !== 6) return
      kept = stopped.checkpoint()
      abort.abort()
    }
    await expect(stopped.fit(data, { epochs: 3, callbacks: [{ settled }], signal: abort.signal })).rejects.toThrow()
    const model = modelOf(99)
    const trainer = new Trainer(model, options())
    trainer.resume(kept!)
    expect(await trainer.fit(data, { epochs: 3, callbacks: [] })).toEqual(history)
    expect(model.params.map((p) => p.data)).toEqual(whole.params.map((p) => p.data))
    expect(() => new Trainer(modelOf(), options({ mixup: 0.2 })).resume(kept!)).toThrow('mixup is 0.2, the checkpoint has 0.3')
  })

  it('refuses what cannot be mixed', () => {
    expect(() => new Trainer(modelOf(), { mixup: -1 })).toThrowErrorMatchingInlineSnapshot(
      `[DunlinError: Trainer: mixup wants a number in [0, 100], got -1. 0.2 is usual.]`,
    )
    expect(() => new Trainer(modelOf(), { loss: crossEntropy(), mixup: 0.2 })).toThrowErrorMatchingInlineSnapshot(
      `[DunlinError: Trainer: mixup mixes targets, crossEntropy takes one class for each sample. Use categoricalCrossEntropy() with oneHot(data).]`,
    )
    const whole = new Model(dense({ units: 2 })(input([2])))
    Object.assign(whole.inputs[0], { dtype: 'i32' })
    expect(() => new Trainer(whole, { loss: meanSquaredError(), mixup: 0.2 })).toThrowErrorMatchingInlineSnapshot(
      `[DunlinError: Trainer: mixup mixes samples, input "input" takes integers. Train without mixup.]`,
    )
    expect(() => oneHot(data)).toThrowErrorMatchingInlineSnapshot(
      `[DunlinError: oneHot: the data have targets of shape [3], wanted class labels. Use them as they are.]`,
    )
  })
})
