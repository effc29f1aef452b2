// The int8 kernels that slide a window (convolution, depthwise, pooling) and dense, in every build, against test/reference/i8.ts:
// equal to the last bit. Sizes run round every tile; a failure prints the case, which is all it takes to run it again.

import { describe, expect, it } from 'vitest'
import type { TypedArray } from '../src/graph/node'
import { Random } from '../src/graph/random'
import { convScratch } from '../src/ops/convolution'
import { type Buffer, type Build, builds, in_, inout, interpreter, out, run, scratch } from './harness'
import * as reference from './reference/i8'

type Padding = 'same' | 'valid' | [top: number, bottom: number, left: number, right: number]

/** Channel counts round the tiles of 4, 8 and 16. */
const CHANNELS = [1, 2, 3, 4, 5, 6, 7, 8, 9, 15, 16, 17, 31, 32, 33]
const ZERO_POINTS = [-128, -1, 0, 3, 127]

/** A window's sizes; what is not given is 1, and the output's size follows from the padding. */
function windowOf(sizes: Partial<reference.Window>, padding: Padding): reference.Window {
  const s = {
    batch: 1,
    ih: 1,
    iw: 1,
    ic: 1,
    oh: 1,
    ow: 1,
    oc: 1,
    kh: 1,
    kw: 1,
    sh: 1,
    sw: 1,
    dh: 1,
    dw: 1,
    pt: 0,
    pl: 0,
    ...sizes,
  }
  const reach = { h: (s.kh - 1) * s.dh + 1, w: (s.kw - 1) * s.dw + 1 }
  if (padding === 'same') {
    s.oh = Math.ceil(s.ih / s.sh)
    s.ow = Math.ceil(s.iw / s.sw)
    s.pt = Math.max((s.oh - 1) * s.sh + reach.h - s.ih, 0) >> 1
    s.pl = Math.max((s.ow - 1) * s.sw + reach.w - s.iw, 0) >> 1
  } else {
    const [top, bottom, left, right] = padding === 'valid' ? [0, 0, 0, 0] : padding
    s.pt = top
    s.pl = left
    s.oh = Math.floor((s.ih + top + bottom - reach.h) / s.sh) + 1
    s.ow = Math.floor((s.iw + left + right - reach.w) / s.sw) + 1
  }
  return s
}

const i8 = (random: Random, n: number, low = -128): Int8Array =>
  Int8Array.from({ length: n }, () => low + random.integer(128 - low))
const pick = <T>(random: Random, list: readonly T[]): T => list[random.integer(list.length)]

/** Numbers of each output channel such that sums of `k` products fill the int8 range and overflow it now and then. */
function channelsOf(random: Random, oc: number, k: number): reference.Channels {
  const shift = -Math.round(Math.log2(70 * 74 * Math.sqrt(k)) - 6)
  return {
    bias: Int32Array.from({ length: oc }, () => random.integer(20001) - 10000),
    multiplier: Int32Array.from({ length: oc }, () => 2 ** 30 + random.integer(2 ** 30)),
    shift: Int32Array.from({ length: oc }, () => shift + random.integer(3) - 1),
  }
}

function rangeOf(random: Random): reference.Range {
  const relu = random.integer(2)
  const yZero = pick(random, ZERO_POINTS)
  return { xZero: pick(random, ZERO_POINTS), yZero, lo: relu ? yZero : -128, hi: relu ? Math.min(yZero + 100, 127) : 127 }
}

