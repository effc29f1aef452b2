// Models: building, names, seeds, predicting, the summary, the file format against damage, and the errors that a person meets first.

import { beforeAll, describe, expect, it } from 'vitest'
import { prune } from '../src/compress/prune'
import { quantize } from '../src/compress/quantize'
import { DunlinError } from '../src/graph/error'
import { input, type Node, type Normalize, param } from '../src/graph/node'
import { Random } from '../src/graph/random'
import { Model } from '../src/model/model'
import { readSafetensors, writeSafetensors } from '../src/model/safetensors'
import { sequential } from '../src/model/sequential'
import { OPS } from '../src/ops'
import { relu, softmax } from '../src/ops/activation'
import { add } from '../src/ops/add'
import { batchNorm } from '../src/ops/batchNorm'
import { conv1d } from '../src/ops/conv1d'
import { conv2d } from '../src/ops/conv2d'
import { convTranspose2d } from '../src/ops/convTranspose2d'
import { dense } from '../src/ops/dense'
import { depthwiseConv2d } from '../src/ops/depthwiseConv2d'
import { layerNorm } from '../src/ops/layerNorm'
import { avgPool2d, globalAvgPool2d, maxPool2d } from '../src/ops/pool2d'
import { flatten, reshape } from '../src/ops/reshape'
import { tinyCnn } from '../src/zoo/tinyCnn'

const values = (seed: number, count: number) => {
  const random = new Random(seed)
  return Float32Array.from({ length: count }, () => random.uniform(-2, 2))
}

/** Convolutions of both kinds, a residual connection, both pools, a softmax. */
function mixed(seed = 0): Model {
  const x = input([6, 5, 2], { normalize: { mean: 0.1, std: 1.5 } })
  const a = conv2d({ filters: 4, kernel: 3, padding: 'same', activation: 'relu', name: 'stem' })(x)
  const b = sequential(depthwiseConv2d({ kernel: 3, padding: 'same' }), relu(), conv2d({ filters: 4, kernel: 1, bias: false }))(a)
  const tail = sequential(maxPool2d({ kernel: 2 }), avgPool2d({ kernel: [1, 2] }), flatten(), dense({ units: 3 }), softmax())
  return new Model(tail(add({ activation: 'relu6' })(a, b)), { name: 'mixed', labels: ['a', 'b', 'c'], seed })
}
/** Groups, transposed convolution, time, normalization of both kinds. */
function normalized(): Model {
  const layers = sequential(
    conv2d({ filters: 4, kernel: 3, groups: 2, name: 'grouped' }),
    batchNorm({ activation: 'relu', name: 'batch' }),
    convTranspose2d({ filters: 2, kernel: 3, strides: 2, outputPadding: 1, name: 'up' }),
    reshape({ shape: [80, 2] }),
    conv1d({ filters: 3, kernel: 4, strides: 4, padding: 'causal', name: 'time' }),
    layerNorm({ name: 'layer' }),
    flatten(),
  )
  return new Model(layers(input([6, 5, 2])), { name: 'normalized' })
}
const EACH = 60

