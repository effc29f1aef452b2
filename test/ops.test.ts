// Every op on every sample and every build: the value against the float64 reference, every gradient against central differences
// of that reference, both within the rounding errors that the size of the sums explains; scalar and simd give the same bits; and a
// network in which values and layers are used more than once, through a plan and a session.
import { describe, expect, it } from 'vitest'
import { input, isInput, isParam, type Node, type Param, param, size, type TypedArray, topological } from '../src/graph/node'
import { Random } from '../src/graph/random'
import { OPS, type OpName, opOf } from '../src/ops'
import { add } from '../src/ops/add'
import { conv2d } from '../src/ops/conv2d'
import { crossEntropy } from '../src/ops/crossEntropy'
import { dense } from '../src/ops/dense'
import { depthwiseConv2d } from '../src/ops/depthwiseConv2d'
import { avgPool2d, maxPool2d } from '../src/ops/pool2d'
import { flatten } from '../src/ops/reshape'
import { planInference, planTraining } from '../src/plan/build'
import type { Update } from '../src/plan/builder'
import type { Build as BuildName } from '../src/session/kernels'
import { Session } from '../src/session/session'
import { runNode } from './fenced'
import { builds } from './harness'
import { evaluate } from './reference/f32'
import { EPSILON, expectNear, largest } from './reference/near'
import { type Sample, samples } from './samples'

/** Step of the central differences: at 2^-17 both their rounding (2^-53 / h) and their truncation (h^2) are far below EPSILON. */
const H = 2 ** -17

/**
 * Roundings of a value or gradient beside one for each term of its sum: product, bias, clamp, scale, the addition into a gradient.
 * exp and log are good to 2^-22, four roundings, and enter through a sum, a quotient and 1 - y, which cancels, in a recurrent layer at
 * each step; a normalization has a root, a quotient and differences from a mean.
 */
const LONG: readonly string[] = [
  ...[
    'batchNorm',
    'layerNorm',
    'crossEntropy',
    'categoricalCrossEntropy',
    'binaryCrossEntropy',
    'klDivergence',
    'softmax',
    'logSoftmax',
    'gru',
    'lstm',
    'simpleRnn',
    'logMel',
    'mfcc',
  ],
  ...['elu', 'gelu', 'mish', 'sigmoid', 'silu', 'softplus', 'tanh', 'erf', 'exp', 'log'],
]
const roundings = (op: string) => (LONG.includes(op) ? 64 : 8)

/** Of rows that are int8 only the tests are elsewhere. */
const OP_NAMES = (Object.keys(OPS) as OpName[]).filter((op) => opOf(op)?.forward || opOf(op)?.alias)

interface Expected {
  seed: number
  inputs: TypedArray[]
  /** None for an op without a gradient. */
  dy?: Float32Array
  /** What gradients start from, by input. */
  before: Float32Array[]
  value: Float64Array
  valueBound: Float64Array
  /** For each float input. */
  grads: { want: Float64Array; bound: Float64Array }[]
}

const floats = (random: Random, length: number, range = 1, low = -range) =>
  Float32Array.from({ length }, () => random.uniform(low, range))

/**
 * One sweep of central differences gives all. With J the derivative of output j by input i, |x_i J_ji| are the terms that sum up
 * to y_j and dy_j J_ji those of the gradient, so errors are at most (number of terms + roundings) * EPSILON * sum of |terms|.
 */
function expectedOf({ node, batch, given = {}, range = 2, low, training }: Sample, seed: number): Expected {
  const random = new Random(seed)
  const length = (x: Node) => size(x.shape) * (x.batched ? batch : 1)
  const inputs = node.inputs.map((x, i) => given[i] ?? floats(random, length(x), range, low))
  const value = evaluate(node, inputs, training)
  const dy = floats(random, value.length)
  const learns = opOf(node.op)?.backward !== undefined
  const c = roundings(node.op)
  const terms = new Float64Array(value.length)
  const magnitude = value.map(Math.abs)
  const before: Float32Array[] = []
  const grads: Expected['grads'] = []
  node.inputs.forEach((x, at) => {
    if (x.dtype !== 'f32') return
    const start = floats(random, inputs[at].length)
    const want = Float64Array.from(start)
    const bound = new Float64Array(start.length)
    before[at] = start
    if (learns) grads.push({ want, bound })
    if (given[at]) return
    const moved = inputs.map((v) => Float64Array.from(v))
    for (let i = 0; i < start.length; i++) {
      const xi = inputs[at][i]
      moved[at][i] = xi + H
      const up = evaluate(node, moved, training)
      moved[at][i] = xi - H
      const down = evaluate(node, moved, training)
      moved[at][i] = xi
      let [count, sum] = [0, Math.abs(start[i])]
      for (let j = 0; j < up.length; j++) {
        const slope = (up[j] - down[j]) / (2 * H)
        if (slope === 0) continue
        count++
        sum += Math.abs(dy[j] * slope)
        want[i] += dy[j] * slope
        terms[j]++
        magnitude[j] += Math.abs(xi * slope)
      }
      bound[i] = (count + c) * EPSILON * sum
    }
  })
  return {
    seed,
    inputs,
    ...(learns && { dy }),
    before,
    value,
    valueBound: magnitude.map((m, j) => (terms[j] + c) * EPSILON * m),
    grads,
  }
}

