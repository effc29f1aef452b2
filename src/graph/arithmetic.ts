// Functions of + - * / only: Math.pow, Math.log and Math.cos may round differently from engine to engine, these do not. What is drawn
// and trained from a seed has the same bits everywhere.

/** x^n for an integer n from 0 on, by squaring. */
export function power(x: number, n: number): number {
  let y = 1
  for (let square = x; n > 0; n = Math.floor(n / 2), square *= square) if (n % 2) y *= square
  return y
}

/** ln x for a normal x > 0: relative error below 2^-50. */
export function log(x: number): number {
  // x = m 2^e with m in [sqrt(1/2), sqrt(2)]; then ln m = 2 artanh z = 2 (z + z^3 / 3 + z^5 / 5 ...), |z| <= 0.172.
  let m = x
  let e = 0
  for (; m < Math.SQRT1_2; m *= 2) e--
  for (; m > Math.SQRT2; m /= 2) e++
  const z = (m - 1) / (m + 1)
  let sum = 0
  for (let k = 25; k >= 1; k -= 2) sum = sum * z * z + 1 / k
  return 2 * z * sum + e * Math.LN2
}

/** e^x: relative error below 2^-48; 0 below -708, infinite above 709. */
export function exp(x: number): number {
  if (x < -708) return 0
  if (x > 709) return Infinity
  // x = n ln 2 + r, |r| <= ln 2 / 2, with ln 2 in two parts, for n times the first of which is exact. Then the series of e^r: r^18 / 18! is
  // 10^-24.
  const n = Math.round(x / Math.LN2)
  const r = x - n * 0.6931471803691238 - n * 1.9082149292705877e-10
  let sum = 1
  for (let k = 18; k >= 1; k--) sum = 1 + (sum * r) / k
  return sum * (n < 0 ? power(0.5, -n) : power(2, n))
}

/** cos(pi x) for x in [0, 1]: absolute error below 2^-50. */
export function cosPi(x: number): number {
  // Of the half of the range where the series is short: cos(pi - t) = -cos t.
  if (x > 0.5) return -cosPi(1 - x)
  const t = Math.PI * x
  // 1 - t^2 / 2! + t^4 / 4! ..., from the last term on: t^24 / 24! is 10^-19.
  let sum = 1
  for (let k = 22; k >= 2; k -= 2) sum = 1 - (sum * t * t) / (k * (k - 1))
  return sum
}

/** The number of the 32 bits of a float32. */
const fromFloat32 = (bits: number): number => new Float32Array(Uint32Array.of(bits).buffer)[0]

/** The number of the 16 bits of IEEE's half precision. */
export function fromFloat16(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1
  const rest = bits & 0x7fff
  if (rest >= 0x7c00) return rest > 0x7c00 ? Number.NaN : sign * Infinity
  // As a float32 the exponent is 112 too small.
  return sign * fromFloat32(rest << 13) * power(2, 112)
}

/** The number of the 16 bits of a bfloat16: the upper half of a float32. */
export const fromBfloat16 = (bits: number): number => fromFloat32(bits << 16)
