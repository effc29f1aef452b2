// conv1d: x [t, c] -> [ot, filters]: a conv2d on an image of one row, between two reshapes, which cost nothing.

import { DunlinError } from '../graph/error'
import type { Layer } from '../graph/node'
import { conv2d } from './conv2d'
import { type Activation, expectCount, where } from './op'
import { reshape } from './reshape'
import type { Padding } from './window'

/** 'valid': none; 'same'; one number for both ends; or [before, after]. */
export type Padding1d = 'valid' | 'same' | number | readonly [number, number]

/**
 * 1-D convolution over time. x [steps, channels] -> [out steps, filters].
 * Padding 'causal' is all before the first step, so that no output sees a later input.
 * Parameters: w [filters, 1, kernel, channels / groups] (He uniform), b [filters] (zeros; none with `bias: false`).
 */
export function conv1d(options: {
  filters: number
  kernel: number
  strides?: number
  dilation?: number
  padding?: Padding1d | 'causal'
  groups?: number
  activation?: Activation
  bias?: boolean
  name?: string
}): Layer {
  const { kernel, strides = 1, dilation = 1, padding = 'valid', name = '', ...rest } = options
  const node = { op: 'conv1d', name }
  for (const [what, n] of Object.entries({ kernel, strides, dilation })) expectCount(node, what, n)
  const row = rowPadding(padding === 'causal' ? [(kernel - 1) * dilation, 0] : padding)
  const layer = conv2d({ ...rest, kernel: [1, kernel], strides: [1, strides], dilation: [1, dilation], padding: row, name })
  return asRow(node, layer)
}

/** The same padding along the one row of an image. */
export const rowPadding = (padding: Padding1d): Padding =>
  typeof padding === 'string' ? padding : typeof padding === 'number' ? [0, 0, padding, padding] : [0, 0, padding[0], padding[1]]

/** A layer of images as one of sequences: x [t, c] is an image [1, t, c]. `node` is who says that x is none. */
export function asRow(node: { op: string; name: string }, layer: Layer): Layer {
  return (x) => {
    if (x.shape.length !== 2) {
      throw new DunlinError(`${where(node)}: wants a sequence [steps, channels], got shape [${x.shape}]. Reshape it first.`)
    }
    const y = layer(reshape({ shape: [1, ...x.shape] })(x))
    return reshape({ shape: [y.shape[1], y.shape[2]] })(y)
  }
}
