// DenseNet-BC for small images: every layer sees the channels of all layers before it in its block and adds `growth` of its own.
// (Huang, Liu, van der Maaten and Weinberger, "Densely Connected Convolutional Networks", 2017: normalization and relu come before
// the convolution; 1x1 bottlenecks, and between blocks half of the channels.)

import { DunlinError } from '../graph/error'
import type { Layer, Node } from '../graph/node'
import type { Model } from '../model/model'
import { sequential } from '../model/sequential'
import { batchNorm } from '../ops/batchNorm'
import { concat } from '../ops/concat'
import { conv2d } from '../ops/conv2d'
import { avgPool2d } from '../ops/pool2d'
import { type ClassifierOptions, logits, modelOf } from './classifier'

/** An untrained DenseNet-BC of `depth` layers, 6 n + 4, default 100, and `growth`, default 12: 769,162 trained parameters for CIFAR-10. */
export function denseNet(options: ClassifierOptions & { depth?: number; growth?: number }): Model {
  const { shape, classes, depth = 100, growth = 12, ...settings } = options
  const layers = (depth - 4) / 6
  if (!Number.isInteger(layers) || layers < 1)
    throw new DunlinError(`denseNet: depth is 6 n + 4 layers, such as 40 or 100; got ${depth}.`)
  const network = sequential(
    conv({ filters: 2 * growth, kernel: 3, name: 'conv' }),
    block(layers, growth, 'block1'),
    transition('transition1'),
    block(layers, growth, 'block2'),
    transition('transition2'),
    block(layers, growth, 'block3'),
    batchNorm({ activation: 'relu', name: 'norm' }),
    logits(classes),
  )
  return modelOf(network, shape, 'denseNet', settings)
}

const conv = (options: { filters: number; kernel: number; name: string }): Layer =>
  conv2d({ ...options, padding: 'same', bias: false, initializer: 'heNormal' })

/** Normalization, relu, convolution. */
const preNormed = (options: { filters: number; kernel: number; name: string }): Layer =>
  sequential(batchNorm({ activation: 'relu', name: `${options.name}/norm` }), conv(options))

function block(layers: number, growth: number, name: string): Layer {
  return (x) => {
    // One concat of all before each layer, not of the last one and one more: in int8 every value is brought to another scale only once.
    const values: Node[] = [x]
    for (let i = 1; i <= layers; i++) {
      const layer = sequential(
        preNormed({ filters: 4 * growth, kernel: 1, name: `${name}/layer${i}/conv1` }),
        preNormed({ filters: growth, kernel: 3, name: `${name}/layer${i}/conv2` }),
      )
      values.push(layer(values.length === 1 ? x : concat({ name: `${name}/layer${i}` })(...values)))
    }
    return concat({ name })(...values)
  }
}

const transition =
  (name: string): Layer =>
  (x) =>
    sequential(
      preNormed({ filters: Math.floor(x.shape[2] / 2), kernel: 1, name: `${name}/conv` }),
      avgPool2d({ kernel: 2, name }),
    )(x)
