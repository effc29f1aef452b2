// A progress bar for `fit` on a terminal, in the manner of Keras; on a pipe, one line an epoch.

import { type Bar, Presets, SingleBar } from 'cli-progress'
import type { Callback, EpochResult, Progress } from './train/callbacks'

const FORMAT = 'epoch {epoch}/{epochs} {bar} {value}/{total}  {ms} ms/step  ETA {left}  loss {loss}  accuracy {accuracy}'

/** Prints loss, accuracy, milliseconds per step and the time left, on stderr by default. */
export function progressBar(options: { stream?: NodeJS.WriteStream } = {}): Callback {
  const { stream = process.stderr } = options
  let bar: SingleBar | undefined
  let began = 0
  const show = ({ epoch, epochs, step, steps, loss, accuracy }: Progress) => {
    const ms = (performance.now() - began) / step
    const left = `${Math.ceil(((steps - step) * ms) / 1000)} s`
    return { epoch, epochs, ms: ms.toFixed(2), left, loss: loss.toFixed(4), accuracy: accuracy.toFixed(4) }
  }
  return {
    step(progress) {
      if (progress.step === 1) {
        began = performance.now()
        if (stream.isTTY) {
          bar = new SingleBar(
            { format: FORMAT, stream, barsize: 24, hideCursor: true, clearOnComplete: true },
            Presets.shades_classic,
          )
          ;(bar as Bar).start(progress.steps, 0, show(progress))
        }
      }
      bar?.update(progress.step, show(progress))
    },
    epochEnd(result, progress) {
      bar?.stop()
      bar = undefined
      const ms = ((performance.now() - began) / progress.steps).toFixed(2)
      stream.write(`epoch ${result.epoch}/${progress.epochs}  ${ms} ms/step  ${results(result)}\n`)
    },
  }
}

function results({ loss, accuracy, validation }: EpochResult): string {
  const own = `loss ${loss.toFixed(4)}  accuracy ${accuracy.toFixed(4)}`
  return validation ? `${own}  val_loss ${validation.loss.toFixed(4)}  val_accuracy ${validation.accuracy.toFixed(4)}` : own
}
