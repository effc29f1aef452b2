// What a trainer can be asked for beyond a plain classifier: other losses and data, weights, accumulated gradients, frozen layers, stops.

import { describe, expect, it } from 'vitest'
import { shift } from '../src/data/augment'
import { type Dataset, makeDataset, split, subset } from '../src/data/dataset'
import { loadDigits } from '../src/files'
import { DunlinError } from '../src/graph/error'
import { input, type Layer, type Node } from '../src/graph/node'
import { Random } from '../src/graph/random'
import { Model } from '../src/model/model'
import { sequential } from '../src/model/sequential'
import { hardSigmoid, relu, sigmoid, softmax } from '../src/ops/activation'
import { add } from '../src/ops/add'
import { batchNorm } from '../src/ops/batchNorm'
import { concat } from '../src/ops/concat'
import { conv2d } from '../src/ops/conv2d'
import { dense } from '../src/ops/dense'
import { dropout } from '../src/ops/dropout'
import { embedding } from '../src/ops/embedding'
import { globalAvgPool2d } from '../src/ops/pool2d'
import { flatten, reshape } from '../src/ops/reshape'
import { unrolled } from '../src/plan/plan'
import { type Callback, type EpochResult, earlyStopping } from '../src/train/callbacks'
import {
  binaryCrossEntropy,
  categoricalCrossEntropy,
  crossEntropy,
  hinge,
  huber,
  klDivergence,
  type Loss,
  meanSquaredError,
} from '../src/train/losses'
import { accuracy as accuracyOf, auc, type Metric, meanAbsoluteError, recall, topK } from '../src/train/metrics'
import { adam, sgd } from '../src/train/optimizers'
import { Trainer, type TrainerOptions } from '../src/train/trainer'
import { tinyCnn } from '../src/zoo/tinyCnn'

const weightsOf = (model: Model) => model.params.flatMap((p) => [...p.data])
const digits = loadDigits()
const first = (data: Dataset, count: number) => subset(data, [...Array(count).keys()])

/** Points in the square; `y` of a point is what `of` says. */
function points(seed: number, count: number, of: (a: number, b: number) => number | number[], options: Partial<Dataset> = {}) {
  const random = new Random(seed)
  const x = Float32Array.from({ length: 2 * count }, () => random.uniform(-1, 1))
  const y = Array.from({ length: count }, (_, i) => of(x[2 * i], x[2 * i + 1])).flat()
  return makeDataset({ x, y, shape: [2], ...(options.target ? {} : { classes: 2 }), ...options })
}
const network = (...last: Layer[]) =>
  new Model(sequential(dense({ units: 8, activation: 'relu' }), ...last)(input([2])), { seed: 1 })
const same = (a: number, b: number) => +(a * b > 0)

