// Spoken digits: MFCC and DS-CNN, from raw sound. Tested on the official test part of the Free Spoken Digit Dataset, recordings 0-4 of every
// speaker and digit; with SPEAKER=name in the environment, on everything of that speaker, whom the network has never heard.

import { resolve } from 'node:path'
import { mfcc, noise, reshape, sequential, subset, timeShift } from 'dunlin'
import { loadWavFolder } from 'dunlin/node'
import { dsCnn } from 'dunlin/zoo'

/** Of 40 ms, every 20 ms, at 8,000 samples a second. */
const features = sequential(
  mfcc({ sampleRate: 8000, frame: 320, step: 160, fftLength: 512, bands: 40, low: 20, high: 4000, coefficients: 10 }),
  reshape({ shape: [49, 10, 1] }),
)

export default {
  async data(folder) {
    const path = resolve(folder, '../../../shared/data/fsdd/recordings.tar.gz')
    const { data, fields } = await loadWavFolder(path, { pattern: '{digit}_{speaker}_{index}.wav', length: 8000 })
    const speaker = process.env.SPEAKER
    const held = (i) => (speaker ? fields.speaker[i] === speaker : Number(fields.index[i]) < 5)
    const all = Array.from({ length: data.count }, (_, i) => i)
    return {
      train: subset(
        data,
        all.filter((i) => !held(i)),
      ),
      test: subset(
        data,
        all.filter((i) => held(i)),
      ),
    }
  },
  normalize: false,
  network: ({ shape, classes, labels }, _, seed) => dsCnn({ features, shape, classes, labels, seed }),
  augment: [timeShift(1600), noise({ snr: 20 })],
  optimizer: { adam: { lr: 0.004 } },
  batch: 32,
  epochs: 40,
  validation: 'test',
}
