// What the int8 kernels compute, written to be read: one output at a time, integers exact (BigInt where a product passes 2^53).
// The definition is TensorFlow Lite's reference kernels with double rounding. Nothing here is shared with the kernels, and the
// rounding is stated by what it means: the nearest integer to an exact fraction, with a rule for halves.

export interface Window {
  batch: number
  ih: number
  iw: number
  ic: number
  oh: number
  ow: number
  oc: number
  kh: number
  kw: number
  sh: number
  sw: number
  dh: number
  dw: number
  pt: number
  pl: number
}

/** Zero points and the output's range. */
export interface Range {
  xZero: number
  yZero: number
  lo: number
  hi: number
}

/** Per output channel: int32 bias and the factor multiplier * 2^(shift - 31). */
export interface Channels {
  bias: Int32Array
  multiplier: Int32Array
  shift: Int32Array
}

export interface Factor {
  multiplier: number
  shift: number
}

const INT32_MAX = 2n ** 31n - 1n
const wrap = (v: bigint): bigint => BigInt.asIntN(32, v)
const floorDivide = (a: bigint, b: bigint): bigint => (a - (((a % b) + b) % b)) / b
const clamp = (v: number, lo: number, hi: number): number => Math.min(Math.max(v, lo), hi)

/** a * b / 2^31 to the nearest integer, halves up, saturated: SaturatingRoundingDoublingHighMul. */
function highMultiply(a: bigint, b: bigint): bigint {
  const rounded = floorDivide(2n * a * b + 2n ** 31n, 2n ** 32n)
  return rounded > INT32_MAX ? INT32_MAX : rounded
}

/** v / 2^exponent to the nearest integer, halves away from zero: RoundingDivideByPOT. */
function dividePowerOfTwo(v: bigint, exponent: number): bigint {
  const divisor = 2n ** BigInt(exponent)
  const magnitude = floorDivide(2n * (v < 0n ? -v : v) + divisor, 2n * divisor)
  return v < 0n ? -magnitude : magnitude
}

/** MultiplyByQuantizedMultiplier: a left shift (int32, wrapping), a multiplication, a right shift. */
export function scale(v: number, { multiplier, shift }: Factor): number {
  const shifted = wrap(BigInt(v) * 2n ** BigInt(Math.max(shift, 0)))
  return Number(dividePowerOfTwo(highMultiply(shifted, BigInt(multiplier)), Math.max(-shift, 0)))
}

function output(sum: number, o: number, { bias, multiplier, shift }: Channels, { yZero, lo, hi }: Range): number {
  return clamp(scale(sum + bias[o], { multiplier: multiplier[o], shift: shift[o] }) + yZero, lo, hi)
}

/** Calls `visit` with what is in the window of output (oy, ox): input pixel (iy, ix) under kernel tap (ky, kx). */
function eachTap(s: Window, oy: number, ox: number, visit: (iy: number, ix: number, ky: number, kx: number) => void): void {
  for (let ky = 0; ky < s.kh; ky++) {
    for (let kx = 0; kx < s.kw; kx++) {
      const iy = oy * s.sh - s.pt + ky * s.dh
      const ix = ox * s.sw - s.pl + kx * s.dw
      if (iy >= 0 && iy < s.ih && ix >= 0 && ix < s.iw) visit(iy, ix, ky, kx)
    }
  }
}

/** y [batch][oh][ow][oc], each value from `value(b, oy, ox, o)`. */
function eachOutput(s: Window, value: (b: number, oy: number, ox: number, o: number) => number): Int8Array {
  const y = new Int8Array(s.batch * s.oh * s.ow * s.oc)
  let i = 0
  for (let b = 0; b < s.batch; b++) {
    for (let oy = 0; oy < s.oh; oy++) {
      for (let ox = 0; ox < s.ow; ox++) {
        for (let o = 0; o < s.oc; o++) y[i++] = value(b, oy, ox, o)
      }
    }
  }
  return y
}

const pixel = (s: Window, b: number, iy: number, ix: number): number => ((b * s.ih + iy) * s.iw + ix) * s.ic

export function conv2d(x: Int8Array, w: Int8Array, channels: Channels, s: Window, range: Range): Int8Array {
  return eachOutput(s, (b, oy, ox, o) => {
    let sum = 0
    eachTap(s, oy, ox, (iy, ix, ky, kx) => {
      for (let i = 0; i < s.ic; i++) {
        sum += (x[pixel(s, b, iy, ix) + i] - range.xZero) * w[((o * s.kh + ky) * s.kw + kx) * s.ic + i]
      }
    })
    return output(sum, o, channels, range)
  })
}

