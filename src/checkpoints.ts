// Checkpoints on disk, for Node: numbered files in a folder, each written whole or not at all. The last two are kept, so that there is one
// to go back to when the last is damaged.

import { readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { makeFolder, readBytes, removeTemporaries, writeFileAtomic } from './files'
import { DunlinError } from './graph/error'
import type { Callback, Training } from './train/callbacks'
import type { Trainer } from './train/trainer'

const KEPT = 2
const NAME = /^checkpoint-(\d+)\.safetensors$/

/**
 * A callback that keeps checkpoints in the folder `dir`: before the first step, after every so many `steps` or `seconds` (default: 60
 * seconds; with both, whichever comes first) and in the end. The folder is made if it is not there, and is for one training at a time.
 */
export function checkpoints(dir: string, options: { steps?: number; seconds?: number } = {}): Callback {
  const { steps = Infinity, seconds = options.steps === undefined ? 60 : Infinity } = options
  for (const [key, v] of Object.entries({ steps, seconds }))
    if (!(v > 0)) throw new DunlinError(`checkpoints: ${key} wants a number above 0, got ${v}.`)
  let training: Training | undefined
  let since = 0
  let written = 0
  const write = () => {
    const numbers = numbersIn(dir)
    writeFileAtomic(pathOf(dir, (numbers[0] ?? 0) + 1), training!.checkpoint())
    for (const number of numbers.slice(KEPT - 1)) rmSync(pathOf(dir, number), { force: true })
    since = 0
    written = performance.now()
  }
  return {
    begin(begun) {
      makeFolder(dir)
      removeTemporaries(dir)
      training = begun
      since = steps
    },
    step() {
      since++
    },
    settled() {
      if (since >= steps || performance.now() - written >= seconds * 1000) write()
    },
    end() {
      if (since) write()
    },
  }
}

/**
 * Takes up the last checkpoint that is kept in `dir`; gives its path, or undefined if there is none. One that the trainer refuses, as it
 * is damaged, is told of with `warn` (default: console.warn), and the one before is used.
 * @throws DunlinError when there are checkpoints and all are refused: why the last was.
 */
export function resumeFrom(trainer: Trainer, dir: string, warn: (text: string) => void = console.warn): string | undefined {
  const refused: unknown[] = []
  for (const number of numbersIn(dir)) {
    const path = pathOf(dir, number)
    try {
      trainer.resume(readBytes(path), path)
      return path
    } catch (error) {
      if (!(error instanceof DunlinError)) throw error
      refused.push(error)
      warn(error.message)
    }
  }
  if (refused.length) throw refused[0]
  return undefined
}

/** Of the checkpoints in a folder, the last first. */
function numbersIn(dir: string): number[] {
  let names: string[]
  try {
    names = readdirSync(dir)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw new DunlinError(`${dir}: cannot be read (${(error as Error).message}). Name a folder.`, { cause: error })
  }
  const numbers = names.map((name) => NAME.exec(name)?.[1]).filter((digits) => digits !== undefined)
  return numbers.map(Number).sort((a, b) => b - a)
}

const pathOf = (dir: string, number: number) => join(dir, `checkpoint-${String(number).padStart(6, '0')}.safetensors`)
