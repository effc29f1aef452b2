// What a module that learns is told, and the plan that follows: which layers, towards which loss, by which steps.

import { DunlinError } from '../graph/error'
import { isParam, type Node, type Param, topological } from '../graph/node'
import { where } from '../ops/op'
import type { ModulePlan } from './build'
import { floatHead, lastLayer } from './head'
import { planLearning } from './learning'
import type { Plan } from './plan'

export interface TrainOptions {
  /**
   * What learns. 'last': the last layer with weights. Names of layers, or of single parameters: `conv1`, `conv1/b` for its bias alone. 'all':
   * every parameter. No gradient is computed below the first. Of an int8 model only its last layer, a dense one, can learn: it becomes
   * float32, for `run` too, and so does the module's output.
   */
  layers: 'last' | 'all' | readonly string[]
  /** 'sgd': w -= lr g. 'momentum': v = momentum v + g, w -= lr v. */
  optimizer: 'sgd' | 'momentum'
  lr: number
  /** Default 0.9. */
  momentum?: number
  /** How many samples' gradients are averaged for an update, default 1: then parameters change in every step. */
  batch?: number
  /**
   * 'crossEntropy': the sample's class is the label of `train_step`; the output are logits, or a softmax of them. 'meanSquaredError': the label
   * means nothing, the host writes what the output should be at the module's `target`. Default: the former for a vector of two or more.
   */
  loss?: 'crossEntropy' | 'meanSquaredError'
}

/** The plan of a module that learns, its other weights where `module` says; an int8 network's last layer is float in it. */
export function planTrain(given: readonly Node[], module: ModulePlan, options: TrainOptions): Plan {
  check(options)
  const { layers, lr, batch = 1 } = options
  const isInt8 = given[0].dtype === 'i8'
  const outputs = isInt8 ? floatHead(given) : given
  const params = topological(outputs).filter(isParam)
  const chosen = isInt8 && layers === 'all' ? refuseAll(outputs) : choose(outputs, params, layers)
  const [output] = outputs
  const { loss = output.shape.length === 1 && output.shape[0] > 1 ? 'crossEntropy' : 'meanSquaredError' } = options
  if (loss === 'crossEntropy' && output.shape.length !== 1)
    throw new DunlinError(
      `train: crossEntropy wants a vector of classes, ${where(output)} has shape [${output.shape}]. Use the loss meanSquaredError.`,
    )
  // The loss has the softmax in itself.
  const inside = loss === 'crossEntropy' && (output.op === 'softmax' || output.op === 'logSoftmax')
  return planLearning(outputs, module, {
    kernel: `${loss}_f32_sample`,
    prediction: inside ? output.inputs[0] : output,
    frozen: (name) => !chosen.has(name),
    ...{ lr, batch, momentum: options.optimizer === 'momentum' ? (options.momentum ?? 0.9) : 0 },
  })
}

/** Names of the parameters that learn. */
function choose(outputs: readonly Node[], params: readonly Param[], layers: TrainOptions['layers']): Set<string> {
  const trainable = (p: Param) => p.dtype === 'f32' && p.attrs.trainable
  if (layers === 'all') return new Set(params.filter(trainable).map((p) => p.name))
  const nodes = topological(outputs).filter((n) => n.inputs.some(isParam))
  const last = lastLayer(outputs)
  const wanted = layers === 'last' ? (last ? [last.name] : []) : layers
  const chosen = wanted.flatMap((name) => {
    const layer = nodes.find((n) => n.name === name)
    const found = layer ? layer.inputs.filter(isParam) : params.filter((p) => p.name === name)
    if (!found.length) {
      throw new DunlinError(
        `train: there is no layer or parameter "${name}". The layers with parameters are ${nodes.map((n) => `"${n.name}"`).join(', ')}; a bias alone is "${nodes.at(-1)?.name}/b".`,
      )
    }
    const integer = found.find((p) => p.dtype !== 'f32')
    if (integer)
      throw new DunlinError(
        `train: "${name}" is ${integer.dtype}; of an int8 model only its last layer${last ? `, "${last.name}",` : ''} can learn. Use layers 'last', or build the float model.`,
      )
    const own = found.filter(trainable)
    if (!own.length) throw new DunlinError(`train: "${name}" is not trainable. Leave it out.`)
    return own.map((p) => p.name)
  })
  if (!chosen.length) throw new DunlinError('train: no layer was chosen. Use layers "last", "all", or a list of names.')
  return new Set(chosen)
}

function refuseAll(outputs: readonly Node[]): never {
  throw new DunlinError(
    `train: layers 'all' of an int8 model: only its last layer, "${lastLayer(outputs)?.name}", can learn. Use layers 'last', or build the float model.`,
  )
}

/** What TypeScript cannot check, or a configuration file says. */
function check({ layers, optimizer, lr, momentum = 0.9, batch = 1, loss }: TrainOptions): void {
  const fail = (what: string, wanted: string, got: unknown): never => {
    throw new DunlinError(`train: ${what} wants ${wanted}, got ${typeof got === 'number' ? got : JSON.stringify(got)}.`)
  }
  if (layers !== 'last' && layers !== 'all' && !(Array.isArray(layers) && layers.every((l) => typeof l === 'string')))
    fail('layers', "'last', 'all' or a list of names", layers)
  if (optimizer !== 'sgd' && optimizer !== 'momentum') fail('optimizer', "'sgd' or 'momentum'", optimizer)
  if (!(Number.isFinite(lr) && lr > 0)) fail('lr', 'a number above 0', lr)
  if (!(momentum > 0 && momentum < 1)) fail('momentum', 'a number between 0 and 1', momentum)
  if (!Number.isInteger(batch) || batch < 1) fail('batch', 'a positive integer', batch)
  if (loss !== undefined && loss !== 'crossEntropy' && loss !== 'meanSquaredError')
    fail('loss', "'crossEntropy' or 'meanSquaredError'", loss)
}
