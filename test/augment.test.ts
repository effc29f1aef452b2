// Augmentations against naive definitions that replay the draws, the statistics of what is drawn, and what every one of them keeps to:
// the same seed gives the same bits, the dataset is never changed, other shapes are refused in plain words.

import { describe, expect, it } from 'vitest'
import {
  type Augmentation,
  brightness,
  contrast,
  crop,
  cutout,
  flip,
  noise,
  padCrop,
  rotate,
  shift,
  timeShift,
  zoom,
} from '../src/data/augment'
import { makeDataset } from '../src/data/dataset'
import { exp } from '../src/graph/arithmetic'
import { input, type Shape } from '../src/graph/node'
import { Random } from '../src/graph/random'
import { Model } from '../src/model/model'
import { sequential } from '../src/model/sequential'
import { dense } from '../src/ops/dense'
import { flatten } from '../src/ops/reshape'
import { Trainer } from '../src/train/trainer'

const SEED = 41

/** Applies it to numbered pixels; `wanted` gives the source of an output pixel, or a value, from a second random on the same draws. */
function compare(
  augmentation: Augmentation,
  shape: Shape,
  wanted: (random: Random, shape: Shape) => (y: number, x: number, c: number, at: At) => number,
  draw: number,
  tolerance: number,
): void {
  const [h, w, channels] = shape
  const random = new Random(SEED, draw + 1000)
  const before = Float32Array.from({ length: h * w * channels }, () => random.uniform(-1, 1))
  const after = before.slice()
  augmentation(after, shape, new Random(SEED, draw))
  const of = wanted(new Random(SEED, draw), shape)
  for (let i = 0; i < after.length; i++) {
    const [y, x, c] = [Math.floor(i / channels / w), Math.floor(i / channels) % w, i % channels]
    const want = of(y, x, c, (v, u) => before[(v * w + u) * channels + c])
    expect(Math.abs(after[i] - want), `seed ${SEED}, draw ${draw}, shape ${shape}, pixel ${y} ${x} ${c}`).toBeLessThanOrEqual(
      tolerance,
    )
  }
}
type At = (y: number, x: number) => number

/** Between four pixels, each weighing by its distance; beyond the border is `fill`, or the nearest pixel. */
function bilinear(at: At, v: number, u: number, [h, w]: Shape, fill: number | 'edge'): number {
  const hold = (p: number, count: number) => Math.max(0, Math.min(count - 1, p))
  const [y, x] = fill === 'edge' ? [hold(v, h), hold(u, w)] : [v, u]
  let sum = 0
  for (let a = Math.floor(y); a <= Math.floor(y) + 1; a++) {
    for (let b = Math.floor(x); b <= Math.floor(x) + 1; b++) {
      const weight = (1 - Math.abs(y - a)) * (1 - Math.abs(x - b))
      if (weight > 0) sum += weight * (a >= 0 && a < h && b >= 0 && b < w ? at(a, b) : (fill as number))
    }
  }
  return sum
}

/** Ragged images. */
const shapes: Shape[] = [
  [1, 1, 1],
  [4, 5, 3],
  [7, 3, 1],
  [6, 6, 2],
]
const everywhere = (run: (shape: Shape, draw: number) => void, from = shapes) => {
  for (const [i, shape] of from.entries()) for (let draw = 0; draw < 25; draw++) run(shape, 100 * i + draw)
}