/** Windows for a kernel: every channel count, and random geometry of stride, dilation, padding and batch. */
function windows(
  channels: (random: Random, c: number) => { ic: number; oc: number },
  dilations: boolean,
): [seed: number, s: reference.Window][] {
  const cases: [number, reference.Window][] = CHANNELS.flatMap((c, i) => {
    const random = new Random(100 + i)
    const sizes = { ...channels(random, c), ih: 5, iw: 4, kh: 3, kw: 3 }
    return [
      [200 + i, windowOf(sizes, 'same')],
      [300 + i, windowOf({ ...sizes, batch: 3, ih: 2, iw: 3, kh: 1, kw: 1 }, 'valid')],
    ]
  })
  for (let seed = 1000; cases.length < 150; seed++) {
    const random = new Random(seed)
    const upTo = (n: number) => 1 + random.integer(n)
    const s = windowOf(
      {
        ...channels(random, upTo(20)),
        batch: pick(random, [1, 3]),
        ih: upTo(9),
        iw: upTo(9),
        kh: upTo(4),
        kw: upTo(4),
        sh: upTo(3),
        sw: upTo(3),
        dh: dilations ? upTo(3) : 1,
        dw: dilations ? upTo(3) : 1,
      },
      pick<Padding>(random, ['same', 'valid', [0, 1, 2, 0], [1, 0, 0, 3], [2, 2, 2, 2], [3, 1, 1, 2]]),
    )
    if (s.oh > 0 && s.ow > 0) cases.push([seed, s])
  }
  return cases
}

const inputs = (s: reference.Window): number => s.batch * s.ih * s.iw * s.ic
const outputs = (s: reference.Window): number => s.batch * s.oh * s.ow * s.oc
const convolution = ({ batch, ih, iw, ic, oh, ow, oc, kh, kw, sh, sw, dh, dw, pt, pl }: reference.Window): number[] => {
  return [batch, ih, iw, ic, oh, ow, oc, kh, kw, sh, sw, dh, dw, pt, pl]
}
/** Scratch and sizes of conv2d_i8 of a build: `oc` channels of the layer's `yStep`. */
const plain = (build: Build, s: reference.Window, oc = s.oc): (Buffer | number)[] => {
  const bytes = convScratch(build === interpreter, s)
  const { batch, ih, iw, ic, oh, ow, kh, kw, sh, sw, dh, dw, pt, pl } = s
  return [bytes && scratch('i8', bytes), batch, ih, iw, ic, oh, ow, oc, s.oc, kh, kw, sh, sw, dh, dw, pt, pl]
}
/** What dense_i8 and pairedDense_i8 write to y. */
function denseBy(
  build: Build,
  x: Int8Array,
  w: Int8Array,
  channels: reference.Channels,
  y: Buffer,
  sizes: readonly number[],
  range: reference.Range,
): TypedArray[] {
  const [, n] = sizes
  const unsigned = Uint8Array.from(w, (v) => v + 128)
  const rest = [...sizes, ...ranges(range)]
  return [
    run(build, 'dense_i8', [in_(x), in_(w), ...fences(channels), y, ...rest])[0],
    run(build, 'pairedDense_i8', [in_(x), in_(unsigned), ...fences(channels), y, scratch('i8', 8 * Math.min(n, 32)), ...rest])[0],
  ]
}
const pooling = ({ batch, ih, iw, ic, oh, ow, kh, kw, sh, sw, pt, pl }: reference.Window): number[] => {
  return [batch, ih, iw, ic, oh, ow, kh, kw, sh, sw, pt, pl]
}
const ranges = ({ xZero, yZero, lo, hi }: reference.Range): number[] => [xZero, yZero, lo, hi]
const fences = ({ bias, multiplier, shift }: reference.Channels) => [in_(bias), in_(multiplier), in_(shift)]

