// That no input makes an int8 module trap is proved, not tried: in every kernel that such modules have, what comes out of memory is followed
// through the instructions, and it never decides a branch, an address, a number of bytes or a divisor. So every run makes the same accesses
// as the self-test, which passed. The few kernels of another kind are listed with the reason why they cannot leave their buffers either.
// Of the targets 'aot' and 'interpreter': with SIMD a few kernels choose between two ways for some numbers at once.
//
// Abstract interpretation of the wasm as it is shipped: a value is the set of parameters whose memory it was loaded from (`mem`) and the
// set that it was computed from (`from`): a load takes its address's `from` into `mem`. Branches join states, loops run until nothing is new.

import { describe, expect, it } from 'vitest'
import { Reader } from '../src/deploy/binary'
import { immediates, parseBuild } from '../src/deploy/kernels'
import { kernelBytes } from '../src/session/kernels'

interface Instruction {
  /** 0xfc with the number behind it: 0xfc00 + number. */
  opcode: number
  /** A local, a label's depth, or whether a block has a result. */
  operand: number
  body: Instruction[]
  otherwise?: Instruction[]
}

function parse(code: Uint8Array): { locals: number; body: Instruction[] } {
  const reader = new Reader(code, 'kernel')
  let locals = 0
  reader.vector(() => {
    locals += reader.u32()
    reader.byte()
  })
  const block = (): { list: Instruction[]; end: number } => {
    for (const list: Instruction[] = []; ; ) {
      const first = reader.byte()
      if (first === END || first === ELSE) return { list, end: first }
      const i: Instruction = { opcode: first, operand: 0, body: [] }
      if (first >= 0x02 && first <= 0x04) {
        i.operand = Number(reader.byte() !== 0x40)
        const inner = block()
        i.body = inner.list
        if (inner.end === ELSE) i.otherwise = block().list
      } else if ((first >= 0x20 && first <= 0x22) || first === BR || first === BR_IF) i.operand = reader.u32()
      else {
        if (first === 0xfc) i.opcode = (first << 8) + new Reader(code, 'kernel', reader.position).u32()
        expect(immediates(reader, first)).toBeUndefined()
      }
      list.push(i)
    }
  }
  return { locals, body: block().list }
}

const [ELSE, END, BR, BR_IF, BR_TABLE, RETURN] = [0x05, 0x0b, 0x0c, 0x0d, 0x0e, 0x0f]
type Ranges = readonly (readonly [number, number?])[]
const within = (opcode: number, ranges: Ranges) => ranges.some(([from, to = from]) => from <= opcode && opcode <= to)
const LOADS: Ranges = [[0x28, 0x35]]
const STORES: Ranges = [[0x36, 0x3e]]
const CONSTANTS: Ranges = [[0x41, 0x44]]
const DIVISIONS: Ranges = [
  [0x6d, 0x70],
  [0x7f, 0x82],
]
/** To an integer, trapping where there is none. */
const TRUNCATIONS: Ranges = [
  [0xa8, 0xab],
  [0xae, 0xb1],
]
// biome-ignore format: ranges side by side
const UNARY: Ranges = [
  [0x45], [0x50], [0x67, 0x69], [0x79, 0x7b], [0x8b, 0x91], [0x99, 0x9f], [0xa7, 0xc4], [0xfc00, 0xfc07],
]
const BINARY: Ranges = [[0x46, 0xa6]]
const [COPY, FILL] = [0xfc0a, 0xfc0b]

interface Value {
  from: bigint
  mem: bigint
}
const NOTHING: Value = { from: 0n, mem: 0n }
const join = (a: Value, b: Value): Value => ({ from: a.from | b.from, mem: a.mem | b.mem })
type State = readonly Value[] | undefined
const merge = (a: State, b: State): State => (a && b ? a.map((v, i) => join(v, b[i])) : (a ?? b))

/**
 * What is decided by what comes out of memory: 'branch', 'address', 'count', 'divisor', 'truncation', each with the parameters that point there.
 * Those of `fixed` point to what no input changes.
 */
