// A session and a module run different kernels (packed weights against little code), and so do the three builds: on random int8
// networks all give the same bytes.

import { describe, expect, it } from 'vitest'
import { quantize } from '../src/compress/quantize'
import { input, type Node } from '../src/graph/node'
import { Random } from '../src/graph/random'
import { Model } from '../src/model/model'
import { relu6, softmax } from '../src/ops/activation'
import { add } from '../src/ops/add'
import { conv2d } from '../src/ops/conv2d'
import { dense } from '../src/ops/dense'
import { depthwiseConv2d } from '../src/ops/depthwiseConv2d'
import { avgPool2d, globalAvgPool2d, maxPool2d } from '../src/ops/pool2d'
import { flatten } from '../src/ops/reshape'
import type { Pair } from '../src/ops/window'
import { planInference } from '../src/plan/build'
import { BUILDS, kernelBytes } from '../src/session/kernels'
import { Session } from '../src/session/session'

const BATCH = 3
const hosted = BUILDS.filter((build) => WebAssembly.validate(kernelBytes(build) as BufferSource))

/** A few blocks of convolutions, residual sums and pools, of sizes that fit no tile. */
function network(random: Random): Node {
  const oneOf = <T>(...list: T[]): T => list[random.integer(list.length)]
  const upTo = (n: number) => 1 + random.integer(n)
  let x: Node = input([5 + upTo(8), 5 + upTo(8), upTo(4)])
  for (let block = upTo(3); block > 0; block--) {
    const kernel = oneOf<Pair>(1, 2, 3, [1, 3], 5)
    const common = {
      kernel,
      dilation: random.integer(3) ? 1 : 2,
      padding: 'same',
      activation: oneOf(undefined, 'relu', 'relu6'),
    } as const
    x = conv2d({ ...common, filters: upTo(20), strides: random.integer(3) ? 1 : 2 })(x)
    const side = depthwiseConv2d({ ...common, multiplier: 1 })(x)
    x = random.integer(2) ? add({ activation: 'relu' })(x, side) : depthwiseConv2d({ ...common, multiplier: upTo(3) })(side)
    if (random.integer(2)) x = oneOf(maxPool2d, avgPool2d)({ kernel: 2, padding: 'same' })(x)
  }
  x = relu6()(x)
  x = flatten()(random.integer(2) ? globalAvgPool2d()(x) : x)
  return softmax()(dense({ units: upTo(12) })(x))
}

describe('int8 networks', () => {
  it.each(Array.from({ length: 12 }, (_, seed) => seed))('seed %i: every target and build gives the same bytes', async (seed) => {
    const random = new Random(seed)
    const graph = network(random)
    const model = new Model(graph, { seed })
    const each = model.inputs[0].shape.reduce((a, b) => a * b)
    const int8 = await quantize(model, { x: Float32Array.from({ length: 16 * each }, () => random.uniform(-2, 2)) })
    const x = Int8Array.from({ length: BATCH * each }, () => random.integer(256) - 128)
    const results = new Map<string, string>()
    for (const target of ['session', 'module'] as const) {
      for (const build of hosted) {
        const session = await Session.create(planInference(int8.outputs, { batch: BATCH, target }), { build })
        session.view(session.plan.inputs[0]).set(x)
        session.run()
        results.set(`${target} ${build}`, session.view(session.plan.outputs[0]).join())
      }
    }
    for (const [which, y] of results) expect(y, `seed ${seed}, ${which}`).toBe(results.get('module scalar'))
  })
})
