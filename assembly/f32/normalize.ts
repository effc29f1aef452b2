// Raw values of a camera or a sensor into real numbers.

/**
 * y[i] = (x[i] - center) * factor, with the center and factor of channel i % channels: in f64 and rounded once, as a session's door does.
 * @param x u8 [n], or i16 [n] where `wide`
 * @param numbers f64 [channels][center, factor]
 * @param y f32 [n]
 * @param n whole multiples of `channels`
 */
export function normalize_f32(x: usize, numbers: usize, y: usize, n: i32, channels: i32, wide: i32): void {
  for (let i = 0; i < n; ) {
    for (let c = 0; c < channels; c++, i++) {
      const raw = wide ? <i32>load<i16>(x + (i << 1)) : <i32>load<u8>(x + i)
      const at = numbers + (c << 4)
      store<f32>(y + (i << 2), <f32>((<f64>raw - load<f64>(at)) * load<f64>(at, 8)))
    }
  }
}
