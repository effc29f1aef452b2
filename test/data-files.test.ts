// IDX and files on disk: whole files are read the same plain or compressed, broken ones are refused by name, and a write
// happens as a whole or not at all.
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { idxDataset, parseIdx } from '../src/data/idx'
import { loadDigits, loadIdxFolder, readBytes, writeFileAtomic } from '../src/files'
import { DunlinError } from '../src/graph/error'
import { Random } from '../src/graph/random'

let root = ''
let dir = ''
let folders = 0
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'dunlin-data-'))
})
afterAll(() => rmSync(root, { recursive: true, force: true }))
beforeEach(() => {
  dir = join(root, String(folders++))
  mkdirSync(dir)
})

const uint32 = (n: number) => [n >>> 24, (n >>> 16) & 255, (n >>> 8) & 255, n & 255]
const idx = (shape: number[], values: number[]) => Uint8Array.of(0, 0, 8, shape.length, ...shape.flatMap(uint32), ...values)
const tiny = idx([3, 2, 2], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 255])
const tinyLabels = idx([3], [0, 9, 4])

/** Either a result, or a DunlinError that starts with `source`; anything else fails. */
function readsOrRefuses(source: string, note: string, read: () => unknown): boolean {
  try {
    read()
    return true
  } catch (error) {
    expect(error, note).toBeInstanceOf(DunlinError)
    expect((error as Error).message.startsWith(source), `${note}: ${error}`).toBe(true)
    return false
  }
}

describe('parseIdx', () => {
  it('gives shape and values, also from the middle of a buffer', () => {
    expect(parseIdx(tiny, 'a')).toEqual({
      source: 'a',
      shape: [3, 2, 2],
      data: Uint8Array.of(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 255),
    })
    const shared = new Uint8Array([7, 7, 7, ...tinyLabels, 7])
    expect([...parseIdx(shared.subarray(3, -1), 'a').data]).toEqual([0, 9, 4])
  })

  it('refuses a file truncated at any byte, and bytes after the end', () => {
    for (let length = 0; length < tiny.length; length++) {
      const read = () => parseIdx(tiny.subarray(0, length), 'cut.idx')
      expect(read, `${length} bytes`).toThrow(DunlinError)
      expect(read, `${length} bytes`).toThrow(`cut.idx: got ${length} bytes`)
    }
    expect(() => parseIdx(tiny.subarray(0, 27), 'a')).toThrow('a: got 27 bytes, its header [3,2,2] wants 16 + 12 = 28.')
    expect(() => parseIdx(Uint8Array.of(...tiny, 0), 'a')).toThrow('a: got 29 bytes, its header [3,2,2] wants 16 + 12 = 28.')
  })

  it.each([
    ['another magic number', Uint8Array.of(1, 0, 8, 1, 0, 0, 0, 0), /^a: starts with 0x01 0x00 0x08 0x01/],
    ['another type', Uint8Array.of(0, 0, 13, 1, 0, 0, 0, 0), /^a: IDX type 0x0d \(float32\) is not supported/],
    ['an unknown type', Uint8Array.of(0, 0, 7, 1, 0, 0, 0, 0), /^a: IDX type 0x07 is not supported/],
    ['no dimensions', Uint8Array.of(0, 0, 8, 0), /^a: IDX header with 0 dimensions/],
    ['absurd dimensions', idx([2 ** 32 - 1, 2 ** 32 - 1], []), /^a: got 12 bytes, its header \[4294967295,4294967295\]/],
    ['gzip', new Uint8Array(gzipSync(tiny)), /^a: got gzip/],
  ])('refuses %s', (_, bytes, message) => {
    expect(() => parseIdx(bytes, 'a')).toThrow(DunlinError)
    expect(() => parseIdx(bytes, 'a')).toThrow(message)
  })

  it('reads or refuses mutated bytes', () => {
    const seed = 21
    const random = new Random(seed)
    let refused = 0
    for (let round = 0; round < 3000; round++) {
      const bytes = tiny.slice()
      for (let k = 1 + random.integer(3); k > 0; k--) bytes[random.integer(bytes.length)] = random.integer(256)
      if (!readsOrRefuses('a: ', `seed ${seed}, round ${round}`, () => parseIdx(bytes, 'a'))) refused++
    }
    expect(refused, `seed ${seed}`).toBeGreaterThan(1000)
  })
})

