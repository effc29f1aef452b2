// Windows over long series, such as those of sensors: a network looks at the last second or two, again and again. Windows may overlap; none
// reaches from one recording into the next.

import { DunlinError } from '../graph/error'
import { ARRAYS, type TypedArray } from '../graph/node'
import { type Dataset, makeDataset } from './dataset'

export interface Recording {
  /** steps * channels values, step after step. */
  x: TypedArray
  /** One label for all steps, or one for each; -1 where it is not known. */
  labels: number | ArrayLike<number>
  /** What it has in common with other recordings, such as who was recorded; default: its place in the list. */
  group?: string | number
}

/**
 * Windows of `length` steps, each beginning `step` steps after the one before (default `length`: no overlap), from the first step of each
 * recording on; what is left at its end, or a recording shorter than a window, gives none. Samples are [length, channels]. The label of a
 * window is that of most of its steps (of equally many, the later one), or with `label: 'last'` that of its last step, as for a detector
 * that says what is now; a window whose label is -1 is left out.
 *
 * `groups` has the group of each window, to keep all of a group on one side when the data are split: windows that overlap are alike, and
 * a test on halves of one recording tells little about the next person.
 *
 * @throws DunlinError when lengths disagree, a label is not a class, values are not finite, or there is no window at all.
 */
export function windows(
  recordings: readonly Recording[],
  options: {
    length: number
    step?: number
    channels: number
    classes: number
    label?: 'majority' | 'last'
    /** One name for each class. */
    labels?: string[]
    /** What errors call the data. */
    source?: string
  },
): { data: Dataset; groups: (string | number)[] } {
  const { length, step = length, channels, classes, label = 'majority', labels, source = 'windows' } = options
  for (const [what, count] of Object.entries({ length, step, channels, classes })) {
    if (!Number.isInteger(count) || count < 1) throw new DunlinError(`${source}: ${what} wants a positive integer, got ${count}.`)
  }
  if (label !== 'majority' && label !== 'last')
    throw new DunlinError(`${source}: label wants "majority" or "last", got ${JSON.stringify(label)}.`)
  const type = recordings.length ? arrayOf(recordings[0].x) : undefined
  const found: { x: TypedArray; from: number; label: number; group: string | number }[] = []
  for (const [i, { x, labels: given, group = i }] of recordings.entries()) {
    const what = `${source}: recording ${i}`
    if (!type || arrayOf(x) !== type)
      throw new DunlinError(`${what} is ${nameOf(x)}, the first is ${nameOf(recordings[0].x)}. Copy all into arrays of one type.`)
    const steps = x.length / channels
    if (!Number.isInteger(steps))
      throw new DunlinError(`${what} has ${x.length} values, wanted a multiple of its ${channels} channels. Check channels.`)
    const labelOf = labeller(what, given, steps, classes)
    for (let from = 0; from + length <= steps; from += step) {
      const own = label === 'last' ? labelOf(from + length - 1) : majority(labelOf, from, length, classes)
      if (own >= 0) found.push({ x, from, label: own, group })
    }
  }
  if (!type || !found.length) {
    const got = `${recordings.length} recordings with no window of ${length} steps that has a label`
    throw new DunlinError(`${source}: got ${got}, wanted at least one. Use longer recordings or a smaller length.`)
  }
  const each = length * channels
  const x = new type(found.length * each)
  for (const [i, w] of found.entries()) x.set(w.x.subarray(w.from * channels, w.from * channels + each), i * each)
  const y = found.map((w) => w.label)
  const data = makeDataset({ x, y, shape: [length, channels], classes, ...(labels && { labels }), source })
  return { data, groups: found.map((w) => w.group) }
}

const arrayOf = (x: TypedArray) => Object.values(ARRAYS).find((type) => x instanceof type)
const nameOf = (x: object) => x?.constructor?.name ?? String(x)

/** The label of a step, checked. */
function labeller(what: string, given: number | ArrayLike<number>, steps: number, classes: number): (step: number) => number {
  const check = (label: number, where: string) => {
    if (!(Number.isInteger(label) && label >= -1 && label < classes)) {
      const wanted = `an integer in 0..${classes - 1}, or -1 for not known`
      throw new DunlinError(`${what}${where} has label ${label}, wanted ${wanted}. Correct the label, or set classes.`)
    }
  }
  if (typeof given === 'number') {
    check(given, '')
    return () => given
  }
  if (given?.length !== steps)
    throw new DunlinError(`${what} has ${steps} steps and ${given?.length} labels. Give one for each step, or one for all.`)
  for (let i = 0; i < steps; i++) check(given[i], `, step ${i}`)
  return (step) => given[step]
}

function majority(labelOf: (step: number) => number, from: number, length: number, classes: number): number {
  // The first is for steps that are not known.
  const counts = new Int32Array(1 + classes)
  for (let i = 0; i < length; i++) counts[1 + labelOf(from + i)]++
  const most = Math.max(...counts)
  for (let i = length - 1; i > 0; i--) if (counts[1 + labelOf(from + i)] === most) return labelOf(from + i)
  return labelOf(from)
}
