// Recurrent layers in int8: weights, inputs and outputs of 8 bits, gates of 16. lstm_i8 is bit for bit TensorFlow Lite's integer LSTM (8x8_16:
// LstmStepInteger8x8_16 of lstm_eval.cc on the functions of reference/portable_tensor_utils.cc), without projection, peepholes and layer
// norm. It has no integer GRU; gru_i8 and simpleRnn_i8 are made of the same parts. For each step, with scaled() the fixed-point product
// with its two roundings as everywhere in int8 (requantize.ts), and >> a division by a power of two, halves away from zero:
//
//   gate     a row of i16 for each gate: saturate(saturate(scaled(x w + b)) + scaled(h u)), in Q3.12
//   lstm     i, f, o = sigmoid, g = tanh of gates; c = saturate((f c >> 15) + (i g >> 15 + cellBits)), clipped; h = scaled(o tanh(c))
//   gru      r, z = sigmoid of gates, the products with h with a bias of their own; q = saturate(scaled(h u + bu)) of n alone;
//            n = tanh(saturate(saturate(scaled(x w + b)) + (r q >> 15))); v = saturate((z v >> 15) + ((32767 - z) n >> 15)); h = scaled(v).
//            The state that lasts is v, 16 bits of it: 8 could not follow a gate that opens a little.
//   simple   h = scaled(tanh(gate)), or scaled(max(gate, 0)) with a gate whose unit is the scale of h / 128
//
// h is clamped to 8 bits and kept as i16 less its zero point: then zeros in memory are the state of zeros, and it is an operand of the dot
// product as it is. Sigmoid and tanh are those of i16/curves.ts, in Q0.15; c has cellBits integer bits, v none.
// Rows of i16 have room for a multiple of 8; x and h are 0 there, so that dot products need no tail. Weights are not packed: a dot product
// of eight takes a row as it is stored, for one load that widens; packed as i16 it would read twice the bytes.

import { sigmoid, tanh } from '../i16/curves'
import { add, addSaturated, least, most, mulShift, read, splat, sub, write } from '../i16/lanes'
import { mulHigh, mulHigh4, shiftRound, shiftRound4 } from './requantize'

const SIMPLE = 0
const LSTM = 1
const GRU = 2

/**
 * @param x i8 [batch][t][channels]
 * @param w, u i8 [4 * units][channels], [4 * units][units]: gates i, f, g, o
 * @param b i32 [4 * units], scale of x times that of w
 * @param scales i32 [2][4][2]: multiplier and shift of each gate, for w, then for u
 * @param y i8 [batch][t][units] with `sequences`, else [batch][units]
 * @param h, c i16 [batch][units, rounded up to 8]: the states, which begin at zero unless `keep`
 * @param scratch i16: channels + 4 * units, each rounded up to 8
 * @param channels, units at most 65536, so that int32 sums cannot overflow
 * @param multiplier, shift of o tanh(c)
 * @param cellBits integer bits of c, 0..6
 * @param clip largest magnitude of c, 0: none
 */
export function lstm_i8(
  x: usize, w: usize, b: usize, u: usize, scales: usize, y: usize, h: usize, c: usize, scratch: usize,
  batch: i32, t: i32, channels: i32, units: i32, sequences: i32, reverse: i32, keep: i32, xZero: i32, yZero: i32,
  multiplier: i32, shift: i32, cellBits: i32, clip: i32,
): void {
  loop(
    LSTM, x, w, b, u, 0, scales, y, h, c, scratch, batch, t, channels, units, sequences, reverse, keep, xZero, yZero, multiplier, shift,
    cellBits, clip,
  )
}

/**
 * The same with gates r, z, n: 3 for 4.
 * @param bu i32 [3 * units], scale of h times that of u
 * @param v i16, as c: h in Q0.15
 * @param scratch i16: channels + 4 * units, each rounded up to 8
 * @param multiplier, shift of v
 */
