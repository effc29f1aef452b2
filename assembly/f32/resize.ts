// Images to another height and width, and the gradients, which go the same way with x and y exchanged. Places are computed in
// integers, so they are exact for every size; vectors run over channels.
//
// x, dx [batch][ih][iw][c]   y, dy [batch][oh][ow][c]
// pixels: where output o of `out` lies among `in` inputs. 0, edges meet: o in / out. 1, pixels have their middles at halves:
// (o + 1/2) in / out - 1/2 (PyTorch: align_corners = false). 2, corner pixels meet: o (in - 1) / (out - 1).

import { add, mul, read, splat, write } from './lanes'

/** y = x at the nearest pixel: with edges that meet at the one below, as PyTorch has "nearest". */
export function resizeNearest_f32(x: usize, y: usize, batch: i32, ih: i32, iw: i32, c: i32, oh: i32, ow: i32, pixels: i32): void {
  nearestPixels(x, y, batch, ih, iw, c, oh, ow, pixels, false)
}

/** dx += dy at the pixel that y was taken from. */
export function resizeNearest_f32_dx(dy: usize, dx: usize, batch: i32, ih: i32, iw: i32, c: i32, oh: i32, ow: i32, pixels: i32): void {
  nearestPixels(dx, dy, batch, ih, iw, c, oh, ow, pixels, true)
}

/** y = the mean of the four pixels around, weighted by nearness; beyond the border lies the border. */
export function resizeBilinear_f32(x: usize, y: usize, batch: i32, ih: i32, iw: i32, c: i32, oh: i32, ow: i32, pixels: i32): void {
  fourPixels(x, y, batch, ih, iw, c, oh, ow, pixels, false)
}

/** dx += dy times its weight at each of the four pixels. */
export function resizeBilinear_f32_dx(dy: usize, dx: usize, batch: i32, ih: i32, iw: i32, c: i32, oh: i32, ow: i32, pixels: i32): void {
  fourPixels(dx, dy, batch, ih, iw, c, oh, ow, pixels, true)
}

/** What places along an axis are counted in: the denominator of `place`. */
// @ts-ignore: decorator
@inline
function unit(out: i32, pixels: i32): i64 {
  return 2 * <i64>(pixels == 2 ? max(out - 1, 1) : out)
}

/** Where output `at` lies, in `unit`s, where that is above 0. */
// @ts-ignore: decorator
@inline
function place(at: i32, size: i32, out: i32, pixels: i32): i64 {
  if (pixels == 2) return out > 1 ? <i64>at * 2 * (size - 1) : 0
  return pixels == 1 ? max<i64>((<i64>at * 2 + 1) * size - out, 0) : <i64>at * 2 * size
}

/** The pixel that output `at` is taken from. */
// @ts-ignore: decorator
@inline
function nearest(at: i32, size: i32, out: i32, pixels: i32): i32 {
  if (pixels == 1) return <i32>(((<i64>at * 2 + 1) * size) / (2 * <i64>out))
  const half: i64 = pixels == 2 ? unit(out, pixels) >> 1 : 0
  return <i32>((place(at, size, out, pixels) + half) / unit(out, pixels))
}

// @ts-ignore: decorator
@inline
function nearestPixels(
  x: usize, y: usize, batch: i32, ih: i32, iw: i32, c: i32, oh: i32, ow: i32, pixels: i32, backward: bool,
): void {
  for (let i = 0; i < batch; i++) {
    for (let oy = 0; oy < oh; oy++) {
      const row = x + ((nearest(oy, ih, oh, pixels) * iw * c) << 2)
      for (let ox = 0; ox < ow; ox++) {
        const p = row + ((nearest(ox, iw, ow, pixels) * c) << 2)
        let o = 0
        if (ASC_FEATURE_SIMD) for (; o + 4 <= c; o += 4) onePixel<v128>(p + (o << 2), y + (o << 2), backward)
        for (; o < c; o++) onePixel<f32>(p + (o << 2), y + (o << 2), backward)
        y += c << 2
      }
    }
    x += (ih * iw * c) << 2
  }
}

// @ts-ignore: decorator
@inline
function onePixel<T>(x: usize, y: usize, backward: bool): void {
  if (backward) write<T>(x, add(read<T>(x), read<T>(y)))
  else write<T>(y, read<T>(x))
}

// @ts-ignore: decorator
@inline
function fourPixels(
  x: usize, y: usize, batch: i32, ih: i32, iw: i32, c: i32, oh: i32, ow: i32, pixels: i32, backward: bool,
): void {
  const high = unit(oh, pixels)
  const wide = unit(ow, pixels)
  for (let i = 0; i < batch; i++) {
    for (let oy = 0; oy < oh; oy++) {
      const vertical = place(oy, ih, oh, pixels)
      const top = <i32>(vertical / high)
      const wy = <f32>(vertical % high) / <f32>high
      const row = x + ((top * iw * c) << 2)
      const down = top + 1 < ih ? (iw * c) << 2 : 0
      for (let ox = 0; ox < ow; ox++) {
        const horizontal = place(ox, iw, ow, pixels)
        const left = <i32>(horizontal / wide)
        const wx = <f32>(horizontal % wide) / <f32>wide
        const p = row + ((left * c) << 2)
        const right = left + 1 < iw ? c << 2 : 0
        let o = 0
        if (ASC_FEATURE_SIMD) for (; o + 4 <= c; o += 4) blend<v128>(p + (o << 2), y + (o << 2), right, down, wx, wy, backward)
        for (; o < c; o++) blend<f32>(p + (o << 2), y + (o << 2), right, down, wx, wy, backward)
        y += c << 2
      }
    }
    x += (ih * iw * c) << 2
  }
}

/** One channel or four: y from x and its neighbours `right` and `down` bytes away, or backward from y into these. */
// @ts-ignore: decorator
@inline
function blend<T>(x: usize, y: usize, right: i32, down: i32, wx: f32, wy: f32, backward: bool): void {
  const w00 = splat<T>((1 - wy) * (1 - wx))
  const w01 = splat<T>((1 - wy) * wx)
  const w10 = splat<T>(wy * (1 - wx))
  const w11 = splat<T>(wy * wx)
  if (backward) {
    // One after another: at a border two of the four are the same pixel.
    const dy = read<T>(y)
    write<T>(x, add(read<T>(x), mul(w00, dy)))
    write<T>(x + right, add(read<T>(x + right), mul(w01, dy)))
    write<T>(x + down, add(read<T>(x + down), mul(w10, dy)))
    write<T>(x + down + right, add(read<T>(x + down + right), mul(w11, dy)))
  } else {
    const above = add(mul(w00, read<T>(x)), mul(w01, read<T>(x + right)))
    const below = add(mul(w10, read<T>(x + down)), mul(w11, read<T>(x + down + right)))
    write<T>(y, add(above, below))
  }
}
