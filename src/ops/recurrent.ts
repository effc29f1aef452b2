// What simpleRnn, lstm and gru share: options, inputs, their checks, and how the work is divided. The products that need no state are
// made for all steps at once: x w^T + b before the loop, the gradients of w, u, b and x after it. The loop itself is one call of a kernel
// that walks the steps: as calls of their own, t steps would be 2t lines of the plan, and 2t calls in a module's code.

import { DunlinError } from '../graph/error'
import { type Node, type Param, param, type Shape, size } from '../graph/node'
import { accumulate, CURVE, elementwise, fill, multiply, pack, packedLength, sumRows } from './calls'
import { convolveDw } from './convolution'
import { type Buffer, CLAMPS, type Emit, expectCount, expectShape, makeNode, type Op, rows, type Unshaped, where } from './op'

export interface RecurrentOptions {
  units: number
  /** The state after each step, [steps, units], instead of after the last. Default false. */
  sequences?: boolean
  /** Read the steps from the last to the first; outputs keep the order of the inputs. Default false. */
  reverse?: boolean
  /**
   * A run starts from the state in which the one before it ended, for each sample of the batch; the first from zeros. No gradient
   * goes from a run to the one before. A model keeps states until its weights change (`model.changed()`). Default false.
   */
  stateful?: boolean
  name?: string
}

/**
 * A recurrent layer. x [steps, channels] -> [units], or [steps, units] with `sequences`.
 * `mask` [steps]: where it is 0 the step is skipped: the state is carried over and is that step's output. It has no gradient.
 * `initial`: the state before the first step, [units] each: h, and c of an lstm; zeros when left out.
 * int8 layers have neither: they run over all steps, from zeros or, if stateful, from where they ended.
 */
export interface Recurrent {
  (x: Node, mask?: Node, initial?: readonly Node[]): Node
  /** The same layer reading the other way, with weights of its own. */
  reversed(): Recurrent
}

export interface RecurrentAttrs {
  sequences?: boolean
  reverse?: boolean
  stateful?: boolean
  /** Which optional inputs follow the parameters, in this order. */
  mask?: boolean
  initial?: boolean
}

/** What makes one of the three: gates, biases (b of the input's product, c of the state's), and which states it carries. */
export interface Family {
  op: string
  gates: number
  biases: readonly ('b' | 'c')[]
  states: readonly ('h' | 'c')[]
  /** Whether the backward reads h u^T + c of every step, and leaves its gradient there. */
  allProducts?: true
}

/**
 * Parameters, with g gates: w [g * units, channels] and u [g * units, units] (Glorot uniform, gate by gate), biases [g * units] (zeros).
 * `attrsOf` makes the op's attributes of those that all have.
 */
export function makeRecurrent<A extends RecurrentAttrs>(
  row: Op<A>,
  family: Family,
  options: RecurrentOptions,
  attrsOf: (common: RecurrentAttrs) => A,
): Recurrent {
  const { units, sequences, reverse, stateful, name = '' } = options
  const { op, gates, biases } = family
  let params: Param[] | undefined
  const layer = (x: Node, mask?: Node, initial?: readonly Node[]) => {
    expectCount({ op, name }, 'units', units)
    expectSequence({ op, name }, x.shape)
    const columns = gates * units
    params ??= [
      param('w', [columns, x.shape[1]], { kind: 'glorotUniform', fanIn: x.shape[1], fanOut: units }),
      param('u', [columns, units], { kind: 'glorotUniform', fanIn: units, fanOut: units }),
      ...biases.map((bias) => param(bias, [columns], { kind: 'zeros' })),
    ]
    const attrs = attrsOf({
      ...(sequences && { sequences }),
      ...(reverse && { reverse }),
      ...(stateful && { stateful }),
      ...(mask && { mask: true }),
      ...(initial && { initial: true }),
    })
    const inputs = [x, ...params, ...(mask ? [mask] : []), ...(initial ?? [])]
    return makeNode(row, { op, name, attrs, inputs })
  }
  return Object.assign(layer, {
    reversed: () => makeRecurrent(row, family, { ...options, reverse: !reverse }, attrsOf),
  })
}

