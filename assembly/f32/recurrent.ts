// Recurrent layers: the loop over the steps of a sequence, forward and back. What needs no state is done before and after it, for all
// steps at once, by matrix products (src/ops/recurrent.ts): the projection of x before, the gradients of weights and x after.
// A step is a product with the recurrent weights, then the cell, element by element, for each sample. The three layers share the
// loops; `cell` is a constant where they are inlined, so each kernel has the code of its own cell only.
//
// Buffers, with g gates of `units` each (simple 1; LSTM i, f, g, o; GRU r, z, n):
//   gates  [batch][t][g * units]  before: x w^T + b; after: the gates after their activations; the backward leaves their gradients
//   mask   [batch][t] or 0: where it is 0 the step is skipped, the state carried over, and the output is the state
//   y      [batch][t][units] with `sequences`, else [batch][units]: the state after the last step
//   h, c   [batch][units] the state: before the first step, then after the last
//   hs, cs [batch][t][units] or 0: the state before each step, which the backward needs; hs of GRU [t][batch][units]
//   q      [batch][g * units]: h u^T and its bias, of one step; of GRU, beside hs, of all: [t][batch][3 * units]
// Where the samples are a range of the batch, `stride` of GRU has the samples from one step of hs and q to the next.
// A product writes rows that lie together: with those of `gates`, t steps apart, it would fight over few sets of the cache.
// With `reverse` the steps run from the last to the first. Vectors run over units: their sums are those of the scalar build.

import { gemm } from './gemm'
import { sigmoid1, sigmoid4, tanh1, tanh4 } from './math'
import { storeLanes } from './tile'

const SIMPLE = 0
const LSTM = 1
const GRU = 2

/** The steps of a simple layer: h = act(gates + h u^T). u packed by pack_f32, as `u` of all forward kernels; act: tanh, or relu. */
export function simpleRnn_f32(
  gates: usize, mask: usize, u: usize, y: usize, h: usize, hs: usize, q: usize,
  batch: i32, t: i32, units: i32, sequences: i32, reverse: i32, relu: i32,
): void {
  forward(SIMPLE, gates, mask, u, y, h, 0, hs, 0, q, batch, t, units, sequences, reverse, relu, 0, Infinity)
}

/**
 * c = f c + i g, in [-clip, clip]; h = o tanh c (Hochreiter and Schmidhuber 1997, with the forget gate of Gers et al. 2000).
 * @param clip Infinity for none
 */
export function lstm_f32(
  gates: usize, mask: usize, u: usize, y: usize, h: usize, c: usize, hs: usize, cs: usize, q: usize,
  batch: i32, t: i32, units: i32, sequences: i32, reverse: i32, clip: f32,
): void {
  forward(LSTM, gates, mask, u, y, h, c, hs, cs, q, batch, t, units, sequences, reverse, 0, 0, clip)
}

/** n = tanh(gates_n + r q_n); h = (1 - z) n + z h (Cho et al. 2014, the reset after the product as in cuDNN). u packed with its bias. */
export function gru_f32(
  gates: usize, mask: usize, u: usize, y: usize, h: usize, hs: usize, q: usize,
  batch: i32, t: i32, units: i32, sequences: i32, reverse: i32, stride: i32,
): void {
  forward(GRU, gates, mask, u, y, h, 0, hs, 0, q, batch, t, units, sequences, reverse, 0, stride, Infinity)
}

/**
 * The steps back: gates become the gradients of x w^T + b; dh, and dc of an LSTM, go from the gradient of the state after the last step
 * to that of the state before the first. Of `_dx` kernels u is the transposed weights, packed: column j, row i is u[i][j].
 */
export function simpleRnn_f32_dx(
  gates: usize, mask: usize, u: usize, dy: usize, dh: usize,
  batch: i32, t: i32, units: i32, sequences: i32, reverse: i32, relu: i32,
): void {
  backward(SIMPLE, gates, mask, u, 0, 0, dy, dh, 0, 0, batch, t, units, sequences, reverse, relu, 0, Infinity)
}

