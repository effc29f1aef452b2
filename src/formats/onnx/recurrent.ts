// RNN, GRU and LSTM. What dunlin's layers compute becomes one of them: usual activations, no peepholes, one sample. Anything else is
// written out step by step in small ops, with the same weights in each, up to a number of steps.

import type { Node, Param } from '../../graph/node'
import { nodeOf } from '../../ops'
import { clip, relu, sigmoid, tanh } from '../../ops/activation'
import { add, mul, sub } from '../../ops/add'
import type { RecurrentAttrs } from '../../ops/recurrent'
import type { Call } from './call'
import type { Rule } from './elementwise'
import { joined, taken } from './pieces'
import { matmul } from './product'
import { count, type Tensor, tensorOf } from './tensor'
import { dimsOf, plain, reordered, reviewed, shaped, type Traced, transposed, type Value, view } from './value'

type Op = 'RNN' | 'GRU' | 'LSTM'
/** dunlin's gates by their places among ONNX's: i, o, f, c of an LSTM, z, r, h of a GRU. */
const GATES: Record<Op, readonly number[]> = { RNN: [0], GRU: [1, 0, 2], LSTM: [0, 2, 3, 1] }
const ACTIVATIONS: Record<Op, readonly string[]> = {
  RNN: ['Tanh'],
  GRU: ['Sigmoid', 'Tanh'],
  LSTM: ['Sigmoid', 'Tanh', 'Tanh'],
}
/** Most steps that are written out. */
const MOST_STEPS = 256

interface Direction {
  reverse: boolean
  /** ONNX's weights of this direction. */
  w: Tensor
  r: Tensor
  /** Biases of both products, [2 * gates * hidden], or none. */
  b?: Tensor
  peepholes?: Tensor
  activations: readonly string[]
  /** [batch, hidden] each. */
  h?: Value
  c?: Value
}

function part(t: Tensor, i: number): Tensor {
  const dims = t.dims.slice(1)
  const n = count(dims)
  return { ...t, dims, data: t.data.slice(i * n, (i + 1) * n) as Tensor['data'], steps: undefined }
}

function recurrent(op: Op): Rule {
  return (call) => {
    const layout = call.int('layout', 0)
    // [steps, samples, channels], whichever way it came.
    const x = layout ? transposed(call.x(0), [1, 0, 2]) : call.x(0)
    const [steps, batch] = dimsOf(x)
    call.apart(x, [0], 'runs along')
    const hidden = call.int('hidden_size', 0)
    const [w, r] = [call.constant(1, 'W'), call.constant(2, 'R')]
    const gates = GATES[op].length
    const direction = call.string('direction', 'forward')
    const directions = direction === 'bidirectional' ? 2 : 1
    const fits = (t: Tensor, ...dims: number[]) => t.dims.length === 3 && t.dims.every((d, i) => d === [directions, ...dims][i])
    if (hidden < 1 || !fits(w, gates * hidden, dimsOf(x)[2]) || !fits(r, gates * hidden, hidden))
      return call.fail(
        `has weights [${w.dims}] and [${r.dims}] for ${hidden} units, ${directions} directions and an input [${dimsOf(x)}]`,
      )
    const [b, lengths] = [call.optional(3, 'B'), call.optional(4, 'sequence_lens')]
    if (lengths?.data.some((n) => n !== steps)) return call.fail('with sequence_lens shorter than the input is not supported')
    if (call.float('clip', 0)) return call.fail('with clip is not supported')
    if (call.int('input_forget', 0)) return call.fail('with input_forget is not supported')
    if (b && count(b.dims) !== directions * 2 * gates * hidden) return call.fail(`has biases [${b.dims}]`)
    const peepholes = op === 'LSTM' ? call.optional(7, 'P') : undefined
    if (peepholes && count(peepholes.dims) !== directions * 3 * hidden) return call.fail(`has peepholes [${peepholes.dims}]`)
    const given = call.strings('activations') ?? []
    const each = ACTIVATIONS[op].length
    const state = (i: number, d: number): Value | undefined => {
      const value = call.inputs[i]
      if (!value || (value.kind === 'tensor' && value.data.every((v) => v === 0))) return undefined
      const all = layout ? transposed(call.x(i), [1, 0, 2]) : call.x(i)
      const own = directions === 1 ? all : taken(call, all, 0, [d])
      return reviewed(own, [batch, hidden])
    }
    const all = Array.from({ length: directions }, (_, d): Direction => {
      const reverse = direction === 'reverse' || d === 1
      const activations = given.length ? given.slice(d * each, (d + 1) * each) : ACTIVATIONS[op]
      return {
        reverse,
        w: part(w, d),
        r: part(r, d),
        ...(b && { b: part(b, d) }),
        ...(peepholes?.data.some((v) => v !== 0) && { peepholes: part(peepholes, d) }),
        activations,
        h: state(5, d),
        ...(op === 'LSTM' && { c: state(6, d) }),
      }
    })
    const wantsCell = op === 'LSTM' && Boolean(call.proto.output[2])
    const results = all.map((d, i) =>
      fitsLayer(call, op, d, batch) && !wantsCell ? layer(call, op, d, x, hidden, i) : written(call, op, d, x, hidden),
    )
    const together = (of: (r: Result) => Traced, dims: number[], axis: number) =>
      joined(
        call,
        results.map((result) => reviewed(of(result), dims)),
        axis,
      )
    const y = together((r) => r.y, [steps, 1, batch, hidden], 1)
    const last = together((r) => r.h, [1, batch, hidden], 0)
    const cell = wantsCell ? together((r) => r.c as Traced, [1, batch, hidden], 0) : undefined
    return layout
      ? [transposed(y, [2, 0, 1, 3]), transposed(last, [1, 0, 2]), cell && transposed(cell, [1, 0, 2])]
      : [y, last, cell]
  }
}

