// Which kernel computes a 3x3 convolution of stride 1: a table, measured by `npm run bench -- --explain`, first fitting row wins.
// To add a variant: its kernel, a row here, its emission in convolution.ts, and its case in bench/bench.mjs and test/winograd.test.ts.

/** An image of oh x ow outputs, ic channels in and oc out. */
export interface Conv3x3 {
  oh: number
  ow: number
  ic: number
  oc: number
}

export type Conv3x3Variant = 'winograd4' | 'winograd2' | 'direct'

interface Rule {
  variant: Conv3x3Variant
  /** Outputs of a tile in each direction; none for direct. */
  tile?: 2 | 4
  /** Fewest input and output channels: below, the transforms cost more than the products save. */
  ic: number
  oc: number
  /** Most outputs computed for one that is kept: tiles stick out of the image. */
  waste: number
  /** What the kernel can: input channels in whole vectors, and how many (its sums are int32). */
  multiple?: number
  most?: number
}

/** What is computed: the value and the gradient by x in float, the gradient by the weights, the value in int8. */
export type Conv3x3Kind = 'f32' | 'f32_dw' | 'i8'

export const CONV3X3: Record<Conv3x3Kind, readonly Rule[]> = {
  f32: [
    { variant: 'winograd4', tile: 4, ic: 8, oc: 8, waste: 2 },
    { variant: 'winograd2', tile: 2, ic: 32, oc: 16, waste: 1.5 },
    { variant: 'direct', ic: 1, oc: 1, waste: Infinity },
  ],
  f32_dw: [
    { variant: 'winograd4', tile: 4, ic: 16, oc: 16, waste: 2 },
    { variant: 'winograd2', tile: 2, ic: 32, oc: 16, waste: 1.5 },
    { variant: 'direct', ic: 1, oc: 1, waste: Infinity },
  ],
  i8: [
    { variant: 'winograd2', tile: 2, ic: 16, oc: 8, waste: 1.5, multiple: 8, most: 1843 },
    { variant: 'direct', ic: 1, oc: 1, waste: Infinity },
  ],
}

/** The first row of the table that fits. */
export function chooseConv3x3(kind: Conv3x3Kind, { oh, ow, ic, oc }: Conv3x3): Rule {
  const wasted = (tile: number) => (Math.ceil(oh / tile) * tile * Math.ceil(ow / tile) * tile) / (oh * ow)
  return CONV3X3[kind].find(({ tile = 1, multiple = 1, most = Infinity, ...r }) => {
    return ic >= r.ic && ic <= most && ic % multiple === 0 && oc >= r.oc && wasted(tile) <= r.waste
  }) as Rule
}