/** Runs the kernel in every build on these values and compares with the reference. */
function expectConvolution(
  op: 'conv2d' | 'depthwiseConv2d',
  what: string,
  s: reference.Window,
  x: Int8Array,
  w: Int8Array,
  channels: reference.Channels,
  range: reference.Range,
): void {
  const want = { conv2d: reference.conv2d, depthwiseConv2d: reference.depthwiseConv2d }[op](x, w, channels, s, range)
  for (const build of [interpreter, ...builds]) {
    const where = `${build.name}, ${what}, ${JSON.stringify({ ...s, ...range })}`
    const buffers = [in_(x), in_(w), ...fences(channels), out('i8', outputs(s))]
    const [y] =
      op === 'conv2d'
        ? run(build, 'conv2d_i8', [...buffers, ...plain(build, s), ...ranges(range)])
        : run(build, 'depthwiseConv2d_i8', [...buffers, ...convolution(s), ...ranges(range)])
    expect(y, where).toEqual(want)
    if (build === interpreter) continue
    expect(packed(build, op, s, x, w, channels, range), `packed, ${where}`).toEqual(want)
    const square = s.kh === 3 && s.kw === 3 && s.sh === 1 && s.sw === 1 && s.dh === 1 && s.dw === 1
    if (op === 'conv2d' && square && s.ic % 8 === 0)
      expect(winograd(build, s, x, w, channels, range), `winograd, ${where}`).toEqual(want)
  }
}

/** The same by Winograd's kernel, in blocks of 4 tiles and in one. */
function winograd(
  build: Build,
  s: reference.Window,
  x: Int8Array,
  w: Int8Array,
  channels: reference.Channels,
  range: reference.Range,
): TypedArray {
  const { batch, ih, iw, ic, oh, ow, oc, pt, pl } = s
  const bytes = Math.ceil(oc / 8) * (224 + 256 * ic)
  const [panels] = run(build, 'pack_i8_winograd', [in_(w), ...fences(channels), out('i8', bytes), oc, ic])
  const [down, across] = [Math.ceil(oh / 2), Math.ceil(ow / 2)]
  const [y, whole] = [4, 4 * Math.ceil((down * across) / 4)].map((block) => {
    const room = scratch('i8', 224 + (2 * down + 2) * (2 * across + 2) * ic * 2 + block * (32 * ic + 512) + 2048)
    const sizes = [batch, ih, iw, ic, oh, ow, oc, pt, pl]
    const buffers = [in_(x), in_(panels), out('i8', outputs(s)), room]
    return run(build, 'packedConv2d_i8_winograd', [...buffers, block, ...sizes, ...ranges(range)])[0]
  })
  expect(whole).toEqual(y)
  return y
}

/** The same by the kernels that take packed weights. */
function packed(
  build: Build,
  op: 'conv2d' | 'depthwiseConv2d',
  s: reference.Window,
  x: Int8Array,
  w: Int8Array,
  channels: reference.Channels,
  range: reference.Range,
): TypedArray {
  const [ph, pw] = [(s.oh - 1) * s.sh + (s.kh - 1) * s.dh + 1, (s.ow - 1) * s.sw + (s.kw - 1) * s.dw + 1]
  const taps = s.kh * s.kw
  const conv = op === 'conv2d'
  const [segments, chunk] = s.dw === 1 ? [s.kh, s.kw * s.ic] : [taps, s.ic]
  const layout = conv ? [segments, chunk, taps * s.ic, chunk, 1] : [s.kw, s.kh, 1, s.oc, s.kw * s.oc]
  const bytes = Math.ceil(s.oc / 8) * (224 + 32 * layout[0] * Math.ceil(layout[1] / 2))
  const [panels] = run(build, 'pack_i8', [in_(w), ...fences(channels), out('i8', bytes), s.oc, ...layout])
  const offsets = 16 * Math.ceil((taps + s.oh * s.ow) / 4)
  const image = offsets + 2 * ph * pw * s.ic
  const room = (block: number) => {
    const numbers = s.kw * ((s.kh + 1) >> 1) + block * s.ow
    return 16 + 16 * Math.ceil(numbers / 4) + 32 * ((block - 1) * s.sh + ((s.kh - 1) >> 1) * 2 * s.dh + 1) * pw
  }
  const buffers = [in_(x), in_(panels), out('i8', outputs(s))]
  const numbers = [...convolution(s), ...ranges(range)]
  if (conv) return run(build, 'packedConv2d_i8', [...buffers, scratch('i8', 224 + image), ...numbers])[0]
  const [whole, ...blocked] = [...new Set([s.oh, 1 + (s.oh >> 1), 1])].map(
    (block) => run(build, 'packedDepthwiseConv2d_i8', [...buffers, scratch('i8', 224 + room(block)), block, ...numbers])[0],
  )
  for (const y of blocked) expect(y).toEqual(whole)
  return whole
}

