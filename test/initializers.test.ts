// First values of weights: each draw has the variance that its source says, an orthogonal matrix is one, and a seed gives the same bits on
// every engine, which is why the logarithm, powers and cosine under it are our own.

import { describe, expect, it } from 'vitest'
import { cosPi, log, power } from '../src/graph/arithmetic'
import { DunlinError } from '../src/graph/error'
import { input } from '../src/graph/node'
import { Random } from '../src/graph/random'
import { Model } from '../src/model/model'
import { conv2d } from '../src/ops/conv2d'
import { dense } from '../src/ops/dense'
import { depthwiseConv2d } from '../src/ops/depthwiseConv2d'
import type { WeightInitializer } from '../src/ops/initializer'

describe('own arithmetic', () => {
  const BOUND = 2 ** -50

  it('log: relative error below 2^-50, from the smallest numbers that normal draws ask for to large ones, and next to 1', () => {
    const random = new Random(1)
    const x = Array.from({ length: 20_000 }, (_, i) => (1 + random.uniform()) * 2 ** ((i % 140) - 70))
    const nextToOne = Array.from({ length: 40 }, (_, i) => 1 + (i % 2 ? 1 : -0.5) * 2 ** -i)
    for (const v of [...x, ...nextToOne, Math.SQRT1_2, Math.SQRT2, 2 ** -1022])
      expect(Math.abs(log(v) - Math.log(v)), `log ${v}`).toBeLessThanOrEqual(BOUND * Math.abs(Math.log(v)))
    expect(log(1)).toBe(0)
  })

  it('cosPi: absolute error below 2^-50 on [0, 1], exact at its ends and middle', () => {
    for (let i = 0; i <= 20_000; i++) expect(Math.abs(cosPi(i / 20_000) - Math.cos((Math.PI * i) / 20_000))).toBeLessThan(BOUND)
    expect([cosPi(0), cosPi(1)]).toEqual([1, -1])
    expect(Math.abs(cosPi(0.5))).toBeLessThan(BOUND)
  })

  it('power: relative error of one rounding for each product', () => {
    expect([power(0, 0), power(2, 10), power(-3, 3), power(0.5, 1074)]).toEqual([1, 1024, -27, 2 ** -1074])
    for (const n of [1, 2, 7, 100, 1000]) expect(power(0.999, n) / 0.999 ** n).toBeCloseTo(1, 12)
  })
})

describe('normal draws', () => {
  const random = new Random(5)
  const draws = Float64Array.from({ length: 200_000 }, () => random.normal())
  const moment = (k: number) => draws.reduce((sum, v) => sum + v ** k, 0) / draws.length

  it('have the moments of the normal distribution', () => {
    // Within 5 standard deviations of the mean of so many.
    const within = (variance: number) => 5 * Math.sqrt(variance / draws.length)
    expect(Math.abs(moment(1))).toBeLessThan(within(1))
    expect(Math.abs(moment(2) - 1)).toBeLessThan(within(2))
    expect(Math.abs(moment(3))).toBeLessThan(within(15))
    expect(Math.abs(moment(4) - 3)).toBeLessThan(within(96))
  })

  it('have its distribution: the largest distance is what Kolmogorov and Smirnov allow in one of a million draws', () => {
    const sorted = draws.slice().sort()
    // Abramowitz and Stegun 7.1.26: error below 1.5e-7.
    const below = (v: number) => {
      const t = 1 / (1 + (0.3275911 * Math.abs(v)) / Math.SQRT2)
      const p = ((((1.061405429 * t - 1.453152027) * t + 1.421413741) * t - 0.284496736) * t + 0.254829592) * t
      return v < 0 ? (p * Math.exp((-v * v) / 2)) / 2 : 1 - (p * Math.exp((-v * v) / 2)) / 2
    }
    const distance = sorted.reduce((most, v, i) => Math.max(most, Math.abs(below(v) - i / draws.length)), 0)
    expect(distance).toBeLessThan(Math.sqrt(Math.log(2e6) / 2 / draws.length))
  })

  it('are these bits for this seed', () => {
    const seeded = new Random(7, 3)
    expect(Array.from({ length: 4 }, () => seeded.normal())).toMatchInlineSnapshot(`
      [
        -1.5148121691060659,
        -0.66268256680111,
        0.5423109555998873,
        2.068697535193326,
      ]
    `)
  })
})

