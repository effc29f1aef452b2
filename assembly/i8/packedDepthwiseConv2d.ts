// Depthwise 2-D convolution in int8 on packed weights: the same result as depthwiseConv2d_i8. 8 output channels at a time; taps that
// stand one above the other are one step of a panel, two or four of them. For that the rows of the image are laid out in lines:
// line r holds for each column the values of rows r, r + dh (r + 2 dh, r + 3 dh), interleaved, as the products of a step want
// them and with the padding made real. The lines of a block of output rows are laid at once, and its positions go by in tiles of
// four, from one row into the next.

import { begin, beginPanel, finish, finish1x8, finish4x8, TILE } from './finish'
import { fourProducts, grid, HEAD, panelBytes } from './panel'
import { products } from './tile'

/**
 * y[b][oy][ox][o] = clamp(yZero + scale_o * (bias[o] + sum (x - xZero) * w[ky][kx][o])), as depthwiseConv2d_i8.
 *
 * x        i8 [batch][ih][iw][ic]; oc is a multiple of ic
 * b        packed by pack_i8: oc channels, kw segments of kh
 * y        i8 [batch][oh][ow][oc]
 * scratch  240 bytes; kw * ((kh + 1) >> 1) + block * ow words, rounded up to 4;
 *          then (block - 1) * sh + ((kh - 1) >> 1) * 2 * dh + 1 lines of ((ow - 1) * sw + (kw - 1) * dw + 1) * 32 bytes
 * block    output rows whose lines are laid at once
 * Zero points, lo and hi in [-128, 127].
 */
export function packedDepthwiseConv2d_i8(
  x: usize, b: usize, y: usize, scratch: usize, block: i32,
  batch: i32, ih: i32, iw: i32, ic: i32, oh: i32, ow: i32, oc: i32, kh: i32, kw: i32, sh: i32, sw: i32, dh: i32, dw: i32,
  pt: i32, pl: i32, xZero: i32, yZero: i32, lo: i32, hi: i32,
): void {
  begin(scratch, yZero, lo, hi)
  if (ASC_FEATURE_RELAXED_SIMD && fourProducts()) {
    convolve(x, b, y, scratch, block, batch, ih, iw, ic, oh, ow, oc, kh, kw, sh, sw, dh, dw, pt, pl, xZero, yZero, lo, hi, true)
  } else convolve(x, b, y, scratch, block, batch, ih, iw, ic, oh, ow, oc, kh, kw, sh, sw, dh, dw, pt, pl, xZero, yZero, lo, hi, false)
}

