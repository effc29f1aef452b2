// ONNX ops in forms that ONNX's own tests leave out: models of one node, written here. Convolutions are held against loops over the
// positions of any number of axes, as the operators' definitions have them.
import { describe, expect, it } from 'vitest'
import { importOnnx, type OnnxOptions } from '../src/formats/onnx/import'
import { MODEL, writeMessage } from '../src/formats/onnx/proto'
import { count } from '../src/formats/onnx/tensor'
import { reordered } from '../src/formats/onnx/value'
import { isParam } from '../src/graph/node'
import { Random } from '../src/graph/random'

type Attributes = Record<string, number | number[] | string>
interface Values {
  dims: readonly number[]
  data: Float32Array
}

interface Written {
  op: string
  attributes?: Attributes
  /** The inputs of the file, then what it stores. */
  inputs: Record<string, readonly number[]>
  stored?: Record<string, Values>
  outputs?: string[]
  /** Which of these are the file's; default all. */
  given?: string[]
  opset?: number
}

/** An ONNX file of one node, which reads all inputs and stored values in this order. */
function written({
  op,
  attributes = {},
  inputs,
  stored = {},
  outputs = ['y'],
  given = outputs,
  opset = 17,
}: Written): Uint8Array {
  const attribute = Object.entries(attributes).map(([name, v]) => {
    if (typeof v === 'string') return { name, s: new TextEncoder().encode(v), type: 3 }
    if (typeof v === 'number') return Number.isInteger(v) ? { name, i: v, type: 2 } : { name, f: v, type: 1 }
    return { name, ints: v, type: 7 }
  })
  const typed = (name: string, dims: readonly number[]) => ({
    name,
    type: { tensorType: { elemType: 1, shape: { dim: dims.map((dimValue) => ({ dimValue })) } } },
  })
  const node = { opType: op, name: 'n', input: [...Object.keys(inputs), ...Object.keys(stored)], output: outputs, attribute }
  return writeMessage(MODEL, {
    irVersion: 8,
    opsetImport: [{ domain: '', version: opset }],
    graph: {
      name: 'made',
      node: [node],
      input: Object.entries(inputs).map(([name, dims]) => typed(name, dims)),
      output: given.map((name) => typed(name, [])),
      initializer: Object.entries(stored).map(([name, { dims, data }]) => ({
        ...{ name, dims: [...dims], dataType: 1 },
        rawData: new Uint8Array(data.buffer, data.byteOffset, data.byteLength),
      })),
    },
  })
}

function drawn(random: Random, dims: readonly number[]): Values {
  return { dims, data: Float32Array.from({ length: count(dims) }, () => random.uniform(-1, 1)) }
}

/** What the model gives for one input, in the order of the file's axes. */
async function run(file: Uint8Array, x: Values, options?: OnnxOptions): Promise<Float32Array> {
  const { model, inputs, outputs } = importOnnx(file, { source: 'm.onnx', ...options })
  const first = inputs[0].samples === 0
  const own = reordered(x.data, x.dims, first ? [0, ...inputs[0].order] : inputs[0].order)
  const y = await model.predict(own)
  const { dims, order, samples } = outputs[0]
  const batch = samples === undefined ? 1 : x.dims[0]
  const all = samples === undefined ? order : [samples, ...order]
  const lengths = dims.map((d, i) => (i === samples ? batch : d))
  const back = lengths.map((_, i) => all.indexOf(i))
  return reordered(
    y,
    all.map((a) => lengths[a]),
    back,
  )
}

function expectClose(got: Float32Array, want: Values, what: string): void {
  expect(got.length, what).toBe(want.data.length)
  const scale = want.data.reduce((m, v) => Math.max(m, Math.abs(v)), 0)
  const worst = got.reduce((m, v, i) => Math.max(m, Math.abs(v - want.data[i])), 0)
  expect(worst, what).toBeLessThanOrEqual(1e-5 * scale)
}

/** All indices of a shape, the last axis fastest. */
function positions(dims: readonly number[]): number[][] {
  return dims.reduce((all, d) => all.flatMap((p) => Array.from({ length: d }, (_, i) => [...p, i])), [[]] as number[][])
}

const placeOf = (dims: readonly number[], index: readonly number[]): number =>
  index.every((v, i) => v >= 0 && v < dims[i]) ? index.reduce((at, v, i) => at * dims[i] + v, 0) : -1

/** What a convolution of either kind has for each spatial axis, and its groups. */
interface Window {
  strides: number[]
  dilations: number[]
  /** Before each axis, then after each. */
  pads: number[]
  group: number
}

