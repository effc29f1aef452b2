// Convolutions and pools: windows that hang over the border, strides that leave pixels out, channels round the tiles of 4 and 8.

import type { OpName } from '../../src/ops'
import { conv2d } from '../../src/ops/conv2d'
import { convTranspose2d } from '../../src/ops/convTranspose2d'
import { depthwiseConv2d } from '../../src/ops/depthwiseConv2d'
import { avgPool2d, globalAvgPool2d, globalMaxPool2d, maxPool2d } from '../../src/ops/pool2d'
import { layer, type Row, type Sample } from './sample'

type Conv = Parameters<typeof conv2d>[0]
type Depthwise = Parameters<typeof depthwiseConv2d>[0]
type Pool = Parameters<typeof maxPool2d>[0]
type Transposed = Parameters<typeof convTranspose2d>[0]

const pools: Row<Pool>[] = [
  [[4, 6, 1], { kernel: 2 }, 3],
  [[5, 5, 2], { kernel: 3, strides: 2 }],
  [[5, 4, 3], { kernel: 3, strides: 1, padding: 'same' }, 3],
  [[6, 5, 4], { kernel: [2, 3], strides: [1, 2] }],
  [[7, 6, 5], { kernel: 3, strides: 2, padding: 1 }],
  [[4, 5, 7], { kernel: 2, strides: 2, padding: 'same' }, 3],
  [[5, 6, 8], { kernel: 3, strides: [2, 3], padding: [1, 0, 0, 2] }],
  [[3, 3, 9], { kernel: 3, strides: 1, padding: 2 }],
  [[2, 3, 15], { kernel: 2, strides: 1, padding: 'same' }],
  [[3, 4, 16], { kernel: [1, 2] }],
  [[3, 2, 17], { kernel: [3, 1], padding: 'same' }, 3],
  [[2, 2, 31], { kernel: 1, strides: 2 }],
  [[2, 2, 33], { kernel: 5, strides: 1, padding: 'same' }],
]

const convolutions: Row<Omit<Conv, 'filters'>>[] = [
  [[1, 1], { kernel: 3, padding: 'same' }, 3],
  [[5, 4], { kernel: 3 }],
  [[5, 4], { kernel: 3, activation: 'relu' }, 3],
  [[5, 5], { kernel: 3, padding: 'same', activation: 'relu6' }],
  [[4, 5], { kernel: 2, padding: 'same', bias: false }, 3],
  [[6, 5], { kernel: 3, strides: 2, padding: 'same' }],
  [[7, 6], { kernel: 3, strides: [2, 1], padding: 1, activation: 'relu6', bias: false }],
  [[6, 7], { kernel: 3, strides: [1, 2], padding: [0, 1, 2, 0] }],
  [[5, 6], { kernel: [1, 3], strides: 3, padding: [0, 0, 1, 2] }, 3],
  [[7, 5], { kernel: [4, 1], strides: [3, 2] }],
  [[5, 5], { kernel: 2, strides: 3, padding: 1 }],
  [[6, 6], { kernel: 3, dilation: 2 }],
  [[5, 6], { kernel: 3, dilation: 2, padding: 'same', activation: 'relu' }],
  [[5, 6], { kernel: [3, 2], dilation: [1, 3], padding: 2 }, 3],
  [[7, 6], { kernel: 2, dilation: [3, 2], strides: 2, padding: [2, 1, 0, 1] }],
  [[2, 3], { kernel: 5, padding: 'same' }],
  [[2, 2], { kernel: 3, dilation: 4, padding: 'same' }],
]

/** Input channels and filters that go with the windows above, in turn. */
const CHANNELS = [
  [1, 1],
  [1, 3],
  [2, 5],
  [3, 2],
  [4, 4],
  [5, 9],
  [2, 7],
  [3, 8],
  [6, 1],
  [7, 3],
  [8, 2],
  [9, 4],
  [1, 17],
  [2, 6],
  [1, 9],
  [3, 15],
  [5, 5],
]

