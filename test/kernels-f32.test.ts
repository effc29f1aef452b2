// The f32 kernels one by one, on fenced buffers, at every ragged size round their tiles and vectors. Matrix products, packing and
// the small kernels have their float64 definition here; convolutions and pools, drawn at random, have it in reference/windows.ts.
// The bound of a sum of k terms is (k + roundings) * EPSILON * sum of |terms|: the sum, the product, bias and clamp.
import { describe, expect, it } from 'vitest'
import { input, type Node, size, type TypedArray } from '../src/graph/node'
import { Random } from '../src/graph/random'
import { conv2d } from '../src/ops/conv2d'
import { depthwiseConv2d } from '../src/ops/depthwiseConv2d'
import type { KernelName } from '../src/ops/op'
import { avgPool2d, maxPool2d } from '../src/ops/pool2d'
import { type WindowAttrs, windowOf } from '../src/ops/window'
import { Fenced, runNode } from './fenced'
import { builds, in_, inout, out, run, scratch } from './harness'
import type { Numbers } from './reference/definition'
import { evaluate, reference } from './reference/f32'
import { EPSILON, expectNear } from './reference/near'

const ROUNDINGS = 4
/** Roundings of what goes through exp or log (2^-22 each, four roundings), a sum of them and a quotient. */
const EXP_ROUNDINGS = 32

const floats = (random: Random, n: number, range = 1) => Float32Array.from({ length: n }, () => random.uniform(-range, range))
const between = (random: Random, from: number, to: number) => from + random.integer(to - from + 1)
const clamp = (v: number, lo: number, hi: number) => Math.min(Math.max(v, lo), hi)

/** Packed panels: 8 biases, then k rows of 8 weights; zeros past n. `weight(j, i)` is column j, row i. */
function packed(n: number, k: number, weight: (j: number, i: number) => number, bias?: Numbers): Float32Array {
  const panels = Math.ceil(n / 8)
  return Float32Array.from({ length: panels * 8 * (k + 1) }, (_, at) => {
    const panel = Math.floor(at / (8 * (k + 1)))
    const row = Math.floor((at % (8 * (k + 1))) / 8) - 1
    const j = panel * 8 + (at % 8)
    if (j >= n) return 0
    return row < 0 ? (bias?.[j] ?? 0) : weight(j, row)
  })
}

const SIZES = {
  m: [1, 2, 3, 4, 5, 6, 7, 8, 9],
  n: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 31, 32, 33, 70],
  k: [1, 2, 7, 33],
}

