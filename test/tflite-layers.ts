// Graphs of every layer that .tflite files have: for round trips, for other runtimes, and to be changed into hostile files.

import { input, type Node, size } from '../src/graph/node'
import { Random } from '../src/graph/random'
import { Model } from '../src/model/model'
import { clip, elu, gelu, hardSwish, leakyRelu, logSoftmax, relu, relu6, sigmoid, softmax, tanh } from '../src/ops/activation'
import { add, mul, sub } from '../src/ops/add'
import { broadcast } from '../src/ops/broadcast'
import { concat } from '../src/ops/concat'
import { conv2d } from '../src/ops/conv2d'
import { dense } from '../src/ops/dense'
import { depthwiseConv2d } from '../src/ops/depthwiseConv2d'
import { dropout } from '../src/ops/dropout'
import { lstm } from '../src/ops/lstm'
import { mean } from '../src/ops/mean'
import { permute } from '../src/ops/permute'
import { avgPool2d, globalAvgPool2d, maxPool2d } from '../src/ops/pool2d'
import { flatten, reshape } from '../src/ops/reshape'
import { resize } from '../src/ops/resize'
import { pad, slice } from '../src/ops/slice'
import { svdf } from '../src/ops/svdf'

const floats = (random: Random, n: number, range = 2) => Float32Array.from({ length: n }, () => random.uniform(-range, range))
/** Random values for so many samples of a model's inputs. */
export const draws = (model: Model, samples: number, seed = 1) =>
  floats(new Random(seed), samples * model.inputs.reduce((sum, x) => sum + size(x.shape), 0))

/** The parameters of a graph are drawn, also those that begin as zeros. */
export function drawn(outputs: Node | Node[], name = 'drawn'): Model {
  const model = new Model(outputs, { name, seed: 3 })
  const random = new Random(9)
  for (const p of model.params) {
    const positive = /gamma|variance/.test(p.name)
    p.data = Float32Array.from(p.data, () => (positive ? random.uniform(0.5, 1.5) : random.uniform(-0.5, 0.5)))
  }
  return model
}

export const image = () => input([6, 7, 5], { name: 'image' })
export const LAYERS: Record<string, () => Node> = {
  add: () => {
    const x = image()
    return add({ activation: 'relu' })(x, conv2d({ filters: 5, kernel: 3, padding: 'same' })(x))
  },
  'sub, mul': () => {
    const x = image()
    return sub()(mul()(x, relu()(x)), x)
  },
  avgPool2d: () => avgPool2d({ kernel: 3, strides: 2, padding: 'same' })(image()),
  maxPool2d: () => maxPool2d({ kernel: [2, 3], strides: 1 })(image()),
  globalAvgPool2d: () => globalAvgPool2d()(image()),
  clip: () => clip({ low: -1, high: 1 })(image()),
  'relu, relu6': () => relu6()(relu()(image())),
  'leakyRelu, hardSwish': () => leakyRelu({ alpha: 0.3 })(hardSwish()(image())),
  'sigmoid, tanh': () => {
    const x = image()
    return concat()(sigmoid()(x), tanh()(x))
  },
  softmax: () => softmax()(dense({ units: 4 })(flatten()(image()))),
  'concat along another axis': () => {
    const x = image()
    return concat({ axis: 1 })(
      x,
      pad({
        padding: [
          [0, 0],
          [1, 2],
          [0, 0],
        ],
      })(x),
    )
  },
  conv2d: () => conv2d({ filters: 6, kernel: [3, 2], strides: [2, 1], padding: [1, 0, 1, 1], activation: 'relu6' })(image()),
  'conv2d, dilated, without bias': () => conv2d({ filters: 3, kernel: 3, dilation: 2, padding: 'same', bias: false })(image()),
  depthwiseConv2d: () => depthwiseConv2d({ kernel: 3, multiplier: 2, padding: 'same', activation: 'relu' })(image()),
  'depthwiseConv2d, without bias': () => depthwiseConv2d({ kernel: 3, bias: false })(image()),
  'dense, without bias': () => dense({ units: 3, bias: false })(flatten()(image())),
  'dense on rows': () => dense({ units: 4, activation: 'relu' })(reshape({ shape: [6, 35] })(image())),
  'mean of channels': () => mean({ axes: [2] })(image()),
  'mean of all': () => mean({ axes: [0, 1, 2] })(image()),
  pad: () =>
    pad({
      padding: [
        [1, 0],
        [0, 2],
        [0, 1],
      ],
      value: 0.5,
    })(image()),
  permute: () => permute({ axes: [2, 0, 1] })(image()),
  resize: () =>
    resize({ size: [9, 4], pixels: 'centers' })(resize({ size: [5, 11], method: 'bilinear', pixels: 'corners' })(image())),
  slice: () => slice({ begin: [1, 0, 2], size: [3, 3, 2], strides: [1, 3, 1] })(image()),
  broadcast: () => {
    const x = image()
    return mul()(x, broadcast()(globalAvgPool2d()(x), x))
  },
  dropout: () => relu()(dropout({ rate: 0.5 })(image())),
  lstm: () => lstm({ units: 5, sequences: true })(reshape({ shape: [7, 30] })(image())),
  'lstm, its last step': () => lstm({ units: 3 })(reshape({ shape: [7, 30] })(image())),
}
/** Those that have no int8 form, or none that quantize() makes. */
export const FLOAT_ONLY: Record<string, () => Node> = {
  elu: () => elu()(image()),
  gelu: () => gelu()(image()),
  logSoftmax: () => logSoftmax()(dense({ units: 4 })(flatten()(image()))),
  svdf: () => svdf({ units: 4, memory: 1, rank: 2, activation: 'relu' })(flatten()(image())),
  'a normalized input': () => relu()(input([3, 4], { name: 'x', normalize: { mean: [1, 2, 3, 4], std: [2, 1, 4, 8] } })),
}
