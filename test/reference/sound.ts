// The slow definition of logMel and mfcc: a DFT by its formula, filters in Hz from the published mel scales, in double precision, nothing
// shared with src.

import type { LogMelAttrs } from '../../src/ops/logMel'

type Numbers = ArrayLike<number>

const SCALES = {
  htk: {
    mel: (hz: number) => 2595 * Math.log10(1 + hz / 700),
    hz: (mel: number) => 700 * (10 ** (mel / 2595) - 1),
  },
  slaney: {
    mel: (hz: number) => (hz < 1000 ? (3 * hz) / 200 : 15 + Math.log(hz / 1000) / (Math.log(6.4) / 27)),
    hz: (mel: number) => (mel < 15 ? (200 * mel) / 3 : 1000 * Math.exp((Math.log(6.4) / 27) * (mel - 15))),
  },
}

/** The window, [frame]. */
export function windowReference({ window, frame, periodic }: LogMelAttrs): number[] {
  const period = periodic ? frame : frame - 1
  return Array.from({ length: frame }, (_, i) => {
    const cos = Math.cos((2 * Math.PI * i) / Math.max(1, period))
    return window === 'hann' ? 0.5 - 0.5 * cos : 0.54 - 0.46 * cos
  })
}

/** Weights of every band on every frequency, [bands][fftLength / 2 + 1]. */
export function filterReference({ sampleRate, fftLength, bands, low, high, scale, norm }: LogMelAttrs): number[][] {
  const { mel, hz } = SCALES[scale]
  const edge = (i: number) => hz(mel(low) + ((mel(high) - mel(low)) * i) / (bands + 1))
  return Array.from({ length: bands }, (_, m) =>
    Array.from({ length: fftLength / 2 + 1 }, (_, k) => {
      const f = (k * sampleRate) / fftLength
      const rise = (f - edge(m)) / (edge(m + 1) - edge(m))
      const fall = (edge(m + 2) - f) / (edge(m + 2) - edge(m + 1))
      return Math.max(0, Math.min(rise, fall)) * (norm === 'slaney' ? 2 / (edge(m + 2) - edge(m)) : 1)
    }),
  )
}

/** |X_k|^2 for k from 0 to fftLength / 2, of one frame. */
export function powerReference(frame: Numbers, fftLength: number): number[] {
  return Array.from({ length: fftLength / 2 + 1 }, (_, k) => {
    let [re, im] = [0, 0]
    for (let i = 0; i < frame.length; i++) {
      // The product is taken modulo a turn while it is an integer.
      const angle = (2 * Math.PI * ((i * k) % fftLength)) / fftLength
      re += frame[i] * Math.cos(angle)
      im -= frame[i] * Math.sin(angle)
    }
    return re * re + im * im
  })
}

/** Energies in the bands, [sounds][frames][bands], of sounds of n samples. */
export function energyReference(attrs: LogMelAttrs, x: Numbers, n: number): Float64Array {
  const { frame, step, fftLength } = attrs
  const [window, filters] = [windowReference(attrs), filterReference(attrs)]
  const energies: number[] = []
  for (let from = 0; from < x.length; from += n) {
    for (let at = 0; at + frame <= n; at += step) {
      const power = powerReference(
        window.map((w, i) => w * x[from + at + i]),
        fftLength,
      )
      energies.push(...filters.map((weights) => weights.reduce((sum, w, k) => sum + w * power[k], 0)))
    }
  }
  return Float64Array.from(energies)
}

export function logMelReference(attrs: LogMelAttrs, x: Numbers, n: number): Float64Array {
  return energyReference(attrs, x, n).map((v) => Math.log(Math.max(attrs.floor, v)))
}

/** The first coefficients of the orthonormal DCT-II of each row of `bands` values. */
export function dctReference(rows: Numbers, bands: number, coefficients: number): Float64Array {
  return Float64Array.from({ length: (rows.length / bands) * coefficients }, (_, i) => {
    const [row, j] = [Math.floor(i / coefficients), i % coefficients]
    let sum = 0
    for (let m = 0; m < bands; m++) sum += rows[row * bands + m] * Math.cos((Math.PI * j * (2 * m + 1)) / (2 * bands))
    return sum * Math.sqrt((j ? 2 : 1) / bands)
  })
}
