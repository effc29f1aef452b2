// The integer recurrent kernels and their 16-bit curves in every build against test/reference/i8Recurrent.ts: equal to the last bit. Sizes
// are drawn at random round the vectors; a failure prints the seed, which is all it takes to run it again.

import { describe, expect, it } from 'vitest'
import { Random } from '../src/graph/random'
import { builds, in_, inout, out, run, scratch } from './harness'
import type { Factor } from './reference/i8'
import * as reference from './reference/i8Recurrent'

const i8 = (random: Random, n: number): Int8Array => Int8Array.from({ length: n }, () => random.integer(256) - 128)
const i32 = (random: Random, n: number, most: number): Int32Array =>
  Int32Array.from({ length: n }, () => random.integer(2 * most + 1) - most)
const up8 = (n: number) => Math.ceil(n / 8) * 8
/** 2^from to 2^to. */
const factorOf = (random: Random, from: number, to: number): Factor => ({
  multiplier: 2 ** 30 + random.integer(2 ** 30),
  shift: from + random.integer(to - from + 1),
})

/** All that there are, in Q3.12 or another format. */
const EVERY = Int16Array.from({ length: 65536 }, (_, i) => i - 32768)
const SIGMOIDS = EVERY.map(reference.sigmoid16)
const TANHS = [0, 1, 2, 3, 4, 5, 6].map((integer) => EVERY.map((v) => reference.tanh16(v, integer)))
/** The largest distance of Q0.15 numbers from what `f` makes of all. */
const distance = (y: ArrayLike<number>, f: (v: number) => number) =>
  EVERY.reduce((most, v, i) => Math.max(most, Math.abs(y[i] / 32768 - f(v))), 0)

describe.each(builds)('curves ($name)', (build) => {
  it('sigmoid of every number, within 2^-12 of the real one', () => {
    const [y] = run(build, 'sigmoid_i16_map', [in_(EVERY), out('i16', EVERY.length), EVERY.length])
    expect(y).toEqual(SIGMOIDS)
    expect(distance(y, (v) => 1 / (1 + Math.exp(-v / 4096)))).toBeLessThan(2 ** -12)
  })

  it.each(TANHS.map((want, integer) => [integer, want] as const))(
    'tanh of every number with %i integer bits, within 2^-11 of the real one',
    (integer, want) => {
      const [y] = run(build, 'tanh_i16_map', [in_(EVERY), out('i16', EVERY.length), EVERY.length, integer])
      expect(y).toEqual(want)
      expect(distance(y, (v) => Math.tanh(v * 2 ** (integer - 15)))).toBeLessThan(2 ** -11)
    },
  )

  it('of a part of a vector', () => {
    const x = Int16Array.of(-32768, -3, 0, 7, 32767, 1000, -1000, 5, 4, 3, -2)
    for (let n = 1; n <= x.length; n++) {
      const some = x.subarray(0, n)
      expect(run(build, 'sigmoid_i16_map', [in_(some), out('i16', n), n])).toEqual([some.map(reference.sigmoid16)])
      expect(run(build, 'tanh_i16_map', [in_(some), out('i16', n), n, 2])).toEqual([some.map((v) => reference.tanh16(v, 2))])
    }
  })
})

const GATES = { lstm: 4, gru: 3, simpleRnn: 1 }

describe.each(builds)('layers of sizes drawn at random ($name)', (build) => {
  it.each(['lstm', 'gru', 'simpleRnn'] as const)('%s', (op) => {
    for (let seed = 0; seed < 60; seed++) {
      const random = new Random(seed)
      const between = (from: number, to: number) => from + random.integer(to - from + 1)
      const [batch, t, channels, units] = [between(1, 3), between(1, 5), between(1, 19), between(1, 19)]
      const gates = GATES[op]
      // Factors that make gates of about 1, and sometimes saturate them.
      const [ofX, ofH] = [channels, units].map((k) => -Math.round(Math.log2((70 * 74 * Math.sqrt(k)) / 4096)))
      const keep = random.integer(2) === 1
      const layer = {
        x: i8(random, batch * t * channels),
        w: i8(random, gates * units * channels),
        u: i8(random, gates * units * units),
        b: i32(random, gates * units, 10000),
        ...(op === 'gru' && { bu: i32(random, gates * units, 10000) }),
        factors: Array.from({ length: gates }, () => ({
          w: factorOf(random, ofX - 1, ofX + 2),
          u: factorOf(random, ofH - 1, ofH + 2),
        })),
        batch,
        t,
        channels,
        units,
        sequences: random.integer(2) === 1,
        reverse: random.integer(2) === 1,
        xZero: between(-128, 127),
        yZero: between(-128, 127),
        factor: op === 'lstm' ? factorOf(random, -23, -21) : factorOf(random, -8, -6),
      }
      const { yZero } = layer
      // Rows of states have room for whole vectors.
      const row = up8(units)
      const h = Int16Array.from({ length: batch * row }, (_, i) =>
        keep && i % row < units ? random.integer(256) - 128 - yZero : 0,
      )
      const state = Int16Array.from({ length: batch * row }, (_, i) => (keep && i % row < units ? between(-32768, 32767) : 0))
      const live = (rows: ArrayLike<number>) => Array.from(rows).filter((_, i) => i % row < units)
      const [wantH, wantState] = [live(h), live(state)]
      const [cellBits, clip, relu] = [between(0, 6), random.integer(2) * between(1, 32767), random.integer(2)]
      const want =
        op === 'lstm'
          ? reference.lstm({ ...layer, cellBits, clip }, wantH, wantState)
          : op === 'gru'
            ? reference.gru(layer, wantH, wantState)
            : reference.simpleRnn({ ...layer, relu: relu === 1 }, wantH)
      if (op === 'lstm' && clip) expect(Math.max(...wantState.map(Math.abs))).toBeLessThanOrEqual(clip)

      const spoilt = (rows: Int16Array) => (keep ? rows : rows.map(() => 12345))
      const scales = Int32Array.from(
        (['w', 'u'] as const).flatMap((what) => layer.factors.flatMap((f) => [f[what].multiplier, f[what].shift])),
      )
      const states = op === 'simpleRnn' ? [spoilt(h)] : [spoilt(h), spoilt(state)]
      const rows = op === 'simpleRnn' ? 1 : 4
      const [y, gotH, gotState] = run(build, `${op}_i8`, [
        ...[layer.x, layer.w, layer.b, layer.u, ...(layer.bu ? [layer.bu] : []), scales].map(in_),
        out('i8', want.length),
        ...states.map(inout),
        scratch('i16', up8(channels) + rows * row),
        ...[batch, t, channels, units, +layer.sequences, +layer.reverse, +keep, layer.xZero, yZero],
        ...[layer.factor.multiplier, layer.factor.shift],
        ...(op === 'lstm' ? [cellBits, clip] : op === 'simpleRnn' ? [relu] : []),
      ])
      const what = `${op}_i8 [${t},${channels}] ${units} units batch ${batch} (seed ${seed})`
      expect(y, what).toEqual(want)
      expect(live(gotH), what).toEqual(wantH)
      if (gotState) expect(live(gotState), what).toEqual(wantState)
    }
  })
})
