// Padding made real: an image copied into a larger one of zeros, its rows and columns moved apart if asked. Kernels that slide a window
// do this once an image, so that their inner loops have no tests.

/**
 * Copies an image [ih][iw] of `pixelBytes` each into one of [ph][pw] whose other values are zero: input row y lands on row
 * y * sh + top, column x on x * sw + left; what falls outside is dropped.
 */
// @ts-ignore: decorator
@inline
export function spread(
  x: usize, y: usize, ih: i32, iw: i32, pixelBytes: i32, ph: i32, pw: i32, sh: i32, sw: i32, top: i32, left: i32,
): void {
  const rowBytes = pw * pixelBytes
  memory.fill(y, 0, ph * rowBytes)
  // The columns that land inside [0, pw).
  const first = left < 0 ? (-left + sw - 1) / sw : 0
  const end = min(iw, (pw - 1 - left) / sw + 1)
  if (end <= first || pw - 1 < left) return
  for (let r = 0; r < ih; r++) {
    const row = r * sh + top
    if (row < 0 || row >= ph) continue
    let from = x + (r * iw + first) * pixelBytes
    let to = y + row * rowBytes + (first * sw + left) * pixelBytes
    if (sw == 1) memory.copy(to, from, (end - first) * pixelBytes)
    else {
      for (let q = first; q < end; q++) {
        for (let i = 0; i < pixelBytes; i += 4) store<f32>(to + i, load<f32>(from + i))
        from += pixelBytes
        to += sw * pixelBytes
      }
    }
  }
}
