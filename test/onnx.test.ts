// ONNX files: models written, read back, and run by onnxruntime-node where it is (npm ci in bench/peers; DUNLIN_ONNXRUNTIME names another
// place); quantized graphs as int8 models; what becomes of layouts and names; and what files that are not valid end in.
import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join, resolve } from 'node:path'
import { describe, expect, it } from 'vitest'
import { fold } from '../src/compress/fold'
import { quantize } from '../src/compress/quantize'
import { exportOnnx } from '../src/formats/onnx/export'
import { importOnnx } from '../src/formats/onnx/import'
import { input, isParam, size } from '../src/graph/node'
import { Random } from '../src/graph/random'
import * as dunlin from '../src/index'
import { Model } from '../src/model/model'
import { sequential } from '../src/model/sequential'
import { dsCnn, mobileNetV2, resNet8 } from '../src/zoo'

const runtime = resolve(
  process.env.DUNLIN_ONNXRUNTIME ?? join(import.meta.dirname, '../bench/peers/node_modules/onnxruntime-node'),
)
const ort = existsSync(runtime) ? createRequire(import.meta.url)(runtime) : undefined

const floats = (seed: number, n: number) => {
  const random = new Random(seed)
  return Float32Array.from({ length: n }, () => random.uniform(-1, 1))
}

/** Values [N, ...] with the channels of images where ONNX has them, or back. */
function turned(x: Float32Array, batch: number, shape: readonly number[], first: boolean): Float32Array {
  if (shape.length !== 3) return x
  const [h, w, c] = shape
  const y = new Float32Array(x.length)
  for (let n = 0; n < batch; n++)
    for (let i = 0; i < h * w; i++)
      for (let k = 0; k < c; k++) {
        const [own, other] = [(n * h * w + i) * c + k, (n * c + k) * h * w + i]
        if (first) y[other] = x[own]
        else y[own] = x[other]
      }
  return y
}

/** The first output that onnxruntime gives, on one thread; of an image in dunlin's order if ONNX has it the other way. */
async function runOrt(file: Uint8Array, model: Model, x: Float32Array, batch: number): Promise<Float32Array> {
  const { inputs, outputs } = importOnnx(file)
  const session = await ort.InferenceSession.create(file, { intraOpNumThreads: 1, executionProviders: ['cpu'] })
  const { shape } = model.inputs[0]
  const image = inputs[0].order.length === 3 && inputs[0].order[2] === 1
  const dims = [batch, ...inputs[0].dims.slice(1)]
  const feeds = { [inputs[0].name]: new ort.Tensor('float32', image ? turned(x, batch, shape, true) : x, dims) }
  const y = (await session.run(feeds))[outputs[0].name].data as Float32Array
  const last = outputs[0].order.length === 3 && outputs[0].order[2] === 1
  return last ? turned(y, batch, model.outputs[0].shape, false) : y
}

function expectClose(got: Float32Array, want: Float32Array, what: string, relative = 1e-4): void {
  expect(got.length).toBe(want.length)
  const scale = want.reduce((m, v) => Math.max(m, Math.abs(v)), 0)
  const worst = got.reduce((m, v, i) => Math.max(m, Math.abs(v - want[i])), 0)
  expect(worst, what).toBeLessThanOrEqual(relative * scale)
}

const NETWORKS: Record<string, () => Model> = {
  'ResNet-8': () => resNet8({ shape: [32, 32, 3], classes: 10, seed: 1 }),
  'DS-CNN': () => dsCnn({ shape: [49, 10, 1], classes: 12, seed: 2 }),
  MobileNetV2: () => mobileNetV2({ shape: [32, 32, 3], classes: 10, width: 0.25, seed: 3 }),
  'layers of images': () => {
    const x = input([9, 8, 4])
    const a = dunlin.conv2d({
      filters: 6,
      kernel: 3,
      strides: 2,
      padding: 'same',
      groups: 2,
      activation: 'relu6',
      name: 'grouped',
    })(x)
    const b = dunlin.convTranspose2d({ filters: 4, kernel: 3, strides: 2, padding: 'same', name: 'up' })(a)
    const c = dunlin.resize({ size: [9, 8], method: 'bilinear' })(dunlin.maxPool2d({ kernel: 2 })(x))
    const d = dunlin.concat()(
      dunlin.pad({
        padding: [
          [0, 1],
          [0, 0],
          [0, 0],
        ],
      })(dunlin.slice({ begin: [1, 0, 0], size: [8, 8, 4] })(b)),
      c,
    )
    const e = dunlin.batchNorm()(dunlin.channelShuffle({ groups: 2 })(d))
    const f = dunlin.avgPool2d({ kernel: 3, strides: 2, padding: 1, countPadding: true })(dunlin.mish()(e))
    return new Model(dunlin.softmax()(dunlin.dense({ units: 5, name: 'head' })(dunlin.flatten()(dunlin.gelu()(f)))), { seed: 4 })
  },
  'layers of sequences': () => {
    const x = input([7, 5])
    const a = dunlin.bidirectional(dunlin.lstm({ units: 4, sequences: true }))(dunlin.layerNorm()(x))
    const b = dunlin.gru({ units: 6, sequences: true })(dunlin.silu()(a))
    const c = dunlin.matMul()(b, dunlin.permute({ axes: [1, 0] })(b))
    const d = dunlin.simpleRnn({ units: 3, reverse: true })(
      dunlin.div()(c, dunlin.add()(dunlin.exp()(c), dunlin.sqrt()(dunlin.mul()(c, c)))),
    )
    return new Model(dunlin.logSoftmax()(dunlin.dense({ units: 4 })(d)), { seed: 5 })
  },
}

