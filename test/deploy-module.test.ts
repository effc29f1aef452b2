// The standalone module: hand-made plans over small kernels written here and over the real builds, run through the plain
// WebAssembly API; what the builder refuses; what the reader makes of damaged binaries.
import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { hashOf } from '../src/deploy/abi'
import { KINDS, MAGIC, Reader, SECTION, VALUE_TYPES, type ValueType, Writer } from '../src/deploy/binary'
import { dependency, kernelOf, parseBuild } from '../src/deploy/kernels'
import { writeModule } from '../src/deploy/module'
import { DunlinError } from '../src/graph/error'
import { Random } from '../src/graph/random'
import type { Plan, Port } from '../src/plan/plan'

interface Kernel {
  name: string
  params: ValueType[]
  results?: ValueType[]
  /** Instructions without the last `end`. */
  code: number[]
}

/** What asc makes: memory imported, every kernel exported. */
function kernelBinary(kernels: Kernel[], { globals, data }: { globals?: number; data?: number[] } = {}): Uint8Array<ArrayBuffer> {
  const w = new Writer().raw(MAGIC)
  w.section(SECTION.type, (s) =>
    s.vector(kernels, (k) => {
      s.byte(0x60)
      for (const list of [k.params, k.results ?? []]) s.vector(list, (t) => s.byte(VALUE_TYPES[t]))
    }),
  )
  w.section(SECTION.import, (s) => s.u32(1).text('env').text('memory').byte(KINDS.indexOf('memory')).byte(0).u32(1))
  w.section(SECTION.function, (s) => s.vector(kernels, (_, i) => s.u32(i)))
  if (globals) w.section(SECTION.global, (s) => s.vector(Array(globals).fill(0), () => s.raw([0x7f, 1, 0x41, 5, 0x0b])))
  w.section(SECTION.export, (s) => s.vector(kernels, (k, i) => s.text(k.name).byte(0).u32(i)))
  w.section(SECTION.code, (s) => s.vector(kernels, (k) => s.sized((f) => f.u32(0).raw(k.code).byte(0x0b))))
  if (data) w.section(SECTION.data, (s) => s.u32(1).raw([0, 0x41, 16, 0x0b]).u32(data.length).raw(data))
  w.section(SECTION.custom, (s) => s.text('producers').byte(0))
  return w.bytes()
}

/** y[i] = x[i] + 1 for n bytes, counting n down: (x, y, n). */
const addOne: Kernel = {
  name: 'add_one_i8',
  params: ['i32', 'i32', 'i32'],
  // biome-ignore format: one instruction group a line
  code: [
    0x02, 0x40, 0x03, 0x40, 0x20, 2, 0x45, 0x0d, 1, // block loop, leave when n is 0
    0x20, 2, 0x41, 1, 0x6b, 0x21, 2, // n -= 1
    0x20, 1, 0x20, 2, 0x6a, 0x20, 0, 0x20, 2, 0x6a, 0x2c, 0, 0, 0x41, 1, 0x6a, 0x3a, 0, 0, // y[n] = x[n] + 1
    0x0c, 0, 0x0b, 0x0b,
  ],
}
/** *y = v */
const storeF32: Kernel = { name: 'store_f32', params: ['i32', 'f32'], code: [0x20, 0, 0x20, 1, 0x38, 2, 0] }
const storeI32: Kernel = { name: 'store_i32', params: ['i32', 'i32'], code: [0x20, 0, 0x20, 1, 0x36, 2, 0] }
/** *y = v, returning v: its result must be dropped. */
const echo: Kernel = { name: 'echo', params: ['i32', 'i32'], results: ['i32'], code: [...storeI32.code, 0x20, 1] }
const wide: Kernel = { name: 'wide', params: ['i64'], code: [] }
const SMALL = kernelBinary([addOne, storeF32, storeI32, echo, wide], { globals: 2 })