describe.each(builds)('$name', (build) => {
  /** Calls a kernel whose y is its x. */
  function inPlace(kernel: KernelName, data: Float32Array, ...numbers: number[]): TypedArray {
    const e = new Fenced(build, 1)
    const x = e.place('x', inout(data))
    e.call(kernel, x, x, ...numbers)
    e.check(`${kernel} in place`)
    return e.read(x)
  }

  describe('gemm_f32', () => {
    /** Every m, n, k; `gap` columns lie between the rows of c. */
    function products(seed: number, { transposed = false, add = false, lo = -Infinity, hi = Infinity, gap = 0 }) {
      const random = new Random(seed)
      for (const m of SIZES.m)
        for (const n of SIZES.n)
          for (const k of SIZES.k) {
            const a = floats(random, m * k)
            const w = floats(random, n * k)
            const bias = floats(random, n)
            const ldc = n + gap
            const before = floats(random, m * ldc)
            const [am, ak] = transposed ? [1, m] : [k, 1]
            const b = packed(n, k, (j, i) => w[j * k + i], bias)
            const [c] = run(build, 'gemm_f32', [in_(a), in_(b), inout(before), m, n, k, am, ak, ldc, lo, hi, add ? 1 : 0])
            const want = Float64Array.from(before)
            const bound = new Float64Array(before.length)
            for (let i = 0; i < m; i++)
              for (let j = 0; j < n; j++) {
                let [sum, magnitude] = [bias[j], Math.abs(bias[j])]
                for (let q = 0; q < k; q++) {
                  const term = a[i * am + q * ak] * w[j * k + q]
                  sum += term
                  magnitude += Math.abs(term)
                }
                const at = i * ldc + j
                want[at] = clamp(sum, lo, hi) + (add ? before[at] : 0)
                bound[at] = (k + ROUNDINGS) * EPSILON * (magnitude + (add ? Math.abs(before[at]) : 0))
              }
            expectNear(c, want, bound, `m ${m} n ${n} k ${k} (seed ${seed})`)
          }
    }
    it('multiplies', () => products(1, {}))
    it('reads a transposed a', () => products(2, { transposed: true }))
    it('adds to c', () => products(3, { add: true }))
    it('clamps', () => products(4, { lo: -0.5, hi: 0.25 }))
    it('clamps what it adds, from a transposed a, and leaves what lies between the rows of c', () =>
      products(5, { transposed: true, add: true, lo: 0, gap: 3 }))
  })

  it('pack_f32: panels of 8 columns with their biases, from any strides, with or without bias', () => {
    const random = new Random(6)
    for (const n of SIZES.n)
      for (const k of SIZES.k) {
        const w = floats(random, n * k)
        const bias = floats(random, n)
        const length = Math.ceil(n / 8) * 8 * (k + 1)
        const rows = run(build, 'pack_f32', [in_(w), in_(bias), out('f32', length), n, k, k, 1])
        expect(rows, `n ${n} k ${k}`).toEqual([packed(n, k, (j, i) => w[j * k + i], bias)])
        const columns = run(build, 'pack_f32', [in_(w), 0, out('f32', length), n, k, 1, n])
        expect(columns, `n ${n} k ${k}, by columns`).toEqual([packed(n, k, (j, i) => w[i * n + j])])
      }
  })

  it('conv2d_f32_dx_pack: flipped, channels exchanged, with or without bias', () => {
    const random = new Random(7)
    for (const [oc, kh, kw, ic] of [
      [1, 1, 1, 1],
      [3, 2, 3, 5],
      [8, 3, 3, 8],
      [2, 1, 4, 17],
      [9, 3, 1, 7],
    ]) {
      const taps = kh * kw
      const w = floats(random, oc * taps * ic)
      const length = Math.ceil(ic / 8) * 8 * (taps * oc + 1)
      const flipped = (j: number, i: number) => w[((i % oc) * taps + taps - 1 - Math.floor(i / oc)) * ic + j]
      for (const bias of [undefined, floats(random, ic)]) {
        const got = run(build, 'conv2d_f32_dx_pack', [
          in_(w),
          bias ? in_(bias) : 0,
          out('f32', length),
          oc,
          kh,
          kw,
          ic,
          1,
          1,
          1,
          1,
        ])
        expect(got, `${[oc, kh, kw, ic]}`).toEqual([packed(ic, taps * oc, flipped, bias)])
      }
    }
  })

  describe('windows drawn at random', () => {
    /** 60 layers of `make` that fit their image, from `seed` on. */
    function draw(
      seed: number,
      make: (random: Random, image: readonly number[], window: WindowAttrs) => Node,
      check: (node: Node, random: Random, what: string) => void,
    ) {
      for (let s = seed; s < seed + 60; s++) {
        const random = new Random(s)
        const image = [between(random, 1, 7), between(random, 1, 7), between(random, 1, 19)]
        const kernel = [between(random, 1, Math.min(4, image[0])), between(random, 1, Math.min(4, image[1]))] as const
        const strides = [between(random, 1, 3), between(random, 1, 3)] as const
        // Less than the kernel on each side: a window always sees something.
        const side = (axis: 0 | 1) => random.integer(kernel[axis])
        const padding = random.integer(2) ? 'same' : ([side(0), side(0), side(1), side(1)] as const)
        const node = make(random, image, { kernel, strides, padding })
        check(node, random, `${node.op} [${image}] ${JSON.stringify(node.attrs)} (seed ${s})`)
      }
    }

    /** Value, and the gradients by <dy, J v> = <J^T dy, v>, which holds whatever J is: v moves one input in all its elements. */
    function forwardAndBackward(node: Node, random: Random, what: string) {
      const batch = between(random, 1, 2)
      const inputs = node.inputs.map((x) => floats(random, size(x.shape) * (x.batched ? batch : 1)))
      const value = evaluate(node, inputs)
      const dy = floats(random, value.length)
      const terms = node.inputs.length > 1 ? size(node.inputs[1].shape) : 16
      const magnitude = evaluate(
        node,
        inputs.map((x) => x.map(Math.abs)),
      )
      const { y, grads } = runNode(build, node, { batch, inputs, dy })
      expectNear(
        y,
        value,
        magnitude.map((m) => (terms + ROUNDINGS) * EPSILON * m),
        what,
      )
      inputs.forEach((x, at) => {
        const v = floats(random, x.length)
        // Linear in each input but for the kinks of a max pool, which want a small step. 2^-30: what it leaves of the float64's bits.
        const h = 2 ** -17
        const moved = (sign: number) =>
          evaluate(
            node,
            inputs.map((w, i) => (i === at ? Float64Array.from(w, (e, j) => e + sign * h * v[j]) : w)),
          )
        const [up, down] = [moved(1), moved(-1)]
        const want = dy.reduce((sum, d, j) => sum + (d * (up[j] - down[j])) / (2 * h), 0)
        const got = grads[at].reduce((sum, g, i) => sum + g * v[i], 0)
        const scale = grads[at].reduce((sum, g, i) => sum + Math.abs(g * v[i]), 0)
        const longest = Math.max(terms, value.length)
        expectNear([got], [want], (longest + ROUNDINGS) * EPSILON * scale + 2 ** -30, `${what}, gradient of input ${at}`)
      })
    }

    it('conv2d', () => {
      draw(
        100,
        (random, image, window) => {
          const dilation = window.padding === 'same' ? ([between(random, 1, 3), between(random, 1, 3)] as const) : 1
          return conv2d({ filters: between(random, 1, 18), ...window, dilation })(input(image))
        },
        forwardAndBackward,
      )
    })
    it('depthwiseConv2d', () => {
      draw(
        200,
        (random, image, window) => {
          const dilation = window.padding === 'same' ? ([between(random, 1, 3), between(random, 1, 3)] as const) : 1
          return depthwiseConv2d({ multiplier: random.integer(3) ? 1 : between(random, 2, 3), ...window, dilation })(input(image))
        },
        forwardAndBackward,
      )
    })
    it('maxPool2d', () => draw(300, (_, image, window) => maxPool2d(window)(input(image)), forwardAndBackward))
    it('avgPool2d', () => draw(400, (_, image, window) => avgPool2d(window)(input(image)), forwardAndBackward))
  })

  it('maxPool2d_f32_dx sends the gradient of a tie to the first of the largest, once', () => {
    for (const c of [1, 4, 5]) {
      const node = maxPool2d({ kernel: 3, strides: 3 })(input([3, 3, c]))
      const x = Float32Array.from({ length: 9 * c }, (_, i) => (Math.floor(i / c) >= 4 ? 2 : 1))
      const { grads } = runNode(build, node, { batch: 1, inputs: [x], dy: new Float32Array(c).fill(3) })
      expect(grads[0], `${c} channels`).toEqual(Float32Array.from({ length: 9 * c }, (_, i) => (Math.floor(i / c) === 4 ? 3 : 0)))
    }
  })

  describe('element by element', () => {
    const LENGTHS = [1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 33]
    const each = (seed: number, check: (n: number, random: Random, what: string) => void) => {
      for (const n of LENGTHS) check(n, new Random(seed, n), `${n} elements (seed ${seed})`)
    }
    const f32 = (n: number, of: (i: number) => number) => Float32Array.from({ length: n }, (_, i) => of(i))

    it('fill_f32', () =>
      each(20, (n, _, what) => {
        for (const v of [0, -1.5, Infinity])
          expect(run(build, 'fill_f32', [out('f32', n), n, v]), what).toEqual([f32(n, () => v)])
      }))
    it('accumulate_f32', () =>
      each(21, (n, random, what) => {
        const [x, y] = [floats(random, n), floats(random, n)]
        expect(run(build, 'accumulate_f32', [in_(x), inout(y), n, 1]), what).toEqual([f32(n, (i) => y[i] + x[i])])
        expect(run(build, 'accumulate_f32', [in_(x), out('f32', n), n, 0]), what).toEqual([x])
      }))
    it('add_f32', () =>
      each(22, (n, random, what) => {
        const [a, b] = [floats(random, n), floats(random, n)]
        const got = run(build, 'add_f32', [in_(a), in_(b), out('f32', n), n, -0.5, Infinity])
        expect(got, what).toEqual([f32(n, (i) => Math.max(Math.fround(a[i] + b[i]), -0.5))])
      }))
    it('clamp_f32, also in place; NaN stays NaN', () =>
      each(23, (n, random, what) => {
        const x = floats(random, n, 9)
        x[n - 1] = NaN
        const want = [f32(n, (i) => clamp(x[i], 0, 6))]
        expect(run(build, 'clamp_f32', [in_(x), out('f32', n), n, 0, 6]), what).toEqual(want)
        expect(inPlace('clamp_f32', x, n, 0, 6), what).toEqual(want[0])
      }))
    it('clamp_f32_dx and clamp_f32_mask: no gradient at the ends', () =>
      each(24, (n, random, what) => {
        const y = f32(n, (i) => [0, 6, 3, random.uniform(0, 6)][i % 4])
        const [dy, dx] = [floats(random, n), floats(random, n)]
        const live = (i: number) => y[i] > 0 && y[i] < 6
        expect(run(build, 'clamp_f32_dx', [in_(y), in_(dy), inout(dx), n, 0, 6]), what).toEqual([
          f32(n, (i) => dx[i] + (live(i) ? dy[i] : 0)),
        ])
        expect(run(build, 'clamp_f32_mask', [in_(y), inout(dy), n, 0, 6]), what).toEqual([f32(n, (i) => (live(i) ? dy[i] : 0))])
      }))
    it('mask_f32', () =>
      each(25, (n, random, what) => {
        const w = floats(random, n)
        const mask = Uint8Array.from({ length: n }, (_, i) => (i % 3 ? 1 : 0))
        expect(run(build, 'mask_f32', [inout(w), in_(mask), n]), what).toEqual([f32(n, (i) => (i % 3 ? w[i] : 0))])
      }))
    it('sumRows_f32', () =>
      each(26, (n, random, what) => {
        for (const rows of [1, 2, 5]) {
          const [x, y] = [floats(random, rows * n), floats(random, n)]
          const of = (v: (f: number) => number) =>
            Float64Array.from(y, (start, j) => x.reduce((sum, e, i) => sum + (i % n === j ? v(e) : 0), v(start)))
          const [got] = run(build, 'sumRows_f32', [in_(x), inout(y), rows, n, n])
          expectNear(
            got,
            of((v) => v),
            of(Math.abs).map((m) => rows * EPSILON * m),
            `${rows} rows of ${what}`,
          )
        }
      }))
  })

  describe('softmax and cross entropy', () => {
    const rows = 3
    const image = (n: number) => input([n])

    it('softmax_f32, also in place and of large logits', () => {
      for (const n of [1, 2, 5, 10, 17]) {
        for (const range of [1, 30, 1e4]) {
          const x = floats(new Random(30, n), rows * n, range)
          const want = evaluate({ op: 'softmax', shape: [n] } as unknown as Node, [x])
          // Logits of this range have themselves been rounded: an exponent is off by as much. Below exp(-87) all is nothing.
          const bound = want.map((p) => (n + EXP_ROUNDINGS + 2 * Math.min(range, 100)) * EPSILON * p + Math.exp(-86))
          const what = `${n} logits within ${range} (seed 30)`
          const [y] = run(build, 'softmax_f32', [in_(x), out('f32', rows * n), rows, n])
          expectNear(y, want, bound, what)
          expect(inPlace('softmax_f32', x, rows, n), what).toEqual(y)
        }
      }
    })

    it('softmax_f32: one NaN or infinite logit shows in its row and in no other', () => {
      for (const bad of [NaN, Infinity]) {
        const [y] = run(build, 'softmax_f32', [in_(Float32Array.of(1, 2, bad, 0, 1, 2)), out('f32', 6), 2, 3])
        expect(Array.from(y.subarray(0, 3)).some(Number.isNaN), `${bad}`).toBe(true)
        expect(Array.from(y.subarray(3)).every(Number.isFinite), `${bad}`).toBe(true)
      }
    })

    it('crossEntropy_f32 of large logits is finite, of the right class 0, and its gradient sums to 0 in each row', () => {
      const n = 7
      const x = floats(new Random(31), rows * n, 200)
      const labels = Int32Array.of(0, 6, 3)
      const weights = Float32Array.of(1, 0.5, 2)
      const arrays = [in_(x), in_(labels), in_(weights)]
      const node = { op: 'crossEntropy', inputs: [image(n)] } as unknown as Node<never>
      const want = reference.crossEntropy(node, x, labels, weights)
      const [loss] = run(build, 'crossEntropy_f32', [...arrays, out('f32', 1), rows, n, 0, 0])
      expectNear(loss, want, EXP_ROUNDINGS * EPSILON * 400, 'loss (seed 31)')
      const [dx] = run(build, 'crossEntropy_f32_dx', [
        ...arrays,
        in_(Float32Array.of(1)),
        inout(new Float32Array(rows * n)),
        rows,
        n,
        0,
        0,
      ])
      for (let i = 0; i < rows; i++) {
        const sum = Array.from(dx.subarray(i * n, (i + 1) * n)).reduce((a, b) => a + b, 0)
        expect(Math.abs(sum), `row ${i} (seed 31)`).toBeLessThanOrEqual((n + EXP_ROUNDINGS) * EPSILON)
      }
      const sure = Float32Array.from({ length: n }, (_, j) => (j === 2 ? 500 : -500))
      const one = [in_(sure), in_(Int32Array.of(2)), in_(Float32Array.of(1))]
      expect(run(build, 'crossEntropy_f32', [...one, out('f32', 1), 1, n, 0, 0])[0][0]).toBe(0)
    })

    it('crossEntropy_f32 of nothing but weights of 0 is 0, with no gradient', () => {
      const arrays = [in_(Float32Array.of(1, 2)), in_(Int32Array.of(1)), in_(Float32Array.of(0))]
      expect(run(build, 'crossEntropy_f32', [...arrays, out('f32', 1), 1, 2, 0, 0])).toEqual([Float32Array.of(0)])
      const dx = run(build, 'crossEntropy_f32_dx', [...arrays, in_(Float32Array.of(1)), inout(Float32Array.of(5, 6)), 1, 2, 0, 0])
      expect(dx).toEqual([Float32Array.of(5, 6)])
    })

    it('crossEntropy_f32 gives a label that is no class no weight, and reads nothing outside of the row', () => {
      // Between the fences a step outside would read -2.7e7.
      const x = Float32Array.of(1, 2)
      for (const label of [-1, 2, 3, -2, 2 ** 30, 2 ** 31 - 1, -(2 ** 31)]) {
        const two = [in_(Float32Array.of(...x, ...x)), in_(Int32Array.of(label, 0)), in_(Float32Array.of(5, 1))]
        const one = [in_(x), in_(Int32Array.of(0)), in_(Float32Array.of(1))]
        const [loss] = run(build, 'crossEntropy_f32', [...two, out('f32', 1), 2, 2, 0.1, 0])
        expect(loss, `${label}`).toEqual(run(build, 'crossEntropy_f32', [...one, out('f32', 1), 1, 2, 0.1, 0])[0])
        const dloss = in_(Float32Array.of(1))
        const [dx] = run(build, 'crossEntropy_f32_dx', [...two, dloss, inout(new Float32Array(4)), 2, 2, 0.1, 0])
        const [alone] = run(build, 'crossEntropy_f32_dx', [...one, dloss, inout(new Float32Array(2)), 1, 2, 0.1, 0])
        expect([...dx], `${label}`).toEqual([0, 0, ...alone])
      }
    })

    it('losses show a NaN in the value and in the gradient', () => {
      const weights = in_(Float32Array.of(1))
      for (const kernel of [
        ...['meanSquaredError', 'meanAbsoluteError', 'huber', 'binaryCrossEntropy', 'binaryCrossEntropyOfProbabilities'],
        ...['hinge', 'klDivergence'],
      ]) {
        const numbers = kernel === 'huber' ? [1, 0] : [0]
        for (const [x, target] of [
          [NaN, 0.5],
          [0.5, NaN],
        ]) {
          const arrays = [in_(Float32Array.of(x, 1)), in_(Float32Array.of(target, 0.5)), weights]
          const [loss] = run(build, `${kernel}_f32`, [...arrays, out('f32', 1), 1, 2, ...numbers])
          expect(loss[0], `${kernel} of ${x}, ${target}`).toBeNaN()
          if (kernel === 'klDivergence') continue
          const gradient = [...arrays, in_(Float32Array.of(1)), inout(new Float32Array(2)), 1, 2, ...numbers]
          expect(run(build, `${kernel}_f32_dx`, gradient)[0][0], `gradient of ${kernel} of ${x}, ${target}`).toBeNaN()
        }
      }
    })

    it('losses have the slope 0 at their kinks, and large errors do not overflow', () => {
      const dx = (kernel: string, x: number, target: number, ...numbers: number[]) => {
        const arrays = [in_(Float32Array.of(x)), in_(Float32Array.of(target)), in_(Float32Array.of(1))]
        return run(build, `${kernel}_f32_dx`, [
          ...arrays,
          in_(Float32Array.of(1)),
          inout(Float32Array.of(0)),
          1,
          1,
          ...numbers,
        ])[0][0]
      }
      expect([dx('meanAbsoluteError', 2, 2, 0), dx('hinge', 1, 1, 0), dx('hinge', -1, -1, 0)]).toEqual([0, 0, 0])
      expect([dx('huber', 3, 2, 1, 0), dx('huber', 9, 2, 1, 0), dx('huber', -9, 2, 0.5, 0)]).toEqual([1, 1, -0.5])
      expect([
        dx('binaryCrossEntropy', 1e4, 1, 0),
        dx('binaryCrossEntropy', 1e4, 0, 0),
        dx('binaryCrossEntropy', -1e4, 1, 0),
      ]).toEqual([0, 1, -1])
    })

    it("binaryCrossEntropyOfProbabilities_f32 of 0 and 1: 0 where right, 100 where wrong, with PyTorch's slopes; NaN outside", () => {
      const of = (x: number, target: number) => {
        const arrays = [in_(Float32Array.of(x)), in_(Float32Array.of(target)), in_(Float32Array.of(1))]
        const [loss] = run(build, 'binaryCrossEntropyOfProbabilities_f32', [...arrays, out('f32', 1), 1, 1, 0])
        const gradient = [...arrays, in_(Float32Array.of(1)), inout(Float32Array.of(0)), 1, 1, 0]
        return [loss[0], run(build, 'binaryCrossEntropyOfProbabilities_f32_dx', gradient)[0][0]]
      }
      const steep = Math.fround(1 / Math.fround(1e-12))
      expect([of(0, 0), of(1, 1), of(0, 1), of(1, 0)]).toEqual([
        [0, 0],
        [0, 0],
        [100, -steep],
        [100, steep],
      ])
      for (const x of [-0.1, 1.1, Infinity]) expect(of(x, 1), `${x}`).toEqual([NaN, NaN])
    })
  })

  it('conv2d_f32 needs no scratch when the window stays inside the image', () => {
    const node = conv2d({ filters: 3, kernel: 2 })(input([3, 3, 2]))
    const g = windowOf(node as Node<WindowAttrs>)
    const [x, b, y] = [in_(new Float32Array(18).fill(1)), in_(new Float32Array(8 * 9).fill(1)), out('f32', 12)]
    const sizes = [1, 3, 3, 2, g.oh, g.ow, 3, 2, 2, 1, 1, 1, 1, 0, 0]
    const got = run(build, 'conv2d_f32', [x, b, y, scratch('f32', 0), ...sizes, -Infinity, Infinity])
    expect(got).toEqual([new Float32Array(12).fill(9)])
  })
})
