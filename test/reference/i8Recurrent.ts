// What the integer recurrent kernels compute, written to be read: one unit at a time, from TensorFlow Lite's LstmStepInteger8x8_16 and
// gemmlowp's fixed-point numbers of 16 bits. Nothing here is shared with the kernels; roundings are stated by what they mean. Products of
// 16-bit numbers are exact in doubles, the requantization of i8.ts is in BigInt.

import { type Factor, scale } from './i8'

const saturate = (v: number): number => Math.min(Math.max(v, -32768), 32767)
/** To the nearest integer, halves away from zero: RoundingDivideByPOT. */
const nearest = (v: number): number => (v < 0 ? 0 - Math.floor(1 / 2 - v) : Math.floor(v + 1 / 2))

/** FixedPoint<int16_t, integer>: a 16-bit `raw` of value raw * 2^(integer - 15). */
class Fixed16 {
  constructor(
    readonly raw: number,
    readonly integer: number,
  ) {
    if (!Number.isInteger(raw) || raw !== saturate(raw)) throw new Error(`${raw} has more than 16 bits.`)
  }

  /** The nearest to a real; 1 without integer bits becomes the largest below it. */
  static of(real: number, integer: number): Fixed16 {
    return new Fixed16(saturate(Math.round(real * 2 ** (15 - integer))), integer)
  }

  plus(other: Fixed16): Fixed16 {
    if (other.integer !== this.integer) throw new Error(`Q${this.integer} plus Q${other.integer}`)
    return new Fixed16(this.raw + other.raw, this.integer)
  }

  minus(other: Fixed16): Fixed16 {
    return this.plus(new Fixed16(-other.raw, other.integer))
  }

  /** SaturatingRoundingDoublingHighMul: halves up. */
  times(other: Fixed16): Fixed16 {
    return new Fixed16(saturate(Math.floor((this.raw * other.raw) / 2 ** 15 + 1 / 2)), this.integer + other.integer)
  }

  /** The same format, divided by 2^bits. */
  half(bits: number): Fixed16 {
    return new Fixed16(nearest(this.raw / 2 ** bits), this.integer)
  }

  /** The same value with fewer integer bits, saturated where it does not fit. */
  rescale(integer: number): Fixed16 {
    return new Fixed16(saturate(this.raw * 2 ** (this.integer - integer)), integer)
  }
}

const ONE = Fixed16.of(1, 0)

/** exp(a) for a <= 0 (exp_on_negative_values). */
function exp(a: Fixed16): Fixed16 {
  if (a.raw === 0) return ONE
  if (a.raw * 2 ** (a.integer - 15) < -32) return Fixed16.of(0, 0)
  const quarter = Fixed16.of(1 / 4, a.integer).raw
  const offset = (((a.raw % quarter) + quarter) % quarter) - quarter
  const t = new Fixed16(offset, a.integer).rescale(0).plus(Fixed16.of(1 / 8, 0))
  const t2 = t.times(t)
  const t3 = t2.times(t)
  const t4 = t2.times(t2)
  const series = t4
    .half(2)
    .plus(t3)
    .times(Fixed16.of(1 / 3, 0))
    .plus(t2)
    .half(1)
  const center = Fixed16.of(Math.exp(-1 / 8), 0)
  let result = center.plus(center.times(t.plus(series)))
  const quarters = (offset - a.raw) / quarter
  for (let bit = 0; bit < 7; bit++) {
    if (Math.floor(quarters / 2 ** bit) % 2 === 1) result = result.times(Fixed16.of(Math.exp(-(2 ** (bit - 2))), 0))
  }
  return result
}

/** 2 / (1 + a) for a in [0, 1), with two integer bits. */
function twiceReciprocalOfOnePlus(a: Fixed16): Fixed16 {
  const d = new Fixed16(Math.floor((a.raw + ONE.raw + 1) / 2), 0)
  let r = Fixed16.of(48 / 17, 2).plus(d.times(Fixed16.of(-32 / 17, 2)))
  for (let step = 0; step < 3; step++) r = r.plus(r.times(Fixed16.of(1, 2).minus(d.times(r))).rescale(2))
  return r
}

/** logistic() of Q3.12, raw values. */
export function sigmoid16(raw: number): number {
  if (raw === 0) return 2 ** 14
  const r = twiceReciprocalOfOnePlus(exp(new Fixed16(-Math.abs(raw), 3)))
  // Read with one integer bit less it is halved.
  const s = new Fixed16(r.raw, 1).rescale(0).raw
  return raw > 0 ? s : ONE.raw - s
}

