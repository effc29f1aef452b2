// The int8 kernels without weights (softmax, add, sub, mul, clamp, tables), the numbers that they are given (src/ops/fixedPoint.ts), the harness,
// and values recorded from TensorFlow Lite Micro's reference kernels on real models where no weights are needed.

import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { describe, expect, it } from 'vitest'
import { DunlinError } from '../src/graph/error'
import { Random } from '../src/graph/random'
import { addScales, type FixedPoint, quantizeMultiplier, softmaxScale } from '../src/ops/fixedPoint'
import { type Build, builds, in_, inout, out, run } from './harness'
import * as reference from './reference/i8'

const SIZES = [1, 2, 3, 4, 5, 6, 7, 8, 9, 15, 16, 17, 31, 32, 33, 100]
/** Sum and difference, whose kernels take the same. */
const COMBINED = { add: reference.add, sub: reference.sub }
const i8 = (random: Random, n: number): Int8Array => Int8Array.from({ length: n }, () => random.integer(256) - 128)
const real = ({ multiplier, shift }: FixedPoint): number => multiplier * 2 ** (shift - 31)

const softmax = (
  build: Build,
  x: Int8Array,
  rows: number,
  n: number,
  { multiplier, shift, diffMin }: ReturnType<typeof softmaxScale>,
) => run(build, 'softmax_i8', [in_(x), out('i8', rows * n), rows, n, multiplier, shift, diffMin])[0]

const combine = (
  op: 'add' | 'sub',
  build: Build,
  a: Int8Array,
  b: Int8Array,
  zero: { a: number; b: number; y: number },
  factor: ReturnType<typeof addScales>,
  [lo, hi]: number[],
) => {
  const factors = [factor.a, factor.b, factor.y].flatMap((f) => [f.multiplier, f.shift])
  return run(build, `${op}_i8`, [in_(a), in_(b), out('i8', a.length), a.length, zero.a, zero.b, zero.y, ...factors, lo, hi])[0]
}

