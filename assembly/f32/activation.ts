// Activations other than the clamps: curves, element by element. A formula is written once, for one element or four (lanes.ts), and
// two loops serve all: y = value(x) and dx += dy * slope. A kernel names its curve by a constant, so only that formula is left in it.
// Where a formula would multiply something tiny by something huge, x is cut first, so that every finite x gives a finite result.

import { add, div, erf, exp, least, log, most, mul, negative, read, sigmoid, splat, sqrt, sub, tanh, whenLess, write } from './lanes'

const LEAKY_RELU = 0
const ELU = 1
const GELU = 2
const SIGMOID = 3
const TANH = 4
const HARD_SIGMOID = 5
const HARD_SWISH = 6
const SILU = 7
const SOFTPLUS = 8
const MISH = 9
const EXP = 10
const LOG = 11
const SQRT = 12
const ERF = 13

/** gelu's sigmoid(2 sqrt(2 / pi) (x + 0.044715 x^3)): 2 sqrt(2 / pi), and that times 0.044715. */
const GELU_1: f32 = 1.5957691216057308
const GELU_3: f32 = 0.071354816272600248

// @ts-ignore: decorator
@inline
function value<T>(curve: i32, x: T, alpha: f32): T {
  const zero = splat<T>(0)
  const one = splat<T>(1)
  if (curve == LEAKY_RELU) return whenLess(zero, x, x, mul(splat<T>(alpha), x))
  if (curve == ELU) {
    // e^x - 1 = 2 t / (1 - t) with t = tanh(x / 2), which does not cancel for x <= 0.
    const t = tanh(mul(splat<T>(0.5), least(x, zero)))
    return whenLess(zero, x, x, mul(splat<T>(alpha), div(add(t, t), sub(one, t))))
  }
  if (curve == GELU) {
    // (1 + tanh u) / 2 = sigmoid(2 u), which does not cancel for x < 0.
    const v = most(x, splat<T>(-10))
    return mul(v, sigmoid(mul(v, add(splat<T>(GELU_1), mul(splat<T>(GELU_3), mul(v, v))))))
  }
  if (curve == SIGMOID) return sigmoid(x)
  if (curve == TANH) return tanh(x)
  if (curve == HARD_SIGMOID) return hardSigmoid(x)
  if (curve == HARD_SWISH) return mul(x, hardSigmoid(x))
  if (curve == SILU) {
    const v = most(x, splat<T>(-88))
    return mul(v, sigmoid(v))
  }
  if (curve == SOFTPLUS) {
    // max(x, 0) + ln(1 + e), e = e^-|x|; what 1 + e loses of a small e is added to the logarithm.
    const e = exp(negative(x))
    const u = add(one, e)
    return add(most(x, zero), add(log(u), div(sub(e, sub(u, one)), u)))
  }
  if (curve == EXP) return exp(x)
  if (curve == LOG) return log(x)
  if (curve == SQRT) return sqrt(x)
  if (curve == ERF) return erf(x)
  // MISH: x tanh(ln(1 + e)) = x n / (n + 2) with e = e^x, n = e (e + 2).
  const v = most(x, splat<T>(-88))
  const e = exp(least(v, splat<T>(20)))
  const n = mul(e, add(e, splat<T>(2)))
  return mul(v, div(n, add(n, splat<T>(2))))
}

