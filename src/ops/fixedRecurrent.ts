// The int8 rows of lstm, gru and simpleRnn: which integers the kernels of assembly/i8/recurrent.ts, whose head says how they compute, multiply
// by, and the calls. Weights have one scale for each gate, as in TensorFlow Lite, and its effective scales (PopulateQuantizedLstmParams8x8_16)
// are products and quotients of float32: here, too, because their last bit is one of a multiplier.

import { DunlinError } from '../graph/error'
import type { Node } from '../graph/node'
import { CURVE } from './calls'
import { quantizeMultiplier } from './fixedPoint'
import { type Buffer, type Emit, type Int8, quantOf, where } from './op'
import { type Family, inputsOf, type RecurrentAttrs, sizesOf } from './recurrent'

/** The unit of gates before their sigmoid or tanh, Q3.12, and of what comes out, Q0.15. */
export const GATE = 2 ** -12
export const CURVED = 2 ** -15

/** An int8 row: what is the layer's own, and what all of them have. */
export function fixedRow<A extends RecurrentAttrs>(
  { gates, biases }: Family,
  own: Pick<Int8<A>, 'forward' | 'measured'>,
): Int8<A> {
  return {
    ...own,
    quant: 'calibrated',
    reads: ['i8', 'i8', 'i8', ...biases.map(() => 'i32' as const)],
    products: [
      { weights: 1, bias: 3, of: 'input', scales: gates },
      { weights: 2, ...(biases.length > 1 && { bias: 4 }), of: 'value', scales: gates },
    ],
    unsupported({ attrs: { mask, initial } }) {
      if (mask) return 'reads a mask, which its int8 kernel does not. Leave the mask out, or the model float.'
      if (initial) return 'is given its initial state, which its int8 kernel is not. Make it stateful, or leave the model float.'
      return false
    },
    // The states of all steps go through the value's scale.
    observed: (node) =>
      node.attrs.sequences
        ? node
        : { ...node, attrs: { ...node.attrs, sequences: true }, shape: [node.inputs[0].shape[0], ...node.shape] },
  }
}

/** What an int8 kernel is called with, for a share of the samples. */
export interface FixedBuffers {
  x: Buffer
  w: Buffer
  b: Buffer
  u: Buffer
  /** Of a gru. */
  bu: Buffer | 0
  scales: Buffer
  y: Buffer
  /** h, and what else it carries. */
  states: Buffer[]
  scratch: Buffer
  numbers: readonly [
    ...sizes: [batch: number, t: number, channels: number, units: number, sequences: number, reverse: number, keep: number],
    ...numbers: [xZero: number, yZero: number, multiplier: number, shift: number],
  ]
}

/**
 * Emits the call of a kernel, once for each share. `states`: names of what it carries, i16. `gate`: the unit of gates. `hidden`: the unit of
 * what becomes the value.
 */
export function fixedLoop(
  e: Emit,
  node: Node<RecurrentAttrs>,
  family: Family,
  { states, gate, hidden }: { states: readonly string[]; gate: number; hidden: number },
  loop: (buffers: FixedBuffers) => void,
): void {
  const { gates } = family
  const { x, w, u, b, c } = inputsOf(node, family)
  const { sizes, channels, columns, units, steps } = sizesOf(e, node, family)
  const [batch, t, , sequences, reverse] = sizes
  const { stateful } = node.attrs
  const [qx, qy] = [quantOf(x), quantOf(node)]
  const factors = [
    { of: qx, weights: w },
    { of: qy, weights: u },
  ].flatMap(({ of, weights }) => {
    const { scale } = quantOf(weights)
    if (scale.length !== gates) {
      throw new DunlinError(`${where(node)}: ${where(weights)} has ${scale.length} scales, wanted ${gates}, one for each gate.`)
    }
    return scale.map((s) => quantizeMultiplier(f32(f32(f32(s) * f32(of.scale[0])) / f32(gate))))
  })
  const { multiplier, shift } = quantizeMultiplier(f32(hidden / f32(qy.scale[0])))
  const scales = e.constant(`${node.name}/scales`, Int32Array.from(factors.flatMap((f) => [f.multiplier, f.shift])))
  const [xs, ws, us, y] = [x, w, u, node].map((n) => e.value(n))
  const bs = e.value(b as Node)
  const bu = c ? e.value(c) : 0
  const row = wordsOf(units)
  const kept = stateful ? states.map((name) => e.state(`${node.name}/${name}`, batch * row)) : undefined
  e.split(batch, steps * columns * (channels + units + CURVE), (from, n) =>
    loop({
      x: e.at(xs, from * t * channels),
      w: ws,
      b: bs,
      u: us,
      bu,
      scales,
      y: e.at(y, from * (sequences ? t : 1) * units),
      states: kept ? kept.map((s) => e.at(s, from * row)) : states.map(() => e.scratch(n * row)),
      scratch: e.scratch(wordsOf(channels) + (gates === 1 ? 1 : 4) * row),
      numbers: [n, t, channels, units, sequences, reverse, stateful ? 1 : 0, qx.zeroPoint, qy.zeroPoint, multiplier, shift],
    }),
  )
}

const f32 = Math.fround

/** Words of a row of n i16, which has room for whole vectors. */
const wordsOf = (n: number): number => 4 * Math.ceil(n / 8)
