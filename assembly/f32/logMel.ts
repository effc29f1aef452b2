// The logarithm of a mel spectrum: frames of samples, a window, a real FFT, the power of each frequency, triangular filters, ln. With
// SIMD the four lanes of a vector are four frames, so everything is done by the same operations in the same order: the same bits.
//
// The FFT of fft real samples is one of half as many complex ones, even samples the real parts and odd ones the imaginary: Z. It is done
// in place, radix 2, decimation in time (Cooley and Tukey 1965). From Z come the frequencies k and fft / 2 - k of the real one together:
// with E = Z_k + conj Z_(fft/2-k) and O = -i (Z_k - conj Z_(fft/2-k)), twice the one is E + w^k O, the conjugate of twice the other E - w^k O.

import { add, log, most, mul, read, splat, sub, write } from './lanes'

/**
 * y[b][f][m] = ln max(floor, sum over k of weight[m][k] |X_k|^2), X the FFT of window * x[b][f step ...], zeros behind it up to fft.
 * @param x [batch][n]
 * @param window [frame]
 * @param twiddles [fft / 2][2]: real and imaginary part of w^k = exp(-2 pi i k / fft)
 * @param spans i32 [bands][2]: the first frequency of each filter, and how many it has
 * @param weights those of all filters, one filter after another, divided by 4
 * @param y [batch][frames][bands]
 * @param scratch [fft + 2], four times as much with `four`
 * @param fft a power of 2 from 4 on, not below frame
 * @param four 1: four frames at once where the host can
 * @param floor normal and above 0
 */
export function logMel_f32(
  x: usize, window: usize, twiddles: usize, spans: usize, weights: usize, y: usize, scratch: usize,
  batch: i32, n: i32, frames: i32, frame: i32, step: i32, fft: i32, bands: i32, four: i32, floor: f32,
): void {
  for (let b = 0; b < batch; b++) {
    let f = 0
    if (ASC_FEATURE_SIMD) {
      if (four) {
        for (; f + 4 <= frames; f += 4) {
          const from = x + ((f * step) << 2)
          someFrames<v128>(from, window, twiddles, spans, weights, y, scratch, frame, step, fft, bands, floor)
          y += bands << 4
        }
      }
    }
    for (; f < frames; f++) {
      someFrames<f32>(x + ((f * step) << 2), window, twiddles, spans, weights, y, scratch, frame, step, fft, bands, floor)
      y += bands << 2
    }
    x += n << 2
  }
}

