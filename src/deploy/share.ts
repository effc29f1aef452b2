// What layers of one kind have in common: of each of their numbers, whether it is the same in all, follows from others, or is a parameter.
// Sizes are sums and products of each other: bytes of weights of channels and widths, addresses of what lies side by side.

import { OPCODE, type ValueType, type Writer } from './binary'

/** `value` undefined: any will do, nobody looks at it. */
export interface Numeral {
  type: ValueType
  value: number | undefined
}

/** How code gets a number; `once`: it is 1, always. */
export interface Column {
  write(w: Writer): void
  once?: boolean
}

export function writeConstant(w: Writer, { type, value = 0 }: Numeral): void {
  if (type === 'f32') w.byte(OPCODE.f32Const).f32(value)
  else w.byte(OPCODE.i32Const).i32(value)
}

export const constant = (numeral: Numeral): Column => ({ write: (w) => writeConstant(w, numeral), once: numeral.value === 1 })

/** The numbers of several pieces, each a list of the same types: how code gets them, and which of them are parameters. */
export function share(pieces: readonly (readonly Numeral[])[]): { columns: Column[]; params: number[] } {
  const types = pieces[0].map(({ type }) => type)
  const table = types.map((_, column) => pieces.map((numbers) => numbers[column].value))
  // Small numbers first: large ones are often made of them. Last those that any number will do for.
  const weight = table.map((values) =>
    values.reduce((sum: number, v) => sum + (v === undefined ? Infinity : Math.log2(Math.abs(v) + 1)), 0),
  )
  const order = types
    .map((_, column) => column)
    .sort((a, b) => (weight[a] === weight[b] ? a - b : weight[a] < weight[b] ? -1 : 1))
  const params: number[] = []
  const bases: number[][] = [] // their values
  const columns: Column[] = []
  for (const column of order) {
    const type = types[column]
    const values = table[column]
    const [known] = values.filter((v) => v !== undefined)
    if (known === undefined || fits(values, () => known)) columns[column] = constant({ type, value: known })
    else {
      const same = bases.findIndex((base, p) => types[params[p]] === type && fits(values, (i) => base[i]))
      const made =
        same >= 0 ? { write: get(same) } : type === 'i32' ? derived(values, bases, (p) => types[params[p]] === 'i32') : undefined
      if (!made) {
        params.push(column)
        bases.push(values.map((v) => v ?? 0))
      }
      columns[column] = made ?? { write: get(params.length - 1) }
    }
  }
  return { columns, params }
}

type Values = readonly (number | undefined)[]

function fits(values: Values, f: (i: number) => number): boolean {
  for (let i = 0; i < values.length; i++) if (values[i] !== undefined && !Object.is(values[i], f(i))) return false
  return true
}

const get = (param: number) => (w: Writer) => void w.byte(OPCODE.localGet).u32(param)

/** times * (what is on the stack) + more */
function scale(w: Writer, times: number, more: number): void {
  if (times !== 1) w.byte(OPCODE.i32Const).i32(times).byte(OPCODE.i32Mul)
  if (more !== 0) w.byte(OPCODE.i32Const).i32(more).byte(OPCODE.i32Add)
}

const isFactor = (v: number) => Number.isInteger(v) && v !== 0 && Math.abs(v) < 2 ** 31
const isTerm = (v: number) => Number.isInteger(v) && Math.abs(v) < 2 ** 31

/** Values as times * a + more, a + times * b, or (times * a + more) * b, of parameters a and b. */
function derived(values: Values, bases: readonly (readonly number[])[], usable: (p: number) => boolean): Column | undefined {
  const first = values.findIndex((v) => v !== undefined)
  const value = values[first] as number
  for (const [p, a] of bases.entries()) {
    if (!usable(p)) continue
    const second = values.findIndex((v, i) => v !== undefined && a[i] !== a[first])
    /** The line through two of these points. */
    const line = (y: number, z: number) => {
      const times = (z - y) / (a[second] - a[first])
      return { times, more: y - times * a[first] }
    }
    if (second >= 0) {
      const { times, more } = line(value, values[second] as number)
      if (isFactor(times) && isTerm(more) && fits(values, (i) => times * a[i] + more)) {
        return {
          write(w) {
            get(p)(w)
            scale(w, times, more)
          },
        }
      }
    }
    for (const [q, b] of bases.entries()) {
      if (!usable(q)) continue
      const each = (value - a[first]) / b[first]
      if (isFactor(each) && fits(values, (i) => a[i] + each * b[i])) {
        return {
          write(w) {
            get(p)(w)
            get(q)(w)
            scale(w, each, 0)
            w.byte(OPCODE.i32Add)
          },
        }
      }
      if (second < 0) continue
      const { times, more } = line(value / b[first], (values[second] as number) / b[second])
      if (isFactor(times) && isTerm(more) && fits(values, (i) => (times * a[i] + more) * b[i])) {
        return {
          write(w) {
            get(p)(w)
            scale(w, times, more)
            get(q)(w)
            w.byte(OPCODE.i32Mul)
          },
        }
      }
    }
  }
  return undefined
}

/** Which of the pieces alone has other numbers where all the others have one and the same, if that is so of several numbers. */
export function oddOne(pieces: readonly (readonly Numeral[])[]): number | undefined {
  if (pieces.length < 3) return undefined
  const odd = pieces.map(() => 0)
  for (let column = 0; column < pieces[0].length; column++) {
    const values = pieces.map((numbers) => numbers[column].value)
    // Of three, two are alike.
    const common = values[0] === values[1] || values[0] === values[2] ? values[0] : values[1]
    const others = values.flatMap((v, i) => (v === common ? [] : [i]))
    if (others.length === 1) odd[others[0]]++
  }
  const most = Math.max(...odd)
  return most > 2 ? odd.indexOf(most) : undefined
}