describe.each(builds)('$name', (build) => {
  it('softmax_i8 equals the reference', () => {
    const scales = [2 ** -24, 1 / 256, 0.05, 0.17185351252555847, 1, 7.3, 1e4]
    for (const [i, n] of [...SIZES, 300, 511, 512, 4095].entries()) {
      const random = new Random(i)
      const rows = n > 100 ? 1 : 3
      const flat = new Int8Array(rows * n).fill(127)
      const oneHot = flat.map((v, j) => (j % n === 0 ? v : -128))
      for (const x of [i8(random, rows * n), flat, oneHot]) {
        const factor = softmaxScale(scales[random.integer(scales.length)], random.integer(2) ? 1 : 1.5)
        expect(softmax(build, x, rows, n, factor), `seed ${i}, n ${n}, ${JSON.stringify(factor)}`).toEqual(
          reference.softmax(x, rows, n, factor),
        )
      }
    }
  })

  it('softmax_i8 is within one step of the real function', () => {
    for (let seed = 0; seed < 50; seed++) {
      const random = new Random(seed)
      const n = 2 + random.integer(30)
      const scale = random.uniform(0.01, 0.3)
      const x = i8(random, n)
      const exps = Array.from(x, (v) => Math.exp(v * scale))
      const sum = exps.reduce((a, b) => a + b)
      const y = softmax(build, x, 1, n, softmaxScale(scale))
      for (const [j, e] of exps.entries()) {
        expect(Math.abs(Math.min((256 * e) / sum, 255) - 128 - y[j]), `seed ${seed}, value ${j}`).toBeLessThan(1)
      }
    }
  })

  it.each(['add', 'sub'] as const)('%s_i8 equals the reference', (op) => {
    const zeros = [-128, 0, 5, 127]
    const ends = Int8Array.of(-128, -128, 127, 127, 0, -1)
    for (const [i, n] of [...SIZES, ...SIZES].entries()) {
      const random = new Random(i)
      const pickZero = () => zeros[random.integer(zeros.length)]
      const zero = { a: pickZero(), b: pickZero(), y: pickZero() }
      const factor = addScales(random.uniform(0.001, 0.3), random.uniform(0.001, 0.3), random.uniform(0.01, 0.3))
      const range = i % 2 ? [-128, 127] : [Math.min(zero.y, 100), 120]
      const a = i8(random, n)
      const b = i8(random, n)
      a.set(ends.subarray(0, n))
      b.set(ends.subarray(0, n).slice().reverse())
      const want = COMBINED[op](a, b, zero, factor, range[0], range[1])
      expect(combine(op, build, a, b, zero, factor, range), `seed ${i}, n ${n}, ${JSON.stringify({ zero, factor })}`).toEqual(
        want,
      )
    }
  })

  it.each(['add', 'sub'] as const)('%s_i8 equals the reference for every pair of values', (op) => {
    const a = Int8Array.from({ length: 65536 }, (_, i) => (i >> 8) - 128)
    const b = Int8Array.from({ length: 65536 }, (_, i) => (i & 255) - 128)
    for (let seed = 0; seed < 12; seed++) {
      const random = new Random(seed)
      const zero = { a: i8(random, 1)[0], b: i8(random, 1)[0], y: i8(random, 1)[0] }
      // From sums that leave the range at once, to ones that stay near the zero point; and scales with many exact halves.
      const [sa, sb] = seed % 3 === 0 ? [0.25, 0.125] : [random.uniform(0.001, 0.3), random.uniform(0.001, 0.3)]
      const factor = addScales(sa, sb, Math.max(sa, sb) * 2 ** (seed - 6))
      const want = COMBINED[op](a, b, zero, factor, -128, 127)
      const got = combine(op, build, a, b, zero, factor, [-128, 127])
      const wrong = got.findIndex((v, i) => v !== want[i])
      expect(wrong, `seed ${seed}, ${JSON.stringify({ zero, factor })}: first pair that differs`).toBe(-1)
    }
  })

  it.each(['add', 'sub'] as const)('%s_i8 is exact for every shift', (op) => {
    const random = new Random(1)
    for (let shift = -31; shift <= 0; shift++) {
      const factor = () => ({
        multiplier: [1, 2 ** 30, 2 ** 31 - 1][random.integer(3)],
        shift: random.integer(2) ? shift : -random.integer(32),
      })
      const factors = { a: factor(), b: factor(), y: factor() }
      const zero = { a: -128, b: 127, y: 1 }
      const [a, b] = [i8(random, 19), i8(random, 19)]
      const want = COMBINED[op](a, b, zero, factors, -128, 127)
      expect(combine(op, build, a, b, zero, factors, [-128, 127]), `seed 1 ${JSON.stringify(factors)}`).toEqual(want)
    }
  })

  it('mul_i8 equals the reference for every pair of values', () => {
    const a = Int8Array.from({ length: 65536 + 7 }, (_, i) => (i >> 8) - 128)
    const b = Int8Array.from({ length: 65536 + 7 }, (_, i) => (i & 255) - 128)
    for (let seed = 0; seed < 16; seed++) {
      const random = new Random(seed)
      const zero = { a: i8(random, 1)[0], b: i8(random, 1)[0], y: i8(random, 1)[0] }
      // Factors from 2^-20 to 2^10; powers of two have many exact halves.
      const factor = quantizeMultiplier(2 ** (seed % 4 ? random.uniform(-20, 10) : random.integer(12) - 9))
      const [lo, hi] = seed % 2 ? [-128, 127] : [-100, 90]
      const want = reference.mul(a, b, zero, factor, lo, hi)
      const numbers = [zero.a, zero.b, zero.y, factor.multiplier, factor.shift, lo, hi]
      const [got] = run(build, 'mul_i8', [in_(a), in_(b), out('i8', a.length), a.length, ...numbers])
      const wrong = got.findIndex((v, i) => v !== want[i])
      expect(wrong, `seed ${seed}, ${JSON.stringify({ zero, factor })}: first pair that differs`).toBe(-1)
    }
  })

  it('lookup_i8 takes each value from its place in the table', () => {
    for (const [i, n] of SIZES.entries()) {
      const random = new Random(i)
      const [x, table] = [i8(random, n), i8(random, 256)]
      const want = x.map((v) => table[v + 128])
      expect(run(build, 'lookup_i8', [in_(x), in_(table), out('i8', n), n])[0], `seed ${i}, n ${n}`).toEqual(want)
    }
  })

  it('clamp_i8 equals the reference, also in place', () => {
    for (const [i, n] of SIZES.entries()) {
      const random = new Random(i)
      const x = i8(random, n)
      const lo = random.integer(100) - 128
      const hi = lo + random.integer(127)
      const want = reference.clampAll(x, lo, hi)
      expect(run(build, 'clamp_i8', [in_(x), out('i8', n), n, lo, hi])[0], `seed ${i}, n ${n}`).toEqual(want)
    }
  })
})

describe('the harness', () => {
  it('notices a write past an end, and a changed input', () => {
    const x = new Int8Array(9)
    expect(() => run(builds[0], 'clamp_i8', [in_(x), out('i8', 8), 9, -128, 127])).toThrow(
      'clamp_i8 (scalar) wrote outside buffer 1: at byte 8 of 8.',
    )
    expect(() => run(builds[0], 'clamp_i8', [in_(x), in_(x), 9, 1, 127])).toThrow(
      'clamp_i8 (scalar) changed its input, buffer 1, at byte 0.',
    )
    expect(run(builds[0], 'clamp_i8', [in_(x), inout(x), 9, 1, 127])).toEqual([new Int8Array(9).fill(1)])
  })
})

