// A real training process is killed (SIGKILL) at random moments, while it starts, trains and writes, and started again until it is done:
// the weights have the bits of a training that nobody disturbed. Runs the built package.

import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { Random } from '../src/graph/random'

/** As a user would write it: the same whether it is the first run or goes on. */
const SCRIPT = `
import { adam, dense, dropout, earlyStopping, flatten, input, Model, oneCycle, sequential, shift, subset, Trainer } from 'dunlin'
import { checkpoints, csvLog, loadDigits, resumeFrom, writeModel } from 'dunlin/node'

const [dir] = process.argv.slice(2)
const digits = loadDigits()
const [train, validation] = [0, 300].map((from) => subset(digits, [...Array(from ? 50 : 300).keys()].map((i) => from + i)))
const network = sequential(flatten(), dense({ units: 32, activation: 'relu' }), dropout({ rate: 0.2 }), dense({ units: 10 }))
const model = new Model(network(input([8, 8, 1])), { seed: 1 })
const trainer = new Trainer(model, { optimizer: adam({ lr: 0.01 }), schedule: oneCycle(), augment: [shift(1)], batch: 20, build: 'scalar' })
const from = resumeFrom(trainer, dir + '/checkpoints', (text) => { throw new Error(text) })
process.stdout.write(from ? 'again\\n' : 'begin\\n')
const callbacks = [csvLog(dir + '/log.csv'), earlyStopping({ patience: 12 }), checkpoints(dir + '/checkpoints', { steps: 1 })]
await trainer.fit(train, { epochs: 12, validation, callbacks })
writeModel(dir + '/model.safetensors', model)
`

const KILLS = 15
const seed = Number(process.env.SEED ?? Math.floor(performance.timeOrigin) % 1e9)
const root = mkdtempSync(join(tmpdir(), 'dunlin-kill-'))
beforeAll(() => {
  if (!existsSync('dist/index.js')) throw new Error('dist is missing: run "node build.mjs".')
  mkdirSync(join(root, 'node_modules'))
  symlinkSync(resolve('.'), join(root, 'node_modules/dunlin'))
  writeFileSync(join(root, 'train.mjs'), SCRIPT)
})
afterAll(() => rmSync(root, { recursive: true }))

interface Run {
  child: ChildProcess
  /** When it trains, or has ended before. */
  trains: Promise<void>
  ended: Promise<{ code: number | null; killed: boolean; stdout: string; stderr: string }>
}

function start(dir: string): Run {
  const child = spawn(process.execPath, ['train.mjs', dir], { cwd: root })
  let [stdout, stderr] = ['', '']
  child.stderr.on('data', (text) => (stderr += text))
  const ended: Run['ended'] = new Promise((done) => {
    child.on('close', (code, signal) => done({ code, killed: signal === 'SIGKILL', stdout, stderr }))
  })
  const trains = new Promise<void>((done) => {
    child.stdout.on('data', (text) => {
      stdout += text
      done()
    })
    ended.then(() => done())
  })
  return { child, trains, ended }
}

it(`survives being killed ${KILLS} times (seed ${seed})`, async () => {
  const [calm, wild] = ['calm', 'wild'].map((name) => join(root, name))
  for (const dir of [calm, wild]) mkdirSync(dir)
  const began = performance.now()
  const { trains, ended } = start(calm)
  await trains
  const starting = performance.now() - began
  const undisturbed = await ended
  expect([undisturbed.code, undisturbed.stderr, undisturbed.stdout]).toEqual([0, '', 'begin\n'])
  const whole = performance.now() - began - starting

  const random = new Random(seed)
  let kills = 0
  let runs = 0
  let halves = 0
  let last: Awaited<Run['ended']>
  do {
    const run = start(wild)
    runs++
    const sleep = (ms: number) => new Promise<void>((done) => setTimeout(done, ms))
    if (kills < KILLS) {
      // Mostly while it trains, and so much of the time that it gets on; now and then while it starts.
      if (random.integer(5)) await run.trains.then(() => sleep(random.uniform(0, whole / 6)))
      else await sleep(random.uniform(0, starting))
      run.child.kill('SIGKILL')
    }
    last = await run.ended
    if (last.killed) {
      kills++
      const folder = join(wild, 'checkpoints')
      if (existsSync(folder) && readdirSync(folder).some((name) => name.endsWith('.tmp'))) halves++
    } else expect([last.code, last.stderr], `seed ${seed}, run ${runs}`).toEqual([0, ''])
  } while (kills < KILLS || last.killed)
  console.log(`seed ${seed}: ${kills} kills in ${runs} runs, ${halves} while a checkpoint was written`)
  expect(last.stdout).toBe('again\n')
  for (const file of ['model.safetensors', 'log.csv'])
    expect(readFileSync(join(wild, file)).equals(readFileSync(join(calm, file))), `${file}, seed ${seed}`).toBe(true)
})