const expectSequence = (node: { op: string; name: string }, shape: Shape) => {
  if (shape.length !== 2) {
    throw new DunlinError(`${where(node)}: wants a sequence [steps, channels], got shape [${shape}]. Put reshape() before it.`)
  }
}

/** The inputs of a node by what they are; b and c of an op without them are undefined. */
export function inputsOf({ inputs, attrs }: Unshaped<RecurrentAttrs>, { biases }: Family) {
  const [x, w, u] = inputs
  const bias = (name: 'b' | 'c') => (biases.includes(name) ? inputs[3 + biases.indexOf(name)] : undefined)
  const extras = 3 + biases.length
  const initial = attrs.initial ? inputs.slice(extras + (attrs.mask ? 1 : 0)) : []
  return { x, w, u, b: bias('b'), c: bias('c'), mask: attrs.mask ? inputs[extras] : undefined, initial }
}

/** The shape rule of all three. */
export function recurrentShape(node: Unshaped<RecurrentAttrs>, family: Family): Shape {
  const { gates, biases, states } = family
  const { attrs, inputs } = node
  for (const flag of ['sequences', 'reverse', 'stateful', 'mask', 'initial'] as const) {
    if (attrs[flag] !== undefined && typeof attrs[flag] !== 'boolean') {
      throw new DunlinError(`${where(node)}: ${flag} is ${JSON.stringify(attrs[flag])}, wanted true or false.`)
    }
  }
  const wanted = ['x', 'w', 'u', ...biases, ...(attrs.mask ? ['mask'] : []), ...(attrs.initial ? states.map((s) => `${s}0`) : [])]
  if (inputs.length !== wanted.length) {
    throw new DunlinError(`${where(node)}: wants ${wanted.length} inputs (${wanted.join(', ')}), got ${inputs.length}.`)
  }
  if (attrs.stateful && attrs.initial) {
    throw new DunlinError(`${where(node)}: is stateful and is given its initial state. Leave out one of the two.`)
  }
  const { x, w, u, mask, initial } = inputsOf(node, family)
  expectSequence(node, x.shape)
  const [t, channels] = x.shape
  const units = Math.max(1, Math.floor(w.shape[0] / gates)) || 1
  const columns = gates * units
  const rule = `Weights are [${gates} * units, inputs] with one set of rows for each gate; a layer applied twice shares them.`
  expectShape(node, 'w', w.shape, [columns, channels], rule)
  expectShape(node, 'u', u.shape, [columns, units], rule)
  biases.forEach((name, i) => {
    expectShape(node, name, inputs[3 + i].shape, [columns], 'There is one bias for each gate and unit.')
  })
  if (mask) expectShape(node, 'mask', mask.shape, [t], 'There is one number for each step: 1 to read it, 0 to skip it.')
  initial.forEach((s, i) => {
    expectShape(node, `${states[i]}0`, s.shape, [units], 'There is one number for each unit.')
  })
  inputs.forEach((input, i) => {
    // Weights are one for all samples; everything else is there for each sample as x is, or a kernel would read past its end.
    const batched = i > 0 && i < 3 + biases.length ? false : x.batched
    if (input.batched === batched) return
    const has = (each: boolean) => (each ? 'one for each sample' : 'one for all samples')
    throw new DunlinError(`${where(node)}: ${wanted[i]} (${where(input)}) is ${has(!batched)}, wanted ${has(batched)}.`)
  })
  return attrs.sequences ? [t, units] : [units]
}

/** Multiply-accumulates of the two products. */
export const recurrentMacs = ({ inputs: [x, w, u] }: Node): number => x.shape[0] * (size(w.shape) + size(u.shape))

