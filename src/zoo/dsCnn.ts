// DS-CNN: keyword spotting on 49 frames of 10 cepstral coefficients by four depthwise separable convolutions. (Zhang, Suda, Lai and Chandra,
// "Hello Edge: Keyword Spotting on Microcontrollers", 2017; the small one, which is MLPerf Tiny's, without its softmax.)

import type { Model } from '../model/model'
import { sequential } from '../model/sequential'
import { dropout } from '../ops/dropout'
import { type ClassifierOptions, logits, modelOf, normedConv2d, normedDepthwise } from './classifier'

/** An untrained DS-CNN. 22,604 parameters when folded and 2,656,768 MACs for samples of 49x10x1 and twelve classes. */
export function dsCnn(options: ClassifierOptions): Model {
  const { shape, classes, ...settings } = options
  const network = sequential(
    normedConv2d({ filters: 64, kernel: [10, 4], strides: 2, activation: 'relu', name: 'conv' }),
    dropout({ rate: 0.2, name: 'dropout1' }),
    ...[1, 2, 3, 4].flatMap((i) => [
      normedDepthwise({ activation: 'relu', name: `pair${i}/depthwise` }),
      normedConv2d({ filters: 64, kernel: 1, activation: 'relu', name: `pair${i}/pointwise` }),
    ]),
    dropout({ rate: 0.4, name: 'dropout2' }),
    logits(classes),
  )
  return modelOf(network, shape, 'dsCnn', settings)
}