function decisions(code: Uint8Array, params: number, fixed: readonly number[] = []): Record<string, number[]> {
  const { locals, body } = parse(code)
  const changing = ~fixed.reduce((all, i) => all | (1n << BigInt(i)), 0n)
  const found = new Map<string, bigint>()
  const decide = (what: string, { mem }: Value) => {
    if (mem) found.set(what, (found.get(what) ?? 0n) | mem)
  }
  const labels: { out: State; value: Value; loop: boolean }[] = []

  /** The state after these instructions, whose results are left on `stack`; undefined where none gets there. */
  function execute(list: readonly Instruction[], before: readonly Value[], stack: Value[]): State {
    let state = [...before]
    const pop = (): Value => {
      const value = stack.pop()
      if (!value) throw new Error('an empty stack')
      return value
    }
    const branch = (depth: number) => {
      // To leave the function is to leave its outermost block.
      const label = labels[labels.length - 1 - depth]
      if (!label) return
      label.out = merge(label.out, state)
      if (!label.loop && stack.length) label.value = join(label.value, stack[stack.length - 1])
    }
    for (const { opcode, operand, body, otherwise } of list) {
      if (opcode === 0x02 || opcode === 0x04) {
        const condition = opcode === 0x04 ? pop() : NOTHING
        decide('branch', condition)
        const label = { out: undefined as State, value: NOTHING, loop: false }
        labels.push(label)
        let after: State
        for (const part of opcode === 0x04 ? [body, otherwise ?? []] : [body]) {
          const inner: Value[] = []
          const end = execute(part, state, inner)
          if (end && operand) label.value = join(label.value, inner[inner.length - 1])
          after = merge(after, end)
        }
        labels.pop()
        after = merge(after, label.out)
        if (!after) return undefined
        // What either side sets tells which side it was.
        const told = { from: 0n, mem: condition.mem }
        const set = new Set(condition.mem ? assigned([...body, ...(otherwise ?? [])]) : [])
        state = after.map((v, i) => (set.has(i) ? join(v, told) : v))
        if (operand) stack.push(join(label.value, told))
      } else if (opcode === 0x03) {
        for (let head: readonly Value[] = state; ; ) {
          const label = { out: undefined as State, value: NOTHING, loop: true }
          labels.push(label)
          const inner: Value[] = []
          const end = execute(body, head, inner)
          labels.pop()
          const next = merge(head, label.out) as readonly Value[]
          if (next.some((v, i) => v.from !== head[i].from || v.mem !== head[i].mem)) {
            head = next
            continue
          }
          if (!end) return undefined
          state = [...end]
          if (operand) stack.push(inner[inner.length - 1])
          break
        }
      } else if (opcode === BR) {
        branch(operand)
        return undefined
      } else if (opcode === BR_IF) {
        decide('branch', pop())
        branch(operand)
      } else if (opcode === RETURN || opcode === 0x00) return undefined
      else if (opcode === 0x01) continue
      else if (opcode === 0x1a) pop()
      else if (opcode === 0x1b || opcode === 0x1c) stack.push([pop(), pop(), pop()].reduce(join))
      else if (opcode === 0x20) stack.push(state[operand])
      else if (opcode === 0x21) state[operand] = pop()
      else if (opcode === 0x22) state[operand] = stack[stack.length - 1]
      else if (within(opcode, LOADS)) {
        const address = pop()
        decide('address', address)
        stack.push({ from: 0n, mem: (address.from | address.mem) & changing })
      } else if (within(opcode, STORES)) {
        pop()
        decide('address', pop())
      } else if (opcode === COPY || opcode === FILL) {
        decide('count', pop())
        const source = pop()
        if (opcode === COPY) decide('address', source)
        decide('address', pop())
      } else if (within(opcode, CONSTANTS)) stack.push(NOTHING)
      else if (within(opcode, UNARY)) {
        if (within(opcode, TRUNCATIONS)) decide('truncation', stack[stack.length - 1])
      } else if (within(opcode, BINARY)) {
        const [b, a] = [pop(), pop()]
        if (within(opcode, DIVISIONS)) decide('divisor', b)
        stack.push(join(a, b))
      } else throw new Error(`instruction 0x${opcode.toString(16)} is not followed`)
    }
    return state
  }

  const arguments_ = Array.from({ length: params }, (_, i) => ({ from: 1n << BigInt(i), mem: 0n }))
  execute(body, [...arguments_, ...Array<Value>(locals).fill(NOTHING)], [])
  return Object.fromEntries([...found].map(([what, mem]) => [what, arguments_.flatMap(({ from }, i) => (from & mem ? [i] : []))]))
}