export function lstm_f32_dx(
  gates: usize, mask: usize, u: usize, cs: usize, dy: usize, dh: usize, dc: usize,
  batch: i32, t: i32, units: i32, sequences: i32, reverse: i32, clip: f32,
): void {
  backward(LSTM, gates, mask, u, 0, cs, dy, dh, dc, 0, batch, t, units, sequences, reverse, 0, 0, clip)
}

/** The same; q becomes the gradient of h u^T + its bias. */
export function gru_f32_dx(
  gates: usize, mask: usize, u: usize, hs: usize, dy: usize, dh: usize, q: usize,
  batch: i32, t: i32, units: i32, sequences: i32, reverse: i32, stride: i32,
): void {
  backward(GRU, gates, mask, u, hs, 0, dy, dh, 0, q, batch, t, units, sequences, reverse, 0, stride, Infinity)
}

// @ts-ignore: decorator
@inline
function forward(
  cell: i32, gates: usize, mask: usize, u: usize, y: usize, h: usize, c: usize, hs: usize, cs: usize, q: usize,
  batch: i32, t: i32, units: i32, sequences: i32, reverse: i32, relu: i32, stride: i32, clip: f32,
): void {
  const row = <usize>units << 2
  const columns = (cell == LSTM ? 4 : cell == GRU ? 3 : 1) * units
  const width = <usize>columns << 2
  const sample = <usize>t * width
  for (let k = 0; k < t; k++) {
    const s = <usize>(reverse ? t - 1 - k : k)
    let p = gates + s * width
    let r = cell == GRU && hs ? q + s * <usize>stride * width : q
    gemm(h, u, r, batch, columns, units, row, width, -Infinity, Infinity, false, false)
    for (let i: usize = 0; i < <usize>batch; i++) {
      const at = i * t + s
      const hi = h + i * row
      const ci = c + i * row
      const yi = y + (sequences ? at : i) * row
      if (hs) memory.copy(hs + (cell == GRU ? s * stride + i : at) * row, hi, row)
      if (cell == LSTM) if (cs) memory.copy(cs + at * row, ci, row)
      if (mask && load<f32>(mask + (at << 2)) == 0) memory.copy(yi, hi, row)
      else if (cell == SIMPLE) simple(p, r, hi, yi, units, relu)
      else if (cell == LSTM) lstm(p, r, hi, ci, yi, units, clip)
      else gru(p, r, hi, yi, units)
      p += sample
      r += width
    }
  }
}

// @ts-ignore: decorator
@inline
function backward(
  cell: i32, gates: usize, mask: usize, u: usize, hs: usize, cs: usize, dy: usize, dh: usize, dc: usize, q: usize,
  batch: i32, t: i32, units: i32, sequences: i32, reverse: i32, relu: i32, stride: i32, clip: f32,
): void {
  const row = <usize>units << 2
  const columns = (cell == LSTM ? 4 : cell == GRU ? 3 : 1) * units
  const width = <usize>columns << 2
  const sample = <usize>t * width
  for (let k = t - 1; k >= 0; k--) {
    const s = <usize>(reverse ? t - 1 - k : k)
    let p = gates + s * width
    const step = cell == GRU ? q + s * <usize>stride * width : p
    let r = step
    for (let i: usize = 0; i < <usize>batch; i++) {
      const at = i * t + s
      const dhi = dh + i * row
      if (sequences || k == t - 1) accumulate(dy + (sequences ? at : i) * row, dhi, row)
      // The cell leaves in dh what goes round the product: the product adds the rest.
      if (mask && load<f32>(mask + (at << 2)) == 0) {
        memory.fill(p, 0, width)
        if (cell == GRU) memory.fill(r, 0, width)
      } else if (cell == SIMPLE) simple_dx(p, dhi, units, relu)
      else if (cell == LSTM) lstm_dx(p, cs + at * row, dhi, dc + i * row, units, clip)
      else gru_dx(p, r, hs + (s * stride + i) * row, dhi, units)
      p += sample
      r += width
    }
    gemm(step, u, dh, batch, units, columns, cell == GRU ? width : sample, row, -Infinity, Infinity, true, false)
  }
}

