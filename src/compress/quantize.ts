// Post-training quantization to int8 by TensorFlow Lite's specification: values asymmetric per tensor, weights symmetric per output
// channel in [-127, 127], biases int32 with scale(x) * scale(w). Ranges of values come from running the float model on
// a calibration set.

import { DunlinError } from '../graph/error'
import { isInput, isParam, mapGraph, type Node, type Param, type Quant, size, type TypedArray } from '../graph/node'
import { Model } from '../model/model'
import { opOf } from '../ops'
import { type Int8, type Int8Product, makeNode, where } from '../ops/op'
import { planInference } from '../plan/build'
import type { Values } from '../session/door'
import { Session } from '../session/session'
import { fold } from './fold'
import { fuse } from './fuse'

/** Samples of the calibration set that run at once. */
const BATCH = 32

/**
 * An int8 model that computes what the float model does. `calibration`: raw samples like those the model will see, one after another (a
 * few hundred are enough); they only set the ranges. Where layers are stateful the samples are one long sequence.
 */
export async function quantize(model: Model, calibration: { x: Values }): Promise<Model> {
  const float = fuse(fold(model))
  for (const node of float.nodes) {
    if (node.dtype !== 'f32')
      throw new DunlinError(`quantize: ${where(node)} is ${node.dtype} already. Quantize the float model.`)
    const why = isParam(node) || isInput(node) ? false : unsupported(node)
    if (why) throw new DunlinError(`quantize: ${where(node)} ${why}`)
  }
  const samples = samplesOf(float)
  const { ranges, attrs } = await calibrate(float, calibration.x)
  const outputs = mapGraph(float.outputs, (node, inputs) => {
    if (isParam(node)) return node
    if (isInput(node)) return { ...node, ...(samples.get(node) ?? { dtype: 'i8', quant: ranges.get(node)! }) }
    const row = opOf(node.op)!
    const int8 = row.int8!
    const quant = int8.quant === 'calibrated' ? ranges.get(node)! : int8.quant === 'input' ? inputs[0].quant! : int8.quant
    const integers = int8.products
      ? quantizeProducts(node, inputs, int8.products, quant)
      : int8.weightAxis === undefined
        ? inputs
        : quantizeWeights(node, inputs, int8.weightAxis)
    const made = { op: node.op, name: node.name, attrs: attrs.get(node) ?? node.attrs, inputs: integers }
    return makeNode(row, made, { dtype: 'i8', quant })
  })
  return new Model(outputs, { name: model.name, labels: model.labels })
}

/** Why a node cannot be int8. */
function unsupported(node: Node): string | false {
  const int8 = opOf(node.op)?.int8
  if (int8) return int8.unsupported?.(node) ?? false
  return node.op === 'batchNorm'
    ? `does not follow a layer that it can be folded into. Put it right after a conv2d, depthwiseConv2d or dense that nothing else reads and that has no activation.`
    : 'has no int8 kernel.'
}

/** Inputs whose readers take them in another form than int8, and in which. */
function samplesOf(model: Model): Map<Node, NonNullable<Int8<never>['samples']>> {
  const samples = new Map<Node, NonNullable<Int8<never>['samples']>>()
  for (const node of model.nodes) {
    const [x] = node.inputs
    const wanted = opOf(node.op)?.int8?.samples
    if (!wanted) continue
    const others = model.nodes.find((n) => n.inputs.includes(x) && opOf(n.op)?.int8?.samples?.dtype !== wanted.dtype)
    const why = !isInput(x) ? `it reads ${where(x)}` : others && `${where(others)} reads that, too`
    if (why) {
      throw new DunlinError(
        `quantize: ${where(node)} takes ${wanted.dtype} values, which only an input that is all its own can be: ${why}. Put it right behind such an input.`,
      )
    }
    samples.set(x, wanted)
  }
  return samples
}

/** The quantization of every input and of every value that needs one of its own, and attributes that int8 nodes have besides. */
async function calibrate(model: Model, x: Values): Promise<{ ranges: Map<Node, Quant>; attrs: Map<Node, unknown> }> {
  const [input] = model.inputs
  const each = size(input.shape)
  const count = x.length / each
  if (model.inputs.length !== 1)
    throw new DunlinError(`quantize: model "${model.name}" has ${model.inputs.length} inputs, wanted 1.`)
  if (!Number.isInteger(count) || count < 1) {
    throw new DunlinError(
      `quantize: the calibration set has ${x.length} values, wanted a positive multiple of ${each} (shape [${input.shape}]).`,
    )
  }
  const watched = model.nodes.filter((n) => isInput(n) || opOf(n.op)?.int8?.quant === 'calibrated')
  const observed = watched.map((n) => opOf(n.op)?.int8?.observed?.(n) ?? n)
  const measured = new Set(observed.filter((n) => opOf(n.op)?.int8?.measured))
  let plan = planInference(observed, { batch: BATCH, observed: measured })
  // Where states are kept from run to run the samples are one sequence.
  if (plan.state.length) plan = planInference(observed, { batch: 1, observed: measured })
  const session = await Session.create(plan)
  const { batch } = plan.inputs[0]
  const ranges = watched.map(() => ({ low: 0, high: 0 }))
  const kept = [...(plan.saved ?? []), ...plan.state].map((region) => ({ region, largest: 0 }))
  for (let at = 0; at < count; at += batch) {
    const now = Math.min(batch, count - at)
    session.feed(session.plan.inputs[0], x, at, now)
    session.run()
    session.plan.outputs.forEach((port, i) => {
      const values = session.view(port).subarray(0, now * size(port.shape))
      for (const v of values) {
        if (v < ranges[i].low) ranges[i].low = v
        else if (v > ranges[i].high) ranges[i].high = v
        if (!Number.isFinite(v))
          throw new DunlinError(`quantize: ${where(watched[i])} is ${v} on the calibration set. Check the data and the weights.`)
      }
    })
    for (const k of kept) {
      const values = session.view(k.region).subarray(0, (k.region.length / batch) * now)
      k.largest = Math.max(k.largest, largestOf(values))
    }
  }
  const attrs = watched.flatMap((node): [Node, unknown][] => {
    const rule = opOf(node.op)?.int8?.measured
    const of = (name: string) => kept.find((k) => k.region.name === `${node.name}/${name}`)?.largest ?? 0
    return rule ? [[node, rule.attrs(node, rule.saved.map(of))]] : []
  })
  return { ranges: new Map(watched.map((node, i) => [node, asymmetric(ranges[i])])), attrs: new Map(attrs) }
}

