// The proof that a module computes what the session does wherever it runs: on emulated microcontrollers, in other engines, and in a host
// that traps at the first byte past __heap_base. Every output byte is compared. What a machine lacks is skipped, and the test says so.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeEach, describe, expect, it } from 'vitest'
import { type BuiltModule, buildModule } from '../../src/deploy'
import { parseBuild } from '../../src/deploy/kernels'
import { kernelNames, withNaive } from './compare'
import { countInstructions } from './count'
import { runInterp, runShell, traceInterp } from './engines'
import { accuracy, inverted, runHere } from './learning'
import { compileFirmware, emulate, MACHINES, type MachineName } from './machines'
import { compileNative, fuzzNative, runNative } from './native'
import { FLOATS, NETWORKS, type Network, type NetworkName, network, OTHERS } from './networks'
import { Rewritten } from './rewrite'
import { type Tool, without } from './tools'

const TARGETS = ['aot', 'interpreter'] as const
type Target = (typeof TARGETS)[number]
const NAMES = Object.keys(NETWORKS) as NetworkName[]
const ALL = [...NAMES, ...(Object.keys(OTHERS) as NetworkName[])]
/** Multiply-accumulates that each network's random inputs may take: many for a small one. */
const FUZZED = 5e7
const SEED = 7

const root = mkdtempSync(join(tmpdir(), 'dunlin-mcu-'))
const folder = () => mkdtempSync(join(root, 'f'))

interface Built extends Network {
  modules: Record<Target, BuiltModule>
}
const made = new Map<NetworkName, Promise<Built>>()

/** The network, its modules and what they have to answer: made by the first test that asks. */
function built(name: NetworkName): Promise<Built> {
  const make = async () => {
    const net = await network(name, name === 'digits' ? Infinity : Object.hasOwn(OTHERS, name) ? 20 : 2)
    const [aot, interpreter] = await Promise.all(TARGETS.map((target) => buildModule(net.model, { target })))
    return { ...net, modules: { aot, interpreter } }
  }
  const promise = made.get(name) ?? make()
  made.set(name, promise)
  return promise
}

const printed: string[] = []
afterAll(() => {
  rmSync(root, { recursive: true })
  if (printed.length) console.log(['Bytes and instructions, as measured under qemu:', ...printed].join('\n'))
})

/** Skips each test of this group where a program is not there. */
function need(...tools: Tool[]): void {
  const lacking = without(...tools)
  if (lacking) console.warn(`test/mcu: tests are skipped: ${lacking}`)
  beforeEach(({ skip }) => skip(lacking !== undefined, lacking))
}

const same = (got: Uint8Array, { outputs, outputBytes }: Network, what: string) => {
  expect(got.length, what).toBe(outputs.length)
  const at = outputs.findIndex((byte, i) => byte !== got[i])
  const where = `${what}: sample ${Math.floor(at / outputBytes)}, byte ${at % outputBytes} is ${got[at]}, the session's ${outputs[at]}`
  expect(at, where).toBe(-1)
}

/** The network with only the first of its samples. */
const first = (net: Built, most: number): Built => ({
  ...net,
  inputs: net.inputs.subarray(0, most * net.inputBytes),
  outputs: net.outputs.subarray(0, most * net.outputBytes),
})

/** The module with one bit of its weights changed. */
function damaged({ wasm, report }: BuiltModule): Uint8Array<ArrayBuffer> {
  const bytes = wasm.slice()
  bytes[wasm.length - report.metadataBytes - 1] ^= 0x40
  return bytes
}

