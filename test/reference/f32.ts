// The slow, complete, readable definition of every op: plain loops in double precision, nothing shared with src or the kernels.
// Layouts are the graph's: images [height][width][channels], conv2d weights [oc][kh][kw][ic], depthwise [kh][kw][oc], dense
// [out][in]; what depends on an input has a leading axis of samples. The definitions are in files by family, which are put together
// here; near.ts says how far from them a kernel may be.

import type { Node } from '../../src/graph/node'
import type { OpName } from '../../src/ops'
import { together } from '../together'
import { conversions } from './conversions'
import type { Definition, Numbers } from './definition'
import { elementwise } from './elementwise'
import { losses } from './losses'
import { moves } from './moves'
import { moments, type Normalized, norms } from './norms'
import { products } from './products'
import { recurrent } from './recurrent'
import { sound } from './sound'
import { windows } from './windows'

export const reference: Record<OpName, Definition> = together(
  windows,
  products,
  norms,
  elementwise,
  moves,
  recurrent,
  conversions,
  losses,
  sound,
)

/** Ops that compute something else in a training step. */
const inTraining: Partial<Record<OpName, Definition>> = {
  batchNorm(node: Node<Normalized>, x, gamma, beta) {
    const c = gamma.length
    const columns = Array.from({ length: c }, (_, j) => moments(Array.from(x).filter((_, i) => i % c === j)))
    const [mean, variance] = [columns.map(([m]) => m), columns.map(([, v]) => v)]
    return reference.batchNorm(node as Node<never>, x, gamma, beta, mean, variance)
  },
}

/** A node's value from its inputs' values, in inference or in a training step. */
export const evaluate = (node: Node, inputs: readonly Numbers[], training = false): Float64Array =>
  ((training && inTraining[node.op as OpName]) || reference[node.op as OpName])(node as Node<never>, ...inputs)
