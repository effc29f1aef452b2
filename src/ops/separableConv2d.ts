// separableConv2d: a depthwise convolution, which looks around, then a 1x1 convolution, which mixes channels; a composition of the two.

import type { Layer } from '../graph/node'
import { conv2d } from './conv2d'
import { depthwiseConv2d } from './depthwiseConv2d'
import type { Activation } from './op'
import type { Padding, Pair } from './window'

/**
 * Depthwise separable 2-D convolution. x [height, width, channels] -> [oh, ow, filters].
 * Its two nodes are called <name>/depthwise, which has no bias, and <name>/pointwise, which has the bias and the activation.
 */
export function separableConv2d(options: {
  filters: number
  kernel: Pair
  multiplier?: number
  strides?: Pair
  dilation?: Pair
  padding?: Padding
  activation?: Activation
  bias?: boolean
  name?: string
}): Layer {
  const { filters, activation, bias, name, ...window } = options
  const depthwise = depthwiseConv2d({ ...window, bias: false, ...(name && { name: `${name}/depthwise` }) })
  const pointwise = conv2d({ filters, kernel: 1, activation, bias, ...(name && { name: `${name}/pointwise` }) })
  return (x) => pointwise(depthwise(x))
}
