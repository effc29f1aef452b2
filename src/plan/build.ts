// Plans of graphs: for inference, in a session or a module; for a step of training. Where a module is short of memory several are
// written, with other tiles and bands, and the best is taken.

import type { Node } from '../graph/node'
import type { Target, Weights } from '../ops/op'
import type { Banded } from './bands'
import { Builder, type Frozen, type Update } from './builder'
import type { Plan } from './plan'
import { chooseTiles } from './tiles'

/** What may be done twice by default, of all multiply-accumulates of a network. */
const RECOMPUTE = 0.25
/** What memory a module may take besides the least it can do with. */
const SPARE = 1 / 16

/** How a module is planned. */
export interface ModulePlan {
  /** Whether weights are in memory (default), or stay in flash, from where calls load what they need. */
  weights?: Weights
  /** Whether its host interprets kernels. Default false. */
  interpreted?: boolean
  /**
   * How many times the multiply-accumulates of the network may be done besides, where that saves memory, because neighbouring bands of rows both
   * need them. Default 0.25.
   */
  recompute?: number
  /** How many times the least memory may be taken besides that, for longer pieces of weights from flash, which run faster. Default 1/16. */
  spare?: number
}

/**
 * The plan that computes `outputs` for `batch` samples; `target` is who will run it (default: a session), on up to `threads` threads
 * (default: 1). Results do not depend on their number. What the forward of `observed` nodes saves can be read after a run (plan.saved).
 */
export function planInference(
  outputs: readonly Node[],
  options: { batch: number; target?: Target; threads?: number; observed?: ReadonlySet<Node> } & ModulePlan,
): Plan {
  const { batch, target, threads, observed, weights = 'ram', interpreted, recompute = RECOMPUTE, spare } = options
  const derived = new Map<Node, Map<string, unknown>>()
  const written = (banded: readonly Banded[], most: readonly number[]) => {
    const module = [weights, interpreted, most, banded, derived] as const
    const builder = new Builder(outputs, batch, false, target, threads, undefined, observed, ...module)
    builder.forward()
    return builder
  }
  if (target !== 'module') return written([], []).finish()
  const least = written([], [])
  const whole = written(
    [],
    least.sites.map(() => Infinity),
  )
  const saved = whole.savings()
  const scratch = { least: least.trial().scratch, whole: whole.trial().scratch }
  // A layer that has all of its weights in memory may write over its input: of use where that saves more than they take.
  const gains = least.sites.filter(({ bytes }, i) => saved(whole.sites[i].call) > whole.sites[i].bytes - bytes)
  const gaining = new Set(gains.map(({ node }) => node))
  const start = (banded: readonly Banded[]) =>
    least.sites.map(({ node }) => (gaining.has(node) && !banded.some(({ nodes }) => nodes.includes(node)) ? Infinity : 0))
  const needs = (node: Node, inBands: boolean) => {
    const all = gaining.has(node) && !inBands
    return { scratch: scratch[all ? 'whole' : 'least'].get(node) ?? 0, over: all || least.overlying.has(node) }
  }
  const tried = (banded: readonly Banded[]) => {
    const most = start(banded)
    const builder = written(banded, most)
    return { banded, most, builder, bytes: builder.trial().bytes }
  }
  const { banded, most, builder } = batch > 1 ? tried([]) : least.patches(needs, recompute, tried)
  return fitted({ weights, spare }, (other) => (other === most ? builder : written(banded, other)), most)
}

/**
 * The plan of one training step on `batch` samples: the loss, its gradients, an update of every trainable parameter. `outputs` are
 * read after the step beside the loss. Its state has `hyper` (`hyperLength` floats that the host writes before a step),
 * and the optimizer's arrays under `<parameter>/<name>`. Parameters whose name is `frozen` stay as they are. `threads` as in
 * planInference.
 *
 * With `accumulate` the gradients of several batches can be summed up for one update: the calls from `phases.gradients` to
 * `phases.update` run once for each batch. The state has `share` then, one float that the host writes before each of them: the factor
 * on the gradients of that batch.
 */
export function planTraining(
  loss: Node,
  outputs: readonly Node[],
  options: { batch: number; update: Update; hyperLength: number; frozen?: Frozen; accumulate?: boolean; threads?: number },
): Plan {
  const builder = new Builder([loss, ...outputs], options.batch, true, 'session', options.threads, options.frozen)
  builder.forward()
  builder.backward(loss, options.update, options.hyperLength, options.accumulate)
  return builder.finish()
}

/** The forward calls of a training step alone, to look at all of its values. */
export function planForward(outputs: readonly Node[], options: { batch: number; frozen?: Frozen }): Plan {
  const builder = new Builder(outputs, options.batch, true, 'session', 1, options.frozen)
  builder.forward()
  return builder.finish()
}

/** The plan of what is written with the best of the tiles that were tried, where weights are in flash. */
export function fitted(
  { weights = 'ram', spare = SPARE }: ModulePlan,
  written: (most: readonly number[]) => Builder,
  start: readonly number[] = [],
): Plan {
  if (weights === 'ram') return written(start).finish()
  return chooseTiles(
    (most) => {
      const builder = written(most)
      const plan = builder.finish()
      return { plan, end: plan.memory, base: plan.persistent, alive: builder.alive(), sites: builder.sites }
    },
    (most) => written(most).sites,
    start,
    spare,
  ).plan
}
