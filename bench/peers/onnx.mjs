// A dunlin model as an ONNX file: float graphs as they are, int8 graphs as float ops between DequantizeLinear and QuantizeLinear,
// which onnxruntime fuses into integer kernels. Channels first, as ONNX wants them.
import { fileURLToPath } from 'node:url'
import protobuf from 'protobufjs'
import { channelsFirst, expectGlobal, padsOf, weightsOf } from './layout.mjs'

const proto = protobuf.loadSync(fileURLToPath(new URL('onnx.proto', import.meta.url)))
const TYPES = { f32: 1, i8: 3, i32: 6 }
const typeOf = (data) => (data instanceof Float32Array ? TYPES.f32 : data instanceof Int8Array ? TYPES.i8 : TYPES.i32)

/** The file's bytes; the graph's input is "x" and its output "y", for `batch` samples. */
export function writeOnnx(model, batch) {
  const graph = { name: 'dunlin', node: [], initializer: [] }
  const names = new Map()
  let count = 0

  const emit = (op, input, attributes = {}, output = `v${count++}`) => {
    const attribute = Object.entries(attributes).map(([name, v]) =>
      Array.isArray(v) ? { name, ints: v, type: 7 } : { name, i: v, type: 2 },
    )
    graph.node.push({ opType: op, input, output: [output], attribute })
    return output
  }
  const constant = (data, dims) => {
    const name = `c${count++}`
    graph.initializer.push({
      name,
      dims,
      dataType: typeOf(data),
      rawData: new Uint8Array(data.buffer, data.byteOffset, data.byteLength),
    })
    return name
  }
  /** Scale and zero point; one scale per channel lies along `axis`. */
  const scaling = ({ scale, zeroPoint }, Zero) => {
    const dims = scale.length > 1 ? [scale.length] : []
    return [constant(Float32Array.from(scale), dims), constant(new Zero(scale.length).fill(zeroPoint), dims)]
  }
  const real = (name, quant, Zero = Int8Array, axis = 0) =>
    quant ? emit('DequantizeLinear', [name, ...scaling(quant, Zero)], quant.scale.length > 1 ? { axis } : {}) : name
  const value = (node) => real(names.get(node), node.quant)
  const weights = (node) => {
    const { data, shape, axis } = weightsOf(node)
    const b = node.inputs[2]
    return [
      real(constant(data, shape), node.inputs[1].quant, Int8Array, axis),
      ...(b ? [real(constant(b.data, [b.data.length]), b.quant, Int32Array)] : []),
    ]
  }
  const conv = (node, group) => {
    const [[top, bottom], [left, right]] = padsOf(node)
    const { kernel, strides } = node.attrs
    const sizes = { kernel_shape: [...kernel], strides: [...strides], pads: [top, left, bottom, right], group }
    return emit('Conv', [value(node.inputs[0]), ...weights(node)], sizes)
  }
  const rules = {
    conv2d: (node) => conv(node, 1),
    depthwiseConv2d: (node) => conv(node, node.inputs[0].shape[2]),
    dense: (node) => emit(node.inputs[2] ? 'Gemm' : 'MatMul', [value(node.inputs[0]), ...weights(node)]),
    add: (node) => emit('Add', node.inputs.map(value)),
    avgPool2d(node) {
      expectGlobal(node)
      return emit('GlobalAveragePool', [value(node.inputs[0])])
    },
    softmax: (node) => emit('Softmax', [value(node.inputs[0])], { axis: 1 }),
    reshape(node) {
      if (node.shape.length !== 1) throw new Error('only reshapes to a vector are translated')
      return emit('Flatten', [value(node.inputs[0])], { axis: 1 })
    },
  }

  const port = (name, node) => ({
    name,
    type: {
      tensorType: { elemType: TYPES[node.dtype], shape: { dim: channelsFirst(batch, node.shape).map((d) => ({ dimValue: d })) } },
    },
  })
  const [output] = model.outputs
  for (const node of model.nodes) {
    if (node.op === 'param') continue
    if (node.op === 'input') {
      graph.input = [port('x', node)]
      names.set(node, 'x')
      continue
    }
    if (!rules[node.op]) throw new Error(`no ONNX rule for ${node.op}`)
    let name = rules[node.op](node)
    if (node.attrs.activation === 'relu') name = emit('Relu', [name])
    else if (node.attrs.activation) throw new Error(`no ONNX rule for ${node.attrs.activation}`)
    names.set(node, node.quant ? emit('QuantizeLinear', [name, ...scaling(node.quant, Int8Array)]) : name)
  }
  emit('Identity', [names.get(output)], {}, 'y')
  graph.output = [port('y', output)]

  const Model = proto.lookupType('ModelProto')
  const file = { irVersion: 8, opsetImport: [{ domain: '', version: 17 }], graph }
  const wrong = Model.verify(file)
  if (wrong) throw new Error(`onnx: ${wrong}`)
  return Model.encode(Model.create(file)).finish()
}
