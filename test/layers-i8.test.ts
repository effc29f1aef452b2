// The int8 rows of layers whose kernels are not one call on whole tensors: through plans of both targets on every build, against
// test/reference/i8.ts, equal to the last bit; activations by table; layers that quantize() makes int8 in a way of their own.

import { describe, expect, it } from 'vitest'
import { quantize } from '../src/compress/quantize'
import { buildModule, loadModule } from '../src/deploy'
import { exp } from '../src/graph/arithmetic'
import { input, isParam, type Layer, type Node, type Param, param, type Quant, size } from '../src/graph/node'
import { Random } from '../src/graph/random'
import { Model } from '../src/model/model'
import { sequential } from '../src/model/sequential'
import { opOf } from '../src/ops'
import { elu, gelu, hardSigmoid, hardSwish, leakyRelu, mish, relu, sigmoid, silu, softplus, tanh } from '../src/ops/activation'
import { mul, sub } from '../src/ops/add'
import { batchNorm } from '../src/ops/batchNorm'
import { broadcast } from '../src/ops/broadcast'
import { concat } from '../src/ops/concat'
import { conv1d } from '../src/ops/conv1d'
import { conv2d } from '../src/ops/conv2d'
import { rescale } from '../src/ops/convert'
import { dense } from '../src/ops/dense'
import { dropout } from '../src/ops/dropout'
import { embedding } from '../src/ops/embedding'
import { addScales, quantizeMultiplier } from '../src/ops/fixedPoint'
import { layerNorm } from '../src/ops/layerNorm'
import { mean } from '../src/ops/mean'
import { makeNode } from '../src/ops/op'
import { channelShuffle, permute } from '../src/ops/permute'
import { globalAvgPool1d, maxPool1d } from '../src/ops/pool1d'
import { flatten } from '../src/ops/reshape'
import { resize } from '../src/ops/resize'
import { pad, slice } from '../src/ops/slice'
import { fixedCurveTable } from '../src/ops/table'
import { planInference } from '../src/plan/build'
import { BUILDS, kernelBytes } from '../src/session/kernels'
import { Session } from '../src/session/session'
import { Fenced } from './fenced'
import { builds, in_, out, run } from './harness'
import * as reference from './reference/i8'

const hosted = BUILDS.filter((build) => WebAssembly.validate(kernelBytes(build) as BufferSource))
const BATCH = 3
const i8 = (random: Random, n: number): Int8Array => Int8Array.from({ length: n }, () => random.integer(256) - 128)
const drawQuant = (random: Random): Quant => ({
  scale: [Math.fround(2 ** random.uniform(-8, -3))],
  zeroPoint: random.integer(256) - 128,
})
const int8Input = (shape: readonly number[], quant: Quant, name = 'x'): Node => ({
  ...input(shape, { name }),
  dtype: 'i8',
  quant,
})

/** The last node of a float graph as one of int8, on inputs that are int8 already. */
const int8Node = (node: Node, inputs: readonly Node[], quant: Quant): Node =>
  makeNode(opOf(node.op)!, { ...node, inputs }, { dtype: 'i8', quant })

/** The values of a node for BATCH samples, which every target and build agree on; `fed` in the order of the inputs' names. */
async function computed(node: Node, fed: Record<string, Int8Array | Int32Array>): Promise<Int8Array> {
  const results = new Map<string, Int8Array>()
  for (const target of ['session', 'module'] as const) {
    for (const build of hosted) {
      const session = await Session.create(planInference([node], { batch: BATCH, target }), { build })
      for (const port of session.plan.inputs) session.view(port).set(fed[port.name])
      session.run()
      results.set(`${target} ${build}`, session.view(session.plan.outputs[0]).slice() as Int8Array)
    }
    // The same row on fenced buffers, whole and in parts, as threads would run it.
    for (const build of builds) {
      for (const parts of [1, 3]) {
        const e = new Fenced(build, BATCH, target, false, false, parts)
        for (const x of node.inputs) e.values.set(x, e.place(x.name, in_(isParam(x) ? x.data : fed[x.name])))
        opOf(node.op)!.int8!.forward(e, node)
        e.check(node.op)
        results.set(`${target} ${build.name}, fenced, in ${parts}`, e.read(e.value(node)) as Int8Array)
      }
    }
  }
  const first = results.get('module scalar') as Int8Array
  for (const [which, y] of results) expect(y, which).toEqual(first)
  return first
}