export function depthwiseConv2d(x: Int8Array, w: Int8Array, channels: Channels, s: Window, range: Range): Int8Array {
  return eachOutput(s, (b, oy, ox, o) => {
    const i = Math.floor(o / (s.oc / s.ic))
    let sum = 0
    eachTap(s, oy, ox, (iy, ix, ky, kx) => {
      sum += (x[pixel(s, b, iy, ix) + i] - range.xZero) * w[(ky * s.kw + kx) * s.oc + o]
    })
    return output(sum, o, channels, range)
  })
}

export function dense(
  x: Int8Array,
  w: Int8Array,
  channels: Channels,
  batch: number,
  n: number,
  k: number,
  range: Range,
): Int8Array {
  const y = new Int8Array(batch * n)
  for (let b = 0; b < batch; b++) {
    for (let j = 0; j < n; j++) {
      let sum = 0
      for (let i = 0; i < k; i++) sum += (x[b * k + i] - range.xZero) * w[j * k + i]
      y[b * n + j] = output(sum, j, channels, range)
    }
  }
  return y
}

export function maxPool2d(x: Int8Array, s: Window, lo: number, hi: number): Int8Array {
  return eachOutput(s, (b, oy, ox, o) => {
    const seen: number[] = []
    eachTap(s, oy, ox, (iy, ix) => seen.push(x[pixel(s, b, iy, ix) + o]))
    return clamp(Math.max(...seen), lo, hi)
  })
}

export function avgPool2d(x: Int8Array, s: Window, lo: number, hi: number): Int8Array {
  return eachOutput(s, (b, oy, ox, o) => {
    let sum = 0
    let count = 0
    eachTap(s, oy, ox, (iy, ix) => {
      sum += x[pixel(s, b, iy, ix) + o]
      count++
    })
    // Halves away from zero: floor(|sum| / count + 1/2), in integers.
    const magnitude = Math.floor((2 * Math.abs(sum) + count) / (2 * count))
    return clamp(sum < 0 ? -magnitude : magnitude, lo, hi)
  })
}

export function clampAll(x: Int8Array, lo: number, hi: number): Int8Array {
  return x.map((v) => clamp(v, lo, hi))
}

export function add(
  a: Int8Array,
  b: Int8Array,
  zero: { a: number; b: number; y: number },
  factor: { a: Factor; b: Factor; y: Factor },
  lo: number,
  hi: number,
): Int8Array {
  return a.map((v, i) => {
    const sum = scale((v - zero.a) * 2 ** 20, factor.a) + scale((b[i] - zero.b) * 2 ** 20, factor.b)
    return clamp(scale(sum, factor.y) + zero.y, lo, hi)
  })
}

export function sub(
  a: Int8Array,
  b: Int8Array,
  zero: { a: number; b: number; y: number },
  factor: { a: Factor; b: Factor; y: Factor },
  lo: number,
  hi: number,
): Int8Array {
  return a.map((v, i) => {
    const difference = scale((v - zero.a) * 2 ** 20, factor.a) - scale((b[i] - zero.b) * 2 ** 20, factor.b)
    return clamp(scale(difference, factor.y) + zero.y, lo, hi)
  })
}

export function mul(
  a: Int8Array,
  b: Int8Array,
  zero: { a: number; b: number; y: number },
  factor: Factor,
  lo: number,
  hi: number,
): Int8Array {
  return a.map((v, i) => clamp(scale((v - zero.a) * (b[i] - zero.b), factor) + zero.y, lo, hi))
}

/** QUANTIZE from int8 to int8. */
export function requantize(x: Int8Array, xZero: number, yZero: number, factor: Factor): Int8Array {
  return x.map((v) => clamp(scale(v - xZero, factor) + yZero, -128, 127))
}

/** x [batch][ih][iw][c] to [batch][oh][ow][c], sizes in this order. */
type Sizes = readonly [batch: number, ih: number, iw: number, c: number, oh: number, ow: number]

/** y, each value from `value` of its pixel and of the input's pixels of its channel. */
function resized(
  x: Int8Array,
  [batch, ih, iw, c, oh, ow]: Sizes,
  value: (oy: number, ox: number, at: (iy: number, ix: number) => number) => number,
): Int8Array {
  const s = { batch, ih, iw, ic: c, oh, ow, oc: c } as Window
  return eachOutput(s, (b, oy, ox, o) => value(oy, ox, (iy, ix) => x[pixel(s, b, iy, ix) + o]))
}

