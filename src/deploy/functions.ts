// The functions of a module that no plan has: reset, self_test, classify. Each is some tens of bytes, written here instruction by
// instruction: an interpreter keeps three bytes of RAM for each.
// The self-test's numbers come from a generator that is written twice, in JavaScript and in instructions; a test holds them equal.

import { BYTES, type Dtype, type TypedArray } from '../graph/node'
import type { Plan, Port, Region } from '../plan/plan'
import { hashOf } from './abi'
import { Writer } from './binary'
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

const OPCODE = {
  loop: 0x03,
  end: 0x0b,
  brIf: 0x0d,
  call: 0x10,
  select: 0x1b,
  get: 0x20,
  set: 0x21,
  tee: 0x22,
  load8: 0x2d,
  store32: 0x36,
  f32Store: 0x38,
  store8: 0x3a,
  store16: 0x3b,
  i32: 0x41,
  notEqual: 0x47,
  plus: 0x6a,
  minus: 0x6b,
  times: 0x6c,
  or: 0x72,
  xor: 0x73,
  shiftSigned: 0x75,
  shift: 0x76,
  toFloat: 0xb2,
} as const
/** A block that leaves nothing on the stack. */
const NOTHING = 0x40

/** Of an element: its load, with the power of two that it is aligned to, and its comparison "greater". */
const ELEMENTS: Record<Dtype, { load: number; align: number; greater: number }> = {
  f32: { load: 0x2a, align: 2, greater: 0x5e },
  i8: { load: 0x2c, align: 0, greater: 0x4a },
  u8: { load: 0x2d, align: 0, greater: 0x4a },
  i16: { load: 0x2e, align: 1, greater: 0x4a },
  i32: { load: 0x28, align: 2, greater: 0x4a },
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
    return this.op('get').u32(local)
  }
  set(local: number): this {
    return this.op('set').u32(local)
  }
  tee(local: number): this {
    return this.op('tee').u32(local)
  }
  constant(value: number): this {
    return this.op('i32').i32(value)
  }
  call(index: number): this {
    return this.op('call').u32(index)
  }
  /** A load or store at the address on the stack; `align` is a power of two. */
  memory(opcode: number, align: number): this {
    return this.raw([opcode, align, 0])
  }
  loop(body: () => void): this {
    this.op('loop').byte(NOTHING)
    body()
    return this.op('brIf').u32(0).op('end')
  }
  /** Has `body` run with local `p` at each of the addresses from `from` to `end`, `step` bytes apart. There is at least one. */
  walk(p: number, from: number, end: number, step: number, body: () => void): this {
    this.constant(from).set(p)
    return this.loop(() => {
      body()
      this.get(p).constant(step).op('plus').tee(p).constant(end).op('notEqual')
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
      code.get(p).constant(0).memory(OPCODE.store32, 2)
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
      code.get(p).get(x).constant(FACTOR).op('times').constant(TERM).op('plus').tee(x)
      if (port.dtype === 'f32') {
        code.constant(FLOAT).op('shiftSigned', 'toFloat').memory(OPCODE.f32Store, 2)
      } else {
        code.constant(port.dtype === 'i32' ? INDEX : 24).op(port.dtype === 'i16' ? 'shiftSigned' : 'shift')
        const { align } = ELEMENTS[port.dtype]
        code.memory([OPCODE.store8, OPCODE.store16, OPCODE.store32][align], align)
      }
    })
  }
  // The status of `run` stays on the stack.
  code.call(run)
  for (const port of outputs) {
    code.walk(p, port.address, endOf(port), 1, () => {
      code.get(x).get(p).memory(OPCODE.load8, 0).op('xor').constant(FNV_PRIME).op('times').set(x)
    })
  }
  if (reset !== undefined) code.call(reset)
  return code.get(x).constant(expected).op('notEqual', 'or').finish()
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
  code.get(best).constant(output.address).op('minus')
  if (align) code.constant(align).op('shift')
  return code.finish()
}