describe.each([
  {
    op: 'conv2d' as const,
    cases: windows(
      (random, c) => (random.integer(2) ? { ic: c, oc: pick(random, CHANNELS) } : { ic: pick(random, CHANNELS), oc: c }),
      true,
    ),
    weights: (s: reference.Window) => s.oc * s.kh * s.kw * s.ic,
    products: (s: reference.Window) => s.kh * s.kw * s.ic,
  },
  {
    op: 'depthwiseConv2d' as const,
    cases: windows((random, c) => ({ ic: c, oc: c * pick(random, [1, 1, 2, 3, 8, 9]) }), true),
    weights: (s: reference.Window) => s.kh * s.kw * s.oc,
    products: (s: reference.Window) => s.kh * s.kw,
  },
])('$op', ({ op, cases, weights, products }) => {
  it('equals the reference for every channel count, stride, dilation, padding and batch', () => {
    for (const [seed, s] of cases) {
      const random = new Random(seed)
      const x = i8(random, inputs(s))
      const w = i8(random, weights(s), -127)
      expectConvolution(op, `seed ${seed}`, s, x, w, channelsOf(random, s.oc, products(s)), rangeOf(random))
    }
  })

  it.each([3, 5])('is exact where inputs, weights and zero points are at their ends, window of %d', (kernel) => {
    const s = windowOf({ ih: 5, iw: 5, ic: 17, oc: 17, kh: kernel, kw: kernel }, 'same')
    const channels = channelsOf(new Random(1), s.oc, 40 * products(s) ** 2)
    for (const xZero of [-128, 127]) {
      for (const value of [-128, 127]) {
        for (const weight of [-128, -127, 127]) {
          const x = new Int8Array(inputs(s)).fill(value)
          const w = new Int8Array(weights(s)).fill(weight)
          expectConvolution(op, `x ${value}, w ${weight}`, s, x, w, channels, { xZero, yZero: -value - 1, lo: -128, hi: 127 })
        }
      }
    }
  })

  it('is exact for every shift and for multipliers and biases at their ends', () => {
    const random = new Random(2)
    const s = windowOf({ ih: 3, iw: 2, ic: 63, oc: 63, kh: 2, kw: 2 }, 'same')
    for (const multiplier of [0, 1, 2 ** 30, 2 ** 31 - 1, 1 + random.integer(2 ** 31 - 1)]) {
      const channels = {
        bias: Int32Array.from({ length: 63 }, () => pick(random, [-(2 ** 31), -(2 ** 30), -1, 0, 1, 2 ** 30, 2 ** 31 - 1])),
        multiplier: new Int32Array(63).fill(multiplier),
        shift: Int32Array.from({ length: 63 }, (_, i) => i - 31),
      }
      const x = i8(random, inputs(s))
      const w = i8(random, weights(s), -127)
      expectConvolution(op, `seed 2, multiplier ${multiplier}`, s, x, w, channels, { xZero: -3, yZero: 0, lo: -128, hi: 127 })
    }
  })
})

it('conv2d 3x3 of stride 1 equals the reference, by Winograd too, at the ends of the values as well', () => {
  for (let seed = 0; seed < 60; seed++) {
    const random = new Random(seed)
    const upTo = (n: number) => 1 + random.integer(n)
    const sizes = { batch: pick(random, [1, 2]), ih: upTo(9), iw: upTo(9), ic: 8 * upTo(4), oc: upTo(20), kh: 3, kw: 3 }
    const s = windowOf(sizes, pick<Padding>(random, ['same', [1, 1, 2, 0], [2, 2, 2, 2], [3, 1, 1, 2]]))
    if (s.oh < 1 || s.ow < 1) continue
    const ends = seed % 3 === 0
    const x = ends ? Int8Array.from({ length: inputs(s) }, () => pick(random, [-128, 127])) : i8(random, inputs(s))
    const weights = s.oc * 9 * s.ic
    const w = ends ? Int8Array.from({ length: weights }, () => pick(random, [-127, 127])) : i8(random, weights, -127)
    expectConvolution('conv2d', `seed ${seed}`, s, x, w, channelsOf(random, s.oc, 9 * s.ic), rangeOf(random))
  }
})