/** Of one direction: all outputs [steps, batch, hidden], and the last states [batch, hidden]. */
interface Result {
  y: Traced
  h: Traced
  c?: Traced
}

/** Whether dunlin's layer computes it. */
function fitsLayer(call: Call, op: Op, { activations, peepholes, h, c }: Direction, batch: number): boolean {
  const usual =
    activations.every((a, i) => a.toLowerCase() === ACTIVATIONS[op][i].toLowerCase()) ||
    (op === 'RNN' && /^relu$/i.test(activations[0]))
  const state = h || c
  return usual && !peepholes && !state && batch === 1 && (op !== 'GRU' || call.int('linear_before_reset', 0) !== 0)
}

/** A matrix whose rows are blocks of `hidden`, one for each gate, in dunlin's order of gates. */
function ordered(op: Op, t: ArrayLike<number>, hidden: number, gatesAt = 0): Float32Array {
  const columns = t.length / (hidden * GATES[op].length * (gatesAt || 1))
  const each = hidden * columns
  const to = new Float32Array(GATES[op].length * each)
  GATES[op].forEach((from, gate) => {
    for (let i = 0; i < each; i++) to[gate * each + i] = t[from * each + i]
  })
  return to
}

function layer(
  call: Call,
  op: Op,
  { reverse, w, r, b, activations }: Direction,
  x: Traced,
  hidden: number,
  index: number,
): Result {
  const gates = GATES[op].length
  const [steps, , channels] = dimsOf(x)
  const width = gates * hidden
  const floats = Float32Array.from((b?.data ?? new Float32Array(2 * width)) as ArrayLike<number>)
  const [own, state] = [floats.slice(0, width), floats.slice(width)].map((v) => ordered(op, v, hidden))
  // All but the GRU add their biases up.
  const biases = op === 'GRU' ? { b: own, c: state } : { b: own.map((v, i) => v + state[i]) }
  const params: Param[] = [
    call.param('w', [width, channels], ordered(op, w.data, hidden), w),
    call.param('u', [width, hidden], ordered(op, r.data, hidden), r),
    ...Object.entries(biases).map(([name, v]) => call.param(name, [width], v)),
  ]
  const name = index ? `${call.name}_reverse` : call.name
  const sequence = shaped(plain(x), [steps, channels])
  const attrs: RecurrentAttrs = { sequences: true, ...(reverse && { reverse }) }
  const inputs = [sequence, ...params]
  const node =
    op === 'LSTM'
      ? nodeOf('lstm', { name, attrs, inputs })
      : op === 'GRU'
        ? nodeOf('gru', { name, attrs, inputs })
        : nodeOf('simpleRnn', { name, inputs, attrs: { ...attrs, activation: /relu/i.test(activations[0]) ? 'relu' : 'tanh' } })
  const y = { ...view(node, [steps, 1, hidden]), samples: x.samples }
  return { y, h: reviewed(taken(call, y, 0, [reverse ? 0 : steps - 1]), [1, hidden]) }
}

/** The function of an activation's name. */
function activationOf(call: Call, name: string): (x: Node) => Node {
  const all: Record<string, () => (x: Node) => Node> = {
    sigmoid,
    tanh,
    relu,
    hardsigmoid: () => (v) => clip({ low: 0, high: 1 })(call.plus(call.times(v, 0.2), 0.5)),
  }
  const key = name.toLowerCase()
  return Object.hasOwn(all, key) ? all[key]() : call.fail(`the activation ${name} is not supported; Sigmoid, Tanh and Relu are`)
}