describe('losses and data', () => {
  it('a regression is learned, and its metrics are over the model’s outputs', async () => {
    const data = points(1, 200, (a, b) => [a + 2 * b, a * b], { target: [2] })
    const model = network(dense({ units: 2 }))
    const trainer = new Trainer(model, {
      loss: meanSquaredError(),
      metrics: [meanAbsoluteError],
      optimizer: adam({ lr: 0.02 }),
    })
    const history = await trainer.fit(data, {
      epochs: 40,
      validation: points(2, 50, (a, b) => [a + 2 * b, a * b], { target: [2] }),
    })
    const last = history[39]
    expect(last.loss).toBeLessThan(history[0].loss / 10)
    expect(last.validation!.loss).toBeLessThan(0.1)
    const y = await model.predict(data.x)
    const wanted = y.reduce((sum, v, i) => sum + Math.abs(v - data.y[i]), 0) / y.length
    expect((await trainer.evaluate(data)).metrics).toEqual({ meanAbsoluteError: expect.closeTo(wanted, 6) })
    await expect(model.evaluate(data)).rejects.toThrow(/evaluate wants data with labels, this has targets of shape \[2\]/)
  })

  const yes = (a: number, b: number) => [same(a, b)]
  const both = (a: number, b: number) => [same(a, b), 1 - same(a, b)]
  it.each<[string, Loss, Model, Dataset]>([
    ['crossEntropy', crossEntropy({ labelSmoothing: 0.1 }), network(dense({ units: 2 })), points(3, 200, same)],
    ['categoricalCrossEntropy', categoricalCrossEntropy(), network(dense({ units: 2 })), points(3, 200, both, { target: [2] })],
    ['klDivergence', klDivergence(), network(dense({ units: 2 }), softmax()), points(3, 200, both, { target: [2] })],
    ['binaryCrossEntropy of logits', binaryCrossEntropy(), network(dense({ units: 1 })), points(3, 200, yes, { target: [1] })],
    [
      'binaryCrossEntropy of a sigmoid',
      binaryCrossEntropy(),
      network(dense({ units: 1 }), sigmoid()),
      points(3, 200, yes, { target: [1] }),
    ],
    [
      'binaryCrossEntropy of probabilities',
      binaryCrossEntropy({ fromLogits: false }),
      network(dense({ units: 1 }), hardSigmoid()),
      points(3, 200, yes, { target: [1] }),
    ],
    ['hinge', hinge(), network(dense({ units: 1 })), points(3, 200, (a, b) => [2 * same(a, b) - 1], { target: [1] })],
  ])('%s learns two classes and tells the accuracy', async (_, loss, model, data) => {
    const trainer = new Trainer(model, { loss, optimizer: adam({ lr: 0.03 }) })
    const history = await trainer.fit(data, { epochs: 30 })
    expect(history[29].metrics.accuracy).toBeGreaterThan(0.93)
    // By hand, from the points themselves.
    const y = await model.predict(data.x)
    const each = y.length / data.count
    const threshold = ['sigmoid', 'hardSigmoid'].includes(model.outputs[0].op) ? 0.5 : 0
    let right = 0
    for (let i = 0; i < data.count; i++) {
      const answer =
        each === 1 ? +(y[i] > threshold) : loss.name === 'crossEntropy' ? +(y[2 * i + 1] > y[2 * i]) : +(y[2 * i] > y[2 * i + 1])
      right += +(answer === same(data.x[2 * i] as number, data.x[2 * i + 1] as number))
    }
    expect((await trainer.evaluate(data)).metrics.accuracy).toBeCloseTo(right / data.count, 12)
  })

  it("steps by the sum of the losses with reduction 'sum', and tells their mean", async () => {
    // 24 samples in batches of 8 that weigh 4 each: the gradients of the sum are 4 times those of the mean.
    const data = { ...points(3, 24, same), weights: new Float32Array(24).fill(0.5) }
    const trained = async (reduction: 'mean' | 'sum', lr: number) => {
      const model = network(dense({ units: 2 }))
      const trainer = new Trainer(model, { loss: crossEntropy({ reduction }), optimizer: sgd({ lr }), batch: 8 })
      const losses = (await trainer.fit(data, { epochs: 3 })).map(({ loss }) => loss)
      return [...losses, (await trainer.evaluate(data)).loss, ...weightsOf(model)]
    }
    expect(await trained('sum', 0.05)).toEqual((await trained('mean', 0.2)).map((v) => expect.closeTo(v, 5)))
  })

  it('takes any metrics, each made anew', async () => {
    const data = points(3, 100, same)
    let made = 0
    const counted = (): Metric => {
      made++
      return topK(2)
    }
    const trainer = new Trainer(network(dense({ units: 2 })), { metrics: [accuracyOf, auc, counted] })
    const [result] = await trainer.fit(data, { epochs: 1, validation: data })
    for (const { metrics } of [result, result.validation!]) {
      expect(Object.keys(metrics)).toEqual(['accuracy', 'auc', 'top2'])
      expect(metrics.auc).toBeGreaterThan(0)
      expect(metrics.top2).toBe(1)
    }
    expect(made).toBe(2)
    const none = await new Trainer(network(dense({ units: 2 })), { metrics: [] }).fit(data, { epochs: 1 })
    expect(none[0].metrics).toEqual({})
    const twice = new Trainer(network(dense({ units: 2 })), { metrics: [auc, auc] })
    await expect(twice.fit(data, { epochs: 1 })).rejects.toThrow('Trainer: there are two metrics "auc".')
    const both = new Trainer(network(dense({ units: 2 })), { metrics: [recall, () => recall({ class: 1 })] })
    const named = await both.evaluate(data)
    expect(Object.keys(named.metrics)).toEqual(['recall', 'recall1'])
  })

  it('an embedding learns from integers', async () => {
    // The class is the parity of the first of two words of seven.
    const random = new Random(4)
    const x = Int32Array.from({ length: 400 }, () => random.integer(7))
    const data = makeDataset({ x, y: Int32Array.from({ length: 200 }, (_, i) => x[2 * i] % 2), shape: [2], classes: 2 })
    const net = sequential(embedding({ count: 7, units: 3 }), flatten(), dense({ units: 2 }))
    const model = new Model(net(input([2], { dtype: 'i32' })), { seed: 2 })
    await new Trainer(model, { optimizer: adam({ lr: 0.05 }) }).fit(data, { epochs: 20 })
    expect((await model.evaluate(data)).accuracy).toBe(1)
    const floats = { ...data, x: Float32Array.from(x) }
    await expect(new Trainer(model).fit(floats, { epochs: 1 })).rejects.toThrow(/wants integers. Copy them into an Int32Array/)
  })

  /** The second input decides whether the sign of the first counts. */
  function twoInputs(names: [string, string]) {
    const [a, b] = names.map((name, i) => input([[1], [3]][i], { name }))
    const wide = dense({ units: 8, activation: 'relu' })(concat()(dense({ units: 4 })(a), dense({ units: 4 })(b)))
    return new Model(dense({ units: 2 })(wide), { seed: 3 })
  }
  function twoInputsData(first: 0 | 1, name: string) {
    const random = new Random(5)
    const a = { x: Float32Array.from({ length: 300 }, () => random.uniform(-1, 1)), shape: [1] }
    const b = { x: Int32Array.from({ length: 900 }, () => random.integer(2)), shape: [3] }
    const y = Int32Array.from({ length: 300 }, (_, i) => +(a.x[i] > 0 !== (b.x[3 * i + 1] === 1)))
    return makeDataset({ ...(first ? b : a), y, classes: 2, others: { [name]: first ? a : b } })
  }

  it('several inputs have samples by name, whichever is the first', async () => {
    const trained: number[][] = []
    for (const [names, of, other] of [
      [['a', 'b'], 0, 'b'],
      [['a', 'b'], 1, 'a'],
      [['labels', '__proto__'], 0, '__proto__'],
    ] as const) {
      const model = twoInputs([...names])
      const data = twoInputsData(of, other)
      const [part, rest] = split(data, 0.5, 1)
      const trainer = new Trainer(model, { optimizer: adam({ lr: 0.02 }), batch: 16 })
      await trainer.fit(part, { epochs: 30, validation: rest })
      expect((await model.evaluate(rest)).accuracy).toBeGreaterThan(0.9)
      expect((await trainer.evaluate(rest)).metrics.accuracy).toBe((await model.evaluate(rest)).accuracy)
      trained.push(weightsOf(model))
    }
    expect(trained[1]).toEqual(trained[0])
    expect(trained[2]).toEqual(trained[0])
    const attempt = (data: Dataset, model = twoInputs(['a', 'b'])) => new Trainer(model).fit(data, { epochs: 1 })
    await expect(attempt(twoInputsData(0, 'c'))).rejects.toThrow(/it has samples for 2 inputs, model "model" has "a", "b"/)
    await expect(attempt({ ...twoInputsData(0, 'b'), others: undefined })).rejects.toThrow(/it has samples for 1 inputs/)
    await expect(attempt(twoInputsData(0, 'a'))).rejects.toThrow(
      /samples have shape \[3\], input "a" of model "model" wants \[1\]/,
    )
  })

  it('an input that leads to another output only is left alone', async () => {
    const [a, b] = [input([2], { name: 'a' }), input([2], { name: 'b' })]
    const shared = dense({ units: 2, name: 'shared' })
    const model = new Model([shared(a), add()(shared(a), shared(b))], { seed: 1 })
    const data = { ...points(1, 40, same), others: { b: { x: new Float32Array(80), shape: [2] } } }
    const alone = new Model(dense({ units: 2, name: 'shared' })(input([2])), { seed: 1 })
    await new Trainer(model).fit(data, { epochs: 2 })
    await new Trainer(alone).fit(points(1, 40, same), { epochs: 2 })
    expect(weightsOf(model)).toEqual(weightsOf(alone))
  })

  it('data that do not fit the loss are refused', async () => {
    const attempt = (data: Dataset, options: TrainerOptions = {}) =>
      new Trainer(network(dense({ units: 2 })), options).fit(data, { epochs: 1 })
    await expect(attempt(points(1, 9, same), { loss: huber() })).rejects.toThrowErrorMatchingInlineSnapshot(
      `[DunlinError: training data: it has class labels, huber on model "model" wants targets of shape [2]. Make the data with target: [2].]`,
    )
    await expect(
      attempt(
        points(1, 9, (a) => [a], { target: [1] }),
        { loss: huber() },
      ),
    ).rejects.toThrow(/it has targets of shape \[1\], huber/)
    await expect(attempt(points(1, 9, (a) => [a], { target: [1] }))).rejects.toThrowErrorMatchingInlineSnapshot(
      `[DunlinError: training data: it has targets of shape [1], crossEntropy wants class labels. Make the data with classes, or choose another loss.]`,
    )
    const trainer = (options: TrainerOptions) => () => new Trainer(network(dense({ units: 2 })), options)
    expect(trainer({ accumulate: 0 })).toThrow('Trainer: accumulate wants a positive integer, got 0.')
    expect(trainer({ classWeights: [1] })).toThrow('Trainer: got 1 classWeights for 2 classes. Give one for each class.')
    expect(trainer({ classWeights: [1, -1] })).toThrow(/class 1 has -1/)
    expect(trainer({ classWeights: [1, 1], loss: huber() })).toThrow(/classWeights are for labels; huber has other targets/)
  })
})

