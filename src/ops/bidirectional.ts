// bidirectional: a recurrent layer and its reversed twin on one sequence, merged. A composition: no op of its own.

import type { Node } from '../graph/node'
import { add } from './add'
import { concat } from './concat'
import type { Recurrent } from './recurrent'

/**
 * `layer` and a second one of the same options, with weights of its own, that reads from the end; their outputs side by side, or added.
 * x [steps, channels], mask [steps] as the layer takes them -> the shape of the layer's output, the last axis twice as long for `concat`.
 * (Without `sequences` these are the state after the last step and, of the second, after the first.)
 */
export function bidirectional(
  layer: Recurrent,
  options: { merge?: 'concat' | 'sum'; name?: string } = {},
): (x: Node, mask?: Node) => Node {
  const { merge = 'concat', name = '' } = options
  const twin = layer.reversed()
  const join = merge === 'sum' ? add({ name }) : concat({ name })
  return (x, mask) => join(layer(x, mask), twin(x, mask))
}
