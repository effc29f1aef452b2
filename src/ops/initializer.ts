// The option `initializer` of layers with weights: how these are drawn when a model is made of the layer.

import { DunlinError } from '../graph/error'
import type { Initializer, ScaledDraw } from '../graph/node'
import { where } from './op'

/**
 * A draw by its name (He for relu, Glorot for tanh and linear layers, LeCun for self-normalizing ones), an orthogonal matrix, or a number
 * that all weights are.
 */
export type WeightInitializer = ScaledDraw | 'orthogonal' | 'zeros' | 'ones' | number

const NAMES = {
  ...{ heUniform: 0, heNormal: 0, glorotUniform: 0, glorotNormal: 0, lecunUniform: 0, lecunNormal: 0 },
  ...{ orthogonal: 0, zeros: 0, ones: 0 },
} satisfies Record<Exclude<WeightInitializer, number>, 0>

/** `rows`: the weights as a matrix, for `orthogonal`. */
export function initializerOf(
  layer: { op: string; name: string },
  initializer: WeightInitializer,
  { fanIn, fanOut, rows }: { fanIn: number; fanOut: number; rows: number },
): Initializer {
  if (typeof initializer === 'number' && Number.isFinite(initializer)) return { kind: 'constant', value: initializer }
  if (typeof initializer !== 'string' || !Object.hasOwn(NAMES, initializer))
    throw new DunlinError(
      `${where(layer)}: initializer ${JSON.stringify(initializer)} is unknown. Use ${Object.keys(NAMES).join(', ')} or a number.`,
    )
  if (initializer === 'zeros' || initializer === 'ones') return { kind: initializer }
  return initializer === 'orthogonal' ? { kind: initializer, rows } : { kind: initializer, fanIn, fanOut }
}