describe('building', () => {
  it('applies layers one after another', async () => {
    const [a, b] = [dense({ units: 4, activation: 'relu' }), dense({ units: 2 })]
    const x = input([3])
    const composed = new Model(sequential(a, b)(x))
    const functional = new Model(b(a(x)))
    const samples = values(1, 12)
    expect(await composed.predict(samples)).toEqual(await functional.predict(samples))
    expect(composed.params).toEqual(functional.params)
  })

  it('shares the parameters of a layer that is applied twice', async () => {
    const layer = dense({ units: 3, name: 'again' })
    const model = new Model(layer(layer(input([3]))))
    expect(model.params.map((p) => p.name)).toEqual(['again/w', 'again/b'])
    expect(model.parameterCount).toBe(12)
    expect(model.macs).toBe(18)
    const [w, b] = model.params.map((p) => p.data)
    b.set([1, -2, 3])
    const step = (x: number[]) => [0, 1, 2].map((i) => x.reduce((sum, v, j) => sum + v * w[3 * i + j], b[i]))
    const y = await model.predict([1, 2, 3])
    expect([...y]).toEqual(step(step([1, 2, 3])).map((v) => expect.closeTo(v, 4)))
  })

  it('adds two branches', async () => {
    const x = input([4])
    const [a, b] = [dense({ units: 2, name: 'a' }), dense({ units: 2, name: 'b' })].map((layer) => layer(x))
    const [ya, yb, sum] = await Promise.all(
      [a, b, add()(a, b)].map((node) => new Model(node, { seed: 0 }).predict([1, -2, 3, 4])),
    )
    expect([...sum]).toEqual([...ya].map((v, i) => Math.fround(v + yb[i])))
  })

  it('reads several inputs, by name', async () => {
    const model = new Model(add()(input([2], { name: 'left' }), input([2], { name: 'right' })))
    expect([...(await model.predict({ left: [1, 2, 3, 4], right: [10, 20, 30, 40] }))]).toEqual([11, 22, 33, 44])
    await expect(model.predict({ left: [1, 2] })).rejects.toThrowErrorMatchingInlineSnapshot(
      `[DunlinError: model "model": no values for input "right"; its inputs are "left", "right".]`,
    )
    await expect(model.predict({ left: [1, 2], right: [1, 2, 3, 4] })).rejects.toThrowErrorMatchingInlineSnapshot(
      `[DunlinError: model "model": input "right" got 4 values, wanted a multiple of 2 (shape [2]), as many samples as the first input's 1.]`,
    )
  })

  it('gives every node and parameter a name of its own', () => {
    for (const name of [undefined, 'w', 'b', 'same', 'dense/w', '__proto__', 'constructor']) {
      const model = new Model(
        sequential(dense({ units: 2, name }), dense({ units: 2 }), relu(), dense({ units: 2, name }))(input([2])),
      )
      const names = model.nodes.map((n) => n.name)
      expect(new Set(names).size, names.join()).toBe(names.length)
      expect(names).not.toContain('')
      expect(model.params.every((p) => p.name.includes('/'))).toBe(true)
    }
  })

  it('draws the same bits from the same seed, others from another', () => {
    const bits = (seed: number) => mixed(seed).params.map((p) => [...p.data])
    expect(bits(7)).toEqual(bits(7))
    expect(bits(7)).not.toEqual(bits(8))
    const weights = mixed(7).params.filter((p) => p.shape.length > 1)
    for (const [i, p] of weights.entries()) for (const q of weights.slice(i + 1)) expect(p.data[0]).not.toBe(q.data[0])
  })

  it('draws uniform weights of the stated variance, and biases of 0', () => {
    const [w, b] = new Model(dense({ units: 300, activation: 'relu' })(input([200])), { seed: 3 }).params.map(
      (p) => p.data as Float32Array,
    )
    const variance = w.reduce((sum, v) => sum + v * v, 0) / w.length
    expect(variance * 100).toBeCloseTo(1, 1)
    expect(Math.max(...w)).toBeLessThanOrEqual(Math.sqrt(6 / 200))
    expect(b.every((v) => v === 0)).toBe(true)
  })

  it('needs an input', () => {
    const alone: Node = param('p', [2], { kind: 'zeros' })
    expect(() => new Model(relu()(alone))).toThrowErrorMatchingInlineSnapshot(
      `[DunlinError: model "model": its output depends on no input. Start with input(shape).]`,
    )
  })

  it('is deep without running out of stack', () => {
    let x: Node = input([1])
    for (let i = 0; i < 5_000; i++) x = relu()(x)
    expect(new Model(x).plan(1).calls.length).toBe(5_000)
  })
})

