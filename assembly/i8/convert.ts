// Between float and int8 values: real = scale * (q - zero). TensorFlow Lite's QUANTIZE and DEQUANTIZE (reference/quantize.h, dequantize.h).

/**
 * y[i] = zero + x[i] / scale, rounded half away from zero, clamped to int8; 0 of what is no number
 * @param x f32 [n]   @param y i8 [n]
 */
export function toInt8_i8(x: usize, y: usize, n: i32, scale: f32, zero: i32): void {
  for (let i = 0; i < n; i++) {
    // Beyond 512 steps the answer is an end of the range, and an i32 holds the number.
    const v = min<f32>(max<f32>(load<f32>(x + (i << 2)) / scale, -512), 512)
    const whole = floor<f32>(abs<f32>(v))
    const size = <i32>whole + i32(abs<f32>(v) - whole >= 0.5)
    store<i8>(y + i, min(max((v < 0 ? -size : v == v ? size : 0) + zero, -128), 127))
  }
}

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
