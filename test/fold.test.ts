// Folding batch normalization into the layer before it: the same predictions up to rounding, for every kind of layer; what cannot be
// folded is left alone; and a network with batch normalization trains, folds, quantizes and becomes a module.

import { describe, expect, it } from 'vitest'
import { fold } from '../src/compress/fold'
import { quantize } from '../src/compress/quantize'
import { split, statistics, subset } from '../src/data/dataset'
import { buildModule, loadModule } from '../src/deploy'
import { loadDigits } from '../src/files'
import { input, isParam, type Layer, type Node, type Param, size } from '../src/graph/node'
import { Random } from '../src/graph/random'
import { Model } from '../src/model/model'
import { sequential } from '../src/model/sequential'
import { relu } from '../src/ops/activation'
import { add } from '../src/ops/add'
import { batchNorm } from '../src/ops/batchNorm'
import { conv1d } from '../src/ops/conv1d'
import { conv2d } from '../src/ops/conv2d'
import { convTranspose2d } from '../src/ops/convTranspose2d'
import { dense } from '../src/ops/dense'
import { depthwiseConv2d } from '../src/ops/depthwiseConv2d'
import { flatten, reshape } from '../src/ops/reshape'
import { adam } from '../src/train/optimizers'
import { oneCycle } from '../src/train/schedules'
import { Trainer } from '../src/train/trainer'
import { evaluate } from './reference/f32'
import { EPSILON, expectNear } from './reference/near'

const opsOf = (model: Model) => model.nodes.filter((n) => !isParam(n)).map((n) => n.op)

/** A model whose parameters are all drawn, as training would leave them: no channel is like another. */
function drawn(node: Node | Node[], seed: number): Model {
  const model = new Model(node, { seed })
  const random = new Random(seed)
  for (const p of model.params) {
    const [low, high] = p.name.endsWith('variance') ? [0.2, 4] : [-1.5, 1.5]
    if (p.shape.length === 1) for (let i = 0; i < p.data.length; i++) p.data[i] = random.uniform(low, high)
  }
  return model
}

