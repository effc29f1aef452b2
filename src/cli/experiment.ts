// A configuration of `dunlin train`: a JSON file, or a module whose default export is the same object and may have functions in it where
// words do not suffice. Things are named as in the API: "flip" is flip(), {"padCrop": 4} is padCrop(4).

import { existsSync } from 'node:fs'
import { basename, dirname, extname, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import * as augmentations from '../data/augment'
import { channelStatistics, type Dataset, statistics } from '../data/dataset'
import { readBytes } from '../files'
import { DunlinError } from '../graph/error'
import type { Normalize } from '../graph/node'
import type { Model } from '../model/model'
import * as losses from '../train/losses'
import * as optimizers from '../train/optimizers'
import * as schedules from '../train/schedules'
import * as zoo from '../zoo'
import { type DataSpec, loadSets, type Sets, type Split } from './sets'

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
  augment?: readonly Or<augmentations.Augmentation>[]
  mixup?: number
  loss?: Or<losses.Loss>
  optimizer?: Or<optimizers.Optimizer>
  schedule?: Or<schedules.Schedule>
  epochs: number
  batch?: number
  accumulate?: number
  seed?: number
  /** Samples of the training part that set the ranges of the int8 model (default 512); false: there is none. */
  quantize?: number | false
  /** Seconds from one checkpoint to the next; default 60. */
  checkpointSeconds?: number
}

const KEYS: Record<keyof Experiment, true> = {
  ...{ name: true, data: true, test: true, split: true, validation: true, normalize: true, network: true, augment: true },
  ...{ mixup: true, loss: true, optimizer: true, schedule: true, epochs: true, batch: true, accumulate: true, seed: true },
  ...{ quantize: true, checkpointSeconds: true },
}

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
  try {
    const { default: content } = await import(pathToFileURL(whole).href)
    return content
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    const typescript = code === 'ERR_UNKNOWN_FILE_EXTENSION'
    const remedy = typescript ? 'This Node does not run TypeScript: use Node 22.18 or later, or write it as .mjs' : 'Correct it'
    throw new DunlinError(`${path}: cannot be loaded (${message}). ${remedy}.`, { cause: error })
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
  return call<Model>('network', zoo, network, make, 'dunlin/zoo')
}

export const augmentationsOf = ({ augment = [] }: Experiment): augmentations.Augmentation[] =>
  augment.map((one) => (typeof one === 'function' ? one : call<augmentations.Augmentation>('augment', augmentations, one)))

export const lossOf = ({ loss = 'crossEntropy' }: Experiment): losses.Loss =>
  isNamed(loss) ? call<losses.Loss>('loss', losses, loss) : loss

export const optimizerOf = ({ optimizer = 'adam' }: Experiment): optimizers.Optimizer =>
  isNamed(optimizer) ? call<optimizers.Optimizer>('optimizer', optimizers, optimizer) : optimizer

export const scheduleOf = ({ schedule = 'oneCycle' }: Experiment): schedules.Schedule =>
  isNamed(schedule) ? call<schedules.Schedule>('schedule', schedules, schedule) : schedule

/** Words are a string or an object with one key that holds no function. */
const isNamed = (value: unknown): value is Named =>
  typeof value === 'string' ||
  (typeof value === 'object' &&
    value !== null &&
    Object.getPrototypeOf(value) === Object.prototype &&
    Object.keys(value).length === 1)

/** The function of a table that is named, called with its argument. */
function call<T>(
  setting: string,
  table: object,
  named: unknown,
  argument: (value: unknown) => unknown = (value) => value,
  where = 'dunlin',
): T {
  const [name, ...others] = typeof named === 'string' ? [named] : Object.keys((named ?? {}) as object)
  const functions = Object.entries(table).filter(([, value]) => typeof value === 'function')
  const found = functions.find(([key]) => key === name)
  if (!found || others.length) {
    const got = JSON.stringify(named)
    throw new DunlinError(
      `${setting}: got ${got}, wanted the name of a function of ${where} (${functions.map(([key]) => key).join(', ')}), or { name: its argument }.`,
    )
  }
  const value = typeof named === 'string' ? undefined : (named as Record<string, unknown>)[name]
  const given = argument(value)
  return (found[1] as (...args: unknown[]) => T)(...(given === undefined ? [] : Array.isArray(given) ? given : [given]))
}
