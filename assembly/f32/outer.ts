// Sums of outer products: tiles of 4 or 6 rows by 8 columns of y (8 by 4 where few columns are left) stay in registers while all positions go by.
// The gradient of a convolution with respect to its weights is one, over pixels; in Winograd's domain, over tiles. Four positions at a
// time, with a way out after each, for the reasons given in tile.ts.

import { madd, sixes } from './tile'

/**
 * y[o][0..n) += sum over positions of dy[position][o] * x[position][0..n), o < m. Positions are `rows` of `cols`, xStep and dyStep bytes
 * apart in a row; rows of x are lineBytes apart, those of dy follow one another.
 *
 * x   n elements at each position: up to 3 more are read
 * dy  m elements at each position: up to 3 more are read
 * y   rows k elements apart
 */
// @ts-ignore: decorator
@inline
export function outer(
  x: usize, dy: usize, y: usize, m: i32, n: i32, k: i32, rows: i32, cols: i32, lineBytes: usize, xStep: usize, dyStep: usize,
): void {
  const six = sixes(m)
  for (let q = 0; q < n; ) {
    const from = x + (q << 2)
    const to = y + (q << 2)
    const rest = n - q
    let o = 0
    if (ASC_FEATURE_SIMD) {
      if (rest > 4) {
        if (ASC_FEATURE_RELAXED_SIMD) {
          for (; o < six; o += 6) outer6x8(from, dy + (o << 2), to + (o * k << 2), k, min(8, rest), rows, cols, lineBytes, xStep, dyStep)
        }
        for (; o < m; o += 4) {
          outer4x8(from, dy + (o << 2), to + (o * k << 2), k, min(4, m - o), min(8, rest), rows, cols, lineBytes, xStep, dyStep)
        }
        q += 8
      } else {
        for (; o < m; o += 8) {
          const at = dy + (o << 2)
          const row = to + (o * k << 2)
          const left = min(8, m - o)
          if (rest == 4) outer8x4(from, at, row, k, left, rest, true, rows, cols, lineBytes, xStep, dyStep)
          else outer8x4(from, at, row, k, left, rest, false, rows, cols, lineBytes, xStep, dyStep)
        }
        q += 4
      }
    } else {
      for (; o < m; o += 4) outer4x1(from, dy + (o << 2), to + (o * k << 2), k, min(4, m - o), rows, cols, lineBytes, xStep, dyStep)
      q++
    }
  }
}

// @ts-ignore: decorator
@inline
function addLanes(y: usize, v: v128, width: i32): void {
  if (width >= 4) v128.store(y, f32x4.add(v128.load(y), v))
  else {
    store<f32>(y, load<f32>(y) + f32x4.extract_lane(v, 0))
    if (width > 1) store<f32>(y, load<f32>(y, 4) + f32x4.extract_lane(v, 1), 4)
    if (width > 2) store<f32>(y, load<f32>(y, 8) + f32x4.extract_lane(v, 2), 8)
  }
}

