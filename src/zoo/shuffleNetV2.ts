// ShuffleNet V2: half of the channels go past each unit untouched, and a shuffle mixes the halves. (Ma, Zhang, Zheng and Sun, "ShuffleNet
// V2: Practical Guidelines for Efficient CNN Architecture Design", 2018.)

import { DunlinError } from '../graph/error'
import type { Layer } from '../graph/node'
import type { Model } from '../model/model'
import { sequential } from '../model/sequential'
import { concat } from '../ops/concat'
import { channelShuffle } from '../ops/permute'
import { maxPool2d } from '../ops/pool2d'
import { slice } from '../ops/slice'
import { type ClassifierOptions, logits, modelOf, normedConv2d, normedDepthwise } from './classifier'

export type ShuffleWidth = 0.5 | 1 | 1.5 | 2

/** Channels of the first stage and of the last convolution, by width. Each stage doubles them. */
const CHANNELS = new Map<number, readonly [number, number]>([
  [0.5, [48, 1024]],
  [1, [116, 1024]],
  [1.5, [176, 1024]],
  [2, [244, 2048]],
])
/** Units of each stage. */
const UNITS = [4, 8, 4]

/** An untrained ShuffleNet V2 of `width` 0.5, 1 (default), 1.5 or 2. For ImageNet 1,366,792 trained parameters with 0.5, 2,278,604 with 1. */
export function shuffleNetV2(options: ClassifierOptions & { width?: ShuffleWidth }): Model {
  const { shape, classes, width = 1, ...settings } = options
  const channels = CHANNELS.get(width)
  if (!channels) throw new DunlinError(`shuffleNetV2: width is 0.5, 1, 1.5 or 2, got ${width}.`)
  const [first, last] = channels
  const layers: Layer[] = [
    normedConv2d({ filters: 24, kernel: 3, strides: 2, activation: 'relu', name: 'conv1' }),
    maxPool2d({ kernel: 3, strides: 2, padding: 'same', name: 'maxPool' }),
  ]
  for (const [s, units] of UNITS.entries()) {
    for (let u = 1; u <= units; u++) layers.push((u === 1 ? reduce : unit)(first * 2 ** s, `stage${s + 2}/unit${u}`))
  }
  const head = sequential(normedConv2d({ filters: last, kernel: 1, activation: 'relu', name: 'conv5' }), logits(classes))
  return modelOf(sequential(...layers, head), shape, 'shuffleNetV2', settings)
}

/** 1x1, depthwise, 1x1. */
const branch = (filters: number, strides: 1 | 2, name: string): Layer =>
  sequential(
    normedConv2d({ filters, kernel: 1, activation: 'relu', name: `${name}/conv1` }),
    normedDepthwise({ strides, name: `${name}/depthwise` }),
    normedConv2d({ filters, kernel: 1, activation: 'relu', name: `${name}/conv2` }),
  )

/** A unit that keeps the shape. */
function unit(channels: number, name: string): Layer {
  const half = channels / 2
  return (x) => {
    const size = [x.shape[0], x.shape[1], half]
    const kept = slice({ begin: [0, 0, 0], size, name: `${name}/kept` })(x)
    const changed = branch(half, 1, name)(slice({ begin: [0, 0, half], size, name: `${name}/changed` })(x))
    return channelShuffle({ groups: 2, name: `${name}/shuffle` })(concat({ name })(kept, changed))
  }
}

/** A unit that halves height and width: both halves of the result are made of all channels. */
function reduce(channels: number, name: string): Layer {
  const half = channels / 2
  const side = sequential(
    normedDepthwise({ strides: 2, name: `${name}/side/depthwise` }),
    normedConv2d({ filters: half, kernel: 1, activation: 'relu', name: `${name}/side/conv` }),
  )
  return (x) => channelShuffle({ groups: 2, name: `${name}/shuffle` })(concat({ name })(side(x), branch(half, 2, name)(x)))
}
