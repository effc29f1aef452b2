// Streams: what is drawn from them trains to the same bits as the same samples in memory, goes on from a checkpoint, is read no further than
// it should be, and is refused by the place of a bad sample.

import { describe, expect, it } from 'vitest'
import { type Augmentation, shift } from '../src/data/augment'
import { type Dataset, makeDataset } from '../src/data/dataset'
import { type Stream, StreamReader, type StreamSample, stream } from '../src/data/stream'
import { DunlinError } from '../src/graph/error'
import { input } from '../src/graph/node'
import { Random } from '../src/graph/random'
import { Model } from '../src/model/model'
import { sequential } from '../src/model/sequential'
import { batchNorm } from '../src/ops/batchNorm'
import { conv2d } from '../src/ops/conv2d'
import { dense } from '../src/ops/dense'
import { embedding } from '../src/ops/embedding'
import { flatten } from '../src/ops/reshape'
import type { Callback, Progress } from '../src/train/callbacks'
import { meanSquaredError } from '../src/train/losses'
import { Trainer, type TrainerOptions } from '../src/train/trainer'

const COUNT = 37
const SHAPE = [3, 4, 1]
const EACH = 12
const random = new Random(1)
const weights = Float32Array.from({ length: COUNT }, () => random.uniform(0.5, 2))
/** The first value of sample i is i. */
const x = Float32Array.from({ length: COUNT * EACH }, (_, i) => (i % EACH ? random.normal() : i / EACH))
const labels = makeDataset({ x, y: Array.from(weights, (_, i) => i % 5), shape: SHAPE, classes: 5, weights })
const targets = makeDataset({ x, y: Array.from({ length: 2 * COUNT }, () => random.normal()), shape: SHAPE, target: [2] })

const network = (units: number) =>
  new Model(sequential(flatten(), dense({ units: 6, activation: 'relu' }), dense({ units }))(input(SHAPE)), { seed: 3 })
/** What fills up a last batch has no weight, but batchNorm sees it. */
const normalizing = () =>
  new Model(
    sequential(
      conv2d({ filters: 3, kernel: 2 }),
      batchNorm({ activation: 'relu' }),
      flatten(),
      dense({ units: 5 }),
    )(input(SHAPE)),
    {
      seed: 3,
    },
  )
const bitsOf = (model: Model) => model.params.map((p) => [...p.data])
const sampleOf = (data: Dataset, i: number): StreamSample => ({
  x: data.x.subarray(i * EACH, (i + 1) * EACH),
  y: data.target ? data.y.subarray(i * 2, i * 2 + 2) : data.y[i],
  ...(data.weights && { weight: data.weights[i] }),
})
/** The data as a stream, in an order for each epoch. */
const like = (data: Dataset, samples: Stream['samples'], more: { shuffle?: number; prefetch?: number } = {}) =>
  stream({
    ...{ shape: SHAPE, count: data.count, samples, source: 'made', ...more },
    ...(data.target ? { target: data.target } : { classes: data.classes }),
  })

/** Ways to give the samples `indices` of an epoch. */
const WAYS: Record<string, (data: Dataset, indices: (epoch: number) => number[]) => Stream['samples']> = {
  'a list': (data, indices) => (epoch) => indices(epoch).map((i) => sampleOf(data, i)),
  'a generator that uses one array': (data, indices) =>
    function* (epoch) {
      const one = new Float32Array(EACH)
      for (const i of indices(epoch)) {
        one.set(sampleOf(data, i).x as Float32Array)
        yield { ...sampleOf(data, i), x: one }
      }
      one.fill(Number.NaN)
    },
  'an async generator': (data, indices) =>
    async function* (epoch) {
      for (const i of indices(epoch)) {
        if (i % 7 === 0) await new Promise((resolve) => setTimeout(resolve, i % 3))
        yield sampleOf(data, i)
      }
    },
}