export function gru_i8(
  x: usize, w: usize, b: usize, u: usize, bu: usize, scales: usize, y: usize, h: usize, v: usize, scratch: usize,
  batch: i32, t: i32, channels: i32, units: i32, sequences: i32, reverse: i32, keep: i32, xZero: i32, yZero: i32,
  multiplier: i32, shift: i32,
): void {
  loop(
    GRU, x, w, b, u, bu, scales, y, h, v, scratch, batch, t, channels, units, sequences, reverse, keep, xZero, yZero, multiplier, shift,
    0, 0,
  )
}

/**
 * The same with one gate.
 * @param scratch i16: channels + units, each rounded up to 8
 * @param multiplier, shift of tanh(gate), or of the gate with `relu`
 */
export function simpleRnn_i8(
  x: usize, w: usize, b: usize, u: usize, scales: usize, y: usize, h: usize, scratch: usize,
  batch: i32, t: i32, channels: i32, units: i32, sequences: i32, reverse: i32, keep: i32, xZero: i32, yZero: i32,
  multiplier: i32, shift: i32, relu: i32,
): void {
  loop(
    SIMPLE, x, w, b, u, 0, scales, y, h, 0, scratch, batch, t, channels, units, sequences, reverse, keep, xZero, yZero, multiplier, shift,
    relu, 0,
  )
}

/** `option`: cellBits of an LSTM, relu of a simple layer. */
// @ts-ignore: decorator
@inline
function loop(
  cell: i32, x: usize, w: usize, b: usize, u: usize, bu: usize, scales: usize, y: usize, h: usize, state: usize, scratch: usize,
  batch: i32, t: i32, channels: i32, units: i32, sequences: i32, reverse: i32, keep: i32, xZero: i32, yZero: i32,
  multiplier: i32, shift: i32, option: i32, clip: i32,
): void {
  const gates = cell == LSTM ? 4 : cell == GRU ? 3 : 1
  // Bytes of a row.
  const row = <usize>((units + 7) & -8) << 1
  const wide = <usize>((channels + 7) & -8) << 1
  const rows = scratch + wide
  memory.fill(scratch + (<usize>channels << 1), 0, wide - (<usize>channels << 1))
  for (let i = 0; i < batch; i++) {
    if (!keep) {
      memory.fill(h, 0, row)
      if (cell != SIMPLE) memory.fill(state, 0, row)
    }
    for (let k = 0; k < t; k++) {
      const s = reverse ? t - 1 - k : k
      widen(x + s * channels, scratch, channels, xZero)
      // First x w, then h u on top of it: one piece of code for both.
      let a = scratch
      let m = w
      let bias = b
      let n = channels
      let scale = scales
      for (let part = 0; part < 2; part++) {
        for (let g = 0; g < gates; g++) {
          const apart = cell == GRU && part == 1 && g == 2
          products(a, m, bias, rows + <usize>(g + i32(apart)) * row, units, n, load<i32>(scale), load<i32>(scale, 4), part == 1 && !apart)
          m += units * n
          if (bias) bias += units << 2
          scale += 8
        }
        a = h
        m = u
        bias = bu
        n = units
      }
      if (ASC_FEATURE_SIMD) cells<v128>(cell, rows, row, h, state, units, multiplier, shift, yZero, option, clip)
      else cells<i32>(cell, rows, row, h, state, units, multiplier, shift, yZero, option, clip)
      if (sequences) narrow(h, y + s * units, units, yZero)
    }
    if (!sequences) narrow(h, y, units, yZero)
    x += t * channels
    y += sequences ? t * units : units
    h += row
    state += row
  }
}

/** to[j] = from[j] - zero. */
// @ts-ignore: decorator
@inline
function widen(from: usize, to: usize, n: i32, zero: i32): void {
  let j = 0
  if (ASC_FEATURE_SIMD) {
    for (; j <= n - 8; j += 8) v128.store(to + (j << 1), i16x8.sub(v128.load8x8_s(from + j), i16x8.splat(<i16>zero)))
  }
  for (; j < n; j++) store<i16>(to + (j << 1), <i32>load<i8>(from + j) - zero)
}