describe('emulated microcontrollers', () => {
  need('wasm2c', 'arm-none-eabi-gcc', 'qemu-system-arm')
  const digits = (target: Target, ...machines: MachineName[]) => machines.map((m) => ['digits', target, m] as const)
  const cases = [
    ...digits('aot', 'm4', 'm3', 'm0'),
    ...digits('interpreter', 'm4', 'm0'),
    ...NAMES.filter((name) => name !== 'digits').map((name) => [name, 'aot', 'm4'] as const),
  ]

  it.each(cases)('%s for %s on %s: the bytes of the session, in the memory that was promised', async (name, target, machine) => {
    const net = await built(name)
    const { wasm, report } = net.modules[target]
    const firmware = await compileFirmware(wasm, folder(), machine)
    const measured = await emulate(firmware, net.inputs)
    expect(measured.samples).toBe(net.samples)
    same(measured.outputs, net, MACHINES[machine].what)
    // The host of these tests has an instance of wasm2c and its measurements beside the module's memory.
    expect(firmware.ramBytes).toBe(report.ramBytes)
    expect(firmware.staticBytes - report.ramBytes).toBeLessThanOrEqual(256)
    expect(measured.stackBytes).toBeLessThan(2048)
    expect(firmware.flashBytes).toBeGreaterThan(report.dataBytes)
    const { flashBytes, staticBytes } = firmware
    const predicted = report.instructions / measured.instructions
    // What the report predicts it is from kernels' averages, of a processor of this kind, compiled.
    if (target === 'aot' && machine === 'm4') {
      expect(predicted).toBeGreaterThan(0.65)
      expect(predicted).toBeLessThan(1.35)
    }
    const perMac = (measured.instructions / net.macs).toFixed(2)
    printed.push(
      `${name}, ${target}, ${MACHINES[machine].what}: module ${wasm.length}, flash ${flashBytes}, .data + .bss ${staticBytes} (module ${report.ramBytes}), stack ${measured.stackBytes}, instructions ${measured.instructions} (${perMac} per MAC; predicted ${report.instructions})`,
    )
  })

  it.each([
    ['m4', 1438, 359, 0.7],
    ['m0', 400, 100, 0.4],
  ] as const)('a device recovers from inverted pictures, with the bits of Node: %s', async (machine, learned, heldOut, share) => {
    const stream = await inverted(await built('digits'), learned, heldOut)
    const firmware = await compileFirmware(stream.wasm, folder(), machine)
    const began = performance.now()
    const measured = await emulate(firmware, stream.records)
    const seconds = (performance.now() - began) / 1000
    const here = runHere(stream)
    expect(measured.samples).toBe(stream.classes.length)
    expect(Buffer.compare(measured.outputs, here.outputs), 'outputs').toBe(0)
    expect(measured.parameters.length).toBeGreaterThan(0)
    expect([...measured.parameters], 'parameters').toEqual([...here.parameters])
    expect(firmware.ramBytes).toBe(stream.ramBytes)
    const end = stream.classes.length
    const [before, after] = [0, end - heldOut].map((from) => accuracy(stream, measured.outputs, from, from + heldOut))
    const percent = (share: number) => `${(100 * share).toFixed(1)} %`
    printed.push(
      `digits inverted, ${MACHINES[machine].what}: knew ${percent(before)} of ${heldOut} pictures, after ${learned} others to learn from ${percent(after)}; instructions ${measured.instructions}, with a step of training ${measured.stepInstructions}; ${seconds.toFixed(1)} s`,
    )
    expect(before).toBeLessThan(0.3)
    expect(after).toBeGreaterThan(share)
  })

  it('a trap ends the emulation and says what it was', async () => {
    const { modules, inputs } = await built('digits')
    const { wasm } = modules.aot
    const broken = new Rewritten(wasm)
    const run = parseBuild(wasm).exports.find(({ name }) => name === 'run')?.index
    broken.bodies = broken.bodies.map((body, i) => (i === run ? Uint8Array.of(0, 0, 0x0b) : body))
    await expect(compileFirmware(broken.bytes(), folder(), 'm4').then((f) => emulate(f, inputs))).rejects.toThrow(
      /trap: unreachable/,
    )
  })
})