describe('idxDataset', () => {
  const images = parseIdx(tiny, 'images')
  const labels = parseIdx(tinyLabels, 'labels')

  it('makes samples of one channel', () => {
    const data = idxDataset(images, labels, { classes: 10 })
    expect(data).toEqual({ x: images.data, y: Int32Array.of(0, 9, 4), shape: [2, 2, 1], classes: 10, count: 3 })
  })

  it('refuses files that do not belong together', () => {
    expect(() => idxDataset(labels, images, { classes: 10 })).toThrow(/^labels: got shape \[3\], wanted images/)
    expect(() => idxDataset(images, images, { classes: 10 })).toThrow(/^images: got shape \[3,2,2\], wanted labels/)
    const two = parseIdx(idx([2], [1, 2]), 'two')
    expect(() => idxDataset(images, two, { classes: 10 })).toThrow(/^two: got 2 labels for the 3 images of images/)
    expect(() => idxDataset(images, labels, { classes: 9 })).toThrow(/^labels: sample 1 has label 9, wanted an integer in 0\.\.8/)
    const empty = parseIdx(idx([3, 0, 2], []), 'empty')
    expect(() => idxDataset(empty, labels, { classes: 10 })).toThrow(/^empty: shape \[0,2,1\]/)
  })
})

describe('readBytes', () => {
  it('reads plain and compressed files as plain Uint8Arrays', () => {
    writeFileSync(join(dir, 'plain'), tiny)
    writeFileSync(join(dir, 'packed'), gzipSync(tiny))
    writeFileSync(join(dir, 'empty'), '')
    for (const name of ['plain', 'packed']) {
      const bytes = readBytes(join(dir, name))
      expect(bytes).toEqual(tiny)
      expect(bytes.constructor).toBe(Uint8Array)
    }
    expect(readBytes(join(dir, 'empty')).length).toBe(0)
  })

  it('names a file that is missing or is a folder', () => {
    const missing = join(dir, 'none')
    expect(() => readBytes(missing)).toThrow(DunlinError)
    expect(() => readBytes(missing)).toThrow(`${missing}: cannot be read (ENOENT: `)
    expect(() => readBytes(dir)).toThrow(`${dir}: cannot be read (EISDIR: `)
  })

  it('refuses gzip that is truncated or corrupt', () => {
    const packed = new Uint8Array(gzipSync(tiny))
    const path = join(dir, 'a.gz')
    for (let length = 2; length < packed.length; length++) {
      writeFileSync(path, packed.subarray(0, length))
      expect(() => readBytes(path), `${length} bytes`).toThrow(DunlinError)
      expect(() => readBytes(path), `${length} bytes`).toThrow(`${path}: starts as gzip but does not decompress`)
    }
    const flipped = packed.slice()
    flipped[flipped.length - 6] ^= 1
    writeFileSync(path, flipped)
    expect(() => readBytes(path)).toThrow(`${path}: starts as gzip but does not decompress`)
  })
})

describe('writeFileAtomic', () => {
  it('writes bytes and text, over an older file too', () => {
    const path = join(dir, 'a')
    writeFileAtomic(path, tiny)
    expect(readBytes(path)).toEqual(tiny)
    writeFileAtomic(path, 'short')
    expect(readFileSync(path, 'utf8')).toBe('short')
    expect(readdirSync(dir)).toEqual(['a'])
  })

  it('leaves nothing behind when it fails', () => {
    const target = join(dir, 'folder')
    mkdirSync(target)
    writeFileSync(join(target, 'kept'), 'kept')
    writeFileSync(join(dir, 'file'), 'old')
    expect(() => writeFileAtomic(target, tiny)).toThrow(DunlinError)
    expect(() => writeFileAtomic(target, tiny)).toThrow(`${target}: cannot be written (`)
    const nowhere = join(dir, 'none', 'a')
    expect(() => writeFileAtomic(nowhere, tiny)).toThrow(`${nowhere}: cannot be written (ENOENT: `)
    const below = join(dir, 'file', 'a')
    expect(() => writeFileAtomic(below, tiny)).toThrow(`${below}: cannot be written (ENOTDIR: `)
    // Fails in the middle: the temporary file is open, its contents cannot be written.
    expect(() => writeFileAtomic(join(dir, 'file'), 5 as unknown as string)).toThrow(DunlinError)
    expect(readdirSync(dir)).toEqual(['file', 'folder'])
    expect(readdirSync(target)).toEqual(['kept'])
    expect(readFileSync(join(dir, 'file'), 'utf8')).toBe('old')
  })
})

