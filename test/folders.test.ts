// Data sets on disk: the same samples from a folder and from an archive of it, labels from names, and bad files named or left out.

import { existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { encode as encodePng } from 'fast-png'
import { zipSync } from 'fflate'
import jpeg from 'jpeg-js'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { readCsv } from '../src/data/csv'
import { splitByGroup } from '../src/data/split'
import { imageDataset } from '../src/decode/sets'
import { loadCifarFolder, loadCsv, loadImageFolder, loadNpy, loadNpz, loadWavFolder } from '../src/folders'
import { DunlinError } from '../src/graph/error'
import { npy, tar, wav } from './made'

let root = ''
let dir = ''
let folders = 0
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'dunlin-folders-'))
})
afterAll(() => rmSync(root, { recursive: true, force: true }))
beforeEach(() => {
  dir = join(root, String(folders++))
  mkdirSync(dir)
})

type Files = Record<string, Uint8Array>
/** Writes files into a folder and into an archive; gives the paths of both. */
async function both(files: Files): Promise<[folder: string, archive: string]> {
  const folder = join(dir, 'set')
  for (const [name, bytes] of Object.entries(files)) {
    const path = join(folder, name)
    if (name.endsWith('/')) mkdirSync(path, { recursive: true })
    else {
      mkdirSync(dirname(path), { recursive: true })
      writeFileSync(path, bytes)
    }
  }
  const archive = join(dir, 'set.tar.gz')
  writeFileSync(archive, gzipSync(await tar(files)))
  return [folder, archive]
}

const picture = (seed: number, width = 4, height = 3, channels = 3) =>
  encodePng({
    width,
    height,
    channels,
    data: Uint8Array.from({ length: width * height * channels }, (_, i) => (i * 31 + seed * 57) % 256),
  })
const pixels = (seed: number, count = 36) => Array.from({ length: count }, (_, i) => (i * 31 + seed * 57) % 256)
const none = new Uint8Array(0)

