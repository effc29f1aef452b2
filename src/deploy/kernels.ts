// A prebuilt kernel binary, opened: which functions it exports, their types and their bodies as bytes.
// The one idea: a body that refers to nothing outside itself (no call, global, table, memory size; only memory 0; block types
// inline) means the same in any module that has a memory, so the builder copies it verbatim. `dependency` walks the
// instructions of a body and says what stands in the way. Instructions: MVP, sign extension, saturating truncation, bulk memory,
// SIMD and relaxed SIMD; anything else is refused.

import { DunlinError } from '../graph/error'
import { type Kind, MAGIC, Reader, SECTION, type ValueType } from './binary'

export interface FunctionType {
  params: ValueType[]
  results: ValueType[]
}

export interface Kernel {
  type: FunctionType
  /** Local declarations and instructions, without the length in front. */
  body: Uint8Array
}

export interface KernelBuild {
  types: FunctionType[]
  imports: { module: string; name: string; kind: Kind }[]
  /** The functions defined here, in order. */
  functions: Kernel[]
  /** `index` counts imports of the same kind first. */
  exports: { name: string; kind: Kind; index: number }[]
  /** How many globals are defined here. */
  globals: number
  /** Contents of the data segments. */
  data: Uint8Array[]
}

/** Custom sections may stand anywhere; the others come once each, in this order. */
const ORDER: readonly number[] = [
  SECTION.type,
  SECTION.import,
  SECTION.function,
  SECTION.table,
  SECTION.memory,
  SECTION.global,
  SECTION.export,
  SECTION.start,
  SECTION.element,
  SECTION.dataCount,
  SECTION.code,
  SECTION.data,
]

export function parseBuild(bytes: Uint8Array): KernelBuild {
  const file = new Reader(bytes, 'kernel build')
  const build: KernelBuild = { types: [], imports: [], functions: [], exports: [], globals: 0, data: [] }
  if (bytes.length < MAGIC.length || MAGIC.some((b, i) => bytes[i] !== b)) file.fail('not a wasm module of version 1')
  file.take(MAGIC.length)

  let signatures: FunctionType[] = []
  let last = -1
  while (!file.done) {
    const id = file.byte()
    const section = file.sized()
    if (id === SECTION.custom) continue
    const place = ORDER.indexOf(id)
    if (place <= last) file.fail(`section ${id} is unknown, doubled or out of order`)
    last = place
    switch (id) {
      case SECTION.type:
        build.types = section.vector(() => functionType(section))
        break
      case SECTION.import:
        build.imports = section.vector(() => importEntry(section))
        break
      case SECTION.function:
        signatures = section.vector(() => {
          const index = section.u32()
          return build.types[index] ?? section.fail(`function type ${index} of ${build.types.length}`)
        })
        break
      case SECTION.memory:
        section.vector(() => limits(section))
        break
      case SECTION.global:
        build.globals = section.vector(() => globalEntry(section)).length
        break
      case SECTION.export:
        build.exports = section.vector(() => ({ name: section.text(), kind: section.kind(), index: section.u32() }))
        break
      case SECTION.code: {
        const bodies = section.vector(() => section.sized().rest())
        if (bodies.length !== signatures.length) section.fail(`${bodies.length} bodies for ${signatures.length} functions`)
        build.functions = bodies.map((body, i) => ({ type: signatures[i], body }))
        break
      }
      case SECTION.data:
        build.data = section.vector(() => dataSegment(section))
        break
      default:
        // Tables, elements, a start function and the count of data segments: no self-contained body can reach them.
        section.rest()
    }
    if (!section.done) section.fail(`section ${id} is longer than its contents`)
  }
  if (signatures.length !== build.functions.length) file.fail(`${signatures.length} functions, but no code section`)
  return build
}

/** The exported function `name`, checked to be one that can be copied. */
export function kernelOf(build: KernelBuild, name: string): Kernel {
  const entry = build.exports.find((e) => e.kind === 'function' && e.name === name)
  if (!entry) {
    throw new DunlinError(
      `kernel "${name}" is not in the kernel build. Plan and kernel build must come from the same version of dunlin.`,
    )
  }
  const kernel = build.functions[entry.index - build.imports.filter((i) => i.kind === 'function').length]
  if (!kernel)
    throw new DunlinError(`kernel "${name}": the kernel build exports function ${entry.index}, which it does not define.`)
  const outside = dependency(kernel.body, `kernel "${name}"`)
  if (outside) {
    throw new DunlinError(
      `kernel "${name}" cannot be copied into a module: its code ${outside}. Make it a leaf function (@inline what it calls).`,
    )
  }
  return kernel
}

/**
 * What a function body (local declarations and instructions) needs from the module around it, as the end of a sentence:
 * "calls function 3". Undefined when the body is self-contained: then `each` was told of every instruction. Malformed bytes throw a
 * DunlinError that begins with `what`.
 */
export function dependency(body: Uint8Array, what: string, each?: Visit): string | undefined {
  const reader = new Reader(body, what)
  reader.vector(() => {
    reader.u32()
    reader.valueType()
  })
  const outside = expression(reader, each)
  if (!outside && !reader.done) reader.fail('bytes after the end of the function')
  return outside
}

/** Is told of each instruction where it begins and ends. */
type Visit = (opcode: number, start: number, end: number) => void

/** Reads instructions up to the `end` that closes them, or up to the first that refers to something outside; returns that. */
function expression(reader: Reader, each?: Visit): string | undefined {
  for (let depth = 1; depth > 0; ) {
    const start = reader.position
    const opcode = reader.byte()
    if (opcode >= 0x02 && opcode <= 0x04) depth++
    if (opcode === 0x0b) depth--
    const outside = immediates(reader, opcode)
    if (outside) return outside
    each?.(opcode, start, reader.position)
  }
  return undefined
}

