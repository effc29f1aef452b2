// Hostile files: valid ones of each format, changed at random from a seed. Each has to end in a model, which plans and, if it is small, runs, or
// in a DunlinError that begins with the file's name, and soon. The tests take some of them, `npm run fuzz:formats` as many as wanted.

import { prune } from '../src/compress/prune'
import { quantize } from '../src/compress/quantize'
import { exportOnnx, exportTflite, importOnnx, importTflite } from '../src/formats'
import { MODEL, type ModelProto, readMessage, writeMessage } from '../src/formats/onnx/proto'
import { DunlinError } from '../src/graph/error'
import { input, type Node, size } from '../src/graph/node'
import { Random } from '../src/graph/random'
import { Model } from '../src/model/model'
import { sequential } from '../src/model/sequential'
import { clip, relu, softmax } from '../src/ops/activation'
import { mul } from '../src/ops/add'
import { batchNorm } from '../src/ops/batchNorm'
import { broadcast } from '../src/ops/broadcast'
import { conv2d } from '../src/ops/conv2d'
import { dense } from '../src/ops/dense'
import { depthwiseConv2d } from '../src/ops/depthwiseConv2d'
import { embedding } from '../src/ops/embedding'
import { gru } from '../src/ops/gru'
import { lstm } from '../src/ops/lstm'
import { matMul } from '../src/ops/matMul'
import { mean } from '../src/ops/mean'
import { avgPool2d, globalAvgPool2d, maxPool2d } from '../src/ops/pool2d'
import { flatten, reshape } from '../src/ops/reshape'
import { resize } from '../src/ops/resize'
import { pad, slice } from '../src/ops/slice'
import { svdf } from '../src/ops/svdf'
import { recall, remember } from '../src/ops/variable'
import { tinyCnn } from '../src/zoo/tinyCnn'
import { drawn, draws, LAYERS } from './tflite-layers'

export interface Format {
  /** Valid files, by what is in them. */
  files(): Promise<Map<string, Uint8Array>>
  mutate(file: Uint8Array, random: Random): Uint8Array
  read(bytes: Uint8Array, source: string): Model
  /** Whether an error that was not thrown on purpose may be the cause of a DunlinError: in JSON there are more mistakes than rules. */
  wraps?: true
}

const int8 = (model: Model) => quantize(model, { x: draws(model, 8) })

/** Bytes changed, cut out, put in or repeated: lengths and tags among them. */
function changeBytes(file: Uint8Array, random: Random): Uint8Array {
  const bytes = Array.from(file)
  for (let n = 1 + random.integer(3); n > 0 && bytes.length; n--) {
    const at = random.integer(bytes.length)
    const kind = random.integer(6)
    if (kind === 0) bytes[at] ^= 1 << random.integer(8)
    else if (kind === 1) bytes[at] = [0, 1, 0x7f, 0x80, 0xff][random.integer(5)]
    else if (kind === 2) bytes.splice(at, 1 + random.integer(9))
    else if (kind === 3) bytes.splice(at, 0, ...Array.from({ length: 1 + random.integer(9) }, () => random.integer(256)))
    else if (kind === 4) bytes.splice(at, 0, ...bytes.slice(at, at + 1 + random.integer(40)))
    else bytes.length = Math.max(1, at)
  }
  return Uint8Array.from(bytes)
}

const NUMBERS = [0, -1, 1, 2, 7, 255, 65536, 2 ** 31, 2 ** 31 - 1, 2 ** 53, -(2 ** 31), 1e9]
const WORDS = ['', '__proto__', 'constructor', 'x', 'Relu', 'Expand']

/** Numbers, and some words, of nested objects changed: what bytes rarely hit. */
function changeValues(root: unknown, random: Random): void {
  const found: [Record<string | number, unknown>, string | number][] = []
  const walk = (v: unknown): void => {
    if (v instanceof Uint8Array || typeof v !== 'object' || v === null) return
    for (const [key, value] of Object.entries(v)) {
      const place: (typeof found)[number] = [v as Record<string, unknown>, Array.isArray(v) ? +key : key]
      if (typeof value === 'number' && key !== 'at') found.push(place)
      else if (typeof value === 'string' && random.integer(8) === 0) found.push(place)
      else walk(value)
    }
  }
  walk(root)
  for (let n = 1 + random.integer(2); n > 0 && found.length; n--) {
    const [holder, key] = found[random.integer(found.length)]
    holder[key] = typeof holder[key] === 'string' ? WORDS[random.integer(WORDS.length)] : NUMBERS[random.integer(NUMBERS.length)]
  }
}