/** to[j] = from[j] + zero. */
// @ts-ignore: decorator
@inline
function narrow(from: usize, to: usize, n: i32, zero: i32): void {
  let j = 0
  if (ASC_FEATURE_SIMD) {
    for (; j <= n - 8; j += 8) {
      const v = i16x8.add(v128.load(from + (j << 1)), i16x8.splat(<i16>zero))
      v128.store64_lane(to + j, i8x16.narrow_i16x8_s(v, v), 0)
    }
  }
  for (; j < n; j++) store<i8>(to + j, <i32>load<i16>(from + (j << 1)) + zero)
}

/**
 * y[j] = saturate(scaled(bias[j] + sum x w_j)), or with `onto` the same on top of y[j], for a row of `units`; bias may be 0.
 * @param x i16 [k], 0 behind that up to a multiple of 8
 * @param y i16, of which the builds with SIMD write four at a time
 */
// @ts-ignore: decorator
@inline
function products(
  x: usize, w: usize, bias: usize, y: usize, units: i32, k: i32, multiplier: i32, shift: i32, onto: bool,
): void {
  const left = max(shift, 0)
  const right = max(-shift, 0)
  for (let j = 0; j < units; j += 4) {
    // A unit that does not exist computes the last one again.
    const last = min(units - j, 4) - 1
    const w1 = <usize>(k * min(1, last))
    const w2 = <usize>(k * min(2, last))
    const w3 = <usize>(k * last)
    let p = x
    let q = w + <usize>(j * k)
    const to = y + (<usize>j << 1)
    const at = bias + (<usize>j << 2)
    if (ASC_FEATURE_SIMD) {
      let s0 = i32x4.splat(0)
      let s1 = s0
      let s2 = s0
      let s3 = s0
      for (let n = k; n > 0; n -= 8) {
        const v = v128.load(p)
        s0 = i32x4.add(s0, i32x4.dot_i16x8_s(v, v128.load8x8_s(q)))
        s1 = i32x4.add(s1, i32x4.dot_i16x8_s(v, v128.load8x8_s(q + w1)))
        s2 = i32x4.add(s2, i32x4.dot_i16x8_s(v, v128.load8x8_s(q + w2)))
        s3 = i32x4.add(s3, i32x4.dot_i16x8_s(v, v128.load8x8_s(q + w3)))
        p += 16
        q += 8
      }
      // Sums of the lanes: first 4 vectors into 2, then into 1.
      const s01 = i32x4.add(v128.shuffle<i32>(s0, s1, 0, 4, 1, 5), v128.shuffle<i32>(s0, s1, 2, 6, 3, 7))
      const s23 = i32x4.add(v128.shuffle<i32>(s2, s3, 0, 4, 1, 5), v128.shuffle<i32>(s2, s3, 2, 6, 3, 7))
      let sums = i32x4.add(v128.shuffle<i32>(s01, s23, 0, 1, 4, 5), v128.shuffle<i32>(s01, s23, 2, 3, 6, 7))
      if (bias) sums = i32x4.add(sums, v128.load(at))
      sums = shiftRound4(mulHigh4(i32x4.shl(sums, left), multiplier), right)
      if (onto) sums = i32x4.add(sums, v128.load16x4_s(to))
      v128.store64_lane(to, i16x8.narrow_i32x4_s(sums, sums), 0)
    } else {
      let a0 = 0
      let a1 = 0
      let a2 = 0
      let a3 = 0
      for (let n = k; n > 0; n -= 4) {
        const x0 = <i32>load<i16>(p)
        const x1 = <i32>load<i16>(p, 2)
        const x2 = <i32>load<i16>(p, 4)
        const x3 = <i32>load<i16>(p, 6)
        a0 += dot(q, x0, x1, x2, x3)
        a1 += dot(q + w1, x0, x1, x2, x3)
        a2 += dot(q + w2, x0, x1, x2, x3)
        a3 += dot(q + w3, x0, x1, x2, x3)
        p += 8
        q += 4
      }
      for (let l: usize = 0; l <= <usize>last; l++) {
        const sum = bias ? a0 + load<i32>(at + (l << 2)) : a0
        let v = shiftRound(mulHigh(sum << left, multiplier), right)
        if (onto) v += load<i16>(to + (l << 1))
        store<i16>(to + (l << 1), min(max(v, -32768), 32767))
        a0 = a1
        a1 = a2
        a2 = a3
      }
    }
  }
}

