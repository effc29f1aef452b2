// The autoencoder of MLPerf Tiny's anomaly detection: a machine's sound through a narrow middle and back; what comes back badly is unusual.
// (https://github.com/mlcommons/tiny, anomaly_detection; the baseline of DCASE 2020, task 2.)

import type { Model } from '../model/model'
import { sequential } from '../model/sequential'
import { batchNorm } from '../ops/batchNorm'
import { dense } from '../ops/dense'
import { type ModelSettings, modelOf } from './classifier'

/**
 * An untrained autoencoder of `inputs` numbers, default 640: five frames of 128 mel bands. Train it to give back its input, with
 * meanSquaredError. 265,864 parameters when folded, 264,192 MACs.
 */
export function autoencoder(options: Omit<ModelSettings, 'labels'> & { inputs?: number } = {}): Model {
  const { inputs = 640, ...settings } = options
  const hidden = [128, 128, 128, 128, 8, 128, 128, 128, 128].flatMap((units, i) => [
    dense({ units, bias: false, initializer: 'heUniform', name: `dense${i + 1}` }),
    batchNorm({ activation: 'relu', name: `dense${i + 1}/norm` }),
  ])
  return modelOf(sequential(...hidden, dense({ units: inputs, name: 'dense10' })), [inputs], 'autoencoder', settings)
}
