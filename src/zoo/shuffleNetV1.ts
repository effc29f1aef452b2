// ShuffleNet: grouped 1x1 convolutions, and between them a shuffle by which every group sees the others. (Zhang, Zhou, Lin and Sun,
// "ShuffleNet: An Extremely Efficient Convolutional Neural Network for Mobile Devices", 2018.)

import type { Layer } from '../graph/node'
import type { Model } from '../model/model'
import { sequential } from '../model/sequential'
import { add } from '../ops/add'
import { concat } from '../ops/concat'
import { channelShuffle } from '../ops/permute'
import { avgPool2d, maxPool2d } from '../ops/pool2d'
import { type ClassifierOptions, logits, modelOf, normedConv2d, normedDepthwise } from './classifier'

export type ShuffleGroups = 1 | 2 | 3 | 4 | 8

/** Channels of the first stage, by groups: the more groups, the more channels at one cost. Each stage doubles them. */
const CHANNELS: Record<ShuffleGroups, number> = { 1: 144, 2: 200, 3: 240, 4: 272, 8: 384 }
/** Units of each stage. */
const UNITS = [4, 8, 4]

/** An untrained ShuffleNet of `groups` (default 3) and `width` times the channels (default 1). 1.5 to 2.4 million parameters for ImageNet. */
export function shuffleNetV1(options: ClassifierOptions & { groups?: ShuffleGroups; width?: number }): Model {
  const { shape, classes, groups = 3, width = 1, ...settings } = options
  const layers: Layer[] = [
    normedConv2d({ filters: Math.floor(24 * width), kernel: 3, strides: 2, activation: 'relu', name: 'conv' }),
    maxPool2d({ kernel: 3, strides: 2, padding: 'same', name: 'maxPool' }),
  ]
  for (const [s, units] of UNITS.entries()) {
    const channels = Math.floor(CHANNELS[groups] * width) * 2 ** s
    for (let u = 1; u <= units; u++) {
      // The few channels that come in first are not grouped.
      const first = s === 0 && u === 1 ? 1 : groups
      layers.push(unit(channels, u === 1 ? 2 : 1, first, groups, `stage${s + 2}/unit${u}`))
    }
  }
  return modelOf(sequential(...layers, logits(classes)), shape, 'shuffleNetV1', settings)
}

const unit =
  (channels: number, strides: 1 | 2, firstGroups: number, groups: number, name: string): Layer =>
  (x) => {
    const filters = strides === 2 ? channels - x.shape[2] : channels
    const last = { filters, kernel: 1, groups, name: `${name}/conv2` }
    const main = sequential(
      normedConv2d({ filters: channels / 4, kernel: 1, groups: firstGroups, activation: 'relu', name: `${name}/conv1` }),
      channelShuffle({ groups, name: `${name}/shuffle` }),
      normedDepthwise({ strides, name: `${name}/depthwise` }),
      normedConv2d({ ...last, ...(strides === 2 && { activation: 'relu' }) }),
    )(x)
    if (strides === 1) return add({ activation: 'relu', name })(x, main)
    return concat({ name })(avgPool2d({ kernel: 3, strides, padding: 'same', name: `${name}/skip` })(x), main)
  }
