// The losses beside crossEntropy. All have its form, (prediction, target, weights) -> one number for the batch, and its rule: the sum of
// weight * loss of the sample over the sum of the weights, 0 if there is no weight; with reduction 'sum' the former alone. Gradients flow
// into the prediction only: a target that another network computes is taken as it is.

import { DunlinError } from '../graph/error'
import { type Node, size } from '../graph/node'
import { expectInputs, expectShape, makeNode, type Op, rows, type Unshaped, where } from './op'

/** What a loss makes of those of the samples. */
export type Reduction = 'mean' | 'sum'

export interface LossOptions {
  /** Default 'mean'. The loss of a sample is the same either way: where that is a mean over its elements, it is one in the sum, too. */
  reduction?: Reduction
}

/** What of its options a loss keeps as attributes. */
export interface LossAttrs {
  reduction?: 'sum'
}

export interface BinaryCrossEntropyAttrs extends LossAttrs {
  fromLogits?: false
}

export interface CategoricalCrossEntropyAttrs extends LossAttrs {
  labelSmoothing?: number
}

export interface HuberAttrs extends LossAttrs {
  delta: number
}

/** Mean of (prediction - target)^2 over the elements of a sample. prediction and target of one shape, weights [1]. */
export function meanSquaredError(prediction: Node, target: Node, weights: Node, options: LossOptions = {}): Node {
  return makeLoss('meanSquaredError', meanSquaredErrorOp, reductionOf(options), [prediction, target, weights])
}

/** Mean of |prediction - target| over the elements of a sample. prediction and target of one shape, weights [1]. */
export function meanAbsoluteError(prediction: Node, target: Node, weights: Node, options: LossOptions = {}): Node {
  return makeLoss('meanAbsoluteError', meanAbsoluteErrorOp, reductionOf(options), [prediction, target, weights])
}

/**
 * Huber (1964), as torch.nn.HuberLoss: with d = prediction - target, d^2 / 2 where |d| is at most `delta` (default 1), beyond that the
 * straight line that goes on from there; the mean over the elements of a sample. prediction and target of one shape, weights [1].
 */
export function huber(prediction: Node, target: Node, weights: Node, options: { delta?: number } & LossOptions = {}): Node {
  return makeLoss('huber', huberOp, { delta: options.delta ?? 1, ...reductionOf(options) }, [prediction, target, weights])
}

/**
 * Cross entropy of independent yes-or-no questions, from logits: -t ln s - (1 - t) ln(1 - s) with s = sigmoid(logit), the mean over the
 * elements of a sample. Targets t in [0, 1], of the shape of the logits; weights [1]. With `fromLogits: false` the prediction is s itself;
 * as in torch.nn.BCELoss logarithms are then at least -100, and the derivative (s - t) / max(s (1 - s), 1e-12). What is not in [0, 1]
 * gives NaN.
 */
export function binaryCrossEntropy(
  prediction: Node,
  target: Node,
  weights: Node,
  options: { fromLogits?: boolean } & LossOptions = {},
): Node {
  const attrs = { ...(options.fromLogits === false && { fromLogits: false as const }), ...reductionOf(options) }
  return makeLoss('binaryCrossEntropy', binaryCrossEntropyOp, attrs, [prediction, target, weights])
}

/** Mean of max(1 - t * prediction, 0) over the elements of a sample. Targets t are -1 or 1, of the prediction's shape; weights [1]. */
export function hinge(prediction: Node, target: Node, weights: Node, options: LossOptions = {}): Node {
  return makeLoss('hinge', hingeOp, reductionOf(options), [prediction, target, weights])
}

/**
 * Softmax cross entropy with a probability for every class: the sum of -t ln softmax(logits). logits and target [classes], weights [1].
 * With `labelSmoothing` s in [0, 1) the target is (1 - s) t + s / classes.
 */
export function categoricalCrossEntropy(
  logits: Node,
  target: Node,
  weights: Node,
  options: { labelSmoothing?: number } & LossOptions = {},
): Node {
  const attrs = { ...(options.labelSmoothing && { labelSmoothing: options.labelSmoothing }), ...reductionOf(options) }
  return makeLoss('categoricalCrossEntropy', categoricalCrossEntropyOp, attrs, [logits, target, weights])
}

