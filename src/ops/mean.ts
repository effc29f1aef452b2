// mean: over some of a value's axes. (Of an image's height and width globalAvgPool2d is the faster one.)

import { DunlinError } from '../graph/error'
import { type Layer, type Node, size } from '../graph/node'
import { quantizeMultiplier } from './fixedPoint'
import { expectThreeAxes, stepsOf } from './move'
import { type Emit, expectInputs, makeNode, type Op, quantOf, rows, where } from './op'

/** The mean over `axes`, which count the axes of one sample and fall away: `mean({ axes: [0, 1] })` of [height, width, channels] is [channels]. */
export function mean(options: { axes: readonly number[]; name?: string }): Layer {
  const { axes, name = '' } = options
  return (x) => makeNode(meanOp, { op: 'mean', name, attrs: { axes: [...axes] }, inputs: [x] })
}

export interface MeanAttrs {
  axes: readonly number[]
}

export const meanOp: Op<MeanAttrs> = {
  shape(node) {
    expectInputs(node, 1, 'x')
    const { axes } = node.attrs
    const { shape } = node.inputs[0]
    expectThreeAxes(node, shape)
    const good = Array.isArray(axes) && axes.every((a) => Number.isInteger(a) && a >= 0 && a < shape.length)
    if (!good || axes.length === 0 || new Set(axes).size !== axes.length) {
      throw new DunlinError(
        `${where(node)}: axes wants some of 0 to ${shape.length - 1}, each once, for shape [${shape}], got ${JSON.stringify(axes)}.`,
      )
    }
    return shape.filter((_, i) => !axes.includes(i))
  },
  forward(e, node) {
    const [x, y] = [e.value(node.inputs[0]), e.value(node)]
    samplewise(e, node, (xAt, yAt, sizes, count) => e.call('mean_f32', e.at(x, xAt), e.at(y, yAt), ...sizes, 1 / count))
  },
  backward(e, node) {
    const dy = e.grad(node)
    const dx = e.grad(node.inputs[0])
    if (!dy || !dx) return
    samplewise(e, node, (xAt, yAt, sizes, count) => e.call('mean_f32_dx', e.at(dy, yAt), e.at(dx, xAt), ...sizes, 1 / count))
  },
  int8: {
    quant: 'calibrated',
    forward(e, node) {
      const [x, y] = [e.value(node.inputs[0]), e.value(node)]
      const [qx, qy] = [quantOf(node.inputs[0]), quantOf(node)]
      samplewise(e, node, (xAt, yAt, sizes, count) => {
        // The factor 1 / count goes into the multiplier, shifted up as far as the count has bits (reference/reduce.h).
        const { multiplier, shift } = quantizeMultiplier(qx.scale[0] / qy.scale[0])
        const bits = Math.min(Math.floor(Math.log2(count)), 32, 31 + shift)
        const shared = Number((BigInt(multiplier) << BigInt(bits)) / BigInt(count))
        const numbers = [qx.zeroPoint * count, shared, shift - bits, qy.zeroPoint] as const
        e.call('mean_i8', e.at(x, xAt), e.at(y, yAt), ...sizes, ...numbers)
      })
    },
  },
}

type Four = readonly [number, number, number, number]
type Three = readonly [number, number, number]

/** Splits a call by samples: `part` gets where its first one begins, the sizes of mean_f32, and how many values are in a mean. */
function samplewise(
  e: Emit,
  node: Node<MeanAttrs>,
  part: (xAt: number, yAt: number, sizes: readonly [...Four, ...Three, ...Four, ...Three], count: number) => void,
): void {
  const [x] = node.inputs
  const steps = stepsOf(x.shape)
  const axes = x.shape.map((n, i) => ({ n, step: steps[i], goes: node.attrs.axes.includes(i) }))
  const [kept, gone] = [false, true].map((goes) => axes.filter((axis) => axis.goes === goes))
  while (kept.length < 3) kept.unshift({ n: 1, step: 0, goes: false })
  while (gone.length < 3) gone.unshift({ n: 1, step: 0, goes: true })
  const [eachX, eachY] = [size(x.shape), size(node.shape)]
  const counts = gone.map(({ n }) => n) as unknown as Three
  const batch = rows(e, node)
  e.split(batch, batch * eachX * 4, (from, samples) => {
    const stay = [samples, ...kept.map(({ n }) => n)] as unknown as Four
    const stayed = [eachX, ...kept.map(({ step }) => step)] as unknown as Four
    const went = gone.map(({ step }) => step) as unknown as Three
    part(from * eachX, from * eachY, [...stay, ...counts, ...stayed, ...went], size(counts))
  })
}
