// From dunlin's layouts to its peers': what every translation of a dunlin graph needs to know about shapes and padding.

/** `data` of `shape` with its axes in the order `axes`: axis i of the result is axis axes[i] of the source. */
export function transpose(data, shape, axes) {
  const strides = shape.map((_, i) => shape.slice(i + 1).reduce((a, b) => a * b, 1))
  const to = axes.map((a) => shape[a])
  const by = axes.map((a) => strides[a])
  const index = to.map(() => 0)
  const result = new data.constructor(data.length)
  for (let i = 0, from = 0; i < result.length; i++) {
    result[i] = data[from]
    for (let axis = to.length - 1; axis >= 0; axis--) {
      from += by[axis]
      if (++index[axis] < to[axis]) break
      from -= by[axis] * to[axis]
      index[axis] = 0
    }
  }
  return result
}

/** A value's shape with the batch in front, channels second. */
export const channelsFirst = (batch, shape) => (shape.length === 3 ? [batch, shape[2], shape[0], shape[1]] : [batch, ...shape])
export const toNchw = (data, batch, shape) => (shape.length === 3 ? transpose(data, [batch, ...shape], [0, 3, 1, 2]) : data)
export const toNhwc = (data, batch, shape) =>
  shape.length === 3 ? transpose(data, channelsFirst(batch, shape), [0, 2, 3, 1]) : data

/** Weights for peers: convolutions [out, in / groups, kh, kw], dense [in, out]; with the axis of the output channels. */
export function weightsOf(node) {
  const w = node.inputs[1]
  if (node.op === 'dense') return { data: transpose(w.data, w.shape, [1, 0]), shape: [w.shape[1], w.shape[0]], axis: 1 }
  if (node.op === 'conv2d') {
    const [oc, kh, kw, ic] = w.shape
    return { data: transpose(w.data, w.shape, [0, 3, 1, 2]), shape: [oc, ic, kh, kw], axis: 0 }
  }
  const [kh, kw, oc] = w.shape
  return { data: transpose(w.data, w.shape, [2, 0, 1]), shape: [oc, 1, kh, kw], axis: 0 }
}

/** Rows and columns of padding "same": [[top, bottom], [left, right]], the odd one after. */
export function padsOf(node) {
  const { kernel, strides, padding } = node.attrs
  if (padding !== 'same') throw new Error(`only padding "same" is translated, ${node.name} has ${JSON.stringify(padding)}`)
  return [0, 1].map((i) => {
    const total = Math.max(0, (node.shape[i] - 1) * strides[i] + kernel[i] - node.inputs[0].shape[i])
    return [Math.floor(total / 2), Math.ceil(total / 2)]
  })
}

/** Throws unless the pool covers its whole input: the only kind that is translated. */
export function expectGlobal(node) {
  if (node.shape[0] * node.shape[1] !== 1) throw new Error(`only global pools are translated, ${node.name} makes [${node.shape}]`)
}
