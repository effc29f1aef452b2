// Modules that learn. The session that runs their plan is the reference, bit for bit; what they learn is what a Trainer learns from the same
// weights and samples; what is not to be learned from changes nothing; what was learned can be taken out and put into another module.

import { beforeAll, describe, expect, it } from 'vitest'
import { quantize } from '../src/compress/quantize'
import { type Dataset, split, statistics, subset } from '../src/data/dataset'
import { type BuiltModule, buildModule, loadModule, type StandaloneModule, type TrainOptions } from '../src/deploy'
import { loadDigits } from '../src/files'
import { DunlinError } from '../src/graph/error'
import { input, type TypedArray } from '../src/graph/node'
import { Random } from '../src/graph/random'
import { Model } from '../src/model/model'
import { sequential } from '../src/model/sequential'
import { softmax } from '../src/ops/activation'
import { batchNorm } from '../src/ops/batchNorm'
import { conv2d } from '../src/ops/conv2d'
import { dense } from '../src/ops/dense'
import { depthwiseConv2d } from '../src/ops/depthwiseConv2d'
import { dropout } from '../src/ops/dropout'
import { gru } from '../src/ops/gru'
import { maxPool2d } from '../src/ops/pool2d'
import { flatten } from '../src/ops/reshape'
import { floatHead } from '../src/plan/head'
import { planTrain } from '../src/plan/learn'
import { unrolled } from '../src/plan/plan'
import { Session } from '../src/session/session'
import { meanSquaredError } from '../src/train/losses'
import { adam, sgd } from '../src/train/optimizers'
import { Trainer } from '../src/train/trainer'
import { tinyCnn } from '../src/zoo/tinyCnn'

/** A step of training in a session: what a module's train_step is, call by call. */
function stepIn(session: Session, label: number): number {
  const { learning, calls } = session.plan
  const { batch, loss, label: at, count } = learning!
  // Its calls are those of the plan with loops written out.
  const phase = (name: 'loss' | 'gradients' | 'update') => unrolled(calls.slice(0, learning!.phases[name])).length
  const phases = { loss: phase('loss'), gradients: phase('gradients'), update: phase('update') }
  session.run(0, phases.loss)
  if (at) session.view(at)[0] = label
  session.run(phases.loss, phases.gradients)
  const [value] = session.view(loss)
  if (!Number.isFinite(value)) return value
  session.run(phases.gradients, phases.update)
  if (count && ++session.view(count)[0] < batch) return value
  if (count) session.view(count)[0] = 0
  session.run(phases.update, unrolled(calls).length)
  return value
}

const OPTIONS = { optimizer: 'sgd', lr: 0.05 } as const
const floats = (random: Random, n: number, range = 1) => Float32Array.from({ length: n }, () => random.uniform(-range, range))
const build = (model: Model, train: TrainOptions) => buildModule(model, { train })
const learns = ({ training }: StandaloneModule) => training!

/** One parameter, velocity or sum in what a module has learned. */
function learned(module: StandaloneModule, name: string): Float32Array {
  const { parameters } = learns(module)
  const { offset, length } = module.metadata.training!.parameters.find((p) => p.name === name)!
  return new Float32Array(parameters.buffer, parameters.byteOffset + offset, length)
}

/** With biases that are not zero, as after training. */
const trained = (model: Model) => {
  for (const p of model.params) if (p.name.endsWith('/b')) p.data.set(floats(new Random(1), p.data.length))
  return model
}

const perceptron = () => {
  const layers = sequential(dense({ units: 9, activation: 'relu' }), dense({ units: 6, bias: false }), dense({ units: 5 }))
  return trained(new Model(layers(input([7])), { seed: 3 }))
}
/** A layer that is applied to each step of a sequence: its gradient is a sum, where one sample's is else an outer product. */
const rowwise = () => {
  const layers = sequential(dense({ units: 6, activation: 'relu' }), flatten(), dense({ units: 5 }))
  return trained(new Model(layers(input([3, 4])), { seed: 6 }))
}
/** Without a convolution that sessions compute by Winograd's algorithm. */
const strided = () => {
  const layers = sequential(
    conv2d({ filters: 5, kernel: 3, strides: 2, padding: 'same', activation: 'relu', name: 'conv1' }),
    depthwiseConv2d({ kernel: 3, padding: 'same', name: 'deep' }),
    conv2d({ filters: 6, kernel: 1, activation: 'relu6', name: 'conv2' }),
    maxPool2d({ kernel: 2 }),
    flatten(),
    dense({ units: 4, name: 'dense' }),
    softmax(),
  )
  return trained(new Model(layers(input([7, 6, 3])), { seed: 5 }))
}
const digits = () => trained(tinyCnn({ shape: [8, 8, 1], classes: 10, seed: 2 }))

