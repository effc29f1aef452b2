// The micro-kernels of the packed int8 kernels: sums of 4 or 6 output positions, or of one, by a panel of 8 channels (panel.ts), which end
// requantized (finish.ts). They take four steps at a time, with a way out after each, for the reasons given in f32/tile.ts.

import { finish1x8, finish4x8, finishPair } from './finish'
import { HEAD } from './panel'

/** sum + the dot products of four channels' weights in a step with x: that of one position in all lanes, or of four channels. */
// @ts-ignore: decorator
@inline
export function products(x: v128, w: v128, sum: v128, four: bool): v128 {
  if (ASC_FEATURE_RELAXED_SIMD && four) return i32x4.relaxed_dot_i8x16_i7x16_add_s(w, x, sum)
  return i32x4.add(sum, i32x4.dot_i16x8_s(x, w))
}

/**
 * y[i][0..8) = the requantized start + sum over segments and steps of a_i * w, i < 4, by two products in a step.
 * A window is `segments` runs of 4 * `steps` bytes; `offsets` (i32) says how many bytes from its start they lie. `start`: i32 [8], the
 * bias. `raw`: panel is weights alone, and the products are left in `sums`, from zero.
 */
// @ts-ignore: decorator
@inline
export function tile4x8(
  a0: usize, a1: usize, a2: usize, a3: usize, segments: i32, offsets: usize, steps: i32, start: usize, panel: usize, sums: usize,
  y: usize, yStep: i32, width: i32, yZero: i32, lo: i32, hi: i32, raw: bool,
): void {
  let v00 = raw ? i32x4.splat(0) : v128.load(start)
  let v01 = raw ? v00 : v128.load(start, 16)
  let v10 = v00
  let v11 = v01
  let v20 = v00
  let v21 = v01
  let v30 = v00
  let v31 = v01
  let p = raw ? panel : panel + HEAD
  for (let s = 0; s < segments; s++) {
    const at: usize = raw ? 0 : load<u32>(offsets + (<usize>s << 2))
    let p0 = a0 + at
    let p1 = a1 + at
    let p2 = a2 + at
    let p3 = a3 + at
    let q = steps
    do {
      const w00 = v128.load(p)
      const w01 = v128.load(p, 16)
      const x00 = v128.load32_splat(p0)
      v00 = products(x00, w00, v00, false)
      v01 = products(x00, w01, v01, false)
      const x01 = v128.load32_splat(p1)
      v10 = products(x01, w00, v10, false)
      v11 = products(x01, w01, v11, false)
      const x02 = v128.load32_splat(p2)
      v20 = products(x02, w00, v20, false)
      v21 = products(x02, w01, v21, false)
      const x03 = v128.load32_splat(p3)
      v30 = products(x03, w00, v30, false)
      v31 = products(x03, w01, v31, false)
      if (q == 1) break
      const w10 = v128.load(p, 32)
      const w11 = v128.load(p, 48)
      const x10 = v128.load32_splat(p0, 4)
      v00 = products(x10, w10, v00, false)
      v01 = products(x10, w11, v01, false)
      const x11 = v128.load32_splat(p1, 4)
      v10 = products(x11, w10, v10, false)
      v11 = products(x11, w11, v11, false)
      const x12 = v128.load32_splat(p2, 4)
      v20 = products(x12, w10, v20, false)
      v21 = products(x12, w11, v21, false)
      const x13 = v128.load32_splat(p3, 4)
      v30 = products(x13, w10, v30, false)
      v31 = products(x13, w11, v31, false)
      if (q == 2) break
      const w20 = v128.load(p, 64)
      const w21 = v128.load(p, 80)
      const x20 = v128.load32_splat(p0, 8)
      v00 = products(x20, w20, v00, false)
      v01 = products(x20, w21, v01, false)
      const x21 = v128.load32_splat(p1, 8)
      v10 = products(x21, w20, v10, false)
      v11 = products(x21, w21, v11, false)
      const x22 = v128.load32_splat(p2, 8)
      v20 = products(x22, w20, v20, false)
      v21 = products(x22, w21, v21, false)
      const x23 = v128.load32_splat(p3, 8)
      v30 = products(x23, w20, v30, false)
      v31 = products(x23, w21, v31, false)
      if (q == 3) break
      const w30 = v128.load(p, 96)
      const w31 = v128.load(p, 112)
      const x30 = v128.load32_splat(p0, 12)
      v00 = products(x30, w30, v00, false)
      v01 = products(x30, w31, v01, false)
      const x31 = v128.load32_splat(p1, 12)
      v10 = products(x31, w30, v10, false)
      v11 = products(x31, w31, v11, false)
      const x32 = v128.load32_splat(p2, 12)
      v20 = products(x32, w30, v20, false)
      v21 = products(x32, w31, v21, false)
      const x33 = v128.load32_splat(p3, 12)
      v30 = products(x33, w30, v30, false)
      v31 = products(x33, w31, v31, false)
      p += 128
      p0 += 16
      p1 += 16
      p2 += 16
      p3 += 16
      q -= 4
    } while (q > 0)
    p += <usize>(steps & 3) << 5
  }
  if (raw) {
    v128.store(sums, v00)
    v128.store(sums, v01, 16)
    v128.store(sums, v10, 32)
    v128.store(sums, v11, 48)
    v128.store(sums, v20, 64)
    v128.store(sums, v21, 80)
    v128.store(sums, v30, 96)
    v128.store(sums, v31, 112)
  } else {
    const y2 = y + (yStep << 1)
    finish4x8(v00, v01, v10, v11, v20, v21, v30, v31, panel, sums, y, y2, yStep, 2, 2, width, yZero, lo, hi)
  }
}

