// The public API of dunlin, for Node and browsers.

export { fold } from './compress/fold'
export { fuse } from './compress/fuse'
export { prune } from './compress/prune'
export { quantize } from './compress/quantize'
export {
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
} from './data/augment'
export { csvDataset, parseCsv, readCsv } from './data/csv'
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
} from './data/dataset'
export { type Idx, idxDataset, parseIdx } from './data/idx'
export { type Fold, foldsByGroup, type Groups, splitByGroup, splitStratified } from './data/split'
export { type Stream, type StreamSample, type StreamSource, stream } from './data/stream'
export { type Recording, windows } from './data/windows'
export {
  type BufferReport,
  type BuiltModule,
  buildModule,
  type LayerReport,
  loadModule,
  type Metadata,
  type ModuleBuildOptions,
  type ModuleReport,
  type ModuleTarget,
  type PortMetadata,
  type StandaloneModule,
  type StandaloneTraining,
  type TrainingMetadata,
  type TrainOptions,
} from './deploy'
export { DunlinError } from './graph/error'
export {
  type Dtype,
  type Ends,
  input,
  type Layer,
  type Node,
  type Normalize,
  type Param,
  type Quant,
  type Shape,
} from './graph/node'
export { Random } from './graph/random'
export { accuracy, argmax, Model, type ModelOptions } from './model/model'
export { sequential } from './model/sequential'
export { nodeOf, type OpName, opOf } from './ops'
export {
  clip,
  elu,
  erf,
  exp,
  gelu,
  hardSigmoid,
  hardSwish,
  leakyRelu,
  log,
  logSoftmax,
  mish,
  relu,
  relu6,
  sigmoid,
  silu,
  softmax,
  softplus,
  sqrt,
  tanh,
} from './ops/activation'
export { add, div, mul, sub } from './ops/add'
export { batchNorm } from './ops/batchNorm'
export { bidirectional } from './ops/bidirectional'
export { broadcast } from './ops/broadcast'
export { concat } from './ops/concat'
export { conv1d, type Padding1d } from './ops/conv1d'
export { conv2d } from './ops/conv2d'
export { dequantize, rescale, toInt8 } from './ops/convert'
export { convTranspose2d } from './ops/convTranspose2d'
export { dense } from './ops/dense'
export { depthwiseConv2d } from './ops/depthwiseConv2d'
export { dropout } from './ops/dropout'
export { embedding } from './ops/embedding'
export { gru } from './ops/gru'
export type { WeightInitializer } from './ops/initializer'
export { layerNorm } from './ops/layerNorm'
export { type LogMelOptions, logMel, mfcc } from './ops/logMel'
export { lstm } from './ops/lstm'
export { matMul } from './ops/matMul'
export { mean } from './ops/mean'
export { normalize } from './ops/normalize'
export { channelShuffle, permute } from './ops/permute'
export { avgPool1d, globalAvgPool1d, maxPool1d } from './ops/pool1d'
export { avgPool2d, globalAvgPool2d, globalMaxPool2d, maxPool2d } from './ops/pool2d'
export type { Recurrent, RecurrentOptions } from './ops/recurrent'
export { flatten, reshape } from './ops/reshape'
export { type Pixels, resize } from './ops/resize'
export { round } from './ops/round'
export { separableConv2d } from './ops/separableConv2d'
export { simpleRnn } from './ops/simpleRnn'
export { pad, slice } from './ops/slice'
export { svdf } from './ops/svdf'
export { recall, remember } from './ops/variable'
export type { Padding, Pair } from './ops/window'
export { planInference, planTraining } from './plan/build'
export type { Frozen } from './plan/builder'
export { type Call, type Constant, type Plan, type Port, printPlan, type Region } from './plan/plan'
export type { Values } from './session/door'
export { type Build, bestBuild, provideKernels } from './session/kernels'
export { Session } from './session/session'
export { availableThreads } from './session/threads'
export {
  type Callback,
  type EarlyStopping,
  type EpochResult,
  earlyStopping,
  type Progress,
  type Scores,
  type Training,
} from './train/callbacks'
export {
  binaryCrossEntropy,
  categoricalCrossEntropy,
  crossEntropy,
  hinge,
  huber,
  klDivergence,
  type Loss,
  meanAbsoluteError,
  meanSquaredError,
} from './train/losses'
export type { Metric } from './train/metrics'
export * as metrics from './train/metrics'
export {
  adagrad,
  adam,
  adamW,
  nadam,
  type Optimizer,
  type OptimizerOptions,
  type ParameterGroup,
  radam,
  rmsprop,
  sgd,
} from './train/optimizers'
export { constant, cosine, oneCycle, type Plateau, reduceOnPlateau, type Schedule, step, warmUp } from './train/schedules'
export { type FitOptions, Trainer, type TrainerOptions } from './train/trainer'
export { tinyCnn } from './zoo/tinyCnn'
