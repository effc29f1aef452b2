// The main job, end to end: real images in, a trained network, pruned, quantized, deployed as one .wasm, and that .wasm judged on images
// it has never seen. Nothing is written before everything has succeeded.

import { existsSync, statSync } from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'
import { prune } from '../compress/prune'
import { quantize } from '../compress/quantize'
import { type Augmentation, shift } from '../data/augment'
import { type Dataset, split, statistics, subset } from '../data/dataset'
import { buildModule, loadModule } from '../deploy'
import { loadDigits, loadIdxFolder, writeFilesAtomic } from '../files'
import { DunlinError } from '../graph/error'
import { size } from '../graph/node'
import { argmax, type Model } from '../model/model'
import { formatTable, thousands } from '../model/table'
import { progressBar } from '../progress'
import type { Callback } from '../train/callbacks'
import { adam } from '../train/optimizers'
import { oneCycle } from '../train/schedules'
import { Trainer } from '../train/trainer'
import { tinyCnn } from '../zoo/tinyCnn'

export interface DemoOptions {
  data?: string
  classes: number
  epochs?: number
  seed: number
  out: string
  json: boolean
}

interface Row {
  variant: 'float' | 'pruned' | 'int8' | 'module'
  /** 0..1, on the test set. */
  accuracy: number
  /** Weights that are not pruned away. */
  parameters: number
  /** Of the file. */
  bytes: number
  /** Linear memory for one sample, weights included. */
  ramBytes: number
  macs: number
  microseconds: number
}

/** Share of the digits that is held out for testing. */
const HELD_OUT = 0.2
/** Share of the weights that pruning removes. */
const SPARSITY = 0.5
/** Samples that set the int8 ranges. */
const CALIBRATION = 512

/** The UCI digits in a training and a held-out part, divided by the seed. */
export function heldOutDigits(seed: number): { train: Dataset; test: Dataset } {
  const [train, test] = split(loadDigits(), HELD_OUT, seed)
  return { train, test }
}

export async function demo(options: DemoOptions): Promise<void> {
  const { seed, json } = options
  const out = resolve(options.out)
  let parent = out
  while (!existsSync(parent)) parent = dirname(parent)
  if (!statSync(parent).isDirectory())
    throw new DunlinError(`--out ${options.out}: ${parent} is a file, wanted a folder. Name another.`)
  const say = json ? () => {} : (text: string) => console.log(text)
  const callbacks = json ? [] : [progressBar({ stream: process.stdout })]

  const isDigits = options.data === undefined
  const { train, test } = isDigits ? heldOutDigits(seed) : loadIdxFolder(options.data as string, { classes: options.classes })
  const name = isDigits ? 'digits' : basename(resolve(options.data as string))
  const epochs = options.epochs ?? (isDigits ? 100 : 5)
  say(
    `${name}: ${train.count} training and ${test.count} test samples [${train.shape}], ${train.classes} classes, seed ${seed}\n`,
  )

  const { mean, std } = statistics(train)
  if (!(std > 0)) throw new DunlinError(`${name}: all training pixels are ${mean}. There is nothing to learn from.`)
  const labels = train.labels ?? Array.from({ length: train.classes }, (_, i) => String(i))
  const float = tinyCnn({ shape: train.shape, classes: train.classes, normalize: { mean, std }, labels, name, seed })
  say(`${float.summary()}\n`)
  // L1 draws the weights that pruning will remove towards zero while the others still learn.
  // 1,438 images of 8x8 pixels a network learns by heart; each is seen a little moved every time.
  const settings = isDigits
    ? { batch: 32, lr: 2e-2, l1: 3e-4, augment: [shift(0.8, { subpixel: true })] }
    : { batch: 64, lr: 4e-3, l1: 0, augment: [] }
  say(`training, ${epochs} epochs`)
  await runTraining(float, train, { ...settings, epochs, seed, callbacks })
  say(`\nfloat: accuracy ${percent((await float.evaluate(test)).accuracy)} on the test set`)

  const pruned = prune(float, { sparsity: SPARSITY })
  say(`\npruned ${percent(SPARSITY)} of the weights, fine-tuning, ${epochs} epochs`)
  await runTraining(pruned, train, { ...settings, lr: settings.lr / 4, l1: settings.l1 / 3, epochs, seed, callbacks })

  const sample = subset(
    train,
    Uint32Array.from({ length: Math.min(CALIBRATION, train.count) }, (_, i) => i),
  )
  const int8 = await quantize(pruned, sample)
  const built = await buildModule(int8)
  const models = { float, pruned, int8 }
  const files = Object.entries(models).map(([variant, model]) => ({
    name: `${name}-${variant}.safetensors`,
    bytes: model.save(),
  }))
  const rows: Row[] = []
  for (const [i, variant] of (['float', 'pruned', 'int8'] as const).entries())
    rows.push(await measure(variant, models[variant], files[i].bytes.length, test))
  rows.push({ ...(await measureModule(built.wasm, test)), parameters: int8.parameterCount, macs: int8.macs })

  const artifacts = [...files, { name: `${name}.wasm`, bytes: built.wasm }, { name: `${name}.h`, bytes: built.header }]
  const written = artifacts.map((f) => ({ path: join(out, f.name), bytes: f.bytes }))
  writeFilesAtomic(written)
  const paths = written.map((f) => f.path)
  if (json) console.log(JSON.stringify({ data: name, seed, rows, files: paths }))
  else say(`\n${table(rows)}\n\nwrote ${paths.join(', ')}`)
}