describe.each(Object.entries(NETWORKS))('%s as ONNX', (name, make) => {
  const batch = 3
  const model = make()
  const x = floats(7, batch * size(model.inputs[0].shape))
  const file = exportOnnx(model)

  it('reads back with the same results, and learns', async () => {
    const back = importOnnx(file).model
    expect(back.inputs[0].shape).toEqual(model.inputs[0].shape)
    expectClose(await back.predict(x), await model.predict(x), name, 1e-5)
    const learned = (m: Model) => m.params.filter((p) => p.attrs.trainable).reduce((sum, p) => sum + size(p.shape), 0)
    expect(learned(back)).toBe(learned(model))
    expect(Model.load(back.save()).nodes.length).toBe(back.nodes.length)
  })

  it.skipIf(!ort)('runs in onnxruntime-node', async () => {
    expectClose(await runOrt(file, model, x, batch), await model.predict(x), name)
  })
})

describe.each(['ResNet-8', 'DS-CNN', 'MobileNetV2'])('%s, int8, as ONNX', (name) => {
  const batch = 3
  const float = NETWORKS[name]()
  const x = floats(8, batch * size(float.inputs[0].shape))

  it('reads back bit for bit, and runs in onnxruntime-node', async () => {
    const model = await quantize(float, { x: floats(9, 16 * size(float.inputs[0].shape)) })
    const file = exportOnnx(model)
    const made = importOnnx(file)
    expect(made.float).toBeUndefined()
    expect(made.model.inputs[0].dtype).toBe('i8')
    const want = await model.predict(x)
    expect(await made.model.predict(x)).toEqual(want)
    // As floats, with their clamps: the same but for the roundings.
    const real = importOnnx(file, { int8: false }).model
    expect(real.inputs[0].dtype).toBe('f32')
    expectClose(await real.predict(x), want, name, 0.15)
    if (!ort) return
    const got = await runOrt(file, model, x, batch)
    const step = model.outputs[0].quant!.scale[0]
    const apart = got.map((v, i) => Math.abs(v - want[i]) / step)
    // It rounds products of scales once, in floats, TensorFlow Lite twice, in integers: now and then a step apart, in each layer.
    expect(Math.max(...apart), 'steps apart').toBeLessThanOrEqual(Math.max(3, model.nodes.length / 12) + 0.001)
  })
})

describe('what a graph becomes', () => {
  it('a CNN has no permute in it, before its dense layer neither', () => {
    const net = sequential(
      dunlin.conv2d({ filters: 4, kernel: 3, name: 'a' }),
      dunlin.relu(),
      dunlin.maxPool2d({ kernel: 2 }),
      dunlin.flatten(),
      dunlin.dense({ units: 3, name: 'b' }),
    )
    const model = new Model(net(input([8, 8, 2])))
    const back = importOnnx(exportOnnx(model)).model
    expect(back.nodes.map((n) => n.op).filter((op) => op === 'permute')).toEqual([])
    expect(back.nodes.filter(isParam).map((p) => p.name)).toEqual(['a/w', 'a/b', 'b/w', 'b/b'])
    expect(fold(back).nodes.length).toBeGreaterThan(0)
  })

  it('errors name the node, what it is, and what is supported', () => {
    const file = exportOnnx(new Model(dunlin.dense({ units: 2 })(input([3]))))
    const cut = file.slice(0, file.length - 3)
    expect(() => importOnnx(cut, { source: 'm.onnx' })).toThrow(/^m\.onnx: not a valid ONNX file: .* at byte \d+/)
    expect(() => importOnnx(new Uint8Array(0), { source: 'm.onnx' })).toThrow('m.onnx: holds no graph.')
  })
})
