// logMel and mfcc of 16-bit samples in integers: the tables of assembly/i16/logMel.ts, whose head says how it is computed, and the calls.
// Results are requantized to int8 once, from logarithms in Q9, or from coefficients in Q15.
//
// How far the logarithms are from those of real numbers (test/fixedSound.test.ts). With u = fftLength / 2^30, the unit of a sample in the
// FFT, and v = 4 fftLength u^2, twelve times the variance that its roundings add to a frequency, the energy of a band is off by at most
//   sum over k of weight (2 sqrt(P_k v) + v + 2^11 u^2) + P_k / 2^(bits + 1),  P_k = |X_k|^2, weights in `bits` bits of fraction,
// and a logarithm by 2^-9 more. With 512 samples and the floor at 1e-6 that is a hundredth where a sound is 100 dB below full scale, and
// next to nothing above; a longer FFT and a lower floor see more of it.

import { log } from '../graph/arithmetic'
import { DunlinError } from '../graph/error'
import type { Dtype, Node, Quant } from '../graph/node'
import { quantizeMultiplier } from './fixedPoint'
import { cosines, melFilters, twiddles, windowOf } from './mel'
import { type Buffer, type Emit, quantOf, where } from './op'
import { filterTables, type LogMelAttrs, type MfccAttrs, splitFrames } from './spectrum'

/** Samples as a microphone gives them: 16 bits for -1..1. */
export const SAMPLES: { dtype: Dtype; quant: Quant } = { dtype: 'i16', quant: { scale: [1 / 32768], zeroPoint: 0 } }

const MAX_I16 = 32767
/** What the kernel divides powers by, as a power of 2. */
const POWER_BITS = 12

/** The integers that the kernel computes with. */
export function fixedTables(attrs: LogMelAttrs) {
  const { frame, fftLength, window, periodic, floor } = attrs
  const { spans, weights } = filterTables(melFilters(attrs))
  const largest = Math.max(...weights)
  let bits = 0
  while (Math.round(largest * 2 ** (bits + 1)) <= MAX_I16 && bits < 40) bits++
  // A sample of 1 is 2^(30 - log2 fftLength) in the FFT.
  const sampleBits = 30 - Math.log2(fftLength)
  return {
    window: inQ30(windowOf(window, frame, periodic)),
    twiddles: inQ30(twiddles(fftLength)),
    spans,
    weights: fixed(weights, bits),
    bits,
    offset: POWER_BITS - 2 * sampleBits - bits,
    least: Math.round((512 * log(floor)) / Math.LN2),
  }
}

/** DCT-II in Q15, [coefficients][bands]. */
export const fixedCosines = ({ bands, coefficients }: MfccAttrs): Int16Array => fixed(cosines(bands, coefficients), 15)

const inQ30 = (values: Float64Array): Int32Array => Int32Array.from(values, (v) => Math.round(v * 2 ** 30))

const fixed = (values: ArrayLike<number>, bits: number): Int16Array =>
  Int16Array.from(values, (v) => Math.min(MAX_I16, Math.round(v * 2 ** bits)))

/** Writes calls that leave log2 of the bands in Q9 in a buffer of their own, and what `then` makes of it. */
function spectrum(
  e: Emit,
  node: Node<LogMelAttrs>,
  rowLength: number,
  then: (logs: Buffer, y: Buffer, rows: number) => void,
): void {
  const { frame, step, fftLength, bands } = node.attrs
  const [x] = node.inputs
  const { scale, zeroPoint } = quantOf(x)
  if (scale[0] !== SAMPLES.quant.scale[0] || zeroPoint !== 0) {
    throw new DunlinError(
      `${where(node)}: its samples have scale ${scale[0]} and zero point ${zeroPoint}, wanted 1/32768 and 0. Make int8 models with quantize().`,
    )
  }
  const tables = fixedTables(node.attrs)
  const constants = (['window', 'twiddles', 'spans', 'weights'] as const).map((name) =>
    e.constant(`${node.name}/${name}`, tables[name]),
  ) as [Buffer, Buffer, Buffer, Buffer]
  splitFrames(e, node, e.value(node), rowLength, (samples, y, batch, frames) => {
    const rows = batch * frames
    const logs = e.scratch(Math.ceil((rows * bands) / 2))
    const sizes = [batch, x.shape[0], frames, frame, step, fftLength, bands] as const
    e.call('logMel_i16', samples, ...constants, logs, e.scratch(fftLength + 2), ...sizes, tables.offset, tables.least)
    then(logs, y, rows)
  })
}

/** From logarithms to the base 2 with so many bits of fraction to a node's int8: multiplier, shift, zero point. */
function requantization(node: Node, fractionBits: number): [number, number, number] {
  const { scale, zeroPoint } = quantOf(node)
  const { multiplier, shift } = quantizeMultiplier(Math.LN2 / 2 ** fractionBits / scale[0])
  return [multiplier, shift, zeroPoint]
}

export function fixedLogMel(e: Emit, node: Node<LogMelAttrs>): void {
  const { bands } = node.attrs
  const after = requantization(node, 9)
  spectrum(e, node, bands, (logs, y, rows) => e.call('requantize_i16', logs, y, rows * bands, ...after))
}

export function fixedMfcc(e: Emit, node: Node<MfccAttrs>): void {
  const { bands, coefficients } = node.attrs
  const after = requantization(node, 15)
  const table = e.constant(`${node.name}/cosines`, fixedCosines(node.attrs))
  spectrum(e, node, coefficients, (logs, y, rows) => e.call('dct_i16', logs, table, y, rows, coefficients, bands, ...after))
}
