// logMel and mfcc of 16-bit samples: the integers of the specification in every build, their distance to the float form within a formula,
// and int8 models that begin with them.

import { describe, expect, it } from 'vitest'
import { quantize } from '../src/compress/quantize'
import { buildModule, loadModule } from '../src/deploy'
import { input, type Node } from '../src/graph/node'
import { Random } from '../src/graph/random'
import { Model } from '../src/model/model'
import { sequential } from '../src/model/sequential'
import { conv2d } from '../src/ops/conv2d'
import { dense } from '../src/ops/dense'
import { fixedCosines, fixedTables } from '../src/ops/fixedSpectrum'
import { type LogMelOptions, logMel, mfcc } from '../src/ops/logMel'
import { flatten, reshape } from '../src/ops/reshape'
import type { LogMelAttrs, MfccAttrs } from '../src/ops/spectrum'
import { planInference } from '../src/plan/build'
import { Session } from '../src/session/session'
import { builds, in_, out, run, scratch } from './harness'
import { scale } from './reference/i8'
import { expectNear } from './reference/near'
import {
  dctReference,
  filterReference,
  fixedDctReference,
  fixedLogMelReference,
  logMelReference,
  powerReference,
  windowReference,
} from './reference/sound'

const SEED = 17
const RATE = 16000

/** Sounds of n 16-bit samples. */
const sounds: Record<string, (n: number) => Int16Array> = {
  silence: (n) => new Int16Array(n),
  'one step': (n) => Int16Array.from({ length: n }, (_, i) => (i === n >> 1 ? 1 : 0)),
  'noise of 1 bit': (n) => noise(n, 1),
  'noise of 8 bits': (n) => noise(n, 128),
  'loud noise': (n) => noise(n, 32767),
  'a tone': (n) => tone(n, 440, 20000),
  'a quiet tone': (n) => tone(n, 3000, 20),
  'two tones': (n) => tone(n, 700, 16000).map((v, i) => v + tone(n, 5100, 16000)[i]),
  'a clipped tone': (n) => tone(n, 250, 1e6),
  'a clipped tone of the highest frequency': (n) => Int16Array.from({ length: n }, (_, i) => (i % 2 ? 32767 : -32768)),
  'the lowest sample': (n) => new Int16Array(n).fill(-32768),
}
function noise(n: number, range: number): Int16Array {
  const random = new Random(SEED, range)
  return Int16Array.from({ length: n }, () => random.integer(2 * range + 1) - range)
}
function tone(n: number, hz: number, amplitude: number): Int16Array {
  const at = (i: number) => Math.round(amplitude * Math.sin((2 * Math.PI * hz * i) / RATE))
  return Int16Array.from({ length: n }, (_, i) => Math.max(-32768, Math.min(32767, at(i))))
}

const attrsOf = (options: LogMelOptions & { coefficients?: number }, n: number): MfccAttrs =>
  mfcc(options)(input([n])).attrs as MfccAttrs
const framesOf = ({ frame, step }: LogMelAttrs, n: number) => 1 + Math.floor((n - frame) / step)

const known = new Map<string, number[]>()
/** The integers of the specification, computed once for all builds. */
function logsOf(attrs: MfccAttrs, name: string, n: number): number[] {
  const key = `${JSON.stringify(attrs)} ${name} ${n}`
  let logs = known.get(key)
  if (!logs) known.set(key, (logs = fixedLogMelReference(attrs, sounds[name](n), n)))
  return logs
}

const speech = { sampleRate: RATE, frame: 400, step: 160, bands: 40, low: 20 }
/** From the shortest FFT to a long one; the logarithms of very quiet bands, and tables with very small weights. */
const cases: [options: LogMelOptions & { coefficients?: number }, n: number][] = [
  [{ sampleRate: RATE, frame: 7, step: 3, fftLength: 8, bands: 1, coefficients: 1 }, 13],
  [{ sampleRate: RATE, frame: 16, step: 5, bands: 3, coefficients: 3, window: 'hamming', periodic: false }, 33],
  [{ sampleRate: RATE, frame: 101, step: 40, bands: 10, coefficients: 4, floor: 1e-12, scale: 'slaney', norm: 'slaney' }, 200],
  [speech, 560],
  [{ sampleRate: RATE, frame: 1000, step: 100, bands: 64, coefficients: 20, norm: 'slaney', window: 'hamming' }, 1000],
]