describe('loadImageFolder', () => {
  const set: Files = {
    'cat/1.png': picture(1),
    'cat/0.PNG': picture(0),
    'ant/z.png': picture(2),
    'bee/x.png': picture(3),
    'bee/.DS_Store': none,
    '._x.png': none,
  }

  it('has the sorted names of the folders as classes, from a folder and an archive', async () => {
    for (const path of await both(set)) {
      const { data, files, fields, skipped } = await loadImageFolder(path)
      expect(data).toMatchObject({
        shape: [3, 4, 3],
        classes: 3,
        labels: ['ant', 'bee', 'cat'],
        count: 4,
        y: Int32Array.of(0, 1, 2, 2),
      })
      expect([...data.x]).toEqual([2, 3, 0, 1].flatMap((seed) => pixels(seed)))
      expect(files).toEqual(['ant/z.png', 'bee/x.png', 'cat/0.PNG', 'cat/1.png'].map((name) => `${path}/${name}`))
      expect([fields, skipped]).toEqual([{}, []])
    }
  })

  it('reads an archive with a folder round the classes, or one part of it', async () => {
    const parts: Files = {
      'set/': none,
      'set/train/a/0.png': picture(0),
      'set/train/b/0.png': picture(1),
      'set/test/a/0.png': picture(2),
    }
    for (const path of await both(parts)) {
      const train = await loadImageFolder(path, { within: 'set/train' })
      expect(train.data).toMatchObject({ labels: ['a', 'b'], count: 2 })
      const test = await loadImageFolder(path, { within: 'set/test/', labels: train.data.labels })
      expect(test.data).toMatchObject({ labels: ['a', 'b'], classes: 2, y: Int32Array.of(0) })
      await expect(loadImageFolder(path)).rejects.toThrow(
        `${path}/set/train/a/0.png: class "a" is in two folders, ${path}/set/test/a and ${path}/set/train/a.`,
      )
      await expect(loadImageFolder(path, { within: 'trian' })).rejects.toThrow(
        `${path}: no file is within trian/. Folders in it are set.`,
      )
      await expect(loadImageFolder(path, { within: 'set/train', labels: ['a'] })).rejects.toThrow(
        `${path}/set/train/b/0.png: its class "b" is none of the labels a.`,
      )
    }
  })

  it('makes grey of colour and one size of several', async () => {
    const [path] = await both({
      'a/0.png': picture(0),
      'a/1.png': picture(1, 8, 8, 1),
      'b/2.jpg': new Uint8Array(jpeg.encode({ width: 5, height: 7, data: new Uint8Array(140).fill(200) }, 90).data),
    })
    const { data } = await loadImageFolder(path, { channels: 1, resize: [2, 3] })
    expect(data).toMatchObject({ shape: [2, 3, 1], count: 3 })
    for (const v of data.x.subarray(12)) expect(Math.abs(v - 200)).toBeLessThan(3)
    await expect(loadImageFolder(path, { channels: 1 })).rejects.toThrow(
      `${path}/a/1.png: got shape [8,8,1], wanted [3,4,1], that of ${path}/a/0.png. Set resize: [height, width], or leave it out.`,
    )
    await expect(loadImageFolder(path, { resize: [0, 3] })).rejects.toThrow(/^resize wants \[height, width\]/)
  })

  it('names what is bad, or leaves it out and lists it', async () => {
    const good = picture(0)
    const bad: Files = {
      'a/0.png': good,
      'a/1.png': good.slice(0, 50),
      'a/2.jpg': Uint8Array.of(1),
      'b/3.png': picture(1),
      'b/4.png': picture(1, 5, 5),
      'c/': none,
      'd/note.txt': none,
    }
    for (const path of await both(bad)) {
      await expect(loadImageFolder(path)).rejects.toThrow(`${path}/c: the folder of a class has no PNG or JPEG file.`)
      const { data, files, skipped } = await loadImageFolder(path, { skip: true })
      expect(data).toMatchObject({ labels: ['a', 'b'], count: 2 })
      expect([...data.x]).toEqual([...pixels(0), ...pixels(1)])
      expect(files).toEqual([`${path}/a/0.png`, `${path}/b/3.png`])
      const names = ['d/note.txt', 'c', 'd', 'a/1.png', 'a/2.jpg', 'b/4.png'].map((name) => `${path}/${name}`)
      expect(skipped.map(({ file }) => file)).toEqual(names)
      for (const { file, reason } of skipped) expect(reason.startsWith(`${file}: `), reason).toBe(true)
    }
    const [path] = await both({ 'a/0.png': good.slice(0, 50) })
    rmSync(join(path, 'c'), { recursive: true })
    rmSync(join(path, 'd'), { recursive: true })
    await expect(loadImageFolder(path)).rejects.toThrow(
      `${path}/a/0.png: this PNG cannot be read (a chunk claims 49 bytes, 5 follow)`,
    )
  })

  it('refuses folders and archives of nothing', async () => {
    const [path, archive] = await both({ 'a/0.txt': none })
    await expect(loadImageFolder(path, { skip: true })).rejects.toThrow(
      `${path}: found no sample, wanted at least 1 PNG or JPEG file; the first of 2 left out: ${path}/a/0.txt: its name`,
    )
    await expect(loadImageFolder(join(dir, 'none'))).rejects.toThrow(`${join(dir, 'none')}: cannot be read (ENOENT`)
    writeFileSync(archive, 'text')
    await expect(loadImageFolder(archive)).rejects.toThrow(`${archive}: is no tar archive`)
    symlinkSync(join(dir, 'nowhere'), join(path, 'a', '1.png'))
    await expect(loadImageFolder(path)).rejects.toThrow(`${path}/a/1.png: cannot be read (ENOENT`)
  })

  it('works on files that come from anywhere, as in a browser', async () => {
    const files = Object.entries(set).map(([name, bytes]) => ({ name: `picked/${name}`, read: async () => bytes }))
    const { data, files: names } = await imageDataset(files, { label: (file) => file.split('/')[1].toUpperCase() })
    expect(data.labels).toEqual(['ANT', 'BEE', 'CAT'])
    expect(names[0]).toBe('picked/ant/z.png')
    await expect(imageDataset(files, { label: () => '' })).rejects.toThrow('picked/ant/z.png: got label "", wanted a name.')
    await expect(imageDataset([], {})).rejects.toThrow(DunlinError)
  })
})

