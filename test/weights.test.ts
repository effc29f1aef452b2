// Weights of PyTorch's and Keras' layouts put into a model give what the weights in dunlin's own layout give.
import { describe, expect, it } from 'vitest'
import { loadWeights, readSafetensors } from '../src/formats'
import { reordered } from '../src/formats/onnx/value'
import type { Weights } from '../src/formats/weights'
import { input, type Param } from '../src/graph/node'
import { batchNorm, conv2d, dense, depthwiseConv2d, flatten, lstm, Model, sequential } from '../src/index'

const make = (seed: number) =>
  new Model(
    sequential(
      conv2d({ filters: 3, kernel: [2, 3], name: 'conv' }),
      batchNorm({ name: 'norm' }),
      depthwiseConv2d({ kernel: 2, name: 'deep' }),
      flatten(),
      dense({ units: 4, name: 'head' }),
    )(input([6, 7, 2])),
    { seed },
  )

const x = Float32Array.from({ length: 6 * 7 * 2 }, (_, i) => Math.sin(i))
const turned = (p: Param, shape: readonly number[], order: readonly number[]): Weights => ({
  shape: order.map((i) => shape[i]),
  data: reordered(p.data as Float32Array, shape, order),
})

/** A safetensors file as other programs write it: each tensor by its type, and its bytes. */
function file(tensors: Record<string, [type: string, shape: readonly number[], data: ArrayBufferView]>): Uint8Array {
  let end = 0
  const entries = Object.entries(tensors).map(([name, [dtype, shape, { byteLength }]]) => {
    end += byteLength
    return [name, { dtype, shape, data_offsets: [end - byteLength, end] }]
  })
  const json = Buffer.from(JSON.stringify(Object.fromEntries(entries)))
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(BigInt(json.length))
  const data = Object.values(tensors).map(([, , { buffer, byteOffset, byteLength }]) =>
    Buffer.from(buffer, byteOffset, byteLength),
  )
  return Buffer.concat([length, json, ...data])
}

describe('readSafetensors', () => {
  const read = (type: string, data: ArrayBufferView & { length: number }) => {
    const { dtype, data: values } = readSafetensors(file({ t: [type, [data.length], data] })).tensors.get('t')!
    return [dtype, ...values]
  }

  it("reads other programs' types as the next that holds their numbers", () => {
    const halves = Uint16Array.of(0x0000, 0x8001, 0x03ff, 0x0400, 0x3c00, 0xc001, 0x7bff, 0x7c00, 0xfc00, 0x7e00)
    const largest = (2 - 2 ** -10) * 2 ** 15
    const numbers = [0, -(2 ** -24), 1023 * 2 ** -24, 2 ** -14, 1, -2 * (1 + 2 ** -10), largest, Infinity, -Infinity, Number.NaN]
    expect(read('F16', halves)).toEqual(['f32', ...numbers])
    expect(read('BF16', Uint16Array.of(0x3f80, 0xc049, 0x7f80, 0x0001))).toEqual(['f32', 1, -3.140625, Infinity, 2 ** -133])
    expect(read('F64', Float64Array.of(0.1, -1e300))).toEqual(['f64', 0.1, -1e300])
    expect(read('I64', BigInt64Array.of(-5n, 2n ** 53n))).toEqual(['f64', -5, 2 ** 53])
    expect(read('U64', BigUint64Array.of(2n ** 63n))).toEqual(['f64', 2 ** 63])
    expect(read('U32', Uint32Array.of(4294967295))).toEqual(['f64', 4294967295])
    expect(read('U16', Uint16Array.of(65535))).toEqual(['i32', 65535])
    expect(read('BOOL', Uint8Array.of(1, 0))).toEqual(['u8', 1, 0])
    expect(() => read('F8_E4M3', Uint8Array.of(1))).toThrow(
      /tensor "t" has dtype "F8_E4M3"; .*F32.*BOOL, F16, BF16, U16, U32, I64, U64 are read/,
    )
    expect(() => readSafetensors(file({ t: ['F16', [3], Uint16Array.of(1, 2)] }))).toThrow('has 4 bytes, wanted 6')
  })

  it('so that weights in half precision, and counters, are loaded', async () => {
    const model = new Model(dense({ units: 2, name: 'fc' })(input([2])))
    const bytes = file({
      'fc.weight': ['BF16', [2, 2], Uint16Array.of(0x3f80, 0x4000, 0xbf80, 0x0000)],
      'fc.bias': ['F16', [2], Uint16Array.of(0x3800, 0xb800)],
      'norm.num_batches_tracked': ['I64', [], BigInt64Array.of(7n)],
    })
    loadWeights(model, readSafetensors(bytes, 'model.safetensors').tensors)
    expect([...(await model.predict(Float32Array.of(3, 4)))]).toEqual([11.5, -3.5])
  })
})