describe('training', () => {
  const cases: [string, Dataset, TrainerOptions, (() => Model)?][] = [
    ['batchNorm', labels, { batch: 8 }, normalizing],
    ['batchNorm, an epoch of less than a step', labels, { batch: 16, accumulate: 4 }, normalizing],
    ['labels and weights', labels, { batch: 8 }],
    [
      'accumulated gradients, augmentation, class weights',
      labels,
      { batch: 4, accumulate: 3, augment: [shift(1)], classWeights: [1, 2, 3, 4, 5] },
    ],
    ['targets, one step an epoch', targets, { batch: 64, loss: meanSquaredError() }],
  ]
  it.each(
    cases.flatMap(([name, data, options, made]) => Object.keys(WAYS).map((way) => [name, data, options, way, made] as const)),
  )(
    'has the bits of the same samples in memory: %s, by %4$s',
    async (_, data, options, way, made = () => network(data.target ? 2 : 5)) => {
      const seen: number[] = []
      const look: Augmentation = (sample) => void seen.push(sample[0])
      const { augment = [] } = options
      const trainer = new Trainer(made(), { seed: 9, ...options, augment: [look, ...augment] })
      const history = await trainer.fit(data, { epochs: 3, validation: data })
      // What fills up the last batch of an epoch is drawn, too.
      const batch = options.batch as number
      const each = Math.ceil(COUNT / batch) * batch
      const orders = [0, 1, 2].map((e) => seen.slice(e * each, e * each + COUNT))
      expect(orders.map((o) => new Set(o).size)).toEqual([COUNT, COUNT, COUNT])

      const again = new Trainer(made(), { seed: 9, ...options, augment: [() => {}, ...augment] })
      const drawn = like(
        data,
        WAYS[way](data, (epoch) => orders[epoch - 1]),
      )
      const held = like(
        data,
        WAYS[way](data, () => [...Array(COUNT).keys()]),
      )
      expect(await again.fit(drawn, { epochs: 3, validation: held })).toEqual(history)
      expect(bitsOf(again.model)).toEqual(bitsOf(trainer.model))
      expect(await again.evaluate(held)).toEqual(await trainer.evaluate(data))
    },
  )

  it('takes integers where the model wants them', async () => {
    const model = new Model(
      sequential(embedding({ count: 9, units: 3 }), flatten(), dense({ units: 2 }))(input([4], { dtype: 'i32' })),
    )
    const samples = () => [0, 1, 2].map((i) => ({ x: [i, 8 - i, 3, 4], y: i % 2 }))
    const words = stream({ shape: [4], classes: 2, count: 3, samples, dtype: 'i32' })
    const history = await new Trainer(model, { batch: 2 }).fit(words, { epochs: 2 })
    expect(history[1].loss).toBeLessThan(history[0].loss)
    await expect(new Trainer(model).evaluate(stream({ shape: [4], classes: 2, count: 3, samples }))).rejects.toThrow(
      /^data: samples are floats, input "input" of model "model" wants integers/,
    )
  })

  it('refuses what does not fit the model, before a sample is drawn', async () => {
    const samples = () => expect.unreachable()
    const trainer = new Trainer(network(5))
    await expect(trainer.fit(stream({ shape: [2], classes: 5, count: 9, samples }), { epochs: 1 })).rejects.toThrow(
      /^training data: samples have shape \[2\], input "input" of model "model" wants \[3,4,1\]/,
    )
    await expect(trainer.evaluate(stream({ shape: SHAPE, classes: 6, count: 9, samples }))).rejects.toThrow(/it has 6 classes/)
  })

  it('tells how long it waited for data', async () => {
    const seen: Progress[] = []
    const look: Callback = { step: (p) => void seen.push(p), epochEnd: (_, p) => void seen.push(p) }
    const slow = WAYS['an async generator'](labels, () => [...Array(COUNT).keys()])
    await new Trainer(network(5), { batch: 16 }).fit(like(labels, slow), { epochs: 2, callbacks: [look] })
    expect(seen.length).toBe(8)
    for (const { waiting, seconds } of seen) {
      expect(waiting).toBeGreaterThan(0)
      expect(waiting).toBeLessThanOrEqual(seconds)
    }
    expect(seen[0].waiting).toBeLessThanOrEqual(seen[1].waiting)
  })
})

