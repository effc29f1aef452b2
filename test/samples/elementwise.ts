// Arithmetic, activations and rounding: lengths that fill vectors of 4 and that do not, over the range where a curve bends.

import { input, type Node } from '../../src/graph/node'
import type { OpName } from '../../src/ops'
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
  mish,
  relu,
  relu6,
  sigmoid,
  silu,
  softplus,
  sqrt,
  tanh,
} from '../../src/ops/activation'
import { add, div, mul, sub } from '../../src/ops/add'
import { dropout } from '../../src/ops/dropout'
import { round } from '../../src/ops/round'
import { layer, type Row, type Sample, text } from './sample'

const shapes: Row<object>[] = [
  [[1], {}],
  [[3], {}, 3],
  [[4], {}],
  [[5, 3], {}],
  [[3, 3, 7], {}, 3],
  [[16], {}],
  [[33], {}],
]

/** Samples of an op on two values of one shape. */
const two =
  (make: () => (a: Node, b: Node) => Node) =>
  ([shape, , batch = 1]: Row<object>): Sample => ({
    what: `${text(shape)} batch ${batch}`,
    batch,
    node: make()(input(shape, { name: 'a' }), input(shape, { name: 'b' })),
  })

export const elementwise = {
  add: shapes.map(([shape, , batch = 1], i) => {
    const activation = ([undefined, 'relu', 'relu6'] as const)[i % 3]
    return {
      what: `${text(shape)} ${activation ?? ''} batch ${batch}`,
      batch,
      node: add({ ...(activation && { activation }) })(input(shape, { name: 'a' }), input(shape, { name: 'b' })),
      range: 5,
    }
  }),
  clip: [
    ...shapes.map(layer(clip)),
    ...shapes.slice(0, 4).map(([shape, , batch]) => layer(clip)([shape, { low: -1, high: 0.5 }, batch])),
    layer(clip)([[19], { high: 1 }, 2]),
  ],
  div: shapes.map(two(div)).map((sample) => ({ ...sample, low: 0.5, range: 3 })),
  dropout: [layer(dropout)([[5, 3], { rate: 0.5 }, 3]), layer(dropout)([[7], { rate: 0 }])],
  elu: [...shapes.map(layer(elu, { range: 9 })), layer(elu)([[17], { alpha: 0.3 }, 3])],
  erf: [...shapes.map(layer(erf, { range: 1 })), ...shapes.map(layer(erf, { range: 3 }))],
  exp: shapes.map(layer(exp, { range: 4 })),
  gelu: shapes.map(layer(gelu, { range: 9 })),
  hardSigmoid: shapes.map(layer(hardSigmoid, { range: 9 })),
  hardSwish: shapes.map(layer(hardSwish, { range: 9 })),
  leakyRelu: [...shapes.map(layer(leakyRelu)), layer(leakyRelu)([[17], { alpha: -0.3 }, 3])],
  log: shapes.map(layer(log, { low: 0.1, range: 9 })),
  mish: shapes.map(layer(mish, { range: 9 })),
  mul: shapes.map(two(mul)),
  relu: shapes.map(layer(relu)),
  relu6: shapes.map(layer(relu6, { range: 9 })),
  round: (['nearest', 'down', 'up', 'towardsZero'] as const).flatMap((mode) =>
    [[[33], { mode }, 3] as const, [[5], { mode }] as const].map(layer(round, { range: 9 })),
  ),
  sigmoid: shapes.map(layer(sigmoid, { range: 4 })),
  silu: shapes.map(layer(silu, { range: 9 })),
  softplus: shapes.map(layer(softplus, { range: 9 })),
  sqrt: shapes.map(layer(sqrt, { low: 0.1, range: 9 })),
  sub: shapes.map(two(sub)),
  tanh: shapes.map(layer(tanh)),
} satisfies Partial<Record<OpName, Sample[]>>