describe('on images', () => {
  it('flip mirrors by chance', () => {
    const seen = new Set<string>()
    everywhere((shape, draw) => {
      const [h, w] = shape
      const wanted = (random: Random) => {
        const [sideways, upside] = [random.integer(2), random.integer(2)]
        seen.add(`${sideways}${upside}`)
        return (y: number, x: number, _: number, at: At) => at(upside ? h - 1 - y : y, sideways ? w - 1 - x : x)
      }
      compare(flip({ vertical: true }), shape, wanted, draw, 0)
    })
    expect(seen.size).toBe(4)
    everywhere((shape, draw) => {
      const wanted = (random: Random) => {
        const upside = random.integer(2)
        return (y: number, x: number, _: number, at: At) => at(upside ? shape[0] - 1 - y : y, x)
      }
      compare(flip({ horizontal: false, vertical: true }), shape, wanted, draw, 0)
    })
  })

  it.each([-0.5, 'edge', 'reflect'] as const)('padCrop cuts a window out of the image padded by %s', (fill) => {
    const from = fill === 'reflect' ? shapes.slice(1) : shapes
    everywhere((shape, draw) => {
      const place = (p: number, count: number) => {
        if (fill === 'edge') return Math.max(0, Math.min(count - 1, p))
        return fill === 'reflect' ? count - 1 - Math.abs(count - 1 - Math.abs(p)) : p
      }
      const wanted = (random: Random, [h, w]: Shape) => {
        const [top, left] = [random.integer(5) - 2, random.integer(5) - 2]
        return (y: number, x: number, _: number, at: At) => {
          const [v, u] = [place(y + top, h), place(x + left, w)]
          return v >= 0 && v < h && u >= 0 && u < w ? at(v, u) : -0.5
        }
      }
      compare(padCrop(2, { fill }), shape, wanted, draw, 0)
    }, from)
  })

  it('cutout covers a square round a pixel', () => {
    for (const pixels of [0, 1, 2, 3, 20]) {
      everywhere((shape, draw) => {
        const wanted = (random: Random, [h, w]: Shape) => {
          const [top, left] = [h, w].map((count) => random.integer(count) - Math.floor(pixels / 2))
          return (y: number, x: number, _: number, at: At) =>
            y >= top && y < top + pixels && x >= left && x < left + pixels ? 9 : at(y, x)
        }
        compare(cutout(pixels, { fill: 9 }), shape, wanted, draw, 0)
      })
    }
  })

  it.each([0.25, 'edge'] as const)('rotate turns round the middle, beyond is %s', (fill) => {
    everywhere((shape, draw) => {
      const wanted = (random: Random, [h, w]: Shape) => {
        const angle = (random.uniform(-170, 170) * Math.PI) / 180
        const [cy, cx] = [(h - 1) / 2, (w - 1) / 2]
        // Counterclockwise as one sees it: y points down.
        return (y: number, x: number, _: number, at: At) =>
          bilinear(
            at,
            cy + Math.cos(angle) * (y - cy) + Math.sin(angle) * (x - cx),
            cx - Math.sin(angle) * (y - cy) + Math.cos(angle) * (x - cx),
            shape,
            fill,
          )
      }
      compare(rotate(170, { fill }), shape, wanted, draw, 1e-5)
    })
  })

  it('rotate by a quarter goes counterclockwise', () => {
    // The draw is replaced by the largest there is, just below 90 degrees.
    const sample = Float32Array.of(1, 2, 3, 4)
    rotate(90)(sample, [2, 2, 1], { uniform: (_low: number, high: number) => high } as unknown as Random)
    expect([...sample].map((v) => Math.round(v * 1e6) / 1e6)).toEqual([2, 4, 1, 3])
  })

  it.each([-2, 'edge'] as const)('zoom enlarges round the middle, beyond is %s', (fill) => {
    everywhere((shape, draw) => {
      const wanted = (random: Random, [h, w]: Shape) => {
        const factor = random.uniform(0.5, 2)
        const [cy, cx] = [(h - 1) / 2, (w - 1) / 2]
        return (y: number, x: number, _: number, at: At) =>
          bilinear(at, cy + (y - cy) / factor, cx + (x - cx) / factor, shape, fill)
      }
      compare(zoom([0.5, 2], { fill }), shape, wanted, draw, 1e-5)
    })
  })

  it('crop enlarges a part to the whole', () => {
    everywhere((shape, draw) => {
      const wanted = (random: Random, [h, w]: Shape) => {
        const part = random.uniform(0.3, 1)
        const [top, left] = [random.uniform(0, h - part * h), random.uniform(0, w - part * w)]
        return (y: number, x: number, _: number, at: At) =>
          bilinear(at, top + (y + 0.5) * part - 0.5, left + (x + 0.5) * part - 0.5, shape, 'edge')
      }
      compare(crop(0.3), shape, wanted, draw, 1e-5)
    })
  })
})

