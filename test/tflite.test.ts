// .tflite files: what is written reads back to the same bits, float and int8; operators that only other programs write; dynamic range and
// float16 weights; variables; errors that say which operator; and that no file, however it is changed, does harm.

import { describe, expect, it } from 'vitest'
import { quantize } from '../src/compress/quantize'
import { makeDataset } from '../src/data/dataset'
import { exportTflite, importTflite } from '../src/formats'
import { readModelTable, writeModelTable } from '../src/formats/tflite/flatbuffer'
import type { Draft } from '../src/formats/tflite/schema'
import { DunlinError } from '../src/graph/error'
import { input } from '../src/graph/node'
import { Random } from '../src/graph/random'
import { Model } from '../src/model/model'
import { sequential } from '../src/model/sequential'
import { relu, relu6 } from '../src/ops/activation'
import { batchNorm } from '../src/ops/batchNorm'
import { concat } from '../src/ops/concat'
import { dequantize, rescale, toInt8 } from '../src/ops/convert'
import { dense } from '../src/ops/dense'
import { gru } from '../src/ops/gru'
import { lstm } from '../src/ops/lstm'
import { flatten } from '../src/ops/reshape'
import { slice } from '../src/ops/slice'
import { recall, remember } from '../src/ops/variable'
import { adam } from '../src/train/optimizers'
import { Trainer } from '../src/train/trainer'
import { tinyCnn } from '../src/zoo/tinyCnn'
import { FORMATS, fuzz } from './mutants'
import { type GraphOf, type TensorOf, tflite } from './tflite-file'
import { drawn, draws, FLOAT_ONLY, image, LAYERS } from './tflite-layers'

/** What comes back from the file, after checking that it computes the same. */
async function roundTrip(model: Model): Promise<Model> {
  const { model: back } = importTflite(exportTflite(model))
  const x = draws(model, 3)
  expect(await back.predict(x, { threads: 1 })).toEqual(await model.predict(x, { threads: 1 }))
  expect(back.inputs.map((n) => n.name)).toEqual(model.inputs.map((n) => n.name))
  return back
}

