// Products of matrices: rows and columns round the tiles, with and without bias and activation.

import { input } from '../../src/graph/node'
import type { OpName } from '../../src/ops'
import { dense } from '../../src/ops/dense'
import { matMul } from '../../src/ops/matMul'
import { layer, type Row, type Sample, text } from './sample'

export const products = {
  dense: (
    [
      [[1], { units: 1 }],
      [[2], { units: 3, activation: 'relu' }, 3],
      [[7], { units: 8, bias: false }, 5],
      [[8], { units: 9, activation: 'relu6' }, 3],
      [[9], { units: 16 }, 4],
      [[15], { units: 17 }, 2],
      [[16], { units: 7, activation: 'relu', bias: false }],
      [[17], { units: 15 }, 6],
      [[31], { units: 2 }, 7],
      [[32], { units: 4, activation: 'relu6' }, 8],
      [[33], { units: 5 }, 3],
      [[5], { units: 33 }, 9],
      [[3, 7], { units: 5, activation: 'relu' }, 2],
      [[4, 6], { units: 9, bias: false }],
    ] as Row<Parameters<typeof dense>[0]>[]
  ).map(layer(dense)),
  matMul: (
    [
      [
        [1, 1],
        [1, 1],
      ],
      [[2, 3], [3, 4], 2],
      [
        [3, 5],
        [5, 7],
      ],
      [[2, 4, 3], [2, 3, 9], 2],
      [
        [2, 2, 1, 6],
        [2, 2, 6, 5],
      ],
    ] as [number[], number[], number?][]
  ).map(([a, b, batch = 1]) => ({
    what: `${text(a)} times ${text(b)} batch ${batch}`,
    batch,
    node: matMul()(input(a, { name: 'a' }), input(b, { name: 'b' })),
  })),
} satisfies Partial<Record<OpName, Sample[]>>
