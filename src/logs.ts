// Logs of a training, for Node: a line for each epoch, added to a file. When a stopped training goes on, lines from after its checkpoint
// are taken away first, so that every epoch is there once.

import { appendFileSync, closeSync, existsSync, openSync, readSync, statSync, truncateSync } from 'node:fs'
import { DunlinError } from './graph/error'
import type { Callback, EpochResult } from './train/callbacks'

/** Adds a line of JSON for each epoch, `{"epoch":1,"loss":...,"metrics":{...},"validation":{...}}`, to the file at `path`. */
export function jsonlLog(path: string): Callback {
  return log(path, (result) => `${JSON.stringify(result)}\n`)
}

/**
 * Adds a row for each epoch to the file at `path`: epoch, loss, metrics, then the same of the validation data with `validation_` before
 * their names. A new file begins with these names.
 */
export function csvLog(path: string): Callback {
  return log(path, (result, bytes) => {
    const names = `${Object.keys(columns(result)).join(',')}\n`
    if (bytes && head(path, names.length) !== names)
      throw new DunlinError(`${path}: has other columns than ${names.trim()}. Name another file for this log.`)
    return `${bytes ? '' : names}${Object.values(columns(result)).join(',')}\n`
  })
}

function columns({ epoch, loss, metrics, validation }: EpochResult): Record<string, number> {
  const others = Object.entries({ ...(validation && { loss: validation.loss, ...validation.metrics }) })
  return { epoch, loss, ...metrics, ...Object.fromEntries(others.map(([name, v]) => [`validation_${name}`, v])) }
}

/** `line` makes the text for a result, for a file that has so many bytes. */
function log(path: string, line: (result: EpochResult, bytes: number) => string): Callback {
  const state: { bytes?: number } = {}
  const guarded = (what: () => void) => {
    try {
      what()
    } catch (cause) {
      if (cause instanceof DunlinError) throw cause
      throw new DunlinError(`${path}: the log cannot be written (${(cause as Error).message}). Check the path and the disk.`, {
        cause,
      })
    }
  }
  return {
    state,
    begin: () =>
      guarded(() => {
        const bytes = existsSync(path) ? statSync(path).size : 0
        if (state.bytes !== undefined && state.bytes < bytes) truncateSync(path, state.bytes)
        state.bytes = Math.min(bytes, state.bytes ?? bytes)
      }),
    epochEnd: (result) =>
      guarded(() => {
        const text = line(result, state.bytes ?? 0)
        appendFileSync(path, text)
        state.bytes = statSync(path).size
      }),
    // The next fit adds to what is there then.
    end() {
      delete state.bytes
    },
  }
}

/** The first `length` bytes. */
function head(path: string, length: number): string {
  const bytes = new Uint8Array(length)
  const file = openSync(path, 'r')
  try {
    readSync(file, bytes, 0, length, 0)
  } finally {
    closeSync(file)
  }
  return new TextDecoder().decode(bytes)
}
