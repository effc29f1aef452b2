// Other WebAssembly engines: wabt's wasm-interp, SpiderMonkey (gjs), JavaScriptCore (jsc). Each gets the module, and the samples with it, and
// first calls its self-test.

import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { SECTION, VALUE_TYPES } from '../../src/deploy/binary'
import { parseBuild } from '../../src/deploy/kernels'
import { Rewritten } from './rewrite'
import { run } from './tools'

interface Samples {
  inputs: Uint8Array
  inputBytes: number
}

const HEX = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex')

/**
 * The module with samples in it, for hosts that can only call exports without arguments: `sample <i>` puts the i-th where the input is, and
 * `output <i>` runs and returns the output, in words of 8 bytes of which the last may be filled up. In order they are the session's runs.
 * With `tested` the export `self_test` stays before them.
 */
function withSamples(wasm: Uint8Array, { inputs, inputBytes }: Samples, tested: boolean): Uint8Array<ArrayBuffer> {
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(wasm as BufferSource))
  const [input, output, outputBytes] = ['input', 'output', 'output_bytes'].map(
    (name) => (exports[name] as WebAssembly.Global).value,
  )
  const [start, test] = ['run', 'self_test'].map((f) => parseBuild(wasm).exports.find(({ name }) => name === f)!.index)
  const module = new Rewritten(wasm)
  const words = Math.ceil(outputBytes / 8)
  const results = Array.from({ length: words }, () => VALUE_TYPES.i64)
  const type = module.append(SECTION.type, (t) =>
    t
      .byte(0x60)
      .u32(0)
      .vector(results, (r) => t.byte(r)),
  )
  const segment = module.append(SECTION.data, (d) => d.u32(1).u32(inputs.length).raw(inputs))
  module.drop(SECTION.export)
  if (tested) module.append(SECTION.export, (e) => e.text('self_test').byte(0).u32(test))
  for (let i = 0; i * inputBytes < inputs.length; i++) {
    const index = module.append(SECTION.function, (f) => f.u32(type))
    module.append(SECTION.export, (e) => e.text(`sample ${i}`).byte(0).u32(index))
    module.append(SECTION.code, (c) =>
      c.sized((f) => {
        f.u32(0)
        for (const v of [input, i * inputBytes, inputBytes]) f.byte(0x41).i32(v)
        f.byte(0xfc).u32(8).u32(segment).byte(0) // memory.init
        f.byte(0x10).u32(start).byte(0x1a)
        for (let word = 0; word < words; word++)
          f.byte(0x41)
            .i32(output + 8 * word)
            .byte(0x29)
            .u32(0)
            .u32(0)
        f.byte(0x0b)
      }),
    )
  }
  return module.bytes()
}

/** Outputs by wasm-interp, one sample after another. */
export async function runInterp(folder: string, wasm: Uint8Array, samples: Samples, outputBytes: number): Promise<Uint8Array> {
  writeFileSync(join(folder, 'samples.wasm'), withSamples(wasm, samples, true))
  const text = await run('wasm-interp', ['samples.wasm', '--run-all-exports'], folder)
  const [test, ...lines] = text.trim().split('\n')
  if (test !== 'self_test() => i32:0') throw new Error(`wasm-interp: ${test}`)
  const each = lines.map((line) => {
    const [, values] = /^sample \d+\(\) => (.*)$/.exec(line) ?? []
    if (!values) throw new Error(`wasm-interp: ${line}`)
    const words = BigUint64Array.from(values.split(', '), (v) => BigInt(v.replace('i64:', '')))
    return new Uint8Array(words.buffer, 0, outputBytes)
  })
  return Buffer.concat(each)
}

/** Instructions that wasm-interp steps through in one run: a line of its trace for each. */
export async function traceInterp(folder: string, wasm: Uint8Array, samples: Samples): Promise<number> {
  const first = samples.inputs.subarray(0, samples.inputBytes)
  const wrapped = withSamples(wasm, { ...samples, inputs: first }, false)
  writeFileSync(join(folder, 'trace.wasm'), wrapped)
  const trace = await run('wasm-interp', ['trace.wasm', '--run-all-exports', '--trace'], folder)
  // Frame 0 is the wrapper.
  return trace.match(/^#[1-9]\d*\./gm)?.length ?? 0
}

/** Outputs by a JavaScript shell without Node's or a browser's interfaces. */
export async function runShell(
  shell: 'gjs' | 'jsc',
  folder: string,
  wasm: Uint8Array,
  { inputs, inputBytes }: Samples,
): Promise<Uint8Array> {
  const script = `
const bytes = (hex) => Uint8Array.from({ length: hex.length / 2 }, (_, i) => parseInt(hex.slice(2 * i, 2 * i + 2), 16))
const { exports } = new WebAssembly.Instance(new WebAssembly.Module(bytes('${HEX(wasm)}')))
if (exports.self_test() !== 0) throw new Error('self_test failed')
const memory = new Uint8Array(exports.memory.buffer)
const samples = bytes('${HEX(inputs)}')
for (let at = 0; at < samples.length; at += ${inputBytes}) {
  memory.set(samples.subarray(at, at + ${inputBytes}), exports.input.value)
  if (exports.run() !== 0) throw new Error('run failed')
  const y = memory.subarray(exports.output.value, exports.output.value + exports.output_bytes.value)
  print(Array.from(y, (b) => b.toString(16).padStart(2, '0')).join(''))
}
`
  writeFileSync(join(folder, 'shell.js'), script)
  return Buffer.from((await run(shell, ['shell.js'], folder)).replace(/\s/g, ''), 'hex')
}
