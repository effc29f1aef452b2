// The data sets that a configuration can name: each kind loads what lies at a path, relative to the configuration's folder.

import { resolve } from 'node:path'
import { type Dataset, split } from '../data/dataset'
import { splitByGroup, splitStratified } from '../data/split'
import { npyDataset } from '../decode'
import type { ImageSetOptions, WavSetOptions } from '../decode/sets'
import { loadDigits, loadIdxFolder } from '../files'
import { loadCifarFolder, loadCsv, loadImageFolder, loadNpz, loadWavFolder } from '../folders'
import { DunlinError } from '../graph/error'

/** A training part and a part that is never trained on. */
export interface Sets {
  train: Dataset
  test: Dataset
}

/** Where data are: one of these kinds, by its name. */
export interface DataKinds {
  /** The UCI digits that come with dunlin. */
  digits: Record<string, never>
  /** A folder in MNIST's layout. */
  idx: { path: string; classes?: number }
  /** A folder with CIFAR's binary version. */
  cifar: { path: string }
  /** A folder or archive with a folder of PNG or JPEG files for each class. */
  images: { path: string } & Omit<ImageSetOptions, 'source' | 'label'> & { label?: string }
  /** A folder or archive of WAV files. */
  sounds: { path: string } & Omit<WavSetOptions, 'source' | 'label'> & { label?: string }
  /** A file of rows: the values, then the label. */
  csv: { path: string; shape: readonly number[]; classes: number; labels?: string[]; skip?: boolean }
  /** An archive of NumPy arrays, samples and labels under these names (default: x and y). */
  npz: { path: string; x?: string; y?: string; classes: number }
}

export type DataSpec = { [K in keyof DataKinds]: Record<K, DataKinds[K]> }[keyof DataKinds]

/** How the test part is held out of data that come in one piece: this share; with as much of each class; or whole groups. */
export interface Split {
  fraction: number
  by?: 'chance' | 'class' | `group:${string}`
}

interface Loaded {
  all: Dataset
  /** A part that is the set's own test part. */
  test?: Dataset
  fields?: Record<string, string[]>
  skipped?: number
}

const KINDS: { [K in keyof DataKinds]: (options: DataKinds[K], at: (path: string) => string) => Loaded | Promise<Loaded> } = {
  digits: () => ({ all: loadDigits() }),
  idx({ path, classes }, at) {
    const { train, test } = loadIdxFolder(at(path), { classes })
    return { all: train, test }
  },
  cifar({ path }, at) {
    const { train, test } = loadCifarFolder(at(path))
    return { all: train, test }
  },
  async images({ path, ...options }, at) {
    const { data, fields, skipped } = await loadImageFolder(at(path), options)
    return { all: data, fields, skipped: skipped.length }
  },
  async sounds({ path, ...options }, at) {
    const { data, fields, skipped } = await loadWavFolder(at(path), options)
    return { all: data, fields, skipped: skipped.length }
  },
  csv({ path, ...options }, at) {
    const { data, skipped } = loadCsv(at(path), options)
    return { all: data, skipped: skipped.length }
  },
  npz({ path, x = 'x', y = 'y', classes }, at) {
    const arrays = loadNpz(at(path))
    const array = (name: string) => {
      const found = arrays.get(name)
      if (!found) throw new DunlinError(`${path}: there is no array "${name}", only ${[...arrays.keys()].join(', ')}.`)
      return found
    }
    return { all: npyDataset(array(x), array(y), { classes }) }
  },
}

async function load(spec: DataSpec, folder: string): Promise<Loaded> {
  const [kind, ...others] = Object.keys(spec) as (keyof DataKinds)[]
  if (others.length || !Object.hasOwn(KINDS, kind ?? ''))
    throw new DunlinError(
      `data: got ${JSON.stringify(spec)}, wanted one of the kinds ${Object.keys(KINDS).join(', ')} with its options.`,
    )
  const options = (spec as Record<string, unknown>)[kind]
  if (kind !== 'digits' && typeof (options as { path?: unknown })?.path !== 'string')
    throw new DunlinError(`data: ${kind} wants { "path": ... }, got ${JSON.stringify(options)}.`)
  const load = KINDS[kind] as (options: unknown, at: (path: string) => string) => Loaded | Promise<Loaded>
  return load(options, (path) => resolve(folder, path))
}

/** The parts of the data: the test part is given, comes with the set, or is held out by the seed. */
export async function loadSets(
  { data, test, split: how = { fraction: 0.2, by: 'class' } }: { data: DataSpec; test?: DataSpec; split?: Split },
  folder: string,
  seed: number,
): Promise<Sets & { skipped: number }> {
  const loaded = await load(data, folder)
  const skipped = loaded.skipped ?? 0
  if (test) {
    const other = await load(test, folder)
    return { train: loaded.all, test: other.test ?? other.all, skipped: skipped + (other.skipped ?? 0) }
  }
  if (loaded.test) return { train: loaded.all, test: loaded.test, skipped }
  const { fraction, by = 'class' } = how
  const parts = () => {
    if (by === 'chance') return split(loaded.all, fraction, seed)
    if (by === 'class') return splitStratified(loaded.all, fraction, seed)
    const field = /^group:(.+)$/.exec(by)?.[1] ?? ''
    const groups = loaded.fields?.[field]
    if (!groups) {
      const there = Object.keys(loaded.fields ?? {}).join(', ') || 'none'
      throw new DunlinError(
        `split: by wants chance, class or group:FIELD with a field of the pattern (there: ${there}), got "${by}".`,
      )
    }
    return splitByGroup(loaded.all, groups, fraction, seed)
  }
  const [train, heldOut] = parts()
  return { train, test: heldOut, skipped }
}
