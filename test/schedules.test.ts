// Learning-rate schedules: the factors at chosen steps, what they do to one another, and what they refuse. (oneCycle and constant: train.)

import { describe, expect, it } from 'vitest'
import { input } from '../src/graph/node'
import { Model } from '../src/model/model'
import { dense } from '../src/ops/dense'
import type { EpochResult } from '../src/train/callbacks'
import { sgd } from '../src/train/optimizers'
import { constant, cosine, oneCycle, reduceOnPlateau, type Schedule, step, warmUp } from '../src/train/schedules'
import { Trainer } from '../src/train/trainer'

const at = (schedule: Schedule, steps: number, ...where: number[]) => where.map((i) => schedule(i, steps))
const close = (values: number[]) => values.map((v) => expect.closeTo(v, 12))

describe('step', () => {
  it('multiplies by the factor at every share of the run', () => {
    expect(at(step({ every: 1 / 3 }), 30, 0, 9, 10, 19, 20, 29)).toEqual(close([1, 1, 0.1, 0.1, 0.01, 0.01]))
    expect(at(step({ every: 0.5, factor: 0.3 }), 5, 0, 2, 3, 4)).toEqual(close([1, 1, 0.3, 0.3]))
    expect(at(step({ every: 1 }), 7, 0, 6)).toEqual([1, 1])
  })

  it('cuts at the step that the share is, whatever the rounding', () => {
    for (const parts of [3, 7, 10, 30, 49])
      for (const each of [1, 7, 10, 33])
        for (let k = 1; k < parts; k++) {
          const [before, after] = at(step({ every: 1 / parts, factor: 0.5 }), parts * each, k * each - 1, k * each)
          expect([before, after], `${k} of ${parts}, ${each} steps each`).toEqual([0.5 ** (k - 1), 0.5 ** k])
        }
  })
})

describe('cosine', () => {
  it('goes down in half a wave', () => {
    const wave = (x: number) => 0.5 * (1 + Math.cos(Math.PI * x))
    expect(at(cosine(), 100, 0, 25, 50, 75, 99)).toEqual(close([1, wave(0.25), 0.5, wave(0.75), wave(0.99)]))
    expect(at(cosine({ end: 0.2 }), 10, 0, 5, 10)).toEqual(close([1, 0.6, 0.2]))
  })

  it('may warm up first', () => {
    const schedule = cosine({ warmup: 0.2, start: 0.1 })
    expect(at(schedule, 100, 0, 10, 20, 60)).toEqual(close([0.1, 0.55, 1, 0.5]))
  })
})

describe('warmUp', () => {
  it('goes up in a line, then does as it is told on the steps that are left', () => {
    expect(at(warmUp({ warmup: 0.25, start: 0.2 }), 40, 0, 5, 10, 39)).toEqual(close([0.2, 0.6, 1, 1]))
    const falling = warmUp({ warmup: 0.2, start: 0, after: (i, steps) => 1 - i / steps })
    expect(at(falling, 50, 0, 5, 10, 30)).toEqual(close([0, 0.5, 1, 0.5]))
    expect(at(warmUp({ warmup: 0 }), 4, 0, 3)).toEqual([1, 1])
  })

  it('with a line down to 0 after it is one cycle', () => {
    const line = warmUp({ warmup: 0.3, start: 0.04, after: (i, steps) => 1 - i / steps })
    for (let i = 0; i < 50; i++) expect(line(i, 50)).toBeCloseTo(oneCycle()(i, 50), 12)
  })
})

