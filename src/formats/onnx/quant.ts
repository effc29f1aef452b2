// ONNX's quantized ops. A QuantizeLinear makes nothing: what reads it back through DequantizeLinear reads the real value again, kept to
// what the steps reach, and remembers the scale for an int8 model; what reads it as integers makes them. QLinear ops are the float op
// between the two.

import type { Param } from '../../graph/node'
import { clip } from '../../ops/activation'
import { add, div, mul, sub } from '../../ops/add'
import { round } from '../../ops/round'
import type { Call } from './call'
import type { Rule } from './elementwise'
import { dequantized } from './fold'
import { convolution, reduced } from './layers'
import { matmul } from './product'
import { count, isInteger, rangeOf, type Tensor, tensorOf } from './tensor'
import { alike, dimsOf, type Quantized, type Traced, type Value, view } from './value'

const quantAxis = (c: Call, rank: number) => (rank > 1 ? c.axis(c.int('axis', 1), rank) : 0)

function expectSteps(c: Call, scale: Tensor, zero: Tensor): void {
  if (!Array.from(scale.data as ArrayLike<number>).every((s) => s > 0 && Number.isFinite(s)))
    c.fail('has a scale that is not above 0')
  if (!isInteger(zero.type) || zero.type === 'bool') c.fail(`has a zero point of type ${zero.type}; integers are supported`)
}

/** x in steps of a scale. */
function quantize(c: Call, of: Traced, scale: Tensor, zero: Tensor, axis: number): Quantized {
  expectSteps(c, scale, zero)
  return { kind: 'quantized', of, scale, zero, axis, type: zero.type }
}

/** The integers of x in steps of a scale that is computed too, one for all of it. */
function computedSteps(c: Call, x: Traced): Traced {
  const [scale, zero] = [c.x(1), c.x(2)]
  const [low, high] = rangeOf(zero.type) ?? c.fail(`has a zero point of type ${zero.type}; integers are supported`)
  if (count(dimsOf(scale)) !== 1 || count(dimsOf(zero)) !== 1) c.fail('has more than one computed scale, which is not supported')
  const steps = c.pairwise(x, scale, div())
  const shifted = c.pairwise(alike(steps, round()(steps.node)), zero, add())
  return alike(shifted, clip({ low, high })(shifted.node), zero.type)
}

/** The reals of a value of integers: stored, in steps, or as they come. */
function real(c: Call, value: Value, scale: Tensor, zero: Tensor | undefined, axis: number): Value {
  if (value.kind === 'tensor') return dequantized(c, value, scale, zero, axis)
  const zeros = zero ?? tensorOf([], [0], 'uint8')
  expectSteps(c, scale, zeros)
  if (value.kind === 'quantized') {
    const same = (a: Tensor, b: Tensor) => a.data.length === b.data.length && a.data.every((v, i) => v === b.data[i])
    if (same(value.scale, scale) && same(value.zero, zeros)) return kept(c, value)
  }
  if (c.scope.int8 && value.kind === 'traced' && value.node.op === 'input' && count(scale.dims) === 1)
    return kept(c, { kind: 'quantized', of: { ...value, type: 'float32' }, scale, zero: zeros, axis, type: zeros.type })
  const x = value.kind === 'quantized' ? c.integers(value) : value
  const dims = dimsOf(x)
  const shifted = zeros.data.some((z) => z !== 0) ? c.pairwise(x, c.perChannel(zeros, dims, axis), sub()) : x
  const y = c.pairwise(shifted, c.perChannel(scale, dims, axis), mul())
  return { ...y, type: 'float32' }
}

/** A real value, no further out than its steps reach. */
export function kept(c: Call, { of, scale, zero, type }: Quantized): Traced {
  const [low, high] = rangeOf(type) as readonly [number, number]
  const [s, z] = [scale.data[0], zero.data[0]]
  if (count(scale.dims) > 1) return of
  const marked = clip({ low: (low - z) * s, high: (high - z) * s })(of.node)
  if (type === 'int8' || type === 'uint8') c.scope.marks.set(marked, { scale: s, zeroPoint: type === 'uint8' ? z - 128 : z })
  return alike(of, marked)
}

const zeroOr = (c: Call, i: number, type: 'uint8' | 'int8' = 'uint8') => c.optional(i, 'zero point') ?? tensorOf([], [0], type)