describe('fold', () => {
  const layers: [string, readonly number[], Layer][] = [
    ['conv2d', [5, 4, 3], conv2d({ filters: 5, kernel: 3, padding: 'same' })],
    ['conv2d without bias', [5, 4, 3], conv2d({ filters: 4, kernel: 2, bias: false })],
    ['conv2d with groups', [4, 4, 6], conv2d({ filters: 4, kernel: 3, groups: 2 })],
    ['depthwiseConv2d', [5, 4, 3], depthwiseConv2d({ kernel: 3, multiplier: 2 })],
    ['depthwiseConv2d without bias', [5, 4, 3], depthwiseConv2d({ kernel: 3, bias: false })],
    ['convTranspose2d', [3, 3, 2], convTranspose2d({ filters: 3, kernel: 2, strides: 2 })],
    ['dense', [7], dense({ units: 5 })],
    ['dense without bias', [7], dense({ units: 5, bias: false })],
    ['conv1d', [9, 2], conv1d({ filters: 6, kernel: 3 })],
    ['dense, reshaped', [7], sequential(dense({ units: 6 }), reshape({ shape: [1, 1, 6] }))],
  ]

  // y = (w x + b - m) s + beta by one path and (s w) x + ((b - m) s + beta) by the other: each is within (k + 16) * EPSILON * the sum of
  // the absolute values of its terms of the real one, k being the terms of w x.
  it.each(layers)('%s: the same predictions, within the rounding of both', async (what, shape, layer) => {
    const seed = 11
    const model = drawn(batchNorm({ activation: 'relu6', name: 'norm' })(layer(input(shape))), seed)
    const folded = fold(model)
    expect(opsOf(folded)).toEqual(opsOf(model).filter((op) => op !== 'batchNorm'))
    const count = 3
    const random = new Random(seed)
    const x = Float32Array.from({ length: count * size(shape) }, () => random.uniform(-3, 3))
    const [a, b] = [await model.predict(x), await folded.predict(x)]
    expect(Math.max(...a)).toBeGreaterThan(1)

    const host = folded.nodes.find((n) => n.inputs.some(isParam)) as Node
    const norm = model.nodes.find((n) => n.op === 'batchNorm') as Node
    const [gamma, beta, mean, variance] = norm.inputs.slice(1).map((p) => (p as Param).data)
    const before = model.nodes.find((n) => n.op === host.op) as Node
    const bias = before.inputs[2] as Param | undefined
    const magnitudes = Float64Array.from(gamma, (g, c) => {
      const s = Math.abs(g / Math.sqrt(variance[c] + 1e-5))
      return (Math.abs(bias?.data[c] ?? 0) + Math.abs(mean[c])) * s + Math.abs(beta[c])
    })
    const absolute = (v: ArrayLike<number>) => Float64Array.from(v, Math.abs)
    const w = (host.inputs[1] as Param).data
    const unclamped = { ...host, attrs: { ...(host.attrs as object), activation: undefined } }
    const sums = evaluate(unclamped, [absolute(x), absolute(w), magnitudes])
    expectNear(
      b,
      a,
      sums.map((s) => 2 * (w.length + 16) * EPSILON * s),
      `${what} (seed ${seed})`,
    )
  })

  it('leaves the model as it is, and its own as parameters of their own', () => {
    const model = drawn(
      sequential(conv2d({ filters: 2, kernel: 1 }), batchNorm(), conv2d({ filters: 2, kernel: 1 }))(input([2, 2, 1])),
      3,
    )
    const before = model.save()
    const folded = fold(model)
    for (const p of folded.params) p.data.fill(7)
    expect(model.save()).toEqual(before)
  })

  it('keeps pruned weights pruned', () => {
    const model = drawn(sequential(dense({ units: 3 }), batchNorm())(input([4])), 3)
    const w = model.params[0]
    w.mask = Uint8Array.from(w.data, (_, i) => i & 1)
    for (let i = 0; i < w.data.length; i += 2) w.data[i] = 0
    const [folded] = fold(model).params
    expect(folded.mask).toEqual(w.mask)
    expect([...folded.data].map((v) => v !== 0)).toEqual([...w.mask].map((m) => m === 1))
  })

  it('folds a layer that is applied twice as two, each with the batchNorm after it', async () => {
    const layer = dense({ units: 4 })
    const model = drawn(sequential(layer, batchNorm(), layer, batchNorm(), layer)(input([4])), 4)
    const folded = fold(model)
    expect(opsOf(folded)).toEqual(['input', 'dense', 'dense', 'dense'])
    expect(new Set(folded.params.map((p) => p.name)).size).toBe(6)
    const x = Float32Array.from({ length: 40 }, (_, i) => Math.sin(i))
    const [a, b] = [await model.predict(x), await folded.predict(x)]
    // Three layers of five terms, of values up to the largest.
    expectNear(b, a, 3 * 32 * EPSILON * Math.max(...a.map(Math.abs)), 'predictions (seed 4)')
    expect(await Model.load(folded.save()).predict(x)).toEqual(b)
  })

  it('leaves alone what something else reads, has an activation, or is no such layer', () => {
    const x = input([3, 3, 4])
    const c = conv2d({ filters: 4, kernel: 1 })(x)
    const both = drawn([c, batchNorm()(c)], 1)
    const cases = [
      drawn(batchNorm()(x), 1),
      drawn(add()(c, batchNorm()(c)), 1),
      drawn(batchNorm()(add()(c, c)), 1),
      drawn(batchNorm()(conv2d({ filters: 2, kernel: 1, activation: 'relu' })(x)), 1),
      // Its last axis is no longer the filters.
      drawn(batchNorm()(flatten()(conv2d({ filters: 2, kernel: 1 })(x))), 1),
      both,
    ]
    for (const model of cases) expect(opsOf(fold(model))).toEqual(opsOf(model))
  })
})

