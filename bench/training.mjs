// What the benches of training share: the four networks, and a session that trains one of them on one batch.

import * as dunlin from '../dist/index.js'

const { adam, add, batchNorm, bestBuild, conv2d, dense, flatten, globalAvgPool2d, input, maxPool2d, Model } = dunlin
const { sequential, Session, Trainer, tinyCnn } = dunlin

export const BATCH = 64
export const CLASSES = 10
export const RATE = 1e-3

const relu = { activation: 'relu' }

/** The convolutional network of Keras' guide "Convolutional Neural Network (CNN)", on images of 28x28. */
const keras = sequential(
  conv2d({ filters: 32, kernel: 3, ...relu }),
  maxPool2d({ kernel: 2 }),
  conv2d({ filters: 64, kernel: 3, ...relu }),
  maxPool2d({ kernel: 2 }),
  conv2d({ filters: 64, kernel: 3, ...relu }),
  flatten(),
  dense({ units: 64, ...relu }),
  dense({ units: CLASSES }),
)

/**
 * MLPerf Tiny's image classification (bench/peers/networks.mjs) as it is trained: batch normalization is not folded. Padding is the same
 * on all sides: PyTorch has no other without a copy.
 */
function resnet8() {
  const norm = (filters, strides, activation) =>
    sequential(conv2d({ filters, kernel: 3, strides, padding: 1, bias: false }), batchNorm({ activation }))
  let x = norm(16, 1, 'relu')(input([32, 32, 3]))
  for (const [filters, strides] of [
    [16, 1],
    [32, 2],
    [64, 2],
  ]) {
    const y = sequential(norm(filters, strides, 'relu'), norm(filters, 1))(x)
    x = add(relu)(y, strides === 1 ? x : conv2d({ filters, kernel: 1, strides })(x))
  }
  return new Model(sequential(globalAvgPool2d(), flatten(), dense({ units: CLASSES }))(x))
}

const digits = [28, 28, 1]
const mlp = sequential(flatten(), dense({ units: 128, ...relu }), dense({ units: CLASSES }))
export const NETWORKS = [
  { name: 'MLP 784-128-10', make: () => new Model(mlp(input(digits))) },
  { name: 'Keras CNN', make: () => new Model(keras(input(digits))) },
  { name: 'tiny CNN', make: () => tinyCnn({ shape: digits, classes: CLASSES }) },
  { name: 'ResNet-8', make: resnet8 },
]

/** A training session: `run(steps)` starts from the model's weights and gives ms of a step, the first excepted, and all losses. */
export async function trainingSession(model, { x, labels }, threads) {
  const build = bestBuild()
  const optimizer = adam({ lr: RATE })
  const trainer = new Trainer(model, { batch: BATCH, optimizer, build, threads })
  const session = await Session.create(trainer.plan(), { build, threads })
  const { constants, state, inputs, outputs } = session.plan
  const hyper = session.view(state.find((r) => r.name === 'hyper'))
  const [loss, ones] = [session.view(outputs[0]), new Float32Array(BATCH).fill(1)]
  const run = (steps) => {
    for (const constant of constants) session.view(constant).set(constant.data)
    for (const region of state) session.view(region).fill(0)
    const losses = []
    let began
    for (let step = 0; step <= steps; step++) {
      if (step === 1) began = performance.now()
      for (const [i, values] of [x, labels, ones].entries()) session.feed(inputs[i], values)
      hyper.set(optimizer.hyper(step + 1, RATE))
      session.run()
      losses.push(loss[0])
    }
    return { ms: (performance.now() - began) / steps, losses }
  }
  return { run, threads: session.info().threads ?? 1 }
}
