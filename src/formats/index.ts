// dunlin/formats: models from other frameworks and back. `importTflite` reads the .tflite files of TensorFlow and LiteRT, `exportTflite`
// writes them.

export { exportTflite } from './tflite/export'
export { type Imported, importTflite, type Mapping } from './tflite/import'