describe('loadIdxFolder', () => {
  const files: Record<string, Uint8Array> = {
    'train-images-idx3-ubyte': tiny,
    'train-labels-idx1-ubyte': tinyLabels,
    't10k-images-idx3-ubyte': idx([1, 2, 2], [9, 8, 7, 6]),
    't10k-labels-idx1-ubyte': idx([1], [3]),
  }
  const write = (name: (n: string) => string = (n) => n, pack: (b: Uint8Array) => Uint8Array = (b) => b, changed = {}) => {
    for (const [n, bytes] of Object.entries({ ...files, ...changed } as typeof files))
      writeFileSync(join(dir, name(n)), pack(bytes))
  }
  const dotted = (n: string) => n.replace('-idx', '.idx')

  it.each([
    ['plain', (n: string) => n, (b: Uint8Array) => b],
    ['with .gz', (n: string) => `${n}.gz`, gzipSync],
    ['with a dot', dotted, (b: Uint8Array) => b],
    ['with a dot and .gz', (n: string) => `${dotted(n)}.gz`, gzipSync],
    ['decompressed under a .gz name', (n: string) => `${n}.gz`, (b: Uint8Array) => b],
  ])('reads the four files %s', (_, name, pack) => {
    write(name, pack)
    const { train, test } = loadIdxFolder(dir)
    expect(train).toEqual({ x: tiny.slice(16), y: Int32Array.of(0, 9, 4), shape: [2, 2, 1], classes: 10, count: 3 })
    expect(test).toEqual({ x: Uint8Array.of(9, 8, 7, 6), y: Int32Array.of(3), shape: [2, 2, 1], classes: 10, count: 1 })
  })

  it('names the files that it looked for', () => {
    write()
    rmSync(join(dir, 't10k-labels-idx1-ubyte'))
    expect(() => loadIdxFolder(dir)).toThrow(DunlinError)
    expect(() => loadIdxFolder(dir)).toThrow(
      `${dir}: wanted t10k-labels-idx1-ubyte or t10k-labels-idx1-ubyte.gz or t10k-labels.idx1-ubyte or t10k-labels.idx1-ubyte.gz, none`,
    )
    expect(() => loadIdxFolder(join(dir, 'none'))).toThrow(/there is no such folder/)
  })

  it('refuses labels out of range by file and index, and takes more classes on request', () => {
    write(undefined, undefined, { 't10k-labels-idx1-ubyte': idx([1], [26]) })
    const path = join(dir, 't10k-labels-idx1-ubyte')
    expect(() => loadIdxFolder(dir)).toThrow(
      `${path}: sample 0 has label 26, wanted an integer in 0..9 (10 classes). If label 26 is right, set classes to at least 27`,
    )
    expect(() => loadIdxFolder(dir)).toThrow('--classes N')
    expect(loadIdxFolder(dir, { classes: 27 }).test.classes).toBe(27)
  })

  it('refuses train and test images of different sizes', () => {
    write(undefined, undefined, { 't10k-images-idx3-ubyte': idx([1, 1, 4], [9, 8, 7, 6]) })
    const path = join(dir, 't10k-images-idx3-ubyte')
    expect(() => loadIdxFolder(dir)).toThrow(`${path}: got images of [1,4,1], those of `)
  })

  it('reads or refuses files that were truncated or mutated, compressed or not', () => {
    const seed = 33
    const random = new Random(seed)
    for (let round = 0; round < 300; round++) {
      const pack = random.integer(2) ? (b: Uint8Array) => new Uint8Array(gzipSync(b)) : (b: Uint8Array) => b.slice()
      write(undefined, pack)
      const name = Object.keys(files)[random.integer(4)]
      let bytes = pack(files[name])
      if (random.integer(2)) bytes = bytes.subarray(0, random.integer(bytes.length))
      else bytes[random.integer(bytes.length)] ^= 1 << random.integer(8)
      writeFileSync(join(dir, name), bytes)
      readsOrRefuses(dir, `seed ${seed}, round ${round}, ${name}`, () => loadIdxFolder(dir))
    }
  })

  const fashion = '/usr/share/datasets/fashion-mnist'
  it.skipIf(!existsSync(fashion))('reads Fashion-MNIST', () => {
    const { train, test } = loadIdxFolder(fashion)
    expect([train.count, test.count, ...train.shape]).toEqual([60000, 10000, 28, 28, 1])
    for (const part of [train, test]) {
      const counts = new Array(10).fill(0)
      for (const label of part.y) counts[label]++
      expect(counts).toEqual(new Array(10).fill(part.count / 10))
    }
  })
})

describe('loadDigits', () => {
  it('gives the 1,797 digits as they were published', () => {
    const data = loadDigits()
    expect([data.count, data.classes, ...data.shape]).toEqual([1797, 10, 8, 8, 1])
    const counts = new Array(10).fill(0)
    for (const label of data.y) counts[label]++
    expect(counts).toEqual([178, 182, 177, 183, 181, 182, 181, 179, 174, 180])
    expect(data.x).toBeInstanceOf(Uint8Array)
    expect([data.x.length, Math.min(...data.x), Math.max(...data.x)]).toEqual([1797 * 64, 0, 16])
  })
})
