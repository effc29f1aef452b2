// The calls of a plan as wasm code. Layers of one kind are the same calls with other numbers: those that differ become parameters of one
// function, those that follow from others are computed from them, and a layer is then a call of it with a few numbers instead of dozens.
// A loop of the plan is a loop; what grows in it is its number of turns times a step.

import { DunlinError } from '../graph/error'
import { type Call, type Learning, LOAD, type Loop } from '../plan/plan'
import { NO_RESULT, OPCODE, VALUE_TYPES, type ValueType, Writer } from './binary'
import type { FunctionType } from './kernels'
import { type Column, constant, type Numeral, oddOne, share, writeConstant } from './share'
import { writeTrainStep } from './training'

const MEMORY_INIT = [0xfc, 8]

/** The type of `load`, which is no function but an instruction on the passive segment. */
const LOAD_TYPE: FunctionType = { params: ['i32', 'i32', 'i32'], results: [] }

export interface Callee {
  name: string
  type: FunctionType
}

export interface WrittenFunction {
  type: FunctionType
  body: Uint8Array
}

/**
 * The functions that make the calls; the last one is `run`, or where the module learns the last two are `run` and `train_step`, the others are
 * their own. `callees`: the functions of the module before them, in
 * order. `layers`: which calls belong together, each from its first to before its end.
 */
export function writeRun(
  calls: readonly (Call | Loop)[],
  layers: readonly Cut[],
  callees: readonly Callee[],
  learning?: Learning,
): WrittenFunction[] {
  check(calls, callees)
  const indexOf = new Map(callees.map(({ name }, i) => [name, i]))
  const typeOf = (kernel: string) => (kernel === LOAD ? LOAD_TYPE : callees[indexOf.get(kernel) as number].type)
  const body = new Body((kernel) => indexOf.get(kernel), typeOf)

  const cuts = cut(calls.length, layers)
  const pieces = cuts.map(({ first, end, name }) => numbersOf(calls.slice(first, end), typeOf, name))
  const kinds = new Map<string, Piece[]>()
  for (const piece of pieces) kinds.set(piece.kind, [...(kinds.get(piece.kind) ?? []), piece])
  const functions: WrittenFunction[] = []
  const made = new Map<Piece, { index: number; args: Numeral[] }>()
  for (const alike of kinds.values()) {
    const index = callees.length + functions.length
    // Bands of rows of a layer have more in common with each other than with other layers.
    const layers = new Map<string, Piece[]>()
    for (const piece of alike) layers.set(piece.layer, [...(layers.get(piece.layer) ?? []), piece])
    const once = [...layers.values()].filter(({ length }) => length === 1).flat()
    const apart = [...layers.values()].filter(({ length }) => length > 1)
    const outlined = (groups: readonly Piece[][]) => groups.flatMap((group, i) => body.outline(group, index + i) ?? [])
    const [together, separate] = [[alike], [once, ...apart]].map(outlined)
    const gain = (all: readonly Outlined[]) => all.reduce((sum, shared) => sum + shared.gain, 0)
    for (const shared of gain(separate) > gain(together) ? separate : together) {
      const at = callees.length + functions.length
      functions.push(shared.written)
      for (const piece of shared.pieces) made.set(piece, { index: at, args: shared.argsOf(piece) })
    }
  }
  /** Appends the calls from one to before another; returns how many loops. */
  const append = (code: Writer, from: number, to: number, counter: number) => {
    let loops = 0
    for (const [at, piece] of pieces.entries()) {
      if (cuts[at].first < from || cuts[at].end > to) continue
      const call = made.get(piece)
      if (call) {
        for (const numeral of call.args) writeConstant(code, numeral)
        code.byte(OPCODE.call).u32(call.index)
      } else loops += body.append(code, piece, piece.numbers.map(constant), counter, loops > 0)
    }
    return loops
  }
  const run = new Writer()
  const code = new Writer()
  const loops = append(code, 0, learning?.phases.loss ?? calls.length, 0)
  writeLocals(run, loops > 0)
  run.raw(code.bytes()).byte(OPCODE.i32Const).i32(0).byte(OPCODE.end)
  functions.push({ type: { params: [], results: ['i32'] }, body: run.bytes() })
  if (learning) functions.push(writeTrainStep(learning, callees.length + functions.length - 1, calls.length, append))
  return functions
}