describe('what is written reads back to the same bits', () => {
  it.each(Object.entries({ ...LAYERS, ...FLOAT_ONLY }))('float %s', async (_, make) => {
    await roundTrip(drawn(make()))
  })

  it.each(Object.entries(LAYERS))('int8 %s', async (_, make) => {
    const model = drawn(make())
    const small = await quantize(model, { x: draws(model, 20, 5) })
    const back = await roundTrip(small)
    expect(back.outputs.map((n) => [n.dtype, n.quant])).toEqual(small.outputs.map((n) => [n.dtype, n.quant]))
  })

  it('a batchNorm that stands alone, as a product and a sum', async () => {
    const model = drawn(batchNorm({ activation: 'relu' })(image()))
    const x = draws(model, 3)
    const [y, want] = [await importTflite(exportTflite(model)).model.predict(x), await model.predict(x)]
    for (const [i, v] of y.entries()) expect(Math.abs(v - want[i])).toBeLessThanOrEqual(1e-6 * (1 + Math.abs(want[i])))
  })

  it('networks: names, weights and outputs, of float, which trains on, and of int8', async () => {
    const model = tinyCnn({ shape: [12, 12, 1], classes: 3 })
    const back = await roundTrip(model)
    const names = (m: Model) => m.params.map((p) => p.name).filter((n) => !/bn|gamma|beta|mean|variance|factor|shift/.test(n))
    for (const name of names(model)) expect(back.params.map((p) => p.name)).toContain(name)
    const data = makeDataset({ x: draws(back, 6), y: [0, 1, 2, 0, 1, 2], shape: [12, 12, 1], classes: 3 })
    const before = back.params.map((p) => p.data.slice())
    await new Trainer(back, { optimizer: adam(), batch: 3 }).fit(data, { epochs: 1 })
    expect(back.params.some((p, i) => p.data.some((v, j) => v !== before[i][j]))).toBe(true)
    const small = await quantize(model, { x: draws(model, 20, 5) })
    const twice = await roundTrip(await roundTrip(small))
    expect(twice.params.map((p) => p.data)).toEqual(small.params.map((p) => p.data))
  })

  it('a model that is int8 in part', async () => {
    const quant = { scale: [Math.fround(0.02)], zeroPoint: 3 }
    const other = { scale: [Math.fround(0.05)], zeroPoint: -7 }
    const middle = sequential(relu(), toInt8({ quant }), rescale({ quant: other }), dequantize(), relu6())
    await roundTrip(new Model(middle(image())))
  })

  it('variables, from run to run', async () => {
    const stream = (): Model => {
      const x = input([1, 4], { name: 'x' })
      const before = recall({ variable: 'ring', shape: [3, 4] })(x)
      const window = concat({ axis: 0 })(before, x)
      const y = dense({ units: 2, name: 'head' })(flatten()(window))
      return new Model(remember({ variable: 'ring' })(y, slice({ begin: [1, 0], size: [3, 4] })(window), before), { seed: 2 })
    }
    const float = stream()
    const small = await quantize(stream(), { x: draws(float, 20, 5) })
    for (const model of [float, small]) {
      const back = importTflite(exportTflite(model)).model
      const x = draws(model, 6)
      const run = async (m: Model) => {
        const steps = []
        for (let i = 0; i < 6; i++) steps.push(await m.predict(x.subarray(i * 4, i * 4 + 4), { threads: 1 }))
        return steps
      }
      const want = await run(model)
      expect(await run(back)).toEqual(want)
      // The fourth output depends on the first step.
      expect(want[3]).not.toEqual(await back.predict(x.subarray(12, 16)))
    }
  })

  it('refuses an op without an operator, by name', () => {
    const model = new Model(gru({ units: 3, name: 'memory' })(input([4, 2])))
    expect(() => exportTflite(model)).toThrow(
      /^exportTflite: gru "memory" has no operator in a \.tflite file\. There are some for add, avgPool2d/,
    )
    const reversed = new Model(lstm({ units: 3, reverse: true, name: 'back' })(input([4, 2])))
    expect(() => exportTflite(reversed)).toThrow('exportTflite: lstm "back" runs backwards')
  })
})

const reals = (shape: readonly number[], values: readonly number[]): TensorOf => ({ shape, data: Float32Array.from(values) })
const ints = (...values: number[]): TensorOf => ({ shape: [values.length], type: 'INT32', data: Int32Array.from(values) })

/** A file of one float input x and one output y. */
const one = (
  x: readonly number[],
  y: readonly number[],
  operators: GraphOf['operators'],
  tensors: Record<string, TensorOf> = {},
): Uint8Array => tflite({ tensors: { x: { shape: x }, y: { shape: y }, ...tensors }, operators, inputs: ['x'], outputs: ['y'] })

const outputOf = async (file: Uint8Array, x: readonly number[]) =>
  Array.from(await importTflite(file, { source: 'm.tflite' }).model.predict(Float32Array.from(x), { threads: 1 }))

