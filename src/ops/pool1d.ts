// maxPool1d, avgPool1d, globalAvgPool1d: pools over the steps of a sequence [t, c]: those of pool2d on an image of one row.

import type { Layer } from '../graph/node'
import { asRow, type Padding1d, rowPadding } from './conv1d'
import { expectCount } from './op'
import { avgPool2d, maxPool2d } from './pool2d'

interface Pool1dOptions {
  kernel: number
  /** Default: the kernel, so that windows do not overlap. */
  strides?: number
  padding?: Padding1d
  name?: string
}

interface AvgPool1dOptions extends Pool1dOptions {
  countPadding?: boolean
}

function pool1d(op: string, pool: typeof avgPool2d, options: AvgPool1dOptions): Layer {
  const { kernel, strides = kernel, padding = 'valid', name = '', countPadding } = options
  for (const [what, n] of Object.entries({ kernel, strides })) expectCount({ op, name }, what, n)
  return asRow(
    { op, name },
    pool({ kernel: [1, kernel], strides: [1, strides], padding: rowPadding(padding), name, countPadding }),
  )
}

/** The largest value of each window. x [steps, channels] -> [out steps, channels]. */
export const maxPool1d = (options: Pool1dOptions): Layer => pool1d('maxPool1d', maxPool2d, options)

/** The mean of each window. x [steps, channels] -> [out steps, channels]. `countPadding`: padding counts as zeros. */
export const avgPool1d = (options: AvgPool1dOptions): Layer => pool1d('avgPool1d', avgPool2d, options)

/** The mean over all steps. x [steps, channels] -> [1, channels]. */
export const globalAvgPool1d =
  (options: { name?: string } = {}): Layer =>
  (x) =>
    pool1d('globalAvgPool1d', avgPool2d, { ...options, kernel: x.shape[0] })(x)