/** A convolution over any number of axes, as ONNX defines it. */
function convolved(x: Values, w: Values, bias: Values, { strides, dilations, pads, group }: Window): Values {
  const [, , ...sizes] = x.dims
  const [filters, each, ...kernel] = w.dims
  const n = sizes.length
  const out = sizes.map((d, i) => Math.floor((d + pads[i] + pads[i + n] - (kernel[i] - 1) * dilations[i] - 1) / strides[i]) + 1)
  const dims = [1, filters, ...out]
  const taps = positions([each, ...kernel])
  const data = Float32Array.from(positions([filters, ...out]), ([o, ...p]) => {
    const first = Math.floor(o / (filters / group)) * each
    const sum = taps.reduce((sum, [c, ...k]) => {
      const at = placeOf(x.dims, [0, first + c, ...p.map((v, i) => v * strides[i] + k[i] * dilations[i] - pads[i])])
      return at < 0 ? sum : sum + x.data[at] * w.data[placeOf(w.dims, [o, c, ...k])]
    }, 0)
    return sum + bias.data[o]
  })
  return { dims, data }
}

function spreadOut(x: Values, w: Values, bias: Values, { strides, dilations, pads, group }: Window, more: number[]): Values {
  const [, channels, ...sizes] = x.dims
  const [, each, ...kernel] = w.dims
  const n = sizes.length
  const out = sizes.map((d, i) => (d - 1) * strides[i] + (kernel[i] - 1) * dilations[i] + 1 + more[i] - pads[i] - pads[i + n])
  const dims = [1, each * group, ...out]
  const data = Float32Array.from({ length: count(dims) }, (_, i) => bias.data[Math.floor(i / count(out))])
  for (const [c, ...p] of positions([channels, ...sizes]))
    for (const [o, ...k] of positions([each, ...kernel])) {
      const filter = Math.floor(c / (channels / group)) * each + o
      const at = placeOf(dims, [0, filter, ...p.map((v, i) => v * strides[i] + k[i] * dilations[i] - pads[i])])
      if (at >= 0) data[at] += x.data[placeOf(x.dims, [0, c, ...p])] * w.data[placeOf(w.dims, [c, o, ...k])]
    }
  return { dims, data }
}

const CASES = 60

describe.each([1, 2, 3])('convolutions over %i axes', (axes) => {
  const each = (of: () => number) => Array.from({ length: axes }, of)

  it('Conv, with any pads, strides, dilations and groups', async () => {
    for (let seed = 0; seed < CASES; seed++) {
      const random = new Random(1000 * axes + seed)
      const [inputs, filters, group] = [1 + random.integer(3), 1 + random.integer(3), 1 + random.integer(3)]
      const kernel = each(() => 1 + random.integer(3))
      const strides = each(() => 1 + random.integer(3))
      const dilations = each(() => 1 + random.integer(2))
      const pads = [...each(() => random.integer(4)), ...each(() => random.integer(4))]
      // At least one window fits.
      const sizes = kernel.map((k, i) => Math.max(1, (k - 1) * dilations[i] + 1 - pads[i] - pads[i + axes]) + random.integer(4))
      const x = drawn(random, [1, inputs * group, ...sizes])
      const w = drawn(random, [filters * group, inputs, ...kernel])
      const b = drawn(random, [filters * group])
      const window = { strides, dilations, pads, group }
      const file = written({ op: 'Conv', attributes: window, inputs: { x: x.dims }, stored: { 'a.weight': w, 'a.bias': b } })
      const what = `seed ${seed}: [${x.dims}] by [${w.dims}], ${JSON.stringify(window)}`
      expectClose(await run(file, x), convolved(x, w, b, window), what)
    }
  })

  it('ConvTranspose, with any pads, strides, dilations, groups and output_padding', async () => {
    for (let seed = 0; seed < CASES; seed++) {
      const random = new Random(2000 * axes + seed)
      const [inputs, filters, group] = [1 + random.integer(3), 1 + random.integer(3), 1 + random.integer(3)]
      const kernel = each(() => 1 + random.integer(3))
      const strides = each(() => 1 + random.integer(3))
      const dilations = each(() => 1 + random.integer(2))
      const sizes = each(() => 1 + random.integer(4))
      const more = strides.map((s) => random.integer(s))
      // At least one position is left.
      const room = sizes.map((d, i) => (d - 1) * strides[i] + (kernel[i] - 1) * dilations[i] + more[i])
      const before = room.map((r) => random.integer(Math.min(r, 3) + 1))
      const pads = [...before, ...room.map((r, i) => random.integer(Math.min(r - before[i], 3) + 1))]
      const x = drawn(random, [1, inputs * group, ...sizes])
      const w = drawn(random, [inputs * group, filters, ...kernel])
      const b = drawn(random, [filters * group])
      const window = { strides, dilations, pads, group }
      const attributes = { ...window, output_padding: more }
      const file = written({ op: 'ConvTranspose', attributes, inputs: { x: x.dims }, stored: { 'a.weight': w, 'a.bias': b } })
      const what = `seed ${seed}: [${x.dims}] by [${w.dims}], ${JSON.stringify(attributes)}`
      expectClose(await run(file, x), spreadOut(x, w, b, window, more), what)
    }
  })
})