/** By the place in its op's list: samples of another op change none. */
const seeds = new Map(OP_NAMES.flatMap((op) => samples[op].map((sample, i) => [sample, i + 1] as const)))
const known = new Map<Sample, Expected>()

/** Computed once for all builds. */
function expectedFor(sample: Sample): Expected {
  let expected = known.get(sample)
  if (!expected) known.set(sample, (expected = expectedOf(sample, seeds.get(sample) as number)))
  return expected
}

async function runPlan(build: string, { node, batch }: Sample, inputs: TypedArray[]): Promise<Float32Array> {
  node.inputs.forEach((x, i) => {
    if (isParam(x)) Object.assign(x, { name: `p${i}`, data: inputs[i] })
  })
  const session = await Session.create(planInference([node], { batch }), { build: build as BuildName })
  const fed = inputs.filter((_, i) => isInput(node.inputs[i]))
  for (const [i, port] of session.plan.inputs.entries()) session.view(port).set(fed[i])
  session.run()
  return session.fetch(session.plan.outputs[0])
}

describe.each(builds)('$name', (build) => {
  describe.each(OP_NAMES)('%s', (op) => {
    it.each(samples[op].map((sample) => [sample.what, sample] as const))('%s', async (what, sample) => {
      const { seed, inputs, dy, before, value, valueBound, grads } = expectedFor(sample)
      const where = `${op} ${what} (seed ${seed})`
      const { batch, training } = sample
      const planned = training ? undefined : await runPlan(build.name, sample, inputs)
      if (planned) expectNear(planned, value, valueBound, where)
      if (opOf(op)?.alias) return
      const got = runNode(build, sample.node, { batch, inputs, dy, before, training })
      expectNear(got.y, planned ?? value, planned ? 0 : valueBound, planned ? `${where}, alone and planned` : where)
      expect(got.grads.length).toBe(grads.length)
      grads.forEach(({ want, bound }, i) => {
        expectNear(got.grads[i], want, bound, `${where}, gradient of float input ${i}`)
      })
    })
  })
})

const [scalar, simd] = ['scalar', 'simd'].map((name) => builds.find((b) => b.name === name))

// The vectors run over outputs, so every sum is taken in the same order, and neither build fuses a product into a sum.
describe.skipIf(!scalar || !simd).each(OP_NAMES.filter((op) => !opOf(op)?.alias))('scalar = simd, bit for bit: %s', (op) => {
  it.each(samples[op].map((sample) => [sample.what, sample] as const))('%s', (what, sample) => {
    const expected = expectedFor(sample)
    const { batch, training } = sample
    const [a, b] = [scalar, simd].map((build) => runNode(build!, sample.node, { batch, training, ...expected }))
    expectNear(b.y, a.y, 0, what)
    for (const [i, v] of a.after.entries()) expectNear(b.after[i], v, 0, `${what}, input ${i} afterwards`)
    for (const [i, g] of a.grads.entries())
      expectNear(b.grads[i], g, 0, `${what}, gradient of float input ${i} (seed ${expected.seed})`)
  })
})

// What threads rest on: a call split over its outputs gives the bits of the whole one. Here the parts run from the last to the first.
describe.each(builds)('split = whole, bit for bit, $name', (build) => {
  it.each(OP_NAMES.filter((op) => !opOf(op)?.alias))('%s', (op) => {
    for (const sample of samples[op]) {
      const expected = expectedFor(sample)
      const { batch, training, what } = sample
      const at = (parts: number) => runNode(build, sample.node, { batch, training, ...expected, parts })
      const whole = at(1)
      for (const parts of [2, 3, 7]) {
        const split = at(parts)
        const where = `${what} in ${parts} parts (seed ${expected.seed})`
        expectNear(split.y, whole.y, 0, where)
        for (const [i, v] of whole.after.entries()) expectNear(split.after[i], v, 0, `${where}, input ${i} afterwards`)
        for (const [i, g] of whole.grads.entries()) expectNear(split.grads[i], g, 0, `${where}, gradient of float input ${i}`)
      }
    }
  })
})

