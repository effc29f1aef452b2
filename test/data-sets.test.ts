// Datasets, CSV and augmentation: what is accepted, what is refused and in which words.
import { describe, expect, it } from 'vitest'
import { shift } from '../src/data/augment'
import { csvDataset, parseCsv } from '../src/data/csv'
import { type Dataset, makeDataset, split, statistics, subset } from '../src/data/dataset'
import { DunlinError } from '../src/graph/error'
import { Random } from '../src/graph/random'

/** `count` samples [2]: the two values of sample i are i and -i, its label i % 3. */
const numbered = (count: number): Dataset =>
  makeDataset({
    x: Float32Array.from({ length: 2 * count }, (_, i) => (i % 2 ? -(i >> 1) : i >> 1)),
    y: Int32Array.from({ length: count }, (_, i) => i % 3),
    shape: [2],
    classes: 3,
  })

describe('makeDataset', () => {
  const good = { x: new Uint8Array([1, 2, 3, 4]), y: [0, 1], shape: [2], classes: 2, source: 'a.bin' }

  it('keeps the values and counts the samples', () => {
    const data = makeDataset({ ...good, labels: ['cat', 'dog'] })
    expect(data).toEqual({ x: good.x, y: Int32Array.of(0, 1), shape: [2], classes: 2, count: 2, labels: ['cat', 'dog'] })
    expect(data.x).toBe(good.x)
    expect('labels' in makeDataset(good)).toBe(false)
  })

  it.each([
    ['lengths', { x: new Uint8Array(5) }, /^a\.bin: x has 5 values, wanted 2 labels x 2 values of a sample \[2\] = 4\./],
    ['a label too large', { y: [0, 2] }, /^a\.bin: sample 1 has label 2, wanted an integer in 0\.\.1 \(2 classes\).*--classes N/],
    ['a negative label', { y: [-1, 0] }, /^a\.bin: sample 0 has label -1, wanted an integer in 0\.\.1/],
    ['a fractional label', { y: [0, 0.5] }, /^a\.bin: sample 1 has label 0\.5/],
    ['NaN', { x: Float32Array.of(1, 2, 3, NaN) }, /^a\.bin: sample 1, value 1 of 2 is NaN, wanted a finite/],
    ['Infinity', { x: Float32Array.of(-Infinity, 2, 3, 4) }, /^a\.bin: sample 0, value 0 of 2 is -Infinity/],
    ['no samples', { x: new Uint8Array(0), y: [] }, /^a\.bin: got 0 samples/],
    ['a bad shape', { shape: [0] }, /^a\.bin: shape \[0\]/],
    ['no classes', { classes: 0 }, /^a\.bin: got 0 classes/],
    ['too few names', { labels: ['cat'] }, /^a\.bin: got 1 label names for 2 classes/],
    ['a plain array', { x: [1, 2, 3, 4] as unknown as Uint8Array }, /^a\.bin: x is Array, wanted Uint8Array/],
  ])('refuses %s', (_, change, message) => {
    expect(() => makeDataset({ ...good, ...change })).toThrow(DunlinError)
    expect(() => makeDataset({ ...good, ...change })).toThrow(message)
  })
})

