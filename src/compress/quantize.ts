// Post-training quantization to int8 by TensorFlow Lite's specification: values asymmetric per tensor, weights symmetric per output
// channel in [-127, 127], biases int32 with scale(x) * scale(w). Ranges of values come from running the float model on
// a calibration set.

import { DunlinError } from '../graph/error'
import { isInput, isParam, mapGraph, type Node, type Param, type Quant, size, type TypedArray } from '../graph/node'
import { Model } from '../model/model'
import { opOf } from '../ops'
import { gridScales } from '../ops/channels'
import { type Int8, type Int8Product, makeNode, where } from '../ops/op'
import { planInference } from '../plan/build'
import type { Values } from '../session/door'
import { Session } from '../session/session'
import { fold } from './fold'
import { fuse } from './fuse'
import { spread } from './spread'

/** Samples of the calibration set that run at once, if their values, which are all kept, are not more than so many floats. */
const BATCH = 32
const VALUES = 2 ** 25

/**
 * An int8 model that computes what the float model does. `calibration`: raw samples like those the model will see, one after another (a
 * few hundred are enough); they only set the ranges. Where layers are stateful the samples are one long sequence. Inputs that are indices
 * (i32, for an embedding) stay as they are. A layer without an int8 kernel is an error that names it.
 */
export async function quantize(model: Model, calibration: { x: Values | Record<string, Values> }): Promise<Model> {
  const float = spread(fuse(fold(model)))
  for (const node of float.nodes) {
    if (node.dtype !== 'f32' && !isIndices(node))
      throw new DunlinError(`quantize: ${where(node)} is ${node.dtype} already. Quantize the float model.`)
    const why = isParam(node) || isInput(node) ? false : unsupported(node)
    if (why) throw new DunlinError(`quantize: ${where(node)} ${why}`)
  }
  const samples = samplesOf(float)
  const { ranges, attrs } = await calibrate(float, calibration.x)
  const outputs = mapGraph(float.outputs, (node, inputs) => {
    if (isParam(node) || isIndices(node)) return node
    if (isInput(node)) return { ...node, ...(samples.get(node) ?? { dtype: 'i8', quant: ranges.get(node)! }) }
    const row = opOf(node.op)!
    const int8 = row.int8!
    const made = { op: node.op, name: node.name, attrs: attrs.get(node) ?? node.attrs }
    if (int8.products) {
      const quant = ranges.get(node)!
      return makeNode(row, { ...made, inputs: quantizeProducts(node, inputs, int8.products, quant) }, { dtype: 'i8', quant })
    }
    const integers =
      int8.weightAxis !== undefined
        ? quantizeWeights(node, inputs, int8.weightAxis)
        : int8.quant === 'weights'
          ? [inputs[0], quantizeTable(node, inputs[1])]
          : // A stored value in the place of a computed one, as networks of other frameworks have them.
            inputs.map((x) => (isParam(x) && x.dtype === 'f32' ? quantizeTable(node, x) : x))
    const quant = typeof int8.quant === 'object' ? int8.quant : SOURCES[int8.quant](node, integers, ranges)
    return makeNode(row, { ...made, inputs: integers }, { dtype: 'i8', quant })
  })
  return new Model(outputs, { name: model.name, labels: model.labels })
}

/** Where a value's quantization is found. */
const SOURCES = {
  calibrated: (node: Node, _: readonly Node[], ranges: ReadonlyMap<Node, Quant>) => ranges.get(node)!,
  input: (_: Node, [x]: readonly Node[]) => x.quant!,
  weights: (_: Node, [, w]: readonly Node[]) => w.quant!,
}

/** Indices, as an embedding reads them, are integers already. */
const isIndices = (node: Node) => isInput(node) && node.dtype === 'i32'

