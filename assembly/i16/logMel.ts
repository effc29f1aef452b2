// The logarithm of a mel spectrum of 16-bit samples in integers, for processors without floats: the same integers in every build and on every
// host. Every rounding below is: halves up, that is (v + half) >> bits. With fft = 2^s:
//
//   samples    xw = x window / 2^(15 + s), rounded: window in Q30, so xw is 2^(30 - s) for a sample of 1. So many bits of fraction are
//              what 32 bits have room for: no value of the FFT exceeds 2^30, and it needs no scaling on its way.
//   FFT        as in f32/logMel.ts, of fft / 2 complex numbers, radix 2, in place. Twiddle factors in Q30, a product of complex numbers in
//              64 bits, each part rounded once to 32.
//   spectrum   from Z_k and Z_(fft/2-k), each part in 64 bits and rounded once: (2^30 E + w^k O) / 2^31.
//   power      (re^2 + im^2) / 2^12, rounded: below 2^48, and so is the sum over all frequencies (Parseval).
//   energy     sum of weight * power in 64 bits, exactly; weights are integers below 2^15.
//   logarithm  log2 of the energy, Q9, rounded from ten bits of fraction; plus an offset that takes back all the powers of 2 above.
//
// Energy: 2^e m with m in [1, 2), m cut to 31 bits of fraction. Its ten bits, one after another: m = m^2, cut again; the bit is 1 and m is
// halved if m is not below 2.

import { requantize } from '../i8/requantize'

/**
 * y[b][f][m] = max(least, 512 log2(energy) + 512 offset), rounded; `least` where the energy is 0.
 * @param x i16 [batch][n]
 * @param window i32 [frame], Q30, in [0, 1]
 * @param twiddles i32 [fft / 2][2]: real and imaginary part of exp(-2 pi i k / fft), Q30
 * @param spans i32 [bands][2]: the first frequency of each filter, and how many it has
 * @param weights i16 those of all filters, one filter after another, not negative
 * @param y i16 [batch][frames][bands], Q9
 * @param scratch [fft + 2] words, at a multiple of 8 bytes
 * @param fft a power of 2 from 4 to 2^15, not below frame
 */
export function logMel_i16(
  x: usize, window: usize, twiddles: usize, spans: usize, weights: usize, y: usize, scratch: usize,
  batch: i32, n: i32, frames: i32, frame: i32, step: i32, fft: i32, bands: i32, offset: i32, least: i32,
): void {
  for (let b = 0; b < batch; b++) {
    for (let f = 0; f < frames; f++) {
      powers(x + ((f * step) << 1), window, twiddles, scratch, frame, fft)
      let span = spans
      let weight = weights
      for (let m = 0; m < bands; m++) {
        let energy: i64 = 0
        let p = scratch + (<usize>load<i32>(span) << 3)
        for (let k = load<i32>(span, 4); k > 0; k--) {
          energy += load<i64>(p) * <i64>load<i16>(weight)
          p += 8
          weight += 2
        }
        store<i16>(y, energy == 0 ? least : max(least, log2(energy) + (offset << 9)))
        span += 8
        y += 2
      }
    }
    x += n << 1
  }
}

