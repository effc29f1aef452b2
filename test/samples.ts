// Small graphs for every op, which the tests of ops run forward and backward on every build. Sizes are ragged on purpose:
// channels round the tiles of 4 and 8, odd images, windows that hang over the border. An op without samples does not compile.

import { input, type Node, param, size, type TypedArray } from '../src/graph/node'
import { Random } from '../src/graph/random'
import type { OpName } from '../src/ops'
import {
  clip,
  elu,
  erf,
  exp,
  gelu,
  hardSigmoid,
  hardSwish,
  leakyRelu,
  log,
  logSoftmax,
  mish,
  relu,
  relu6,
  sigmoid,
  silu,
  softmax,
  softplus,
  sqrt,
  tanh,
} from '../src/ops/activation'
import { add, div, mul, sub } from '../src/ops/add'
import { batchNorm } from '../src/ops/batchNorm'
import { broadcast } from '../src/ops/broadcast'
import { concat } from '../src/ops/concat'
import { conv2d } from '../src/ops/conv2d'
import { dequantize } from '../src/ops/convert'
import { convTranspose2d } from '../src/ops/convTranspose2d'
import { crossEntropy } from '../src/ops/crossEntropy'
import { dense } from '../src/ops/dense'
import { depthwiseConv2d } from '../src/ops/depthwiseConv2d'
import { dropout } from '../src/ops/dropout'
import { embedding } from '../src/ops/embedding'
import { gru } from '../src/ops/gru'
import { layerNorm } from '../src/ops/layerNorm'
import { type LogMelOptions, logMel, mfcc } from '../src/ops/logMel'
import {
  binaryCrossEntropy,
  categoricalCrossEntropy,
  hinge,
  huber,
  klDivergence,
  type LossOptions,
  meanAbsoluteError,
  meanSquaredError,
} from '../src/ops/losses'
import { lstm } from '../src/ops/lstm'
import { matMul } from '../src/ops/matMul'
import { mean } from '../src/ops/mean'
import { normalize } from '../src/ops/normalize'
import { permute } from '../src/ops/permute'
import { avgPool2d, globalAvgPool2d, globalMaxPool2d, maxPool2d } from '../src/ops/pool2d'
import type { Recurrent, RecurrentOptions } from '../src/ops/recurrent'
import { flatten, reshape } from '../src/ops/reshape'
import { resize } from '../src/ops/resize'
import { round } from '../src/ops/round'
import { simpleRnn } from '../src/ops/simpleRnn'
import { pad, slice } from '../src/ops/slice'
import { svdf } from '../src/ops/svdf'
import { recall, remember } from '../src/ops/variable'

export interface Sample {
  /** Shapes and options, for the name of the test. */
  what: string
  batch: number
  /** One op; its inputs are leaves, whose values the test draws. */
  node: Node
  /** Values of inputs, by index, that are not drawn and have no gradient. */
  given?: Record<number, TypedArray>
  /** Values are drawn from [low, range); default -range and 2. */
  low?: number
  range?: number
  /** Whether it is run, with its gradient, as in a training step. */
  training?: true
}

const text = (v: unknown) => JSON.stringify(v).replaceAll('"', '')

/** Samples of a layer with one input: [shape, options, batch]. */
const layer =
  <O>(make: (options: O) => (x: Node) => Node, more: Partial<Sample> = {}) =>
  ([shape, options, batch = 1]: readonly [readonly number[], O, number?]): Sample => ({
    what: `${text(shape)} ${text(options)} batch ${batch}`,
    batch,
    node: make(options)(input(shape)),
    ...more,
  })