/** tanh() of a number with `integer` integer bits, raw values. */
export function tanh16(raw: number, integer: number): number {
  if (raw === 0) return 0
  // Read with one integer bit more it is doubled.
  const r = twiceReciprocalOfOnePlus(exp(new Fixed16(-Math.abs(raw), integer + 1)))
  const t = r.minus(Fixed16.of(1, 2)).rescale(0).raw
  return raw > 0 ? t : -t
}

/** CwiseMul: a * b / 2^bits. */
const multiply = (a: number, b: number, bits: number): number => nearest((a * b) / 2 ** bits)

export interface Layer {
  x: Int8Array
  /** [gates * units][channels], [gates * units][units]. */
  w: Int8Array
  u: Int8Array
  /** Of x w, and of h u where there is one. */
  b: Int32Array
  bu?: Int32Array
  /** For each gate: the factor of x w, and that of h u. */
  factors: readonly { w: Factor; u: Factor }[]
  batch: number
  t: number
  channels: number
  units: number
  sequences: boolean
  reverse: boolean
  xZero: number
  yZero: number
  /** What makes a hidden state of int8 out of the last product. */
  factor: Factor
}

/** Makes the new h, an int8 without its zero point, of one unit: `gate(g)` and `product(g)` as their names say. */
type Cell<S> = (at: {
  /** saturate(saturate(scaled(x w + b)) + scaled(h u)) */
  gate: (g: number) => number
  /** The two apart, each saturated. */
  parts: (g: number) => [x: number, h: number]
  state: S
}) => { h: number; state: S }

/** Runs the steps; `states` are those of each sample and unit before the first, and after the last. */
function run<S>(l: Layer, states: S[], h: number[], cell: Cell<S>): Int8Array {
  const { batch, t, channels, units, sequences, reverse, yZero } = l
  const y = new Int8Array(batch * (sequences ? t : 1) * units)
  for (let i = 0; i < batch; i++) {
    for (let k = 0; k < t; k++) {
      const s = reverse ? t - 1 - k : k
      const before = h.slice(i * units, (i + 1) * units)
      for (let j = 0; j < units; j++) {
        const sums = (g: number): [number, number] => {
          const row = g * units + j
          let ofX = l.b[row]
          for (let c = 0; c < channels; c++) ofX += (l.x[(i * t + s) * channels + c] - l.xZero) * l.w[row * channels + c]
          let ofH = l.bu?.[row] ?? 0
          for (let c = 0; c < units; c++) ofH += before[c] * l.u[row * units + c]
          return [saturate(scale(ofX, l.factors[g].w)), scale(ofH, l.factors[g].u)]
        }
        const made = cell({
          gate: (g) => saturate(sums(g)[0] + sums(g)[1]),
          parts: (g) => [sums(g)[0], saturate(sums(g)[1])],
          state: states[i * units + j],
        })
        states[i * units + j] = made.state
        h[i * units + j] = Math.min(Math.max(made.h, -128 - yZero), 127 - yZero)
        if (sequences || k === t - 1) y[(i * (sequences ? t : 1) + (sequences ? s : 0)) * units + j] = h[i * units + j] + yZero
      }
    }
  }
  return y
}

/** `h` and `c` [batch][units] are changed; h is without its zero point. */
export function lstm(l: Layer & { cellBits: number; clip: number }, h: number[], c: number[]): Int8Array {
  return run(l, c, h, ({ gate, state }) => {
    const [i, f, g, o] = [sigmoid16(gate(0)), sigmoid16(gate(1)), tanh16(gate(2), 3), sigmoid16(gate(3))]
    const sum = saturate(multiply(f, state, 15) + multiply(i, g, 15 + l.cellBits))
    const cell = l.clip > 0 ? Math.min(Math.max(sum, -l.clip), l.clip) : sum
    return { h: scale(o * tanh16(cell, l.cellBits), l.factor), state: cell }
  })
}

/** `v` [batch][units]: the states in Q0.15. */
export function gru(l: Layer, h: number[], v: number[]): Int8Array {
  return run(l, v, h, ({ gate, parts, state }) => {
    const [r, z] = [sigmoid16(gate(0)), sigmoid16(gate(1))]
    const [x, q] = parts(2)
    const n = tanh16(saturate(x + multiply(r, q, 15)), 3)
    const next = saturate(multiply(z, state, 15) + multiply(32767 - z, n, 15))
    return { h: scale(next, l.factor), state: next }
  })
}

export function simpleRnn(l: Layer & { relu: boolean }, h: number[]): Int8Array {
  return run(
    l,
    h.map(() => 0),
    h,
    ({ gate, state }) => ({
      h: scale(l.relu ? Math.max(gate(0), 0) : tanh16(gate(0), 3), l.factor),
      state,
    }),
  )
}
