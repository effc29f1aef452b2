// Optimizers: one step over one parameter, in place. `hyper` holds what the host changes between steps (the learning rate and
// what depends on the step count), so that the call itself stays constant. Formulas as in torch.optim (SGD, Adam).
//
// Both add to the gradient the weight decay (L2) wd * w and the L1 term l1 * sign(w) first.

// @ts-ignore: decorator
@inline
function regularized(w: f32, g: f32, weightDecay: f32, l1: f32): f32 {
  return g + weightDecay * w + (w > 0 ? l1 : w < 0 ? -l1 : <f32>0)
}

/**
 * v = momentum * v + g; w -= lr * v, or with `nesterov` w -= lr * (g + momentum * v). Without momentum v is not used (pass 0).
 *
 * hyper  [lr]
 */
export function sgd_f32(
  w: usize, g: usize, v: usize, hyper: usize, n: i32, momentum: f32, nesterov: i32, weightDecay: f32, l1: f32,
): void {
  const lr = load<f32>(hyper)
  for (const end = w + (n << 2); w < end; w += 4, g += 4) {
    const x = load<f32>(w)
    let step = regularized(x, load<f32>(g), weightDecay, l1)
    if (momentum != 0) {
      const velocity = momentum * load<f32>(v) + step
      store<f32>(v, velocity)
      step = nesterov ? step + momentum * velocity : velocity
      v += 4
    }
    store<f32>(w, x - lr * step)
  }
}

/**
 * Adam (Kingma and Ba, 2015): m = b1 m + (1 - b1) g; v = b2 v + (1 - b2) g^2; w -= lr' * m / (sqrt(v) * r + epsilon).
 *
 * hyper  [lr' = lr / (1 - b1^t), r = 1 / sqrt(1 - b2^t)]
 */
export function adam_f32(
  w: usize, g: usize, m: usize, v: usize, hyper: usize, n: i32, beta1: f32, beta2: f32, epsilon: f32, weightDecay: f32, l1: f32,
): void {
  const lr = load<f32>(hyper)
  const root = load<f32>(hyper, 4)
  const end = w + (n << 2)
  if (ASC_FEATURE_SIMD) {
    const one = f32x4.splat(1)
    const b1 = f32x4.splat(beta1)
    const b2 = f32x4.splat(beta2)
    const c1 = f32x4.splat(1 - beta1)
    const c2 = f32x4.splat(1 - beta2)
    const sign = i32x4.splat(0x80000000)
    for (; w + 16 <= end; w += 16, g += 16, m += 16, v += 16) {
      const x = v128.load(w)
      // l1 * sign(w): the sign bit of w on l1, nothing where w is 0.
      const pull = v128.and(v128.or(v128.and(x, sign), f32x4.splat(l1)), f32x4.ne(x, f32x4.splat(0)))
      const gi = f32x4.add(f32x4.add(v128.load(g), f32x4.mul(f32x4.splat(weightDecay), x)), pull)
      const mi = f32x4.add(f32x4.mul(b1, v128.load(m)), f32x4.mul(c1, gi))
      const vi = f32x4.add(f32x4.mul(b2, v128.load(v)), f32x4.mul(f32x4.mul(c2, gi), gi))
      v128.store(m, mi)
      v128.store(v, vi)
      const step = f32x4.div(one, f32x4.add(f32x4.mul(f32x4.sqrt(vi), f32x4.splat(root)), f32x4.splat(epsilon)))
      v128.store(w, f32x4.sub(x, f32x4.mul(f32x4.mul(f32x4.splat(lr), mi), step)))
    }
  }
  for (; w < end; w += 4, g += 4, m += 4, v += 4) {
    const x = load<f32>(w)
    const gi = regularized(x, load<f32>(g), weightDecay, l1)
    const mi = beta1 * load<f32>(m) + (1 - beta1) * gi
    const vi = beta2 * load<f32>(v) + (1 - beta2) * gi * gi
    store<f32>(m, mi)
    store<f32>(v, vi)
    store<f32>(w, x - lr * mi * (<f32>1 / (sqrt<f32>(vi) * root + epsilon)))
  }
}
