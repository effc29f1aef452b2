// Optimizers against the trajectories of torch.optim (test/fixtures/README.md), and what torch.optim has not, the L1 term,
// against the formula in double precision. The gradients are computed in the test in double precision, so that only the updates differ.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { Random } from '../src/graph/random'
import {
  adagrad,
  adam,
  adamW,
  nadam,
  type Optimizer,
  type OptimizerOptions,
  type ParameterGroup,
  radam,
  rmsprop,
  sgd,
} from '../src/train/optimizers'
import { Fenced } from './fenced'
import { type Build, builds, in_, inout } from './harness'
import { readNpy } from './npy'
import { EPSILON, expectNear, largest } from './reference/near'

const folder = process.env.DUNLIN_CASES
  ? join(process.env.DUNLIN_CASES, 'optimizers')
  : join(import.meta.dirname, 'fixtures/optimizers')
const { optimizers } = JSON.parse(readFileSync(join(folder, 'manifest.json'), 'utf8')) as {
  optimizers: Record<string, Case>
}

interface Case {
  torch_class: string
  /** In torch's words; what is left out has the same default there and here. */
  kwargs: Record<string, unknown>
}

/**
 * Parameters after each of 20 steps may differ by this share of the largest: float32 rounds each step's parameters and moments to
 * 2^-24, and training on from a difference does not enlarge it much in this problem.
 */
const TOLERANCE = 1e-5

/** The optimizer of a case; undefined when it has an option or a class that ours have not. */
function optimizerOf({ torch_class, kwargs }: Case): Optimizer | undefined {
  const make = Object.hasOwn(CLASSES, torch_class) && CLASSES[torch_class]
  if (!make) return undefined
  const known = Object.entries(kwargs).map(([name, value]): [string, unknown][] | undefined => {
    if (name === 'betas') return ['beta1', 'beta2'].map((beta, i) => [beta, (value as number[])[i]])
    return Object.hasOwn(OPTIONS, name) ? [[OPTIONS[name], value]] : undefined
  })
  return known.includes(undefined) ? undefined : make(Object.fromEntries(known.flatMap((pairs) => pairs ?? [])))
}

const CLASSES: Record<string, (options: object) => Optimizer> = {
  ...{ SGD: sgd, Adam: adam, AdamW: adamW, NAdam: nadam113, RAdam: radam, RMSprop: rmsprop, Adagrad: adagrad },
}

/**
 * The case of NAdam has a mistake of PyTorch 1.13, repaired in 2.0 (pytorch/pytorch#92699): it multiplies the product of the momentums
 * up to the next step by this step's momentum twice. Ours is the right one (its formula is tested below); here it makes the mistake.
 */
function nadam113(options: { beta1?: number }): Optimizer {
  const ours = nadam(options)
  const mu = (t: number) => (options.beta1 ?? 0.9) * (1 - 0.5 * 0.96 ** (0.004 * t))
  const product = (t: number): number => (t ? mu(t) * product(t - 1) : 1)
  return {
    ...ours,
    hyper(t, lr) {
      const [rate, a, ...rest] = ours.hyper(t, lr)
      return [rate, (a * (1 - product(t + 1))) / (1 - product(t + 1) * mu(t)), ...rest]
    },
  }
}

/** Ours for torch's words. */
const OPTIONS: Record<string, string> = {
  ...{ lr: 'lr', momentum: 'momentum', nesterov: 'nesterov', dampening: 'dampening', amsgrad: 'amsgrad', centered: 'centered' },
  ...{ weight_decay: 'weightDecay', eps: 'epsilon', alpha: 'decay' },
}

