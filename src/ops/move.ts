// The geometry of ops that only move elements (concat, slice, pad, permute, broadcast): a block of elements has a place in each of two tensors,
// and one pair of kernels moves it there, and its gradient back. In int8 it is brought to the value's scale on the way.

import { DunlinError } from '../graph/error'
import { type Node, type Shape, size } from '../graph/node'
import { rowwise } from './calls'
import { quantizeMultiplier } from './fixedPoint'
import { type Emit, quantOf, rows, type Unshaped, where } from './op'

/** Where a block lies in a tensor: from which element of a sample on, and how far apart neighbours along each of its axes are. */
interface Place {
  at: number
  steps: readonly number[]
}

/** A block of one sample: its shape, and its places in the op's input `x` and in its value `y`. */
export interface Block {
  shape: Shape
  x: Place
  y: Place
}

/** Distance of neighbours along each axis of a tensor. */
export const stepsOf = (shape: Shape): number[] => shape.map((_, i) => size(shape.slice(i + 1)))

/** Writes the block of `x`'s value into the value of `node`, for every sample. */
export function moveForward(e: Emit, node: Node, x: Node, block: Block): void {
  const [from, to] = [e.value(x), e.value(node)]
  samplewise(e, node, x, block, (xAt, yAt, numbers) => e.call('move_f32', e.at(from, xAt), e.at(to, yAt), ...numbers))
}

/** The same of int8 values. */
export function moveInt8(e: Emit, node: Node, x: Node, block: Block): void {
  const [from, to] = [e.value(x), e.value(node)]
  const [qx, qy] = [quantOf(x), quantOf(node)]
  if (qx.scale[0] === qy.scale[0] && qx.zeroPoint === qy.zeroPoint) {
    samplewise(e, node, x, block, (xAt, yAt, numbers) => e.call('move_i8', e.at(from, xAt), e.at(to, yAt), ...numbers))
    return
  }
  const { multiplier, shift } = quantizeMultiplier(qx.scale[0] / qy.scale[0])
  const after = [multiplier, shift, qx.zeroPoint, qy.zeroPoint] as const
  samplewise(e, node, x, block, (xAt, yAt, numbers) =>
    e.call('requantize_i8', e.at(from, xAt), e.at(to, yAt), ...numbers, ...after),
  )
}

/** Adds the block of `node`'s gradient into `x`'s. */
export function moveBackward(e: Emit, node: Node, x: Node, block: Block): void {
  const dy = e.grad(node)
  const dx = e.grad(x)
  if (!dy || !dx) return
  const part: Part = (xAt, yAt, numbers) => e.call('move_f32_dx', e.at(dy, yAt), e.at(dx, xAt), ...numbers)
  // What is one for all samples is summed up over them: by no two threads at once.
  if (x.batched === node.batched) samplewise(e, node, x, block, part)
  else part(0, 0, sizesOf(rows(e, node), 0, size(node.shape), block))
}

/** Writes the call for a share of the samples: where its first one begins in x and in y, and the sizes of move_f32. */
type Part = (xAt: number, yAt: number, numbers: ReturnType<typeof sizesOf>) => void

/** Splits a call by samples. */
function samplewise(e: Emit, node: Node, x: Node, block: Block, part: Part): void {
  // What is one for all samples stands still from one to the next.
  const [eachX, eachY] = [x.batched || !node.batched ? size(x.shape) : 0, size(node.shape)]
  const share = (from: number, samples: number) => part(from * eachX, from * eachY, sizesOf(samples, eachX, eachY, block))
  rowwise(e, rows(e, node), size(block.shape), share)
}

type Four = readonly [number, number, number, number]

/** The sizes of move_f32: samples are the outermost axis, and axes that lie together in x and in y are one. */
function sizesOf(samples: number, eachX: number, eachY: number, { shape, x: from, y: to }: Block) {
  const axes = [{ n: samples, x: eachX, y: eachY }]
  shape.forEach((n, i) => {
    axes.push({ n, x: from.steps[i], y: to.steps[i] })
  })
  const merged: typeof axes = []
  for (const axis of axes) {
    const outer = merged.at(-1)
    if (axis.n === 1) continue
    if (outer && outer.x === axis.n * axis.x && outer.y === axis.n * axis.y) Object.assign(outer, axis, { n: outer.n * axis.n })
    else merged.push({ ...axis })
  }
  while (merged.length < 4) merged.unshift({ n: 1, x: 0, y: 0 })
  const of = (what: 'n' | 'x' | 'y') => merged.map((axis) => axis[what]) as unknown as Four
  return [...of('n'), from.at, ...of('x'), to.at, ...of('y')] as const
}

/** With the samples' axis these are four, as many as the kernel has loops. */
export function expectThreeAxes(node: Unshaped, shape: Shape): void {
  if (shape.length > 3) {
    throw new DunlinError(
      `${where(node)}: wants a value of at most 3 axes, got shape [${shape}]. Put a reshape() before it that joins some.`,
    )
  }
}

/** An attribute that has one integer of at least `least` for each axis of `shape`. */
export function expectPerAxis(node: Unshaped, what: string, values: readonly number[], shape: Shape, least: number): void {
  if (!Array.isArray(values) || values.length !== shape.length || !values.every((v) => Number.isInteger(v) && v >= least)) {
    throw new DunlinError(
      `${where(node)}: ${what} wants an integer from ${least} on for each axis of [${shape}], got ${JSON.stringify(values)}.`,
    )
  }
}