/** y[i][0..width) += sum over pixels of dy[pixel][i] * x[pixel][0..width), i < left (1..4), rows of y k apart. */
// @ts-ignore: decorator
@inline
function outer4x8(
  x: usize, dy: usize, y: usize, k: i32, left: i32, width: i32,
  oh: i32, ow: i32, lineBytes: usize, xStep: usize, dyStep: usize,
): void {
  let v00 = f32x4.splat(0)
  let v01 = v00
  let v10 = v00
  let v11 = v00
  let v20 = v00
  let v21 = v00
  let v30 = v00
  let v31 = v00
  let g = dy
  for (let r = 0; r < oh; r++) {
    let p = x
    let q = ow
    do {
      const x00 = v128.load(p)
      const x01 = v128.load(p, 16)
      const g00 = v128.load32_splat(g)
      v00 = madd(g00, x00, v00)
      v01 = madd(g00, x01, v01)
      const g01 = v128.load32_splat(g, 4)
      v10 = madd(g01, x00, v10)
      v11 = madd(g01, x01, v11)
      const g02 = v128.load32_splat(g, 8)
      v20 = madd(g02, x00, v20)
      v21 = madd(g02, x01, v21)
      const g03 = v128.load32_splat(g, 12)
      v30 = madd(g03, x00, v30)
      v31 = madd(g03, x01, v31)
      p += xStep
      g += dyStep
      if (q == 1) break
      const x10 = v128.load(p)
      const x11 = v128.load(p, 16)
      const g10 = v128.load32_splat(g)
      v00 = madd(g10, x10, v00)
      v01 = madd(g10, x11, v01)
      const g11 = v128.load32_splat(g, 4)
      v10 = madd(g11, x10, v10)
      v11 = madd(g11, x11, v11)
      const g12 = v128.load32_splat(g, 8)
      v20 = madd(g12, x10, v20)
      v21 = madd(g12, x11, v21)
      const g13 = v128.load32_splat(g, 12)
      v30 = madd(g13, x10, v30)
      v31 = madd(g13, x11, v31)
      p += xStep
      g += dyStep
      if (q == 2) break
      const x20 = v128.load(p)
      const x21 = v128.load(p, 16)
      const g20 = v128.load32_splat(g)
      v00 = madd(g20, x20, v00)
      v01 = madd(g20, x21, v01)
      const g21 = v128.load32_splat(g, 4)
      v10 = madd(g21, x20, v10)
      v11 = madd(g21, x21, v11)
      const g22 = v128.load32_splat(g, 8)
      v20 = madd(g22, x20, v20)
      v21 = madd(g22, x21, v21)
      const g23 = v128.load32_splat(g, 12)
      v30 = madd(g23, x20, v30)
      v31 = madd(g23, x21, v31)
      p += xStep
      g += dyStep
      if (q == 3) break
      const x30 = v128.load(p)
      const x31 = v128.load(p, 16)
      const g30 = v128.load32_splat(g)
      v00 = madd(g30, x30, v00)
      v01 = madd(g30, x31, v01)
      const g31 = v128.load32_splat(g, 4)
      v10 = madd(g31, x30, v10)
      v11 = madd(g31, x31, v11)
      const g32 = v128.load32_splat(g, 8)
      v20 = madd(g32, x30, v20)
      v21 = madd(g32, x31, v21)
      const g33 = v128.load32_splat(g, 12)
      v30 = madd(g33, x30, v30)
      v31 = madd(g33, x31, v31)
      p += xStep
      g += dyStep
      q -= 4
    } while (q > 0)
    x += lineBytes
  }
  addLanes(y, v00, 4)
  addLanes(y + 16, v01, width - 4)
  if (left > 1) {
    y += k << 2
    addLanes(y, v10, 4)
    addLanes(y + 16, v11, width - 4)
  }
  if (left > 2) {
    y += k << 2
    addLanes(y, v20, 4)
    addLanes(y + 16, v21, width - 4)
  }
  if (left > 3) {
    y += k << 2
    addLanes(y, v30, 4)
    addLanes(y + 16, v31, width - 4)
  }
}

