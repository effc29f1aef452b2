// Training: it reaches its accuracy on real digits, a seed fixes every bit, and what `fit` and `evaluate` report is what a slow
// float64 computation of the same thing gives.

import { beforeAll, describe, expect, it } from 'vitest'
import { shift } from '../src/data/augment'
import { type Dataset, makeDataset, split, statistics, subset } from '../src/data/dataset'
import { loadDigits } from '../src/files'
import { DunlinError } from '../src/graph/error'
import { input } from '../src/graph/node'
import { Random } from '../src/graph/random'
import { Model } from '../src/model/model'
import { sequential } from '../src/model/sequential'
import { relu, softmax } from '../src/ops/activation'
import { dense } from '../src/ops/dense'
import { flatten } from '../src/ops/reshape'
import { BUILDS, kernelBytes } from '../src/session/kernels'
import type { Callback } from '../src/train/callbacks'
import { adagrad, adam, adamW, nadam, radam, rmsprop, sgd } from '../src/train/optimizers'
import { constant, oneCycle } from '../src/train/schedules'
import { Trainer, type TrainerOptions } from '../src/train/trainer'
import { tinyCnn } from '../src/zoo/tinyCnn'

const runnable = BUILDS.filter((build) => WebAssembly.validate(kernelBytes(build) as BufferSource))
const weightsOf = (model: Model) => model.params.flatMap((p) => [...p.data])

let train: Dataset
let test: Dataset
beforeAll(() => {
  ;[train, test] = split(loadDigits(), 0.2, 0)
})
const digitsCnn = (seed = 0) => tinyCnn({ shape: [8, 8, 1], classes: 10, normalize: statistics(train), seed })
const first = (data: Dataset, count: number) =>
  subset(
    data,
    Uint32Array.from({ length: count }, (_, i) => i),
  )

/** Points in two dimensions whose class is the quadrant pair: not linearly separable, learned by a few hidden units. */
function quadrants(seed: number, count: number): Dataset {
  const random = new Random(seed)
  const x = Float32Array.from({ length: 2 * count }, () => random.uniform(-1, 1))
  return makeDataset({
    x,
    y: Int32Array.from({ length: count }, (_, i) => +(x[2 * i] * x[2 * i + 1] > 0)),
    shape: [2],
    classes: 2,
  })
}
const small = (seed = 0) =>
  new Model(sequential(dense({ units: 8, activation: 'relu' }), dense({ units: 2 }))(input([2])), { seed })

/** Loss and accuracy in float64 from logits. */
function judge(logits: ArrayLike<number>, { y, count, classes }: Dataset) {
  let [loss, right] = [0, 0]
  for (let i = 0; i < count; i++) {
    const row = Array.from({ length: classes }, (_, c) => logits[i * classes + c])
    const most = Math.max(...row)
    loss += Math.log(row.reduce((sum, v) => sum + Math.exp(v - most), 0)) + most - row[y[i]]
    if (row.indexOf(most) === y[i]) right++
  }
  return { loss: loss / count, accuracy: right / count }
}

describe('the digits', () => {
  it('are learned to 97 % of the held-out ones', async () => {
    const model = digitsCnn()
    const trainer = new Trainer(model, { optimizer: adam({ lr: 1e-2 }), schedule: oneCycle(), augment: [shift(1)] })
    const history = await trainer.fit(train, { epochs: 30 })
    expect(history.length).toBe(30)
    expect((await model.evaluate(test)).accuracy).toBeGreaterThanOrEqual(0.97)
    expect(history[29].loss).toBeLessThan(history[0].loss / 4)
  })
})

describe('a seed', () => {
  const bits = async (options: TrainerOptions, modelSeed = 0) => {
    const model = digitsCnn(modelSeed)
    await new Trainer(model, { optimizer: adam({ lr: 1e-2 }), augment: [shift(1)], ...options }).fit(first(train, 100), {
      epochs: 2,
    })
    return weightsOf(model)
  }

  it.each(runnable)('fixes every bit of the weights (%s)', async (build) => {
    const one = await bits({ build, seed: 4 })
    expect(await bits({ build, seed: 4 })).toEqual(one)
    expect(await bits({ build, seed: 5 })).not.toEqual(one)
    expect(await bits({ build, seed: 4 }, 1)).not.toEqual(one)
  })

  it.skipIf(!runnable.includes('simd'))('gives nearly the same weights in scalar and simd', async () => {
    const [a, b] = [await bits({ build: 'scalar' }), await bits({ build: 'simd' })]
    expect(Math.max(...a.map((v, i) => Math.abs(v - b[i])))).toBeLessThan(0.02)
  })

  it('draws the same order whatever happens beside: fits do not share state', async () => {
    const [one, two] = await Promise.all([bits({}), bits({})])
    expect(two).toEqual(one)
  })
})

