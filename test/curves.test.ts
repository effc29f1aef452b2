// Activations over their whole range, beyond what the samples of ops draw: near 0, far out, at the largest numbers, at kinks, in place.
// With J the slope, |y| + |x J| is what rounding x and y alone costs; a value may be ROUNDINGS of that off, a slope ROUNDINGS of 1 + |x J|.
import { describe, expect, it } from 'vitest'
import { input, type Node } from '../src/graph/node'
import { Random } from '../src/graph/random'
import {
  elu,
  gelu,
  hardSigmoid,
  hardSwish,
  leakyRelu,
  logSoftmax,
  mish,
  sigmoid,
  silu,
  softplus,
  tanh,
} from '../src/ops/activation'
import type { KernelName } from '../src/ops/op'
import { Fenced, runNode } from './fenced'
import { type Build, builds, in_, inout, out, run } from './harness'
import { evaluate } from './reference/f32'
import { EPSILON, expectNear } from './reference/near'

const ROUNDINGS = 16
const H = 2 ** -17

const curves = { elu, gelu, hardSigmoid, hardSwish, leakyRelu, mish, sigmoid, silu, softplus, tanh }
const names = Object.keys(curves) as (keyof typeof curves)[]

const seed = 11
const sweep = (() => {
  const random = new Random(seed)
  const around = (range: number) => Array.from({ length: 2000 }, () => random.uniform(-range, range))
  return Float32Array.from([...around(1e-6), ...around(1), ...around(12), ...around(100)])
})()

const atAlpha = (name: keyof typeof curves): Node =>
  name === 'elu' || name === 'leakyRelu' ? curves[name]({ alpha: 0.7 })(input([1])) : curves[name]()(input([1]))

/** Values and slopes of a curve at x. */
function curve(build: Build, name: keyof typeof curves, x: Float32Array) {
  const dy = new Float32Array(x.length).fill(1)
  const { y, grads } = runNode(build, atAlpha(name), { batch: x.length, inputs: [x], dy })
  return { y, slope: grads[0] }
}

describe.each(builds)('$name', (build) => {
  it.each(names)('%s: value and slope are right from 1e-6 to 100', (name) => {
    const node = atAlpha(name)
    const { y, slope } = curve(build, name, sweep)
    const want = evaluate(node, [sweep])
    const [up, down] = [H, -H].map((h) => evaluate(node, [Float64Array.from(sweep, (v) => v + h)]))
    const kinks = name === 'leakyRelu' || name === 'elu' ? [0] : name.startsWith('hard') ? [-3, 3] : []
    const smooth = (x: number) => kinks.every((k) => Math.abs(x - k) > H)
    const J = want.map((_, i) => (up[i] - down[i]) / (2 * H))
    // 2^-126, times x: what e^-87 leaves where the limit is 0.
    const bound = want.map((v, i) => ROUNDINGS * EPSILON * (Math.abs(v) + Math.abs(sweep[i] * J[i])) + 200 * 2 ** -126)
    // Central differences of second order, and what is left of 53 bits.
    const truncation = 2 ** -32
    expectNear(y, want, bound, `${name} (seed ${seed})`)
    const away = Array.from(sweep.keys()).filter((i) => smooth(sweep[i]))
    expectNear(
      away.map((i) => slope[i]),
      away.map((i) => J[i]),
      away.map((i) => ROUNDINGS * EPSILON * (1 + Math.abs(sweep[i] * J[i])) + truncation),
      `slope of ${name} (seed ${seed})`,
    )
  })

  it.each(names)('%s: is finite at the largest numbers, where it has its limits, and lets NaN through', (name) => {
    const big = 3.4028234663852886e38
    const limits: Record<string, [number, number, number, number]> = {
      elu: [-Math.fround(0.7), big, 0, 1],
      hardSigmoid: [0, 1, 0, 0],
      leakyRelu: [Math.fround(Math.fround(0.7) * -big), big, Math.fround(0.7), 1],
      sigmoid: [0, 1, 0, 0],
      softplus: [0, big, 0, 1],
      tanh: [-1, 1, 0, 0],
    }
    const [low, high, lowSlope, highSlope] = limits[name] ?? [0, big, 0, 1]
    // Each alone and, in a row of four, in a vector.
    for (const copies of [1, 4]) {
      const row = (x: number) => curve(build, name, new Float32Array(copies).fill(x))
      const tiny = 1e-34
      for (let i = 0; i < copies; i++) {
        const below = row(-big)
        const above = row(big)
        expect(Math.abs(below.y[i] - low) / Math.max(1, Math.abs(low)), 'low').toBeLessThan(tiny)
        expect(above.y[i], 'high').toBe(high)
        expect(Math.abs(below.slope[i] - lowSlope), 'low slope').toBeLessThan(tiny)
        expect(above.slope[i], 'high slope').toBe(highSlope)
        const bad = row(NaN)
        expect(bad.y[i]).toBeNaN()
      }
    }
  })

  it("slopes at kinks are PyTorch's", () => {
    const at = (name: keyof typeof curves, ...x: number[]) => Array.from(curve(build, name, Float32Array.from(x)).slope)
    const alpha = Math.fround(0.7)
    expect(at('leakyRelu', 0)).toEqual([alpha])
    expect(at('elu', 0)).toEqual([alpha])
    expect(at('hardSigmoid', -3, 3)).toEqual([0, 0])
    expect(at('hardSwish', -3, 3)).toEqual([-0.5, 1])
  })

  it('values may be computed in place', () => {
    for (const name of names) {
      const numbers = name === 'elu' || name === 'leakyRelu' ? [0.7] : []
      const x = sweep.subarray(0, 2003)
      const [want] = run(build, `${name}_f32`, [in_(x), out('f32', x.length), x.length, ...numbers])
      const e = new Fenced(build, 1)
      const both = e.place('x', inout(x))
      e.call(`${name}_f32` as KernelName, both, both, x.length, ...numbers)
      e.check(name)
      expect(e.read(both), name).toEqual(want)
    }
  })

  it('logSoftmax: is exact to a rounding of the largest difference for large logits, and sums to 1', () => {
    for (const range of [1, 50, 1e4]) {
      const random = new Random(seed)
      const n = 10
      const x = Float32Array.from({ length: 3 * n }, () => random.uniform(-range, range))
      const node = logSoftmax()(input([n]))
      const { y } = runNode(build, node, { batch: 3, inputs: [x] })
      // x - top is off by half an ulp of 2 range; ln of the sum by that of a sum of n.
      expectNear(y, evaluate(node, [x]), EPSILON * (2 * range + n + ROUNDINGS), `logits within ${range} (seed ${seed})`)
      for (let i = 0; i < 3; i++) {
        const sum = y.subarray(i * n, (i + 1) * n).reduce((a, v) => a + Math.exp(v), 0)
        expect(Math.abs(sum - 1), `logits within ${range}, row ${i} (seed ${seed})`).toBeLessThan(EPSILON * (2 * range + 64))
      }
    }
  })
})
