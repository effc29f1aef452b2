// One step: the forward and backward calls on each of its batches, a look at the loss, then the calls of the update. A loss that is not
// finite stops it before the update, so that the weights it comes from are still there.

import type { Random } from '../graph/random'
import type { Session } from '../session/session'
import type { Batches } from './batches'
import type { Loss } from './losses'
import type { Optimizer } from './optimizers'
import type { Tally } from './tally'

/** A batch whose loss is not finite; `random` is where its augmentations were drawn from. */
export interface Spoiled {
  loss: number
  at: number
  count: number
  random?: readonly number[]
}

/** Milliseconds that a training waited for data. */
export interface Clock {
  waiting: number
}

/** A function that takes the step after `taken` others on `samples` samples from the `from`-th of an order on. */
export function stepper(
  session: Session,
  batches: Batches,
  options: { batch: number; accumulate: number; optimizer: Optimizer; loss: Loss },
  clock: Clock,
  random?: Random,
): (order: Uint32Array, from: number, samples: number, taken: number, rate: number, tally: Tally) => Spoiled | undefined {
  const { batch, accumulate, optimizer } = options
  const { phases, outputs } = session.plan
  const { gradients, update } = phases!
  const state = (name: string) => {
    const region = session.plan.state.find((r) => r.name === name)
    return region && session.view(region)
  }
  const [hyper, counter, share] = [state('hyper')!, state('step'), accumulate > 1 ? state('share') : undefined]
  const loss = session.view(outputs[0])
  return (order, from, samples, taken, rate, tally) => {
    const past = from + samples
    const all = batches.weight(order, from, samples)
    for (let at = from, i = 0; at < past; at += batch, i++) {
      const count = Math.min(batch, past - at)
      const drawn = random?.state
      const began = performance.now()
      batches.draw(order, at, count)
      clock.waiting += performance.now() - began
      const weight = batches.weight(order, at, count)
      // A batch's own gradients are those of its mean loss, or of its sum: then they only add up.
      if (share) share[0] = options.loss.sum ? 1 : weight / (all || 1)
      if (counter) counter[0] = taken * accumulate + i
      session.run(i ? gradients : 0, update)
      if (!Number.isFinite(loss[0])) return { loss: loss[0], at, count, random: drawn }
      tally.add(loss[0], weight, batches.outputsOf(count), batches.targetsOf(count))
    }
    hyper.set(optimizer.hyper(taken + 1, rate))
    session.run(update)
  }
}
