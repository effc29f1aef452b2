// Optimizers against the trajectories of torch.optim (test/fixtures/README.md), and what torch.optim has not, the L1 term,
// against the formula in double precision. The gradients are computed in the test in double precision, so that only the updates differ.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'vitest'
import { Random } from '../src/graph/random'
import { adam, type Optimizer, sgd } from '../src/train/optimizers'
import { Fenced } from './fenced'
import { type Build, builds, in_, inout } from './harness'
import { readNpy } from './npy'
import { expectNear, largest } from './reference/f32'

const folder = process.env.DUNLIN_CASES
  ? join(process.env.DUNLIN_CASES, 'optimizers')
  : join(import.meta.dirname, 'fixtures/optimizers')
const { optimizers } = JSON.parse(readFileSync(join(folder, 'manifest.json'), 'utf8')) as {
  optimizers: Record<string, Case>
}

interface Case {
  torch_class: string
  kwargs: { lr: number; weight_decay?: number; momentum?: number; nesterov?: boolean; betas?: [number, number]; eps?: number }
}

/**
 * Parameters after each of 20 steps may differ by this share of the largest: float32 rounds each step's parameters and moments to
 * 2^-24, and training on from a difference does not enlarge it much in this problem.
 */
const TOLERANCE = 1e-5

/** The optimizer of a case; undefined when it has an option or a class that ours have not. */
function optimizerOf({ torch_class, kwargs }: Case): Optimizer | undefined {
  const {
    lr,
    weight_decay: weightDecay = 0,
    momentum = 0,
    nesterov = false,
    betas = [0.9, 0.999],
    eps: epsilon = 1e-8,
    ...others
  } = kwargs
  if (Object.keys(others).length) return undefined
  if (torch_class === 'SGD') return sgd({ lr, weightDecay, momentum, nesterov })
  return torch_class === 'Adam' ? adam({ lr, weightDecay, beta1: betas[0], beta2: betas[1], epsilon }) : undefined
}

/** Parameters after each step, row 0 the first ones; `gradient` is asked before each step. */
function trajectory(
  build: Build,
  { lr, update, hyper }: Optimizer,
  first: Float32Array,
  steps: number,
  gradient: (w: Float32Array) => Float64Array,
): Float32Array[] {
  const rows = [first]
  const state = new Map<string, Float32Array>()
  for (let t = 1; t <= steps; t++) {
    const e = new Fenced(build, 1)
    const now = rows[t - 1]
    const w = e.place('w', inout(now))
    const g = e.place('g', in_(Float32Array.from(gradient(now))))
    const h = e.place('hyper', in_(Float32Array.from(hyper(t, lr))))
    const kept = new Map<string, ReturnType<Fenced['place']>>()
    update(e, {
      ...{ w, g, n: now.length, hyper: h },
      state: (name) => {
        const buffer = e.place(name, inout(state.get(name) ?? new Float32Array(now.length)))
        kept.set(name, buffer)
        return buffer
      },
    })
    e.check(`step ${t}`)
    for (const [name, buffer] of kept) state.set(name, e.read(buffer) as Float32Array)
    rows.push(e.read(w) as Float32Array)
  }
  return rows
}

/** Mean softmax cross entropy of w2 tanh(w1 x + b1) + b2; parameters in the order w1 [5][4], b1, w2 [3][5], b2. */
function problemGradient(p: ArrayLike<number>): Float64Array {
  const x = readNpy(join(folder, 'problem.X.npy')).data
  const labels = readNpy(join(folder, 'problem.Y.npy')).data
  const [w1, b1, w2, b2] = [0, 20, 25, 40]
  const g = new Float64Array(43)
  for (let n = 0; n < labels.length; n++) {
    const hidden = Array.from({ length: 5 }, (_, h) => {
      let sum = p[b1 + h]
      for (let i = 0; i < 4; i++) sum += p[w1 + h * 4 + i] * x[n * 4 + i]
      return Math.tanh(sum)
    })
    const e = Array.from({ length: 3 }, (_, c) => Math.exp(hidden.reduce((sum, h, i) => sum + p[w2 + c * 5 + i] * h, p[b2 + c])))
    const total = e[0] + e[1] + e[2]
    const dz = e.map((v, c) => (v / total - (labels[n] === c ? 1 : 0)) / labels.length)
    hidden.forEach((h, i) => {
      let dh = 0
      dz.forEach((d, c) => {
        g[w2 + c * 5 + i] += d * h
        dh += d * p[w2 + c * 5 + i]
      })
      const da = dh * (1 - h * h)
      g[b1 + i] += da
      for (let j = 0; j < 4; j++) g[w1 + i * 4 + j] += da * x[n * 4 + j]
    })
    dz.forEach((d, c) => {
      g[b2 + c] += d
    })
  }
  return g
}

