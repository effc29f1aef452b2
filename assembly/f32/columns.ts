// A range of columns copied out of, into or between matrices of other widths: how a grouped convolution takes its channels apart.

/**
 * y[i][yAt + j] = x[i][xAt + j] for j < n, or when `add` is 1 += the same.
 *
 * x, y  rows of xWidth and yWidth elements
 */
export function copyColumns_f32(
  x: usize, y: usize, rows: i32, n: i32, xWidth: i32, xAt: i32, yWidth: i32, yAt: i32, add: i32,
): void {
  x += xAt << 2
  y += yAt << 2
  for (let i = 0; i < rows; i++) {
    let at: usize = 0
    if (ASC_FEATURE_SIMD) {
      for (let j = 4; j <= n; j += 4, at += 16) {
        const v = v128.load(x + at)
        v128.store(y + at, add ? f32x4.add(v128.load(y + at), v) : v)
      }
    }
    for (const end = <usize>(n << 2); at < end; at += 4) {
      const v = load<f32>(x + at)
      store<f32>(y + at, add ? load<f32>(y + at) + v : v)
    }
    x += xWidth << 2
    y += yWidth << 2
  }
}
