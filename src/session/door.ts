// The door of a network: raw numbers come in normalized, and quantized where the port is int8; results leave as real numbers. The session
// and a standalone module's host do exactly this, so both see the same bytes.

import type { Normalize, Quant, TypedArray } from '../graph/node'

/** What a user may feed: raw numbers, before normalization and quantization. */
export type Values = ArrayLike<number>

interface Door {
  quant?: Quant
  normalize?: Normalize
}

/** So many are faster copied at once. It makes a view, which fewer are not worth: a step of training leaves next to nothing on the heap. */
const MANY = 4096

/**
 * Stores `count` raw values, whole samples, from `from` on, into `into` at `to`: (raw - mean) / std in float32, then where the port is
 * quantized zeroPoint + value / scale, rounded half away from zero (TFLite QUANTIZE) and clamped to int8, or to int16 for 16-bit samples.
 */
export function enter(door: Door, values: Values, from: number, count: number, into: TypedArray, to: number): void {
  const { quant, normalize } = door
  if (!quant && !normalize) {
    if (count > MANY && ArrayBuffer.isView(values)) into.set((values as TypedArray).subarray(from, from + count), to)
    else for (let i = 0; i < count; i++) into[to + i] = values[from + i]
    return
  }
  const { mean, std } = normalize ?? { mean: 0, std: 1 }
  // One number for all is a channel for all.
  const channels = typeof mean === 'number' ? 1 : mean.length
  for (let c = 0; c < channels; c++) {
    const center = typeof mean === 'number' ? mean : mean[c]
    const factor = 1 / (typeof std === 'number' ? std : std[c])
    if (!quant) {
      for (let i = c; i < count; i += channels) into[to + i] = (values[from + i] - center) * factor
      continue
    }
    const { zeroPoint, scale } = quant
    const most = into instanceof Int16Array ? 32767 : 127
    for (let i = c; i < count; i += channels) {
      const v = Math.fround((values[from + i] - center) * factor) / scale[0]
      const q = zeroPoint + (v < 0 ? -Math.round(-v) : Math.round(v))
      into[to + i] = Math.max(-1 - most, Math.min(most, q))
    }
  }
}

/** Stored values as real numbers. */
export function leave({ quant }: Door, stored: TypedArray): Float32Array {
  return quant ? Float32Array.from(stored, (q) => quant.scale[0] * (q - quant.zeroPoint)) : Float32Array.from(stored)
}
