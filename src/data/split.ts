// Ways to divide a dataset beside the plain `split`: with the share of each class kept, or with the samples of a group (all recordings of
// a speaker, all pictures of a patient) on one side, so that a model is judged on groups that it has not seen.

import { DunlinError } from '../graph/error'
import { Random } from '../graph/random'
import { type Dataset, subset } from './dataset'

/** What the samples of a group have in common: a name or a number for each sample. */
export type Groups = ArrayLike<string | number>

export interface Fold {
  /** What is held out. */
  groups: (string | number)[]
  train: Dataset
  heldOut: Dataset
}

/** Separates the draws of these functions from other uses of the same seed. */
const STRATIFIED_STREAM = 0x57a71
const GROUP_STREAM = 0x6209

/**
 * [train, held-out] as of `split`, with the same share of each class held out, but for rounding: Math.round(fraction * count) samples in
 * all. Both halves are copies, in shuffled order. Wants data with labels.
 */
export function splitStratified(data: Dataset, fraction: number, seed: number): [train: Dataset, heldOut: Dataset] {
  if (data.target)
    throw new DunlinError(
      `splitStratified: the data have targets of shape [${data.target}], wanted class labels. Use split or splitByGroup.`,
    )
  const total = Math.round(fraction * data.count)
  checkBoth('splitStratified', total, data.count, `a held-out share of ${fraction} of ${data.count} samples`)
  const random = new Random(seed, STRATIFIED_STREAM)
  const order = random.shuffle(Int32Array.from({ length: data.count }, (_, i) => i))
  const sizes = new Int32Array(data.classes)
  for (let i = 0; i < data.count; i++) sizes[data.y[i]]++
  // Of each class the whole part of its share; then one more of those that lose most by it.
  const wanted = Array.from(sizes, (size) => (size * total) / data.count)
  const quota = wanted.map(Math.floor)
  const lost = wanted.map((w, c) => ({ c, rest: w - quota[c] })).sort((a, b) => b.rest - a.rest || a.c - b.c)
  for (let left = total - quota.reduce((a, b) => a + b, 0), i = 0; left > 0; left--, i++) quota[lost[i].c]++
  const isHeld = (i: number) => quota[data.y[i]]-- > 0
  const held = Array.from(order, isHeld)
  return [
    subset(
      data,
      order.filter((_, i) => !held[i]),
    ),
    subset(
      data,
      order.filter((_, i) => held[i]),
    ),
  ]
}

/**
 * [train, held-out] with each group wholly on one side: groups in an order drawn from the seed are held out until their samples come
 * nearest to `fraction` of all. At least one group is on each side. Both halves are copies in the order of the data.
 */
export function splitByGroup(data: Dataset, groups: Groups, fraction: number, seed: number): [train: Dataset, heldOut: Dataset] {
  const members = membersOf('splitByGroup', data, groups, 2)
  checkBoth('splitByGroup', fraction, 1, `a held-out share of ${fraction}`)
  const order = new Random(seed, GROUP_STREAM).shuffle(Int32Array.from({ length: members.length }, (_, i) => i))
  const wanted = fraction * data.count
  const held = new Set([order[0]])
  let count = members[order[0]].samples.length
  for (const g of order.subarray(1, -1)) {
    const more = count + members[g].samples.length
    if (Math.abs(more - wanted) > Math.abs(count - wanted)) break
    held.add(g)
    count = more
  }
  return part(data, members, (i) => held.has(i))
}

/**
 * Each group held out in turn, in the order of their names; or with `folds` fewer, several at once: dealt so that folds have nearly as
 * many samples, the largest group first, equal ones in the order of their names. The datasets of a fold are made when it is reached.
 */
export function* foldsByGroup(data: Dataset, groups: Groups, folds?: number): Generator<Fold, void> {
  const members = membersOf('foldsByGroup', data, groups, 2)
  const count = folds ?? members.length
  if (!Number.isInteger(count) || count < 2 || count > members.length)
    throw new DunlinError(`foldsByGroup: got ${count} folds of ${members.length} groups, wanted from 2 to as many as groups.`)
  const foldOf = new Int32Array(members.length)
  if (count === members.length) for (let i = 0; i < count; i++) foldOf[i] = i
  else {
    const filled = new Float64Array(count)
    const bySize = members.map((_, i) => i).sort((a, b) => members[b].samples.length - members[a].samples.length || a - b)
    for (const i of bySize) {
      foldOf[i] = filled.indexOf(Math.min(...filled))
      filled[foldOf[i]] += members[i].samples.length
    }
  }
  for (let fold = 0; fold < count; fold++) {
    const [train, heldOut] = part(data, members, (i) => foldOf[i] === fold)
    yield { groups: members.flatMap(({ group }, i) => (foldOf[i] === fold ? [group] : [])), train, heldOut }
  }
}

interface Member {
  group: string | number
  samples: number[]
}

/** The groups with their samples, numbers by size before names by their characters, whatever order the samples are in. */
function membersOf(what: string, data: Dataset, groups: Groups, least: number): Member[] {
  if (groups.length !== data.count)
    throw new DunlinError(`${what}: got ${groups.length} groups for ${data.count} samples. Give that of each sample.`)
  const found = new Map<string | number, Member>()
  for (let i = 0; i < groups.length; i++) {
    const group = groups[i]
    const member = found.get(group)
    if (member) member.samples.push(i)
    else found.set(group, { group, samples: [i] })
  }
  if (found.size < least)
    throw new DunlinError(
      `${what}: all samples are of group ${JSON.stringify(groups[0])}, wanted at least ${least} groups. Use split.`,
    )
  const rank = (group: string | number) => (typeof group === 'number' ? 0 : 1)
  const less = (a: string | number, b: string | number) => rank(a) - rank(b) || (a < b ? -1 : 1)
  return [...found.values()].sort((a, b) => less(a.group, b.group))
}

function part(data: Dataset, members: readonly Member[], isHeld: (index: number) => boolean): [Dataset, Dataset] {
  const side = (held: boolean) => Int32Array.from(members.flatMap(({ samples }, i) => (isHeld(i) === held ? samples : []))).sort()
  return [subset(data, side(false)), subset(data, side(true))]
}

function checkBoth(what: string, held: number, all: number, got: string): void {
  if (!(held > 0 && held < all))
    throw new DunlinError(`${what}: ${got} leaves a side empty, wanted at least 1 sample on each. Use a fraction such as 0.2.`)
}