/** The same for six rows, of fused products. */
// @ts-ignore: decorator
@inline
function outer6x8(
  x: usize, dy: usize, y: usize, k: i32, width: i32, oh: i32, ow: i32, lineBytes: usize, xStep: usize, dyStep: usize,
): void {
  let v00 = f32x4.splat(0)
  let v01 = v00
  let v10 = v00
  let v11 = v00
  let v20 = v00
  let v21 = v00
  let v30 = v00
  let v31 = v00
  let v40 = v00
  let v41 = v00
  let v50 = v00
  let v51 = v00
  let g = dy
  for (let r = 0; r < oh; r++) {
    let p = x
    let q = ow
    do {
      const x00 = v128.load(p)
      const x01 = v128.load(p, 16)
      const g00 = v128.load32_splat(g)
      v00 = madd(g00, x00, v00)
      v01 = madd(g00, x01, v01)
      const g01 = v128.load32_splat(g, 4)
      v10 = madd(g01, x00, v10)
      v11 = madd(g01, x01, v11)
      const g02 = v128.load32_splat(g, 8)
      v20 = madd(g02, x00, v20)
      v21 = madd(g02, x01, v21)
      const g03 = v128.load32_splat(g, 12)
      v30 = madd(g03, x00, v30)
      v31 = madd(g03, x01, v31)
      const g04 = v128.load32_splat(g, 16)
      v40 = madd(g04, x00, v40)
      v41 = madd(g04, x01, v41)
      const g05 = v128.load32_splat(g, 20)
      v50 = madd(g05, x00, v50)
      v51 = madd(g05, x01, v51)
      p += xStep
      g += dyStep
      if (q == 1) break
      const x10 = v128.load(p)
      const x11 = v128.load(p, 16)
      const g10 = v128.load32_splat(g)
      v00 = madd(g10, x10, v00)
      v01 = madd(g10, x11, v01)
      const g11 = v128.load32_splat(g, 4)
      v10 = madd(g11, x10, v10)
      v11 = madd(g11, x11, v11)
      const g12 = v128.load32_splat(g, 8)
      v20 = madd(g12, x10, v20)
      v21 = madd(g12, x11, v21)
      const g13 = v128.load32_splat(g, 12)
      v30 = madd(g13, x10, v30)
      v31 = madd(g13, x11, v31)
      const g14 = v128.load32_splat(g, 16)
      v40 = madd(g14, x10, v40)
      v41 = madd(g14, x11, v41)
      const g15 = v128.load32_splat(g, 20)
      v50 = madd(g15, x10, v50)
      v51 = madd(g15, x11, v51)
      p += xStep
      g += dyStep
      if (q == 2) break
      const x20 = v128.load(p)
      const x21 = v128.load(p, 16)
      const g20 = v128.load32_splat(g)
      v00 = madd(g20, x20, v00)
      v01 = madd(g20, x21, v01)
      const g21 = v128.load32_splat(g, 4)
      v10 = madd(g21, x20, v10)
      v11 = madd(g21, x21, v11)
      const g22 = v128.load32_splat(g, 8)
      v20 = madd(g22, x20, v20)
      v21 = madd(g22, x21, v21)
      const g23 = v128.load32_splat(g, 12)
      v30 = madd(g23, x20, v30)
      v31 = madd(g23, x21, v31)
      const g24 = v128.load32_splat(g, 16)
      v40 = madd(g24, x20, v40)
      v41 = madd(g24, x21, v41)
      const g25 = v128.load32_splat(g, 20)
      v50 = madd(g25, x20, v50)
      v51 = madd(g25, x21, v51)
      p += xStep
      g += dyStep
      if (q == 3) break
      const x30 = v128.load(p)
      const x31 = v128.load(p, 16)
      const g30 = v128.load32_splat(g)
      v00 = madd(g30, x30, v00)
      v01 = madd(g30, x31, v01)
      const g31 = v128.load32_splat(g, 4)
      v10 = madd(g31, x30, v10)
      v11 = madd(g31, x31, v11)
      const g32 = v128.load32_splat(g, 8)
      v20 = madd(g32, x30, v20)
      v21 = madd(g32, x31, v21)
      const g33 = v128.load32_splat(g, 12)
      v30 = madd(g33, x30, v30)
      v31 = madd(g33, x31, v31)
      const g34 = v128.load32_splat(g, 16)
      v40 = madd(g34, x30, v40)
      v41 = madd(g34, x31, v41)
      const g35 = v128.load32_splat(g, 20)
      v50 = madd(g35, x30, v50)
      v51 = madd(g35, x31, v51)
      p += xStep
      g += dyStep
      q -= 4
    } while (q > 0)
    x += lineBytes
  }
  addLanes(y, v00, 4)
  addLanes(y + 16, v01, width - 4)
  y += k << 2
  addLanes(y, v10, 4)
  addLanes(y + 16, v11, width - 4)
  y += k << 2
  addLanes(y, v20, 4)
  addLanes(y + 16, v21, width - 4)
  y += k << 2
  addLanes(y, v30, 4)
  addLanes(y + 16, v31, width - 4)
  y += k << 2
  addLanes(y, v40, 4)
  addLanes(y + 16, v41, width - 4)
  y += k << 2
  addLanes(y, v50, 4)
  addLanes(y + 16, v51, width - 4)
}