describe('loadWavFolder', () => {
  const spoken: Files = {
    'rec/1_ann_0.wav': wav([1, 2, 3]),
    'rec/0_bob_0.wav': wav([4, 5, 6, 7, 8]),
    'rec/1_bob_12.wav': wav([9]),
    'rec/README.md': none,
  }
  const options = { pattern: '{digit}_{speaker}_{index}.wav' }

  it('reads labels and fields off the names, and brings sounds to one length', async () => {
    for (const path of await both(spoken)) {
      const { data, fields, rate, skipped } = await loadWavFolder(path, { ...options, length: 4 })
      expect(data).toMatchObject({ shape: [4, 1], labels: ['0', '1'], y: Int32Array.of(0, 1, 1), count: 3 })
      expect([...data.x].map((v) => v * 2 ** 15)).toEqual([4, 5, 6, 7, 1, 2, 3, 0, 9, 0, 0, 0])
      expect(fields).toEqual({ digit: ['0', '1', '1'], speaker: ['bob', 'ann', 'bob'], index: ['0', '0', '12'] })
      expect(rate).toBe(8000)
      expect(skipped.map(({ file }) => file)).toEqual([`${path}/rec/README.md`])
      const [, held] = splitByGroup(data, fields.speaker, 0.3, 1)
      expect([1, 2]).toContain(held.count)
      expect((await loadWavFolder(path, { ...options, label: 'speaker', length: 4 })).data.labels).toEqual(['ann', 'bob'])
    }
  })

  it('takes folders as labels, two channels, and patterns of folders', async () => {
    const [path] = await both({ 'yes/a.wav': wav([1, 2, 3, 4], { channels: 2 }), 'no/b.wav': wav([5, 6, 7, 8], { channels: 2 }) })
    expect((await loadWavFolder(path)).data).toMatchObject({ shape: [2, 2], labels: ['no', 'yes'], y: Int32Array.of(0, 1) })
    const { fields } = await loadWavFolder(path, { pattern: '{word}/{take}.wav' })
    expect(fields).toEqual({ word: ['no', 'yes'], take: ['b', 'a'] })
  })

  it('names what is bad, or leaves it out and lists it', async () => {
    const more: Files = {
      ...spoken,
      'rec/2_cat_0.wav': wav([1], { rate: 16000 }),
      'rec/3.wav': wav([1]),
      'rec/4_dan_0.wav': wav([]),
      'rec/5_eve_1.wav': wav([1]).slice(0, 45),
    }
    for (const path of await both(more)) {
      await expect(loadWavFolder(path, { ...options, length: 4 })).rejects.toThrow(
        `${path}/rec/3.wav: its name does not fit {digit}_{speaker}_{index}.wav.`,
      )
      const { data, skipped } = await loadWavFolder(path, { ...options, length: 4, skip: true })
      expect(data.count).toBe(4)
      expect(skipped.map(({ reason }) => reason.slice(path.length + 1))).toEqual([
        'rec/3.wav: its name does not fit {digit}_{speaker}_{index}.wav. Correct the pattern or leave it out.',
        'rec/README.md: its name is not that of a WAV file.',
        'rec/2_cat_0.wav: got a rate of 16000 samples a second, wanted 8000. Resample it, for example with ffmpeg -ar 8000, or leave it out.',
        'rec/5_eve_1.wav: its chunk "data" claims 2 bytes, 1 follow. It is cut short or damaged: copy or make it again.',
      ])
    }
    const [path] = await both(spoken)
    rmSync(join(path, 'rec', '3.wav'))
    await expect(loadWavFolder(path, { ...options, rate: 16000 })).rejects.toThrow(
      `${path}/rec/0_bob_0.wav: got a rate of 8000 samples a second, wanted 16000.`,
    )
    await expect(loadWavFolder(path, options)).rejects.toThrow(
      /1_ann_0\.wav: got shape \[3,1\], wanted \[5,1\], that of .*0_bob_0\.wav\. Set length/,
    )
    await expect(loadWavFolder(path, { pattern: '{a}_{a}.wav' })).rejects.toThrow(
      /^pattern "{a}_{a}\.wav": wants fields in braces, each once/,
    )
    await expect(loadWavFolder(path, { ...options, label: 'word' })).rejects.toThrow(
      /^label "word": the fields of .* are digit, speaker, index/,
    )
    await expect(loadWavFolder(path, { label: 'word' })).rejects.toThrow(/^label "word": there is no pattern/)
    await expect(loadWavFolder(path, { length: 0.5 })).rejects.toThrow(/^length wants a positive integer, got 0\.5/)
  })
})