const missing = Object.keys(optimizers).filter((name) => !optimizerOf(optimizers[name]))
it.skipIf(missing.length)(`has every optimizer of the cases; not yet: ${missing.join(', ')}`, () => {})

describe.each(builds)('$name', (build) => {
  for (const [name, of] of Object.entries(optimizers)) {
    const optimizer = optimizerOf(of)
    if (!optimizer) continue
    it(`${name} goes the way of torch.optim`, () => {
      const { shape, data } = readNpy(join(folder, `${name}.params.npy`))
      const want = Array.from({ length: shape[0] }, (_, t) => data.subarray(t * shape[1], (t + 1) * shape[1]))
      const got = trajectory(build, optimizer, Float32Array.from(want[0]), shape[0] - 1, problemGradient)
      got.forEach((w, t) => {
        expectNear(w, want[t], TOLERANCE * largest(want[t]), `${name}, after step ${t}`)
      })
    })
  }

  // Lengths round the vectors of 4, a parameter that is exactly 0 (no L1 pull), gradients that are the parameters' own.
  const seed = 11
  const [l1, weightDecay, lr] = [0.05, 0.01, 0.1]
  const first = (n: number) => {
    const random = new Random(seed, n)
    return Float32Array.from({ length: n }, (_, i) => (i % 5 === 3 ? 0 : random.uniform(-2, 2)))
  }
  const gradient = (w: ArrayLike<number>) => Float64Array.from(w, (v, i) => 0.3 * v + 0.1 * (i % 3))
  const regularized = (w: Float64Array) => gradient(w).map((g, i) => g + weightDecay * w[i] + l1 * Math.sign(w[i]))
  const lengths = [1, 3, 4, 5, 8, 11]

  it.each(lengths)('sgd with Nesterov, L1 and L2 on %d parameters is its formula', (n) => {
    const momentum = 0.9
    const w = Float64Array.from(first(n))
    const v = new Float64Array(n)
    const got = trajectory(build, sgd({ lr, momentum, nesterov: true, l1, weightDecay }), first(n), 5, gradient)
    for (let t = 1; t <= 5; t++) {
      regularized(w).forEach((g, i) => {
        v[i] = momentum * v[i] + g
        w[i] -= lr * (g + momentum * v[i])
      })
      expectNear(got[t], w, TOLERANCE * largest(w), `step ${t} (seed ${seed})`)
    }
  })

  it.each(lengths)('adam with L1 and L2 on %d parameters is its formula', (n) => {
    const [b1, b2, epsilon] = [0.8, 0.99, 1e-6]
    const w = Float64Array.from(first(n))
    const m = new Float64Array(n)
    const v = new Float64Array(n)
    const got = trajectory(build, adam({ lr, beta1: b1, beta2: b2, epsilon, l1, weightDecay }), first(n), 5, gradient)
    for (let t = 1; t <= 5; t++) {
      regularized(w).forEach((g, i) => {
        m[i] = b1 * m[i] + (1 - b1) * g
        v[i] = b2 * v[i] + (1 - b2) * g * g
        w[i] -= (lr * m[i]) / (1 - b1 ** t) / (Math.sqrt(v[i] / (1 - b2 ** t)) + epsilon)
      })
      expectNear(got[t], w, TOLERANCE * largest(w), `step ${t} (seed ${seed})`)
    }
  })
})