interface Training {
  epochs: number
  lr: number
  l1: number
  batch: number
  seed: number
  augment: Augmentation[]
  callbacks: Callback[]
}

async function runTraining(
  model: Model,
  data: Dataset,
  { epochs, lr, l1, batch, seed, augment, callbacks }: Training,
): Promise<void> {
  const trainer = new Trainer(model, { optimizer: adam({ lr, l1 }), schedule: oneCycle(), batch, seed, augment })
  await trainer.fit(data, { epochs, callbacks })
}

async function measure(variant: Row['variant'], model: Model, bytes: number, test: Dataset): Promise<Row> {
  const { accuracy } = await model.evaluate(test)
  const session = await model.session(1)
  const microseconds = timed(() => {
    session.feed(session.plan.inputs[0], test.x)
    session.run()
  })
  return {
    variant,
    accuracy,
    parameters: model.parameterCount,
    bytes,
    ramBytes: session.plan.memory,
    macs: model.macs,
    microseconds,
  }
}

async function measureModule(
  wasm: Uint8Array,
  test: Dataset,
): Promise<Pick<Row, 'variant' | 'accuracy' | 'bytes' | 'ramBytes' | 'microseconds'>> {
  const module = await loadModule(wasm)
  const each = size(test.shape)
  let right = 0
  for (let i = 0; i < test.count; i++) {
    if (argmax(module.predict(test.x.subarray(i * each, (i + 1) * each))) === test.y[i]) right++
  }
  const sample = test.x.subarray(0, each)
  const microseconds = timed(() => module.predict(sample))
  return { variant: 'module', accuracy: right / test.count, bytes: wasm.length, ramBytes: module.ramBytes, microseconds }
}

/** Milliseconds that a kernel may take until the engine has its best code for it. */
const WARM_UP = 250

/** Microseconds of one call: the median of rounds of many, after a warm-up that lets the engine compile. */
function timed(run: () => void): number {
  const round = (count: number) => {
    const began = performance.now()
    for (let i = 0; i < count; i++) run()
    return ((performance.now() - began) * 1000) / count
  }
  const warm = performance.now() + WARM_UP
  while (performance.now() < warm) run()
  const count = Math.max(1, Math.min(1000, Math.round(20_000 / round(50))))
  const rounds = Array.from({ length: 11 }, () => round(count)).sort((a, b) => a - b)
  return rounds[5]
}

const percent = (share: number): string => `${(share * 100).toFixed(1)} %`

function table(rows: Row[]): string {
  const cells = rows.map((r) => [
    ...[r.variant, percent(r.accuracy)],
    ...[r.parameters, r.bytes, r.ramBytes, r.macs].map(thousands),
    r.microseconds.toFixed(1),
  ])
  return formatTable(['variant', 'accuracy', 'parameters', 'file bytes', 'RAM bytes', 'MACs', 'us/inference'], cells)
}
