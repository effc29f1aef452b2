// Layers that are compositions of other ops: their values against a definition of their own, shapes, names and errors; and a network
// over time that is trained, quantized and run as a module like any other.

import { describe, expect, it } from 'vitest'
import { quantize } from '../src/compress/quantize'
import { makeDataset } from '../src/data/dataset'
import { buildModule, loadModule } from '../src/deploy'
import { input, type Layer, type Node, type Param, size } from '../src/graph/node'
import { Random } from '../src/graph/random'
import { Model } from '../src/model/model'
import { sequential } from '../src/model/sequential'
import { batchNorm } from '../src/ops/batchNorm'
import { conv1d } from '../src/ops/conv1d'
import { conv2d } from '../src/ops/conv2d'
import { convTranspose2d } from '../src/ops/convTranspose2d'
import { dense } from '../src/ops/dense'
import { avgPool1d, globalAvgPool1d, maxPool1d } from '../src/ops/pool1d'
import { flatten } from '../src/ops/reshape'
import { separableConv2d } from '../src/ops/separableConv2d'
import { adam } from '../src/train/optimizers'
import { Trainer } from '../src/train/trainer'
import { EPSILON, expectNear } from './reference/near'

const BATCH = 2
const floats = (random: Random, n: number) => Float32Array.from({ length: n }, () => random.uniform(-2, 2))

/** What a layer makes of random values, with all its parameters drawn. */
async function run(shape: readonly number[], layer: Layer, seed: number) {
  const model = new Model(layer(input(shape)), { seed })
  const random = new Random(seed)
  for (const p of model.params) p.data.set(floats(random, p.data.length))
  const x = floats(random, BATCH * size(shape))
  const params = new Map(model.params.map((p) => [p.name, p]))
  return { x, y: await model.predict(x), shape: model.outputs[0].shape, params }
}

/** Windows along time of a sequence [t, c]: steps that are inside, by the position of the window. */
function windows(t: number, kernel: number, stride: number, dilation: number, before: number, after: number): number[][] {
  const count = Math.floor((t + before + after - (kernel - 1) * dilation - 1) / stride) + 1
  return Array.from({ length: count }, (_, o) => Array.from({ length: kernel }, (_, s) => o * stride + s * dilation - before))
}

describe('conv1d', () => {
  it.each([
    [[5, 1], { filters: 2, kernel: 3 }, 0, 0],
    [[7, 3], { filters: 4, kernel: 3, padding: 'same', activation: 'relu' }, 1, 1],
    [[8, 2], { filters: 3, kernel: 2, strides: 2, padding: [1, 0] }, 1, 0],
    [[9, 5], { filters: 9, kernel: 3, dilation: 2, padding: 'causal' }, 4, 0],
    [[6, 4], { filters: 6, kernel: 3, padding: 1, groups: 2 }, 1, 1],
  ] as const)('%j %j', async (shape, options, before, after) => {
    const [t, c] = shape
    const { filters, kernel, strides = 1, dilation = 1, groups = 1, activation } = options as Parameters<typeof conv1d>[0]
    const got = await run(shape, conv1d({ ...(options as Parameters<typeof conv1d>[0]), name: 'c' }), 3)
    const at = windows(t, kernel, strides, dilation, before, after)
    expect(got.shape).toEqual([at.length, filters])
    const [w, b] = ['c/w', 'c/b'].map((name) => (got.params.get(name) as Param).data)
    const seen = c / groups
    expect(got.params.get('c/w')?.shape).toEqual([filters, 1, kernel, seen])
    const want: number[] = []
    for (let n = 0; n < BATCH; n++)
      for (const steps of at)
        for (let o = 0; o < filters; o++) {
          const first = Math.floor((o * groups) / filters) * seen
          let sum = b[o]
          steps.forEach((step, s) => {
            if (step < 0 || step >= t) return
            for (let i = 0; i < seen; i++) sum += got.x[(n * t + step) * c + first + i] * w[(o * kernel + s) * seen + i]
          })
          want.push(activation ? Math.max(sum, 0) : sum)
        }
    // Terms of at most 2 * 2.
    expectNear(got.y, want, (kernel * seen + 4) * EPSILON * (kernel * seen * 4 + 2), 'conv1d (seed 3)')
  })

  it('causal sees nothing of later steps', async () => {
    const model = new Model(
      sequential(
        conv1d({ filters: 3, kernel: 3, padding: 'causal' }),
        conv1d({ filters: 2, kernel: 2, dilation: 3, padding: 'causal' }),
      )(input([8, 2])),
      { seed: 1 },
    )
    const x = floats(new Random(4), 16)
    const y = await model.predict(x)
    x.fill(9, 10)
    const changed = await model.predict(x)
    expect(changed.subarray(0, 10)).toEqual(y.subarray(0, 10))
    expect(changed.subarray(10)).not.toEqual(y.subarray(10))
  })
})

