// The decoders of dunlin/data: what is read of each format, and that anything else, cut short, changed or hostile, ends in a DunlinError that
// names the file.

import { gzipSync } from 'node:zlib'
import { encode as encodePng } from 'fast-png'
import { zipSync } from 'fflate'
import jpeg from 'jpeg-js'
import { describe, expect, it } from 'vitest'
import { cifarDataset } from '../src/decode/cifar'
import { parseImage, parseJpeg, parsePng, resizeImage } from '../src/decode/image'
import { npyDataset, parseNpy } from '../src/decode/npy'
import { parseNpz } from '../src/decode/npz'
import { gunzip, parseTar } from '../src/decode/tar'
import { parseWav } from '../src/decode/wav'
import { DunlinError } from '../src/graph/error'
import { Random } from '../src/graph/random'
import { changed, chunk, npy, png, tar, wav } from './made'

const bytesOf = (list: { buffer: ArrayBufferLike }) => new Uint8Array(list.buffer)
const swapped = (bytes: Uint8Array, each: number) => {
  const to = bytes.slice()
  for (let i = 0; i < to.length; i += each) to.subarray(i, i + each).reverse()
  return to
}

describe('parseNpy', () => {
  const values = [1, 0, 3, 100, 5, 6]
  it.each([
    ['f4', Float32Array, 4],
    ['f8', Float64Array, 8],
    ['i1', Int8Array, 1],
    ['u1', Uint8Array, 1],
    ['i2', Int16Array, 2],
    ['u2', Uint16Array, 2],
    ['i4', Int32Array, 4],
    ['u4', Uint32Array, 4],
  ] as const)('reads %s in both byte orders, row by row and column by column', (dtype, type, each) => {
    const data = type.from(values)
    for (const version of [1, 2, 3]) {
      expect(parseNpy(npy(`<${dtype}`, [2, 3], bytesOf(data), { version }), 'a.npy')).toEqual({
        source: 'a.npy',
        shape: [2, 3],
        dtype,
        data,
      })
    }
    expect(parseNpy(npy(`>${dtype}`, [6], swapped(bytesOf(data), each)), 'a').data).toEqual(data)
    // [2, 3] column by column: 1 100, 0 5, 3 6.
    const columns = bytesOf(type.of(1, 100, 0, 5, 3, 6))
    expect(parseNpy(npy(`<${dtype}`, [2, 3], columns, { fortran: true }), 'a').data).toEqual(data)
    expect(parseNpy(npy(`>${dtype}`, [2, 3], swapped(columns, each), { fortran: true }), 'a').data).toEqual(data)
  })

  it('reads booleans, 64-bit integers, single numbers and nothing', () => {
    expect(parseNpy(npy('|b1', [3], Uint8Array.of(0, 1, 1)), 'a').data).toEqual(Uint8Array.of(0, 1, 1))
    expect(parseNpy(npy('<i8', [2], bytesOf(BigInt64Array.of(-5n, 2n ** 53n - 1n))), 'a').data).toEqual(
      Float64Array.of(-5, 2 ** 53 - 1),
    )
    expect(parseNpy(npy('<f4', [], bytesOf(Float32Array.of(7))), 'a')).toMatchObject({ shape: [], data: Float32Array.of(7) })
    expect(parseNpy(npy('<f4', [0, 3], new Uint8Array(0)), 'a')).toMatchObject({ shape: [0, 3], data: new Float32Array(0) })
    const inside = Uint8Array.of(9, 9, 9, ...npy('<i4', [1], bytesOf(Int32Array.of(77))), 9)
    expect(parseNpy(inside.subarray(3, -1), 'a').data).toEqual(Int32Array.of(77))
  })

  it('reads any rank column by column', () => {
    const shape = [2, 3, 4, 2]
    const count = 48
    const stored = new Int16Array(count)
    for (let i = 0; i < count; i++) {
      const index = [Math.floor(i / 24), Math.floor(i / 8) % 3, Math.floor(i / 2) % 4, i % 2]
      stored[index[0] + 2 * (index[1] + 3 * (index[2] + 4 * index[3]))] = i
    }
    const { data } = parseNpy(npy('<i2', shape, bytesOf(stored), { fortran: true }), 'a')
    expect(data).toEqual(Int16Array.from({ length: count }, (_, i) => i))
  })

  const one = npy('<f4', [2, 2], new Uint8Array(16))
  const headed = (text: string) => {
    const made = npy('<f4', [2, 2], new Uint8Array(16))
    made.set(new TextEncoder().encode(text.padEnd(made.length - 26)), 10)
    return made
  }
  it.each([
    ['another file', Uint8Array.of(1, 2, 3), /^a: does not begin as an NPY file/],
    ['version 4', changed(one, [6, 4]), /^a: NPY version 4 is not supported/],
    ['objects', npy('|O8', [1], new Uint8Array(8)), /^a: dtype O8 is not read, wanted one of f4, f8/],
    ['complex numbers', npy('<c8', [1], new Uint8Array(8)), /^a: dtype c8 is not read/],
    ['structures', headed("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (4,)}"), /^a: dtype \[\('a' is not read/],
    ['no dict', headed('hello'), /^a: dtype none is not read/],
    ['no shape', headed("{'descr': '<f4', 'fortran_order': False}"), /^a: its header has no order or shape/],
    [
      'an absurd shape',
      headed("{'descr': '<f4', 'fortran_order': False, 'shape': (999999999, 999999999)}"),
      /^a: got 16 bytes of values, its header/,
    ],
    [
      'a shape beyond numbers',
      headed(`{'descr': '<f4', 'fortran_order': False, 'shape': (${'9'.repeat(30)},)}`),
      /^a: its header has shape/,
    ],
    ['integers beyond 2^53', npy('<i8', [2], bytesOf(BigInt64Array.of(0n, 2n ** 60n))), /^a: value 1 is 1152921504606846976/],
    ['bytes after the end', Uint8Array.of(...one, 0), /^a: got 17 bytes of values/],
  ])('refuses %s', (_, bytes, message) => {
    expect(() => parseNpy(bytes, 'a')).toThrow(DunlinError)
    expect(() => parseNpy(bytes, 'a')).toThrow(message)
  })
})

describe('npyDataset', () => {
  const x = parseNpy(npy('<f8', [3, 2], bytesOf(Float64Array.of(1, 2.5, 3, 4, 5, 6))), 'x.npy')
  const y = parseNpy(npy('<i8', [3], bytesOf(BigInt64Array.of(0n, 2n, 1n))), 'y.npy')

  it('makes samples with labels or targets', () => {
    expect(npyDataset(x, y, { classes: 3 })).toEqual({
      ...{ x: Float32Array.of(1, 2.5, 3, 4, 5, 6), y: Int32Array.of(0, 2, 1), shape: [2], classes: 3, count: 3 },
    })
    expect(npyDataset(y, x)).toEqual({
      ...{ x: Int32Array.of(0, 2, 1), y: Float32Array.of(1, 2.5, 3, 4, 5, 6), shape: [1], classes: 0, target: [2], count: 3 },
    })
    const bytes = parseNpy(npy('|u1', [3, 2, 1, 1], Uint8Array.of(1, 2, 3, 4, 5, 6)), 'b.npy')
    expect(npyDataset(bytes, y, { classes: 3 })).toMatchObject({ x: Uint8Array.of(1, 2, 3, 4, 5, 6), shape: [2, 1, 1] })
  })

  it('refuses what does not fit, by the name of the file', () => {
    expect(() => npyDataset(x, y, { classes: 2 })).toThrow(/^y\.npy: sample 1 has label 2, wanted an integer in 0\.\.1/)
    expect(() => npyDataset(x, parseNpy(npy('|u1', [2], Uint8Array.of(0, 0)), 'z'), { classes: 2 })).toThrow(
      /^z: got shape \[2\] for samples/,
    )
    expect(() => npyDataset(y, x, { classes: 2 })).toThrow(/^x\.npy: got shape \[3,2\], wanted labels \[3\]/)
    const nan = parseNpy(npy('<f4', [3], bytesOf(Float32Array.of(1, Number.NaN, 2))), 'n.npy')
    expect(() => npyDataset(nan, y, { classes: 3 })).toThrow(/^n\.npy: sample 1, value 0 of 1 is NaN/)
    const wide = parseNpy(npy('<u4', [3], bytesOf(Uint32Array.of(1, 2 ** 31, 2))), 'w.npy')
    expect(() => npyDataset(wide, y, { classes: 3 })).toThrow(/^w\.npy: value 1 is 2147483648/)
  })
})

describe('parseNpz', () => {
  const files = {
    'x.npy': npy('<f4', [2], bytesOf(Float32Array.of(1, 2))),
    'part/y.npy': npy('|u1', [1], Uint8Array.of(3)),
    'note.txt': Uint8Array.of(1),
  }
  it.each([0, 9] as const)('gives the arrays by name, compressed or not (level %i)', (level) => {
    const arrays = parseNpz(zipSync(files, { level }), 'a.npz')
    expect([...arrays.keys()].sort()).toEqual(['part/y', 'x'])
    expect(arrays.get('x')).toEqual({ source: 'a.npz/x.npy', shape: [2], dtype: 'f4', data: Float32Array.of(1, 2) })
  })

  it('refuses archives of nothing, bad arrays in them, and bombs before they go off', () => {
    expect(() => parseNpz(zipSync({ 'a.txt': Uint8Array.of(1) }), 'a.npz')).toThrow(/^a\.npz: the archive has no NPY file in it/)
    expect(() => parseNpz(zipSync({ 'a.npy': Uint8Array.of(1) }), 'a.npz')).toThrow(
      /^a\.npz\/a\.npy: does not begin as an NPY file/,
    )
    expect(() => parseNpz(Uint8Array.of(1, 2, 3), 'a.npz')).toThrow(/^a\.npz: does not open as a zip archive/)
    const bomb = zipSync({ 'a.npy': new Uint8Array(1000) }, { level: 9 })
    // The size that it claims to hold, in the central directory.
    const at = Buffer.from(bomb).indexOf(Buffer.from([0x50, 0x4b, 1, 2])) + 24
    bomb.set([0xff, 0xff, 0xff, 0x7f], at)
    expect(() => parseNpz(bomb, 'a.npz')).toThrow(/^a\.npz: a\.npy claims 2147483647 bytes from \d+, wanted at most 2 GiB/)
  })
})

describe('cifarDataset', () => {
  const record = (...label: number[]) =>
    Uint8Array.of(...label, ...Array.from({ length: 3072 }, (_, i) => (i * 7 + label[0]) % 256))

  it('turns planes into pixels, of several files', () => {
    const first = Uint8Array.of(...record(3), ...record(9))
    const data = cifarDataset([
      { bytes: first, source: 'a' },
      { bytes: record(0), source: 'b' },
    ])
    expect(data).toMatchObject({ shape: [32, 32, 3], classes: 10, count: 3, y: Int32Array.of(3, 9, 0) })
    for (const [i, label] of [3, 9, 0].entries())
      for (let j = 0; j < 3072; j++) expect(data.x[i * 3072 + (j % 1024) * 3 + Math.floor(j / 1024)]).toBe((j * 7 + label) % 256)
    const hundred = cifarDataset([{ bytes: record(1, 99), source: 'c' }], { classes: 100 })
    expect(hundred).toMatchObject({ classes: 100, y: Int32Array.of(99) })
  })

  it('refuses what is cut short, of the other set, or nothing', () => {
    expect(() => cifarDataset([{ bytes: record(1).subarray(1), source: 'a.bin' }])).toThrow(
      /^a\.bin: got 3072 bytes, wanted a multiple of 3073/,
    )
    expect(() => cifarDataset([{ bytes: new Uint8Array(0), source: 'a.bin' }])).toThrow(/^a\.bin: got 0 bytes/)
    expect(() => cifarDataset([{ bytes: record(1, 99), source: 'a.bin' }])).toThrow(/^a\.bin: got 3074 bytes/)
    expect(() => cifarDataset([{ bytes: record(10), source: 'a.bin' }])).toThrow(/^a\.bin: record 0 has label 10, wanted 0\.\.9/)
    expect(() => cifarDataset([])).toThrow(DunlinError)
  })
})

describe('parseWav', () => {
  it.each([
    [{ bits: 8 }, [-128, 0, 64, 127], 2 ** 7],
    [{ bits: 16 }, [-32768, 0, 16384, 32767], 2 ** 15],
    [{ bits: 24 }, [-8388608, 1, 4194304, 8388607], 2 ** 23],
    [{ bits: 32 }, [-2147483648, 256, 1073741824, 2147483392], 2 ** 31],
    [{ bits: 32, kind: 3 }, [-1, 0.25, 3], 1],
    [{ bits: 64, kind: 3 }, [-1, 0.25, 3], 1],
    [{ bits: 16, extensible: true }, [5, -5], 2 ** 15],
    [{ bits: 32, kind: 3, extensible: true }, [0.5], 1],
  ])('reads %j', (options, values, whole) => {
    const sound = parseWav(wav(values, { ...options, rate: 11025 }), 'a.wav')
    expect(sound).toEqual({ source: 'a.wav', rate: 11025, channels: 1, data: Float32Array.from(values, (v) => v / whole) })
  })

  it('reads two channels, and passes over chunks that it does not know', () => {
    const before = [0x4c, 0x49, 0x53, 0x54, 3, 0, 0, 0, 1, 2, 3, 0]
    const sound = parseWav(wav([1, 2, 3, 4], { channels: 2, before }), 'a')
    expect(sound).toMatchObject({ channels: 2, data: Float32Array.from([1, 2, 3, 4], (v) => v / 2 ** 15) })
    expect(parseWav(wav([], {}), 'a').data.length).toBe(0)
  })

  it.each([
    ['another file', Uint8Array.of(1, 2, 3), /^a: does not begin as a WAV file/],
    ['12 bits', changed(wav([1, 2], { bits: 16 }), [34, 12]), /^a: format 1 of 12 bits is not read/],
    ['compressed sound', changed(wav([1, 2]), [20, 2]), /^a: format 2 of 16 bits is not read/],
    ['no channels', changed(wav([1, 2]), [22, 0]), /^a: its format has 0 channels and a rate of 8000/],
    ['half a sample', changed(wav([1, 2], { channels: 2 }), [40, 2]), /^a: it has 2 bytes of sound, wanted a multiple of 4/],
    ['a huge chunk', changed(wav([1, 2]), [43, 0x7f]), /^a: its chunk "data" claims 2130706436 bytes, 4 follow/],
    ['no sound', wav([1, 2]).subarray(0, 36), /^a: it has no sound in it/],
    ['NaN', wav([1, Number.NaN], { kind: 3, bits: 32 }), /^a: sample 1 is NaN/],
  ])('refuses %s', (_, bytes, message) => {
    expect(() => parseWav(bytes, 'a')).toThrow(DunlinError)
    expect(() => parseWav(bytes, 'a')).toThrow(message)
  })
})

describe('parsePng', () => {
  const random = new Random(17)
  const picture = (width: number, height: number, channels: number) =>
    Uint8Array.from({ length: width * height * channels }, () => random.integer(256))
  const luma = (r: number, g: number, b: number) => Math.round(0.299 * r + 0.587 * g + 0.114 * b)

  it.each(['null', 'Adam7'] as const)(
    'reads grey and colour, with and without transparency, 8 and 16 bits, as colour and as grey (%s)',
    (interlace) => {
      for (const [width, height] of [
        [1, 1],
        [5, 3],
        [9, 17],
      ]) {
        for (const channels of [1, 2, 3, 4]) {
          const pixels = picture(width, height, channels)
          const rgb = Array.from({ length: width * height }, (_, i) => {
            const [a, b, c] = pixels.subarray(i * channels, (i + 1) * channels)
            return channels < 3 ? [a, a, a] : [a, b, c]
          })
          const wide = Uint16Array.from(pixels, (v) => v * 256 + 77)
          for (const file of [
            encodePng({ width, height, data: pixels, channels }, { interlace }),
            encodePng({ width, height, data: wide, channels, depth: 16 }, { interlace }),
          ]) {
            expect(parsePng(file, 'a.png')).toEqual({
              source: 'a.png',
              width,
              height,
              channels: 3,
              data: Uint8Array.from(rgb.flat()),
            })
            const grey = parseImage(file, 'a.png', { channels: 1 })
            expect([grey.channels, grey.data.length]).toEqual([1, width * height])
            for (const [i, [r, g, b]] of rgb.entries()) expect(Math.abs(grey.data[i] - luma(r, g, b))).toBeLessThanOrEqual(1)
            if (channels < 3) expect([...grey.data]).toEqual(rgb.map(([v]) => v))
          }
        }
      }
    },
  )

  it.each([1, 2, 4, 8])('reads a palette and grey of %i bits', (depth) => {
    const [width, height] = [7, 3]
    const most = Math.min(7, 2 ** depth - 1)
    const indices = Array.from({ length: width * height }, (_, i) => i % (most + 1))
    const line = Math.ceil((width * depth) / 8)
    const lines = Array.from({ length: height }, (_, y) => {
      const packed = new Uint8Array(line)
      for (let x = 0; x < width; x++) packed[(x * depth) >> 3] |= indices[y * width + x] << (8 - depth - ((x * depth) & 7))
      return [0, ...packed]
    }).flat()
    const palette = Array.from({ length: most + 1 }, (_, i) => [i * 20, 255 - i * 30, i * 7])
    const coloured = png([width, height], [depth, 3], lines, chunk('PLTE', palette.flat()))
    expect([...parsePng(coloured, 'a').data]).toEqual(indices.flatMap((i) => palette[i]))
    const grey = parsePng(png([width, height], [depth, 0], lines), 'a', { channels: 1 })
    expect([...grey.data]).toEqual(indices.map((i) => Math.trunc((i * 255) / (2 ** depth - 1))))
  })

  const lines = [0, 1, 2, 3, 0, 4, 5, 6]
  const good = png([1, 2], [8, 2], lines)
  const huge = png([1, 2], [8, 2], lines)
  huge.set(chunk('IHDR', [0x7f, 0xff, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff, 8, 2, 0, 0, 0]), 8)
  const large = png([1, 2], [8, 2], lines)
  large.set(chunk('IHDR', [0, 0, 32, 0, 0, 0, 32, 0, 8, 2, 0, 0, 0]), 8)
  it.each([
    ['an absurd size', huge, /^a: this PNG cannot be read \(it claims 2147483647 x 2147483647 pixels/],
    ['a large size of nothing', large, /^a: this PNG cannot be read \(its pixels are 8 bytes, wanted 201334784\)/],
    [
      'a bomb',
      png([1, 2], [8, 2], new Array(300_000).fill(0)),
      /^a: this PNG cannot be read \(its pixels are more than 8 bytes\)/,
    ],
    [
      'a wrong checksum',
      changed(good, [good.length - 17, good[good.length - 17] ^ 1]),
      /^a: this PNG cannot be read \(CRC mismatch/,
    ],
    ['a strange colour', png([1, 2], [8, 5], lines), /colour type 5 of 8 bits does not exist/],
    ['a palette without colours', png([3, 2], [8, 3], lines), /^a: this PNG cannot be read/],
    ['an index beyond the palette', png([3, 2], [8, 3], lines, chunk('PLTE', [1, 2, 3])), /^a: this PNG cannot be read/],
    ['interlaced bits', png([1, 1], [1, 0, 1], [0, 128]), /interlaced images of 1 bits are not read/],
    ['no pixels', png([1, 2], [8, 2], []), /its pixels are 0 bytes, wanted 8/],
    ['a strange filter', png([1, 2], [8, 2], [9, ...lines.slice(1)]), /^a: this PNG cannot be read \(Unsupported filter: 9/],
  ])('refuses %s', (_, bytes, message) => {
    expect(() => parsePng(bytes, 'a')).toThrow(DunlinError)
    expect(() => parsePng(bytes, 'a')).toThrow(message)
  })

  it('takes no notice of what does not make the picture', () => {
    const text = png([1, 2], [8, 2], lines, [...chunk('iCCP', [1, 2, 3]), ...chunk('gAMA', [0])])
    expect([...parsePng(text, 'a').data]).toEqual([1, 2, 3, 4, 5, 6])
    expect(() => parseImage(good, 'a', { channels: 2 as 1 })).toThrow(/^a: channels wants 1 \(grey\) or 3/)
  })
})

/** A smooth picture, which a JPEG changes little. */
const smooth = (width: number, height: number) => {
  const data = new Uint8Array(width * height * 4)
  for (let i = 0; i < width * height; i++) {
    const [x, y] = [(i % width) / width, Math.floor(i / width) / height]
    data.set([255 * x, 255 * y, 128 + 100 * Math.sin(3 * x + 2 * y), 255], i * 4)
  }
  return { width, height, data }
}

describe('parseJpeg', () => {
  it('reads what was written, but for the losses of the format', () => {
    for (const [width, height] of [
      [32, 32],
      [17, 5],
      [1, 1],
    ]) {
      const made = smooth(width, height)
      const file = new Uint8Array(jpeg.encode(made, 98).data)
      const image = parseImage(file, 'a.jpg')
      expect(image).toMatchObject({ source: 'a.jpg', width, height, channels: 3 })
      expect(image.data.length).toBe(width * height * 3)
      image.data.forEach((v, i) => {
        expect(Math.abs(v - made.data[Math.floor(i / 3) * 4 + (i % 3)]), `${width} x ${height}, value ${i}`).toBeLessThan(12)
      })
      const grey = parseJpeg(file, 'a.jpg', { channels: 1 })
      expect([grey.channels, grey.data.length]).toEqual([1, width * height])
    }
  })

  const file = new Uint8Array(jpeg.encode(smooth(16, 16), 50).data)
  const frame = Buffer.from(file).indexOf(Buffer.from([0xff, 0xc0]))
  it.each([
    [
      'a size that its bytes cannot hold',
      changed(file, [frame + 5, 0xff], [frame + 7, 0xff]),
      /^a: this JPEG cannot be read \(maxResolutionInMP/,
    ],
    ['no pixels', changed(file, [frame + 7, 0], [frame + 8, 0]), /^a: this JPEG cannot be read/],
    ['a strange marker', changed(file, [frame + 1, 0x02]), /^a: this JPEG cannot be read/],
    ['nothing else', Uint8Array.of(0xff, 0xd8), /^a: this JPEG cannot be read/],
  ])('refuses %s', (_, bytes, message) => {
    expect(() => parseJpeg(bytes, 'a')).toThrow(DunlinError)
    expect(() => parseJpeg(bytes, 'a')).toThrow(message)
  })

  it('other files are neither', () => {
    expect(() => parseImage(new TextEncoder().encode('GIF89a'), 'a.gif')).toThrow(/^a\.gif: does not begin as a PNG or JPEG/)
    expect(() => parseImage(new Uint8Array(0), 'a.jpg')).toThrow(/^a\.jpg: is empty/)
  })
})

describe('resizeImage', () => {
  it('weighs what a pixel covers by a triangle', () => {
    const random = new Random(23)
    for (let round = 0; round < 40; round++) {
      const [h, w, th, tw, channels] = [
        1 + random.integer(9),
        1 + random.integer(9),
        1 + random.integer(9),
        1 + random.integer(9),
        1 + 2 * random.integer(2),
      ]
      const data = Uint8Array.from({ length: h * w * channels }, () => random.integer(256))
      const made = resizeImage({ source: 'a', width: w, height: h, channels, data }, th, tw)
      const note = `seed 23, round ${round}: ${h} x ${w} to ${th} x ${tw}`
      expect(made, note).toMatchObject({ width: tw, height: th, channels })
      const weights = (i: number, from: number, to: number) => {
        const list = Array.from({ length: from }, (_, j) =>
          Math.max(0, 1 - Math.abs(j - ((i + 0.5) * from) / to + 0.5) / Math.max(1, from / to)),
        )
        const sum = list.reduce((a, b) => a + b, 0)
        return list.map((v) => v / sum)
      }
      for (let i = 0; i < made.data.length; i++) {
        const [y, x, c] = [Math.floor(i / channels / tw), Math.floor(i / channels) % tw, i % channels]
        const [down, across] = [weights(y, h, th), weights(x, w, tw)]
        let want = 0
        for (let v = 0; v < h; v++) for (let u = 0; u < w; u++) want += down[v] * across[u] * data[(v * w + u) * channels + c]
        expect(Math.abs(made.data[i] - want), `${note}, value ${i}`).toBeLessThan(0.51)
      }
    }
  })
})

describe('parseTar', () => {
  const files = {
    'set/': new Uint8Array(0),
    'set/a/0.txt': Uint8Array.of(1, 2),
    './set/b/1.txt': new Uint8Array(0),
    [`set/${'n'.repeat(150)}/é.txt`]: Uint8Array.of(3),
  }

  it('gives files and folders, plain or gzipped', async () => {
    const archive = await tar(files)
    for (const bytes of [archive, new Uint8Array(gzipSync(archive))]) {
      const made = await parseTar(bytes, 'a.tar')
      expect(made.files.map(({ name }) => name)).toEqual(['set/a/0.txt', 'set/b/1.txt', `set/${'n'.repeat(150)}/é.txt`])
      expect(await Promise.all(made.files.map(async (f) => [...(await f.read())]))).toEqual([[1, 2], [], [3]])
      expect([...made.folders].sort()).toEqual(['set', 'set/a', 'set/b', `set/${'n'.repeat(150)}`])
    }
  })

  it('refuses what is cut short anywhere, damaged or no archive', async () => {
    const archive = await tar({ 'a.txt': Uint8Array.of(1, 2), 'b.txt': Uint8Array.of(3) })
    for (let length = 0; length < archive.length; length += 37) {
      await expect(parseTar(archive.subarray(0, length), 'a.tar'), `${length} bytes`).rejects.toThrow(
        /^a\.tar: is no tar archive, or not whole/,
      )
    }
    await expect(parseTar(changed(archive, [0, 0x40]), 'a.tar')).rejects.toThrow(
      /^a\.tar: is no tar archive, or not whole \(Invalid tar header checksum/,
    )
    const packed = new Uint8Array(gzipSync(archive))
    for (let length = 2; length < packed.length; length += 5)
      await expect(parseTar(packed.subarray(0, length), 'a.tgz'), `${length} bytes`).rejects.toThrow(
        /^a\.tgz: does not decompress/,
      )
  })

  it('stops decompressing at a limit', async () => {
    const bomb = new Uint8Array(gzipSync(new Uint8Array(2 ** 24)))
    await expect(gunzip(bomb, 'bomb.gz', 2 ** 20)).rejects.toThrow(/^bomb\.gz: holds more than 1048576 bytes/)
    expect((await gunzip(bomb, 'bomb.gz')).length).toBe(2 ** 24)
  })
})

describe('whatever the bytes, each decoder reads or refuses by name', () => {
  const values = Float32Array.from({ length: 12 }, (_, i) => i)
  const cases: [string, (bytes: Uint8Array) => unknown, () => Uint8Array | Promise<Uint8Array>, rounds: number][] = [
    ['npy', (b) => parseNpy(b, 'x'), () => npy('>f4', [3, 4], bytesOf(values), { fortran: true }), 3000],
    ['npz', (b) => parseNpz(b, 'x'), () => zipSync({ 'a.npy': npy('<f4', [3, 4], bytesOf(values)) }), 2000],
    ['cifar', (b) => cifarDataset([{ bytes: b, source: 'x' }]), () => new Uint8Array(2 * 3073), 0],
    ['wav', (b) => parseWav(b, 'x'), () => wav([1, 2, 3, 4, 5, 6], { channels: 2, bits: 24 }), 3000],
    [
      'png',
      (b) => parsePng(b, 'x'),
      () => encodePng({ width: 5, height: 4, channels: 3, data: new Uint8Array(60).fill(9) }),
      2000,
    ],
    [
      'interlaced png',
      (b) => parsePng(b, 'x'),
      () => encodePng({ width: 9, height: 9, channels: 1, data: new Uint8Array(81).fill(5) }, { interlace: 'Adam7' }),
      500,
    ],
    ['jpeg', (b) => parseJpeg(b, 'x'), () => new Uint8Array(jpeg.encode(smooth(24, 16), 40).data), 2000],
    ['tar', (b) => parseTar(b, 'x'), () => tar({ 'a/': new Uint8Array(0), 'a/b.txt': Uint8Array.of(1, 2, 3) }), 500],
    ['gzipped tar', (b) => parseTar(b, 'x'), async () => new Uint8Array(gzipSync(await tar({ 'b.txt': Uint8Array.of(1) }))), 200],
  ]
  const refusal = async (read: () => unknown): Promise<unknown> => {
    try {
      await read()
      return undefined
    } catch (error) {
      return error
    }
  }

  it.each(cases.filter(([, , , rounds]) => rounds))('%s, changed', async (_, read, make, rounds) => {
    const seed = 31
    const random = new Random(seed)
    const file = await make()
    expect(await refusal(() => read(file))).toBeUndefined()
    let refused = 0
    for (let round = 0; round < rounds; round++) {
      const bytes = file.slice()
      for (let k = 1 + random.integer(4); k > 0; k--)
        bytes[random.integer(bytes.length)] = random.integer(4) ? random.integer(256) : 255 * random.integer(2)
      const error = await refusal(() => read(bytes))
      if (error === undefined) continue
      refused++
      expect(error, `seed ${seed}, round ${round}`).toBeInstanceOf(DunlinError)
      expect((error as Error).message.startsWith('x'), `seed ${seed}, round ${round}: ${error}`).toBe(true)
    }
    expect(refused).toBeGreaterThan(rounds / 100)
  })

  it.each(cases)('%s, cut short', async (_, read, make) => {
    const file = await make()
    const step = Math.max(1, Math.floor(file.length / 700))
    for (let length = 0; length < file.length; length += step) {
      const error = await refusal(() => read(file.subarray(0, length)))
      expect(error, `${length} of ${file.length} bytes`).toBeInstanceOf(DunlinError)
      expect((error as Error).message.startsWith('x'), `${length} bytes: ${error}`).toBe(true)
    }
  })
})
