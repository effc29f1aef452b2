// ResNet-8 of MLPerf Tiny's image classification: three residual blocks, skips by 1x1 convolutions where the shape changes.
// (https://github.com/mlcommons/tiny, image_classification, resnet_v1_eembc; without its softmax.)

import type { Layer } from '../graph/node'
import type { Model } from '../model/model'
import { sequential } from '../model/sequential'
import { add } from '../ops/add'
import { conv2d } from '../ops/conv2d'
import { type ClassifierOptions, logits, modelOf, normedConv2d } from './classifier'

/** An untrained ResNet-8. 77,706 parameters when folded and 12,501,632 MACs for images of 32x32x3 and ten classes. */
export function resNet8(options: ClassifierOptions): Model {
  const { shape, classes, ...settings } = options
  const network = sequential(
    normedConv2d({ filters: 16, kernel: 3, activation: 'relu', name: 'conv' }),
    block(16, 1, 'block1'),
    block(32, 2, 'block2'),
    block(64, 2, 'block3'),
    logits(classes),
  )
  return modelOf(network, shape, 'resNet8', settings)
}

function block(filters: number, strides: 1 | 2, name: string): Layer {
  const main = sequential(
    normedConv2d({ filters, kernel: 3, strides, activation: 'relu', name: `${name}/conv1` }),
    normedConv2d({ filters, kernel: 3, name: `${name}/conv2` }),
  )
  const skip = conv2d({ filters, kernel: 1, strides, padding: 'same', initializer: 'heNormal', name: `${name}/skip` })
  const sum = add({ activation: 'relu', name })
  return (x) => sum(main(x), strides === 1 ? x : skip(x))
}
