// The f32 micro-kernels that GEMM and convolution share: 4 rows of A against one packed panel of 8 columns of B, whose 8 accumulators stay
// inside 16 registers with 2 vectors of B, 1 of A and 1 product. A fused product needs no vector of its own: then 6 rows fit, and setting up
// and storing a tile, which weighs where k is short, is shared by more of them.
//
// A row of A is read in segments, so that one loop serves both uses: `rows` x `cols` segments of `chunk` elements, at least one of each
// (tile1x8 also takes none), `colStep` and `rowStep` bytes from one segment to the next. GEMM has 1 x 1 segment of k elements; a convolution
// has kh x 1 segments of kw * ic (NHWC keeps a kernel row contiguous), or kh x kw of ic when dilated.
//
// A panel is 8 biases, then k rows of 8 weights; columns past n are zero.
//
// The loops take four steps of k at a time: fewer instructions, which count most where another thread shares the core. The way out after
// each step keeps the steps apart. Without it the compiler moves all products of a sum to its last one, and what the others then hold does
// not fit into registers.

/** a * b + c: two roundings, or one where the relaxed build has a fused instruction. */
// @ts-ignore: decorator
@inline
export function madd(a: v128, b: v128, c: v128): v128 {
  if (ASC_FEATURE_RELAXED_SIMD) return f32x4.relaxed_madd(a, b, c)
  return f32x4.add(f32x4.mul(a, b), c)
}

/** Clamps to [lo, hi]; a NaN stays a NaN, so that a diverged run shows. */
// @ts-ignore: decorator
@inline
export function clamp4(v: v128, lo: v128, hi: v128): v128 {
  return f32x4.pmin(f32x4.pmax(v, lo), hi)
}

// @ts-ignore: decorator
@inline
export function clamp1(v: f32, lo: f32, hi: f32): f32 {
  return v < lo ? lo : hi < v ? hi : v
}

/** Stores the first `width` lanes; 4 and more are all. */
// @ts-ignore: decorator
@inline
export function storeLanes(c: usize, v: v128, width: i32): void {
  if (width >= 4) {
    v128.store(c, v)
    return
  }
  let r = v
  if (width & 2) {
    v128.store64_lane(c, r, 0)
    r = v128.shuffle<i32>(r, r, 2, 3, 2, 3)
    c += 8
  }
  if (width & 1) v128.store32_lane(c, r, 0)
}

/** Whether a clamp changes nothing. A tile asks once, and has 4 instructions less for each row. */
// @ts-ignore: decorator
@inline
function unbounded(lo: f32, hi: f32): bool {
  return lo == -Infinity && hi == Infinity
}

/** Stores the first `width` (1..8) of 8 columns, clamped or, with `plain`, as they are; with `add`, added to what is there. */
// @ts-ignore: decorator
@inline
function store8(c: usize, v0: v128, v1: v128, width: i32, lo: v128, hi: v128, add: bool, plain: bool): void {
  let r0 = plain ? v0 : clamp4(v0, lo, hi)
  let r1 = plain ? v1 : clamp4(v1, lo, hi)
  if (add) {
    r0 = f32x4.add(v128.load(c), r0)
    if (width > 4) r1 = f32x4.add(v128.load(c, 16), r1)
  }
  if (width == 8) {
    v128.store(c, r0)
    v128.store(c, r1, 16)
  } else {
    storeLanes(c, r0, width)
    if (width > 4) storeLanes(c + 16, r1, width - 4)
  }
}

/**
 * c[i][0..width) = clamp(bias + sum over k of a[i][k] * b[k][0..width)), i = 0..3; with `add`, added to c.
 * `beside`, a constant where the tile is used: the rows lie side by side, as those of a transposed matrix, so that a0 serves all, and
 * elements along k are `step` bytes apart.
 * Rows may be aliased: with a3 = a2 and c3 = c2 the same row is computed twice, which is how a tail in m ends. (With `beside` the places of
 * all rows are read.)
 */
