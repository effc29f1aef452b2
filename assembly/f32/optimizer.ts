// Optimizers: one step over one parameter, in place. `hyper` holds what the host changes between steps (the learning rate and
// what depends on the step count), so that the call itself stays constant. Formulas as in torch.optim. A step is written once for an
// element or four (lanes.ts).
//
// All add to the gradient the weight decay (L2) weightDecay * w and the L1 term l1 * sign(w) first. `rate` is the parameter's own
// factor on the learning rate. Before that, gradients may be made smaller: clamp_f32 does it by value, the last kernels by their norm.

import { add, div, mul, read, splat, sqrt, sub, write } from './lanes'

// @ts-ignore: decorator
@inline
function regularized<T>(w: T, g: T, weightDecay: f32, l1: f32): T {
  return add<T>(add<T>(g, mul<T>(splat<T>(weightDecay), w)), pull<T>(w, l1))
}

/** l1 * sign(w): the sign bit of w on l1, nothing where w is 0. */
// @ts-ignore: decorator
@inline
function pull<T>(w: T, l1: f32): T {
  if (isVector<T>()) {
    const signed = v128.or(v128.and(w, i32x4.splat(0x80000000)), f32x4.splat(l1))
    return v128.and(signed, f32x4.ne(w, f32x4.splat(0)))
  } else return w > 0 ? l1 : w < 0 ? -l1 : <f32>0
}

// @ts-ignore: decorator
@inline
function larger<T>(a: T, b: T): T {
  if (isVector<T>()) return f32x4.max(a, b)
  else return max<f32>(a, b)
}

// @ts-ignore: decorator
@inline
function sgdStep<T>(
  w: usize, g: usize, v: usize, lr: f32, share: f32, momentum: f32, nesterov: i32, weightDecay: f32, l1: f32,
): void {
  const x = read<T>(w)
  let step = regularized<T>(x, read<T>(g), weightDecay, l1)
  if (momentum != 0) {
    const velocity = add<T>(mul<T>(splat<T>(momentum), read<T>(v)), mul<T>(splat<T>(share), step))
    write<T>(v, velocity)
    step = nesterov ? add<T>(step, mul<T>(splat<T>(momentum), velocity)) : velocity
  }
  write<T>(w, sub<T>(x, mul<T>(splat<T>(lr), step)))
}

/**
 * v = momentum * v + share * g; w -= lr * v, or with `nesterov` w -= lr * (g + momentum * v). Without momentum v is not used (pass 0).
 *
 * hyper  [lr, share]: the share of the gradient that enters the velocity, 1 without dampening
 */
export function sgd_f32(
  w: usize, g: usize, v: usize, hyper: usize, n: i32, rate: f32, momentum: f32, nesterov: i32, weightDecay: f32, l1: f32,
): void {
  const lr = load<f32>(hyper) * rate
  const share = load<f32>(hyper, 4)
  const end = w + (n << 2)
  if (ASC_FEATURE_SIMD) {
    for (; w + 16 <= end; w += 16, g += 16, v += 16) {
      sgdStep<v128>(w, g, v, lr, share, momentum, nesterov, weightDecay, l1)
    }
  }
  for (; w < end; w += 4, g += 4, v += 4) sgdStep<f32>(w, g, v, lr, share, momentum, nesterov, weightDecay, l1)
}

// @ts-ignore: decorator
@inline
function adamStep<T>(
  w: usize, g: usize, m: usize, v: usize, top: usize, keep: f32, a: f32, b: f32, root: f32, epsilon: f32, beta1: f32, beta2: f32,
  weightDecay: f32, l1: f32,
): void {
  const x = read<T>(w)
  const gi = regularized<T>(x, read<T>(g), weightDecay, l1)
  const mi = add<T>(mul<T>(splat<T>(beta1), read<T>(m)), mul<T>(splat<T>(1 - beta1), gi))
  let vi = add<T>(mul<T>(splat<T>(beta2), read<T>(v)), mul<T>(mul<T>(splat<T>(1 - beta2), gi), gi))
  write<T>(m, mi)
  write<T>(v, vi)
  if (top) {
    vi = larger<T>(read<T>(top), vi)
    write<T>(top, vi)
  }
  const direction = add<T>(mul<T>(splat<T>(a), mi), mul<T>(splat<T>(b), gi))
  const scale = add<T>(mul<T>(sqrt<T>(vi), splat<T>(root)), splat<T>(epsilon))
  write<T>(w, sub<T>(mul<T>(x, splat<T>(keep)), div<T>(direction, scale)))
}

