// What a sample is: a graph of one op, and how its inputs are drawn.

import { input, type Node, type TypedArray } from '../../src/graph/node'

export interface Sample {
  /** Shapes and options, for the name of the test. */
  what: string
  batch: number
  /** One op; its inputs are leaves, whose values the test draws. */
  node: Node
  /** Values of inputs, by index, that are not drawn and have no gradient. */
  given?: Record<number, TypedArray>
  /** Values are drawn from [low, range); default -range and 2. */
  low?: number
  range?: number
  /** Whether it is run, with its gradient, as in a training step. */
  training?: true
}

export const text = (v: unknown) => JSON.stringify(v).replaceAll('"', '')

export type Row<O> = readonly [readonly number[], O, number?]

/** Samples of a layer with one input: [shape, options, batch]. */
export const layer =
  <O>(make: (options: O) => (x: Node) => Node, more: Partial<Sample> = {}) =>
  ([shape, options, batch = 1]: readonly [readonly number[], O, number?]): Sample => ({
    what: `${text(shape)} ${text(options)} batch ${batch}`,
    batch,
    node: make(options)(input(shape)),
    ...more,
  })
