// logMel, mfcc: what a network hears of a sound. Raw samples come in, so that a device computes the features with the same kernels, and the
// same bits, as training did.

import { DunlinError } from '../graph/error'
import type { Layer } from '../graph/node'
import { multiply, pack, packedLength } from './calls'
import { fixedLogMel, fixedMfcc, SAMPLES } from './fixedSpectrum'
import { cosines, melFilters, WINDOWS } from './mel'
import { CLAMPS, expectCount, expectInputs, expectNumber, makeNode, type Op, type Unshaped, where } from './op'
import { framesOf, type LogMelAttrs, type MfccAttrs, macsOf, spectrum } from './spectrum'

export interface LogMelOptions {
  /** Samples in a second. */
  sampleRate: number
  /** Samples in a frame, such as 25 ms of them. */
  frame: number
  /** Samples from the beginning of a frame to that of the next, such as 10 ms of them. */
  step: number
  /** A power of 2 from `frame` on, which is the default; a frame is filled up with zeros. */
  fftLength?: number
  /** 'hann' (default): 0.5 - 0.5 cos; 'hamming': 0.54 - 0.46 cos. */
  window?: keyof typeof WINDOWS
  /** Whether the cosine's period is `frame` (default), or one less: then the window is symmetric. */
  periodic?: boolean
  /** Mel bands; default 40. */
  bands?: number
  /** The lower edge of the first band and the upper edge of the last, in Hz; default 0 and half the sample rate. */
  low?: number
  high?: number
  /** The mel scale of HTK (default), 2595 log10(1 + f / 700), or that of Slaney's toolbox, linear up to 1000 Hz. */
  scale?: 'htk' | 'slaney'
  /** Triangles of height 1 ('none', default) or of area 1 in Hz ('slaney'). */
  norm?: 'none' | 'slaney'
  /** The least energy there is to a logarithm; default 1e-6, for samples in -1..1 a sound that is hardly there. */
  floor?: number
  name?: string
}

/**
 * Logarithmic mel spectrum. x: samples [n] or [n, 1], usually in -1..1 -> [frames, bands] with frames = 1 + floor((n - frame) / step):
 * ln max(floor, sum over frequencies of weight * |FFT(window * frame)|^2). No padding at the ends. For a convolution over time and
 * frequency follow it with `reshape({ shape: [frames, bands, 1] })`, which costs nothing.
 *
 * A model that begins with it hears raw samples, on the device, too; its int8 form (`quantize`) takes 16-bit samples and computes in
 * integers. Nothing before it can learn. To compute the features of a dataset once, before training, predict with a model of nothing else:
 *
 *     const features = new Model(logMel({ sampleRate: 16000, frame: 400, step: 160 })(input([16000])))
 *     const { shape } = features.outputs[0]
 *     const data = makeDataset({ ...sounds, x: await features.predict(sounds.x), shape })
 *
 * and make the model of the device from the trained layers: `head(logMel(...)(input([16000])))` with the same options.
 */
export function logMel(options: LogMelOptions): Layer {
  const { name = '', ...rest } = options
  return (x) => makeNode(logMelOp, { op: 'logMel', name, attrs: attrsOf(rest), inputs: [x] })
}

/**
 * Mel-frequency cepstral coefficients: the first `coefficients` (default 13) of the orthonormal DCT-II of logMel, over its bands.
 * x: samples [n] or [n, 1] -> [frames, coefficients]. Options and use as of logMel.
 */
export function mfcc(options: LogMelOptions & { coefficients?: number }): Layer {
  const { name = '', coefficients = 13, ...rest } = options
  return (x) => makeNode(mfccOp, { op: 'mfcc', name, attrs: { ...attrsOf(rest), coefficients }, inputs: [x] })
}

function attrsOf(options: Omit<LogMelOptions, 'name'>): LogMelAttrs {
  const { sampleRate, frame, step } = options
  return {
    ...{
      sampleRate,
      frame,
      step,
      fftLength: 2 ** Math.ceil(Math.log2(Math.max(frame, LEAST_FFT))),
      window: 'hann',
      periodic: true,
    },
    ...{ bands: 40, low: 0, high: sampleRate / 2, scale: 'htk', norm: 'none', floor: 1e-6 },
    ...options,
  }
}

const LEAST_FFT = 8
const LARGEST_FFT = 32768