/** The power of each frequency of a frame, i64 [fft / 2 + 1]. */
// @ts-ignore: decorator
@inline
function powers(x: usize, window: usize, twiddles: usize, scratch: usize, frame: i32, fft: i32): void {
  const half = fft >> 1
  const bits = <i64>ctz(fft) + 15
  const rounding: i64 = (<i64>1 << bits) >> 1
  let reversed = 0
  for (let i = 0; i < half; i++) {
    const at = i << 1
    let re = 0
    let im = 0
    if (at < frame) re = <i32>((<i64>load<i16>(x + (at << 1)) * load<i32>(window + (at << 2)) + rounding) >> bits)
    if (at + 1 < frame) im = <i32>((<i64>load<i16>(x + (at << 1), 2) * load<i32>(window + (at << 2), 4) + rounding) >> bits)
    const to = scratch + (<usize>reversed << 3)
    store<i32>(to, re)
    store<i32>(to, im, 4)
    let bit = half >> 1
    while (reversed & bit) {
      reversed ^= bit
      bit >>= 1
    }
    reversed |= bit
  }

  const end = scratch + (<usize>half << 3)
  for (let width = 1; width < half; width <<= 1) {
    const apart = <usize>width << 3
    const turn = <usize>(half / width) << 3
    for (let k = 0; k < width; k++) {
      const w = twiddles + k * turn
      const wr = <i64>load<i32>(w)
      const wi = <i64>load<i32>(w, 4)
      for (let a = scratch + (<usize>k << 3); a < end; a += apart << 1) {
        const b = a + apart
        const br = <i64>load<i32>(b)
        const bi = <i64>load<i32>(b, 4)
        const tr = <i32>((br * wr - bi * wi + (1 << 29)) >> 30)
        const ti = <i32>((br * wi + bi * wr + (1 << 29)) >> 30)
        const ar = load<i32>(a)
        const ai = load<i32>(a, 4)
        store<i32>(a, ar + tr)
        store<i32>(a, ai + ti, 4)
        store<i32>(b, ar - tr)
        store<i32>(b, ai - ti, 4)
      }
    }
  }

  const r0 = <i64>load<i32>(scratch)
  const i0 = <i64>load<i32>(scratch, 4)
  store<i64>(scratch, power(r0 + i0, 0))
  store<i64>(end, power(r0 - i0, 0))
  let b = end
  let w = twiddles
  for (let a = scratch + 8; a < b; a += 8) {
    b -= 8
    w += 8
    const ar = <i64>load<i32>(a)
    const ai = <i64>load<i32>(a, 4)
    const br = <i64>load<i32>(b)
    const bi = <i64>load<i32>(b, 4)
    const er = (ar + br) << 30
    const ei = (ai - bi) << 30
    const or = ai + bi
    const oi = br - ar
    const wr = <i64>load<i32>(w)
    const wi = <i64>load<i32>(w, 4)
    const tr = or * wr - oi * wi
    const ti = or * wi + oi * wr
    store<i64>(b, power((er - tr + (1 << 30)) >> 31, (ei - ti + (1 << 30)) >> 31))
    store<i64>(a, power((er + tr + (1 << 30)) >> 31, (ei + ti + (1 << 30)) >> 31))
  }
}

// @ts-ignore: decorator
@inline
function power(re: i64, im: i64): i64 {
  return (re * re + im * im + (1 << 11)) >> 12
}

/** 512 log2(v), rounded, for v > 0. */
// @ts-ignore: decorator
@inline
function log2(v: i64): i32 {
  const zeros = clz(v)
  let m = <u64>(v << zeros) >> 32
  let log = 63 - <i32>zeros
  for (let bit = 0; bit < 10; bit++) {
    m = (m * m) >> 31
    const two = <u32>(m >> 32)
    m >>= two
    log = (log << 1) | two
  }
  return (log + 1) >> 1
}

/**
 * y = clamp(zero + x * multiplier * 2^(shift - 31)) to int8, rounded as the int8 kernels do.
 * @param x i16 [n]
 * @param y i8 [n]
 */
export function requantize_i16(x: usize, y: usize, n: i32, multiplier: i32, shift: i32, zero: i32): void {
  for (let i = 0; i < n; i++) {
    store<i8>(y + i, requantize(<i32>load<i16>(x + (i << 1)), multiplier, shift, zero, -128, 127))
  }
}

/**
 * y[r][j] = clamp(zero + c * multiplier * 2^(shift - 31)) to int8, c = sum over i of x[r][i] cosines[j][i] / 2^9, rounded: with x in Q9 and
 * cosines in Q15, c is Q15.
 * @param x i16 [rows][bands]
 * @param cosines i16 [n][bands]; the squares of a row sum up to 2^30 or a little more
 * @param y i8 [rows][n]
 * @param bands at most 16384
 */
export function dct_i16(
  x: usize, cosines: usize, y: usize, rows: i32, n: i32, bands: i32, multiplier: i32, shift: i32, zero: i32,
): void {
  for (let r = 0; r < rows; r++) {
    let w = cosines
    for (let j = 0; j < n; j++) {
      let sum: i64 = 0
      for (let i = 0; i < bands; i++) {
        sum += <i64>(<i32>load<i16>(x + (i << 1)) * <i32>load<i16>(w))
        w += 2
      }
      store<i8>(y, requantize(<i32>((sum + (1 << 8)) >> 9), multiplier, shift, zero, -128, 127))
      y++
    }
    x += bands << 1
  }
}