describe.each([interpreter, ...builds])('$name', (build) => {
  it('dense_i8 equals the reference', () => {
    const sizes = CHANNELS.flatMap((c, i) => [
      [1, c, CHANNELS.at(-1 - i) as number],
      [3, CHANNELS.at(i - 7) as number, c],
    ])
    for (const [i, [batch, n, k]] of [...sizes, [1, 10, 1000], [2, 128, 640]].entries()) {
      const random = new Random(i)
      const x = i8(random, batch * k)
      const w = i8(random, n * k, -127)
      const channels = channelsOf(random, n, k)
      const range = rangeOf(random)
      const want = reference.dense(x, w, channels, batch, n, k, range)
      const ys = denseBy(build, x, w, channels, out('i8', batch * n), [batch, n, k, n], range)
      for (const y of ys) expect(y, `seed ${i}, batch ${batch}, n ${n}, k ${k}`).toEqual(want)
      // A 1x1 convolution on a row of `batch` pixels.
      const s = windowOf({ iw: batch, ic: k, oc: n }, 'valid')
      const again = packed(build, 'conv2d', s, x, w, channels, range)
      expect(again, `packed, seed ${i}, batch ${batch}, n ${n}, k ${k}`).toEqual(want)
    }
  })

  it('dense_i8 is exact where inputs, weights and zero points are at their ends, of as many inputs as may be', () => {
    for (const k of [65536, 65535, 40]) {
      const channels = channelsOf(new Random(k), 3, 40 * k ** 2)
      for (const xZero of [-128, 127]) {
        for (const value of [-128, 127]) {
          for (const weight of [-128, 127]) {
            const [x, w] = [new Int8Array(k).fill(value), new Int8Array(3 * k).fill(weight)]
            const range = { xZero, yZero: 3, lo: -128, hi: 127 }
            const want = reference.dense(x, w, channels, 1, 3, k, range)
            for (const y of denseBy(build, x, w, channels, out('i8', 3), [1, 3, k, 3], range))
              expect(y, `k ${k}, x ${value}, w ${weight}, zero ${xZero}`).toEqual(want)
          }
        }
      }
    }
  })

  it('dense_i8 is exact for every shift and for multipliers and biases at their ends', () => {
    const random = new Random(3)
    for (const multiplier of [0, 1, 2 ** 30, 2 ** 31 - 1, 1 + random.integer(2 ** 31 - 1)]) {
      const channels = {
        bias: Int32Array.from({ length: 63 }, () => pick(random, [-(2 ** 31), -(2 ** 30), -1, 0, 1, 2 ** 30, 2 ** 31 - 1])),
        multiplier: new Int32Array(63).fill(multiplier),
        shift: Int32Array.from({ length: 63 }, (_, i) => i - 31),
      }
      const [x, w] = [i8(random, 42), i8(random, 63 * 42, -127)]
      const range = { xZero: -3, yZero: 0, lo: -128, hi: 127 }
      const want = reference.dense(x, w, channels, 1, 63, 42, range)
      for (const y of denseBy(build, x, w, channels, out('i8', 63), [1, 63, 42, 63], range))
        expect(y, `seed 3, multiplier ${multiplier}`).toEqual(want)
    }
  })

  it('conv2d_i8 and dense_i8 compute tiles of channels, and bands of rows', () => {
    for (let seed = 0; seed < 60; seed++) {
      const random = new Random(seed)
      const upTo = (n: number) => 1 + random.integer(n)
      const sizes = { ih: upTo(9), iw: upTo(9), ic: upTo(9), oc: upTo(13), kh: upTo(4), kw: upTo(4), sh: upTo(2), sw: upTo(2) }
      const s = windowOf({ ...sizes, dh: upTo(2), dw: upTo(2) }, pick<Padding>(random, ['same', [1, 1, 2, 0]]))
      if (s.oh < 1 || s.ow < 1) continue
      const k = s.kh * s.kw * s.ic
      const x = i8(random, inputs(s))
      const w = i8(random, s.oc * k, -127)
      const channels = channelsOf(random, s.oc, k)
      const range = rangeOf(random)
      const where = `seed ${seed} ${JSON.stringify({ ...s, ...range })}`
      const before = i8(random, outputs(s))
      const conv = reference.conv2d(x, w, channels, s, range)
      const from = random.integer(s.oc)
      const oc = upTo(s.oc - from)
      const tile = {
        bias: channels.bias.slice(from, from + oc),
        multiplier: channels.multiplier.slice(from, from + oc),
        shift: channels.shift.slice(from, from + oc),
      }
      const part = w.slice(from * k, (from + oc) * k)
      // y begins at the tile's first channel; what lies between the tiles stays.
      const expected = (all: Int8Array) =>
        before.slice(from).map((v, i) => ((i + from) % s.oc >= from && i % s.oc < oc ? all[i + from] : v))
      const [y] = run(build, 'conv2d_i8', [
        ...[in_(x), in_(part), ...fences(tile), inout(before.slice(from))],
        ...plain(build, s, oc),
        ...ranges(range),
      ])
      expect(y, where).toEqual(expected(conv))

      const first = random.integer(s.oh)
      const rows = upTo(s.oh - first)
      const top = Math.max(first * s.sh - s.pt, 0)
      const end = Math.min((first + rows - 1) * s.sh - s.pt + (s.kh - 1) * s.dh + 1, s.ih)
      const band = { ...s, ih: Math.max(end - top, 0), oh: rows, pt: top - (first * s.sh - s.pt) }
      const [lines] = run(build, 'conv2d_i8', [
        ...[in_(x.slice(top * s.iw * s.ic)), in_(w), ...fences(channels), out('i8', outputs(band))],
        ...plain(build, band),
        ...ranges(range),
      ])
      expect(lines, where).toEqual(conv.slice(first * s.ow * s.oc, (first + rows) * s.ow * s.oc))

      // The whole image as one sample of a dense layer, and its rows as several.
      for (const [batch, n] of [
        [1, s.ih * s.iw * s.ic],
        [s.ih, s.iw * s.ic],
      ]) {
        const weights = i8(random, s.oc * n, -127)
        const want = reference.dense(x, weights, channels, batch, s.oc, n, range)
        const old = i8(random, batch * s.oc)
        const rows = weights.slice(from * n, (from + oc) * n)
        for (const z of denseBy(build, x, rows, tile, inout(old.slice(from)), [batch, oc, n, s.oc], range))
          expect(z, where).toEqual(old.slice(from).map((v, i) => (i % s.oc < oc ? want[i + from] : v)))
      }
    }
  })

  it('channels_i8 unpacks records', () => {
    for (const n of [1, 2, 7]) {
      const random = new Random(n)
      const bias = Int32Array.from({ length: n }, () => pick(random, [-(2 ** 23), -1, 0, 2 ** 23 - 1, random.integer(2 ** 23)]))
      const shift = Int32Array.from({ length: n }, () => random.integer(63) - 31)
      const multiplier = Int32Array.from({ length: n }, () => pick(random, [0, 2 ** 31 - 1, random.integer(2 ** 31)]))
      const records = new DataView(new ArrayBuffer(8 * n))
      for (let i = 0; i < n; i++) {
        records.setInt32(8 * i, bias[i], true)
        records.setInt8(8 * i + 3, shift[i])
        records.setInt32(8 * i + 4, multiplier[i], true)
      }
      const outs = ['i32', 'i32', 'i32'].map(() => out('i32', n))
      expect(run(build, 'channels_i8', [in_(new Uint8Array(records.buffer)), ...outs, n])).toEqual([bias, multiplier, shift])
    }
  })

  it.skipIf(build === interpreter)('packed kernels requantize exactly next to every half and at the ends of int32', () => {
    for (let seed = 0; seed < 20; seed++) {
      const random = new Random(seed)
      const n = 1600
      const multiplier = Int32Array.from({ length: n }, () =>
        pick(random, [2 ** 30, 2 ** 31 - 1, 2 ** 30 + random.integer(2 ** 30)]),
      )
      const shift = Int32Array.from({ length: n }, () => -random.integer(seed % 2 ? 10 : 32))
      const bias = Int32Array.from({ length: n }, (_, i) => {
        // Where bias * multiplier * 2^(shift - 31) is a half, give or take a few units.
        const half = random.integer(300) - 150 + 0.5
        const at = Math.round((half * 2 ** (31 - shift[i])) / multiplier[i]) + random.integer(7) - 3
        return Math.abs(at) < 2 ** 31 ? at : pick(random, [-(2 ** 31), 2 ** 31 - 1, 1 - 2 ** 31])
      })
      const channels = { bias, multiplier, shift }
      const range = { xZero: 0, yZero: pick(random, ZERO_POINTS), lo: -128, hi: 127 }
      const s = windowOf({ iw: 4, ic: 1, oc: n }, 'valid')
      const [x, w] = [new Int8Array(4), new Int8Array(n)]
      const want = reference.conv2d(x, w, channels, s, range)
      expect(packed(build, 'conv2d', s, x, w, channels, range), `seed ${seed}`).toEqual(want)
    }
  })

  it.skipIf(build === interpreter).each([
    ['maxPool2d_i8', reference.maxPool2d],
    ['avgPool2d_i8', reference.avgPool2d],
  ] as const)('%s equals the reference', (kernel, pool) => {
    const meetsInput = (s: reference.Window) =>
      s.pt < s.kh && s.pl < s.kw && (s.oh - 1) * s.sh - s.pt < s.ih && (s.ow - 1) * s.sw - s.pl < s.iw
    for (const [seed, s] of windows((_, c) => ({ ic: c, oc: c }), false)) {
      if (!meetsInput(s)) continue
      const random = new Random(seed)
      const x = i8(random, inputs(s))
      const [lo, hi] = pick(random, [
        [-128, 127],
        [-20, 90],
      ])
      const [y] = run(build, kernel, [in_(x), out('i8', outputs(s)), ...pooling(s), lo, hi])
      expect(y, `seed ${seed} ${JSON.stringify(s)}`).toEqual(pool(x, s, lo, hi))
    }
  })

  it.skipIf(build === interpreter)('avgPool2d_i8 sums a window of 70 x 70 and rounds halves away from zero', () => {
    const large = windowOf({ ih: 70, iw: 70, ic: 9, oc: 9, kh: 70, kw: 70 }, 'valid')
    const [y] = run(build, 'avgPool2d_i8', [
      in_(new Int8Array(inputs(large)).fill(-128)),
      out('i8', 9),
      ...pooling(large),
      -128,
      127,
    ])
    expect(y).toEqual(new Int8Array(9).fill(-128))
    const pairs = windowOf({ ih: 1, iw: 2, ic: 8, oc: 8, kw: 2 }, 'valid')
    const x = Int8Array.of(0, 1, 2, -1, -2, 127, -128, 5, 1, 2, 3, -2, -3, 126, -127, 5)
    const [halves] = run(build, 'avgPool2d_i8', [in_(x), out('i8', 8), ...pooling(pairs), -128, 127])
    expect(halves).toEqual(Int8Array.of(1, 2, 3, -2, -3, 127, -128, 5))
  })
})
