// The part of a kernel window that lies inside the input, along one axis: taps k in [firstTap, endTap) read input element
// origin + k * d, which is in [0, size). What is outside is padding, a real 0, and is left out.

// @ts-ignore: decorator
@inline
export function firstTap(origin: i32, d: i32): i32 {
  return origin < 0 ? (d - 1 - origin) / d : 0
}

/** Not above firstTap when no tap is inside. */
// @ts-ignore: decorator
@inline
export function endTap(origin: i32, d: i32, size: i32, taps: i32): i32 {
  return min((size - origin + d - 1) / d, taps)
}
