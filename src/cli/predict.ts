// `dunlin predict`: what a model or a module says of files, images, sounds, arrays or rows of numbers, decoded by their names' ends.

import { extname } from 'node:path'
import { parseCsv } from '../data/csv'
import { parseImage, parseNpy, parseWav, resizeImage } from '../decode'
import { loadModule } from '../deploy'
import { readBytes } from '../files'
import { DunlinError } from '../graph/error'
import { type Shape, size } from '../graph/node'
import { Model } from '../model/model'

interface Predictor {
  shape: Shape
  labels: readonly string[]
  /** Outputs of one sample. */
  predict(x: ArrayLike<number>): Promise<Float32Array> | Float32Array
}

/** Classes named for a sample, the most likely first. */
const TOP = 3

export async function predict(modelPath: string, files: readonly string[], json: boolean): Promise<void> {
  const predictor = await open(modelPath)
  const results: { file: string; sample: number; outputs: number[]; classes?: { label: string; share: number }[] }[] = []
  for (const file of files) {
    const x = decode(file, predictor.shape)
    const each = size(predictor.shape)
    for (let sample = 0; sample * each < x.length; sample++) {
      const outputs = Array.from(await predictor.predict(x.slice(sample * each, (sample + 1) * each)))
      results.push({ file, sample, outputs, ...(outputs.length > 1 && { classes: ranked(outputs, predictor.labels) }) })
    }
  }
  if (json) console.log(JSON.stringify(results))
  else {
    for (const { file, sample, outputs, classes } of results) {
      const many = results.filter((r) => r.file === file).length > 1
      const said = classes
        ? classes.map(({ label, share }) => `${label} ${(share * 100).toFixed(1)} %`).join(', ')
        : outputs.map((v) => v.toPrecision(6)).join(' ')
      console.log(`${file}${many ? ` (${sample})` : ''}: ${said}`)
    }
  }
}

async function open(path: string): Promise<Predictor> {
  const bytes = readBytes(path)
  if (bytes[0] === 0 && bytes[1] === 0x61 && bytes[2] === 0x73 && bytes[3] === 0x6d) {
    const module = await loadModule(bytes)
    const { inputs, labels = [] } = module.metadata
    return { shape: inputs[0].shape, labels, predict: (x) => Float32Array.from(module.predict(x as Float32Array)) }
  }
  const model = Model.load(bytes, path)
  if (model.inputs.length !== 1)
    throw new DunlinError(`${path}: the model has ${model.inputs.length} inputs; predict wants a model of one.`)
  return { shape: model.inputs[0].shape, labels: model.labels, predict: (x) => model.predict(x as Float32Array, { threads: 1 }) }
}

/** The values of one or more samples. */
function decode(file: string, shape: Shape): Float32Array | Uint8Array {
  const bytes = readBytes(file)
  const each = size(shape)
  switch (extname(file).toLowerCase()) {
    case '.png':
    case '.jpg':
    case '.jpeg': {
      const [height, width, channels] = shape
      if (shape.length !== 3 || (channels !== 1 && channels !== 3))
        throw new DunlinError(`${file}: an image, but the model takes [${shape}]. It wants images [height, width, 1 or 3].`)
      return resizeImage(parseImage(bytes, file, { channels }), height, width).data
    }
    case '.wav': {
      const { data, channels } = parseWav(bytes, file)
      const own = shape[1] ?? 1
      if (shape.length > 2 || own !== channels)
        throw new DunlinError(
          `${file}: a sound of ${channels} channel${channels === 1 ? '' : 's'}, but the model takes [${shape}].`,
        )
      const cut = new Float32Array(each)
      cut.set(data.subarray(0, each))
      return cut
    }
    case '.npy': {
      const { data } = parseNpy(bytes, file)
      return expectWhole(file, Float32Array.from(data as ArrayLike<number>), shape)
    }
    case '.csv': {
      const rows = parseCsv(new TextDecoder().decode(bytes), file)
      return expectWhole(file, Float32Array.from(rows.flatMap((row) => [...row])), shape)
    }
    default:
      throw new DunlinError(`${file}: predict reads .png, .jpg, .wav, .npy and .csv files. Convert it to one of these.`)
  }
}

function expectWhole(file: string, values: Float32Array, shape: Shape): Float32Array {
  const each = size(shape)
  if (!values.length || values.length % each)
    throw new DunlinError(`${file}: has ${values.length} values, wanted a multiple of the ${each} of a sample [${shape}].`)
  return values
}

/** Softmax of what a classifier gives; outputs that are shares already stay as they are. */
function ranked(outputs: readonly number[], labels: readonly string[]) {
  const sum = outputs.reduce((a, b) => a + b, 0)
  const shares = outputs.every((v) => v >= 0) && Math.abs(sum - 1) < 0.05
  const largest = Math.max(...outputs)
  const powers = outputs.map((v) => (shares ? v : Math.exp(v - largest)))
  const total = powers.reduce((a, b) => a + b, 0)
  return powers
    .map((v, i) => ({ label: labels[i] ?? String(i), share: v / total }))
    .sort((a, b) => b.share - a.share)
    .slice(0, TOP)
}
