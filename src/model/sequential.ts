// Layers one after another are a layer again: the network of most first examples, and the block of larger ones.

import type { Layer } from '../graph/node'

/** The layers applied in order. */
export function sequential(...layers: readonly Layer[]): Layer {
  return (x) => layers.reduce((value, layer) => layer(value), x)
}