describe('weights', () => {
  const step = { batch: 64, optimizer: sgd({ lr: 0.5 }) }

  it('of samples: a sample of weight 2 is there twice, one of weight 0 is not there', async () => {
    const data = points(3, 20, same)
    const counts = Array.from({ length: 20 }, (_, i) => i % 3)
    const many = subset(
      data,
      counts.flatMap((n, i) => Array(n).fill(i)),
    )
    const [weighed, repeated] = [network(dense({ units: 2 })), network(dense({ units: 2 }))]
    const one = new Trainer(weighed, step)
    const two = new Trainer(repeated, step)
    const a = await one.fit({ ...data, weights: Float32Array.from(counts) }, { epochs: 3 })
    const b = await two.fit(many, { epochs: 3 })
    expect(a.map((r) => r.loss)).toEqual(b.map((r) => expect.closeTo(r.loss, 5)))
    expect(weightsOf(weighed)).toEqual(weightsOf(repeated).map((w) => expect.closeTo(w, 5)))
    const [scores, wanted] = [await one.evaluate({ ...data, weights: Float32Array.from(counts) }), await two.evaluate(many)]
    expect(scores.loss).toBeCloseTo(wanted.loss, 5)
  })

  it('of classes are weights of their samples, in training only', async () => {
    const data = points(3, 50, (a) => +(a > 0.6))
    const classWeights = [0.5, 3]
    const weights = Float32Array.from(data.y, (label) => classWeights[label])
    const [one, two] = [network(dense({ units: 2 })), network(dense({ units: 2 }))]
    const trainer = new Trainer(one, { ...step, batch: 8, classWeights })
    const a = await trainer.fit(data, { epochs: 3, validation: data })
    const b = await new Trainer(two, { ...step, batch: 8 }).fit({ ...data, weights }, { epochs: 3, validation: data })
    expect(a).toEqual(b)
    expect(weightsOf(one)).toEqual(weightsOf(two))
    expect(a[2].validation).toEqual(await new Trainer(one, { batch: 8 }).evaluate(data))
  })
})

