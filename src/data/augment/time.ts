// Augmentation of what has a first axis of time: sound [samples] or [samples, 1], sensors [steps, channels].

import { type Augmentation, copier, expectFill, expectPixels, expectSeries, type Fill, move } from './augmentation'

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
    const source = typeof fill === 'number' ? undefined : copy(sample)
    move(sample, -later * each)
    const [from, to] = later > 0 ? [0, Math.min(later, count)] : [Math.max(0, count + later), count]
    if (!source) sample.fill(fill as number, from * each, to * each)
    else {
      for (let step = from; step < to; step++) {
        const at = step - later
        const place = fill === 'wrap' ? at - Math.floor(at / count) * count : at < 0 ? 0 : count - 1
        for (let c = 0; c < each; c++) sample[step * each + c] = source[place * each + c]
      }
    }
  }
}
