// Raw values of a camera or a sensor into int8.

/**
 * y[i] = table[x[i]], with the table of channel i % channels.
 * @param x u8 [n]
 * @param table i8 [channels][256]
 * @param y i8 [n]; may be x
 * @param n whole multiples of `channels`
 */
export function normalize_i8(x: usize, table: usize, y: usize, n: i32, channels: i32): void {
  for (let i = 0; i < n; ) {
    for (let c = 0; c < channels; c++, i++) store<i8>(y + i, load<i8>(table + (c << 8) + load<u8>(x + i)))
  }
}

/**
 * y[i] = clamp(zero + (x[i] - center) * factor / scale), the product rounded to f32, the quotient half away from zero, as a session's
 * door does; center and factor are those of channel i % channels.
 * @param x i16 [n]
 * @param numbers f64 [channels][center, factor], then the scale
 * @param y i8 [n]; may be x
 * @param n whole multiples of `channels`
 */
export function normalizeWide_i8(x: usize, numbers: usize, y: usize, n: i32, channels: i32, zero: i32): void {
  const scale = load<f64>(numbers + (channels << 4))
  for (let i = 0; i < n; ) {
    for (let c = 0; c < channels; c++, i++) {
      const at = numbers + (c << 4)
      const v = <f64>(<f32>((<f64>load<i16>(x + (i << 1)) - load<f64>(at)) * load<f64>(at, 8))) / scale
      const whole = trunc(v)
      // The difference is exact, where v + 1/2 is not.
      const away = abs(v - whole) >= 0.5 ? copysign<f64>(1, v) : 0
      store<i8>(y + i, <i32>min(max(<f64>zero + whole + away, -128), 127))
    }
  }
}