/** GetNearestNeighbor; `pixels`: 0 neither flag, 1 half_pixel_centers, 2 align_corners. */
export function resizeNearest(x: Int8Array, sizes: Sizes, pixels = 0): Int8Array {
  const [, ih, iw, , oh, ow] = sizes
  const nearest = (at: number, from: number, to: number) => {
    const scale = pixels === 2 && to > 1 ? Math.fround((from - 1) / (to - 1)) : Math.fround(from / to)
    const place = Math.fround((at + (pixels === 1 ? 0.5 : 0)) * scale)
    return Math.min(pixels === 2 ? Math.round(place) : Math.floor(place), from - 1)
  }
  return resized(x, sizes, (oy, ox, at) => at(nearest(oy, ih, oh), nearest(ox, iw, ow)))
}

/** ResizeBilinearInteger, `pixels` as above; where it would read beyond the last pixel, that one. */
export function resizeBilinear(x: Int8Array, sizes: Sizes, pixels = 1): Int8Array {
  const [, ih, iw, , oh, ow] = sizes
  const along = (at: number, from: number, to: number) => {
    const [n, m] = pixels === 2 && to > 1 ? [from - 1, to - 1] : [from, to]
    const step = Math.floor((1024 * n + Math.floor(m / 2)) / m)
    const place = at * step + (pixels === 1 ? Math.floor(step / 2) - 512 : 0)
    const lower = Math.min(Math.max(Math.trunc(place / 1024), 0), from - 1)
    return { lower, upper: Math.min(Math.trunc((place + 1023) / 1024), from - 1), part: BigInt(place - 1024 * lower) }
  }
  return resized(x, sizes, (oy, ox, at) => {
    const [v, h] = [along(oy, ih, oh), along(ox, iw, ow)]
    const line = (iy: number) => BigInt(at(iy, h.lower)) * (1024n - h.part) + BigInt(at(iy, h.upper)) * h.part
    return Number(dividePowerOfTwo(line(v.lower) * (1024n - v.part) + line(v.upper) * v.part, 20))
  })
}

/** LEAKY_RELU: positive values by one factor, negative ones by another. */
export const leakyRelu = (v: number, positive: Factor, negative: Factor) => scale(v, v < 0 ? negative : positive)

/**
 * HARD_SWISH of v = x - xZero in 16 bits, on the output's scale: each step is stated by what it means. Factors are those of the output and
 * of the ramp x / 3, as QuantizeMultiplier makes them.
 */
export function hardSwish(v: number, output: Factor, ramp: Factor): number {
  const narrow = (m: number) => Number(clampBig((BigInt(m) + 2n ** 15n) / 2n ** 16n, 2n ** 15n - 1n))
  const saturated = (n: number) => clamp(n, -(2 ** 15), 2 ** 15 - 1)
  /** a * b / 2^15, halves up. */
  const high = (a: number, b: number) => Number(floorDivide(2n * BigInt(a) * BigInt(b) + 2n ** 15n, 2n ** 16n))
  const hires = 128 * v
  // A left shift saturates in two steps, of which the last one counts.
  let reluish = ramp.shift > 0 ? saturated(hires * 2 ** (ramp.shift - 1)) : hires
  reluish = high(reluish, narrow(ramp.multiplier))
  reluish = ramp.shift > 0 ? saturated(reluish * 2) : Number(dividePowerOfTwo(BigInt(reluish), -ramp.shift))
  const share = Math.floor((reluish + 2 ** 15) / 2)
  const product = (BigInt(share) * BigInt(high(hires, narrow(output.multiplier)))) / 2n ** 15n
  return Number(dividePowerOfTwo(product, -output.shift))
}

const clampBig = (v: bigint, hi: bigint): bigint => (v > hi ? hi : v)

/**
 * A fixed-point number as gemmlowp has it: an int32 `raw` with `integer` bits before the binary point, of value
 * raw * 2^(integer - 31). Products add the integer bits.
 */
class Fixed {
  constructor(
    readonly raw: bigint,
    readonly integer: number,
  ) {}

  /** The nearest number with `integer` integer bits to a real; 1 in Q0.31 becomes the largest below it. */
  static of(real: number, integer: number): Fixed {
    const raw = BigInt(Math.round(real * 2 ** (31 - integer)))
    return new Fixed(raw > INT32_MAX ? INT32_MAX : raw, integer)
  }