describe('pools over time', () => {
  const mean = (v: number[]) => v.reduce((a, b) => a + b, 0) / v.length
  it.each([
    ['maxPool1d', [7, 3], maxPool1d({ kernel: 2 }), windows(7, 2, 2, 1, 0, 0), Math.max],
    ['maxPool1d', [6, 5], maxPool1d({ kernel: 3, strides: 1, padding: 'same' }), windows(6, 3, 1, 1, 1, 1), Math.max],
    [
      'avgPool1d',
      [8, 4],
      avgPool1d({ kernel: 3, strides: 2, padding: 1 }),
      windows(8, 3, 2, 1, 1, 1),
      (...v: number[]) => mean(v),
    ],
    ['avgPool1d', [5, 1], avgPool1d({ kernel: 2, padding: [0, 1] }), windows(5, 2, 2, 1, 0, 1), (...v: number[]) => mean(v)],
    [
      'avgPool1d',
      [5, 2],
      avgPool1d({ kernel: 2, padding: [0, 1], countPadding: true }),
      windows(5, 2, 2, 1, 0, 1),
      (...v: number[]) => v.reduce((a, b) => a + b, 0) / 2,
    ],
    ['globalAvgPool1d', [9, 6], globalAvgPool1d(), windows(9, 9, 9, 1, 0, 0), (...v: number[]) => mean(v)],
  ] as const)('%s on %j', async (what, [t, c], layer, at, of) => {
    const { x, y, shape } = await run([t, c], layer, 5)
    expect(shape).toEqual([at.length, c])
    const want: number[] = []
    for (let n = 0; n < BATCH; n++)
      for (const steps of at)
        for (let j = 0; j < c; j++) want.push(of(...steps.filter((s) => s >= 0 && s < t).map((s) => x[(n * t + s) * c + j])))
    expectNear(y, want, what === 'maxPool1d' ? 0 : (t + 2) * EPSILON * 2, `${what} (seed 5)`)
  })
})

describe('separableConv2d', () => {
  it('is each channel by itself, then 1x1', async () => {
    const [h, w, c] = [4, 5, 3]
    const layer = separableConv2d({ filters: 4, kernel: 3, multiplier: 2, padding: 1, strides: 2, activation: 'relu', name: 's' })
    const { x, y, shape, params } = await run([h, w, c], layer, 6)
    expect([...params].map(([name, p]) => [name, ...p.shape])).toEqual([
      ['s/depthwise/w', 3, 3, 6],
      ['s/pointwise/w', 4, 1, 1, 6],
      ['s/pointwise/b', 4],
    ])
    expect(shape).toEqual([2, 3, 4])
    const [dw, pw, b] = [...params.values()].map((p) => p.data)
    const want: number[] = []
    for (let n = 0; n < BATCH; n++)
      for (let oy = 0; oy < 2; oy++)
        for (let ox = 0; ox < 3; ox++) {
          const middle = Array.from({ length: 6 }, (_, m) => {
            let sum = 0
            for (let r = 0; r < 3; r++)
              for (let s = 0; s < 3; s++) {
                const [iy, ix] = [2 * oy + r - 1, 2 * ox + s - 1]
                if (iy >= 0 && iy < h && ix >= 0 && ix < w)
                  sum += x[((n * h + iy) * w + ix) * c + Math.floor(m / 2)] * dw[(r * 3 + s) * 6 + m]
              }
            return sum
          })
          for (let o = 0; o < 4; o++)
            want.push(
              Math.max(
                0,
                middle.reduce((sum, v, m) => sum + v * pw[o * 6 + m], b[o]),
              ),
            )
        }
    // 6 sums of 9 terms of at most 4, times at most 2.
    expectNear(y, want, (9 + 6 + 8) * EPSILON * (6 * 36 * 2 + 2), 'separableConv2d (seed 6)')
  })
})

