// Checkpoints: a training that goes on from one gives the bits of a training that never stopped, whatever takes part in it; a file that is
// not what was written is refused; so is another training's.

import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { crc32 as zlibCrc32 } from 'node:zlib'
import { afterAll, beforeEach, describe, expect, it } from 'vitest'
import { checkpoints, resumeFrom } from '../src/checkpoints'
import { prune } from '../src/compress/prune'
import { shift } from '../src/data/augment'
import { type Dataset, makeDataset, subset } from '../src/data/dataset'
import { loadDigits } from '../src/files'
import { DunlinError } from '../src/graph/error'
import { input } from '../src/graph/node'
import { Random } from '../src/graph/random'
import { csvLog, jsonlLog } from '../src/logs'
import { Model } from '../src/model/model'
import { readSafetensors } from '../src/model/safetensors'
import { sequential } from '../src/model/sequential'
import { batchNorm } from '../src/ops/batchNorm'
import { conv2d } from '../src/ops/conv2d'
import { dense } from '../src/ops/dense'
import { dropout } from '../src/ops/dropout'
import { lstm } from '../src/ops/lstm'
import { flatten, reshape } from '../src/ops/reshape'
import { BUILDS, bestBuild, kernelBytes } from '../src/session/kernels'
import { type Callback, earlyStopping } from '../src/train/callbacks'
import { crc32, readCheckpoint, writeCheckpoint } from '../src/train/checkpoint'
import { meanSquaredError } from '../src/train/losses'
import { accuracy, auc, precision } from '../src/train/metrics'
import { adam, adamW, nadam, radam, rmsprop, sgd } from '../src/train/optimizers'
import { oneCycle, reduceOnPlateau, warmUp } from '../src/train/schedules'
import { Trainer, type TrainerOptions } from '../src/train/trainer'

const digits = loadDigits()
const part = (from: number, count: number): Dataset =>
  subset(
    digits,
    [...Array(count).keys()].map((i) => from + i),
  )
const [train, validation] = [part(0, 50), part(50, 20)]
const bytesOf = (model: Model) =>
  model.params.map((p) => Buffer.from(p.data.buffer, p.data.byteOffset, p.data.byteLength).toString('hex'))
const seed = Number(process.env.SEED ?? Math.floor(performance.timeOrigin) % 1e9)

/** A training from its very begin: nothing in it is shared with another of the same kind. */
interface Case {
  model: () => Model
  options?: () => TrainerOptions
  callbacks?: () => Callback[]
  data?: Dataset
  held?: Dataset
}

const image = () => input([8, 8, 1])
const small = () =>
  new Model(sequential(flatten(), dense({ units: 6, activation: 'relu' }), dense({ units: 10 }))(image()), { seed: 1 })
const deep = () =>
  new Model(
    sequential(
      conv2d({ filters: 4, kernel: 3, strides: 2 }),
      batchNorm({ activation: 'relu' }),
      flatten(),
      dropout({ rate: 0.3 }),
      dense({ units: 10 }),
    )(image()),
    { seed: 2 },
  )
const rows = () =>
  new Model(sequential(reshape({ shape: [8, 8] }), lstm({ units: 4, stateful: true }), dense({ units: 10 }))(image()), {
    seed: 3,
  })
const targets: Dataset = { ...train, y: Float32Array.from(train.y), classes: 0, target: [1] }
const binary = makeDataset({ x: train.x, shape: train.shape, y: Array.from(train.y, (v) => v & 1), classes: 2 })