/** Sounds: odd frames, frames that overlap and that do not, one frame and numbers round the four that are computed at once. */
const sounds: Row<LogMelOptions>[] = [
  [[8], { sampleRate: 8, frame: 8, step: 1, bands: 2 }],
  [[16, 1], { sampleRate: 1000, frame: 5, step: 3, fftLength: 8, bands: 1, low: 50 }, 2],
  [[40], { sampleRate: 8000, frame: 16, step: 8, bands: 3, window: 'hamming', periodic: false }],
  [[47], { sampleRate: 8000, frame: 13, step: 5, bands: 4, norm: 'slaney', floor: 1e-3 }, 3],
  [[70, 1], { sampleRate: 16000, frame: 31, step: 4, fftLength: 64, bands: 9, low: 300, high: 7000, scale: 'slaney' }],
  [[50], { sampleRate: 4000, frame: 20, step: 7, bands: 5, scale: 'slaney', norm: 'slaney', low: 200 }],
]

type Conv = Parameters<typeof conv2d>[0]
type Depthwise = Parameters<typeof depthwiseConv2d>[0]
type Pool = Parameters<typeof maxPool2d>[0]
type Row<O> = readonly [readonly number[], O, number?]

const windows: Row<Pool>[] = [
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

type Transposed = Parameters<typeof convTranspose2d>[0]

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

const loss = (
  classes: number,
  labels: number[],
  weights: number[],
  range = 2,
  labelSmoothing?: number,
  reduction?: 'sum',
): Sample => ({
  what: `${classes} classes, labels ${labels}, weights ${weights}, logits within ${range}, smoothing ${labelSmoothing ?? 0} ${reduction ?? ''}`,
  batch: labels.length,
  node: crossEntropy(input([classes]), input([1], { name: 'labels', dtype: 'i32' }), input([1], { name: 'weights' }), {
    labelSmoothing,
    reduction,
  }),
  given: { 1: Int32Array.from(labels), 2: Float32Array.from(weights) },
  range,
})

/** Samples of an op on two values of one shape. */
const two =
  (make: () => (a: Node, b: Node) => Node) =>
  ([shape, , batch = 1]: Row<object>): Sample => ({
    what: `${text(shape)} batch ${batch}`,
    batch,
    node: make()(input(shape, { name: 'a' }), input(shape, { name: 'b' })),
  })

/** Values of these shapes, put together. */
const together = (axis: number, inputs: readonly (readonly number[])[], batch: number): Sample => ({
  what: `${text(inputs)} axis ${axis} batch ${batch}`,
  batch,
  node: concat({ axis })(...inputs.map((shape, i) => input(shape, { name: `x${i}` }))),
})

/** int8 values from the lowest to the highest. */
const steps = (n: number, scale: number, zeroPoint: number, batch: number): Sample => ({
  what: `[${n}] in steps of ${scale} from ${zeroPoint}, batch ${batch}`,
  batch,
  node: dequantize()({ ...input([n], { dtype: 'i8' }), quant: { scale: [scale], zeroPoint } }),
  given: { 0: Int8Array.from({ length: n * batch }, (_, i) => -128 + Math.round((255 * i) / Math.max(1, n * batch - 1))) },
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

/** [steps, channels], options, batch, which optional inputs there are: a mask, the states before the first step. */
type Sequence = readonly [readonly [number, number], RecurrentOptions, number, ('mask' | 'initial')[]?]
const sequences: Sequence[] = [
  [[1, 1], { units: 1 }, 1],
  [[4, 3], { units: 2, sequences: true }, 3],
  [[3, 2], { units: 3 }, 2],
  [[5, 1], { units: 4, reverse: true }, 4],
  [[4, 5], { units: 5, sequences: true, reverse: true }, 2],
  [[3, 4], { units: 7, sequences: true }, 5, ['mask']],
  [[4, 2], { units: 3, reverse: true }, 3, ['mask']],
  [[3, 3], { units: 8 }, 2, ['initial']],
  [[2, 9], { units: 9, sequences: true, reverse: true }, 1, ['initial']],
  [[4, 2], { units: 2, sequences: true }, 3, ['mask', 'initial']],
  [[3, 1], { units: 5 }, 2, ['mask', 'initial']],
  [[2, 2], { units: 3, stateful: true }, 2],
]

/** Samples of a layer that carries `states` states and has `parameters` parameters. */
const recurrent = (make: (options: RecurrentOptions) => Recurrent, parameters: number, states: number, rows: Sequence[]) =>
  rows.map(([shape, options, batch, extras = []]): Sample => {
    const [t] = shape
    const mask = extras.includes('mask') ? input([t], { name: 'mask' }) : undefined
    const initial = Array.from({ length: states }, (_, i) => input([options.units], { name: `state${i}` }))
    // Steps are skipped at the beginning, in the middle and at the end, and in the last sample all.
    const skips = Float32Array.from({ length: batch * t }, (_, i) => +(i < (batch - 1) * t && (i * 5) % 3 > 0))
    return {
      what: `${text(shape)} ${text(options)} ${extras.join(' ')} batch ${batch}`,
      batch,
      node: make(options)(input(shape), mask, extras.includes('initial') ? initial : undefined),
      ...(mask && { given: { [1 + parameters]: skips } }),
      // So that gates are not all open or shut.
      range: 1,
    }
  })

type MakeLoss<O> = (prediction: Node, target: Node, weights: Node, options?: O) => Node

/** Samples of a loss with a target of the prediction's shape: [shape, weights, options]; `target` draws the targets. */
const lossLike =
  <O>(make: MakeLoss<O>, target: (random: Random, shape: readonly number[], count: number) => number[], range = 2) =>
  ([shape, weights, options]: readonly [readonly number[], number[], O?]): Sample => ({
    what: `${text(shape)} weights ${weights} ${options ? text(options) : ''}`,
    batch: weights.length,
    node: make(input(shape), input(shape, { name: 'target' }), input([1], { name: 'weights' }), options),
    given: { 1: Float32Array.from(target(new Random(size(shape)), shape, weights.length)), 2: Float32Array.from(weights) },
    range,
  })

const drawn =
  (low: number, high: number) =>
  (random: Random, shape: readonly number[], count: number): number[] =>
    Array.from({ length: count * size(shape) }, () => random.uniform(low, high))
/** Differences at 0 and 1 would leave the range: the predictions are drawn between. */
const ofProbabilities = (shape: readonly number[], weights: number[], options: LossOptions): Sample => {
  const attrs = { ...options, fromLogits: false }
  const sample = lossLike(binaryCrossEntropy, drawn(0, 1))([shape, weights, attrs])
  return { ...sample, low: 0.02, range: 0.98 }
}
const signs = (random: Random, shape: readonly number[], count: number): number[] =>
  Array.from({ length: count * size(shape) }, () => random.integer(2) * 2 - 1)
/** Probabilities of the classes, a third of them 0. */
const probabilities = (random: Random, [classes]: readonly number[], count: number): number[] =>
  Array.from({ length: count }, () => {
    const row = Array.from({ length: classes }, (_, j) => (j % 3 === 1 ? 0 : random.uniform(0.01, 1)))
    const sum = row.reduce((a, b) => a + b, 0)
    return row.map((v) => v / sum)
  }).flat()

const lossShapes: [number[], number[]][] = [
  [[1], [1]],
  [[1], [1, 2, 0.5]],
  [[5], [1, 0, 2]],
  [
    [2, 3],
    [1, 1],
  ],
  [[3, 2, 4], [0.5]],
  [[17], [3, 1]],
  [[4], [0, 0]],
]
const lossRows: [number[], number[]][] = [
  [[1], [1]],
  [[2], [1, 2, 0.5]],
  [[5], [1, 0, 2]],
  [[10], [1, 1]],
  [[17], [0.25]],
  [[33], [3, 1]],
  [[4], [0, 0]],
]

const shapes: Row<object>[] = [
  [[1], {}],
  [[3], {}, 3],
  [[4], {}],
  [[5, 3], {}],
  [[3, 3, 7], {}, 3],
  [[16], {}],
  [[33], {}],
]

const rowsOfLogits: Row<object>[] = [
  [[1], {}],
  [[2], {}, 3],
  [[10], {}, 3],
  [[2, 3, 5], {}],
  [[17], {}],
  [[33], {}, 3],
]

/** Raw values from the least to the most that the dtype has. */
const raw = (batch: number, shape: number[], dtype: 'u8' | 'i16', options: Parameters<typeof normalize>[0]): Sample => {
  const count = batch * size(shape)
  const values = dtype === 'u8' ? new Uint8Array(count) : new Int16Array(count)
  for (let i = 0; i < count; i++) values[i] = dtype === 'u8' ? (i * 255) / (count - 1) : (i * 65535) / (count - 1) - 32768
  const node = normalize(options)(input(shape, { dtype }))
  return { what: `[${shape}] ${dtype} ${text(options)} x ${batch}`, batch, node, given: { 0: values } }
}

export const samples: Record<OpName, Sample[]> = {
  add: shapes.map(([shape, , batch = 1], i) => {
    const activation = ([undefined, 'relu', 'relu6'] as const)[i % 3]
    return {
      what: `${text(shape)} ${activation ?? ''} batch ${batch}`,
      batch,
      node: add({ ...(activation && { activation }) })(input(shape, { name: 'a' }), input(shape, { name: 'b' })),
      range: 5,
    }
  }),
  avgPool2d: [
    ...windows.map(layer(avgPool2d)),
    ...windows.map(([shape, options, batch]) => layer(avgPool2d)([shape, { ...options, countPadding: true }, batch])),
    layer(globalAvgPool2d)([[3, 4, 6], {}, 3]),
  ],
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
  clip: [
    ...shapes.map(layer(clip)),
    ...shapes.slice(0, 4).map(([shape, , batch]) => layer(clip)([shape, { low: -1, high: 0.5 }, batch])),
    layer(clip)([[19], { high: 1 }, 2]),
  ],
  concat: [
    together(0, [[3]], 2),
    together(0, [[1], [2], [5]], 3),
    together(
      -1,
      [
        [2, 3, 4],
        [2, 3, 1],
        [2, 3, 7],
      ],
      2,
    ),
    together(
      0,
      [
        [1, 3, 2],
        [2, 3, 2],
      ],
      3,
    ),
    together(
      1,
      [
        [2, 4, 5],
        [2, 1, 5],
      ],
      2,
    ),
    together(
      -1,
      [
        [2, 33],
        [2, 16],
        [2, 5],
      ],
      1,
    ),
    together(
      1,
      [
        [2, 2, 1, 2, 3],
        [2, 3, 1, 2, 3],
      ],
      2,
    ),
  ],
  binaryCrossEntropy: [
    ...lossShapes.map(lossLike(binaryCrossEntropy, drawn(0, 1), 3)),
    lossLike(binaryCrossEntropy, drawn(0, 1), 3)([[5], [1, 0, 2], { reduction: 'sum' }]),
    ...lossShapes.map(([shape, weights]) => ofProbabilities(shape, weights, {})),
    ofProbabilities([5], [1, 0, 2], { reduction: 'sum' }),
  ],
  categoricalCrossEntropy: [
    ...lossRows.map(lossLike(categoricalCrossEntropy, probabilities)),
    ...[0.1, 0.5].map((labelSmoothing) => lossLike(categoricalCrossEntropy, probabilities)([[7], [1, 2], { labelSmoothing }])),
    lossLike(categoricalCrossEntropy, probabilities)([[7], [1, 0, 2], { labelSmoothing: 0.1, reduction: 'sum' }]),
  ],
  conv2d: [
    ...convolutions.map(([[h, w], options, batch], i) =>
      layer(conv2d)([[h, w, CHANNELS[i][0]], { filters: CHANNELS[i][1], ...options }, batch]),
    ),
    ...pointwise.map(layer(conv2d)),
    ...grouped.map(layer(conv2d)),
  ],
  convTranspose2d: transposed.map(layer(convTranspose2d)),
  crossEntropy: [
    loss(2, [1], [1]),
    loss(10, [3, 0, 9], [1, 1, 1]),
    loss(5, [4, 2, 1, 0], [0.5, 0, 2, 1]),
    loss(17, [16, 5, 7], [1, 0.25, 0]),
    loss(33, [32], [3]),
    loss(4, [0, 3], [0, 0]),
    loss(5, [-1, 2, 5, 4], [1, 0.5, 1, 1]),
    loss(3, [2 ** 31 - 1, -(2 ** 31)], [1, 1]),
    loss(2, [0, 1], [1, 3], 2, 0.5),
    loss(10, [3, 0, 9], [1, 0, 2], 2, 0.1),
    loss(17, [16, -7], [1, 1], 2, 0.2),
    loss(5, [-1, 2, 5, 4], [1, 0.5, 1, 3], 2, 0.1, 'sum'),
  ],
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
  depthwiseConv2d: deep.map(layer(depthwiseConv2d)),
  dequantize: [1, 7, 8, 9, 31].map((n, i) => steps(n, 0.037 * (i + 1), 40 * i - 128, 1 + (i % 3))),
  div: shapes.map(two(div)).map((sample) => ({ ...sample, low: 0.5, range: 3 })),
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
  dropout: [layer(dropout)([[5, 3], { rate: 0.5 }, 3]), layer(dropout)([[7], { rate: 0 }])],
  elu: [...shapes.map(layer(elu, { range: 9 })), layer(elu)([[17], { alpha: 0.3 }, 3])],
  embedding: [
    lookup(1, 1, [0]),
    lookup(7, 5, [6, 0, 3, 3, 3, 1], 2),
    lookup(11, 4, [0, 3, 3, 10, 5, 0, 1, 3]),
    lookup(3, 17, [2, -1, 3, 1000000, -(2 ** 31), 2 ** 31 - 1], 3),
  ],
  erf: [...shapes.map(layer(erf, { range: 1 })), ...shapes.map(layer(erf, { range: 3 }))],
  exp: shapes.map(layer(exp, { range: 4 })),
  gelu: shapes.map(layer(gelu, { range: 9 })),
  hardSigmoid: shapes.map(layer(hardSigmoid, { range: 9 })),
  hardSwish: shapes.map(layer(hardSwish, { range: 9 })),
  leakyRelu: [...shapes.map(layer(leakyRelu)), layer(leakyRelu)([[17], { alpha: -0.3 }, 3])],
  logSoftmax: rowsOfLogits.map(layer(logSoftmax)),
  log: shapes.map(layer(log, { low: 0.1, range: 9 })),
  logMel: sounds.map(layer(logMel)),
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
  maxPool2d: [...windows.map(layer(maxPool2d)), layer(globalMaxPool2d)([[3, 4, 6], {}, 3])],
  mfcc: sounds.map(([shape, options, batch]) =>
    layer(mfcc)([shape, { ...options, coefficients: Math.ceil((options.bands ?? 40) / 2) }, batch]),
  ),
  mish: shapes.map(layer(mish, { range: 9 })),
  mul: shapes.map(two(mul)),
  normalize: [
    raw(1, [3, 5, 1], 'u8', { mean: 127.5, std: 64 }),
    raw(3, [4, 5, 3], 'u8', { mean: [125.3, 123, 113.9], std: [63, 62.1, 66.7] }),
    raw(2, [7, 3], 'i16', { mean: [0, -5, 1000], std: [4096, 1, 32768] }),
    raw(1, [33], 'i16', { mean: 0, std: 32768 }),
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
  hinge: [...lossShapes.map(lossLike(hinge, signs)), lossLike(hinge, signs)([[5], [1, 0, 2], { reduction: 'sum' }])],
  huber: [
    ...lossShapes.map(lossLike(huber, drawn(-2, 2))),
    ...[0.25, 3].map((delta) => lossLike(huber, drawn(-2, 2))([[9], [1, 2], { delta }])),
    lossLike(huber, drawn(-2, 2))([[5], [1, 0, 2], { reduction: 'sum' }]),
  ],
  klDivergence: [
    ...lossRows.map(lossLike(klDivergence, probabilities)),
    lossLike(klDivergence, probabilities)([[5], [1, 0, 2], { reduction: 'sum' }]),
  ],
  meanAbsoluteError: [
    ...lossShapes.map(lossLike(meanAbsoluteError, drawn(-2, 2))),
    lossLike(meanAbsoluteError, drawn(-2, 2))([[5], [1, 0, 2], { reduction: 'sum' }]),
  ],
  meanSquaredError: [
    ...lossShapes.map(lossLike(meanSquaredError, drawn(-2, 2))),
    lossLike(meanSquaredError, drawn(-2, 2))([[5], [1, 0, 2], { reduction: 'sum' }]),
  ],
  recall: [
    [1, 3],
    [2, 17],
  ].map(([batch, n]) => ({
    what: `the first run is zeros, ${n} batch ${batch}`,
    batch,
    node: recall({ variable: 'v', shape: [n] })(input([4])),
  })),
  relu: shapes.map(layer(relu)),
  relu6: shapes.map(layer(relu6, { range: 9 })),
  remember: (
    [
      [1, 3],
      [2, 17],
    ] as const
  ).map(([batch, n]) => {
    const value = input([5])
    const recalled = recall({ variable: 'v', shape: [5] })(value)
    return { what: `${n} batch ${batch}`, batch, node: remember({ variable: 'v' })(input([n]), value, recalled) }
  }),
  /** In test/layers-i8.test.ts. */
  rescale: [],
  reshape: [layer(flatten)([[2, 3, 4], {}, 3]), layer(reshape)([[6], { shape: [1, 2, 3] }])],
  resize: resizes.map(layer(resize)),
  round: (['nearest', 'down', 'up', 'towardsZero'] as const).flatMap((mode) =>
    [[[33], { mode }, 3] as const, [[5], { mode }] as const].map(layer(round, { range: 9 })),
  ),
  sigmoid: shapes.map(layer(sigmoid, { range: 4 })),
  silu: shapes.map(layer(silu, { range: 9 })),
  gru: recurrent(gru, 4, 1, sequences),
  lstm: [
    ...recurrent(lstm, 3, 2, sequences),
    ...recurrent(lstm, 3, 2, sequences.slice(2, 5)).map(({ node, what, ...sample }) => ({
      ...sample,
      what: `${what}, clipped`,
      node: { ...node, attrs: { ...(node.attrs as object), cellClip: 0.2 } },
    })),
  ],
  simpleRnn: [
    ...recurrent(simpleRnn, 3, 1, sequences),
    ...recurrent((options) => simpleRnn({ ...options, activation: 'relu' }), 3, 1, sequences.slice(1, 6)).map((sample) => ({
      ...sample,
      what: `${sample.what} relu`,
    })),
  ],
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
  softmax: rowsOfLogits.map(layer(softmax)),
  softplus: shapes.map(layer(softplus, { range: 9 })),
  sqrt: shapes.map(layer(sqrt, { low: 0.1, range: 9 })),
  sub: shapes.map(two(sub)),
  svdf: (
    [
      [[1], { units: 1, memory: 1 }],
      [[7], { units: 3, memory: 4, rank: 2 }, 3],
      [[16], { units: 5, memory: 9, activation: 'relu' }, 2],
      [[9], { units: 8, memory: 2, rank: 3, activation: 'relu6' }, 2],
    ] as Row<Parameters<typeof svdf>[0]>[]
  ).map(layer(svdf)),
  tanh: shapes.map(layer(tanh)),
  /** In test/layers-i8.test.ts. */
  toInt8: [],
}
