// A progress bar for `fit` on a terminal, in the manner of Keras; on a pipe, one line an epoch.

import { type Bar, Presets, SingleBar } from 'cli-progress'
import type { Callback, EpochResult, Progress, Scores } from './train/callbacks'

const FORMAT = 'epoch {epoch}/{epochs} {bar} {value}/{total}  {ms} ms/step  ETA {left}  {scores}'

/** Milliseconds between two looks at the numbers: metrics may take a while to compute. */
const REFRESH = 100

/** Prints loss, metrics, milliseconds per step and the time left, on stderr by default. */
export function progressBar(options: { stream?: NodeJS.WriteStream } = {}): Callback {
  const { stream = process.stderr } = options
  let bar: SingleBar | undefined
  /** The step that was the last before the bar: not 0 where a training goes on within an epoch. */
  let from: number | undefined
  let began = 0
  let shown = 0
  const perStep = (step: number) => (performance.now() - began) / (step - (from ?? 0) || 1)
  const show = (progress: Progress) => {
    const { epoch, epochs, step, steps } = progress
    const ms = perStep(step)
    const left = `${Math.ceil(((steps - step) * ms) / 1000)} s`
    return { epoch, epochs, ms: ms.toFixed(2), left, scores: text(progress) }
  }
  return {
    step(progress) {
      if (from === undefined) {
        from = progress.step - 1
        began = performance.now()
        if (stream.isTTY) {
          bar = new SingleBar(
            { format: FORMAT, stream, barsize: 24, hideCursor: true, clearOnComplete: true },
            Presets.shades_classic,
          )
          ;(bar as Bar).start(progress.steps, 0, show(progress))
        }
      }
      const now = performance.now()
      if (now - shown < REFRESH && progress.step < progress.steps) return
      shown = now
      bar?.update(progress.step, show(progress))
    },
    epochEnd(result, progress) {
      bar?.stop()
      bar = undefined
      const ms = perStep(progress.steps).toFixed(2)
      from = undefined
      stream.write(`epoch ${result.epoch}/${progress.epochs}  ${ms} ms/step  ${results(result)}\n`)
    },
  }
}

function results({ validation, ...own }: EpochResult): string {
  return validation ? `${text(own)}  ${text(validation, 'val_')}` : text(own)
}

/** `loss 0.1234  accuracy 0.9876`. */
const text = ({ loss, metrics }: Scores, prefix = ''): string =>
  Object.entries({ loss, ...metrics })
    .map(([name, v]) => `${prefix}${name} ${v.toFixed(4)}`)
    .join('  ')