const CASES: Record<string, Case> = {
  'sgd without a state': { model: small, options: () => ({ optimizer: sgd() }) },
  'adam, augmentation, one cycle': {
    model: small,
    options: () => ({
      optimizer: adam({ amsgrad: true, clipNorm: 1 }),
      augment: [shift(1, { subpixel: true })],
      schedule: oneCycle(),
    }),
  },
  'batchNorm, dropout, adamW, early stopping': {
    model: deep,
    options: () => ({ optimizer: adamW({ lr: 0.02 }) }),
    callbacks: () => [earlyStopping({ patience: 1 })],
  },
  'accumulated gradients, dropout, momentum': {
    model: deep,
    options: () => ({ optimizer: sgd({ momentum: 0.9, dampening: 0.1, lr: 0.05 }), accumulate: 2, batch: 5 }),
  },
  'a schedule that looks at results, nadam': {
    model: small,
    options: () => ({
      optimizer: nadam(),
      schedule: warmUp({ after: reduceOnPlateau({ patience: 1, monitor: (r) => -r.loss }) }),
    }),
  },
  'a stateful lstm, rmsprop': {
    model: rows,
    options: () => ({ optimizer: rmsprop({ centered: true, momentum: 0.5 }), batch: 10 }),
  },
  'many metrics, class and sample weights': {
    model: () => new Model(dense({ units: 2 })(flatten()(image())), { seed: 4 }),
    options: () => ({ optimizer: radam(), metrics: [auc, precision, accuracy], classWeights: [1, 3] }),
    data: { ...binary, weights: Float32Array.from(binary.y, (_, i) => 1 + (i % 3)) },
    held: binary,
  },
  'targets that are numbers, frozen layers': {
    model: () =>
      new Model(sequential(flatten(), dense({ units: 4, activation: 'relu', name: 'a' }), dense({ units: 1 }))(image()), {
        seed: 5,
      }),
    options: () => ({ loss: meanSquaredError(), frozen: (n) => n.startsWith('a/') }),
    data: targets,
    held: targets,
  },
  'a pruned network, scalar kernels': { model: () => prune(small(), { sparsity: 0.5 }), options: () => ({ build: 'scalar' }) },
}

const EPOCHS = 4

function trainerOf({ model, options }: Case): Trainer {
  return new Trainer(model(), { batch: 8, seed: 7, ...options?.() })
}
const run = (trainer: Trainer, { callbacks, data = train, held = validation }: Case, more: Callback[] = []) =>
  trainer.fit(data, { epochs: EPOCHS, validation: held, callbacks: [...(callbacks?.() ?? []), ...more] })

/** Stops a fit from within. */
class Stop extends Error {}

describe(`going on (seed ${seed})`, () => {
  it.each(Object.entries(CASES))('gives the bits of an unbroken training: %s', async (name, of) => {
    const whole = trainerOf(of)
    const kept: Uint8Array[] = []
    const history = await run(whole, of, [{ settled: () => void kept.push(whole.checkpoint()) }])
    expect(kept.length, name).toBeGreaterThan(8)
    const wanted = bytesOf(whole.model)
    const random = new Random(seed)
    // The first, the last, and some between; from each one step further at least, stopped and taken up again once more.
    for (const at of [0, kept.length - 1, ...Array.from({ length: 4 }, () => random.integer(kept.length))]) {
      const second = trainerOf(of)
      second.resume(kept[at])
      let settled = 0
      let again: Uint8Array | undefined
      const after = random.integer(6)
      const stop: Callback = {
        settled() {
          if (settled++ < after) return
          again = second.checkpoint()
          throw new Stop()
        },
      }
      const ended = await run(second, of, [stop]).catch((error) => {
        if (!(error instanceof Stop)) throw error
      })
      const third = again ? trainerOf(of) : second
      if (again) third.resume(again)
      const note = `${name}, from ${at}, then ${after} more`
      expect(ended ?? (await run(third, of)), note).toEqual(history)
      expect(bytesOf(third.model), note).toEqual(wanted)
      // The checkpoint itself is the same, too, byte for byte.
      if (again && at + after < kept.length) expect(Buffer.from(again).equals(kept[at + after]), note).toBe(true)
    }
  })

  it('after an abort, with the same trainer or another', async () => {
    const of = CASES['batchNorm, dropout, adamW, early stopping']
    const whole = trainerOf(of)
    const history = await run(whole, of)
    const one = trainerOf(of)
    const controller = new AbortController()
    let steps = 0
    const callbacks = [...(of.callbacks?.() ?? []), { step: () => void (++steps === 10 && controller.abort()) }]
    await expect(one.fit(train, { epochs: EPOCHS, validation, callbacks, signal: controller.signal })).rejects.toThrow(/aborted/)
    const kept = one.checkpoint()
    for (const trainer of [one, trainerOf(of)]) {
      trainer.resume(kept)
      expect(await run(trainer, of)).toEqual(history)
      expect(bytesOf(trainer.model)).toEqual(bytesOf(whole.model))
    }
  })

  it('after a fit that ended, into the next', async () => {
    const of = CASES['adam, augmentation, one cycle']
    const whole = trainerOf(of)
    await run(whole, of)
    const kept = whole.checkpoint()
    const history = await run(whole, of)
    const second = trainerOf(of)
    second.resume(kept)
    expect(await run(second, of)).toEqual(history)
    expect(bytesOf(second.model)).toEqual(bytesOf(whole.model))
  })

  it('uses the build of the checkpoint, unless another is asked for', async () => {
    const of = { model: small, options: () => ({ build: 'scalar' as const }) }
    const whole = trainerOf(of)
    let kept: Uint8Array | undefined
    const history = await run(whole, of, [{ settled: () => void (kept ??= whole.checkpoint()) }])
    const second = trainerOf({ model: small })
    second.resume(kept!)
    expect(await run(second, of)).toEqual(history)
    expect(bytesOf(second.model)).toEqual(bytesOf(whole.model))
    for (const build of BUILDS.filter((b) => WebAssembly.validate(kernelBytes(b) as BufferSource))) {
      const other = trainerOf({ model: small, options: () => ({ build }) })
      other.resume(kept!)
      expect((await run(other, of)).length).toBe(EPOCHS)
    }
    expect(BUILDS).toContain(bestBuild())
  })
})

