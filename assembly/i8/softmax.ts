// Softmax in int8, integers only and without tables: TensorFlow Lite's reference kernel (softmax.h) over gemmlowp's
// fixed-point exp and reciprocal (fixedpoint.h), bit for bit. Qm.n is an int32 with m integer and n fraction bits.
// exp is taken of Q5.26 and is Q0.31; the sum of a row's is Q12.19; the output is 256 * p - 128.

import { mulHigh, shiftRound } from './requantize'

/** exp(a) in Q0.31 for a <= 0 in Q5.26. */
// @ts-ignore: decorator
@inline
function expNegative(a: i32): i32 {
  // a = f - rest, with f in [-1/4, 0) and rest a multiple of 1/4. Around -1/8: exp(f) = e^(-1/8) (1 + t + t^2/2 + t^3/6 + t^4/24).
  const f = (a & 0xffffff) - (1 << 24)
  const rest = f - a
  const t = (f << 5) + (1 << 28)
  const t2 = mulHigh(t, t)
  const t3 = mulHigh(t2, t)
  const t4 = mulHigh(t2, t2)
  const third = 715827883
  const series = t + shiftRound(mulHigh(shiftRound(t4, 2) + t3, third) + t2, 1)
  const center = 1895147668
  let e = center + mulHigh(center, series)
  // Each bit of rest that is set divides by a constant: e^(-1/4), e^(-1/2), ... e^(-16).
  if (rest & (1 << 24)) e = mulHigh(e, 1672461947)
  if (rest & (1 << 25)) e = mulHigh(e, 1302514674)
  if (rest & (1 << 26)) e = mulHigh(e, 790015084)
  if (rest & (1 << 27)) e = mulHigh(e, 290630308)
  if (rest & (1 << 28)) e = mulHigh(e, 39332535)
  if (rest & (1 << 29)) e = mulHigh(e, 720401)
  if (rest & (1 << 30)) e = mulHigh(e, 242)
  return a == 0 ? i32.MAX_VALUE : e
}

/** 1 / d in Q0.31, halved: d in [1/2, 1) as Q0.31, so the result is in (1/2, 1]; 1 is the largest int32. */
// @ts-ignore: decorator
@inline
function halfReciprocal(d: i32): i32 {
  // Newton's method in Q2.29 from 48/17 - 32/17 d, within 1/17 of the answer; three steps square the error thrice.
  let r = 1515870810 + mulHigh(d, -1010580540)
  for (let step = 0; step < 3; step++) r += mulHigh(r, (1 << 29) - mulHigh(d, r)) << 2
  return r >= 1 << 30 ? i32.MAX_VALUE : r << 1
}

/**
 * y[r][j] = softmax(x[r])[j], in steps of 1/256 with zero point -128
 * @param x i8 [rows][n]; any zero point
 * @param y i8 [rows][n]; may be x: exponentials are taken again when a value is stored
 * @param n below 4096, so that a row's sum fits. (The reference stops at sums of 512 and more; beyond, every p rounds to 0 here.)
 * @param multiplier, shift scale of x times beta as Q5.26: a Q31 factor and a shift to the left, in [1, 31]
 * @param diffMin at most 0: a value further below the row's largest has probability 0
 */
export function softmax_i8(x: usize, y: usize, rows: i32, n: i32, multiplier: i32, shift: i32, diffMin: i32): void {
  for (let r = 0; r < rows; r++) {
    let largest: i32 = -128
    for (let j = 0; j < n; j++) largest = max(largest, <i32>load<i8>(x + j))
    let sum = 0
    for (let j = 0; j < n; j++) {
      const diff = <i32>load<i8>(x + j) - largest
      if (diff >= diffMin) sum += shiftRound(expNegative(mulHigh(diff << shift, multiplier)), 12)
    }
    // sum = d * 2^(13 - headroom) with d in [1/2, 1).
    const headroom = clz(sum)
    const scale = halfReciprocal(<i32>(<u32>(sum << headroom) >> 1))
    const bits = 35 - headroom
    for (let j = 0; j < n; j++) {
      const diff = <i32>load<i8>(x + j) - largest
      let p = 0
      if (diff >= diffMin && bits < 32) {
        p = shiftRound(mulHigh(scale, expNegative(mulHigh(diff << shift, multiplier))), bits)
      }
      store<i8>(y + j, min(p, 255) - 128)
    }
    x += n
    y += n
  }
}
