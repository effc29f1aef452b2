// Optimizers: one step over one parameter, in place. `hyper` holds what the host changes between steps (the learning rate and
// what depends on the step count), so that the call itself stays constant. Formulas as in torch.optim. A step is written once for an
// element or four (lanes.ts), its constants before the loop: V8 makes a splat anew wherever it is written.
//
// All add to the gradient the weight decay (L2) weightDecay * w and the L1 term l1 * sign(w) first. `rate` is the parameter's own
// factor on the learning rate. Before that, gradients may be made smaller: clamp_f32 does it by value, the last kernels by their norm.

import { add, div, most, mul, read, splat, sqrt, sub, write } from './lanes'

/** The gradient g of weight w with what pulls w towards 0. `plain`: nothing does, which is asked before a loop. */
// @ts-ignore: decorator
@inline
function regularized<T>(w: T, g: T, plain: bool, weightDecay: f32, l1: f32): T {
  return plain ? g : add<T>(add<T>(g, mul<T>(splat<T>(weightDecay), w)), pull<T>(w, splat<T>(l1)))
}

/** l1 * sign(w): the sign bit of w on l1, nothing where w is 0. */
// @ts-ignore: decorator
@inline
function pull<T>(w: T, l1: T): T {
  if (isVector<T>()) {
    const signed = v128.or(v128.and(w, i32x4.splat(0x80000000)), l1)
    return v128.and(signed, f32x4.ne(w, f32x4.splat(0)))
  } else return w > 0 ? l1 : w < 0 ? -l1 : <f32>0
}

/** Of n elements those that no vector takes. */
// @ts-ignore: decorator
@inline
function tail(n: i32): i32 {
  return ASC_FEATURE_SIMD ? n & 3 : n
}

/**
 * v = momentum * v + share * g; w -= lr * v, or with `nesterov` w -= lr * (g + momentum * v). Without momentum v is not used (pass 0).
 *
 * hyper  [lr, share]: the share of the gradient that enters the velocity, 1 without dampening
 */
export function sgd_f32(
  w: usize, g: usize, v: usize, hyper: usize, n: i32, rate: f32, momentum: f32, nesterov: i32, weightDecay: f32, l1: f32,
): void {
  const rest = tail(n)
  const at = (n - rest) << 2
  if (ASC_FEATURE_SIMD) sgd<v128>(w, g, v, hyper, n, rate, momentum, nesterov, weightDecay, l1)
  sgd<f32>(w + at, g + at, v + at, hyper, rest, rate, momentum, nesterov, weightDecay, l1)
}

// @ts-ignore: decorator
@inline
function sgd<T>(
  w: usize, g: usize, v: usize, hyper: usize, n: i32, rate: f32, momentum: f32, nesterov: i32, weightDecay: f32, l1: f32,
): void {
  const lr = splat<T>(load<f32>(hyper) * rate)
  const share = splat<T>(load<f32>(hyper, 4))
  const keep = splat<T>(momentum)
  const plain = weightDecay == 0 && l1 == 0
  const bytes = sizeof<T>()
  for (const end = w + (n << 2); w + bytes <= end; w += bytes, g += bytes, v += bytes) {
    const x = read<T>(w)
    let step = regularized<T>(x, read<T>(g), plain, weightDecay, l1)
    if (momentum != 0) {
      const velocity = add<T>(mul<T>(keep, read<T>(v)), mul<T>(share, step))
      write<T>(v, velocity)
      step = nesterov ? add<T>(step, mul<T>(keep, velocity)) : velocity
    }
    write<T>(w, sub<T>(x, mul<T>(lr, step)))
  }
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
  const rest = tail(n)
  const at = (n - rest) << 2
  if (ASC_FEATURE_SIMD) adam<v128>(w, g, m, v, top, hyper, n, rate, beta1, beta2, weightDecay, l1, decay)
  adam<f32>(w + at, g + at, m + at, v + at, top ? top + at : 0, hyper, rest, rate, beta1, beta2, weightDecay, l1, decay)
}