// @ts-ignore: decorator
@inline
export function tile4x8(
  a0: usize, a1: usize, a2: usize, a3: usize, step: usize,
  rows: i32, rowStep: usize, cols: i32, colStep: usize, chunk: i32,
  b: usize,
  c0: usize, c1: usize, c2: usize, c3: usize,
  width: i32, lo: f32, hi: f32, add: bool, beside: bool,
): void {
  if (ASC_FEATURE_SIMD) {
    let v00 = v128.load(b)
    let v01 = v128.load(b, 16)
    let v10 = v00
    let v11 = v01
    let v20 = v00
    let v21 = v01
    let v30 = v00
    let v31 = v01
    let p = b + 32
    let r = 0
    // Where rows and cols are 1 when compiling, no loop is left.
    do {
      let s = 0
      do {
        const at = <usize>r * rowStep + <usize>s * colStep
        let p0 = a0 + at
        let p1 = a1 + at
        let p2 = a2 + at
        let p3 = a3 + at
        let q = chunk
        do {
          const b00 = v128.load(p)
          const b01 = v128.load(p, 16)
          const x00 = v128.load32_splat(p0)
          v00 = madd(x00, b00, v00)
          v01 = madd(x00, b01, v01)
          const x01 = beside ? v128.load32_splat(p0, 4) : v128.load32_splat(p1)
          v10 = madd(x01, b00, v10)
          v11 = madd(x01, b01, v11)
          const x02 = beside ? v128.load32_splat(p0, 8) : v128.load32_splat(p2)
          v20 = madd(x02, b00, v20)
          v21 = madd(x02, b01, v21)
          const x03 = beside ? v128.load32_splat(p0, 12) : v128.load32_splat(p3)
          v30 = madd(x03, b00, v30)
          v31 = madd(x03, b01, v31)
          if (beside) p0 += step
          if (q == 1) break
          const b10 = v128.load(p, 32)
          const b11 = v128.load(p, 48)
          const x10 = beside ? v128.load32_splat(p0) : v128.load32_splat(p0, 4)
          v00 = madd(x10, b10, v00)
          v01 = madd(x10, b11, v01)
          const x11 = beside ? v128.load32_splat(p0, 4) : v128.load32_splat(p1, 4)
          v10 = madd(x11, b10, v10)
          v11 = madd(x11, b11, v11)
          const x12 = beside ? v128.load32_splat(p0, 8) : v128.load32_splat(p2, 4)
          v20 = madd(x12, b10, v20)
          v21 = madd(x12, b11, v21)
          const x13 = beside ? v128.load32_splat(p0, 12) : v128.load32_splat(p3, 4)
          v30 = madd(x13, b10, v30)
          v31 = madd(x13, b11, v31)
          if (beside) p0 += step
          if (q == 2) break
          const b20 = v128.load(p, 64)
          const b21 = v128.load(p, 80)
          const x20 = beside ? v128.load32_splat(p0) : v128.load32_splat(p0, 8)
          v00 = madd(x20, b20, v00)
          v01 = madd(x20, b21, v01)
          const x21 = beside ? v128.load32_splat(p0, 4) : v128.load32_splat(p1, 8)
          v10 = madd(x21, b20, v10)
          v11 = madd(x21, b21, v11)
          const x22 = beside ? v128.load32_splat(p0, 8) : v128.load32_splat(p2, 8)
          v20 = madd(x22, b20, v20)
          v21 = madd(x22, b21, v21)
          const x23 = beside ? v128.load32_splat(p0, 12) : v128.load32_splat(p3, 8)
          v30 = madd(x23, b20, v30)
          v31 = madd(x23, b21, v31)
          if (beside) p0 += step
          if (q == 3) break
          const b30 = v128.load(p, 96)
          const b31 = v128.load(p, 112)
          const x30 = beside ? v128.load32_splat(p0) : v128.load32_splat(p0, 12)
          v00 = madd(x30, b30, v00)
          v01 = madd(x30, b31, v01)
          const x31 = beside ? v128.load32_splat(p0, 4) : v128.load32_splat(p1, 12)
          v10 = madd(x31, b30, v10)
          v11 = madd(x31, b31, v11)
          const x32 = beside ? v128.load32_splat(p0, 8) : v128.load32_splat(p2, 12)
          v20 = madd(x32, b30, v20)
          v21 = madd(x32, b31, v21)
          const x33 = beside ? v128.load32_splat(p0, 12) : v128.load32_splat(p3, 12)
          v30 = madd(x33, b30, v30)
          v31 = madd(x33, b31, v31)
          if (beside) p0 += step
          p += 128
          if (!beside) {
            p0 += 16
            p1 += 16
            p2 += 16
            p3 += 16
          }
          q -= 4
        } while (q > 0)
        p += <usize>(chunk & 3) << 5
      } while (cols > 1 && ++s < cols)
    } while (rows > 1 && ++r < rows)
    if (unbounded(lo, hi)) put4x8(v00, v01, v10, v11, v20, v21, v30, v31, c0, c1, c2, c3, width, lo, hi, add, true)
    else put4x8(v00, v01, v10, v11, v20, v21, v30, v31, c0, c1, c2, c3, width, lo, hi, add, false)
  } else {
    tile1x8(a0, step, rows, rowStep, cols, colStep, chunk, b, c0, width, lo, hi, add)
    if (c1 != c0) tile1x8(a1, step, rows, rowStep, cols, colStep, chunk, b, c1, width, lo, hi, add)
    if (c2 != c1) tile1x8(a2, step, rows, rowStep, cols, colStep, chunk, b, c2, width, lo, hi, add)
    if (c3 != c2) tile1x8(a3, step, rows, rowStep, cols, colStep, chunk, b, c3, width, lo, hi, add)
  }
}

