// Images to another height and width, and the gradients, which go the same way with x and y exchanged. Places are computed in
// integers, so they are exact for every size; vectors run over channels.
//
// x, dx [batch][ih][iw][c]   y, dy [batch][oh][ow][c]

import { add, mul, read, splat, write } from './lanes'

/** y = x at floor(oy ih / oh), floor(ox iw / ow), as PyTorch has "nearest". */
export function resizeNearest_f32(x: usize, y: usize, batch: i32, ih: i32, iw: i32, c: i32, oh: i32, ow: i32): void {
  nearestPixels(x, y, batch, ih, iw, c, oh, ow, false)
}

/** dx += dy at the pixel that y was taken from. */
export function resizeNearest_f32_dx(dy: usize, dx: usize, batch: i32, ih: i32, iw: i32, c: i32, oh: i32, ow: i32): void {
  nearestPixels(dx, dy, batch, ih, iw, c, oh, ow, true)
}

/**
 * y = the mean of the four pixels around, weighted by nearness. Pixels have their middles at halves (PyTorch: align_corners =
 * false); beyond the border lies the border.
 */
export function resizeBilinear_f32(x: usize, y: usize, batch: i32, ih: i32, iw: i32, c: i32, oh: i32, ow: i32): void {
  fourPixels(x, y, batch, ih, iw, c, oh, ow, false)
}

/** dx += dy times its weight at each of the four pixels. */
export function resizeBilinear_f32_dx(dy: usize, dx: usize, batch: i32, ih: i32, iw: i32, c: i32, oh: i32, ow: i32): void {
  fourPixels(dx, dy, batch, ih, iw, c, oh, ow, true)
}

// @ts-ignore: decorator
@inline
function nearestPixels(
  x: usize, y: usize, batch: i32, ih: i32, iw: i32, c: i32, oh: i32, ow: i32, backward: bool,
): void {
  for (let i = 0; i < batch; i++) {
    for (let oy = 0; oy < oh; oy++) {
      const row = x + ((<i32>((<i64>oy * ih) / oh) * iw * c) << 2)
      for (let ox = 0; ox < ow; ox++) {
        const p = row + ((<i32>((<i64>ox * iw) / ow) * c) << 2)
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
function fourPixels(x: usize, y: usize, batch: i32, ih: i32, iw: i32, c: i32, oh: i32, ow: i32, backward: bool): void {
  for (let i = 0; i < batch; i++) {
    for (let oy = 0; oy < oh; oy++) {
      // (oy + 1/2) ih / oh - 1/2, where it is above 0, as a numerator over 2 oh.
      const vertical = max<i64>((<i64>oy * 2 + 1) * ih - oh, 0)
      const top = <i32>(vertical / (<i64>oh * 2))
      const wy = <f32>(vertical % (<i64>oh * 2)) / (<f32>oh * 2)
      const row = x + ((top * iw * c) << 2)
      const down = top + 1 < ih ? (iw * c) << 2 : 0
      for (let ox = 0; ox < ow; ox++) {
        const horizontal = max<i64>((<i64>ox * 2 + 1) * iw - ow, 0)
        const left = <i32>(horizontal / (<i64>ow * 2))
        const wx = <f32>(horizontal % (<i64>ow * 2)) / (<f32>ow * 2)
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