describe('fixed-point numbers', () => {
  it('quantizeMultiplier finds the nearest Q31 number', () => {
    expect(quantizeMultiplier(0)).toEqual({ multiplier: 0, shift: 0 })
    expect(quantizeMultiplier(0.5)).toEqual({ multiplier: 2 ** 30, shift: 0 })
    expect(quantizeMultiplier(1)).toEqual({ multiplier: 2 ** 30, shift: 1 })
    expect(quantizeMultiplier(3)).toEqual({ multiplier: 3 * 2 ** 29, shift: 2 })
    expect(quantizeMultiplier(2 ** 31 - 1)).toEqual({ multiplier: 2 ** 31 - 1, shift: 31 })
    // Rounds up to 2^31, which is 2^30 with one shift more.
    expect(quantizeMultiplier(1 - 2 ** -40)).toEqual({ multiplier: 2 ** 30, shift: 1 })
    expect(quantizeMultiplier(2 ** -32)).toEqual({ multiplier: 2 ** 30, shift: -31 })
    for (const tiny of [2 ** -33, 1e-300, Number.MIN_VALUE]) expect(quantizeMultiplier(tiny)).toEqual({ multiplier: 0, shift: 0 })
    for (let seed = 0; seed < 200; seed++) {
      const value = 2 ** new Random(seed).uniform(-31, 30.9)
      const found = quantizeMultiplier(value)
      expect(Math.abs(real(found) / value - 1), `seed ${seed}, value ${value}`).toBeLessThanOrEqual(2 ** -31)
      expect(found.multiplier, `seed ${seed}`).toBeGreaterThanOrEqual(2 ** 30)
    }
  })

  it('softmaxScale is Q5.26, at most the largest int32', () => {
    expect(softmaxScale(1 / 16)).toEqual({ multiplier: 2 ** 30, shift: 23, diffMin: -248 })
    expect(softmaxScale(1 / 32, 2)).toEqual(softmaxScale(1 / 16))
    expect(softmaxScale(100)).toEqual({ multiplier: 2 ** 31 - 1, shift: 31, diffMin: 0 })
  })

  it('addScales halves the larger input', () => {
    expect(addScales(1, 1, 1)).toEqual({
      a: { multiplier: 2 ** 30, shift: 0 },
      b: { multiplier: 2 ** 30, shift: 0 },
      y: { multiplier: 2 ** 30, shift: -18 },
    })
    expect(addScales(1, 0.25, 2).b).toEqual({ multiplier: 2 ** 30, shift: -2 })
  })

  it('refuses what is no scale', () => {
    for (const bad of [-1, Number.NaN, 2 ** 31, Number.POSITIVE_INFINITY])
      expect(() => quantizeMultiplier(bad)).toThrow(DunlinError)
    expect(() => softmaxScale(2 ** -26)).toThrow('is not above 2^-26')
    expect(() => addScales(0, 1, 1)).toThrow(DunlinError)
    expect(() => addScales(1, 1, 2 ** -20)).toThrow('do not fit')
  })
})

// Outputs of single layers for one input; scales and zero points are those of the model files, as float32.
const cases = pathToFileURL(`${resolve(process.env.DUNLIN_CASES ?? '../shared/cases', 'tflite')}/`)

/** The values of the file that starts with `op<i>_`. */
function layer(model: string, i: number): Int8Array {
  const folder = new URL(`${model}/layers_rand0/`, cases)
  const bytes = readFileSync(new URL(readdirSync(folder).find((name) => name.startsWith(`op${i}_`)) as string, folder))
  return new Int8Array(bytes.subarray(10 + bytes.readUInt16LE(8)))
}

describe.skipIf(!existsSync(cases)).each(builds)('recorded layers, $name', (build) => {
  it.each([
    ['ic_resnet8_int8', 11, [8, 8]],
    ['kws_dscnn_int8', 8, [25, 5]],
  ])('average pool of %s', (model, i, [h, w]) => {
    const [y] = run(build, 'avgPool2d_i8', [in_(layer(model, i)), out('i8', 64), 1, h, w, 64, 1, 1, h, w, h, w, 0, 0, -128, 127])
    expect(y).toEqual(layer(model, i + 1))
  })

  it.each([
    ['ic_resnet8_int8', 14, 0.17185351252555847],
    ['kws_dscnn_int8', 11, 0.14469251036643982],
    ['sww_int8', 9, 0.1605089008808136],
  ])('softmax of %s', (model, i, scale) => {
    const x = layer(model, i)
    expect(softmax(build, x, 1, x.length, softmaxScale(scale))).toEqual(layer(model, i + 1))
  })

  it.each([
    [0, 2, 3, [0.039393551647663116, 0.10419496148824692, 0.050945673137903214], { a: -128, b: 4, y: -128 }],
    [6, 5, 7, [0.044761426746845245, 0.11311884224414825, 0.0532362163066864], { a: -17, b: 4, y: -128 }],
    [10, 9, 11, [0.08385830372571945, 0.21724364161491394, 0.1270691454410553], { a: 38, b: -2, y: -128 }],
  ])('add of layers %i and %i of ic_resnet8_int8', (a, b, y, [aScale, bScale, yScale], zero) => {
    const got = combine(
      'add',
      build,
      layer('ic_resnet8_int8', a),
      layer('ic_resnet8_int8', b),
      zero,
      addScales(aScale, bScale, yScale),
      [-128, 127],
    )
    expect(got).toEqual(layer('ic_resnet8_int8', y))
  })
})
