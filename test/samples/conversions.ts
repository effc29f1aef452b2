// Ops between integers and real numbers: every dtype from its lowest value to its highest.

import { input, size } from '../../src/graph/node'
import type { OpName } from '../../src/ops'
import { dequantize } from '../../src/ops/convert'
import { normalize } from '../../src/ops/normalize'
import { type Sample, text } from './sample'

/** int8 values from the lowest to the highest. */
const steps = (n: number, scale: number, zeroPoint: number, batch: number): Sample => ({
  what: `[${n}] in steps of ${scale} from ${zeroPoint}, batch ${batch}`,
  batch,
  node: dequantize()({ ...input([n], { dtype: 'i8' }), quant: { scale: [scale], zeroPoint } }),
  given: { 0: Int8Array.from({ length: n * batch }, (_, i) => -128 + Math.round((255 * i) / Math.max(1, n * batch - 1))) },
})

/** Raw values from the least to the most that the dtype has. */
const raw = (batch: number, shape: number[], dtype: 'u8' | 'i16', options: Parameters<typeof normalize>[0]): Sample => {
  const count = batch * size(shape)
  const values = dtype === 'u8' ? new Uint8Array(count) : new Int16Array(count)
  for (let i = 0; i < count; i++) values[i] = dtype === 'u8' ? (i * 255) / (count - 1) : (i * 65535) / (count - 1) - 32768
  const node = normalize(options)(input(shape, { dtype }))
  return { what: `[${shape}] ${dtype} ${text(options)} x ${batch}`, batch, node, given: { 0: values } }
}

export const conversions = {
  dequantize: [1, 7, 8, 9, 31].map((n, i) => steps(n, 0.037 * (i + 1), 40 * i - 128, 1 + (i % 3))),
  normalize: [
    raw(1, [3, 5, 1], 'u8', { mean: 127.5, std: 64 }),
    raw(3, [4, 5, 3], 'u8', { mean: [125.3, 123, 113.9], std: [63, 62.1, 66.7] }),
    raw(2, [7, 3], 'i16', { mean: [0, -5, 1000], std: [4096, 1, 32768] }),
    raw(1, [33], 'i16', { mean: 0, std: 32768 }),
  ],
  /** In test/layers-i8.test.ts. */
  rescale: [],
  /** In test/layers-i8.test.ts. */
  toInt8: [],
} satisfies Partial<Record<OpName, Sample[]>>