/**
 * The same for six windows, by four products in a step: twelve sums are under way at a time, each of which waits for its product. The first
 * of `offsets` is 0, and one behind the last is read.
 */
// @ts-ignore: decorator
@inline
export function tile6x8(
  a0: usize, a1: usize, a2: usize, a3: usize, a4: usize, a5: usize, segments: i32, offsets: usize, steps: i32,
  start: usize, panel: usize, sums: usize, y: usize, yStep: i32, width: i32, yZero: i32, lo: i32, hi: i32,
): void {
  let v00 = v128.load(start)
  let v01 = v128.load(start, 16)
  let v10 = v00
  let v11 = v01
  let v20 = v00
  let v21 = v01
  let v30 = v00
  let v31 = v01
  let v40 = v00
  let v41 = v01
  let v50 = v00
  let v51 = v01
  let p = panel + HEAD
  for (let s = 0; s < segments; s++) {
    let q = steps
    do {
      const w00 = v128.load(p)
      const w01 = v128.load(p, 16)
      const x00 = v128.load32_splat(a0)
      v00 = products(x00, w00, v00, true)
      v01 = products(x00, w01, v01, true)
      const x01 = v128.load32_splat(a1)
      v10 = products(x01, w00, v10, true)
      v11 = products(x01, w01, v11, true)
      const x02 = v128.load32_splat(a2)
      v20 = products(x02, w00, v20, true)
      v21 = products(x02, w01, v21, true)
      const x03 = v128.load32_splat(a3)
      v30 = products(x03, w00, v30, true)
      v31 = products(x03, w01, v31, true)
      const x04 = v128.load32_splat(a4)
      v40 = products(x04, w00, v40, true)
      v41 = products(x04, w01, v41, true)
      const x05 = v128.load32_splat(a5)
      v50 = products(x05, w00, v50, true)
      v51 = products(x05, w01, v51, true)
      if (q == 1) break
      const w10 = v128.load(p, 32)
      const w11 = v128.load(p, 48)
      const x10 = v128.load32_splat(a0, 4)
      v00 = products(x10, w10, v00, true)
      v01 = products(x10, w11, v01, true)
      const x11 = v128.load32_splat(a1, 4)
      v10 = products(x11, w10, v10, true)
      v11 = products(x11, w11, v11, true)
      const x12 = v128.load32_splat(a2, 4)
      v20 = products(x12, w10, v20, true)
      v21 = products(x12, w11, v21, true)
      const x13 = v128.load32_splat(a3, 4)
      v30 = products(x13, w10, v30, true)
      v31 = products(x13, w11, v31, true)
      const x14 = v128.load32_splat(a4, 4)
      v40 = products(x14, w10, v40, true)
      v41 = products(x14, w11, v41, true)
      const x15 = v128.load32_splat(a5, 4)
      v50 = products(x15, w10, v50, true)
      v51 = products(x15, w11, v51, true)
      if (q == 2) break
      const w20 = v128.load(p, 64)
      const w21 = v128.load(p, 80)
      const x20 = v128.load32_splat(a0, 8)
      v00 = products(x20, w20, v00, true)
      v01 = products(x20, w21, v01, true)
      const x21 = v128.load32_splat(a1, 8)
      v10 = products(x21, w20, v10, true)
      v11 = products(x21, w21, v11, true)
      const x22 = v128.load32_splat(a2, 8)
      v20 = products(x22, w20, v20, true)
      v21 = products(x22, w21, v21, true)
      const x23 = v128.load32_splat(a3, 8)
      v30 = products(x23, w20, v30, true)
      v31 = products(x23, w21, v31, true)
      const x24 = v128.load32_splat(a4, 8)
      v40 = products(x24, w20, v40, true)
      v41 = products(x24, w21, v41, true)
      const x25 = v128.load32_splat(a5, 8)
      v50 = products(x25, w20, v50, true)
      v51 = products(x25, w21, v51, true)
      if (q == 3) break
      const w30 = v128.load(p, 96)
      const w31 = v128.load(p, 112)
      const x30 = v128.load32_splat(a0, 12)
      v00 = products(x30, w30, v00, true)
      v01 = products(x30, w31, v01, true)
      const x31 = v128.load32_splat(a1, 12)
      v10 = products(x31, w30, v10, true)
      v11 = products(x31, w31, v11, true)
      const x32 = v128.load32_splat(a2, 12)
      v20 = products(x32, w30, v20, true)
      v21 = products(x32, w31, v21, true)
      const x33 = v128.load32_splat(a3, 12)
      v30 = products(x33, w30, v30, true)
      v31 = products(x33, w31, v31, true)
      const x34 = v128.load32_splat(a4, 12)
      v40 = products(x34, w30, v40, true)
      v41 = products(x34, w31, v41, true)
      const x35 = v128.load32_splat(a5, 12)
      v50 = products(x35, w30, v50, true)
      v51 = products(x35, w31, v51, true)
      p += 128
      a0 += 16
      a1 += 16
      a2 += 16
      a3 += 16
      a4 += 16
      a5 += 16
      q -= 4
    } while (q > 0)
    p += <usize>(steps & 3) << 5
    // To the next segment; behind the last no one reads.
    const at = offsets + (<usize>s << 2)
    const skip = load<u32>(at, 4) - load<u32>(at) - ((steps & -4) << 2)
    a0 += skip
    a1 += skip
    a2 += skip
    a3 += skip
    a4 += skip
    a5 += skip
  }
  const y2 = y + (yStep << 1)
  const y4 = y2 + (yStep << 1)
  finishPair(v00, v01, v10, v11, panel, sums, y, yStep, 2, width, yZero, lo, hi)
  finishPair(v20, v21, v30, v31, panel, sums, y2, yStep, 2, width, yZero, lo, hi)
  finishPair(v40, v41, v50, v51, panel, sums, y4, yStep, 2, width, yZero, lo, hi)
}