describe('operators of other programs', () => {
  it('SPLIT, SPLIT_V, SQUEEZE, EXPAND_DIMS, SLICE, TRANSPOSE', async () => {
    const shape = [1, 2, 4]
    const half = { shape: [1, 2, 2] }
    const parts = { a: half, b: half, axis: ints(2) }
    const split = one(
      shape,
      [1, 2, 2],
      [
        ['SPLIT', ['axis', 'x'], ['a', 'b'], { kind: 'Split', row: { numSplits: 2 } }],
        ['SUB', ['b', 'a'], ['y']],
      ],
      parts,
    )
    expect(await outputOf(split, [1, 2, 3, 5, 7, 11, 13, 17])).toEqual([2, 3, 6, 6])
    const splitV = one(
      shape,
      [1, 2, 1],
      [
        ['SPLIT_V', ['x', 'sizes', 'axis'], ['a', 'b']],
        ['SQUEEZE', ['b'], ['c']],
        ['EXPAND_DIMS', ['c', 'axis'], ['y']],
      ],
      { ...parts, a: { shape: [1, 2, 3] }, b: { shape: [1, 2, 1] }, c: { shape: [1, 2] }, sizes: ints(3, -1) },
    )
    expect(await outputOf(splitV, [1, 2, 3, 5, 7, 11, 13, 17])).toEqual([5, 17])
    const cut = one(
      shape,
      [1, 3, 1],
      [
        ['SLICE', ['x', 'begin', 'size'], ['a']],
        ['TRANSPOSE', ['a', 'axes'], ['y']],
      ],
      {
        ...{ a: { shape: [1, 1, 3] }, begin: ints(0, 1, 1), size: ints(-1, 1, 3), axes: ints(0, 2, 1) },
      },
    )
    expect(await outputOf(cut, [1, 2, 3, 5, 7, 11, 13, 17])).toEqual([11, 13, 17])
  })

  it('a shape computed on the way to RESHAPE is not needed', async () => {
    const tensors = {
      shape: { shape: [2], type: 'INT32' as const },
      size: { shape: [1], type: 'INT32' as const },
      flat: ints(-1),
    }
    const file = one(
      [1, 2, 2],
      [1, 4],
      [
        ['SHAPE', ['x'], ['shape']],
        ['PACK', ['shape', 'flat'], ['size']],
        ['RESHAPE', ['x', 'size'], ['y']],
      ],
      tensors,
    )
    const { model, mappings } = importTflite(file)
    expect(Array.from(await model.predict([1, 2, 3, 4]))).toEqual([1, 2, 3, 4])
    expect(mappings.map((m) => `${m.index} ${m.operator} ${m.name}: ${m.to}`)).toEqual([
      '0 SHAPE shape: nothing: no output depends on it',
      '1 PACK size: nothing: no output depends on it',
      '2 RESHAPE y: reshape',
    ])
  })

  it('constants in sums and products, repeated; they train', async () => {
    const add = { kind: 'Add', row: { activation: 1 } } as const
    const file = one(
      [1, 2, 3],
      [1, 2, 3],
      [
        ['MUL', ['x', 'scale'], ['a']],
        ['ADD', ['shift', 'a'], ['y'], add],
      ],
      {
        ...{ a: { shape: [1, 2, 3] }, scale: reals([], [2]), shift: reals([1, 1, 3], [1, 0, -100]) },
      },
    )
    expect(await outputOf(file, [1, 2, 3, -4, 5, 60])).toEqual([3, 4, 0, 0, 10, 20])
    expect(importTflite(file).model.params.map((p) => p.attrs.trainable)).toEqual([true, true])
  })

  it('fused activations that no kernel of dunlin fuses', async () => {
    for (const [activation, f] of [
      [2, (v: number) => Math.min(1, Math.max(-1, v))],
      [4, Math.tanh],
    ] as const) {
      const file = one([1, 3], [1, 3], [['MUL', ['x', 'x'], ['y'], { kind: 'Mul', row: { activation } }]])
      const y = await outputOf(file, [0.5, 2, -0.1])
      for (const [i, v] of [0.25, 4, 0.01].entries()) expect(y[i]).toBeCloseTo(f(v), 6)
    }
  })

  it('weights of int8 or float16 under float values: dynamic range, with scales by tensor and by channel', async () => {
    const w = Int8Array.of(1, -2, 3, 4, 5, -6)
    const half = Uint16Array.of(0x3c00, 0xc000, 0x4200, 0x4400, 0x4500, 0xc600)
    const dense = (weights: TensorOf) => one([1, 3], [1, 2], [['FULLY_CONNECTED', ['x', 'w'], ['y']]], { w: weights })
    const x = [1, 10, 100]
    expect(await outputOf(dense({ shape: [2, 3], type: 'INT8', data: w, scale: [0.5] }), x)).toEqual([140.5, -273])
    expect(await outputOf(dense({ shape: [2, 3], type: 'INT8', data: w, scale: [0.5, 2] }), x)).toEqual([140.5, -1092])
    const thin = one(
      [1, 3],
      [1, 2],
      [
        ['DEQUANTIZE', ['h'], ['w']],
        ['FULLY_CONNECTED', ['x', 'w'], ['y']],
      ],
      {
        ...{ w: { shape: [2, 3] }, h: { shape: [2, 3], type: 'FLOAT16', data: half } },
      },
    )
    expect(await outputOf(thin, x)).toEqual([281, -546])
    expect(importTflite(thin).model.params[0].attrs.trainable).toBe(true)
  })

  it('a float input that is quantized at once is an int8 input; UINT8 is int8 that is 128 less', async () => {
    const x8 = { shape: [1, 3], type: 'INT8' as const, scale: [0.5], zeroPoint: 2 }
    const float = one(
      [1, 3],
      [1, 3],
      [
        ['QUANTIZE', ['x'], ['a']],
        ['RELU', ['a'], ['b']],
        ['DEQUANTIZE', ['b'], ['y']],
      ],
      { a: x8, b: x8 },
    )
    const { model } = importTflite(float)
    expect(model.nodes.map((n) => `${n.op} ${n.dtype}`)).toEqual(['input i8', 'relu i8'])
    expect(Array.from(await model.predict([1.2, -3, 100]))).toEqual([1, 0, 62.5])
    const u8 = { shape: [1, 3], type: 'UINT8' as const, scale: [0.5], zeroPoint: 130 }
    const byte = tflite({
      tensors: { x: u8, a: x8, y: u8 },
      operators: [
        ['QUANTIZE', ['x'], ['a']],
        ['QUANTIZE', ['a'], ['y']],
      ],
      inputs: ['x'],
      outputs: ['y'],
    })
    const bytes = importTflite(byte).model
    expect(bytes.nodes.map((n) => `${n.op} ${n.dtype} ${n.quant?.zeroPoint}`)).toEqual(['input i8 2'])
  })

  it('an int8 SVDF keeps its steps: equal to the reference', async () => {
    const [inputs, units, rank, memory] = [4, 2, 2, 3]
    const random = new Random(5)
    const filters = units * rank
    const draw = (n: number, most: number) => Array.from({ length: n }, () => random.integer(2 * most + 1) - most)
    const [f, w, b] = [draw(filters * inputs, 127), draw(filters * memory, 30000), draw(units, 1000)]
    const scales = {
      x: Math.fround(0.02),
      f: Math.fround(0.01),
      s: Math.fround(0.0005),
      w: Math.fround(0.00003),
      y: Math.fround(0.02),
    }
    const file = tflite({
      tensors: {
        x: { shape: [1, inputs], type: 'INT8', scale: [scales.x], zeroPoint: 3 },
        f: { shape: [filters, inputs], type: 'INT8', scale: [scales.f], data: Int8Array.from(f) },
        w: { shape: [filters, memory], type: 'INT16', scale: [scales.w], data: Int16Array.from(w) },
        b: { shape: [units], type: 'INT32', scale: [scales.s * scales.w], data: Int32Array.from(b) },
        state: { shape: [1, filters * memory], type: 'INT16', scale: [scales.s], variable: true },
        y: { shape: [1, units], type: 'INT8', scale: [scales.y], zeroPoint: -4 },
      },
      operators: [['SVDF', ['x', 'f', 'w', 'b', 'state'], ['y'], { kind: 'SVDF', row: { rank } }]],
      ...{ inputs: ['x'], outputs: ['y'] },
    })
    const { model } = importTflite(file)
    const copy = importTflite(exportTflite(model)).model
    const rows = Array.from({ length: filters }, () => [0, 0, 0])
    for (let step = 0; step < 7; step++) {
      const x = draw(inputs, 120)
      rows.forEach((row, r) => {
        const dot = x.reduce((sum, v, i) => sum + (v - 3) * f[r * inputs + i], 0)
        row.shift()
        row.push(Math.max(-32768, Math.min(32767, Math.round((dot * scales.x * scales.f) / scales.s))))
      })
      const want = Array.from({ length: units }, (_, u) => {
        let sum = b[u]
        for (let r = u * rank; r < (u + 1) * rank; r++)
          rows[r].forEach((v, m) => {
            sum += v * w[r * memory + m]
          })
        return Math.max(-128, Math.min(127, Math.round((sum * scales.s * scales.w) / scales.y) - 4))
      })
      const fed = Float32Array.from(x, (q) => scales.x * (q - 3))
      for (const m of [model, copy]) {
        const y = Array.from(await m.predict(fed, { threads: 1 }), (v) => Math.round(v / scales.y) - 4)
        // Real arithmetic may round a tie the other way.
        for (const [u, q] of y.entries()) expect(Math.abs(q - want[u]), `step ${step}, unit ${u}`).toBeLessThanOrEqual(1)
      }
    }
  })

  it('variables as TensorFlow writes them: CALL_ONCE, a ring that is read, joined, cut and assigned', async () => {
    const handle = { shape: [], type: 'RESOURCE' as const }
    const variable = { kind: 'VarHandle', row: { container: '', sharedName: 'ring' } } as const
    const slicing = { kind: 'StridedSlice', row: { beginMask: 5, endMask: 7 } } as const
    const ring = (first: number) =>
      tflite(
        {
          tensors: {
            ...{
              x: { shape: [1, 1, 2] },
              h: handle,
              past: { shape: [1, 2, 2] },
              all: { shape: [1, 3, 2] },
              next: { shape: [1, 2, 2] },
              y: { shape: [1, 2] },
            },
            ...{ begin: ints(0, 1, 0), end: ints(0, 0, 0), strides: ints(1, 1, 1), axis: ints(1) },
          },
          operators: [
            ['CALL_ONCE', [], [], { kind: 'CallOnce', row: { initSubgraphIndex: 1 } }],
            ['VAR_HANDLE', [], ['h'], variable],
            ['READ_VARIABLE', ['h'], ['past']],
            ['CONCATENATION', ['past', 'x'], ['all'], { kind: 'Concatenation', row: { axis: 1 } }],
            ['STRIDED_SLICE', ['all', 'begin', 'end', 'strides'], ['next'], slicing],
            ['ASSIGN_VARIABLE', ['h', 'next'], []],
            ['MEAN', ['all', 'axis'], ['y']],
          ],
          ...{ inputs: ['x'], outputs: ['y'] },
        },
        {
          tensors: { h: handle, zeros: reals([1, 2, 2], [first, first, first, first]) },
          operators: [
            ['VAR_HANDLE', [], ['h'], variable],
            ['ASSIGN_VARIABLE', ['h', 'zeros'], []],
          ],
          ...{ inputs: [], outputs: [] },
        },
      )
    const { model } = importTflite(ring(0))
    const means = []
    for (const v of [3, 6, 9, 12]) means.push((await model.predict([v, -v], { threads: 1 }))[0])
    for (const [i, want] of [1, 3, 6, 9].entries()) expect(means[i]).toBeCloseTo(want, 5)
    expect(() => importTflite(ring(1), { source: 'm.tflite' })).toThrow(
      'm.tflite: operator 2 (READ_VARIABLE "past"): starts from values that are not zeros, as they must be.',
    )
  })
})

