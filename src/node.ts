// dunlin/node: what needs files or a terminal. It complements `dunlin`, which it shares its classes with.

import { readBytes, writeFileAtomic } from './files'
import { Model } from './model/model'

export { checkpoints, resumeFrom } from './checkpoints'
export { loadDigits, loadIdxFolder, readBytes, writeFileAtomic } from './files'
export { loadCifarFolder, loadCsv, loadImageFolder, loadNpy, loadNpz, loadWavFolder } from './folders'
export { csvLog, jsonlLog } from './logs'
export { progressBar } from './progress'

/** The model in a file written by `writeModel`. */
export function readModel(path: string): Model {
  return Model.load(readBytes(path), path)
}

/** Writes the model as a safetensors file, whole or not at all. */
export function writeModel(path: string, model: Model): void {
  writeFileAtomic(path, model.save())
}
