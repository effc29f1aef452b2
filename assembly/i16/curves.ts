// sigmoid and tanh of 16-bit fixed-point numbers, integers only and without tables: gemmlowp's logistic() and tanh() on
// FixedPoint<int16_t, m>, bit for bit, which TensorFlow Lite's integer LSTM computes with (ApplySigmoid, ApplyTanh of
// portable_tensor_utils.cc). The same formulas as in i8/softmax.ts with half the bits: exp of what is not positive by a polynomial and one
// constant factor for each bit, then a reciprocal by Newton's method. Results are Q0.15.

import { add, addSaturated, below, doubled, halved, ifZero, least, masked, mulHigh, read, splat, sub, write } from './lanes'

/** exp(a) for a <= 0 in Qm.(15 - m), m in 1..7. */
// @ts-ignore: decorator
@inline
function expNegative<T>(a: T, m: i32): T {
  // a = f - rest, with f in [-1/4, 0) and rest a multiple of 1/4. Around -1/8: exp(f) = e^(-1/8) (1 + t + t^2/2 + t^3/6 + t^4/24).
  const quarter = 1 << (13 - m)
  const f = sub<T>(masked<T>(a, quarter - 1), splat<T>(quarter))
  const rest = sub<T>(f, a)
  const t = add<T>(doubled<T>(f, m), splat<T>(1 << 12))
  const t2 = mulHigh<T>(t, t)
  const t3 = mulHigh<T>(t2, t)
  const t4 = mulHigh<T>(t2, t2)
  const series = halved<T>(add<T>(mulHigh<T>(add<T>(halved<T>(t4, 2), t3), splat<T>(10923)), t2), 1)
  const center = splat<T>(28918)
  let e = add<T>(center, mulHigh<T>(center, add<T>(t, series)))
  // Each bit of rest that is set divides by a constant: e^(-1/4), e^(-1/2), ... e^(-16).
  e = ifZero<T>(masked<T>(rest, quarter), e, mulHigh<T>(e, splat<T>(25520)))
  e = ifZero<T>(masked<T>(rest, quarter << 1), e, mulHigh<T>(e, splat<T>(19875)))
  e = ifZero<T>(masked<T>(rest, quarter << 2), e, mulHigh<T>(e, splat<T>(12055)))
  if (m > 1) e = ifZero<T>(masked<T>(rest, quarter << 3), e, mulHigh<T>(e, splat<T>(4435)))
  if (m > 2) e = ifZero<T>(masked<T>(rest, quarter << 4), e, mulHigh<T>(e, splat<T>(600)))
  if (m > 3) e = ifZero<T>(masked<T>(rest, quarter << 5), e, mulHigh<T>(e, splat<T>(11)))
  if (m > 4) e = ifZero<T>(masked<T>(rest, quarter << 6), e, splat<T>(0))
  if (m > 5) e = below<T>(a, -(1 << (20 - m)), splat<T>(0), e)
  return ifZero<T>(a, splat<T>(32767), e)
}

/** 2 / (1 + e) in Q2.13, for e in [0, 1) as Q0.15. */
// @ts-ignore: decorator
@inline
function reciprocal<T>(e: T): T {
  // d = (1 + e) / 2. Newton's method in Q2.13 from 48/17 - 32/17 d.
  const d = halfOfOnePlus<T>(e)
  let r = add<T>(splat<T>(23130), mulHigh<T>(d, splat<T>(-15420)))
  r = add<T>(r, doubled<T>(mulHigh<T>(r, sub<T>(splat<T>(1 << 13), mulHigh<T>(d, r))), 2))
  r = add<T>(r, doubled<T>(mulHigh<T>(r, sub<T>(splat<T>(1 << 13), mulHigh<T>(d, r))), 2))
  return add<T>(r, doubled<T>(mulHigh<T>(r, sub<T>(splat<T>(1 << 13), mulHigh<T>(d, r))), 2))
}

/** The mean of e >= 0 and 32767, halves up. */
// @ts-ignore: decorator
@inline
function halfOfOnePlus<T>(e: T): T {
  if (isVector<T>()) return i16x8.avgr_u(e, i16x8.splat(32767))
  else return (e + 32768) >> 1
}

/** 1 / (1 + exp(-a)) in Q0.15, of Q3.12. */
// @ts-ignore: decorator
@inline
export function sigmoid<T>(a: T): T {
  const r = reciprocal<T>(expNegative<T>(least<T>(a, sub<T>(splat<T>(0), a)), 3))
  const s = addSaturated<T>(r, r)
  return ifZero<T>(a, splat<T>(1 << 14), below<T>(a, 0, sub<T>(splat<T>(32767), s), s))
}

/** tanh(a) in Q0.15, of Qm.(15 - m), m in 0..6. */
// @ts-ignore: decorator
@inline
export function tanh<T>(a: T, m: i32): T {
  const r = reciprocal<T>(expNegative<T>(least<T>(a, sub<T>(splat<T>(0), a)), m + 1))
  const half = sub<T>(r, splat<T>(1 << 13))
  const quarter = addSaturated<T>(half, half)
  const t = addSaturated<T>(quarter, quarter)
  return ifZero<T>(a, splat<T>(0), below<T>(a, 0, sub<T>(splat<T>(0), t), t))
}

/** y[i] = sigmoid(x[i]), i16 [n], x in Q3.12, y in Q0.15; y may be x. */
export function sigmoid_i16_map(x: usize, y: usize, n: i32): void {
  let i = 0
  if (ASC_FEATURE_SIMD) for (; i <= n - 8; i += 8) write<v128>(y + (i << 1), sigmoid<v128>(read<v128>(x + (i << 1))))
  for (; i < n; i++) write<i32>(y + (i << 1), sigmoid<i32>(read<i32>(x + (i << 1))))
}

/** y[i] = tanh(x[i]), i16 [n], x with `integer` integer bits, 0..6, y in Q0.15; y may be x. */
export function tanh_i16_map(x: usize, y: usize, n: i32, integer: i32): void {
  let i = 0
  if (ASC_FEATURE_SIMD) for (; i <= n - 8; i += 8) write<v128>(y + (i << 1), tanh<v128>(read<v128>(x + (i << 1)), integer))
  for (; i < n; i++) write<i32>(y + (i << 1), tanh<i32>(read<i32>(x + (i << 1)), integer))
}