// @ts-ignore: decorator
@inline
function put4x8(
  v00: v128, v01: v128, v10: v128, v11: v128, v20: v128, v21: v128, v30: v128, v31: v128,
  c0: usize, c1: usize, c2: usize, c3: usize, width: i32, lo: f32, hi: f32, add: bool, plain: bool,
): void {
  const l = f32x4.splat(lo)
  const h = f32x4.splat(hi)
  // An aliased row must be added to c once: its duplicate is skipped.
  store8(c0, v00, v01, width, l, h, add, plain)
  if (c1 != c0) store8(c1, v10, v11, width, l, h, add, plain)
  if (c2 != c1) store8(c2, v20, v21, width, l, h, add, plain)
  if (c3 != c2) store8(c3, v30, v31, width, l, h, add, plain)
}

/** How many of m rows tiles of six take, so that what is left goes well into tiles of four: of 6 and more 0, 3, 4, 7, 8 or 11 rows. */
// @ts-ignore: decorator
@inline
export function sixes(m: i32): i32 {
  if (!ASC_FEATURE_RELAXED_SIMD) return 0
  const rest = m % 6
  return max(0, m - rest - (rest == 1 || rest == 2 || rest == 5 ? 6 : 0))
}

/** tile4x8 for six rows, of fused products. */
// @ts-ignore: decorator
@inline
export function tile6x8(
  a0: usize, a1: usize, a2: usize, a3: usize, a4: usize, a5: usize, step: usize,
  rows: i32, rowStep: usize, cols: i32, colStep: usize, chunk: i32,
  b: usize,
  c0: usize, c1: usize, c2: usize, c3: usize, c4: usize, c5: usize,
  width: i32, lo: f32, hi: f32, add: bool, beside: bool,
): void {
  let v00 = v128.load(b)
  let v01 = v128.load(b, 16)
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
  let p = b + 32
  // What lies between the end of a segment and the next one; where rows and cols are 1 when compiling, nothing of it is left.
  const within = <usize>(chunk & -4) << 2
  const between = colStep - within
  const below = rowStep - (cols > 1 ? <usize>cols * colStep : within)
  let r = 0
  do {
    let s = 0
    do {
      let q = chunk
      do {
        const b00 = v128.load(p)
        const b01 = v128.load(p, 16)
        const x00 = v128.load32_splat(a0)
        v00 = madd(x00, b00, v00)
        v01 = madd(x00, b01, v01)
        const x01 = beside ? v128.load32_splat(a0, 4) : v128.load32_splat(a1)
        v10 = madd(x01, b00, v10)
        v11 = madd(x01, b01, v11)
        const x02 = beside ? v128.load32_splat(a0, 8) : v128.load32_splat(a2)
        v20 = madd(x02, b00, v20)
        v21 = madd(x02, b01, v21)
        const x03 = beside ? v128.load32_splat(a0, 12) : v128.load32_splat(a3)
        v30 = madd(x03, b00, v30)
        v31 = madd(x03, b01, v31)
        const x04 = beside ? v128.load32_splat(a0, 16) : v128.load32_splat(a4)
        v40 = madd(x04, b00, v40)
        v41 = madd(x04, b01, v41)
        const x05 = beside ? v128.load32_splat(a0, 20) : v128.load32_splat(a5)
        v50 = madd(x05, b00, v50)
        v51 = madd(x05, b01, v51)
        if (beside) a0 += step
        if (q == 1) break
        const b10 = v128.load(p, 32)
        const b11 = v128.load(p, 48)
        const x10 = beside ? v128.load32_splat(a0) : v128.load32_splat(a0, 4)
        v00 = madd(x10, b10, v00)
        v01 = madd(x10, b11, v01)
        const x11 = beside ? v128.load32_splat(a0, 4) : v128.load32_splat(a1, 4)
        v10 = madd(x11, b10, v10)
        v11 = madd(x11, b11, v11)
        const x12 = beside ? v128.load32_splat(a0, 8) : v128.load32_splat(a2, 4)
        v20 = madd(x12, b10, v20)
        v21 = madd(x12, b11, v21)
        const x13 = beside ? v128.load32_splat(a0, 12) : v128.load32_splat(a3, 4)
        v30 = madd(x13, b10, v30)
        v31 = madd(x13, b11, v31)
        const x14 = beside ? v128.load32_splat(a0, 16) : v128.load32_splat(a4, 4)
        v40 = madd(x14, b10, v40)
        v41 = madd(x14, b11, v41)
        const x15 = beside ? v128.load32_splat(a0, 20) : v128.load32_splat(a5, 4)
        v50 = madd(x15, b10, v50)
        v51 = madd(x15, b11, v51)
        if (beside) a0 += step
        if (q == 2) break
        const b20 = v128.load(p, 64)
        const b21 = v128.load(p, 80)
        const x20 = beside ? v128.load32_splat(a0) : v128.load32_splat(a0, 8)
        v00 = madd(x20, b20, v00)
        v01 = madd(x20, b21, v01)
        const x21 = beside ? v128.load32_splat(a0, 4) : v128.load32_splat(a1, 8)
        v10 = madd(x21, b20, v10)
        v11 = madd(x21, b21, v11)
        const x22 = beside ? v128.load32_splat(a0, 8) : v128.load32_splat(a2, 8)
        v20 = madd(x22, b20, v20)
        v21 = madd(x22, b21, v21)
        const x23 = beside ? v128.load32_splat(a0, 12) : v128.load32_splat(a3, 8)
        v30 = madd(x23, b20, v30)
        v31 = madd(x23, b21, v31)
        const x24 = beside ? v128.load32_splat(a0, 16) : v128.load32_splat(a4, 8)
        v40 = madd(x24, b20, v40)
        v41 = madd(x24, b21, v41)
        const x25 = beside ? v128.load32_splat(a0, 20) : v128.load32_splat(a5, 8)
        v50 = madd(x25, b20, v50)
        v51 = madd(x25, b21, v51)
        if (beside) a0 += step
        if (q == 3) break
        const b30 = v128.load(p, 96)
        const b31 = v128.load(p, 112)
        const x30 = beside ? v128.load32_splat(a0) : v128.load32_splat(a0, 12)
        v00 = madd(x30, b30, v00)
        v01 = madd(x30, b31, v01)
        const x31 = beside ? v128.load32_splat(a0, 4) : v128.load32_splat(a1, 12)
        v10 = madd(x31, b30, v10)
        v11 = madd(x31, b31, v11)
        const x32 = beside ? v128.load32_splat(a0, 8) : v128.load32_splat(a2, 12)
        v20 = madd(x32, b30, v20)
        v21 = madd(x32, b31, v21)
        const x33 = beside ? v128.load32_splat(a0, 12) : v128.load32_splat(a3, 12)
        v30 = madd(x33, b30, v30)
        v31 = madd(x33, b31, v31)
        const x34 = beside ? v128.load32_splat(a0, 16) : v128.load32_splat(a4, 12)
        v40 = madd(x34, b30, v40)
        v41 = madd(x34, b31, v41)
        const x35 = beside ? v128.load32_splat(a0, 20) : v128.load32_splat(a5, 12)
        v50 = madd(x35, b30, v50)
        v51 = madd(x35, b31, v51)
        if (beside) a0 += step
        p += 128
        if (!beside) {
          a0 += 16
          a1 += 16
          a2 += 16
          a3 += 16
          a4 += 16
          a5 += 16
        }
        q -= 4
      } while (q > 0)
      p += <usize>(chunk & 3) << 5
      if (cols > 1) {
        a0 += between
        a1 += between
        a2 += between
        a3 += between
        a4 += between
        a5 += between
      }
    } while (cols > 1 && ++s < cols)
    if (rows > 1) {
      a0 += below
      a1 += below
      a2 += below
      a3 += below
      a4 += below
      a5 += below
    }
  } while (rows > 1 && ++r < rows)
  if (unbounded(lo, hi)) {
    put6x8(v00, v01, v10, v11, v20, v21, v30, v31, v40, v41, v50, v51, c0, c1, c2, c3, c4, c5, width, lo, hi, add, true)
  } else put6x8(v00, v01, v10, v11, v20, v21, v30, v31, v40, v41, v50, v51, c0, c1, c2, c3, c4, c5, width, lo, hi, add, false)
}

