// Splits that keep shares or groups, targets in place of labels, and statistics of channels.

import { describe, expect, it } from 'vitest'
import { channelStatistics, type Dataset, makeDataset, oneHot, statistics } from '../src/data/dataset'
import { foldsByGroup, splitByGroup, splitStratified } from '../src/data/split'
import { DunlinError } from '../src/graph/error'
import { Random } from '../src/graph/random'

/** Sample i is the number i, with these labels. */
const labelled = (y: number[], classes = Math.max(...y) + 1): Dataset =>
  makeDataset({ x: Int32Array.from(y, (_, i) => i), y, shape: [1], classes })
const sorted = (list: ArrayLike<number>) => Array.from(list).sort((a, b) => a - b)
const all = (count: number) => Array.from({ length: count }, (_, i) => i)

describe('splitStratified', () => {
  it('holds out the share of each class but for rounding, and every sample once', () => {
    const random = new Random(3)
    for (let round = 0; round < 60; round++) {
      const classes = 1 + random.integer(5)
      const y = Array.from({ length: 5 + random.integer(80) }, () => random.integer(classes))
      const [fraction, seed] = [random.uniform(0.15, 0.85), random.next()]
      const note = `seed 3, round ${round}: ${y.length} samples of ${classes} classes, share ${fraction}, seed ${seed}`
      const data = labelled(y, classes)
      const [train, heldOut] = splitStratified(data, fraction, seed)
      expect(heldOut.count, note).toBe(Math.round(fraction * y.length))
      expect(sorted([...train.x, ...heldOut.x]), note).toEqual(all(y.length))
      for (const half of [train, heldOut]) expect([...half.y], note).toEqual(Array.from(half.x, (i) => y[i]))
      for (let c = 0; c < classes; c++) {
        const share = (y.filter((v) => v === c).length * heldOut.count) / y.length
        expect(Math.abs(heldOut.y.filter((v) => v === c).length - share), note).toBeLessThan(1)
      }
      expect(splitStratified(data, fraction, seed), note).toEqual([train, heldOut])
    }
  })

  it('draws by its seed, and refuses targets and empty sides', () => {
    const data = labelled(all(40).map((i) => i % 2))
    expect(splitStratified(data, 0.5, 1)[1].x).not.toEqual(splitStratified(data, 0.5, 2)[1].x)
    expect(() => splitStratified(data, 0.001, 1)).toThrow(/^splitStratified: a held-out share of 0\.001 of 40 samples leaves/)
    expect(() => splitStratified(oneHot(data), 0.5, 1)).toThrow(/^splitStratified: the data have targets of shape \[2\]/)
  })
})

describe('splitByGroup', () => {
  it('has each group on one side, near the share that was asked for', () => {
    const random = new Random(5)
    for (let round = 0; round < 60; round++) {
      const count = 20 + random.integer(60)
      const groups = Array.from({ length: count }, () => `speaker ${random.integer(6)}`)
      if (new Set(groups).size < 2) continue
      const [fraction, seed] = [random.uniform(0.1, 0.9), random.next()]
      const note = `seed 5, round ${round}: ${count} samples, share ${fraction}, seed ${seed}`
      const [train, heldOut] = splitByGroup(labelled(all(count).map(() => 0)), groups, fraction, seed)
      expect(sorted([...train.x, ...heldOut.x]), note).toEqual(all(count))
      const sides = [train, heldOut].map(({ x }) => new Set(Array.from(x, (i) => groups[i])))
      expect(sides[0].size * sides[1].size, note).toBeGreaterThan(0)
      for (const group of sides[0]) expect(sides[1].has(group), note).toBe(false)
      const largest = Math.max(...[...new Set(groups)].map((g) => groups.filter((v) => v === g).length))
      expect(Math.abs(heldOut.count - fraction * count), note).toBeLessThanOrEqual(largest)
    }
  })

  it('does not depend on the order of the samples', () => {
    const groups = ['b', 'a', 'c', 'a', 'b', 'd']
    const data = labelled(all(6).map(() => 0))
    const held = (order: number[]) => {
      const [, heldOut] = splitByGroup(
        data,
        order.map((i) => groups[i]),
        0.4,
        9,
      )
      return new Set(Array.from(heldOut.x, (i) => groups[order[i]]))
    }
    expect(held([5, 4, 3, 2, 1, 0])).toEqual(held(all(6)))
  })

  it('refuses one group, another number of groups and a share of nothing', () => {
    const data = labelled([0, 0, 1])
    expect(() => splitByGroup(data, ['a', 'a', 'a'], 0.5, 1)).toThrow(
      /^splitByGroup: all samples are of group "a", wanted at least 2/,
    )
    expect(() => splitByGroup(data, ['a', 'b'], 0.5, 1)).toThrow(/^splitByGroup: got 2 groups for 3 samples/)
    expect(() => splitByGroup(data, ['a', 'b', 'c'], 1, 1)).toThrow(DunlinError)
  })
})

describe('foldsByGroup', () => {
  const groups = [3, 1, 2, 1, 3, 3, 20]
  const data = labelled(all(7).map(() => 0))

  it('holds out each group in turn', () => {
    const folds = [...foldsByGroup(data, groups)]
    expect(folds.map((f) => f.groups)).toEqual([[1], [2], [3], [20]])
    expect(folds.map((f) => [...f.heldOut.x])).toEqual([[1, 3], [2], [0, 4, 5], [6]])
    expect(folds.map((f) => [...f.train.x])).toEqual([
      [0, 2, 4, 5, 6],
      [0, 1, 3, 4, 5, 6],
      [1, 2, 3, 6],
      [0, 1, 2, 3, 4, 5],
    ])
  })

  it('deals groups to fewer folds so that they are nearly of one size', () => {
    const folds = [...foldsByGroup(data, groups, 2)]
    expect(folds.map((f) => f.groups)).toEqual([
      [3, 20],
      [1, 2],
    ])
    expect(sorted(folds.flatMap((f) => [...f.heldOut.x]))).toEqual(all(7))
  })

  it.each([1, 5, 2.5])('refuses %s folds of 4 groups', (folds) => {
    expect(() => [...foldsByGroup(data, groups, folds)]).toThrow(/^foldsByGroup: got .* folds of 4 groups/)
  })
})

describe('oneHot', () => {
  it('has 1 at the label, and keeps the samples and their weights', () => {
    const data = makeDataset({
      x: Uint8Array.of(7, 8, 9),
      y: [2, 0, 1],
      shape: [1],
      classes: 3,
      labels: ['a', 'b', 'c'],
      weights: [1, 2, 3],
    })
    const targets = oneHot(data)
    expect(targets).toEqual(
      makeDataset({ x: data.x, y: [0, 0, 1, 1, 0, 0, 0, 1, 0], shape: [1], target: [3], weights: [1, 2, 3] }),
    )
    expect(() => oneHot(targets)).toThrow(/^oneHot: the data have targets of shape \[3\]/)
  })
})

describe('channelStatistics', () => {
  it('is that of each channel for itself', () => {
    const data = makeDataset({
      x: Float32Array.of(2, 7, 4, 7, 4, 7, 4, 7, 5, 7, 5, 7, 7, 7, 9, 7),
      y: [0, 0],
      shape: [4, 2],
      classes: 1,
    })
    expect(channelStatistics(data)).toEqual({ mean: [5, 7], std: [2, 0] })
    const grey = { ...data, shape: [8, 1] }
    const { mean, std } = statistics(grey)
    expect(channelStatistics(grey)).toEqual({ mean: [mean], std: [std] })
  })
})