/** sums[i][0..8) = the sum over pairs of a_i * w. */
// @ts-ignore: decorator
@inline
export function sums4x8(a0: usize, a1: usize, a2: usize, a3: usize, pairs: i32, w: usize, sums: usize): void {
  tile4x8(a0, a1, a2, a3, 1, 0, pairs, 0, w, sums, 0, 0, 0, 0, 0, 0, true)
}

/** tile4x8 for one window. */
// @ts-ignore: decorator
@inline
export function tile1x8(
  a: usize, segments: i32, offsets: usize, steps: i32, start: usize, panel: usize, sums: usize,
  y: usize, width: i32, yZero: i32, lo: i32, hi: i32, four: bool,
): void {
  let v0 = v128.load(start)
  let v1 = v128.load(start, 16)
  let u0 = i32x4.splat(0)
  let u1 = u0
  let t0 = u0
  let t1 = u0
  let s0 = u0
  let s1 = u0
  let p = panel + HEAD
  for (let s = 0; s < segments; s++) {
    let p0 = a + load<u32>(offsets + (<usize>s << 2))
    let q = steps
    if (four) {
      // Eight sums are under way at a time, each of which waits for its product.
      for (; q >= 4; q -= 4) {
        const x0 = v128.load32_splat(p0)
        v0 = products(x0, v128.load(p), v0, four)
        v1 = products(x0, v128.load(p, 16), v1, four)
        const x1 = v128.load32_splat(p0, 4)
        u0 = products(x1, v128.load(p, 32), u0, four)
        u1 = products(x1, v128.load(p, 48), u1, four)
        const x2 = v128.load32_splat(p0, 8)
        t0 = products(x2, v128.load(p, 64), t0, four)
        t1 = products(x2, v128.load(p, 80), t1, four)
        const x3 = v128.load32_splat(p0, 12)
        s0 = products(x3, v128.load(p, 96), s0, four)
        s1 = products(x3, v128.load(p, 112), s1, four)
        p += 128
        p0 += 16
      }
    }
    for (; q > 0; q--) {
      const x = v128.load32_splat(p0)
      v0 = products(x, v128.load(p), v0, four)
      v1 = products(x, v128.load(p, 16), v1, four)
      p += 32
      p0 += 4
    }
  }
  if (four) {
    v0 = i32x4.add(i32x4.add(v0, u0), i32x4.add(t0, s0))
    v1 = i32x4.add(i32x4.add(v1, u1), i32x4.add(t1, s1))
  }
  finish1x8(v0, v1, panel, sums, y, width, yZero, lo, hi)
}

