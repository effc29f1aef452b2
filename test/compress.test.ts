// Compression: pruning removes exactly what it says and training keeps it removed; int8 obeys its ranges and loses next to nothing.

import { beforeAll, describe, expect, it } from 'vitest'
import { fuse } from '../src/compress/fuse'
import { prune } from '../src/compress/prune'
import { quantize } from '../src/compress/quantize'
import { type Dataset, split, statistics, subset } from '../src/data/dataset'
import { loadDigits } from '../src/files'
import { input, isParam, type Node } from '../src/graph/node'
import { Random } from '../src/graph/random'
import { Model } from '../src/model/model'
import { sequential } from '../src/model/sequential'
import { relu, relu6, softmax } from '../src/ops/activation'
import { add } from '../src/ops/add'
import { conv2d } from '../src/ops/conv2d'
import { dense } from '../src/ops/dense'
import { depthwiseConv2d } from '../src/ops/depthwiseConv2d'
import { avgPool2d, globalAvgPool2d, maxPool2d } from '../src/ops/pool2d'
import { flatten } from '../src/ops/reshape'
import { BUILDS, kernelBytes } from '../src/session/kernels'
import { adam } from '../src/train/optimizers'
import { oneCycle } from '../src/train/schedules'
import { Trainer } from '../src/train/trainer'
import { tinyCnn } from '../src/zoo/tinyCnn'

const runnable = BUILDS.filter((build) => WebAssembly.validate(kernelBytes(build) as BufferSource))
const isZero = (v: number) => v === 0
const weightsOf = (model: Model) => model.params.filter((p) => p.shape.length > 1)
const zeros = (model: Model) => weightsOf(model).reduce((sum, p) => sum + [...p.data].filter(isZero).length, 0)

let train: Dataset
let test: Dataset
let float: Model
let calibration: Dataset
beforeAll(async () => {
  ;[train, test] = split(loadDigits(), 0.2, 0)
  calibration = subset(
    train,
    Uint32Array.from({ length: 300 }, (_, i) => i),
  )
  float = tinyCnn({ shape: [8, 8, 1], classes: 10, normalize: statistics(train) })
  await new Trainer(float, { optimizer: adam({ lr: 1e-2 }), schedule: oneCycle() }).fit(train, { epochs: 12 })
})

