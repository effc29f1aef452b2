// Seeded random numbers: sfc32 (Chris Doty-Humphrey, PractRand), integer arithmetic only, so that a seed gives the same
// bits on every engine; so do normal draws, whose logarithm is our own. Nothing in dunlin calls Math.random.

import { log } from './arithmetic'

export class Random {
  private a: number
  private b: number
  private c: number
  private d = 1

  /** `seed` is any integer; `stream` separates independent uses of one seed (weights, shuffling, augmentation). */
  constructor(seed: number, stream = 0) {
    this.a = seed | 0
    this.b = Math.floor(seed / 2 ** 32) | 0
    this.c = stream | 0
    for (let i = 0; i < 15; i++) this.next()
  }

  /** Where it stands: put back, it draws the same numbers again. */
  get state(): readonly number[] {
    return [this.a, this.b, this.c, this.d]
  }

  set state([a, b, c, d]: readonly number[]) {
    this.a = a
    this.b = b
    this.c = c
    this.d = d
  }

  /** The next 32 bits, as an unsigned integer. */
  next(): number {
    const t = (((this.a + this.b) | 0) + this.d) | 0
    this.d = (this.d + 1) | 0
    this.a = this.b ^ (this.b >>> 9)
    this.b = (this.c + (this.c << 3)) | 0
    this.c = (((this.c << 21) | (this.c >>> 11)) + t) | 0
    return t >>> 0
  }

  /** Uniform in [low, high), 32 bits of resolution. */
  uniform(low = 0, high = 1): number {
    return low + (this.next() / 2 ** 32) * (high - low)
  }

  /** Of mean 0 and variance 1, normally distributed, by the polar method (Marsaglia and Bray, 1964). */
  normal(): number {
    for (;;) {
      // A point in the unit disc; the second number that it would give is let go, so that there is no state to keep.
      const u = this.uniform(-1, 1)
      const v = this.uniform(-1, 1)
      const s = u * u + v * v
      if (s > 0 && s < 1) return u * Math.sqrt((-2 * log(s)) / s)
    }
  }

  /** A uniform integer in [0, n). Without the modulo's bias: values past the largest multiple of n are drawn again. */
  integer(n: number): number {
    const limit = 2 ** 32 - (2 ** 32 % n)
    let v = this.next()
    while (v >= limit) v = this.next()
    return v % n
  }

  /** Shuffles in place (Fisher-Yates) and returns its argument. */
  shuffle<T extends { length: number; [i: number]: number }>(list: T): T {
    for (let i = list.length - 1; i > 0; i--) {
      const j = this.integer(i + 1)
      const t = list[i]
      list[i] = list[j]
      list[j] = t
    }
    return list
  }
}