/** Sizes and flags as every kernel of the three takes them. */
export function sizesOf(e: Emit, node: Node<RecurrentAttrs>, { gates }: Family) {
  const { sequences, reverse } = node.attrs
  const [x, w] = node.inputs
  const [t, channels] = x.shape
  const batch = rows(e, x)
  const units = w.shape[0] / gates
  const sizes = [batch, t, units, sequences ? 1 : 0, reverse ? 1 : 0] as const
  return { sizes, channels, columns: gates * units, units, steps: batch * t, states: batch * units }
}

/**
 * What a forward kernel is called with, for all samples or for a share of them. `before`: where the states before each step are kept, 0
 * outside of training.
 */
export interface ForwardBuffers {
  gates: Buffer
  mask: Buffer | 0
  u: Buffer
  y: Buffer
  states: Buffer[]
  before: (Buffer | 0)[]
  /** h u^T + c of one step, or of all where `allProducts` asks for it in training. */
  q: Buffer
  sizes: readonly [batch: number, t: number, units: number, sequences: number, reverse: number]
  /** Samples of the whole batch: what lies between two steps where the step is the outer axis. */
  stride: number
}

/** Emits the projection of x and the state before the first step; `loop` then calls the kernel. */
export function forwardLoop(e: Emit, node: Node<RecurrentAttrs>, family: Family, loop: (buffers: ForwardBuffers) => void): void {
  const { x, w, u, b, c, mask, initial } = inputsOf(node, family)
  const { sizes, channels, columns, units, steps, states } = sizesOf(e, node, family)
  const packed = (name: string, weights: Node, bias: Node | undefined, k: number) =>
    e.prepared(`${node.name}/packed ${name}`, packedLength(columns, k), (to) =>
      pack(e, e.value(weights), bias ? e.value(bias) : 0, to, { n: columns, k, wn: k, wk: 1 }),
    )
  const gates = e.saved(node, 'gates', steps * columns)
  const projection = { m: steps, n: columns, k: channels, am: channels, ak: 1, ldc: columns }
  multiply(e, e.value(x), packed('w', w, b, channels), gates, projection, CLAMPS.none, 0)
  const masks = mask ? e.value(mask) : 0
  const recurrent = packed('u', u, c, units)
  const y = e.value(node)
  const carried = family.states.map((name, i) => {
    const state = node.attrs.stateful ? e.state(`${node.name}/${name}`, states) : e.saved(node, name, states)
    const start = initial[i] && e.value(initial[i])
    // A clamp to everything is a copy.
    if (start) elementwise(e, states, (from, n) => e.call('clamp_f32', e.at(start, from), e.at(state, from), n, ...CLAMPS.none))
    else if (!node.attrs.stateful) fill(e, state, 0)
    return state
  })
  const before = family.states.map((name) => (e.learns(node) ? e.saved(node, `${name} before`, steps * units) : 0))
  const products = e.learns(node) && family.allProducts ? e.saved(node, 'q', steps * columns) : 0
  const [batch, t, , sequences] = sizes
  splitSamples(e, node, family, (from, n) =>
    loop({
      gates: e.at(gates, from * t * columns),
      mask: e.at(masks, from * t),
      u: recurrent,
      y: e.at(y, from * (sequences ? t : 1) * units),
      states: carried.map((s) => e.at(s, from * units)),
      before: before.map((b) => e.at(b, from * (family.allProducts ? 1 : t) * units)),
      q: products ? e.at(products, from * columns) : e.scratch(n * columns),
      sizes: [n, ...sizes.slice(1)] as unknown as ForwardBuffers['sizes'],
      stride: batch,
    }),
  )
}

/** Splits the loop by samples; its cost is that of a product and of a few curves for each gate. */
function splitSamples(e: Emit, node: Node<RecurrentAttrs>, family: Family, part: (from: number, n: number) => void): void {
  const { columns, units, steps, sizes } = sizesOf(e, node, family)
  e.split(sizes[0], steps * columns * (units + CURVE), part)
}