describe('errors', () => {
  const message = (file: Uint8Array) => {
    try {
      importTflite(file, { source: 'm.tflite' })
    } catch (error) {
      expect(error).toBeInstanceOf(DunlinError)
      return (error as Error).message
    }
    throw new Error('no error')
  }

  it('say which operator, and what is supported', () => {
    expect(message(one([1, 3], [1, 3], [['FLOOR', ['x'], ['y']]]))).toMatch(
      /^m\.tflite: operator 0 \(FLOOR "y"\): is not supported\. Supported are ADD, ASSIGN_VARIABLE, AVERAGE_POOL_2D, .*VAR_HANDLE\.$/,
    )
    const w = reals([2, 4], [1, 2, 3, 4, 5, 6, 7, 8])
    expect(message(one([1, 3], [1, 2], [['FULLY_CONNECTED', ['x', 'w'], ['y']]], { w }))).toBe(
      'm.tflite: operator 0 (FULLY_CONNECTED "y"): has weights [2,4] for an input of 3 values a sample.',
    )
    expect(message(one([1, 3], [1, 4], [['RELU', ['x'], ['y']]]))).toBe(
      'm.tflite: operator 0 (RELU "y"): gives [3] for a sample, the file says [4].',
    )
    const short = { ...w, data: Float32Array.of(1) }
    expect(message(one([1, 4], [1, 2], [['FULLY_CONNECTED', ['x', 'w'], ['y']]], { w: short }))).toBe(
      'm.tflite: operator 0 (FULLY_CONNECTED "y"): tensor 2 ("w") of shape [2,4] has 4 bytes, wanted 32.',
    )
    expect(message(one([1, 4], [1, 4], [['ADD', ['x', 'later'], ['y']]], { later: { shape: [1, 4] } }))).toBe(
      'm.tflite: operator 0 (ADD "y"): tensor 2 ("later") is computed by no operator before this one.',
    )
    const wide = { shape: [1, 3], type: 'INT16' as const, scale: [1] }
    expect(message(tflite({ tensors: { x: wide }, operators: [], inputs: ['x'], outputs: ['x'] }))).toMatch(
      /^m\.tflite: tensor 0 \("x"\) is INT16; values are FLOAT32 or INT8/,
    )
  })

  it('say at which byte a file is broken', () => {
    const file = exportTflite(new Model(relu()(input([3]))))
    expect(message(new Uint8Array(0))).toBe(
      'm.tflite: not a valid .tflite file: at byte 0 it has 0 bytes, its head alone takes 8. Was it cut short or changed?',
    )
    expect(message(file.subarray(0, file.length - 40))).toMatch(/^m\.tflite: not a valid \.tflite file: at byte \d+ /)
    expect(message(new Uint8Array(64))).toMatch(/^m\.tflite: not a \.tflite file: bytes 4 to 7 are not "TFL3"/)
  })

  it('a name without end is cut', () => {
    const long = 'x'.repeat(5000)
    const file = tflite({ tensors: { [long]: { shape: [1, 3] } }, operators: [], inputs: [long], outputs: [long] })
    expect(importTflite(file).model.inputs[0].name).toBe('x'.repeat(1000))
  })

  it('a list that is shared again and again does not unfold', () => {
    const data = Array.from({ length: 3000 }, (_, i) => i)
    const big: Draft<'Model'> = { version: 3, subgraphs: [{ tensors: [{ shape: data }], inputs: [0], outputs: [0] }] }
    const file = writeModelTable(big)
    expect(readModelTable(file, 'm').subgraphs?.[0].tensors?.[0].shape).toEqual(data)
    // A list of 20,000 tensors, each the same table.
    const list = new Uint8Array(file.length + 4 + 4 * 20_000)
    list.set(file)
    const view = new DataView(list.buffer)
    const follow = (at: number) => at + view.getUint32(at, true)
    const field = (table: number, number: number) =>
      table + view.getUint16(table - view.getInt32(table, true) + 4 + 2 * number, true)
    const graph = follow(follow(field(follow(0), 2)) + 4)
    const tensor = follow(follow(field(graph, 0)) + 4)
    view.setUint32(field(graph, 0), file.length - field(graph, 0), true)
    view.setUint32(file.length, 20_000, true)
    for (let i = 0; i < 20_000; i++)
      view.setUint32(file.length + 4 + 4 * i, 0x1_0000_0000 + tensor - (file.length + 4 + 4 * i), true)
    expect(message(list)).toMatch(/^m\.tflite: not a valid \.tflite file: at byte \d+ /)
  })
})

/** Mutants that are tried, and for how many seconds at most; `npm run fuzz:formats` makes more of them. */
const MUTANTS = 1500
const SECONDS = 20

describe('mutations of valid files', () => {
  it(`end in a model or in a DunlinError (${MUTANTS} at most)`, { timeout: (SECONDS + 60) * 1000 }, async () => {
    const { models, errors } = await fuzz(FORMATS.tflite, await FORMATS.tflite.files(), { count: MUTANTS, seconds: SECONDS })
    console.log(`tflite fuzz: ${models} models, ${errors} errors`)
    expect(models + errors).toBeGreaterThan(100)
    expect(errors).toBeGreaterThan(0)
  })
})
