// LeNet-300-100: two hidden layers. (LeCun et al., "Gradient-Based Learning Applied to Document Recognition", 1998; with relu, as the
// literature on pruning has it since Han et al. 2015.)

import type { Model } from '../model/model'
import { sequential } from '../model/sequential'
import { dense } from '../ops/dense'
import { flatten } from '../ops/reshape'
import { type ClassifierOptions, modelOf } from './classifier'

/** An untrained LeNet-300-100: samples of any shape. 266,610 parameters for 28x28 pixels and ten classes. */
export function leNet300(options: ClassifierOptions): Model {
  const { shape, classes, ...settings } = options
  const network = sequential(
    flatten({ name: 'flatten' }),
    dense({ units: 300, activation: 'relu', name: 'dense1' }),
    dense({ units: 100, activation: 'relu', name: 'dense2' }),
    dense({ units: classes, name: 'dense3' }),
  )
  return modelOf(network, shape, 'leNet300', settings)
}