describe('convolutions over three axes', () => {
  const random = new Random(7)
  const [w, b] = [drawn(random, [4, 2, 3, 3, 3]), drawn(random, [4])]
  const file = (x: readonly number[], attributes: Attributes = {}) =>
    written({ op: 'Conv', attributes, inputs: { x }, stored: { 'a.weight': w, 'a.bias': b } })

  it('are one layer, whose weights keep its name', () => {
    const { model, outputs } = importOnnx(file([1, 2, 5, 6, 7]))
    expect(model.nodes.filter(isParam).map((p) => [p.name, p.shape])).toEqual([
      ['a/w', [4, 3, 3, 6]],
      ['a/b', [4]],
    ])
    expect(model.nodes.filter((n) => n.op === 'permute')).toEqual([])
    expect(outputs[0].dims).toEqual([1, 4, 3, 4, 5])
  })

  it('auto_pad is that of each axis', async () => {
    const x = drawn(random, [1, 2, 4, 5, 6])
    const strides = [2, 1, 3]
    // (ceil(n / stride) - 1) stride + 3 - n on both sides together, the odd one before.
    const window = { strides, dilations: [1, 1, 1], pads: [1, 1, 0, 0, 1, 0], group: 1 }
    const got = await run(file(x.dims, { strides, auto_pad: 'SAME_LOWER' }), x)
    expectClose(got, convolved(x, w, b, window), 'SAME_LOWER')
  })

  it('errors say what does not fit', () => {
    const read = (x: readonly number[], options?: OnnxOptions) => () => importOnnx(file(x), { source: 'm.onnx', ...options })
    expect(read([1, 2, 2, 3, 3])).toThrow(/^m\.onnx: Conv "n" .*leaves 0 x 1 as depth and height of its output/)
    expect(read([1, 3, 5, 5, 5])).toThrow(/^m\.onnx: Conv "n" .*weights \[4,2,3,3,3\] for an input \[1,3,5,5,5\] and 1 groups/)
    expect(read([2, 2, 5, 5, 5], { samples: 'whole' })).toThrow(/2 images in one sample .*samples: 'first'/)
    expect(read([1, 2, 3, 3, 3, 3])).toThrow(/4 spatial axes .*1 to 3 are supported/)
  })
})