describe('makeDataset with more than labels', () => {
  const good = { x: new Uint8Array([1, 2, 3, 4]), y: [0.5, 1, -1, 2], shape: [2], target: [2], source: 'a.bin' }

  it('keeps numbers as targets, weights, and samples of other inputs', () => {
    const others = { b: { x: Int32Array.of(7, 8), shape: [1] } }
    const data = makeDataset({ ...good, weights: [0, 2], others })
    expect(data).toEqual({
      ...{ x: good.x, y: Float32Array.of(0.5, 1, -1, 2), shape: [2], target: [2], classes: 0, count: 2 },
      ...{ weights: Float32Array.of(0, 2), others },
    })
    const y = Float32Array.of(1, 2)
    const weights = Float32Array.of(1, 1)
    expect(makeDataset({ ...good, y, target: [1], weights }).y).toBe(y)
    expect(makeDataset({ ...good, y, target: [1], weights }).weights).toBe(weights)
  })

  it('picks all of it', () => {
    const others = { b: { x: Int32Array.of(7, 8), shape: [1] } }
    const part = subset(makeDataset({ ...good, weights: [3, 2], others }), [1, 1, 0])
    expect(part).toEqual({
      ...{
        x: Uint8Array.of(3, 4, 3, 4, 1, 2),
        y: Float32Array.of(-1, 2, -1, 2, 0.5, 1),
        shape: [2],
        target: [2],
        classes: 0,
        count: 3,
      },
      ...{ weights: Float32Array.of(2, 2, 3), others: { b: { x: Int32Array.of(8, 8, 7), shape: [1] } } },
    })
    const buffer = makeDataset({ ...good, x: Buffer.from([1, 2, 3, 4]) })
    expect(subset(buffer, [1]).x).toEqual(Uint8Array.of(3, 4))
  })

  it.each([
    ['both kinds of targets', { classes: 2 }, /^a\.bin: got classes and a target/],
    ['a bad shape', { target: [0] }, /^a\.bin: target: shape \[0\]/],
    ['a part of a target', { y: [1, 2, 3] }, /^a\.bin: y has 3 values, wanted a multiple of the 2 of a target \[2\]/],
    ['a target that is no number', { y: [1, 2, 3, Number.NaN] }, /^a\.bin: the target of sample 1 is NaN/],
    ['a target beyond float32', { y: [1, 1e39, 3, 4] }, /^a\.bin: the target of sample 0 is 1e\+39/],
    ['too few samples', { x: new Uint8Array(2) }, /^a\.bin: x has 2 values, wanted 2 targets x 2/],
    ['names of classes', { labels: ['a'] }, /^a\.bin: got 1 label names for 0 classes/],
    ['too few weights', { weights: [1] }, /^a\.bin: got 1 weights for 2 samples/],
    ['a weight below 0', { weights: [1, -1] }, /^a\.bin: sample 1 has weight -1/],
    ['no weight at all', { weights: [0, 0] }, /^a\.bin: all weights are 0/],
    [
      'others that are too few',
      { others: { b: { x: new Int32Array(1), shape: [1] } } },
      /^a\.bin: others\.b: x has 1 values, wanted 2/,
    ],
    ['others of no type', { others: { b: { x: [1, 2] as never, shape: [1] } } }, /^a\.bin: others\.b: x is Array/],
  ])('refuses %s', (_, change, message) => {
    expect(() => makeDataset({ ...good, ...change })).toThrow(DunlinError)
    expect(() => makeDataset({ ...good, ...change })).toThrow(message)
  })
})

describe('subset and split', () => {
  it('copies the samples named, in order, in their type', () => {
    for (const type of [Uint8Array, Int8Array, Float32Array]) {
      const data = makeDataset({ x: type.of(1, 2, 3, 4, 5, 6), y: [0, 1, 2], shape: [2], classes: 3 })
      const part = subset(data, [2, 0, 2])
      expect(part.x).toEqual(type.of(5, 6, 1, 2, 5, 6))
      expect([...part.y]).toEqual([2, 0, 2])
      expect(part.count).toBe(3)
      part.x[0] = 9
      expect(data.x[4]).toBe(5)
    }
    expect(() => subset(numbered(3), [0, 3])).toThrow(/^subset: index 3 at position 1, wanted an integer in 0\.\.2/)
  })

  it('splits into every sample once, the same way for the same seed', () => {
    const random = new Random(7)
    for (let round = 0; round < 50; round++) {
      const count = 2 + random.integer(60)
      const seed = random.next()
      const note = `round ${round}, count ${count}, seed ${seed}`
      const [train, heldOut] = split(numbered(count), 0.5, seed)
      expect(heldOut.count, note).toBe(Math.round(count * 0.5))
      const both = [...train.x, ...heldOut.x].filter((_, i) => i % 2 === 0)
      expect(
        [...both].sort((a, b) => a - b),
        note,
      ).toEqual(Array.from({ length: count }, (_, i) => i))
      for (const half of [train, heldOut]) expect([...half.y], note).toEqual(Array.from(half.y, (_, i) => half.x[2 * i] % 3))
      expect(split(numbered(count), 0.5, seed), note).toEqual([train, heldOut])
    }
    expect(split(numbered(50), 0.2, 1)[1].x).not.toEqual(split(numbered(50), 0.2, 2)[1].x)
  })

  it.each([0, 1, -0.5, 2, 0.01, NaN])('refuses a share of %s of 10 samples', (fraction) => {
    expect(() => split(numbered(10), fraction, 1)).toThrow(/^split: a held-out share of .* of 10 samples leaves a side empty/)
  })
})

