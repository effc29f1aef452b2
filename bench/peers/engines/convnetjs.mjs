// ConvNetJS: plain JavaScript in float64, one sample at a time. Its package's trainer has no Adam, so that its gradients, summed over the
// batch, are handed to the one below; the rest is its own. Its layouts are dunlin's.

/** A training step of a chain of layers; see loadTraining in dunlin.mjs. */
export async function loadTraining() {
  const { default: convnetjs } = await import('convnetjs')

  const layers = {
    input: ({ shape: [height, width, depth] }) => ({ type: 'input', out_sx: width, out_sy: height, out_depth: depth }),
    conv2d: ({ attrs: { kernel, activation }, shape }) => ({
      ...{ type: 'conv', filters: shape[2], sx: kernel[1], sy: kernel[0], pad: kernel[0] >> 1, activation },
    }),
    maxPool2d: ({ attrs: { kernel, strides } }) => ({ type: 'pool', sx: kernel[1], sy: kernel[0], stride: strides[0] }),
    // It flattens by itself, and its softmax is a dense layer with the loss.
    dense: ({ shape }) => ({ type: 'softmax', num_classes: shape[0] }),
  }

  return async (model, { x, labels }, rate) => {
    const nodes = model.nodes.filter((n) => n.op !== 'param' && n.op !== 'reshape')
    const net = new convnetjs.Net()
    net.makeLayers(nodes.map((node) => layers[node.op](node)))
    const learning = nodes.filter((n) => n.inputs[1]?.op === 'param')
    for (const [i, layer] of net.layers.filter((l) => l.filters).entries()) {
      const [, w, b] = learning[i].inputs
      for (const [o, { w: filter }] of layer.filters.entries())
        filter.set(w.data.subarray(o * filter.length, (o + 1) * filter.length))
      layer.biases.w.set(b.data)
    }

    const [height, width, depth] = model.inputs[0].shape
    const images = Array.from(labels, (_, i) => {
      const image = new convnetjs.Vol(width, height, depth, 0)
      image.w.set(x.subarray(i * image.w.length, (i + 1) * image.w.length))
      return image
    })
    const update = adam(net.getParamsAndGrads(), rate, images.length)
    let loss
    const run = () => {
      loss = 0
      for (const [i, image] of images.entries()) {
        net.forward(image, true)
        loss += net.backward(labels[i]) / images.length
      }
      update()
    }
    return { run, read: () => loss }
  }
}

/** As dunlin's adam with its defaults: takes the step and clears the gradients. */
function adam(list, rate, batch) {
  const [beta1, beta2, epsilon] = [0.9, 0.999, 1e-8]
  const moments = list.map(({ params }) => ({ m: new Float64Array(params.length), v: new Float64Array(params.length) }))
  let step = 0
  return () => {
    step++
    const [c1, c2] = [1 - beta1 ** step, 1 - beta2 ** step]
    for (const [i, { params, grads }] of list.entries()) {
      const { m, v } = moments[i]
      for (let j = 0; j < params.length; j++) {
        const g = grads[j] / batch
        m[j] = beta1 * m[j] + (1 - beta1) * g
        v[j] = beta2 * v[j] + (1 - beta2) * g * g
        params[j] -= (rate * m[j]) / c1 / (Math.sqrt(v[j] / c2) + epsilon)
        grads[j] = 0
      }
    }
  }
}