/** The kernels that the calls name, in order of first use. */
export function kernelsOf(calls: readonly (Call | Loop)[]): string[] {
  const all = calls.flatMap((c) => ('body' in c ? c.body : [c]))
  return [...new Set(all.map(({ kernel }) => kernel))].filter((kernel) => kernel !== LOAD)
}

/** Some calls, as what is alike in all calls of their kind, and the numbers. */
interface Piece {
  kind: string
  layer: string
  calls: readonly (Call | Loop)[]
  numbers: Numeral[]
}

interface Cut {
  name: string
  first: number
  end: number
}

/** The calls of the layers, and each call that is of none alone. */
function cut(count: number, layers: readonly Cut[]): Cut[] {
  const pieces: Cut[] = []
  let at = 0
  for (const { name, first, end } of [...layers].sort((a, b) => a.first - b.first)) {
    for (; at < first; at++) pieces.push({ name: '', first: at, end: at + 1 })
    if (end > at) pieces.push({ name, first: at, end })
    at = Math.max(at, end)
  }
  for (; at < count; at++) pieces.push({ name: '', first: at, end: at + 1 })
  return pieces
}

/** Numbers in the order in which Body reads them: of a loop how often, then each argument, and its step where it has one. */
function numbersOf(calls: readonly (Call | Loop)[], typeOf: (kernel: string) => FunctionType, layer: string): Piece {
  const numbers: Numeral[] = []
  const call = ({ kernel, args }: Call, steps?: number[], times = 1) => {
    const { params } = typeOf(kernel)
    args.forEach((value, i) => {
      numbers.push({ type: params[i], value })
      if (steps?.[i]) numbers.push({ type: 'i32', value: times > 1 ? steps[i] : undefined })
    })
    return `${kernel}${steps ? steps.map((s) => (s ? '+' : '.')).join('') : ''}`
  }
  const kind = calls.map((c) => {
    if (!('body' in c)) return call(c)
    numbers.push({ type: 'i32', value: c.times })
    return `[${c.body.map((b, i) => call(b, c.steps[i], c.times))}]`
  })
  return { kind: kind.join(), layer, calls, numbers }
}

function sizeOf(numbers: readonly Numeral[]): number {
  const w = new Writer()
  for (const numeral of numbers) writeConstant(w, numeral)
  return w.length
}

/** Declares the counter of loops, where there is one. */
const writeLocals = (w: Writer, counter: boolean) => (counter ? w.u32(1).u32(1).byte(VALUE_TYPES.i32) : w.u32(0))

interface Outlined {
  pieces: readonly Piece[]
  written: WrittenFunction
  argsOf(piece: Piece): Numeral[]
  /** Bytes that are saved. */
  gain: number
}

class Body {
  /** Bytes of each piece's calls, with all their numbers. */
  private readonly plain = new Map<Piece, number>()

  constructor(
    private readonly indexOf: (kernel: string) => number | undefined,
    private readonly typeOf: (kernel: string) => FunctionType,
  ) {}

  /** The function that makes the calls of these pieces, or of those that have most in common; undefined when it saves nothing. */
  outline(alike: readonly Piece[], index: number): Outlined | undefined {
    let best: Outlined | undefined
    const mention = 1 + new Writer().u32(index).length
    for (let pieces = alike; pieces.length > 1; ) {
      const numbers = pieces.map((piece) => piece.numbers)
      const { columns, params } = share(numbers)
      const type = { params: params.map((column) => numbers[0][column].type), results: [] }
      const argsOf = (piece: Piece) => params.map((column) => piece.numbers[column])
      const body = this.write(pieces[0], columns, type.params)
      // A function is its body, its length, its type and the mention of the type.
      const own = body.length + 8 + params.length
      const gain = pieces.reduce((sum, piece) => {
        return sum + this.plainLength(piece) - sizeOf(argsOf(piece)) - mention
      }, -own)
      if (gain > (best?.gain ?? 0)) best = { pieces, written: { type, body }, argsOf, gain }
      const odd = oddOne(numbers)
      if (odd === undefined) break
      pieces = pieces.filter((_, i) => i !== odd)
    }
    return best
  }