describe('the strict host', () => {
  need('wasm2c', 'gcc')
  it.each(ALL)('%s: the bytes of the session, and no trap on random inputs', async (name) => {
    const net = await built(name)
    const inputs = Math.ceil(Math.min(5000, FUZZED / net.macs))
    const hashes = await Promise.all(
      TARGETS.map(async (target) => {
        const at = folder()
        await compileNative(net.modules[target].wasm, at, '-O1')
        same(await runNative(at, net.inputs), net, target)
        return fuzzNative(at, inputs, SEED)
      }),
    )
    expect(hashes[0], `${inputs} random inputs of seed ${SEED}: targets differ`).toBe(hashes[1])
  })

  it.each(Object.keys(FLOATS) as (keyof typeof FLOATS)[])('%s: no trap, whatever the bytes are as floats', async (name) => {
    const at = folder()
    await compileNative((await buildModule(FLOATS[name]())).wasm, at, '-O1')
    await fuzzNative(at, 5000, SEED)
  })

  it('traps where memory is shorter than the module says', async () => {
    const at = folder()
    const { modules, inputs } = await built('digits')
    const { wasm, report } = modules.aot
    await compileNative(wasm, at, '-URAM_BYTES', `-DRAM_BYTES=${report.ramBytes - 64}`)
    await expect(runNative(at, inputs)).rejects.toThrow(/trap 1/)
  })
})

describe('wasm-interp', () => {
  need('wasm-interp')
  it.each(NAMES.filter((name) => name === 'digits' || name === 'GRU' || name === 'words LSTM'))(
    '%s: the bytes of the session',
    async (name) => {
      const net = first(await built(name), 50)
      for (const target of TARGETS) same(await runInterp(folder(), net.modules[target].wasm, net, net.outputBytes), net, target)
    },
  )

  it('fails the self-test of a module whose weights were changed', async () => {
    const net = first(await built('digits'), 1)
    await expect(runInterp(folder(), damaged(net.modules.aot), net, net.outputBytes)).rejects.toThrow('self_test() => i32:1')
  })

  it.each(TARGETS)('steps through as many instructions as are counted here: %s', async (target) => {
    const net = await built('digits')
    const { wasm } = net.modules[target]
    for (const module of [wasm, withNaive(wasm, kernelNames(wasm))]) {
      const counts = countInstructions(module, net.inputs.subarray(0, net.inputBytes))
      expect(counts.reduce((a, b) => a + b)).toBe(await traceInterp(folder(), module, net))
    }
  })
})

describe.each(['gjs', 'jsc'] as const)('%s', (shell) => {
  need(shell)
  it.each(ALL)('%s: the bytes of the session', async (name) => {
    const net = await built(name)
    for (const target of TARGETS) same(await runShell(shell, folder(), net.modules[target].wasm, net), net, target)
  })

  it('fails the self-test of a module whose weights were changed', async () => {
    const net = first(await built('digits'), 1)
    await expect(runShell(shell, folder(), damaged(net.modules.aot), net)).rejects.toThrow('self_test failed')
  })
})

describe('the naive loops that instructions are compared with', () => {
  it.each(NAMES)('%s: the bytes of the session', async (name) => {
    const net = await built(name)
    const { wasm } = net.modules.aot
    const naive = withNaive(wasm, kernelNames(wasm))
    const { exports } = new WebAssembly.Instance(new WebAssembly.Module(naive))
    const { memory, run, input, output } = exports as unknown as Record<string, WebAssembly.Global> & {
      memory: WebAssembly.Memory
      run(): number
    }
    const bytes = new Uint8Array(memory.buffer)
    const outputs = new Uint8Array(net.outputs.length)
    for (let i = 0; i < net.samples; i++) {
      bytes.set(net.inputs.subarray(i * net.inputBytes, (i + 1) * net.inputBytes), input.value)
      expect(run()).toBe(0)
      outputs.set(bytes.subarray(output.value, output.value + net.outputBytes), i * net.outputBytes)
    }
    same(outputs, net, 'naive')
  })

  it('take more instructions than the kernels do', async () => {
    const net = await built('digits')
    const sample = net.inputs.subarray(0, net.inputBytes)
    const count = (wasm: Uint8Array) => countInstructions(wasm, sample).reduce((a, b) => a + b)
    const { aot, interpreter } = net.modules
    expect(count(withNaive(aot.wasm, kernelNames(aot.wasm)))).toBeGreaterThan(count(aot.wasm))
    expect(count(interpreter.wasm)).toBeLessThanOrEqual(count(aot.wasm))
  })
})