/**
 * Kullback-Leibler divergence of softmax(logits) from the target: the sum of t (ln t - ln softmax(logits)). logits and target [classes],
 * weights [1]. The prediction may as well be log-probabilities: their softmax is the probabilities.
 */
export function klDivergence(logits: Node, target: Node, weights: Node, options: LossOptions = {}): Node {
  return makeLoss('klDivergence', klDivergenceOp, reductionOf(options), [logits, target, weights])
}

/** The mean, as the default, is not written down. */
export function reductionOf({ reduction = 'mean' }: LossOptions): LossAttrs {
  return reduction === 'mean' ? {} : { reduction }
}

/** The last argument of a loss' kernels. */
export const summed = ({ attrs }: Node<LossAttrs>): number => (attrs.reduction === 'sum' ? 1 : 0)

function makeLoss<A>(op: string, row: Op<A>, attrs: A, inputs: Node[]): Node {
  return makeNode(row, { op, name: 'loss', attrs, inputs })
}

type Plain = 'meanSquaredError' | 'meanAbsoluteError' | 'binaryCrossEntropy' | 'binaryCrossEntropyOfProbabilities' | 'hinge'

/** Element by element, without numbers of its own. */
const elementwise = <A extends LossAttrs>(kernel: (node: Node<A>) => Plain): Op<A> => ({
  reducesBatch: true,
  shape: shapeOfLoss,
  forward(e, node) {
    const [x, target, weights] = node.inputs
    const sizes = [rows(e, x), size(x.shape)] as const
    e.call(`${kernel(node)}_f32`, e.value(x), e.value(target), e.value(weights), e.value(node), ...sizes, summed(node))
  },
  backward(e, node) {
    const [x, target, weights] = node.inputs
    const dy = e.grad(node)
    const dx = e.grad(x)
    const sizes = [rows(e, x), size(x.shape)] as const
    if (dy && dx) e.call(`${kernel(node)}_f32_dx`, e.value(x), e.value(target), e.value(weights), dy, dx, ...sizes, summed(node))
  },
})

export const meanSquaredErrorOp = elementwise(() => 'meanSquaredError')
export const meanAbsoluteErrorOp = elementwise(() => 'meanAbsoluteError')
export const hingeOp = elementwise(() => 'hinge')

export const binaryCrossEntropyOp: Op<BinaryCrossEntropyAttrs> = {
  ...elementwise(({ attrs }) => (attrs.fromLogits === false ? 'binaryCrossEntropyOfProbabilities' : 'binaryCrossEntropy')),
  shape(node) {
    const { fromLogits } = node.attrs
    if (fromLogits !== undefined && typeof fromLogits !== 'boolean')
      throw new DunlinError(`${where(node)}: fromLogits wants true or false, got ${JSON.stringify(fromLogits)}.`)
    return shapeOfLoss(node)
  },
}

export const huberOp: Op<HuberAttrs> = {
  reducesBatch: true,
  shape(node) {
    const { delta } = node.attrs
    if (!(Number.isFinite(delta) && delta > 0))
      throw new DunlinError(
        `${where(node)}: delta wants a number above 0, got ${delta}. It is the error from which on the loss is a line.`,
      )
    return shapeOfLoss(node)
  },
  forward(e, node) {
    const [x, target, weights] = node.inputs
    const sizes = [rows(e, x), size(x.shape)] as const
    e.call('huber_f32', e.value(x), e.value(target), e.value(weights), e.value(node), ...sizes, node.attrs.delta, summed(node))
  },
  backward(e, node) {
    const [x, target, weights] = node.inputs
    const dy = e.grad(node)
    const dx = e.grad(x)
    const sizes = [rows(e, x), size(x.shape)] as const
    if (dy && dx)
      e.call('huber_f32_dx', e.value(x), e.value(target), e.value(weights), dy, dx, ...sizes, node.attrs.delta, summed(node))
  },
}

