// Microcontrollers that qemu emulates: a module becomes C (wasm2c), firmware (arm-none-eabi-gcc -O2) and runs; what it needs is measured.
// qemu counts instructions: each takes 2^SHIFT ns of the board's own time, which its timer tells. It emulates no pipeline and no wait
// states, so these are instructions, not cycles.

import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { SOURCES, toC } from './native'
import { run } from './tools'

interface Machine {
  what: string
  /** Name of qemu's board and of the linker script. */
  board: string
  script: 'mps2.ld' | 'microbit.ld'
  gcc: readonly string[]
  /** Of the timer. */
  hertz: number
}

export const MACHINES = {
  m4: {
    what: 'Cortex-M4F, Arm MPS2 AN386',
    board: 'mps2-an386',
    script: 'mps2.ld',
    gcc: ['-mcpu=cortex-m4', '-mfpu=fpv4-sp-d16', '-mfloat-abi=hard'],
    hertz: 25e6,
  },
  m3: { what: 'Cortex-M3, Arm MPS2 AN385', board: 'mps2-an385', script: 'mps2.ld', gcc: ['-mcpu=cortex-m3'], hertz: 25e6 },
  m0: {
    what: 'Cortex-M0 with code for Cortex-M0+ (both are Armv6-M), BBC micro:bit: 256 KB flash, 16 KB RAM',
    board: 'microbit',
    script: 'microbit.ld',
    gcc: ['-mcpu=cortex-m0plus', '-DTIMER_NRF51'],
    hertz: 16e6,
  },
} as const satisfies Record<string, Machine>
export type MachineName = keyof typeof MACHINES

const SHIFT = 7

export interface Firmware {
  folder: string
  machine: Machine
  /** Of the whole firmware: code and constants. */
  flashBytes: number
  /** .data and .bss of the whole firmware; `ramBytes` of it are the module's linear memory. */
  staticBytes: number
  ramBytes: number
  /** How many functions of the module are counted by themselves. */
  counted: number
}

/**
 * Firmware of the module in `folder`. With `counted` functions each call that run() makes of function 0 ... counted - 1 is timed by itself,
 * which costs some instructions a call.
 */
export async function compileFirmware(wasm: Uint8Array, folder: string, name: MachineName, counted = 0): Promise<Firmware> {
  const machine: Machine = MACHINES[name]
  const options = await toC(wasm, folder)
  if (counted) {
    const c = readFileSync(join(folder, 'net.c'), 'utf8')
    const call = /^( +(?:w2c_\w+ = )?w2c_f(\d+)\(instance.*\);)$/gm
    const marked = c.replace(call, (_, line, index) => `  mcu_enter(${index});\n${line}\n  mcu_enter(${counted});`)
    writeFileSync(join(folder, 'net.c'), `void mcu_enter(unsigned long);\n${marked}`)
    options.push(`-DKERNELS=${counted}`, '-Dmcu_enter=enter', '-fno-inline-functions-called-once', '-fno-inline-small-functions')
  }
  const sources = ['net.c', ...['runtime.c', 'mcu.c'].map((f) => join(SOURCES, f))]
  const lean = ['-ffunction-sections', '-fdata-sections', '-fno-unwind-tables', '-fno-asynchronous-unwind-tables', '-w']
  const link = ['-nostartfiles', '-specs=nano.specs', '-Wl,--gc-sections', '-L', SOURCES, '-T', machine.script]
  await run(
    'arm-none-eabi-gcc',
    ['-O2', '-mthumb', ...machine.gcc, ...options, ...lean, ...sources, ...link, '-lm', '-o', 'net.elf'],
    folder,
  )
  const sizes = new Map<string, number>()
  const table = await run('arm-none-eabi-size', ['-A', 'net.elf'], folder)
  for (const [, section, bytes] of table.matchAll(/^(\.\w+) +(\d+)/gm)) sizes.set(section, Number(bytes))
  const sum = (...sections: string[]) => sections.reduce((bytes, section) => bytes + (sizes.get(section) ?? 0), 0)
  const ramBytes = Number(/-DRAM_BYTES=(\d+)/.exec(options.join(' '))?.[1])
  const [flashBytes, staticBytes] = [sum('.text', '.rodata', '.data'), sum('.data', '.bss')]
  return { folder, machine, flashBytes, staticBytes, ramBytes, counted }
}

export interface Measured {
  outputs: Uint8Array
  samples: number
  /** The most stack that was ever in use, the host's own included. */
  stackBytes: number
  /** Of one run of the module. */
  instructions: number
  /** Of one step of training, where the module learns. */
  stepInstructions: number
  /** What it has learned then. */
  parameters: Uint8Array
  /** For each counted function, in one run; then of run() itself, with what counting costs. Empty where nothing is counted by itself. */
  each: number[]
}

const FAILURES: Record<number, string> = {
  1: 'trap: an access past __heap_base',
  2: 'trap: integer overflow',
  3: 'trap: division by zero',
  4: 'trap: NaN to integer',
  5: 'trap: unreachable',
  100: 'a processor fault',
  101: 'run() did not return 0',
  102: 'another __heap_base',
  103: 'self_test() failed',
  104: 'train_step() gave a loss that is not finite',
}

/** Runs the firmware on these samples, one after another, and says what it measured. */
export async function emulate(firmware: Firmware, inputs: Uint8Array): Promise<Measured> {
  const { folder, machine } = firmware
  writeFileSync(join(folder, 'inputs'), inputs)
  for (const name of ['measured', 'parameters']) writeFileSync(join(folder, name), '')
  const board = ['-M', machine.board, '-kernel', 'net.elf', '-icount', `shift=${SHIFT}`]
  const host = ['-semihosting-config', 'enable=on,target=native', '-display', 'none', '-serial', 'none', '-monitor', 'none']
  const failed = await run('qemu-system-arm', [...board, ...host], folder).then(
    () => undefined,
    (error: Error) => error,
  )
  const bytes = readFileSync(join(folder, 'measured'))
  const [samples, failure, stackBytes, ticks, step, ...each] = new Uint32Array(Uint8Array.from(bytes).buffer)
  if (failure) throw new Error(`${machine.what}, sample ${samples}: ${FAILURES[failure] ?? `failure ${failure}`}`)
  if (failed ?? !bytes.length) throw failed ?? new Error(`${machine.what}: the firmware measured nothing`)
  const instructions = (t: number) => Math.round((t * 1e9) / machine.hertz / 2 ** SHIFT)
  return {
    outputs: readFileSync(join(folder, 'outputs')),
    ...{ samples, stackBytes, instructions: instructions(ticks), stepInstructions: instructions(step) },
    parameters: readFileSync(join(folder, 'parameters')),
    each: firmware.counted ? each.slice(0, firmware.counted + 1).map(instructions) : [],
  }
}