describe('a step', () => {
  it('of a batch that is not full counts only its samples', async () => {
    // Five samples in a batch of 8 and in one of 5: the three that fill up have no weight.
    const data = quadrants(1, 5)
    const trained = async (batch: number) => {
      const model = small()
      const [result] = await new Trainer(model, { batch, optimizer: sgd({ lr: 0.5 }) }).fit(data, { epochs: 1 })
      return { weights: weightsOf(model), result }
    }
    const [full, partial] = [await trained(5), await trained(8)]
    expect(partial.result.metrics).toEqual(full.result.metrics)
    expect(partial.result.loss).toBeCloseTo(full.result.loss, 6)
    expect(partial.weights).toEqual(full.weights.map((v) => expect.closeTo(v, 6)))
  })

  it('is the gradient times the learning rate', async () => {
    // One linear layer: dw = mean of (softmax(logits) - onehot) x, by hand.
    const data = quadrants(2, 3)
    const model = new Model(dense({ units: 2 })(input([2])), { seed: 1 })
    const [w, b] = model.params.map((p) => [...p.data])
    const [dw, db] = [
      [0, 0, 0, 0],
      [0, 0],
    ]
    for (let i = 0; i < 3; i++) {
      const x = [...data.x.subarray(2 * i, 2 * i + 2)]
      const e = [0, 1].map((c) => Math.exp(b[c] + w[2 * c] * x[0] + w[2 * c + 1] * x[1]))
      for (const c of [0, 1]) {
        const d = (e[c] / (e[0] + e[1]) - +(data.y[i] === c)) / 3
        db[c] += d
        for (const j of [0, 1]) dw[2 * c + j] += d * x[j]
      }
    }
    await new Trainer(model, { batch: 4, optimizer: sgd({ lr: 0.25 }) }).fit(data, { epochs: 1 })
    const [after, biases] = model.params.map((p) => p.data)
    expect([...after]).toEqual(dw.map((d, i) => expect.closeTo(w[i] - 0.25 * d, 6)))
    expect([...biases]).toEqual(db.map((d, i) => expect.closeTo(b[i] - 0.25 * d, 6)))
  })
})

describe('optimizers and schedules', () => {
  it.each<[string, TrainerOptions]>([
    ['sgd', { optimizer: sgd({ lr: 0.3 }) }],
    ['sgd with momentum', { optimizer: sgd({ lr: 0.05, momentum: 0.9 }) }],
    ["sgd with Nesterov's momentum", { optimizer: sgd({ lr: 0.05, momentum: 0.9, nesterov: true }), schedule: oneCycle() }],
    ['adam', { optimizer: adam({ lr: 0.02 }) }],
    ['adam with amsgrad, gradients clipped by value', { optimizer: adam({ lr: 0.02, amsgrad: true, clipValue: 0.1 }) }],
    [
      'adamW with groups, gradients clipped by norm',
      {
        optimizer: adamW({
          lr: 0.02,
          clipNorm: 0.5,
          groups: [{ match: (name) => name.endsWith('/b'), lr: 2, weightDecay: 0 }],
        }),
      },
    ],
    ['nadam', { optimizer: nadam({ lr: 0.02 }) }],
    ['radam', { optimizer: radam({ lr: 0.05 }) }],
    ['rmsprop', { optimizer: rmsprop({ lr: 0.01, centered: true, momentum: 0.5 }) }],
    ['adagrad', { optimizer: adagrad({ lr: 0.1 }) }],
  ])('%s lowers the loss', async (_, options) => {
    const data = quadrants(3, 200)
    const history = await new Trainer(small(1), options).fit(data, { epochs: 30 })
    expect(history[29].loss).toBeLessThan(history[0].loss / 2)
    expect(history[29].metrics.accuracy).toBeGreaterThan(0.9)
  })

  it.each(['l1', 'weightDecay'] as const)('%s makes weights smaller', async (term) => {
    const trained = async (amount: number) => {
      const model = small(1)
      await new Trainer(model, { optimizer: sgd({ lr: 0.1, [term]: amount }) }).fit(quadrants(3, 200), { epochs: 20 })
      return weightsOf(model).reduce((sum, v) => sum + Math.abs(v), 0)
    }
    expect(await trained(0.01)).toBeLessThan(0.9 * (await trained(0)))
  })

  it('one cycle goes up in a line, then down to 0', () => {
    const rate = oneCycle({ warmup: 0.25, start: 0.2 })
    expect([0, 10, 25, 50, 99].map((step) => rate(step, 100))).toEqual(
      [0.2, 0.52, 1, 2 / 3, 1 / 75].map((v) => expect.closeTo(v, 12)),
    )
    expect(constant()(7, 9)).toBe(1)
  })

  it('say what they do not take', () => {
    expect(() => sgd({ lr: -1 })).toThrowErrorMatchingInlineSnapshot(`[DunlinError: sgd: lr wants a number from 0 on, got -1.]`)
    expect(() => sgd({ nesterov: true })).toThrowErrorMatchingInlineSnapshot(
      `[DunlinError: sgd: nesterov wants a momentum above 0, such as 0.9.]`,
    )
    expect(() => adam({ beta2: 1 })).toThrowErrorMatchingInlineSnapshot(
      `[DunlinError: adam: beta2 wants a number in [0, 1), got 1.]`,
    )
    expect(() => adam({ lr: Number.NaN })).toThrow(DunlinError)
  })
})

