// What a module will take before it leaves the desk: flash by part, RAM by buffer and by layer, and about how many instructions a run is.
// Budgets are judged by the same numbers, so that an error can say which layer it is and what would fit.

import { DunlinError } from '../graph/error'
import { type Call, LOAD, type Loop, type Part, type Plan, type Weights } from '../plan/plan'
import type { ModuleSizes } from './module'

/** Who runs a module: a compiler (ahead of time, just in time, or wasm2c and a C compiler), one that has 128-bit SIMD, or an interpreter. */
export type ModuleTarget = 'aot' | 'simd' | 'interpreter'

export interface ModuleReport extends ModuleSizes {
  target: ModuleTarget
  weights: 'flash' | 'ram'
  /** All bytes of the file: kernels, what calls them, what is stored for layers by its kind (`w`, `channels`, ...), metadata, the rest. */
  flash: Part[]
  layers: LayerReport[]
  /** What lies in RAM beside what is kept from run to run, and from which layer to which. */
  buffers: BufferReport[]
  /** Where RAM is fullest. */
  peak: { layer: string; bytes: number; buffers: Part[] }
  macs: number
  instructions: number
}

export interface LayerReport {
  name: string
  op: string
  macs: number
  /** About how many instructions of a Cortex-M4 a run takes for it. */
  instructions: number
  /** That is a guess: what its kernel takes was not counted. */
  estimated: boolean
  /** What is stored for it. */
  flashBytes: number
  /** What is in RAM while it runs. */
  ramBytes: number
}

export interface BufferReport extends Part {
  address: number
  /** The first and last layer that it holds for; input and output of the model are there before and after all. */
  first: string
  last: string
}

interface Costs {
  /** For each multiply-accumulate. */
  macs: Record<string, number>
  /** For each number that a layer gives: beside its multiply-accumulates, or alone where it has none. */
  elements: Record<string, number>
  /** For each byte that is stored for it: to load it, and to make of it what a kernel reads. */
  bytes: number
}

/**
 * Instructions of a Cortex-M4 by kernel, compiled by wasm2c and gcc -O2: as `npm run bench:mcu` counts them, over all its networks (those in
 * float: over test/mcu's). What is padding counts as multiplied.
 */
const COMPILED: Costs = {
  macs: {
    conv2d_i8: 7.5,
    dense_i8: 8.8,
    depthwiseConv2d_i8: 18,
    gru_i8: 23,
    lstm_i8: 31,
    conv2d_f32: 12,
    dense_f32: 19,
    gru_f32: 27,
  },
  elements: {
    conv2d_i8: 60,
    add_i8: 82,
    maxPool2d_i8: 107,
    softmax_i8: 230,
    embedding_i8: 11,
    maxPool2d_f32: 176,
    softmax_f32: 130,
  },
  bytes: 1.4,
}
/**
 * The same by WAMR's fast interpreter. Estimates, from loops of the same form (three positions in a word for conv2d_i8, two products in one for
 * pairedDense_i8): bench:mcu has no such interpreter on a Cortex-M4.
 */
const INTERPRETED: Costs = {
  macs: { conv2d_i8: 30, pairedDense_i8: 40, depthwiseConv2d_i8: 110 },
  elements: {},
  bytes: 1.4,
}
/** Guesses, of kernels that have no number: for each multiply-accumulate, or each number that a layer gives where there is none. */
const ESTIMATES = { compiled: { macs: 14, elements: 40 }, interpreted: { macs: 180, elements: 600 } }

const callsOf = (c: Call | Loop): Call[] => ('body' in c ? c.body : [c])
const align16 = (bytes: number) => Math.ceil(bytes / 16) * 16

export function reportOf(plan: Plan, sizes: ModuleSizes, target: ModuleTarget, weights: 'flash' | 'ram'): ModuleReport {
  const { layers = [], buffers = [] } = plan.map ?? {}
  const base = align16(plan.persistent)
  const alive = (call: number) => buffers.filter((b) => b.first <= call && call <= b.last)
  let peak = { layer: '', bytes: base, buffers: [] as Part[] }
  const rows = layers.map(({ name, op, macs, elements, storedBytes, first, end, at }): LayerReport => {
    let ramBytes = base
    for (let call = first; call < end; call++) {
      const now = alive(at + call - first)
      ramBytes = Math.max(ramBytes, base + covered(now))
      if (ramBytes > peak.bytes)
        peak = { layer: name, bytes: ramBytes, buffers: now.map((b) => ({ name: b.name, bytes: b.bytes })) }
    }
    const kernels = plan.calls.slice(first, end).flatMap(callsOf)
    const cost = instructionsOf(kernels, { macs, elements, storedBytes }, target, weights)
    return { name, op, macs, ...cost, flashBytes: storedBytes, ramBytes }
  })
  const layerAt = (call: number) => layers.find(({ first, end }) => first <= call && call < end)?.name
  const { flashBytes, codeBytes, dataBytes, metadataBytes } = sizes
  const bodies = Object.entries({ ...sizes.kernels, ...sizes.functions }).map(([name, bytes]) => ({ name, bytes }))
  const bodyBytes = bodies.reduce((sum, { bytes }) => sum + bytes, 0)
  const stored = storedParts(plan)
  const flash = [
    ...bodies,
    { name: 'run', bytes: codeBytes - bodyBytes },
    ...stored,
    { name: 'other data', bytes: dataBytes - stored.reduce((all, p) => all + p.bytes, 0) },
    { name: 'metadata', bytes: metadataBytes },
    { name: 'types and exports', bytes: flashBytes - codeBytes - dataBytes - metadataBytes },
  ].filter(({ bytes }) => bytes > 0)
  return {
    ...sizes,
    target,
    weights,
    flash,
    layers: merged(rows),
    buffers: buffers.map(({ name, address, bytes, first, last }) => ({
      ...{ name, address, bytes },
      first: layerAt(Math.max(first, 0)) ?? '',
      last: layerAt(Math.min(last, plan.calls.length - 1)) ?? '',
    })),
    peak,
    macs: rows.reduce((all, r) => all + r.macs, 0),
    instructions: rows.reduce((all, r) => all + r.instructions, 0),
  }
}

