// Memory of modules: outputs over their inputs, and parts of a network by bands of rows. Whatever the planner chose, the bytes are those of
// the session's ordinary plan, from memory that was full of rubbish, and nothing is written beyond the memory asked for.

import { describe, expect, it } from 'vitest'
import { quantize } from '../src/compress/quantize'
import { buildModule } from '../src/deploy'
import { input, type Node } from '../src/graph/node'
import { Random } from '../src/graph/random'
import { Model } from '../src/model/model'
import { hardSwish, relu6, sigmoid, softmax } from '../src/ops/activation'
import { add, mul } from '../src/ops/add'
import { conv2d } from '../src/ops/conv2d'
import { dense } from '../src/ops/dense'
import { depthwiseConv2d } from '../src/ops/depthwiseConv2d'
import { dropout } from '../src/ops/dropout'
import { avgPool2d, globalAvgPool2d, maxPool2d } from '../src/ops/pool2d'
import { flatten } from '../src/ops/reshape'
import { distanceOf, type Images, type Pair } from '../src/ops/window'
import { planInference } from '../src/plan/build'
import { Session } from '../src/session/session'
import { builds } from './harness'

const POISON = 0xa5

/** Images larger than weights, so that bands are worth their while: convolutions, pools, gates and residual sums. */
function network(random: Random): Node {
  const oneOf = <T>(...list: T[]): T => list[random.integer(list.length)]
  const upTo = (n: number) => 1 + random.integer(n)
  let x: Node = input([12 + upTo(20), 6 + upTo(10), upTo(4)])
  for (let block = 1 + upTo(4); block > 0; block--) {
    const common = {
      kernel: oneOf<Pair>(1, 2, 3, [3, 1], 5),
      dilation: random.integer(4) ? 1 : 2,
      padding: 'same',
      activation: oneOf(undefined, 'relu', 'relu6'),
    } as const
    const strides = random.integer(4) ? 1 : 2
    x = oneOf(
      () => conv2d({ ...common, filters: upTo(12), strides })(x),
      () => depthwiseConv2d({ ...common, multiplier: upTo(2), strides })(x),
      () => maxPool2d({ kernel: oneOf(2, 3), strides: oneOf(1, 2), padding: 'same' })(x),
      () => avgPool2d({ kernel: 2, padding: 'same' })(x),
      () => oneOf(relu6, sigmoid, hardSwish)()(x),
      () => add({ activation: 'relu' })(x, depthwiseConv2d(common)(x)),
      () => mul()(sigmoid()(x), conv2d({ ...common, filters: x.shape[2] })(x)),
      () => dropout({ rate: 0.5 })(x),
    )()
  }
  x = flatten()(random.integer(2) ? globalAvgPool2d()(x) : x)
  return softmax()(dense({ units: upTo(12) })(x))
}

async function quantized(seed: number) {
  const random = new Random(seed)
  const model = new Model(network(random), { seed })
  const each = model.inputs[0].shape.reduce((a, b) => a * b)
  const int8 = await quantize(model, { x: Float32Array.from({ length: 4 * each }, () => random.uniform(-2, 2)) })
  const x = Int8Array.from({ length: each }, () => random.integer(256) - 128)
  const session = await Session.create(planInference(int8.outputs, { batch: 1 }))
  session.view(session.plan.inputs[0]).set(x)
  session.run()
  return { int8, x, wanted: session.view(session.plan.outputs[0]).join() }
}

describe('module plans', () => {
  let banded = 0
  it.each(Array.from({ length: 24 }, (_, seed) => seed))(
    'seed %i: the bytes of a session, in every build and module',
    async (seed) => {
      const { int8, x, wanted } = await quantized(seed)
      for (const weights of ['ram', 'flash'] as const) {
        for (const recompute of [0, 0.25, 3]) {
          {
            const plan = planInference(int8.outputs, { batch: 1, target: 'module', weights, recompute })
            const layers = plan.map?.layers.map((l) => l.name) ?? []
            if (new Set(layers).size < layers.length) banded++
            expect(plan.arena.bytes, `seed ${seed}`).toBeGreaterThanOrEqual(plan.arena.lowerBound)
            for (const build of ['scalar', 'simd'] as const) {
              const session = await Session.create(plan, { build })
              const length = plan.memory - plan.persistent
              session.view({ name: 'arena', address: plan.persistent, dtype: 'u8', length }).fill(POISON)
              session.view(plan.inputs[0]).set(x)
              session.run()
              const y = session.view(plan.outputs[0]).join()
              expect(y, `seed ${seed}, weights in ${weights}, ${build}, recompute ${recompute}`).toBe(wanted)
            }
          }
        }
        for (const target of ['interpreter', 'aot', 'simd'] as const) {
          const { wasm } = await buildModule(int8, { target, weights })
          const exports = new WebAssembly.Instance(new WebAssembly.Module(wasm)).exports as Record<string, WebAssembly.Global>
          const memory = new Uint8Array((exports.memory as unknown as WebAssembly.Memory).buffer)
          memory.fill(POISON, exports.__data_end.value)
          memory.set(new Uint8Array(x.buffer), exports.input.value)
          expect((exports.run as unknown as () => number)()).toBe(0)
          const { value: at } = exports.output
          const y = new Int8Array(memory.slice(at, at + exports.output_bytes.value).buffer).join()
          expect(y, `seed ${seed}, weights in ${weights}, module for ${target}`).toBe(wanted)
          const beyond = memory.subarray(exports.__heap_base.value).findIndex((b) => b !== POISON)
          expect(beyond, `seed ${seed}, weights in ${weights}, module for ${target}: writes beyond its memory`).toBe(-1)
        }
      }
    },
  )

  it('had bands among them', () => expect(banded).toBeGreaterThan(20))
})

describe('distanceOf', () => {
  it('is what maxPool2d_i8 and depthwiseConv2d_i8 can be trusted with, and no kernel is given less', () => {
    for (let seed = 0; seed < 400; seed++) {
      const random = new Random(seed)
      const upTo = (n: number) => 1 + random.integer(n)
      const [kh, kw, sh, sw, ic] = [upTo(4), upTo(4), upTo(3), upTo(3), upTo(9)]
      const [pt, pl] = [random.integer(kh), random.integer(kw)]
      const [ih, iw] = [kh + random.integer(9), kw + random.integer(9)]
      const [oh, ow] = [Math.floor((ih + pt - kh) / sh) + 1, Math.floor((iw + pl - kw) / sw) + 1]
      const batch = upTo(2)
      const g: Images = { batch, ih, iw, ic, oh, ow, oc: ic, kh, kw, sh, sw, dh: 1, dw: 1, pt, pl }
      const distance = distanceOf(g, 0)
      const x = Int8Array.from({ length: batch * ih * iw * ic }, () => random.integer(256) - 128)
      const n = batch * oh * ow * ic
      for (const { name, memory, kernels } of builds) {
        if (name === 'interpreter') continue
        const sizes = [batch, ih, iw, ic, oh, ow, kh, kw, sh, sw, pt, pl, -128, 127]
        const bytes = new Int8Array(memory.buffer)
        const at = 4096
        const result = (y: number) => {
          bytes.fill(77, 0, 16384)
          bytes.set(x, at)
          kernels.maxPool2d_i8(at, y, ...sizes)
          return bytes.slice(y, y + n).join()
        }
        const apart = result(at + x.length + 64)
        const note = `seed ${seed}, ${name}, ${JSON.stringify(g)}, distance ${distance}`
        for (const more of [0, 1, 17]) expect(result(at - distance - more), note).toBe(apart)
      }
    }
  })
})