describe('a network with batch normalization', () => {
  const block = (filters: number, strides: number): Layer =>
    sequential(conv2d({ filters, kernel: 3, strides, padding: 'same', bias: false }), batchNorm(), relu())

  it('trains, folds, quantizes and becomes a module', async () => {
    const [train, test] = split(loadDigits(), 0.2, 0)
    const x = input([8, 8, 1], { normalize: statistics(train) })
    const stem = block(8, 1)(x)
    const deep = sequential(
      depthwiseConv2d({ kernel: 3, padding: 'same', bias: false }),
      batchNorm({ activation: 'relu' }),
      conv2d({ filters: 8, kernel: 1 }),
      batchNorm(),
    )(stem)
    const head = sequential(relu(), block(16, 2), flatten(), dense({ units: 10 }))
    const model = new Model(head(add()(stem, deep)), { seed: 1 })
    await new Trainer(model, { optimizer: adam({ lr: 1e-2 }), schedule: oneCycle() }).fit(train, { epochs: 6 })
    const float = await model.evaluate(test)
    expect(float.accuracy).toBeGreaterThan(0.96)

    const folded = fold(model)
    expect(opsOf(folded)).not.toContain('batchNorm')
    const [a, b] = [await model.predict(test.x), await folded.predict(test.x)]
    // Some 400 terms a layer, four layers deep, of logits up to the largest; Winograd's transforms cost a factor of ten.
    expectNear(b, a, 4 * 400 * 10 * EPSILON * Math.max(...a.map(Math.abs)), 'folded predictions (seed 1)')

    const calibration = subset(
      train,
      Uint32Array.from({ length: 300 }, (_, i) => i),
    )
    const int8 = await quantize(model, calibration)
    expect(opsOf(int8)).not.toContain('batchNorm')
    expect(opsOf(int8)).not.toContain('relu')
    const { accuracy } = await int8.evaluate(test)
    expect(Math.abs(accuracy - float.accuracy)).toBeLessThanOrEqual(0.02)
    const samples = subset(
      test,
      Uint32Array.from({ length: 20 }, (_, i) => i),
    )
    for (const [m, what] of [
      [int8, 'int8'],
      [folded, 'folded'],
      [model, 'float'],
    ] as const) {
      const { wasm } = await buildModule(m)
      const module = await loadModule(wasm)
      const want = await m.predict(samples.x)
      for (let i = 0; i < samples.count; i++) {
        const y = module.predict(samples.x.subarray(i * 64, (i + 1) * 64))
        const expected = want.subarray(i * 10, (i + 1) * 10)
        // The module of a float model takes the direct convolution where the session takes Winograd's.
        const bound = what === 'int8' ? 0 : 4 * 400 * 10 * EPSILON * Math.max(...expected.map(Math.abs))
        expectNear(y, expected, bound, `${what} module, sample ${i}`)
      }
    }
  })

  it.each([
    ['an image', [3, 3, 4], batchNorm({ name: 'norm' })],
    ['an image, with a relu', [2, 3, 9], batchNorm({ activation: 'relu6', name: 'norm' })],
    ['a sequence', [5, 3], batchNorm({ name: 'norm' })],
    ['a vector', [7], sequential(relu(), batchNorm({ name: 'norm' }), relu())],
  ] as [string, number[], Layer][])(
    'that cannot be folded is a depthwise convolution in int8: %s',
    async (what, shape, layer) => {
      const model = drawn(layer(input(shape)), 5)
      const c = shape[shape.length - 1]
      const at = (name: string) => model.params.find((p) => p.name === `norm/${name}`)!.data
      // A channel that is all but off, and one that is: their biases are what is left.
      at('gamma')[0] = 1e-9
      at('gamma')[1] = 0
      const samples = Float32Array.from({ length: 64 * size(shape) }, (_, i) => 2 * Math.sin(i * i))
      const int8 = await quantize(model, { x: samples })
      expect(opsOf(int8)).not.toContain('batchNorm')
      expect(opsOf(int8)).toContain('depthwiseConv2d')
      const [f, q] = [await model.predict(samples), await int8.predict(samples)]
      const [step, xStep] = [int8.outputs[0], int8.inputs[0]].map((n) => n.quant!.scale[0])
      f.forEach((v, i) => {
        const slope = Math.abs(at('gamma')[i % c] / Math.sqrt(at('variance')[i % c] + 1e-5))
        // Half a step of x and of y; the channel's weight is 127 of a scale within a 512th of it.
        const rounded = 0.51 * (xStep * slope + step) + (slope * Math.abs(samples[i])) / 512
        expect(Math.abs(v - q[i]), `${what}, value ${i}`).toBeLessThanOrEqual(rounded + 1e-6)
      })
      expect(await Model.load(int8.save()).predict(samples)).toEqual(q)
    },
  )
})
