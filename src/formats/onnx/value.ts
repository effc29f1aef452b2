// What an ONNX name stands for while a graph is imported. A traced value is a node of the graph with a view on it: each ONNX axis is a list
// of factors, and the factors lie in the node's memory in an order of their own. So Transpose and Reshape only change the view, a
// network of NCHW convolutions lives in NHWC throughout, and elements move only where an op needs them in another order.
// A view is of one sample: the axis of the samples has length 1 in it.

import { isParam, type Node, type Param, type Shape, size, type TypedArray } from '../../graph/node'
import { permute } from '../../ops/permute'
import { reshape } from '../../ops/reshape'
import { count, type ElementType, type Tensor } from './tensor'

/** A stretch of an axis that stays together. Its length is above 1; axes of length 1 have no factors. */
export interface Factor {
  readonly size: number
}

export interface Traced {
  kind: 'traced'
  node: Node
  type: ElementType
  /** The factors of each ONNX axis, outer ones first. */
  axes: readonly (readonly Factor[])[]
  /** All factors as they lie in the node's memory, outer ones first. */
  memory: readonly Factor[]
  /** Which ONNX axis is the samples', where one still is. */
  samples?: number
  /** Whether that may be another as well: a reshape with axes of length 1 beside one another does not say. */
  unsure?: boolean
}

/** What QuantizeLinear makes: reals that are to be rounded to steps of a scale. What reads it as integers makes it so. */
export interface Quantized {
  kind: 'quantized'
  of: Traced
  scale: Tensor
  zero: Tensor
  axis: number
  type: ElementType
}

export type Value = Tensor | Traced | Quantized

const product = (factors: readonly Factor[]) => factors.reduce((n, f) => n * f.size, 1)
const axis = (n: number): Factor[] => (n === 1 ? [] : [{ size: n }])

export function dimsOf(value: Value): readonly number[] {
  if (value.kind === 'tensor') return value.dims
  return (value.kind === 'quantized' ? value.of : value).axes.map(product)
}

/** A view on a node whose memory has the axes in this order; default: as they are. */
export function view(
  node: Node,
  dims: readonly number[],
  more: { order?: readonly number[]; type?: ElementType; samples?: number; unsure?: boolean } = {},
): Traced {
  const { order = dims.map((_, i) => i), type = 'float32', samples, unsure } = more
  const axes = dims.map(axis)
  return { kind: 'traced', node, type, axes, memory: order.flatMap((i) => axes[i]), samples, ...(unsure && { unsure }) }
}

/** The same view on another node, whose elements lie alike. */
export const alike = (x: Traced, node: Node, type = x.type): Traced => ({ ...x, node, type })

/** Elements in the order of ONNX. */
export const rowMajor = (x: Traced): Factor[] => x.axes.flat()

/** Copies of a node in other orders, and of a parameter in other shapes, by what they are. */
const moved = new WeakMap<Node, Map<string, Node>>()

/** The node under another shape; parameters are copied, reshapes of reshapes are one. */
export function shaped(node: Node, shape: Shape): Node {
  if (String(node.shape) === String(shape)) return node
  if (isParam(node)) {
    const made = moved.get(node) ?? new Map<string, Node>()
    moved.set(node, made)
    const copy = made.get(`[${shape}]`) ?? ({ ...node, shape: [...shape] } as Param)
    made.set(`[${shape}]`, copy)
    return copy
  }
  const from = node.op === 'reshape' ? node.inputs[0] : node
  return String(from.shape) === String(shape) ? from : reshape({ shape })(from)
}

/** The node with the factors in this order: itself, or a permute of it. A permute that was made before is used again. */
export function arrange(x: Traced, order: readonly Factor[]): Node {
  const positions = order.map((f) => x.memory.indexOf(f))
  if (positions.every((p, i) => p === i)) return x.node
  const made = moved.get(x.node) ?? new Map<string, Node>()
  moved.set(x.node, made)
  const key = `${x.memory.map((f) => f.size)} ${positions}`
  let node = made.get(key)
  if (!node) {
    node = isParam(x.node) ? permuted(x.node, x.memory, positions) : permuteRuns(x.node, x.memory, positions)
    made.set(key, node)
  }
  return node
}

/** Values in another order of their axes. */
export function reordered<D extends TypedArray | Float64Array>(data: D, from: readonly number[], order: readonly number[]): D {
  const steps = from.map((_, i) => count(from.slice(i + 1)))
  const [shape, taken] = [order.map((p) => from[p]), order.map((p) => steps[p])]
  const to = data.slice() as D
  const index = shape.map(() => 0)
  let at = 0
  for (let i = 0; i < to.length; i++) {
    to[i] = data[at]
    for (let a = shape.length - 1; a >= 0; a--) {
      at += taken[a]
      if (++index[a] < shape[a]) break
      at -= taken[a] * shape[a]
      index[a] = 0
    }
  }
  return to
}

