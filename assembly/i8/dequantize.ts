// From int8 steps to real numbers: where the float part of a network begins.

/** y[i] = scale * (x[i] - zero). x i8 [n], y f32 [n]. */
export function dequantize_i8(x: usize, y: usize, n: i32, scale: f32, zero: i32): void {
  let i = 0
  if (ASC_FEATURE_SIMD) {
    for (; i + 8 <= n; i += 8, y += 32) {
      const wide = i16x8.sub(v128.load8x8_s(x + i), i16x8.splat(<i16>zero))
      v128.store(y, f32x4.mul(f32x4.splat(scale), f32x4.convert_i32x4_s(i32x4.extend_low_i16x8_s(wide))))
      v128.store(y, f32x4.mul(f32x4.splat(scale), f32x4.convert_i32x4_s(i32x4.extend_high_i16x8_s(wide))), 16)
    }
  }
  for (; i < n; i++, y += 4) store<f32>(y, scale * <f32>(<i32>load<i8>(x + i) - zero))
}