describe('summary', () => {
  it('is a table of layers and their costs', () => {
    expect(tinyCnn({ shape: [8, 8, 1], classes: 10, name: 'digits' }).summary()).toMatchInlineSnapshot(`
      "layer    op         shape       dtype  parameters    MACs  weight bytes  value bytes
      -------  ---------  ----------  -----  ----------  ------  ------------  -----------
      input    input      [8, 8, 1]   f32             0       0             0          256
      conv1    conv2d     [8, 8, 8]   f32            80   4,608           320        2,048
      pool1    maxPool2d  [4, 4, 8]   f32             0       0             0          512
      conv2    conv2d     [4, 4, 16]  f32         1,168  18,432         4,672        1,024
      pool2    maxPool2d  [2, 2, 16]  f32             0       0             0          256
      flatten  reshape    [64]        f32             0       0             0          256
      dense    dense      [10]        f32           650     640         2,600           40
      digits: 1,898 parameters in 7,592 bytes, 23,680 MACs, arena 11,328 bytes"
    `)
  })
})

describe('predict', () => {
  it.each([1, 3, 64, 65, 200])('%i samples are the same bits as one by one', async (count) => {
    const model = mixed()
    const x = values(2, count * EACH)
    const all = await model.predict(x)
    expect(all.length).toBe(count * 3)
    const one = await Promise.all(Array.from({ length: count }, (_, i) => model.predict(x.subarray(i * EACH, (i + 1) * EACH))))
    expect([...all]).toEqual(one.flatMap((y) => [...y]))
  })

  it('normalizes what comes in', async () => {
    const model = new Model(relu()(input([3], { normalize: { mean: 2, std: 4 } })))
    expect([...(await model.predict(Uint8Array.of(2, 6, 0)))]).toEqual([0, 1, 0])
  })

  it('normalizes each channel by its own mean and std', async () => {
    const normalize = { mean: [2, -1], std: [4, 0.5] }
    const model = new Model(relu()(input([2, 2], { normalize })))
    normalize.mean[0] = 99
    expect([...(await model.predict([2, -1, 6, 0, 10, -2, 0, 1]))]).toEqual([0, 0, 1, 2, 2, 0, 0, 4])
    expect([...(await Model.load(model.save()).predict([2, -1, 6, 0]))]).toEqual([0, 0, 1, 2])
  })

  it('has the same bits whether all channels share mean and std or each lists them', async () => {
    const network = (normalize: Normalize) => new Model(relu()(input([7, 3], { normalize })))
    const x = values(5, 21 * 5)
    const one = await network({ mean: 0.1, std: 0.3 }).predict(x)
    const listed = await network({ mean: [0.1, 0.1, 0.1], std: [0.3, 0.3, 0.3] }).predict(x)
    expect(listed).toEqual(one)
  })

  it('sees weights that were changed', async () => {
    const model = new Model(dense({ units: 1 })(input([1])))
    model.params[0].data[0] = 2
    expect([...(await model.predict([3]))]).toEqual([6])
    model.params[0].data[0] = 5
    model.changed()
    expect([...(await model.predict([3]))]).toEqual([15])
  })
})

