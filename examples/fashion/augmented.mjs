// Fashion-MNIST with time: three convolutions with batch norm, fewer than 100,000 parameters, on pictures that are mirrored, moved and covered
// in part.

import { adamW, batchNorm, conv2d, cutout, dense, flatten, flip, input, Model, maxPool2d, padCrop, sequential } from 'dunlin'

/** Batch norm has an offset of its own, so that the convolution before it needs no bias. */
const convolution = (filters) => [
  conv2d({ filters, kernel: 3, padding: 'same', bias: false }),
  batchNorm({ activation: 'relu' }),
  maxPool2d({ kernel: 2 }),
]

export default {
  data: { idx: { path: '/usr/share/datasets/fashion-mnist' } },
  normalize: 'all',
  network(train, normalize, seed) {
    const network = sequential(...convolution(32), ...convolution(64), ...convolution(96), flatten(), dense({ units: 10 }))
    return new Model(network(input(train.shape, { normalize })), { seed, labels: train.labels })
  },
  augment: [flip(), padCrop(2), cutout(8)],
  optimizer: adamW({ lr: 0.005, weightDecay: 0.02 }),
  batch: 64,
  epochs: 36,
  validation: 'test',
}