describe('going on', () => {
  const inOrder = (epoch: number) => [...Array(COUNT).keys()].map((i) => (i + epoch) % COUNT)
  const options: TrainerOptions = { batch: 5, accumulate: 2, seed: 4, augment: [shift(1, { subpixel: true })] }

  it.each(Object.keys(WAYS))('from any step gives the bits of an unbroken training: %s, mixed', async (way) => {
    const data = () => like(labels, WAYS[way](labels, inOrder), { shuffle: 11 })
    const whole = new Trainer(network(5), options)
    const kept: Uint8Array[] = []
    const history = await whole.fit(data(), { epochs: 3, callbacks: [{ settled: () => void kept.push(whole.checkpoint()) }] })
    expect(kept.length).toBe(1 + 3 * 4)
    for (const [i, checkpoint] of kept.entries()) {
      const trainer = new Trainer(network(5), options)
      trainer.resume(checkpoint)
      expect(await trainer.fit(data(), { epochs: 3 }), `after step ${i}`).toEqual(history)
      expect(bitsOf(trainer.model), `after step ${i}`).toEqual(bitsOf(whole.model))
    }
  })

  it('is refused when the stream is mixed otherwise or gives other samples', async () => {
    const trainer = new Trainer(network(5), options)
    const stop = new AbortController()
    const data = (shuffle: number, order = inOrder) => like(labels, WAYS['a list'](labels, order), { shuffle })
    const first = trainer.fit(data(7), {
      epochs: 2,
      signal: stop.signal,
      callbacks: [{ step: ({ step }) => step === 2 && stop.abort() } as Callback],
    })
    await expect(first).rejects.toThrow('aborted')
    const checkpoint = trainer.checkpoint()
    const resumed = () => {
      const t = new Trainer(network(5), options)
      t.resume(checkpoint, 'kept')
      return t
    }
    await expect(resumed().fit(data(8), { epochs: 2 })).rejects.toThrow(
      /^kept: it is of another training: shuffle of the stream is 8/,
    )
    await expect(
      resumed().fit(
        data(7, (e) => inOrder(e + 1)),
        { epochs: 2 },
      ),
    ).rejects.toThrow(/^The stream gave other samples in epoch 1 than before the checkpoint, of 2 steps/)
    expect((await resumed().fit(data(7), { epochs: 2 })).length).toBe(2)
  })
})

describe('reading', () => {
  /** The first values of what a reader gives in an epoch. */
  async function drawn(reader: StreamReader, epoch: number, seed?: number): Promise<number[]> {
    reader.begin(epoch, seed)
    const got: number[] = []
    while (got.length < COUNT) {
      await reader.take()
      for (let i = 0; i < reader.at; i++) got.push(reader.data.x[i * EACH])
    }
    return got
  }
  const all = [...Array(COUNT).keys()]

  it.each(Object.keys(WAYS))('mixes by a seed, and never further than its buffer reaches: %s', async (way) => {
    for (const shuffle of [0, 1, 2, 8, COUNT, 1000]) {
      const reader = new StreamReader(
        like(
          labels,
          WAYS[way](labels, () => all),
          { shuffle },
        ),
        6,
      )
      const got = await drawn(reader, 1, 5)
      expect([...got].sort((a, b) => a - b)).toEqual(all)
      for (const [at, sample] of got.entries()) expect(sample, `shuffle ${shuffle}`).toBeLessThan(at + Math.max(1, shuffle))
      expect(await drawn(reader, 2, 5)).toEqual(got)
      expect(await drawn(reader, 3)).toEqual(all)
      if (shuffle > 2) expect(await drawn(reader, 4, 6)).not.toEqual(got)
      else if (shuffle < 2) expect(got).toEqual(all)
    }
  })

  it('reads ahead as far as it was told, no further than an epoch, and closes what it reads', async () => {
    let read = 0
    let closed = 0
    async function* endless() {
      try {
        for (let i = 0; ; i++) {
          read++
          yield sampleOf(labels, i % COUNT)
        }
      } finally {
        closed++
      }
    }
    const rest = () => new Promise((resolve) => setTimeout(resolve, 5))
    const reader = new StreamReader(like(labels, endless, { prefetch: 2 }), 6)
    reader.begin(1)
    await rest()
    expect(read).toBe(18)
    await reader.take()
    await rest()
    expect(read).toBe(18)
    await reader.take()
    await rest()
    expect(read).toBe(24)
    for (let i = 0; i < 5; i++) await reader.take()
    await rest()
    expect([read, closed, reader.at]).toEqual([COUNT, 1, 1])
    reader.begin(2)
    await reader.take()
    reader.end()
    await rest()
    expect(closed).toBe(2)
  })

  it('is stopped by an abort while it waits', async () => {
    const stop = new AbortController()
    async function* stuck() {
      for (let i = 0; i < 10; i++) yield sampleOf(labels, i)
      setTimeout(() => stop.abort(), 1)
      await new Promise(() => {})
    }
    const trainer = new Trainer(network(5), { batch: 8 })
    await expect(trainer.fit(like(labels, stuck), { epochs: 1, signal: stop.signal })).rejects.toThrow('aborted')
    expect(trainer.checkpoint().length).toBeGreaterThan(100)
    await expect(trainer.evaluate(like(labels, stuck), { signal: stop.signal })).rejects.toThrow('aborted')
  })
})

