// dunlin/data: what makes datasets of the bytes of files, in Node and browsers. The decoders and the libraries in them are here and not in
// `dunlin`, which it shares its classes with; functions that need none of them are there, and here again.

export { csvDataset, parseCsv, readCsv } from '../data/csv'
export {
  channelStatistics,
  type Dataset,
  makeDataset,
  oneHot,
  type Samples,
  type Skipped,
  split,
  statistics,
  subset,
} from '../data/dataset'
export { type Idx, idxDataset, parseIdx } from '../data/idx'
export { type Fold, foldsByGroup, type Groups, splitByGroup, splitStratified } from '../data/split'
export { type Stream, type StreamSample, type StreamSource, stream } from '../data/stream'
export { type CifarOptions, cifarDataset } from './cifar'
export { type Image, type ImageOptions, parseImage, parseJpeg, parsePng, resizeImage } from './image'
export type { LabelOptions } from './labels'
export { type Npy, type NpyData, type NpyDtype, npyDataset, parseNpy } from './npy'
export { parseNpz } from './npz'
export { type FileSet, type ImageSetOptions, imageDataset, type WavSetOptions, wavDataset } from './sets'
export { type Archive, gunzip, type NamedFile, parseTar } from './tar'
export { parseWav, type Wav } from './wav'
