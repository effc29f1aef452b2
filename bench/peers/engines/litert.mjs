// LiteRT.js, TensorFlow Lite in WebAssembly (XNNPACK inside), one thread, on the .tflite file that dunlin/formats writes of the model. Its
// script expects a browser: globals stand in for what it uses of one, while it loads. Its interface takes no int8 tensors: an int8
// network gets ends in float.

import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import vm from 'node:vm'

/** What the package in `folder` can do: `compile` a file of float32 inputs and outputs. */
export async function open(folder) {
  const require = createRequire(import.meta.url)
  const stand = {
    self: globalThis,
    require,
    __dirname: folder,
    __filename: join(folder, 'index.js'),
    ReadableStreamDefaultReader,
    /** Runs the script; the binary beside it is read here. */
    importScripts(file) {
      globalThis.Module = { wasmBinary: readFileSync(file.replace(/\.js$/, '.wasm')), print() {}, printErr() {} }
      vm.runInThisContext(readFileSync(file, 'utf8'), { filename: file })
    },
  }
  const missing = Object.keys(stand).filter((name) => !(name in globalThis))
  for (const name of missing) globalThis[name] = stand[name]
  try {
    const { loadLiteRt, Tensor } = await import(pathToFileURL(join(folder, 'dist/index.js')).href)
    const runtime = await loadLiteRt(`${folder}/wasm/`)
    return { compile: (file) => runtime.loadAndCompile(file, { accelerator: 'wasm' }), Tensor }
  } finally {
    for (const name of missing) delete globalThis[name]
  }
}

export async function load() {
  const { exportTflite } = await import('../../../dist/formats.js')
  const { dequantize, input, Model, toInt8 } = await import('../../../dist/index.js')
  const { compile, Tensor } = await open(join(import.meta.dirname, '../node_modules/@litertjs/core'))
  return async (model, batch, _x, stored) => {
    if (batch !== 1) throw new Error('its file is of one sample')
    const [first] = model.inputs
    const int8 = first.dtype === 'i8'
    const withFloatEnds = () => {
      const map = new Map([[first, toInt8({ quant: first.quant })(input(first.shape))]])
      const copy = (node) => {
        if (!map.has(node)) map.set(node, { ...node, inputs: node.inputs.map(copy) })
        return map.get(node)
      }
      return new Model(dequantize()(copy(model.outputs[0])))
    }
    const compiled = await compile(exportTflite(int8 ? withFloatEnds() : model))
    const values = Float32Array.from(stored, int8 ? (v) => (v - first.quant.zeroPoint) * first.quant.scale[0] : undefined)
    const x = new Tensor(values, [1, ...first.shape])
    let y
    const run = async () => {
      for (const tensor of y ?? []) tensor.delete()
      y = await compiled.run([x])
    }
    return { run, read: () => y[0].toTypedArray() }
  }
}