/** Moves values of a sample as numbers: `move` gives for each element of y the element of x, or a number of its own. */
const moved = (x: Int8Array, each: number, length: number, move: (i: number, at: (j: number) => number) => number) =>
  Int8Array.from({ length: length * BATCH }, (_, i) => move(i % length, (j) => x[Math.floor(i / length) * each + j]))

describe('int8 layers that move values', () => {
  const random = new Random(7)
  const quant = drawQuant(random)
  const x = i8(random, BATCH * 60)
  const run = (layer: Layer) => {
    const float = layer(input([3, 4, 5]))
    return computed(int8Node(float, [int8Input([3, 4, 5], quant)], quant), { x })
  }

  it('slice', async () => {
    const y = await run(slice({ begin: [1, 0, 2], size: [2, 3, 2] }))
    const at = (i: number) => (1 + Math.floor(i / 6)) * 20 + (Math.floor(i / 2) % 3) * 5 + 2 + (i % 2)
    expect(y).toEqual(moved(x, 60, 12, (i, v) => v(at(i))))
  })

  it.each([0, 1e9, -1e9, 0.5])('pad with %d', async (value) => {
    const step = Math.max(-128, Math.min(127, quant.zeroPoint + Math.round(value / quant.scale[0])))
    const y = await run(
      pad({
        padding: [
          [1, 0],
          [0, 2],
          [1, 1],
        ],
        value,
      }),
    )
    const want = moved(x, 60, 4 * 6 * 7, (i, v) => {
      const [r, c, o] = [Math.floor(i / 42) - 1, Math.floor(i / 7) % 6, (i % 7) - 1]
      return r < 0 || c > 3 || o < 0 || o > 4 ? step : v(r * 20 + c * 5 + o)
    })
    expect(y).toEqual(want)
  })

  it('permute', async () => {
    const y = await run(permute({ axes: [2, 0, 1] }))
    expect(y).toEqual(moved(x, 60, 60, (i, v) => v((i % 12) * 5 + Math.floor(i / 12))))
  })

  it('resize, by the reference', async () => {
    for (const [method, by] of [
      ['nearest', reference.resizeNearest],
      ['bilinear', reference.resizeBilinear],
    ] as const)
      expect(await run(resize({ size: [7, 2], method })), method).toEqual(by(x, [BATCH, 3, 4, 5, 7, 2]))
  })

  it('concat, each input at a scale of its own', async () => {
    const quants = [quant, drawQuant(random), drawQuant(random), quant]
    const widths = [5, 1, 17, 8]
    const inputs = widths.map((c, i) => int8Input([2, 3, c], quants[i], `x${i}`))
    const values = widths.map((c) => i8(random, BATCH * 6 * c))
    const node = int8Node(concat()(...widths.map((c) => input([2, 3, c]))), inputs, quant)
    const y = await computed(node, Object.fromEntries(values.map((v, i) => [`x${i}`, v])))
    const scaled = values.map((v, i) =>
      reference.requantize(v, quants[i].zeroPoint, quant.zeroPoint, quantizeMultiplier(quants[i].scale[0] / quant.scale[0])),
    )
    const want = Array.from({ length: BATCH * 6 }, (_, p) =>
      scaled.flatMap((v, i) => [...v.subarray(p * widths[i], (p + 1) * widths[i])]),
    )
    expect(y).toEqual(Int8Array.from(want.flat()))
  })
})

/** [scale and zero point of x, sum of the table of sigmoid, of tanh]. */
const GEMMLOWP = [
  [0.0299999993, 0, 1672299, 1959678],
  [0.100000001, -128, 4157141, 4172137],
  [0.00392156886, 127, -685941, -1285222],
  [0.25, 5, 1885333, 1888489],
  [0.0625, -40, 3075289, 3146877],
  [1, 0, 2056518, 2056434],
  [0.0122999996, -128, 3102659, 3859073],
  [0.00100000005, 127, -178528, -355910],
  [0.0784000009, 5, 1834739, 1877621],
] as const

