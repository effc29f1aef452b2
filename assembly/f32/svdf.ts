// A layer of filters that are a vector over the inputs times a vector over time (Nakkiran et al. 2015; TensorFlow Lite's SVDF): each step's
// inputs become one number for each filter (a matrix product, made before), which a row of the last `memory` of them takes in at its end;
// the row's product with the filter's weights over time is summed over the `rank` filters of a unit.

/**
 * @param features [batch][units * rank]
 * @param w [units * rank][memory], the newest last   @param b [units] or 0
 * @param y [batch][units], between lo and hi
 * @param state [batch][units * rank][memory], kept from step to step
 */
export function svdf_f32(
  features: usize, w: usize, b: usize, y: usize, state: usize, batch: i32, units: i32, rank: i32, memory: i32, lo: f32, hi: f32,
): void {
  for (let i = 0; i < batch; i++) {
    let v = w
    for (let u = 0; u < units; u++) {
      let sum: f32 = b ? load<f32>(b + (u << 2)) : 0
      for (let r = 0; r < rank; r++) {
        let dot: f32 = 0
        for (let m = 0; m < memory; m++) {
          const now = m + 1 < memory ? load<f32>(state + 4) : load<f32>(features)
          store<f32>(state, now)
          dot += load<f32>(v) * now
          state += 4
          v += 4
        }
        sum += dot
        features += 4
      }
      store<f32>(y, min<f32>(max<f32>(sum, lo), hi))
      y += 4
    }
  }
}

/** The gradient of the newest features: dfeatures = dy times the last weight over time. (What came before is another run's.) */
export function svdf_f32_dx(dy: usize, w: usize, dfeatures: usize, batch: i32, units: i32, rank: i32, memory: i32): void {
  for (let i = 0; i < batch; i++) {
    let v = w + ((memory - 1) << 2)
    for (let u = 0; u < units; u++) {
      for (let r = 0; r < rank; r++) {
        store<f32>(dfeatures, load<f32>(dy) * load<f32>(v))
        dfeatures += 4
        v += memory << 2
      }
      dy += 4
    }
  }
}

/** dw += dy times the state. */
export function svdf_f32_dw(dy: usize, state: usize, dw: usize, batch: i32, units: i32, rank: i32, memory: i32): void {
  for (let i = 0; i < batch; i++) {
    let p = dw
    for (let u = 0; u < units; u++) {
      const d = load<f32>(dy)
      for (let m = 0; m < rank * memory; m++) {
        store<f32>(p, load<f32>(p) + d * load<f32>(state))
        p += 4
        state += 4
      }
      dy += 4
    }
  }
}
