// MLPerf Tiny's ResNet-8 from its .tflite files, on the 10,000 test images of CIFAR-10: int8 as it is, float as it is, and with `--tune` the
// float one trained on for an epoch with dunlin and quantized again. From the repository's folder, after `npm run build`:
//
//   node examples/imported/resnet8.mjs [--tune] [--models DIR] [--data DIR] [--out FILE]

import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { adam, cosine, flip, padCrop, quantize, subset, Trainer } from 'dunlin'
import { exportTflite, importTflite } from 'dunlin/formats'
import { loadImageFolder, progressBar, writeFileAtomic } from 'dunlin/node'

const { values } = parseArgs({
  options: {
    tune: { type: 'boolean', default: false },
    models: { type: 'string', default: '../shared/cases/tflite' },
    data: { type: 'string', default: '../shared/data/cifar10' },
    out: { type: 'string', default: 'resnet8-int8.tflite' },
  },
})
const modelAt = (name) => join(values.models, name, 'model.tflite')
const missing = [modelAt('ic_resnet8_int8'), modelAt('ic_resnet8_float'), join(values.data, 'test.tar.gz')].filter(
  (f) => !existsSync(f),
)
if (missing.length) {
  console.log(
    `skipped: ${missing.join(', ')} not there. The models are MLPerf Tiny's (github.com/mlcommons/tiny), the data CIFAR-10 as images.`,
  )
  process.exit()
}

function load(name) {
  const bytes = readFileSync(modelAt(name))
  const began = performance.now()
  const { model } = importTflite(bytes, { source: modelAt(name) })
  console.log(`${name}: ${bytes.length} bytes imported in ${(performance.now() - began).toFixed(1)} ms`)
  return model
}

const percent = async (model, data) => `${((await model.evaluate(data)).accuracy * 100).toFixed(2)} %`

const { data: test } = await loadImageFolder(join(values.data, 'test.tar.gz'))
console.log(
  `int8 as imported: ${await percent(load('ic_resnet8_int8'), test)} of ${test.count} test images (MLPerf Tiny's target: 85 %)`,
)
const float = load('ic_resnet8_float')
console.log(`float as imported: ${await percent(float, test)}`)

if (values.tune) {
  const { data: train } = await loadImageFolder(join(values.data, 'train.tar.gz'))
  const trainer = new Trainer(float, {
    optimizer: adam({ lr: 2e-4 }),
    schedule: cosine(),
    batch: 64,
    augment: [flip(), padCrop(4, { fill: 'reflect' })],
  })
  await trainer.fit(train, { epochs: 1, callbacks: [progressBar()] })
  console.log(`float, trained on for an epoch: ${await percent(float, test)}`)
  const few = subset(
    train,
    Array.from({ length: 500 }, (_, i) => Math.floor((i * train.count) / 500)),
  )
  const int8 = await quantize(float, few)
  console.log(`int8 of that: ${await percent(int8, test)}`)
  writeFileAtomic(values.out, exportTflite(int8))
  console.log(`written to ${values.out}`)
}