describe('int8 values on the way', () => {
  it.each([1, 2, 3])('rescale, toInt8, broadcast and mean equal the reference (seed %i)', async (seed) => {
    const random = new Random(seed)
    const [qx, qy] = [drawQuant(random), drawQuant(random)]
    const x = int8Input([4, 3, 5], qx)
    const values = i8(random, BATCH * 60)
    const factor = quantizeMultiplier(qx.scale[0] / qy.scale[0])
    const scaled = await computed(rescale({ quant: qy })(x), { x: values })
    expect(scaled).toEqual(reference.requantize(values, qx.zeroPoint, qy.zeroPoint, factor))

    const small = i8(random, BATCH * 3)
    const repeated = await computed(
      int8Node(broadcast()(input([3, 1]), input([4, 3, 5])), [int8Input([3, 1], qx, 'small'), x], qx),
      {
        small,
        x: values,
      },
    )
    expect(repeated).toEqual(Int8Array.from(values, (_, i) => small[Math.floor(i / 60) * 3 + (Math.floor(i / 5) % 3)]))

    for (const axes of [[0], [1], [2], [0, 1], [0, 2], [0, 1, 2]]) {
      const y = await computed(int8Node(mean({ axes })(input([4, 3, 5])), [x], qy), { x: values })
      const count = axes.reduce((n, axis) => n * [4, 3, 5][axis], 1)
      // The reference's multiplier for the mean of so many.
      const bits = Math.min(31 - Math.clz32(count), 31 + factor.shift)
      const shared = {
        multiplier: Number((BigInt(factor.multiplier) << BigInt(bits)) / BigInt(count)),
        shift: factor.shift - bits,
      }
      const sums = new Map<string, number>()
      values.forEach((v, i) => {
        const index = [Math.floor(i / 60), Math.floor(i / 15) % 4, Math.floor(i / 5) % 3, i % 5]
        const key = String(index.filter((_, axis) => !axes.includes(axis - 1)))
        sums.set(key, (sums.get(key) ?? 0) + v - qx.zeroPoint)
      })
      const want = [...sums.values()].map((s) => Math.max(-128, Math.min(127, reference.scale(s, shared) + qy.zeroPoint)))
      expect(Array.from(y), `axes ${axes}`).toEqual(want)
    }
  })

  it('toInt8 rounds half away from zero, in float32, and clamps', () => {
    const x = Float32Array.of(0, 0.25, -0.25, 0.2499999, 63.4, 63.5, -66, 1e30, -1e30, Number.NaN, 0.75, -0.75)
    for (const build of builds) {
      const [y] = run(build, 'toInt8_i8', [in_(x), out('i8', x.length), x.length, 0.5, 3])
      expect(Array.from(y), build.name).toEqual([3, 4, 2, 3, 127, 127, -128, 127, -128, 3, 5, 1])
    }
  })

  it('sigmoid and tanh on their own scales are those of gemmlowp', () => {
    // Sums of q * (i + 1) over all int8 values: tables of its logistic() and tanh() on FixedPoint<int32_t, 4>.
    for (const [scale, zeroPoint, ...want] of GEMMLOWP) {
      const x = { scale: [Math.fround(scale)], zeroPoint }
      const sums = (['sigmoid', 'tanh'] as const).map((curve) =>
        fixedCurveTable(curve, x, opOf(curve)!.int8!.quant as Quant).reduce((sum, q, i) => sum + q * (i + 1), 0),
      )
      expect(sums, `scale ${scale}, zero point ${zeroPoint}`).toEqual(want)
    }
  })
})

