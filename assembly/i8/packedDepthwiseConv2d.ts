// Depthwise 2-D convolution in int8 on packed weights: the same result as depthwiseConv2d_i8. 8 output channels at a time; two taps, one
// above the other, are one dot_i16x8. For that the rows of the image are laid out in lines: line r holds for each column the values
// of rows r and r + dh, interleaved, as i16 without their zero point and with the padding made real. Only the lines that
// the current output row reads are kept, in a ring.

import { begin, finish, finish4x8, HEAD, panelBytes, TILE } from './panel'

/**
 * y[b][oy][ox][o] = clamp(yZero + scale_o * (bias[o] + sum (x - xZero) * w[ky][kx][o])), as depthwiseConv2d_i8.
 *
 * x        i8 [batch][ih][iw][ic]; oc is a multiple of ic
 * b        packed by pack_i8: oc channels, kw segments of kh
 * y        i8 [batch][oh][ow][oc]
 * scratch  224 bytes, then (((kh - 1) >> 1) * 2 * dh + 1) lines of ((ow - 1) * sw + (kw - 1) * dw + 1) * 32 bytes
 * Zero points, lo and hi in [-128, 127].
 */
export function packedDepthwiseConv2d_i8(
  x: usize, b: usize, y: usize, scratch: usize,
  batch: i32, ih: i32, iw: i32, ic: i32, oh: i32, ow: i32, oc: i32, kh: i32, kw: i32, sh: i32, sw: i32, dh: i32, dw: i32,
  pt: i32, pl: i32, xZero: i32, yZero: i32, lo: i32, hi: i32,
): void {
  begin(scratch, yZero, lo, hi)
  // After a relu negative sums end at the zero point.
  if (lo >= yZero) convolve(x, b, y, scratch, batch, ih, iw, ic, oh, ow, oc, kh, kw, sh, sw, dh, dw, pt, pl, xZero, yZero, lo, hi, true)
  else convolve(x, b, y, scratch, batch, ih, iw, ic, oh, ow, oc, kh, kw, sh, sw, dh, dw, pt, pl, xZero, yZero, lo, hi, false)
}