describe('fit', () => {
  const recorder = (log: string[], stopAt = Infinity): Callback => ({
    step: (p) => log.push(`step ${p.epoch}/${p.epochs} ${p.step}/${p.steps}`),
    epochEnd(result, p) {
      log.push(`epoch ${result.epoch}/${p.epochs} ${p.step}/${p.steps}`)
      return result.epoch >= stopAt ? 'stop' : undefined
    },
  })

  it('tells callbacks what happens, in order', async () => {
    const log: string[] = []
    await new Trainer(small(), { batch: 4 }).fit(quadrants(1, 6), { epochs: 2, callbacks: [recorder(log)] })
    expect(log).toEqual(['step 1/2 1/2', 'step 1/2 2/2', 'epoch 1/2 2/2', 'step 2/2 1/2', 'step 2/2 2/2', 'epoch 2/2 2/2'])
  })

  it('reports means over the samples seen', async () => {
    const data = quadrants(1, 10)
    const seen: number[] = []
    const end: number[] = []
    // No learning: every step's loss is that of the first weights.
    const trainer = new Trainer(small(), { batch: 4, optimizer: sgd({ lr: 0 }) })
    const expected = await trainer.evaluate(data)
    const [result] = await trainer.fit(data, {
      epochs: 1,
      validation: quadrants(2, 7),
      callbacks: [
        { step: (p) => void seen.push(p.loss), epochEnd: (r) => void end.push(r.loss, r.validation?.loss ?? Number.NaN) },
      ],
    })
    expect(seen.length).toBe(3)
    expect(seen[2]).toBeCloseTo(expected.loss, 6)
    expect(result.loss).toBeCloseTo(expected.loss, 6)
    expect(result.metrics).toEqual(expected.metrics)
    expect(end).toEqual([result.loss, result.validation?.loss])
    expect(result.validation).toEqual(await trainer.evaluate(quadrants(2, 7)))
  })

  it('ends when a callback says stop, after all of them were told', async () => {
    const log: string[] = []
    const history = await new Trainer(small(), { batch: 6 }).fit(quadrants(1, 6), {
      epochs: 9,
      callbacks: [recorder([], 2), recorder(log)],
    })
    expect(history.map((r) => r.epoch)).toEqual([1, 2])
    expect(log.at(-1)).toBe('epoch 2/9 1/1')
  })

  it('goes on from the weights that are there', async () => {
    const data = quadrants(3, 100)
    const model = small(1)
    const trainer = new Trainer(model, { optimizer: adam({ lr: 0.02 }) })
    await trainer.fit(data, { epochs: 10 })
    const before = await trainer.evaluate(data)
    const [next] = await trainer.fit(data, { epochs: 1 })
    expect(next.loss).toBeLessThan(before.loss * 1.2)
    for (const p of model.params) p.data.fill(0)
    const [reset] = await trainer.fit(data, { epochs: 1 })
    expect(reset.loss).toBeGreaterThan(0.6)
  })

  it('keeps the weights of the last whole epoch when the loss runs away', async () => {
    const model = small()
    const trainer = new Trainer(model, { batch: 2, optimizer: sgd({ lr: 0.1 }), schedule: (step) => (step < 3 ? 1 : 1e30) })
    let after: number[] = []
    const fitting = trainer.fit(quadrants(1, 6), { epochs: 5, callbacks: [{ epochEnd: () => void (after = weightsOf(model)) }] })
    await expect(fitting).rejects.toThrowErrorMatchingInlineSnapshot(
      `[DunlinError: Training diverged in epoch 2, step 2 (learning rate 1.00e+29): the loss is NaN, the first value that is not finite is that of dense "dense_2". Use a smaller learning rate. The model has the weights from before this epoch.]`,
    )
    expect(after.every(Number.isFinite)).toBe(true)
    expect(weightsOf(model)).toEqual(after)
    expect([...(await model.predict([0.5, 0.5]))].every(Number.isFinite)).toBe(true)
  })

  it('lets the event loop in', async () => {
    let ticks = 0
    const timer = setInterval(() => ticks++, 1)
    await new Trainer(digitsCnn()).fit(train, { epochs: 10 })
    clearInterval(timer)
    expect(ticks).toBeGreaterThan(0)
  })

  it('trains through a final softmax, whatever the input is called', async () => {
    for (const name of ['labels', 'weights', 'hyper', 'loss', '__proto__']) {
      const build = (x = input([2], { name })) => sequential(dense({ units: 8 }), relu(), dense({ units: 2 }), softmax())(x)
      const model = new Model(build(), { seed: 1 })
      const history = await new Trainer(model, { optimizer: adam({ lr: 0.02 }) }).fit(quadrants(3, 200), { epochs: 20 })
      expect(history[19].metrics.accuracy, name).toBeGreaterThan(0.9)
      const [a, b] = await model.predict([0.9, 0.9])
      expect(a + b).toBeCloseTo(1, 5)
    }
  })

  it('says what does not fit', async () => {
    const data = quadrants(1, 6)
    const attempt = (model: Model, set: Dataset, epochs = 1) => new Trainer(model).fit(set, { epochs })
    await expect(attempt(small(), data, 0)).rejects.toThrowErrorMatchingInlineSnapshot(
      `[DunlinError: fit: epochs wants a positive integer, got 0.]`,
    )
    await expect(attempt(digitsCnn(), data)).rejects.toThrowErrorMatchingInlineSnapshot(
      `[DunlinError: training data: samples have shape [2], input "input" of model "tinyCnn" wants [8,8,1].]`,
    )
    await expect(attempt(small(), { ...data, classes: 3 })).rejects.toThrowErrorMatchingInlineSnapshot(
      `[DunlinError: training data: it has 3 classes, model "model" has 2 outputs. Give the last layer 3 units.]`,
    )
    await expect(new Trainer(small()).fit(data, { epochs: 1, validation: test })).rejects.toThrow(DunlinError)
    expect(() => new Trainer(small(), { batch: 0.5 }).plan()).toThrowErrorMatchingInlineSnapshot(
      `[DunlinError: batch wants a positive integer, got 0.5.]`,
    )
    const image = new Model(relu()(input([4, 4, 1])), { name: 'image' })
    expect(() => new Trainer(image)).toThrowErrorMatchingInlineSnapshot(
      `[DunlinError: crossEntropy "loss": wants logits [classes], got shape [4,4,1]. End the network with flatten() or dense().]`,
    )
    expect(() => new Trainer(new Model(flatten()(input([2])))).plan()).toThrow(DunlinError)
  })
})

describe('evaluate', () => {
  it('is the loss and the accuracy of the predictions, in float64', async () => {
    const model = digitsCnn(3)
    const trainer = new Trainer(model, { batch: 50 })
    await trainer.fit(first(train, 200), { epochs: 2 })
    const wanted = judge(await model.predict(test.x), test)
    const got = await trainer.evaluate(test)
    expect(got.loss).toBeCloseTo(wanted.loss, 5)
    expect(got.metrics.accuracy).toBeCloseTo(wanted.accuracy, 12)
    expect((await model.evaluate(test)).accuracy).toBeCloseTo(wanted.accuracy, 12)
  })
})
