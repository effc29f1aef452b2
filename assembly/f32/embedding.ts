// Embedding: rows of a table by index. An index out of range means the nearest row, so nothing outside of the table is touched.
//
// x i32 [n]   w, dw [rows][units]   y, dy [n][units]

// @ts-ignore: decorator
@inline
function rowOf(x: usize, i: i32, rows: i32): i32 {
  return min(max(load<i32>(x + (i << 2)), 0), rows - 1)
}

/** y[i] = w[x[i]]. */
export function embedding_f32(x: usize, w: usize, y: usize, n: i32, rows: i32, units: i32): void {
  for (let i = 0; i < n; i++) {
    memory.copy(y, w + ((rowOf(x, i, rows) * units) << 2), units << 2)
    y += units << 2
  }
}

/** dw[x[i]] += dy[i], in the order of i. */
export function embedding_f32_dw(x: usize, dy: usize, dw: usize, n: i32, rows: i32, units: i32): void {
  for (let i = 0; i < n; i++) {
    const row = dw + ((rowOf(x, i, rows) * units) << 2)
    let j = 0
    if (ASC_FEATURE_SIMD) {
      for (; j + 4 <= units; j += 4)
        v128.store(row + (j << 2), f32x4.add(v128.load(row + (j << 2)), v128.load(dy + (j << 2))))
    }
    for (; j < units; j++) store<f32>(row + (j << 2), load<f32>(row + (j << 2)) + load<f32>(dy + (j << 2)))
    dy += units << 2
  }
}