describe('opset 6: an operand along axes of another', () => {
  const random = new Random(8)
  const x = drawn(random, [2, 3, 4, 5])
  const file = (op: string, b: Values, attributes: Attributes) =>
    written({ op, attributes, inputs: { x: x.dims }, stored: { b }, opset: 6 })
  const OPS: Record<string, (a: number, b: number) => number> = {
    Add: (a, b) => a + b,
    Sub: (a, b) => a - b,
    Mul: (a, b) => a * b,
    Div: (a, b) => a / b,
  }

  it.each(Object.entries(OPS))('%s', async (op, of) => {
    for (const [axis, dims] of [
      [1, [3, 4]],
      [1, [3]],
      [2, [4]],
      [2, [4, 5]],
      [3, [5]],
      [1, [1]],
    ] as const) {
      const b = drawn(random, dims)
      const want = positions(x.dims).map((p, i) => {
        const at = placeOf(
          dims,
          dims.map((d, j) => (d === 1 ? 0 : p[axis + j])),
        )
        return of(x.data[i], b.data[at])
      })
      for (const samples of ['first', 'whole'] as const) {
        const got = await run(file(op, b, { broadcast: 1, axis }), x, { samples })
        expectClose(got, { dims: x.dims, data: Float32Array.from(want) }, `[${dims}] from axis ${axis} on, ${samples}`)
      }
    }
  })

  it('goes with the samples from their axis on; an axis may be counted from the last', async () => {
    const read = (b: number[], axis: number) => () =>
      importOnnx(written({ op: 'Add', attributes: { broadcast: 1, axis }, inputs: { x: [3, 4], b }, opset: 6 }), {
        source: 'm.onnx',
      })
    expect(read([3], 0)).not.toThrow()
    expect(read([3], -2)).not.toThrow()
    expect(read([3], 1)).toThrow(/puts along axis 1 of \[1,4\] the other operand's axis 0, which is the samples'/)
    const b = drawn(random, [3])
    const counted = [1, -3].map((axis) => run(file('Mul', b, { broadcast: 1, axis }), x))
    expect(await counted[1]).toEqual(await counted[0])
  })

  it('of opset 7, too, samples are not repeated along another axis', () => {
    const sum = (a: number[], b: number[], options?: OnnxOptions) => () =>
      importOnnx(written({ op: 'Add', inputs: { a, b } }), { source: 'm.onnx', ...options })
    const refused = /puts along axis 1 of \[1,3\] the other operand's axis 0, which is the samples'.*samples: 'whole'/
    expect(sum([3, 3], [3])).toThrow(refused)
    expect(sum([3], [3, 3])).toThrow(refused)
    expect(sum([3, 3], [3], { samples: 'whole' })).not.toThrow()
    expect(sum([1, 3], [1])).not.toThrow()
    expect(sum([3, 3], [3, 1])).not.toThrow()
    // [3] goes along the last axis of [3, 1] and not along its samples.
    expect(sum([3, 1], [3])).toThrow(/puts along axis 1 of \[1,1\] the other operand's axis 0, which is the samples'/)
    expect(sum([3, 1], [3], { samples: 'whole' })).not.toThrow()
  })

  it('errors say what does not fit, and what would mix samples', () => {
    const read = (bytes: Uint8Array) => () => importOnnx(bytes, { source: 'm.onnx' })
    const long = drawn(random, [4, 5])
    expect(read(file('Add', long, { axis: 3 }))).toThrow(
      /^m\.onnx: Add "n" .*puts \[4,5\] along the axes of \[1,3,4,5\] from axis 3/,
    )
    expect(read(file('Add', long, { axis: 1 }))).toThrow(/\[1,3,4,5\] and \[4,5,1\] do not go together/)
    const both = written({ op: 'Add', attributes: { axis: 1 }, inputs: { x: [3, 3], b: [3] }, opset: 6 })
    expect(read(both)).toThrow(/puts along axis 1 of \[1,3\] the other operand's axis 0, which is the samples'.*samples: 'whole'/)
  })
})

it('a product of two values with samples goes sample by sample, or is refused', () => {
  const product =
    (op: string, a: number[], b: number[], attributes: Attributes = {}, options?: OnnxOptions) =>
    () =>
      importOnnx(written({ op, attributes, inputs: { a, b } }), { source: 'm.onnx', ...options })
  const refused = /multiplies samples with one another along axis \d, which is the samples'.*samples: 'whole'/
  expect(product('MatMul', [3, 3], [3, 3])).toThrow(refused)
  expect(product('Gemm', [3, 4], [3, 4], { transB: 1 })).toThrow(refused)
  expect(product('Gemm', [3, 4], [3, 4], { transA: 1 })).toThrow(refused)
  expect(product('Gemm', [3, 4], [3, 4], { transB: 1 }, { samples: 'whole' })).not.toThrow()
  expect(product('MatMul', [3, 2, 4], [3, 4, 2])).not.toThrow()
})

