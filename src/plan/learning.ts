// The plan of a module that learns: a run for one sample, and the calls that follow it in a step of training on that sample. What it learns
// lies in one stretch of memory. A step is the sample's own: where a gradient is but an outer product, it is never stored.

import { DunlinError } from '../graph/error'
import { isParam, type Node, type Param, size, type TypedArray } from '../graph/node'
import { type Descent, where } from '../ops/op'
import { fitted, type ModulePlan } from './build'
import { Builder, type Frozen } from './builder'
import { type Planned, regionOf } from './pending'
import type { Learning, Plan } from './plan'

/** How a module learns. */
export interface Learner {
  /** Labels are classes; targets are numbers like the prediction's. */
  kernel: 'crossEntropy_f32_sample' | 'meanSquaredError_f32_sample'
  /** What the loss judges. */
  prediction: Node
  frozen: Frozen
  lr: number
  /** 0: none, and no velocities in memory. */
  momentum: number
  /** Samples whose gradients are averaged for an update. */
  batch: number
}

/** The plan that computes `outputs` as in inference (no dropout, running statistics), and learns (plan.learning). */
export function planLearning(outputs: readonly Node[], module: ModulePlan, learner: Learner): Plan {
  return fitted(module, (most) => {
    const builder = new LearningBuilder(outputs, module, most, learner)
    builder.forward()
    builder.learn()
    return builder
  })
}

class LearningBuilder extends Builder {
  private learned?: { phases: Learning['phases']; loss: Planned; label?: Planned; target?: Planned; count?: Planned }

  constructor(
    outputs: readonly Node[],
    { weights, interpreted }: ModulePlan,
    most: readonly number[],
    private readonly learner: Learner,
  ) {
    super(outputs, 1, false, 'module', 1, learner.frozen, undefined, weights, interpreted, most)
  }

  /** The calls that follow a run in a step of training on its sample. */
  learn(): void {
    const { kernel, prediction, lr, momentum, batch } = this.learner
    if (batch > 1) this.clear = []
    const phases = { loss: this.calls.length, gradients: 0, update: 0 }
    const dx = this.sink(prediction)?.dx
    if (!dx) throw new DunlinError(`${where(prediction)}: nothing to train, it depends on no parameter that was chosen.`)
    const loss = this.scratch(1)
    const classes = kernel === 'crossEntropy_f32_sample'
    const truth = classes ? this.scratch(1, 'i32') : this.add('target', 'f32', dx.length, 'input')
    this.call(kernel, this.value(prediction), truth, loss, dx, dx.length, 1 / batch)
    this.layerFrom(phases.loss, 'loss')
    phases.gradients = this.calls.length
    this.gradients()
    phases.update = this.calls.length
    const changed = this.order.filter(isParam).filter((p) => this.learning.has(p))
    const hyper = changed.some((p) => this.grads.has(p)) ? this.constant('hyper', Float32Array.of(lr, 1)) : 0
    for (const p of changed) {
      const [w, g] = [this.value(p), this.grads.get(p)]
      if (g) this.call('sgd_f32', w, g, this.velocity(p), hyper, w.length, 1, momentum, 0, 0, 0)
      if (p.mask) this.call('mask_f32', w, this.constant(`${p.name}/mask`, p.mask), w.length)
    }
    this.calls.push(...(this.clear ?? []))
    this.layerFrom(phases.update, 'update')
    const count = batch > 1 ? this.add('count', 'i32', 1, 'gradient') : undefined
    this.learned = { phases, loss, ...(classes ? { label: truth } : { target: truth }), ...(count && { count }) }
  }

  override descent(node: Node): Descent | undefined {
    const { learner } = this
    const readers = this.order.reduce((sum, n) => sum + n.inputs.filter((x) => x === node).length, 0)
    if (learner.batch > 1 || !isParam(node) || !this.learning.has(node) || readers > 1) return undefined
    return { velocity: this.velocity(node), lr: learner.lr, momentum: learner.momentum }
  }

  override finish(): Plan {
    const plan = super.finish()
    const { batch, prediction } = this.learner
    const { phases, loss, label, target, count } = this.learned!
    const of = (role: Planned['role']) => this.buffers.filter((b) => b.role === role)
    const kept = [...of('parameter'), ...of('velocity'), ...of('gradient')]
    const found = Object.entries({ label, count }).flatMap(([name, b]) => (b ? [[name, { ...regionOf(b), name }]] : []))
    const learning: Learning = {
      ...{ phases, batch, loss: { ...regionOf(loss), name: 'loss' }, parameters: kept.map(regionOf) },
      initial: of('parameter').map((b) => ({ ...regionOf(b), data: b.data as TypedArray })),
      ...Object.fromEntries(found),
      ...(target && { target: { ...regionOf(target), batch: 1, shape: prediction.shape } }),
    }
    return { ...plan, learning }
  }

  private velocity(param: Param): Planned | 0 {
    if (!this.learner.momentum) return 0
    const name = `${param.name}/velocity`
    return (
      this.buffers.find((b) => b.role === 'velocity' && b.name === name) ?? this.add(name, 'f32', size(param.shape), 'velocity')
    )
  }
}