describe('files of rows and arrays', () => {
  it('CSV with bad rows is refused, or read without them', () => {
    const path = join(dir, 'a.csv.gz')
    writeFileSync(path, gzipSync('u,v,label\n1,2,0\n3,4\n5,NaN,1\n6,7,1\n8,9,2\n1e39,0,0\n'))
    const options = { shape: [2], classes: 2 }
    expect(() => loadCsv(path, options)).toThrow(`${path}: row 3 has 2 columns, row 1 has 3.`)
    const { data, skipped } = loadCsv(path, { ...options, labels: ['n', 'y'], skip: true })
    expect(data).toMatchObject({ x: Float32Array.of(1, 2, 6, 7), y: Int32Array.of(0, 1), labels: ['n', 'y'], count: 2 })
    expect(skipped.map(({ file, reason }) => [file, reason.slice(path.length).split(',')[0]])).toEqual([
      [path, ': row 3 has 2 columns'],
      [path, ': row 4'],
      [path, ': row 6: sample 0 has label 2'],
      [path, ': row 7: sample 0'],
    ])
    expect(readCsv('1,2,0\n', { ...options, source: 'b' }).skipped).toEqual([])
    expect(() => readCsv('1,2\n3,4\n', { ...options, source: 'b', skip: true })).toThrow(
      /^b: no row can be used, wanted 2 values/,
    )
  })

  it('NPY and NPZ are read from the disk', () => {
    const bytes = npy('|u1', [2], Uint8Array.of(5, 6))
    const [one, many] = [join(dir, 'a.npy'), join(dir, 'a.npz')]
    writeFileSync(one, bytes)
    writeFileSync(many, zipSync({ 'x.npy': bytes }))
    expect(loadNpy(one)).toEqual({ source: one, shape: [2], dtype: 'u1', data: Uint8Array.of(5, 6) })
    expect(loadNpz(many).get('x')?.source).toBe(`${many}/x.npy`)
    expect(() => loadNpz(one)).toThrow(`${one}: does not open as a zip archive`)
  })

  it('CIFAR is read from its folder, both sets', () => {
    const record = (...label: number[]) => Uint8Array.of(...label, ...new Uint8Array(3072).fill(label[0]))
    for (let i = 1; i <= 5; i++) writeFileSync(join(dir, `data_batch_${i}.bin`), record(i))
    expect(() => loadCifarFolder(dir)).toThrow(`${dir}: test_batch.bin is not there.`)
    writeFileSync(join(dir, 'test_batch.bin'), record(9))
    const names = 'airplane automobile bird cat deer dog frog horse ship truck'.split(' ')
    expect(loadCifarFolder(dir).train.labels).toBeUndefined()
    writeFileSync(join(dir, 'batches.meta.txt'), `${names.join('\n')}\n\n`)
    const { train, test } = loadCifarFolder(dir)
    expect(train).toMatchObject({ count: 5, y: Int32Array.of(1, 2, 3, 4, 5), labels: names, shape: [32, 32, 3] })
    expect(test).toMatchObject({ count: 1, y: Int32Array.of(9) })
    writeFileSync(join(dir, 'train.bin'), Uint8Array.of(...record(1, 55)))
    writeFileSync(join(dir, 'test.bin'), Uint8Array.of(...record(2, 99)))
    expect(loadCifarFolder(dir).test).toMatchObject({ classes: 100, y: Int32Array.of(99) })
  })
})

/** Sets that are not in the repository: where they may lie. */
const CIFAR = join(process.env.DUNLIN_DATA ?? '../shared/data', 'cifar10')
const SPOKEN = join(process.env.DUNLIN_DATA ?? '../shared/data', 'fsdd/recordings.tar.gz')

describe('sets that are here', () => {
  it.skipIf(!existsSync(CIFAR))('CIFAR-10 as JPEGs in an archive', async () => {
    const { data, skipped } = await loadImageFolder(join(CIFAR, 'test.tar.gz'))
    expect(data).toMatchObject({ count: 10000, shape: [32, 32, 3], classes: 10 })
    expect(data.labels?.slice(0, 3)).toEqual(['airplane', 'automobile', 'bird'])
    expect(skipped).toEqual([])
    for (let c = 0; c < 10; c++) expect(data.y.filter((y) => y === c).length).toBe(1000)
  })

  it.skipIf(!existsSync(SPOKEN))('spoken digits, each speaker a group', async () => {
    const { data, fields, rate } = await loadWavFolder(SPOKEN, { pattern: '{digit}_{speaker}_{index}.wav', length: 4000 })
    expect([data.count, data.classes, rate]).toEqual([3000, 10, 8000])
    expect(new Set(fields.speaker).size).toBe(6)
  })
})
