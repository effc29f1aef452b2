// 3x3 convolution by Winograd's algorithm: the value and the gradient with respect to x against float64, for both tile sizes, sizes round
// every tile, every padding. The error bound is the one that assembly/f32/winograd.ts states; the direct kernel's is far smaller.

import { describe, expect, it } from 'vitest'
import { input, type Node } from '../src/graph/node'
import { Random } from '../src/graph/random'
import { Model } from '../src/model/model'
import { conv2d } from '../src/ops/conv2d'
import { CONV3X3, chooseConv3x3 } from '../src/ops/variants'
import { planInference } from '../src/plan/build'
import { unrolled } from '../src/plan/plan'
import { Session } from '../src/session/session'
import { runNode } from './fenced'
import { builds, in_, inout, out, run, scratch } from './harness'
import type { Numbers } from './reference/definition'
import { evaluate } from './reference/f32'
import { EPSILON, expectNear, largest } from './reference/near'

/** Stated in assembly/f32/winograd.ts: |error| <= GROWTH * 2^-24 * max|x| * the largest sum of |w| over an output's filter. */
const GROWTH = { 2: 4, 4: 24 }

/** Stated in assembly/f32/winogradDw.ts: |error| <= GROWTH_DW * 2^-24 * max|x| * the largest sum of |dy| over an output channel. */
const GROWTH_DW = { 2: 6, 4: 24 }

const floats = (random: Random, n: number) => Float32Array.from({ length: n }, () => random.uniform(-1, 1))

const bound = (tile: 2 | 4, x: Numbers, sums: Numbers) => GROWTH[tile] * EPSILON * largest(x) * largest(sums)

interface Case {
  seed: number
  batch: number
  ih: number
  iw: number
  ic: number
  oc: number
  pt: number
  pb: number
  pl: number
  pr: number
  relu: boolean
}

function cases(seed: number): Case[] {
  const random = new Random(seed)
  const side = () => random.integer(3)
  const list: Case[] = []
  for (const ic of [1, 3, 4, 7, 8, 17]) {
    for (const oc of [1, 2, 5, 8, 9, 16]) {
      const [ih, iw] = [3 + random.integer(9), 3 + random.integer(9)]
      const padding = { pt: side(), pb: side(), pl: side(), pr: side() }
      list.push({ seed, batch: 1 + random.integer(3), ih, iw, ic, oc, ...padding, relu: random.integer(2) === 1 })
    }
  }
  return list
}