describe('on values', () => {
  it('brightness adds one number, contrast scales round the mean, both within the limits', () => {
    everywhere((shape, draw) => {
      const added = (random: Random) => {
        const by = random.uniform(-0.5, 0.5)
        return (y: number, x: number, _: number, at: At) => Math.max(-0.9, Math.min(0.8, at(y, x) + by))
      }
      compare(brightness(0.5, { clamp: [-0.9, 0.8] }), shape, added, draw, 1e-6)
    })
    const random = new Random(SEED, 7)
    const before = Float32Array.from({ length: 30 }, () => random.uniform(-1, 1))
    const mean = before.reduce((a, b) => a + b) / 30
    for (let draw = 0; draw < 20; draw++) {
      const after = before.slice()
      contrast([0.5, 2])(after, [30], new Random(SEED, draw))
      const by = new Random(SEED, draw).uniform(0.5, 2)
      for (const [i, v] of after.entries()) expect(v, `seed ${SEED}, draw ${draw}`).toBeCloseTo(mean + (before[i] - mean) * by, 6)
    }
  })

  it('noise has the standard deviation that is asked for', () => {
    const n = 20000
    for (const std of [0.1, 3]) {
      const sample = new Float32Array(n).fill(5)
      noise({ std })(sample, [n], new Random(SEED))
      const mean = sample.reduce((a, b) => a + b) / n - 5
      const variance = sample.reduce((a, b) => a + (b - 5) ** 2, 0) / n
      // Five standard deviations of a mean and of a variance of n draws.
      expect(Math.abs(mean), `seed ${SEED}`).toBeLessThan((5 * std) / Math.sqrt(n))
      expect(Math.abs(variance / std ** 2 - 1), `seed ${SEED}`).toBeLessThan(5 * Math.sqrt(2 / n))
    }
  })

  it('noise has the level that is asked for, and leaves silence silent', () => {
    const n = 20000
    const signal = Float32Array.from({ length: n }, (_, i) => 0.3 * Math.sin(i / 7))
    for (const snr of [-10, 0, 30]) {
      const sample = signal.slice()
      noise({ snr })(sample, [n, 1], new Random(SEED))
      const power = (of: (i: number) => number) => signal.reduce((sum, _, i) => sum + of(i) ** 2, 0) / n
      const decibels = 10 * Math.log10(power((i) => signal[i]) / power((i) => sample[i] - signal[i]))
      expect(Math.abs(decibels - snr), `seed ${SEED}, ${snr} dB`).toBeLessThan(0.25)
    }
    const silence = new Float32Array(100)
    noise({ snr: [0, 10] })(silence, [100], new Random(SEED))
    expect(silence).toEqual(new Float32Array(100))
  })

  it('e^x is good to 2^-48', () => {
    for (let x = -700; x <= 700; x += 0.3711) expect(Math.abs(exp(x) / Math.exp(x) - 1), `e^${x}`).toBeLessThan(2 ** -48)
    expect(exp(0)).toBe(1)
  })
})

describe('on series', () => {
  it.each([0.5, 'edge', 'wrap'] as const)('timeShift moves along the first axis, beyond is %s', (fill) => {
    for (const [count, ...rest] of [[1], [7], [6, 3], [3, 2, 2]]) {
      const each = rest.reduce((a, b) => a * b, 1)
      const before = Float32Array.from({ length: count * each }, (_, i) => i + 1)
      const seen = new Set<number>()
      for (let draw = 0; draw < 60; draw++) {
        const after = before.slice()
        timeShift(9, { fill })(after, [count, ...rest], new Random(SEED, draw))
        const later = new Random(SEED, draw).integer(19) - 9
        seen.add(later)
        const wanted = before.map((_, i) => {
          const step = Math.floor(i / each) - later
          if (fill === 0.5 && (step < 0 || step >= count)) return 0.5
          const place = fill === 'wrap' ? ((step % count) + count) % count : Math.max(0, Math.min(count - 1, step))
          return before[place * each + (i % each)]
        })
        expect(after, `seed ${SEED}, draw ${draw}, later by ${later}`).toEqual(wanted)
      }
      expect(seen.size).toBeGreaterThan(15)
    }
  })
})

describe('draws', () => {
  const n = 5000
  /** Pearson's statistic of how often each of `kinds` outcomes came, if all are as likely. Its mean is kinds - 1, its variance twice that. */
  function expectUniform(outcome: (random: Random) => number | string, kinds: number): void {
    const random = new Random(SEED)
    const counts = new Map<number | string, number>()
    for (let i = 0; i < n; i++) {
      const got = outcome(random)
      counts.set(got, (counts.get(got) ?? 0) + 1)
    }
    expect(counts.size, `seed ${SEED}`).toBe(kinds)
    const statistic = [...counts.values()].reduce((sum, count) => sum + (count - n / kinds) ** 2 / (n / kinds), 0)
    expect(statistic, `seed ${SEED}`).toBeLessThan(kinds - 1 + 5 * Math.sqrt(2 * (kinds - 1)))
  }
  const whereIsOne = (augmentation: Augmentation, shape: Shape, at: number) => (random: Random) => {
    const sample = new Float32Array(shape.reduce((a, b) => a * b))
    sample[at] = 1
    augmentation(sample, shape, random)
    return sample.indexOf(1)
  }

  it('flip: every other time', () => {
    expectUniform(whereIsOne(flip(), [1, 2, 1], 0), 2)
    expectUniform(whereIsOne(flip({ vertical: true }), [2, 2, 1], 0), 4)
  })
  it('padCrop: all places alike', () => expectUniform(whereIsOne(padCrop(2), [5, 5, 1], 12), 25))
  it('timeShift: all distances alike', () => expectUniform(whereIsOne(timeShift(3), [7], 3), 7))
  it('cutout: all middles alike', () => {
    const covered = (random: Random) => {
      const sample = new Float32Array(20)
      cutout(1, { fill: 1 })(sample, [4, 5, 1], random)
      return sample.indexOf(1)
    }
    expectUniform(covered, 20)
  })
  it('brightness: all of the range alike', () => {
    const tenth = (random: Random) => {
      const sample = Float32Array.of(0)
      brightness(1)(sample, [1], random)
      return Math.min(9, Math.floor((sample[0] + 1) * 5))
    }
    expectUniform(tenth, 10)
  })
})

