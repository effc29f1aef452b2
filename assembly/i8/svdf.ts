// SVDF in int8 with a state of 16 bits, bit for bit TensorFlow Lite's reference (EvalIntegerSvdfReference): f32/svdf.ts says what it is.

import { mulHigh, requantize, shiftRound } from './requantize'

/**
 * `units` of the `total` that the layer has.
 * @param x i8 [batch][inputs]
 * @param f i8 [units * rank][inputs]   @param w i16 [units * rank][memory]   @param b i32 [units]
 * @param y i8 [batch][total]
 * @param state i16 [batch][total * rank][memory]
 * @param multiplier, shift of features: scale(x) * scale(f) / scale(state)
 * @param yMultiplier, yShift scale(state) * scale(w) / scale(y)
 */
export function svdf_i8(
  x: usize, f: usize, w: usize, b: usize, y: usize, state: usize, batch: i32, inputs: i32, units: i32, total: i32, rank: i32,
  memory: i32, xZero: i32, yZero: i32, multiplier: i32, shift: i32, yMultiplier: i32, yShift: i32,
): void {
  for (let i = 0; i < batch; i++) {
    let p = f
    let v = w
    for (let u = 0; u < units; u++) {
      let sum = load<i32>(b + (u << 2))
      for (let r = 0; r < rank; r++) {
        let feature = 0
        for (let k = 0; k < inputs; k++) feature += <i32>load<i8>(p + k) * (<i32>load<i8>(x + k) - xZero)
        p += inputs
        feature = shiftRound(mulHigh(feature << max(shift, 0), multiplier), max(-shift, 0))
        feature = min(max(feature, -32768), 32767)
        for (let m = 0; m < memory; m++) {
          const now = m + 1 < memory ? <i32>load<i16>(state + 2) : feature
          store<i16>(state, now)
          sum += <i32>load<i16>(v) * now
          state += 2
          v += 2
        }
      }
      store<i8>(y++, requantize(sum, yMultiplier, yShift, yZero, -128, 127))
    }
    x += inputs
    y += total - units
    state += ((total - units) * rank * memory) << 1
  }
}