// @ts-ignore: decorator
@inline
function adam<T>(
  w: usize, g: usize, m: usize, v: usize, top: usize, hyper: usize, n: i32,
  rate: f32, beta1: f32, beta2: f32, weightDecay: f32, l1: f32, decay: f32,
): void {
  const keep = splat<T>(<f32>1 - load<f32>(hyper) * rate * decay)
  const a = splat<T>(load<f32>(hyper, 4) * rate)
  const b = splat<T>(load<f32>(hyper, 8) * rate)
  const root = splat<T>(load<f32>(hyper, 12))
  const epsilon = splat<T>(load<f32>(hyper, 16))
  const keepM = splat<T>(beta1)
  const takeM = splat<T>(1 - beta1)
  const keepV = splat<T>(beta2)
  const takeV = splat<T>(1 - beta2)
  const plain = weightDecay == 0 && l1 == 0
  const bytes = sizeof<T>()
  const topStep = top ? bytes : 0
  for (const end = w + (n << 2); w + bytes <= end; w += bytes, g += bytes, m += bytes, v += bytes, top += topStep) {
    const x = read<T>(w)
    const gi = regularized<T>(x, read<T>(g), plain, weightDecay, l1)
    const mi = add<T>(mul<T>(keepM, read<T>(m)), mul<T>(takeM, gi))
    let vi = add<T>(mul<T>(keepV, read<T>(v)), mul<T>(mul<T>(takeV, gi), gi))
    write<T>(m, mi)
    write<T>(v, vi)
    if (top) {
      vi = most<T>(read<T>(top), vi)
      write<T>(top, vi)
    }
    const direction = add<T>(mul<T>(a, mi), mul<T>(b, gi))
    const scale = add<T>(mul<T>(sqrt<T>(vi), root), epsilon)
    write<T>(w, sub<T>(mul<T>(x, keep), div<T>(direction, scale)))
  }
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
  const rest = tail(n)
  const at = (n - rest) << 2
  if (ASC_FEATURE_SIMD) rmsprop<v128>(w, g, v, m, u, hyper, n, rate, decay, epsilon, momentum, weightDecay, l1)
  rmsprop<f32>(w + at, g + at, v + at, m ? m + at : 0, u ? u + at : 0, hyper, rest, rate, decay, epsilon, momentum, weightDecay, l1)
}

// @ts-ignore: decorator
@inline
function rmsprop<T>(
  w: usize, g: usize, v: usize, m: usize, u: usize, hyper: usize, n: i32,
  rate: f32, decay: f32, epsilon: f32, momentum: f32, weightDecay: f32, l1: f32,
): void {
  const lr = splat<T>(load<f32>(hyper) * rate)
  const keep = splat<T>(decay)
  const take = splat<T>(1 - decay)
  const small = splat<T>(epsilon)
  const again = splat<T>(momentum)
  const plain = weightDecay == 0 && l1 == 0
  const bytes = sizeof<T>()
  const mStep = m ? bytes : 0
  const uStep = u ? bytes : 0
  for (const end = w + (n << 2); w + bytes <= end; w += bytes, g += bytes, v += bytes, m += mStep, u += uStep) {
    const x = read<T>(w)
    const gi = regularized<T>(x, read<T>(g), plain, weightDecay, l1)
    let vi = add<T>(mul<T>(keep, read<T>(v)), mul<T>(mul<T>(take, gi), gi))
    write<T>(v, vi)
    if (m) {
      const mi = add<T>(mul<T>(keep, read<T>(m)), mul<T>(take, gi))
      write<T>(m, mi)
      // A variance; rounding can take one of nearly 0 below.
      vi = most<T>(sub<T>(vi, mul<T>(mi, mi)), splat<T>(0))
    }
    let step = div<T>(gi, add<T>(sqrt<T>(vi), small))
    if (u) {
      step = add<T>(mul<T>(again, read<T>(u)), step)
      write<T>(u, step)
    }
    write<T>(w, sub<T>(x, mul<T>(lr, step)))
  }
}

/**
 * Adagrad (Duchi, Hazan and Singer, 2011): v += g^2; w -= lr * g / (sqrt(v) + epsilon).
 *
 * hyper  [lr]
 */
export function adagrad_f32(
  w: usize, g: usize, v: usize, hyper: usize, n: i32, rate: f32, epsilon: f32, weightDecay: f32, l1: f32,
): void {
  const rest = tail(n)
  const at = (n - rest) << 2
  if (ASC_FEATURE_SIMD) adagrad<v128>(w, g, v, hyper, n, rate, epsilon, weightDecay, l1)
  adagrad<f32>(w + at, g + at, v + at, hyper, rest, rate, epsilon, weightDecay, l1)
}

// @ts-ignore: decorator
@inline
function adagrad<T>(w: usize, g: usize, v: usize, hyper: usize, n: i32, rate: f32, epsilon: f32, weightDecay: f32, l1: f32): void {
  const lr = splat<T>(load<f32>(hyper) * rate)
  const small = splat<T>(epsilon)
  const plain = weightDecay == 0 && l1 == 0
  const bytes = sizeof<T>()
  for (const end = w + (n << 2); w + bytes <= end; w += bytes, g += bytes, v += bytes) {
    const x = read<T>(w)
    const gi = regularized<T>(x, read<T>(g), plain, weightDecay, l1)
    const vi = add<T>(read<T>(v), mul<T>(gi, gi))
    write<T>(v, vi)
    write<T>(w, sub<T>(x, mul<T>(lr, div<T>(gi, add<T>(sqrt<T>(vi), small)))))
  }
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
    const all = f32x4.splat(scale)
    for (; x + 16 <= end; x += 16) v128.store(x, f32x4.mul(v128.load(x), all))
  }
  for (; x < end; x += 4) store<f32>(x, load<f32>(x) * scale)
}
