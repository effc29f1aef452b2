// The "Simple MNIST convnet" of keras.io's examples: two convolutions, two pools, a dropout, a dense layer.

import type { Model } from '../model/model'
import { sequential } from '../model/sequential'
import { conv2d } from '../ops/conv2d'
import { dense } from '../ops/dense'
import { dropout } from '../ops/dropout'
import { maxPool2d } from '../ops/pool2d'
import { flatten } from '../ops/reshape'
import { type ClassifierOptions, modelOf } from './classifier'

/** An untrained simple convnet. 34,826 parameters for images of 28x28x1 and ten classes. */
export function simpleConvnet(options: ClassifierOptions): Model {
  const { shape, classes, ...settings } = options
  const common = { kernel: 3, activation: 'relu', initializer: 'glorotUniform' } as const
  const network = sequential(
    conv2d({ ...common, filters: 32, name: 'conv1' }),
    maxPool2d({ kernel: 2, name: 'pool1' }),
    conv2d({ ...common, filters: 64, name: 'conv2' }),
    maxPool2d({ kernel: 2, name: 'pool2' }),
    flatten({ name: 'flatten' }),
    dropout({ rate: 0.5, name: 'dropout' }),
    dense({ units: classes, name: 'dense' }),
  )
  return modelOf(network, shape, 'simpleConvnet', settings)
}