describe('int8 sub and mul', () => {
  it.each([1, 2, 3, 4])('equal the reference (seed %i)', async (seed) => {
    const random = new Random(seed)
    const n = 37
    const [qa, qb, qy] = [drawQuant(random), drawQuant(random), drawQuant(random)]
    const [a, b] = [i8(random, BATCH * n), i8(random, BATCH * n)]
    const inputs = [int8Input([n], qa, 'a'), int8Input([n], qb, 'b')]
    const zero = { a: qa.zeroPoint, b: qb.zeroPoint, y: qy.zeroPoint }
    const [sa, sb, sy] = [qa, qb, qy].map((q) => q.scale[0])
    const difference = await computed(int8Node(sub()(input([n]), input([n])), inputs, qy), { a, b })
    expect(difference).toEqual(reference.sub(a, b, zero, addScales(sa, sb, sy), -128, 127))
    const product = await computed(int8Node(mul()(input([n]), input([n])), inputs, qy), { a, b })
    expect(product).toEqual(reference.mul(a, b, zero, quantizeMultiplier((sa * sb) / sy), -128, 127))
  })
})

describe('int8 conv2d with groups', () => {
  const cases = [
    { shape: [5, 4, 6], options: { filters: 9, kernel: 3, groups: 3, padding: 'same' } },
    { shape: [4, 4, 8], options: { filters: 8, kernel: 1, groups: 8, activation: 'relu' } },
    { shape: [6, 5, 4], options: { filters: 34, kernel: [3, 2], groups: 2, strides: 2, dilation: [1, 2], padding: 1 } },
    // Large enough for Winograd's kernel in a session.
    { shape: [8, 8, 32], options: { filters: 16, kernel: 3, groups: 2, padding: 'same' } },
  ] as const
  it.each(cases)('$shape $options', async ({ shape, options }) => {
    const random = new Random(shape[2])
    const float = conv2d(options)(input(shape))
    const { kernel, strides, dilation } = float.attrs as Record<'kernel' | 'strides' | 'dilation', [number, number]>
    const [oh, ow, oc] = float.shape
    const { groups } = options
    const [ic, filters] = [shape[2] / groups, oc / groups]
    const [qx, qy] = [drawQuant(random), drawQuant(random)]
    const k = kernel[0] * kernel[1] * ic
    const scale = Array.from({ length: oc }, () => (qy.scale[0] / qx.scale[0] / (40 * Math.sqrt(k))) * random.uniform(0.5, 2))
    const w = i8(random, oc * k)
    const b = Int32Array.from({ length: oc }, () => random.integer(4001) - 2000)
    const [, wp, bp] = float.inputs as [Node, Param, Param]
    const inputs = [
      int8Input(shape, qx),
      { ...wp, dtype: 'i8', data: w, quant: { scale, zeroPoint: 0 } },
      { ...bp, dtype: 'i32', data: b, quant: { scale, zeroPoint: 0 } },
    ] as Node[]
    const node = int8Node(float, inputs, qy)
    const x = i8(random, BATCH * size(shape))
    const y = await computed(node, { x })
    const fixed = scale.map((s) => quantizeMultiplier((qx.scale[0] * s) / qy.scale[0]))
    const pads = { pt: 'padding' in options && options.padding === 1 ? 1 : 0, pl: 0 }
    if ('padding' in options && options.padding === 'same') Object.assign(pads, { pt: 1, pl: 1 })
    else pads.pl = pads.pt
    const s: reference.Window = {
      ...{ batch: BATCH, ih: shape[0], iw: shape[1], ic, oh, ow, oc: filters, kh: kernel[0], kw: kernel[1] },
      ...{ sh: strides[0], sw: strides[1], dh: dilation[0], dw: dilation[1], ...pads },
    }
    const lo = 'activation' in options ? Math.max(-128, qy.zeroPoint) : -128
    const want = new Int8Array(y.length)
    for (let g = 0; g < groups; g++) {
      const own = Int8Array.from({ length: x.length / groups }, (_, i) => x[Math.floor(i / ic) * shape[2] + g * ic + (i % ic)])
      const [from, to] = [g * filters, (g + 1) * filters]
      const channels = {
        bias: b.subarray(from, to),
        multiplier: Int32Array.from(fixed.slice(from, to), (f) => f.multiplier),
        shift: Int32Array.from(fixed.slice(from, to), (f) => f.shift),
      }
      const range = { xZero: qx.zeroPoint, yZero: qy.zeroPoint, lo, hi: 127 }
      const part = reference.conv2d(own, w.subarray(from * k, to * k), channels, s, range)
      part.forEach((v, i) => {
        want[Math.floor(i / filters) * oc + from + (i % filters)] = v
      })
    }
    expect(y).toEqual(want)
  })
})