// @ts-ignore: decorator
@inline
function accumulate(x: usize, y: usize, bytes: usize): void {
  if (ASC_FEATURE_SIMD) {
    for (let j: usize = 0; j < bytes; j += 16) {
      storeLanes(y + j, f32x4.add(v128.load(y + j), v128.load(x + j)), <i32>((bytes - j) >> 2))
    }
  } else {
    for (let j: usize = 0; j < bytes; j += 4) store<f32>(y + j, load<f32>(y + j) + load<f32>(x + j))
  }
}

// The cells, for one sample: p, r are its row of gates and of q, the others its rows of states. Vectors read up to three lanes of what
// follows a row, and store the row's only.

// @ts-ignore: decorator
@inline
function simple(p: usize, r: usize, h: usize, y: usize, units: i32, relu: i32): void {
  if (ASC_FEATURE_SIMD) {
    for (let j = 0; j < units; j += 4) {
      const at = <usize>j << 2
      const x = f32x4.add(v128.load(p + at), v128.load(r + at))
      const v = relu ? f32x4.max(x, f32x4.splat(0)) : tanh4(x)
      storeLanes(p + at, v, units - j)
      storeLanes(h + at, v, units - j)
      storeLanes(y + at, v, units - j)
    }
  } else {
    for (let j = 0; j < units; j++) {
      const at = <usize>j << 2
      const x = load<f32>(p + at) + load<f32>(r + at)
      const v = relu ? max<f32>(x, 0) : tanh1(x)
      store<f32>(p + at, v)
      store<f32>(h + at, v)
      store<f32>(y + at, v)
    }
  }
}

// @ts-ignore: decorator
@inline
function simple_dx(p: usize, dh: usize, units: i32, relu: i32): void {
  if (ASC_FEATURE_SIMD) {
    for (let j = 0; j < units; j += 4) {
      const at = <usize>j << 2
      const v = v128.load(p + at)
      const d = v128.load(dh + at)
      const live = v128.and(d, f32x4.gt(v, f32x4.splat(0)))
      storeLanes(p + at, relu ? live : f32x4.mul(d, f32x4.sub(f32x4.splat(1), f32x4.mul(v, v))), units - j)
    }
  } else {
    for (let j = 0; j < units; j++) {
      const at = <usize>j << 2
      const v = load<f32>(p + at)
      const d = load<f32>(dh + at)
      store<f32>(p + at, relu ? (v > 0 ? d : 0) : d * (1 - v * v))
    }
  }
  memory.fill(dh, 0, <usize>units << 2)
}