describe('prune', () => {
  const WEIGHTS = 72 + 1152 + 640

  it.each([0, 0.1, 0.5, 0.777, 0.9])('to %f leaves exactly that share of the weights at 0', (sparsity) => {
    const pruned = prune(float, { sparsity })
    const removed = Math.round(sparsity * WEIGHTS)
    expect(zeros(pruned)).toBe(removed)
    expect(pruned.parameterCount).toBe(float.parameterCount - removed)
    for (const p of weightsOf(pruned)) expect([...p.mask!].map((m) => m === 0)).toEqual([...p.data].map(isZero))
    for (const p of pruned.params) if (p.shape.length === 1) expect(p.mask).toBeUndefined()
  })

  it('removes the smallest over all layers, and leaves the original alone', () => {
    const before = float.save()
    const pruned = prune(float, { sparsity: 0.5 })
    expect(float.save()).toEqual(before)
    const [kept, gone]: number[][] = [[], []]
    for (const [i, p] of weightsOf(pruned).entries()) {
      for (const [j, m] of p.mask!.entries()) (m ? kept : gone).push(Math.abs(weightsOf(float)[i].data[j]))
    }
    expect(Math.max(...gone)).toBeLessThanOrEqual(Math.min(...kept))
  })

  it('keeps its mask while the rest is trained on', async () => {
    const pruned = prune(float, { sparsity: 0.6 })
    const masks = pruned.params.map((p) => p.mask)
    const before = pruned.params.map((p) => [...p.data])
    const trainer = new Trainer(pruned, { optimizer: adam({ lr: 3e-3, weightDecay: 1e-4 }) })
    await trainer.fit(train, { epochs: 4 })
    expect(pruned.params.map((p) => p.mask)).toEqual(masks)
    expect(pruned.params.map((p) => [...p.data])).not.toEqual(before)
    for (const p of weightsOf(pruned)) expect([...p.data].filter((v, i) => p.mask![i] === 0 && v !== 0)).toEqual([])
    const [a, b] = [await float.evaluate(test), await pruned.evaluate(test)]
    expect(b.accuracy).toBeGreaterThan(a.accuracy - 0.03)
  })

  it('makes the file smaller', () => {
    const size = (sparsity: number) => prune(float, { sparsity }).save().length
    expect(size(0.9)).toBeLessThan(size(0.5))
    expect(size(0.5)).toBeLessThan(float.save().length - 0.5 * WEIGHTS * 4 + WEIGHTS / 8 + 600)
  })

  it('goes on from a pruned model', () => {
    const half = prune(float, { sparsity: 0.5 })
    const more = prune(half, { sparsity: 0.8 })
    expect(zeros(more)).toBe(Math.round(0.8 * WEIGHTS))
    const revived = weightsOf(more).flatMap((p, i) => [...p.mask!].filter((m, j) => m > weightsOf(half)[i].mask![j]))
    expect(revived).toEqual([])
  })

  it('prunes a shared layer once', () => {
    const layer = dense({ units: 4 })
    const pruned = prune(new Model(layer(layer(input([4])))), { sparsity: 0.5 })
    expect(pruned.params.length).toBe(2)
    expect(zeros(pruned)).toBe(8)
  })

  it('says what it cannot prune', async () => {
    expect(() => prune(float, { sparsity: 1 })).toThrowErrorMatchingInlineSnapshot(
      `[DunlinError: prune: sparsity wants a number in [0, 1), got 1.]`,
    )
    expect(() => prune(float, { sparsity: 0.999 })).toThrowErrorMatchingInlineSnapshot(
      `[DunlinError: prune: at sparsity 0.999 parameter "conv2/w" would lose all of its 1152 weights. Use a lower sparsity.]`,
    )
    const int8 = await quantize(float, calibration)
    expect(() => prune(int8, { sparsity: 0.5 })).toThrowErrorMatchingInlineSnapshot(
      `[DunlinError: prune: parameter "conv1/w" is i8. Prune the float model, then quantize it.]`,
    )
  })
})

describe('fuse', () => {
  it('puts activations into the layers before them, and predicts the same', async () => {
    const x = input([5, 5, 2])
    const a = sequential(conv2d({ filters: 3, kernel: 3, padding: 'same' }), relu(), depthwiseConv2d({ kernel: 3 }), relu6())(x)
    const tail = sequential(flatten(), dense({ units: 6 }), relu(), dense({ units: 4 }))
    const model = new Model(tail(relu()(add()(a, a))), { seed: 2 })
    const fused = fuse(model)
    const ops = (m: Model) => m.nodes.filter((n) => !isParam(n)).map((n) => n.op)
    expect(ops(fused)).toEqual(ops(model).filter((op) => !op.startsWith('relu')))
    const random = new Random(1)
    const samples = Float32Array.from({ length: 20 * 50 }, () => random.uniform(-3, 3))
    expect(await fused.predict(samples)).toEqual(await model.predict(samples))
  })

  it('leaves alone what something else reads, has an activation, or cannot host one', () => {
    const x = input([4])
    const d = dense({ units: 4 })(x)
    const cases: Node[] = [
      add()(relu()(d), d),
      relu()(dense({ units: 4, activation: 'relu6' })(x)),
      relu()(x),
      relu()(softmax()(x)),
      relu()(flatten()(d)),
    ]
    for (const node of cases) {
      const model = new Model(node)
      expect(fuse(model).nodes.map((n) => n.op)).toEqual(model.nodes.map((n) => n.op))
    }
    const both = new Model([d, relu()(d)])
    expect(fuse(both).outputs.map((n) => n.op)).toEqual(['dense', 'relu'])
  })
})

