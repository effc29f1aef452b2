// Data sets on disk, for Node: folders and archives of images and sounds, and files of rows and arrays. Archives are read in place; nothing is
// unpacked to the disk.

import { existsSync, readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { readCsv } from './data/csv'
import type { Dataset, Skipped } from './data/dataset'
import {
  type Archive,
  cifarDataset,
  type FileSet,
  type ImageSetOptions,
  imageDataset,
  type NamedFile,
  type Npy,
  parseNpy,
  parseNpz,
  parseTar,
  type WavSetOptions,
  wavDataset,
} from './decode'
import { readBytes } from './files'
import { DunlinError } from './graph/error'

/**
 * A folder with a folder of PNG and JPEG files for each class, or such a folder in a .tar or .tar.gz: samples [height, width, channels] of raw
 * pixels 0..255, in the order of their paths, with the sorted names of the folders as labels. Options: see `imageDataset`.
 * @throws DunlinError with the path of the file that cannot be used; with `skip` such files are left out and listed instead.
 */
export async function loadImageFolder(path: string, options: Omit<ImageSetOptions, 'source'> = {}): Promise<FileSet> {
  return imageDataset(await open(path), { ...options, source: path })
}

/**
 * A folder or .tar or .tar.gz of WAV files: samples [length, channels] in -1..1, in the order of their paths. The label is the name of the folder
 * that holds a file, or a field of its name: `{ pattern: '{digit}_{speaker}_{index}.wav' }`. Options: see `wavDataset`.
 * @throws DunlinError with the path of the file that cannot be used; with `skip` such files are left out and listed instead.
 */
export async function loadWavFolder(
  path: string,
  options: Omit<WavSetOptions, 'source'> = {},
): Promise<FileSet & { rate: number }> {
  return wavDataset(await open(path), { ...options, source: path })
}

/** A file of rows, gzip or not: size(shape) numbers and a label. With `skip` bad rows are left out and listed. */
export function loadCsv(
  path: string,
  options: { shape: readonly number[]; classes: number; labels?: string[]; skip?: boolean },
): { data: Dataset; skipped: Skipped[] } {
  return readCsv(new TextDecoder().decode(readBytes(path)), { ...options, source: path })
}

/** The array of a .npy file. */
export function loadNpy(path: string): Npy {
  return parseNpy(readBytes(path), path)
}

/** The arrays of a .npz file by their names. */
export function loadNpz(path: string): Map<string, Npy> {
  return parseNpz(readBytes(path), path)
}

/** CIFAR's binary versions, as their archives unpack. */
const CIFAR = {
  10: { train: [1, 2, 3, 4, 5].map((i) => `data_batch_${i}.bin`), test: ['test_batch.bin'], names: 'batches.meta.txt' },
  100: { train: ['train.bin'], test: ['test.bin'], names: 'fine_label_names.txt' },
} as const

/** A folder with the binary version of CIFAR-10 or CIFAR-100: samples [32, 32, 3] of raw pixels, labels by name if their file is there. */
export function loadCifarFolder(dir: string): { train: Dataset; test: Dataset } {
  const classes = existsSync(join(dir, CIFAR[100].train[0])) ? 100 : 10
  const { train, test, names } = CIFAR[classes]
  const missing = [...train, ...test].find((name) => !existsSync(join(dir, name)))
  if (missing !== undefined)
    throw new DunlinError(`${dir}: ${missing} is not there. Name the folder of CIFAR-10 or CIFAR-100 in their binary version.`)
  const file = join(dir, names)
  const labels = existsSync(file) ? new TextDecoder().decode(readBytes(file)).split(/\s+/).filter(Boolean) : undefined
  const load = (files: readonly string[]) =>
    cifarDataset(
      files.map((name) => ({ bytes: readBytes(join(dir, name)), source: join(dir, name) })),
      { classes, labels },
    )
  return { train: load(train), test: load(test) }
}

/** What is in a folder, or in an archive. */
async function open(path: string): Promise<Archive> {
  const files: NamedFile[] = []
  const folders: string[] = []
  const walk = (folder: string) => {
    for (const name of readdirSync(join(path, folder))) {
      const inner = folder ? `${folder}/${name}` : name
      // Links are followed. One that leads nowhere is read like a file, whose error names it.
      if (statSync(join(path, inner), { throwIfNoEntry: false })?.isDirectory()) {
        folders.push(inner)
        walk(inner)
      } else files.push({ name: inner, read: () => readBytes(join(path, inner)) })
    }
  }
  if (!statSync(path, { throwIfNoEntry: false })?.isDirectory()) return parseTar(readBytes(path), path)
  walk('')
  return { files, folders }
}
