// TensorFlow.js on its WebAssembly backend (XNNPACK inside), one thread. Tensors are made once; a run makes and frees its results.
export async function load() {
  const { default: tf } = await import('@tensorflow/tfjs-core')
  const { default: wasm } = await import('@tensorflow/tfjs-backend-wasm')
  wasm.setThreadsCount(1)
  if (!(await tf.setBackend('wasm'))) throw new Error('the wasm backend did not start')
  await tf.ready()

  const tensors = (node) => {
    const [, w, b] = node.inputs
    const shaped = tf.tensor(w.data, w.shape.length === 3 ? [...w.shape, 1] : w.shape)
    // tfjs wants HWIO filters, depthwise [kh, kw, channels, 1], dense [in, out].
    const filter = tf.tidy(() =>
      node.op === 'conv2d' ? tf.transpose(shaped, [1, 2, 3, 0]) : node.op === 'dense' ? tf.transpose(shaped) : tf.clone(shaped),
    )
    return { filter, bias: b && tf.tensor1d(b.data) }
  }
  const fused = (node, params) => {
    const { filter, bias } = params.get(node)
    return { filter, bias, ...(node.attrs.activation && { activation: node.attrs.activation }) }
  }
  const windowed = (node) => ({ strides: [...node.attrs.strides], pad: node.attrs.padding })
  const rules = {
    conv2d: (node, params, x) => tf.fused.conv2d({ x, ...fused(node, params), ...windowed(node) }),
    depthwiseConv2d: (node, params, x) => tf.fused.depthwiseConv2d({ x, ...fused(node, params), ...windowed(node) }),
    dense(node, params, a) {
      const { filter: b, ...rest } = fused(node, params)
      return tf.fused.matMul({ a, b, ...rest })
    },
    add: (node, _, a, b) => (node.attrs.activation === 'relu' ? tf.relu(tf.add(a, b)) : tf.add(a, b)),
    avgPool2d: (node, _, x) => tf.avgPool(x, [...node.attrs.kernel], [...node.attrs.strides], node.attrs.padding),
    softmax: (_node, _, x) => tf.softmax(x),
    reshape: (node, _, x) => tf.reshape(x, [-1, ...node.shape]),
  }

  return (model, batch, x) => {
    if (model.inputs[0].dtype !== 'f32') throw new Error('has no int8 kernels')
    const input = tf.tensor(x, [batch, ...model.inputs[0].shape])
    const steps = model.nodes.filter((n) => n.op !== 'param' && n.op !== 'input')
    for (const { op } of steps) if (!rules[op]) throw new Error(`no rule for ${op}`)
    const params = new Map(steps.filter((n) => n.inputs[1]?.op === 'param').map((n) => [n, tensors(n)]))
    const forward = () => {
      const values = new Map([[model.inputs[0], input]])
      for (const node of steps) {
        const inputs = node.inputs.filter((n) => n.op !== 'param').map((n) => values.get(n))
        values.set(node, rules[node.op](node, params, ...inputs))
      }
      return values.get(model.outputs[0])
    }
    let y
    const run = () => {
      y?.dispose()
      y = tf.tidy(forward)
    }
    return { run, read: () => y.dataSync() }
  }
}
