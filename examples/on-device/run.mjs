// A device learns: a network that knows handwritten digits is quantized and built as a module that can train its last layer. Then the world
// changes (pixels are inverted, or pictures turned), it fails, and learns from the samples that it sees, one at a time, each once or a few
// times. What the host does here with the module is all that a microcontroller has to do: write the sample, call train_step.

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
    if (argmax(module.output) === data.y[i]) right++
  }
  return right / order.length
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
  const int8 = await quantize(float, calibration)
  const plain = await buildModule(int8)
  const built = await buildModule(int8, { train: { layers: 'last', optimizer: 'sgd', lr: 0.02 } })
  const sizes = ({ report: { ramBytes, flashBytes } }) => ({ ramBytes, flashBytes })
  const result = { accuracy: (await int8.evaluate(test)).accuracy, plain: sizes(plain), learning: sizes(built), worlds: {} }
  say(`digits, int8: ${percent(result.accuracy)} of ${test.count} test pictures; tiny CNN, ${int8.parameterCount} parameters`)
  for (const [what, { ramBytes, flashBytes }] of Object.entries({
    'that infers': result.plain,
    'that learns its last layer': result.learning,
  }))
    say(`module ${what}: ${ramBytes} bytes of RAM, ${flashBytes} of flash`)

  const count = Math.min(samples, train.count)
  for (const [world, see] of Object.entries(WORLDS)) {
    const module = await loadModule(built.wasm)
    const known = accuracy(module, test, (p) => p)
    const before = accuracy(module, test, see)
    say(`\n${world}: before ${percent(known)}, then ${percent(before)}`)
    const after = []
    const random = new Random(seed, 1)
    for (let pass = 1; pass <= passes; pass++) {
      const order = Uint32Array.from({ length: count }, (_, i) => i)
      random.shuffle(order)
      const seen = learn(module, train, see, order)
      after.push(accuracy(module, test, see))
      say(`  pass ${pass}, ${count} samples: knew ${percent(seen)} of them when it saw them, test ${percent(after.at(-1))}`)
    }
    result.worlds[world] = { known, before, after }
  }
  return result
}

const percent = (share) => `${(100 * share).toFixed(1)} %`

if (process.argv[1] === import.meta.filename || import.meta.url.endsWith(process.argv[1] ?? '-'))
  await experiment({ say: console.log })
