// Anomaly detection: MLPerf Tiny's autoencoder learns what a healthy machine sounds like; sounds that it gives back badly are unusual. The
// sounds are made here, from a seed: a fan whose speed and loudness vary, and fans that knock, rub or are out of balance.

import { input, logMel, Model, makeDataset, metrics, Random } from 'dunlin'
import { autoencoder } from 'dunlin/zoo'

const RATE = 16000
const LENGTH = RATE
const BANDS = 128
/** Frames that the network sees at once. */
const FRAMES = 5
const COUNTS = { train: 240, healthy: 80, each: 30 }
const FAULTS = ['knock', 'rub', 'imbalance']

/** One second of a fan. */
function fan(random, fault) {
  const x = new Float32Array(LENGTH)
  const turns = random.uniform(44, 56)
  const loud = random.uniform(0.6, 1)
  const blades = Array.from({ length: 24 }, (_, k) => ({
    volume: (loud * (k % 4 === 3 ? 0.12 : 0.04) * random.uniform(0.7, 1.3)) / Math.sqrt(k + 1),
    phase: random.uniform(0, 2 * Math.PI),
  }))
  const [knock, rub] = [random.uniform(9, 17), random.uniform(0.008, 0.014)]
  let air = 0
  let hiss = 0
  for (let i = 0; i < LENGTH; i++) {
    const t = i / RATE
    blades.forEach(({ volume, phase }, k) => {
      x[i] += volume * Math.sin(2 * Math.PI * turns * (k + 1) * t + phase)
    })
    const white = random.normal()
    air += 0.2 * (white - air)
    x[i] += 0.04 * loud * air
    if (fault === 'knock') x[i] += 0.035 * Math.exp(-((t * knock) % 1) * 40) * Math.sin(2 * Math.PI * 2600 * t)
    if (fault === 'rub') {
      hiss += 0.7 * (random.normal() - hiss)
      x[i] += rub * (hiss - air) * (1 + Math.sin(2 * Math.PI * turns * t))
    }
    if (fault === 'imbalance') x[i] += 0.015 * loud * Math.sin(2 * Math.PI * turns * t) * (1 + Math.sin(Math.PI * turns * t))
  }
  return x
}

const spectrum = new Model(logMel({ sampleRate: RATE, frame: 1024, step: 512, bands: BANDS })(input([LENGTH])))

/** Every stretch of FRAMES frames of every sound, [640] each, scaled to mean 0 and deviation 1 by those of the first sounds heard. */
let scale
async function stretches(sounds) {
  const [frames] = spectrum.outputs[0].shape
  const each = frames - FRAMES + 1
  const x = new Float32Array(sounds.length * each * FRAMES * BANDS)
  for (const [s, sound] of sounds.entries()) {
    const mel = await spectrum.predict(sound)
    for (let f = 0; f < each; f++) x.set(mel.subarray(f * BANDS, (f + FRAMES) * BANDS), (s * each + f) * FRAMES * BANDS)
  }
  if (!scale) {
    const mean = x.reduce((a, b) => a + b, 0) / x.length
    scale = { mean, std: Math.sqrt(x.reduce((a, b) => a + (b - mean) ** 2, 0) / x.length) }
  }
  const scaled = x.map((v) => (v - scale.mean) / scale.std)
  const shape = [FRAMES * BANDS]
  return { data: makeDataset({ x: scaled, y: scaled, shape, target: shape }), each }
}

/** How badly each sound is given back: the mean squared error over its stretches. */
async function scores(model, { data, each }) {
  const y = await model.predict(data.x)
  const size = each * FRAMES * BANDS
  return Array.from({ length: data.x.length / size }, (_, s) => {
    let sum = 0
    for (let i = s * size; i < (s + 1) * size; i++) sum += (y[i] - data.x[i]) ** 2
    return sum / size
  })
}

const random = new Random(1)
const sounds = (count, fault) => Array.from({ length: count }, () => fan(random, fault))
/** Healthy ones that nothing was trained on, and those with each fault. */
let unheard
let faulty

export default {
  async data() {
    const train = (await stretches(sounds(COUNTS.train))).data
    unheard = sounds(COUNTS.healthy)
    faulty = FAULTS.map((fault) => sounds(COUNTS.each, fault))
    return { train, test: (await stretches(unheard)).data }
  },
  normalize: false,
  network: (_train, _normalize, seed) => autoencoder({ seed }),
  loss: 'meanSquaredError',
  optimizer: { adam: { lr: 0.002 } },
  batch: 128,
  epochs: 20,
  validation: 'test',
  async report({ model, int8 }) {
    const result = {}
    for (const [name, judge] of Object.entries({ float: model, int8 })) {
      const good = await scores(judge, await stretches(unheard))
      const all = []
      for (const [i, fault] of FAULTS.entries()) {
        const bad = await scores(judge, await stretches(faulty[i]))
        all.push(...bad)
        result[`auc ${name} ${fault}`] = areaUnder(good, bad)
      }
      result[`auc ${name}`] = areaUnder(good, all)
    }
    return result
  },
}

function areaUnder(good, bad) {
  const auc = metrics.auc()
  auc.add(Float32Array.from([...good, ...bad]), Float32Array.from([...good.map(() => 0), ...bad.map(() => 1)]))
  return auc.result()
}
