// logMel and mfcc: the values of SciPy and of the definition, the same bits for session and module, what is refused. Small cases of every
// kind are among the samples of all ops.

import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { makeDataset } from '../src/data/dataset'
import { buildModule, loadModule } from '../src/deploy'
import { input } from '../src/graph/node'
import { Random } from '../src/graph/random'
import { Model } from '../src/model/model'
import { sequential } from '../src/model/sequential'
import { conv2d } from '../src/ops/conv2d'
import { dense } from '../src/ops/dense'
import { type LogMelOptions, logMel, mfcc } from '../src/ops/logMel'
import { melFilters } from '../src/ops/mel'
import { flatten, reshape } from '../src/ops/reshape'
import type { MfccAttrs } from '../src/ops/spectrum'
import { planInference } from '../src/plan/build'
import { BUILDS, kernelBytes } from '../src/session/kernels'
import { Session } from '../src/session/session'
import { Trainer } from '../src/train/trainer'
import { expectNear } from './reference/near'
import { dctReference, filterReference, logMelReference } from './reference/sound'

interface Case extends MfccAttrs {
  logMel: number[][]
  mfcc: number[][]
}

const fixture: { seed: number; samples: number; quarter: number; cases: Case[] } = JSON.parse(
  readFileSync('test/fixtures/sound/features.json', 'utf8'),
)
const cases = fixture.cases.map(({ logMel, mfcc, ...attrs }): [string, MfccAttrs, number[], number[]] => [
  `${attrs.scale} ${attrs.norm} ${attrs.window}`,
  attrs,
  logMel.flat(),
  mfcc.flat(),
])
const random = new Random(fixture.seed)
const sound = Float32Array.from({ length: fixture.samples }, (_, i) => {
  return Math.floor((random.next() - 2 ** 31) / 2 ** (16 + 5 * Math.floor(i / fixture.quarter))) / 32768
})
const hosted = BUILDS.filter((build) => WebAssembly.validate(kernelBytes(build) as BufferSource))

describe.each(cases)('as SciPy has it: %s', (_, attrs, mel, cepstrum) => {
  const { coefficients, ...options } = attrs
  const x = input([sound.length])

  it('the definition in these tests', () => {
    const defined = logMelReference(attrs, sound, sound.length)
    expectNear(defined, mel, 1e-8, 'logMel')
    expectNear(dctReference(defined, attrs.bands, coefficients), cepstrum, 1e-8, 'mfcc')
  })

  it.each(hosted)('build %s, in a session and in a module', async (build) => {
    for (const [node, want] of [
      [logMel(options)(x), mel],
      [mfcc(attrs)(x), cepstrum],
    ] as const) {
      const runs: Float32Array[] = []
      for (const target of ['session', 'module'] as const) {
        const session = await Session.create(planInference([node], { batch: 1, target }), { build })
        session.feed(session.plan.inputs[0], sound)
        session.run()
        runs.push(session.fetch(session.plan.outputs[0]))
      }
      // The quietest frames are 90 dB below the loudest: what float32 errs by in a sum of 512 samples is little to any of them.
      expectNear(runs[0], want, 2e-5, node.op)
      expect(runs[1]).toEqual(runs[0])
    }
  })
})

it('a module made of it has the bits of a session on the same build', async () => {
  const model = new Model(mfcc(cases[0][1])(input([sound.length, 1])), { name: 'features' })
  for (const target of ['aot', 'interpreter', 'simd'] as const) {
    const { wasm } = await buildModule(model, { target })
    const module = await loadModule(wasm)
    expect(module.predict(sound)).toEqual(await model.predict(sound, { build: target === 'simd' ? 'simd' : 'scalar' }))
  }
})

it('hears tones where they are', async () => {
  const options: LogMelOptions = { sampleRate: 16000, frame: 400, step: 160, bands: 40, low: 20 }
  const model = new Model(logMel(options)(input([1600])))
  const bands = melFilters({ ...(model.outputs[0].attrs as MfccAttrs) })
  for (const hz of [100, 440, 1000, 3500, 7000]) {
    const tone = Float32Array.from({ length: 1600 }, (_, i) => 0.5 * Math.sin((2 * Math.PI * hz * i) / 16000))
    const y = await model.predict(tone)
    for (let f = 0; f < y.length; f += 40) {
      const frame = y.subarray(f, f + 40)
      const { from, to } = bands[frame.indexOf(Math.max(...frame))]
      expect(hz > from && hz < to, `${hz} Hz in a band from ${from} to ${to}`).toBe(true)
    }
  }
})

it('filters are those of the definition, and the areas of slaney are 1', () => {
  for (const scale of ['htk', 'slaney'] as const) {
    for (const norm of ['none', 'slaney'] as const) {
      const attrs = { sampleRate: 22050, fftLength: 2048, bands: 30, low: 0, high: 11025, scale, norm } as MfccAttrs
      const want = filterReference(attrs)
      melFilters(attrs).forEach(({ first, weights }, m) => {
        const row = new Float64Array(1025)
        row.set(weights, first)
        expectNear(row, want[m], 1e-10, `${scale} ${norm}, band ${m}`)
        if (norm === 'slaney') expect((weights.reduce((a, b) => a + b) * 22050) / 2048).toBeCloseTo(1, 1)
      })
    }
  }
})