describe('bad samples', () => {
  const good = (i: number) => sampleOf(labels, i)
  const float = { x: Float32Array.of(...Array(11).fill(0), Number.NaN), y: 0 }
  const cases: [string, (i: number) => unknown, string][] = [
    [
      'another size',
      (i) => (i === 20 ? { x: [1, 2], y: 0 } : good(i)),
      'made: epoch 1, sample 20 has 2 values, wanted the 12 of a sample [3,4,1].',
    ],
    ['no values', (i) => (i === 3 ? { y: 0 } : good(i)), 'made: epoch 1, sample 3 has no values'],
    ['nothing', (i) => (i === 3 ? undefined : good(i)), 'made: epoch 1, sample 3 has no values'],
    [
      'NaN',
      (i) => (i === 36 ? float : good(i)),
      'made: epoch 1, sample 36: value 11 of 12 is NaN, wanted a finite 32-bit number.',
    ],
    [
      'a label too high',
      (i) => ({ ...good(i), y: i === 4 ? 5 : 0 }),
      'made: epoch 1, sample 4 has label 5, wanted an integer in 0..4',
    ],
    ['a text as label', (i) => ({ ...good(i), y: i === 4 ? '1' : 0 }), 'made: epoch 1, sample 4 has label "1", wanted'],
    [
      'a weight below 0',
      (i) => ({ ...good(i), weight: 7 - i }),
      'made: epoch 1, sample 8 has weight -1, wanted a number from 0 on.',
    ],
  ]
  const ways: Record<string, (of: (i: number) => unknown, count?: number) => Stream['samples']> = {
    sync: (of, count = COUNT) =>
      function* () {
        for (let i = 0; i < count; i++) yield of(i) as StreamSample
      },
    async: (of, count = COUNT) =>
      async function* () {
        for (let i = 0; i < count; i++) yield of(i) as StreamSample
      },
  }
  it.each(cases.flatMap((c) => Object.keys(ways).map((way) => [...c, way] as const)))(
    '%s are named (%4$s)',
    async (_, of, message, way) => {
      for (const shuffle of [0, 9]) {
        const trainer = new Trainer(network(5), { batch: 4 })
        const fit = trainer.fit(like(labels, ways[way](of), { shuffle }), { epochs: 2 })
        await expect(fit).rejects.toThrow(DunlinError)
        await expect(fit).rejects.toThrow(message)
        await expect(trainer.evaluate(like(labels, ways[way](of)))).rejects.toThrow(message)
      }
    },
  )

  it.each(Object.keys(ways))('an epoch cut short is refused, with the weights of then (%s)', async (way) => {
    const model = network(5)
    const before = bitsOf(model)
    const trainer = new Trainer(model, { batch: 8 })
    const fit = trainer.fit(like(labels, ways[way](good, 30)), { epochs: 1 })
    await expect(fit).rejects.toThrow('made: samples(1) ended after 30, wanted 37 samples in an epoch.')
    expect(bitsOf(model)).not.toEqual(before)
  })

  it('what the reading itself throws comes through', async () => {
    const lost = new Error('disk')
    for (const wrap of [
      (f: () => Generator) => f,
      (f: () => Generator) =>
        async function* () {
          yield* f()
        },
    ]) {
      const samples = wrap(function* () {
        yield good(0)
        throw lost
      }) as Stream['samples']
      await expect(new Trainer(network(5), { batch: 2 }).fit(like(labels, samples), { epochs: 1 })).rejects.toBe(lost)
    }
    await expect(
      new Trainer(network(5)).fit(
        like(labels, () => 5 as never),
        { epochs: 1 },
      ),
    ).rejects.toThrow('made: samples(1) is not iterable')
  })

  it.each([
    ['no count', { count: 0 }],
    ['classes and a target', { target: [2] }],
    ['neither', { classes: undefined }],
    ['half a shuffle', { shuffle: 0.5 }],
    ['a strange dtype', { dtype: 'f64' as never }],
    ['a shape of 0', { shape: [0] }],
    ['too few names', { labels: ['a'] }],
    ['no samples', { samples: [] as never }],
  ])('stream refuses %s', (_, wrong) => {
    expect(() => stream({ shape: [2], classes: 2, count: 3, samples: () => [], ...wrong })).toThrow(DunlinError)
    expect(() => stream({ shape: [2], classes: 2, count: 3, samples: () => [], ...wrong })).toThrow(/^stream: /)
  })
})