// @ts-ignore: decorator
@inline
function put6x8(
  v00: v128, v01: v128, v10: v128, v11: v128, v20: v128, v21: v128, v30: v128, v31: v128, v40: v128, v41: v128, v50: v128, v51: v128,
  c0: usize, c1: usize, c2: usize, c3: usize, c4: usize, c5: usize, width: i32, lo: f32, hi: f32, add: bool, plain: bool,
): void {
  const l = f32x4.splat(lo)
  const h = f32x4.splat(hi)
  store8(c0, v00, v01, width, l, h, add, plain)
  store8(c1, v10, v11, width, l, h, add, plain)
  store8(c2, v20, v21, width, l, h, add, plain)
  store8(c3, v30, v31, width, l, h, add, plain)
  store8(c4, v40, v41, width, l, h, add, plain)
  store8(c5, v50, v51, width, l, h, add, plain)
}

/** The same for one row. */
// @ts-ignore: decorator
@inline
export function tile1x8(
  a: usize, step: usize,
  rows: i32, rowStep: usize, cols: i32, colStep: usize, chunk: i32,
  b: usize, c: usize, width: i32, lo: f32, hi: f32, add: bool,
): void {
  let p = b + 32
  if (ASC_FEATURE_SIMD) {
    let v0 = v128.load(b)
    let v1 = v128.load(b, 16)
    for (let r = 0; r < rows; r++) {
      for (let s = 0; s < cols; s++) {
        let p0 = a + <usize>r * rowStep + <usize>s * colStep
        for (let q = chunk; q > 0; q--) {
          const x = v128.load32_splat(p0)
          v0 = madd(x, v128.load(p), v0)
          v1 = madd(x, v128.load(p, 16), v1)
          p += 32
          p0 += step
        }
      }
    }
    store8(c, v0, v1, width, f32x4.splat(lo), f32x4.splat(hi), add, false)
  } else {
    let v0 = load<f32>(b)
    let v1 = load<f32>(b, 4)
    let v2 = load<f32>(b, 8)
    let v3 = load<f32>(b, 12)
    let v4 = load<f32>(b, 16)
    let v5 = load<f32>(b, 20)
    let v6 = load<f32>(b, 24)
    let v7 = load<f32>(b, 28)
    for (let r = 0; r < rows; r++) {
      for (let s = 0; s < cols; s++) {
        let p0 = a + <usize>r * rowStep + <usize>s * colStep
        for (let q = chunk; q > 0; q--) {
          const x = load<f32>(p0)
          v0 += x * load<f32>(p)
          v1 += x * load<f32>(p, 4)
          v2 += x * load<f32>(p, 8)
          v3 += x * load<f32>(p, 12)
          v4 += x * load<f32>(p, 16)
          v5 += x * load<f32>(p, 20)
          v6 += x * load<f32>(p, 24)
          v7 += x * load<f32>(p, 28)
          p += 32
          p0 += step
        }
      }
    }
    store1(c, v0, lo, hi, add)
    if (width > 1) store1(c + 4, v1, lo, hi, add)
    if (width > 2) store1(c + 8, v2, lo, hi, add)
    if (width > 3) store1(c + 12, v3, lo, hi, add)
    if (width > 4) store1(c + 16, v4, lo, hi, add)
    if (width > 5) store1(c + 20, v5, lo, hi, add)
    if (width > 6) store1(c + 24, v6, lo, hi, add)
    if (width > 7) store1(c + 28, v7, lo, hi, add)
  }
}

