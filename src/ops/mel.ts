// The numbers that spectra of sound are made with: window, twiddle factors, mel filters, cosines. By own arithmetic, in float64: they are
// the same on every engine, so a module built here has the bits of a session there.

import { cosPi, exp, log } from '../graph/arithmetic'

export interface MelBands {
  /** Samples in a second. */
  sampleRate: number
  fftLength: number
  bands: number
  /** The lower edge of the first band and the upper edge of the last, in Hz. */
  low: number
  high: number
  scale: 'htk' | 'slaney'
  norm: 'none' | 'slaney'
}

/** A filter's weights on the frequencies from `first` on. */
export interface Filter {
  first: number
  weights: number[]
  /** Its edges, in Hz. */
  from: number
  to: number
}

export const WINDOWS = { hann: 0.5, hamming: 0.54 } as const

/** a - (1 - a) cos(2 pi i / count), for i in [0, length); count is length (periodic) or length - 1 (symmetric). */
export function windowOf(window: keyof typeof WINDOWS, length: number, periodic: boolean): Float64Array {
  const a = WINDOWS[window]
  const count = Math.max(1, periodic ? length : length - 1)
  return Float64Array.from({ length }, (_, i) => a - (1 - a) * cos2Pi(i / count))
}

/** exp(-2 pi i k / fftLength) for k in [0, fftLength / 2): real and imaginary parts. */
export function twiddles(fftLength: number): Float64Array {
  const quarter = fftLength / 4
  return Float64Array.from({ length: fftLength }, (_, i) => {
    const k = i >> 1
    // -sin(2 pi k / n) = cos(2 pi (k + n / 4) / n)
    return k === (i & 1 ? 0 : quarter) ? 0 : cos2Pi((i & 1 ? k + quarter : k) / fftLength)
  })
}

/**
 * Triangular filters, linear in Hz, between points that are equally far apart on the mel scale: the first rises from `low`, each has its peak
 * where the next begins, the last ends at `high`. With norm 'slaney' each has the area 1 (in Hz), else the height 1.
 */
export function melFilters({ sampleRate, fftLength, bands, low, high, scale, norm }: MelBands): Filter[] {
  const [toMel, toHz] = SCALES[scale]
  const [start, end] = [toMel(low), toMel(high)]
  const points = Array.from({ length: bands + 2 }, (_, i) => toHz(start + ((end - start) * i) / (bands + 1)))
  const apart = sampleRate / fftLength
  return Array.from({ length: bands }, (_, m) => {
    const [from, peak, to] = points.slice(m, m + 3)
    const factor = norm === 'slaney' ? 2 / (to - from) : 1
    const first = Math.max(0, Math.floor(from / apart) + 1)
    const weights: number[] = []
    for (let k = first; k <= fftLength / 2 && k * apart < to; k++) {
      weights.push(factor * Math.min((k * apart - from) / (peak - from), (to - k * apart) / (to - peak)))
    }
    return { first, weights, from, to }
  })
}

/** DCT-II, orthonormal: [coefficients][bands]. */
export function cosines(bands: number, coefficients: number): Float64Array {
  return Float64Array.from({ length: coefficients * bands }, (_, i) => {
    const [j, m] = [Math.floor(i / bands), i % bands]
    return Math.sqrt((j ? 2 : 1) / bands) * cos2Pi(((2 * m + 1) * j) / (4 * bands))
  })
}

/** Hz to mel and back, each up to a factor, which the distance of the points does not depend on. */
const SCALES = {
  /** 2595 log10(1 + f / 700) */
  htk: [(f: number) => log(1 + f / 700), (m: number) => 700 * (exp(m) - 1)],
  /** Slaney (Auditory Toolbox, 1998): linear up to 1000 Hz, which is 15, then 27 steps for a factor of 6.4. */
  slaney: [
    (f: number) => (f < 1000 ? (f * 3) / 200 : 15 + (27 * log(f / 1000)) / log(6.4)),
    (m: number) => (m < 15 ? (m * 200) / 3 : 1000 * exp(((m - 15) * log(6.4)) / 27)),
  ],
} as const

/** cos(2 pi x), x from 0 on. */
function cos2Pi(x: number): number {
  const turn = x - Math.floor(x)
  return cosPi(2 * Math.min(turn, 1 - turn))
}