/** Reads what follows `opcode`; returns what the instruction refers to outside of its function, if anything. */
export function immediates(r: Reader, opcode: number): string | undefined {
  // 0x00 unreachable, 0x01 nop, 0x05 else, 0x0b end, 0x0f return, 0x1a drop, 0x1b select: nothing follows
  if (opcode <= 0x01 || opcode === 0x05 || opcode === 0x0b || opcode === 0x0f || opcode === 0x1a || opcode === 0x1b)
    return undefined
  if (opcode <= 0x04) return blockType(r)
  if (opcode === 0x0c || opcode === 0x0d || (opcode >= 0x20 && opcode <= 0x22)) return void r.u32() // br, br_if, local.*
  if (opcode === 0x0e) {
    r.vector(() => r.u32())
    return void r.u32()
  }
  if (opcode === 0x10 || opcode === 0x12) return `calls function ${r.u32()}`
  if (opcode === 0x11 || opcode === 0x13) return 'calls through a table'
  if (opcode === 0x1c) return void r.vector(() => r.valueType()) // select with types
  if (opcode === 0x23 || opcode === 0x24) return `uses global ${r.u32()}`
  if (opcode === 0x25 || opcode === 0x26) return `uses table ${r.u32()}`
  if (opcode >= 0x28 && opcode <= 0x3e) return memoryArgument(r)
  if (opcode === 0x3f) return 'asks for the size of the memory'
  if (opcode === 0x40) return 'grows the memory'
  if (opcode === 0x41) return void r.skipSigned(33)
  if (opcode === 0x42) return void r.skipSigned(64)
  if (opcode === 0x43) return void r.take(4)
  if (opcode === 0x44) return void r.take(8)
  if (opcode >= 0x45 && opcode <= 0xc4) return undefined // numbers in, numbers out
  if (opcode >= 0xd0 && opcode <= 0xd2) return 'uses references'
  if (opcode === 0xfc) return bulkOrTruncation(r)
  if (opcode === 0xfd) return simd(r)
  return r.fail(`unknown instruction 0x${opcode.toString(16)}`)
}

function blockType(r: Reader): string | undefined {
  const byte = r.byte()
  if (byte === 0x40 || (byte >= 0x7b && byte <= 0x7f)) return undefined
  return 'has a block whose type is an entry of the type section'
}

function memoryArgument(r: Reader): string | undefined {
  const align = r.u32()
  // Bit 6 announces the index of a memory (multi-memory).
  const memory = align & 0x40 ? r.u32() : 0
  r.u32()
  return memory ? `uses memory ${memory}` : undefined
}

function bulkOrTruncation(r: Reader): string | undefined {
  const opcode = r.u32()
  if (opcode <= 7) return undefined // *.trunc_sat_*
  if (opcode === 8 || opcode === 9) return 'uses a data segment'
  if (opcode === 10 || opcode === 11) {
    const first = r.u32()
    const memory = Math.max(first, opcode === 10 ? r.u32() : 0)
    return memory ? `uses memory ${memory}` : undefined
  }
  if (opcode <= 17) return 'uses a table'
  return r.fail(`unknown instruction 0xfc ${opcode}`)
}

function simd(r: Reader): string | undefined {
  const opcode = r.u32()
  if (opcode <= 0x0b || opcode === 0x5c || opcode === 0x5d) return memoryArgument(r) // loads, v128.store, load_zero
  if (opcode <= 0x0d) return void r.take(16) // v128.const, i8x16.shuffle
  if (opcode >= 0x15 && opcode <= 0x22) return void r.byte() // extract_lane, replace_lane
  if (opcode >= 0x54 && opcode <= 0x5b) {
    const outside = memoryArgument(r)
    r.byte()
    return outside
  }
  if (opcode <= 0x113) return undefined // up to 0xff lane arithmetic, from 0x100 on relaxed
  return r.fail(`unknown instruction 0xfd ${opcode}`)
}

function functionType(r: Reader): FunctionType {
  const form = r.byte()
  if (form !== 0x60) r.fail(`type form 0x${form.toString(16)} is not a function`)
  return { params: r.vector(() => r.valueType()), results: r.vector(() => r.valueType()) }
}

function importEntry(r: Reader): KernelBuild['imports'][number] {
  const entry = { module: r.text(), name: r.text(), kind: r.kind() }
  if (entry.kind === 'function') r.u32()
  else if (entry.kind === 'memory') limits(r)
  else if (entry.kind === 'global') r.take(2)
  else r.fail(`import "${entry.name}" is a ${entry.kind}`)
  return entry
}

/** Limits of a memory: with or without a maximum, shared or not, 32-bit addresses. */
function limits(r: Reader): void {
  const flags = r.byte()
  if (flags > 3) r.fail(`memory of kind ${flags}, wanted 32-bit addresses`)
  r.u32()
  if (flags & 1) r.u32()
}

function globalEntry(r: Reader): void {
  r.valueType()
  if (r.byte() > 1) r.fail('a global that is neither constant nor mutable')
  if (expression(r)) r.fail('a global whose value is not a plain constant')
}

function dataSegment(r: Reader): Uint8Array {
  const mode = r.u32()
  if (mode > 2) r.fail(`data segment of kind ${mode}`)
  if (mode === 2) r.u32()
  if (mode !== 1 && expression(r)) r.fail('a data segment whose offset is not a plain constant')
  return r.take(r.u32())
}