describe('a checkpoint', () => {
  const made = async (of: Case = { model: small }) => {
    const trainer = trainerOf(of)
    let kept: Uint8Array | undefined
    let steps = 0
    await run(trainer, of, [{ settled: () => void (steps++ === 9 && (kept = trainer.checkpoint())) }])
    return kept!
  }

  it('is safetensors with the weights by name', async () => {
    const { tensors, metadata } = readSafetensors(await made(), 'file')
    const { model } = trainerOf({ model: small })
    for (const p of model.params) expect(tensors.get(`weights ${p.name}`)?.shape).toEqual(p.shape)
    expect([...metadata.keys()]).toEqual(['crc32', 'training'])
  })

  it('cut short anywhere is refused', async () => {
    const kept = await made()
    const random = new Random(seed)
    for (const length of [
      0,
      1,
      7,
      8,
      33,
      34,
      41,
      kept.length - 1,
      ...Array.from({ length: 50 }, () => random.integer(kept.length)),
    ]) {
      const trainer = trainerOf({ model: small })
      const before = bytesOf(trainer.model)
      const resume = () => trainer.resume(kept.subarray(0, length), 'run/file')
      expect(resume, `seed ${seed}, length ${length}`).toThrow(DunlinError)
      expect(resume).toThrow(/^run\/file: .*cut short/)
      expect(bytesOf(trainer.model)).toEqual(before)
    }
    expect(() => trainerOf({ model: small }).resume(new Uint8Array([...kept, 0]))).toThrow(/cut short or damaged/)
  })

  it('with any bit changed is refused', async () => {
    const kept = await made()
    const trainer = trainerOf({ model: small })
    const random = new Random(seed + 1)
    for (const at of [...Array(60).keys(), ...Array.from({ length: 200 }, () => random.integer(kept.length))]) {
      const bit = random.integer(8)
      const changed = kept.slice()
      changed[at] ^= 1 << bit
      expect(() => trainer.resume(changed), `seed ${seed}, byte ${at}, bit ${bit}`).toThrow(DunlinError)
    }
    trainer.resume(kept)
  })

  it('of another training is refused, and what differs is said', async () => {
    const kept = await made()
    const resume = (of: Case) => () => trainerOf(of).resume(kept)
    const other =
      (...units: number[]) =>
      () =>
        new Model(sequential(flatten(), ...units.map((n) => dense({ units: n, activation: 'relu' })))(image()), { seed: 1 })
    expect(
      resume({ model: small, options: () => ({ batch: 16, seed: 8, optimizer: sgd({ lr: 0.5 }) }) }),
    ).toThrowErrorMatchingInlineSnapshot(
      `[DunlinError: checkpoint: it is of another training: optimizer is sgd {"lr":0.5,"weightDecay":0}, the checkpoint has adam {"lr":0.001,"weightDecay":0}; batch is 16, the checkpoint has 8; seed is 8, the checkpoint has 7. Make model and trainer as they were, or begin anew.]`,
    )
    expect(resume({ model: other(7, 10) })).toThrow(/layers: number \d is .*\[7/)
    expect(resume({ model: other(6) })).toThrow(/layers: number/)
    expect(resume({ model: () => prune(small(), { sparsity: 0.1 }) })).toThrow(/mask/)
    for (const options of [
      { loss: meanSquaredError() },
      { metrics: [] },
      { accumulate: 2 },
      { augment: [shift(1)] },
      { frozen: (n: string) => n === 'dense/b' },
      { classWeights: Array(10).fill(2) },
    ] satisfies TrainerOptions[])
      expect(resume({ model: small, options: () => options }), Object.keys(options)[0]).toThrow(
        new RegExp(Object.keys(options)[0].slice(0, 7)),
      )
  })

  it('goes on with the same data, epochs and callbacks only', async () => {
    const kept = await made()
    const trainer = trainerOf({ model: small })
    trainer.resume(kept, 'file')
    const swapped = { ...train, y: train.y.slice().reverse() }
    await expect(trainer.fit(train, { epochs: 9 })).rejects.toThrow(
      /^file: it is of another training: epochs is 9, the checkpoint has 4/,
    )
    await expect(trainer.fit(part(0, 49), { epochs: EPOCHS })).rejects.toThrow(/samples is 49, the checkpoint has 50/)
    await expect(trainer.fit(swapped, { epochs: EPOCHS })).rejects.toThrow(/checksum of y/)
    await expect(trainer.fit(train, { epochs: EPOCHS, callbacks: [earlyStopping()] })).rejects.toThrow(
      /callbacks with a state is 1/,
    )
    expect((await trainer.fit(train, { epochs: EPOCHS, validation })).length).toBe(EPOCHS)
  })

  it('keeps plain data with arrays and numbers of every kind', () => {
    const content = {
      a: [1 / 3, 1e-310, 2 ** 53, Number.NaN, -Infinity],
      b: { c: Float32Array.of(1, Number.NaN), d: 'text', e: null },
    }
    const arrays = new Map([['weights x', { dtype: 'i32' as const, shape: [2], data: Int32Array.of(1, -1) }]])
    const back = readCheckpoint(writeCheckpoint(content, arrays), 'file')
    expect(back.content).toEqual(content)
    expect(back.arrays.get('weights x')).toEqual(arrays.get('weights x'))
  })

  it('has the checksum of zip', () => {
    expect(crc32(new TextEncoder().encode('123456789'))).toBe(0xcbf43926)
    const random = new Random(seed)
    const bytes = Uint8Array.from({ length: 1000 }, () => random.integer(256))
    expect(crc32(bytes.subarray(333), crc32(bytes.subarray(0, 333)))).toBe(crc32(bytes))
    if (zlibCrc32) expect(crc32(bytes)).toBe(zlibCrc32(bytes))
  })
})

describe('on disk', () => {
  const root = mkdtempSync(join(tmpdir(), 'dunlin-checkpoint-'))
  let dir = ''
  let folders = 0
  beforeEach(() => {
    dir = join(root, `${folders++}`, 'deeper')
  })
  afterAll(() => rmSync(root, { recursive: true }))
  const of = CASES['adam, augmentation, one cycle']
  /** Runs until so many steps are done. */
  const stopped = async (steps: number, ...callbacks: Callback[]) => {
    const trainer = trainerOf(of)
    resumeFrom(trainer, dir)
    const stop: Callback = {
      step() {
        if (!steps--) throw new Stop()
      },
    }
    await run(trainer, of, [...callbacks, stop]).catch((error) => {
      if (!(error instanceof Stop)) throw error
    })
  }

  it('the last two are kept, and taken up', async () => {
    const whole = trainerOf(of)
    const history = await run(whole, of)
    expect(resumeFrom(trainerOf(of), dir)).toBe(undefined)
    await stopped(10, checkpoints(dir, { steps: 3 }))
    expect(readdirSync(dir)).toEqual(['checkpoint-000003.safetensors', 'checkpoint-000004.safetensors'])
    writeFileSync(join(dir, '.dunlin-0123.tmp'), 'half')
    const trainer = trainerOf(of)
    expect(resumeFrom(trainer, dir)).toBe(join(dir, 'checkpoint-000004.safetensors'))
    expect(await run(trainer, of, [checkpoints(dir, { steps: 3 })])).toEqual(history)
    expect(bytesOf(trainer.model)).toEqual(bytesOf(whole.model))
    expect(readdirSync(dir).length).toBe(2)
    // What has ended stays ended.
    const ended = trainerOf(of)
    resumeFrom(ended, dir)
    expect(await run(ended, of)).toEqual(history)
    expect(bytesOf(ended.model)).toEqual(bytesOf(whole.model))
  })

  it('a truncated one is told of, and the one before is used', async () => {
    const whole = trainerOf(of)
    const history = await run(whole, of)
    await stopped(10, checkpoints(dir, { steps: 3 }))
    const [before, last] = readdirSync(dir).map((name) => join(dir, name))
    truncateSync(last, readFileSync(last).length - 100)
    const told: string[] = []
    const trainer = trainerOf(of)
    expect(resumeFrom(trainer, dir, (text) => told.push(text))).toBe(before)
    expect(told).toEqual([expect.stringMatching(/checkpoint-000004\.safetensors: the checkpoint is cut short or damaged/)])
    expect(await run(trainer, of)).toEqual(history)
    writeFileSync(before, '')
    expect(() => resumeFrom(trainerOf(of), dir, () => {})).toThrow(/000004\.safetensors: the checkpoint is cut short/)
  })

  it('by time', async () => {
    await stopped(10, checkpoints(dir, { seconds: 1e-9 }))
    expect(readdirSync(dir).at(-1)).toBe('checkpoint-000011.safetensors')
    dir = `${dir}-2`
    await stopped(10, checkpoints(dir))
    expect(readdirSync(dir)).toEqual(['checkpoint-000001.safetensors'])
    expect(() => checkpoints(dir, { steps: 0 })).toThrow(DunlinError)
    writeFileSync(`${dir}-file`, '')
    await expect(run(trainerOf(of), of, [checkpoints(`${dir}-file`)])).rejects.toThrow(DunlinError)
    expect(() => resumeFrom(trainerOf(of), `${dir}-file`)).toThrow(/cannot be read/)
  })

  it('logs have each epoch once, wherever it stopped', async () => {
    const [csv, jsonl] = [join(root, 'log.csv'), join(root, 'log.jsonl')]
    const history = await run(trainerOf(of), of)
    // 7 steps an epoch, checkpoints every 5: the lines of some epochs are written again.
    for (const steps of [9, 11, 13]) {
      await stopped(steps, csvLog(csv), checkpoints(dir, { steps: 5 }), jsonlLog(jsonl))
      expect(existsSync(csv)).toBe(true)
    }
    const trainer = trainerOf(of)
    resumeFrom(trainer, dir)
    await run(trainer, of, [csvLog(csv), checkpoints(dir, { steps: 5 }), jsonlLog(jsonl)])
    const lines = (path: string) => readFileSync(path, 'utf8').trimEnd().split('\n')
    expect(lines(jsonl).map((line) => JSON.parse(line))).toEqual(history)
    expect(lines(csv)[0]).toBe('epoch,loss,accuracy,validation_loss,validation_accuracy')
    const numbers = history.map((r) => [r.epoch, r.loss, r.metrics.accuracy, r.validation!.loss, r.validation!.metrics.accuracy])
    expect(
      lines(csv)
        .slice(1)
        .map((line) => line.split(',').map(Number)),
    ).toEqual(numbers)
    // Another training adds to it.
    await run(trainerOf(of), of, [csvLog(csv)])
    expect(lines(csv).length).toBe(1 + 2 * EPOCHS)
    await expect(trainerOf(of).fit(train, { epochs: 1, callbacks: [csvLog(csv)] })).rejects.toThrow(
      /log\.csv: has other columns than epoch,loss,accuracy\. Name another file/,
    )
    await expect(trainerOf(of).fit(train, { epochs: 1, callbacks: [csvLog(root)] })).rejects.toThrow(DunlinError)
  })
})
