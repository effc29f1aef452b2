// Spectra: the same sounds for logMel and for mfcc.

import type { OpName } from '../../src/ops'
import { type LogMelOptions, logMel, mfcc } from '../../src/ops/logMel'
import { layer, type Row, type Sample } from './sample'

/** Sounds: odd frames, frames that overlap and that do not, one frame and numbers round the four that are computed at once. */
const sounds: Row<LogMelOptions>[] = [
  [[8], { sampleRate: 8, frame: 8, step: 1, bands: 2 }],
  [[16, 1], { sampleRate: 1000, frame: 5, step: 3, fftLength: 8, bands: 1, low: 50 }, 2],
  [[40], { sampleRate: 8000, frame: 16, step: 8, bands: 3, window: 'hamming', periodic: false }],
  [[47], { sampleRate: 8000, frame: 13, step: 5, bands: 4, norm: 'slaney', floor: 1e-3 }, 3],
  [[70, 1], { sampleRate: 16000, frame: 31, step: 4, fftLength: 64, bands: 9, low: 300, high: 7000, scale: 'slaney' }],
  [[50], { sampleRate: 4000, frame: 20, step: 7, bands: 5, scale: 'slaney', norm: 'slaney', low: 200 }],
]

export const sound = {
  logMel: sounds.map(layer(logMel)),
  mfcc: sounds.map(([shape, options, batch]) =>
    layer(mfcc)([shape, { ...options, coefficients: Math.ceil((options.bands ?? 40) / 2) }, batch]),
  ),
} satisfies Partial<Record<OpName, Sample[]>>
