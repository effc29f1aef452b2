// Dropout: its random numbers against the generator's published vectors and a second implementation, its mask in forward and backward,
// and its place in plans: training drops, inference does not know it.
import { describe, expect, it } from 'vitest'
import { makeDataset } from '../src/data/dataset'
import { input } from '../src/graph/node'
import { Random } from '../src/graph/random'
import { Model } from '../src/model/model'
import { crossEntropy } from '../src/ops/crossEntropy'
import { dense } from '../src/ops/dense'
import { dropout } from '../src/ops/dropout'
import { planTraining } from '../src/plan/build'
import type { Update } from '../src/plan/builder'
import { unrolled } from '../src/plan/plan'
import type { Build as BuildName } from '../src/session/kernels'
import { Session } from '../src/session/session'
import { Trainer } from '../src/train/trainer'
import { runNode } from './fenced'
import { builds, in_, inout, out, run } from './harness'

/** Philox4x32-10 in integers of any size. */
function philox(counter: readonly number[], key: readonly number[]): number[] {
  let [c0, c1, c2, c3] = counter.map(BigInt)
  let [k0, k1] = key.map(BigInt)
  const word = 0xffffffffn
  for (let round = 0; round < 10; round++) {
    const p = c0 * 0xd2511f53n
    const q = c2 * 0xcd9e8d57n
    ;[c0, c1, c2, c3] = [(q >> 32n) ^ c1 ^ k0, q & word, (p >> 32n) ^ c3 ^ k1, p & word]
    k0 = (k0 + 0x9e3779b9n) & word
    k1 = (k1 + 0xbb67ae85n) & word
  }
  return [c0, c1, c2, c3].map(Number)
}

it('the generator here has the published answers (Random123, kat_vectors)', () => {
  const hex = (words: number[]) => words.map((w) => w.toString(16).padStart(8, '0')).join(' ')
  expect(hex(philox([0, 0, 0, 0], [0, 0]))).toBe('6627e8d5 e169c58d bc57ac4c 9b00dbd8')
  const ones = 0xffffffff
  expect(hex(philox([ones, ones, ones, ones], [ones, ones]))).toBe('408f276d 41c83b0e a20bc7c6 6d5451fd')
  const pi = [0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344]
  expect(hex(philox(pi, [0xa4093822, 0x299f31d0]))).toBe('d16cfe09 94fdcceb 5001e420 24126ea1')
})

/** Which of n elements are kept. */
const kept = (n: number, step: number, threshold: number, seed: number, layer: number) =>
  Array.from({ length: n }, (_, i) => philox([i >> 2, 0, step, 0], [seed, layer])[i % 4] >= threshold)

describe.each(builds)('$name', (build) => {
  it.each([
    [1, 0, 0, 0],
    [2, 1, 0, 7],
    [3, 0, 5, 0],
    [4, 3, 1, 1],
    [5, 2 ** 31 - 1, 0xffffffff, 0x811c9dc5],
    [31, 12, 9, 0xdeadbeef],
    [97, 1000, 123456789, 3],
  ])(
    '%d elements, step %d, seed %d, layer %d: the mask is that of the generator, forward and backward',
    (n, step, seed, layer) => {
      const x = Float32Array.from({ length: n }, (_, i) => i + 1)
      const before = Float32Array.from({ length: n }, (_, i) => -i)
      for (const rate of [0, 0.25, 0.5, 0.9]) {
        const threshold = rate * 2 ** 32
        const scale = Math.fround(1 / (1 - rate))
        const numbers = [n, 0, threshold, scale, seed, layer]
        const mask = kept(n, step, threshold, seed, layer)
        const steps = in_(Int32Array.of(step))
        const [y] = run(build, 'dropout_f32', [in_(x), steps, out('f32', n), ...numbers])
        expect(y).toEqual(x.map((v, i) => (mask[i] ? v * scale : 0)))
        const [dx] = run(build, 'dropout_f32_dx', [in_(x), steps, inout(before), ...numbers])
        expect(dx).toEqual(before.map((v, i) => (mask[i] ? v + Math.fround(x[i] * scale) : v)))
      }
    },
  )

  it('drops the share it should, keeps the mean, and nothing at rate 0', () => {
    const n = 100_000
    for (const rate of [0, 0.1, 0.5]) {
      const node = dropout({ rate, name: 'a' })(input([n]))
      const { y } = runNode(build, node, { batch: 1, inputs: [new Float32Array(n).fill(1)], training: true })
      const dropped = y.reduce((sum, v) => sum + (v === 0 ? 1 : 0), 0) / n
      // Five standard deviations of a binomial share.
      expect(Math.abs(dropped - rate)).toBeLessThanOrEqual(5 * Math.sqrt((rate * (1 - rate)) / n))
      expect(new Set(y)).toEqual(new Set(rate ? [0, Math.fround(1 / (1 - rate))] : [1]))
    }
  })

  it('another name, seed or half of the batch drops others', () => {
    const x = new Float32Array(200).fill(1)
    const dropped = (options: Parameters<typeof dropout>[0]) =>
      String(runNode(build, dropout(options)(input([100])), { batch: 2, inputs: [x], training: true }).y)
    const all = [dropped({ rate: 0.5, name: 'a' }), dropped({ rate: 0.5, name: 'b' }), dropped({ rate: 0.5, name: 'a', seed: 1 })]
    expect(new Set(all).size).toBe(3)
    expect(dropped({ rate: 0.5, name: 'a' })).toBe(all[0])
    const { y } = runNode(build, dropout({ rate: 0.5 })(input([100])), { batch: 2, inputs: [x], training: true })
    expect(y.subarray(0, 100)).not.toEqual(y.subarray(100))
  })
})

