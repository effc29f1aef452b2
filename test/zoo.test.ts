// The networks of dunlin/zoo. Their sizes are the published ones; and each, made small where it is large, trains on one batch, folds, is
// quantized with little loss, and becomes a module that computes what the session does.

import { describe, expect, it } from 'vitest'
import { fold } from '../src/compress/fold'
import { quantize } from '../src/compress/quantize'
import { makeDataset } from '../src/data/dataset'
import { buildModule, loadModule } from '../src/deploy'
import { size } from '../src/graph/node'
import { Random } from '../src/graph/random'
import type { Model } from '../src/model/model'
import { opOf } from '../src/ops'
import { meanSquaredError } from '../src/train/losses'
import { adam } from '../src/train/optimizers'
import { Trainer } from '../src/train/trainer'
import * as zoo from '../src/zoo'

const mnist = { shape: [28, 28, 1], classes: 10 }
const cifar = { shape: [32, 32, 3], classes: 10 }
const imageNet = { shape: [224, 224, 3], classes: 1000 }
const words = { shape: [10], classes: 10, vocabulary: { words: 1000, units: 64 } }

/** Published parameters and multiply-accumulates of a network. */
interface Published {
  what: string
  make: () => Model
  source: string
  /** What is counted: all numbers, also running statistics; those that are trained; those left when every batchNorm is folded. */
  counted?: 'all' | 'trained' | 'folded'
  parameters?: number
  /** The publication's last digit, where it rounds. */
  toParameters?: number
  /** Without what batchNorm costs. */
  macs?: number
  toMacs?: number
  /** Whether the publication counts convolutions only. */
  convolutions?: true
}

