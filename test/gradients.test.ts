// Values and gradients of layers and losses as PyTorch has them (test/fixtures/README.md). A case is run by the table below, by its
// kind; one that no runner takes fails.
// DUNLIN_CASES is another folder with gradients/ and optimizers/ of the same layout.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { input, type Node, type TypedArray } from '../src/graph/node'
import {
  elu,
  gelu,
  hardSigmoid,
  hardSwish,
  leakyRelu,
  logSoftmax,
  mish,
  relu,
  relu6,
  sigmoid,
  silu,
  softmax,
  softplus,
  tanh,
} from '../src/ops/activation'
import { batchNorm } from '../src/ops/batchNorm'
import { conv2d } from '../src/ops/conv2d'
import { convTranspose2d } from '../src/ops/convTranspose2d'
import { crossEntropy } from '../src/ops/crossEntropy'
import { dense } from '../src/ops/dense'
import { depthwiseConv2d } from '../src/ops/depthwiseConv2d'
import { dropout } from '../src/ops/dropout'
import { embedding } from '../src/ops/embedding'
import { gru } from '../src/ops/gru'
import { layerNorm } from '../src/ops/layerNorm'
import {
  binaryCrossEntropy,
  categoricalCrossEntropy,
  huber,
  klDivergence,
  meanAbsoluteError,
  meanSquaredError,
} from '../src/ops/losses'
import { lstm } from '../src/ops/lstm'
import { avgPool2d, globalAvgPool2d, maxPool2d } from '../src/ops/pool2d'
import type { Recurrent, RecurrentOptions } from '../src/ops/recurrent'
import { resize } from '../src/ops/resize'
import { simpleRnn } from '../src/ops/simpleRnn'
import type { Padding, Pair } from '../src/ops/window'
import { runNode } from './fenced'
import { builds } from './harness'
import { readNpy } from './npy'
import { expectNear, largest } from './reference/near'

const folder = process.env.DUNLIN_CASES
  ? join(process.env.DUNLIN_CASES, 'gradients')
  : join(import.meta.dirname, 'fixtures/gradients')

/** Error allowed for one tensor, relative to its largest element. */
const TOLERANCE = 1e-5

interface Case {
  name: string
  kind: string
  // biome-ignore lint/suspicious/noExplicitAny: each kind has its own attributes
  attrs: any
  tensors: Record<string, { file: string; shape: number[] }>
}

/**
 * How a case becomes an op: `inputs` names the tensors that its inputs are, or holds their values. An input that is the sum of several
 * tensors has the gradient of each.
 */
interface Runner {
  node: Node
  inputs: (string | readonly string[] | TypedArray)[]
  /** Tensors whose layout is not ours, both ways: parameters in, their gradients out. */
  layout?: Record<string, (data: Float32Array) => Float32Array>
  training?: boolean
  /** Tensors that inputs have become in the end, by their names. */
  after?: Record<string, string>
}

const tensor = ({ tensors }: Case, name: string): TypedArray => readNpy(join(folder, tensors[name].file)).data

const shapeOf = ({ tensors }: Case, name: string) => tensors[name].shape

/** Weights [oc][kh * kw][1], as PyTorch has a convolution with a group for each channel, to [kh * kw][oc]. */
const channelsLast = (oc: number) => (w: Float32Array) => {
  const taps = w.length / oc
  return Float32Array.from(w, (_, i) => w[(i % oc) * taps + Math.floor(i / oc)])
}

function convolution(c: Case): Runner {
  const { stride, pad, dilation, groups, kernel } = c.attrs
  const [, ...image] = shapeOf(c, 'x')
  const [filters] = shapeOf(c, 'w')
  const padding: Padding = typeof pad === 'string' ? 'same' : [pad[0], pad[0], pad[1], pad[1]]
  const options = { kernel, strides: stride, dilation, padding, bias: 'b' in c.tensors }
  const inputs = ['x', 'w', ...(options.bias ? ['b'] : [])]
  if (groups !== image[2]) return { node: conv2d({ filters, groups, ...options })(input(image)), inputs }
  const node = depthwiseConv2d({ multiplier: filters / groups, ...options })(input(image))
  return { node, inputs, layout: { w: channelsLast(filters) } }
}