  plus(other: Fixed): Fixed {
    if (other.integer !== this.integer) throw new Error(`Q${this.integer} plus Q${other.integer}`)
    return new Fixed(wrap(this.raw + other.raw), this.integer)
  }

  minus(other: Fixed): Fixed {
    return this.plus(new Fixed(-other.raw, other.integer))
  }

  times(other: Fixed): Fixed {
    return new Fixed(highMultiply(this.raw, other.raw), this.integer + other.integer)
  }

  /** The same format, divided by 2^bits and rounded. */
  half(bits: number): Fixed {
    return new Fixed(dividePowerOfTwo(this.raw, bits), this.integer)
  }

  /** The same value with other integer bits: rounded where bits are lost, saturated where it does not fit. */
  rescale(integer: number): Fixed {
    if (integer >= this.integer) return new Fixed(dividePowerOfTwo(this.raw, integer - this.integer), integer)
    const exact = this.raw * 2n ** BigInt(this.integer - integer)
    const fits = exact > INT32_MAX ? INT32_MAX : exact < -INT32_MAX - 1n ? -INT32_MAX - 1n : exact
    return new Fixed(fits, integer)
  }
}

/** exp(a) for a <= 0 (gemmlowp's exp_on_negative_values). */
function exp(a: Fixed): Fixed {
  if (a.raw === 0n) return Fixed.of(1, 0)
  const quarter = Fixed.of(1 / 4, a.integer).raw
  const offset = (((a.raw % quarter) + quarter) % quarter) - quarter
  const t = new Fixed(offset, a.integer).rescale(0).plus(Fixed.of(1 / 8, 0))
  const t2 = t.times(t)
  const t3 = t2.times(t)
  const t4 = t2.times(t2)
  const series = t4
    .half(2)
    .plus(t3)
    .times(Fixed.of(1 / 3, 0))
    .plus(t2)
    .half(1)
  const center = Fixed.of(Math.exp(-1 / 8), 0)
  let result = center.plus(center.times(t.plus(series)))
  const quarters = (offset - a.raw) / quarter
  for (let bit = 0; bit < a.integer + 2; bit++) {
    if ((quarters / 2n ** BigInt(bit)) % 2n === 1n) result = result.times(Fixed.of(Math.exp(-(2 ** (bit - 2))), 0))
  }
  return result
}

/** 1 / (1 + a) for a in [0, 1) (gemmlowp's one_over_one_plus_x_for_x_in_0_1). */
function reciprocalOfOnePlus(a: Fixed): Fixed {
  const d = new Fixed((a.raw + INT32_MAX + 1n) / 2n, 0)
  let r = Fixed.of(48 / 17, 2).plus(d.times(Fixed.of(-32 / 17, 2)))
  for (let step = 0; step < 3; step++) r = r.plus(r.times(Fixed.of(1, 2).minus(d.times(r))).rescale(2))
  // r is 1 / d = 2 / (1 + a): reading it with one integer bit less halves it.
  return new Fixed(r.raw, 1).rescale(0)
}

/** @param factor scale of x times beta, to Q5.26 */
export function softmax(x: Int8Array, rows: number, n: number, factor: Factor & { diffMin: number }): Int8Array {
  const y = new Int8Array(rows * n)
  for (let r = 0; r < rows; r++) {
    const row = x.subarray(r * n, r * n + n)
    const largest = Math.max(...row)
    const exps = Array.from(row, (v) => {
      const diff = v - largest
      return diff < factor.diffMin ? undefined : exp(new Fixed(BigInt(scale(diff, factor)), 5))
    })
    const sum = exps.reduce<Fixed>((s, e) => (e ? s.plus(e.rescale(12)) : s), new Fixed(0n, 12)).raw
    // sum = (1 + a) * 2^(bitLength - 1), in units of 2^-19.
    const bitLength = sum.toString(2).length
    const a = new Fixed(sum * 2n ** BigInt(32 - bitLength) - 2n ** 31n, 0)
    const inverse = reciprocalOfOnePlus(a)
    const bitsOverOne = bitLength - 20
    for (let j = 0; j < n; j++) {
      const e = exps[j]
      const p = e ? Number(dividePowerOfTwo(inverse.times(e).raw, bitsOverOne + 23)) : 0
      y[r * n + j] = clamp(p - 128, -128, 127)
    }
  }
  return y
}