function permuted(p: Param, memory: readonly Factor[], positions: readonly number[]): Param {
  const sizes = memory.map((f) => f.size)
  const data = reordered(p.data, sizes, positions)
  return { ...p, data, shape: positions.length ? positions.map((i) => sizes[i]) : [1] }
}

/** A permute, in which axes that stay together are one; of more than the three that a permute takes, one after another to the front. */
function permuteRuns(node: Node, memory: readonly Factor[], positions: readonly number[]): Node {
  const runs: number[][] = []
  for (const p of positions) {
    const run = runs.at(-1)
    if (run && p === run[run.length - 1] + 1) run.push(p)
    else runs.push([p])
  }
  const before = [...runs].sort((a, b) => a[0] - b[0])
  const sizes = before.map((run) => run.reduce((n, p) => n * memory[p].size, 1))
  const order = runs.map((run) => before.indexOf(run))
  if (order.length <= 3) return permute({ axes: order })(shaped(node, sizes))
  let now = before.map((_, i) => i)
  let x = node
  for (const i of [...order].reverse()) {
    const at = now.indexOf(i)
    const rest = [...now.slice(0, at), ...now.slice(at + 1)]
    if (at > 0) {
      const of = (some: readonly number[]) => some.reduce((n, j) => n * sizes[j], 1)
      x = permute({ axes: [1, 0, 2] })(shaped(x, [of(now.slice(0, at)), sizes[i], of(now.slice(at + 1))]))
    }
    now = [i, ...rest]
  }
  return x
}

/** The node with its axes as ONNX has them, and of these lengths: those of one sample. */
export const plain = (x: Traced): Node => shaped(arrange(x, rowMajor(x)), dimsOf(x))

/** The same elements under other axes. Factors are split where that is enough; else the elements are brought into ONNX's order. */
export function reviewed(x: Traced, dims: readonly number[]): Traced {
  if (String(dims) === String(dimsOf(x))) return x
  const left = rowMajor(x)
  let memory = [...x.memory]
  const axes: Factor[][] = []
  for (const d of dims) {
    const factors: Factor[] = []
    for (let need = d; need > 1; ) {
      const f = left.shift()
      if (!f) return view(plain(x), dims, x)
      if (need % f.size === 0) {
        factors.push(f)
        need /= f.size
      } else if (f.size % need === 0) {
        const parts = [{ size: need }, { size: f.size / need }]
        memory = memory.flatMap((m) => (m === f ? parts : [m]))
        factors.push(parts[0])
        left.unshift(parts[1])
        need = 1
      } else return { ...view(plain(x), dims), type: x.type, ...samplesIn(x, dims) }
    }
    axes.push(factors)
  }
  return { ...x, axes, memory, ...samplesIn(x, dims) }
}

/** The axis of the samples after a reshape, if it is one still. */
function samplesIn(x: Traced, dims: readonly number[]): Pick<Traced, 'samples' | 'unsure'> {
  if (x.samples === undefined) return {}
  const before = count(dimsOf(x).slice(0, x.samples))
  const fits = dims.flatMap((d, i) => (d === 1 && count(dims.slice(0, i)) === before ? [i] : []))
  return { samples: fits[0], unsure: fits.length > 1 }
}

/** The same value with axes of length 1 in front. */
export function widened(x: Traced, rank: number): Traced {
  const more = rank - x.axes.length
  const samples = x.samples === undefined ? undefined : x.samples + more
  return { ...x, axes: [...Array<Factor[]>(more).fill([]), ...x.axes], samples }
}

/** Two values as elementwise ops take them: nodes of one rank, with 1 where one is repeated; and the view of the result. */
export interface Together {
  a: Node
  b: Node
  /** The result's axes and memory. */
  axes: readonly (readonly Factor[])[]
  memory: readonly Factor[]
  samples?: number
  unsure?: boolean
}