let train: Dataset
let test: Dataset
let int8: Model
beforeAll(async () => {
  ;[train, test] = split(loadDigits(), 0.2, 0)
  const float = tinyCnn({ shape: [8, 8, 1], classes: 10, normalize: statistics(train), name: 'digits' })
  await new Trainer(float, { optimizer: adam({ lr: 1e-2 }) }).fit(train, { epochs: 3 })
  const some = subset(
    train,
    Uint32Array.from({ length: 200 }, (_, i) => i),
  )
  int8 = await quantize(float, some)
})

describe('a module that learns', () => {
  const CASES: [string, () => Model, TrainOptions][] = [
    ['a perceptron, all', perceptron, { ...OPTIONS, layers: 'all' }],
    ['the same with momentum', perceptron, { ...OPTIONS, layers: 'all', optimizer: 'momentum' }],
    ['with batches', perceptron, { ...OPTIONS, layers: 'all', batch: 3 }],
    ['with momentum and batches', perceptron, { ...OPTIONS, layers: 'all', optimizer: 'momentum', batch: 2 }],
    ['convolutions', strided, { ...OPTIONS, layers: 'all', optimizer: 'momentum' }],
    ['convolutions, in batches', strided, { ...OPTIONS, layers: 'all', batch: 2 }],
    ['chosen layers and biases', strided, { ...OPTIONS, layers: ['conv1/b', 'deep', 'dense'] }],
    ['the last layer', strided, { ...OPTIONS, layers: 'last' }],
    ['a float head after int8', () => int8, { ...OPTIONS, layers: 'last' }],
    ['a float head with momentum and batches', () => int8, { ...OPTIONS, layers: 'last', optimizer: 'momentum', batch: 2 }],
    ['the bias of a float head', () => int8, { ...OPTIONS, layers: ['dense/b'] }],
    ['numbers', perceptron, { ...OPTIONS, layers: ['dense', 'dense_3'], loss: 'meanSquaredError' }],
    ['steps of a sequence', rowwise, { ...OPTIONS, layers: 'all', optimizer: 'momentum' }],
  ]
  it.each(CASES)('has the bits of a session on its plan: %s', async (_, make, options) => {
    const model = make()
    for (const [target, weights] of [
      ['aot', 'ram'],
      ['aot', 'flash'],
      ['interpreter', 'flash'],
      ['simd', 'flash'],
    ] as const) {
      const module = await loadModule((await buildModule(model, { target, weights, train: options })).wasm)
      const plan = planTrain(model.outputs, { weights, interpreted: target === 'interpreter' }, options)
      const session = await Session.create(plan, { build: target === 'simd' ? 'simd' : 'scalar' })
      const random = new Random(7)
      const classes = module.outputs[0].length
      const expectSame = (what: string) => {
        const [first] = plan.learning!.parameters
        const { parameters } = learns(module)
        const bytes = new Uint8Array(session.view(first).buffer, first.address, parameters.length)
        expect(parameters, `${what} (seed 7)`).toEqual(bytes)
        expect([...module.outputs[0]], `${what} (seed 7)`).toEqual([...session.view(plan.outputs[0])])
      }
      for (let step = 0; step < 7; step++) {
        const x = floats(random, module.inputs[0].length, model === int8 ? 100 : 2)
        const label = random.integer(classes)
        if (plan.learning!.target) {
          const wanted = floats(random, classes)
          learns(module).target!.set(wanted)
          session.view(plan.learning!.target).set(wanted)
        }
        session.feed(plan.inputs[0], x)
        const loss = stepIn(session, label)
        expect(loss).toBeGreaterThan(0)
        expect(learns(module).learn(x, label), `${target}, ${weights}, step ${step}`).toBe(loss)
        expectSame(`${target}, ${weights}, step ${step}`)
      }
      // And what was learned is what a run computes with.
      const x = floats(random, module.inputs[0].length, model === int8 ? 100 : 2)
      session.feed(plan.inputs[0], x)
      session.run(0, unrolled(plan.calls.slice(0, plan.learning!.phases.loss)).length)
      module.predict(x)
      expectSame(`${target}, ${weights}, a run`)
    }
  })

  const FROM: [string, () => Model, TrainOptions, boolean][] = [
    ['a perceptron', perceptron, { ...OPTIONS, layers: 'all' }, true],
    ['a perceptron with momentum', perceptron, { ...OPTIONS, layers: 'all', optimizer: 'momentum', momentum: 0.7 }, true],
    ['a perceptron on numbers', perceptron, { ...OPTIONS, layers: 'all', loss: 'meanSquaredError' }, true],
    ['steps of a sequence', rowwise, { ...OPTIONS, layers: 'all', optimizer: 'momentum' }, true],
    ['convolutions', strided, { ...OPTIONS, layers: 'all', optimizer: 'momentum' }, true],
    ['chosen layers', strided, { ...OPTIONS, layers: ['conv1/b', 'conv2', 'dense/b'] }, true],
    ['the last layer', strided, { ...OPTIONS, layers: 'last' }, true],
    ['the tiny CNN, which a session computes by Winograd', digits, { ...OPTIONS, layers: 'all', optimizer: 'momentum' }, false],
  ]
  it.each(FROM)('learns what a Trainer learns: %s', async (_, make, options, exactly) => {
    const { layers, optimizer, lr, momentum = 0.9, loss } = options
    const model = make()
    const module = await loadModule((await build(model, options)).wasm)
    const names = module.metadata.training!.parameters.map((p) => p.name)
    const numbers = loss === 'meanSquaredError'
    const trainer = new Trainer(model, {
      optimizer: sgd({ lr, momentum: optimizer === 'momentum' ? momentum : 0 }),
      frozen: (name) => layers !== 'all' && !names.includes(name),
      ...{ batch: 1, build: 'scalar', threads: 1, ...(numbers && { loss: meanSquaredError() }) },
    })
    const random = new Random(11)
    const classes = module.outputs[0].length
    for (let step = 0; step < 6; step++) {
      const x = floats(random, module.inputs[0].length, 2)
      const label = random.integer(classes)
      const target = floats(random, classes)
      const shape = model.inputs[0].shape
      const data: Dataset = numbers
        ? { x, y: target, shape, count: 1, classes: 0, target: [classes] }
        : { x, y: Int32Array.of(label), shape, count: 1, classes }
      const [{ loss: wanted }] = await trainer.fit(data, { epochs: 1 })
      if (numbers) learns(module).target!.set(target)
      const got = learns(module).learn(x, label)
      if (exactly) expect(got, `step ${step} (seed 11)`).toBe(wanted)
      else expect(Math.abs(got - wanted), `step ${step} (seed 11)`).toBeLessThan(1e-5)
    }
    let checked = 0
    for (const p of model.params.filter((p) => names.includes(p.name))) {
      const got = learned(module, p.name)
      checked++
      if (exactly) expect(got, p.name).toEqual(p.data)
      else for (const [i, v] of p.data.entries()) expect(Math.abs(got[i] - v), `${p.name} ${i}`).toBeLessThan(1e-5)
    }
    expect(checked).toBeGreaterThan(0)
  })

  it('averages a batch as a Trainer that accumulates, up to the order of the sum', async () => {
    const model = perceptron()
    const module = await loadModule((await build(model, { ...OPTIONS, layers: 'all', batch: 4 })).wasm)
    const before = model.params.map((p) => p.data.slice())
    const [x, y] = [floats(new Random(2), 28), Int32Array.of(3, 1, 0, 4)]
    const trainer = new Trainer(model, { optimizer: sgd({ lr: OPTIONS.lr }), batch: 1, accumulate: 4, build: 'scalar' })
    await trainer.fit({ x, y, shape: [7], count: 4, classes: 5 }, { epochs: 1 })
    for (let i = 0; i < 4; i++) {
      for (const [j, p] of model.params.entries()) expect(learned(module, p.name), `sample ${i}`).toEqual(before[j])
      learns(module).learn(x.subarray(7 * i, 7 * i + 7), y[i])
    }
    for (const p of model.params) {
      expect(Math.max(...learned(module, `d ${p.name}`).map(Math.abs))).toBe(0)
      for (const [i, v] of p.data.entries()) expect(Math.abs(learned(module, p.name)[i] - v), `${p.name} ${i}`).toBeLessThan(1e-6)
    }
  })

  it('computes no gradient below what it learns, and has no kernels for it', async () => {
    const kernels = async (model: Model, layers: TrainOptions['layers']) =>
      Object.keys((await build(model, { ...OPTIONS, layers })).report.kernels)
    const last = await kernels(strided(), 'last')
    expect(last.filter((k) => /_d[xw]/.test(k))).toEqual([])
    expect(last).toEqual(expect.arrayContaining(['crossEntropy_f32_sample', 'dense_f32_sgd']))
    const middle = await kernels(strided(), ['conv2', 'dense'])
    expect(middle).toEqual(expect.arrayContaining(['conv2d_f32_dw', 'dense_f32_dx']))
    expect(middle.filter((k) => k.includes('depthwiseConv2d_f32_d') || k.startsWith('conv2d_f32_dx'))).toEqual([])
    expect((await kernels(int8, 'last')).filter((k) => /_d[xw]/.test(k))).toEqual([])
  })

  it('runs as in inference: without dropout, with the statistics that batchNorm has', async () => {
    const make = () => {
      const layers = sequential(dense({ units: 6 }), batchNorm(), dropout({ rate: 0.5 }), dense({ units: 3 }))
      return new Model(layers(input([4])), { seed: 1 })
    }
    const module = await loadModule((await build(make(), { ...OPTIONS, layers: 'all' })).wasm)
    const x = Float32Array.of(0.5, -1, 2, 0.25)
    const [before, plain] = [module.predict(x), await make().predict(x, { build: 'scalar' })]
    for (const [i, v] of plain.entries()) expect(before[i]).toBeCloseTo(v, 5)
    learns(module).learn(x, 1)
    expect([...module.outputs[0]]).toEqual([...before])
    expect(module.metadata.training!.parameters.map((p) => p.name)).toContain('batchNorm/gamma')
    expect(module.predict(x)[1]).toBeGreaterThan(before[1])
  })

  it('learns through a recurrent layer', async () => {
    const model = new Model(sequential(gru({ units: 5 }), dense({ units: 3 }))(input([4, 2])), { seed: 1 })
    const module = await loadModule((await build(model, { ...OPTIONS, layers: 'all', lr: 0.3 })).wasm)
    const x = floats(new Random(5), 8)
    const first = learns(module).learn(x, 2)
    let loss = first
    for (let i = 0; i < 20; i++) loss = learns(module).learn(x, 2)
    expect(loss).toBeLessThan(first / 5)
  })

  it('keeps pruned weights at zero in a float model', async () => {
    const model = perceptron()
    const w = model.params[0]
    w.mask = Uint8Array.from(w.data, (_, i) => i % 2)
    w.data = Float32Array.from(w.data as Float32Array, (v, i) => (i % 2 ? v : 0))
    for (const batch of [1, 2]) {
      const module = await loadModule((await build(model, { ...OPTIONS, layers: 'all', batch })).wasm)
      for (let i = 0; i < 4; i++) learns(module).learn(floats(new Random(i), 7), i)
      const got = learned(module, w.name)
      expect(got.filter((v, i) => i % 2 === 0 && v !== 0)).toEqual(new Float32Array(0))
      expect(got).not.toEqual(w.data)
    }
  })

  it.each([1, 2])('learns nothing from a class that there is not, and counts no such sample (batch %i)', async (batch) => {
    const module = await loadModule((await build(int8, { ...OPTIONS, layers: 'last', optimizer: 'momentum', batch })).wasm)
    const x = test.x.subarray(0, 64)
    learns(module).learn(x, 1)
    const before = learns(module).parameters.slice()
    for (const label of [-1, 10, 255, 2 ** 31 - 1, -(2 ** 31)]) {
      expect(learns(module).learn(x, label), `${label}`).toBeNaN()
      expect(learns(module).parameters).toEqual(before)
    }
    learns(module).learn(x, 9)
    expect(learns(module).parameters).not.toEqual(before)
  })

  it('learns nothing from a sample whose loss is not finite', async () => {
    const module = await loadModule((await build(perceptron(), { ...OPTIONS, layers: 'all', optimizer: 'momentum' })).wasm)
    const before = learns(module).parameters.slice()
    for (const bad of [NaN, Infinity, 3e38]) {
      expect(learns(module).learn(new Float32Array(7).fill(bad), 1)).not.toSatisfy(Number.isFinite)
      expect(learns(module).parameters).toEqual(before)
    }
  })

  it.each([1, 3])('goes on in another module where it stopped, from its parameters (batch %i)', async (batch) => {
    const { wasm } = await build(int8, { ...OPTIONS, layers: 'last', optimizer: 'momentum', batch })
    const [one, two] = [await loadModule(wasm), await loadModule(wasm)]
    const sample = (i: number) => test.x.subarray(64 * i, 64 * i + 64)
    for (let i = 0; i < 5; i++) learns(one).learn(sample(i), test.y[i])
    learns(two).parameters.set(learns(one).parameters)
    for (let i = 5; i < 12; i++) expect(learns(two).learn(sample(i), test.y[i])).toBe(learns(one).learn(sample(i), test.y[i]))
    expect(learns(two).parameters).toEqual(learns(one).parameters)
    expect(two.predict(sample(12))).toEqual(one.predict(sample(12)))
  })

  it.each(['aot', 'interpreter', 'simd'] as const)('writes nowhere past the memory that it asks for (%s)', async (target) => {
    for (const [model, layers] of [
      [int8, 'last'],
      [strided(), 'all'],
    ] as const) {
      const { wasm, report } = await buildModule(model, { target, train: { ...OPTIONS, layers, batch: 2 } })
      const module = await loadModule(wasm)
      const beyond = new Uint8Array(module.inputs[0].buffer, report.ramBytes).fill(0xcb)
      for (let i = 0; i < 4; i++) {
        expect(learns(module).learn(floats(new Random(i), module.inputs[0].length), i)).toSatisfy(Number.isFinite)
        module.predict(floats(new Random(i), module.inputs[0].length))
      }
      expect(beyond.every((b) => b === 0xcb)).toBe(true)
      expect(beyond.length).toBeGreaterThan(1000)
    }
  })

  it('describes itself, in metadata, exports and header', async () => {
    const { wasm, header } = await build(int8, { ...OPTIONS, layers: 'last', optimizer: 'momentum', batch: 2 })
    const { exports } = await WebAssembly.instantiate(wasm).then((m) => m.instance)
    const value = (name: string) => (exports[name] as WebAssembly.Global).value as number
    const { metadata } = await loadModule(wasm)
    const rows = [...['dense/w', 'dense/b'], ...['dense/w/velocity', 'dense/b/velocity'], ...['d dense/w', 'd dense/b'], 'count']
    expect(metadata.training).toMatchObject({ batch: 2, truth: 'label' })
    const found = metadata.training!.parameters
    expect(found.map((p) => p.name).sort()).toEqual([...rows].sort())
    const end = Math.max(...found.map((p) => p.offset + 4 * p.length))
    expect([found[0].offset, end]).toEqual([0, value('parameters_bytes')])
    expect(header).toContain(`#define DIGITS_PARAMETERS_ADDRESS ${value('parameters')}u\n`)
    expect(header).toContain(`#define DIGITS_PARAMETERS_BYTES ${value('parameters_bytes')}u\n`)
    // What is learned lies in what outlives a run.
    expect(value('parameters') + value('parameters_bytes')).toBeLessThanOrEqual(value('__data_end'))
  })
})

