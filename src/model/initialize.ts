// First values of parameters, drawn from the model's seed. Only + - * / and the square root: the same bits on every engine.

import { type Initializer, type Param, type ScaledDraw, size } from '../graph/node'
import type { Random } from '../graph/random'

/** Gives a parameter that has no values yet those that its initializer says. */
export function initialize(param: Param, random: Random): void {
  const { init } = param.attrs
  if (!param.data.length && init) param.data = draw(init, size(param.shape), random)
}

function draw(init: Initializer, count: number, random: Random): Float32Array {
  const data = new Float32Array(count)
  switch (init.kind) {
    case 'zeros':
      return data
    case 'ones':
      return data.fill(1)
    case 'constant':
      return data.fill(init.value)
    case 'orthogonal':
      return orthogonal(data, init.rows, random)
  }
  const fan = FANS[init.kind](init)
  if (init.kind.endsWith('Normal')) {
    const std = Math.sqrt(2 / fan)
    for (let i = 0; i < count; i++) data[i] = std * random.normal()
  } else {
    // A uniform in [-a, a] has variance a^2 / 3.
    const a = Math.sqrt(6 / fan)
    for (let i = 0; i < count; i++) data[i] = random.uniform(-a, a)
  }
  return data
}

/** The variance is 2 by this: He et al., 2015; Glorot and Bengio, 2010; LeCun et al., "Efficient BackProp", 1998. */
const FANS: Record<ScaledDraw, (fans: { fanIn: number; fanOut: number }) => number> = {
  heUniform: ({ fanIn }) => fanIn,
  heNormal: ({ fanIn }) => fanIn,
  glorotUniform: ({ fanIn, fanOut }) => fanIn + fanOut,
  glorotNormal: ({ fanIn, fanOut }) => fanIn + fanOut,
  lecunUniform: ({ fanIn }) => 2 * fanIn,
  lecunNormal: ({ fanIn }) => 2 * fanIn,
}

/**
 * A matrix [rows][columns] whose rows, or columns if these are fewer, are orthonormal (Saxe et al., 2014): normal vectors, each made
 * orthogonal to those before it (Gram and Schmidt), which draws all such matrices alike.
 */
function orthogonal(data: Float32Array, rows: number, random: Random): Float32Array {
  const columns = data.length / rows
  const [count, length] = [Math.min(rows, columns), Math.max(rows, columns)]
  const vectors: Float64Array[] = []
  while (vectors.length < count) {
    const v = Float64Array.from({ length }, () => random.normal())
    const before = norm(v)
    // Twice: what the first round leaves by rounding, the second takes away (Kahan and Parlett: "twice is enough").
    for (const other of [...vectors, ...vectors]) {
      let dot = 0
      for (let i = 0; i < length; i++) dot += v[i] * other[i]
      for (let i = 0; i < length; i++) v[i] -= dot * other[i]
    }
    const after = norm(v)
    // One that all but lies in the span of the others would keep nothing but rounding errors.
    if (!(after > 1e-8 * before)) continue
    vectors.push(v.map((x) => x / after))
  }
  const [across, down] = rows <= columns ? [columns, 1] : [1, columns]
  vectors.forEach((v, i) => {
    for (let j = 0; j < length; j++) data[i * across + j * down] = v[j]
  })
  return data
}

const norm = (v: Float64Array): number => {
  let sum = 0
  for (const x of v) sum += x * x
  return Math.sqrt(sum)
}
