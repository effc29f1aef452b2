// The functions of a module that no plan has: reset, self_test, classify. Each is some tens of bytes, written here instruction by
// instruction: an interpreter keeps three bytes of RAM for each.
// The self-test's numbers come from a generator that is written twice, in JavaScript and in instructions; a test holds them equal.

import { BYTES, type Dtype, type TypedArray } from '../graph/node'
import type { Plan, Port, Region } from '../plan/plan'
import { hashOf } from './abi'
import { NO_RESULT, OPCODE, Writer } from './binary'
import type { FunctionType } from './kernels'

export interface ModuleFunction {
  name: string
  type: FunctionType
  /** Local declarations and instructions, without the length in front. */
  body: Uint8Array
}

/** What a session, or anything else that runs a plan, is to the self-test. */
interface Executor {
  plan: Plan
  view(region: Region): TypedArray
  run(): void
}

/** Of an element: its load, with the power of two that it is aligned to, and its comparison "greater". */
const ELEMENTS: Record<Dtype, { load: number; align: number; greater: number }> = {
  f32: { load: OPCODE.f32Load, align: 2, greater: OPCODE.f32Gt },
  i8: { load: OPCODE.i32Load8S, align: 0, greater: OPCODE.i32GtS },
  u8: { load: OPCODE.i32Load8U, align: 0, greater: OPCODE.i32GtS },
  i16: { load: OPCODE.i32Load16S, align: 1, greater: OPCODE.i32GtS },
  i32: { load: OPCODE.i32Load, align: 2, greater: OPCODE.i32GtS },
}

/** x -> x * FACTOR + TERM modulo 2^32, from 0 on (Marsaglia's factor): its upper bits are used. */
const [FACTOR, TERM] = [69069, 12345]
const FNV_PRIME = 0x01000193
/** Floats of the pattern are the upper three bits: from -4 to 3. Indices are the upper four, without a sign. */
const [FLOAT, INDEX] = [29, 28]

/** Runs the self-test on `executor`, whose state is zero: the hash that the module must find. */
export function selfTest(executor: Executor): number {
  const { inputs, outputs } = executor.plan
  let x = 0
  for (const port of inputs) {
    const view = executor.view(port)
    for (let i = 0; i < view.length; i++) {
      x = (Math.imul(x, FACTOR) + TERM) | 0
      view[i] = port.dtype === 'f32' ? x >> FLOAT : port.dtype === 'i32' ? x >>> INDEX : x >> 24
    }
  }
  executor.run()
  // The hash begins with the last of these numbers, which is there already.
  return outputs.reduce((hash, port) => {
    const { buffer, byteOffset, byteLength } = executor.view(port)
    return hashOf(new Uint8Array(buffer, byteOffset, byteLength), hash)
  }, x)
}

/**
 * The functions for a plan, in the order of their indices, which begin at `first`; `run` is the index of that function, `expected` what
 * selfTest() gave.
 */
export function moduleFunctions(plan: Plan, run: number, first: number, expected: number): ModuleFunction[] {
  const { inputs, outputs, state } = plan
  const nothing: FunctionType = { params: [], results: [] }
  const number: FunctionType = { params: [], results: ['i32'] }
  const functions: ModuleFunction[] = []
  const reset = state.length ? first : undefined
  if (reset !== undefined) functions.push({ name: 'reset', type: nothing, body: resetBody(state) })
  functions.push({ name: 'self_test', type: number, body: selfTestBody(inputs, outputs, run, reset, expected) })
  const [{ shape }] = outputs
  if (shape.length === 1 && shape[0] > 1) functions.push({ name: 'classify', type: number, body: classifyBody(outputs[0]) })
  return functions
}

