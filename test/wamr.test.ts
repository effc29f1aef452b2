// The host for WAMR in examples/wamr: a strict C compiler takes it, and whatever is wrong with a module, an update or an input ends in a clear
// status, with the module before still running. Everywhere with a stand-in for WAMR (test/wamr), and where WAMR_ROOT is a checkout of
// wasm-micro-runtime with WAMR itself.

import { execFile, execFileSync, spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { quantize } from '../src/compress/quantize'
import { buildModule } from '../src/deploy'
import { HASH_BYTES, hashDigits } from '../src/deploy/abi'
import { Reader, SECTION } from '../src/deploy/binary'
import { input } from '../src/graph/node'
import { Random } from '../src/graph/random'
import { Model } from '../src/model/model'
import { dense } from '../src/ops/dense'
import { tinyCnn } from '../src/zoo/tinyCnn'

const root = process.env.WAMR_ROOT
const has = (command: string) => !spawnSync(command, ['--version']).error
const lacking = has('gcc') ? undefined : 'there is no gcc'
const lackingWamr = !root
  ? 'WAMR_ROOT is not set: set it to a checkout of wasm-micro-runtime'
  : !existsSync(join(root, 'core/iwasm/include/wasm_export.h'))
    ? `${root} has no core/iwasm/include/wasm_export.h`
    : ['cmake', 'gcc'].find((tool) => !has(tool)) && 'there is no cmake or no gcc'

const EXAMPLE = resolve('examples/wamr')
const SOURCES = ['module.c', 'slots.c', 'host.c'].map((f) => join(EXAMPLE, f))
const STAND_IN = resolve('test/wamr')

/** enum module_status of module.h. */
const STATUS = {
  ok: 0,
  notOne: 1,
  damaged: 2,
  refused: 3,
  wrongAbi: 4,
  selfTestFailed: 5,
  wrongSize: 6,
  runFailed: 7,
  noSpace: 8,
  none: 9,
}

let folder = ''
let header = ''
/** Two modules with ports of one size, and one with others. */
let first: Uint8Array
let second: Uint8Array
let other: Uint8Array
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'dunlin-wamr-'))
  const make = async (units: number, hidden: number) => {
    const random = new Random(1)
    const model = new Model(dense({ units })(dense({ units: hidden })(input([6]))), { name: 'small' })
    return buildModule(await quantize(model, { x: Float32Array.from({ length: 60 }, () => random.uniform(-1, 1)) }))
  }
  const [a, b, c] = [await make(3, 5), await make(3, 8), await make(4, 5)]
  ;[first, second, other, header] = [a.wasm, b.wasm, c.wasm, a.header]
})
afterAll(() => rmSync(folder, { recursive: true }))

/** The file with the hash of what it holds. */
function signed(bytes: Uint8Array): Uint8Array {
  bytes.set(new TextEncoder().encode(hashDigits(bytes)), bytes.length - HASH_BYTES)
  return bytes
}

/** Where a section of the file begins, and what follows it; and where its contents begin. */
function section(wasm: Uint8Array, wanted: number): { start: number; body: number; end: number } {
  const file = new Reader(wasm, 'module')
  for (file.take(8); ; ) {
    const start = file.position
    const id = file.byte()
    const inner = file.sized()
    if (id === wanted) return { start, body: inner.position, end: file.position }
  }
}

/** With these bytes in place of those from `at` to `end`. */
const spliced = (wasm: Uint8Array, at: number, end: number, ...bytes: number[]) =>
  Uint8Array.of(...wasm.subarray(0, at), ...bytes, ...wasm.subarray(end))

/** Of another version: the constant that is exported as `abi`. */
function ofAbi(wasm: Uint8Array, abi: number): Uint8Array {
  const { body, end } = section(wasm, SECTION.global)
  const entry = [0x7f, 0, 0x41, 2, 0x0b]
  const at = [...wasm.keys()].filter((i) => i >= body && i < end && entry.every((byte, j) => wasm[i + j] === byte))
  expect(at.length).toBe(1)
  const to = wasm.slice()
  to[at[0] + 3] = abi
  return signed(to)
}

/** One weight is another, and the hash fits. */
function wrong(wasm: Uint8Array): Uint8Array {
  const to = wasm.slice()
  to[section(wasm, SECTION.data).end - 1] ^= 0x40
  return signed(to)
}

/** How the stand-in knows a module. */
const storedBytes = (wasm: Uint8Array) =>
  [SECTION.code, SECTION.data].map((id) => section(wasm, id)).reduce((sum, { body, end }) => sum + end - body, 0)