describe('accumulate', () => {
  it.each<[string, () => Model, TrainerOptions]>([
    ['sgd', () => network(dense({ units: 2 })), { optimizer: sgd({ lr: 0.3, momentum: 0.9 }) }],
    ['adam, clipped', () => network(dense({ units: 2 })), { optimizer: adam({ lr: 0.02, clipNorm: 0.5, weightDecay: 0.01 }) }],
    ['class weights', () => network(dense({ units: 2 })), { optimizer: sgd({ lr: 0.3 }), classWeights: [0.2, 2] }],
    ['a sum', () => network(dense({ units: 2 })), { loss: crossEntropy({ reduction: 'sum' }), optimizer: sgd({ lr: 0.02 }) }],
  ])('of k batches is one of k times the size, within rounding (%s)', async (_, make, options) => {
    // 45 samples: the last step of 16 has 13, in batches of 4 three full ones and a part; of 7, none is a divisor.
    const data = { ...points(3, 45, same), weights: Float32Array.from({ length: 45 }, (_, i) => (i % 4) / 2) }
    const trained = async (batch: number, accumulate: number) => {
      const model = make()
      const history = await new Trainer(model, { ...options, batch, accumulate }).fit(data, { epochs: 4 })
      return { weights: weightsOf(model), losses: history.map((r) => r.loss), metrics: history[0].metrics }
    }
    for (const [batch, k] of [
      [4, 4],
      [7, 3],
      [1, 5],
    ]) {
      const [one, many] = [await trained(batch * k, 1), await trained(batch, k)]
      expect(many.weights).toEqual(one.weights.map((w) => expect.closeTo(w, 4)))
      expect(many.losses).toEqual(one.losses.map((l) => expect.closeTo(l, 4)))
      expect(many.metrics).toEqual(one.metrics)
    }
  })

  it('drops others in each of its batches', async () => {
    // A weight moves where its input is not dropped in both batches: about 16 of 64 stay, with the same mask twice 32.
    const x = input([64])
    const model = () => new Model(dense({ units: 2, bias: false })(dropout({ rate: 0.5 })(x)), { seed: 1 })
    const data = makeDataset({ x: new Float32Array(128).fill(1), y: [0, 0], shape: [64], classes: 2 })
    const moved = async (options: TrainerOptions) => {
      const m = model()
      const before = weightsOf(m)
      await new Trainer(m, { optimizer: sgd({ lr: 1 }), ...options }).fit(data, { epochs: 1 })
      return weightsOf(m).filter((w, i) => i < 64 && w === before[i]).length
    }
    expect(await moved({ batch: 1, accumulate: 2 })).toBeLessThan(30)
  })
})

