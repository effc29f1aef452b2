// Datasets of files: each file is a sample, an image or a sound, and its name says what it is an example of. Files are read and decoded one
// by one; only the samples are kept.

import { type Dataset, makeDataset, type Skipped } from '../data/dataset'
import { DunlinError } from '../graph/error'
import { type ImageOptions, parseImage, resizeImage } from './image'
import { attempt, type Labelled, type LabelOptions, labelled } from './labels'
import type { Archive, NamedFile } from './tar'
import { parseWav } from './wav'

export interface FileSet {
  data: Dataset
  /** The path of each sample's file, in the order of the samples: that of the paths. */
  files: string[]
  /** The fields of the pattern: for each the value of every sample, as `splitByGroup` takes them. */
  fields: Record<string, string[]>
  /** What is not in the data, and why. */
  skipped: Skipped[]
}

export interface ImageSetOptions extends LabelOptions, ImageOptions {
  /** [height, width] that all images are brought to. Default: they must be of one size. */
  resize?: readonly [height: number, width: number]
}

export interface WavSetOptions extends LabelOptions {
  /** Samples a second that all files must have. Default: those of the first. */
  rate?: number
  /** Samples of each sound: what is longer is cut, what is shorter filled up with 0. Default: they must be of one length. */
  length?: number
}

/** PNG and JPEG files as samples [height, width, channels], raw pixels 0..255. */
export async function imageDataset(files: Archive | readonly NamedFile[], options: ImageSetOptions = {}): Promise<FileSet> {
  const { resize } = options
  if (resize && !(resize.length === 2 && resize.every((side) => Number.isInteger(side) && side > 0)))
    throw new DunlinError(`resize wants [height, width], two positive integers, got [${resize}].`)
  const kind = { name: /\.(png|jpe?g)$/i, what: 'PNG or JPEG file' }
  return assemble(files, kind, options, Uint8Array, (bytes, path) => {
    const image = parseImage(bytes, path, options)
    const { data, width, height, channels } = resize ? resizeImage(image, ...resize) : image
    return { x: data, shape: [height, width, channels], remedy: 'Set resize: [height, width], or leave it out' }
  })
}

/** WAV files as samples [length, channels], in -1..1. */
export async function wavDataset(
  files: Archive | readonly NamedFile[],
  options: WavSetOptions = {},
): Promise<FileSet & { rate: number }> {
  const { length } = options
  let { rate } = options
  for (const [key, v] of Object.entries({ rate, length }))
    if (v !== undefined && !(Number.isInteger(v) && v > 0)) throw new DunlinError(`${key} wants a positive integer, got ${v}.`)
  const set = await assemble(files, { name: /\.wav$/i, what: 'WAV file' }, options, Float32Array, (bytes, path) => {
    const wav = parseWav(bytes, path)
    rate ??= wav.rate
    if (wav.rate !== rate) {
      const got = `got a rate of ${wav.rate} samples a second, wanted ${rate}`
      throw new DunlinError(`${path}: ${got}. Resample it, for example with ffmpeg -ar ${rate}, or leave it out.`)
    }
    const { channels } = wav
    const cut = new Float32Array((length ?? wav.data.length / channels) * channels)
    cut.set(wav.data.subarray(0, cut.length))
    return { x: cut, shape: [cut.length / channels, channels], remedy: 'Set length (samples of each sound), or leave it out' }
  })
  return { ...set, rate: rate as number }
}

/** Milliseconds after which others get their turn: a page stays alive. */
const TURN_AFTER = 50

async function assemble<T extends Uint8Array | Float32Array>(
  archive: Archive | readonly NamedFile[],
  kind: { name: RegExp; what: string },
  options: LabelOptions,
  array: new (length: number) => T,
  parse: (bytes: Uint8Array, path: string) => { x: T; shape: number[]; remedy: string },
): Promise<FileSet> {
  const { source = 'files', skip } = options
  const skipped: Skipped[] = []
  const found = labelled(archive, kind, options, skipped)
  const used: Labelled[] = []
  let x = new array(0)
  let shape: number[] | undefined
  let last = performance.now()
  for (const sample of found) {
    const bytes = await sample.file.read()
    attempt(skip, sample.path, skipped, () => {
      const { x: values, shape: own, remedy } = parse(bytes, sample.path)
      if (!values.length) throw new DunlinError(`${sample.path}: shape [${own}] has nothing in it. Leave it out.`)
      if (!shape) {
        shape = own
        if (found.length * values.length > MAX_VALUES)
          throw new DunlinError(
            `${source}: ${found.length} samples of shape [${own}] are too many to hold in memory. Use a stream.`,
          )
        x = new array(found.length * values.length)
      }
      if (String(own) !== String(shape)) {
        const wanted = `wanted [${shape}], that of ${used[0].path}`
        throw new DunlinError(`${sample.path}: got shape [${own}], ${wanted}. ${remedy}.`)
      }
      x.set(values, used.length * values.length)
      used.push(sample)
    })
    if (performance.now() - last > TURN_AFTER) {
      await new Promise((resolve) => setTimeout(resolve))
      last = performance.now()
    }
  }
  if (!shape) {
    const why = skipped.length ? `; the first of ${skipped.length} left out: ${skipped[0].reason}` : ''
    throw new DunlinError(`${source}: found no sample, wanted at least 1 ${kind.what}${why}`)
  }
  const labels = [...(options.labels ?? [...new Set(used.map(({ label }) => label))].sort())]
  const number = new Map(labels.map((label, i) => [label, i]))
  const each = x.length / found.length
  const data = makeDataset({
    ...{ x: used.length < found.length ? x.slice(0, used.length * each) : x, y: used.map(({ label }) => number.get(label)!) },
    ...{ shape, classes: labels.length, labels, source },
  })
  const fields = Object.keys(used[0].fields)
  return {
    ...{ data, skipped, files: used.map(({ path }) => path) },
    fields: Object.fromEntries(fields.map((field) => [field, used.map((sample) => sample.fields[field])])),
  }
}

/** Larger arrays are not to be had. */
const MAX_VALUES = 2 ** 31
