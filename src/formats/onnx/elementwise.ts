// ONNX ops on single elements, each under its own name: activations, arithmetic, casts.

import type { Layer, Node } from '../../graph/node'
import * as activation from '../../ops/activation'
import { add, div, mul, sub } from '../../ops/add'
import { round } from '../../ops/round'
import type { Call } from './call'
import { count, type ElementType, isInteger, tensorOf, typeOf } from './tensor'
import { alike, dimsOf, type Traced, type Value } from './value'

export type Rule = (c: Call) => Value | readonly (Value | undefined)[]

const unary =
  (of: (c: Call, x: Node) => Node): Rule =>
  (c) => {
    const x = c.x(0)
    return alike(x, of(c, x.node))
  }
const layer = (make: () => Layer): Rule => unary((_, x) => make()(x))

const pairs =
  (op: () => (a: Node, b: Node) => Node): Rule =>
  (c) =>
    c.pairwise(c.x(0, 'A'), c.x(1, 'B'), op())

/** Any number of values, two and two. */
const variadic =
  (op: () => (a: Node, b: Node) => Node, after: (c: Call, y: Traced) => Traced = (_, y) => y): Rule =>
  (c) => {
    let y = c.x(0)
    for (let i = 1; i < c.inputs.length; i++) y = c.pairwise(y, c.x(i), op())
    return after(c, y)
  }

/** The larger of two, as b + relu(a - b): what rounding that has is below one of b. With a number it is a clamp. */
const extreme =
  (which: 'max' | 'min'): Rule =>
  (c) => {
    const all = c.inputs.map((_, i) => c.value(i, 'X'))
    const numbers = all.flatMap((v) => (v.kind === 'tensor' && count(v.dims) === 1 ? [v.data[0]] : []))
    const [first, ...others] = all.flatMap((v, i) => (v.kind === 'tensor' && count(v.dims) === 1 ? [] : [c.x(i)]))
    let y = first
    for (const x of others) {
      const [a, b] = which === 'max' ? [y, x] : [x, y]
      const more = c.pairwise(a, b, sub())
      y = c.pairwise(which === 'max' ? b : x, alike(more, activation.relu()(more.node)), which === 'max' ? add() : sub())
    }
    if (!numbers.length) return y
    const limit = which === 'max' ? { low: Math.max(...numbers) } : { high: Math.min(...numbers) }
    return alike(y, activation.clip(limit)(y.node))
  }