  private plainLength(piece: Piece): number {
    const known = this.plain.get(piece) ?? this.write(piece, piece.numbers.map(constant), []).length
    this.plain.set(piece, known)
    return known
  }

  /** The body of a function of these parameters that makes the calls. */
  write(piece: Piece, columns: readonly Column[], params: readonly ValueType[]): Uint8Array {
    const code = new Writer()
    const loops = this.append(code, piece, columns, params.length, false)
    const w = new Writer()
    writeLocals(w, loops > 0)
    return w.raw(code.bytes()).byte(OPCODE.end).bytes()
  }

  /** Appends the calls; returns how many loops. `counter`: the local that counts, `used`: not 0 any more. */
  append(w: Writer, piece: Piece, columns: readonly Column[], counter: number, used: boolean): number {
    let at = 0
    let loops = 0
    const call = ({ kernel, args }: Call, steps?: number[], once = false) => {
      args.forEach((_, i) => {
        columns[at++].write(w)
        if (!steps?.[i]) return
        const step = columns[at++]
        if (once) return
        w.byte(OPCODE.localGet).u32(counter)
        if (!step.once) {
          step.write(w)
          w.byte(OPCODE.i32Mul)
        }
        w.byte(OPCODE.i32Add)
      })
      if (kernel === LOAD) w.raw(MEMORY_INIT).u32(0).byte(0)
      else w.byte(OPCODE.call).u32(this.indexOf(kernel) as number)
      for (let i = 0; i < this.typeOf(kernel).results.length; i++) w.byte(OPCODE.drop)
    }
    for (const c of piece.calls) {
      if (!('body' in c)) {
        call(c)
        continue
      }
      const times = columns[at++]
      if (times.once) {
        c.body.forEach((b, i) => {
          call(b, c.steps[i], true)
        })
        continue
      }
      if (used || loops) w.byte(OPCODE.i32Const).i32(0).byte(OPCODE.localSet).u32(counter)
      loops++
      w.byte(OPCODE.loop).byte(NO_RESULT)
      c.body.forEach((b, i) => {
        call(b, c.steps[i])
      })
      w.byte(OPCODE.localGet).u32(counter).byte(OPCODE.i32Const).i32(1).byte(OPCODE.i32Add).byte(OPCODE.localTee).u32(counter)
      times.write(w)
      w.byte(OPCODE.i32LtU).byte(OPCODE.brIf).u32(0).byte(OPCODE.end)
    }
    return loops
  }
}

/** Every call has the arguments that its kernel takes, and they are numbers that code can hold. */
function check(calls: readonly (Call | Loop)[], callees: readonly Callee[]): void {
  calls.forEach((c, index) => {
    const body = 'body' in c ? c.body : [c]
    body.forEach(({ kernel, args }, i) => {
      const where = `kernel "${kernel}", call ${index} of the plan`
      const { params } = kernel === LOAD ? LOAD_TYPE : (callees.find(({ name }) => name === kernel) as Callee).type
      if (args.length !== params.length) {
        throw new DunlinError(
          `${where}: ${args.length} arguments, it takes ${params.length} (${params}). Plan and kernel build must be of one version.`,
        )
      }
      args.forEach((first, j) => {
        if (params[j] === 'f32') return
        if (params[j] !== 'i32')
          throw new DunlinError(`${where}: parameter ${j} is ${params[j]}, a call can pass i32 and f32 only.`)
        const last = 'body' in c ? first + (c.times - 1) * c.steps[i][j] : first
        for (const value of [first, last]) {
          if (!(Number.isInteger(value) && value >= -(2 ** 31) && value < 2 ** 32))
            throw new DunlinError(`${where}: argument ${j} is ${value}, wanted an integer of 32 bits.`)
        }
      })
    })
  })
}
