// A configuration of `dunlin train`: a JSON file, or a module whose default export is the same object and may have functions in it where
// words do not suffice. Things are named as in the API: "flip" is flip(), {"padCrop": 4} is padCrop(4).

import { existsSync } from 'node:fs'
import { basename, dirname, extname, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import {
  type Augmentation,
  brightness,
  contrast,
  crop,
  cutout,
  flip,
  noise,
  padCrop,
  rotate,
  shift,
  timeShift,
  zoom,
} from '../data/augment'
import { channelStatistics, type Dataset, statistics } from '../data/dataset'
import { readBytes } from '../files'
import { DunlinError } from '../graph/error'
import type { Normalize } from '../graph/node'
import type { Model } from '../model/model'
import {
  binaryCrossEntropy,
  categoricalCrossEntropy,
  crossEntropy,
  hinge,
  huber,
  klDivergence,
  type Loss,
  meanAbsoluteError,
  meanSquaredError,
} from '../train/losses'
import { adagrad, adam, adamW, nadam, type Optimizer, radam, rmsprop, sgd } from '../train/optimizers'
import { constant, cosine, oneCycle, reduceOnPlateau, type Schedule, step, warmUp } from '../train/schedules'
import * as zoo from '../zoo'
import { type DataSpec, loadSets, type Sets, type Split } from './sets'
import { importTypeScript } from './typescript'

/** The name of a function, or an object with it as the only key and its argument as the value. */
type Named = string | Record<string, unknown>

/** What can be said in words, or by what the words would make. */
type Or<T> = Named | T

export interface Experiment {
  /** What it is called in pictures; default: the configuration's folder or file. */
  name?: string
  /** One of the kinds of data, or a function that loads the parts. */
  data: DataSpec | ((folder: string) => Sets | Promise<Sets>)
  test?: DataSpec
  split?: Split
  /** Curves of data that are not trained on: of the test part, or of a share held out of the training part. Default: none. */
  validation?: 'test' | number
  /** How values enter the network, by the training part: (default) each channel by its mean and std, all alike, or as they are. */
  normalize?: 'channels' | 'all' | false
  /** A network of the zoo, {"resNet": {"depth": 20}}, or a function that makes a model for the training part. */
  network: Named | ((train: Dataset, normalize: Normalize | undefined, seed: number) => Model)
  augment?: readonly Or<Augmentation>[]
  mixup?: number
  loss?: Or<Loss>
  optimizer?: Or<Optimizer>
  schedule?: Or<Schedule>
  epochs: number
  batch?: number
  accumulate?: number
  seed?: number
  /** Samples of the training part that set the ranges of the int8 model (default 512); false: there is none. */
  quantize?: number | false
  /** Seconds from one checkpoint to the next; default 60. */
  checkpointSeconds?: number
  /** What else is to be told of the trained models: an object that the results are told with. */
  report?: (trained: { model: Model; int8?: Model } & Sets) => object | Promise<object>
}

const KEYS: Record<keyof Experiment, true> = {
  ...{ name: true, data: true, test: true, split: true, validation: true, normalize: true, network: true, augment: true },
  ...{ mixup: true, loss: true, optimizer: true, schedule: true, epochs: true, batch: true, accumulate: true, seed: true },
  ...{ quantize: true, checkpointSeconds: true, report: true },
}

/** What can be named. */
const AUGMENTATIONS = { brightness, contrast, crop, cutout, flip, noise, padCrop, rotate, shift, timeShift, zoom }
const LOSSES = {
  ...{ binaryCrossEntropy, categoricalCrossEntropy, crossEntropy, hinge, huber, klDivergence },
  ...{ meanAbsoluteError, meanSquaredError },
}
const OPTIMIZERS = { adagrad, adam, adamW, nadam, radam, rmsprop, sgd }
const SCHEDULES = { constant, cosine, oneCycle, reduceOnPlateau, step, warmUp }

/** Reads a configuration; its folder is what paths in it are relative to. */
export async function readExperiment(path: string): Promise<{ experiment: Experiment; folder: string; name: string }> {
  const whole = resolve(path)
  if (!existsSync(whole)) throw new DunlinError(`${path}: there is no such file. Name a configuration, JSON or a module.`)
  const content = extname(path) === '.json' ? parseJson(path) : await importModule(path, whole)
  if (typeof content !== 'object' || content === null || Array.isArray(content))
    throw new DunlinError(`${path}: wanted an object with data, network and epochs, got ${JSON.stringify(content)}.`)
  const unknown = Object.keys(content).find((key) => !Object.hasOwn(KEYS, key))
  if (unknown !== undefined)
    throw new DunlinError(`${path}: there is no setting "${unknown}"; there are ${Object.keys(KEYS).join(', ')}.`)
  for (const key of ['data', 'network', 'epochs'] as const)
    if (!(key in content)) throw new DunlinError(`${path}: the setting "${key}" is missing.`)
  const stem = basename(whole, extname(whole))
  const name = stem === 'config' ? basename(dirname(whole)) : stem
  const experiment = content as Experiment
  return { experiment, folder: dirname(whole), name: experiment.name ?? name }
}

function parseJson(path: string): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(readBytes(path)))
  } catch (error) {
    if (error instanceof DunlinError) throw error
    throw new DunlinError(`${path}: is not valid JSON (${(error as Error).message}). Correct it.`)
  }
}

