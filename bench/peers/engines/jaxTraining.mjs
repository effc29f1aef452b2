// A training step of jax-js on its WebAssembly backend, by its valueAndGrad and its jit. The package has no optimizers: Adam is written in
// its operations, and compiled. A convolution can be written in two ways: by lax.convGeneralDilated, or as a matrix product for each tap
// of the window, of which its jit makes much more. Each way runs compiled or not, whichever is faster.
import { padsOf, toNchw, transpose } from '../layout.mjs'
import { faster, start } from './jax.mjs'

/** Of `way` 'convolution' or 'products'; the step is as in loadTraining of dunlin.mjs. */
export async function loadTraining(way) {
  const { jit, lax, nn, numpy, tree, valueAndGrad } = await start()
  const array = (data, shape) => numpy.array(data).reshape(shape)

  /** Channels second. */
  const convolution = {
    input: (x, batch, [h, w, c]) => array(toNchw(x, batch, [h, w, c]), [batch, c, h, w]),
    weights: ({ data, shape: [oc, kh, kw, ic] }) => array(transpose(data, [oc, kh, kw, ic], [0, 3, 1, 2]), [oc, ic, kh, kw]),
    bias: ({ data }) => array(data, [data.length, 1, 1]),
    conv2d: (node, x, w) => lax.convGeneralDilated(x, w, [...node.attrs.strides], padsOf(node)),
    pooled: ({ attrs: { kernel }, shape: [h, w, c] }, batch) => [
      [batch, c, h, kernel[0], w, kernel[1]],
      [3, 5],
    ],
    flatten: (x) => numpy.transpose(x, [0, 2, 3, 1]),
  }
  /** Channels last. */
  const products = {
    input: (x, batch, shape) => array(x, [batch, ...shape]),
    weights: ({ data, shape: [oc, kh, kw, ic] }) => array(transpose(data, [oc, kh, kw, ic], [1, 2, 3, 0]), [kh * kw, ic, oc]),
    bias: ({ data }) => array(data, [data.length]),
    conv2d(node, x, w) {
      const [batch, ih, iw, ic] = x.shape
      const [kh, kw] = node.attrs.kernel
      const padded = numpy.pad(x, [[0, 0], ...padsOf(node), [0, 0]])
      let y
      for (let tap = 0; tap < kh * kw; tap++) {
        const [r, s] = [Math.floor(tap / kw), tap % kw]
        const shifted = padded.ref.slice([], [r, r + ih], [s, s + iw], [])
        const product = numpy.matmul(shifted.reshape([batch * ih * iw, ic]), w.ref.slice(tap, [], []))
        y = y ? numpy.add(y, product) : product
      }
      padded.dispose()
      w.dispose()
      return y.reshape([batch, ...node.shape])
    },
    pooled: ({ attrs: { kernel }, shape: [h, w, c] }, batch) => [
      [batch, h, kernel[0], w, kernel[1], c],
      [2, 4],
    ],
    flatten: (x) => x,
  }
  const form = { convolution, products }[way]

  return async (model, { x, labels }, rate) => {
    const batch = labels.length
    const input = model.inputs[0]
    const steps = model.nodes.filter((n) => n.op !== 'param' && n.op !== 'input')
    const classes = model.outputs[0].shape[0]
    const relu = ({ attrs }, y) => (attrs.activation === 'relu' ? nn.relu(y) : y)
    /** Each takes the image so far and the parameters' list, from which it takes its own. */
    const rules = {
      conv2d: (node, h, own) => relu(node, numpy.add(form.conv2d(node, h, own.shift()), own.shift())),
      maxPool2d(node, h) {
        const [shape, axes] = form.pooled(node, batch)
        return numpy.max(h.reshape(shape), axes)
      },
      reshape: (_, h) => form.flatten(h).reshape([batch, -1]),
      dense: (node, h, own) => relu(node, numpy.add(numpy.matmul(h, own.shift()), own.shift())),
    }
    const lossOf = (params, images, targets) => {
      const own = [...params]
      const logits = steps.reduce((h, node) => rules[node.op](node, h, own), images)
      return nn
        .logSoftmax(logits)
        .mul(targets)
        .sum()
        .mul(-1 / batch)
    }
    const initial = steps.flatMap(({ op, inputs: [, w, b] }) => {
      if (op === 'conv2d') return [form.weights(w), form.bias(b)]
      return op === 'dense' ? [array(transpose(w.data, w.shape, [1, 0]), [w.shape[1], w.shape[0]]), array(b.data, b.shape)] : []
    })
    const images = form.input(x, batch, input.shape)
    const targets = nn.oneHot(array(labels, [batch]), classes)

    const gradient = valueAndGrad(lossOf)
    const [beta1, beta2, epsilon] = [0.9, 0.999, 1e-8]
    const moment = (decay) => (old, g) => old.mul(decay).add(g.mul(1 - decay))
    /** `corrections`: the learning rate and 1, each by its moment's correction for the beginning. */
    const update = (params, m, v, grads, corrections) => {
      const newM = m.map((old, i) => moment(beta1)(old, grads[i].ref))
      const newV = v.map((old, i) => moment(beta2)(old, numpy.square(grads[i])))
      const newParams = params.map((w, i) => {
        const root = numpy.sqrt(newV[i].ref.mul(corrections.ref.slice(1))).add(epsilon)
        return w.sub(newM[i].ref.mul(corrections.ref.slice(0)).div(root))
      })
      corrections.dispose()
      return [newParams, newM, newV]
    }
    const compiledUpdate = jit(update)
    const compiledStep = jit((params, m, v, xs, ts, corrections) => {
      const [loss, grads] = gradient(
        params.map((p) => p.ref),
        xs,
        ts,
      )
      return [loss, ...update(params, m, v, grads, corrections)]
    })
    const step = (params, m, v, xs, ts, corrections) => {
      const [loss, grads] = gradient(
        params.map((p) => p.ref),
        xs,
        ts,
      )
      return [loss, ...compiledUpdate(params, m, v, grads, corrections)]
    }

    const begin = () => ({ t: 0, params: tree.ref(initial), m: initial.map(zeros), v: initial.map(zeros) })
    const zeros = (p) => numpy.zeros(p.shape)
    let state
    const runner = (compute) => async () => {
      const t = state.t + 1
      const corrections = numpy.array(Float32Array.of(rate / (1 - beta1 ** t), 1 / (1 - beta2 ** t)))
      const [loss, params, m, v] = compute(state.params, state.m, state.v, images.ref, targets.ref, corrections)
      state.loss?.dispose()
      state = { t, loss, params, m, v }
      for (const a of [loss, ...params]) await a.blockUntilReady()
    }
    state = begin()
    const run = await faster(runner(compiledStep), runner(step), 2)
    state = begin()
    return { run, read: () => state.loss.ref.js() }
  }
}