/** The locals that the instructions of a side set, `depth` blocks inside of it; a branch out of it would need more than that. */
function assigned(list: readonly Instruction[], depth = 0): number[] {
  return list.flatMap(({ opcode, operand, body, otherwise }) => {
    if (opcode === BR_TABLE || opcode === RETURN || ((opcode === BR || opcode === BR_IF) && operand > depth))
      throw new Error('a branch out of a side that was chosen by memory is not followed')
    return [...(opcode === 0x21 || opcode === 0x22 ? [operand] : []), ...assigned([...body, ...(otherwise ?? [])], depth + 1)]
  })
}

/** Kernels in which an input decides something: of which parameters, and why it is safe. */
const ELSEWISE: Record<string, Record<string, number[]>> = {
  // An element of 8 bits is one of 256 places of the table, all of which are there.
  lookup_i8: { address: [0] },
  normalize_i8: { address: [0] },
  // The row is clamped to those of the table.
  embedding_i8: { address: [0] },
  // Sums leave out what is below a bound, of the row that begins at x + n r; both sides touch the same memory.
  softmax_i8: { branch: [0, 3] },
  // The logarithm of 0 is another number.
  logMel_i16: { branch: [6] },
}
/** Parameters that point to constants of the model, which decide how far a kernel goes. */
const FIXED: Record<string, number[]> = { logMel_i16: [1, 2, 3, 4] }

describe.each(['scalar', 'interpreter'] as const)('the integer kernels of modules (%s)', (name) => {
  const build = parseBuild(kernelBytes(name))
  const imported = build.imports.filter(({ kind }) => kind === 'function').length
  // Kernels on packed weights are those of sessions.
  const kernels = build.exports.filter((e) => e.kind === 'function' && /_(i8|i16|u8)/.test(e.name) && !/^pack/.test(e.name))

  it.each(kernels.map((e) => e.name))('%s: no input decides a branch, an address or a divisor', (kernel) => {
    const { type, body } = build.functions[build.exports.find((e) => e.name === kernel)!.index - imported]
    expect(decisions(body, type.params.length, FIXED[kernel])).toEqual(ELSEWISE[kernel] ?? {})
  })
})

describe('the proof', () => {
  /** One parameter, one local; `code` without its last `end`. */
  const decided = (...code: number[]) => decisions(Uint8Array.of(1, 1, 0x7f, ...code, END), 1)
  const LOADED = [0x20, 0, 0x28, 2, 0]

  it.each<[string, number[], Record<string, number[]>]>([
    ['a load and a store where a parameter says', [0x20, 0, ...LOADED, 0x36, 2, 0], {}],
    ['a branch on a parameter', [0x02, 0x40, 0x20, 0, 0x0d, 0, 0x0b], {}],
    ['an address out of memory', [...LOADED, 0x28, 2, 0, 0x1a], { address: [0] }],
    ['a store there', [...LOADED, 0x20, 0, 0x36, 2, 0], { address: [0] }],
    ['a branch', [0x02, 0x40, ...LOADED, 0x0d, 0, 0x0b], { branch: [0] }],
    ['a divisor', [0x20, 0, ...LOADED, 0x6d, 0x1a], { divisor: [0] }],
    ['a truncation', [...LOADED, 0xbe, 0xa8, 0x1a], { truncation: [0] }],
    ['a number of bytes', [0x20, 0, 0x41, 0, ...LOADED, 0xfc, 11, 0], { count: [0] }],
    ['through a local', [...LOADED, 0x21, 1, 0x20, 1, 0x28, 2, 0, 0x1a], { address: [0] }],
    ['a local that holds an address again', [...LOADED, 0x21, 1, 0x20, 0, 0x21, 1, 0x20, 1, 0x28, 2, 0, 0x1a], {}],
    [
      'from the turn of a loop before',
      [0x03, 0x40, 0x20, 1, 0x28, 2, 0, 0x1a, ...LOADED, 0x21, 1, 0x20, 0, 0x0d, 0, 0x0b],
      { address: [0] },
    ],
    [
      'by the side that was chosen',
      [...LOADED, 0x04, 0x40, 0x41, 4, 0x21, 1, 0x0b, 0x20, 1, 0x28, 2, 0, 0x1a],
      { branch: [0], address: [0] },
    ],
    ['through select', [0x20, 0, 0x41, 4, ...LOADED, 0x1b, 0x28, 2, 0, 0x1a], { address: [0] }],
  ])('finds %s', (_, code, wanted) => {
    expect(decided(...code)).toEqual(wanted)
  })
})
