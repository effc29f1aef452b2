// int8 activations are tables of 256 values, made when planning: whatever the function, the kernel is one look-up, and a network has no
// exp on the device. Curves are rounded to the nearest step, as TensorFlow Lite's LUTs are; sigmoid and tanh on the scales that it fixes,
// leakyRelu and hardSwish are integer kernels there (logistic.h, tanh.h, leaky_relu.h, hard_swish.h), which the tables repeat bit for bit.

import { exp, log } from '../graph/arithmetic'
import type { Quant } from '../graph/node'
import { type FixedPoint, quantizeMultiplier } from './fixedPoint'

const sigmoid = (x: number) => 1 / (1 + exp(-x))
const tanh = (x: number) => 1 - 2 / (1 + exp(2 * x))
const softplus = (x: number) => Math.max(x, 0) + log(1 + exp(-Math.abs(x)))
const hardSigmoid = (x: number) => Math.max(0, Math.min(1, x / 6 + 1 / 2))
const hardSwish = (x: number) => x * hardSigmoid(x)

/** The activations as real functions; beside them elu, which has a parameter. */
export const CURVES = {
  gelu: (x: number) => (x / 2) * (1 + tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x * x * x))),
  hardSigmoid,
  hardSwish,
  mish: (x: number) => x * tanh(softplus(x)),
  sigmoid,
  silu: (x: number) => x * sigmoid(x),
  softplus,
  tanh,
}

export const elu = (alpha: number) => (x: number) => (x > 0 ? x : alpha * (exp(x) - 1))

const int8 = (v: number) => Math.max(-128, Math.min(127, v))

/** The values of int8 x from -128 to 127, as `value` makes them of x - zeroPoint(x). */
const table = (x: Quant, y: Quant, value: (v: number) => number): Int8Array =>
  Int8Array.from({ length: 256 }, (_, i) => int8(value(i - 128 - x.zeroPoint) + y.zeroPoint))

/** The table of a real function: the nearest step of y, halves away from zero. */
export function curveTable(f: (x: number) => number, x: Quant, y: Quant): Int8Array {
  return table(x, y, (v) => {
    const steps = f(v * x.scale[0]) / y.scale[0]
    return Math.sign(steps) * Math.round(Math.abs(steps))
  })
}

/**
 * LOGISTIC and TANH as TensorFlow Lite's reference kernels have them (integer_ops/logistic.h, tanh.h), on the output's scale that they fix:
 * gemmlowp's fixed-point functions of x in Q4.27, saturated where |x| is 15 or more. `bits`: of an output's step below 1.
 */
export function fixedCurveTable(curve: 'sigmoid' | 'tanh', x: Quant, y: Quant): Int8Array {
  const fixed = quantizeMultiplier(x.scale[0] * 2 ** 27)
  const radius = Math.floor((15 * 2 ** 27) / 2 ** fixed.shift)
  const [f, bits] = curve === 'sigmoid' ? [fixedSigmoid, 8] : [fixedTanh, 7]
  return table(x, y, (v) => {
    if (Math.abs(v) >= radius) return v < 0 ? -256 : 256
    return divide(f(scaled(v, fixed)), 31 - bits)
  })
}

/** a * b / 2^31, halves up. */
const high32 = (a: number, b: number) => Number((BigInt(a) * BigInt(b) + (1n << 30n)) >> 31n)
const saturate32 = (v: number) => Math.max(-(2 ** 31), Math.min(2 ** 31 - 1, v))

/** exp(a) in Q0.31 for a <= 0 with `integer` integer bits, as in assembly/i8/softmax.ts. */
function fixedExp(a: number, integer: number): number {
  if (a === 0) return 2 ** 31 - 1
  const quarter = 2 ** (29 - integer)
  const f = (((a % quarter) + quarter) % quarter) - quarter
  const rest = f - a
  const t = f * 2 ** integer + 2 ** 28
  const t2 = high32(t, t)
  const [t3, t4] = [high32(t2, t), high32(t2, t2)]
  const series = t + divide(high32(divide(t4, 2) + t3, 715827883) + t2, 1)
  let e = 1895147668 + high32(1895147668, series)
  // e^(-1/4), e^(-1/2), ... e^(-16)
  const factors = [1672461947, 1302514674, 790015084, 290630308, 39332535, 720401, 242]
  for (const [i, factor] of factors.slice(0, integer + 2).entries())
    if (Math.floor(rest / (quarter * 2 ** i)) % 2) e = high32(e, factor)
  return e
}

