// Losses as a trainer uses them: which value they judge, what targets they want, that a plan with them learns, and what they refuse.
// Their values and gradients are tested where those of all ops are (ops, gradients, kernels-f32).

import { describe, expect, it } from 'vitest'
import { DunlinError } from '../src/graph/error'
import { input, type Node, param } from '../src/graph/node'
import { Random } from '../src/graph/random'
import { Model } from '../src/model/model'
import { sequential } from '../src/model/sequential'
import { sigmoid, softmax } from '../src/ops/activation'
import { conv2d } from '../src/ops/conv2d'
import * as ops from '../src/ops/crossEntropy'
import { dense } from '../src/ops/dense'
import type { LossOptions } from '../src/ops/losses'
import * as more from '../src/ops/losses'
import { planTraining } from '../src/plan/build'
import { unrolled } from '../src/plan/plan'
import { Session } from '../src/session/session'
import * as losses from '../src/train/losses'
import { sgd } from '../src/train/optimizers'

const weights = () => input([1], { name: 'weights' })
const floats = (shape: readonly number[]) => input(shape, { name: 'target' })
const labels = () => input([1], { name: 'labels', dtype: 'i32' })

describe('a loss', () => {
  const makers = Object.entries(losses) as [string, (options?: LossOptions) => losses.Loss][]

  it.each(makers)('%s has the name of its op, and makes a node of one number for the batch', (name, make) => {
    const loss = make()
    const x = input([3])
    const { shape, dtype } = loss.target(x)
    const node = loss.node(x, input(shape, { dtype }), weights())
    expect([loss.name, node.op, node.shape, node.batched]).toEqual([name, name, [1], false])
    expect([shape, dtype]).toEqual(name === 'crossEntropy' ? [[1], 'i32'] : [[3], 'f32'])
  })

  it('judges what goes into a last softmax, or into none', () => {
    const logits = dense({ units: 3 })(input([2]))
    const output = softmax()(logits)
    for (const make of [losses.crossEntropy, losses.categoricalCrossEntropy, losses.klDivergence]) {
      expect(make().prediction(output), make.name).toBe(logits)
      expect(make().prediction(logits), make.name).toBe(logits)
    }
    expect(losses.meanSquaredError().prediction(output)).toBe(output)
    const probabilities = sigmoid()(logits)
    expect(losses.binaryCrossEntropy().prediction(probabilities)).toBe(logits)
    expect(losses.binaryCrossEntropy({ fromLogits: false }).prediction(probabilities)).toBe(probabilities)
  })

  it('passes its options on', () => {
    const [x, t] = [input([3]), floats([3])]
    const attrs = [
      losses.crossEntropy({ labelSmoothing: 0.1 }).node(x, labels(), weights()),
      losses.categoricalCrossEntropy({ labelSmoothing: 0.2 }).node(x, t, weights()),
      losses.huber({ delta: 3 }).node(x, t, weights()),
      losses.binaryCrossEntropy({ fromLogits: false }).node(x, t, weights()),
      losses.binaryCrossEntropy({ fromLogits: true, reduction: 'mean' }).node(x, t, weights()),
    ].map((node) => node.attrs)
    expect(attrs).toEqual([{ labelSmoothing: 0.1 }, { labelSmoothing: 0.2 }, { delta: 3 }, { fromLogits: false }, {}])
  })

  it.each(makers)('%s can be a sum', (_, make) => {
    const loss = make({ reduction: 'sum' })
    const x = input([3])
    const { shape, dtype } = loss.target(x)
    expect(loss.node(x, input(shape, { dtype }), weights()).attrs).toMatchObject({ reduction: 'sum' })
    expect([loss.sum, make().sum]).toEqual([true, false])
  })

  it.each(makers)('%s goes down when a network learns from it', async (name, make) => {
    const [batch, seed] = [16, 5]
    const random = new Random(seed)
    const loss = make()
    const model = new Model(sequential(dense({ units: 8, activation: 'relu' }), dense({ units: 2 }))(input([2])), { seed })
    const output = loss.prediction(model.outputs[0])
    const { shape, dtype } = loss.target(output)
    const node = loss.node(output, input(shape, { name: 'target', dtype }), weights())
    const { update, hyperLength, hyper, lr } = sgd({ lr: 0.03, momentum: 0.9 })
    const session = await Session.create(planTraining(node, [output], { batch, update, hyperLength }))
    const samples = Array.from({ length: batch }, () => [random.uniform(-1, 1), random.uniform(-1, 1)])
    const classes = samples.map(([a, b]) => (a * b > 0 ? 1 : 0))
    const targets =
      dtype === 'i32' ? classes : classes.flatMap((yes) => (name === 'hinge' ? [2 * yes - 1, 1 - 2 * yes] : [yes, 1 - yes]))
    const history: number[] = []
    for (let t = 1; t <= 200; t++) {
      // A run leaves other values where its inputs were.
      for (const [i, values] of [samples.flat(), targets, classes.map(() => 1)].entries())
        session.view(session.plan.inputs[i]).set(values)
      session.view(session.plan.state.find((r) => r.name === 'hyper')!).set(hyper(t, lr))
      session.run()
      history.push(session.view(session.plan.outputs[0])[0])
    }
    expect(history[199], `seed ${seed}`).toBeLessThan(history[0] / 4)
  })
})

