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
