// mixup (Zhang et al. 2018): a network trained on means of two samples, with the same means of their targets, is smoother between classes.
// Each sample is mixed with one of its batch, drawn by chance. Its own share is drawn from Beta(alpha, alpha), and the larger of the two
// shares is taken: pairs and shares are the same as without that, but a sample that is mostly another does not go under its name.

import { exp, log } from '../graph/arithmetic'
import { DunlinError } from '../graph/error'
import type { Node } from '../graph/node'
import type { Random } from '../graph/random'

/** In [1/2, 1]. */
export function drawShare(random: Random, alpha: number): number {
  // Beta(a, a) is g / (g + h) with g and h from Gamma(a). In logarithms, for with a small alpha both can be too small for a number.
  const difference = Math.max(-700, Math.min(700, logGamma(random, alpha) - logGamma(random, alpha)))
  const share = 1 / (1 + exp(difference))
  return Math.max(share, 1 - share)
}

/** ln of a draw from the gamma distribution of shape `a` and scale 1 (Marsaglia and Tsang 2000). */
function logGamma(random: Random, a: number): number {
  // Below 1: that of a + 1, times a uniform number to the power of 1 / a. It is drawn from (0, 1].
  if (a < 1) return logGamma(random, a + 1) + log(1 - random.uniform()) / a
  const d = a - 1 / 3
  for (;;) {
    const x = random.normal()
    const root = 1 + x / Math.sqrt(9 * d)
    if (root <= 0) continue
    const v = root * root * root
    if (log(1 - random.uniform()) < (x * x) / 2 + d * (1 - v + log(v))) return log(d * v)
  }
}

/** Throws where samples or targets cannot be mixed. */
export function checkMixup(alpha: number, inputs: readonly Node[], target: Node, loss: string): void {
  if (!(alpha >= 0 && alpha <= 100))
    throw new DunlinError(`Trainer: mixup wants a number in [0, 100], got ${alpha}. 0.2 is usual.`)
  if (!alpha) return
  if (target.dtype !== 'f32') {
    throw new DunlinError(
      `Trainer: mixup mixes targets, ${loss} takes one class for each sample. Use categoricalCrossEntropy() with oneHot(data).`,
    )
  }
  const whole = inputs.find(({ dtype }) => dtype !== 'f32')
  if (whole) throw new DunlinError(`Trainer: mixup mixes samples, input "${whole.name}" takes integers. Train without mixup.`)
}
