// Arithmetic on T, which is v128 (4 lanes of f32) or f32: a loop over channels is written once and instantiated for the vectors and for
// their tail, with the same operations in the same order.

// @ts-ignore: decorator
@inline
export function get<T>(p: usize): T {
  if (isVector<T>()) return v128.load(p)
  else return load<f32>(p)
}

// @ts-ignore: decorator
@inline
export function put<T>(p: usize, v: T): void {
  if (isVector<T>()) v128.store(p, v)
  else store<f32>(p, v)
}

// @ts-ignore: decorator
@inline
export function all<T>(v: f32): T {
  if (isVector<T>()) return f32x4.splat(v)
  else return v
}

// @ts-ignore: decorator
@inline
export function add<T>(a: T, b: T): T {
  if (isVector<T>()) return f32x4.add(a, b)
  else return a + b
}

// @ts-ignore: decorator
@inline
export function sub<T>(a: T, b: T): T {
  if (isVector<T>()) return f32x4.sub(a, b)
  else return a - b
}

// @ts-ignore: decorator
@inline
export function mul<T>(a: T, b: T): T {
  if (isVector<T>()) return f32x4.mul(a, b)
  else return a * b
}

// @ts-ignore: decorator
@inline
export function div<T>(a: T, b: T): T {
  if (isVector<T>()) return f32x4.div(a, b)
  else return a / b
}

// @ts-ignore: decorator
@inline
export function sqrt<T>(v: T): T {
  if (isVector<T>()) return f32x4.sqrt(v)
  else return f32.sqrt(v)
}
