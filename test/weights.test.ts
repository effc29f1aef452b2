// Weights of PyTorch's and Keras' layouts put into a model give what the weights in dunlin's own layout give.
import { describe, expect, it } from 'vitest'
import { reordered } from '../src/formats/onnx/value'
import { loadWeights, type Weights } from '../src/formats/weights'
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