const PUBLISHED: Published[] = [
  {
    what: 'LeNet-300-100',
    make: () => zoo.leNet300(mnist),
    source: 'Han et al. 2015, table 1: 267K',
    parameters: 267_000,
    toParameters: 1000,
  },
  {
    what: 'LeNet-5',
    make: () => zoo.leNet5(mnist),
    source: 'its usual form, e.g. "Total params: 61,706"; C1, C5 and F6 are those of LeCun et al. 1998: 156, 48,120, 10,164',
    parameters: 61_706,
    macs: 416_520,
  },
  {
    what: 'simple convnet',
    make: () => zoo.simpleConvnet(mnist),
    source: 'keras.io/examples/vision/mnist_convnet',
    parameters: 34_826,
  },
  {
    what: 'CNN of the guide, 32x32x3',
    make: () => zoo.kerasCnn(cifar),
    source: 'tensorflow.org/tutorials/images/cnn',
    parameters: 122_570,
  },
  {
    what: 'CNN of the guide, 28x28x1',
    make: () => zoo.kerasCnn(mnist),
    source: 'Chollet, "Deep Learning with Python", 5.1',
    parameters: 93_322,
  },
  {
    what: 'ResNet-20',
    make: () => zoo.resNet(cifar),
    source: 'He et al. 2016, table 6: 0.27M; MACs: He et al. 2018 (SFP): 4.06e7',
    counted: 'trained',
    parameters: 270_000,
    toParameters: 10_000,
    macs: 40_600_000,
    toMacs: 100_000,
  },
  {
    what: 'ResNet-32',
    make: () => zoo.resNet({ ...cifar, depth: 32 }),
    source: 'He et al. 2016, table 6: 0.46M',
    counted: 'trained',
    parameters: 460_000,
    toParameters: 10_000,
  },
  {
    what: 'ResNet-56',
    make: () => zoo.resNet({ ...cifar, depth: 56 }),
    source: 'He et al. 2016, table 6: 0.85M; MACs: Lin et al. 2020 (HRank): 125.49M',
    counted: 'trained',
    parameters: 850_000,
    toParameters: 10_000,
    macs: 125_490_000,
    toMacs: 10_000,
  },
  {
    what: 'ResNet-8',
    make: () => zoo.resNet8(cifar),
    source: 'MLPerf Tiny, the .tflite file',
    counted: 'folded',
    parameters: 77_706,
    macs: 12_501_632,
  },
  {
    what: 'DenseNet-BC-100-12',
    make: () => zoo.denseNet(cifar),
    source: 'github.com/osmr/imgclsmob; Huang et al. 2017: 0.8M',
    counted: 'trained',
    parameters: 769_162,
  },
  {
    what: 'MobileNet 1.0-224',
    make: () => zoo.mobileNetV1(imageNet),
    source: 'keras.applications; MACs: Howard et al. 2017: 569M',
    counted: 'all',
    parameters: 4_253_864,
    macs: 569_000_000,
    toMacs: 1_000_000,
  },
  {
    what: 'MobileNet 0.25-96',
    make: () => zoo.mobileNetV1({ shape: [96, 96, 3], classes: 2, width: 0.25 }),
    source: 'MLPerf Tiny, the .tflite file',
    counted: 'folded',
    parameters: 210_850,
    macs: 7_489_664,
  },
  {
    what: 'MobileNet V2 1.0-224',
    make: () => zoo.mobileNetV2(imageNet),
    source: 'keras.applications; MACs: torchvision: 0.301 G (Sandler et al. 2018: 300M)',
    counted: 'all',
    parameters: 3_538_984,
    macs: 301_000_000,
    toMacs: 1_000_000,
  },
  {
    what: 'MobileNet V2 0.5-224',
    make: () => zoo.mobileNetV2({ ...imageNet, width: 0.5 }),
    source: 'keras.applications',
    counted: 'all',
    parameters: 1_987_224,
  },
  {
    what: 'ShuffleNet 0.5x, 3 groups',
    make: () => zoo.shuffleNetV1({ ...imageNet, width: 0.5 }),
    source: 'github.com/osmr/imgclsmob; MACs: github.com/megvii-model/ShuffleNet-Series: 38M',
    counted: 'trained',
    parameters: 718_324,
    macs: 38_000_000,
    toMacs: 1_000_000,
  },
  ...(
    [
      [1, 1_531_936, 143],
      [2, 1_733_848, 140],
      [3, 1_865_728, 137],
      [4, 1_968_344, 133],
      [8, 2_434_768, 137],
    ] as const
  ).map(
    ([groups, parameters, millions]): Published => ({
      what: `ShuffleNet 1x, ${groups} groups`,
      make: () => zoo.shuffleNetV1({ ...imageNet, groups }),
      source: 'github.com/osmr/imgclsmob; MACs: Zhang et al. 2018, table 1, of the convolutions',
      counted: 'trained',
      parameters,
      macs: millions * 1_000_000,
      toMacs: 1_000_000,
      convolutions: true,
    }),
  ),
  {
    what: 'ShuffleNet V2 0.5x',
    make: () => zoo.shuffleNetV2({ ...imageNet, width: 0.5 }),
    source: 'torchvision: 0.04 G (Ma et al. 2018: 41M)',
    counted: 'trained',
    parameters: 1_366_792,
    macs: 40_000_000,
    toMacs: 1_000_000,
  },
  {
    what: 'ShuffleNet V2 1x',
    make: () => zoo.shuffleNetV2(imageNet),
    source: 'torchvision: 0.145 G (Ma et al. 2018: 146M)',
    counted: 'trained',
    parameters: 2_278_604,
    macs: 145_000_000,
    toMacs: 1_000_000,
  },
  {
    what: 'DS-CNN',
    make: () => zoo.dsCnn({ shape: [49, 10, 1], classes: 12 }),
    source: 'MLPerf Tiny, the .tflite file',
    counted: 'folded',
    parameters: 22_604,
    macs: 2_656_768,
  },
  {
    what: 'autoencoder',
    make: () => zoo.autoencoder(),
    source: 'MLPerf Tiny, the .tflite file',
    counted: 'folded',
    parameters: 265_864,
    macs: 264_192,
  },
  {
    what: 'LSTM',
    make: () => zoo.recurrentClassifier(words),
    source: 'keras.io/guides/working_with_rnns: 64,000 + 98,816 + 1,290',
    parameters: 164_106,
  },
  {
    what: 'GRU',
    make: () => zoo.recurrentClassifier({ ...words, cell: 'gru', units: 256 }),
    source: 'keras.io/guides/working_with_rnns: 64,000 + 247,296, and a dense layer of 2,570',
    parameters: 313_866,
  },
  {
    what: '1-D CNN',
    make: () => zoo.cnn1d({ shape: [500, 1], classes: 2 }),
    source:
      'keras.io/examples/timeseries/timeseries_classification_from_scratch: 25,858, of which 3 * 64 biases before a batchNorm',
    counted: 'all',
    parameters: 25_858 - 3 * 64,
  },
]

