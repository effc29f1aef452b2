// Products of matrices that are both computed, as the scores of attention are: small, many, and of any strides, so that one kernel is the
// forward and both gradients. (A product with stored weights is a dense layer or a 1x1 convolution, whose weights are packed.)

/**
 * y[s, i, j] = sum over l of a[s, i, l] * b[s, l, j], or with `add` 1 that is added to y; s < count, i < m, j < n, l < k.
 *
 * Neighbours along an axis are so many elements apart: in a as i am, l ak, in b as l bk, j bn; matrices lie one after another, y [m][n].
 * The sum is taken in the order of l.
 */
export function matMul_f32(
  a: usize, b: usize, y: usize,
  count: i32, m: i32, n: i32, k: i32, am: i32, ak: i32, bk: i32, bn: i32, add: i32,
): void {
  for (let s = 0; s < count; s++) {
    for (let i = 0; i < m; i++) {
      const row = a + ((i * am) << 2)
      let j = 0
      if (ASC_FEATURE_SIMD) {
        if (bn == 1) {
          for (; j + 4 <= n; j += 4) {
            let sum = f32x4.splat(0)
            let p = row
            let q = b + (j << 2)
            for (let l = 0; l < k; l++) {
              sum = f32x4.add(sum, f32x4.mul(v128.load32_splat(p), v128.load(q)))
              p += ak << 2
              q += bk << 2
            }
            const to = y + (j << 2)
            v128.store(to, add ? f32x4.add(v128.load(to), sum) : sum)
          }
        }
      }
      for (; j < n; j++) {
        let sum: f32 = 0
        let p = row
        let q = b + ((j * bn) << 2)
        for (let l = 0; l < k; l++) {
          sum += load<f32>(p) * load<f32>(q)
          p += ak << 2
          q += bk << 2
        }
        const to = y + (j << 2)
        store<f32>(to, add ? load<f32>(to) + sum : sum)
      }
      y += n << 2
    }
    a += (m * k) << 2
    b += (k * n) << 2
  }
}