// @ts-ignore: decorator
@inline
function dot(w: usize, x0: i32, x1: i32, x2: i32, x3: i32): i32 {
  return x0 * load<i8>(w) + x1 * load<i8>(w, 1) + (x2 * load<i8>(w, 2) + x3 * load<i8>(w, 3))
}

/** The new states of `units`, from rows of gates. */
// @ts-ignore: decorator
@inline
function cells<T>(
  cell: i32, gates: usize, row: usize, h: usize, state: usize, units: i32, multiplier: i32, shift: i32, yZero: i32, option: i32, clip: i32,
): void {
  const top = clip ? clip : 32767
  const bottom = clip ? -clip : -32768
  for (let j = 0; j < units; ) {
    let v: T
    let w = splat<T>(0)
    if (cell == LSTM) {
      const i = sigmoid<T>(read<T>(gates))
      const f = sigmoid<T>(read<T>(gates + row))
      const g = tanh<T>(read<T>(gates + row * 2), 3)
      const o = sigmoid<T>(read<T>(gates + row * 3))
      const sum = addSaturated<T>(mulShift<T>(f, read<T>(state), 15), mulShift<T>(i, g, 15 + option))
      const c = least<T>(most<T>(sum, splat<T>(bottom)), splat<T>(top))
      write<T>(state, c)
      v = o
      w = tanh<T>(c, option)
    } else if (cell == GRU) {
      const r = sigmoid<T>(read<T>(gates))
      const z = sigmoid<T>(read<T>(gates + row))
      const n = tanh<T>(addSaturated<T>(read<T>(gates + row * 2), mulShift<T>(r, read<T>(gates + row * 3), 15)), 3)
      v = addSaturated<T>(mulShift<T>(z, read<T>(state), 15), mulShift<T>(sub<T>(splat<T>(32767), z), n, 15))
      write<T>(state, v)
    } else {
      const gate = read<T>(gates)
      v = option ? most<T>(gate, splat<T>(0)) : tanh<T>(gate, 3)
    }
    hidden<T>(v, w, cell == LSTM, h, units - j, multiplier, shift, yZero)
    gates += isVector<T>() ? 16 : 2
    state += isVector<T>() ? 16 : 2
    h += isVector<T>() ? 16 : 2
    j += isVector<T>() ? 8 : 1
  }
}

/** h = scaled(v), or scaled(v w), that with its zero point fits into 8 bits; 0 from lane `left` on. */
// @ts-ignore: decorator
@inline
function hidden<T>(v: T, w: T, product: bool, h: usize, left: i32, multiplier: i32, shift: i32, yZero: i32): void {
  const bottom = -128 - yZero
  const top = 127 - yZero
  const up = max(shift, 0)
  const down = max(-shift, 0)
  if (isVector<T>()) {
    const low = product ? i32x4.extmul_low_i16x8_s(v, w) : i32x4.extend_low_i16x8_s(v)
    const high = product ? i32x4.extmul_high_i16x8_s(v, w) : i32x4.extend_high_i16x8_s(v)
    const both = i16x8.narrow_i32x4_s(
      shiftRound4(mulHigh4(i32x4.shl(low, up), multiplier), down),
      shiftRound4(mulHigh4(i32x4.shl(high, up), multiplier), down),
    )
    const inside = i16x8.lt_s(i16x8(0, 1, 2, 3, 4, 5, 6, 7), i16x8.splat(<i16>min(left, 8)))
    v128.store(h, v128.and(i16x8.min_s(i16x8.max_s(both, i16x8.splat(<i16>bottom)), i16x8.splat(<i16>top)), inside))
  } else {
    const scaled = shiftRound(mulHigh((product ? v * w : v) << up, multiplier), down)
    store<i16>(h, min(max(scaled, bottom), top))
  }
}
