// How many instructions an interpreter executes, exactly and at full speed: a module is rewritten so that each function counts its own,
// and then run here. What counts is what wabt's wasm-interp steps through: everything but block, loop, end and nop; a taken branch of
// br_if is two; locals are made by one instruction and dropped by one; `else` is a jump over it.

import { Reader, SECTION, VALUE_TYPES, Writer } from '../../src/deploy/binary'
import { immediates, parseBuild } from '../../src/deploy/kernels'
import { Rewritten } from './rewrite'

const OP = { block: 2, loop: 3, if: 4, else: 5, end: 0x0b, br: 0x0c, brIf: 0x0d, brTable: 0x0e, return: 0x0f, call: 0x10 }
const PREFIX = 0xfc

/** The module, with an exported i64 `count <i>` for each function i. */
function counting(wasm: Uint8Array): Uint8Array<ArrayBuffer> {
  const { functions } = parseBuild(wasm)
  const module = new Rewritten(wasm)
  module.bodies = module.bodies.map((body, i) => {
    const global = module.append(SECTION.global, (g) => g.byte(VALUE_TYPES.i64).byte(1).raw([0x42, 0, OP.end]))
    module.append(SECTION.export, (e) => e.text(`count ${i}`).byte(3).u32(global))
    return countingBody(body, functions[i].type, global)
  })
  return module.bytes()
}

function countingBody(
  body: Uint8Array,
  { params, results }: { params: string[]; results: string[] },
  global: number,
): Uint8Array {
  const declared = new Reader(body, 'function')
  const locals = declared.vector(() => [declared.u32(), declared.byte()] as const)
  const own = locals.reduce((sum, [count]) => sum + count, 0)
  const counter = params.length + own
  const w = new Writer()
  w.vector([...locals, [1, VALUE_TYPES.i64] as const], ([count, type]) => w.u32(count).byte(type))
  /** What leaving the function takes: locals are dropped, and it returns. */
  const leaving = 1 + Number(counter > 0)
  let pending = Number(own > 0)
  const flush = () => {
    if (pending) w.byte(0x20).u32(counter).byte(0x42).i32(pending).byte(0x7c).byte(0x21).u32(counter)
    pending = 0
  }
  const report = () => w.byte(0x23).u32(global).byte(0x20).u32(counter).byte(0x7c).byte(0x24).u32(global)

  // A block round the whole body: a branch to its end is then counted as it leaves, too.
  w.byte(OP.block).byte(results.length ? VALUE_TYPES[results[0] as 'i32'] : 0x40)
  const end = body.length
  let at = end - declared.rest().length
  for (let depth = 1; depth > 0; ) {
    const reader = new Reader(body, 'function', at)
    const opcode = reader.byte()
    if (opcode >= OP.block && opcode <= OP.if) depth++
    if (opcode === OP.end) depth--
    if (opcode === PREFIX && body[at + 1] >= 8 && body[at + 1] <= 9) {
      // memory.init and data.drop: what follows is numbers.
      const operands = reader.u32() === 8 ? 2 : 1
      for (let i = 0; i < operands; i++) reader.u32()
    } else immediates(reader, opcode)
    const next = end - reader.rest().length
    const bytes = body.subarray(at, next)
    at = next
    switch (opcode) {
      case OP.block:
      case 1:
        break
      case OP.brTable:
        throw new Error('br_table is not counted')
      case OP.brIf:
        // The branch that is not taken gives one back.
        pending += 2
        flush()
        pending = -1
        break
      case OP.return:
        pending += leaving
        flush()
        report()
        break
      case OP.loop:
      case OP.end:
        flush()
        break
      default:
        pending++
        if (opcode === OP.br || opcode === OP.if || opcode === OP.else) flush()
    }
    w.raw(bytes)
  }
  pending = leaving
  flush()
  report()
  return w.byte(OP.end).bytes()
}

/** Instructions that each function of the module executes in one `run`, of its own: what it calls is not in it. */
export function countInstructions(wasm: Uint8Array, sample: Uint8Array): number[] {
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(counting(wasm)))
  const { memory, run, input } = exports as unknown as { memory: WebAssembly.Memory; run(): number; input: WebAssembly.Global }
  const counters = parseBuild(wasm).functions.map((_, i) => exports[`count ${i}`] as WebAssembly.Global)
  for (const counter of counters) counter.value = 0n
  new Uint8Array(memory.buffer).set(sample, input.value)
  if (run() !== 0) throw new Error('run() did not return 0')
  return counters.map((counter) => Number(counter.value))
}
