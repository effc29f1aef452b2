// permute: the axes of a value in another order, the elements moved accordingly. channelShuffle is a permute between two reshapes.

import { DunlinError } from '../graph/error'
import { type Layer, type Node, type Shape, size } from '../graph/node'
import { type Block, expectThreeAxes, moveBackward, moveForward, moveInt8, stepsOf } from './move'
import { expectInputs, makeNode, type Op, where } from './op'
import { reshape } from './reshape'

/** Axis i of the result is axis axes[i] of x: `permute({ axes: [1, 0] })` transposes. The samples' axis stays and does not count. */
export function permute(options: { axes: readonly number[]; name?: string }): Layer {
  const { axes, name = '' } = options
  return (x) => makeNode(permuteOp, { op: 'permute', name, attrs: { axes: [...axes] }, inputs: [x] })
}

/**
 * Deals out the channels of `groups` groups in turn, so that the next grouped convolution sees all of them (Zhang et al. 2018).
 * x [any shape, channels]: channel g * (channels / groups) + i becomes i * groups + g.
 */
export function channelShuffle(options: { groups: number; name?: string }): Layer {
  const { groups, name } = options
  return (x) => {
    const channels = x.shape[x.shape.length - 1]
    if (!Number.isInteger(groups) || groups < 1 || channels % groups !== 0) {
      throw new DunlinError(
        `${where({ op: 'channelShuffle', name: name ?? '' })}: ${channels} channels (shape [${x.shape}]) are not ${groups} groups of one size. Use a number of groups that divides them.`,
      )
    }
    const split = reshape({ shape: [size(x.shape) / channels, groups, channels / groups] })(x)
    return reshape({ shape: x.shape })(permute({ axes: [0, 2, 1], name })(split))
  }
}

export const permuteOp: Op<{ axes: readonly number[] }> = {
  shape(node) {
    expectInputs(node, 1, 'x')
    const { axes } = node.attrs
    const from = node.inputs[0].shape
    expectThreeAxes(node, from)
    const sorted = Array.isArray(axes) ? [...axes].sort((a, b) => a - b) : []
    if (sorted.length !== from.length || sorted.some((axis, i) => axis !== i)) {
      throw new DunlinError(
        `${where(node)}: axes wants each axis of [${from}] once, from 0 to ${from.length - 1}, got ${JSON.stringify(axes)}.`,
      )
    }
    return axes.map((axis) => from[axis])
  },
  forward: (e, node) => moveForward(e, node, node.inputs[0], exchanged(node)),
  backward: (e, node) => moveBackward(e, node, node.inputs[0], exchanged(node)),
  int8: { quant: 'input', forward: (e, node) => moveInt8(e, node, node.inputs[0], exchanged(node)) },
}

function exchanged({ attrs, inputs: [x], shape }: Node<{ axes: readonly number[] }>): Block {
  const steps = stepsOf(x.shape)
  return {
    shape: shape as Shape,
    x: { at: 0, steps: attrs.axes.map((axis) => steps[axis]) },
    y: { at: 0, steps: stepsOf(shape) },
  }
}