/** Why a node cannot be int8. */
function unsupported(node: Node): string | false {
  const int8 = opOf(node.op)?.int8
  return int8 ? (int8.unsupported?.(node) ?? false) : 'has no int8 kernel. Leave the model float, or use another layer.'
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
async function calibrate(
  model: Model,
  x: Values | Record<string, Values>,
): Promise<{ ranges: Map<Node, Quant>; attrs: Map<Node, unknown> }> {
  const { inputs } = model
  const named = (typeof x.length === 'number' ? { [inputs[0].name]: x } : x) as Record<string, Values>
  const counts = inputs.map(({ name, shape }) => {
    const each = size(shape)
    const length = named[name]?.length ?? 0
    if (!length || length % each) {
      const where = inputs.length > 1 ? ` for input "${name}"` : ''
      throw new DunlinError(
        `quantize: the calibration set has ${length} values${where}, wanted a positive multiple of ${each} (shape [${shape}]).`,
      )
    }
    return length / each
  })
  const [count] = counts
  const other = counts.findIndex((c) => c !== count)
  if (other >= 0) {
    const [first, second] = [inputs[0].name, inputs[other].name]
    throw new DunlinError(
      `quantize: the calibration set has ${count} samples for input "${first}" and ${counts[other]} for "${second}", wanted as many.`,
    )
  }
  const watched = model.nodes.filter((n) => (isInput(n) && !isIndices(n)) || opOf(n.op)?.int8?.quant === 'calibrated')
  if (!watched.length) return { ranges: new Map(), attrs: new Map() }
  const observed = watched.map((n) => opOf(n.op)?.int8?.observed?.(n) ?? n)
  const measured = new Set(observed.filter((n) => opOf(n.op)?.int8?.measured))
  const values = observed.reduce((sum, n) => sum + size(n.shape), 0)
  const planned = (most: number) =>
    planInference(observed, { batch: Math.max(1, Math.min(most, Math.floor(VALUES / values))), observed: measured })
  let plan = planned(BATCH)
  // Where states are kept from run to run the samples are one sequence.
  if (plan.state.length) plan = planned(1)
  const session = await Session.create(plan)
  const { batch } = plan.inputs[0]
  const ranges = watched.map(() => ({ low: 0, high: 0 }))
  const kept = [...(plan.saved ?? []), ...plan.state].map((region) => ({ region, largest: 0 }))
  for (let at = 0; at < count; at += batch) {
    const now = Math.min(batch, count - at)
    for (const port of session.plan.inputs) session.feed(port, named[port.name], at, now)
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
  const biases = (b as Param | undefined)?.data
  const largest = new Float64Array(channels)
  w.data.forEach((v, i) => {
    largest[channelOf(i)] = Math.max(largest[channelOf(i)], Math.abs(v))
  })
  // The bias has to fit 31 bits on its scale, however small the weights are. A channel of zeros has no range: any scale gives zeros.
  const least = (c: number) => Math.abs(biases?.[c] ?? 0) / (x.quant!.scale[0] * 2 ** 30)
  const scale = gridScales(largest.map((m, c) => Math.max(m / 127, least(c))))
  const weights = Int8Array.from(w.data as ArrayLike<number>, (v, i) => clamp(Math.round(v / scale[channelOf(i)]), -127, 127))
  const biasScale = scale.map((s) => s * x.quant!.scale[0])
  const bias = Int32Array.from({ length: channels }, (_, c) =>
    clamp(Math.round((biases?.[c] ?? 0) / biasScale[c]), -(2 ** 31), 2 ** 31 - 1),
  )
  const bName = b?.name ?? `${node.name}/b`
  return [
    x,
    integer(w, w.name, 'i8', weights, { scale, zeroPoint: 0 }, w.shape, w.mask),
    integer(w, bName, 'i32', bias, { scale: biasScale, zeroPoint: 0 }, [channels]),
  ]
}

/** A table of values in steps of one scale. */
function quantizeTable(node: Node, w: Node): Param {
  if (!isParam(w)) throw new DunlinError(`quantize: ${where(node)} computes its table; only a stored one can be int8.`)
  let [low, high] = [0, 0]
  for (const v of w.data) [low, high] = [Math.min(low, v), Math.max(high, v)]
  const quant = asymmetric({ low, high })
  const data = Int8Array.from(w.data as ArrayLike<number>, (v) =>
    clamp(quant.zeroPoint + Math.round(v / quant.scale[0]), -128, 127),
  )
  return integer(w, w.name, 'i8', data, quant, w.shape, w.mask)
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
    const rows = w.shape[0] / scales
    const factor = (of === 'input' ? inputs[0].quant! : value).scale[0]
    // The bias has to fit 31 bits on its scale, as in quantizeWeights.
    const scale = Array.from({ length: scales }, (_, g) => {
      const largest = largestOf(w.data.subarray(g * each, (g + 1) * each))
      const bias = b ? largestOf(b.data.subarray(g * rows, (g + 1) * rows)) : 0
      return Math.fround(Math.max(largest / 127, bias / (factor * 2 ** 30))) || 1
    })
    const weights = Int8Array.from(w.data as ArrayLike<number>, (v, i) =>
      clamp(Math.round(v / scale[Math.floor(i / each)]), -127, 127),
    )
    made[at] = integer(w, w.name, 'i8', weights, { scale, zeroPoint: 0 }, w.shape, w.mask)
    if (b === undefined || biasAt === undefined) continue
    const biasScale = scale.map((s) => s * factor)
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