/** Instructions. Locals are i32, by number; a loop goes on while what its body leaves is not 0. */
class Code extends Writer {
  constructor(locals: number) {
    super()
    if (locals) this.raw([1, locals, 0x7f])
    else this.u32(0)
  }
  op(...names: (keyof typeof OPCODE)[]): this {
    for (const name of names) this.byte(OPCODE[name])
    return this
  }
  get(local: number): this {
    return this.op('localGet').u32(local)
  }
  set(local: number): this {
    return this.op('localSet').u32(local)
  }
  tee(local: number): this {
    return this.op('localTee').u32(local)
  }
  constant(value: number): this {
    return this.op('i32Const').i32(value)
  }
  call(index: number): this {
    return this.op('call').u32(index)
  }
  /** A load or store at the address on the stack; `align` is a power of two. */
  memory(opcode: number, align: number): this {
    return this.raw([opcode, align, 0])
  }
  loop(body: () => void): this {
    this.op('loop').byte(NO_RESULT)
    body()
    return this.op('brIf').u32(0).op('end')
  }
  /** Has `body` run with local `p` at each of the addresses from `from` to `end`, `step` bytes apart. There is at least one. */
  walk(p: number, from: number, end: number, step: number, body: () => void): this {
    this.constant(from).set(p)
    return this.loop(() => {
      body()
      this.get(p).constant(step).op('i32Add').tee(p).constant(end).op('i32Ne')
    })
  }
  finish(): Uint8Array {
    return this.op('end').bytes()
  }
}

const endOf = ({ address, length, dtype }: Region) => address + length * BYTES[dtype]

/** A loop in every module: hosts without bulk memory have no memory.fill. */
function resetBody(state: readonly Region[]): Uint8Array {
  const p = 0
  const code = new Code(1)
  // The planner puts all state side by side, in words.
  const from = Math.min(...state.map((region) => region.address))
  const end = Math.max(...state.map(endOf))
  return code
    .walk(p, from, end, 4, () => {
      code.get(p).constant(0).memory(OPCODE.i32Store, 2)
    })
    .finish()
}

function selfTestBody(
  inputs: readonly Port[],
  outputs: readonly Port[],
  run: number,
  reset: number | undefined,
  expected: number,
): Uint8Array {
  const [p, x] = [0, 1]
  const code = new Code(2)
  if (reset !== undefined) code.call(reset)
  for (const port of inputs) {
    code.walk(p, port.address, endOf(port), BYTES[port.dtype], () => {
      code.get(p).get(x).constant(FACTOR).op('i32Mul').constant(TERM).op('i32Add').tee(x)
      if (port.dtype === 'f32') {
        code.constant(FLOAT).op('i32ShrS', 'f32ConvertI32S').memory(OPCODE.f32Store, 2)
      } else {
        code.constant(port.dtype === 'i32' ? INDEX : 24).op(port.dtype === 'i16' ? 'i32ShrS' : 'i32ShrU')
        const { align } = ELEMENTS[port.dtype]
        code.memory([OPCODE.i32Store8, OPCODE.i32Store16, OPCODE.i32Store][align], align)
      }
    })
  }
  // The status of `run` stays on the stack.
  code.call(run)
  for (const port of outputs) {
    code.walk(p, port.address, endOf(port), 1, () => {
      code.get(x).get(p).memory(OPCODE.i32Load8U, 0).op('i32Xor').constant(FNV_PRIME).op('i32Mul').set(x)
    })
  }
  if (reset !== undefined) code.call(reset)
  return code.get(x).constant(expected).op('i32Ne', 'i32Or').finish()
}

/** Index of the largest element; the first of equals. */
function classifyBody(output: Port): Uint8Array {
  const [p, best] = [0, 1]
  const { load, align, greater } = ELEMENTS[output.dtype]
  const code = new Code(2)
  code.constant(output.address).set(best)
  code.walk(p, output.address + BYTES[output.dtype], endOf(output), BYTES[output.dtype], () => {
    code.get(p).get(best)
    code.get(p).memory(load, align).get(best).memory(load, align).byte(greater)
    code.op('select').set(best)
  })
  code.get(best).constant(output.address).op('i32Sub')
  if (align) code.constant(align).op('i32ShrU')
  return code.finish()
}
