// exp, log, sigmoid and tanh of the kernels against double precision: over a dense sweep of their ranges and at the edges, within the
// bound that their file states; lanes and scalar form give the same bits.
import { describe, expect, it } from 'vitest'
import { builds, in_, out, run } from './harness'
import { expectNear } from './reference/near'

const BOUND = 2 ** -22
const sweep = (from: number, to: number, n: number) =>
  Float32Array.from({ length: n }, (_, i) => from + ((to - from) * i) / (n - 1))

describe.each(builds)('$name', (build) => {
  const map = (kernel: string, x: Float32Array) => run(build, kernel, [in_(x), out('f32', x.length), x.length])[0]

  /** The largest relative error and where it is. */
  function worst(x: Float32Array, got: ArrayLike<number>, want: (v: number) => number): { error: number; at: number } {
    let most = { error: 0, at: x[0] }
    x.forEach((v, i) => {
      const error = Math.abs(got[i] - want(v)) / (Math.abs(want(v)) || Number.MIN_VALUE)
      if (!(error <= most.error)) most = { error, at: v }
    })
    return most
  }

  it('exp: relative error at most 2^-22 on [-87, 88]', () => {
    for (const x of [sweep(-87, 88, 400_000), sweep(-1, 1, 100_000), sweep(-1e-6, 1e-6, 1000)]) {
      const { error, at } = worst(x, map('exp_f32_map', x), Math.exp)
      expect(error, `at x = ${at}`).toBeLessThanOrEqual(BOUND)
    }
  })

  it('exp: is 1 at 0, stays at its ends outside the range, lets NaN through', () => {
    const [zero, minus, low, lowest, high, highest, nan] = map(
      'exp_f32_map',
      Float32Array.of(0, -0, -87, -Infinity, 88, Infinity, NaN),
    )
    expect([zero, minus, nan]).toEqual([1, 1, NaN])
    expect([lowest, highest]).toEqual([low, high])
  })

  it('log: relative error at most 2^-22 from the smallest normal number to the largest, also next to 1', () => {
    const octaves = Float32Array.from(
      { length: 254 * 1000 },
      (_, i) => 2 ** (Math.floor(i / 1000) - 126) * (1 + (i % 1000) / 1000),
    )
    const nextToOne = Float32Array.from({ length: 60 }, (_, i) => 1 + (i % 2 ? 1 : -0.5) * 2 ** -(i / 2.6))
    for (const x of [octaves, sweep(0.5, 2, 400_000), nextToOne, Float32Array.of(3.4028234663852886e38, 2 ** -126)]) {
      const { error, at } = worst(x, map('log_f32_map', x), Math.log)
      expect(error, `at x = ${at}`).toBeLessThanOrEqual(BOUND)
    }
    expect(map('log_f32_map', Float32Array.of(1))[0]).toBe(0)
  })

  it('sigmoid: relative error at most 2^-22 on [-87, 100]', () => {
    for (const x of [sweep(-87, 100, 400_000), sweep(-2, 2, 100_000), sweep(-1e-6, 1e-6, 1000)]) {
      const { error, at } = worst(x, map('sigmoid_f32_map', x), (v) => 1 / (1 + Math.exp(-v)))
      expect(error, `at x = ${at}`).toBeLessThanOrEqual(BOUND)
    }
  })

  it('sigmoid: is 1/2 at 0, stays inside [0, 1] at the ends, lets NaN through', () => {
    const [zero, low, lowest, high, nan] = map('sigmoid_f32_map', Float32Array.of(0, -88, -Infinity, Infinity, NaN))
    expect([zero, high, nan]).toEqual([0.5, 1, NaN])
    expect(lowest).toBe(low)
    expect(low).toBeGreaterThan(0)
    expect(low).toBeLessThan(2 ** -126)
  })

  it('tanh: relative error at most 2^-22 everywhere', () => {
    for (const x of [sweep(-10, 10, 400_000), sweep(-0.7, 0.7, 200_000), sweep(-1e-6, 1e-6, 1000), sweep(-1e3, 1e3, 1000)]) {
      const { error, at } = worst(x, map('tanh_f32_map', x), Math.tanh)
      expect(error, `at x = ${at}`).toBeLessThanOrEqual(BOUND)
    }
  })

  it('tanh: keeps the sign of 0, is 1 at the ends, odd, and lets NaN through', () => {
    const [zero, minus, high, low, nan] = map('tanh_f32_map', Float32Array.of(0, -0, Infinity, -1e30, NaN))
    expect([zero, minus, high, low, nan]).toEqual([0, -0, 1, -1, NaN])
    const x = sweep(0.01, 9, 1001)
    expect(
      map(
        'tanh_f32_map',
        x.map((v) => -v),
      ),
    ).toEqual(map('tanh_f32_map', x).map((v) => -v))
  })

  it('four lanes give the bits of the scalar form', () => {
    const all = Float32Array.from([...sweep(-90, 90, 9001), ...sweep(-1, 1, 9002), 0, -0, NaN, Infinity, -Infinity])
    const normal = Float32Array.from([...sweep(0.01, 90, 9001), ...sweep(0.5, 2, 9002), 2 ** -126, 3e38])
    for (const kernel of ['exp_f32_map', 'log_f32_map', 'sigmoid_f32_map', 'tanh_f32_map']) {
      const x = kernel === 'log_f32_map' ? normal : all
      // One element at a time, no vector is full.
      const alone = Array.from(x, (v) => map(kernel, Float32Array.of(v))[0])
      expectNear(map(kernel, x) as Float32Array, alone, 0, kernel)
    }
  })

  it('log1p: relative error at most 2^-21 on [-1/2, 4], also where 1 + x is 1', () => {
    const small = Float32Array.from({ length: 4000 }, (_, i) => 2 ** (-126 + i / 32))
    for (const x of [sweep(-0.5, 4, 400_000), sweep(-1e-3, 1e-3, 100_000), small, small.map((v) => -v)]) {
      const { error, at } = worst(x, map('log1p_f32_map', x), Math.log1p)
      expect(error, `at x = ${at}`).toBeLessThanOrEqual(2 * BOUND)
    }
  })
})