/** Parameters after each step, row 0 the first ones; `gradient` is asked before each step. */
function trajectory(
  build: Build,
  { lr, update, hyper }: Optimizer,
  first: Float32Array,
  steps: number,
  gradient: (w: Float32Array) => Float64Array,
  name = 'w',
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
    const place = (name: string) => {
      const buffer = e.place(name, inout(state.get(name) ?? new Float32Array(now.length)))
      kept.set(name, buffer)
      return buffer
    }
    update(e, [{ name, w, g, n: now.length, state: place }], h)
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
  const lengths = [1, 3, 4, 5, 8, 11]

  for (const { what, optimizer, update } of formulas({ lr, l1, weightDecay })) {
    it.each(lengths)(`${what} is its formula, on %d parameters`, (n) => {
      const w = Float64Array.from(first(n))
      const kept = Array.from(w, () => [0, 0, 0])
      const got = trajectory(build, optimizer, first(n), 8, gradient)
      for (let t = 1; t <= 8; t++) {
        gradient(w).forEach((g, i) => {
          w[i] = update(t, w[i], g, kept[i])
        })
        expectNear(got[t], w, TOLERANCE * largest(w), `step ${t} (seed ${seed})`)
      }
    })
  }

  describe('clipping', () => {
    /** Gradients as an optimizer with lr 1 and nothing else takes them off. */
    function clipped(options: OptimizerOptions, gradients: Float32Array[]): Float32Array[] {
      const e = new Fenced(build, 1)
      const { update, hyper } = sgd({ lr: 1, ...options })
      const params = gradients.map((data, i) => {
        const [w, g] = [e.place(`w${i}`, inout(new Float32Array(data.length))), e.place(`g${i}`, inout(data))]
        return { name: `layer${i}/w`, w, g, n: data.length, state: (name: string) => e.state(name, data.length) }
      })
      update(e, params, e.place('hyper', in_(Float32Array.from(hyper(1, 1)))))
      e.check('update')
      return params.map(({ w }) => (e.read(w) as Float32Array).map((v) => -v))
    }
    const random = new Random(seed, 99)
    const gradients = [1, 3, 4, 7, 16, 33].map((n) => Float32Array.from({ length: n }, () => random.uniform(-3, 3)))
    const norm = Math.sqrt(gradients.flatMap((g) => [...g]).reduce((sum, v) => sum + v * v, 0))

    it('by value clamps every element', () => {
      const got = clipped({ clipValue: 1.25 }, gradients)
      expect(got).toEqual(gradients.map((g) => g.map((v) => Math.max(-1.25, Math.min(1.25, v)))))
    })

    it('by norm scales all gradients by one factor, to the norm of all together', () => {
      for (const limit of [0.01, 1, norm * 0.999]) {
        const got = clipped({ clipNorm: limit }, gradients)
        for (const [i, g] of got.entries()) {
          const want = Float64Array.from(gradients[i], (v) => (v * limit) / norm)
          expectNear(
            g,
            want,
            want.map((v) => 4 * EPSILON * Math.abs(v)),
            `gradient ${i}, limit ${limit}`,
          )
        }
      }
    })

    it('by norm leaves smaller gradients as they are, bit for bit, and zeros', () => {
      expect(clipped({ clipNorm: norm * 1.001 }, gradients)).toEqual(gradients)
      const zeros = gradients.map((g) => new Float32Array(g.length))
      expect(clipped({ clipNorm: 1 }, zeros).every((g) => g.every((v) => v === 0))).toBe(true)
    })

    it('by value comes before by norm', () => {
      const [got] = clipped({ clipValue: 3, clipNorm: 2.5 }, [Float32Array.of(100, -4)])
      expectNear(got, [2.5 * Math.SQRT1_2, -2.5 * Math.SQRT1_2], 1e-6, 'a gradient of 100 and -4')
    })

    it('shows a gradient that is not finite, and squares that a float32 does not hold', () => {
      for (const bad of [NaN, Infinity]) {
        const [got] = clipped({ clipNorm: 1 }, [Float32Array.of(bad, 1)])
        expect(got.some(Number.isNaN), `${bad}`).toBe(true)
      }
      const [got] = clipped({ clipNorm: 5 }, [Float32Array.of(3e30, 4e30)])
      expectNear(got, [3, 4], 1e-5, 'a gradient of norm 5e30')
    })

    it('does not count the gradients of parameters that stay as they are', () => {
      const groups = [{ match: (name: string) => name === 'layer1/w', lr: 0 }]
      const got = clipped({ clipNorm: 5, groups }, [Float32Array.of(3, 4), Float32Array.of(1e6)])
      expect(got).toEqual([Float32Array.of(3, 4), Float32Array.of(-0)])
    })
  })

  it('groups have factors of their own on learning rate, decay and L1; the first that matches counts', () => {
    const groups: ParameterGroup[] = [
      { match: (name) => name.endsWith('/b'), weightDecay: 0, l1: 0 },
      { match: (name) => name.startsWith('head/'), lr: 0.1, l1: 2 },
      { match: () => true, weightDecay: 3 },
    ]
    const w = first(5)
    const settings = { 'conv/b': [1, 0, 0], 'head/w': [0.1, 1, 2], 'conv/w': [1, 3, 1] }
    for (const make of [sgd, adam, adamW, nadam, radam, rmsprop, adagrad])
      for (const [name, [rate, onDecay, onL1]] of Object.entries(settings)) {
        const own = make({ lr: lr * rate, weightDecay: weightDecay * onDecay, l1: l1 * onL1 })
        const of = make({ lr, weightDecay, l1, groups })
        const [got, want] = [of, own].map((optimizer) => trajectory(build, optimizer, w, 3, gradient, name)[3])
        expectNear(got, want, 8 * EPSILON * largest(w), `${make.name}, ${name}`)
      }
  })
})

