// The example of a device that learns, on fewer samples: it fails when the world has changed, and knows more again after it has learned.

import { existsSync } from 'node:fs'
import { describe, expect, it } from 'vitest'

interface Result {
  device: string
  world: string
  known: number
  before: number
  after: { seen: number; test: number }[]
  ramBytes: number
  flashBytes: number
}

describe('examples/on-device', () => {
  it('recovers from inverted and from turned pictures', async () => {
    if (!existsSync('dist/index.js')) throw new Error('dist/ is missing: run "node build.mjs".')
    const { experiment } = await import(new URL('../examples/on-device/run.mjs', import.meta.url).href)
    const results: Result[] = await experiment({ epochs: 8, samples: 500, passes: 2 })
    expect(results.map(({ device, world }) => `${device} ${world}`).length).toBe(6)
    for (const { device, world, known, before, after, ramBytes, flashBytes } of results) {
      const what = `${device}, ${world}`
      expect(known, what).toBeGreaterThan(0.93)
      expect(before, what).toBeLessThan(0.3)
      expect(after[1].test, what).toBeGreaterThan(0.6)
      if (!device.startsWith('int8')) continue
      // The digits module on a microcontroller: what it learns is 2,600 bytes of it.
      expect(ramBytes).toBeLessThanOrEqual(5 * 1024)
      expect(flashBytes).toBeLessThanOrEqual(10 * 1024)
    }
  })
})
