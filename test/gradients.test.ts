// Values and gradients of layers and losses as PyTorch has them (test/fixtures/README.md). A case is run when the table below has
// a runner for its kind that takes it; the others are listed in a test that is skipped.
// DUNLIN_CASES is another folder with gradients/ and optimizers/ of the same layout.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'vitest'
import { input, type Node, type TypedArray } from '../src/graph/node'
import { relu, relu6, softmax } from '../src/ops/activation'
import { conv2d } from '../src/ops/conv2d'
import { crossEntropy } from '../src/ops/crossEntropy'
import { dense } from '../src/ops/dense'
import { depthwiseConv2d } from '../src/ops/depthwiseConv2d'
import {
  binaryCrossEntropy,
  categoricalCrossEntropy,
  huber,
  klDivergence,
  meanAbsoluteError,
  meanSquaredError,
} from '../src/ops/losses'
import { avgPool2d, globalAvgPool2d, maxPool2d } from '../src/ops/pool2d'
import type { Padding, Pair } from '../src/ops/window'
import { runNode } from './fenced'
import { builds } from './harness'
import { readNpy } from './npy'
import { expectNear, largest } from './reference/f32'

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

/** How a case becomes an op: `inputs` names the tensors that its inputs are, or holds their values. */
interface Runner {
  node: Node
  inputs: (string | TypedArray)[]
  /** Tensors whose layout is not ours, both ways: parameters in, their gradients out. */
  layout?: Record<string, (data: Float32Array) => Float32Array>
  /** Gradient of the value when the case has none; default 1. */
  dy?: Float32Array
}

const tensor = ({ tensors }: Case, name: string): TypedArray => readNpy(join(folder, tensors[name].file)).data

const shapeOf = ({ tensors }: Case, name: string) => tensors[name].shape

/** Weights [oc][kh * kw][1], as PyTorch has a convolution with a group for each channel, to [kh * kw][oc]. */
const channelsLast = (oc: number) => (w: Float32Array) => {
  const taps = w.length / oc
  return Float32Array.from(w, (_, i) => w[(i % oc) * taps + Math.floor(i / oc)])
}

function convolution(c: Case): Runner | undefined {
  const { stride, pad, dilation, groups, kernel } = c.attrs
  const [, ...image] = shapeOf(c, 'x')
  const [filters] = shapeOf(c, 'w')
  const padding: Padding = typeof pad === 'string' ? 'same' : [pad[0], pad[0], pad[1], pad[1]]
  const options = { kernel, strides: stride, dilation, padding, bias: 'b' in c.tensors }
  const inputs = ['x', 'w', ...(options.bias ? ['b'] : [])]
  if (groups === 1) return { node: conv2d({ filters, ...options })(input(image)), inputs }
  if (groups !== image[2]) return undefined
  const node = depthwiseConv2d({ multiplier: filters / groups, ...options })(input(image))
  return { node, inputs, layout: { w: channelsLast(filters) } }
}

function pool(c: Case, make: typeof maxPool2d): Runner {
  const { kernel, stride, pad } = c.attrs as { kernel: Pair | 'global'; stride: Pair; pad: number }
  const x = input(shapeOf(c, 'x').slice(1))
  return { node: kernel === 'global' ? globalAvgPool2d()(x) : make({ kernel, strides: stride, padding: pad })(x), inputs: ['x'] }
}

const ACTIVATIONS = { relu, relu6, softmax_last: softmax, softmax_big: softmax }

type MakeLoss = (x: Node, target: Node, weights: Node) => Node

/** By how the name of a case begins. */
const LOSSES: Record<string, (attrs: Case['attrs'], target: TypedArray) => MakeLoss> = {
  softmax_ce(attrs, target) {
    const make = target instanceof Int32Array ? crossEntropy : categoricalCrossEntropy
    return (...nodes) => make(...nodes, { labelSmoothing: attrs.label_smoothing ?? 0 })
  },
  mse: () => meanSquaredError,
  mae: () => meanAbsoluteError,
  bce_logits: () => binaryCrossEntropy,
  huber:
    ({ delta }) =>
    (...nodes) =>
      huber(...nodes, { delta }),
  kldiv: () => klDivergence,
}

/** By kind: how a case is run, or undefined when there is no op for it yet. */
const RUNNERS: Record<string, (c: Case) => Runner | undefined> = {
  conv2d: convolution,

  maxpool2d: (c) => pool(c, maxPool2d),

  // Padding never counts in our mean.
  avgpool2d: (c) => (c.attrs.pad && c.attrs.count_include_pad ? undefined : pool(c, avgPool2d)),

  dense(c) {
    const [units, inputs] = shapeOf(c, 'w')
    return { node: dense({ units })(input([inputs])), inputs: ['x', 'w', 'b'] }
  },

  activation(c) {
    const make = Object.hasOwn(ACTIVATIONS, c.name) && ACTIVATIONS[c.name as keyof typeof ACTIVATIONS]
    const [, ...shape] = shapeOf(c, 'x')
    return make ? { node: make()(input(shape.length ? shape : [1])), inputs: ['x'] } : undefined
  },

  loss(c) {
    const kind = Object.keys(LOSSES).find((name) => c.name.startsWith(name))
    if (!kind) return undefined
    const [batch, ...shape] = shapeOf(c, 'x')
    // No gradient flows into targets: they are values here, not names.
    const target = tensor(c, 'target')
    const inputs = ['x', target, new Float32Array(batch).fill(1)]
    const make = LOSSES[kind](c.attrs, target)
    const node = make(input(shape), target instanceof Int32Array ? input([1], { dtype: 'i32' }) : input(shape), input([1]))
    // Ours is a mean: a sum is as many times that.
    if (c.attrs.reduction !== 'sum') return { node, inputs }
    return { node, inputs, dy: Float32Array.of(batch), layout: { y: (sum) => sum.map((v) => v / batch) } }
  },
}

const { cases } = JSON.parse(readFileSync(join(folder, 'manifest.json'), 'utf8')) as { cases: Case[] }
const runners = new Map(cases.map((c) => [c, Object.hasOwn(RUNNERS, c.kind) ? RUNNERS[c.kind](c) : undefined]))

const missing = cases.filter((c) => !runners.get(c)).map((c) => `${c.kind} ${c.name}`)
it.skipIf(missing.length)(`has an op for every case; not yet for: ${missing.join(', ')}`, () => {})

describe.each(builds)('$name', (build) => {
  for (const [c, runner] of runners) {
    if (!runner) continue
    it(`${c.kind} ${c.name}`, () => {
      const { node, inputs, layout = {}, dy: own = Float32Array.of(1) } = runner
      const ours = (name: string, data: TypedArray) => layout[name]?.(data as Float32Array) ?? data
      const values = inputs.map((v) => (typeof v === 'string' ? ours(v, tensor(c, v)) : v))
      const dy = 'dy' in c.tensors ? (tensor(c, 'dy') as Float32Array) : own
      const { y, grads } = runNode(build, node, { batch: shapeOf(c, 'x')[0], inputs: values, dy })
      const compare = (name: string, of: string, got: Float32Array) => {
        const want = ours(of, tensor(c, name))
        expectNear(got, want, TOLERANCE * largest(want), `${c.kind} ${c.name}: ${name}`)
      }
      compare('y' in c.tensors ? 'y' : 'loss', 'y', y)
      const learning = inputs.filter((_, i) => node.inputs[i].dtype === 'f32')
      for (const [i, v] of learning.entries()) if (typeof v === 'string') compare(`d${v}`, v, grads[i])
    })
  }
})
