// What a trainer works towards: the graph of a loss on a model's output, and which data fit it.

import type { Dataset } from '../data/dataset'
import { DunlinError } from '../graph/error'
import { input, isInput, type Node, size, topological } from '../graph/node'
import type { Model } from '../model/model'
import type { Plan } from '../plan/plan'
import type { Source } from './batches'
import type { Loss } from './losses'
import { checkMixup } from './mixup'

export class Objective {
  /** The model's first: what metrics judge. */
  readonly output: Node
  /** One number for the batch. */
  readonly loss: Node
  private readonly prediction: Node
  private readonly target: Node
  private readonly weights = input([1], { name: 'weights' })

  constructor(
    private readonly model: Model,
    private readonly of: Loss,
    private readonly classWeights?: readonly number[],
    mixup = 0,
  ) {
    this.output = model.outputs[0]
    this.prediction = of.prediction(this.output)
    const { dtype, shape } = of.target(this.prediction)
    this.target = input(shape, { name: dtype === 'i32' ? 'labels' : 'target', dtype })
    this.loss = of.node(this.prediction, this.target, this.weights)
    if (classWeights) checkClassWeights(classWeights, dtype === 'i32' ? size(this.prediction.shape) : 0, of.name)
    checkMixup(mixup, model.inputs, this.target, of.name)
  }

  /** Throws what does not fit; `what` names the data. */
  check(data: Dataset, what: string): void {
    const { model, target, of } = this
    model.samples(data, what)
    if (target.dtype === 'f32') {
      if (String(data.target) === String(target.shape)) return
      const got = data.target ? `targets of shape [${data.target}]` : 'class labels'
      throw new DunlinError(
        `${what}: it has ${got}, ${of.name} on model "${model.name}" wants targets of shape [${target.shape}]. Make the data with target: [${target.shape}].`,
      )
    }
    if (data.target) {
      throw new DunlinError(
        `${what}: it has targets of shape [${data.target}], ${of.name} wants class labels. Make the data with classes, or choose another loss.`,
      )
    }
    const classes = size(this.prediction.shape)
    if (data.classes > classes) {
      throw new DunlinError(
        `${what}: it has ${data.classes} classes, model "${model.name}" has ${classes} outputs. Give the last layer ${data.classes} units.`,
      )
    }
  }

  /** Where a plan of the loss and the output takes the data. In training classes have weights. */
  source(plan: Plan, data: Dataset, training = false): Source {
    const { model, of, classWeights } = this
    // In the order in which the loss reads them: the model's inputs may have any names, and some may lead to other outputs only.
    const order: Node[] = topological([this.loss, this.output]).filter(isInput)
    const port = (node: Node) => plan.inputs[order.indexOf(node)]
    const samples = model.samples(data, 'data')
    const inputs = model.inputs.map((node, i) => ({ port: port(node), samples: samples[i] })).filter((feed) => feed.port)
    return {
      ...{ data, inputs, target: port(this.target), weights: port(this.weights), output: plan.outputs[1] },
      soft: of.soft ?? false,
      ...(training && { classWeights }),
    }
  }
}

function checkClassWeights(weights: readonly number[], classes: number, loss: string): void {
  if (!classes) throw new DunlinError(`Trainer: classWeights are for labels; ${loss} has other targets. Weigh the samples.`)
  if (weights.length !== classes)
    throw new DunlinError(`Trainer: got ${weights.length} classWeights for ${classes} classes. Give one for each class.`)
  const bad = weights.findIndex((w) => !(w >= 0 && Number.isFinite(w)))
  if (bad >= 0)
    throw new DunlinError(`Trainer: classWeights wants numbers from 0 on, class ${bad} has ${weights[bad]}. Correct the weight.`)
}
