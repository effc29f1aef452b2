// int8 activations are tables of 256 values, made when planning: whatever the function, the kernel is one look-up, and a network has no
// exp on the device. Curves are rounded to the nearest step, as TensorFlow Lite's LUTs are; leakyRelu and hardSwish are integer kernels
// there (leaky_relu.h, hard_swish.h), whose arithmetic the tables repeat bit for bit.

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

/** v where v >= 0, else alpha v, each by its own multiplier. */
export function leakyReluTable(alpha: number, x: Quant, y: Quant): Int8Array {
  const ratio = x.scale[0] / y.scale[0]
  const [right, left] = [quantizeMultiplier(ratio), quantizeMultiplier(ratio * Math.abs(alpha))]
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
