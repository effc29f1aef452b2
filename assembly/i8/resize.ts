// Images of int8 values to another height and width; x and y share scale and zero point. Arithmetic of TensorFlow Lite's reference
// kernels: resize_nearest_neighbor.h, and ResizeBilinearInteger of resize_bilinear.h.
//
// x i8 [batch][ih][iw][c]   y i8 [batch][oh][ow][c]
// pixels: 0, edges meet (their default); 1, middles at halves (half_pixel_centers); 2, corner pixels meet (align_corners)

import { shiftRound, shiftRound4 } from './requantize'

/** y = x at floor(oy * (ih / oh)), floor(ox * (iw / ow)), in float32; corners: rounded, of the sizes less 1. */
export function resizeNearest_i8(x: usize, y: usize, batch: i32, ih: i32, iw: i32, c: i32, oh: i32, ow: i32, pixels: i32): void {
  for (let i = 0; i < batch; i++) {
    for (let oy = 0; oy < oh; oy++) {
      const row = x + nearest(oy, ih, oh, pixels) * iw * c
      for (let ox = 0; ox < ow; ox++) {
        const p = row + nearest(ox, iw, ow, pixels) * c
        if (c >= 32) memory.copy(y, p, c)
        else for (let o = 0; o < c; o++) store<i8>(y + o, load<i8>(p + o))
        y += c
      }
    }
    x += ih * iw * c
  }
}

// @ts-ignore: decorator
@inline
function nearest(at: i32, from: i32, to: i32, pixels: i32): i32 {
  const step = pixels == 2 && to > 1 ? <f32>(from - 1) / <f32>(to - 1) : <f32>from / <f32>to
  const place = (<f32>at + (pixels == 1 ? <f32>0.5 : <f32>0)) * step
  return min(<i32>floor<f64>(<f64>place + (pixels == 2 ? 0.5 : 0)), from - 1)
}

/** y = the mean of the four pixels around, weighted by nearness in steps of 1/1024. */
export function resizeBilinear_i8(x: usize, y: usize, batch: i32, ih: i32, iw: i32, c: i32, oh: i32, ow: i32, pixels: i32): void {
  const vertical = stepOf(ih, oh, pixels)
  const horizontal = stepOf(iw, ow, pixels)
  for (let i = 0; i < batch; i++) {
    for (let oy = 0; oy < oh; oy++) {
      const iy = place(oy, vertical, pixels)
      const top = lower(iy, ih)
      const wy = iy - (top << 10)
      const row = x + top * iw * c
      const down = (upper(iy, ih) - top) * iw * c
      for (let ox = 0; ox < ow; ox++) {
        const ix = place(ox, horizontal, pixels)
        const left = lower(ix, iw)
        const wx = ix - (left << 10)
        const p = row + left * c
        const right = (upper(ix, iw) - left) * c
        // Beyond a border two pixels are one: a weight may be negative or above 1024, their sum never is.
        const w00 = (1024 - wy) * (1024 - wx)
        const w01 = (1024 - wy) * wx
        const w10 = wy * (1024 - wx)
        const w11 = wy * wx
        let o = 0
        if (ASC_FEATURE_SIMD) {
          for (; o <= c - 8; o += 8) {
            const at = p + o
            const v00 = v128.load8x8_s(at)
            const v01 = v128.load8x8_s(at + right)
            const v10 = v128.load8x8_s(at + down)
            const v11 = v128.load8x8_s(at + down + right)
            const low = weigh(
              i32x4.extend_low_i16x8_s(v00), i32x4.extend_low_i16x8_s(v01), i32x4.extend_low_i16x8_s(v10),
              i32x4.extend_low_i16x8_s(v11), w00, w01, w10, w11,
            )
            const high = weigh(
              i32x4.extend_high_i16x8_s(v00), i32x4.extend_high_i16x8_s(v01), i32x4.extend_high_i16x8_s(v10),
              i32x4.extend_high_i16x8_s(v11), w00, w01, w10, w11,
            )
            const wide = i16x8.narrow_i32x4_s(shiftRound4(low, 20), shiftRound4(high, 20))
            v128.store64_lane(y + o, i8x16.narrow_i16x8_s(wide, wide), 0)
          }
        }
        for (; o < c; o++) {
          const at = p + o
          const sum = load<i8>(at) * w00 + load<i8>(at + right) * w01 + load<i8>(at + down) * w10 + load<i8>(at + down + right) * w11
          store<i8>(y + o, shiftRound(sum, 20))
        }
        y += c
      }
    }
    x += ih * iw * c
  }
}

/** Four channels, times 2^20. */
// @ts-ignore: decorator
@inline
function weigh(v00: v128, v01: v128, v10: v128, v11: v128, w00: i32, w01: i32, w10: i32, w11: i32): v128 {
  const above = i32x4.add(i32x4.mul(v00, i32x4.splat(w00)), i32x4.mul(v01, i32x4.splat(w01)))
  const below = i32x4.add(i32x4.mul(v10, i32x4.splat(w10)), i32x4.mul(v11, i32x4.splat(w11)))
  return i32x4.add(above, below)
}

/** Where an output lies in the input, in steps of 1/1024. */
// @ts-ignore: decorator
@inline
function place(at: i32, step: i32, pixels: i32): i32 {
  return at * step + (pixels == 1 ? (step >> 1) - 512 : 0)
}

/** How far apart outputs lie in the input, in steps of 1/1024. */
// @ts-ignore: decorator
@inline
function stepOf(from: i32, to: i32, pixels: i32): i32 {
  if (pixels == 2 && to > 1) return (((from - 1) << 10) + ((to - 1) >> 1)) / (to - 1)
  return ((from << 10) + (to >> 1)) / to
}

// @ts-ignore: decorator
@inline
function lower(at: i32, size: i32): i32 {
  // Beyond the last pixel, where the rounded scale leads now and then, the reference reads what follows.
  return min(max(at / 1024, 0), size - 1)
}

// @ts-ignore: decorator
@inline
function upper(at: i32, size: i32): i32 {
  return min((at + 1023) / 1024, size - 1)
}