/** Multiply-accumulates of the nodes that `counts`. */
const macs = (model: Model, counts: (op: string) => boolean) =>
  model.nodes.reduce((sum, n) => sum + (counts(n.op) ? (opOf(n.op)?.macs?.(n) ?? 0) : 0), 0)

describe('sizes are the published ones', () => {
  it.each(PUBLISHED.map((p) => [p.what, p] as const))('%s', (_, p) => {
    const { counted = 'all', parameters, toParameters = 1, toMacs = 1 } = p
    const model = p.make()
    if (parameters !== undefined) {
      const trained = model.params.reduce((sum, q) => sum + (q.attrs.trainable ? size(q.shape) : 0), 0)
      const count = { all: model.parameterCount, trained, folded: counted === 'folded' ? fold(model).parameterCount : 0 }[counted]
      expect(Math.round(count / toParameters) * toParameters, `${count}; ${p.source}`).toBe(parameters)
    }
    if (p.macs !== undefined) {
      const count = macs(model, (op) => op !== 'batchNorm' && !(p.convolutions && op === 'dense'))
      expect(Math.round(count / toMacs) * toMacs, `${count}; ${p.source}`).toBe(p.macs)
    }
  })

  it('as LeNet-5 has them layer by layer', () => {
    const rows = new Map(
      zoo.leNet5(mnist).nodes.map((n) => [n.name, n.inputs.slice(1).reduce((sum, q) => sum + size(q.shape), 0)]),
    )
    expect(['conv1', 'dense1', 'dense2'].map((name) => rows.get(name))).toEqual([156, 48_120, 10_164])
  })
})

interface Small {
  make: () => Model
  /** Largest error of an int8 output, as a share of the range of the float model's outputs. */
  bound: number
  lr?: number
}

const small = { shape: [32, 32, 3], classes: 3 }

const NETWORKS: Record<keyof typeof zoo, Small[]> = {
  autoencoder: [{ make: () => zoo.autoencoder({ inputs: 64 }), bound: 0.03 }],
  cnn1d: [{ make: () => zoo.cnn1d({ shape: [60, 2], classes: 3, filters: 16 }), bound: 0.04 }],
  denseNet: [{ make: () => zoo.denseNet({ shape: [16, 16, 3], classes: 3, depth: 22, growth: 6 }), bound: 0.02 }],
  dsCnn: [{ make: () => zoo.dsCnn({ shape: [49, 10, 1], classes: 4 }), bound: 0.03 }],
  kerasCnn: [{ make: () => zoo.kerasCnn({ shape: [22, 22, 1], classes: 3 }), bound: 0.02 }],
  leNet300: [{ make: () => zoo.leNet300({ shape: [8, 8, 1], classes: 3 }), bound: 0.02 }],
  leNet5: [{ make: () => zoo.leNet5({ shape: [20, 20, 1], classes: 3 }), bound: 0.02 }],
  mobileNetV1: [{ make: () => zoo.mobileNetV1({ ...small, width: 0.25 }), bound: 0.03 }],
  mobileNetV2: [{ make: () => zoo.mobileNetV2({ ...small, width: 0.25 }), bound: 0.17 }],
  recurrentClassifier: [
    { make: () => zoo.recurrentClassifier({ shape: [12, 5], classes: 3, units: 16 }), bound: 0.02, lr: 0.03 },
    {
      make: () => zoo.recurrentClassifier({ shape: [12, 5], classes: 3, units: 16, cell: 'gru' }),
      bound: 0.02,
      lr: 0.03,
    },
    {
      make: () => zoo.recurrentClassifier({ shape: [9], classes: 3, units: 16, vocabulary: { words: 50, units: 8 } }),
      bound: 0.02,
      lr: 0.03,
    },
  ],
  resNet: [{ make: () => zoo.resNet({ shape: [16, 16, 3], classes: 3, width: 0.5 }), bound: 0.02 }],
  resNet8: [{ make: () => zoo.resNet8({ shape: [16, 16, 3], classes: 3 }), bound: 0.02 }],
  shuffleNetV1: [{ make: () => zoo.shuffleNetV1({ ...small, width: 0.25, groups: 3 }), bound: 0.08 }],
  shuffleNetV2: [{ make: () => zoo.shuffleNetV2({ ...small, width: 0.5 }), bound: 0.1 }],
  simpleConvnet: [{ make: () => zoo.simpleConvnet({ shape: [14, 14, 1], classes: 3 }), bound: 0.03 }],
  tinyCnn: [{ make: () => zoo.tinyCnn({ shape: [8, 8, 1], classes: 3 }), bound: 0.02 }],
}