/** What a backward kernel is called with; `dstates` are zero at first: nothing reads the states after the last step. */
export interface BackwardBuffers {
  gates: Buffer
  mask: Buffer | 0
  u: Buffer
  before: Buffer[]
  /** 0 without `allProducts`. */
  q: Buffer | 0
  dy: Buffer
  dstates: Buffer[]
  sizes: ForwardBuffers['sizes']
  stride: number
}

/**
 * Emits the backward: `loop` calls the kernel, which leaves the gradient of x w^T + b for each step in the gates, that of h u^T + c where
 * it is another in q; the products after it sum them up.
 */
export function backwardBuffers(
  e: Emit,
  node: Node<RecurrentAttrs>,
  family: Family,
  loop: (buffers: BackwardBuffers) => void,
): void {
  const dy = e.grad(node)
  if (!dy) return
  const { x, w, u, b, c, mask, initial } = inputsOf(node, family)
  const { sizes, columns, units, steps, states } = sizesOf(e, node, family)
  const transposed = e.scratch(packedLength(units, columns))
  pack(e, e.value(u), 0, transposed, { n: units, k: columns, wn: 1, wk: units })
  const dstates = family.states.map(() => {
    const gradient = e.scratch(states)
    fill(e, gradient, 0)
    return gradient
  })
  const before = family.states.map((name) => e.saved(node, `${name} before`, steps * units))
  const gates = e.saved(node, 'gates', steps * columns)
  const q = family.allProducts ? e.saved(node, 'q', steps * columns) : 0
  const masks = mask ? e.value(mask) : 0
  const [batch, t, , sequences] = sizes
  splitSamples(e, node, family, (from, n) =>
    loop({
      gates: e.at(gates, from * t * columns),
      mask: e.at(masks, from * t),
      u: transposed,
      before: before.map((b) => e.at(b, from * (family.allProducts ? 1 : t) * units)),
      q: e.at(q, from * columns),
      dy: e.at(dy, from * (sequences ? t : 1) * units),
      dstates: dstates.map((s) => e.at(s, from * units)),
      sizes: [n, ...sizes.slice(1)] as unknown as ForwardBuffers['sizes'],
      stride: batch,
    }),
  )
  initial.forEach((s, i) => {
    const ds = e.grad(s)
    if (ds) accumulate(e, dstates[i], ds)
  })
  productGradients(e, steps, gates, e.value(x), { w, b, x })
  productGradients(e, steps, q || gates, before[0], { w: u, b: c })
}

/** The gradients of y = a w^T + b, each where it is wanted: dy [steps][n], a [steps][k], w [n, k], b [n]; x is the node that a is from. */
function productGradients(e: Emit, steps: number, dy: Buffer, a: Buffer, { w, b, x }: { w: Node; b?: Node; x?: Node }): void {
  const [n, k] = w.shape
  const db = b && e.grad(b)
  if (db) sumRows(e, dy, db, steps, n)
  const dw = e.grad(w)
  if (dw) {
    // dy^T a is the dw of a 1x1 convolution, images of one row, a pixel for each step. Short images stay in the cache: a matrix product
    // with dy read by columns takes two to three times as long.
    const pixels = imageOf(steps)
    const window = { kh: 1, kw: 1, sh: 1, sw: 1, dh: 1, dw: 1, pt: 0, pl: 0 }
    convolveDw(e, { batch: steps / pixels, ih: 1, iw: pixels, ic: k, oh: 1, ow: pixels, oc: n, ...window }, a, dy, dw)
  }
  const dx = x && e.grad(x)
  if (dx) {
    const packed = e.scratch(packedLength(k, n))
    pack(e, e.value(w), 0, packed, { n: k, k: n, wn: 1, wk: k })
    multiply(e, dy, packed, dx, { m: steps, n: k, k: n, am: n, ak: 1, ldc: k }, CLAMPS.none, 1)
  }
}

/** The largest divisor of `steps` in 16..128, else all of them. */
function imageOf(steps: number): number {
  for (let pixels = 128; pixels >= 16; pixels--) if (steps % pixels === 0) return pixels
  return steps
}