describe.each(builds)('$name', (build) => {
  it.each(cases)('the integers of the specification: %s, %i samples', (options, n) => {
    const attrs = attrsOf(options, n)
    const { bands, coefficients, frame, step, fftLength } = attrs
    const frames = framesOf(attrs, n)
    const { window, twiddles, spans, weights, offset, least } = fixedTables(attrs)
    const x = Int16Array.from(Object.values(sounds).flatMap((sound) => [...sound(n)]))
    const batch = Object.keys(sounds).length
    const sizes = [batch, n, frames, frame, step, fftLength, bands]
    const tables = [in_(window), in_(twiddles), in_(spans), in_(weights)]
    const rows = batch * frames
    const [logs] = run(build, 'logMel_i16', [
      ...[in_(x), ...tables, out('i16', rows * bands), scratch('i32', fftLength + 2), ...sizes, offset, least],
    ])
    const want = Object.keys(sounds).flatMap((name) => logsOf(attrs, name, n))
    expect([...logs], `seed ${SEED}`).toEqual(want)

    const [multiplier, shift, zero] = [1518500250, -6, -3]
    const toInt8 = (v: number) => Math.max(-128, Math.min(127, zero + scale(v, { multiplier, shift })))
    const [int8] = run(build, 'requantize_i16', [in_(logs), out('i8', logs.length), logs.length, multiplier, shift, zero])
    expect([...int8]).toEqual(want.map(toInt8))
    const cepstra = fixedDctReference(want, attrs)
    const [y] = run(build, 'dct_i16', [
      ...[in_(logs), in_(fixedCosines(attrs)), out('i8', rows * coefficients), rows, coefficients, bands],
      ...[multiplier, shift - 6, zero],
    ])
    expect([...y]).toEqual(cepstra.map((c) => Math.max(-128, Math.min(127, zero + scale(c, { multiplier, shift: shift - 6 })))))
  })
})

/**
 * How far logarithms may be from those of the real numbers, by the formula of src/ops/fixedSpectrum.ts: [energy less, energy more] in each
 * band, and with it the distance of the logarithms.
 */
function bounds(attrs: LogMelAttrs, x: Int16Array, n: number): number[] {
  const { frame, step, fftLength, floor } = attrs
  const filters = filterReference(attrs)
  const { bits } = fixedTables(attrs)
  const unit = fftLength / 2 ** 30
  const spread = 4 * fftLength * unit ** 2
  const window = windowReference(attrs)
  const found: number[] = []
  for (let at = 0; at + frame <= n; at += step) {
    const power = powerReference(
      window.map((w, i) => (w * x[at + i]) / 32768),
      fftLength,
    )
    for (const row of filters) {
      let [energy, error] = [0, 0]
      for (const [k, w] of row.entries()) {
        energy += w * power[k]
        error += w * (2 * Math.sqrt(power[k] * spread) + spread + 2048 * unit ** 2)
        if (w) error += power[k] / 2 ** (bits + 1)
      }
      const log = (e: number) => Math.log(Math.max(floor, e))
      found.push(Math.max(log(energy + error) - log(energy), log(energy) - log(energy - error)) + 2 ** -9)
    }
  }
  return found
}

describe('the distance to the float form', () => {
  const distances = (attrs: MfccAttrs, n: number) =>
    Object.entries(sounds).map(([name, sound]) => {
      const x = sound(n)
      const logs = logsOf(attrs, name, n).map((v) => (v / 512) * Math.LN2)
      const float = logMelReference(
        attrs,
        Float64Array.from(x, (v) => v / 32768),
        n,
      )
      return { name, x, float, logs }
    })

  it.each(cases)('is within the formula: %s, %i samples', (options, n) => {
    const attrs = attrsOf(options, n)
    for (const { name, x, float, logs } of distances(attrs, n)) {
      expectNear(logs, float, bounds(attrs, x, n), `${name} (seed ${SEED})`)
    }
  })

  it('of speech options is below a hundredth, a tenth of a step of int8', () => {
    const attrs = attrsOf(speech, 560)
    for (const { name, float, logs } of distances(attrs, 560)) expectNear(logs, float, 0.01, `${name} (seed ${SEED})`)
  })

  it('of coefficients is that of the logarithms', () => {
    const attrs = attrsOf(speech, 560)
    for (const { name, float, logs } of distances(attrs, 560)) {
      const fixed = fixedDctReference(
        logs.map((v) => Math.round((v * 512) / Math.LN2)),
        attrs,
      )
      const want = dctReference(float, attrs.bands, attrs.coefficients)
      // Rows of the DCT have length 1; each cosine is within 2^-16, and 40 logarithms within 14 are not longer than 90.
      const real = fixed.map((c) => (c / 2 ** 15) * Math.LN2)
      expectNear(real, want, Math.sqrt(attrs.bands) * 0.01 + 90 * Math.sqrt(attrs.bands) * 2 ** -16, `${name} (seed ${SEED})`)
    }
  })
})