it('add refuses a value for each sample beside one for all: it would read past the end', () => {
  const bias = param('bias', [4], { kind: 'zeros' })
  expect(() => add({ name: 'sum' })(input([4]), bias)).toThrow(
    'add "sum": one side has a value for each sample, the other (param "bias") one for all.',
  )
})

describe('a network with fan-out', () => {
  const batch = 3
  const seed = 7
  const random = new Random(seed)
  const x = input([6, 5, 3])
  const labels = input([1], { name: 'labels', dtype: 'i32' })
  const weights = input([1], { name: 'weights' })

  const h = conv2d({ filters: 6, kernel: 3, padding: 'same', activation: 'relu' })(x)
  const shared = conv2d({ filters: 6, kernel: 3, padding: 'same' })
  const twice = shared(shared(h))
  const side = depthwiseConv2d({ kernel: 3, padding: 'same', activation: 'relu6' })(h)
  const sum = add({ activation: 'relu' })(add()(twice, side), add()(h, h))
  const pooled = add()(maxPool2d({ kernel: 2 })(sum), avgPool2d({ kernel: 2 })(sum))
  // Two reshapes of one value: both are the same memory, and their gradients add up.
  const hidden = add()(
    dense({ units: 5, activation: 'relu' })(flatten()(pooled)),
    dense({ units: 5, bias: false })(flatten()(pooled)),
  )
  const logits = dense({ units: 4 })(hidden)
  const loss = crossEntropy(logits, labels, weights)

  const order = topological([loss])
  const params = order.filter(isParam)
  params.forEach((p, i) => {
    p.name = `p${i}`
    p.data = floats(random, size(p.shape), 0.5)
  })
  const fed = new Map<Node, TypedArray>([
    [x, floats(random, batch * size(x.shape), 1)],
    [labels, Int32Array.of(2, 0, 3)],
    [weights, Float32Array.of(1, 0.5, 2)],
  ])

  /** The loss in float64, with one parameter replaced. */
  function lossOf(param?: Param, data?: Float64Array): number {
    const values = new Map<Node, ArrayLike<number>>()
    for (const node of order) {
      const leaf = node === param ? data : isParam(node) ? node.data : fed.get(node)
      values.set(
        node,
        leaf ??
          evaluate(
            node,
            node.inputs.map((i) => values.get(i) as ArrayLike<number>),
          ),
      )
    }
    return (values.get(loss) as ArrayLike<number>)[0]
  }

  const gradients = new Map<Param, Float64Array>()
  /** Central differences by every parameter, once for all builds. */
  function gradientOf(param: Param): Float64Array {
    const done = gradients.get(param)
    if (done) return done
    const moved = Float64Array.from(param.data)
    const want = moved.map((v, i) => {
      moved[i] = v + H
      const up = lossOf(param, moved)
      moved[i] = v - H
      const down = lossOf(param, moved)
      moved[i] = v
      return (up - down) / (2 * H)
    })
    gradients.set(param, want)
    return want
  }

  it.each(builds)('$name: loss and all gradients are those of the float64 network', async ({ name }) => {
    // The update of this plan keeps the parameters and copies their gradients out.
    const update: Update = (e, params) => {
      for (const { g, n, state } of params) e.call('accumulate_f32', g, state('g'), n, 0)
    }
    const plan = planTraining(loss, [logits], { batch, update, hyperLength: 1 })
    const session = await Session.create(plan, { build: name as BuildName })
    for (const [node, data] of fed) session.feed(plan.inputs.find((p) => p.name === node.name)!, data)
    session.run()
    // Terms in one sum, times the layers they go through; the errors of a relative size add up along the longest path.
    const bound = (k: number) => EPSILON * k * order.length
    expectNear(session.fetch(plan.outputs[0]), [lossOf()], bound(54) * Math.abs(lossOf()), `loss (seed ${seed})`)
    for (const param of params) {
      const want = gradientOf(param)
      const got = session.view(plan.state.find((r) => r.name === `${param.name}/g`)!)
      expectNear(got, want, bound(6 * 5 * batch) * largest(want), `gradient of ${param.name} [${param.shape}] (seed ${seed})`)
    }
  })

  it('leaves nothing behind in the arena that the next run would read', async () => {
    const plan = planInference([logits], { batch })
    const session = await Session.create(plan)
    const runs = [0, 1].map(() => {
      session.feed(plan.inputs[0], fed.get(x)!)
      session.run()
      return session.fetch(plan.outputs[0])
    })
    expect(runs[1]).toEqual(runs[0])
  })
})
