// A device learns: a network that knows handwritten digits is quantized and built as a module that can train its last layer. Then the world
// changes (pixels are inverted, or pictures turned), it fails, and learns from the samples that it sees, one at a time, each once or a few
// times. What the host does here with the module is all that a microcontroller has to do: write the sample, call train_step.

import { fileURLToPath } from 'node:url'
import { adam, argmax, buildModule, loadModule, oneCycle, quantize, Random, split, statistics, subset, Trainer } from 'dunlin'
import { loadDigits } from 'dunlin/node'
import { tinyCnn } from 'dunlin/zoo'

const SIDE = 8
const EACH = SIDE * SIDE
/** The value of ink; paper is 0. */
const INK = 16

/** What becomes of a picture. */
const WORLDS = {
  inverted: (picture) => picture.map((v) => INK - v),
  'turned by 90 degrees': (picture) => picture.map((_, i) => picture[(SIDE - 1 - (i % SIDE)) * SIDE + Math.floor(i / SIDE)]),
}

const picture = (data, i) => data.x.subarray(i * EACH, (i + 1) * EACH)

/** The share of pictures that the module knows in a world. */
function accuracy(module, data, see) {
  let right = 0
  for (let i = 0; i < data.count; i++) if (argmax(module.predict(see(picture(data, i)))) === data.y[i]) right++
  return right / data.count
}

/** Learns from `order`, one picture after another; the share that it knew when it saw them. */
function learn(module, data, see, order) {
  let right = 0
  for (const i of order) {
    const loss = module.training.learn(see(picture(data, i)), data.y[i])
    if (!Number.isFinite(loss)) throw new Error(`sample ${i}: the loss is ${loss}`)
    if (argmax(module.outputs[0]) === data.y[i]) right++
  }
  return right / order.length
}

/** What learns, in which module. */
const DEVICES = {
  'int8, the last layer in float': { of: 'int8', train: { layers: 'last', optimizer: 'sgd', lr: 0.005 } },
  'float, biases and the last layer': {
    of: 'float',
    train: { layers: ['conv1/b', 'conv2/b', 'dense'], optimizer: 'sgd', lr: 0.005 },
  },
  'float, all layers': { of: 'float', train: { layers: 'all', optimizer: 'sgd', lr: 0.005 } },
}

/** `samples`: how many different pictures the device sees after the change; default: all of the training part. */
export async function experiment({ epochs = 30, samples = Infinity, passes = 3, seed = 0, say = () => {} } = {}) {
  const [train, test] = split(loadDigits(), 0.2, seed)
  const float = tinyCnn({ shape: [SIDE, SIDE, 1], classes: 10, normalize: statistics(train), name: 'digits', seed })
  await new Trainer(float, { optimizer: adam({ lr: 0.01 }), schedule: oneCycle(), seed }).fit(train, { epochs })
  const calibration = subset(
    train,
    Uint32Array.from({ length: 300 }, (_, i) => i),
  )
  const models = { float, int8: await quantize(float, calibration) }
  say(`digits: tiny CNN, ${float.parameterCount} parameters; ${test.count} test pictures`)
  const results = []
  for (const [device, { of, train: how }] of Object.entries(DEVICES)) {
    const { report: plain } = await buildModule(models[of])
    const { wasm, report } = await buildModule(models[of], { train: how })
    say(`\n${device}: ${report.ramBytes} bytes of RAM, ${report.flashBytes} of flash`)
    say(`  (a module that only infers: ${plain.ramBytes} of RAM, ${plain.flashBytes} of flash)`)
    for (const [world, see] of Object.entries(WORLDS)) {
      const module = await loadModule(wasm)
      const known = accuracy(module, test, (p) => p)
      const before = accuracy(module, test, see)
      const after = []
      const random = new Random(seed, 1)
      for (let pass = 0; pass < passes; pass++) {
        const order = Uint32Array.from({ length: Math.min(samples, train.count) }, (_, i) => i)
        random.shuffle(order)
        const seen = learn(module, train, see, order)
        after.push({ seen, test: accuracy(module, test, see) })
      }
      say(`  ${world}: test pictures ${percent(known)} before, ${percent(before)} after the change`)
      for (const [pass, { seen, test }] of after.entries())
        say(
          `    pass ${pass + 1}: knew ${percent(seen)} of the samples when it saw them, then ${percent(test)} of the test pictures`,
        )
      results.push({ device, world, ramBytes: report.ramBytes, flashBytes: report.flashBytes, known, before, after })
    }
  }
  return results
}

const percent = (share) => `${(100 * share).toFixed(1)} %`

if (process.argv[1] === fileURLToPath(import.meta.url)) await experiment({ say: console.log })
