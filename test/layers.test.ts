// Activations and layers that move, resize, drop and look up, put together: a file, a module and a session of such a network agree bit
// for bit, its embedding learns, and what cannot be built says why.
import { describe, expect, it } from 'vitest'
import { quantize } from '../src/compress/quantize'
import { buildModule, loadModule } from '../src/deploy'
import { DunlinError } from '../src/graph/error'
import { input, type Node, size } from '../src/graph/node'
import { Random } from '../src/graph/random'
import { Model } from '../src/model/model'
import {
  elu,
  gelu,
  hardSigmoid,
  hardSwish,
  leakyRelu,
  logSoftmax,
  mish,
  sigmoid,
  silu,
  softplus,
  tanh,
} from '../src/ops/activation'
import { add, mul, sub } from '../src/ops/add'
import { concat } from '../src/ops/concat'
import { crossEntropy } from '../src/ops/crossEntropy'
import { dense } from '../src/ops/dense'
import { dropout } from '../src/ops/dropout'
import { embedding } from '../src/ops/embedding'
import { channelShuffle, permute } from '../src/ops/permute'
import { globalMaxPool2d } from '../src/ops/pool2d'
import { flatten, reshape } from '../src/ops/reshape'
import { resize } from '../src/ops/resize'
import { pad, slice } from '../src/ops/slice'
import { planTraining } from '../src/plan/build'
import { unrolled } from '../src/plan/plan'
import { Session } from '../src/session/session'
import { adam } from '../src/train/optimizers'

const seed = 5

/** Every layer of this file's title: an image goes through all of them. */
function everything(): Model {
  const x = input([4, 6, 4], { name: 'x' })
  const curves = [leakyRelu(), elu(), gelu(), sigmoid(), tanh(), hardSigmoid(), hardSwish(), silu(), softplus(), mish()]
  const branches = curves.map((layer) => layer(channelShuffle({ groups: 2 })(x)))
  const wide = dropout({ rate: 0.5 })(concat()(...branches))
  const gated = mul()(wide, sub()(wide, sigmoid()(wide)))
  const cut = slice({ begin: [1, 0, 3], size: [2, 5, 33] })(
    pad({
      padding: [
        [0, 0],
        [1, 0],
        [0, 2],
      ],
      value: 0.5,
    })(gated),
  )
  const resized = add()(resize({ size: 4, method: 'bilinear' })(cut), resize({ size: 4 })(cut))
  const turned = permute({ axes: [2, 0, 1] })(resized)
  const pooled = flatten()(globalMaxPool2d()(turned))
  return new Model(logSoftmax()(dense({ units: 5 })(pooled)), { seed, name: 'everything' })
}

describe('a network of them', () => {
  const model = everything()
  const random = new Random(seed)
  const x = Float32Array.from({ length: 3 * size([4, 6, 4]) }, () => random.uniform(-3, 3))

  it('has the same bits in scalar and simd, at every batch, and from a file', async () => {
    const want = await model.predict(x, { build: 'scalar' })
    expect(want.every(Number.isFinite)).toBe(true)
    expect(new Set(want).size).toBeGreaterThan(10)
    expect(await model.predict(x, { build: 'simd' })).toEqual(want)
    expect(await model.predict(x.subarray(0, x.length / 3), { build: 'simd' })).toEqual(want.subarray(0, 5))
    expect(await Model.load(model.save()).predict(x, { build: 'scalar' })).toEqual(want)
  })

  it.each(['aot', 'interpreter', 'simd'] as const)('has them in a module for %s', async (target) => {
    const want = await model.predict(x, { build: target === 'simd' ? 'simd' : 'scalar' })
    const module = await loadModule((await buildModule(model, { target })).wasm)
    const each = x.length / 3
    for (let i = 0; i < 3; i++)
      expect(module.predict(x.subarray(i * each, (i + 1) * each))).toEqual(want.subarray(i * 5, (i + 1) * 5))
  })

  it('says which layer has no int8 kernel', async () => {
    await expect(quantize(model, { x })).rejects.toThrow(/quantize: logSoftmax "logSoftmax" has no int8 kernel/)
  })
})

