// A quantized graph as an int8 model: every value has a scale, every weight is int8 on a scale for each channel, and biases lie on the
// product of both. Where one thing does not fit, the model stays float, and this says why.

import type { Node, Param } from '../../graph/node'
import type { Mark, Scope } from './call'

export function integerModel(
  _outputs: readonly Node[],
  _marks: ReadonlyMap<Node, Mark>,
  _steps: Scope['steps'],
): { outputs: Node[] } | { why: string } {
  return { why: 'not yet' }
}

export type { Param }
