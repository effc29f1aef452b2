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
import { builds, interpreter } from './harness'

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

/** Random windows, and where the results of a kernel at that distance before its input, or further, begin. */
function windows(count: number, check: (g: Images, random: Random, note: string) => void): void {
  for (let seed = 0; seed < count; seed++) {
    const random = new Random(seed)
    const upTo = (n: number) => 1 + random.integer(n)
    const [kh, kw, sh, sw, ic] = [upTo(4), upTo(4), upTo(3), upTo(3), upTo(9)]
    const [pt, pl] = [random.integer(kh), random.integer(kw)]
    const [ih, iw] = [kh + random.integer(9), kw + random.integer(9)]
    const [oh, ow] = [Math.floor((ih + pt - kh) / sh) + 1, Math.floor((iw + pl - kw) / sw) + 1]
    const g: Images = { batch: upTo(2), ih, iw, ic, oh, ow, oc: ic, kh, kw, sh, sw, dh: 1, dw: 1, pt, pl }
    check(g, random, `seed ${seed}, ${JSON.stringify(g)}`)
  }
}

describe('distanceOf', () => {
  const AT = 8192
  const bytesOf = (random: Random, n: number) => Int8Array.from({ length: n }, () => random.integer(256) - 128)

  it('is far enough for a kernel that goes channel by channel: maxPool2d_i8', () => {
    windows(400, (g, random, note) => {
      const { batch, ih, iw, ic, oh, ow, kh, kw, sh, sw, pt, pl } = g
      const x = bytesOf(random, batch * ih * iw * ic)
      const n = batch * oh * ow * ic
      for (const { name, memory, kernels } of builds) {
        const bytes = new Int8Array(memory.buffer)
        const result = (y: number) => {
          bytes.fill(77, 0, 2 * AT)
          bytes.set(x, AT)
          kernels.maxPool2d_i8(AT, y, batch, ih, iw, ic, oh, ow, kh, kw, sh, sw, pt, pl, -128, 127)
          return bytes.slice(y, y + n).join()
        }
        const apart = result(AT + x.length + 64)
        for (const more of [0, 1, 17]) expect(result(AT - distanceOf(g, 0) - more), `${name}, ${note}`).toBe(apart)
      }
    })
  })

  it('is far enough for a kernel of three positions at a time: conv2d_i8', () => {
    const check = (g: Images, random: Random, note: string) => {
      const { batch, ih, iw, ic, oh, ow, oc, kh, kw, sh, sw, pt, pl } = g
      const x = bytesOf(random, batch * ih * iw * ic)
      const w = bytesOf(random, oc * kh * kw * ic).map((v) => Math.max(v, -127))
      const n = batch * oh * ow * oc
      for (const { name, memory, kernels } of [...builds, interpreter]) {
        const bytes = new Int8Array(memory.buffer)
        const result = (y: number) => {
          bytes.fill(77, 0, 6 * AT)
          bytes.set(x, AT)
          bytes.set(w, 3 * AT)
          const numbers = [4 * AT, 4 * AT + 64, 4 * AT + 128]
          new Int32Array(memory.buffer, numbers[0], oc).fill(9)
          new Int32Array(memory.buffer, numbers[1], oc).fill(2 ** 30)
          new Int32Array(memory.buffer, numbers[2], oc).fill(-8)
          const sizes = [batch, ih, iw, ic, oh, ow, oc, oc, kh, kw, sh, sw, 1, 1, pt, pl, 3, -5, -128, 127]
          kernels.conv2d_i8(AT, 3 * AT, ...numbers, y, 5 * AT, ...sizes)
          return bytes.slice(y, y + n).join()
        }
        const apart = result(AT + x.length + 64)
        for (const more of [0, 1, 17]) expect(result(AT - distanceOf(g, 3) - more), `${name}, ${note}`).toBe(apart)
      }
    }
    windows(400, (g, random, note) => check({ ...g, oc: 1 + random.integer(11) }, random, note))
    // The last positions of an image are fewer than three.
    for (const side of [4, 5, 6]) {
      const sizes = { batch: 1, ih: side, iw: side, ic: 8, oh: side, ow: side, oc: 16 }
      const g = { ...sizes, kh: 1, kw: 1, sh: 1, sw: 1, dh: 1, dw: 1, pt: 0, pl: 0 }
      check(g, new Random(side), `twice the channels, ${JSON.stringify(g)}`)
    }
  })
})