/** The derivative by x, from x; for sigmoid, tanh, exp and sqrt from y. At a kink it is PyTorch's. */
// @ts-ignore: decorator
@inline
function slope<T>(curve: i32, x: T, alpha: f32): T {
  const zero = splat<T>(0)
  const one = splat<T>(1)
  if (curve == LEAKY_RELU) return whenLess(zero, x, one, splat<T>(alpha))
  if (curve == ELU) return whenLess(zero, x, one, mul(splat<T>(alpha), exp(least(x, zero))))
  if (curve == GELU) {
    // s + x s (1 - s) u' with s = sigmoid(u). Beyond 10 it is 0 or 1.
    const v = least(most(x, splat<T>(-10)), splat<T>(10))
    const square = mul(v, v)
    const s = sigmoid(mul(v, add(splat<T>(GELU_1), mul(splat<T>(GELU_3), square))))
    const du = add(splat<T>(GELU_1), mul(splat<T>(3 * GELU_3), square))
    return add(s, mul(mul(mul(v, s), sub(one, s)), du))
  }
  if (curve == SIGMOID) return mul(x, sub(one, x))
  if (curve == TANH) return mul(sub(one, x), add(one, x))
  if (curve == HARD_SIGMOID) return whenLess(splat<T>(-3), x, whenLess(x, splat<T>(3), splat<T>(1.0 / 6), zero), zero)
  if (curve == HARD_SWISH) {
    const inside = add(mul(x, splat<T>(1.0 / 3)), splat<T>(0.5))
    return whenLess(x, splat<T>(-3), zero, whenLess(x, splat<T>(3), inside, one))
  }
  if (curve == SILU) {
    const v = most(x, splat<T>(-88))
    const s = sigmoid(v)
    return mul(s, add(one, mul(v, sub(one, s))))
  }
  if (curve == SOFTPLUS) return sigmoid(x)
  if (curve == EXP) return x
  if (curve == LOG) return div(one, x)
  if (curve == SQRT) return div(splat<T>(0.5), x)
  // 2 / sqrt(pi) e^-x^2.
  if (curve == ERF) return mul(splat<T>(1.1283791670955126), exp(sub(zero, mul(x, x))))
  // MISH: n r + 4 x e (1 + e) r^2 with r = 1 / (n + 2). Beyond 20 it is 1.
  const v = least(most(x, splat<T>(-88)), splat<T>(20))
  const e = exp(v)
  const n = mul(e, add(e, splat<T>(2)))
  const r = div(one, add(n, splat<T>(2)))
  return add(mul(n, r), mul(mul(mul(splat<T>(4), v), r), mul(mul(e, add(one, e)), r)))
}

/** x / 6 + 1 / 2 between 0 and 1. */
// @ts-ignore: decorator
@inline
function hardSigmoid<T>(x: T): T {
  return least(most(add(mul(x, splat<T>(1.0 / 6)), splat<T>(0.5)), splat<T>(0)), splat<T>(1))
}

// @ts-ignore: decorator
@inline
function map(curve: i32, x: usize, y: usize, n: i32, alpha: f32): void {
  const end = x + (n << 2)
  if (ASC_FEATURE_SIMD) {
    for (; x + 16 <= end; x += 16, y += 16) write<v128>(y, value<v128>(curve, read<v128>(x), alpha))
  }
  for (; x < end; x += 4, y += 4) write<f32>(y, value<f32>(curve, read<f32>(x), alpha))
}

// @ts-ignore: decorator
@inline
function mapSlope(curve: i32, x: usize, dy: usize, dx: usize, n: i32, alpha: f32): void {
  const end = x + (n << 2)
  if (ASC_FEATURE_SIMD) {
    for (; x + 16 <= end; x += 16, dy += 16, dx += 16)
      write<v128>(dx, add(read<v128>(dx), mul(read<v128>(dy), slope<v128>(curve, read<v128>(x), alpha))))
  }
  for (; x < end; x += 4, dy += 4, dx += 4)
    write<f32>(dx, add(read<f32>(dx), mul(read<f32>(dy), slope<f32>(curve, read<f32>(x), alpha))))
}

/** y = x > 0 ? x : alpha x. Like all below, y may be x. */
export function leakyRelu_f32(x: usize, y: usize, n: i32, alpha: f32): void {
  map(LEAKY_RELU, x, y, n, alpha)
}

/** dx += dy (x > 0 ? 1 : alpha). */
export function leakyRelu_f32_dx(x: usize, dy: usize, dx: usize, n: i32, alpha: f32): void {
  mapSlope(LEAKY_RELU, x, dy, dx, n, alpha)
}

/** y = x > 0 ? x : alpha (e^x - 1). */
export function elu_f32(x: usize, y: usize, n: i32, alpha: f32): void {
  map(ELU, x, y, n, alpha)
}

/** dx += dy (x > 0 ? 1 : alpha e^x). */
export function elu_f32_dx(x: usize, dy: usize, dx: usize, n: i32, alpha: f32): void {
  mapSlope(ELU, x, dy, dx, n, alpha)
}

/** y = x / 2 (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))). */
export function gelu_f32(x: usize, y: usize, n: i32): void {
  map(GELU, x, y, n, 0)
}