/** 256 steps over [low, high], which holds 0, with 0 on a step (TFLite). */
function asymmetric({ low, high }: { low: number; high: number }): Quant {
  const scale = Math.fround((high - low) / 255) || 1
  const zeroPoint = Math.max(-128, Math.min(127, Math.round(-128 - low / scale)))
  return { scale: [scale], zeroPoint }
}

function quantizeWeights(node: Node, [x, w, b]: readonly Node[], axis: number): Node[] {
  if (!isParam(w) || (b && !isParam(b)))
    throw new DunlinError(`quantize: ${where(node)} computes its weights; only stored weights can be int8.`)
  const channels = w.shape[axis]
  const inner = size(w.shape.slice(axis + 1))
  const channelOf = (i: number) => Math.floor(i / inner) % channels
  const largest = new Float64Array(channels)
  w.data.forEach((v, i) => {
    largest[channelOf(i)] = Math.max(largest[channelOf(i)], Math.abs(v))
  })
  // A channel of zeros has no range of its own: any scale gives zeros.
  const scale = Array.from(largest, (m) => Math.fround(m / 127) || 1)
  const weights = Int8Array.from(w.data as ArrayLike<number>, (v, i) => clamp(Math.round(v / scale[channelOf(i)]), -127, 127))
  const biasScale = scale.map((s) => s * x.quant!.scale[0])
  const bias = Int32Array.from({ length: channels }, (_, c) =>
    clamp(Math.round((b ? (b as Param).data[c] : 0) / biasScale[c]), -(2 ** 31), 2 ** 31 - 1),
  )
  const bName = b?.name ?? `${node.name}/b`
  return [
    x,
    integer(w, w.name, 'i8', weights, { scale, zeroPoint: 0 }, w.shape, w.mask),
    integer(w, bName, 'i32', bias, { scale: biasScale, zeroPoint: 0 }, [channels]),
  ]
}

/** The weights of each product, as many rows to a scale, and its bias. `value` is the quantization of the node. */
function quantizeProducts(node: Node, inputs: readonly Node[], products: readonly Int8Product[], value: Quant): Node[] {
  const made = [...inputs]
  for (const { weights: at, bias: biasAt, of, scales } of products) {
    const w = inputs[at]
    const b = biasAt === undefined ? undefined : inputs[biasAt]
    if (!isParam(w) || (b && !isParam(b)))
      throw new DunlinError(`quantize: ${where(node)} computes its weights; only stored weights can be int8.`)
    const each = w.data.length / scales
    const scale = Array.from({ length: scales }, (_, g) => {
      return Math.fround(largestOf(w.data.subarray(g * each, (g + 1) * each)) / 127) || 1
    })
    const weights = Int8Array.from(w.data as ArrayLike<number>, (v, i) =>
      clamp(Math.round(v / scale[Math.floor(i / each)]), -127, 127),
    )
    made[at] = integer(w, w.name, 'i8', weights, { scale, zeroPoint: 0 }, w.shape, w.mask)
    if (b === undefined || biasAt === undefined) continue
    const factor = (of === 'input' ? inputs[0].quant! : value).scale[0]
    const biasScale = scale.map((s) => s * factor)
    const rows = b.data.length / scales
    const bias = Int32Array.from(b.data as ArrayLike<number>, (v, i) =>
      clamp(Math.round(v / biasScale[Math.floor(i / rows)]), -(2 ** 31), 2 ** 31 - 1),
    )
    made[biasAt] = integer(b, b.name, 'i32', bias, { scale: biasScale, zeroPoint: 0 }, b.shape)
  }
  return made
}

const largestOf = (values: TypedArray) => {
  let largest = 0
  for (const v of values) largest = Math.max(largest, Math.abs(v))
  return largest
}

const clamp = (v: number, lo: number, hi: number) => Math.max(lo, Math.min(hi, v))

function integer(
  from: Param,
  name: string,
  dtype: 'i8' | 'i32',
  data: TypedArray,
  quant: Quant,
  shape: readonly number[],
  mask?: Uint8Array,
): Param {
  return { ...from, name, dtype, data, quant, shape, attrs: { trainable: false }, mask }
}