/** 2 / (1 + e) in Q2.29, for e in [0, 1) in Q0.31, by Newton's method. */
function fixedReciprocal(e: number): number {
  const d = Math.floor((e + 2 ** 31) / 2)
  let r = 1515870810 + high32(d, -1010580540)
  for (let step = 0; step < 3; step++) r += saturate32(high32(r, 2 ** 29 - high32(d, r)) * 4)
  return r
}

/** 1 / (1 + exp(-a)) in Q0.31 of Q4.27. */
function fixedSigmoid(a: number): number {
  if (a === 0) return 2 ** 30
  const y = saturate32(fixedReciprocal(fixedExp(-Math.abs(a), 4)) * 2)
  return a > 0 ? y : 2 ** 31 - 1 - y
}

/** tanh(a) in Q0.31 of Q4.27. */
function fixedTanh(a: number): number {
  if (a === 0) return 0
  const y = saturate32((fixedReciprocal(fixedExp(-Math.abs(a), 5)) - 2 ** 29) * 4)
  return a > 0 ? y : -y
}

/** x on the scale of y. */
export function scaledTable(x: Quant, y: Quant): Int8Array {
  const factor = quantizeMultiplier(x.scale[0] / y.scale[0])
  return table(x, y, (v) => scaled(v, factor))
}

/** v where v >= 0, else alpha v, each by its own multiplier. */
export function leakyReluTable(alpha: number, x: Quant, y: Quant): Int8Array {
  // Products and quotients of float32, as the reference has them.
  const [right, left] = [
    quantizeMultiplier(Math.fround(x.scale[0] / y.scale[0])),
    quantizeMultiplier(Math.fround(Math.fround(x.scale[0] * Math.fround(Math.abs(alpha))) / y.scale[0])),
  ]
  return table(x, y, (v) => scaled(alpha < 0 && v < 0 ? -v : v, v < 0 ? left : right))
}

/** MultiplyByQuantizedMultiplier: two roundings, the first halves up, the second halves away from zero. */
function scaled(v: number, { multiplier, shift }: FixedPoint): number {
  const shifted = BigInt.asIntN(32, BigInt(v) << BigInt(Math.max(shift, 0)))
  return divide(Number((shifted * BigInt(multiplier) + (1n << 30n)) >> 31n), Math.max(-shift, 0))
}

/** v / 2^bits, halves away from zero. */
const divide = (v: number, bits: number) => Math.sign(v) * Math.floor(Math.abs(v) / 2 ** bits + 0.5)

/** In 16 bits: x on a scale of its own times (x / 3 + 1) / 2, which is kept in [0, 1]. */
export function hardSwishTable(x: Quant, y: Quant): Int8Array {
  // Float32, as the reference computes them.
  const fine = Math.fround(x.scale[0] / 128)
  const output = quantizeMultiplier(Math.fround(fine / Math.fround(y.scale[0])))
  const ramp = quantizeMultiplier(Math.fround(fine / (3 / 32768)))
  // The reference has no kernel for an output scale this much finer than the input's.
  if (output.shift > 0) return curveTable(hardSwish, x, y)
  const [outputFactor, rampFactor] = [output, ramp].map((f) => Math.min(32767, (f.multiplier + 2 ** 15) >> 16))
  return table(x, y, (v) => {
    const hires = v * 128
    let r = saturate16(hires * 2 ** Math.max(ramp.shift - 1, 0))
    r = high16(r, rampFactor)
    if (ramp.shift > 0) r = saturate16(r * 2)
    else r = divide(r, -ramp.shift)
    const share = (r + 2 ** 15) >> 1
    return divide(Math.trunc((share * high16(hires, outputFactor)) / 2 ** 15), -output.shift)
  })
}

const saturate16 = (v: number) => Math.max(-32768, Math.min(32767, v))

/** a * b / 2^15, halves up. */
const high16 = (a: number, b: number) => Math.floor((a * b + 2 ** 14) / 2 ** 15)