const port = (name: string, address: number, length: number, more: Partial<Port> = {}): Port => ({
  name,
  address,
  length,
  dtype: 'i8',
  batch: 1,
  shape: [length],
  ...more,
})

function plan(more: Partial<Plan> = {}): Plan {
  return {
    memory: 200,
    persistent: 40,
    arena: { bytes: 144, lowerBound: 144 },
    constants: [],
    state: [],
    init: [],
    calls: [{ kernel: 'add_one_i8', args: [64, 80, 10] }],
    inputs: [port('x', 64, 10, { quant: { scale: [0.5], zeroPoint: -3 }, normalize: { mean: 2, std: 4 } })],
    outputs: [port('y', 80, 10)],
    ...more,
  }
}
const contents = Uint8Array.of(0, 7, 8, 9, ...Array(20).fill(0))
const options = { name: 'small', build: SMALL, contents, selfTest: 0 }

interface Exports {
  memory: WebAssembly.Memory
  run: () => number
  [global: string]: unknown
}
const instantiate = (wasm: Uint8Array<ArrayBuffer>) =>
  new WebAssembly.Instance(new WebAssembly.Module(wasm)).exports as unknown as Exports

describe('module', () => {
  const { wasm, report } = writeModule(plan(), options)

  it('imports nothing, exports what a host needs and computes', () => {
    const module = new WebAssembly.Module(wasm)
    expect(WebAssembly.Module.imports(module)).toEqual([])
    expect(WebAssembly.Module.exports(module).map((e) => `${e.kind} ${e.name}`)).toEqual([
      'memory memory',
      'function run',
      'function self_test',
      'function classify',
      ...['input', 'input_bytes', 'output', 'output_bytes', 'abi', '__heap_base', '__data_end'].map((g) => `global ${g}`),
    ])
    const exports = instantiate(wasm)
    const globals = Object.entries(exports).filter(([, v]) => v instanceof WebAssembly.Global) as [string, WebAssembly.Global][]
    expect(Object.fromEntries(globals.map(([k, g]) => [k, g.value]))).toEqual({
      input: 64,
      input_bytes: 10,
      output: 80,
      output_bytes: 10,
      abi: 2,
      __heap_base: 208,
      __data_end: 48,
    })
    for (const [, g] of globals) expect(() => (g.value = 1)).toThrow(TypeError)
    expect(exports.memory.buffer.byteLength).toBe(65536)
    expect(() => exports.memory.grow(1)).toThrow(RangeError)

    const bytes = new Int8Array(exports.memory.buffer)
    expect([...bytes.subarray(16, 40)]).toEqual([...contents])
    for (const start of [0, 120]) {
      bytes.set(
        Array.from({ length: 10 }, (_, i) => start + i),
        64,
      )
      expect(exports.run()).toBe(0)
      expect([...bytes.subarray(80, 91)]).toEqual([...Int8Array.from({ length: 10 }, (_, i) => start + i + 1), 0])
    }
  })

  it('describes itself in the custom section', () => {
    const { wasm } = writeModule(plan({ outputs: [port('y', 80, 2)] }), { ...options, labels: ['ja', 'nö'] })
    const [section] = WebAssembly.Module.customSections(new WebAssembly.Module(wasm), 'dunlin')
    expect(JSON.parse(new TextDecoder().decode(section))).toEqual({
      abi: 2,
      name: 'small',
      inputs: [{ name: 'x', shape: [10], dtype: 'i8', scale: 0.5, zero_point: -3, mean: 2, std: 4 }],
      outputs: [{ name: 'y', shape: [2], dtype: 'i8' }],
      labels: ['ja', 'nö'],
      hash: hashOf(wasm.subarray(0, -10)).toString(16).padStart(8, '0'),
    })
  })

  it('reports its sizes', () => {
    expect(report.flashBytes).toBe(wasm.length)
    expect(report.ramBytes).toBe(208)
    expect(report.kernels).toEqual({ add_one_i8: addOne.code.length + 2 })
    // id, length, count, flags, offset (3), length, and the contents up to their last byte that is not 0
    expect(report.dataBytes).toBe(8 + 4)
    const sizes = new Map<number, number>()
    for (let at = MAGIC.length; at < wasm.length; ) {
      const header = 1 + new Writer().u32(new Reader(wasm, 'test', at + 1).u32()).length
      const size = header + new Reader(wasm, 'test', at + 1).u32()
      sizes.set(wasm[at], size)
      at += size
    }
    expect([report.codeBytes, report.dataBytes, report.metadataBytes]).toEqual(
      [SECTION.code, SECTION.data, SECTION.custom].map((id) => sizes.get(id)),
    )
  })

  it('is the same bytes for the same plan', () => {
    expect(writeModule(structuredClone(plan()), structuredClone(options)).wasm).toEqual(wasm)
  })

  it('has no data segment when everything is zero, and nothing persistent is fine', () => {
    expect(writeModule(plan(), { ...options, contents: new Uint8Array(24) }).report.dataBytes).toBe(0)
    for (const persistent of [0, 16]) {
      const built = writeModule(plan({ persistent }), { ...options, contents: new Uint8Array(0) })
      expect((instantiate(built.wasm).__data_end as WebAssembly.Global).value).toBe(persistent)
    }
  })

  it('passes every number exactly, drops results and keeps the order of calls', () => {
    const floats = [0, -0, Infinity, -Infinity, NaN, 0.1, -1.5, 1e-45, 3.4028234663852886e38, 2 ** -149, 1e300]
    const integers = [
      0,
      -0,
      1,
      -1,
      63,
      64,
      -64,
      -65,
      127,
      128,
      8191,
      8192,
      -8192,
      -8193,
      2 ** 31 - 1,
      -(2 ** 31),
      2 ** 31,
      2 ** 32 - 1,
    ]
    const random = new Random(5)
    for (let i = 0; i < 200; i++) integers.push(random.next() >> random.integer(32))
    const calls = [
      ...floats.map((v, i) => ({ kernel: 'store_f32', args: [1024 + 4 * i, v] })),
      ...integers.map((v, i) => ({ kernel: i % 2 ? 'store_i32' : 'echo', args: [2048 + 4 * i, v] })),
      { kernel: 'store_i32', args: [1000, 1] },
      { kernel: 'store_i32', args: [1000, 2] },
    ]
    const built = writeModule(plan({ calls, memory: 70000 }), options)
    const { memory, run } = instantiate(built.wasm)
    expect(memory.buffer.byteLength).toBe(2 * 65536)
    run()
    expect([...new Float32Array(memory.buffer, 1024, floats.length)]).toEqual([...Float32Array.from(floats)])
    expect([...new Int32Array(memory.buffer, 2048, integers.length)], 'Random(5)').toEqual(integers.map((v) => v | 0))
    expect(new Int32Array(memory.buffer, 1000, 1)[0]).toBe(2)
    expect(Object.keys(built.report.kernels)).toEqual(['store_f32', 'echo', 'store_i32'])
  })

  it('stores each type and each kernel once', () => {
    const once = writeModule(plan(), options)
    const twice = writeModule(plan({ calls: [...plan().calls, ...plan().calls] }), options)
    // 64 and 80 take two bytes as signed numbers.
    expect(twice.report.codeBytes - once.report.codeBytes).toBe(3 + 3 + 2 + 2)
    const [types] = [once, twice].map((b) => parseBuild(b.wasm).types)
    expect(types).toEqual([
      { params: ['i32', 'i32', 'i32'], results: [] },
      { params: [], results: ['i32'] },
    ])
  })

  it('has kernel bodies byte for byte', () => {
    expect(parseBuild(wasm).functions[0].body).toEqual(kernelOf(parseBuild(SMALL), 'add_one_i8').body)
  })

  const call = (kernel: string, ...args: number[]) => plan({ calls: [{ kernel, args }] })
  it.each<[string, Plan, Partial<typeof options> & { labels?: string[] }, RegExp]>([
    ['an unknown kernel', call('conv_i8'), {}, /kernel "conv_i8" is not in the kernel build/],
    ['too few arguments', call('add_one_i8', 1, 2), {}, /kernel "add_one_i8", call 0 .* 2 arguments, it takes 3/],
    ['a fraction for an i32', call('store_i32', 16, 0.5), {}, /kernel "store_i32".*argument 1 is 0.5/],
    ['NaN for an i32', call('store_i32', NaN, 0), {}, /kernel "store_i32".*argument 0 is NaN/],
    ['an i32 out of range', call('store_i32', 0, 2 ** 32), {}, /kernel "store_i32".*argument 1 is 4294967296/],
    ['a parameter that no call can pass', call('wide', 1), {}, /kernel "wide".*i64/],
    ['no input', plan({ inputs: [] }), {}, /inputs and outputs, the plan has 0 and 1/],
    ['no output', plan({ outputs: [] }), {}, /inputs and outputs, the plan has 1 and 0/],
    ['contents of another plan', plan(), { contents: new Uint8Array(3) }, /contents are 3 bytes, wanted 24/],
    ['a persistent part beyond the memory', plan({ persistent: 300 }), {}, /memory 200 and persistent 300/],
    ['a port outside of the memory', plan({ outputs: [port('y', 196, 10)] }), {}, /port "y" lies at \[196, 206\)/],
    ['a batch', plan({ inputs: [port('x', 64, 10, { batch: 5, shape: [2] })] }), {}, /port "x" holds 5 samples/],
    ['a scale of 0', plan({ inputs: [port('x', 64, 10, { quant: { scale: [0], zeroPoint: 0 } })] }), {}, /scale 0/],
    ['labels that do not fit', plan(), { labels: ['a', 'b'] }, /2 labels for output "y" of shape \[10\]/],
    ['a build with static data', plan(), { build: kernelBinary([addOne], { data: [1] }) }, /1 data segment/],
  ])('refuses %s', (_, bad, more, message) => {
    const attempt = () => writeModule(bad, { ...options, ...more })
    expect(attempt).toThrow(DunlinError)
    expect(attempt).toThrow(message)
  })
})

