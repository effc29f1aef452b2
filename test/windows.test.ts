// Windows over series: against a naive definition on ragged recordings, what is refused, and a small detector of movements.

import { describe, expect, it } from 'vitest'
import { type Recording, windows } from '../src/data/windows'
import { input } from '../src/graph/node'
import { Random } from '../src/graph/random'
import { Model } from '../src/model/model'
import { sequential } from '../src/model/sequential'
import { conv1d } from '../src/ops/conv1d'
import { dense } from '../src/ops/dense'
import { globalAvgPool1d } from '../src/ops/pool1d'
import { flatten } from '../src/ops/reshape'
import { Trainer } from '../src/train/trainer'

const SEED = 31

/** Recordings of 0 to 20 steps; the value at step t of recording r, channel c, says where it is from. */
function drawn(random: Random, channels: number, classes: number): Recording[] {
  return Array.from({ length: 1 + random.integer(4) }, (_, r) => {
    const steps = random.integer(21)
    const x = Int32Array.from({ length: steps * channels }, (_, i) => r * 1000 + i)
    if (!random.integer(3)) return { x, labels: random.integer(classes) }
    return {
      x,
      labels: Array.from({ length: steps }, () => random.integer(classes + 1) - 1),
      group: `person ${random.integer(2)}`,
    }
  })
}

function naive(recordings: Recording[], length: number, step: number, channels: number, label: string) {
  const rows: { x: number[]; y: number; group: string | number }[] = []
  recordings.forEach(({ x, labels, group }, r) => {
    const steps = x.length / channels
    for (let from = 0; from < steps; from += step) {
      if (from + length > steps) break
      const own = Array.from({ length }, (_, i) => (typeof labels === 'number' ? labels : labels[from + i]))
      const count = (v: number) => own.filter((o) => o === v).length
      const best = [...own].reverse().sort((a, b) => count(b) - count(a))[0]
      const y = label === 'last' ? own[length - 1] : best
      if (y >= 0) rows.push({ x: [...x.slice(from * channels, (from + length) * channels)], y, group: group ?? r })
    }
  })
  return rows
}

describe('windows', () => {
  it.each(['majority', 'last'] as const)('are those of the definition, label %s', (label) => {
    const random = new Random(SEED)
    let [some, none] = [0, 0]
    for (let round = 0; round < 400; round++) {
      const [channels, classes, length, step] = [
        1 + random.integer(3),
        1 + random.integer(4),
        1 + random.integer(6),
        1 + random.integer(7),
      ]
      const recordings = drawn(random, channels, classes)
      const want = naive(recordings, length, step, channels, label)
      const make = () => windows(recordings, { length, step, channels, classes, label })
      const what = `seed ${SEED}, round ${round}`
      if (!want.length) {
        none++
        expect(make, what).toThrow(/recordings with no window of/)
        continue
      }
      some++
      const { data, groups } = make()
      expect([...data.x], what).toEqual(want.flatMap(({ x }) => x))
      expect([...data.y], what).toEqual(want.map(({ y }) => y))
      expect(groups, what).toEqual(want.map(({ group }) => group))
      expect(data.shape).toEqual([length, channels])
      // No window has steps of two recordings.
      const each = length * channels
      for (let i = 0; i < data.count; i++) expect(data.x[(i + 1) * each - 1] - data.x[i * each], what).toBe(each - 1)
    }
    expect(some).toBeGreaterThan(200)
    expect(none).toBeGreaterThan(5)
  })

  it('do not overlap unless asked to, and keep the type and the names', () => {
    const { data, groups } = windows([{ x: Int16Array.of(1, 2, 3, 4, 5), labels: 1, group: 7 }], {
      ...{ length: 2, channels: 1, classes: 2, labels: ['rest', 'move'] },
    })
    expect(data).toEqual({
      ...{ x: Int16Array.of(1, 2, 3, 4), y: Int32Array.of(1, 1), shape: [2, 1], classes: 2, count: 2 },
      labels: ['rest', 'move'],
    })
    expect(groups).toEqual([7, 7])
  })

  const good: Recording = { x: new Float32Array(12), labels: 0 }
  it.each([
    [[good], { length: 0 }, /^watch: length wants a positive integer, got 0\./],
    [[good], { step: 0.5 }, /^watch: step wants a positive integer, got 0\.5\./],
    [[good], { channels: 5 }, /^watch: recording 0 has 12 values, wanted a multiple of its 5 channels/],
    [[good], { label: 'first' }, /^watch: label wants "majority" or "last", got "first"/],
    [[good], { length: 7 }, /^watch: got 1 recordings with no window of 7 steps/],
    [[], {}, /^watch: got 0 recordings with no window/],
    [[good, { ...good, x: new Int8Array(12) }], {}, /^watch: recording 1 is Int8Array, the first is Float32Array/],
    [[{ ...good, x: [1, 2] as never }], {}, /^watch: recording 0 is Array/],
    [[{ ...good, labels: 3 }], {}, /^watch: recording 0 has label 3, wanted an integer in 0\.\.1, or -1/],
    [[good, { ...good, labels: [0, 1, 0, 1, 0, 0.5] }], {}, /^watch: recording 1, step 5 has label 0\.5/],
    [[{ ...good, labels: [0] }], {}, /^watch: recording 0 has 6 steps and 1 labels/],
    [[{ ...good, labels: -1 }], {}, /no window of 3 steps that has a label/],
    [[{ ...good, x: new Float32Array(12).fill(Number.NaN) }], {}, /^watch: sample 0, value 0 of 6 is NaN/],
  ])('refuse what does not fit: %#', (recordings, change, message) => {
    const options = { length: 3, channels: 2, classes: 2, source: 'watch', ...change } as Parameters<typeof windows>[1]
    expect(() => windows(recordings as Recording[], options)).toThrow(message)
  })

  it('of movements teach a network to tell them', async () => {
    const random = new Random(SEED)
    const recording = (speed: number, label: number): Recording => ({
      x: Float32Array.from(
        { length: 3 * 200 },
        (_, i) => Math.sin(speed * Math.floor(i / 3) + (i % 3)) + random.uniform(-0.2, 0.2),
      ),
      labels: label,
    })
    const recordings = [0.3, 0.9, 0.35, 1].map((speed, i) => recording(speed, i % 2))
    const { data } = windows(recordings, { length: 32, step: 8, channels: 3, classes: 2 })
    expect(data.count).toBe(4 * 22)
    const layers = [conv1d({ filters: 8, kernel: 5, activation: 'relu' }), globalAvgPool1d(), flatten(), dense({ units: 2 })]
    const model = new Model(sequential(...layers)(input(data.shape)))
    await new Trainer(model, { batch: 16 }).fit(data, { epochs: 15 })
    expect((await model.evaluate(data)).accuracy).toBeGreaterThan(0.95)
  })
})