const COUNT = 24
const STEPS = 8
const cases = Object.entries(NETWORKS).flatMap(([name, list]) =>
  list.map((s, i) => [list.length > 1 ? `${name} ${i + 1}` : name, s] as const),
)

/** One batch: noise, and on it a mark of the sample's class. */
function batchFor(model: Model, classes: number) {
  const [{ shape, dtype }] = model.inputs
  const each = size(shape)
  const random = new Random(each)
  const y = Int32Array.from({ length: COUNT }, (_, i) => i % classes)
  const value = (i: number) => random.uniform(-1, 1) + (i % classes === y[Math.floor(i / each)] ? 1 : 0)
  const x =
    dtype === 'i32'
      ? Int32Array.from({ length: COUNT * each }, () => random.integer(50))
      : Float32Array.from({ length: COUNT * each }, (_, i) => value(i))
  return { x, y, shape, each }
}

describe.each(cases)('%s', (_, { make, bound, lr = 3e-3 }) => {
  const model = make()
  const isEncoder = model.outputs[0].shape[0] === size(model.inputs[0].shape)
  const { x, y, shape, each } = batchFor(model, 3)

  it('trains: the loss of one batch is finite and falls', async () => {
    const data = isEncoder
      ? makeDataset({ x, y: x, shape, target: shape })
      : makeDataset({ x, y, shape, classes: model.outputs[0].shape[0] })
    const trainer = new Trainer(model, {
      ...(isEncoder && { loss: meanSquaredError() }),
      optimizer: adam({ lr }),
      batch: COUNT,
      threads: 1,
    })
    const losses = (await trainer.fit(data, { epochs: STEPS })).map((e) => e.loss)
    expect(losses.every(Number.isFinite), losses.join()).toBe(true)
    expect(losses[STEPS - 1], losses.join()).toBeLessThan(0.9 * losses[0])
  })

  it('folds, and computes the same', async () => {
    const folded = fold(model)
    const [a, b] = [await model.predict(x, { threads: 1 }), await folded.predict(x, { threads: 1 })]
    const range = Math.max(...a) - Math.min(...a)
    expect(Math.max(...a.map((v, i) => Math.abs(v - b[i]))) / range).toBeLessThan(1e-4)
  })

  it(`is quantized within ${bound} of its range, and its module gives the session's bytes`, async () => {
    const int8 = await quantize(model, { x })
    const [f, q] = [await model.predict(x, { threads: 1 }), await int8.predict(x, { threads: 1 })]
    const range = Math.max(...f) - Math.min(...f)
    const worst = Math.max(...f.map((v, i) => Math.abs(v - q[i]))) / range
    expect(worst).toBeLessThan(bound)
    for (const target of ['aot', 'interpreter', 'simd'] as const) {
      const module = await loadModule((await buildModule(int8, { target })).wasm)
      const out = size(int8.outputs[0].shape)
      for (let i = 0; i < 2; i++) {
        const got = module.predict(x.subarray(i * each, (i + 1) * each))
        expect(got, `${target}, sample ${i}`).toEqual(q.subarray(i * out, (i + 1) * out))
      }
    }
  })
})

describe('options that do not exist', () => {
  it('are refused', () => {
    expect(() => zoo.resNet({ ...cifar, depth: 18 })).toThrowErrorMatchingInlineSnapshot(
      `[DunlinError: resNet: depth is 6 n + 2 layers, such as 20, 32 or 56; got 18.]`,
    )
    expect(() => zoo.denseNet({ ...cifar, depth: 99 })).toThrowErrorMatchingInlineSnapshot(
      `[DunlinError: denseNet: depth is 6 n + 4 layers, such as 40 or 100; got 99.]`,
    )
    expect(() => zoo.shuffleNetV2({ ...cifar, width: 0.75 as 0.5 })).toThrowErrorMatchingInlineSnapshot(
      `[DunlinError: shuffleNetV2: width is 0.5, 1, 1.5 or 2, got 0.75.]`,
    )
    expect(() => zoo.recurrentClassifier({ ...words, cell: 'rnn' as 'gru' })).toThrowErrorMatchingInlineSnapshot(
      `[DunlinError: recurrentClassifier: cell is "gru" or "lstm", got "rnn".]`,
    )
  })
})
