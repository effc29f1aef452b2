// Callbacks: what `fit` tells while it trains. Every hook is optional. What a callback knows is in its `state`, which a checkpoint keeps.

import { DunlinError } from '../graph/error'
import type { Model } from '../model/model'

/** Over the samples so far, or all of them: the mean loss, by the samples' weights, and the result of each metric by its name. */
export interface Scores {
  loss: number
  metrics: Record<string, number>
}

/** `step` of `steps` of the epoch are done, from 1. In the hook `step`, metrics are those of the moment in which they are read. */
export interface Progress extends Scores {
  epoch: number
  epochs: number
  step: number
  steps: number
  /** Since the epoch began, or went on after a checkpoint. */
  seconds: number
  /** Those of them in which the training waited for data: read from a stream, changed by augmentations, put in place. */
  waiting: number
}

export interface EpochResult extends Scores {
  /** From 1. */
  epoch: number
  /** On the validation data, if there is any. */
  validation?: Scores
}

/** What a callback is given to work with: the trainer. */
export interface Training {
  readonly model: Model
  checkpoint(): Uint8Array
}

export interface Callback {
  /** Before the first step, and when a stopped training goes on. */
  begin?(training: Training): void
  step?(progress: Progress): void
  /** The model has the weights of now. The training ends if one returns 'stop'. */
  // biome-ignore lint/suspicious/noConfusingVoidType: a hook may return nothing at all
  epochEnd?(result: EpochResult, progress: Progress): 'stop' | void
  /**
   * After the begin and after each step, when all callbacks were told of it and of the epoch that it may have ended: the moment for
   * checkpoints, which hold what each of them knows.
   */
  settled?(): void
  /** After the last epoch. */
  end?(): void
  /** Plain data, numbers, strings, lists and Float32Arrays: all that it knows. Put back from a checkpoint before `begin`. */
  readonly state?: object
}

export interface EarlyStopping extends Callback {
  readonly state: { waited: number; best?: number; weights?: Float32Array[] }
}

/**
 * Ends the training when what `monitor` reads off a result has not become lower, by more than `minDelta` (default 0), for `patience`
 * (default 5) epochs in a row. Default: the loss, on the validation data if there is any. In the end, early or not, the model gets the
 * weights of its best epoch. It belongs to one training: make a new one for the next.
 */
export function earlyStopping(
  options: { patience?: number; minDelta?: number; monitor?: (result: EpochResult) => number } = {},
): EarlyStopping {
  const { patience = 5, minDelta = 0, monitor = lossOf } = options
  if (!Number.isInteger(patience) || patience < 1)
    throw new DunlinError(`earlyStopping: patience wants a number of epochs from 1 on, got ${patience}.`)
  if (!(minDelta >= 0 && Number.isFinite(minDelta)))
    throw new DunlinError(`earlyStopping: minDelta wants a number from 0 on, got ${minDelta}.`)
  const state: EarlyStopping['state'] = { waited: 0 }
  let model: Model | undefined
  return {
    state,
    begin(training) {
      model = training.model
    },
    epochEnd(result) {
      if (isBest(state, monitor(result), minDelta)) {
        state.waited = 0
        state.weights = model?.params.map((p) => Float32Array.from(p.data))
      } else if (++state.waited >= patience) return 'stop'
    },
    end() {
      model?.params.forEach((p, i) => {
        if (state.weights) p.data.set(state.weights[i])
      })
      model?.changed()
    },
  }
}

/** The loss on the validation data if there is any, else on the training data. */
export const lossOf = (result: EpochResult): number => (result.validation ?? result).loss

/** Whether `value` is below the best so far by more than `minDelta`; then it is the best. */
export function isBest(state: { best?: number }, value: number, minDelta: number): boolean {
  if (state.best === undefined ? Number.isNaN(value) : !(value < state.best - minDelta)) return false
  state.best = value
  return true
}
