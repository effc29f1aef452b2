// Augmentation of what has a first axis of time: sound [samples] or [samples, 1], sensors [steps, channels].

import { type Augmentation, copier, copyRun, expectFill, expectPixels, expectSeries, type Fill } from './augmentation'

/**
 * Moves a series [steps, ...] in time by up to `steps`, drawn uniformly from -steps to steps. What comes in from outside is `fill`: a value
 * (default 0, silence), the first or last step ('edge'), or what went out at the other end ('wrap').
 */
export function timeShift(steps: number, options: { fill?: Fill | 'wrap' } = {}): Augmentation {
  const { fill = 0 } = options
  expectPixels('timeShift', 'steps', steps)
  expectFill('timeShift', fill, ['edge', 'wrap'])
  const copy = copier()
  return (sample, shape, random) => {
    expectSeries('timeShift', sample, shape)
    const [count] = shape
    const each = sample.length / count
    const later = random.integer(2 * steps + 1) - steps
    const source = copy(sample)
    for (let step = 0; step < count; ) {
      const at = step - later
      if (at >= 0 && at < count) {
        // All steps from here to where the series or its source ends.
        const run = count - Math.max(at, step)
        copyRun(source, at * each, sample, step * each, run * each)
        step += run
        continue
      }
      const place = fill === 'wrap' ? at - Math.floor(at / count) * count : at < 0 ? 0 : count - 1
      if (typeof fill === 'number') sample.fill(fill, step * each, (step + 1) * each)
      else copyRun(source, place * each, sample, step * each, each)
      step++
    }
  }
}
