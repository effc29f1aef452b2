// How many instructions a network takes as a module, beside the module for aot with naive int8 loops in place of its kernels (test/mcu/naive.ts):
// in an interpreter, as wabt's wasm-interp steps through it, and on an emulated Cortex-M4, compiled by wasm2c and gcc -O2. Every output is
// compared with the session's. Instructions are not cycles; MACs are those of the network, padding included.
//
//   npm run bench:mcu [-- [--json] [--network NAME]...]

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { bundled } from './bundled.mjs'

const mcu = await bundled('test/mcu/index.ts', 'mcu')
const { values } = parseArgs({ options: { json: { type: 'boolean' }, network: { type: 'string', multiple: true } } })
const lacking = mcu.without('wasm2c', 'arm-none-eabi-gcc', 'qemu-system-arm')
if (lacking) {
  console.error(lacking)
  process.exit(1)
}

/** What is asked of each target: so many times fewer instructions than the naive loops, there. */
const ASKED = { interpreter: { host: 'interpreter', ratio: 4 }, aot: { host: 'm4', ratio: 1.4 } }
/** Ops by kernels of another name. */
const KERNELS = { pairedDense_i8: 'dense' }
const SAMPLES = 2
const MACHINE = 'm4'

const sum = (list) => list.reduce((a, b) => a + b, 0)

async function emulated(wasm, net, counted) {
  const folder = mkdtempSync(join(tmpdir(), 'dunlin-mcu-'))
  try {
    const firmware = await mcu.compileFirmware(wasm, folder, MACHINE, counted)
    const measured = await mcu.emulate(firmware, net.inputs)
    if (Buffer.compare(measured.outputs, net.outputs)) throw new Error(`${net.name}: other bytes than the session's`)
    return { ...firmware, ...measured }
  } finally {
    rmSync(folder, { recursive: true })
  }
}

const rows = []
const kernels = []
const names = values.network ?? Object.keys(mcu.NETWORKS)
for (const name of names) {
  const net = await mcu.network(name, SAMPLES)
  const first = net.inputs.subarray(0, net.inputBytes)
  const modules = {}
  for (const target of Object.keys(ASKED)) modules[target] = await mcu.buildModule(net.model, { target })
  const { wasm: compiled } = modules.aot
  const naive = mcu.withNaive(compiled, mcu.kernelNames(compiled))
  // A network whose layers have no naive loops is compared with nothing.
  const slow = Object.keys(net.macsOf).every((op) => mcu.NAIVE.has(op)) && {
    interpreter: sum(mcu.countInstructions(naive, first)),
    m4: (await emulated(naive, net, 0)).instructions,
  }
  for (const [target, { host, ratio: asked }] of Object.entries(ASKED)) {
    const { wasm, report } = modules[target]
    const functions = mcu.kernelNames(wasm)
    const counts = mcu.countInstructions(wasm, first)
    const whole = await emulated(wasm, net, 0)
    const parts = await emulated(wasm, net, functions.length)
    const [interpreter, m4] = [sum(counts), whole.instructions]
    const ratios = slow && { interpreter: slow.interpreter / interpreter, m4: slow.m4 / m4 }
    rows.push({
      ...{ network: name, target, macs: net.macs },
      ...{ interpreter: interpreter / net.macs, m4: m4 / net.macs },
      ...(slow && {
        naive: { interpreter: slow.interpreter / net.macs, m4: slow.m4 / net.macs },
        ...{ ratios, asked: { host, ratio: asked }, reached: ratios[host] >= asked },
      }),
      ...{ moduleBytes: wasm.length, ramBytes: report.ramBytes, flashBytes: whole.flashBytes, staticBytes: whole.staticBytes },
      stackBytes: whole.stackBytes,
    })
    const ops = Object.keys(net.macsOf)
    const own = [...functions, undefined].map((kernel, i) => ({ kernel, interpreter: counts[i] ?? 0, m4: parts.each[i] }))
    for (const { kernel, ...n } of own) {
      const op = ops.find((name) => `${name}_i8` === kernel || KERNELS[kernel] === name) ?? kernel ?? 'run'
      const part = kernels.find((k) => k.network === name && k.target === target && k.kernel === op)
      if (part) Object.assign(part, { interpreter: part.interpreter + n.interpreter, m4: part.m4 + n.m4 })
      else kernels.push({ network: name, target, kernel: op, macs: net.macsOf[op], ...n })
    }
    if (!values.json) process.stderr.write('.')
  }
}

if (values.json) console.log(JSON.stringify({ machine: mcu.MACHINES[MACHINE].what, rows, kernels }, null, 2))
else {
  const cell = (v, width, digits = 2) => (v === undefined ? '-' : typeof v === 'number' ? v.toFixed(digits) : v).padStart(width)
  console.log(`\n\nInstructions for each MAC; M4: ${mcu.MACHINES[MACHINE].what}, wasm2c and gcc -O2\n`)
  const head = ['naive', 'ours', 'ratio'].map((h) => h.padStart(8)).join('')
  console.log(`${'network'.padEnd(19)}${'target'.padEnd(12)}${'in wasm-interp'.padStart(24)}${'on the M4'.padStart(24)}   asked`)
  console.log(`${''.padEnd(31)}${head}${head}`)
  for (const r of rows) {
    const ours = ['interpreter', 'm4'].map((h) => cell(r.naive?.[h], 8) + cell(r[h], 8) + cell(r.ratios?.[h], 8)).join('')
    const asked = r.asked
      ? `${r.asked.ratio} ${r.asked.host === 'm4' ? 'on the M4' : 'in wasm-interp'}: ${r.reached ? 'yes' : 'NO'}`
      : ''
    console.log(`${r.network.padEnd(19)}${r.target.padEnd(12)}${ours}   ${asked}`.trimEnd())
  }
  console.log('\nBytes: the module; its linear memory; the firmware with its host: flash, .data + .bss, most stack\n')
  console.log(`${'network'.padEnd(19)}${'target'.padEnd(12)}   module   memory    flash   static    stack`)
  for (const r of rows) {
    const bytes = [r.moduleBytes, r.ramBytes, r.flashBytes, r.staticBytes, r.stackBytes].map((b) => cell(b, 9, 0)).join('')
    console.log(`${r.network.padEnd(19)}${r.target.padEnd(12)}${bytes}`)
  }
  console.log(
    '\nKernels by their op, all networks together: instructions for each MAC, or of a run where it multiplies nothing\n',
  )
  console.log(`${'op or kernel'.padEnd(24)}${'target'.padEnd(12)}        MACs  wasm-interp          M4`)
  const merged = new Map()
  for (const k of kernels) {
    const key = `${k.kernel} ${k.target}`
    const m = merged.get(key) ?? { ...k, macs: k.macs && 0, interpreter: 0, m4: 0 }
    if (k.macs) m.macs += k.macs
    merged.set(key, { ...m, interpreter: m.interpreter + k.interpreter, m4: m.m4 + k.m4 })
  }
  for (const k of [...merged.values()].sort((a, b) => (a.kernel < b.kernel ? -1 : a.kernel > b.kernel ? 1 : 0))) {
    const each = [k.interpreter, k.m4].map((n) => (k.macs ? cell(n / k.macs, 13, 3) : cell(n, 13, 0))).join('')
    console.log(`${k.kernel.padEnd(24)}${k.target.padEnd(12)}${cell(k.macs, 12, 0)}${each}`)
  }
}
