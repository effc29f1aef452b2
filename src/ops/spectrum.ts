// What logMel and mfcc have in common: how many frames there are, how they are shared among threads, and the calls of the float spectrum.

import type { Node } from '../graph/node'
import { type Filter, type MelBands, melFilters, twiddles, type WINDOWS, windowOf } from './mel'
import type { Buffer, Emit, Unshaped } from './op'

export interface LogMelAttrs extends MelBands {
  /** Samples in a frame, and from the beginning of one to that of the next. */
  frame: number
  step: number
  window: keyof typeof WINDOWS
  periodic: boolean
  floor: number
}

export interface MfccAttrs extends LogMelAttrs {
  coefficients: number
}

/** How many frames a node makes of its samples. */
export function framesOf(node: Unshaped<LogMelAttrs>): number {
  const { frame, step } = node.attrs
  return 1 + Math.floor((node.inputs[0].shape[0] - frame) / step)
}

/** Multiply-adds of one sound. */
export function macsOf(node: Node<LogMelAttrs>): number {
  const { fftLength, frame } = node.attrs
  const weights = melFilters(node.attrs).reduce((sum, f) => sum + f.weights.length, 0)
  return framesOf(node) * (frame + fftLength * Math.log2(fftLength) + 4 * fftLength + weights)
}

/** Filters as the kernels take them: first frequency and count of each, and all weights, one filter after another. */
export function filterTables(filters: readonly Filter[]): { spans: Int32Array; weights: number[] } {
  return {
    spans: Int32Array.from(filters.flatMap(({ first, weights }) => [first, weights.length])),
    weights: filters.flatMap(({ weights }) => weights),
  }
}

/**
 * Writes calls for stretches of frames: `part` has x from a sample on, y from a row on, and computes `batch` sounds of `frames` frames. Of
 * several sounds a part is some of them, of one it is some of its frames.
 */
export function splitFrames(
  e: Emit,
  node: Node<LogMelAttrs>,
  y: Buffer,
  rowLength: number,
  part: (x: Buffer, y: Buffer, batch: number, frames: number) => void,
): void {
  const [x] = node.inputs
  const values = e.value(x)
  const [frames, n] = [framesOf(node), x.shape[0]]
  const sounds = values.length / n
  const work = sounds * macsOf(node)
  if (sounds > 1) {
    e.split(sounds, work, (from, count) => part(e.at(values, from * n), e.at(y, from * frames * rowLength), count, frames))
  } else {
    const { step } = node.attrs
    e.split(frames, work, (from, count) => part(e.at(values, from * step), e.at(y, from * rowLength), 1, count), 4)
  }
}

/** Writes the float mel spectrum of a node's x into y. */
export function spectrum(e: Emit, node: Node<LogMelAttrs>, y: Buffer): void {
  const { frame, step, fftLength, window, periodic, bands, floor } = node.attrs
  const { spans, weights } = filterTables(melFilters(node.attrs))
  const constant = (name: string, data: Float64Array | number[]) => e.constant(`${node.name}/${name}`, Float32Array.from(data))
  const tables = [
    constant('window', windowOf(window, frame, periodic)),
    constant('twiddles', twiddles(fftLength)),
    e.constant(`${node.name}/spans`, spans),
    constant(
      'weights',
      weights.map((w) => w / 4),
    ),
  ] as const
  const four = e.target === 'session' ? 1 : 0
  splitFrames(e, node, y, bands, (x, to, batch, frames) => {
    const scratch = e.scratch((fftLength + 2) * (four ? 4 : 1))
    const sizes = [batch, node.inputs[0].shape[0], frames, frame, step, fftLength, bands] as const
    e.call('logMel_f32', x, ...tables, to, scratch, ...sizes, four, floor)
  })
}