describe('frozen', () => {
  const build = () => {
    const x = input([8, 8, 1])
    const body = sequential(
      conv2d({ filters: 4, kernel: 3, name: 'conv1' }),
      batchNorm({ activation: 'relu', name: 'bn1' }),
      conv2d({ filters: 4, kernel: 3, name: 'conv2' }),
      batchNorm({ activation: 'relu', name: 'bn2' }),
      globalAvgPool2d(),
      flatten(),
      dense({ units: 10, name: 'head' }),
    )
    return new Model(body(x), { seed: 1 })
  }
  const data = first(digits, 128)

  it('parameters stay, statistics too; the others learn', async () => {
    const model = build()
    await new Trainer(model).fit(data, { epochs: 1 })
    const before = new Map(model.params.map((p) => [p.name, [...p.data]]))
    const frozen = (name: string) => name.startsWith('conv1/') || name.startsWith('bn1/')
    await new Trainer(model, { frozen, optimizer: adam({ lr: 0.01, weightDecay: 0.1 }) }).fit(data, { epochs: 1 })
    for (const p of model.params) expect(String([...p.data]) === String(before.get(p.name)), p.name).toBe(frozen(p.name))
  })

  it('a frozen batchNorm normalizes as in inference', async () => {
    const model = build()
    await new Trainer(model).fit(data, { epochs: 2 })
    const trainer = new Trainer(model, { frozen: () => false, optimizer: sgd({ lr: 0 }) })
    const still = new Trainer(model, { frozen: (name) => name !== 'head/w', optimizer: sgd({ lr: 0 }) })
    const wanted = (await trainer.evaluate(data)).loss
    expect((await still.fit(data, { epochs: 1 }))[0].loss).toBeCloseTo(wanted, 5)
    expect(Math.abs((await trainer.fit(data, { epochs: 1 }))[0].loss - wanted)).toBeGreaterThan(1e-4)
  })

  it('no gradient is computed for what has nothing to learn before it', () => {
    const calls = (frozen: (name: string) => boolean) =>
      unrolled(new Trainer(build(), { frozen }).plan().calls).map((c) => c.kernel)
    const count = (list: string[], kernel: RegExp) => list.filter((name) => kernel.test(name)).length
    const [all, head, second] = [() => false, (n: string) => !n.startsWith('head'), (n: string) => /^(conv|bn)1/.test(n)].map(
      calls,
    )
    expect([all, second, head].map((list) => count(list, /conv2d_f32_dw|conv1d_f32_dw/))).toEqual([2, 1, 0])
    expect([all, second, head].map((list) => count(list, /batchNorm_f32_sums/))).toEqual([2, 1, 0])
    expect([all, second, head].map((list) => count(list, /batchNorm_f32_statistics/))).toEqual([2, 1, 0])
    expect(count(head, /adam_f32/)).toBe(2)
    expect(() => calls(() => true)).toThrow('Nothing to train: the loss depends on no trainable parameter.')
  })

  it('all but the new head: the first layers of a trained network help with little data', async () => {
    const model = tinyCnn({ shape: [8, 8, 1], classes: 10, seed: 1 })
    await new Trainer(model, { optimizer: adam({ lr: 0.01 }) }).fit(first(digits, 1000), { epochs: 8 })
    const head = model.nodes.at(-1) as Node
    const moved = new Model(dense({ units: 10, name: 'new' })(head.inputs[0]), { seed: 9 })
    const few = subset(
      digits,
      [...Array(100).keys()].map((i) => 1000 + i),
    )
    await new Trainer(moved, { frozen: (n) => !n.startsWith('new/'), optimizer: adam({ lr: 0.02 }) }).fit(few, { epochs: 30 })
    const rest = subset(
      digits,
      [...Array(600).keys()].map((i) => 1150 + i),
    )
    expect((await moved.evaluate(rest)).accuracy).toBeGreaterThan(0.8)
  })
})