/** Step by step; rows are the samples. */
function written(call: Call, op: Op, d: Direction, x: Traced, hidden: number): Result {
  const [steps, batch] = dimsOf(x)
  const gates = GATES[op].length
  if (steps > MOST_STEPS)
    return call.fail(
      `of ${steps} steps is no layer of dunlin's (its activations, peepholes, states or reset are not); up to ${MOST_STEPS} steps are written out`,
    )
  const act = d.activations.map((name) => activationOf(call, name))
  const width = gates * hidden
  const bias = Float32Array.from((d.b?.data ?? new Float32Array(2 * width)) as ArrayLike<number>)
  const turned = (t: Tensor) => tensorOf([t.dims[1], t.dims[0]], reordered(t.data as Float32Array, t.dims, [1, 0]))
  const [w, r] = [turned(d.w), turned(d.r)]
  const row = (values: Float32Array): Traced => call.scope.lift({ ...tensorOf([values.length], values), name: 'b' })
  const [bw, br] = [row(bias.slice(0, width)), row(bias.slice(width))]
  // Weights once, not once a step.
  const product = (v: Traced, weights: Tensor): Traced => matmul(call, v, weights)
  const block = (v: Traced, gate: number) => slicedGate(call, v, gate, hidden)
  const apply = (v: Traced, f: (x: Node) => Node): Traced => ({ ...v, node: f(v.node) })
  const plus = (a: Traced, b: Traced) => call.pairwise(a, b, add())
  const times = (a: Traced, b: Traced) => call.pairwise(a, b, mul())
  const inputs = plus(product(x, w), bw)
  const zeros = (): Traced => {
    const first = reviewed(taken(call, x, 0, [0]), [batch, dimsOf(x)[2]])
    const none = tensorOf([first.axes.length ? dimsOf(first)[1] : 1, hidden], new Float32Array(dimsOf(first)[1] * hidden))
    const made = product(first, none)
    for (const p of made.node.inputs.slice(1)) Object.assign(p, { attrs: { trainable: false } })
    return made
  }
  let h = (d.h as Traced | undefined) ?? zeros()
  let cell = op === 'LSTM' ? ((d.c as Traced | undefined) ?? zeros()) : undefined
  const holes = d.peepholes
    ? [0, 1, 2].map((i) => row(Float32Array.from(d.peepholes!.data.slice(i * hidden, (i + 1) * hidden) as Float32Array)))
    : undefined
  const outputs: Traced[] = []
  for (let s = 0; s < steps; s++) {
    const t = d.reverse ? steps - 1 - s : s
    const xt = reviewed(taken(call, inputs, 0, [t]), [batch, width])
    const ht = plus(product(h, r), br)
    if (op === 'RNN') h = apply(plus(xt, ht), act[0])
    else if (op === 'GRU') {
      const [z, reset] = [0, 1].map((g) => apply(plus(block(xt, g), block(ht, g)), act[0]))
      const before = call.int('linear_before_reset', 0) !== 0
      // Either the state is reset before its product, or the product is.
      const inner = before
        ? times(reset, block(ht, 2))
        : plus(product(times(reset, h), columns(r, 2, hidden)), row(bias.slice(width + 2 * hidden, width + 3 * hidden)))
      const candidate = apply(plus(block(xt, 2), inner), act[1])
      // (1 - z) n + z h
      h = plus(candidate, times(z, call.pairwise(h, candidate, sub())))
    } else {
      const sums = plus(xt, ht)
      const c = cell as Traced
      const hole = (v: Traced, i: number, state: Traced) => (holes ? plus(v, times(state, holes[i])) : v)
      const input = apply(hole(block(sums, 0), 0, c), act[0])
      const forget = apply(hole(block(sums, 2), 2, c), act[0])
      const candidate = apply(block(sums, 3), act[1])
      cell = plus(times(forget, c), times(input, candidate))
      const output = apply(hole(block(sums, 1), 1, cell), act[0])
      h = times(output, apply(cell, act[2]))
    }
    outputs[t] = reviewed(h, [1, batch, hidden])
  }
  return { y: joined(call, outputs, 0), h, ...(cell && { c: cell }) }
}

/** The columns of one gate of a matrix [hidden, gates * hidden]. */
function columns(r: Tensor, gate: number, hidden: number): Tensor {
  const width = r.dims[1]
  const data = Float32Array.from(
    { length: r.dims[0] * hidden },
    (_, i) => r.data[Math.floor(i / hidden) * width + gate * hidden + (i % hidden)],
  )
  return tensorOf([r.dims[0], hidden], data)
}

const slicedGate = (call: Call, v: Traced, gate: number, hidden: number): Traced =>
  taken(
    call,
    v,
    1,
    Array.from({ length: hidden }, (_, i) => gate * hidden + i),
  )

export const RECURRENTS: Record<string, Rule> = { RNN: recurrent('RNN'), GRU: recurrent('GRU'), LSTM: recurrent('LSTM') }