/** One frame, or four at once. */
// @ts-ignore: decorator
@inline
function someFrames<T>(
  x: usize, window: usize, twiddles: usize, spans: usize, weights: usize, y: usize, scratch: usize,
  frame: i32, step: i32, fft: i32, bands: i32, floor: f32,
): void {
  const half = fft >> 1
  // Bytes of a complex number and of its parts.
  const part: usize = isVector<T>() ? 16 : 4
  const shift: usize = isVector<T>() ? 5 : 3

  // Pair i goes where its bits lead when reversed.
  let reversed = 0
  for (let i = 0; i < half; i++) {
    const at = i << 1
    let re = splat<T>(0)
    let im = re
    if (at < frame) re = mul<T>(gather<T>(x + (at << 2), step), splat<T>(load<f32>(window + (at << 2))))
    if (at + 1 < frame) im = mul<T>(gather<T>(x + (at << 2) + 4, step), splat<T>(load<f32>(window + (at << 2), 4)))
    const to = scratch + (<usize>reversed << shift)
    write<T>(to, re)
    write<T>(to + part, im)
    let bit = half >> 1
    while (reversed & bit) {
      reversed ^= bit
      bit >>= 1
    }
    reversed |= bit
  }

  const end = scratch + (<usize>half << shift)
  for (let width = 1; width < half; width <<= 1) {
    const apart = <usize>width << shift
    // The first twiddle factor is 1.
    for (let a = scratch; a < end; a += apart << 1) {
      const b = a + apart
      const ar = read<T>(a)
      const ai = read<T>(a + part)
      const br = read<T>(b)
      const bi = read<T>(b + part)
      write<T>(a, add<T>(ar, br))
      write<T>(a + part, add<T>(ai, bi))
      write<T>(b, sub<T>(ar, br))
      write<T>(b + part, sub<T>(ai, bi))
    }
    const turn = <usize>(half / width) << 3
    for (let k = 1; k < width; k++) {
      const w = twiddles + k * turn
      const wr = splat<T>(load<f32>(w))
      const wi = splat<T>(load<f32>(w, 4))
      for (let a = scratch + (<usize>k << shift); a < end; a += apart << 1) {
        const b = a + apart
        const br = read<T>(b)
        const bi = read<T>(b + part)
        const tr = sub<T>(mul<T>(br, wr), mul<T>(bi, wi))
        const ti = add<T>(mul<T>(br, wi), mul<T>(bi, wr))
        const ar = read<T>(a)
        const ai = read<T>(a + part)
        write<T>(a, add<T>(ar, tr))
        write<T>(a + part, add<T>(ai, ti))
        write<T>(b, sub<T>(ar, tr))
        write<T>(b + part, sub<T>(ai, ti))
      }
    }
  }

  // Four times the power of each frequency takes the place of a real part; the last one's is behind all.
  const r0 = read<T>(scratch)
  const i0 = read<T>(scratch + part)
  const sum = add<T>(r0, i0)
  const difference = sub<T>(r0, i0)
  const first = add<T>(sum, sum)
  const last = add<T>(difference, difference)
  write<T>(scratch, mul<T>(first, first))
  write<T>(end, mul<T>(last, last))
  let b = end
  let w = twiddles
  for (let a = scratch + (part << 1); a < b; a += part << 1) {
    b -= part << 1
    w += 8
    const ar = read<T>(a)
    const ai = read<T>(a + part)
    const br = read<T>(b)
    const bi = read<T>(b + part)
    const er = add<T>(ar, br)
    const ei = sub<T>(ai, bi)
    const or = add<T>(ai, bi)
    const oi = sub<T>(br, ar)
    const wr = splat<T>(load<f32>(w))
    const wi = splat<T>(load<f32>(w, 4))
    const tr = sub<T>(mul<T>(or, wr), mul<T>(oi, wi))
    const ti = add<T>(mul<T>(or, wi), mul<T>(oi, wr))
    const ur = sub<T>(er, tr)
    const ui = sub<T>(ei, ti)
    const vr = add<T>(er, tr)
    const vi = add<T>(ei, ti)
    write<T>(b, add<T>(mul<T>(ur, ur), mul<T>(ui, ui)))
    write<T>(a, add<T>(mul<T>(vr, vr), mul<T>(vi, vi)))
  }

  const least = splat<T>(floor)
  for (let m = 0; m < bands; m++) {
    let energy = splat<T>(0)
    let p = scratch + (<usize>load<i32>(spans) << shift)
    for (let k = load<i32>(spans, 4); k > 0; k--) {
      energy = add<T>(energy, mul<T>(read<T>(p), splat<T>(load<f32>(weights))))
      p += part << 1
      weights += 4
    }
    scatter<T>(y, bands, log<T>(most<T>(energy, least)))
    spans += 8
    y += 4
  }
}

/** A sample, or those of four frames, `step` apart. */
// @ts-ignore: decorator
@inline
function gather<T>(x: usize, step: i32): T {
  if (isVector<T>()) {
    const stride = <usize>(step << 2)
    const v = v128.load32_lane(x + stride, v128.load32_zero(x), 1)
    return v128.load32_lane(x + stride * 3, v128.load32_lane(x + stride * 2, v, 2), 3)
  } else return load<f32>(x)
}

/** A value, or those of four frames, `bands` apart. */
// @ts-ignore: decorator
@inline
function scatter<T>(y: usize, bands: i32, v: T): void {
  if (isVector<T>()) {
    const stride = <usize>(bands << 2)
    v128.store32_lane(y, v, 0)
    v128.store32_lane(y + stride, v, 1)
    v128.store32_lane(y + stride * 2, v, 2)
    v128.store32_lane(y + stride * 3, v, 3)
  } else store<f32>(y, v)
}
