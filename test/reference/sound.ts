// The slow definition of logMel and mfcc: a DFT by its formula, filters in Hz from the published mel scales, in double precision, nothing
// shared with src. And the fixed-point form that assembly/i16/logMel.ts specifies, in integers of any size, with an FFT that calls itself.

import type { Node } from '../../src/graph/node'
import type { OpName } from '../../src/ops'
import type { LogMelAttrs, MfccAttrs } from '../../src/ops/spectrum'
import type { Definition, Numbers } from './definition'

export const sound = {
  logMel: (node: Node<LogMelAttrs>, x) => logMelReference(node.attrs, x, node.inputs[0].shape[0]),

  mfcc({ attrs, inputs }: Node<MfccAttrs>, x) {
    return dctReference(logMelReference(attrs, x, inputs[0].shape[0]), attrs.bands, attrs.coefficients)
  },
} satisfies Partial<Record<OpName, Definition>>

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
  const cosines = Array.from({ length: fftLength }, (_, i) => Math.cos((2 * Math.PI * i) / fftLength))
  return Array.from({ length: fftLength / 2 + 1 }, (_, k) => {
    let [re, im] = [0, 0]
    for (let i = 0; i < frame.length; i++) {
      const at = i * k
      re += frame[i] * cosines[at % fftLength]
      // -sin a = cos(a + a quarter of a turn)
      im += frame[i] * cosines[(at + fftLength / 4) % fftLength]
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

/** v / 2^bits, halves up. */
const roundShift = (v: bigint, bits: number): bigint => (v + (1n << BigInt(bits)) / 2n) >> BigInt(bits)
const quantized = (v: number, bits: number): bigint => BigInt(Math.min(32767, Math.round(v * 2 ** bits)))

type Complex = [re: bigint, im: bigint]

/** exp(-2 pi i k / n) in Q30. */
function turn(k: number, n: number): Complex {
  const angle = (2 * Math.PI * k) / n
  return [BigInt(Math.round(Math.cos(angle) * 2 ** 30)), BigInt(Math.round(-Math.sin(angle) * 2 ** 30))]
}

/** The DFT, each twiddled half rounded to integers. */
function fixedFft(z: Complex[]): Complex[] {
  const n = z.length
  if (n === 1) return z
  const even = fixedFft(z.filter((_, i) => i % 2 === 0))
  const odd = fixedFft(z.filter((_, i) => i % 2 === 1)).map(([re, im], k): Complex => {
    const [c, s] = turn(k, n)
    return [roundShift(re * c - im * s, 30), roundShift(re * s + im * c, 30)]
  })
  const half = (sign: bigint) => even.map(([re, im], k): Complex => [re + sign * odd[k][0], im + sign * odd[k][1]])
  return [...half(1n), ...half(-1n)]
}

/** |X_k|^2 / 2^12 for k from 0 to fftLength / 2, in the kernel's units. */
function fixedPowers(frame: bigint[], fftLength: number): bigint[] {
  const bits = 15 + Math.log2(fftLength)
  const x = Array.from({ length: fftLength }, (_, i) => roundShift(frame[i] ?? 0n, bits))
  const half = fftLength / 2
  const z = fixedFft(Array.from({ length: half }, (_, i) => [x[2 * i], x[2 * i + 1]]))
  return Array.from({ length: half + 1 }, (_, k) => {
    const [ar, ai] = z[k % half]
    const [br, bi] = z[(half - k) % half]
    // The second half of the frequencies comes from the conjugate of the first: there the rounding is of E - w^k O.
    if (k === 0 || k === half) return roundShift((ar + (k ? -ai : ai)) ** 2n, 12)
    const [at, sign] = k > half / 2 ? [half - k, -1n] : [k, 1n]
    const [[er, ei], [or, oi]] =
      sign > 0
        ? [
            [ar + br, ai - bi],
            [ai + bi, br - ar],
          ]
        : [
            [br + ar, bi - ai],
            [bi + ai, ar - br],
          ]
    const [c, s] = turn(at, fftLength)
    const re = roundShift((er << 30n) + sign * (or * c - oi * s), 31)
    const im = roundShift((ei << 30n) + sign * (or * s + oi * c), 31)
    return roundShift(re * re + im * im, 12)
  })
}

/** 512 log2(v), by ten bits of fraction. */
function fixedLog2(v: bigint): bigint {
  let log = BigInt(v.toString(2).length - 1)
  let m = (v << 31n) >> log
  for (let bit = 0; bit < 10; bit++) {
    m = (m * m) >> 31n
    const two = m >> 32n
    m >>= two
    log = 2n * log + two
  }
  return (log + 1n) >> 1n
}

/** log2 of the bands in Q9, [sounds][frames][bands]. */
export function fixedLogMelReference(attrs: LogMelAttrs, x: Int16Array, n: number): number[] {
  const { frame, step, fftLength, floor } = attrs
  const window = windowReference(attrs).map((w) => BigInt(Math.round(w * 2 ** 30)))
  const filters = filterReference(attrs)
  let bits = 0
  while (Math.round(Math.max(...filters.flat()) * 2 ** (bits + 1)) < 32768) bits++
  const weights = filters.map((row) => row.map((w) => quantized(w, bits)))
  const least = Math.round(512 * Math.log2(floor))
  const offset = 12 - 2 * (30 - Math.log2(fftLength)) - bits
  const logs: number[] = []
  for (let from = 0; from < x.length; from += n) {
    for (let at = 0; at + frame <= n; at += step) {
      const power = fixedPowers(
        window.map((w, i) => w * BigInt(x[from + at + i])),
        fftLength,
      )
      for (const row of weights) {
        const energy = row.reduce((sum, w, k) => sum + w * power[k], 0n)
        logs.push(energy ? Math.max(least, Number(fixedLog2(energy)) + 512 * offset) : least)
      }
    }
  }
  return logs
}

/** Coefficients in Q15 of logarithms in Q9. */
export function fixedDctReference(logs: readonly number[], { bands, coefficients }: MfccAttrs): number[] {
  const cosines = Array.from({ length: coefficients * bands }, (_, i) => {
    const [j, m] = [Math.floor(i / bands), i % bands]
    return quantized(Math.sqrt((j ? 2 : 1) / bands) * Math.cos((Math.PI * j * (2 * m + 1)) / (2 * bands)), 15)
  })
  return Array.from({ length: (logs.length / bands) * coefficients }, (_, i) => {
    const [row, j] = [Math.floor(i / coefficients), i % coefficients]
    let sum = 0n
    for (let m = 0; m < bands; m++) sum += BigInt(logs[row * bands + m]) * cosines[j * bands + m]
    return Number(roundShift(sum, 9))
  })
}