describe('divergence', () => {
  const data = points(3, 40, same)

  it.each<[string, Model, Dataset, TrainerOptions, RegExp]>([
    [
      'a value',
      network(dense({ units: 2, name: 'out' })),
      { ...data, x: Float32Array.from(data.x, (v) => v * 3e38) },
      { batch: 8 },
      /in epoch 1, step 1 \(learning rate .*\): the loss is (NaN|Infinity|-Infinity), the first value that is not finite is that of dense "dense"/,
    ],
    [
      'an augmented input',
      network(dense({ units: 2 })),
      data,
      { batch: 8, augment: [(sample, _, random) => void (sample[0] = random.integer(12) ? 1 : Number.NaN)] },
      /the loss is NaN, the first value that is not finite is that of input "input"/,
    ],
    [
      'weights that a step has spoiled',
      network(dense({ units: 2, name: 'out' })),
      data,
      { batch: 8, accumulate: 2, optimizer: sgd({ lr: 1 }), schedule: (step) => (step === 1 ? 1e39 : 0) },
      /in epoch 1, step 3 .*the weights "dense\/w" of dense "dense" are not finite since the step before/,
    ],
    [
      'weights after the last step of an epoch',
      network(dense({ units: 2, name: 'out' })),
      data,
      { batch: 20, optimizer: sgd({ lr: 1 }), schedule: (step) => (step === 1 ? 1e39 : 0) },
      /in epoch 1, step 2: the weights "dense\/w" are not finite/,
    ],
  ])('names the step and the layer: %s', async (_, model, set, options, message) => {
    const before = weightsOf(model)
    const trainer = new Trainer(model, options)
    const fitting = trainer.fit(set, { epochs: 3 })
    await expect(fitting).rejects.toThrow(DunlinError)
    await expect(fitting).rejects.toThrow(message)
    await expect(fitting).rejects.toThrow('The model has the weights from before this epoch.')
    expect(weightsOf(model)).toEqual(before)
    expect(() => trainer.checkpoint()).toThrow(/nothing was trained/)
  })

  it('is named behind a batchNorm, whose statistics the step has spoiled', async () => {
    const x = input([2])
    const model = new Model(sequential(dense({ units: 4, name: 'first' }), batchNorm(), relu(), dense({ units: 2 }))(x), {
      seed: 1,
    })
    model.params[0].data[0] = 3e38
    const big = { ...data, x: Float32Array.from(data.x, (v) => v * 100) }
    await expect(new Trainer(model, { batch: 8 }).fit(big, { epochs: 1 })).rejects.toThrow(/that of dense "first"/)
    expect(model.params.at(-3)!.data.every(Number.isFinite)).toBe(true)
  })

  it('a checkpoint of weights that are not finite is refused', async () => {
    const trainer = new Trainer(network(dense({ units: 2 })), { batch: 8, optimizer: sgd({ lr: 1e39 }) })
    const callbacks: Callback[] = [{ settled: () => void trainer.checkpoint() }]
    await expect(trainer.fit(data, { epochs: 1, callbacks })).rejects.toThrow(
      /diverged in epoch 1, step 1: the weights "dense\/w" are not finite/,
    )
  })
})

