// MobileNet: depthwise and 1x1 convolutions in turn. (Howard et al., "MobileNets: Efficient Convolutional Neural Networks for Mobile Vision
// Applications", 2017.) With width 0.25 for 96x96 images and two classes it is the visual wake words network of MLPerf Tiny.

import type { Model } from '../model/model'
import { sequential } from '../model/sequential'
import { type ClassifierOptions, logits, modelOf, normedConv2d, normedDepthwise } from './classifier'

/** Channels and stride of each pair. */
const PAIRS = [
  [64, 1],
  [128, 2],
  [128, 1],
  [256, 2],
  [256, 1],
  [512, 2],
  [512, 1],
  [512, 1],
  [512, 1],
  [512, 1],
  [512, 1],
  [1024, 2],
  [1024, 1],
] as const

/**
 * An untrained MobileNet with `width` times the channels, default 1. Of images 224x224x3 and 1000 classes 4,253,864 parameters and 569
 * million MACs.
 */
export function mobileNetV1(options: ClassifierOptions & { width?: number }): Model {
  const { shape, classes, width = 1, ...settings } = options
  const wide = (channels: number) => Math.max(1, Math.floor(channels * width))
  const network = sequential(
    normedConv2d({ filters: wide(32), kernel: 3, strides: 2, activation: 'relu', name: 'conv' }),
    ...PAIRS.flatMap(([channels, strides], i) => [
      normedDepthwise({ strides, activation: 'relu', name: `pair${i + 1}/depthwise` }),
      normedConv2d({ filters: wide(channels), kernel: 1, activation: 'relu', name: `pair${i + 1}/pointwise` }),
    ]),
    logits(classes),
  )
  return modelOf(network, shape, 'mobileNetV1', settings)
}