describe('int8 activations', () => {
  const logistic = (x: number) => 1 / (1 + Math.exp(-x))
  const curves: [string, Layer, (x: number) => number][] = [
    ['elu', elu({ alpha: 0.7 }), (x) => (x > 0 ? x : 0.7 * Math.expm1(x))],
    ['gelu', gelu(), (x) => (x / 2) * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)))],
    ['hardSigmoid', hardSigmoid(), (x) => Math.max(0, Math.min(1, x / 6 + 0.5))],
    ['mish', mish(), (x) => x * Math.tanh(Math.log1p(Math.exp(x)))],
    ['sigmoid', sigmoid(), logistic],
    ['silu', silu(), (x) => x * logistic(x)],
    ['softplus', softplus(), (x) => Math.log1p(Math.exp(x))],
    ['tanh', tanh(), Math.tanh],
  ]
  /** All int8 values, of which the samples share the room. */
  const all = Int8Array.from({ length: BATCH * 128 }, (_, i) => i - 128)
  const run = (layer: Layer, qx: Quant, qy: Quant) =>
    computed(int8Node(layer(input([128])), [int8Input([128], qx)], qy), { x: all })

  it.each(curves)('%s: the nearest step', async (name, layer, f) => {
    for (let seed = 0; seed < 6; seed++) {
      const random = new Random(seed)
      const [qx, qy] = [drawQuant(random), drawQuant(random)]
      const y = await run(layer, qx, qy)
      y.forEach((q, i) => {
        const exact = f(qx.scale[0] * (all[i] - qx.zeroPoint)) / qy.scale[0] + qy.zeroPoint
        const clamped = Math.max(-128, Math.min(127, exact))
        expect(Math.abs(q - clamped), `${name}, seed ${seed}, x ${all[i]}`).toBeLessThanOrEqual(0.5 + 1e-9)
      })
    }
  })

  it('sigmoid and tanh have the scales that TensorFlow Lite fixes', () => {
    expect(opOf('sigmoid')!.int8!.quant).toEqual({ scale: [1 / 256], zeroPoint: -128 })
    expect(opOf('tanh')!.int8!.quant).toEqual({ scale: [1 / 128], zeroPoint: 0 })
  })

  it.each([0, 0.01, 0.3, 1.5, -0.5])('leakyRelu with alpha %d equals the reference', async (alpha) => {
    for (let seed = 0; seed < 6; seed++) {
      const random = new Random(seed)
      const [qx, qy] = [drawQuant(random), drawQuant(random)]
      // In float32, as LeakyReluPrepare computes them.
      const [positive, negative] = [
        quantizeMultiplier(Math.fround(qx.scale[0] / qy.scale[0])),
        quantizeMultiplier(Math.fround(Math.fround(qx.scale[0] * Math.fround(Math.abs(alpha))) / qy.scale[0])),
      ]
      const want = all.map((q) => {
        const v = q - qx.zeroPoint
        const steps = reference.leakyRelu(v, positive, negative)
        const turned = alpha < 0 && v < 0 ? reference.scale(-v, negative) : steps
        return Math.max(-128, Math.min(127, turned + qy.zeroPoint))
      })
      expect(await run(leakyRelu({ alpha }), qx, qy), `seed ${seed}`).toEqual(want)
    }
  })

  it('hardSwish equals the reference, at scales on which its ramp saturates and others', async () => {
    for (const [seed, scale] of [0.002, 0.01, 0.0234375, 0.04, 0.1, 0.5, 3].entries()) {
      const random = new Random(seed)
      const qx = { scale: [Math.fround(scale)], zeroPoint: random.integer(256) - 128 }
      const qy = { scale: [Math.fround(scale * random.uniform(0.5, 1))], zeroPoint: random.integer(256) - 128 }
      const fine = Math.fround(qx.scale[0] / 128)
      const [output, ramp] = [fine / qy.scale[0], fine / (3 / 32768)].map((v) => quantizeMultiplier(Math.fround(v)))
      const want = all.map((q) =>
        Math.max(-128, Math.min(127, reference.hardSwish(q - qx.zeroPoint, output, ramp) + qy.zeroPoint)),
      )
      const y = await run(hardSwish(), qx, qy)
      expect(y, `seed ${seed}`).toEqual(want)
      // And the reference is the function: two steps at most beside it (one rounding of 15 bits, one of the output).
      y.forEach((v, i) => {
        const x = qx.scale[0] * (all[i] - qx.zeroPoint)
        const exact = (x * Math.max(0, Math.min(1, x / 6 + 0.5))) / qy.scale[0] + qy.zeroPoint
        expect(Math.abs(v - Math.max(-128, Math.min(127, exact))), `seed ${seed}, x ${x}`).toBeLessThan(2)
      })
    }
  })

  it('hardSwish to a scale that the reference has no kernel for is the nearest step', async () => {
    const [qx, qy] = [
      { scale: [0.5], zeroPoint: 0 },
      { scale: [0.001], zeroPoint: 0 },
    ]
    const want = all.map((q) => {
      const x = q / 2
      return Math.max(-128, Math.min(127, Math.round(x * Math.max(0, Math.min(1, x / 6 + 0.5)) * 1000)))
    })
    expect(await run(hardSwish(), qx, qy)).toEqual(want)
  })

  it('exp is exact to 2^-50', () => {
    const random = new Random(3)
    for (let i = 0; i < 20000; i++) {
      const x = random.uniform(-700, 700)
      expect(Math.abs(exp(x) / Math.exp(x) - 1)).toBeLessThan(2 ** -50)
    }
    expect([exp(0), exp(-1000), exp(1000)]).toEqual([1, 0, Infinity])
  })
})

