// onnxruntime, twice: its WebAssembly build and the native one, one thread each, on the ONNX file that onnx.mjs makes of the model.
// Every run makes a new output (for the native build that is no slower than writing into a given one); the WebAssembly build also copies
// input and output on every run, which its interface does not let a user avoid.
import { toNchw, toNhwc } from '../layout.mjs'
import { writeOnnx } from '../onnx.mjs'

async function prepare(ort, options, model, batch, stored) {
  const [input, output] = [model.inputs[0], model.outputs[0]]
  const session = await ort.InferenceSession.create(writeOnnx(model, batch), { logSeverityLevel: 3, ...options })
  const { type, shape } = session.inputMetadata[0]
  const feeds = { x: new ort.Tensor(type, toNchw(stored, batch, input.shape), shape) }
  let y
  const run = async () => {
    y = (await session.run(feeds)).y
  }
  const real = ({ data }) =>
    output.quant ? Float32Array.from(data, (q) => output.quant.scale[0] * (q - output.quant.zeroPoint)) : data
  return { run, read: () => toNhwc(real(y), batch, output.shape) }
}

export async function loadWeb() {
  const ort = await import('onnxruntime-web/wasm')
  ort.env.wasm.numThreads = 1
  return (model, batch, _x, stored) => prepare(ort, { executionProviders: ['wasm'] }, model, batch, stored)
}

export async function loadNode() {
  const { default: ort } = await import('onnxruntime-node')
  return (model, batch, _x, stored) => prepare(ort, { intraOpNumThreads: 1, interOpNumThreads: 1 }, model, batch, stored)
}
