// Seeded random numbers: sfc32 (Chris Doty-Humphrey, PractRand), integer arithmetic only, so that a seed gives the same
// bits on every engine. Nothing in dunlin calls Math.random.

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
