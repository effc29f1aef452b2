// The networks that modules are judged by, in int8: small ones whose samples are real, MLPerf Tiny's four, recurrent ones. Weights are random
// but for the digits': kernels do not care.

import { quantize } from '../../src/compress/quantize'
import { split, statistics } from '../../src/data/dataset'
import { loadDigits } from '../../src/files'
import { ARRAYS, input, size } from '../../src/graph/node'
import { Random } from '../../src/graph/random'
import { Model } from '../../src/model/model'
import { sequential } from '../../src/model/sequential'
import { opOf } from '../../src/ops'
import { softmax } from '../../src/ops/activation'
import { conv2d } from '../../src/ops/conv2d'
import { dense } from '../../src/ops/dense'
import { gru } from '../../src/ops/gru'
import { logMel } from '../../src/ops/logMel'
import { avgPool2d } from '../../src/ops/pool2d'
import { flatten, reshape } from '../../src/ops/reshape'
import { resize } from '../../src/ops/resize'
import { Session } from '../../src/session/session'
import { adam } from '../../src/train/optimizers'
import { oneCycle } from '../../src/train/schedules'
import { Trainer } from '../../src/train/trainer'
import * as zoo from '../../src/zoo'
import { tinyCnn } from '../../src/zoo/tinyCnn'

/** A model of one input and one output, and raw samples for it. */
interface Made {
  model: Model
  samples: Float32Array
}

const CALIBRATION = 8
const SEED = 1

async function digits(): Promise<Made> {
  const [train, test] = split(loadDigits(), 0.2, 0)
  const model = tinyCnn({ shape: [8, 8, 1], classes: 10, normalize: statistics(train), name: 'digits' })
  await new Trainer(model, { optimizer: adam({ lr: 1e-2 }), schedule: oneCycle() }).fit(train, { epochs: 4 })
  return { model: await quantize(model, { x: train.x.subarray(0, 200 * 64) }), samples: Float32Array.from(test.x) }
}

/** Quantized on random numbers; `samples` of them are kept to run. */
async function random(model: Model, samples = 3): Promise<Made> {
  const [port] = model.inputs
  const words = port.dtype === 'i32' ? Number(model.name.split(' ')[1]) : 0
  const random = new Random(SEED)
  const values = Float32Array.from({ length: Math.max(samples, CALIBRATION) * size(port.shape) }, () =>
    words ? random.integer(words) : random.uniform(-1, 1),
  )
  return { model: await quantize(model, { x: values }), samples: values.subarray(0, samples * size(port.shape)) }
}

export const NETWORKS = {
  digits,
  'DS-CNN': () => random(zoo.dsCnn({ shape: [49, 10, 1], classes: 12, name: 'ds-cnn' })),
  'ResNet-8': () => random(zoo.resNet8({ shape: [32, 32, 3], classes: 10, name: 'resnet8' })),
  'MobileNet 0.25-96': () => random(zoo.mobileNetV1({ shape: [96, 96, 3], classes: 2, width: 0.25, name: 'mobilenet' })),
  autoencoder: () => random(zoo.autoencoder()),
  GRU: () => random(zoo.recurrentClassifier({ shape: [12, 10], classes: 6, cell: 'gru', units: 24, name: 'gru' })),
  /** Word indices in, probabilities out. */
  'words LSTM': () => random(words(50)),
} satisfies Record<string, () => Promise<Made>>

/** Small ones with kernels that those do not have. */
export const OTHERS = {
  'CNN of series': () => random(zoo.cnn1d({ shape: [60, 2], classes: 3, filters: 10, name: 'cnn1d' })),
  'MobileNet V2': () => random(zoo.mobileNetV2({ shape: [32, 32, 3], classes: 3, width: 0.25, name: 'mobilenet2' })),
  'ShuffleNet V1': () => random(zoo.shuffleNetV1({ shape: [32, 32, 3], classes: 3, width: 0.25, groups: 3, name: 'shufflenet' })),
  /** From 16-bit samples of sound. */
  sound: () => random(new Model(sound(input([1600], { normalize: { mean: 0, std: 32768 } })), { name: 'sound' })),
  /** What it answers depends on the samples before. */
  'stateful GRU': () => random(new Model(memory(input([3, 4])), { name: 'stateful' }), 20),
} satisfies Record<string, () => Promise<Made>>
const MAKERS: Record<string, () => Promise<Made>> = { ...NETWORKS, ...OTHERS }
export type NetworkName = keyof typeof NETWORKS | keyof typeof OTHERS

const sound = sequential(
  logMel({ sampleRate: 16000, frame: 256, step: 128, bands: 16 }),
  reshape({ shape: [11, 16, 1] }),
  conv2d({ filters: 5, kernel: 3, strides: 2, activation: 'relu' }),
  resize({ size: [7, 9] }),
  avgPool2d({ kernel: 2 }),
  flatten(),
  dense({ units: 3 }),
)
const memory = sequential((x) => gru({ units: 7, stateful: true })(x), dense({ units: 3 }))

/** Not quantized: for what a float can be that an integer cannot. */
export const FLOATS = {
  'digits, float': () => tinyCnn({ shape: [8, 8, 1], classes: 10, name: 'digits_float' }),
  'GRU, float': () => zoo.recurrentClassifier({ shape: [6, 5], classes: 4, cell: 'gru', units: 8, name: 'gru_float' }),
  'softmax, float': () => new Model(softmax()(input([20])), { name: 'softmax_float' }),
} satisfies Record<string, () => Model>

function words(count: number): Model {
  const shape = [9]
  const vocabulary = { words: count, units: 6 }
  const network = zoo.recurrentClassifier({ shape, classes: 5, cell: 'lstm', units: 12, vocabulary, name: `words ${count}` })
  return new Model(sequential(softmax())(network.outputs[0]), { name: `words ${count}` })
}

export interface Network {
  name: NetworkName
  model: Model
  macs: number
  /** Its multiply-accumulates by op. */
  macsOf: Record<string, number>
  /** As they lie in the module's memory, `inputBytes` and `outputBytes` each sample; outputs are the session's. */
  inputs: Uint8Array
  outputs: Uint8Array
  inputBytes: number
  outputBytes: number
  samples: number
}

/** Makes a network; what a session answers to its samples, at most `most` of them, is what every other host has to answer. */
export async function network(name: NetworkName, most = Infinity): Promise<Network> {
  const { model, samples } = await MAKERS[name]()
  const session = await Session.create(model.plan(1), { threads: 1 })
  const [input] = session.plan.inputs
  const [output] = session.plan.outputs
  const [inputBytes, outputBytes] = [input, output].map((p) => p.length * ARRAYS[p.dtype].BYTES_PER_ELEMENT)
  const count = Math.min(most, samples.length / input.length)
  const bytesOf = (port: typeof input) => {
    const view = session.view(port)
    return new Uint8Array(view.buffer, view.byteOffset, view.byteLength)
  }
  const inputs = new Uint8Array(count * inputBytes)
  const outputs = new Uint8Array(count * outputBytes)
  for (let i = 0; i < count; i++) {
    session.feed(input, samples, i)
    inputs.set(bytesOf(input), i * inputBytes)
    session.run()
    outputs.set(bytesOf(output), i * outputBytes)
  }
  const macsOf: Record<string, number> = {}
  for (const node of model.nodes) {
    const macs = opOf(node.op)?.macs?.(node)
    if (macs) macsOf[node.op] = (macsOf[node.op] ?? 0) + macs
  }
  return { name, model, macs: model.macs, macsOf, inputs, outputs, inputBytes, outputBytes, samples: count }
}
