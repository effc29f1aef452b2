// exp, log, tanh and sigmoid by range reduction and a polynomial (coefficients: Cephes, S. Moshier, expf.c, logf.c and tanhf.c).
// AssemblyScript's own Math would bring tables, which a kernel must not have. Relative error of each: at most 2^-22
// (test/math.test.ts). A name that ends in 4 computes on four lanes, by the operations of the scalar form: the same bits.

/** e^x for x in [-87, 88]; values outside are clamped to the ends. */
// @ts-ignore: decorator
@inline
export function exp_f32(value: f32): f32 {
  const x = min<f32>(max<f32>(value, -87), 88)
  // x = n ln 2 + r, |r| <= ln 2 / 2; ln 2 in two parts so that n ln 2 is subtracted without rounding.
  const n = nearest<f32>(x * 1.44269504088896341)
  const r = x - n * 0.693359375 - n * -2.12194440e-4
  let p: f32 = 1.9875691500e-4
  p = p * r + 1.3981999507e-3
  p = p * r + 8.3334519073e-3
  p = p * r + 4.1665795894e-2
  p = p * r + 1.6666665459e-1
  p = p * r + 5.0000001201e-1
  p = p * r * r + r + 1
  return p * reinterpret<f32>((<i32>n + 127) << 23)
}

/** exp_f32 of each lane. */
// @ts-ignore: decorator
@inline
export function exp4(value: v128): v128 {
  const x = f32x4.min(f32x4.max(value, f32x4.splat(-87)), f32x4.splat(88))
  const n = f32x4.nearest(f32x4.mul(x, f32x4.splat(1.44269504088896341)))
  const r = f32x4.sub(f32x4.sub(x, f32x4.mul(n, f32x4.splat(0.693359375))), f32x4.mul(n, f32x4.splat(-2.12194440e-4)))
  let p = f32x4.splat(1.9875691500e-4)
  p = f32x4.add(f32x4.mul(p, r), f32x4.splat(1.3981999507e-3))
  p = f32x4.add(f32x4.mul(p, r), f32x4.splat(8.3334519073e-3))
  p = f32x4.add(f32x4.mul(p, r), f32x4.splat(4.1665795894e-2))
  p = f32x4.add(f32x4.mul(p, r), f32x4.splat(1.6666665459e-1))
  p = f32x4.add(f32x4.mul(p, r), f32x4.splat(5.0000001201e-1))
  p = f32x4.add(f32x4.add(f32x4.mul(f32x4.mul(p, r), r), r), f32x4.splat(1))
  return f32x4.mul(p, i32x4.shl(i32x4.add(i32x4.trunc_sat_f32x4_s(n), i32x4.splat(127)), 23))
}

/** 1 / (1 + e^-x). Below -88 it stays at its value there, 6e-39. */
// @ts-ignore: decorator
@inline
export function sigmoid1(x: f32): f32 {
  return <f32>1 / (<f32>1 + exp_f32(-x))
}

// @ts-ignore: decorator
@inline
export function sigmoid4(x: v128): v128 {
  const one = f32x4.splat(1)
  return f32x4.div(one, f32x4.add(one, exp4(f32x4.neg(x))))
}

/** Below this |x| tanh is an odd polynomial; above, 1 - 2 / (e^2x + 1) cancels by less than a bit. */
const TANH_SMALL: f32 = 0.625

/** tanh x for every x. */
// @ts-ignore: decorator
@inline
export function tanh1(value: f32): f32 {
  const x = abs<f32>(value)
  const z = x * x
  let p: f32 = -5.70498872745e-3
  p = p * z + 2.06390887954e-2
  p = p * z - 5.37397155531e-2
  p = p * z + 1.33314422036e-1
  p = p * z - 3.33332819422e-1
  const y = x < TANH_SMALL ? p * z * x + x : <f32>1 - <f32>2 / (exp_f32(x + x) + 1)
  return copysign<f32>(y, value)
}

// @ts-ignore: decorator
@inline
export function tanh4(value: v128): v128 {
  const x = f32x4.abs(value)
  const z = f32x4.mul(x, x)
  let p = f32x4.splat(-5.70498872745e-3)
  p = f32x4.add(f32x4.mul(p, z), f32x4.splat(2.06390887954e-2))
  p = f32x4.sub(f32x4.mul(p, z), f32x4.splat(5.37397155531e-2))
  p = f32x4.add(f32x4.mul(p, z), f32x4.splat(1.33314422036e-1))
  p = f32x4.sub(f32x4.mul(p, z), f32x4.splat(3.33332819422e-1))
  const small = f32x4.add(f32x4.mul(f32x4.mul(p, z), x), x)
  const large = f32x4.sub(f32x4.splat(1), f32x4.div(f32x4.splat(2), f32x4.add(exp4(f32x4.add(x, x)), f32x4.splat(1))))
  const y = v128.bitselect(small, large, f32x4.lt(x, f32x4.splat(TANH_SMALL)))
  return v128.bitselect(y, value, i32x4.splat(0x7fffffff))
}

