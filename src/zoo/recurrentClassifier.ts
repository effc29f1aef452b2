// A recurrent network that reads a sequence, numbers or words, and says to which class it belongs: an optional embedding, a GRU or LSTM, a
// dense layer on its last state.

import { DunlinError } from '../graph/error'
import { input } from '../graph/node'
import { Model } from '../model/model'
import { sequential } from '../model/sequential'
import { dense } from '../ops/dense'
import { embedding } from '../ops/embedding'
import { gru } from '../ops/gru'
import { lstm } from '../ops/lstm'
import type { ClassifierOptions } from './classifier'

/**
 * An untrained recurrent classifier of sequences of `shape` [steps, channels]; or, with a `vocabulary` of `words`, of [steps] indices from
 * 0 to words - 1, each of which becomes a vector of `units`. `cell` 'lstm' (default) or 'gru', of `units`, default 128.
 */
export function recurrentClassifier(
  options: ClassifierOptions & {
    cell?: 'gru' | 'lstm'
    units?: number
    vocabulary?: { words: number; units: number }
  },
): Model {
  const { shape, classes, cell = 'lstm', units = 128, vocabulary, normalize, name = 'recurrentClassifier', ...settings } = options
  const cells = { gru, lstm }
  if (!Object.hasOwn(cells, cell))
    throw new DunlinError(`recurrentClassifier: cell is "gru" or "lstm", got ${JSON.stringify(cell)}.`)
  const recurrent = cells[cell]({ units, name: cell })
  const network = sequential((x) => recurrent(x), dense({ units: classes, name: 'dense' }))
  const start = vocabulary
    ? embedding({ count: vocabulary.words, units: vocabulary.units, name: 'embedding' })(input(shape, { dtype: 'i32' }))
    : input(shape, { normalize })
  return new Model(network(start), { name, ...settings })
}
