// What the networks of the zoo share: their options, the model around a network, and the three pieces most are made of.

import { input, type Layer, type Normalize, type Shape } from '../graph/node'
import { Model } from '../model/model'
import { sequential } from '../model/sequential'
import { batchNorm } from '../ops/batchNorm'
import { conv2d } from '../ops/conv2d'
import { dense } from '../ops/dense'
import { depthwiseConv2d } from '../ops/depthwiseConv2d'
import type { Activation } from '../ops/op'
import { globalAvgPool2d } from '../ops/pool2d'
import { flatten } from '../ops/reshape'
import type { Pair } from '../ops/window'

export interface ModelSettings {
  /** Raw values enter as (raw - mean) / std. */
  normalize?: Normalize
  /** What the classes are called. */
  labels?: readonly string[]
  name?: string
  /** Draws the weights; default 0. */
  seed?: number
}

export interface ClassifierOptions extends ModelSettings {
  /** Of one sample; of an image [height, width, channels]. */
  shape: Shape
  /** The model's outputs are that many logits. */
  classes: number
}

/** The untrained model of a network. */
export function modelOf(network: Layer, shape: Shape, name: string, { normalize, ...settings }: ModelSettings): Model {
  return new Model(network(input(shape, { normalize })), { name, ...settings })
}

/** A convolution and the batchNorm after it, which takes the bias's place and has the activation. Weights are drawn as He et al. do. */
export function normedConv2d(options: {
  filters: number
  kernel: Pair
  strides?: number
  groups?: number
  activation?: Activation
  name: string
}): Layer {
  const { activation, name, ...window } = options
  return sequential(
    conv2d({ ...window, padding: 'same', bias: false, initializer: 'heNormal', name }),
    batchNorm({ activation, name: `${name}/norm` }),
  )
}

/** The same with a 3x3 filter for each channel. */
export function normedDepthwise(options: { strides?: number; activation?: Activation; name: string }): Layer {
  const { strides, activation, name } = options
  return sequential(
    depthwiseConv2d({ kernel: 3, strides, padding: 'same', bias: false, initializer: 'heNormal', name }),
    batchNorm({ activation, name: `${name}/norm` }),
  )
}

/** From an image of features to logits: the mean of each channel, then a dense layer. */
export const logits = (classes: number): Layer =>
  sequential(globalAvgPool2d({ name: 'pool' }), flatten({ name: 'flatten' }), dense({ units: classes, name: 'dense' }))