/**
 * One row by 32 columns, four panels of `panel` bytes: eight sums are under way at a time, where a row by 8 columns has two, which wait for
 * their products.
 */
// @ts-ignore: decorator
@inline
export function tile1x32(
  a: usize, step: usize, k: i32, b: usize, panel: usize, c: usize, lo: f32, hi: f32, add: bool,
): void {
  let p = b
  let q = p + panel
  let r = q + panel
  let s = r + panel
  let v0 = v128.load(p)
  let v1 = v128.load(p, 16)
  let v2 = v128.load(q)
  let v3 = v128.load(q, 16)
  let v4 = v128.load(r)
  let v5 = v128.load(r, 16)
  let v6 = v128.load(s)
  let v7 = v128.load(s, 16)
  for (let i = k; i > 0; i--) {
    const x = v128.load32_splat(a)
    v0 = madd(x, v128.load(p, 32), v0)
    v1 = madd(x, v128.load(p, 48), v1)
    v2 = madd(x, v128.load(q, 32), v2)
    v3 = madd(x, v128.load(q, 48), v3)
    v4 = madd(x, v128.load(r, 32), v4)
    v5 = madd(x, v128.load(r, 48), v5)
    v6 = madd(x, v128.load(s, 32), v6)
    v7 = madd(x, v128.load(s, 48), v7)
    p += 32
    q += 32
    r += 32
    s += 32
    a += step
  }
  const l = f32x4.splat(lo)
  const h = f32x4.splat(hi)
  store8(c, v0, v1, 8, l, h, add, false)
  store8(c + 32, v2, v3, 8, l, h, add, false)
  store8(c + 64, v4, v5, 8, l, h, add, false)
  store8(c + 96, v6, v7, 8, l, h, add, false)
}

// @ts-ignore: decorator
@inline
function store1(c: usize, v: f32, lo: f32, hi: f32, add: bool): void {
  const r = clamp1(v, lo, hi)
  store<f32>(c, add ? load<f32>(c) + r : r)
}