function cmake(folderName: string, ...options: string[]): void {
  const build = join(folder, folderName)
  execFileSync('cmake', ['-S', EXAMPLE, '-B', build, `-DWAMR_ROOT=${resolve(root!)}`, ...options], { stdio: 'pipe' })
  execFileSync('cmake', ['--build', build], { stdio: 'pipe' })
}

interface Said {
  status: number
  stdout: string
  stderr: string
}

describe('examples/wamr', () => {
  it.for([
    [0, STAND_IN, lacking],
    [1, STAND_IN, lacking],
    [0, join(root ?? '', 'core/iwasm/include'), lackingWamr],
    [1, join(root ?? '', 'core/iwasm/include'), lackingWamr],
  ] as const)('compiles, alone and with the header of a model (CODE_IN_RAM %i, %s)', ([copied, include, why], { skip }) => {
    skip(!!why, why)
    writeFileSync(join(folder, 'small.h'), header)
    const strict = [
      '-std=c99',
      '-Wall',
      '-Wextra',
      '-Werror',
      '-pedantic',
      '-fsyntax-only',
      `-DCODE_IN_RAM=${copied}`,
      '-I',
      include,
    ]
    for (const more of [[], [`-DMODEL_HEADER="${join(folder, 'small.h')}"`, '-DMODEL=SMALL']])
      expect(execFileSync('gcc', [...strict, ...more, ...SOURCES], { encoding: 'utf8' })).toBe('')
  })
})