describe('self-contained bodies', () => {
  it.each<[string, number[], RegExp | undefined]>([
    ['nothing', [], undefined],
    [
      'control',
      [0x02, 0x40, 0x03, 0x7f, 0x41, 0, 0x04, 0x7b, 0x00, 0x05, 0x01, 0x0b, 0x0e, 1, 0, 1, 0x0b, 0x1a, 0x0b, 0x0f],
      undefined,
    ],
    ['constants', [0x41, 0x80, 0x7f, 0x42, 0xff, 0x7e, 0x43, 0, 0, 0, 0, 0x44, ...Array(8).fill(0)], undefined],
    ['loads and stores', [0x28, 2, 0x80, 1, 0x3e, 2, 0, 0xc4, 0x1b, 0x1c, 1, 0x7f], undefined],
    ['saturating truncation, copy and fill', [0xfc, 7, 0xfc, 10, 0, 0, 0xfc, 11, 0], undefined],
    ['v128', [0xfd, 0, 4, 0, 0xfd, 11, 4, 0, 0xfd, 12, ...Array(16).fill(0x10), 0xfd, 13, ...Array(16).fill(0x10)], undefined],
    [
      'lanes',
      [0xfd, 21, 0x10, 0xfd, 34, 0x10, 0xfd, 84, 0, 0, 0x10, 0xfd, 91, 3, 0, 1, 0xfd, 92, 2, 0, 0xfd, 93, 3, 0],
      undefined,
    ],
    ['lane arithmetic', [0xfd, 0x6e, 0xfd, 0xba, 1, 0xfd, 0xff, 1, 0xfd, 0x93, 2], undefined],
    ['call', [0x10, 1], /calls function 1/],
    ['return_call', [0x12, 1], /calls function 1/],
    ['call_indirect', [0x11, 0, 0], /through a table/],
    ['return_call_indirect', [0x13, 0, 0], /through a table/],
    ['global.get', [0x23, 0], /global 0/],
    ['global.set', [0x24, 3], /global 3/],
    ['table.get', [0x25, 0], /table/],
    ['memory.size', [0x3f, 0], /size of the memory/],
    ['memory.grow', [0x40, 0], /grows the memory/],
    ['memory.init', [0xfc, 8, 0, 0], /data segment/],
    ['data.drop', [0xfc, 9, 0], /data segment/],
    ['table.copy', [0xfc, 14, 0, 0], /table/],
    ['ref.func', [0xd2, 0], /references/],
    ['memory 1', [0x28, 0x42, 1, 0], /memory 1/],
    ['copy to memory 1', [0xfc, 10, 1, 0], /memory 1/],
    ['a lane from memory 1', [0xfd, 84, 0x40, 1, 0, 0], /memory 1/],
    ['a block with a type index', [0x02, 0, 0x0b], /block whose type/],
  ])('%s', (_, code, reason) => {
    const body = Uint8Array.from([1, 2, 0x7b, ...code, 0x0b])
    const found = dependency(body, 'kernel "k"')
    if (!reason) return expect(found).toBeUndefined()
    expect(found).toMatch(reason)
    const build = kernelBinary([{ name: 'k', params: [], code }])
    const attempt = () => writeModule(plan({ calls: [{ kernel: 'k', args: [] }] }), { ...options, build })
    expect(attempt).toThrow(DunlinError)
    expect(attempt).toThrow(/kernel "k" cannot be copied/)
  })

  it.each([
    ['no end', [0x01]],
    ['bytes after the end', [0x0b, 0x01]],
    ['an unclosed block', [0x02, 0x40, 0x0b]],
    ['an unknown instruction', [0x06, 0x40, 0x0b, 0x0b]],
    ['an unknown SIMD instruction', [0xfd, 0x94, 2, 0x0b]],
    ['an endless number', [0x41, ...Array(20).fill(0x80)]],
  ])('refuses %s', (_, code) => {
    expect(() => dependency(Uint8Array.from([0, ...code]), 'kernel "k"')).toThrow(DunlinError)
  })
})