// @ts-ignore: decorator
@inline
function convolve(
  x: usize, b: usize, y: usize, scratch: usize, block: i32,
  batch: i32, ih: i32, iw: i32, ic: i32, oh: i32, ow: i32, oc: i32, kh: i32, kw: i32, sh: i32, sw: i32, dh: i32, dw: i32,
  pt: i32, pl: i32, xZero: i32, yZero: i32, lo: i32, hi: i32, four: bool,
): void {
  const depth = oc / ic
  const pw = (ow - 1) * sw + (kw - 1) * dw + 1
  const lineBytes = pw << 5
  const rowBytes = iw * ic
  // A step is 1 << log taps, `columnSteps` stand one above the other.
  const log = four ? 2 : 1
  const columnSteps = (kh + (1 << log) - 1) >> log
  const reach = ((columnSteps - 1) * dh) << log
  const steps = kw * columnSteps
  const panel = panelBytes(steps)
  const columns = min(iw, pw - pl)
  // Rows outside the image are read from here.
  const outside = scratch + TILE
  memory.fill(outside, <u8>xZero, 16)
  // Where the steps of a window lie, and where the windows begin.
  const offsets = outside + 16
  const starts = offsets + (steps << 2)
  const lines = (starts + (block * ow << 2) + 15) & -16
  grid(offsets, kw, dw << 5, columnSteps, (dh << log) * lineBytes)
  grid(starts, block, sh * lineBytes, ow, sw << 5)
  // In the lines, columns outside the image stay as they are made now.
  if (columns < pw) memory.fill(lines, <u8>(four ? 128 + xZero : 0), ((block - 1) * sh + reach + 1) * lineBytes)
  for (let i = 0; i < batch; i++) {
    let w = b
    for (let o = 0; o < oc; o += 8) {
      const width = min(8, oc - o)
      const start = four ? beginPanel(w, scratch, xZero) : w
      for (let from = 0; from < oh; from += block) {
        const rows = min(block, oh - from)
        // Steps are an even number of rows apart: with even strides no window reads every second line.
        for (let r = 0; r <= (rows - 1) * sh + reach; r += 2 - (sh & 1)) {
          const first = from * sh + r - pt
          const at = lines + (r * lineBytes + (pl << 5))
          if (ASC_FEATURE_SIMD && depth == 1) {
            if (four) layFours(x, first, dh, ih, rowBytes, o, ic, outside, at, columns)
            else layPairs(x, first, dh, ih, rowBytes, o, ic, outside, at, columns, xZero)
          } else {
            for (let t = 0; t < 1 << log; t++) lay(x, first + t * dh, ih, rowBytes, o, ic, depth, width, at + (t << (2 - log)), columns, xZero, four)
          }
        }
        const positions = rows * ow
        const base = y + (from * ow * oc + o)
        let p = 0
        if (ASC_FEATURE_SIMD) {
          // A single position that is left over, or any where there are not 4, goes alone.
          for (; positions >= 4 && p < positions - 1; p += 4) {
            // The last tile ends where the positions end: it may do some of them again.
            const at = min(p, positions - 4)
            const s = starts + (at << 2)
            const to = base + at * oc
            tile4x8(
              lines + load<u32>(s), lines + load<u32>(s, 4), lines + load<u32>(s, 8), lines + load<u32>(s, 12),
              steps, offsets, start, w, scratch, to, oc, width, yZero, lo, hi, four,
            )
          }
        }
        for (; p < positions; p++) {
          const a = lines + load<u32>(starts + (p << 2))
          const to = base + p * oc
          let t = w + HEAD
          if (ASC_FEATURE_SIMD) {
            let v0 = v128.load(start)
            let v1 = v128.load(start, 16)
            for (let s = 0; s < steps; s++) {
              const q = a + load<u32>(offsets + (s << 2))
              v0 = products(v128.load(q), v128.load(t), v0, four)
              v1 = products(v128.load(q, 16), v128.load(t, 16), v1, four)
              t += 32
            }
            finish1x8(v0, v1, w, scratch, to, width, yZero, lo, hi)
          } else {
            memory.copy(scratch, w, 32)
            for (let s = 0; s < steps; s++) {
              const q = a + load<u32>(offsets + (s << 2))
              for (let l = 0; l < width << 2; l += 4) {
                const sum = <i32>load<i16>(t + l) * load<i16>(q + l) + <i32>load<i16>(t + l, 2) * load<i16>(q + l, 2)
                store<i32>(scratch + l, load<i32>(scratch + l) + sum)
              }
              t += 32
            }
            finish(scratch, w, to, oc, 1, width, yZero, lo, hi)
          }
        }
      }
      w += panel
    }
    x += ih * rowBytes
    y += oh * ow * oc
  }
}

/** y[i][0..8) = the requantized start + sum over steps of the values at a_i, channel by channel, i < 4. */
// @ts-ignore: decorator
@inline
function tile4x8(
  a0: usize, a1: usize, a2: usize, a3: usize, steps: i32, offsets: usize, start: usize, panel: usize, sums: usize,
  y: usize, yStep: i32, width: i32, yZero: i32, lo: i32, hi: i32, four: bool,
): void {
  let v00 = v128.load(start)
  let v01 = v128.load(start, 16)
  let v10 = v00
  let v11 = v01
  let v20 = v00
  let v21 = v01
  let v30 = v00
  let v31 = v01
  let p = panel + HEAD
  for (let s = 0; s < steps; s++) {
    const at = load<u32>(offsets + (s << 2))
    const w0 = v128.load(p)
    const w1 = v128.load(p, 16)
    p += 32
    const p0 = a0 + at
    v00 = products(v128.load(p0), w0, v00, four)
    v01 = products(v128.load(p0, 16), w1, v01, four)
    const p1 = a1 + at
    v10 = products(v128.load(p1), w0, v10, four)
    v11 = products(v128.load(p1, 16), w1, v11, four)
    const p2 = a2 + at
    v20 = products(v128.load(p2), w0, v20, four)
    v21 = products(v128.load(p2, 16), w1, v21, four)
    const p3 = a3 + at
    v30 = products(v128.load(p3), w0, v30, four)
    v31 = products(v128.load(p3, 16), w1, v31, four)
  }
  finish4x8(v00, v01, v10, v11, v20, v21, v30, v31, panel, sums, y, y + (yStep << 1), yStep, 2, 2, width, yZero, lo, hi)
}

