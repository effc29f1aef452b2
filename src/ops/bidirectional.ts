// bidirectional: a recurrent layer and its reversed twin on one sequence, merged. A composition: no op of its own.

import type { Node } from '../graph/node'
import { add } from './add'
import type { Recurrent } from './recurrent'

/**
 * `layer` and a second one of the same options, with weights of its own, that reads from the end; their outputs are added.
 * x [steps, channels], mask [steps] as the layer takes them -> the shape of the layer's output. (Without `sequences` that is the sum of
 * the state after the last step and, of the second, after the first.)
 */
export function bidirectional(layer: Recurrent, options: { merge: 'sum'; name?: string }): (x: Node, mask?: Node) => Node {
  const twin = layer.reversed()
  return (x, mask) => add({ ...(options.name && { name: options.name }) })(layer(x, mask), twin(x, mask))
}