describe('the float head of an int8 model', () => {
  let built: BuiltModule
  beforeAll(async () => {
    built = await build(int8, { ...OPTIONS, layers: 'last' })
  })

  it('infers what the int8 model with that head infers in a session, from the start', async () => {
    const module = await loadModule(built.wasm)
    const model = new Model(floatHead(int8.outputs))
    const wanted = await model.predict(test.x.subarray(0, 64 * 50), { build: 'scalar' })
    for (let i = 0; i < 50; i++)
      expect(module.predict(test.x.subarray(64 * i, 64 * i + 64)), `sample ${i}`).toEqual(wanted.slice(10 * i, 10 * i + 10))
    const [float, integer] = [await model.evaluate(test), await int8.evaluate(test)]
    expect(float.accuracy).toBeGreaterThan(integer.accuracy - 0.01)
    expect(module.metadata.outputs).toMatchObject([{ name: 'dense', shape: [10], dtype: 'f32' }])
    // The model itself is as it was, and the one with the head can be kept.
    expect(int8.outputs[0].dtype).toBe('i8')
    expect(await Model.load(model.save()).predict(test.x.subarray(0, 64), { build: 'scalar' })).toEqual(wanted.slice(0, 10))
  })

  it('learns what a Trainer learns from the int8 features', async () => {
    const module = await loadModule(built.wasm)
    const [output] = floatHead(int8.outputs)
    const features = new Model(output.inputs[0])
    const [w, b] = output.inputs.slice(1) as unknown as { data: TypedArray }[]
    const head = new Model(dense({ units: 10 })(input([64])))
    head.params[0].data.set(w.data)
    head.params[1].data.set(b.data)
    const trainer = new Trainer(head, { optimizer: sgd({ lr: OPTIONS.lr }), batch: 1, build: 'scalar', threads: 1 })
    for (let i = 0; i < 8; i++) {
      const sample = test.x.subarray(64 * i, 64 * i + 64)
      const x = await features.predict(sample, { build: 'scalar' })
      const data = { x, y: Int32Array.of(test.y[i]), shape: [64], count: 1, classes: 10 }
      const [{ loss }] = await trainer.fit(data, { epochs: 1 })
      expect(learns(module).learn(sample, test.y[i]), `sample ${i}`).toBe(loss)
    }
    expect(learned(module, 'dense/w')).toEqual(head.params[0].data)
    expect(learned(module, 'dense/b')).toEqual(head.params[1].data)
  })

  it('holds a softmax, which becomes float, too', async () => {
    const float = new Model(
      sequential(flatten(), dense({ units: 4, activation: 'relu' }), dense({ units: 3 }), softmax())(input([6])),
    )
    const quantized = await quantize(float, { x: floats(new Random(1), 60) })
    const module = await loadModule((await build(quantized, { ...OPTIONS, layers: 'last' })).wasm)
    const x = floats(new Random(2), 6)
    learns(module).learn(x, 2)
    const p = module.predict(x)
    expect(p.reduce((a, v) => a + v, 0)).toBeCloseTo(1, 5)
    expect(p[2]).toBeGreaterThan(module.outputs[0].length ? 0 : 1)
  })
})