/**
 * Up to eight rows by up to four columns, of which `four` says whether there is a last one. Here dy is what lies in vectors, so that few
 * columns cost few products; what is summed up is turned at the end.
 */
// @ts-ignore: decorator
@inline
function outer8x4(
  x: usize, dy: usize, y: usize, k: i32, left: i32, width: i32, four: bool,
  oh: i32, ow: i32, lineBytes: usize, xStep: usize, dyStep: usize,
): void {
  let v00 = f32x4.splat(0)
  let v01 = v00
  let v10 = v00
  let v11 = v00
  let v20 = v00
  let v21 = v00
  let v30 = v00
  let v31 = v00
  let g = dy
  // The last four rows; where there are none, the first four again.
  const next: usize = left > 4 ? 16 : 0
  for (let r = 0; r < oh; r++) {
    let p = x
    for (let q = ow; q > 0; q--) {
      const g0 = v128.load(g)
      const g1 = v128.load(g + next)
      const x0 = v128.load32_splat(p)
      v00 = madd(g0, x0, v00)
      v01 = madd(g1, x0, v01)
      const x1 = v128.load32_splat(p, 4)
      v10 = madd(g0, x1, v10)
      v11 = madd(g1, x1, v11)
      const x2 = v128.load32_splat(p, 8)
      v20 = madd(g0, x2, v20)
      v21 = madd(g1, x2, v21)
      if (four) {
        const x3 = v128.load32_splat(p, 12)
        v30 = madd(g0, x3, v30)
        v31 = madd(g1, x3, v31)
      }
      p += xStep
      g += dyStep
    }
    x += lineBytes
  }
  addTurned(y, k, v00, v10, v20, v30, min(4, left), width)
  if (left > 4) addTurned(y + (k << 4), k, v01, v11, v21, v31, left - 4, width)
}

/** y[i][j] += lane i of column j, i < left (1..4), j < width; rows of y k apart. */
// @ts-ignore: decorator
@inline
function addTurned(y: usize, k: i32, c0: v128, c1: v128, c2: v128, c3: v128, left: i32, width: i32): void {
  const a = v128.shuffle<f32>(c0, c1, 0, 4, 1, 5)
  const b = v128.shuffle<f32>(c2, c3, 0, 4, 1, 5)
  const c = v128.shuffle<f32>(c0, c1, 2, 6, 3, 7)
  const d = v128.shuffle<f32>(c2, c3, 2, 6, 3, 7)
  addLanes(y, v128.shuffle<f64>(a, b, 0, 2), width)
  if (left > 1) addLanes(y + (k << 2), v128.shuffle<f64>(a, b, 1, 3), width)
  if (left > 2) addLanes(y + (k << 3), v128.shuffle<f64>(c, d, 0, 2), width)
  if (left > 3) addLanes(y + (k * 12), v128.shuffle<f64>(c, d, 1, 3), width)
}

// @ts-ignore: decorator
@inline
function outer4x1(
  x: usize, dy: usize, y: usize, k: i32, left: i32,
  oh: i32, ow: i32, lineBytes: usize, xStep: usize, dyStep: usize,
): void {
  let v0: f32 = 0
  let v1: f32 = 0
  let v2: f32 = 0
  let v3: f32 = 0
  let g = dy
  for (let r = 0; r < oh; r++) {
    let p = x
    for (let q = ow; q > 0; q--) {
      const x0 = load<f32>(p)
      v0 += load<f32>(g) * x0
      v1 += load<f32>(g, 4) * x0
      v2 += load<f32>(g, 8) * x0
      v3 += load<f32>(g, 12) * x0
      p += xStep
      g += dyStep
    }
    x += lineBytes
  }
  store<f32>(y, load<f32>(y) + v0)
  if (left > 1) store<f32>(y + (k << 2), load<f32>(y + (k << 2)) + v1)
  if (left > 2) store<f32>(y + (k << 3), load<f32>(y + (k << 3)) + v2)
  if (left > 3) store<f32>(y + (k * 12), load<f32>(y + (k * 12)) + v3)
}
