// The four networks of MLPerf Tiny (https://github.com/mlcommons/tiny, closed division 1.x) with random weights: the shapes decide the
// speed. Batch normalization is folded into the convolutions, as in the published .tflite files, whose multiply-accumulates and parameters
// the counts below are.
import * as dunlin from '../../dist/index.js'

const { add, conv2d, dense, depthwiseConv2d, flatten, globalAvgPool2d, input, Model, Random, softmax } = dunlin
const relu = { padding: 'same', activation: 'relu' }

/** Image classification, CIFAR-10. */
function resnet8() {
  const block = (x, filters, strides) => {
    const inner = conv2d({ filters, kernel: 3, strides, ...relu })(x)
    const outer = conv2d({ filters, kernel: 3, padding: 'same' })(inner)
    const skip = strides === 1 ? x : conv2d({ filters, kernel: 1, strides, padding: 'same' })(x)
    return add({ activation: 'relu' })(outer, skip)
  }
  let x = conv2d({ filters: 16, kernel: 3, ...relu })(input([32, 32, 3]))
  for (const [filters, strides] of [
    [16, 1],
    [32, 2],
    [64, 2],
  ])
    x = block(x, filters, strides)
  return classify(x, 10)
}

/** Keyword spotting: 49 frames of 10 cepstral coefficients. */
function dsCnn() {
  let x = conv2d({ filters: 64, kernel: [10, 4], strides: 2, ...relu })(input([49, 10, 1]))
  for (let i = 0; i < 4; i++) x = separable(x, 64, 1)
  return classify(x, 12)
}

/** Visual wake words: MobileNetV1, width 0.25, 96x96. */
function mobileNet() {
  let x = conv2d({ filters: 8, kernel: 3, strides: 2, ...relu })(input([96, 96, 3]))
  const layers = [[16, 1], [32, 2], [32, 1], [64, 2], [64, 1], [128, 2], ...Array(5).fill([128, 1]), [256, 2], [256, 1]]
  for (const [filters, strides] of layers) x = separable(x, filters, strides)
  return classify(x, 2)
}

/** Anomaly detection: five frames of 128 mel bands, which it reconstructs. */
function autoencoder() {
  const units = [128, 128, 128, 128, 8, 128, 128, 128, 128]
  const hidden = units.reduce((x, n) => dense({ units: n, activation: 'relu' })(x), input([640]))
  return dense({ units: 640 })(hidden)
}

function separable(x, filters, strides) {
  return conv2d({ filters, kernel: 1, ...relu })(depthwiseConv2d({ kernel: 3, strides, ...relu })(x))
}

function classify(x, classes) {
  return softmax()(dense({ units: classes })(flatten()(globalAvgPool2d()(x))))
}

const PUBLISHED = [
  { name: 'ResNet-8', make: resnet8, macs: 12_501_632, parameters: 77_706 },
  { name: 'DS-CNN', make: dsCnn, macs: 2_656_768, parameters: 22_604 },
  { name: 'MobileNetV1-0.25-96', make: mobileNet, macs: 7_489_664, parameters: 210_850 },
  { name: 'FC autoencoder', make: autoencoder, macs: 264_192, parameters: 265_864 },
]

/** The models. Biases are random too, so that an engine that leaves one out is found out. */
export function networks() {
  return PUBLISHED.map(({ name, make, macs, parameters }, seed) => {
    const model = new Model(make(), { name, seed })
    const got = `${model.macs} MACs, ${model.parameterCount} parameters`
    if (got !== `${macs} MACs, ${parameters} parameters`) throw new Error(`${name} has ${got}; published: ${macs}, ${parameters}`)
    const random = new Random(seed, 1000)
    for (const p of model.params) if (p.attrs.init.kind === 'zeros') p.data = p.data.map(() => random.uniform(-0.1, 0.1))
    return model
  })
}
