// exp and log by range reduction and a polynomial (coefficients: Cephes, S. Moshier, expf.c and logf.c). AssemblyScript's own
// Math would bring tables, which a kernel must not have. Relative error of both: at most 2^-22 (test/math.test.ts).

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

/** ln(1 + x) for x >= 0: the rounding of 1 + x is made good by what it did to x (W. Kahan). Relative error at most 2^-21. */
// @ts-ignore: decorator
@inline
export function log1p_f32(x: f32): f32 {
  const u = x + 1
  return u == 1 ? x : log_f32(u) * (x / (u - 1))
}

/** y = e^x and y = ln x over n elements: for the test of the bound. */
export function exp_f32_map(x: usize, y: usize, n: i32): void {
  for (let i = 0; i < n; i++) store<f32>(y + (i << 2), exp_f32(load<f32>(x + (i << 2))))
}

export function log_f32_map(x: usize, y: usize, n: i32): void {
  for (let i = 0; i < n; i++) store<f32>(y + (i << 2), log_f32(load<f32>(x + (i << 2))))
}

export function log1p_f32_map(x: usize, y: usize, n: i32): void {
  for (let i = 0; i < n; i++) store<f32>(y + (i << 2), log1p_f32(load<f32>(x + (i << 2))))
}