describe('weights of a layer', () => {
  /** The weights of a layer with 300 inputs and 200 units. */
  const weights = (initializer?: WeightInitializer, seed = 3) =>
    new Model(dense({ units: 200, initializer })(input([300])), { seed }).params[0].data as Float32Array
  const variance = (w: Float32Array) => w.reduce((sum, v) => sum + v * v, 0) / w.length

  it.each([
    ['heUniform', 2 / 300],
    ['heNormal', 2 / 300],
    ['glorotUniform', 2 / 500],
    ['glorotNormal', 2 / 500],
    ['lecunUniform', 1 / 300],
    ['lecunNormal', 1 / 300],
  ] as const)('%s have the variance %d, and the tails of their distribution', (name, want) => {
    const w = weights(name)
    // The variance of 60,000 squares of normal numbers, 5 standard deviations.
    expect(Math.abs(variance(w) / want - 1)).toBeLessThan(5 * Math.sqrt(2 / w.length))
    const most = w.reduce((a, v) => Math.max(a, Math.abs(v)), 0) / Math.sqrt(want)
    if (name.endsWith('Uniform')) expect(most).toBeLessThanOrEqual(Math.sqrt(3) * (1 + 2 ** -23))
    else expect(most).toBeGreaterThan(3.5)
    expect(weights(name)).toEqual(w)
    expect(weights(name, 4)).not.toEqual(w)
  })

  it('are what they were, without the option', () => {
    expect(weights()).toEqual(weights('glorotUniform'))
    const fused = new Model(dense({ units: 200, activation: 'relu' })(input([300])), { seed: 3 }).params[0].data
    expect(fused).toEqual(weights('heUniform'))
  })

  it.each(['zeros', 'ones', 0, -0.5])('%s are that everywhere', (initializer) => {
    const want = initializer === 'zeros' ? 0 : initializer === 'ones' ? 1 : initializer
    expect(new Set(weights(initializer as WeightInitializer))).toEqual(new Set([want]))
  })

  it.each([
    [1, 1],
    [1, 7],
    [6, 1],
    [5, 5],
    [13, 40],
    [40, 13],
    [64, 64],
  ])('orthogonal ones of %d units and %d inputs are orthonormal in rows or columns', (units, inputs) => {
    const w = new Model(dense({ units, initializer: 'orthogonal' })(input([inputs])), { seed: 2 }).params[0].data as Float32Array
    const at = (i: number, j: number) => (units <= inputs ? w[i * inputs + j] : w[j * inputs + i])
    const [count, length] = [Math.min(units, inputs), Math.max(units, inputs)]
    for (let a = 0; a < count; a++)
      for (let b = 0; b <= a; b++) {
        let dot = 0
        for (let j = 0; j < length; j++) dot += at(a, j) * at(b, j)
        // What rounding to float32 leaves.
        expect(Math.abs(dot - (a === b ? 1 : 0)), `${a}, ${b}`).toBeLessThan(4 * 2 ** -24)
      }
  })

  it('orthogonal ones are these bits for this seed', () => {
    const w = new Model(dense({ units: 2, initializer: 'orthogonal' })(input([3])), { seed: 2 }).params[0].data
    expect([...w]).toMatchInlineSnapshot(`
      [
        0.4529809355735779,
        -0.2945514917373657,
        -0.8414556980133057,
        0.8575413227081299,
        -0.11413557827472687,
        0.5015934109687805,
      ]
    `)
  })

  it('of convolutions: fans count taps, orthogonal matrices are filters by inputs and taps by channels', () => {
    const of = (layer: (x: ReturnType<typeof input>) => ConstructorParameters<typeof Model>[0]) =>
      new Model(layer(input([9, 9, 16])), { seed: 1 }).params[0].data as Float32Array
    const conv = of(conv2d({ filters: 32, kernel: 3, initializer: 'lecunNormal' }))
    expect(variance(conv) * 144).toBeCloseTo(1, 0.9)
    const deep = of(depthwiseConv2d({ kernel: 5, multiplier: 8, initializer: 'glorotNormal' }))
    expect((variance(deep) * (25 + 200)) / 2).toBeCloseTo(1, 0.9)
    const filters = of(conv2d({ filters: 8, kernel: 3, initializer: 'orthogonal' }))
    const columns = of(depthwiseConv2d({ kernel: 3, initializer: 'orthogonal' }))
    const dot = (w: Float32Array, a: number, b: number, n: number) => {
      let sum = 0
      for (let j = 0; j < n; j++) sum += w[a * n + j] * w[b * n + j]
      return sum
    }
    expect([dot(filters, 2, 2, 144), dot(filters, 1, 3, 144)]).toEqual([1, 0].map((v) => expect.closeTo(v, 6)))
    // 9 taps of 16 channels.
    expect([dot(columns, 8, 8, 16), dot(columns, 0, 7, 16)]).toEqual([1, 0].map((v) => expect.closeTo(v, 6)))
  })

  it('with an unknown initializer are refused', () => {
    const attempt = (initializer: unknown) => () =>
      conv2d({ filters: 1, kernel: 1, name: 'stem', initializer: initializer as 'ones' })(input([1, 1, 1]))
    expect(attempt('xavier')).toThrowErrorMatchingInlineSnapshot(
      `[DunlinError: conv2d "stem": initializer "xavier" is unknown. Use heUniform, heNormal, glorotUniform, glorotNormal, lecunUniform, lecunNormal, orthogonal, zeros, ones or a number.]`,
    )
    for (const bad of [Number.NaN, Infinity, null, {}, 'constructor']) expect(attempt(bad), String(bad)).toThrow(DunlinError)
  })
})