describe.each(builds)('$name', (build) => {
  it.each([2, 4] as const)('F(%i, 3x3): the value and the gradient by x equal their definitions within the bound', (tile) => {
    for (const c of cases(tile)) {
      const what = `${build.name} F(${tile}) ${JSON.stringify(c)}`
      const random = new Random(c.seed, c.ic * 100 + c.oc)
      const { batch, ih, iw, ic, oc } = c
      const padding = [c.pt, c.pb, c.pl, c.pr] as const
      const layer = conv2d({ filters: oc, kernel: 3, padding, ...(c.relu && { activation: 'relu' as const }) })
      const node = layer(input([ih, iw, ic]))
      const [oh, ow] = node.shape
      const [x, w, b] = [floats(random, batch * ih * iw * ic), floats(random, oc * 9 * ic), floats(random, oc)]
      const four = (n: number) => (n + 3) & -4
      const positions = (tile + 2) ** 2
      const [down, across] = [Math.ceil(oh / tile), Math.ceil(ow / tile)]
      const group = 1 + random.integer(batch)
      const block = Math.min(3, group * down * across)
      const packed = positions * Math.ceil(oc / 8) * 8 * (ic + 1)
      const pack = [in_(w), out('f32', packed), scratch('f32', 72), tile, oc, ic, oc, 0, 9 * ic, 1, 3 * ic, ic]
      const [u] = run(build, 'conv2d_f32_winograd_pack', pack)
      const space =
        four(group * (tile * down + 2) * (tile * across + 2) * ic) + 144 + positions * (block * (four(ic) + four(oc)) + 32)
      const sizes = [tile, block, group, batch, ih, iw, ic, oh, ow, oc, c.pt, c.pl, c.relu ? 0 : -Infinity, Infinity]
      const buffers = [in_(x), in_(u), in_(b)]
      const [y] = run(build, 'conv2d_f32_winograd', [
        ...buffers,
        out('f32', batch * oh * ow * oc),
        scratch('f32', space),
        ...sizes,
      ])
      const want = evaluate(node, [x, w, b])
      const sums = Float64Array.from({ length: oc }, (_, o) =>
        w.subarray(o * 9 * ic, (o + 1) * 9 * ic).reduce((s, v) => s + Math.abs(v), 1),
      )
      expectNear(y, want, bound(tile, x, sums), what)

      const dy = floats(random, y.length)
      const turned = positions * Math.ceil(ic / 8) * 8 * (oc + 1)
      const exchange = [in_(w), out('f32', turned), scratch('f32', 72), tile, ic, oc, ic, 0, 1, 9 * ic, 3 * ic, ic]
      const [v] = run(build, 'conv2d_f32_winograd_pack', exchange)
      const images = group * ((tile * down + 2) * (tile * across + 2) * four(ic))
      const room =
        images + four(group * tile * down * tile * across * oc) + 144 + positions * (block * (four(ic) + four(oc)) + 32)
      const start = floats(random, x.length)
      const wanted = gradient(node, [x, w], dy, batch, c)
      const channels = Float64Array.from({ length: ic }, (_, i) =>
        w.reduce((s, value, at) => (at % ic === i ? s + Math.abs(value) : s), 0),
      )
      const allowed = bound(tile, dy, channels)
      for (const add of [0, 1]) {
        const dx = add ? inout(start) : out('f32', x.length)
        const geometry = [tile, block, group, batch, ih, iw, ic, oh, ow, oc, c.pt, c.pl, add]
        const [got] = run(build, 'conv2d_f32_dx_winograd', [in_(dy), in_(v), dx, scratch('f32', room), ...geometry])
        const more = add * 2 * EPSILON * (largest(wanted) + 1)
        expectNear(
          got,
          wanted.map((value, i) => value + add * start[i]),
          allowed + more,
          `${what} dx, add ${add}`,
        )
      }
    }
  })

  it('is what conv2d uses, forward, backward and in a session, where the table says so', async () => {
    for (const [h, ic, oc, padding] of [
      [9, 9, 17, 'same'],
      [8, 16, 16, 'valid'],
      [2, 32, 16, 'same'],
      [13, 32, 9, 2],
    ] as const) {
      const seed = h * 1000 + ic
      const random = new Random(seed)
      const x = input([h, h, ic])
      const node = conv2d({ filters: oc, kernel: 3, padding })(x)
      const [oh, ow] = node.shape
      const { tile } = chooseConv3x3('f32', { oh, ow, ic, oc })
      expect(tile, `h ${h}`).toBeDefined()
      const batch = 3
      const inputs = [floats(random, batch * h * h * ic), floats(random, oc * 9 * ic), floats(random, oc)]
      const dy = floats(random, batch * oh * ow * oc)
      const { y, grads } = runNode(build, node, { batch, inputs, dy })
      const what = `${build.name} seed ${seed}`
      const [values, w, bias] = inputs
      const filters = Float64Array.from({ length: oc }, (_, o) =>
        w.subarray(o * 9 * ic, (o + 1) * 9 * ic).reduce((s, v) => s + Math.abs(v), 1),
      )
      const want = evaluate(node, inputs)
      expectNear(y, want, bound(tile as 2 | 4, values, filters), what)
      const channels = Float64Array.from({ length: ic }, (_, i) =>
        w.reduce((s, v, at) => (at % ic === i ? s + Math.abs(v) : s), 0),
      )
      expectNear(grads[0], gradient(node, inputs, dy, batch), bound(tile as 2 | 4, dy, channels), `${what} dx`)

      const dySums = Float64Array.from({ length: oc }, (_, o) =>
        dy.reduce((s, v, at) => (at % oc === o ? s + Math.abs(v) : s), 0),
      )
      const wanted = weightGradient(node, inputs, dy, batch)
      const growth = GROWTH_DW[tile as 2 | 4]
      const allowed = growth * EPSILON * largest(values) * largest(dySums)
      expectNear(grads[1], wanted, allowed, `${what} dw`)

      const model = new Model(node)
      const [pw, pb] = model.params
      pw.data.set(w)
      pb.data.set(bias)
      const plan = planInference(model.outputs, { batch })
      expect(unrolled(plan.calls).some((c) => c.kernel === 'conv2d_f32_winograd')).toBe(true)
      const session = await Session.create(plan, { build: build.name as 'simd' })
      session.feed(plan.inputs[0], values)
      session.run()
      expect(session.fetch(plan.outputs[0]), what).toEqual(y)
    }
  })
})

