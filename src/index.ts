// The public API of dunlin, for Node and browsers.

export { fuse } from './compress/fuse'
export { prune } from './compress/prune'
export { quantize } from './compress/quantize'
export { type Augmentation, shift } from './data/augment'
export { csvDataset, parseCsv } from './data/csv'
export { type Dataset, makeDataset, split, statistics, subset } from './data/dataset'
export { type Idx, idxDataset, parseIdx } from './data/idx'
export {
  type BuiltModule,
  buildModule,
  loadModule,
  type Metadata,
  type ModuleReport,
  type PortMetadata,
  type StandaloneModule,
} from './deploy'
export { DunlinError } from './graph/error'
export { type Dtype, input, type Layer, type Node, type Param, type Quant, type Shape } from './graph/node'
export { Random } from './graph/random'
export { accuracy, argmax, Model, type ModelOptions } from './model/model'
export { sequential } from './model/sequential'
export { relu, relu6, softmax } from './ops/activation'
export { add } from './ops/add'
export { conv2d } from './ops/conv2d'
export { dense } from './ops/dense'
export { depthwiseConv2d } from './ops/depthwiseConv2d'
export type { WeightInitializer } from './ops/initializer'
export { avgPool2d, globalAvgPool2d, maxPool2d } from './ops/pool2d'
export { flatten, reshape } from './ops/reshape'
export type { Padding, Pair } from './ops/window'
export { planInference, planTraining } from './plan/build'
export { type Call, type Constant, type Plan, type Port, printPlan, type Region } from './plan/plan'
export type { Values } from './session/door'
export { type Build, bestBuild, provideKernels } from './session/kernels'
export { Session } from './session/session'
export type { Callback, EpochResult, Progress } from './train/callbacks'
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
export { Trainer, type TrainerOptions } from './train/trainer'
export { tinyCnn } from './zoo/tinyCnn'