describe('reader', () => {
  it('reads back what the writer wrote', () => {
    const random = new Random(9)
    for (let i = 0; i < 500; i++) {
      const value = random.next() >>> random.integer(32)
      const bytes = new Writer().u32(value).text(`\ufeffé${value}`).bytes()
      const reader = new Reader(bytes, 'test')
      expect([reader.u32(), reader.text(), reader.done], `Random(9), ${i}`).toEqual([value, `\ufeffé${value}`, true])
    }
  })

  it('lists what a build holds', () => {
    const build = parseBuild(kernelBinary([storeF32, echo], { globals: 2, data: [1, 2] }))
    expect(build.types.length).toBe(2)
    expect(build.imports).toEqual([{ module: 'env', name: 'memory', kind: 'memory' }])
    expect(build.functions.map((f) => f.type)).toEqual([
      { params: ['i32', 'f32'], results: [] },
      { params: ['i32', 'i32'], results: ['i32'] },
    ])
    expect(build.exports).toEqual([
      { name: 'store_f32', kind: 'function', index: 0 },
      { name: 'echo', kind: 'function', index: 1 },
    ])
    expect(build.globals).toBe(2)
    expect(build.data).toEqual([Uint8Array.of(1, 2)])
  })

  it('ends in a module or a DunlinError, whatever the bytes', () => {
    const whole = kernelBinary([addOne, storeF32, echo], { globals: 1 })
    const calls = ['add_one_i8', 'store_f32', 'echo'].map((kernel, i) => ({ kernel, args: [64, 80, 10].slice(0, i ? 2 : 3) }))
    const attempt = (build: Uint8Array, what: string) => {
      try {
        for (const f of parseBuild(build).functions) dependency(f.body, 'mutant')
        writeModule(plan({ calls }), { ...options, build })
        return true
      } catch (error) {
        if (!(error instanceof DunlinError)) throw new Error(`${what}: ${error}`, { cause: error })
        return false
      }
    }
    expect(attempt(whole, 'whole')).toBe(true)
    for (let length = 0; length < whole.length; length++) attempt(whole.subarray(0, length), `first ${length} bytes`)
    const seed = 20
    const random = new Random(seed)
    for (let i = 0; i < 5000; i++) {
      const mutant = whole.slice()
      for (let n = 1 + random.integer(3); n > 0; n--) {
        const at = random.integer(mutant.length)
        const kind = random.integer(3)
        if (kind === 0) mutant[at] = random.integer(256)
        else if (kind === 1) mutant[at] ^= 1 << random.integer(8)
        else mutant.copyWithin(at, random.integer(mutant.length))
      }
      attempt(mutant, `Random(${seed}), mutant ${i}`)
    }
  })
})

