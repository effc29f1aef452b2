// Padding made real: an image copied into a larger one of zeros. Kernels that slide a window do this once an image, so that their inner loops
// have no tests.

/**
 * Copies an image [ih][iw] of `pixelBytes` each into one of [ph][pw] whose other values are zero: input row y lands on row y + top, column x on
 * x + left; what falls outside is dropped.
 */
// @ts-ignore: decorator
@inline
export function spread(x: usize, y: usize, ih: i32, iw: i32, pixelBytes: i32, ph: i32, pw: i32, top: i32, left: i32): void {
  const rowBytes = pw * pixelBytes
  memory.fill(y, 0, ph * rowBytes)
  // The columns that land inside [0, pw).
  const first = max(0, -left)
  const end = min(iw, pw - left)
  if (end <= first) return
  for (let r = max(0, -top); r < min(ih, ph - top); r++) {
    const from = x + (r * iw + first) * pixelBytes
    memory.copy(y + (r + top) * rowBytes + (first + left) * pixelBytes, from, (end - first) * pixelBytes)
  }
}