function pool(c: Case, make: typeof avgPool2d): Runner {
  const { kernel, stride, pad, count_include_pad } = c.attrs as PoolAttrs
  const x = input(shapeOf(c, 'x').slice(1))
  const options = { strides: stride, padding: pad, countPadding: count_include_pad }
  return { node: kernel === 'global' ? globalAvgPool2d()(x) : make({ kernel, ...options })(x), inputs: ['x'] }
}

interface PoolAttrs {
  kernel: Pair | 'global'
  stride: Pair
  pad: number
  count_include_pad?: boolean
}

const ACTIVATIONS = {
  elu,
  gelu_tanh: gelu,
  hardsigmoid: hardSigmoid,
  hardswish: hardSwish,
  leaky_relu_0_01: leakyRelu,
  leaky_relu_0_3: () => leakyRelu({ alpha: 0.3 }),
  log_softmax_last: logSoftmax,
  mish,
  relu,
  relu6,
  sigmoid,
  silu,
  softmax_big: softmax,
  softmax_last: softmax,
  softplus,
  tanh,
}
/** PyTorch's layers have two biases; where both are added to the same sum, ours have one. */
function sequence(
  c: Case,
  make: (options: RecurrentOptions) => Recurrent,
  states: string[],
  biases: (string | string[])[],
): Runner {
  const [, t, channels] = shapeOf(c, 'x')
  const [, , units] = shapeOf(c, 'y')
  const initial = states.filter((s) => s in c.tensors)
  const nodes = initial.map((name) => input([units], { name }))
  const node = make({ units, sequences: true })(input([t, channels]), undefined, nodes.length ? nodes : undefined)
  return { node, inputs: ['x', 'weight_ih_l0', 'weight_hh_l0', ...biases, ...initial] }
}
const BIASES = ['bias_ih_l0', 'bias_hh_l0']

type MakeLoss = (x: Node, target: Node, weights: Node) => Node

/** By how the name of a case begins. */
const LOSSES: Record<string, (attrs: Case['attrs'], target: TypedArray) => MakeLoss> = {
  softmax_ce(attrs, target) {
    const make = target instanceof Int32Array ? crossEntropy : categoricalCrossEntropy
    const reduction = attrs.reduction === 'sum' ? 'sum' : 'mean'
    return (...nodes) => make(...nodes, { labelSmoothing: attrs.label_smoothing ?? 0, reduction })
  },
  mse: () => meanSquaredError,
  mae: () => meanAbsoluteError,
  bce_logits: () => binaryCrossEntropy,
  bce_prob:
    () =>
    (...nodes) =>
      binaryCrossEntropy(...nodes, { fromLogits: false }),
  huber:
    ({ delta }) =>
    (...nodes) =>
      huber(...nodes, { delta }),
  kldiv: () => klDivergence,
}

