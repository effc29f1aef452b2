// What a module stores for each output channel of an int8 layer: its bias, and the multiplier and shift of its scale.
// quantize() chooses the scales of a layer's weights from a grid, largest * m / 512 / 2^e with m in [257, 512] and e in [0, 15]: within a
// 512th of what a channel wants, so that its largest weight is still 127, and then m and e say a channel's multiplier and shift, by one
// number of the layer. So a channel is a word of 20 bits of bias and 12 bits of code, no more than the bias alone. Other scales (of imported
// models) and larger biases take two words.

import type { Quant } from '../graph/node'
import { type FixedPoint, split } from './fixedPoint'

const STEPS = 512
const LEAST_STEP = STEPS / 2 + 1
const EXPONENTS = 16
/** The least part of the largest scale that is on the grid. */
const LEAST = LEAST_STEP / STEPS / 2 ** (EXPONENTS - 1)
/** Bits of the largest scale: with the 9 bits of m a product is still a float32. */
const BITS = 15
/** Bits of the layer's number, all that a float64 has: times m it is below 2^62. */
const BASE_BITS = 53
/** Bits of a bias beside a code, and beside a shift. */
const CODED_BIAS = 20
const RECORD_BIAS = 24

/** The scales of the grid that are nearest to those wanted (0: any will do), as float32. */
export function gridScales(wanted: ArrayLike<number>): number[] {
  const most = Array.from(wanted).reduce((a, b) => Math.max(a, b), 0)
  if (!(most > 0)) return Array.from(wanted, () => 1)
  const { fraction, exponent } = split(most)
  const largest = Math.ceil(fraction * 2 ** BITS) * 2 ** (exponent - BITS)
  return Array.from(wanted, (scale) => {
    if (scale === 0) return largest
    const { steps, e } = onGrid(scale / largest)
    return Math.fround(largest * Math.max(Math.round(steps) / STEPS / 2 ** e, LEAST))
  })
}

/** part = steps / 512 / 2^e, with steps in (256, 512]; part is in (0, 1]. */
function onGrid(part: number): { steps: number; e: number } {
  const { fraction, exponent } = split(part)
  return fraction === 0.5 ? { steps: STEPS, e: 1 - exponent } : { steps: fraction * STEPS, e: -exponent }
}

/** The numbers of a layer with scales of the grid: base / 2^53 * 2^exponent is scale(x) * largest / scale(y). */
export interface Grid {
  high: number
  low: number
  exponent: number
}

/** As they are stored: a word a channel and the layer's numbers, two words, or the three arrays that kernels take. */
export type StoredChannels =
  | { kind: 'coded'; words: Int32Array; grid: Grid }
  | { kind: 'records'; words: Int32Array }
  | { kind: 'plain'; bias: Int32Array; multiplier: Int32Array; shift: Int32Array }

/** The shortest form that gives exactly these biases, multipliers and shifts. */
export function storeChannels(bias: Int32Array, fixed: readonly FixedPoint[], x: Quant, w: Quant, y: Quant): StoredChannels {
  const within = (bits: number) => bias.every((b) => b === (b << (32 - bits)) >> (32 - bits))
  if (!within(RECORD_BIAS)) {
    const of = (what: keyof FixedPoint) => Int32Array.from(fixed, (f) => f[what])
    return { kind: 'plain', bias, multiplier: of('multiplier'), shift: of('shift') }
  }
  const product = x.scale[0] * largestOf(w)
  // Of some layers TensorFlow Lite computes the product in float32.
  const factors = within(CODED_BIAS) ? [product / y.scale[0], Math.fround(product) / y.scale[0]] : []
  const coded = factors.map((factor) => code(fixed, w, factor)).find((c) => c)
  if (coded) return { kind: 'coded', words: bias.map((b, c) => (b & 0xfffff) | (coded.codes[c] << CODED_BIAS)), grid: coded.grid }
  const words = fixed.flatMap(({ multiplier, shift }, c) => [(bias[c] & 0xffffff) | (shift << 24), multiplier])
  return { kind: 'records', words: Int32Array.from(words) }
}

const largestOf = ({ scale }: Quant): number => scale.reduce((a, b) => Math.max(a, b), 0)

/**
 * The codes of the channels, where `factor` is that of the largest scale; undefined where a scale is off the grid, or a multiplier would come
 * out one off.
 */
function code(fixed: readonly FixedPoint[], w: Quant, factor: number): { codes: number[]; grid: Grid } | undefined {
  const largest = largestOf(w)
  const { fraction, exponent } = split(factor)
  const base = BigInt(fraction * 2 ** BASE_BITS)
  const codes: number[] = []
  for (const [c, { multiplier, shift }] of fixed.entries()) {
    const { steps: m, e } = onGrid(w.scale[c % w.scale.length] / largest)
    if (!Number.isInteger(m) || e >= EXPONENTS) return undefined
    const product = base * BigInt(m)
    const below = product < 1n << 61n ? 1n : 0n
    if (Number((product + (1n << (30n - below))) >> (31n - below)) !== multiplier) return undefined
    if (exponent - e - Number(below) !== shift) return undefined
    codes.push((e << 8) | (m - LEAST_STEP))
  }
  return { codes, grid: { high: Number(base >> 32n), low: Number(base & 0xffffffffn), exponent } }
}