export const ELEMENTWISE: Record<string, Rule> = {
  Relu: layer(activation.relu),
  Sigmoid: layer(activation.sigmoid),
  Tanh: layer(activation.tanh),
  HardSwish: layer(activation.hardSwish),
  Softplus: layer(activation.softplus),
  Mish: layer(activation.mish),
  Exp: layer(activation.exp),
  Log: layer(activation.log),
  Sqrt: layer(activation.sqrt),
  Erf: layer(activation.erf),
  Floor: layer(() => round({ mode: 'down' })),
  Ceil: layer(() => round({ mode: 'up' })),
  Round: layer(() => round()),
  Neg: unary((c, x) => c.times(x, -1)),
  Abs: unary((_, x) => activation.leakyRelu({ alpha: -1 })(x)),
  Reciprocal: unary((c, x) => c.reciprocal(x)),
  LeakyRelu: unary((c, x) => activation.leakyRelu({ alpha: c.float('alpha', 0.01) })(x)),
  Elu: unary((c, x) => activation.elu({ alpha: c.float('alpha', 1) })(x)),
  Selu: unary((c, x) => {
    const [alpha, gamma] = [c.float('alpha', 1.6732631921768188), c.float('gamma', 1.0507010221481323)]
    return c.times(activation.elu({ alpha })(x), gamma)
  }),
  // alpha (e^(x / alpha) - 1) below 0: an elu of x / alpha, times alpha.
  Celu: unary((c, x) => {
    const alpha = c.float('alpha', 1)
    return c.times(activation.elu()(c.over(x, alpha)), alpha)
  }),
  HardSigmoid: unary((c, x) => {
    const [alpha, beta] = [c.float('alpha', 0.2), c.float('beta', 0.5)]
    if (alpha === Math.fround(1 / 6) && beta === 0.5) return activation.hardSigmoid()(x)
    return activation.clip({ low: 0, high: 1 })(c.plus(c.times(x, alpha), beta))
  }),
  Gelu: unary((c, x) => {
    if (c.string('approximate', 'none') === 'tanh') return activation.gelu()(x)
    return c.times(mul()(x, c.plus(activation.erf()(c.times(x, Math.SQRT1_2)), 1)), 0.5)
  }),
  Clip(c) {
    const x = c.x(0)
    const limit = (i: number, name: string) => {
      if (c.opset < 11) return c.has(name) ? c.float(name, 0) : undefined
      return c.optional(i, name)?.data[0]
    }
    const [low, high] = [limit(1, 'min'), limit(2, 'max')]
    if (low === 0 && high === undefined) return alike(x, activation.relu()(x.node))
    if (low === 0 && high === 6) return alike(x, activation.relu6()(x.node))
    return alike(x, activation.clip({ low, high })(x.node))
  },
  PRelu(c) {
    const [x, slope] = [c.x(0), c.x(1, 'slope')]
    // max(x, 0) + slope min(x, 0): each exact where the other is 0.
    const below = c.pairwise(alike(x, activation.clip({ high: 0 })(x.node)), slope, mul())
    return c.pairwise(alike(x, activation.relu()(x.node)), below, add())
  },

  Add: pairs(add),
  Sub: pairs(sub),
  Mul: pairs(mul),
  Div(c) {
    const [a, b] = [c.x(0, 'A'), c.x(1, 'B')]
    const y = c.pairwise(a, b, div())
    // Integers are divided towards 0.
    return isInteger(a.type) ? alike(y, round({ mode: 'towardsZero' })(y.node), a.type) : y
  },
  Pow(c) {
    const x = c.x(0)
    const exponent = c.constant(1, 'exponent')
    if (count(exponent.dims) !== 1) return c.fail(`has an exponent of shape [${exponent.dims}]; a single number is supported`)
    const n = exponent.data[0]
    if (n === 0.5) return alike(x, activation.sqrt()(x.node))
    if (n === 1) return x
    if (!Number.isInteger(n) || n < 1 || n > 8) return c.fail(`has the exponent ${n}; 0.5 and integers from 1 to 8 are supported`)
    let y = x.node
    for (let i = 1; i < n; i++) y = mul()(y, x.node)
    return alike(x, y)
  },
  Sum: variadic(add),
  Mean: variadic(add, (c, y) => alike(y, c.over(y.node, c.inputs.length))),
  Max: extreme('max'),
  Min: extreme('min'),

  Identity: (c) => c.value(0, 'input'),
  Dropout(c) {
    const ratio = c.opset >= 12 && c.optional(2, 'training_mode')?.data[0] ? (c.optional(1, 'ratio')?.data[0] ?? 0.5) : 0
    if (ratio !== 0)
      return c.fail(`drops ${ratio} of its values at random, as training_mode is 1. Export with training_mode 0, or with ratio 0`)
    const data = c.value(0, 'data')
    if (!c.wants(1)) return data
    // What is kept: all of it. Known, but for an output of the file, which is to be computed.
    if (data.kind === 'tensor' || !c.scope.leaves(c.proto.output[1])) {
      const dims = dimsOf(data)
      return [data, tensorOf(dims, new Uint8Array(count(dims)).fill(1), 'bool')]
    }
    const x = c.x(0)
    return [data, alike(x, activation.clip({ low: 1, high: 1 })(x.node), 'bool')]
  },
  Cast(c) {
    const to = typeOf(c.int('to', 1))
    const x = c.value(0, 'input')
    if (!to) return c.fail(`to type ${c.int('to', 1)} is not supported`)
    return cast(c, x.kind === 'traced' ? x : c.x(0), to)
  },
}

function cast(c: Call, x: Traced, to: ElementType): Value {
  // All floats are computed in float32, float16 more exactly than the file says. Of bfloat16 that would be another number: it has 8 bits.
  const isFloat = (type: ElementType) => !isInteger(type)
  if (to === 'bfloat16' && x.type !== to && isFloat(x.type))
    return c.fail(`from ${x.type} to ${to}: values are computed in float32, so that no rounding to ${to} is done`)
  if (to === 'bool') return c.fail('to bool is not supported of computed values')
  return isFloat(to) || !isFloat(x.type) ? alike(x, x.node, to) : alike(x, round({ mode: 'towardsZero' })(x.node), to)
}