const [scalar, simd] = ['scalar', 'simd'].map((name) => builds.find((b) => b.name === name))

it.skipIf(!scalar || !simd)('scalar = simd, bit for bit', () => {
  const random = new Random(21)
  const first = Float32Array.from({ length: 43 }, () => random.uniform(-1, 1))
  for (const { what, optimizer } of formulas({ lr: 0.1, l1: 0.05, weightDecay: 0.01, clipValue: 0.4, clipNorm: 1 })) {
    const [a, b] = [scalar, simd].map((build) => trajectory(build!, optimizer, first, 5, problemGradient))
    expect(b, what).toEqual(a)
  }
})

it('options that make no sense are refused, with what is wanted', () => {
  const message = (make: () => Optimizer) => {
    try {
      make()
    } catch (error) {
      return (error as Error).message
    }
  }
  expect([
    message(() => adamW({ clipNorm: 0 })),
    message(() => rmsprop({ clipValue: -1 })),
    message(() => rmsprop({ decay: 1 })),
    message(() => adagrad({ epsilon: -1 })),
    message(() => sgd({ momentum: 0.9, nesterov: true, dampening: 0.1 })),
    message(() => radam({ groups: [{ match: () => true, lr: -1 }] })),
    message(() => nadam({ l1: Number.NaN })),
  ]).toMatchInlineSnapshot(`
    [
      "adamW: clipNorm wants a number above 0, got 0.",
      "rmsprop: clipValue wants a number above 0, got -1.",
      "rmsprop: decay wants a number in [0, 1), got 1.",
      "adagrad: epsilon wants a number from 0 on, got -1.",
      "sgd: nesterov wants no dampening, got 0.1. Leave one of them out.",
      "radam: a group: lr wants a number from 0 on, got -1.",
      "nadam: l1 wants a number from 0 on, got NaN.",
    ]
  `)
  expect(adam({ lr: undefined }).lr).toBe(1e-3)
})

interface Formula {
  what: string
  optimizer: Optimizer
  /** The weight after step t, from the weight, the gradient and three numbers that are kept, zeros at first. */
  update: (t: number, w: number, g: number, kept: number[]) => number
}

