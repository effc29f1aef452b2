// MobileNet V2: inverted residuals. A 1x1 convolution widens, a depthwise one looks around, a 1x1 one without activation narrows, and the
// narrow ends are connected. (Sandler et al., "MobileNetV2: Inverted Residuals and Linear Bottlenecks", 2018.)

import type { Layer } from '../graph/node'
import type { Model } from '../model/model'
import { sequential } from '../model/sequential'
import { add } from '../ops/add'
import { type ClassifierOptions, logits, modelOf, normedConv2d, normedDepthwise } from './classifier'

/** Expansion, channels, blocks, and stride of the first of them. */
const STAGES = [
  [1, 16, 1, 1],
  [6, 24, 2, 2],
  [6, 32, 3, 2],
  [6, 64, 4, 2],
  [6, 96, 3, 1],
  [6, 160, 3, 2],
  [6, 320, 1, 1],
] as const

/**
 * An untrained MobileNet V2 with `width` times the channels, default 1. Of images 224x224x3 and 1000 classes 3,538,984 parameters and 300
 * million MACs.
 */
export function mobileNetV2(options: ClassifierOptions & { width?: number }): Model {
  const { shape, classes, width = 1, ...settings } = options
  const layers: Layer[] = [
    normedConv2d({ filters: eights(32 * width), kernel: 3, strides: 2, activation: 'relu6', name: 'conv1' }),
  ]
  for (const [s, [expansion, channels, blocks, strides]] of STAGES.entries())
    for (let b = 1; b <= blocks; b++)
      layers.push(block(expansion, eights(channels * width), b === 1 ? strides : 1, `stage${s + 1}/block${b}`))
  const last = eights(1280 * Math.max(1, width))
  const head = sequential(normedConv2d({ filters: last, kernel: 1, activation: 'relu6', name: 'conv2' }), logits(classes))
  return modelOf(sequential(...layers, head), shape, 'mobileNetV2', settings)
}

/** The nearest multiple of 8, but not below nine tenths. */
function eights(channels: number): number {
  const near = Math.max(8, Math.floor((channels + 4) / 8) * 8)
  return near < 0.9 * channels ? near + 8 : near
}

const block =
  (expansion: number, filters: number, strides: number, name: string): Layer =>
  (x) => {
    const wide = expansion * x.shape[2]
    const main = sequential(
      ...(expansion > 1 ? [normedConv2d({ filters: wide, kernel: 1, activation: 'relu6', name: `${name}/expand` })] : []),
      normedDepthwise({ strides, activation: 'relu6', name: `${name}/depthwise` }),
      normedConv2d({ filters, kernel: 1, name: `${name}/project` }),
    )(x)
    return strides === 1 && x.shape[2] === filters ? add({ name })(x, main) : main
  }
