// Calls that several ops write, each split over its outputs for the threads that run the plan. `work` is counted in multiply-adds; what a
// call that only moves memory costs is put in the same coin by the factors below.

import type { Node } from '../graph/node'
import { type Activation, type Buffer, CLAMPS, clampOf, type Emit, type Reach } from './op'

/** Work of one element that is read, changed and written; of one that is only filled or copied; of one that takes an exp or a tanh. */
const ELEMENT = 4
const MOVED = 2
export const CURVE = 16

/** One call over `n` elements, the same for each: shares begin at whole cache lines, so also at whole vectors. */
export function elementwise(e: Emit, n: number, part: (from: number, count: number) => void, each = ELEMENT): void {
  e.split(n, n * each, part, 16)
}

/** The first input and the value of a node whose kernel goes through both in step: y may lie over x. */
export function inStep(e: Emit, node: Node): [x: Buffer, y: Buffer] {
  const [x, y] = [e.value(node.inputs[0]), e.value(node)]
  e.over(y, x)
  return [x, y]
}

/** What an op that works element by element reads of an image (`Int8.reach`). */
export const sameRows = (): Reach => (from, to) => [from, to]

/** One call over rows of `n` elements that know nothing of each other. */
export function rowwise(e: Emit, rows: number, n: number, part: (from: number, count: number) => void, each = ELEMENT): void {
  e.split(rows, rows * n * each, part)
}

/** One call over columns of a matrix [rows][n] that know nothing of each other, as sums over rows. */
export function columnwise(e: Emit, rows: number, n: number, part: (from: number, count: number) => void): void {
  e.split(n, rows * n * ELEMENT, part, 4)
}

/** y = value. */
export function fill(e: Emit, y: Buffer, value: number): void {
  elementwise(e, y.length, (from, n) => e.call('fill_f32', e.at(y, from), n, value), 1)
}

/** y += x, or with `add` 0 y = x. */
export function accumulate(e: Emit, x: Buffer, y: Buffer, add: 0 | 1 = 1): void {
  elementwise(e, x.length, (from, n) => e.call('accumulate_f32', e.at(x, from), e.at(y, from), n, add))
}

/** What a fused activation does to the gradient of the node's value, in place; nothing without one. */
export function undoActivation(e: Emit, node: Node<{ activation?: Activation }>, dy: Buffer): void {
  if (!node.attrs.activation) return
  const y = e.value(node)
  elementwise(e, dy.length, (from, n) => e.call('clamp_f32_mask', e.at(y, from), e.at(dy, from), n, ...clampOf(node)))
}

/** y[j] += the sum of column j of x [rows][n]. */
export function sumRows(e: Emit, x: Buffer, y: Buffer, rows: number, n: number): void {
  columnwise(e, rows, n, (from, count) => e.call('sumRows_f32', e.at(x, from), e.at(y, from), rows, count, n))
}

/** Words of a matrix of n columns of k packed by `pack`. */
export const packedLength = (n: number, k: number): number => Math.ceil(n / 8) * 8 * (k + 1)

/** Packs the second operand of `multiply`: element (column j, row i) is w[j * wn + i * wk]. */
export function pack(
  e: Emit,
  w: Buffer,
  bias: Buffer | 0,
  to: Buffer,
  { n, k, wn, wk }: { n: number; k: number; wn: number; wk: number },
): void {
  const part = (from: number, count: number) =>
    e.call('pack_f32', e.at(w, from * wn), e.at(bias, from), e.at(to, from * (k + 1)), count, k, wn, wk)
  e.split(n, n * k * MOVED, part, 8)
}

/** c = clamp(a b + bias), or with `add` 1 c += the same: a [m][k] by its strides, b packed, rows of c ldc apart. */
export function multiply(
  e: Emit,
  a: Buffer,
  b: Buffer,
  c: Buffer,
  { m, n, k, am, ak, ldc }: { m: number; n: number; k: number; am: number; ak: number; ldc: number },
  clamp: readonly [number, number],
  add: 0 | 1,
): void {
  // By rows or by columns, whatever there are more tiles of.
  if (m >= n / 2) {
    const part = (from: number, count: number) =>
      e.call('gemm_f32', e.at(a, from * am), b, e.at(c, from * ldc), count, n, k, am, ak, ldc, ...clamp, add)
    e.split(m, m * n * k, part, 4)
  } else {
    const part = (from: number, count: number) =>
      e.call('gemm_f32', a, e.at(b, from * (k + 1)), e.at(c, from), m, count, k, am, ak, ldc, ...clamp, add)
    e.split(n, m * n * k, part, 8)
  }
}

/** The gradient of x += a b. */
export function multiplyInto(e: Emit, x: Node, a: Buffer, b: Buffer, sizes: Parameters<typeof multiply>[4]): void {
  const sink = e.sink(x)
  if (sink) multiply(e, a, b, sink.dx, sizes, CLAMPS.none, sink.add)
}