async function importModule(path: string, whole: string): Promise<unknown> {
  const fail = (error: unknown, remedy: string): never => {
    throw new DunlinError(`${path}: cannot be loaded (${(error as Error).message}). ${remedy}.`, { cause: error })
  }
  try {
    const { default: content } = await import(pathToFileURL(whole).href)
    return content
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ERR_UNKNOWN_FILE_EXTENSION') fail(error, 'Correct it')
    const module = await importTypeScript(whole).catch((e) => fail(e, 'Correct it'))
    if (module) return module.default
    return fail(error, 'This Node does not run TypeScript: use Node 22.18 or later, npm install esbuild, or write it as .mjs')
  }
}

/** The parts of an experiment's data. */
export async function dataOf(experiment: Experiment, folder: string, seed: number): Promise<Sets & { skipped: number }> {
  const { data, test, split } = experiment
  if (typeof data === 'function') return { skipped: 0, ...(await data(folder)) }
  return loadSets({ data, test, split }, folder, seed)
}

/** How an experiment's values enter, fitted on the training part. */
export function normalizeOf({ normalize = 'channels' }: Experiment, train: Dataset): Normalize | undefined {
  if (normalize === false) return undefined
  if (normalize === 'all') {
    const { mean, std } = statistics(train)
    return { mean, std: std || 1 }
  }
  if (normalize !== 'channels')
    throw new DunlinError(`normalize wants "channels", "all" or false, got ${JSON.stringify(normalize)}.`)
  const { mean, std } = channelStatistics(train)
  return { mean, std: std.map((v) => v || 1) }
}

/** The untrained model of an experiment. */
export function modelOf({ network }: Experiment, train: Dataset, norm: Normalize | undefined, seed: number): Model {
  if (typeof network === 'function') return network(train, norm, seed)
  const { labels } = train
  const common = { shape: train.shape, classes: train.classes, seed, ...(labels && { labels }), ...(norm && { normalize: norm }) }
  const make = (options: unknown) => ({ ...common, ...(options as object) })
  return call<Model>('network', zoo, network, make)
}

export const augmentationsOf = ({ augment = [] }: Experiment): Augmentation[] =>
  augment.map((one) => (typeof one === 'function' ? one : call<Augmentation>('augment', AUGMENTATIONS, one)))

export const lossOf = ({ loss = 'crossEntropy' }: Experiment): Loss => (isNamed(loss) ? call<Loss>('loss', LOSSES, loss) : loss)

export const optimizerOf = ({ optimizer = 'adam' }: Experiment): Optimizer =>
  isNamed(optimizer) ? call<Optimizer>('optimizer', OPTIMIZERS, optimizer) : optimizer

export const scheduleOf = ({ schedule = 'oneCycle' }: Experiment): Schedule =>
  isNamed(schedule) ? call<Schedule>('schedule', SCHEDULES, schedule) : schedule

/** Words are a string or an object with one key that holds no function. */
const isNamed = (value: unknown): value is Named =>
  typeof value === 'string' ||
  (typeof value === 'object' &&
    value !== null &&
    Object.getPrototypeOf(value) === Object.prototype &&
    Object.keys(value).length === 1)

/** The function of a table that is named, called with its argument, or with those of a list. */
function call<T>(setting: string, table: object, named: unknown, argument: (value: unknown) => unknown = (value) => value): T {
  const [name, ...others] = typeof named === 'string' ? [named] : Object.keys((named ?? {}) as object)
  if (others.length || !Object.hasOwn(table, name ?? '')) {
    const wanted = `wanted one of ${Object.keys(table).join(', ')}, or { name: its argument }`
    throw new DunlinError(`${setting}: got ${JSON.stringify(named)}, ${wanted}.`)
  }
  const value = typeof named === 'string' ? undefined : (named as Record<string, unknown>)[name]
  const given = argument(value)
  const make = (table as Record<string, (...args: unknown[]) => T>)[name]
  return make(...(given === undefined ? [] : Array.isArray(given) ? given : [given]))
}