describe('statistics', () => {
  it('gives mean and population deviation, also far from zero', () => {
    const data = makeDataset({ x: Float32Array.of(2, 4, 4, 4, 5, 5, 7, 9), y: [0, 0], shape: [4], classes: 1 })
    expect(statistics(data)).toEqual({ mean: 5, std: 2 })
    expect(statistics({ ...data, x: data.x.map((v) => v + 2 ** 22) })).toEqual({ mean: 5 + 2 ** 22, std: 2 })
    expect(statistics({ ...data, x: new Uint8Array(8).fill(7) })).toEqual({ mean: 7, std: 0 })
  })
})

describe('parseCsv', () => {
  it.each([
    ['plain', '1,2\n3,4\n'],
    ['without a last line end', '1,2\n3,4'],
    ['with CRLF and blank lines at the end', '1,2\r\n3,4\r\n\r\n'],
    ['with a header', 'width,"sepal height"\n1,2\n3,4'],
    ['with a header in which a name starts with a digit', 'label,1x1\n1,2\n3,4'],
    ['with a byte order mark and spaces', '\uFEFF 1 , 2\n3,\t4 '],
    ['in other spellings', '+1.0,.2e1\n30e-1,4.'],
  ])('reads numbers %s', (_, text) => {
    expect(parseCsv(text, 'a.csv')).toEqual([
      [1, 2],
      [3, 4],
    ])
  })

  it.each([
    ['an empty file', '', /^a\.csv: got no rows/],
    ['only line ends', '\n\r\n', /^a\.csv: got no rows/],
    ['only a header', 'a,b\n', /^a\.csv: got no rows/],
    ['a short row', '1,2\n3', /^a\.csv: row 2 has 1 column, row 1 has 2/],
    ['a long row after a header', 'a,b\n1,2\n3,4,5', /^a\.csv: row 3 has 3 columns, row 1 has 2/],
    ['a blank line between rows', '1,2\n\n3,4', /^a\.csv: row 2 has 1 column/],
    ['an empty field', '1,2\n3,', /^a\.csv: row 2, column 2: got "", wanted a finite number/],
    ['a word', '1,2\nx,4', /^a\.csv: row 2, column 1: got "x"/],
    ['a second header', 'a,b\nc,d\n1,2', /^a\.csv: row 2, column 1: got "c"/],
    ['half a header', 'a,0\n1,2', /^a\.csv: row 1, column 1: got "a"/],
    ['NaN first', 'NaN,inf\n1,2', /^a\.csv: row 1, column 1: got "NaN"/],
    ['an overflow', '1,1e400', /^a\.csv: row 1, column 2: got "1e400"/],
    ['hexadecimal', '1,0x10', /^a\.csv: row 1, column 2: got "0x10"/],
    ['semicolons', '1;2\n3;4', /^a\.csv: row 1, column 1: got "1;2"/],
  ])('refuses %s', (_, text, message) => {
    expect(() => parseCsv(text, 'a.csv')).toThrow(DunlinError)
    expect(() => parseCsv(text, 'a.csv')).toThrow(message)
  })

  it('reads or refuses mutated text, and never gives anything but finite rows of one length', () => {
    const seed = 11
    const random = new Random(seed)
    const alphabet = '0123456789.,-+eE\n\r "xN\0é'
    for (let round = 0; round < 2000; round++) {
      const text = [...'a,b,c\n1,2.5,-3\n4e2,5,6\n']
      for (let k = 1 + random.integer(4); k > 0; k--)
        text[random.integer(text.length)] = alphabet[random.integer(alphabet.length)]
      const note = `seed ${seed}, round ${round}: ${JSON.stringify(text.join(''))}`
      try {
        const rows = parseCsv(text.join(''), 'a.csv')
        expect(
          rows.every((row) => row.length === rows[0].length && row.every(Number.isFinite)),
          note,
        ).toBe(true)
      } catch (error) {
        expect(error, note).toBeInstanceOf(DunlinError)
      }
    }
  })
})

