// Embedding in int8: rows of a table by index; y has the table's scale and zero point.

/**
 * y[i] = w[x[i]]; an index out of range is taken as the nearest one in it.
 * @param x i32 [n]
 * @param w i8 [rows][units]
 * @param y i8 [n][units]
 */
export function embedding_i8(x: usize, w: usize, y: usize, n: i32, rows: i32, units: i32): void {
  for (let i = 0; i < n; i++) {
    const row = min(max(load<i32>(x + (i << 2)), 0), rows - 1)
    memory.copy(y, w + row * units, units)
    y += units
  }
}