/**
 * Adam (Kingma and Ba, 2015) and its kin: m = beta1 m + (1 - beta1) g; v = beta2 v + (1 - beta2) g^2;
 * w = (1 - lr * decay) w - (a m + b g) / (root * sqrt(v) + epsilon).
 * Where `top` is not 0 it keeps the largest v so far, which is used for v (AMSGrad). What the host puts into `hyper` makes it Adam
 * (bias corrections in a and root, b 0), NAdam (Nesterov's momentum: b too) or RAdam (root 0 in its first steps).
 *
 * hyper  [lr, a, b, root, epsilon]
 */
export function adam_f32(
  w: usize, g: usize, m: usize, v: usize, top: usize, hyper: usize, n: i32,
  rate: f32, beta1: f32, beta2: f32, weightDecay: f32, l1: f32, decay: f32,
): void {
  const keep = <f32>1 - load<f32>(hyper) * rate * decay
  const a = load<f32>(hyper, 4) * rate
  const b = load<f32>(hyper, 8) * rate
  const root = load<f32>(hyper, 12)
  const epsilon = load<f32>(hyper, 16)
  const step = top ? 4 : 0
  const end = w + (n << 2)
  if (ASC_FEATURE_SIMD) {
    for (; w + 16 <= end; w += 16, g += 16, m += 16, v += 16, top += step << 2) {
      adamStep<v128>(w, g, m, v, top, keep, a, b, root, epsilon, beta1, beta2, weightDecay, l1)
    }
  }
  for (; w < end; w += 4, g += 4, m += 4, v += 4, top += step) {
    adamStep<f32>(w, g, m, v, top, keep, a, b, root, epsilon, beta1, beta2, weightDecay, l1)
  }
}

// @ts-ignore: decorator
@inline
function rmspropStep<T>(
  w: usize, g: usize, v: usize, m: usize, u: usize, lr: f32, decay: f32, epsilon: f32, momentum: f32, weightDecay: f32, l1: f32,
): void {
  const x = read<T>(w)
  const gi = regularized<T>(x, read<T>(g), weightDecay, l1)
  let vi = add<T>(mul<T>(splat<T>(decay), read<T>(v)), mul<T>(mul<T>(splat<T>(1 - decay), gi), gi))
  write<T>(v, vi)
  if (m) {
    const mi = add<T>(mul<T>(splat<T>(decay), read<T>(m)), mul<T>(splat<T>(1 - decay), gi))
    write<T>(m, mi)
    // A variance; rounding can take one of nearly 0 below.
    vi = larger<T>(sub<T>(vi, mul<T>(mi, mi)), splat<T>(0))
  }
  let step = div<T>(gi, add<T>(sqrt<T>(vi), splat<T>(epsilon)))
  if (u) {
    step = add<T>(mul<T>(splat<T>(momentum), read<T>(u)), step)
    write<T>(u, step)
  }
  write<T>(w, sub<T>(x, mul<T>(splat<T>(lr), step)))
}

/**
 * RMSprop (Hinton, Coursera lecture 6e, 2012): v = decay v + (1 - decay) g^2; u = momentum u + g / (sqrt(v) + epsilon); w -= lr * u.
 * Where `m` is not 0 it keeps the mean of g, whose square is taken off v (centered). `u` is 0 when there is no momentum.
 *
 * hyper  [lr]
 */