describe('files', () => {
  let saved: { name: string; model: Model; bytes: Uint8Array }[]
  beforeAll(async () => {
    const float = mixed()
    const pruned = prune(float, { sparsity: 0.6 })
    const int8 = await quantize(pruned, { x: values(3, 40 * EACH) })
    const shared = dense({ units: 4, activation: 'relu', name: 'w' })
    const twice = await quantize(new Model(dense({ units: 2, name: 'b' })(shared(shared(input([4]))))), { x: values(5, 400) })
    saved = Object.entries({ float, pruned, int8, twice, normalized: normalized() }).map(([name, model]) => ({
      name,
      model,
      bytes: model.save(),
    }))
  })

  it('give the same predictions, and the same file again', async () => {
    for (const { name, model, bytes } of saved) {
      const loaded = Model.load(bytes)
      const x = values(4, 20 * EACH)
      expect(await loaded.predict(x), name).toEqual(await model.predict(x))
      expect(loaded.save(), name).toEqual(bytes)
      expect([loaded.name, loaded.labels, loaded.summary()], name).toEqual([model.name, model.labels, model.summary()])
      expect(
        loaded.params.map((p) => p.mask),
        name,
      ).toEqual(model.params.map((p) => p.mask))
    }
  })

  it('are read from anywhere in a buffer', async () => {
    const { bytes, model } = saved[0]
    const shifted = new Uint8Array(bytes.length + 10)
    shifted.set(bytes, 3)
    const x = values(4, EACH)
    expect(await Model.load(shifted.subarray(3, 3 + bytes.length)).predict(x)).toEqual(await model.predict(x))
  })

  /** What a damaged file ends in: a model that plans, or a DunlinError. A DunlinError of `load` starts with the file's name. */
  async function attempt(bytes: Uint8Array, note: string): Promise<boolean> {
    let loaded = false
    try {
      const model = Model.load(bytes, 'm.safetensors')
      loaded = true
      model.summary()
      return true
    } catch (error) {
      if (!(error instanceof DunlinError)) throw new Error(`${note}: ${error}`, { cause: error })
      if (!loaded) expect(error.message.startsWith('m.safetensors: '), `${note}: ${error.message}`).toBe(true)
      return false
    }
  }

  it('are refused when cut short at any byte', async () => {
    for (const { name, bytes } of saved) {
      for (let length = 0; length < bytes.length; length++) {
        expect(await attempt(bytes.subarray(0, length), `${name}, ${length} bytes`), `${name}, ${length} bytes`).toBe(false)
      }
    }
  })

  it('end in a model or a DunlinError, whatever is changed in them', async () => {
    const seed = 30
    const random = new Random(seed)
    // Characters that JSON turns on, so that many mutants get past the parser.
    const telling = new TextEncoder().encode('0123456789-.[]{}",:eE')
    let [good, bad] = [0, 0]
    for (let i = 0; i < 4000; i++) {
      const { bytes, name } = saved[i % saved.length]
      const header = 8 + Number(new DataView(bytes.buffer).getBigUint64(0, true))
      const mutant = bytes.slice()
      for (let n = 1 + random.integer(3); n > 0; n--) {
        const at = random.integer(random.integer(4) ? header : bytes.length)
        const kind = random.integer(4)
        if (kind < 2) mutant[at] = telling[random.integer(telling.length)]
        else if (kind === 2) mutant[at] ^= 1 << random.integer(8)
        else mutant.copyWithin(at, random.integer(header), header)
      }
      ;(await attempt(mutant, `Random(${seed}), mutant ${i} of ${name}`)) ? good++ : bad++
    }
    expect(good).toBeGreaterThan(20)
    expect(bad).toBeGreaterThan(2000)
  })

  /** A saved model with its graph changed. */
  // biome-ignore lint/suspicious/noExplicitAny: the JSON of a graph, to be made wrong on purpose
  type Graph = any
  const graphOf = (which: number): Graph =>
    JSON.parse(readSafetensors(saved[which].bytes, 'test').metadata.get('dunlin') as string)
  function edited(which: number, change: (graph: Graph) => unknown): Uint8Array {
    const { tensors } = readSafetensors(saved[which].bytes, 'test')
    const graph = graphOf(which)
    const json = JSON.stringify(change(graph) ?? graph).replaceAll('"deep"', '['.repeat(50_000) + ']'.repeat(50_000))
    return writeSafetensors(tensors, { dunlin: json })
  }
  const node = (graph: Graph, name: string) => graph.nodes.find((n: Graph) => n.name === name)

  it('say what is wrong with their graph', () => {
    const load = (change: (graph: Graph) => unknown, which = 0) =>
      expect(() => Model.load(edited(which, change), 'm.safetensors'))
    load((g) => void (g.version = 2)).toThrowErrorMatchingInlineSnapshot(
      `[DunlinError: m.safetensors: the graph in its metadata is not valid: version 2, this dunlin reads version 1.]`,
    )
    // The list of all ops is not written down a second time.
    load((g) => void (node(g, 'dense').op = 'densest')).toThrow(
      `m.safetensors: the graph in its metadata is not valid: there is no op "densest"; this dunlin has ${Object.keys(OPS).join(', ')}.`,
    )
    load((g) => void (node(g, 'stem').attrs.kernel = [5, 3])).toThrowErrorMatchingInlineSnapshot(
      `[DunlinError: m.safetensors: not a valid model: conv2d "stem": w has shape [4,3,3,2], wanted [4,5,3,2]. Weights are [filters, kernel height, kernel width, input channels / groups]; a layer applied twice shares them.]`,
    )
    load((g) => void (node(g, 'input').shape = [6, 5, 3])).toThrowErrorMatchingInlineSnapshot(
      `[DunlinError: m.safetensors: not a valid model: conv2d "stem": w has shape [4,3,3,2], wanted [4,3,3,3]. Weights are [filters, kernel height, kernel width, input channels / groups]; a layer applied twice shares them.]`,
    )
    load((g) => void (node(g, 'dense').shape = [4])).toThrowErrorMatchingInlineSnapshot(
      `[DunlinError: m.safetensors: the graph in its metadata is not valid: dense "dense" is stored with shape [4], its inputs give [3].]`,
    )
    load((g) => void (node(g, 'stem').inputs = [99])).toThrowErrorMatchingInlineSnapshot(
      `[DunlinError: m.safetensors: the graph in its metadata is not valid: conv2d "stem" refers to node 99, which is not an earlier one.]`,
    )
    load((g) => void (node(g, 'stem/w').dtype = 'i8')).toThrowErrorMatchingInlineSnapshot(
      `[DunlinError: m.safetensors: the graph in its metadata is not valid: parameter "stem/w" is a i8 [4,3,3,2] in the graph, a f32 [4,3,3,2] among the tensors.]`,
    )
    load((g) => void (node(g, 'dense').dtype = 'i8')).toThrowErrorMatchingInlineSnapshot(
      `[DunlinError: m.safetensors: the graph in its metadata is not valid: dense "dense" is i8, its input reshape "reshape" is f32.]`,
    )
    load((g) => void (node(g, 'stem').quant.scale = [0]), 2).toThrowErrorMatchingInlineSnapshot(
      `[DunlinError: m.safetensors: the graph in its metadata is not valid: conv2d "stem" has no valid quantization.]`,
    )
    expect(() => Model.load(writeSafetensors(new Map(), {}), 'm.safetensors')).toThrowErrorMatchingInlineSnapshot(
      `[DunlinError: m.safetensors: a safetensors file without a dunlin graph in its metadata. It holds weights only, not a model.]`,
    )
    expect(() => Model.load(new Uint8Array(3), 'm.safetensors')).toThrowErrorMatchingInlineSnapshot(
      `[DunlinError: m.safetensors: not a valid safetensors file: it has 3 bytes, the header's length alone takes 8. Was it cut short or changed? Save the model again.]`,
    )
  })

  it('are refused whatever JSON stands where a number or a name should', async () => {
    const unprintable = { toString: 1 }
    for (const wrong of [null, 7, -1, 1e300, 'length', '__proto__', unprintable, [unprintable], 'deep', [-7], {}]) {
      for (const field of ['op', 'name', 'inputs', 'shape', 'dtype', 'attrs', 'quant']) {
        for (const i of [0, 1, 3])
          await attempt(
            edited(2, (g) => void (g.nodes[i][field] = wrong)),
            `${field} of node ${i}: ${typeof wrong}`,
          )
      }
      for (const field of ['version', 'name', 'labels', 'nodes', 'outputs'])
        await attempt(
          edited(2, (g) => void (g[field] = wrong)),
          field,
        )
      await attempt(
        edited(0, (g) => void (g.nodes[3].inputs[0] = wrong)),
        'an input',
      )
      await attempt(
        edited(0, (g) => void (g.outputs = [wrong])),
        'an output',
      )
      await attempt(
        edited(0, () => wrong),
        'the graph',
      )
      for (const key of ['kernel', 'strides', 'padding', 'activation', 'normalize', 'shape', 'dtype', 'name']) {
        for (const n of ['input', 'stem', 'add', 'reshape'])
          await attempt(
            edited(0, (g) => void (node(g, n).attrs[key] = wrong)),
            `${n}.${key}`,
          )
      }
      const { nodes } = graphOf(4)
      for (const [i, { attrs }] of nodes.entries())
        for (const key of Object.keys(attrs))
          await attempt(
            edited(4, (g) => void (g.nodes[i].attrs[key] = wrong)),
            `${nodes[i].name}.${key}`,
          )
    }
  })

  it.each(['__proto__', 'constructor', 'toString', 'hasOwnProperty'])('know no magic in the name %s', async (magic) => {
    const x = input([3], { name: magic })
    const model = new Model(sequential(dense({ units: 3, name: magic }), relu({ name: magic }), dense({ units: 2 }))(x), {
      name: magic,
      labels: [magic, 'b'],
    })
    const loaded = Model.load(prune(model, { sparsity: 0.3 }).save())
    expect([loaded.name, ...loaded.labels]).toEqual([magic, magic, 'b'])
    expect(await loaded.predict([1, 2, 3])).toEqual(await prune(model, { sparsity: 0.3 }).predict([1, 2, 3]))
    expect(
      await attempt(
        edited(0, (g) => void (node(g, 'dense').op = magic)),
        'op',
      ),
    ).toBe(false)
    expect(
      await attempt(
        edited(0, (g) => void (node(g, 'dense').dtype = magic)),
        'dtype',
      ),
    ).toBe(false)
    expect(
      await attempt(
        edited(0, (g) => void (node(g, 'stem').attrs.activation = magic)),
        'activation',
      ),
    ).toBe(false)
    const tensor = { dtype: 'f32', shape: [1], data: Float32Array.of(5) } as const
    const { tensors, metadata } = readSafetensors(
      writeSafetensors(new Map([[magic, tensor]]), Object.fromEntries([[magic, 'v']])),
      'test',
    )
    expect(tensors).toEqual(new Map([[magic, tensor]]))
    expect(metadata).toEqual(new Map([[magic, 'v']]))
    expect(({} as Record<string, unknown>).polluted).toBeUndefined()
  })
})