const onnx: Format = {
  async files() {
    const image = sequential(
      conv2d({ filters: 4, kernel: 3, padding: 'same', activation: 'relu' }),
      maxPool2d({ kernel: 2 }),
      resize({ size: 6, method: 'bilinear' }),
      slice({ begin: [0, 1, 0], size: [6, 4, 4], strides: [1, 1, 1] }),
      avgPool2d({ kernel: 2 }),
      flatten(),
      dense({ units: 3 }),
    )(input([6, 6, 2]))
    const plain = sequential(conv2d({ filters: 3, kernel: 3 }), relu(), flatten(), dense({ units: 2 }))(input([5, 5, 1]))
    const sequence = dense({ units: 2 })(lstm({ units: 3 })(input([4, 2])))
    const models = { image: new Model(image), int8: await int8(new Model(plain)), sequence: new Model(sequence) }
    return new Map(Object.entries(models).map(([name, model]) => [name, exportOnnx(model)]))
  },
  mutate(file, random) {
    if (random.integer(2)) return changeBytes(file, random)
    const model = readMessage<ModelProto>(MODEL, file, 'file')
    changeValues(model, random)
    return writeMessage(MODEL, model)
  },
  read: (bytes, source) => importOnnx(bytes, { source }).model,
}

const tflite: Format = {
  async files() {
    const cnn = tinyCnn({ shape: [8, 8, 1], classes: 3 })
    const files: [string, Uint8Array][] = [
      ['tinyCnn', exportTflite(cnn)],
      ['tinyCnn, int8', exportTflite(await int8(cnn))],
    ]
    for (const [name, make] of Object.entries(LAYERS)) files.push([name, exportTflite(drawn(make()))])
    return new Map(files)
  },
  /** Bits turned, words replaced by telling ones, bytes moved or cut off. */
  mutate(file, random) {
    const bytes = new Uint8Array(file)
    const view = new DataView(bytes.buffer)
    const words = [0, 1, 2, 4, 0x7f, 0x80, 0xff, 0x7fff, 0xffff, 0x7fffffff, 0x80000000, 0xffffffff, 0xfffffff0, bytes.length]
    const changes = 1 + random.integer(4)
    for (let c = 0; c < changes; c++) {
      const at = random.integer(bytes.length - 4)
      const kind = random.integer(5)
      if (kind === 0) bytes[at] ^= 1 << random.integer(8)
      else if (kind === 1) bytes[at] = random.integer(256)
      else if (kind === 2) view.setUint32(at & ~3, words[random.integer(words.length)], true)
      else if (kind === 3) bytes.copyWithin(at, random.integer(bytes.length), random.integer(bytes.length))
      else if (c === 0 && random.integer(8) === 0) return bytes.subarray(0, at)
      else view.setInt32(at & ~3, view.getInt32(at & ~3, true) + random.integer(9) - 4, true)
    }
    return bytes
  },
  read: (bytes, source) => importTflite(bytes, { source }).model,
}

/** The text of a safetensors header. */
function headerOf(file: Uint8Array): { json: string; data: Uint8Array } {
  const length = Number(new DataView(file.buffer, file.byteOffset).getBigUint64(0, true))
  return { json: new TextDecoder().decode(file.subarray(8, 8 + length)), data: file.subarray(8 + length) }
}

function withHeader(json: string, data: Uint8Array): Uint8Array {
  const text = new TextEncoder().encode(json)
  const file = new Uint8Array(8 + text.length + data.length)
  new DataView(file.buffer).setBigUint64(0, BigInt(text.length), true)
  file.set(text, 8)
  file.set(data, 8 + text.length)
  return file
}

