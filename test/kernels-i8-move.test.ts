// The int8 kernels that move values: blocks from tensor to tensor, to other scales, images to other sizes, rows of a table.

import { describe, expect, it } from 'vitest'
import { Random } from '../src/graph/random'
import { quantizeMultiplier } from '../src/ops/fixedPoint'
import { builds, in_, inout, out, run } from './harness'
import * as reference from './reference/i8'

const i8 = (random: Random, n: number): Int8Array => Int8Array.from({ length: n }, () => random.integer(256) - 128)

/** A block [n0][n1][n2][n3] somewhere in x and somewhere in y, whose last axis lies together or not. */
function blockOf(random: Random, seed: number) {
  const upTo = (n: number) => 1 + random.integer(n)
  const n = [upTo(3), upTo(3), upTo(3), upTo(seed % 3 ? 20 : 70)]
  const place = () => {
    let step = random.integer(3) ? 1 : 2
    const steps = n.map(() => 0)
    for (let axis = 3; axis >= 0; axis--) {
      steps[axis] = step
      step *= n[axis] + random.integer(3)
    }
    const at = random.integer(5)
    return { at, steps, length: at + step }
  }
  return { n, x: place(), y: place() }
}

describe.each(builds)('$name', (build) => {
  it.each(['move_i8', 'requantize_i8'])('%s moves a block and leaves the rest', (kernel) => {
    for (let seed = 0; seed < 60; seed++) {
      const random = new Random(seed)
      const { n, x, y } = blockOf(random, seed)
      const [from, to] = [i8(random, x.length), i8(random, y.length)]
      const zeros = [i8(random, 1)[0], i8(random, 1)[0]]
      const factor = quantizeMultiplier(2 ** (seed % 5 ? random.uniform(-6, 6) : random.integer(5) - 3))
      const values = kernel === 'move_i8' ? from : reference.requantize(from, zeros[0], zeros[1], factor)
      const want = to.slice()
      for (let i = 0; i < n[0] * n[1] * n[2] * n[3]; i++) {
        const index = [
          Math.floor(i / (n[1] * n[2] * n[3])),
          Math.floor(i / (n[2] * n[3])) % n[1],
          Math.floor(i / n[3]) % n[2],
          i % n[3],
        ]
        const at = (p: typeof x) => index.reduce((sum, v, axis) => sum + v * p.steps[axis], p.at)
        want[at(y)] = values[at(x)]
      }
      const numbers = kernel === 'move_i8' ? [] : [factor.multiplier, factor.shift, ...zeros]
      const [got] = run(build, kernel, [in_(from), inout(to), ...n, x.at, ...x.steps, y.at, ...y.steps, ...numbers])
      expect(got, `seed ${seed}, ${JSON.stringify({ n, x, y, factor, zeros })}`).toEqual(want)
    }
  })

  it('requantize_i8 is exact for every value', () => {
    const all = Int8Array.from({ length: 256 }, (_, i) => i - 128)
    for (let seed = 0; seed < 240; seed++) {
      const random = new Random(seed)
      // Powers of two and what lies next to them have exact halves; others are anywhere.
      const exponent = seed % 2 ? random.uniform(-14, 5) : random.integer(19) - 14
      const factor = quantizeMultiplier(2 ** exponent * (1 + (seed % 3) * 2 ** -30))
      const [xZero, yZero] = i8(random, 2)
      const want = reference.requantize(all, xZero, yZero, factor)
      const numbers = [1, 1, 1, 256, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, factor.multiplier, factor.shift, xZero, yZero]
      expect(run(build, 'requantize_i8', [in_(all), out('i8', 256), ...numbers])[0], `seed ${seed}`).toEqual(want)
    }
  })

  const SIZES = [
    [1, 1, 1, 1, 4, 5],
    [2, 3, 4, 3, 6, 8],
    [1, 4, 4, 8, 7, 3],
    [3, 5, 2, 9, 5, 2],
    [1, 7, 9, 17, 3, 20],
    [1, 8, 8, 33, 1, 1],
    [1, 2, 3, 2, 40, 61],
    // Rounded scales and float32 that lead beyond the last pixel, or to the one before.
    [1, 101, 1, 1, 1500, 1],
    [1, 1, 107, 1, 1, 2000],
    [1, 98, 97, 1, 49, 500],
  ] as const

  it.each([
    ['resizeNearest_i8', 0, reference.resizeNearest],
    ['resizeNearest_i8', 1, reference.resizeNearest],
    ['resizeNearest_i8', 2, reference.resizeNearest],
    ['resizeBilinear_i8', 0, reference.resizeBilinear],
    ['resizeBilinear_i8', 1, reference.resizeBilinear],
    ['resizeBilinear_i8', 2, reference.resizeBilinear],
  ] as const)('%s, pixels %i, equals the reference', (kernel, pixels, resize) => {
    for (const [seed, sizes] of SIZES.entries()) {
      const [batch, ih, iw, c, oh, ow] = sizes
      const random = new Random(seed)
      // Noise, and the ends of the range.
      for (const x of [i8(random, batch * ih * iw * c), new Int8Array(batch * ih * iw * c).fill(-128)]) {
        const [got] = run(build, kernel, [in_(x), out('i8', batch * oh * ow * c), ...sizes, pixels])
        expect(got, `seed ${seed}, ${sizes}`).toEqual(resize(x, sizes, pixels))
      }
    }
  })

  it('embedding_i8 copies rows; an index out of range is the nearest in it', () => {
    for (const units of [1, 3, 8, 40]) {
      const random = new Random(units)
      const w = i8(random, 5 * units)
      const x = Int32Array.of(4, 0, 2, 2, -7, 5, 2 ** 31 - 1, -(2 ** 31))
      const rows = [4, 0, 2, 2, 0, 4, 4, 0]
      const want = Int8Array.from(rows.flatMap((r) => [...w.subarray(r * units, (r + 1) * units)]))
      expect(run(build, 'embedding_i8', [in_(x), in_(w), out('i8', 8 * units), 8, 5, units])[0], `${units}`).toEqual(want)
    }
  })

  it('fill_i8 writes one value', () => {
    for (const value of [-128, -1, 0, 127])
      expect(run(build, 'fill_i8', [out('i8', 19), 19, value])[0]).toEqual(new Int8Array(19).fill(value))
  })
})
