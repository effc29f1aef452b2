// jax-js on its WebAssembly backend, compiled by its jit or not, whichever is faster. Node has no global Worker, without which it uses one thread.
// Its functions consume their arguments: `.ref` keeps one for another use.
import { channelsFirst, expectGlobal, padsOf, toNchw, toNhwc, weightsOf } from '../layout.mjs'

/** The library, on its WebAssembly backend. */
export async function start() {
  const jax = await import('@jax-js/jax')
  if (!(await jax.init('wasm')).includes('wasm')) throw new Error('the wasm backend did not start')
  jax.defaultDevice('wasm')
  return jax
}

export async function load() {
  const { jit, lax, nn, numpy } = await start()
  const array = (data, shape) => numpy.array(data).reshape(shape)
  const conv = (node, groups, x, w, b) => {
    const y = lax.convGeneralDilated(x, w, [...node.attrs.strides], padsOf(node), { featureGroupCount: groups })
    return b ? numpy.add(y, b) : y
  }
  const rules = {
    conv2d: (node, ...args) => conv(node, 1, ...args),
    depthwiseConv2d: (node, ...args) => conv(node, node.shape[2], ...args),
    dense: (_node, x, w, b) => (b ? numpy.add(numpy.matmul(x, w), b) : numpy.matmul(x, w)),
    add: (_node, a, b) => numpy.add(a, b),
    avgPool2d(node, x) {
      expectGlobal(node)
      return numpy.mean(x, [2, 3])
    },
    softmax: (_node, x) => nn.softmax(x),
    // Only the pooled [1, 1, channels] is flattened, and the mean has dropped these axes already.
    reshape: (_node, x) => x,
  }

  return async (model, batch, x) => {
    const [input, output] = [model.inputs[0], model.outputs[0]]
    if (input.dtype !== 'f32') throw new Error('has no int8 kernels')
    const steps = model.nodes.filter((n) => n.op !== 'param' && n.op !== 'input')
    for (const { op } of steps) if (!rules[op]) throw new Error(`no rule for ${op}`)
    const params = steps.flatMap((node) => {
      const [, w, b] = node.inputs
      if (w?.op !== 'param') return []
      const { data, shape } = weightsOf(node)
      return [
        [w, array(data, shape)],
        ...(b ? [[b, array(b.data, node.op === 'dense' ? [b.data.length] : [b.data.length, 1, 1])]] : []),
      ]
    })
    const forward = (image, weights) => {
      const values = new Map([[input, image], ...params.map(([node], i) => [node, weights[i]])])
      const uses = new Map()
      for (const node of steps) for (const from of node.inputs) uses.set(from, (uses.get(from) ?? 0) + 1)
      const take = (node) => {
        uses.set(node, uses.get(node) - 1)
        return uses.get(node) ? values.get(node).ref : values.get(node)
      }
      for (const node of steps) {
        const y = rules[node.op](node, ...node.inputs.map(take))
        values.set(node, node.attrs.activation === 'relu' ? nn.relu(y) : y)
      }
      return values.get(output)
    }
    const image = array(toNchw(x, batch, input.shape), channelsFirst(batch, input.shape))
    let y
    const runner = (compute) => () => {
      y?.dispose()
      const weights = params.map(([, a]) => a.ref)
      y = compute(image.ref, weights)
      return y.blockUntilReady()
    }
    // Its jit saves a matrix product most of its time, and makes a padded convolution several times slower: the faster way counts.
    const run = await faster(runner(jit(forward)), runner(forward))
    return { run, read: () => toNhwc(y.ref.dataSync(), batch, output.shape) }
  }
}

/** Whichever of two asynchronous functions takes less time, by the best of a few calls. */
export async function faster(a, b, calls = 8) {
  const best = [Infinity, Infinity]
  for (let i = 0; i < calls; i++) {
    for (const [which, run] of [a, b].entries()) {
      const began = performance.now()
      await run()
      best[which] = Math.min(best[which], performance.now() - began)
    }
  }
  return best[0] <= best[1] ? a : b
}