describe('in a model', () => {
  const options: LogMelOptions = { sampleRate: 8000, frame: 128, step: 64, bands: 12 }
  const draw = new Random(3)
  const sounds = makeDataset({
    x: Float32Array.from({ length: 24 * 640 }, (_, i) => {
      const class_ = Math.floor(i / 640) % 2
      return 0.3 * Math.sin((2 * Math.PI * (class_ ? 1800 : 500) * i) / 8000) + draw.uniform(-0.1, 0.1)
    }),
    y: Array.from({ length: 24 }, (_, i) => i % 2),
    shape: [640],
    classes: 2,
  })
  const head = sequential(
    reshape({ shape: [9, 12, 1] }),
    conv2d({ filters: 4, kernel: 3, activation: 'relu' }),
    flatten(),
    dense({ units: 2 }),
  )

  it('features of a dataset are computed once, and the trained layers put behind the op', async () => {
    const features = new Model(logMel(options)(input([640])))
    const { shape } = features.outputs[0]
    const data = makeDataset({ ...sounds, x: await features.predict(sounds.x), shape })
    const trained = new Model(head(input(shape)))
    await new Trainer(trained, { batch: 8 }).fit(data, { epochs: 6 })
    expect(await trained.evaluate(data)).toEqual({ accuracy: 1 })
    const whole = new Model(head(logMel(options)(input([640]))))
    expect(await whole.predict(sounds.x)).toEqual(await trained.predict(data.x))
    const loaded = Model.load(whole.save())
    expect(await loaded.predict(sounds.x)).toEqual(await whole.predict(sounds.x))
  })

  it('layers behind it learn from raw samples, with the same result', async () => {
    const model = new Model(head(logMel(options)(input([640]))))
    const [first, , last] = await new Trainer(model, { batch: 8 }).fit(sounds, { epochs: 3 })
    expect(last.loss).toBeLessThan(first.loss)
  })

  it('nothing before it can learn', async () => {
    const model = new Model(head(logMel(options)(dense({ units: 640 })(input([640])))))
    await expect(new Trainer(model).fit(sounds, { epochs: 1 })).rejects.toThrow(
      /^logMel "logMel": has no gradient, so nothing before it can be trained\./,
    )
  })

  it.each([
    [{ frame: 0 }, /^logMel "ears": frame wants a positive integer, got 0\./],
    [{ step: 1.5 }, /^logMel "ears": step wants a positive integer, got 1\.5\./],
    [{ sampleRate: 0 }, /sampleRate wants a number in/],
    [{ fftLength: 100 }, /fftLength wants a power of 2 in \[8, 32768\] that holds a frame of 128 samples, got 100/],
    [{ fftLength: 64 }, /got 64/],
    [{ fftLength: 2 ** 20 }, /got 1048576/],
    [{ frame: 1000 }, /a frame of 1000 samples does not fit into the 640 of x\. Use a shorter one/],
    [{ low: -1 }, /low wants a number in \[0, 4000\], got -1/],
    [{ high: 5000 }, /high wants a number in \[0, 4000\], got 5000/],
    [{ low: 500, high: 400 }, /high wants a number in \[500, 4000\], got 400/],
    [{ low: 500, high: 500 }, /of 12 bands the one from 500\.0 to 500\.0 Hz hears nothing/],
    [{ floor: 0 }, /floor wants a number/],
    [{ window: 'box' }, /window wants one of "hann", "hamming", got "box"/],
    [{ scale: 'bark' }, /scale wants one of "htk", "slaney", got "bark"/],
    [{ norm: null }, /norm wants one of "none", "slaney", got null/],
    [{ periodic: 1 }, /periodic wants one of true, false, got 1/],
    [
      { bands: 60 },
      /^logMel "ears": of 60 bands the one from 0\.0 to .* Hz hears nothing, an FFT of 128 has a frequency every 62\.5 Hz\. Use/,
    ],
    [{ bands: 1e9 }, /1000000000 bands are too many, an FFT of 128/],
  ])('refuses %s', (wrong, message) => {
    expect(() => logMel({ ...options, ...wrong, name: 'ears' } as LogMelOptions)(input([640]))).toThrow(message)
  })

  it('refuses other inputs and too many coefficients', () => {
    expect(() => logMel(options)(input([640, 2]))).toThrowErrorMatchingInlineSnapshot(
      `[DunlinError: logMel: wants samples [n] or [n, 1] of one channel, got shape [640,2].]`,
    )
    expect(() => mfcc({ ...options, coefficients: 13 })(input([640]))).toThrowErrorMatchingInlineSnapshot(
      `[DunlinError: mfcc: 12 bands have at most 12 coefficients, got 13.]`,
    )
  })
})
