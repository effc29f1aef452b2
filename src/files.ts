// Files, for Node only: read (gzip or not), write without ever leaving half a file, and find the data sets that live on disk.
// The formats themselves are parsed in src/data, which also runs in a browser.

import { randomBytes } from 'node:crypto'
import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { gunzipSync } from 'node:zlib'
import { csvDataset } from './data/csv'
import type { Dataset } from './data/dataset'
import { type Idx, idxDataset, parseIdx } from './data/idx'
import { DunlinError } from './graph/error'

/** The most that decompressing may give: a small file may claim to hold far more. */
const MAX_BYTES = 2 ** 31
/** Decompressed at once: small ones take time to be put together. */
const CHUNK = 2 ** 20

/** The contents of a file, decompressed when they are gzip (by content, whatever the name). */
export function readBytes(path: string): Uint8Array {
  let bytes: Uint8Array
  try {
    bytes = readFileSync(path)
  } catch (cause) {
    throw new DunlinError(`${path}: cannot be read (${reason(cause)}). ${remedy(cause)}.`, { cause })
  }
  if (bytes[0] === 0x1f && bytes[1] === 0x8b) {
    try {
      bytes = gunzipSync(bytes, { chunkSize: CHUNK, maxOutputLength: MAX_BYTES })
    } catch (cause) {
      if (code(cause) === 'ERR_BUFFER_TOO_LARGE')
        throw new DunlinError(`${path}: holds more than 2 GiB, which is the limit. Unpack it, and load its parts one by one.`, {
          cause,
        })
      const got = `starts as gzip but does not decompress (${reason(cause)})`
      throw new DunlinError(`${path}: ${got}, wanted a whole gzip file. It is cut short or damaged: copy or download it again.`, {
        cause,
      })
    }
  }
  // A plain Uint8Array: Buffer's slice() shares memory where Uint8Array's copies.
  return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

/**
 * Writes `path` as a whole or not at all: a temporary file beside it is written, flushed to the disk, then renamed over it.
 * After an error the temporary file is gone and what was at `path` before is untouched.
 */
export function writeFileAtomic(path: string, bytes: Uint8Array | string): void {
  const temporary = join(dirname(path), `${TEMPORARY.start}${randomBytes(6).toString('hex')}${TEMPORARY.end}`)
  let made = false
  try {
    const file = openSync(temporary, 'wx')
    made = true
    try {
      writeFileSync(file, bytes)
      fsyncSync(file)
    } finally {
      closeSync(file)
    }
    renameSync(temporary, path)
  } catch (cause) {
    if (made) rmSync(temporary)
    throw new DunlinError(`${path}: cannot be written (${reason(cause)}). ${remedy(cause)}. Nothing was changed.`, { cause })
  }
  flushFolder(dirname(path))
}

/** Names of files that are not whole yet. */
const TEMPORARY = { start: '.dunlin-', end: '.tmp' }

/** Removes what programs that were killed while they wrote have left in a folder that no other writes into now. */
export function removeTemporaries(dir: string): void {
  for (const name of readdirSync(dir))
    if (name.startsWith(TEMPORARY.start) && name.endsWith(TEMPORARY.end)) rmSync(join(dir, name), { force: true })
}

/** After this a new name outlives a power failure. Windows and some network disks cannot do it: there the system takes its time. */
function flushFolder(dir: string): void {
  let folder: number | undefined
  try {
    folder = openSync(dir, 'r')
    fsyncSync(folder)
  } catch {
  } finally {
    if (folder !== undefined) closeSync(folder)
  }
}

/** Makes a folder, and those that it lies in, where there is none. Gives the first that it made, if any. */
export function makeFolder(dir: string, path = dir): string | undefined {
  try {
    return mkdirSync(dir, { recursive: true })
  } catch (cause) {
    throw new DunlinError(`${path}: its folder cannot be made (${reason(cause)}). ${remedy(cause)}.`, { cause })
  }
}

/** Writes all of the files, or after an error none: those written before it, and folders made for them, are removed again. */
export function writeFilesAtomic(files: readonly { path: string; bytes: Uint8Array | string }[]): void {
  const made: string[] = []
  try {
    for (const { path, bytes } of files) {
      const folder = makeFolder(dirname(path), path)
      if (folder !== undefined) made.push(folder)
      const isNew = !existsSync(path)
      writeFileAtomic(path, bytes)
      if (isNew) made.push(path)
    }
  } catch (error) {
    for (const path of made) rmSync(path, { recursive: true, force: true })
    throw error
  }
}

/**
 * A folder in MNIST's layout: {train,t10k}-images-idx3-ubyte and {train,t10k}-labels-idx1-ubyte, also spelled with a dot
 * (train-images.idx3-ubyte), plain or with .gz. Samples are [height, width, 1], raw pixels 0..255.
 */
export function loadIdxFolder(dir: string, options: { classes?: number } = {}): { train: Dataset; test: Dataset } {
  const { classes = 10 } = options
  const images = (part: string) => readIdx(dir, `${part}-images`, 'idx3-ubyte')
  const labels = (part: string) => readIdx(dir, `${part}-labels`, 'idx1-ubyte')
  const trainImages = images('train')
  const train = idxDataset(trainImages, labels('train'), { classes })
  const testImages = images('t10k')
  const test = idxDataset(testImages, labels('t10k'), { classes })
  if (String(train.shape) !== String(test.shape)) {
    const got = `images of [${test.shape}], those of ${trainImages.source} are [${train.shape}]`
    throw new DunlinError(`${testImages.source}: got ${got}, wanted one size. Use the files of one set.`)
  }
  return { train, test }
}

/**
 * The UCI handwritten digits that come with dunlin (data/README.md): 1,797 samples [8, 8, 1], raw pixels 0..16, 10 classes.
 * One set, not divided: use `split`.
 */
export function loadDigits(): Dataset {
  // The same relative path from src/files.ts, dist/node.* and dist/cli.js.
  const path = fileURLToPath(new URL('../data/digits.csv.gz', import.meta.url))
  const text = new TextDecoder().decode(readBytes(path))
  const data = csvDataset(text, { shape: [8, 8, 1], classes: 10, source: path })
  return { ...data, x: Uint8Array.from(data.x) }
}

function readIdx(dir: string, stem: string, suffix: string): Idx {
  const names = [`${stem}-${suffix}`, `${stem}.${suffix}`].flatMap((name) => [name, `${name}.gz`])
  const name = names.find((n) => existsSync(join(dir, n)))
  if (name === undefined) {
    const example = 'Fashion-MNIST has this layout (Debian: apt install dataset-fashion-mnist, /usr/share/datasets/fashion-mnist)'
    const got = existsSync(dir) ? 'none of them is there' : 'there is no such folder'
    throw new DunlinError(`${dir}: wanted ${names.join(' or ')}, ${got}. Name a folder in MNIST's layout; ${example}.`)
  }
  const path = join(dir, name)
  return parseIdx(readBytes(path), path)
}

const code = (cause: unknown) => (cause as NodeJS.ErrnoException).code ?? ''
const reason = (cause: unknown) => [code(cause), (cause as Error).message.replace(/^[A-Z]+: /, '')].filter(Boolean).join(': ')

function remedy(cause: unknown): string {
  switch (code(cause)) {
    case 'ENOENT':
      return 'Check the path: a file or folder on it does not exist'
    case 'EISDIR':
      return 'Name a file: this is a folder'
    case 'ENOTDIR':
      return 'Check the path: a part of it is not a folder'
    case 'EACCES':
    case 'EPERM':
    case 'EROFS':
      return 'Check the permissions or use another folder'
    case 'ENOSPC':
    case 'EDQUOT':
      return 'Free space on the disk or use another'
    default:
      return 'Check the path and the disk'
  }
}