/** Every optimizer in plain numbers, with options that the cases of torch have not. */
function formulas(options: OptimizerOptions & { lr: number; l1: number; weightDecay: number }): Formula[] {
  const { lr, l1, weightDecay } = options
  const pulled = (w: number, g: number) => g + weightDecay * w + l1 * Math.sign(w)
  const [beta1, beta2, epsilon] = [0.8, 0.99, 1e-6]
  const betas = { beta1, beta2, epsilon }
  const moments = (g: number, kept: number[]) => {
    kept[0] = beta1 * kept[0] + (1 - beta1) * g
    kept[1] = beta2 * kept[1] + (1 - beta2) * g * g
    return kept
  }
  const adamStep = (t: number, g: number, kept: number[]) => {
    const [m, v] = moments(g, kept)
    return (lr * m) / (1 - beta1 ** t) / (Math.sqrt(v / (1 - beta2 ** t)) + epsilon)
  }
  const mu = (t: number) => beta1 * (1 - 0.5 * 0.96 ** (0.004 * t))
  const product = (t: number): number => (t ? mu(t) * product(t - 1) : 1)
  return [
    {
      what: "sgd with Nesterov's momentum",
      optimizer: sgd({ ...options, momentum: 0.9, nesterov: true }),
      update(_, w, g, kept) {
        kept[0] = 0.9 * kept[0] + pulled(w, g)
        return w - lr * (pulled(w, g) + 0.9 * kept[0])
      },
    },
    {
      what: 'sgd with dampened momentum',
      optimizer: sgd({ ...options, momentum: 0.8, dampening: 0.3 }),
      update(t, w, g, kept) {
        kept[0] = 0.8 * kept[0] + (t === 1 ? 1 : 0.7) * pulled(w, g)
        return w - lr * kept[0]
      },
    },
    { what: 'sgd without momentum', optimizer: sgd(options), update: (_, w, g) => w - lr * pulled(w, g) },
    {
      what: 'adam',
      optimizer: adam({ ...options, ...betas }),
      update: (t, w, g, kept) => w - adamStep(t, pulled(w, g), kept),
    },
    {
      what: 'adamW',
      optimizer: adamW({ ...options, ...betas }),
      update: (t, w, g, kept) => w * (1 - lr * weightDecay) - adamStep(t, g + l1 * Math.sign(w), kept),
    },
    {
      what: 'adam with amsgrad',
      optimizer: adam({ ...options, ...betas, amsgrad: true }),
      update(t, w, g, kept) {
        const [m, v, top] = moments(pulled(w, g), kept)
        kept[2] = Math.max(top, v)
        return w - (lr * m) / (1 - beta1 ** t) / (Math.sqrt(kept[2] / (1 - beta2 ** t)) + epsilon)
      },
    },
    {
      what: 'nadam',
      optimizer: nadam({ ...options, ...betas }),
      update(t, w, g, kept) {
        const gi = pulled(w, g)
        const [m, v] = moments(gi, kept)
        const direction = (mu(t + 1) * m) / (1 - product(t + 1)) + ((1 - mu(t)) * gi) / (1 - product(t))
        return w - (lr * direction) / (Math.sqrt(v / (1 - beta2 ** t)) + epsilon)
      },
    },
    {
      what: 'radam',
      optimizer: radam({ ...options, ...betas }),
      update(t, w, g, kept) {
        const [m, v] = moments(pulled(w, g), kept)
        const most = 2 / (1 - beta2) - 1
        const length = most - (2 * t * beta2 ** t) / (1 - beta2 ** t)
        const mean = (lr * m) / (1 - beta1 ** t)
        if (length <= 5) return w - mean
        const rectified = Math.sqrt(((length - 4) * (length - 2) * most) / ((most - 4) * (most - 2) * length))
        return w - (mean * rectified * Math.sqrt(1 - beta2 ** t)) / (Math.sqrt(v) + epsilon)
      },
    },
    {
      what: 'rmsprop, centered, with momentum',
      optimizer: rmsprop({ ...options, decay: 0.9, momentum: 0.7, centered: true, epsilon: 1e-4 }),
      update(_, w, g, kept) {
        const gi = pulled(w, g)
        kept[0] = 0.9 * kept[0] + 0.1 * gi * gi
        kept[1] = 0.9 * kept[1] + 0.1 * gi
        kept[2] = 0.7 * kept[2] + gi / (Math.sqrt(kept[0] - kept[1] ** 2) + 1e-4)
        return w - lr * kept[2]
      },
    },
    {
      what: 'rmsprop',
      optimizer: rmsprop({ ...options, decay: 0.9, epsilon }),
      update(_, w, g, kept) {
        const gi = pulled(w, g)
        kept[0] = 0.9 * kept[0] + 0.1 * gi * gi
        return w - (lr * gi) / (Math.sqrt(kept[0]) + epsilon)
      },
    },
    {
      what: 'adagrad',
      optimizer: adagrad(options),
      update(_, w, g, kept) {
        kept[0] += pulled(w, g) ** 2
        return w - (lr * pulled(w, g)) / (Math.sqrt(kept[0]) + 1e-10)
      },
    },
  ]
}