export function gelu_f32_dx(x: usize, dy: usize, dx: usize, n: i32): void {
  mapSlope(GELU, x, dy, dx, n, 0)
}

/** y = 1 / (1 + e^-x). */
export function sigmoid_f32(x: usize, y: usize, n: i32): void {
  map(SIGMOID, x, y, n, 0)
}

/** dx += dy y (1 - y). */
export function sigmoid_f32_dx(y: usize, dy: usize, dx: usize, n: i32): void {
  mapSlope(SIGMOID, y, dy, dx, n, 0)
}

/** y = tanh x. */
export function tanh_f32(x: usize, y: usize, n: i32): void {
  map(TANH, x, y, n, 0)
}

/** dx += dy (1 - y^2). */
export function tanh_f32_dx(y: usize, dy: usize, dx: usize, n: i32): void {
  mapSlope(TANH, y, dy, dx, n, 0)
}

/** y = x / 6 + 1 / 2 between 0 and 1. */
export function hardSigmoid_f32(x: usize, y: usize, n: i32): void {
  map(HARD_SIGMOID, x, y, n, 0)
}

/** dx += -3 < x < 3 ? dy / 6 : 0. */
export function hardSigmoid_f32_dx(x: usize, dy: usize, dx: usize, n: i32): void {
  mapSlope(HARD_SIGMOID, x, dy, dx, n, 0)
}

/** y = x hardSigmoid(x). */
export function hardSwish_f32(x: usize, y: usize, n: i32): void {
  map(HARD_SWISH, x, y, n, 0)
}

/** dx += dy (x < -3 ? 0 : x < 3 ? x / 3 + 1 / 2 : 1). */
export function hardSwish_f32_dx(x: usize, dy: usize, dx: usize, n: i32): void {
  mapSlope(HARD_SWISH, x, dy, dx, n, 0)
}

/** y = x sigmoid(x). */
export function silu_f32(x: usize, y: usize, n: i32): void {
  map(SILU, x, y, n, 0)
}

export function silu_f32_dx(x: usize, dy: usize, dx: usize, n: i32): void {
  mapSlope(SILU, x, dy, dx, n, 0)
}

/** y = ln(1 + e^x). */
export function softplus_f32(x: usize, y: usize, n: i32): void {
  map(SOFTPLUS, x, y, n, 0)
}

/** dx += dy sigmoid(x). */
export function softplus_f32_dx(x: usize, dy: usize, dx: usize, n: i32): void {
  mapSlope(SOFTPLUS, x, dy, dx, n, 0)
}

/** y = x tanh(ln(1 + e^x)). */
export function mish_f32(x: usize, y: usize, n: i32): void {
  map(MISH, x, y, n, 0)
}

export function mish_f32_dx(x: usize, dy: usize, dx: usize, n: i32): void {
  mapSlope(MISH, x, dy, dx, n, 0)
}

/** y = e^x, for x in [-87, 88]; values outside are taken as the ends. */
export function exp_f32(x: usize, y: usize, n: i32): void {
  map(EXP, x, y, n, 0)
}

/** dx += dy y. */
export function exp_f32_dx(y: usize, dy: usize, dx: usize, n: i32): void {
  mapSlope(EXP, y, dy, dx, n, 0)
}

/** y = ln x, for normal x > 0. */
export function log_f32(x: usize, y: usize, n: i32): void {
  map(LOG, x, y, n, 0)
}

/** dx += dy / x. */
export function log_f32_dx(x: usize, dy: usize, dx: usize, n: i32): void {
  mapSlope(LOG, x, dy, dx, n, 0)
}

/** y = the square root of x. */
export function sqrt_f32(x: usize, y: usize, n: i32): void {
  map(SQRT, x, y, n, 0)
}

/** dx += dy / (2 y). */
export function sqrt_f32_dx(y: usize, dy: usize, dx: usize, n: i32): void {
  mapSlope(SQRT, y, dy, dx, n, 0)
}

/** y = 2 / sqrt(pi) times the integral of e^-t^2 from 0 to x. */
export function erf_f32(x: usize, y: usize, n: i32): void {
  map(ERF, x, y, n, 0)
}

/** dx += dy 2 / sqrt(pi) e^-x^2. */
export function erf_f32_dx(x: usize, dy: usize, dx: usize, n: i32): void {
  mapSlope(ERF, x, dy, dx, n, 0)
}
