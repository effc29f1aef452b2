// Opset 6 and before. Most ops mean there what they mean in 7, the first that is read as a whole. Operands that lie along given axes of
// another are brought to the form of 7; what means something else is refused.

import { Call } from './call'

/** Ops of opset 6 and older that have another form than in 7. */
const OTHER = /^(RNN|GRU|LSTM|Upsample)$/
const PAIRS = /^(Add|Sub|Mul|Div|Pow|Equal|Greater|Less|And|Or|Xor)$/

/** The node as opset 7 has it; undefined where that is another op. */
export function since7(c: Call): Call | undefined {
  // Its type was a string.
  if (c.op === 'Cast' && c.opset < 6) return undefined
  if (OTHER.test(c.op) || (c.op === 'Reshape' && c.inputs.length < 2) || c.has('paddings')) return undefined
  if (c.op === 'BatchNormalization' || c.op === 'Dropout') return c.int('is_test', 0) === 1 ? c : undefined
  // The second operand's axes begin at one of the first's: where an attribute says so, else the last ones of both go together.
  const axis = c.op === 'PRelu' ? 1 : PAIRS.test(c.op) && c.has('axis') ? c.int('axis', 0) : undefined
  const [first, second] = c.inputs
  if (axis === undefined || !first || !second) return c
  return new Call(c.scope, c.proto, c.index, [first, c.fromAxis(axis, first, second)], c.opset)
}
