// Moves a block of up to four axes from one tensor into another, each with its own steps: all that concat, slice, pad and permute do.
// (src/ops/move.ts makes the numbers: axes that lie together in both are one axis.)

/**
 * y[yAt + i0 y0 + i1 y1 + i2 y2 + i3 y3] = x[xAt + i0 x0 + i1 x1 + i2 x2 + i3 x3] for all i0 < n0, i1 < n1, i2 < n2, i3 < n3.
 *
 * Steps and offsets in elements.
 */
export function move_f32(
  x: usize, y: usize, n0: i32, n1: i32, n2: i32, n3: i32,
  xAt: i32, x0: i32, x1: i32, x2: i32, x3: i32, yAt: i32, y0: i32, y1: i32, y2: i32, y3: i32,
): void {
  const together = x3 == 1 && y3 == 1 && n3 >= 16
  for (let i0 = 0; i0 < n0; i0++) {
    for (let i1 = 0; i1 < n1; i1++) {
      let p = x + ((xAt + i0 * x0 + i1 * x1) << 2)
      let q = y + ((yAt + i0 * y0 + i1 * y1) << 2)
      for (let i2 = 0; i2 < n2; i2++) {
        if (together) memory.copy(q, p, n3 << 2)
        else for (let i3 = 0; i3 < n3; i3++) store<f32>(q + ((i3 * y3) << 2), load<f32>(p + ((i3 * x3) << 2)))
        p += x2 << 2
        q += y2 << 2
      }
    }
  }
}

/** The same numbers the other way: dx[xAt + ...] += dy[yAt + ...]. A step of 0 in x sums up along its axis, in order. */
export function move_f32_dx(
  dy: usize, dx: usize, n0: i32, n1: i32, n2: i32, n3: i32,
  xAt: i32, x0: i32, x1: i32, x2: i32, x3: i32, yAt: i32, y0: i32, y1: i32, y2: i32, y3: i32,
): void {
  const together = x3 == 1 && y3 == 1
  for (let i0 = 0; i0 < n0; i0++) {
    for (let i1 = 0; i1 < n1; i1++) {
      let p = dx + ((xAt + i0 * x0 + i1 * x1) << 2)
      let q = dy + ((yAt + i0 * y0 + i1 * y1) << 2)
      for (let i2 = 0; i2 < n2; i2++) {
        let i3 = 0
        if (ASC_FEATURE_SIMD) {
          if (together) {
            for (; i3 + 4 <= n3; i3 += 4)
              v128.store(p + (i3 << 2), f32x4.add(v128.load(p + (i3 << 2)), v128.load(q + (i3 << 2))))
          }
        }
        for (; i3 < n3; i3++) {
          const at = p + ((i3 * x3) << 2)
          store<f32>(at, load<f32>(at) + load<f32>(q + ((i3 * y3) << 2)))
        }
        p += x2 << 2
        q += y2 << 2
      }
    }
  }
}