const safetensors: Format = {
  async files() {
    const cnn = drawn(
      sequential(
        conv2d({ filters: 4, kernel: 3, padding: 'same' }),
        batchNorm({ activation: 'relu' }),
        depthwiseConv2d({ kernel: 2, strides: 2 }),
        pad({
          padding: [
            [1, 0],
            [0, 1],
            [0, 0],
          ],
        }),
        clip({ low: -1, high: 2 }),
        globalAvgPool2d(),
        flatten(),
        dense({ units: 3 }),
        softmax(),
      )(input([6, 7, 2], { normalize: { mean: 1, std: 2 } })),
    )
    const [a, b] = [input([3, 4], { name: 'a' }), input([4, 2], { name: 'b' })]
    const product = matMul()(a, b)
    const several = mul()(product, broadcast()(mean({ axes: [0] })(product), product))
    const step = input([5])
    const kept = recall({ variable: 'v', shape: [4] })(step)
    const stream = remember({ variable: 'v' })(svdf({ units: 4, memory: 3 })(step), dense({ units: 4 })(step), kept)
    const words = dense({ units: 2 })(gru({ units: 3 })(embedding({ count: 5, units: 4 })(input([6], { dtype: 'i32' }))))
    const models: Record<string, Model> = {
      cnn,
      pruned: prune(cnn, { sparsity: 0.5 }),
      int8: await int8(cnn),
      several: new Model(several),
      stream: new Model(reshape({ shape: [2, 2] })(stream)),
      words: new Model(words),
    }
    return new Map(Object.entries(models).map(([name, model]) => [name, model.save()]))
  },
  mutate(file, random) {
    if (random.integer(3) === 0) return changeBytes(file, random)
    const { json, data } = headerOf(file)
    const header = JSON.parse(json)
    const graph = JSON.parse(header.__metadata__.dunlin)
    changeValues(random.integer(4) ? graph : header, random)
    header.__metadata__.dunlin = JSON.stringify(graph)
    return withHeader(JSON.stringify(header), data)
  },
  read: (bytes, source) => Model.load(bytes, source),
  wraps: true,
}

export const FORMATS: Record<string, Format> = { onnx, safetensors, tflite }

export interface Outcome {
  models: number
  errors: number
  ran: number
  /** Milliseconds that the slowest took. */
  slowest: number
}

const MOST_MS = 5000
const MOST_LETTERS = 5000
/** A model that is run has no more arithmetic and memory. */
const SMALL = { macs: 1e6, bytes: 2 ** 24 }

/** Mutants `from` to `from + count` of the files, one after another, for so many seconds at most. Throws at the first that ends otherwise. */
export async function fuzz(
  { mutate, read, wraps }: Format,
  files: ReadonlyMap<string, Uint8Array>,
  { count, from = 0, seed = 1, seconds = Infinity }: { count: number; from?: number; seed?: number; seconds?: number },
): Promise<Outcome> {
  const all = [...files]
  const outcome: Outcome = { models: 0, errors: 0, ran: 0, slowest: 0 }
  const end = performance.now() + seconds * 1000
  for (let i = from; i < from + count && performance.now() < end; i++) {
    const random = new Random(seed, i)
    const [name, file] = all[i % all.length]
    const mutant = mutate(file, random)
    const source = `m${i}`
    const fail = (why: string, cause?: unknown): never => {
      throw new Error(`seed ${seed}, mutant ${i}, of ${name}: ${why}${cause ? `: ${(cause as Error).stack}` : ''}`, { cause })
    }
    const began = performance.now()
    let model: Model | undefined
    try {
      model = read(mutant, source)
      model.summary()
      outcome.models++
    } catch (error) {
      if (!(error instanceof DunlinError)) return fail('not a DunlinError', error)
      const { message, cause } = error
      if (!model && !message.startsWith(source)) fail(`does not name the file: ${message}`)
      if (message.length > MOST_LETTERS) fail(`a message of ${message.length} letters: ${message.slice(0, 200)}`)
      if (!wraps && cause !== undefined && !(cause instanceof DunlinError)) fail('not thrown on purpose', cause)
      model = undefined
      outcome.errors++
    }
    if (model && i % 8 === 0 && isSmall(model)) {
      await run(model).catch((error) => error instanceof DunlinError || fail('does not run', error))
      outcome.ran++
    }
    const ms = performance.now() - began
    outcome.slowest = Math.max(outcome.slowest, ms)
    if (ms > MOST_MS) fail(`took ${ms.toFixed(0)} ms`)
  }
  if (Object.keys(Object.prototype).length) throw new Error(`Object.prototype has ${Object.keys(Object.prototype)}`)
  return outcome
}

const isSmall = (model: Model): boolean => model.macs <= SMALL.macs && model.plan(1).memory <= SMALL.bytes

const run = (model: Model) =>
  model.predict(Object.fromEntries(model.inputs.map(({ name, shape }: Node) => [name, new Float32Array(size(shape)).fill(1)])), {
    threads: 1,
  })
