// The kernels of modules that learn: what they have in place of the packed product, of sgd_f32 and of the losses has the bits of those.

import { describe, expect, it } from 'vitest'
import type { TypedArray } from '../src/graph/node'
import { Random } from '../src/graph/random'
import { builds, in_, inout, out, run } from './harness'
import { EPSILON, expectNear } from './reference/near'

const floats = (random: Random, n: number, range = 1) => Float32Array.from({ length: n }, () => random.uniform(-range, range))
const FREE = [-Infinity, Infinity] as const
const SIZES = [1, 2, 3].flatMap((batch) =>
  [1, 2, 3, 4, 5, 8, 10, 17].flatMap((n) => [1, 3, 4, 5, 8, 33].map((k): [number, number, number] => [batch, n, k])),
)

describe.each(builds)('$name', (build) => {
  // Its tails are not fused, the packed product's are.
  const fused = build.name === 'relaxed'
  /** The same bits; of the fused build, within the rounding of a sum of `terms` numbers up to 1. */
  function expectSame(got: TypedArray, want: TypedArray, terms: number, what: string) {
    if (fused) expectNear(got, Float64Array.from(want), new Float64Array(want.length).fill((terms + 4) ** 2 * EPSILON), what)
    else expect(got, what).toEqual(want)
  }
  const packed = (w: Float32Array, bias: Float32Array | undefined, n: number, k: number, wn: number, wk: number) => {
    const length = Math.ceil(n / 8) * 8 * (k + 1)
    return run(build, 'pack_f32', [in_(w), bias ? in_(bias) : 0, out('f32', length), n, k, wn, wk])[0] as Float32Array
  }

  it('dense_f32 has the bits of the packed product, with a bias and a clamp or without', () => {
    const random = new Random(1)
    for (const [batch, n, k] of SIZES) {
      const [x, w, bias] = [floats(random, batch * k), floats(random, n * k), floats(random, n)]
      for (const [b, clamp] of [[undefined, FREE] as const, [bias, [-0.25, 0.5]] as const]) {
        const args = [in_(x), in_(w), b ? in_(b) : 0, out('f32', batch * n), batch, n, k, ...clamp]
        const [got] = run(build, 'dense_f32', args)
        const [want] = run(build, 'gemm_f32', [
          ...[in_(x), in_(packed(w, b, n, k, k, 1)), out('f32', batch * n)],
          ...[batch, n, k, k, 1, n, ...clamp, 0],
        ])
        expectSame(got, want, k, `batch ${batch} n ${n} k ${k} (seed 1)`)
      }
    }
  })

  it('dense_f32_dx and dense_f32_dw have those of the gradients by packed products, put down or added', () => {
    const random = new Random(2)
    for (const [batch, n, k] of SIZES) {
      const [x, w, dy] = [floats(random, batch * k), floats(random, n * k), floats(random, batch * n)]
      for (const more of [0, 1]) {
        const to = (length: number) => (more ? inout(floats(new Random(length), length)) : out('f32', length))
        const what = `batch ${batch} n ${n} k ${k}, more ${more} (seed 2)`
        const [dx] = run(build, 'dense_f32_dx', [in_(dy), in_(w), to(batch * k), batch, n, k, more])
        const dxSizes = [batch, k, n, n, 1, k, ...FREE, more]
        const [wantDx] = run(build, 'gemm_f32', [in_(dy), in_(packed(w, undefined, k, n, 1, k)), to(batch * k), ...dxSizes])
        expectSame(dx, wantDx, n, what)
        const [dw] = run(build, 'dense_f32_dw', [in_(x), in_(dy), to(n * k), batch, n, k, more])
        const dwSizes = [n, k, batch, 1, n, k, ...FREE, more]
        const [wantDw] = run(build, 'gemm_f32', [in_(dy), in_(packed(x, undefined, k, batch, 1, k)), to(n * k), ...dwSizes])
        expectSame(dw, wantDw, batch, what)
      }
    }
  })

  it('dense_f32_sgd has those of a gradient and sgd_f32, with and without a velocity, of weights and of a bias', () => {
    const random = new Random(3)
    for (const [, n, k] of SIZES)
      for (const momentum of [0, 0.9])
        for (const ones of [false, true]) {
          const [x, dy, w, v] = [floats(random, k), floats(random, n), floats(random, n * k), floats(random, n * k)]
          const given = ones ? new Float32Array(k).fill(1) : x
          const velocity = () => (momentum ? inout(v) : 0)
          const sizes = [n, k, 0.01, momentum]
          const got = run(build, 'dense_f32_sgd', [ones ? 0 : in_(x), in_(dy), inout(w), velocity(), ...sizes])
          const [g] = run(build, 'dense_f32_dw', [in_(given), in_(dy), out('f32', n * k), 1, n, k, 0])
          const hyper = in_(Float32Array.of(0.01, 1))
          const want = run(build, 'sgd_f32', [inout(w), in_(g), velocity(), hyper, n * k, 1, momentum, 0, 0, 0])
          expect(got, `n ${n} k ${k} momentum ${momentum} (seed 3)`).toEqual(want)
        }
  })

  it('losses of one sample, with their gradients, have the bits of those of a batch of one', () => {
    const random = new Random(4)
    const one = in_(Float32Array.of(1))
    for (const n of [1, 2, 3, 4, 5, 10, 17])
      for (const share of [1, 1 / 3]) {
        const [x, t] = [floats(random, n, 9), floats(random, n, 9)]
        const label = in_(Int32Array.of(random.integer(n)))
        const outputs = () => [out('f32', 1), out('f32', n)]
        const dloss = in_(Float32Array.of(share))
        const zeros = () => inout(new Float32Array(n))
        const what = `n ${n} (seed 4)`
        const got = run(build, 'crossEntropy_f32_sample', [in_(x), label, ...outputs(), n, share])
        const [loss] = run(build, 'crossEntropy_f32', [in_(x), label, one, out('f32', 1), 1, n, 0, 0])
        const [dx] = run(build, 'crossEntropy_f32_dx', [in_(x), label, one, dloss, zeros(), 1, n, 0, 0])
        expect(got, what).toEqual([loss, dx])
        const squares = run(build, 'meanSquaredError_f32_sample', [in_(x), in_(t), ...outputs(), n, share])
        const [mean] = run(build, 'meanSquaredError_f32', [in_(x), in_(t), one, out('f32', 1), 1, n, 0])
        const [slope] = run(build, 'meanSquaredError_f32_dx', [in_(x), in_(t), one, dloss, zeros(), 1, n, 0])
        expect(squares, what).toEqual([mean, slope])
      }
  })

  it.each([-1, 3, 2 ** 31 - 1, -(2 ** 31)])(
    'a label that is no class (%i) makes the loss NaN and leaves the gradient alone',
    (label) => {
      const before = Float32Array.of(7, 8, 9)
      const args = [in_(Float32Array.of(1, 2, 3)), in_(Int32Array.of(label)), out('f32', 1), inout(before), 3, 1]
      expect(run(build, 'crossEntropy_f32_sample', args)).toEqual([Float32Array.of(NaN), before])
    },
  )

  it('a loss is not finite where the prediction is not', () => {
    for (const x of [NaN, Infinity])
      for (const label of [0, 1]) {
        const outputs = [out('f32', 1), out('f32', 2)]
        const [loss] = run(build, 'crossEntropy_f32_sample', [
          in_(Float32Array.of(x, 1)),
          in_(Int32Array.of(label)),
          ...outputs,
          2,
          1,
        ])
        expect(Number.isFinite(loss[0])).toBe(false)
      }
  })
})