describe('what cannot learn', () => {
  const refused = async (model: Model, options: Partial<TrainOptions> & object) => {
    const error = await build(model, { ...OPTIONS, layers: 'last', ...options }).catch((e: Error) => e)
    expect(error).toBeInstanceOf(DunlinError)
    return (error as Error).message
  }

  it('says why', async () => {
    const convolutional = new Model(conv2d({ filters: 2, kernel: 1 })(input([2, 2, 1])))
    const integer = await quantize(convolutional, { x: floats(new Random(1), 40) })
    const messages = [
      await refused(perceptron(), { layers: ['dense_9'] }),
      await refused(perceptron(), { layers: ['dense_2/b'] }),
      await refused(perceptron(), { layers: [] }),
      await refused(int8, { layers: 'all' }),
      await refused(int8, { layers: ['conv1', 'dense'] }),
      await refused(int8, { layers: ['conv2/b'] }),
      await refused(integer, {}),
      await refused(convolutional, { loss: 'crossEntropy' }),
      await refused(perceptron(), { layers: 'first' as 'last' }),
      await refused(perceptron(), { optimizer: 'adam' as 'sgd' }),
      await refused(perceptron(), { lr: 0 }),
      await refused(perceptron(), { lr: NaN }),
      await refused(perceptron(), { momentum: 1 }),
      await refused(perceptron(), { batch: 1.5 }),
      await refused(perceptron(), { loss: 'hinge' as 'crossEntropy' }),
    ]
    expect(messages.join('\n')).toMatchInlineSnapshot(`
      "train: there is no layer or parameter "dense_9". The layers with parameters are "dense", "dense_2", "dense_3"; a bias alone is "dense_3/b".
      train: there is no layer or parameter "dense_2/b". The layers with parameters are "dense", "dense_2", "dense_3"; a bias alone is "dense_3/b".
      train: no layer was chosen. Use layers "last", "all", or a list of names.
      train: layers 'all' of an int8 model: only its last layer, "dense", can learn. Use layers 'last', or build the float model.
      train: "conv1" is i8; of an int8 model only its last layer, "dense", can learn. Use layers 'last', or build the float model.
      train: "conv2/b" is i32; of an int8 model only its last layer, "dense", can learn. Use layers 'last', or build the float model.
      train: of an int8 model only a dense layer at the end can learn, this one's last layer is conv2d "conv2d". End it with dense(), or build the float model, of which any layer can learn.
      train: crossEntropy wants a vector of classes, conv2d "conv2d" has shape [2,2,2]. Use the loss meanSquaredError.
      train: layers wants 'last', 'all' or a list of names, got "first".
      train: optimizer wants 'sgd' or 'momentum', got "adam".
      train: lr wants a number above 0, got 0.
      train: lr wants a number above 0, got NaN.
      train: momentum wants a number between 0 and 1, got 1.
      train: batch wants a positive integer, got 1.5.
      train: loss wants 'crossEntropy' or 'meanSquaredError', got "hinge"."
    `)
  })
})