/** Bytes in which these lie; one may lie over another. */
function covered(buffers: readonly { address: number; bytes: number }[]): number {
  let [end, sum] = [0, 0]
  for (const { address, bytes } of [...buffers].sort((a, b) => a.address - b.address)) {
    const past = address + align16(bytes)
    sum += Math.max(0, past - Math.max(end, address))
    end = Math.max(end, past)
  }
  return sum
}

/** Layers that are computed by bands of rows, each in one line. */
function merged(rows: readonly LayerReport[]): LayerReport[] {
  const layers = new Map<string, LayerReport>()
  for (const row of rows) {
    const { macs, instructions, estimated, flashBytes, ramBytes } = layers.get(row.name) ?? {
      macs: 0,
      instructions: 0,
      estimated: false,
      flashBytes: 0,
      ramBytes: 0,
    }
    layers.set(row.name, {
      ...row,
      macs: macs + row.macs,
      instructions: instructions + row.instructions,
      estimated: estimated || row.estimated,
      flashBytes: flashBytes + row.flashBytes,
      ramBytes: Math.max(ramBytes, row.ramBytes),
    })
  }
  return [...layers.values()]
}

function instructionsOf(
  calls: readonly Call[],
  { macs, elements, storedBytes }: { macs: number; elements: number; storedBytes: number },
  target: ModuleTarget,
  weights: Weights,
): { instructions: number; estimated: boolean } {
  if (!calls.length) return { instructions: 0, estimated: false }
  // simd is not for such a device, and is taken for compiled scalar code.
  const [costs, guess] = target === 'interpreter' ? [INTERPRETED, ESTIMATES.interpreted] : [COMPILED, ESTIMATES.compiled]
  const table = macs ? costs.macs : costs.elements
  const kernel = calls.map((call) => call.kernel).find((name) => name !== LOAD && Object.hasOwn(table, name))
  const each = kernel === undefined ? (macs ? guess.macs : 0) : macs ? table[kernel] : 0
  const beside = kernel === undefined ? (macs ? 0 : guess.elements) : (costs.elements[kernel] ?? 0)
  const loaded = weights === 'flash' ? storedBytes * costs.bytes : 0
  return {
    instructions: Math.round(macs * each + elements * beside + loaded),
    estimated: kernel === undefined || costs === INTERPRETED,
  }
}

/** What is stored, summed up by the last part of its name: conv1/w and dense/w are `w`. */
function storedParts(plan: Plan): Part[] {
  const bytesOf = ({ data }: { data: { byteLength: number } }) => data.byteLength
  const all: Part[] = plan.flash
    ? plan.flash.regions.flatMap((r) => r.parts ?? [{ name: r.name, bytes: 'data' in r ? bytesOf(r) : 4 * r.length }])
    : plan.constants.map((c) => ({ name: c.name, bytes: bytesOf(c) }))
  const sums = new Map<string, number>()
  for (const { name, bytes } of all) {
    const kind = name.slice(name.lastIndexOf('/') + 1)
    sums.set(kind, (sums.get(kind) ?? 0) + bytes)
  }
  return [...sums].map(([name, bytes]) => ({ name, bytes }))
}

/** Refuses a module that is larger than its budgets; `float`: it computes in f32. */
export function checkBudgets(
  module: string,
  report: ModuleReport,
  budgets: { ramBytes?: number; flashBytes?: number },
  float: boolean,
): void {
  for (const [name, bytes] of Object.entries(budgets)) {
    if (bytes !== undefined && !(Number.isInteger(bytes) && bytes > 0))
      throw new DunlinError(`buildModule: ${name} wants a positive integer, got ${bytes}.`)
  }
  const quarter = float ? 'an int8 model (quantize() makes it a quarter), ' : ''
  const { ramBytes = Infinity, flashBytes = Infinity } = budgets
  const list = (parts: readonly Part[]) => parts.map((p) => `${p.name} ${p.bytes}`).join(', ')
  const largest = (parts: readonly Part[]) => list([...parts].sort((a, b) => b.bytes - a.bytes).slice(0, 4))
  if (report.ramBytes > ramBytes) {
    const { peak, weights, buffers } = report
    const kept = peak.bytes - peak.buffers.reduce((sum, b) => sum + align16(b.bytes), 0)
    const streamed = weights === 'ram' ? "weights: 'flash', " : ''
    throw new DunlinError(
      `${module}: it takes ${report.ramBytes} bytes of RAM, ramBytes allows ${ramBytes}. Its peak is layer "${peak.layer}", where ${largest(peak.buffers)}${kept > 16 ? ` and ${kept} bytes of constants` : ''} are alive${buffers.length ? '' : ' (nothing)'}. What fits: ramBytes of ${report.ramBytes} or more, ${streamed}${quarter}a smaller input, fewer channels.`,
    )
  }
  if (report.flashBytes > flashBytes) {
    const layers = report.layers.map((l) => ({ name: `"${l.name}"`, bytes: l.flashBytes }))
    const code = report.codeBytes
    throw new DunlinError(
      `${module}: it takes ${report.flashBytes} bytes of flash, flashBytes allows ${flashBytes}. Code is ${code}; the largest layers are ${largest(layers)}. What fits: flashBytes of ${report.flashBytes} or more, ${quarter}fewer channels or layers.`,
    )
  }
}
