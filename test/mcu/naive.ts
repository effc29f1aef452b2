// The int8 loops that come to mind first, in AssemblyScript: one output at a time, every tap asked whether it lies in the padding, the
// arithmetic of TensorFlow Lite. The same names and arguments as the kernels whose place they take, to say how many instructions those save.
// Nothing of this is shipped.

import { requantize } from '../../assembly/i8/requantize'

export function conv2d_i8(
  x: usize, w: usize, bias: usize, multiplier: usize, shift: usize, y: usize, scratch: usize,
  batch: i32, ih: i32, iw: i32, ic: i32, oh: i32, ow: i32, oc: i32, yStep: i32, kh: i32, kw: i32, sh: i32, sw: i32,
  dh: i32, dw: i32, pt: i32, pl: i32, xZero: i32, yZero: i32, lo: i32, hi: i32,
): void {
  for (let b = 0; b < batch; b++) {
    for (let oy = 0; oy < oh; oy++) {
      for (let ox = 0; ox < ow; ox++) {
        for (let o = 0; o < oc; o++) {
          const at = o << 2
          const acc = load<i32>(bias + at) + window(x, w, b, oy, ox, o, ih, iw, ic, kh, kw, sh, sw, dh, dw, pt, pl, xZero)
          const value = requantize(acc, load<i32>(multiplier + at), load<i32>(shift + at), yZero, lo, hi)
          store<i8>(y + ((b * oh + oy) * ow + ox) * yStep + o, value)
        }
      }
    }
  }
}

/** The sum of one output's window. */
// @ts-ignore: decorator
@inline
function window(
  x: usize, w: usize, b: i32, oy: i32, ox: i32, o: i32, ih: i32, iw: i32, ic: i32, kh: i32, kw: i32, sh: i32, sw: i32,
  dh: i32, dw: i32, pt: i32, pl: i32, xZero: i32,
): i32 {
  let sum = 0
  for (let ky = 0; ky < kh; ky++) {
    const iy = oy * sh - pt + ky * dh
    for (let kx = 0; kx < kw; kx++) {
      const ix = ox * sw - pl + kx * dw
      if (iy < 0 || iy >= ih || ix < 0 || ix >= iw) continue
      const p = x + ((b * ih + iy) * iw + ix) * ic
      const q = w + ((o * kh + ky) * kw + kx) * ic
      for (let i = 0; i < ic; i++) sum += (<i32>load<i8>(p + i) - xZero) * load<i8>(q + i)
    }
  }
  return sum
}

export function depthwiseConv2d_i8(
  x: usize, w: usize, bias: usize, multiplier: usize, shift: usize, y: usize,
  batch: i32, ih: i32, iw: i32, ic: i32, oh: i32, ow: i32, oc: i32, kh: i32, kw: i32, sh: i32, sw: i32, dh: i32, dw: i32,
  pt: i32, pl: i32, xZero: i32, yZero: i32, lo: i32, hi: i32,
): void {
  const depth = oc / ic
  for (let b = 0; b < batch; b++) {
    for (let oy = 0; oy < oh; oy++) {
      for (let ox = 0; ox < ow; ox++) {
        for (let o = 0; o < oc; o++) {
          const i = o / depth
          let sum = 0
          for (let ky = 0; ky < kh; ky++) {
            const iy = oy * sh - pt + ky * dh
            for (let kx = 0; kx < kw; kx++) {
              const ix = ox * sw - pl + kx * dw
              if (iy < 0 || iy >= ih || ix < 0 || ix >= iw) continue
              const v = <i32>load<i8>(x + ((b * ih + iy) * iw + ix) * ic + i) - xZero
              sum += v * load<i8>(w + (ky * kw + kx) * oc + o)
            }
          }
          const at = o << 2
          const acc = sum + load<i32>(bias + at)
          const value = requantize(acc, load<i32>(multiplier + at), load<i32>(shift + at), yZero, lo, hi)
          store<i8>(y + ((b * oh + oy) * ow + ox) * oc + o, value)
        }
      }
    }
  }
}

export function dense_i8(
  x: usize, w: usize, bias: usize, multiplier: usize, shift: usize, y: usize,
  batch: i32, n: i32, k: i32, yStep: i32, xZero: i32, yZero: i32, lo: i32, hi: i32,
): void {
  for (let b = 0; b < batch; b++) {
    for (let j = 0; j < n; j++) {
      const p = x + b * k
      const q = w + j * k
      let sum = 0
      for (let i = 0; i < k; i++) sum += (<i32>load<i8>(p + i) - xZero) * load<i8>(q + i)
      const at = j << 2
      const acc = sum + load<i32>(bias + at)
      const value = requantize(acc, load<i32>(multiplier + at), load<i32>(shift + at), yZero, lo, hi)
      store<i8>(y + b * yStep + j, value)
    }
  }
}