describe('quantize', () => {
  const samples = (random: Random, model: Model, count: number) =>
    Float32Array.from({ length: count * size(model.inputs[0].shape) }, () => random.uniform(-2, 2))

  /** Quantizes, compares with the float model, and builds both modules, whose bytes equal the session's. */
  async function expectClose(model: Model, x: Float32Array | Int32Array, bound: number): Promise<Model> {
    const int8 = await quantize(model, { x })
    const [f, q] = [await model.predict(x), await int8.predict(x)]
    const range = Math.max(...f) - Math.min(...f)
    expect(Math.max(...f.map((v, i) => Math.abs(v - q[i]))) / range).toBeLessThan(bound)
    const loaded = Model.load(int8.save())
    expect(await loaded.predict(x)).toEqual(q)
    const each = size(model.inputs[0].shape)
    for (const target of ['aot', 'interpreter', 'simd'] as const) {
      const module = await loadModule((await buildModule(loaded, { target })).wasm)
      const y = module.predict(x.subarray(0, each))
      expect(y, target).toEqual(q.subarray(0, y.length))
    }
    return int8
  }

  it('a network of every layer that has an int8 kernel since it was written', async () => {
    const random = new Random(4)
    const x = input([8, 8, 4])
    const stem = conv2d({ filters: 8, kernel: 3, padding: 'same' })(x)
    const gate = sigmoid()(conv2d({ filters: 8, kernel: 1, groups: 2 })(stem))
    const gated = mul()(hardSwish()(stem), gate)
    const wide = concat()(gated, tanh()(stem), leakyRelu({ alpha: 0.2 })(slice({ begin: [0, 0, 0], size: [8, 8, 4] })(stem)))
    const normed = batchNorm({ activation: 'relu' })(wide)
    const small = resize({ size: [4, 4], method: 'bilinear' })(channelShuffle({ groups: 5 })(normed))
    const large = pad({
      padding: [
        [0, 1],
        [1, 0],
        [0, 0],
      ],
    })(resize({ size: [5, 3] })(small))
    const tail = sequential(conv2d({ filters: 6, kernel: 3, groups: 2 }), dropout({ rate: 0.5 }), flatten(), dense({ units: 7 }))
    const y = tail(large)
    const model = new Model(sub()(y, elu()(y)), { seed: 1 })
    await expectClose(model, samples(random, model, 64), 0.15)
  })

  it('a 1-D network', async () => {
    const model = new Model(
      sequential(
        conv1d({ filters: 8, kernel: 5, padding: 'causal' }),
        batchNorm(),
        relu(),
        maxPool1d({ kernel: 2 }),
        conv1d({ filters: 6, kernel: 3, dilation: 2, padding: 'same', groups: 2 }),
        globalAvgPool1d(),
        flatten(),
        dense({ units: 3 }),
      )(input([20, 2])),
      { seed: 2 },
    )
    await expectClose(model, samples(new Random(2), model, 64), 0.05)
  })

  it('stored values where others are computed, as imported networks have them: each has a scale of its own', async () => {
    const random = new Random(8)
    const stored = (name: string, low: number, high: number): Param => ({
      ...param(name, [6], { kind: 'zeros' }),
      data: Float32Array.from({ length: 6 }, () => random.uniform(low, high)),
    })
    const x = conv2d({ filters: 6, kernel: 3 })(input([6, 6, 2]))
    const scaled = mul()(x, broadcast()(stored('factor', 0.5, 1.5), x))
    const model = new Model(mean({ axes: [0, 1] })(sub()(scaled, broadcast()(stored('center', -1, 1), scaled))), { seed: 4 })
    const int8 = await expectClose(model, samples(random, model, 32), 0.03)
    expect(int8.params.map(({ dtype }) => dtype)).toEqual(['i8', 'i32', 'i8', 'i8'])
  })

  it('an embedding: its table has one scale, which its value takes over', async () => {
    const network = sequential(embedding({ count: 30, units: 8 }), globalAvgPool1d(), flatten(), dense({ units: 4 }))
    const model = new Model(network(input([6], { dtype: 'i32' })), { seed: 3 })
    const random = new Random(3)
    const x = Int32Array.from({ length: 6 * 64 }, () => random.integer(30))
    const int8 = await expectClose(model, x, 0.05)
    const node = int8.nodes.find((n) => n.op === 'embedding') as Node
    expect(int8.inputs[0].dtype).toBe('i32')
    expect(node.inputs[1].dtype).toBe('i8')
    expect(node.quant).toEqual(node.inputs[1].quant)
    const table = (node.inputs[1] as Param).data
    expect([Math.min(...table), Math.max(...table)]).toEqual([-128, 127])
    await expect(quantize(int8, { x })).rejects.toThrow('param "embedding/w" is i8 already')
  })

  it('calibrates in smaller batches where the values are many: the same ranges', async () => {
    const layer = conv2d({ filters: 2, kernel: 1 })
    const large = new Model(layer(input([1024, 512, 2])), { seed: 1 })
    const random = new Random(1)
    const x = Float32Array.from({ length: 2 * size([1024, 512, 2]) }, () => random.uniform(-1, 1))
    const int8 = await quantize(large, { x })
    const y = await large.predict(x)
    const [low, high] = y.reduce(([l, h], v) => [Math.min(l, v), Math.max(h, v)], [0, 0])
    expect(int8.outputs[0].quant!.scale[0]).toBeCloseTo((high - low) / 255, 6)
  })

  it('says what it has no kernel for', async () => {
    const model = new Model(layerNorm({ name: 'norm' })(input([4])))
    await expect(quantize(model, { x: [1, 2, 3, 4] })).rejects.toThrowErrorMatchingInlineSnapshot(
      `[DunlinError: quantize: layerNorm "norm" has no int8 kernel. Leave the model float, or use another layer.]`,
    )
  })

  it('keeps a bias that is large beside its weights', async () => {
    const model = new Model(dense({ units: 3, name: 'd' })(input([2])), { seed: 1 })
    const [w, b] = model.params
    w.data.set([1e-12, 0, 0, 0, 1, -1])
    b.data.set([0.5, -0.25, 0])
    const int8 = await quantize(model, { x: [1, -1, -1, 1] })
    const [y, step] = [await int8.predict([1, -1]), int8.outputs[0].quant!.scale[0]]
    for (const [i, want] of [0.5, -0.25, 2].entries()) expect(Math.abs(y[i] - want), `${i}`).toBeLessThanOrEqual(step)
    for (const p of int8.params) expect(isParam(p)).toBe(true)
  })
})