describe('in a network', () => {
  const network = () => {
    const x = input([6])
    const hidden = dense({ units: 40, activation: 'relu', name: 'hidden' })(x)
    return new Model(dense({ units: 3, name: 'out' })(dropout({ rate: 0.5, name: 'drop' })(hidden)), { seed: 3 })
  }

  it('inference has no call and no memory for it', () => {
    const plain = (() => {
      const hidden = dense({ units: 40, activation: 'relu', name: 'hidden' })(input([6]))
      return new Model(dense({ units: 3, name: 'out' })(hidden), { seed: 3 })
    })()
    const plan = network().plan(4)
    expect(plan.calls).toEqual(plain.plan(4).calls)
    expect(plan.memory).toBe(plain.plan(4).memory)
    expect(plan.state).toEqual([])
  })

  it('a training step draws a mask twice, the same, and another in the next step', async () => {
    const model = network()
    const [out] = model.outputs
    const dropped = out.inputs[0]
    const loss = crossEntropy(out, input([1], { name: 'labels', dtype: 'i32' }), input([1], { name: 'weights' }))
    const update: Update = (e, params) => {
      for (const { g, n, state } of params) e.call('accumulate_f32', g, state('g'), n, 0)
    }
    const batch = 5
    const plan = planTraining(loss, [dropped, dropped.inputs[0]], { batch, update, hyperLength: 1 })
    expect(unrolled(plan.calls).filter((c) => c.kernel.startsWith('dropout'))).toHaveLength(2)
    const random = new Random(8)
    const x = Float32Array.from({ length: batch * 6 }, () => random.uniform(-1, 1))
    const masks = []
    for (const build of builds) {
      const session = await Session.create(plan, { build: build.name as BuildName })
      const counter = plan.state.find((r) => r.name === 'step')!
      for (const step of [0, 1]) {
        session.view(counter)[0] = step
        for (const [i, v] of [x, Int32Array.of(0, 1, 2, 0, 1), Float32Array.of(1, 1, 1, 1, 1)].entries())
          session.feed(plan.inputs[i], v)
        session.run()
        const [after, before] = [1, 2].map((i) => session.fetch(plan.outputs[i]))
        after.forEach((v, i) => {
          if (v !== 0) expect(v).toBe(2 * before[i])
        })
        masks.push(String(after.map((v) => (v === 0 ? 0 : 1))))
      }
    }
    expect(masks[0]).not.toBe(masks[1])
    for (const [i, mask] of masks.entries()) expect(mask).toBe(masks[i % 2])
  })

  it('trains to the same bits every time, with and without SIMD', async () => {
    const random = new Random(9)
    const count = 60
    const data = makeDataset({
      x: Float32Array.from({ length: count * 6 }, () => random.uniform(-1, 1)),
      y: Int32Array.from({ length: count }, () => random.integer(3)),
      shape: [6],
      classes: 3,
    })
    const weights = async (build: BuildName) => {
      const model = network()
      await new Trainer(model, { batch: 16, build }).fit(data, { epochs: 3 })
      return model.params.map((p) => p.data)
    }
    const first = await weights('scalar')
    expect(await weights('scalar')).toEqual(first)
    expect(await weights('simd')).toEqual(first)
  })
})
