// Ops that compute nothing but a place: where in an input an element of the output lies. Beyond that, a padding has a value of its own, and
// a bilinear resize mixes four elements.

import { type Node, type Shape, size } from '../../src/graph/node'
import type { OpName } from '../../src/ops'
import { type Definition, everywhere, position } from './definition'

export const moves = {
  broadcast(node: Node<{ shape: Shape }>, x, like) {
    const { shape } = node.inputs[0]
    const before = node.shape.length - shape.length
    const samples = like.length / size(node.inputs[1].shape)
    return everywhere(node, samples, (index, sample) => {
      const at = shape.map((n, i) => (n === 1 ? 0 : index[i + before]))
      return x[position(shape, at, node.inputs[0].batched ? sample : 0)]
    })
  },

  concat(node: Node<{ axis: number }>, ...inputs) {
    const { axis } = node.attrs
    return everywhere(node, inputs[0].length / size(node.inputs[0].shape), (index, sample) => {
      let from = index[axis]
      let i = 0
      while (from >= node.inputs[i].shape[axis]) from -= node.inputs[i++].shape[axis]
      const { shape } = node.inputs[i]
      return inputs[i][
        position(
          shape,
          index.map((v, j) => (j === axis ? from : v)),
          sample,
        )
      ]
    })
  },

  embedding(node, x, w) {
    const [rows, units] = node.inputs[1].shape
    return Float64Array.from({ length: x.length * units }, (_, at) => {
      const row = Math.min(Math.max(x[Math.floor(at / units)], 0), rows - 1)
      return w[row * units + (at % units)]
    })
  },

  pad(node: Node<{ padding: [number, number][]; value: number }>, x) {
    const { shape } = node.inputs[0]
    return everywhere(node, x.length / size(shape), (index, sample) => {
      const from = index.map((v, i) => v - node.attrs.padding[i][0])
      return from.every((v, i) => v >= 0 && v < shape[i]) ? x[position(shape, from, sample)] : node.attrs.value
    })
  },

  permute(node: Node<{ axes: number[] }>, x) {
    const { shape } = node.inputs[0]
    return everywhere(node, x.length / size(shape), (index, sample) => {
      const from: number[] = []
      for (const [i, axis] of node.attrs.axes.entries()) from[axis] = index[i]
      return x[position(shape, from, sample)]
    })
  },

  reshape: (_, x) => Float64Array.from(x),

  resize(node: Node<{ size: [number, number]; method: string; pixels?: string }>, x) {
    const { shape } = node.inputs[0]
    const { method, pixels = method === 'nearest' ? 'edges' : 'centers' } = node.attrs
    /** Where output o lies; with corners and one output it is the first pixel. */
    const place = (o: number, i: number) => {
      const [from, to] = [shape[i], node.shape[i]]
      if (pixels === 'corners') return to > 1 ? (o * (from - 1)) / (to - 1) : 0
      return pixels === 'centers' ? ((o + 0.5) * from) / to - 0.5 : (o * from) / to
    }
    return everywhere(node, x.length / size(shape), ([oy, ox, c], sample) => {
      const pixel = (iy: number, ix: number) => x[position(shape, [iy, ix, c], sample)]
      if (method === 'nearest') {
        const [iy, ix] = [oy, ox].map((o, i) => Math.floor(place(o, i) + (pixels === 'edges' ? 0 : 0.5) + 1e-12))
        return pixel(iy, ix)
      }
      const [iy, ix] = [oy, ox].map((o, i) => Math.max(0, place(o, i)))
      const [y0, x0] = [Math.floor(iy), Math.floor(ix)]
      const [y1, x1] = [Math.min(y0 + 1, shape[0] - 1), Math.min(x0 + 1, shape[1] - 1)]
      const above = pixel(y0, x0) * (1 - ix + x0) + pixel(y0, x1) * (ix - x0)
      const below = pixel(y1, x0) * (1 - ix + x0) + pixel(y1, x1) * (ix - x0)
      return above * (1 - iy + y0) + below * (iy - y0)
    })
  },

  slice: (node: Node<{ begin: number[]; strides?: number[] }>, x) => {
    const { shape } = node.inputs[0]
    return everywhere(
      node,
      x.length / size(shape),
      (index, sample) =>
        x[
          position(
            shape,
            index.map((v, i) => v * (node.attrs.strides?.[i] ?? 1) + node.attrs.begin[i]),
            sample,
          )
        ],
    )
  },
} satisfies Partial<Record<OpName, Definition>>