describe('loadWeights', () => {
  const source = make(3)
  const param = (name: string) => source.params.find((p) => p.name === name) as Param
  const as = (name: string): Weights => ({ shape: param(name).shape, data: param(name).data })

  it('from a PyTorch state_dict', async () => {
    const tensors = new Map<string, Weights>([
      ['conv.weight', turned(param('conv/w'), [3, 2, 3, 2], [0, 3, 1, 2])],
      ['conv.bias', as('conv/b')],
      ['norm.weight', as('norm/gamma')],
      ['norm.bias', as('norm/beta')],
      ['norm.running_mean', as('norm/mean')],
      ['norm.running_var', as('norm/variance')],
      ['norm.num_batches_tracked', { shape: [], data: [7] }],
      ['deep.weight', turned(param('deep/w'), [2, 2, 3, 1], [2, 3, 0, 1])],
      ['deep.bias', as('deep/b')],
      // [H, W, C] as [C, H, W].
      [
        'fc.weight',
        {
          shape: [4, 48],
          data: turned(
            param('head/w'),
            [4, 4, 4, 3].map((n, i) => (i ? [4, 4, 3][i - 1] : n)),
            [0, 3, 1, 2],
          ).data,
        },
      ],
      ['fc.bias', as('head/b')],
    ])
    const model = make(4)
    expect(() => loadWeights(model, tensors)).toThrow('loadWeights: parameter "head/w"')
    expect(await model.predict(x)).toEqual(await make(4).predict(x))
    loadWeights(model, tensors, { names: { 'head/w': 'fc.weight', 'head/b': 'fc.bias' } })
    expect(await model.predict(x)).toEqual(await source.predict(x))
  })

  it("from Keras' list", async () => {
    const list: Weights[] = [
      turned(param('conv/w'), [3, 2, 3, 2], [1, 2, 3, 0]),
      ...['conv/b', 'norm/gamma', 'norm/beta', 'norm/mean', 'norm/variance', 'deep/w', 'deep/b'].map(as),
      turned(param('head/w'), param('head/w').shape, [1, 0]),
      as('head/b'),
    ]
    const model = make(5)
    loadWeights(model, list, { from: 'keras' })
    expect(await model.predict(x)).toEqual(await source.predict(x))
    expect(() => loadWeights(model, [...list, list[0]], { from: 'keras' })).toThrow('1 tensors more')
  })

  it("PyTorch's two biases of an LSTM are one", async () => {
    const of = (seed: number) => new Model(lstm({ units: 3, name: 'rnn' })(input([4, 2])), { seed })
    const [a, b] = [of(1), of(2)]
    const [w, u] = a.params
    loadWeights(b, {
      'rnn.weight_ih_l0': { shape: w.shape, data: w.data },
      'rnn.weight_hh_l0': { shape: u.shape, data: u.data },
      'rnn.bias_ih_l0': { shape: [12], data: new Float32Array(12).fill(0.5) },
      'rnn.bias_hh_l0': { shape: [12], data: new Float32Array(12).fill(-0.5) },
    })
    const y = Float32Array.of(1, 2, 3, 4, 5, 6, 7, 8)
    expect(await b.predict(y)).toEqual(await a.predict(y))
  })
})
