// Where a training went wrong: after a loss that is not finite, the forward calls run again on the same batch with every value kept, and
// the first layer with a value or weights that are not finite is named.

import { isInput, isParam, type Node, type TypedArray, topological } from '../graph/node'
import { where } from '../ops/op'
import { planForward } from '../plan/build'
import type { Frozen } from '../plan/builder'
import type { Plan } from '../plan/plan'
import type { Build } from '../session/kernels'
import { Session } from '../session/session'

export const allFinite = (values: TypedArray): boolean => {
  for (let i = 0; i < values.length; i++) if (!Number.isFinite(values[i])) return false
  return true
}

/**
 * Says which layer is the first, in the order of the forward calls, whose weights or value are not finite. `draw` writes the batch into
 * the inputs of a session; weights and state are those of `session`, from before the update.
 */
export async function firstNotFinite(
  loss: Node,
  session: Session,
  draw: (session: Session) => void,
  options: { batch: number; frozen?: Frozen; build?: Build },
): Promise<string> {
  const nodes = topological([loss]).filter((n) => !isParam(n))
  const again = await Session.create(planForward([loss, ...nodes], options), options)
  // From the session that trained: the plan's own constants are those of the model.
  const kept = regions(session.plan)
  for (const [name, region] of regions(again.plan)) {
    const of = kept.get(name)
    if (of) again.view(region).set(session.view(of))
  }
  draw(again)
  again.run()
  const values = again.plan.outputs.slice(1)
  for (const [i, node] of nodes.entries()) {
    const spoiled = node.inputs.find((p) => {
      const weights = isParam(p) && p.attrs.trainable && kept.get(p.name)
      return weights && !allFinite(session.view(weights))
    })
    if (spoiled) return `the weights "${spoiled.name}" of ${where(node)} are not finite since the step before`
    if (!allFinite(again.view(values[i])))
      return `the first value that is not finite is that of ${isInput(node) ? `input "${node.name}"` : where(node)}`
  }
  return 'all values are finite'
}

const regions = ({ constants, state }: Plan) => new Map([...state, ...constants].map((r) => [r.name, r]))
