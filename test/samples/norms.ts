// Normalizations, softmax and means: rows of one element and more than a vector, one row and many.

import { input } from '../../src/graph/node'
import type { OpName } from '../../src/ops'
import { logSoftmax, softmax } from '../../src/ops/activation'
import { batchNorm } from '../../src/ops/batchNorm'
import { layerNorm } from '../../src/ops/layerNorm'
import { mean } from '../../src/ops/mean'
import { layer, type Row, type Sample, text } from './sample'

/** Running statistics that are given: no gradient goes into them. */
const normalized = (
  shape: readonly number[],
  options: Parameters<typeof batchNorm>[0],
  batch: number,
  training?: true,
): Sample => {
  const c = shape[shape.length - 1]
  return {
    what: `${text(shape)} ${text(options)} batch ${batch}${training ? ' training' : ''}`,
    batch,
    node: batchNorm(options)(input(shape)),
    given: {
      3: Float32Array.from({ length: c }, (_, i) => Math.sin(i)),
      4: Float32Array.from({ length: c }, (_, i) => 0.25 + (i % 5)),
    },
    ...(training && { training }),
  }
}

const rowsOfLogits: Row<object>[] = [
  [[1], {}],
  [[2], {}, 3],
  [[10], {}, 3],
  [[2, 3, 5], {}],
  [[17], {}],
  [[33], {}, 3],
]

export const norms = {
  batchNorm: (
    [
      [[1], {}, 2],
      [[3], { epsilon: 1e-3 }, 5],
      [[2, 3, 4], {}, 3],
      [[5, 7], { activation: 'relu' }, 2],
      [[2, 2, 8], { activation: 'relu6' }, 4],
      [[17], { momentum: 0.5 }, 3],
      // Positions round the block of 64 rows.
      [[7, 9, 2], {}, 1],
      [[65, 1], {}, 1],
      [[9, 5, 5], {}, 3],
    ] as [number[], object, number][]
  ).flatMap(([shape, options, batch]) => [normalized(shape, options, batch), normalized(shape, options, batch, true)]),
  layerNorm: (
    [
      [[1], {}],
      [[2], { epsilon: 1e-3 }, 3],
      [[4], {}, 2],
      [[3, 7], {}, 2],
      [[2, 2, 9], {}],
      [[5, 16], {}],
      [[33], {}, 3],
    ] as Row<object>[]
  ).map(layer(layerNorm)),
  logSoftmax: rowsOfLogits.map(layer(logSoftmax)),
  mean: (
    [
      [[1], { axes: [0] }],
      [[5, 3], { axes: [0] }, 3],
      [[5, 3], { axes: [1] }, 2],
      [[3, 4, 5], { axes: [0, 1] }, 2],
      [[3, 4, 5], { axes: [2] }, 3],
      [[4, 3, 17], { axes: [1] }, 2],
      [[2, 3, 5], { axes: [2, 0] }],
      [[3, 2, 4], { axes: [0, 1, 2] }, 2],
    ] as Row<Parameters<typeof mean>[0]>[]
  ).map(layer(mean)),
  softmax: rowsOfLogits.map(layer(softmax)),
} satisfies Partial<Record<OpName, Sample[]>>
