// Pruning by magnitude (Han et al., "Learning both Weights and Connections", 2015): the weights smallest in absolute value, over all
// layers together, become zero, and a mask keeps them zero while the rest is trained on.

import { DunlinError } from '../graph/error'
import { isParam, mapGraph, type Node, type Param } from '../graph/node'
import { Model } from '../model/model'

/**
 * A copy of the model in which the share `sparsity` (0..1) of the weights of its layers is zero and masked; biases are left alone. Train
 * it for a few epochs to recover. Called again on the result with a higher sparsity, it prunes further.
 */
export function prune(model: Model, options: { sparsity: number }): Model {
  const { sparsity } = options
  if (!(sparsity >= 0 && sparsity < 1)) throw new DunlinError(`prune: sparsity wants a number in [0, 1), got ${sparsity}.`)
  const quantized = model.params.find((p) => p.dtype !== 'f32')
  if (quantized)
    throw new DunlinError(`prune: parameter "${quantized.name}" is ${quantized.dtype}. Prune the float model, then quantize it.`)
  const weights = model.params.filter(isWeight)
  const all = weights.flatMap((p) => Array.from(p.data as ArrayLike<number>, Math.abs))
  const drop = Math.round(sparsity * all.length)
  // By magnitude, then by place: exactly `drop` weights, and the same ones every time.
  const order = Uint32Array.from(all, (_, i) => i).sort((a, b) => all[a] - all[b] || a - b)
  const live = new Uint8Array(all.length).fill(1)
  for (let i = 0; i < drop; i++) live[order[i]] = 0

  let at = 0
  const pruned = new Map<Node, Param>()
  for (const p of weights) {
    const mask = live.slice(at, (at += p.data.length))
    if (!mask.includes(1))
      throw new DunlinError(
        `prune: at sparsity ${sparsity} parameter "${p.name}" would lose all of its ${p.data.length} weights. Use a lower sparsity.`,
      )
    pruned.set(p, { ...p, mask, data: Float32Array.from(p.data as ArrayLike<number>, (v, i) => (mask[i] ? v : 0)) })
  }
  const outputs = mapGraph(
    model.outputs,
    (node, inputs) => pruned.get(node) ?? (isParam(node) ? copy(node) : { ...node, inputs }),
  )
  return new Model(outputs, { name: model.name, labels: model.labels })
}

/** Weights have an axis of outputs and at least one more; biases are vectors. */
const isWeight = (p: Param): boolean => p.shape.length > 1

const copy = (p: Param): Param => ({ ...p, data: p.data.slice() })
