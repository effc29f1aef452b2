// dunlin/formats: models from other frameworks and back. `importTflite` reads the .tflite files of TensorFlow and LiteRT, `importOnnx` ONNX
// files; `exportTflite` and `exportOnnx` write them. `loadWeights` puts weights alone into a model, such as `readSafetensors` reads.

export { readSafetensors, type Tensor } from '../model/safetensors'
export { exportOnnx } from './onnx/export'
export { importOnnx, type OnnxImport, type OnnxOptions, type OnnxPort, onnxOps } from './onnx/import'
export { exportTflite } from './tflite/export'
export { type Imported, importTflite, type Mapping } from './tflite/import'
export { loadWeights, type WeightOptions, type Weights } from './weights'