describe('quantize', () => {
  let int8: Model
  beforeAll(async () => {
    int8 = await quantize(float, calibration)
  })

  it('loses at most a point of accuracy', async () => {
    const [a, b] = [await float.evaluate(test), await int8.evaluate(test)]
    expect(a.accuracy).toBeGreaterThan(0.96)
    expect(Math.abs(a.accuracy - b.accuracy)).toBeLessThanOrEqual(0.01)
  })

  it('gives the same bits in every build', async () => {
    const scalar = await int8.predict(test.x, { build: 'scalar' })
    for (const build of runnable) expect(await int8.predict(test.x, { build }), build).toEqual(scalar)
  })

  it('obeys the contract: symmetric weights per channel, int32 biases, ranges that hold 0', () => {
    for (const node of int8.nodes) {
      const { scale, zeroPoint } = node.quant!
      expect(scale.every((s) => s > 0 && Number.isFinite(s))).toBe(true)
      if (!isParam(node)) {
        expect([node.dtype, scale.length, scale[0]]).toEqual(['i8', 1, Math.fround(scale[0])])
        expect(Number.isInteger(zeroPoint) && zeroPoint >= -128 && zeroPoint <= 127, node.name).toBe(true)
        continue
      }
      expect([zeroPoint, scale.length]).toEqual([0, node.shape[0]])
      expect(node.dtype).toBe(node.shape.length > 1 ? 'i8' : 'i32')
      if (node.dtype === 'i32') continue
      const each = node.data.length / node.shape[0]
      for (let c = 0; c < node.shape[0]; c++) {
        // The largest weight of a channel sets its scale.
        expect(Math.max(...[...node.data.subarray(c * each, (c + 1) * each)].map(Math.abs)), `${node.name} ${c}`).toBe(127)
      }
    }
  })

  it('scales biases by input and weights, and stands for the same reals', () => {
    const real = (p: Node) => {
      if (!isParam(p)) throw new Error()
      const each = p.data.length / p.shape[0]
      return [...p.data].map((q, i) => q * p.quant!.scale[Math.floor(i / each)])
    }
    for (const node of int8.nodes.filter((n) => n.inputs.length === 3)) {
      const [x, w, b] = node.inputs
      expect(b.quant!.scale).toEqual(w.quant!.scale.map((s) => x.quant!.scale[0] * s))
      for (const p of [w, b]) {
        const original = float.params.find((q) => q.name === p.name)!
        const step = Math.max(...p.quant!.scale) / 2 + 1e-7
        expect(Math.max(...real(p).map((v, i) => Math.abs(v - original.data[i])))).toBeLessThanOrEqual(step)
      }
    }
  })

  it('keeps reals close in every op', async () => {
    const x = input([8, 8, 3])
    const a = sequential(conv2d({ filters: 6, kernel: 3, padding: 'same', bias: false }), relu6(), maxPool2d({ kernel: 2 }))(x)
    const b = sequential(depthwiseConv2d({ kernel: 3, padding: 'same', multiplier: 1 }), relu())(a)
    const tail = sequential(
      avgPool2d({ kernel: 2 }),
      conv2d({ filters: 8, kernel: 1 }),
      globalAvgPool2d(),
      flatten(),
      dense({ units: 5 }),
      softmax(),
    )
    const model = new Model(tail(add()(a, b)), { seed: 6 })
    const random = new Random(6)
    const samples = Float32Array.from({ length: 64 * 192 }, () => random.uniform(-2, 2))
    const small = await quantize(model, { x: samples })
    const [f, q] = [await model.predict(samples), await small.predict(samples)]
    expect(Math.max(...f.map((v, i) => Math.abs(v - q[i])))).toBeLessThan(0.04)
    for (const build of runnable) expect(await small.predict(samples, { build }), build).toEqual(q)
  })

  it('takes a layer that is applied twice, each time at its own scale', async () => {
    const layer = dense({ units: 4, activation: 'relu' })
    const model = new Model(layer(layer(input([4]))), { seed: 3 })
    model.params[1].data.fill(0.5)
    const samples = Float32Array.from({ length: 400 }, (_, i) => Math.sin(i))
    const small = await quantize(model, { x: samples })
    expect(new Set(small.params.map((p) => p.name)).size).toBe(small.params.length)
    const [f, q] = [await model.predict(samples), await small.predict(samples)]
    expect(Math.max(...f.map((v, i) => Math.abs(v - q[i])))).toBeLessThan(0.1)
    expect(await Model.load(small.save()).predict(samples)).toEqual(q)
  })

  it('keeps pruned weights at 0 and stores them as such', async () => {
    const pruned = prune(float, { sparsity: 0.5 })
    const small = await quantize(pruned, calibration)
    expect(small.parameterCount).toBe(pruned.parameterCount)
    for (const p of weightsOf(small)) expect([...p.data].filter((v, i) => p.mask![i] === 0 && v !== 0)).toEqual([])
    expect(small.save().length).toBeLessThan(int8.save().length)
  })

  it('takes channels and calibration sets of zeros', async () => {
    const model = new Model(sequential(conv2d({ filters: 2, kernel: 1 }), flatten(), dense({ units: 2 }))(input([2, 2, 1])))
    model.params[0].data.fill(0)
    const small = await quantize(model, { x: new Uint8Array(8) })
    expect([...(await small.predict([1, 2, 3, 4]))]).toEqual([0, 0])
  })

  it('is the same for the same calibration set', async () => {
    expect((await quantize(float, calibration)).save()).toEqual(int8.save())
  })

  it('says what it cannot quantize', async () => {
    await expect(quantize(int8, calibration)).rejects.toThrowErrorMatchingInlineSnapshot(
      `[DunlinError: quantize: input "input" is i8 already. Quantize the float model.]`,
    )
    await expect(quantize(float, { x: new Uint8Array(65) })).rejects.toThrowErrorMatchingInlineSnapshot(
      `[DunlinError: quantize: the calibration set has 65 values, wanted a positive multiple of 64 (shape [8,8,1]).]`,
    )
    await expect(quantize(float, { x: [] })).rejects.toThrowErrorMatchingInlineSnapshot(
      `[DunlinError: quantize: the calibration set has 0 values, wanted a positive multiple of 64 (shape [8,8,1]).]`,
    )
    const broken = (v: number) => Float32Array.from(calibration.x.subarray(0, 6400), (p, i) => (i === 5000 ? v : p))
    await expect(quantize(float, { x: broken(Number.NaN) })).rejects.toThrowErrorMatchingInlineSnapshot(
      `[DunlinError: quantize: input "input" is NaN on the calibration set. Check the data and the weights.]`,
    )
    await expect(quantize(float, { x: broken(-Infinity) })).rejects.toThrowErrorMatchingInlineSnapshot(
      `[DunlinError: quantize: input "input" is -Infinity on the calibration set. Check the data and the weights.]`,
    )
    const two = new Model(add()(input([2], { name: 'a' }), input([2], { name: 'b' })))
    const mean = (padding: 'same' | 'valid') =>
      new Model(avgPool2d({ kernel: 2, strides: 1, padding, countPadding: true, name: 'mean' })(input([2, 2, 1])))
    await expect(quantize(mean('same'), { x: [1, 2, 3, 4] })).rejects.toThrowErrorMatchingInlineSnapshot(
      `[DunlinError: quantize: avgPool2d "mean" counts padding in its mean, int8 (as TFLite) does not. Leave countPadding out, or train with padding "valid".]`,
    )
    expect((await quantize(mean('valid'), { x: [1, 2, 3, 4] })).outputs[0].dtype).toBe('i8')
    await expect(quantize(two, { x: [1, 2] })).rejects.toThrowErrorMatchingInlineSnapshot(
      `[DunlinError: quantize: the calibration set has 0 values for input "b", wanted a positive multiple of 2 (shape [2]).]`,
    )
    await expect(quantize(two, { x: { a: [1, 2], b: [1, 2, 3, 4] } })).rejects.toThrowErrorMatchingInlineSnapshot(
      `[DunlinError: quantize: the calibration set has 1 samples for input "a" and 2 for "b", wanted as many.]`,
    )
    expect(() => new Trainer(int8)).toThrowErrorMatchingInlineSnapshot(
      `[DunlinError: Trainer: model "tinyCnn" is quantized. Train the float model, then quantize it.]`,
    )
  })
})

describe('shared weights', () => {
  it('become two quantized copies with names of their own, so that the model can be saved', async () => {
    const layer = dense({ units: 4, name: 'twice' })
    const x = input([4])
    const model = new Model(layer(relu()(layer(x))), { seed: 3 })
    const random = new Random(9)
    const samples = Float32Array.from({ length: 4 * 64 }, () => random.uniform(-1, 1))
    const int8 = await quantize(model, { x: samples })
    expect(new Set(int8.params.map((p) => p.name)).size).toBe(int8.params.length)
    const loaded = Model.load(int8.save())
    expect(await loaded.predict(samples)).toEqual(await int8.predict(samples))
  })
})
