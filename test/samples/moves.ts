// Ops that put elements elsewhere: along every axis, with runs of one element and longer than a vector.

import { input, param } from '../../src/graph/node'
import type { OpName } from '../../src/ops'
import { broadcast } from '../../src/ops/broadcast'
import { concat } from '../../src/ops/concat'
import { embedding } from '../../src/ops/embedding'
import { permute } from '../../src/ops/permute'
import { flatten, reshape } from '../../src/ops/reshape'
import { resize } from '../../src/ops/resize'
import { pad, slice } from '../../src/ops/slice'
import { layer, type Row, type Sample, text } from './sample'

/** Values of these shapes, put together. */
const joined = (axis: number, inputs: readonly (readonly number[])[], batch: number): Sample => ({
  what: `${text(inputs)} axis ${axis} batch ${batch}`,
  batch,
  node: concat({ axis })(...inputs.map((shape, i) => input(shape, { name: `x${i}` }))),
})

const lookup = (count: number, units: number, indices: number[], batch = 1): Sample => ({
  what: `${count} rows of ${units}, indices ${indices}`,
  batch,
  node: embedding({ count, units })(input([indices.length / batch], { dtype: 'i32' })),
  given: { 0: Int32Array.from(indices) },
})

const resizes = (
  [
    [[3, 4, 2], { scale: 2 }],
    [[1, 1, 1], { size: 3 }, 3],
    [[4, 6, 5], { size: [2, 3] }, 2],
    [[5, 3, 4], { size: [3, 7] }],
    [[2, 7, 9], { size: [5, 2] }, 2],
    [[4, 3, 16], { scale: [1, 1.5] }],
    [[3, 2, 3], { size: [3, 2] }],
  ] as Row<Parameters<typeof resize>[0]>[]
).flatMap(([shape, options, batch], i) =>
  (['nearest', 'bilinear'] as const).flatMap((method): Row<typeof options>[] => [
    [shape, { ...options, method }, batch],
    [shape, { ...options, method, pixels: (['edges', 'corners', 'centers'] as const)[i % 3] }, batch],
  ]),
)

/** A value repeated into a shape, one for each sample or one for all. */
const repeated = (from: readonly number[], shape: readonly number[], batch: number, batched = true): Sample => ({
  what: `${from} into ${shape}, ${batched ? 'each' : 'one for all'}, batch ${batch}`,
  batch,
  node: broadcast()(batched ? input(from) : param('x', from, { kind: 'zeros' }), input(shape)),
})

export const moves = {
  broadcast: [
    repeated([1], [5], 2),
    repeated([3], [4, 3], 3),
    repeated([1, 1, 5], [3, 4, 5], 2),
    repeated([4, 1], [2, 4, 17], 2),
    repeated([2, 3, 1], [2, 3, 33], 1),
    repeated([7], [3, 7], 3, false),
    repeated([1], [2, 2, 5], 2, false),
    repeated([3, 1, 4], [3, 2, 4], 3, false),
  ],
  concat: [
    joined(0, [[3]], 2),
    joined(0, [[1], [2], [5]], 3),
    joined(
      -1,
      [
        [2, 3, 4],
        [2, 3, 1],
        [2, 3, 7],
      ],
      2,
    ),
    joined(
      0,
      [
        [1, 3, 2],
        [2, 3, 2],
      ],
      3,
    ),
    joined(
      1,
      [
        [2, 4, 5],
        [2, 1, 5],
      ],
      2,
    ),
    joined(
      -1,
      [
        [2, 33],
        [2, 16],
        [2, 5],
      ],
      1,
    ),
    joined(
      1,
      [
        [2, 2, 1, 2, 3],
        [2, 3, 1, 2, 3],
      ],
      2,
    ),
  ],
  embedding: [
    lookup(1, 1, [0]),
    lookup(7, 5, [6, 0, 3, 3, 3, 1], 2),
    lookup(11, 4, [0, 3, 3, 10, 5, 0, 1, 3]),
    lookup(3, 17, [2, -1, 3, 1000000, -(2 ** 31), 2 ** 31 - 1], 3),
  ],
  pad: (
    [
      [[1], { padding: [[0, 0]] }],
      [[3], { padding: [[2, 1]], value: -1.5 }, 3],
      [
        [2, 5],
        {
          padding: [
            [0, 1],
            [3, 0],
          ],
        },
        2,
      ],
      [
        [3, 2, 5],
        {
          padding: [
            [1, 2],
            [0, 3],
            [2, 1],
          ],
          value: 7,
        },
        2,
      ],
      [
        [3, 4, 17],
        {
          padding: [
            [1, 1],
            [1, 1],
            [0, 0],
          ],
        },
        2,
      ],
    ] as Row<Parameters<typeof pad>[0]>[]
  ).map(layer(pad)),
  permute: (
    [
      [[3], { axes: [0] }, 2],
      [[5, 3], { axes: [1, 0] }, 3],
      [[2, 3, 4], { axes: [0, 1, 2] }, 2],
      [[2, 3, 5], { axes: [0, 2, 1] }, 2],
      [[2, 3, 17], { axes: [1, 0, 2] }, 2],
      [[4, 3, 5], { axes: [2, 0, 1] }, 3],
      [[4, 3, 5], { axes: [1, 2, 0] }],
      [[2, 7, 3], { axes: [2, 1, 0] }, 2],
    ] as Row<Parameters<typeof permute>[0]>[]
  ).map(layer(permute)),
  reshape: [layer(flatten)([[2, 3, 4], {}, 3]), layer(reshape)([[6], { shape: [1, 2, 3] }])],
  resize: resizes.map(layer(resize)),
  slice: (
    [
      [[1], { begin: [0], size: [1] }],
      [[7], { begin: [2], size: [4] }, 3],
      [[4, 5], { begin: [1, 0], size: [2, 5] }, 2],
      [[4, 5, 6], { begin: [1, 2, 3], size: [2, 2, 2] }, 2],
      [[3, 4, 33], { begin: [0, 1, 5], size: [3, 2, 17] }, 2],
      [[7], { begin: [6], size: [3], strides: [-3] }, 3],
      [[5, 4, 6], { begin: [0, 3, 1], size: [3, 2, 2], strides: [2, -2, 3] }, 2],
      [[7, 5], { begin: [1, 0], size: [3, 3], strides: [2, 2] }, 2],
      [[4, 6, 9], { begin: [0, 1, 2], size: [4, 2, 3], strides: [1, 3, 2] }, 3],
    ] as Row<Parameters<typeof slice>[0]>[]
  ).map(layer(slice)),
} satisfies Partial<Record<OpName, Sample[]>>
