// The mean over some of a value's axes, and its gradient. A value of up to four axes, those of samples among them, is walked as the axes that
// stay (n0 to n3, which are y's in order) and those that go (m0 to m2), each with its own step in x; steps in elements.

/** y[i] = scale * (the sum of x over the axes that go), i counting the axes that stay. */
export function mean_f32(
  x: usize, y: usize, n0: i32, n1: i32, n2: i32, n3: i32, m0: i32, m1: i32, m2: i32,
  x0: i32, x1: i32, x2: i32, x3: i32, s0: i32, s1: i32, s2: i32, scale: f32,
): void {
  for (let i0 = 0; i0 < n0; i0++) {
    for (let i1 = 0; i1 < n1; i1++) {
      for (let i2 = 0; i2 < n2; i2++) {
        for (let i3 = 0; i3 < n3; i3++) {
          const p = x + ((i0 * x0 + i1 * x1 + i2 * x2 + i3 * x3) << 2)
          let sum: f32 = 0
          for (let j0 = 0; j0 < m0; j0++) {
            for (let j1 = 0; j1 < m1; j1++) {
              const q = p + ((j0 * s0 + j1 * s1) << 2)
              for (let j2 = 0; j2 < m2; j2++) sum += load<f32>(q + ((j2 * s2) << 2))
            }
          }
          store<f32>(y, sum * scale)
          y += 4
        }
      }
    }
  }
}

/** dx += scale * dy, at each of the places that y was the mean of. */
export function mean_f32_dx(
  dy: usize, dx: usize, n0: i32, n1: i32, n2: i32, n3: i32, m0: i32, m1: i32, m2: i32,
  x0: i32, x1: i32, x2: i32, x3: i32, s0: i32, s1: i32, s2: i32, scale: f32,
): void {
  for (let i0 = 0; i0 < n0; i0++) {
    for (let i1 = 0; i1 < n1; i1++) {
      for (let i2 = 0; i2 < n2; i2++) {
        for (let i3 = 0; i3 < n3; i3++) {
          const p = dx + ((i0 * x0 + i1 * x1 + i2 * x2 + i3 * x3) << 2)
          const d = load<f32>(dy) * scale
          for (let j0 = 0; j0 < m0; j0++) {
            for (let j1 = 0; j1 < m1; j1++) {
              for (let j2 = 0; j2 < m2; j2++) {
                const at = p + ((j0 * s0 + j1 * s1 + j2 * s2) << 2)
                store<f32>(at, load<f32>(at) + d)
              }
            }
          }
          dy += 4
        }
      }
    }
  }
}