describe('reduceOnPlateau', () => {
  const result = (loss: number, validation?: number): EpochResult => ({
    epoch: 1,
    loss,
    metrics: { accuracy: 0 },
    ...(validation !== undefined && { validation: { loss: validation, metrics: { accuracy: 0 } } }),
  })
  const told = (schedule: ReturnType<typeof reduceOnPlateau>, losses: number[]) =>
    losses.map((loss) => {
      schedule.epochEnd(result(loss))
      return schedule(0, 1)
    })

  it('cuts after so many epochs in a row without a new best, again and again, down to the minimum', () => {
    const schedule = reduceOnPlateau({ factor: 0.5, patience: 2, minimum: 0.2 })
    expect(schedule(0, 10)).toBe(1)
    expect(told(schedule, [5, 4, 4, 3, 3, 6, 3, 3, 3, 3, 2])).toEqual([1, 1, 1, 1, 1, 0.5, 0.5, 0.25, 0.25, 0.2, 0.2])
    expect(told(schedule, [2, 2, 2, 2])).toEqual([0.2, 0.2, 0.2, 0.2])
  })

  it('takes a loss that is no number for none that is better', () => {
    expect(told(reduceOnPlateau({ patience: 1 }), [Number.NaN, 3, Number.NaN, 2])).toEqual([0.5, 0.5, 0.25, 0.25])
  })

  it('wants more than minDelta', () => {
    expect(told(reduceOnPlateau({ patience: 1, minDelta: 0.5 }), [5, 4.5, 4.4])).toEqual([1, 0.5, 0.5])
  })

  it('looks at the validation data if there is any, or at what it is given', () => {
    const schedule = reduceOnPlateau({ patience: 1 })
    schedule.epochEnd(result(5, 1))
    schedule.epochEnd(result(4, 2))
    expect(schedule(0, 1)).toBe(0.5)
    const byAccuracy = reduceOnPlateau({ patience: 1, monitor: (r) => -r.metrics.accuracy })
    for (const accuracy of [0.5, 0.6]) byAccuracy.epochEnd({ epoch: 1, loss: 0, metrics: { accuracy } })
    expect(byAccuracy(0, 1)).toBe(1)
  })

  it('goes on from its state as plain data', () => {
    const losses = [5, 4, 4, 4, 4, 3, 3, 3, 3]
    const whole = told(reduceOnPlateau({ patience: 2 }), losses)
    const [one, two] = [reduceOnPlateau({ patience: 2 }), reduceOnPlateau({ patience: 2 })]
    const first = told(one, losses.slice(0, 4))
    Object.assign(two.state, JSON.parse(JSON.stringify(one.state)))
    expect([...first, ...told(two, losses.slice(4))]).toEqual(whole)
  })

  it('is told and asked through a warm-up', () => {
    const plateau = reduceOnPlateau({ patience: 1 })
    const schedule = warmUp({ warmup: 0.5, start: 0, after: plateau })
    for (let i = 0; i < 2; i++) schedule.epochEnd?.(result(1))
    expect(at(schedule, 4, 1, 2)).toEqual([0.5, 0.5])
    expect(schedule.state).toBe(plateau.state)
  })

  it.each([false, true])('works in fit, told once whether it is also a callback (%s) or not', async (given) => {
    const rates: number[] = []
    const { update, hyperLength, hyper } = sgd({ lr: 0 })
    const watched = (t: number, lr: number) => {
      rates.push(lr)
      return hyper(t, 0)
    }
    const optimizer = { settings: 'watched', lr: 1, update, hyperLength, hyper: watched }
    const model = new Model(dense({ units: 2 })(input([1])), { seed: 1 })
    const schedule = reduceOnPlateau({ patience: 1 })
    const data = { x: Float32Array.of(1, 2), y: Int32Array.of(0, 1), shape: [1], classes: 2, count: 2 }
    await new Trainer(model, { optimizer, schedule, batch: 2 }).fit(data, { epochs: 4, callbacks: given ? [schedule] : [] })
    expect(rates).toEqual([1, 1, 0.5, 0.25])
  })
})

it('options that make no sense are refused, with what is wanted', () => {
  const message = (make: () => Schedule) => {
    try {
      make()
    } catch (error) {
      return (error as Error).message
    }
  }
  expect([
    message(() => step({ every: 0 })),
    message(() => step({ every: 10 })),
    message(() => step({ every: 0.5, factor: -1 })),
    message(() => cosine({ warmup: 1 })),
    message(() => cosine({ end: Number.NaN })),
    message(() => warmUp({ start: -1 })),
    message(() => reduceOnPlateau({ factor: 1 })),
    message(() => reduceOnPlateau({ patience: 0.5 })),
    message(() => reduceOnPlateau({ minimum: -1 })),
  ]).toMatchInlineSnapshot(`
    [
      "step: every wants a share of all steps, such as 1 / 3, got 0.",
      "step: every wants a share of all steps, such as 1 / 3, got 10.",
      "step: factor wants a number from 0 on, got -1.",
      "warmUp: warmup wants a share below 1, got 1.",
      "cosine: end wants a number from 0 on, got NaN.",
      "warmUp: start wants a number from 0 on, got -1.",
      "reduceOnPlateau: factor wants a share below 1, got 1.",
      "reduceOnPlateau: patience wants a number of epochs from 1 on, got 0.5.",
      "reduceOnPlateau: minimum wants a number from 0 on, got -1.",
    ]
  `)
  expect(constant()(3, 9)).toBe(1)
})
