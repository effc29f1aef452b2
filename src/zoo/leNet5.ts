// LeNet-5: the first convolutional network of handwritten digits. (LeCun et al., "Gradient-Based Learning Applied to Document
// Recognition", 1998.) As it is built today: every filter of the second convolution sees all channels, pools have no weights, and a
// dense layer stands for the radial basis functions.

import type { Model } from '../model/model'
import { sequential } from '../model/sequential'
import { tanh } from '../ops/activation'
import { conv2d } from '../ops/conv2d'
import { dense } from '../ops/dense'
import { avgPool2d } from '../ops/pool2d'
import { flatten } from '../ops/reshape'
import { type ClassifierOptions, modelOf } from './classifier'

/** An untrained LeNet-5. 61,706 parameters for images of 28x28x1 and ten classes. */
export function leNet5(options: ClassifierOptions): Model {
  const { shape, classes, ...settings } = options
  const initializer = 'lecunUniform'
  const network = sequential(
    conv2d({ filters: 6, kernel: 5, padding: 2, initializer, name: 'conv1' }),
    tanh({ name: 'tanh1' }),
    avgPool2d({ kernel: 2, name: 'pool1' }),
    conv2d({ filters: 16, kernel: 5, initializer, name: 'conv2' }),
    tanh({ name: 'tanh2' }),
    avgPool2d({ kernel: 2, name: 'pool2' }),
    flatten({ name: 'flatten' }),
    dense({ units: 120, initializer, name: 'dense1' }),
    tanh({ name: 'tanh3' }),
    dense({ units: 84, initializer, name: 'dense2' }),
    tanh({ name: 'tanh4' }),
    dense({ units: classes, initializer, name: 'dense3' }),
  )
  return modelOf(network, shape, 'leNet5', settings)
}