const pointwise: Row<Conv>[] = [
  [[3, 3, 1], { filters: 33, kernel: 1 }],
  [[2, 3, 8], { filters: 16, kernel: 1, activation: 'relu' }, 3],
  [[3, 2, 15], { filters: 7, kernel: 1, bias: false }],
  [[3, 3, 16], { filters: 8, kernel: 1, strides: 2 }, 3],
  [[1, 5, 17], { filters: 15, kernel: 1, activation: 'relu6' }],
  [[4, 4, 31], { filters: 6, kernel: 1, strides: [3, 2] }],
  [[2, 2, 32], { filters: 9, kernel: 1 }],
  [[3, 1, 33], { filters: 17, kernel: 1, padding: 'same' }],
]

const deep: Row<Depthwise>[] = [
  ...convolutions.map(([[h, w], options, batch], i): Row<Depthwise> => [[h, w, (i % 9) + 1], options, batch]),
  ...[15, 16, 17, 31, 32, 33].map(
    (c, i): Row<Depthwise> => [
      [3, 2, c],
      { kernel: [2, 3], padding: 'same', ...(i % 2 && { activation: 'relu6' }) },
      1 + (i % 2) * 2,
    ],
  ),
  [[5, 4, 1], { kernel: 3, multiplier: 8, padding: 'same' }],
  [[4, 4, 3], { kernel: 2, multiplier: 2, strides: 2, bias: false, activation: 'relu' }, 3],
  [[4, 5, 4], { kernel: 3, multiplier: 3, dilation: [1, 2], padding: 'same' }],
]

const grouped: Row<Conv>[] = [
  [[4, 5, 4], { filters: 6, kernel: 3, groups: 2, padding: 'same', activation: 'relu' }, 3],
  [[3, 3, 9], { filters: 3, kernel: 1, groups: 3, bias: false }],
  [[5, 4, 6], { filters: 12, kernel: [3, 2], groups: 3, strides: 2, padding: 1 }],
  [[4, 4, 5], { filters: 5, kernel: 3, groups: 5, padding: 'same', activation: 'relu6' }],
  [[3, 4, 3], { filters: 6, kernel: 2, groups: 3, dilation: 2, padding: 'same' }],
  [[4, 4, 16], { filters: 18, kernel: [3, 2], groups: 2, padding: 'same' }],
]

const transposed: Row<Transposed>[] = [
  [[1, 1, 1], { filters: 1, kernel: 1 }],
  [[2, 3, 2], { filters: 3, kernel: 2, strides: 2, activation: 'relu' }, 3],
  [[3, 2, 4], { filters: 5, kernel: 3, strides: 2, padding: 1, outputPadding: 1 }, 2],
  [[3, 3, 5], { filters: 4, kernel: 3, padding: 'same', bias: false }],
  [[2, 2, 3], { filters: 2, kernel: 2, strides: 3, outputPadding: 2 }],
  [[3, 4, 1], { filters: 9, kernel: [4, 3], strides: [2, 1], padding: 'same', activation: 'relu6' }],
  [[2, 3, 9], { filters: 1, kernel: [1, 5], strides: [1, 3], padding: [0, 0, 2, 1], outputPadding: [0, 2] }],
  [[2, 2, 8], { filters: 17, kernel: 3, strides: 2, padding: 'same' }],
  [[3, 3, 2], { filters: 3, kernel: 2, strides: 3, padding: 'same' }],
]

export const windows = {
  avgPool2d: [
    ...pools.map(layer(avgPool2d)),
    ...pools.map(([shape, options, batch]) => layer(avgPool2d)([shape, { ...options, countPadding: true }, batch])),
    layer(globalAvgPool2d)([[3, 4, 6], {}, 3]),
  ],
  conv2d: [
    ...convolutions.map(([[h, w], options, batch], i) =>
      layer(conv2d)([[h, w, CHANNELS[i][0]], { filters: CHANNELS[i][1], ...options }, batch]),
    ),
    ...pointwise.map(layer(conv2d)),
    ...grouped.map(layer(conv2d)),
  ],
  convTranspose2d: transposed.map(layer(convTranspose2d)),
  depthwiseConv2d: deep.map(layer(depthwiseConv2d)),
  maxPool2d: [...pools.map(layer(maxPool2d)), layer(globalMaxPool2d)([[3, 4, 6], {}, 3])],
} satisfies Partial<Record<OpName, Sample[]>>