/** By kind: how a case is run, or undefined when there is no op for it yet. */
const RUNNERS: Record<string, (c: Case) => Runner | undefined> = {
  conv2d: convolution,

  conv_transpose2d(c) {
    const { kernel, stride, pad, output_padding } = c.attrs
    const [, ...image] = shapeOf(c, 'x')
    const filters = shapeOf(c, 'w')[3]
    const options = { filters, kernel, strides: stride, padding: pad, outputPadding: output_padding }
    return { node: convTranspose2d(options)(input(image)), inputs: ['x', 'w', 'b'] }
  },

  batchnorm(c) {
    const { eps, momentum, training } = c.attrs
    const node = batchNorm({ epsilon: eps, momentum })(input(shapeOf(c, 'x').slice(1)))
    const inputs = ['x', 'gamma', 'beta', 'running_mean_before', 'running_var_before']
    const after = { running_mean_before: 'running_mean_after', running_var_before: 'running_var_after' }
    return { node, inputs, training, after }
  },

  layernorm: (c) => ({
    node: layerNorm({ epsilon: c.attrs.eps })(input(shapeOf(c, 'x').slice(1))),
    inputs: ['x', 'gamma', 'beta'],
  }),

  maxpool2d: (c) => pool(c, maxPool2d),

  avgpool2d: (c) => pool(c, avgPool2d),

  dense(c) {
    const [units, inputs] = shapeOf(c, 'w')
    return { node: dense({ units })(input([inputs])), inputs: ['x', 'w', 'b'] }
  },

  activation(c) {
    const make = Object.hasOwn(ACTIVATIONS, c.name) && ACTIVATIONS[c.name as keyof typeof ACTIVATIONS]
    const [, ...shape] = shapeOf(c, 'x')
    return make ? { node: make()(input(shape.length ? shape : [1])), inputs: ['x'] } : undefined
  },

  misc(c) {
    const [, ...shape] = shapeOf(c, 'x')
    if (c.name === 'embedding_repeat_idx') {
      const [count, units] = shapeOf(c, 'w')
      return { node: embedding({ count, units })(input(shape, { dtype: 'i32' })), inputs: ['x', 'w'] }
    }
    const make = {
      // Off, as training sees it: nothing drops.
      dropout_off: dropout({ rate: 0 }),
      upsample_bilinear_2x_halfpixel: resize({ scale: c.attrs.scale, method: 'bilinear' }),
      upsample_nearest_2x: resize({ scale: c.attrs.scale }),
    }[c.name]
    return make && { node: make(input(shape)), inputs: ['x'] }
  },

  rnn(c) {
    const activation = c.name.includes('relu') ? 'relu' : 'tanh'
    return sequence(c, (options) => simpleRnn({ ...options, activation }), ['h0'], [BIASES])
  },

  lstm: (c) => sequence(c, lstm, ['h0', 'c0'], [BIASES]),

  gru: (c) => sequence(c, gru, ['h0'], BIASES),

  loss(c) {
    const kind = Object.keys(LOSSES).find((name) => c.name.startsWith(name))
    if (!kind) return undefined
    const [batch, ...shape] = shapeOf(c, 'x')
    // No gradient flows into targets: they are values here, not names.
    const target = tensor(c, 'target')
    const inputs = ['x', target, new Float32Array(batch).fill(1)]
    const make = LOSSES[kind](c.attrs, target)
    const node = make(input(shape), target instanceof Int32Array ? input([1], { dtype: 'i32' }) : input(shape), input([1]))
    return { node, inputs }
  },
}

const { cases } = JSON.parse(readFileSync(join(folder, 'manifest.json'), 'utf8')) as { cases: Case[] }
const runners = new Map(cases.map((c) => [c, Object.hasOwn(RUNNERS, c.kind) ? RUNNERS[c.kind](c) : undefined]))

const missing = cases.filter((c) => !runners.get(c)).map((c) => `${c.kind} ${c.name}`)
it('has an op for every case', () => expect(missing).toEqual([]))

describe.each(builds)('$name', (build) => {
  for (const [c, runner] of runners) {
    if (!runner) continue
    it(`${c.kind} ${c.name}`, () => {
      const { node, inputs, layout = {}, training, after = {} } = runner
      const ours = (name: string, data: TypedArray) => layout[name]?.(data as Float32Array) ?? data
      const namesOf = (v: Runner['inputs'][number]) => (typeof v === 'string' ? [v] : Array.isArray(v) ? (v as string[]) : [])
      const values = inputs.map((v) => {
        const [first, ...rest] = namesOf(v).map((name) => ours(name, tensor(c, name)))
        if (!first) return v as TypedArray
        return rest.length ? Float32Array.from(first, (e, i) => rest.reduce((sum, r) => sum + r[i], e)) : first
      })
      const dy = 'dy' in c.tensors ? (tensor(c, 'dy') as Float32Array) : Float32Array.of(1)
      const ran = runNode(build, node, { batch: shapeOf(c, 'x')[0], inputs: values, dy, training })
      const { y, grads } = ran
      const compare = (name: string, of: string, got: Float32Array) => {
        const want = ours(of, tensor(c, name))
        expectNear(got, want, TOLERANCE * largest(want), `${c.kind} ${c.name}: ${name}`)
      }
      compare('y' in c.tensors ? 'y' : 'loss', 'y', y)
      const learning = inputs.filter((_, i) => node.inputs[i].dtype === 'f32')
      for (const [i, v] of learning.entries()) {
        for (const name of namesOf(v)) {
          if (!Object.hasOwn(after, name)) compare(`d${name}` in c.tensors ? `d${name}` : `d_${name}`, name, grads[i])
        }
      }
      for (const [i, v] of inputs.entries()) {
        if (typeof v === 'string' && Object.hasOwn(after, v)) compare(after[v], v, ran.after[i] as Float32Array)
      }
    })
  }
})
