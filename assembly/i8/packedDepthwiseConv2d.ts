// Depthwise 2-D convolution in int8 on packed weights: the same result as depthwiseConv2d_i8. 8 output channels at a time; taps that
// stand one above the other are one step of a panel, two or four of them. For that the rows of the image are laid out in lines:
// line r holds for each column the values of rows r, r + dh (r + 2 dh, r + 3 dh), interleaved, as the products of a step want
// them and with the padding made real. Only the lines that the current output row reads are kept, in a ring.

import { begin, beginPanel, finish, finish4x8, fourProducts, HEAD, panelBytes, products, TILE } from './panel'

/**
 * y[b][oy][ox][o] = clamp(yZero + scale_o * (bias[o] + sum (x - xZero) * w[ky][kx][o])), as depthwiseConv2d_i8.
 *
 * x        i8 [batch][ih][iw][ic]; oc is a multiple of ic
 * b        packed by pack_i8: oc channels, kw segments of kh
 * y        i8 [batch][oh][ow][oc]
 * scratch  240 bytes, then (((kh - 1) >> 1) * 2 * dh + 1) lines of ((ow - 1) * sw + (kw - 1) * dw + 1) * 32 bytes
 * Zero points, lo and hi in [-128, 127].
 */
export function packedDepthwiseConv2d_i8(
  x: usize, b: usize, y: usize, scratch: usize,
  batch: i32, ih: i32, iw: i32, ic: i32, oh: i32, ow: i32, oc: i32, kh: i32, kw: i32, sh: i32, sw: i32, dh: i32, dw: i32,
  pt: i32, pl: i32, xZero: i32, yZero: i32, lo: i32, hi: i32,
): void {
  begin(scratch, yZero, lo, hi)
  if (ASC_FEATURE_RELAXED_SIMD && fourProducts()) {
    convolve(x, b, y, scratch, batch, ih, iw, ic, oh, ow, oc, kh, kw, sh, sw, dh, dw, pt, pl, xZero, yZero, lo, hi, true)
  } else convolve(x, b, y, scratch, batch, ih, iw, ic, oh, ow, oc, kh, kw, sh, sw, dh, dw, pt, pl, xZero, yZero, lo, hi, false)
}