/** Brings both to one order; undefined where the shapes do not go together. */
export function together(a: Traced, b: Traced): Together | undefined {
  const rank = Math.max(a.axes.length, b.axes.length)
  let [left, right] = [a, b].map((x) => widened(x, rank))
  if (left.axes.some((f, i) => f.length && right.axes[i].length && product(f) !== product(right.axes[i]))) return undefined
  const differ = (i: number) => {
    const [f, g] = [left.axes[i], right.axes[i]]
    return f.length > 0 && g.length > 0 && (f.length !== g.length || f.some((v, j) => v.size !== g[j].size))
  }
  if (left.axes.some((_, i) => differ(i))) {
    // Axes that are cut in different ways: uncut, both in ONNX's order.
    ;[left, right] = [left, right].map((x) => view(plain(x), dimsOf(x), x))
  }
  // The factors of b under the names that those of a have.
  const names = new Map<Factor, Factor>()
  right.axes.forEach((factors, i) => {
    factors.forEach((f, j) => {
      names.set(f, left.axes[i][j] ?? f)
    })
  })
  const other = right.memory.map((f) => names.get(f) as Factor)
  const axes = left.axes.map((f, i) => (f.length ? f : right.axes[i].map((g) => names.get(g) as Factor)))
  const all = axes.flat()
  const has = (memory: readonly Factor[]) => memory.length === all.length && all.every((f) => memory.includes(f))
  // A parameter is put in order here and now; of two values the first keeps its.
  const candidates = isParam(left.node) ? [other, left.memory] : [left.memory, other]
  const memory = candidates.find(has) ?? all
  const side = (x: Traced, own: readonly Factor[]) =>
    shaped(
      arrange(
        { ...x, memory: own },
        memory.filter((f) => own.includes(f)),
      ),
      memory.length ? memory.map((f) => (own.includes(f) ? f.size : 1)) : [1],
    )
  const { samples, unsure } = left.samples === undefined ? right : left
  return { a: side(left, left.memory), b: side(right, other), axes, memory, samples, unsure }
}

/** Most nodes have few elements beside the shape that an op wants: the shape without axes of 1, or [1]. */
export const sizesOf = (factors: readonly Factor[]): number[] => (factors.length ? factors.map((f) => f.size) : [1])

/** How many elements a value has for one sample. */
export const elements = (x: Traced): number => size(sizesOf(x.memory))

/** A value cut along one axis: [before, n, after], whose middle is the axis in the order of ONNX. */
export interface Along {
  node: Node
  before: readonly Factor[]
  after: readonly Factor[]
}

/** The factors of an axis put together where the first of them lies; of one of length 1, where it lies in ONNX's order. */
export function along(x: Traced, axis: number): Along {
  const own = x.axes[axis]
  const first = x.memory.findIndex((f) => own.includes(f))
  const others = x.memory.filter((f) => !own.includes(f))
  const ahead = new Set(x.axes.slice(0, axis).flat())
  // Where nothing of the axis is: after all that stands ahead of it.
  const place = own.length ? first : others.reduce((at, f, i) => (ahead.has(f) ? i + 1 : at), 0)
  const [before, after] = [others.slice(0, place), others.slice(place)]
  const node = arrange(x, [...before, ...own, ...after])
  return { node: shaped(node, [product(before), product(own), product(after)]), before, after }
}

/** The view on such a node after its axis got another length. */
export function rejoined(x: Traced, axis: number, { before, after }: Pick<Along, 'before' | 'after'>, node: Node): Traced {
  const made = node.shape[1] === 1 ? [] : [{ size: node.shape[1] }]
  return {
    ...x,
    node,
    axes: x.axes.map((f, i) => (i === axis ? made : f)),
    memory: [...before, ...made, ...after],
  }
}

/** The axes in another order; nothing moves. */
export function transposed(x: Traced, order: readonly number[]): Traced {
  const samples = x.samples === undefined ? undefined : order.indexOf(x.samples)
  return { ...x, axes: order.map((i) => x.axes[i]), samples }
}

/** The factors of some axes behind all others: [the others, these]; as they lie within each. */
export function innermost(
  x: Traced,
  axes: readonly number[],
): { node: Node; outer: readonly Factor[]; inner: readonly Factor[] } {
  const own = new Set(axes.flatMap((i) => x.axes[i]))
  const [outer, inner] = [x.memory.filter((f) => !own.has(f)), x.memory.filter((f) => own.has(f))]
  const node = arrange(x, [...outer, ...inner])
  return { node: shaped(node, [product(outer), product(inner)]), outer, inner }
}

/** The image [height, width, channels] of a value [1, C, H, W], or [depth, height, width, channels] of [1, C, D, H, W]; one of [1, C, L] has a single row. */
export function imageOf(x: Traced): Node {
  const [, channels, ...spatial] = dimsOf(x)
  const node = arrange(x, [...x.axes.slice(2).flat(), ...x.axes[1]])
  return shaped(node, [...(spatial.length === 1 ? [1] : []), ...spatial, channels])
}

/** The view on such a node as a value with so many spatial axes. */
export function fromImage(x: Traced, node: Node, spatial: number): Traced {
  const lengths = node.shape.slice(-1 - spatial, -1)
  const order = [...lengths.map((_, i) => i + 2), 1]
  return view(node, [1, node.shape[node.shape.length - 1], ...lengths], { order, type: x.type, samples: x.samples })
}