describe('int8 models', () => {
  const N = 1600
  const names = Object.keys(sounds)
  const all = Int16Array.from(names.flatMap((name) => [...sounds[name](N)]))
  const real = Float32Array.from(all, (v) => v / 32768)
  const bytes = (x: ArrayBufferView) => [...new Uint8Array(x.buffer, x.byteOffset, x.byteLength)]

  it.each([
    ['logMel', logMel],
    ['mfcc', mfcc],
  ] as const)('%s alone: within half a step of the float one, the same bytes everywhere', async (name, make) => {
    const float = new Model(make(speech)(input([N])), { name: `only ${name}` })
    const int8 = await quantize(float, { x: real })
    const [out] = int8.outputs
    expect(int8.inputs[0]).toMatchObject({ dtype: 'i16', quant: { scale: [1 / 32768], zeroPoint: 0 } })
    expect(out.dtype).toBe('i8')
    const [y, want] = [await int8.predict(real), await float.predict(real)]
    const step = out.quant!.scale[0]
    const far = name === 'logMel' ? 0.01 : 0.01 * Math.sqrt(speech.bands) + 0.01
    expectNear(y, want, step / 2 + far, name)
    expect(await Model.load(int8.save()).predict(real)).toEqual(y)

    const stored: string[] = []
    for (const target of ['session', 'module'] as const) {
      for (const { name: build } of builds) {
        for (const threads of [1, 3]) {
          const plan = planInference([out], { batch: names.length, target, threads })
          const session = await Session.create(plan, { build: build as 'scalar' })
          session.view(plan.inputs[0]).set(all)
          session.run()
          stored.push(session.view(plan.outputs[0]).join())
        }
      }
    }
    expect(new Set(stored).size).toBe(1)

    for (const target of ['aot', 'interpreter', 'simd'] as const) {
      const { wasm, header } = await buildModule(int8, { target })
      const module = await loadModule(wasm)
      expect(module.metadata.inputs[0]).toMatchObject({ dtype: 'i16', shape: [N], scale: 1 / 32768, zero_point: 0 })
      expect(module.inputs[0]).toBeInstanceOf(Int16Array)
      expect(header).toContain('_INPUT_TYPE int16_t')
      expect(header).toContain(`_INPUT_BYTES ${2 * N}u`)
      const results = names.flatMap((sound) => {
        module.inputs[0].set(sounds[sound](N))
        module.run()
        return [...module.outputs[0]]
      })
      expect(results.join()).toBe(stored[0])
      expect([...module.predict(real.subarray(0, N))]).toEqual([...y.subarray(0, y.length / names.length)])
    }
  })

  const head = () =>
    sequential(
      logMel({ sampleRate: RATE, frame: 256, step: 128, bands: 16 }),
      reshape({ shape: [11, 16, 1] }),
      conv2d({ filters: 4, kernel: 3, activation: 'relu' }),
      flatten(),
      dense({ units: 3 }),
    )

  it('a network behind it takes 16-bit samples, raw or as numbers in -1..1', async () => {
    const normalize = { mean: 0, std: 32768 }
    const float = new Model(head()(input([N, 1], { normalize })), { seed: 4 })
    const int8 = await quantize(float, { x: all })
    const [y, want] = [await int8.predict(all), await float.predict(all)]
    const range = Math.max(...want) - Math.min(...want)
    // int8 steps of a few layers: a few hundredths of the range.
    expectNear(y, want, 0.05 * range, 'network')
    const { wasm, header } = await buildModule(int8)
    expect(header).toContain('_INPUT_STD (32768.0000f)')
    const module = await loadModule(wasm)
    module.inputs[0].set(sounds['loud noise'](N))
    module.run()
    const raw = bytes(module.outputs[0])
    module.predict(sounds['loud noise'](N))
    expect(bytes(module.outputs[0])).toEqual(raw)
    const at = names.indexOf('loud noise')
    expect([...module.predict(sounds['loud noise'](N))]).toEqual([...y.subarray(3 * at, 3 * at + 3)])
  })

  it('refuses samples that others read, too, or that are no input', async () => {
    const x = input([N])
    const two = (other: Node) => new Model([head()(x), other])
    await expect(quantize(two(dense({ units: 2 })(x)), { x: real })).rejects.toThrowErrorMatchingInlineSnapshot(
      `[DunlinError: quantize: logMel "logMel" takes i16 values, which only an input that is all its own can be: dense "dense_2" reads that, too. Put it right behind such an input.]`,
    )
    const behind = new Model(logMel(speech)(reshape({ shape: [N] })(input([N, 1]))))
    await expect(quantize(behind, { x: real })).rejects.toThrowErrorMatchingInlineSnapshot(
      `[DunlinError: quantize: logMel "logMel" takes i16 values, which only an input that is all its own can be: it reads reshape "reshape". Put it right behind such an input.]`,
    )
  })

  it('a file whose samples are no such samples is refused', async () => {
    const file = (await quantize(new Model(head()(input([N]))), { x: real })).save()
    const length = Number(new DataView(file.buffer, file.byteOffset).getBigUint64(0, true))
    const changed = (from: string, to: string) => {
      const text = new TextDecoder('latin1').decode(file)
      expect(text.slice(0, 8 + length)).toContain(from)
      return Uint8Array.from(text.replace(from, to), (c) => c.charCodeAt(0))
    }
    const asBytes = changed(String.raw`\"dtype\":\"i16\"`, String.raw`\"dtype\":\"i8\" `)
    expect(() => Model.load(asBytes, 'a.st')).toThrow(/^a\.st: .*logMel "logMel" is i8, its input input "input" is i8/)
    const scaled = Model.load(changed('[0.000030517578125]', '[0.000030517578126]'), 'a.st')
    await expect(scaled.predict(real)).rejects.toThrow(
      /^logMel "logMel": its samples have scale 0\.000030517578126 and zero point 0/,
    )
  })
})
