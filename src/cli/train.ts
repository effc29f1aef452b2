// `dunlin train`: an experiment from its configuration to a trained and quantized model, with checkpoints on the way. Started again after an
// interruption it goes on where it was, and ends with the same bits.

import { rmSync } from 'node:fs'
import { cpus } from 'node:os'
import { join } from 'node:path'
import { checkpoints, resumeFrom } from '../checkpoints'
import { quantize } from '../compress/quantize'
import { type Dataset, subset } from '../data/dataset'
import { splitStratified } from '../data/split'
import { makeFolder, writeFilesAtomic } from '../files'
import { DunlinError } from '../graph/error'
import { csvLog } from '../logs'
import type { Model } from '../model/model'
import { progressBar } from '../progress'
import { drawCurves } from '../report/curves'
import type { Callback, EpochResult, Scores } from '../train/callbacks'
import { Trainer } from '../train/trainer'
import {
  augmentationsOf,
  dataOf,
  type Experiment,
  lossOf,
  modelOf,
  normalizeOf,
  optimizerOf,
  readExperiment,
  scheduleOf,
} from './experiment'

export interface TrainOptions {
  out: string
  epochs?: number
  seed?: number
  threads?: number
  /** Forget what an earlier run left in `out`. */
  fresh: boolean
  json: boolean
}

/** Samples that set the ranges of the int8 model. */
const CALIBRATION = 512

export async function train(path: string, options: TrainOptions): Promise<void> {
  const { experiment, folder, name } = await readExperiment(path)
  const { out, json, threads } = options
  const say = json ? () => {} : (text: string) => console.log(text)
  const seed = options.seed ?? experiment.seed ?? 0
  const epochs = options.epochs ?? experiment.epochs
  const { train, test, skipped } = await dataOf(experiment, folder, seed)
  const model = modelOf(experiment, train, normalizeOf(experiment, train), seed)
  const [learned, validation] = validationOf(experiment, { train, test }, seed)
  const target = train.target ? `targets [${train.target}]` : `${train.classes} classes`
  say(
    `${name}: ${learned.count} training and ${test.count} test samples [${train.shape}], ${target}, seed ${seed}${skipped ? `, ${skipped} left out` : ''}`,
  )
  say(`${model.summary()}\n`)

  const kept = join(out, 'checkpoints')
  if (options.fresh) for (const made of [kept, join(out, 'log.csv')]) rmSync(made, { recursive: true, force: true })
  makeFolder(out)
  const { mixup, batch, accumulate, checkpointSeconds = 60 } = experiment
  const trainer = new Trainer(model, {
    ...{ loss: lossOf(experiment), optimizer: optimizerOf(experiment), schedule: scheduleOf(experiment) },
    ...{ augment: augmentationsOf(experiment), seed },
    ...(batch !== undefined && { batch }),
    ...(accumulate !== undefined && { accumulate }),
    ...(mixup !== undefined && { mixup }),
    ...(threads !== undefined && { threads }),
  })
  const from = resumeFrom(trainer, kept)
  if (from) say(`goes on from ${from}`)
  const clock = stopwatch()
  const history = await trainer.fit(learned, {
    epochs,
    validation,
    callbacks: [
      clock,
      csvLog(join(out, 'log.csv')),
      ...(json ? [] : [progressBar({ stream: process.stdout })]),
      checkpoints(kept, { seconds: checkpointSeconds }),
    ],
  })

  const float = await trainer.evaluate(test)
  say(`\nfloat: ${text(float)} on the test part`)
  const files: { path: string; bytes: Uint8Array | string }[] = [
    { path: join(out, 'model.safetensors'), bytes: model.save() },
    { path: join(out, 'curves.svg'), bytes: drawCurves(history, name) },
  ]
  const result: Record<string, unknown> = {
    ...{ name, seed, epochs, samples: { train: learned.count, test: test.count } },
    ...{ parameters: model.parameterCount, macs: model.macs, float },
  }
  let int8: Model | undefined
  if (experiment.quantize !== false) {
    int8 = await quantize(model, sampleOf(learned, experiment.quantize ?? CALIBRATION))
    files.push({ path: join(out, 'model-int8.safetensors'), bytes: int8.save() })
    if (!test.target) {
      const scores = await int8.evaluate(test)
      result.int8 = scores
      say(`int8: accuracy ${scores.accuracy.toFixed(4)} on the test part`)
    }
  }
  if (experiment.report) {
    const more = await experiment.report({ model, int8, train: learned, test })
    Object.assign(result, more)
    for (const [key, value] of Object.entries(more))
      say(`${key}: ${typeof value === 'number' ? value.toFixed(4) : JSON.stringify(value)}`)
  }
  Object.assign(result, { seconds: round(clock.state.seconds), machine: `${cpus()[0].model}, Node ${process.version}` })
  files.push({ path: join(out, 'result.json'), bytes: `${JSON.stringify(result, null, 2)}\n` })
  writeFilesAtomic(files)
  if (json) console.log(JSON.stringify(result))
  else say(`trained for ${round(clock.state.seconds)} s; wrote ${[...files.map((f) => f.path), join(out, 'log.csv')].join(', ')}`)
}

/** What is trained on, and what the curves are told of beside it. */
function validationOf(
  { validation }: Experiment,
  { train, test }: { train: Dataset; test: Dataset },
  seed: number,
): [learned: Dataset, validation: Dataset | undefined] {
  if (validation === undefined) return [train, undefined]
  if (validation === 'test') return [train, test]
  if (typeof validation !== 'number')
    throw new DunlinError(`validation wants "test" or a share of the training part, got ${JSON.stringify(validation)}.`)
  return splitStratified(train, validation, seed)
}

/** Seconds that were trained, interruptions left out; checkpoints keep them. */
function stopwatch(): Callback & { state: { seconds: number } } {
  const state = { seconds: 0 }
  let since = 0
  const take = () => {
    const now = performance.now()
    state.seconds += (now - since) / 1000
    since = now
  }
  return {
    state,
    begin() {
      since = performance.now()
    },
    step: take,
    epochEnd: take,
  }
}

/** Every n-th sample, `most` in all: as the training part is mixed. */
export function sampleOf(data: Dataset, most: number): Dataset {
  const count = Math.min(most, data.count)
  return subset(
    data,
    Uint32Array.from({ length: count }, (_, i) => Math.floor((i * data.count) / count)),
  )
}

const round = (seconds: number) => Math.round(seconds * 10) / 10

export const text = ({ loss, metrics }: Scores | EpochResult): string =>
  [`loss ${loss.toFixed(4)}`, ...Object.entries(metrics).map(([name, v]) => `${name} ${v.toFixed(4)}`)].join(', ')

/** The test part of an experiment's data. */
export async function testPart(path: string, seed?: number): Promise<Dataset> {
  const { experiment, folder } = await readExperiment(path)
  return (await dataOf(experiment, folder, seed ?? experiment.seed ?? 0)).test
}