describe('BatchNormalization in training mode', () => {
  const ones = { dims: [3], data: new Float32Array(3).fill(1) }
  const stored = { 'bn.weight': ones, 'bn.bias': ones, 'bn.mean': ones, 'bn.var': ones }
  const file = (attributes: Attributes, opset: number, outputs = ['y', 'mean', 'var']) =>
    written({ op: 'BatchNormalization', attributes, inputs: { x: [4, 3, 5] }, stored, outputs, opset })
  const read = (bytes: Uint8Array, samples: OnnxOptions['samples']) => importOnnx(bytes, { source: 'm.onnx', samples })

  it('takes statistics of all samples, so it wants them in one', () => {
    const bytes = file({ training_mode: 1 }, 15)
    expect(() => read(bytes, 'first')).toThrow(
      /^m\.onnx: BatchNormalization "n" .*takes mean and variance along axis 0, which is the samples'.*samples: 'whole'/,
    )
    const { model, outputs } = read(bytes, 'whole')
    expect(outputs.map((o) => o.dims)).toEqual([[4, 3, 5], [3], [3]])
    // Scale and bias are weights, what runs is none.
    expect(model.params.filter((p) => p.attrs.trainable).length).toBe(2)
    expect(read(file({ training_mode: 1 }, 15, ['y']), 'whole').mappings[0].to).not.toContain(',')
  })

  it('computes with the mean and variance of each channel', async () => {
    const random = new Random(12)
    const x = drawn(random, [4, 3, 5])
    const [scale, bias, mean, variance] = Array.from({ length: 4 }, () => drawn(random, [3]))
    const want = new Float32Array(60)
    for (let c = 0; c < 3; c++) {
      const own = [...x.data.keys()].filter((i) => Math.floor(i / 5) % 3 === c)
      const average = own.reduce((sum, i) => sum + x.data[i], 0) / 20
      const spread = own.reduce((sum, i) => sum + (x.data[i] - average) ** 2, 0) / 20
      for (const i of own) want[i] = ((x.data[i] - average) / Math.sqrt(spread + 1e-5)) * scale.data[c] + bias.data[c]
    }
    const values = { 'bn.weight': scale, 'bn.bias': bias, 'bn.mean': mean, 'bn.var': variance }
    const attributes = { training_mode: 1 }
    const bytes = written({ op: 'BatchNormalization', attributes, inputs: { x: x.dims }, stored: values, opset: 15 })
    expectClose(await run(bytes, x, { samples: 'whole' }), { dims: x.dims, data: want }, 'y')
  })

  it('before opset 14 it is refused', () => {
    expect(() => read(file({}, 9), 'whole')).toThrow(
      /outputs beside Y, which is training as before opset 14; attribute training_mode/,
    )
  })
})

describe('Dropout in training mode', () => {
  const x = { dims: [2, 3], data: Float32Array.of(1, 2, 3, 4, 5, 6) }
  const number = (v: number): Values => ({ dims: [], data: Float32Array.of(v) })
  const file = (stored: Record<string, Values>) => written({ op: 'Dropout', inputs: { x: x.dims }, stored })

  it('drops nothing where its ratio is 0, and is refused where it would', async () => {
    expect(await run(file({ ratio: number(0), training: number(1) }), x)).toEqual(x.data)
    expect(await run(file({ ratio: number(0.5), training: number(0) }), x)).toEqual(x.data)
    // What is kept, as an output of the file.
    const mask = written({ op: 'Dropout', inputs: { x: x.dims }, outputs: ['y', 'kept'], given: ['kept'] })
    expect(await run(mask, x)).toEqual(new Float32Array(6).fill(1))
    const read = () => importOnnx(file({ ratio: number(0.25), training: number(1) }), { source: 'm.onnx' })
    expect(read).toThrow(/^m\.onnx: Dropout "n" .*drops 0\.25 of its values at random, .*training_mode 0, or with ratio 0/)
  })

  it('is refused of stored values too', () => {
    const stored = { x, ratio: number(0.25), training: number(1) }
    const bytes = written({ op: 'Dropout', inputs: {}, stored })
    expect(() => importOnnx(bytes, { source: 'm.onnx' })).toThrow(/drops 0\.25 of its values at random/)
  })
})