/** Integers less their zero point, as floats. */
function centred(c: Call, i: number, zeroAt: number, axis: number): Value {
  const value = c.value(i, 'AB'[i] ?? 'X')
  const zero = c.optional(zeroAt, 'zero point')
  const one = tensorOf([], [1])
  if (value.kind === 'tensor') return { ...dequantized(c, value, one, zero, axis), steps: undefined }
  const x = c.x(i)
  if (!zero?.data.some((z) => z !== 0)) return alike(x, x.node, 'float32')
  return { ...c.pairwise(x, c.perChannel(zero, dimsOf(x), axis), sub()), type: 'float32' }
}

export const QUANTS: Record<string, Rule> = {
  QuantizeLinear(c) {
    const x = c.x(0)
    if (c.inputs[1]?.kind === 'traced') return computedSteps(c, x)
    return quantize(c, x, c.constant(1, 'y_scale'), zeroOr(c, 2), quantAxis(c, x.axes.length))
  },
  DequantizeLinear(c) {
    const x = c.value(0, 'x')
    return real(c, x, c.constant(1, 'x_scale'), c.optional(2, 'x_zero_point'), quantAxis(c, dimsOf(x).length))
  },
  /** Scale and zero point from the smallest and largest value of each sample: computed, as all of it is. */
  DynamicQuantizeLinear(c) {
    const x = c.x(0)
    const axes = x.axes.map((_, i) => i)
    if (x.samples !== undefined && (c.scope.batch ?? 1) > 1) c.apart(x, axes, 'measures')
    const [most, least] = [reduced(x, axes, 'max').node, reduced(alike(x, c.times(x.node, -1)), axes, 'max').node]
    const high = clip({ low: 0 })(most)
    // -least is the smallest, 0 or less.
    const low = c.times(clip({ low: 0 })(least), -1)
    const scale = c.over(sub()(high, low), 255)
    const zero = round()(clip({ low: 0, high: 255 })(c.times(div()(low, scale), -1)))
    const alone = (node: typeof scale, type: 'float32' | 'uint8') => view(node, [], { type })
    const steps = c.pairwise(x, alone(scale, 'float32'), div())
    const shifted = c.pairwise(alike(steps, round()(steps.node)), alone(zero, 'uint8'), add())
    return [alike(shifted, clip({ low: 0, high: 255 })(shifted.node), 'uint8'), alone(scale, 'float32'), alone(zero, 'uint8')]
  },
  QLinearConv(c) {
    const [xScale, wScale, yScale] = [c.constant(1, 'x_scale'), c.constant(4, 'w_scale'), c.constant(6, 'y_scale')]
    const x = real(c, c.value(0, 'x'), xScale, c.optional(2, 'x_zero_point'), 1)
    const w = dequantized(c, c.constant(3, 'w'), wScale, c.optional(5, 'w_zero_point'), 0)
    const b = c.optional(8, 'B')
    const factors = (i: number) => xScale.data[0] * (wScale.data[i] ?? wScale.data[0])
    const bias: Param[] = b
      ? [
          c.param(
            'b',
            [count(b.dims)],
            Float32Array.from(b.data as ArrayLike<number>, (v, i) => v * factors(i)),
          ),
        ]
      : []
    if (x.kind !== 'traced') return c.fail('has no computed input')
    return quantize(c, convolution(c, x, w, bias), yScale, zeroOr(c, 7), 1)
  },
  QLinearMatMul(c) {
    const side = (i: number) => {
      const value = c.value(i, 'a')
      return real(c, value, c.constant(i + 1, 'scale'), c.optional(i + 2, 'zero point'), Math.max(0, dimsOf(value).length - 1))
    }
    return quantize(c, matmul(c, side(0), side(3)), c.constant(6, 'y_scale'), zeroOr(c, 7), 0)
  },
  MatMulInteger(c) {
    const a = centred(c, 0, 2, Math.max(0, dimsOf(c.value(0, 'A')).length - 2))
    const b = centred(c, 1, 3, Math.max(0, dimsOf(c.value(1, 'B')).length - 1))
    const y = matmul(c, a, b)
    return alike(y, y.node, 'int32')
  },
  ConvInteger(c) {
    const w = centred(c, 1, 3, 0)
    const x = centred(c, 0, 2, 0)
    if (w.kind !== 'tensor' || x.kind !== 'traced') return c.fail('has computed weights; only stored ones are supported')
    const y = convolution(c, x, w, [])
    return alike(y, y.node, 'int32')
  },
}
