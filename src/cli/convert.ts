// `dunlin convert IN OUT`: a model from one kind of file to another, by the names' ends. Tells what became of each operator, and computes
// both on random inputs: what is written is what was read.

import { extname } from 'node:path'
import { readBytes, writeFilesAtomic } from '../files'
import { exportOnnx, exportTflite, importOnnx, importTflite, type Mapping } from '../formats'
import { DunlinError } from '../graph/error'
import { type Node, size } from '../graph/node'
import { Random } from '../graph/random'
import { Model } from '../model/model'
import { formatTable } from '../model/table'

interface Format {
  read(bytes: Uint8Array, source: string): { model: Model; mappings: Mapping[] }
  write(model: Model): Uint8Array
}

const FORMATS: Record<string, Format> = {
  '.onnx': { read: (bytes, source) => importOnnx(bytes, { source }), write: exportOnnx },
  '.safetensors': {
    read: (bytes, source) => ({ model: Model.load(bytes, source), mappings: [] }),
    write: (model) => model.save(),
  },
  '.tflite': { read: (bytes, source) => importTflite(bytes, { source }), write: exportTflite },
}

/** Random samples that both models are run on. */
const SAMPLES = 8

export async function convert(from: string, to: string, seed: number): Promise<void> {
  const [reader, writer] = [from, to].map(formatOf)
  const { model, mappings } = reader.read(readBytes(from), from)
  const bytes = writer.write(model)
  // The check reads what will be in the file.
  const { model: back, mappings: written } = writer.read(bytes, to)
  const x = drawn(model, seed)
  const [y, again] = [await outputsOf(model, x), await outputsOf(back, x)]
  if (y.length !== again.length)
    throw new DunlinError(`${to}: gives ${again.length} numbers for ${SAMPLES} samples, ${from} ${y.length}.`)
  let [largest, error] = [0, 0]
  y.forEach((v, i) => {
    largest = Math.max(largest, Math.abs(v))
    error = Math.max(error, Math.abs(v - again[i]))
  })
  if (!(error <= 1e-5 * largest))
    throw new DunlinError(
      `${to}: its outputs are up to ${error} off those of ${from}, whose largest is ${largest}. Nothing was written.`,
    )
  writeFilesAtomic([{ path: to, bytes }])
  const table = mappings.length ? mappings : written
  if (table.length) {
    const rows = table.map((m) => [String(m.index), m.operator, m.name.length > 40 ? `${m.name.slice(0, 39)}…` : m.name, m.to])
    console.log(formatTable(['', 'operator', 'name', mappings.length ? 'became' : 'is'], rows))
  }
  const check =
    error === 0 ? 'the same outputs to the last bit' : `outputs within ${(error / largest).toExponential(1)} of the largest`
  console.log(
    `${to}: ${bytes.length} bytes, ${back.params.length} parameters; ${check} on ${SAMPLES} random samples (seed ${seed})`,
  )
}

function formatOf(path: string): Format {
  const end = extname(path).toLowerCase()
  if (!Object.hasOwn(FORMATS, end))
    throw new DunlinError(`${path}: convert knows a file by the end of its name: ${Object.keys(FORMATS).join(', ')}.`)
  return FORMATS[end]
}

/** Values over the range that an int8 input has; of a float one from -1 to 1. */
function drawn(model: Model, seed: number): Record<string, Float32Array> {
  const random = new Random(seed)
  const values = ({ shape, quant }: Node) => {
    const [low, high] = quant ? [-128, 127].map((q) => quant.scale[0] * (q - quant.zeroPoint)) : [-1, 1]
    return Float32Array.from({ length: SAMPLES * size(shape) }, () => random.uniform(low, high))
  }
  return Object.fromEntries(model.inputs.map((input) => [input.name, values(input)]))
}

/** The first output, sample after sample: those of a stream depend on the ones before. */
async function outputsOf(model: Model, x: Record<string, Float32Array>): Promise<number[]> {
  const y: number[] = []
  for (let i = 0; i < SAMPLES; i++) {
    const sample = Object.fromEntries(
      Object.entries(x).map(([name, v]) => [name, v.subarray((i * v.length) / SAMPLES, ((i + 1) * v.length) / SAMPLES)]),
    )
    y.push(...(await model.predict(sample, { threads: 1 })))
  }
  return y
}