describe('MaxPool with the output Indices', () => {
  const file = (dims: readonly number[], attributes: Attributes) =>
    written({ op: 'MaxPool', attributes, inputs: { x: dims }, outputs: ['y', 'places'], given: ['places'] })

  it.each([1, 2])('over %i axes says where the first maximum of each window lies', async (axes) => {
    const each = (of: () => number) => Array.from({ length: axes }, of)
    for (let seed = 0; seed < CASES; seed++) {
      const random = new Random(500 * axes + seed)
      const kernel_shape = each(() => 1 + random.integer(4))
      const [strides, dilations] = [each(() => 1 + random.integer(3)), each(() => 1 + random.integer(2))]
      const spans = kernel_shape.map((k, i) => (k - 1) * dilations[i] + 1)
      // A window is never all padding.
      const drawnPads = [...spans, ...spans].map(() => random.integer(2)).map((p, i) => Math.min(p, kernel_shape[i % axes] - 1))
      const sizes = spans.map((span) => span + random.integer(5))
      const auto = random.integer(4) === 0
      const total = spans.map((span, i) => Math.max(0, (Math.ceil(sizes[i] / strides[i]) - 1) * strides[i] + span - sizes[i]))
      const pads = auto ? [...total.map((t) => t - Math.floor(t / 2)), ...total.map((t) => Math.floor(t / 2))] : drawnPads
      // A pool of dilated windows has none.
      const ceil_mode = !auto && dilations.every((d) => d === 1) ? random.integer(2) : 0
      const storage_order = random.integer(2)
      const dims = [1, 1 + random.integer(3), ...sizes]
      // Few values, so that some are alike.
      const x = { dims, data: Float32Array.from({ length: count(dims) }, () => random.integer(5) - 6) }
      const out = sizes.map((d, i) => {
        const room = (d + pads[i] + pads[i + axes] - spans[i]) / strides[i]
        const n = (ceil_mode ? Math.ceil(room) : Math.floor(room)) + 1
        // A window that would begin behind all values and the padding before them is none.
        return (n - 1) * strides[i] >= d + pads[i] ? n - 1 : n
      })
      const want = positions([dims[1], ...out]).map(([c, ...p]) => {
        let best = -1
        let place = -1
        for (const k of positions(kernel_shape)) {
          const at = p.map((v, i) => v * strides[i] + k[i] * dilations[i] - pads[i])
          const index = placeOf(dims, [0, c, ...at])
          if (index < 0 || (best >= 0 && x.data[index] <= x.data[best])) continue
          best = index
          place = axes === 2 && storage_order ? c * count(sizes) + at[0] + at[1] * sizes[0] : index
        }
        return place
      })
      const around: Attributes = auto ? { auto_pad: 'SAME_LOWER' } : { pads }
      const attributes = { kernel_shape, strides, dilations, ...around, ceil_mode, storage_order }
      const what = `seed ${500 * axes + seed}: [${dims}], ${JSON.stringify(attributes)}`
      expect([...(await run(file(dims, attributes), x))], what).toEqual(want)
    }
  })

  it('tells the smallest numbers apart', async () => {
    const x = { dims: [1, 1, 2, 2], data: Float32Array.of(2 ** -126, 2 ** -126 + 2 ** -149, 0, -1) }
    expect([...(await run(file(x.dims, { kernel_shape: [2, 2] }), x))]).toEqual([1])
  })

  it('is left out where nobody reads it', () => {
    const attributes = { kernel_shape: [2, 2] }
    const unread = { op: 'MaxPool', attributes, inputs: { x: [2, 1, 4, 4] }, outputs: ['y', 'places'], given: ['y'] }
    expect(importOnnx(written(unread), { source: 'm.onnx' }).outputs.map((o) => o.name)).toEqual(['y'])
  })

  it('is refused where it would count through other samples, or through too many elements', () => {
    const attributes = { kernel_shape: [2, 2] }
    const read = (dims: readonly number[], more?: Attributes) => () =>
      importOnnx(file(dims, { ...attributes, ...more }), { source: 'm.onnx' })
    expect(read([2, 1, 4, 4])).toThrow(/^m\.onnx: MaxPool "n" .*counts its output Indices on through all samples/)
    expect(read([1, 1, 40, 40], { kernel_shape: [20, 20] })).toThrow(
      /Indices for windows of 256 positions and fewer, this has 400\. Export without that output/,
    )
    expect(read([1, 2, 4096, 4096])).toThrow(/Indices of 16777216 elements and fewer/)
    expect(read([1, 1, 4, 4, 4], { kernel_shape: [2, 2, 2] })).toThrow(/Indices over one or two axes only/)
  })
})

describe('Cast between floats', () => {
  const file = (to: number) => written({ op: 'Cast', attributes: { to }, inputs: { x: [1, 3] } })

  it('to float16 goes on in float32, and to bfloat16 is refused', async () => {
    const x = { dims: [1, 3], data: Float32Array.of(0.1, -7, 3e-5) }
    expect(await run(file(10), x)).toEqual(x.data)
    expect(() => importOnnx(file(16), { source: 'm.onnx' })).toThrow(/Cast "n" .*no rounding to bfloat16 is done/)
  })
})

it('what is read only of known values says so', () => {
  const bytes = written({ op: 'Where', inputs: { condition: [2, 3], a: [2, 3], b: [2, 3] } })
  expect(() => importOnnx(bytes, { source: 'm.onnx' })).toThrow(
    /^m\.onnx: Where "n" .*of computed values is not supported\. Its inputs have to be stored in the file, or given in values/,
  )
})
