// The tiny CNN: conv 3x3x8 - pool - conv 3x3x16 - pool - dense. Small enough for a microcontroller, good for 99 % on handwritten digits.

import type { Model } from '../model/model'
import { sequential } from '../model/sequential'
import { conv2d } from '../ops/conv2d'
import { dense } from '../ops/dense'
import { maxPool2d } from '../ops/pool2d'
import { flatten } from '../ops/reshape'
import { type ClassifierOptions, modelOf } from './classifier'

/** An untrained tiny CNN from images of `shape` to logits of `classes`. */
export function tinyCnn(options: ClassifierOptions): Model {
  const { shape, classes, ...settings } = options
  const network = sequential(
    conv2d({ filters: 8, kernel: 3, padding: 'same', activation: 'relu', name: 'conv1' }),
    maxPool2d({ kernel: 2, name: 'pool1' }),
    conv2d({ filters: 16, kernel: 3, padding: 'same', activation: 'relu', name: 'conv2' }),
    maxPool2d({ kernel: 2, name: 'pool2' }),
    flatten({ name: 'flatten' }),
    dense({ units: classes, name: 'dense' }),
  )
  return modelOf(network, shape, 'tinyCnn', settings)
}
