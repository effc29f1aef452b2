// Callbacks: what `fit` tells while it trains. Each hook is optional; `epochEnd` may return 'stop'.

/** Means over the epoch so far, or over the whole of it. */
export interface Progress {
  epoch: number
  epochs: number
  step: number
  steps: number
  loss: number
  accuracy: number
}

export interface EpochResult {
  /** From 1. */
  epoch: number
  loss: number
  accuracy: number
  /** On the validation data, if there is any. */
  validation?: { loss: number; accuracy: number }
}

export interface Callback {
  step?(progress: Progress): void
  // biome-ignore lint/suspicious/noConfusingVoidType: a hook may return nothing at all
  epochEnd?(result: EpochResult, progress: Progress): 'stop' | void
}