/** sums[0..8) = start (i32 [8]; zeros at the null address) + the products of one window with the weights from w on. */
// @ts-ignore: decorator
@inline
export function sums1x8(
  a: usize, segments: i32, offsets: usize, pairs: i32, start: usize, w: usize, sums: usize,
): void {
  let p = w
  let v0 = start ? load<i32>(start) : 0
  let v1 = start ? load<i32>(start, 4) : 0
  let v2 = start ? load<i32>(start, 8) : 0
  let v3 = start ? load<i32>(start, 12) : 0
  let v4 = start ? load<i32>(start, 16) : 0
  let v5 = start ? load<i32>(start, 20) : 0
  let v6 = start ? load<i32>(start, 24) : 0
  let v7 = start ? load<i32>(start, 28) : 0
  for (let s = 0; s < segments; s++) {
    let p0 = a + <usize>(offsets ? load<u32>(offsets + (<usize>s << 2)) : 0)
    for (let q = pairs; q > 0; q--) {
      const x = <i32>load<i16>(p0)
      const z = <i32>load<i16>(p0, 2)
      v0 += x * load<i16>(p) + z * load<i16>(p, 2)
      v1 += x * load<i16>(p, 4) + z * load<i16>(p, 6)
      v2 += x * load<i16>(p, 8) + z * load<i16>(p, 10)
      v3 += x * load<i16>(p, 12) + z * load<i16>(p, 14)
      v4 += x * load<i16>(p, 16) + z * load<i16>(p, 18)
      v5 += x * load<i16>(p, 20) + z * load<i16>(p, 22)
      v6 += x * load<i16>(p, 24) + z * load<i16>(p, 26)
      v7 += x * load<i16>(p, 28) + z * load<i16>(p, 30)
      p += 32
      p0 += 4
    }
  }
  store<i32>(sums, v0)
  store<i32>(sums, v1, 4)
  store<i32>(sums, v2, 8)
  store<i32>(sums, v3, 12)
  store<i32>(sums, v4, 16)
  store<i32>(sums, v5, 20)
  store<i32>(sums, v6, 24)
  store<i32>(sums, v7, 28)
}