describe('stops', () => {
  const data = points(3, 64, same)

  it('an abort rejects with its reason, between two steps; the model has the weights of then', async () => {
    const weightsAfter = async (steps: number) => {
      const model = network(dense({ units: 2 }))
      const controller = new AbortController()
      let seen = 0
      const trainer = new Trainer(model, { batch: 8 })
      const callbacks: Callback[] = [{ step: () => void (++seen === steps && controller.abort(new Error('enough'))) }]
      await expect(trainer.fit(data, { epochs: 4, callbacks, signal: controller.signal })).rejects.toThrow('enough')
      return { weights: weightsOf(model), seen, trainer, model }
    }
    const { weights, seen } = await weightsAfter(11)
    expect(seen).toBe(11)
    expect(weights).not.toEqual((await weightsAfter(10)).weights)
    expect(weights).toEqual((await weightsAfter(11)).weights)
    // And it may be trained on.
    const { trainer, model } = await weightsAfter(5)
    expect((await trainer.fit(data, { epochs: 2 })).length).toBe(2)
    expect(weightsOf(model).every(Number.isFinite)).toBe(true)
  })

  it('an abort before the begin, in the yield and in the validation', async () => {
    const model = network(dense({ units: 2 }))
    const before = weightsOf(model)
    const trainer = new Trainer(model, { batch: 1 })
    const gone = AbortSignal.abort()
    await expect(trainer.fit(data, { epochs: 1, signal: gone })).rejects.toBe(gone.reason)
    expect(weightsOf(model)).toEqual(before)
    const soon = new AbortController()
    const first = { step: () => void setTimeout(() => soon.abort(), 0) }
    await expect(trainer.fit(data, { epochs: 1e6, callbacks: [first], signal: soon.signal })).rejects.toThrow(/aborted/)
    expect(weightsOf(model)).not.toEqual(before)
    const many = points(4, 400_000, same)
    let ticks = 0
    const timer = setInterval(() => ticks++, 1)
    const controller = new AbortController()
    const late = {
      step: () => void setTimeout(() => controller.abort(), 60),
    }
    const fitting = trainer.fit(data, { epochs: 1, validation: many, callbacks: [late], signal: controller.signal })
    await expect(fitting).rejects.toThrow(/aborted/)
    clearInterval(timer)
    expect(ticks).toBeGreaterThan(0)
  })

  it('only one fit at a time', async () => {
    const trainer = new Trainer(network(dense({ units: 2 })))
    const one = trainer.fit(data, { epochs: 1 })
    expect(() => trainer.resume(new Uint8Array(9))).toThrow(/this trainer is training/)
    await expect(trainer.fit(data, { epochs: 1 })).rejects.toThrow(/training already/)
    expect((await one).length).toBe(1)
    expect((await trainer.fit(data, { epochs: 1 })).length).toBe(1)
  })

  it('early stopping goes back to the best epoch', async () => {
    const model = network(dense({ units: 2 }))
    const after: number[][] = []
    const losses = [5, 4, 3, 3.5, 2.95, 3, 3, 1]
    const keep: Callback = { epochEnd: () => void after.push(weightsOf(model)) }
    const stop = earlyStopping({ patience: 4, minDelta: 0.1, monitor: (r) => losses[r.epoch - 1] })
    const history = await new Trainer(model, { batch: 8 }).fit(data, { epochs: 8, callbacks: [keep, stop] })
    expect(history.length).toBe(7)
    expect(weightsOf(model)).toEqual(after[2])
    expect(stop.state.best).toBe(3)
    // It goes back in the end, too, when it was not early.
    const late = earlyStopping({ patience: 9, monitor: (r) => Math.abs(r.epoch - 2) })
    after.length = 0
    expect((await new Trainer(model, { batch: 8 }).fit(data, { epochs: 4, callbacks: [keep, late] })).length).toBe(4)
    expect(weightsOf(model)).toEqual(after[1])
  })

  it('early stopping looks at the validation loss, else at the loss, and bears NaN', () => {
    const told = (results: Partial<EpochResult>[]) => {
      const callback = earlyStopping({ patience: 2 })
      return results.map((r, i) => callback.epochEnd?.({ epoch: i + 1, loss: 0, metrics: {}, ...r }, undefined as never))
    }
    const validation = (loss: number) => ({ loss: -1, validation: { loss, metrics: {} } })
    expect(told([validation(2), validation(3), validation(1), validation(1), validation(1)]).indexOf('stop')).toBe(4)
    expect(told([{ loss: Number.NaN }, { loss: 3 }, { loss: Number.NaN }, { loss: 3 }]).indexOf('stop')).toBe(3)
    expect(() => earlyStopping({ patience: 0 })).toThrow(DunlinError)
    expect(() => earlyStopping({ minDelta: -1 })).toThrow(DunlinError)
  })

  it('tells when things settle: after all were told', async () => {
    const log: string[] = []
    const teller = (name: string): Callback => ({
      begin: (training) => void log.push(`${name} begin ${training.checkpoint().length > 100}`),
      step: (p) => void log.push(`${name} step ${p.step} ${Object.keys(p.metrics)}`),
      epochEnd: () => void log.push(`${name} epoch`),
      settled: () => void log.push(`${name} settled`),
      end: () => void log.push(`${name} end`),
    })
    await new Trainer(network(dense({ units: 2 })), { batch: 32 }).fit(data, { epochs: 1, callbacks: [teller('a'), teller('b')] })
    const both = (what: string) => [`a ${what}`, `b ${what}`]
    expect(log).toEqual([
      ...both('begin true'),
      ...both('settled'),
      ...both('step 1 accuracy'),
      ...both('settled'),
      ...both('step 2 accuracy'),
      ...both('epoch'),
      ...both('settled'),
      ...both('end'),
    ])
  })
})

it('augments the samples of x only, and leaves the data as they are', async () => {
  const data = first(digits, 64)
  const kept = data.x.slice()
  const [a, b] = [input([8, 8, 1], { name: 'a' }), input([8, 8, 1], { name: 'b' })]
  const model = new Model(dense({ units: 10 })(flatten()(reshape({ shape: [64] })(add()(a, b)))), { seed: 1 })
  const seen: number[] = []
  const others = { b: { x: new Uint8Array(64 * 64), shape: [8, 8, 1] } }
  await new Trainer(model, { augment: [shift(1), (sample) => void seen.push(sample.length)] }).fit(
    { ...data, others },
    { epochs: 1 },
  )
  expect(seen).toEqual(Array(64).fill(64))
  expect(data.x).toEqual(kept)
})