/** ln x for a normal x > 0. */
// @ts-ignore: decorator
@inline
export function log_f32(x: f32): f32 {
  // x = m 2^e with m in [sqrt(1/2), sqrt(2)).
  const bits = reinterpret<i32>(x)
  let e = (bits >> 23) - 126
  let m = reinterpret<f32>((bits & 0x007fffff) | 0x3f000000)
  if (m < 0.707106781186547524) {
    e--
    m += m
  }
  const z = m - 1
  let p: f32 = 7.0376836292e-2
  p = p * z - 1.1514610310e-1
  p = p * z + 1.1676998740e-1
  p = p * z - 1.2420140846e-1
  p = p * z + 1.4249322787e-1
  p = p * z - 1.6668057665e-1
  p = p * z + 2.0000714765e-1
  p = p * z - 2.4999993993e-1
  p = p * z + 3.3333331174e-1
  const square = z * z
  const n = <f32>e
  return z + (p * z * square + n * -2.12194440e-4 - <f32>0.5 * square) + n * 0.693359375
}

/** log_f32 of each lane. */
// @ts-ignore: decorator
@inline
export function log4(x: v128): v128 {
  const low = v128.or(v128.and(x, i32x4.splat(0x007fffff)), i32x4.splat(0x3f000000))
  const small = f32x4.lt(low, f32x4.splat(0.707106781186547524))
  // A lane of `small` is -1 as an integer.
  const e = i32x4.add(i32x4.sub(i32x4.shr_s(x, 23), i32x4.splat(126)), small)
  const m = f32x4.add(low, v128.and(low, small))
  const z = f32x4.sub(m, f32x4.splat(1))
  let p = f32x4.splat(7.0376836292e-2)
  p = f32x4.sub(f32x4.mul(p, z), f32x4.splat(1.1514610310e-1))
  p = f32x4.add(f32x4.mul(p, z), f32x4.splat(1.1676998740e-1))
  p = f32x4.sub(f32x4.mul(p, z), f32x4.splat(1.2420140846e-1))
  p = f32x4.add(f32x4.mul(p, z), f32x4.splat(1.4249322787e-1))
  p = f32x4.sub(f32x4.mul(p, z), f32x4.splat(1.6668057665e-1))
  p = f32x4.add(f32x4.mul(p, z), f32x4.splat(2.0000714765e-1))
  p = f32x4.sub(f32x4.mul(p, z), f32x4.splat(2.4999993993e-1))
  p = f32x4.add(f32x4.mul(p, z), f32x4.splat(3.3333331174e-1))
  const square = f32x4.mul(z, z)
  const n = f32x4.convert_i32x4_s(e)
  const rest = f32x4.add(f32x4.mul(f32x4.mul(p, z), square), f32x4.mul(n, f32x4.splat(-2.12194440e-4)))
  const sum = f32x4.add(z, f32x4.sub(rest, f32x4.mul(f32x4.splat(0.5), square)))
  return f32x4.add(sum, f32x4.mul(n, f32x4.splat(0.693359375)))
}

/** ln(1 + x) for x >= -1/2: the rounding of 1 + x is made good by what it did to x (W. Kahan). Relative error at most 2^-21. */
// @ts-ignore: decorator
@inline
export function log1p_f32(x: f32): f32 {
  const u = x + 1
  return u == 1 ? x : log_f32(u) * (x / (u - 1))
}

/** y = e^x, ln x, sigmoid x, tanh x over n elements: for the test of the bounds, of the lanes and of the scalar form. */
export function exp_f32_map(x: usize, y: usize, n: i32): void {
  let i = 0
  if (ASC_FEATURE_SIMD) for (; i + 4 <= n; i += 4) v128.store(y + (i << 2), exp4(v128.load(x + (i << 2))))
  for (; i < n; i++) store<f32>(y + (i << 2), exp_f32(load<f32>(x + (i << 2))))
}

export function log_f32_map(x: usize, y: usize, n: i32): void {
  let i = 0
  if (ASC_FEATURE_SIMD) for (; i + 4 <= n; i += 4) v128.store(y + (i << 2), log4(v128.load(x + (i << 2))))
  for (; i < n; i++) store<f32>(y + (i << 2), log_f32(load<f32>(x + (i << 2))))
}

export function sigmoid_f32_map(x: usize, y: usize, n: i32): void {
  let i = 0
  if (ASC_FEATURE_SIMD) for (; i + 4 <= n; i += 4) v128.store(y + (i << 2), sigmoid4(v128.load(x + (i << 2))))
  for (; i < n; i++) store<f32>(y + (i << 2), sigmoid1(load<f32>(x + (i << 2))))
}

export function tanh_f32_map(x: usize, y: usize, n: i32): void {
  let i = 0
  if (ASC_FEATURE_SIMD) for (; i + 4 <= n; i += 4) v128.store(y + (i << 2), tanh4(v128.load(x + (i << 2))))
  for (; i < n; i++) store<f32>(y + (i << 2), tanh1(load<f32>(x + (i << 2))))
}

export function log1p_f32_map(x: usize, y: usize, n: i32): void {
  for (let i = 0; i < n; i++) store<f32>(y + (i << 2), log1p_f32(load<f32>(x + (i << 2))))
}