export function rmsprop_f32(
  w: usize, g: usize, v: usize, m: usize, u: usize, hyper: usize, n: i32,
  rate: f32, decay: f32, epsilon: f32, momentum: f32, weightDecay: f32, l1: f32,
): void {
  const lr = load<f32>(hyper) * rate
  const mStep = m ? 4 : 0
  const uStep = u ? 4 : 0
  const end = w + (n << 2)
  if (ASC_FEATURE_SIMD) {
    for (; w + 16 <= end; w += 16, g += 16, v += 16, m += mStep << 2, u += uStep << 2) {
      rmspropStep<v128>(w, g, v, m, u, lr, decay, epsilon, momentum, weightDecay, l1)
    }
  }
  for (; w < end; w += 4, g += 4, v += 4, m += mStep, u += uStep) {
    rmspropStep<f32>(w, g, v, m, u, lr, decay, epsilon, momentum, weightDecay, l1)
  }
}

// @ts-ignore: decorator
@inline
function adagradStep<T>(w: usize, g: usize, v: usize, lr: f32, epsilon: f32, weightDecay: f32, l1: f32): void {
  const x = read<T>(w)
  const gi = regularized<T>(x, read<T>(g), weightDecay, l1)
  const vi = add<T>(read<T>(v), mul<T>(gi, gi))
  write<T>(v, vi)
  write<T>(w, sub<T>(x, mul<T>(splat<T>(lr), div<T>(gi, add<T>(sqrt<T>(vi), splat<T>(epsilon))))))
}

/**
 * Adagrad (Duchi, Hazan and Singer, 2011): v += g^2; w -= lr * g / (sqrt(v) + epsilon).
 *
 * hyper  [lr]
 */
export function adagrad_f32(
  w: usize, g: usize, v: usize, hyper: usize, n: i32, rate: f32, epsilon: f32, weightDecay: f32, l1: f32,
): void {
  const lr = load<f32>(hyper) * rate
  const end = w + (n << 2)
  if (ASC_FEATURE_SIMD) {
    for (; w + 16 <= end; w += 16, g += 16, v += 16) adagradStep<v128>(w, g, v, lr, epsilon, weightDecay, l1)
  }
  for (; w < end; w += 4, g += 4, v += 4) adagradStep<f32>(w, g, v, lr, epsilon, weightDecay, l1)
}

/** sum[0], one f64, += the sum of the squares of x: in four partial sums, in every build alike. */
export function sumSquares_f32(x: usize, sum: usize, n: i32): void {
  let s0: f64 = 0
  let s1: f64 = 0
  let s2: f64 = 0
  let s3: f64 = 0
  const end = x + (n << 2)
  for (; x + 16 <= end; x += 16) {
    const a = <f64>load<f32>(x)
    const b = <f64>load<f32>(x, 4)
    const c = <f64>load<f32>(x, 8)
    const d = <f64>load<f32>(x, 12)
    s0 += a * a
    s1 += b * b
    s2 += c * c
    s3 += d * d
  }
  for (; x < end; x += 4) {
    const a = <f64>load<f32>(x)
    s0 += a * a
  }
  store<f64>(sum, load<f64>(sum) + ((s0 + s1) + (s2 + s3)))
}

/**
 * x = x * min(1, limit / sqrt(sum[0])): with the sum of the squares of all gradients, one f64, these together get a norm of at most
 * `limit`. What is not finite stays so.
 */
export function limitNorm_f32(x: usize, sum: usize, n: i32, limit: f32): void {
  const norm = f64.sqrt(load<f64>(sum))
  if (norm <= <f64>limit) return
  const scale = <f32>(<f64>limit / norm)
  const end = x + (n << 2)
  if (ASC_FEATURE_SIMD) {
    for (; x + 16 <= end; x += 16) v128.store(x, f32x4.mul(v128.load(x), f32x4.splat(scale)))
  }
  for (; x < end; x += 4) store<f32>(x, load<f32>(x) * scale)
}