describe('errors of building', () => {
  const image = input([4, 4, 3])
  const cases: Record<string, () => unknown> = {
    'a kernel larger than its input': () => conv2d({ filters: 8, kernel: 5, name: 'stem' })(image),
    'a pool larger than its input': () => maxPool2d({ kernel: [2, 5] })(image),
    'padding as wide as the kernel': () => conv2d({ filters: 8, kernel: 3, padding: 3 })(image),
    'an unknown padding': () => conv2d({ filters: 8, kernel: 3, padding: 'full' as 'same', name: 'stem' })(image),
    'a padding of three sides': () => avgPool2d({ kernel: 3, padding: [1, 1, 1] as never })(image),
    'a word for countPadding': () => avgPool2d({ kernel: 3, countPadding: 'no' as never })(image),
    'a stride of 0': () => conv2d({ filters: 8, kernel: 3, strides: 0 })(image),
    'half a kernel': () => depthwiseConv2d({ kernel: 1.5 })(image),
    'no filters': () => conv2d({ filters: 0, kernel: 3, name: 'none' })(image),
    'no units': () => dense({ units: 0, name: 'none' })(input([4])),
    'a convolution of a vector': () => conv2d({ filters: 8, kernel: 3 })(input([16])),
    'a pool of a vector': () => globalAvgPool2d({ name: 'mean' })(input([16])),
    'a dense layer on an image': () => dense({ units: 10, name: 'head' })(image),
    'an unknown activation': () => dense({ units: 10, activation: 'tanh' as 'relu' })(input([4])),
    'a sum of different shapes': () => add()(image, conv2d({ filters: 8, kernel: 1 })(image)),
    'a reshape that loses elements': () => reshape({ shape: [5, 9] })(image),
    'a reshape to a fraction': () => reshape({ shape: [0.5, 96], name: 'r' })(image),
    'a layer on inputs of two widths': () => {
      const layer = dense({ units: 3, name: 'shared' })
      return add()(layer(input([4])), layer(input([5])))
    },
    'an input without extent': () => input([8, 0, 1]),
    'an input too large': () => input([65536, 65536], { name: 'x' }),
    'a normalization by 0': () => input([8], { normalize: { mean: 1, std: 0 } }),
    'a normalization of a channel by 0': () => input([8, 2], { normalize: { mean: [1, 2], std: [3, 0] } }),
    'a normalization of other channels': () => input([8, 2], { normalize: { mean: [1, 2, 3], std: [1, 1, 1] } }),
    'a normalization by half a list': () => input([8, 2], { normalize: { mean: [1, 2], std: 1 } }),
  }

  it.each(Object.keys(cases))('%s', (name) => {
    expect(cases[name]).toThrow(DunlinError)
  })

  it('read as sentences with a remedy', () => {
    const said = Object.entries(cases).map(([name, build]) => {
      try {
        return `${name}: ${build()}`
      } catch (error) {
        return `${name}\n  ${(error as Error).message}`
      }
    })
    expect(`\n${said.join('\n')}\n`).toMatchInlineSnapshot(`
      "
      a kernel larger than its input
        conv2d "stem": kernel 5x5 does not fit the padded input: its height spans 5 of 4 (input [4,4,3], padding "valid"). Use padding "same" or a smaller kernel.
      a pool larger than its input
        maxPool2d: kernel 2x5 does not fit the padded input: its width spans 5 of 4 (input [4,4,3], padding "valid"). Use padding "same" or a smaller kernel.
      padding as wide as the kernel
        conv2d: padding of 3 on one side leaves windows of kernel span 3 that see nothing of the input. Use less padding.
      an unknown padding
        conv2d "stem": padding wants "valid", "same", a number or [top, bottom, left, right] of integers from 0 on, got "full".
      a padding of three sides
        avgPool2d: padding wants "valid", "same", a number or [top, bottom, left, right] of integers from 0 on, got [1,1,1].
      a word for countPadding
        avgPool2d: countPadding wants true or false, got "no".
      a stride of 0
        conv2d: strides wants two positive integers, got [0,0].
      half a kernel
        depthwiseConv2d: kernel wants two positive integers, got [1.5,1.5].
      no filters
        conv2d "none": filters wants a positive integer, got 0.
      no units
        dense "none": units wants a positive integer, got 0.
      a convolution of a vector
        conv2d: wants an image [height, width, channels], got shape [16]. Reshape it first.
      a pool of a vector
        avgPool2d "mean": wants an image [height, width, channels], got shape [16]. Reshape it first.
      a dense layer on an image
        dense "head": wants a vector of inputs, got shape [4,4,3]. Put flatten() or a global pool before it.
      an unknown activation
        dense: activation "tanh" cannot be fused. Use "relu", "relu6", or a layer of its own.
      a sum of different shapes
        add: b has shape [4,4,8], wanted [4,4,3]. Both sides have one shape; a 1x1 conv2d can change the channels of one.
      a reshape that loses elements
        reshape: [4,4,3] has 48 elements, [5,9] has not. A reshape keeps their number.
      a reshape to a fraction
        reshape "r": shape [0.5,96] is not a list of positive integers whose product is at most 2^29.
      a layer on inputs of two widths
        dense "shared": w has shape [3,4], wanted [3,5]. Weights are [units, inputs]; a layer applied twice shares them.
      an input without extent
        input "input": shape [8,0,1] is not a list of positive integers whose product is at most 2^29.
      an input too large
        input "x": shape [65536,65536] is not a list of positive integers whose product is at most 2^29.
      a normalization by 0
        input "input": normalize wants a finite mean and a std above 0, got mean 1 and std 0.
      a normalization of a channel by 0
        input "input": normalize wants a finite mean and a std above 0, got mean 2 and std 0 of channel 1.
      a normalization of other channels
        input "input": normalize wants two numbers, or two lists of 2, one for each channel of shape [8,2]; mean is a list of 3, std a list of 3.
      a normalization by half a list
        input "input": normalize wants two numbers, or two lists of 2, one for each channel of shape [8,2]; mean is a list of 2, std no list.
      "
    `)
  })

  it('values that are no whole number of samples', async () => {
    const model = tinyCnn({ shape: [8, 8, 1], classes: 10 })
    await expect(model.predict(new Float32Array(65))).rejects.toThrowErrorMatchingInlineSnapshot(
      `[DunlinError: model "tinyCnn": input "input" got 65 values, wanted a multiple of 64 (shape [8,8,1]).]`,
    )
    await expect(model.predict([])).rejects.toThrow(DunlinError)
  })
})
