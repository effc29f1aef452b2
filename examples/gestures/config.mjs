// A sensor series: which of five movements a wrist makes, from 2 seconds of an accelerometer at 50 samples a second. The recordings are made
// here, from a seed: forty people, each with a pace, a strength and a way of wearing the sensor of their own. Eight of them are never
// trained on.

import { Random, subset, windows } from 'dunlin'
import { cnn1d } from 'dunlin/zoo'

const RATE = 50
const SECONDS = 12
const PEOPLE = 40
const MOVEMENTS = ['rest', 'walk', 'run', 'wave', 'circle']

/** Twelve seconds of a movement, [steps, 3]. */
function record(random, movement, { pace, strength, turn, tilt }) {
  const x = new Float32Array(RATE * SECONDS * 3)
  const phase = random.uniform(0, 2 * Math.PI)
  const drift = random.uniform(0.9, 1.1)
  for (let i = 0; i < RATE * SECONDS; i++) {
    const t = (i / RATE) * pace * drift
    const wave = (frequency, shift = 0) => Math.sin(2 * Math.PI * frequency * t + phase + shift)
    const moves = {
      rest: [0, 0, 0],
      walk: [0.3 * wave(0.9), 0.25 * wave(1.8), 0.4 * wave(1.8, 0.6)],
      run: [0.8 * wave(1.4), 0.6 * wave(2.8), 1.2 * wave(2.8, 0.6)],
      wave: [1.1 * wave(1.6), 0.1 * wave(3.2), 0.15 * wave(1.6, 1)],
      circle: [0.7 * wave(1.1), 0.7 * wave(1.1, Math.PI / 2), 0.1 * wave(1.1)],
    }
    const [a, b, c] = moves[movement].map((v) => v * strength + 0.08 * random.normal())
    // Gravity, then the way the sensor is worn.
    const [u, v] = [Math.cos(turn) * a - Math.sin(turn) * b, Math.sin(turn) * a + Math.cos(turn) * b]
    x.set([u, Math.cos(tilt) * v - Math.sin(tilt) * (c + 1), Math.sin(tilt) * v + Math.cos(tilt) * (c + 1)], i * 3)
  }
  return x
}

export default {
  data() {
    const random = new Random(3)
    const recordings = []
    for (let person = 0; person < PEOPLE; person++) {
      const way = { pace: random.uniform(0.8, 1.25), strength: random.uniform(0.6, 1.4) }
      Object.assign(way, { turn: random.uniform(-0.5, 0.5), tilt: random.uniform(-0.5, 0.5) })
      for (const [label, movement] of MOVEMENTS.entries())
        recordings.push({ x: record(random, movement, way), labels: label, group: person })
    }
    const shape = { length: 2 * RATE, step: RATE / 2, channels: 3, classes: MOVEMENTS.length, labels: MOVEMENTS }
    const { data, groups } = windows(recordings, shape)
    const pick = (wanted) =>
      subset(
        data,
        groups.flatMap((person, i) => (wanted(person) ? [i] : [])),
      )
    return { train: pick((person) => person < PEOPLE - 8), test: pick((person) => person >= PEOPLE - 8) }
  },
  network: ({ shape, classes, labels }, normalize, seed) => cnn1d({ shape, classes, labels, normalize, seed, filters: 16 }),
  optimizer: { adam: { lr: 0.003 } },
  batch: 32,
  epochs: 8,
  validation: 'test',
}