describe('csvDataset', () => {
  const options = { shape: [1, 2, 1], classes: 2, source: 'a.csv' }

  it('takes the last column as the label', () => {
    const data = csvDataset('1,2,0\n3,4.5,1', options)
    expect(data).toEqual({ x: Float32Array.of(1, 2, 3, 4.5), y: Int32Array.of(0, 1), shape: [1, 2, 1], classes: 2, count: 2 })
  })

  it('refuses what does not fit', () => {
    expect(() => csvDataset('1,2\n3,4', options)).toThrow(
      /^a\.csv: got 2 columns, wanted 2 for a sample \[1,2,1\] and 1 for its label/,
    )
    expect(() => csvDataset('1,2,0.5', options)).toThrow(/^a\.csv: sample 0 has label 0\.5/)
    expect(() => csvDataset('1,2,0\n1,2,2', options)).toThrow(/^a\.csv: sample 1 has label 2/)
    expect(() => csvDataset('1,1e39,0', options)).toThrow(/^a\.csv: sample 0, value 1 of 2 is Infinity/)
  })
})

describe('shift', () => {
  it('translates as the definition says, for every size and reach', () => {
    const seed = 5
    const random = new Random(seed)
    for (let round = 0; round < 1000; round++) {
      const shape = [1 + random.integer(5), 1 + random.integer(5), 1 + random.integer(3)]
      const [h, w, c] = shape
      const pixels = random.integer(5)
      const before = Float32Array.from({ length: h * w * c }, (_, i) => i + 1)
      const after = before.slice()
      const draw = random.next()
      shift(pixels, { fill: -1 })(after, shape, new Random(draw))
      const again = new Random(draw)
      const down = again.integer(2 * pixels + 1) - pixels
      const right = again.integer(2 * pixels + 1) - pixels
      const wanted = before.map((_, i) => {
        const y = Math.floor(i / (w * c)) - down
        const x = (Math.floor(i / c) % w) - right
        return y >= 0 && y < h && x >= 0 && x < w ? before[(y * w + x) * c + (i % c)] : -1
      })
      expect(after, `seed ${seed}, round ${round}, shape ${shape}, down ${down}, right ${right}`).toEqual(wanted)
    }
  })

  it('shifts by fractions of a pixel as bilinear interpolation does', () => {
    const seed = 11
    const random = new Random(seed)
    const [height, width, channels] = [4, 5, 2]
    const before = Float32Array.from({ length: height * width * channels }, () => random.uniform(-1, 1))
    for (let round = 0; round < 20; round++) {
      const after = before.slice()
      shift(1.3, { subpixel: true, fill: 0.5 })(after, [height, width, channels], new Random(seed, round))
      const replay = new Random(seed, round)
      const [down, right] = [replay.uniform(-1.3, 1.3), replay.uniform(-1.3, 1.3)]
      const at = (y: number, x: number, c: number) =>
        y >= 0 && y < height && x >= 0 && x < width ? before[(y * width + x) * channels + c] : 0.5
      after.forEach((got, i) => {
        const [y, x, c] = [Math.floor(i / channels / width) - down, (Math.floor(i / channels) % width) - right, i % channels]
        let want = 0
        // Each source pixel weighs by its distance, a tent of width 1 on either side.
        for (let v = Math.floor(y); v <= Math.floor(y) + 1; v++) {
          for (let u = Math.floor(x); u <= Math.floor(x) + 1; u++) {
            want += (1 - Math.abs(y - v)) * (1 - Math.abs(x - u)) * at(v, u, c)
          }
        }
        expect(Math.abs(got - want), `seed ${seed}, round ${round}, value ${i}`).toBeLessThan(1e-6)
      })
    }
  })

  it('reaches every offset and refuses what is not an image or a count', () => {
    const random = new Random(3)
    const seen = new Set<number>()
    for (let i = 0; i < 300; i++) {
      const sample = new Float32Array(25)
      sample[12] = 1
      shift(2)(sample, [5, 5, 1], random)
      seen.add(sample.indexOf(1))
    }
    expect(seen.size, 'seed 3').toBe(25)
    expect(() => shift(1.5)).toThrow(/^shift: got 1\.5 pixels/)
    expect(() => shift(-1)).toThrow(/^shift: got -1 pixels/)
    expect(() => shift(1)(new Float32Array(4), [4], random)).toThrow(/^shift: got a sample of 4 values and shape \[4\]/)
  })
})