describe.each(['scalar', 'simd', 'relaxed'])('the %s build', (name) => {
  const file = new URL(`../build/${name}.wasm`, import.meta.url)

  it.skipIf(!existsSync(file))('has only self-contained kernels', () => {
    const build = parseBuild(readFileSync(file))
    expect(build.data).toEqual([])
    const kernels = build.exports.filter((e) => e.kind === 'function').map((e) => e.name)
    expect(kernels).not.toEqual([])
    for (const kernel of kernels) expect(() => kernelOf(build, kernel)).not.toThrow()
  })

  // Node 20 takes relaxed SIMD only behind a flag, and no small device takes it.
  it.skipIf(!existsSync(file) || name === 'relaxed')('has kernels that compute in a module', () => {
    const n = 7
    const bias = Float32Array.from({ length: n }, (_, i) => i - 2.5)
    const built = writeModule(
      plan({
        persistent: 48,
        memory: 192,
        calls: [
          { kernel: 'fill_f32', args: [128, n + 1, 9.5] },
          { kernel: 'add_f32', args: [64, 16, 128, n, -Infinity, 6] },
        ],
        inputs: [port('x', 64, n, { dtype: 'f32' })],
        outputs: [port('y', 128, n, { dtype: 'f32' })],
      }),
      { ...options, build: readFileSync(file), contents: new Uint8Array([...new Uint8Array(bias.buffer), 0, 0, 0, 0]) },
    )
    const { memory, run } = instantiate(built.wasm)
    const x = Float32Array.from({ length: n }, (_, i) => i * i - 3)
    new Float32Array(memory.buffer, 64).set(x)
    run()
    expect([...new Float32Array(memory.buffer, 128, n + 1)]).toEqual([...x.map((v, i) => Math.min(v + bias[i], 6)), 9.5])
  })
})

const missing = (command: string, ...args: string[]) => spawnSync(command, args).error !== undefined
describe('other tools', () => {
  it.skipIf(missing('wasm-validate', '--version'))('wabt finds the module valid and runs it', () => {
    const folder = mkdtempSync(join(tmpdir(), 'dunlin-'))
    try {
      const file = join(folder, 'small.wasm')
      writeFileSync(file, writeModule(plan(), options).wasm)
      execFileSync('wasm-validate', [file])
      expect(execFileSync('wasm-interp', [file, '--run-all-exports'], { encoding: 'utf8' })).toContain('run() => i32:0')
    } finally {
      rmSync(folder, { recursive: true })
    }
  })
})