it('channelShuffle deals out the groups in turn', async () => {
  const model = new Model(channelShuffle({ groups: 3 })(input([2, 6])))
  const got = await model.predict(Float32Array.from({ length: 12 }, (_, i) => i))
  expect([...got]).toEqual([0, 2, 4, 1, 3, 5, 6, 8, 10, 7, 9, 11])
  const plan = new Model(channelShuffle({ groups: 3 })(input([2, 6]))).plan(1)
  expect(unrolled(plan.calls).map((c) => c.kernel)).toEqual(['move_f32'])
})

describe('embedding', () => {
  const words = () => {
    const x = input([2], { name: 'words', dtype: 'i32' })
    return new Model(dense({ units: 2 })(flatten()(embedding({ count: 6, units: 4 })(x))), { seed: 1 })
  }
  const pairs = Array.from({ length: 36 }, (_, i) => [Math.floor(i / 6), i % 6])
  const indices = Int32Array.from(pairs.flat())

  it('learns which of six things are of one kind', async () => {
    const model = words()
    const [out] = model.outputs
    const loss = crossEntropy(out, input([1], { name: 'labels', dtype: 'i32' }), input([1], { name: 'weights' }))
    const optimizer = adam({ lr: 0.05 })
    const plan = planTraining(loss, [out], { batch: 36, update: optimizer.update, hyperLength: optimizer.hyperLength })
    const session = await Session.create(plan)
    const [hyper] = plan.state.filter((r) => r.name === 'hyper')
    // The label is whether the first is less than the second.
    const labels = Int32Array.from(pairs, ([a, b]) => (a < b ? 1 : 0))
    const losses: number[] = []
    for (let step = 1; step <= 150; step++) {
      for (const [i, v] of [indices, labels, new Float32Array(36).fill(1)].entries()) session.feed(plan.inputs[i], v)
      session.view(hyper).set(optimizer.hyper(step, optimizer.lr))
      session.run()
      losses.push(session.fetch(plan.outputs[0])[0])
    }
    expect(losses[0]).toBeGreaterThan(0.4)
    expect(losses.at(-1)).toBeLessThan(0.05)
  })

  it('predicts the same from a file and in a module', async () => {
    const model = words()
    const want = await model.predict(indices, { build: 'scalar' })
    expect(await Model.load(model.save()).predict(indices, { build: 'scalar' })).toEqual(want)
    const module = await loadModule((await buildModule(model)).wasm)
    expect(module.predict([3, 4])).toEqual(want.subarray(22 * 2, 23 * 2))
  })
})

