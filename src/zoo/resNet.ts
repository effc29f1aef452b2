// ResNet for small images: three stages of blocks whose input skips two convolutions and is added to their output. (He, Zhang, Ren and
// Sun, "Deep Residual Learning for Image Recognition", 2016, section 4.2; where the shape changes, the skip takes every second
// pixel and fills up the channels with zeros: their option A, without parameters.)

import { DunlinError } from '../graph/error'
import type { Layer } from '../graph/node'
import type { Model } from '../model/model'
import { sequential } from '../model/sequential'
import { add } from '../ops/add'
import { maxPool2d } from '../ops/pool2d'
import { pad } from '../ops/slice'
import { type ClassifierOptions, logits, modelOf, normedConv2d } from './classifier'

/**
 * An untrained ResNet of `depth` layers, 6 n + 2 (20, the default, 32, 44, 56, 110), `width` times 16, 32 and 64 channels wide. Of images
 * 32x32x3 and ten classes 0.27, 0.46, 0.66, 0.85 and 1.7 million parameters.
 */
export function resNet(options: ClassifierOptions & { depth?: number; width?: number }): Model {
  const { shape, classes, depth = 20, width = 1, ...settings } = options
  const blocks = (depth - 2) / 6
  if (!Number.isInteger(blocks) || blocks < 1)
    throw new DunlinError(`resNet: depth is 6 n + 2 layers, such as 20, 32 or 56; got ${depth}.`)
  const stages = [16, 32, 64].map((channels) => Math.max(1, Math.round(channels * width)))
  const layers: Layer[] = [normedConv2d({ filters: stages[0], kernel: 3, activation: 'relu', name: 'conv' })]
  for (const [s, filters] of stages.entries())
    for (let b = 1; b <= blocks; b++) layers.push(block(filters, s > 0 && b === 1 ? 2 : 1, `stage${s + 1}/block${b}`))
  return modelOf(sequential(...layers, logits(classes)), shape, `resNet${depth}`, settings)
}

function block(filters: number, strides: 1 | 2, name: string): Layer {
  const main = sequential(
    normedConv2d({ filters, kernel: 3, strides, activation: 'relu', name: `${name}/conv1` }),
    normedConv2d({ filters, kernel: 3, name: `${name}/conv2` }),
  )
  const sum = add({ activation: 'relu', name })
  return (x) => sum(main(x), shortcut(filters, strides, name)(x))
}

const shortcut =
  (filters: number, strides: 1 | 2, name: string): Layer =>
  (x) => {
    if (strides === 1) return x
    const missing = filters - x.shape[2]
    const before = Math.floor(missing / 2)
    const padding = [
      [0, 0],
      [0, 0],
      [before, missing - before],
    ] as const
    return pad({ padding, name: `${name}/pad` })(maxPool2d({ kernel: 1, strides, padding: 'same', name: `${name}/skip` })(x))
  }
