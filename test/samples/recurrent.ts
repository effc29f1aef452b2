// Ops that carry something from one step to the next: one step and more, both directions, with a mask and with first states.

import { input } from '../../src/graph/node'
import type { OpName } from '../../src/ops'
import { gru } from '../../src/ops/gru'
import { lstm } from '../../src/ops/lstm'
import type { Recurrent, RecurrentOptions } from '../../src/ops/recurrent'
import { simpleRnn } from '../../src/ops/simpleRnn'
import { svdf } from '../../src/ops/svdf'
import { recall, remember } from '../../src/ops/variable'
import { layer, type Row, type Sample, text } from './sample'

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
const ofSequences = (make: (options: RecurrentOptions) => Recurrent, parameters: number, states: number, rows: Sequence[]) =>
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

export const recurrent = {
  gru: ofSequences(gru, 4, 1, sequences),
  lstm: [
    ...ofSequences(lstm, 3, 2, sequences),
    ...ofSequences(lstm, 3, 2, sequences.slice(2, 5)).map(({ node, what, ...sample }) => ({
      ...sample,
      what: `${what}, clipped`,
      node: { ...node, attrs: { ...(node.attrs as object), cellClip: 0.2 } },
    })),
  ],
  simpleRnn: [
    ...ofSequences(simpleRnn, 3, 1, sequences),
    ...ofSequences((options) => simpleRnn({ ...options, activation: 'relu' }), 3, 1, sequences.slice(1, 6)).map((sample) => ({
      ...sample,
      what: `${sample.what} relu`,
    })),
  ],
  svdf: (
    [
      [[1], { units: 1, memory: 1 }],
      [[7], { units: 3, memory: 4, rank: 2 }, 3],
      [[16], { units: 5, memory: 9, activation: 'relu' }, 2],
      [[9], { units: 8, memory: 2, rank: 3, activation: 'relu6' }, 2],
    ] as Row<Parameters<typeof svdf>[0]>[]
  ).map(layer(svdf)),
  recall: [
    [1, 3],
    [2, 17],
  ].map(([batch, n]) => ({
    what: `the first run is zeros, ${n} batch ${batch}`,
    batch,
    node: recall({ variable: 'v', shape: [n] })(input([4])),
  })),
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
} satisfies Partial<Record<OpName, Sample[]>>