describe('refused', () => {
  const x = () => input([3], { name: 'x' })

  it.each<[string, () => Node, string]>([
    [
      'a target of another shape',
      () => more.meanSquaredError(x(), floats([4]), weights()),
      'meanSquaredError "loss": target has shape [4], wanted [3]. It has one number for each of the prediction.',
    ],
    [
      'class indices where numbers are wanted',
      () => more.categoricalCrossEntropy(x(), labels(), weights()),
      'categoricalCrossEntropy "loss": the target is i32, wanted f32. Class indices are for crossEntropy.',
    ],
    [
      'numbers where class indices are wanted',
      () => ops.crossEntropy(x(), floats([1]), weights()),
      'crossEntropy "loss": labels are f32, wanted i32 class indices.',
    ],
    [
      'images of logits',
      () => more.klDivergence(input([4, 4, 2]), floats([4, 4, 2]), weights()),
      'klDivergence "loss": wants logits [classes], got shape [4,4,2]. End the network with flatten() or dense().',
    ],
    [
      'a target that is one for all samples: it would be read past its end',
      () => more.huber(x(), param('t', [3], { kind: 'zeros' }), weights()),
      'huber "loss": its input param "t" is one for all samples, wanted one for each. It must depend on an input.',
    ],
    [
      'weights that are one for all samples',
      () => ops.crossEntropy(x(), labels(), param('w', [1], { kind: 'zeros' })),
      'crossEntropy "loss": its input param "w" is one for all samples, wanted one for each. It must depend on an input.',
    ],
    [
      'integer weights',
      () => more.hinge(x(), floats([3]), input([1], { name: 'weights', dtype: 'i32' })),
      'hinge "loss": its input input "weights" is i32, wanted f32.',
    ],
    [
      'weights by element',
      () => more.binaryCrossEntropy(x(), floats([3]), floats([3])),
      'binaryCrossEntropy "loss": weights has shape [3], wanted [1]. There is one weight for each sample.',
    ],
    [
      'smoothing of all',
      () => ops.crossEntropy(x(), labels(), weights(), { labelSmoothing: 1 }),
      'crossEntropy "loss": labelSmoothing wants a number in [0, 1), got 1.',
    ],
    [
      'smoothing that is no number',
      () => more.categoricalCrossEntropy(x(), floats([3]), weights(), { labelSmoothing: '0.5' as unknown as number }),
      'categoricalCrossEntropy "loss": labelSmoothing wants a number in [0, 1), got 0.5.',
    ],
    [
      'a delta of 0',
      () => more.huber(x(), floats([3]), weights(), { delta: 0 }),
      'huber "loss": delta wants a number above 0, got 0. It is the error from which on the loss is a line.',
    ],
    [
      'a reduction that there is not',
      () => more.hinge(x(), floats([3]), weights(), { reduction: 'none' as never }),
      'hinge "loss": reduction wants \'mean\' or \'sum\', got "none".',
    ],
    [
      'a reduction of labels that there is not',
      () => ops.crossEntropy(x(), labels(), weights(), { reduction: 'none' as never }),
      'crossEntropy "loss": reduction wants \'mean\' or \'sum\', got "none".',
    ],
  ])('%s', (_, make, message) => {
    expect(make).toThrow(new DunlinError(message))
  })

  it('gives a target of the network its own no gradient: it is taken as it is', () => {
    const image = input([4, 4, 1])
    const [student, teacher] = [0, 1].map(() => conv2d({ filters: 2, kernel: 3 })(image))
    new Model([student, teacher], { seed: 1 })
    const loss = more.meanSquaredError(student, teacher, weights())
    const update = (): void => {}
    const { calls } = planTraining(loss, [], { batch: 2, update, hyperLength: 1 })
    expect(unrolled(calls).filter((c) => c.kernel === 'conv2d_f32_dw').length).toBe(1)
  })
})