describe.each([
  ['a stand-in', lacking],
  ['WAMR', lackingWamr],
] as const)('the host with %s', (which, why) => {
  const standIn = which === 'a stand-in'
  let flash = ''
  let count = 0
  beforeAll(() => {
    if (why) return
    if (standIn) {
      const strict = ['-std=c99', '-O1', '-Wall', '-Wextra', '-Werror', '-fsanitize=address,undefined', '-fno-sanitize-recover']
      const sources = [...SOURCES, join(STAND_IN, 'runtime.c')]
      execFileSync('gcc', [...strict, '-I', STAND_IN, ...sources, '-o', join(folder, 'stand-in')])
    } else {
      cmake('build')
    }
  }, 300_000)

  const host = (env: Record<string, string>, ...args: string[]): Promise<Said> =>
    new Promise((done) => {
      const program = standIn ? join(folder, 'stand-in') : join(folder, 'build/host')
      const child = execFile(program, [flash, ...args], { env: { ...process.env, ...env } }, (_, stdout, stderr) =>
        done({ status: child.exitCode ?? -1, stdout, stderr }),
      )
    })
  const write = (bytes: Uint8Array) => {
    const path = join(folder, 'file')
    writeFileSync(path, bytes)
    return path
  }
  const update = (bytes: Uint8Array, env = {}) => host(env, 'update', write(bytes))
  const run = (bytes: number, env = {}) => host(env, 'run', write(new Uint8Array(bytes)))

  /** A flash in which `first` runs. */
  const whileRunning = (what: string, test: () => Promise<void>) =>
    it(what, async ({ skip }) => {
      skip(!!why, why)
      flash = join(folder, `${which} ${count++}`)
      expect(await update(first)).toEqual({ status: STATUS.ok, stdout: 'slot 0, number 1\n', stderr: '' })
      await test()
    })
  /** The update is refused with this status, in words, and what ran before runs. */
  const refused = async (bytes: Uint8Array, statuses: number[], says: RegExp, env = {}, note = '') => {
    const { status, stdout, stderr } = await update(bytes, env)
    expect(statuses, `${note}: status ${status}, ${stderr}`).toContain(status)
    expect(stderr, note).toMatch(says)
    expect(stdout, note).toBe('slot 0, number 1\n')
    expect((await run(6)).status, note).toBe(STATUS.ok)
  }

  whileRunning('runs, and takes an update to the other slot', async () => {
    const { status, stdout } = await run(6)
    expect(status).toBe(STATUS.ok)
    expect(stdout).toMatch(/^(-?\d+ ){3}class [012]\n$/)
    expect(await update(second)).toEqual({ status: STATUS.ok, stdout: 'slot 1, number 2\n', stderr: '' })
    expect((await host({})).stdout).toMatch(/^slot 1, number 2: linear memory \d+ bytes/)
    expect((await update(first)).stdout).toBe('slot 0, number 3\n')
  })

  whileRunning('refuses a file that is cut off', async () => {
    for (let length = 0; length < second.length; length += 61)
      await refused(
        second.subarray(0, length),
        [STATUS.notOne, STATUS.damaged],
        /no module of dunlin|damaged/,
        {},
        `${length} bytes`,
      )
  })

  whileRunning('refuses a file with a byte changed', async () => {
    for (let at = 0; at < second.length; at += 61) {
      const changed = second.slice()
      changed[at] ^= 1 << (at & 7)
      // The first eight bytes and the last two are what a module is known by.
      const wanted = at < 8 ? STATUS.notOne : STATUS.damaged
      await refused(
        changed,
        [wanted],
        at < 8 ? /no module of dunlin/ : /damaged: its bytes do not have its hash/,
        {},
        `byte ${at}`,
      )
    }
  })

  whileRunning('refuses what has the hash of its bytes and is no module of dunlin', async () => {
    const { start, end } = section(second, SECTION.memory)
    const cut = spliced(second, second.length - 40, second.length - 10)
    await refused(signed(cut), [STATUS.notOne], /no module of dunlin/, {}, 'a section that is longer than the file')
    const imports = spliced(second, start, start, SECTION.import, 1, 0)
    await refused(signed(imports), [STATUS.notOne], /no module of dunlin/, {}, 'imports')
    const started = spliced(second, end, end, SECTION.start, 1, 0)
    await refused(signed(started), [STATUS.notOne], /no module of dunlin/, {}, 'a start function')
  })

  whileRunning('refuses another ABI', async () => {
    for (const abi of [1, 3]) await refused(ofAbi(second, abi), [STATUS.wrongAbi], /of another ABI than 2/, {}, `ABI ${abi}`)
  })

  whileRunning('goes back where the self-test fails', async () => {
    const bad = wrong(second)
    await refused(bad, [STATUS.selfTestFailed], /its self-test fails/, { FAILING: String(storedBytes(bad)) })
  })

  whileRunning('refuses an update whose input or output has another size', async () => {
    await refused(other, [STATUS.wrongSize], /input or output of the wrong size/)
  })

  whileRunning('refuses an update that no slot holds', async () => {
    await refused(new Uint8Array(131073), [STATUS.noSpace], /no space/)
  })

  whileRunning('refuses an input of the wrong size', async () => {
    for (const bytes of [0, 5, 7, 100]) {
      const { status, stderr } = await run(bytes)
      expect(status, `${bytes} bytes`).toBe(STATUS.wrongSize)
      expect(stderr).toMatch(/input or output of the wrong size/)
    }
  })

  whileRunning('says that no module runs where none does', async () => {
    flash = join(folder, `${which} empty`)
    for (const said of [await host({}), await run(6)])
      expect(said).toMatchObject({
        status: STATUS.none,
        stdout: 'no module runs\n',
        stderr: expect.stringMatching(/no slot holds/),
      })
    const { status, stdout } = await update(second.subarray(0, 100))
    expect([status, stdout]).toEqual([STATUS.notOne, 'no module runs\n'])
  })

  if (standIn)
    whileRunning('says that a run failed', async () => {
      for (const [RUN, says] of [
        ['1', /the run failed/],
        ['trap', /run: a trap\n.*the run failed/],
      ] as const) {
        const { status, stderr } = await run(6, { RUN })
        expect(status).toBe(STATUS.runFailed)
        expect(stderr).toMatch(says)
      }
    })
})

describe('WAMR without bulk memory', () => {
  it('runs modules whose weights are in RAM, and refuses the others', { timeout: 300_000 }, async ({ skip }) => {
    skip(!!lackingWamr, lackingWamr)
    cmake('without', '-DBULK_MEMORY=OFF')
    const update = (wasm: Uint8Array) => {
      const [flash, file] = ['flash without', 'file'].map((f) => join(folder, f))
      rmSync(flash, { force: true })
      writeFileSync(file, wasm)
      return spawnSync(join(folder, 'without/host'), [flash, 'update', file]).status
    }
    expect(update(first)).toBe(STATUS.refused)
    const model = tinyCnn({ shape: [8, 8, 1], classes: 10 })
    const x = Float32Array.from({ length: 256 }, (_, i) => (i * 7) % 16)
    for (const made of [model, await quantize(model, { x })])
      for (const target of ['aot', 'interpreter'] as const)
        expect(update((await buildModule(made, { target, weights: 'ram' })).wasm), target).toBe(STATUS.ok)
  })
})