// @ts-ignore: decorator
@inline
function lstm(p: usize, r: usize, h: usize, c: usize, y: usize, units: i32, clip: f32): void {
  const row = <usize>units << 2
  for (let j = 0; j < units; ) {
    const at = <usize>j << 2
    const pi = p + at
    const pf = pi + row
    const pg = pf + row
    const po = pg + row
    const ri = r + at
    const rf = ri + row
    const rg = rf + row
    const ro = rg + row
    if (ASC_FEATURE_SIMD) {
      const left = units - j
      const i = sigmoid4(f32x4.add(v128.load(pi), v128.load(ri)))
      const f = sigmoid4(f32x4.add(v128.load(pf), v128.load(rf)))
      const g = tanh4(f32x4.add(v128.load(pg), v128.load(rg)))
      const o = sigmoid4(f32x4.add(v128.load(po), v128.load(ro)))
      const sum = f32x4.add(f32x4.mul(f, v128.load(c + at)), f32x4.mul(i, g))
      const cell = f32x4.min(f32x4.max(sum, f32x4.splat(-clip)), f32x4.splat(clip))
      const v = f32x4.mul(o, tanh4(cell))
      storeLanes(pi, i, left)
      storeLanes(pf, f, left)
      storeLanes(pg, g, left)
      storeLanes(po, o, left)
      storeLanes(c + at, cell, left)
      storeLanes(h + at, v, left)
      storeLanes(y + at, v, left)
      j += 4
    } else {
      const i = sigmoid1(load<f32>(pi) + load<f32>(ri))
      const f = sigmoid1(load<f32>(pf) + load<f32>(rf))
      const g = tanh1(load<f32>(pg) + load<f32>(rg))
      const o = sigmoid1(load<f32>(po) + load<f32>(ro))
      const cell = min<f32>(max<f32>(f * load<f32>(c + at) + i * g, -clip), clip)
      const v = o * tanh1(cell)
      store<f32>(pi, i)
      store<f32>(pf, f)
      store<f32>(pg, g)
      store<f32>(po, o)
      store<f32>(c + at, cell)
      store<f32>(h + at, v)
      store<f32>(y + at, v)
      j++
    }
  }
}

/** c  the cells before the step */
// @ts-ignore: decorator
@inline
function lstm_dx(p: usize, c: usize, dh: usize, dc: usize, units: i32, clip: f32): void {
  const row = <usize>units << 2
  for (let j = 0; j < units; ) {
    const at = <usize>j << 2
    const pi = p + at
    const pf = pi + row
    const pg = pf + row
    const po = pg + row
    if (ASC_FEATURE_SIMD) {
      const left = units - j
      const one = f32x4.splat(1)
      const i = v128.load(pi)
      const f = v128.load(pf)
      const g = v128.load(pg)
      const o = v128.load(po)
      const before = v128.load(c + at)
      const sum = f32x4.add(f32x4.mul(f, before), f32x4.mul(i, g))
      const inside = f32x4.lt(f32x4.abs(sum), f32x4.splat(clip))
      const v = tanh4(f32x4.min(f32x4.max(sum, f32x4.splat(-clip)), f32x4.splat(clip)))
      const d = v128.load(dh + at)
      const all = f32x4.add(v128.load(dc + at), f32x4.mul(f32x4.mul(d, o), f32x4.sub(one, f32x4.mul(v, v))))
      const e = v128.and(all, inside)
      storeLanes(pi, f32x4.mul(f32x4.mul(e, g), f32x4.mul(i, f32x4.sub(one, i))), left)
      storeLanes(pf, f32x4.mul(f32x4.mul(e, before), f32x4.mul(f, f32x4.sub(one, f))), left)
      storeLanes(pg, f32x4.mul(f32x4.mul(e, i), f32x4.sub(one, f32x4.mul(g, g))), left)
      storeLanes(po, f32x4.mul(f32x4.mul(d, v), f32x4.mul(o, f32x4.sub(one, o))), left)
      storeLanes(dc + at, f32x4.mul(e, f), left)
      j += 4
    } else {
      const i = load<f32>(pi)
      const f = load<f32>(pf)
      const g = load<f32>(pg)
      const o = load<f32>(po)
      const before = load<f32>(c + at)
      const sum = f * before + i * g
      const v = tanh1(min<f32>(max<f32>(sum, -clip), clip))
      const d = load<f32>(dh + at)
      const e = abs<f32>(sum) < clip ? load<f32>(dc + at) + d * o * (1 - v * v) : 0
      store<f32>(pi, e * g * (i * (1 - i)))
      store<f32>(pf, e * before * (f * (1 - f)))
      store<f32>(pg, e * i * (1 - g * g))
      store<f32>(po, d * v * (o * (1 - o)))
      store<f32>(dc + at, e * f)
      j++
    }
  }
  memory.fill(dh, 0, row)
}

