// The network of the guide "Convolutional Neural Network (CNN)" of TensorFlow and Keras: three convolutions, two dense layers.

import type { Model } from '../model/model'
import { sequential } from '../model/sequential'
import { conv2d } from '../ops/conv2d'
import { dense } from '../ops/dense'
import { maxPool2d } from '../ops/pool2d'
import { flatten } from '../ops/reshape'
import { type ClassifierOptions, modelOf } from './classifier'

/** An untrained CNN of the guide. With ten classes 122,570 parameters for images of 32x32x3, 93,322 for 28x28x1. */
export function kerasCnn(options: ClassifierOptions): Model {
  const { shape, classes, ...settings } = options
  const common = { kernel: 3, activation: 'relu', initializer: 'glorotUniform' } as const
  const network = sequential(
    conv2d({ ...common, filters: 32, name: 'conv1' }),
    maxPool2d({ kernel: 2, name: 'pool1' }),
    conv2d({ ...common, filters: 64, name: 'conv2' }),
    maxPool2d({ kernel: 2, name: 'pool2' }),
    conv2d({ ...common, filters: 64, name: 'conv3' }),
    flatten({ name: 'flatten' }),
    dense({ units: 64, activation: 'relu', initializer: 'glorotUniform', name: 'dense1' }),
    dense({ units: classes, name: 'dense2' }),
  )
  return modelOf(network, shape, 'kerasCnn', settings)
}