describe('errors', () => {
  const image = input([4, 4, 6], { name: 'image' })
  const wide: Node = reshape({ shape: [2, 2, 2, 2, 6] })(image)
  const hostile = (layer: (options: never) => (x: Node) => Node, options: unknown) => () => layer(options as never)(image)
  const cases: Record<string, () => unknown> = {
    'a slope that is no number': hostile(leakyRelu, { alpha: 'steep' }),
    'a product of different shapes': () => mul({ name: 'gate' })(image, input([4, 4, 1])),
    'nothing to put together': () => concat({ name: 'all' })(),
    'an axis that is none': () => concat({ axis: 3 })(image, image),
    'values that differ elsewhere': () => concat({ axis: 0 })(image, input([2, 4, 5], { name: 'other' })),
    'a block that hangs over': () => slice({ begin: [0, 0, 4], size: [4, 4, 3] })(image),
    'a block of two axes': () => slice({ begin: [0, 0], size: [4, 4] })(image),
    'a block of an image of five axes': () => slice({ begin: [0, 0, 0, 0, 0], size: [1, 1, 1, 1, 1] })(wide),
    'padding below 0': () =>
      pad({
        padding: [
          [0, 0],
          [-1, 0],
          [0, 0],
        ],
        name: 'border',
      })(image),
    'padding by infinity': () =>
      pad({
        padding: [
          [0, 0],
          [1, 0],
          [0, 0],
        ],
        value: Infinity,
      })(image),
    'an axis twice': () => permute({ axes: [0, 1, 1] })(image),
    'groups of different sizes': () => channelShuffle({ groups: 4 })(image),
    'an unknown method': () => resize({ size: 2, method: 'cubic' as 'nearest' })(image),
    'an image of no height': () => resize({ scale: 0.1 })(image),
    'a resize of a vector': () => resize({ size: 2 })(input([4])),
    'dropping everything': () => dropout({ rate: 1 })(image),
    'half a seed': () => dropout({ rate: 0.5, seed: 0.5, name: 'drop' })(image),
    'floats as indices': () => embedding({ count: 3, units: 2 })(input([4])),
    'an empty table': () => embedding({ count: 0, units: 2, name: 'words' })(input([4], { dtype: 'i32' })),
  }

  it.each(Object.keys(cases))('%s', (name) => {
    expect(cases[name]).toThrow(DunlinError)
  })

  it('read as sentences with a remedy', () => {
    const said = Object.entries(cases).map(([name, build]) => {
      try {
        return `${name}: ${build()}`
      } catch (error) {
        return `${name}\n  ${(error as Error).message}`
      }
    })
    expect(`\n${said.join('\n')}\n`).toMatchInlineSnapshot(`
      "
      a slope that is no number
        leakyRelu: alpha wants a finite number, got steep.
      a product of different shapes
        mul "gate": b has shape [4,4,1], wanted [4,4,6]. Both sides have one shape; a 1x1 conv2d can change the channels of one.
      nothing to put together
        concat "all": wants one input or more, got none.
      an axis that is none
        concat: axis 3 is not an axis of [4,4,6]; its axes are 0 to 2.
      values that differ elsewhere
        concat: input "other" has shape [2,4,5], wanted [2,4,6]. Only axis 0 may differ from the first input.
      a block that hangs over
        slice: a block of [4,4,3] that begins at [0,0,4] does not lie in x [4,4,6]. Make one of them smaller.
      a block of two axes
        slice: begin wants an integer from 0 on for each axis of [4,4,6], got [0,0].
      a block of an image of five axes
        slice: wants a value of at most 3 axes, got shape [2,2,2,2,6]. Put a reshape() before it that joins some.
      padding below 0
        pad "border": padding wants an integer from 0 on for each axis of [4,4,6], got [0,-1,0].
      padding by infinity
        pad: value wants a finite number, got Infinity.
      an axis twice
        permute: axes wants each axis of [4,4,6] once, from 0 to 2, got [0,1,1].
      groups of different sizes
        channelShuffle: 6 channels (shape [4,4,6]) are not 4 groups of one size. Use a number of groups that divides them.
      an unknown method
        resize: method wants "nearest" or "bilinear", got "cubic".
      an image of no height
        resize: height wants a positive integer, got 0.
      a resize of a vector
        resize: wants an image [height, width, channels], got shape [4]. Reshape it first.
      dropping everything
        dropout: rate wants a number from 0 to below 1, got 1.
      half a seed
        dropout "drop": seed wants an integer of 32 bits, got 0.5.
      floats as indices
        embedding: wants indices i32 [t], got f32 [4]. Begin with input([t], { dtype: 'i32' }).
      an empty table
        embedding "words": count wants a positive integer, got 0.
      "
    `)
  })

  it('attributes of a file are checked: a wrong one is an error, never a stray address', () => {
    const wrong: unknown[] = [null, -1, 0.5, 'a', [], [-1], [0.5, 0, 0], [9, 9, 9], [[0]], [2 ** 40, 1, 1], {}, Number.MAX_VALUE]
    const nodes: [string, (x: Node) => Node][] = [
      ['concat', (x) => concat({ axis: 0 })(x, x)],
      ['dropout', dropout({ rate: 0.5 })],
      ['leakyRelu', leakyRelu()],
      [
        'pad',
        pad({
          padding: [
            [1, 1],
            [0, 0],
            [0, 1],
          ],
        }),
      ],
      ['permute', permute({ axes: [1, 0, 2] })],
      ['resize', resize({ size: [3, 3] })],
      ['slice', slice({ begin: [0, 0, 0], size: [1, 1, 1] })],
    ]
    let refused = 0
    for (const [op, layer] of nodes) {
      const model = new Model(layer(input([4, 4, 6])))
      const [node] = model.outputs
      for (const attr of Object.keys(node.attrs as object)) {
        for (const value of wrong) {
          const broken = new Model([{ ...node, attrs: { ...(node.attrs as object), [attr]: value } }])
          try {
            Model.load(broken.save()).plan(2)
          } catch (error) {
            expect(error, `${op} ${attr} ${JSON.stringify(value)}`).toBeInstanceOf(DunlinError)
            refused++
          }
        }
      }
    }
    expect(refused).toBeGreaterThan(80)
  })
})
