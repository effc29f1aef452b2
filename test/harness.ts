// Runs one kernel in one build on buffers that are fenced: `const [y] = run(build, 'clamp_i8', [in_(x), out('i8', n), n, lo, hi])`.
// Every buffer starts at a multiple of 16 and has 64 bytes of a known pattern before its first and right after its last byte.
// A kernel may read past an end, so the pattern is one that spoils results: -53 as i8, -2.7e7 as f32. Outputs and scratch are
// filled with it too, so an element that was not written shows. After the call the fences and the inputs must be unchanged.

import { existsSync, readFileSync } from 'node:fs'
import { instantiateSync } from '@assemblyscript/loader'
import { ARRAYS, type Dtype, type TypedArray } from '../src/graph/node'

const FENCE = 64
const PATTERN = 0xcb

export interface Build {
  name: string
  memory: WebAssembly.Memory
  kernels: Record<string, (...args: number[]) => number | undefined>
}

/** The builds that this host can run. `relaxed` needs `--experimental-wasm-relaxed-simd` in Node 20. */
export const builds: Build[] = ['scalar', 'simd', 'relaxed'].flatMap((name) => {
  const file = new URL(`../build/${name}.wasm`, import.meta.url)
  if (!existsSync(file)) throw new Error(`build/${name}.wasm is missing: run "node build.mjs kernels".`)
  const bytes = readFileSync(file)
  if (!WebAssembly.validate(bytes)) return []
  const memory = new WebAssembly.Memory({ initial: 16 })
  const { instance } = instantiateSync(bytes, { env: { memory } })
  return [{ name, memory, kernels: instance.exports as Build['kernels'] }]
})

/** What modules for interpreters run: kernels of their own, and the scalar ones where there is none. */
export const interpreter: Build = (() => {
  const scalar = builds[0]
  const { instance } = instantiateSync(readFileSync(new URL('../build/interpreter.wasm', import.meta.url)), {
    env: { memory: scalar.memory },
  })
  return { name: 'interpreter', memory: scalar.memory, kernels: { ...scalar.kernels, ...(instance.exports as Build['kernels']) } }
})()

/** A kernel's pointer argument: what is in the buffer before the call, and what the kernel may do with it. */
export class Buffer {
  constructor(
    readonly use: 'in' | 'inout' | 'out' | 'scratch',
    readonly before: TypedArray,
  ) {}
}

/** Read by the kernel and left as it is. */
export const in_ = (data: TypedArray): Buffer => new Buffer('in', data)
/** Read and written. */
export const inout = (data: TypedArray): Buffer => new Buffer('inout', data)
/** Written, `n` elements. */
export const out = (dtype: Dtype, n: number): Buffer => new Buffer('out', patterned(dtype, n))
/** Written and forgotten, `n` elements. */
export const scratch = (dtype: Dtype, n: number): Buffer => new Buffer('scratch', patterned(dtype, n))

function patterned(dtype: Dtype, n: number): TypedArray {
  const data = new ARRAYS[dtype](n)
  new Uint8Array(data.buffer).fill(PATTERN)
  return data
}

/** Buffers placed one after another in a build's memory, each between two fences. */
export class Arena {
  private end = 16
  private readonly placed: { address: number; buffer: Buffer }[] = []

  constructor(private readonly memory: WebAssembly.Memory) {}

  /** Places the buffer, once if it is given again, and returns its address. */
  alloc(buffer: Buffer): number {
    const there = this.placed.find((p) => p.buffer === buffer)
    if (there) return there.address
    const { before } = buffer
    const address = (this.end + FENCE + 15) & -16
    const past = address + before.byteLength
    this.grow(past + FENCE)
    const bytes = new Uint8Array(this.memory.buffer)
    bytes.fill(PATTERN, this.end, past + FENCE)
    bytes.set(new Uint8Array(before.buffer, before.byteOffset, before.byteLength), address)
    this.end = past + FENCE
    this.placed.push({ address, buffer })
    return address
  }

  /** Throws if a fence or an input changed; `what` says whose call it was. */
  check(what: string): void {
    const bytes = new Uint8Array(this.memory.buffer)
    let start = 16
    for (const [i, { address, buffer }] of this.placed.entries()) {
      const past = address + buffer.before.byteLength
      for (const [from, to] of [
        [start, address],
        [past, past + FENCE],
      ]) {
        for (let at = from; at < to; at++) {
          if (bytes[at] === PATTERN) continue
          throw new Error(`${what} wrote outside buffer ${i}: at byte ${at - address} of ${buffer.before.byteLength}.`)
        }
      }
      if (buffer.use === 'in') {
        const was = new Uint8Array(buffer.before.buffer, buffer.before.byteOffset, buffer.before.byteLength)
        const at = was.findIndex((b, j) => b !== bytes[address + j])
        if (at >= 0) throw new Error(`${what} changed its input, buffer ${i}, at byte ${at}.`)
      }
      start = past + FENCE
    }
  }

  /** Copies of the buffers that the kernel gives back (`out` and `inout`), in order. */
  results(): TypedArray[] {
    const back = this.placed.filter(({ buffer }) => buffer.use === 'out' || buffer.use === 'inout')
    return back.map(({ address, buffer: { before } }) => {
      const type = before.constructor as new (buffer: ArrayBufferLike) => TypedArray
      return new type(this.memory.buffer.slice(address, address + before.byteLength))
    })
  }

  private grow(bytes: number): void {
    const missing = bytes - this.memory.buffer.byteLength
    if (missing > 0) this.memory.grow(Math.ceil(missing / 65536))
  }
}

/** Calls `kernel` of `build` with the buffers' addresses and the numbers, checks the fences, and returns the results. */
export function run(build: Build, kernel: string, args: readonly (Buffer | number)[]): TypedArray[] {
  const call = build.kernels[kernel]
  if (!call) throw new Error(`build/${build.name}.wasm exports no ${kernel}.`)
  const arena = new Arena(build.memory)
  call(...args.map((a) => (a instanceof Buffer ? arena.alloc(a) : a)))
  arena.check(`${kernel} (${build.name})`)
  return arena.results()
}
