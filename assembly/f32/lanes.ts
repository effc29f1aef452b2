// Arithmetic on one f32 or on the four of a vector. A formula written with it over T serves a loop's vectors (T = v128) and its
// tail and the scalar build (T = f32), by the same operations: the same bits.

import { exp4, exp_f32, log4, log_f32, sigmoid1, sigmoid4, tanh1, tanh4 } from './math'

// @ts-ignore: decorator
@inline
export function splat<T>(v: f32): T {
  if (isVector<T>()) return f32x4.splat(v)
  else return v
}

// @ts-ignore: decorator
@inline
export function read<T>(p: usize): T {
  if (isVector<T>()) return v128.load(p)
  else return load<f32>(p)
}

// @ts-ignore: decorator
@inline
export function write<T>(p: usize, v: T): void {
  if (isVector<T>()) v128.store(p, v)
  else store<f32>(p, v)
}

// @ts-ignore: decorator
@inline
export function add<T>(a: T, b: T): T {
  if (isVector<T>()) return f32x4.add(a, b)
  else return a + b
}

// @ts-ignore: decorator
@inline
export function sub<T>(a: T, b: T): T {
  if (isVector<T>()) return f32x4.sub(a, b)
  else return a - b
}

// @ts-ignore: decorator
@inline
export function mul<T>(a: T, b: T): T {
  if (isVector<T>()) return f32x4.mul(a, b)
  else return a * b
}

// @ts-ignore: decorator
@inline
export function div<T>(a: T, b: T): T {
  if (isVector<T>()) return f32x4.div(a, b)
  else return a / b
}

// @ts-ignore: decorator
@inline
export function sqrt<T>(v: T): T {
  if (isVector<T>()) return f32x4.sqrt(v)
  else return f32.sqrt(v)
}

/** The smaller; NaN if one of them is. */
// @ts-ignore: decorator
@inline
export function least<T>(a: T, b: T): T {
  if (isVector<T>()) return f32x4.min(a, b)
  else return min<f32>(a, b)
}

/** The larger; NaN if one of them is. */
// @ts-ignore: decorator
@inline
export function most<T>(a: T, b: T): T {
  if (isVector<T>()) return f32x4.max(a, b)
  else return max<f32>(a, b)
}

/** -|a|. */
// @ts-ignore: decorator
@inline
export function negative<T>(a: T): T {
  if (isVector<T>()) return f32x4.neg(f32x4.abs(a))
  else return -abs<f32>(a)
}

/** a < b ? yes : no. */
// @ts-ignore: decorator
@inline
export function whenLess<T>(a: T, b: T, yes: T, no: T): T {
  if (isVector<T>()) return v128.bitselect(yes, no, f32x4.lt(a, b))
  else return a < b ? yes : no
}

/** v where lo < x < hi, else 0. */
// @ts-ignore: decorator
@inline
export function whenInside<T>(x: T, lo: T, hi: T, v: T): T {
  if (isVector<T>()) return v128.and(v, v128.and(f32x4.gt(x, lo), f32x4.lt(x, hi)))
  else return x > lo && x < hi ? v : <T>0
}

// @ts-ignore: decorator
@inline
export function exp<T>(x: T): T {
  if (isVector<T>()) return exp4(x)
  else return exp_f32(x)
}

// @ts-ignore: decorator
@inline
export function log<T>(x: T): T {
  if (isVector<T>()) return log4(x)
  else return log_f32(x)
}

// @ts-ignore: decorator
@inline
export function sigmoid<T>(x: T): T {
  if (isVector<T>()) return sigmoid4(x)
  else return sigmoid1(x)
}

// @ts-ignore: decorator
@inline
export function tanh<T>(x: T): T {
  if (isVector<T>()) return tanh4(x)
  else return tanh1(x)
}

/** erf x for every x: an odd polynomial up to 1, above 1 - e^-x^2 times one of 1 / x (coefficients: Cephes, S. Moshier, ndtrf.c). */
// @ts-ignore: decorator
@inline
export function erf<T>(x: T): T {
  const one = splat<T>(1)
  const zero = splat<T>(0)
  const far = whenLess(x, zero, sub(zero, x), x)
  const z = mul(x, x)
  let p = splat<T>(7.853861353153693e-5)
  p = add(mul(p, z), splat<T>(-8.010193625184903e-4))
  p = add(mul(p, z), splat<T>(5.188327685732524e-3))
  p = add(mul(p, z), splat<T>(-2.685381193529856e-2))
  p = add(mul(p, z), splat<T>(1.128358514861418e-1))
  p = add(mul(p, z), splat<T>(-3.7612625824233e-1))
  p = add(mul(p, z), splat<T>(1.12837916572671))
  // Beyond 4 the difference from 1 is below half a unit in its last place.
  const v = least(most(far, one), splat<T>(4))
  const q = div(one, v)
  const r = mul(q, q)
  let near = splat<T>(2.326819970068386e-2)
  near = add(mul(near, r), splat<T>(-1.387039388740657e-1))
  near = add(mul(near, r), splat<T>(3.687424674597105e-1))
  near = add(mul(near, r), splat<T>(-5.824733027278666e-1))
  near = add(mul(near, r), splat<T>(6.210004621745983e-1))
  near = add(mul(near, r), splat<T>(-4.944515323274145e-1))
  near = add(mul(near, r), splat<T>(3.404879937665872e-1))
  near = add(mul(near, r), splat<T>(-2.741127028184656e-1))
  near = add(mul(near, r), splat<T>(5.638259427386472e-1))
  let away = splat<T>(-1.047766399936249e1)
  away = add(mul(away, r), splat<T>(1.297719955372516e1))
  away = add(mul(away, r), splat<T>(-7.495518717768503))
  away = add(mul(away, r), splat<T>(2.921019019210786))
  away = add(mul(away, r), splat<T>(-1.0152652792027))
  away = add(mul(away, r), splat<T>(4.218463358204948e-1))
  away = add(mul(away, r), splat<T>(-2.820767439740514e-1))
  away = add(mul(away, r), splat<T>(5.641895067754075e-1))
  const tail = sub(one, mul(mul(exp(sub(zero, mul(v, v))), q), whenLess(v, splat<T>(2), near, away)))
  return whenLess(far, one, mul(x, p), whenLess(x, zero, sub(zero, tail), tail))
}