/** A line of `width` channels: the row of one tap, whatever the depth. */
// @ts-ignore: decorator
@inline
function lay(
  x: usize, row: i32, ih: i32, rowBytes: i32, o: i32, ic: i32, depth: i32, width: i32, to: usize, columns: i32, xZero: i32, four: bool,
): void {
  const exists = <u32>row < <u32>ih
  let p = x + <usize>(exists ? row * rowBytes : 0)
  for (let c = 0; c < columns; c++) {
    for (let l = 0; l < width; l++) {
      const v = exists ? <i32>load<i8>(p + (o + l) / depth) : xZero
      if (four) store<u8>(to + (l << 2), v + 128)
      else store<i16>(to + (l << 2), v - xZero)
    }
    p += ic
    to += 32
  }
}

/** Where channel o of a row begins: rows that do not exist are read from `outside`, without going on. */
// @ts-ignore: decorator
@inline
function rowAt(x: usize, row: i32, ih: i32, rowBytes: i32, o: i32, outside: usize): usize {
  return <u32>row < <u32>ih ? x + <usize>(row * rowBytes + o) : outside
}

/** A line of 8 channels, two rows as i16 without their zero point. */
// @ts-ignore: decorator
@inline
function layPairs(
  x: usize, first: i32, dh: i32, ih: i32, rowBytes: i32, o: i32, ic: i32, outside: usize, to: usize, columns: i32, xZero: i32,
): void {
  const zero = i16x8.splat(<i16>xZero)
  let p0 = rowAt(x, first, ih, rowBytes, o, outside)
  let p1 = rowAt(x, first + dh, ih, rowBytes, o, outside)
  const step0 = p0 == outside ? 0 : ic
  const step1 = p1 == outside ? 0 : ic
  for (let c = 0; c < columns; c++) {
    const u = i16x8.sub(v128.load8x8_s(p0), zero)
    const v = i16x8.sub(v128.load8x8_s(p1), zero)
    v128.store(to, v128.shuffle<i16>(u, v, 0, 8, 1, 9, 2, 10, 3, 11))
    v128.store(to, v128.shuffle<i16>(u, v, 4, 12, 5, 13, 6, 14, 7, 15), 16)
    p0 += step0
    p1 += step1
    to += 32
  }
}

/** A line of 8 channels, four rows as u8, 128 added. */
// @ts-ignore: decorator
@inline
function layFours(
  x: usize, first: i32, dh: i32, ih: i32, rowBytes: i32, o: i32, ic: i32, outside: usize, to: usize, columns: i32,
): void {
  const sign = i8x16.splat(-128)
  let p0 = rowAt(x, first, ih, rowBytes, o, outside)
  let p1 = rowAt(x, first + dh, ih, rowBytes, o, outside)
  let p2 = rowAt(x, first + 2 * dh, ih, rowBytes, o, outside)
  let p3 = rowAt(x, first + 3 * dh, ih, rowBytes, o, outside)
  const step0 = p0 == outside ? 0 : ic
  const step1 = p1 == outside ? 0 : ic
  const step2 = p2 == outside ? 0 : ic
  const step3 = p3 == outside ? 0 : ic
  for (let c = 0; c < columns; c++) {
    const u = interleave(v128.load64_zero(p0), v128.load64_zero(p1))
    const v = interleave(v128.load64_zero(p2), v128.load64_zero(p3))
    v128.store(to, v128.xor(v128.shuffle<i16>(u, v, 0, 8, 1, 9, 2, 10, 3, 11), sign))
    v128.store(to, v128.xor(v128.shuffle<i16>(u, v, 4, 12, 5, 13, 6, 14, 7, 15), sign), 16)
    p0 += step0
    p1 += step1
    p2 += step2
    p3 += step3
    to += 32
  }
}

// @ts-ignore: decorator
@inline
function interleave(a: v128, b: v128): v128 {
  return v128.shuffle<i8>(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23)
}
