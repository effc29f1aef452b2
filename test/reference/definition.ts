// What the definitions of ops share: their form, the fused activations, curves that several families have, and the walk over all
// elements of a value.

import { type Node, type Shape, size } from '../../src/graph/node'
import type { Activation } from '../../src/ops/op'

export type Numbers = ArrayLike<number>

export type Definition = (node: Node<never>, ...inputs: Numbers[]) => Float64Array

export interface Fused {
  activation?: Activation
}

export function activate(v: number, activation?: Activation): number {
  if (!activation) return v
  return Math.min(Math.max(v, 0), activation === 'relu6' ? 6 : Infinity)
}

export const sigmoid = (v: number) => 1 / (1 + Math.exp(-v))

export function logSoftmax(x: number[]): number[] {
  const top = Math.max(...x)
  const log = Math.log(x.reduce((sum, v) => sum + Math.exp(v - top), 0))
  return x.map((v) => v - top - log)
}

/** The values of a node, each from its index on every axis and the number of its sample. */
export function everywhere(node: Node, batch: number, of: (index: number[], sample: number) => number): Float64Array {
  const each = size(node.shape)
  return Float64Array.from({ length: batch * each }, (_, at) => {
    const index: number[] = []
    let rest = at % each
    for (const n of [...node.shape].reverse()) {
      index.unshift(rest % n)
      rest = Math.floor(rest / n)
    }
    return of(index, Math.floor(at / each))
  })
}

/** Where an element lies in its tensor. */
export const position = (shape: Shape, index: readonly number[], sample: number) =>
  shape.reduce((at, n, axis) => at * n + index[axis], sample)