// @ts-ignore: decorator
@inline
function convolve(
  x: usize, b: usize, y: usize, scratch: usize,
  batch: i32, ih: i32, iw: i32, ic: i32, oh: i32, ow: i32, oc: i32, kh: i32, kw: i32, sh: i32, sw: i32, dh: i32, dw: i32,
  pt: i32, pl: i32, xZero: i32, yZero: i32, lo: i32, hi: i32, four: bool,
): void {
  const depth = oc / ic
  const pw = (ow - 1) * sw + (kw - 1) * dw + 1
  const outside = scratch + TILE
  const lines = outside + 16
  const lineBytes = pw << 5
  // A step is 1 << log taps.
  const log = four ? 2 : 1
  const steps = (kh + (1 << log) - 1) >> log
  const reach = ((steps - 1) * dh) << log
  const ring = (reach + 1) * lineBytes
  const step = (dh << log) * lineBytes
  const panel = panelBytes(kw * steps)
  const columnBytes = dw << 5
  const pixelBytes = sw << 5
  const columns = min(pw - pl, iw)
  // Rows outside the image are read from here. In the lines, columns outside stay as they are made now.
  memory.fill(outside, <u8>xZero, 16)
  memory.fill(lines, <u8>(four ? 128 + xZero : 0), ring)
  for (let i = 0; i < batch; i++) {
    let w = b
    for (let o = 0; o < oc; o += 8) {
      const width = min(8, oc - o)
      const start = four ? beginPanel(w, scratch, xZero) : w
      let row = 0
      let slot = 0
      let to = y + o
      for (let oy = 0; oy < oh; oy++) {
        const top = oy * sh
        // The lines that this row reads and that are not there yet. `slot` is where in the ring line `row` goes. Steps are an even number
        // of rows apart: with even strides no output row reads every second line.
        while (row <= top + reach) {
          if (row >= top && !((row - top) & ~sh & 1)) {
            const at = lines + slot + (pl << 5)
            const first = row - pt
            if (ASC_FEATURE_SIMD && depth == 1) {
              if (four) layFours(x, first, dh, ih, iw * ic, o, ic, outside, at, columns)
              else layPairs(x, first, dh, ih, iw * ic, o, ic, outside, at, columns, xZero)
            } else {
              for (let t = 0; t < 1 << log; t++) {
                const r = first + t * dh
                const exists = <u32>r < <u32>ih
                let p = x + <usize>(exists ? r * iw * ic : 0)
                let q = at + (t << (2 - log))
                for (let c = 0; c < columns; c++) {
                  for (let l = 0; l < width; l++) {
                    const v = exists ? <i32>load<i8>(p + (o + l) / depth) : xZero
                    if (four) store<u8>(q + (l << 2), v + 128)
                    else store<i16>(q + (l << 2), v - xZero)
                  }
                  p += ic
                  q += 32
                }
              }
            }
          }
          row++
          slot += lineBytes
          if (slot == ring) slot = 0
        }
        // The line after the newest is the oldest: the one of the first taps.
        let ox = 0
        let a = lines + slot
        if (ASC_FEATURE_SIMD && kh == 3 && kw == 3) {
          const next = slot + step
          let below0 = lines + (next >= ring ? next - ring : next)
          for (; ox <= ow - 4; ox += 4) {
            const a1 = a + pixelBytes
            const a2 = a1 + pixelBytes
            const a3 = a2 + pixelBytes
            const below1 = below0 + pixelBytes
            const below2 = below1 + pixelBytes
            const below3 = below2 + pixelBytes
            const start0 = v128.load(start)
            const w00 = v128.load(w, HEAD + 0)
            const w01 = v128.load(w, HEAD + 32)
            const w02 = v128.load(w, HEAD + 64)
            const w03 = four ? w00 : v128.load(w, HEAD + 96)
            const w04 = four ? w00 : v128.load(w, HEAD + 128)
            const w05 = four ? w00 : v128.load(w, HEAD + 160)
            const v00 = taps3x3(a, below0, columnBytes, start0, w00, w01, w02, w03, w04, w05, four)
            const v10 = taps3x3(a1, below1, columnBytes, start0, w00, w01, w02, w03, w04, w05, four)
            const v20 = taps3x3(a2, below2, columnBytes, start0, w00, w01, w02, w03, w04, w05, four)
            const v30 = taps3x3(a3, below3, columnBytes, start0, w00, w01, w02, w03, w04, w05, four)
            const start1 = v128.load(start, 16)
            const w10 = v128.load(w, HEAD + 16)
            const w11 = v128.load(w, HEAD + 48)
            const w12 = v128.load(w, HEAD + 80)
            const w13 = four ? w10 : v128.load(w, HEAD + 112)
            const w14 = four ? w10 : v128.load(w, HEAD + 144)
            const w15 = four ? w10 : v128.load(w, HEAD + 176)
            const v01 = taps3x3(a + 16, below0 + 16, columnBytes, start1, w10, w11, w12, w13, w14, w15, four)
            const v11 = taps3x3(a1 + 16, below1 + 16, columnBytes, start1, w10, w11, w12, w13, w14, w15, four)
            const v21 = taps3x3(a2 + 16, below2 + 16, columnBytes, start1, w10, w11, w12, w13, w14, w15, four)
            const v31 = taps3x3(a3 + 16, below3 + 16, columnBytes, start1, w10, w11, w12, w13, w14, w15, four)
            finish4x8(
              v00, v01, v10, v11, v20, v21, v30, v31, w, scratch, to, to + (oc << 1), oc, 2, 2, width, yZero, lo, hi,
            )
            a = a3 + pixelBytes
            below0 = below3 + pixelBytes
            to += oc << 2
          }
        }
        for (; ox < ow; ox++) {
          if (ASC_FEATURE_SIMD) {
            let v0 = v128.load(start)
            let v1 = v128.load(start, 16)
            let t = w + HEAD
            let p = a
            for (let kx = kw; kx > 0; kx--) {
              let s = slot
              let q = p
              for (let ky = steps; ky > 0; ky--) {
                v0 = products(v128.load(q), v128.load(t), v0, four)
                v1 = products(v128.load(q, 16), v128.load(t, 16), v1, four)
                t += 32
                const next = s + step
                s = next >= ring ? next - ring : next
                q = p + (s - slot)
              }
              p += columnBytes
            }
            finish4x8(v0, v1, v0, v1, v0, v1, v0, v1, w, scratch, to, to, 0, 1, 0, width, yZero, lo, hi)
          } else {
            for (let l = 0; l < width; l++) {
              let v = load<i32>(w + (l << 2))
              let t = w + HEAD + (l << 2)
              let p = a + (l << 2)
              for (let kx = kw; kx > 0; kx--) {
                let s = slot
                for (let ky = steps; ky > 0; ky--) {
                  const q = p + (s - slot)
                  v += <i32>load<i16>(t) * load<i16>(q) + <i32>load<i16>(t, 2) * load<i16>(q, 2)
                  t += 32
                  s += step
                  if (s >= ring) s -= ring
                }
                p += columnBytes
              }
              store<i32>(scratch + (l << 2), v)
            }
            finish(scratch, w, to, oc, 1, width, yZero, lo, hi)
          }
          a += pixelBytes
          to += oc
        }
      }
      w += panel
    }
    x += ih * iw * ic
    y += oh * ow * oc
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

/**
 * Four channels of one window of 3x3. With `four` a step is a column: w0, w1 and w2. Else the taps of the columns are w0 and w1, w2 and
 * w3, w4 and w5: the first of the line at `above`, the second of that at `below`.
 */
// @ts-ignore: decorator
@inline
function taps3x3(
  above: usize, below: usize, column: usize, start: v128, w0: v128, w1: v128, w2: v128, w3: v128, w4: v128, w5: v128, four: bool,
): v128 {
  let v = products(v128.load(above), w0, start, four)
  if (four) return products(v128.load(above + 2 * column), w2, products(v128.load(above + column), w1, v, four), four)
  v = products(v128.load(below), w1, v, four)
  v = products(v128.load(above + column), w2, v, four)
  v = products(v128.load(below + column), w3, v, four)
  v = products(v128.load(above + 2 * column), w4, v, four)
  return products(v128.load(below + 2 * column), w5, v, four)
}
