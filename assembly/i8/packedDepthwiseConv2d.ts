// Depthwise 2-D convolution in int8 on packed weights: the same result as depthwiseConv2d_i8. 8 output channels at a time; two taps, one
// above the other, are one dot_i16x8. For that the rows of the image are laid out in lines: line r holds for each column the values
// of rows r and r + dh, interleaved, as i16 without their zero point and with the padding made real. Only the lines that
// the current output row reads are kept, in a ring.

import { finish, finish4x8, HEAD, panelBytes, TILE } from './panel'

/**
 * y[b][oy][ox][o] = clamp(yZero + scale_o * (bias[o] + sum (x - xZero) * w[ky][kx][o])), as depthwiseConv2d_i8.
 *
 * x        i8 [batch][ih][iw][ic]; oc is a multiple of ic
 * b        packed by pack_i8: oc channels, kw segments of kh
 * y        i8 [batch][oh][ow][oc]
 * scratch  128 bytes, then (((kh - 1) >> 1) * 2 * dh + 1) lines of ((ow - 1) * sw + (kw - 1) * dw + 1) * 32 bytes
 * Zero points, lo and hi in [-128, 127].
 */
export function packedDepthwiseConv2d_i8(
  x: usize, b: usize, y: usize, scratch: usize,
  batch: i32, ih: i32, iw: i32, ic: i32, oh: i32, ow: i32, oc: i32, kh: i32, kw: i32, sh: i32, sw: i32, dh: i32, dw: i32,
  pt: i32, pl: i32, xZero: i32, yZero: i32, lo: i32, hi: i32,
): void {
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
  const tapBytes = pairs << 5
  const columnBytes = dw << 5
  const pixelBytes = sw << 5
  const end = min(pw, pl + iw)
  // Windows of 3 columns side by side: 4 of them read 6 columns, each of which is loaded once.
  const neighbours = kw == 3 && sw == 1 && dw == 1
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
            let at = lines + slot
            const first = row - pt
            const second = first + dh
            const hasFirst = <u32>first < <u32>ih
            const hasSecond = <u32>second < <u32>ih
            if (pl > 0 || end < pw || !hasFirst || !hasSecond) memory.fill(at, 0, lineBytes)
            at += pl << 5
            let p = x + first * iw * ic
            let q = x + second * iw * ic
            if (ASC_FEATURE_SIMD && depth == 1) {
              const zero = i16x8.splat(<i16>xZero)
              // A row that does not exist reads any other, and is made zero.
              const keepFirst = i16x8.splat(hasFirst ? -1 : 0)
              const keepSecond = i16x8.splat(hasSecond ? -1 : 0)
              p = (hasFirst ? p : x) + o
              q = (hasSecond ? q : x) + o
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
                  if (hasFirst) store<i16>(at + (l << 2), <i16>(<i32>load<i8>(p + k) - xZero))
                  if (hasSecond) store<i16>(at + (l << 2), <i16>(<i32>load<i8>(q + k) - xZero), 2)
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
        // The line after the newest is the oldest: the one of the first tap.
        const oldest = slot
        for (let ox = 0; ox < ow; ox += 4) {
          const count = min(4, ow - ox)
          const a = lines + ((ox * sw) << 5)
          // A position past the end computes the last one again.
          const to1 = min(count - 1, 1) * pixelBytes
          const to2 = min(count - 1, 2) * pixelBytes
          const to3 = (count - 1) * pixelBytes
          if (ASC_FEATURE_SIMD && neighbours && count == 4) {
            for (let half = 0; half < 32; half += 16) {
              let v0 = v128.load(w + half)
              let v1 = v0
              let v2 = v0
              let v3 = v0
              let t = w + (HEAD + half)
              let s = oldest
              for (let ky = pairs; ky > 0; ky--) {
                const p = a + (s + half)
                const w0 = v128.load(t)
                const w1 = v128.load(t + tapBytes)
                const w2 = v128.load(t + 2 * tapBytes)
                const x0 = v128.load(p)
                v0 = i32x4.add(v0, i32x4.dot_i16x8_s(x0, w0))
                const x1 = v128.load(p, 32)
                v0 = i32x4.add(v0, i32x4.dot_i16x8_s(x1, w1))
                v1 = i32x4.add(v1, i32x4.dot_i16x8_s(x1, w0))
                const x2 = v128.load(p, 64)
                v0 = i32x4.add(v0, i32x4.dot_i16x8_s(x2, w2))
                v1 = i32x4.add(v1, i32x4.dot_i16x8_s(x2, w1))
                v2 = i32x4.add(v2, i32x4.dot_i16x8_s(x2, w0))
                const x3 = v128.load(p, 96)
                v1 = i32x4.add(v1, i32x4.dot_i16x8_s(x3, w2))
                v2 = i32x4.add(v2, i32x4.dot_i16x8_s(x3, w1))
                v3 = i32x4.add(v3, i32x4.dot_i16x8_s(x3, w0))
                const x4 = v128.load(p, 128)
                v2 = i32x4.add(v2, i32x4.dot_i16x8_s(x4, w2))
                v3 = i32x4.add(v3, i32x4.dot_i16x8_s(x4, w1))
                v3 = i32x4.add(v3, i32x4.dot_i16x8_s(v128.load(p, 160), w2))
                t += 32
                s += step
                if (s >= ring) s -= ring
              }
              v128.store(scratch + half, v0)
              v128.store(scratch + half, v1, 32)
              v128.store(scratch + half, v2, 64)
              v128.store(scratch + half, v3, 96)
            }
          } else if (ASC_FEATURE_SIMD) {
            let v00 = v128.load(w)
            let v01 = v128.load(w, 16)
            let v10 = v00
            let v11 = v01
            let v20 = v00
            let v21 = v01
            let v30 = v00
            let v31 = v01
            let s = oldest
            for (let ky = 0; ky < pairs; ky++) {
              let p = a + s
              let t = w + HEAD + (ky << 5)
              for (let kx = kw; kx > 0; kx--) {
                const w0 = v128.load(t)
                const w1 = v128.load(t, 16)
                v00 = i32x4.add(v00, i32x4.dot_i16x8_s(v128.load(p), w0))
                v01 = i32x4.add(v01, i32x4.dot_i16x8_s(v128.load(p, 16), w1))
                v10 = i32x4.add(v10, i32x4.dot_i16x8_s(v128.load(p + to1), w0))
                v11 = i32x4.add(v11, i32x4.dot_i16x8_s(v128.load(p + to1, 16), w1))
                v20 = i32x4.add(v20, i32x4.dot_i16x8_s(v128.load(p + to2), w0))
                v21 = i32x4.add(v21, i32x4.dot_i16x8_s(v128.load(p + to2, 16), w1))
                v30 = i32x4.add(v30, i32x4.dot_i16x8_s(v128.load(p + to3), w0))
                v31 = i32x4.add(v31, i32x4.dot_i16x8_s(v128.load(p + to3, 16), w1))
                t += tapBytes
                p += columnBytes
              }
              s += step
              if (s >= ring) s -= ring
            }
            v128.store(scratch, v00)
            v128.store(scratch, v01, 16)
            v128.store(scratch, v10, 32)
            v128.store(scratch, v11, 48)
            v128.store(scratch, v20, 64)
            v128.store(scratch, v21, 80)
            v128.store(scratch, v30, 96)
            v128.store(scratch, v31, 112)
          } else {
            for (let l = 0; l < width; l++) {
              const bias = load<i32>(w + (l << 2))
              let v0 = bias
              let v1 = bias
              let v2 = bias
              let v3 = bias
              let f = w + HEAD + (l << 2)
              let g = a + (l << 2)
              for (let kx = 0; kx < kw; kx++) {
                let s = oldest
                for (let ky = pairs; ky > 0; ky--) {
                  const p = g + s
                  const w0 = <i32>load<i16>(f)
                  const w1 = <i32>load<i16>(f, 2)
                  v0 += w0 * load<i16>(p) + w1 * load<i16>(p, 2)
                  v1 += w0 * load<i16>(p + to1) + w1 * load<i16>(p + to1, 2)
                  v2 += w0 * load<i16>(p + to2) + w1 * load<i16>(p + to2, 2)
                  v3 += w0 * load<i16>(p + to3) + w1 * load<i16>(p + to3, 2)
                  f += 32
                  s += step
                  if (s >= ring) s -= ring
                }
                g += columnBytes
              }
              const at = scratch + (l << 2)
              store<i32>(at, v0)
              store<i32>(at, v1, 32)
              store<i32>(at, v2, 64)
              store<i32>(at, v3, 96)
            }
          }
          if (ASC_FEATURE_SIMD) {
            finish4x8(
              v128.load(scratch), v128.load(scratch, 16), v128.load(scratch, 32), v128.load(scratch, 48),
              v128.load(scratch, 64), v128.load(scratch, 80), v128.load(scratch, 96), v128.load(scratch, 112),
              w, scratch, to, to + (oc << 1), oc, min(2, count), max(0, count - 2), width, yZero, lo, hi, positive,
            )
          } else finish(scratch, w, to, oc, count, width, yZero, lo, hi)
          to += count * oc
        }
      }
      w += panel
    }
    x += ih * iw * ic
    y += oh * ow * oc
  }
}