export const categoricalCrossEntropyOp: Op<CategoricalCrossEntropyAttrs> = {
  reducesBatch: true,
  shape(node) {
    const shape = shapeOfLoss(node)
    expectLogits(node)
    expectShare(node, 'labelSmoothing', node.attrs.labelSmoothing)
    return shape
  },
  forward(e, node) {
    const [x, target, weights] = node.inputs
    const { labelSmoothing = 0 } = node.attrs
    const sizes = [rows(e, x), x.shape[0]] as const
    e.call(
      'categoricalCrossEntropy_f32',
      e.value(x),
      e.value(target),
      e.value(weights),
      e.value(node),
      ...sizes,
      labelSmoothing,
      summed(node),
    )
  },
  backward(e, node) {
    const [x, target, weights] = node.inputs
    const { labelSmoothing = 0 } = node.attrs
    const dy = e.grad(node)
    const dx = e.grad(x)
    const sizes = [rows(e, x), x.shape[0]] as const
    if (dy && dx)
      e.call(
        'categoricalCrossEntropy_f32_dx',
        e.value(x),
        e.value(target),
        e.value(weights),
        dy,
        dx,
        ...sizes,
        labelSmoothing,
        summed(node),
      )
  },
}

export const klDivergenceOp: Op<LossAttrs> = {
  reducesBatch: true,
  shape(node) {
    const shape = shapeOfLoss(node)
    expectLogits(node)
    return shape
  },
  forward(e, node) {
    const [x, target, weights] = node.inputs
    e.call('klDivergence_f32', e.value(x), e.value(target), e.value(weights), e.value(node), rows(e, x), x.shape[0], summed(node))
  },
  // What the target's own entropy adds does not depend on the prediction.
  backward(e, node) {
    const [x, target, weights] = node.inputs
    const dy = e.grad(node)
    const dx = e.grad(x)
    const sizes = [rows(e, x), x.shape[0]] as const
    if (dy && dx)
      e.call('categoricalCrossEntropy_f32_dx', e.value(x), e.value(target), e.value(weights), dy, dx, ...sizes, 0, summed(node))
  },
}

/** The shape rule of a loss whose target has the prediction's shape. */
function shapeOfLoss(node: Unshaped<LossAttrs>): readonly number[] {
  expectInputs(node, 3, 'prediction, target, weights')
  const [x, target] = node.inputs
  if (target.dtype !== 'f32')
    throw new DunlinError(`${where(node)}: the target is ${target.dtype}, wanted f32. Class indices are for crossEntropy.`)
  expectShape(node, 'target', target.shape, x.shape, 'It has one number for each of the prediction.')
  expectSamples(node)
  expectReduction(node)
  return [1]
}

export function expectReduction(node: Unshaped<LossAttrs>): void {
  const { reduction } = node.attrs
  if (reduction !== undefined && reduction !== 'sum')
    throw new DunlinError(`${where(node)}: reduction wants 'mean' or 'sum', got ${JSON.stringify(reduction)}.`)
}

/** Prediction, target and weights are there for each sample: the kernels read a row of each. */
export function expectSamples(node: Unshaped): void {
  const [x, target, weights] = node.inputs
  expectShape(node, 'weights', weights.shape, [1], 'There is one weight for each sample.')
  const integer = [x, weights].find((of) => of.dtype !== 'f32')
  if (integer) throw new DunlinError(`${where(node)}: its input ${where(integer)} is ${integer.dtype}, wanted f32.`)
  const single = [x, target, weights].find((of) => !of.batched)
  if (single)
    throw new DunlinError(
      `${where(node)}: its input ${where(single)} is one for all samples, wanted one for each. It must depend on an input.`,
    )
}

export function expectLogits(node: Unshaped): void {
  const [x] = node.inputs
  if (x.shape.length !== 1)
    throw new DunlinError(
      `${where(node)}: wants logits [classes], got shape [${x.shape}]. End the network with flatten() or dense().`,
    )
}

/** A share in [0, 1), or none. */
export function expectShare(node: Unshaped, what: string, share: number | undefined): void {
  if (share !== undefined && !(Number.isFinite(share) && share >= 0 && share < 1))
    throw new DunlinError(`${where(node)}: ${what} wants a number in [0, 1), got ${share}.`)
}