it('say what they do not take, in their own words', () => {
  const make = (layer: () => Layer, shape: readonly number[]) => expect(() => layer()(input(shape)) as Node)
  make(() => conv1d({ filters: 2, kernel: 3, name: 'time' }), [4]).toThrowErrorMatchingInlineSnapshot(
    `[DunlinError: conv1d "time": wants a sequence [steps, channels], got shape [4]. Reshape it first.]`,
  )
  make(() => conv1d({ filters: 2, kernel: 0 }), [4, 1]).toThrowErrorMatchingInlineSnapshot(
    `[DunlinError: conv1d: kernel wants a positive integer, got 0.]`,
  )
  make(() => conv1d({ filters: 2, kernel: 5 }), [4, 1]).toThrowErrorMatchingInlineSnapshot(
    `[DunlinError: conv2d: kernel 1x5 does not fit the padded input: its width spans 5 of 4 (input [1,4,1], padding "valid"). Use padding "same" or a smaller kernel.]`,
  )
  make(() => maxPool1d({ kernel: 2, name: 'pool' }), [4, 4, 1]).toThrowErrorMatchingInlineSnapshot(
    `[DunlinError: maxPool1d "pool": wants a sequence [steps, channels], got shape [4,4,1]. Reshape it first.]`,
  )
  make(() => globalAvgPool1d(), [4]).toThrowErrorMatchingInlineSnapshot(
    `[DunlinError: globalAvgPool1d: wants a sequence [steps, channels], got shape [4]. Reshape it first.]`,
  )
  make(() => conv2d({ filters: 4, kernel: 1, groups: 3 }), [2, 2, 6]).toThrowErrorMatchingInlineSnapshot(
    `[DunlinError: conv2d: 3 groups do not divide 6 channels and 4 filters. Both want a multiple of the groups.]`,
  )
  make(() => conv2d({ filters: 4, kernel: 1, groups: 0.5 }), [2, 2, 6]).toThrowErrorMatchingInlineSnapshot(
    `[DunlinError: conv2d: groups wants a positive integer, got 0.5.]`,
  )
  const transposed = (options: Partial<Parameters<typeof convTranspose2d>[0]>) => () =>
    convTranspose2d({ filters: 2, kernel: 3, name: 'up', ...options })
  make(transposed({}), [4]).toThrowErrorMatchingInlineSnapshot(
    `[DunlinError: convTranspose2d "up": wants an image [height, width, channels], got shape [4]. Reshape it first.]`,
  )
  make(transposed({ filters: 0 }), [2, 2, 1]).toThrowErrorMatchingInlineSnapshot(
    `[DunlinError: convTranspose2d "up": filters wants a positive integer, got 0.]`,
  )
  make(transposed({ strides: 2, outputPadding: 2 }), [2, 2, 1]).toThrowErrorMatchingInlineSnapshot(
    `[DunlinError: convTranspose2d "up": outputPadding wants integers from 0 on that are less than the strides [2,2], and 0 with padding "same", got [2,2].]`,
  )
  make(transposed({ strides: 2, outputPadding: 1, padding: 'same' }), [2, 2, 1]).toThrowErrorMatchingInlineSnapshot(
    `[DunlinError: convTranspose2d "up": outputPadding wants integers from 0 on that are less than the strides [2,2], and 0 with padding "same", got [1,1].]`,
  )
  make(transposed({ padding: [2, 2, 0, 0] }), [1, 1, 1]).toThrowErrorMatchingInlineSnapshot(
    `[DunlinError: convTranspose2d "up": padding [2,2,0,0] leaves nothing of the output (input [1,1,1], kernel 3x3). Use less padding.]`,
  )
  make(transposed({ padding: -1 as number }), [1, 1, 1]).toThrowErrorMatchingInlineSnapshot(
    `[DunlinError: convTranspose2d "up": padding wants "valid", "same", a number or [top, bottom, left, right] of integers from 0 on, got -1.]`,
  )
})

it('a network over time trains, quantizes and becomes a module', async () => {
  // Which half of a noisy sequence has the burst.
  const [count, t, c] = [200, 16, 2]
  const random = new Random(8)
  const y = Int32Array.from({ length: count }, (_, i) => i % 2)
  const x = Float32Array.from({ length: count * t * c }, () => random.uniform(-0.5, 0.5))
  y.forEach((label, i) => {
    const from = label * 8 + random.integer(5)
    for (let s = from; s < from + 4; s++) x[(i * t + s) * c] += s % 2 ? 2 : -2
  })
  const data = makeDataset({ x, y, shape: [t, c], classes: 2 })
  const network = sequential(
    conv1d({ filters: 8, kernel: 3, padding: 'causal', bias: false }),
    batchNorm({ activation: 'relu' }),
    maxPool1d({ kernel: 2 }),
    conv1d({ filters: 8, kernel: 3, dilation: 2, padding: 'same', activation: 'relu' }),
    avgPool1d({ kernel: 4 }),
    flatten(),
    dense({ units: 2 }),
  )
  const model = new Model(network(input([t, c])), { seed: 2 })
  await new Trainer(model, { optimizer: adam({ lr: 1e-2 }) }).fit(data, { epochs: 8 })
  expect((await model.evaluate(data)).accuracy).toBeGreaterThan(0.97)
  const int8 = await quantize(model, data)
  expect((await int8.evaluate(data)).accuracy).toBeGreaterThan(0.95)
  const module = await loadModule((await buildModule(int8)).wasm)
  const want = await int8.predict(x)
  for (let i = 0; i < 10; i++)
    expect([...module.predict(x.subarray(i * t * c, (i + 1) * t * c))]).toEqual([...want.subarray(2 * i, 2 * i + 2)])
})