// @ts-ignore: decorator
@inline
function convolve(
  x: usize, b: usize, y: usize, scratch: usize,
  batch: i32, ih: i32, iw: i32, ic: i32, oh: i32, ow: i32, oc: i32, kh: i32, kw: i32, sh: i32, sw: i32, dh: i32, dw: i32,
  pt: i32, pl: i32, xZero: i32, yZero: i32, lo: i32, hi: i32, positive: bool,
): void {
  const depth = oc / ic
  const pw = (ow - 1) * sw + (kw - 1) * dw + 1
  const lines = scratch + TILE
  const lineBytes = pw << 5
  const pairs = (kh + 1) >> 1
  const ring = ((pairs - 1) * 2 * dh + 1) * lineBytes
  const step = 2 * dh * lineBytes
  const panel = panelBytes(kw * pairs)
  const columnBytes = dw << 5
  const pixelBytes = sw << 5
  const end = min(pw, pl + iw)
  // Columns outside the image stay zero.
  memory.fill(lines, 0, ring)
  for (let i = 0; i < batch; i++) {
    let w = b
    for (let o = 0; o < oc; o += 8) {
      const width = min(8, oc - o)
      let row = 0
      let slot = 0
      let to = y + o
      for (let oy = 0; oy < oh; oy++) {
        const top = oy * sh
        // The lines that this row reads and that are not there yet. `slot` is where in the ring line `row` goes.
        while (row <= top + (pairs - 1) * 2 * dh) {
          if (row >= top) {
            let at = lines + slot + (pl << 5)
            const first = row - pt
            const second = first + dh
            const hasFirst = <u32>first < <u32>ih
            const hasSecond = <u32>second < <u32>ih
            // A row that does not exist reads any other, and is made zero.
            let p = x + <usize>(hasFirst ? first * iw * ic : 0)
            let q = x + <usize>(hasSecond ? second * iw * ic : 0)
            if (ASC_FEATURE_SIMD && depth == 1) {
              const zero = i16x8.splat(<i16>xZero)
              const keepFirst = i16x8.splat(hasFirst ? -1 : 0)
              const keepSecond = i16x8.splat(hasSecond ? -1 : 0)
              p += o
              q += o
              for (let c = pl; c < end; c++) {
                const u = v128.and(i16x8.sub(v128.load8x8_s(p), zero), keepFirst)
                const v = v128.and(i16x8.sub(v128.load8x8_s(q), zero), keepSecond)
                v128.store(at, v128.shuffle<i16>(u, v, 0, 8, 1, 9, 2, 10, 3, 11))
                v128.store(at, v128.shuffle<i16>(u, v, 4, 12, 5, 13, 6, 14, 7, 15), 16)
                p += ic
                q += ic
                at += 32
              }
            } else {
              for (let c = pl; c < end; c++) {
                for (let l = 0; l < width; l++) {
                  const k = (o + l) / depth
                  store<i16>(at + (l << 2), hasFirst ? <i16>(<i32>load<i8>(p + k) - xZero) : 0)
                  store<i16>(at + (l << 2), hasSecond ? <i16>(<i32>load<i8>(q + k) - xZero) : 0, 2)
                }
                p += ic
                q += ic
                at += 32
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
          const under = slot + step
          let under0 = lines + (under >= ring ? under - ring : under)
          for (; ox <= ow - 4; ox += 4) {
            const a1 = a + pixelBytes
            const a2 = a1 + pixelBytes
            const a3 = a2 + pixelBytes
            const under1 = under0 + pixelBytes
            const under2 = under1 + pixelBytes
            const under3 = under2 + pixelBytes
            const bias0 = v128.load(w)
            const w00 = v128.load(w, HEAD + 0)
            const w01 = v128.load(w, HEAD + 32)
            const w02 = v128.load(w, HEAD + 64)
            const w03 = v128.load(w, HEAD + 96)
            const w04 = v128.load(w, HEAD + 128)
            const w05 = v128.load(w, HEAD + 160)
            const v00 = taps3x3(a, under0, columnBytes, bias0, w00, w01, w02, w03, w04, w05)
            const v10 = taps3x3(a1, under1, columnBytes, bias0, w00, w01, w02, w03, w04, w05)
            const v20 = taps3x3(a2, under2, columnBytes, bias0, w00, w01, w02, w03, w04, w05)
            const v30 = taps3x3(a3, under3, columnBytes, bias0, w00, w01, w02, w03, w04, w05)
            const bias1 = v128.load(w, 16)
            const w10 = v128.load(w, HEAD + 16)
            const w11 = v128.load(w, HEAD + 48)
            const w12 = v128.load(w, HEAD + 80)
            const w13 = v128.load(w, HEAD + 112)
            const w14 = v128.load(w, HEAD + 144)
            const w15 = v128.load(w, HEAD + 176)
            const v01 = taps3x3(a + 16, under0 + 16, columnBytes, bias1, w10, w11, w12, w13, w14, w15)
            const v11 = taps3x3(a1 + 16, under1 + 16, columnBytes, bias1, w10, w11, w12, w13, w14, w15)
            const v21 = taps3x3(a2 + 16, under2 + 16, columnBytes, bias1, w10, w11, w12, w13, w14, w15)
            const v31 = taps3x3(a3 + 16, under3 + 16, columnBytes, bias1, w10, w11, w12, w13, w14, w15)
            finish4x8(
              v00, v01, v10, v11, v20, v21, v30, v31,
              w, scratch, to, to + (oc << 1), oc, 2, 2, width, yZero, lo, hi, positive,
            )
            a = a3 + pixelBytes
            under0 = under3 + pixelBytes
            to += oc << 2
          }
        }
        for (; ox < ow; ox++) {
          if (ASC_FEATURE_SIMD) {
            let v0 = v128.load(w)
            let v1 = v128.load(w, 16)
            let t = w + HEAD
            let p = a
            for (let kx = kw; kx > 0; kx--) {
              let s = slot
              let q = p
              for (let ky = pairs; ky > 0; ky--) {
                v0 = i32x4.add(v0, i32x4.dot_i16x8_s(v128.load(q), v128.load(t)))
                v1 = i32x4.add(v1, i32x4.dot_i16x8_s(v128.load(q, 16), v128.load(t, 16)))
                t += 32
                const next = s + step
                s = next >= ring ? next - ring : next
                q = p + (s - slot)
              }
              p += columnBytes
            }
            finish4x8(v0, v1, v0, v1, v0, v1, v0, v1, w, scratch, to, to, 0, 1, 0, width, yZero, lo, hi, positive)
          } else {
            for (let l = 0; l < width; l++) {
              let v = load<i32>(w + (l << 2))
              let t = w + HEAD + (l << 2)
              let p = a + (l << 2)
              for (let kx = kw; kx > 0; kx--) {
                let s = slot
                for (let ky = pairs; ky > 0; ky--) {
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

/** Four channels of one window of 3x3: the taps of a column are wi0 above and wi1 below. */
// @ts-ignore: decorator
@inline
function taps3x3(
  above: usize, below: usize, column: usize, bias: v128, w00: v128, w01: v128, w10: v128, w11: v128, w20: v128, w21: v128,
): v128 {
  let v = i32x4.add(bias, i32x4.dot_i16x8_s(v128.load(above), w00))
  v = i32x4.add(v, i32x4.dot_i16x8_s(v128.load(below), w01))
  v = i32x4.add(v, i32x4.dot_i16x8_s(v128.load(above + column), w10))
  v = i32x4.add(v, i32x4.dot_i16x8_s(v128.load(below + column), w11))
  v = i32x4.add(v, i32x4.dot_i16x8_s(v128.load(above + 2 * column), w20))
  return i32x4.add(v, i32x4.dot_i16x8_s(v128.load(below + 2 * column), w21))
}