// @ts-ignore: decorator
@inline
function gru(p: usize, q: usize, h: usize, y: usize, units: i32): void {
  const row = <usize>units << 2
  for (let j = 0; j < units; ) {
    const at = <usize>j << 2
    const pr = p + at
    const pz = pr + row
    const pn = pz + row
    const qr = q + at
    const qz = qr + row
    const qn = qz + row
    if (ASC_FEATURE_SIMD) {
      const left = units - j
      const r = sigmoid4(f32x4.add(v128.load(pr), v128.load(qr)))
      const z = sigmoid4(f32x4.add(v128.load(pz), v128.load(qz)))
      const n = tanh4(f32x4.add(v128.load(pn), f32x4.mul(r, v128.load(qn))))
      const v = f32x4.add(f32x4.mul(f32x4.sub(f32x4.splat(1), z), n), f32x4.mul(z, v128.load(h + at)))
      storeLanes(pr, r, left)
      storeLanes(pz, z, left)
      storeLanes(pn, n, left)
      storeLanes(h + at, v, left)
      storeLanes(y + at, v, left)
      j += 4
    } else {
      const r = sigmoid1(load<f32>(pr) + load<f32>(qr))
      const z = sigmoid1(load<f32>(pz) + load<f32>(qz))
      const n = tanh1(load<f32>(pn) + r * load<f32>(qn))
      const v = (<f32>1 - z) * n + z * load<f32>(h + at)
      store<f32>(pr, r)
      store<f32>(pz, z)
      store<f32>(pn, n)
      store<f32>(h + at, v)
      store<f32>(y + at, v)
      j++
    }
  }
}

/** h  the state before the step */
// @ts-ignore: decorator
@inline
function gru_dx(p: usize, q: usize, h: usize, dh: usize, units: i32): void {
  const row = <usize>units << 2
  for (let j = 0; j < units; ) {
    const at = <usize>j << 2
    const pr = p + at
    const pz = pr + row
    const pn = pz + row
    const qr = q + at
    const qz = qr + row
    const qn = qz + row
    if (ASC_FEATURE_SIMD) {
      const left = units - j
      const one = f32x4.splat(1)
      const r = v128.load(pr)
      const z = v128.load(pz)
      const n = v128.load(pn)
      const d = v128.load(dh + at)
      const keep = f32x4.sub(one, z)
      const dn = f32x4.mul(f32x4.mul(d, keep), f32x4.sub(one, f32x4.mul(n, n)))
      const dz = f32x4.mul(f32x4.mul(d, f32x4.sub(v128.load(h + at), n)), f32x4.mul(z, keep))
      const dr = f32x4.mul(f32x4.mul(dn, v128.load(qn)), f32x4.mul(r, f32x4.sub(one, r)))
      storeLanes(pr, dr, left)
      storeLanes(pz, dz, left)
      storeLanes(pn, dn, left)
      storeLanes(qr, dr, left)
      storeLanes(qz, dz, left)
      storeLanes(qn, f32x4.mul(dn, r), left)
      storeLanes(dh + at, f32x4.mul(d, z), left)
      j += 4
    } else {
      const r = load<f32>(pr)
      const z = load<f32>(pz)
      const n = load<f32>(pn)
      const d = load<f32>(dh + at)
      const keep = <f32>1 - z
      const dn = d * keep * (1 - n * n)
      const dz = d * (load<f32>(h + at) - n) * (z * keep)
      const dr = dn * load<f32>(qn) * (r * (1 - r))
      store<f32>(pr, dr)
      store<f32>(pz, dz)
      store<f32>(pn, dn)
      store<f32>(qr, dr)
      store<f32>(qz, dz)
      store<f32>(qn, dn * r)
      store<f32>(dh + at, d * z)
      j++
    }
  }
}
