// A fully convolutional network over time: three 1-D convolutions and the mean over all steps, so that it takes series of any length.
// (Wang, Yan and Oates, "Time Series Classification from Scratch with Deep Neural Networks", 2017; sizes of keras.io's example.)

import type { Model } from '../model/model'
import { sequential } from '../model/sequential'
import { batchNorm } from '../ops/batchNorm'
import { conv1d } from '../ops/conv1d'
import { dense } from '../ops/dense'
import { globalAvgPool1d } from '../ops/pool1d'
import { flatten } from '../ops/reshape'
import { type ClassifierOptions, modelOf } from './classifier'

/** An untrained 1-D CNN of series of `shape` [steps, channels], with `filters` (default 64) in each layer. */
export function cnn1d(options: ClassifierOptions & { filters?: number }): Model {
  const { shape, classes, filters = 64, ...settings } = options
  const layers = [1, 2, 3].flatMap((i) => [
    conv1d({ filters, kernel: 3, padding: 'same', bias: false, name: `conv${i}` }),
    batchNorm({ activation: 'relu', name: `conv${i}/norm` }),
  ])
  const head = [globalAvgPool1d({ name: 'pool' }), flatten({ name: 'flatten' }), dense({ units: classes, name: 'dense' })]
  return modelOf(sequential(...layers, ...head), shape, 'cnn1d', settings)
}