/** Every augmentation, on images of floats. */
const all: Record<string, Augmentation> = {
  brightness: brightness(0.3),
  contrast: contrast([0.5, 2]),
  crop: crop(0.5),
  cutout: cutout(2),
  flip: flip({ vertical: true }),
  noise: noise({ std: [0.1, 0.2] }),
  padCrop: padCrop(2),
  rotate: rotate(30),
  shift: shift(1, { subpixel: true }),
  timeShift: timeShift(2),
  zoom: zoom([0.8, 1.25]),
}

describe('each', () => {
  const shape = [5, 6, 2]
  const random = new Random(SEED, 9)
  const image = Float32Array.from({ length: 60 }, () => random.uniform(0, 1))

  it.each(Object.entries(all))(
    '%s: a seed gives the same bits, samples of other sizes between them or not',
    (_, augmentation) => {
      const apply = (seed: number) => {
        const draws = new Random(seed)
        return Array.from({ length: 8 }, () => {
          const sample = image.slice()
          augmentation(sample, shape, draws)
          return sample
        })
      }
      const first = apply(3)
      augmentation(new Float32Array(18), [3, 3, 2], new Random(0))
      expect(apply(3)).toEqual(first)
      expect(apply(4)).not.toEqual(first)
      expect(new Set(first.map((sample) => sample.join())).size).toBeGreaterThan(1)
      for (const sample of first) expect(sample.every(Number.isFinite)).toBe(true)
    },
  )

  it('together leave the dataset as it was', async () => {
    const x = Uint8Array.from({ length: 600 }, () => random.integer(256))
    const data = makeDataset({ x, y: Array.from({ length: 10 }, (_, i) => i % 2), shape, classes: 2 })
    const before = structuredClone(data)
    const model = new Model(sequential(flatten(), dense({ units: 2 }))(input(shape, { normalize: { mean: 128, std: 64 } })))
    await new Trainer(model, { augment: Object.values(all), batch: 4 }).fit(data, { epochs: 2 })
    expect(data).toEqual(before)
  })

  it.each([
    [() => padCrop(1.5), /^padCrop: got 1\.5 pixels, wanted an integer from 0 on/],
    [() => padCrop(1, { fill: 'wrap' as 'edge' }), /^padCrop: fill is wrap, wanted a finite number or "edge" or "reflect"/],
    [() => cutout(-1), /^cutout: got -1 pixels/],
    [() => cutout(1, { fill: Number.NaN }), /^cutout: fill is NaN, wanted a finite number\./],
    [() => rotate(200), /^rotate: degrees is 200, wanted a number in \[0, 180\]/],
    [() => rotate(Number.NaN), /^rotate: degrees is NaN/],
    [() => zoom([2, 1]), /^zoom: factor is a range from 2 to 1, wanted the smaller number first/],
    [() => zoom(0), /^zoom: factor is 0, wanted a number in/],
    [() => crop(0), /^crop: least is 0/],
    [() => brightness(-1), /^brightness: most is -1, wanted a number from 0 on/],
    [() => contrast(-1), /^contrast: factor is -1/],
    [() => contrast(1, { clamp: [1, 0] }), /^contrast: clamp is \[1, 0\]/],
    [() => noise({} as { std: number }), /^noise: wants either std, in the units of the data, or snr/],
    [() => noise({ std: 1, snr: 1 }), /^noise: wants either std/],
    [() => noise({ std: [0, Infinity] }), /^noise: std is Infinity/],
    [() => timeShift(0.5), /^timeShift: got 0\.5 steps/],
    [() => padCrop(3, { fill: 'reflect' })(image, [5, 3, 4], random), /^padCrop: an image \[5,3,4\] has no 3 pixels beside/],
    [
      () => flip()(image, [60], random),
      /^flip: got a sample of 60 values and shape \[60\], wanted an image \[height, width, channels\]/,
    ],
    [() => rotate(1)(image, [3, 3, 3], random), /^rotate: got a sample of 60 values and shape \[3,3,3\], wanted 27 values/],
    [() => timeShift(1)(image, [], random), /^timeShift: got a sample of 60 values and shape \[\], wanted a series/],
  ])('refuses what makes no sense: %s', (wrong, message) => {
    expect(wrong).toThrow(message)
  })
})