function framesAndBands(node: Unshaped<LogMelAttrs>): [number, number] {
  expectInputs(node, 1, 'x')
  const { sampleRate, frame, step, fftLength, window, periodic, bands, low, high, scale, norm, floor } = node.attrs
  const [x] = node.inputs
  if (!(x.shape.length === 1 || (x.shape.length === 2 && x.shape[1] === 1)))
    throw new DunlinError(`${where(node)}: wants samples [n] or [n, 1] of one channel, got shape [${x.shape}].`)
  for (const [what, count] of Object.entries({ frame, step, bands })) expectCount(node, what, count)
  expectNumber(node, 'sampleRate', sampleRate, 1, 1e7)
  const power = Number.isInteger(Math.log2(fftLength)) && fftLength >= LEAST_FFT && fftLength <= LARGEST_FFT
  if (!power || fftLength < frame) {
    throw new DunlinError(
      `${where(node)}: fftLength wants a power of 2 in [${LEAST_FFT}, ${LARGEST_FFT}] that holds a frame of ${frame} samples, got ${fftLength}.`,
    )
  }
  if (frame > x.shape[0])
    throw new DunlinError(
      `${where(node)}: a frame of ${frame} samples does not fit into the ${x.shape[0]} of x. Use a shorter one.`,
    )
  expectNumber(node, 'low', low, 0, sampleRate / 2)
  expectNumber(node, 'high', high, low, sampleRate / 2)
  expectNumber(node, 'floor', floor, 1e-12, 1e6)
  expectOneOf(node, 'window', window, Object.keys(WINDOWS))
  expectOneOf(node, 'scale', scale, ['htk', 'slaney'])
  expectOneOf(node, 'norm', norm, ['none', 'slaney'])
  expectOneOf(node, 'periodic', periodic, [true, false])
  const apart = `an FFT of ${fftLength} has a frequency every ${(sampleRate / fftLength).toFixed(1)} Hz`
  const remedy = 'Use fewer bands, a longer fftLength or a higher low.'
  if (bands > fftLength / 2) throw new DunlinError(`${where(node)}: ${bands} bands are too many, ${apart}. ${remedy}`)
  const empty = melFilters(node.attrs).find(({ weights }) => weights.length === 0)
  if (empty) {
    const edges = `from ${empty.from.toFixed(1)} to ${empty.to.toFixed(1)} Hz`
    throw new DunlinError(`${where(node)}: of ${bands} bands the one ${edges} hears nothing, ${apart}. ${remedy}`)
  }
  return [framesOf(node), bands]
}

function expectOneOf(node: Unshaped, what: string, value: unknown, list: readonly unknown[]): void {
  if (list.includes(value)) return
  throw new DunlinError(
    `${where(node)}: ${what} wants one of ${list.map((v) => JSON.stringify(v)).join(', ')}, got ${JSON.stringify(value)}.`,
  )
}

export const logMelOp: Op<LogMelAttrs> = {
  shape: framesAndBands,
  macs: macsOf,
  forward: (e, node) => spectrum(e, node, e.value(node)),
  int8: { quant: 'calibrated', reads: ['i16'], samples: SAMPLES, forward: fixedLogMel },
}

export const mfccOp: Op<MfccAttrs> = {
  shape(node) {
    const [frames, bands] = framesAndBands(node)
    const { coefficients } = node.attrs
    expectCount(node, 'coefficients', coefficients)
    if (coefficients > bands)
      throw new DunlinError(`${where(node)}: ${bands} bands have at most ${bands} coefficients, got ${coefficients}.`)
    return [frames, coefficients]
  },
  macs: (node) => macsOf(node) + framesOf(node) * node.attrs.bands * node.attrs.coefficients,
  forward(e, node) {
    const { bands, coefficients } = node.attrs
    const y = e.value(node)
    const rows = y.length / coefficients
    const bandsOf = e.scratch(rows * bands)
    spectrum(e, node, bandsOf)
    const table = e.constant(`${node.name}/cosines`, Float32Array.from(cosines(bands, coefficients)))
    const packed = e.prepared(`${node.name}/packed`, packedLength(coefficients, bands), (to) =>
      pack(e, table, 0, to, { n: coefficients, k: bands, wn: bands, wk: 1 }),
    )
    const sizes = { m: rows, n: coefficients, k: bands, am: bands, ak: 1, ldc: coefficients }
    multiply(e, bandsOf, packed, y, sizes, CLAMPS.none, 0)
  },
  int8: { quant: 'calibrated', reads: ['i16'], samples: SAMPLES, forward: fixedMfcc },
}