it.each(builds)('computes groups, each by itself: $name', (build) => {
  const random = new Random(5)
  const node = conv2d({ filters: 18, kernel: 3, groups: 2, padding: 'same' })(input([8, 8, 16]))
  const inputs = [floats(random, 2 * 8 * 8 * 16), floats(random, 18 * 9 * 8), floats(random, 18)]
  const plan = new Model(node).plan(2)
  expect(unrolled(plan.calls).filter((c) => c.kernel === 'conv2d_f32_winograd')).toHaveLength(2)
  const filters = Float64Array.from({ length: 18 }, (_, o) => {
    return inputs[1].subarray(o * 72, (o + 1) * 72).reduce((sum, v) => sum + Math.abs(v), 1)
  })
  const { y } = runNode(build, node, { batch: 2, inputs })
  expectNear(y, evaluate(node, inputs), bound(4, inputs[0], filters), `${build.name} seed 5`)
})

/** dx of a 3x3 convolution of stride 1, by its definition. */
function gradient(
  node: Node,
  [, w]: readonly Numbers[],
  dy: Numbers,
  batch: number,
  padding?: { pt: number; pl: number },
): Float64Array {
  const [ih, iw, ic] = node.inputs[0].shape
  const [oh, ow, oc] = node.shape
  const { pt, pl } = padding ?? { pt: Math.floor((oh + 2 - ih) / 2), pl: Math.floor((ow + 2 - iw) / 2) }
  const dx = new Float64Array(batch * ih * iw * ic)
  for (let n = 0; n < batch; n++) {
    for (let oy = 0; oy < oh; oy++) {
      for (let ox = 0; ox < ow; ox++) {
        for (let r = 0; r < 3; r++) {
          for (let s = 0; s < 3; s++) {
            const [y, x] = [oy + r - pt, ox + s - pl]
            if (y < 0 || y >= ih || x < 0 || x >= iw) continue
            for (let o = 0; o < oc; o++) {
              const g = dy[((n * oh + oy) * ow + ox) * oc + o]
              for (let i = 0; i < ic; i++) dx[((n * ih + y) * iw + x) * ic + i] += g * w[(o * 9 + r * 3 + s) * ic + i]
            }
          }
        }
      }
    }
  }
  return dx
}

/** dw of a 3x3 convolution of stride 1, by its definition. */
function weightGradient(node: Node, [x]: readonly Numbers[], dy: Numbers, batch: number): Float64Array {
  const [ih, iw, ic] = node.inputs[0].shape
  const [oh, ow, oc] = node.shape
  const pt = Math.floor((oh + 2 - ih) / 2)
  const pl = Math.floor((ow + 2 - iw) / 2)
  const dw = new Float64Array(oc * 9 * ic)
  for (let n = 0; n < batch; n++) {
    for (let oy = 0; oy < oh; oy++) {
      for (let ox = 0; ox < ow; ox++) {
        for (let r = 0; r < 3; r++) {
          for (let s = 0; s < 3; s++) {
            const [iy, ix] = [oy + r - pt, ox + s - pl]
            if (iy < 0 || iy >= ih || ix < 0 || ix >= iw) continue
            for (let o = 0; o < oc; o++) {
              const g = dy[((n * oh + oy) * ow + ox) * oc + o]
              for (let i = 0; i < ic; i++) dw[(o * 9 + r * 3 + s) * ic + i] += g * x[((n * ih + iy) * iw + ix) * ic + i]
            }
          }
        }
      }
    }
  }
  return dw
}

it.each(['f32', 'f32_dw', 'i8'] as const)(
  'the table of %s ends in a row that fits everything, and every row is reached',
  (dtype) => {
    const reached = new Set<string>()
    for (const oh of [1, 2, 3, 4, 6, 8, 13, 32]) {
      for (const ic of [1, 8, 32]) for (const oc of [1, 8, 64]) reached.add(chooseConv3x3(dtype, { oh, ow: oh, ic, oc }).variant)
    }
    expect([...reached].sort()).toEqual(CONV3X3[dtype].map((r) => r.variant).sort())
  },
)
