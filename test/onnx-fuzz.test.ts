// Hostile ONNX files: each mutant of some valid ones ends in a model or in a DunlinError that begins with the file's name. Seeded, and
// boxed by time: DUNLIN_FUZZ says how many mutants (default 1500), the time how long at most.
import { describe, expect, it } from 'vitest'
import { exportOnnx } from '../src/formats/onnx/export'
import { importOnnx } from '../src/formats/onnx/import'
import { MODEL, type ModelProto, readMessage, writeMessage } from '../src/formats/onnx/proto'
import { DunlinError } from '../src/graph/error'
import { input } from '../src/graph/node'
import { Random } from '../src/graph/random'
import {
  avgPool2d,
  conv2d,
  dense,
  flatten,
  lstm,
  Model,
  maxPool2d,
  quantize,
  relu,
  resize,
  sequential,
  slice,
} from '../src/index'

const MUTANTS = Number(process.env.DUNLIN_FUZZ ?? 1500)
const SECONDS = Number(process.env.DUNLIN_FUZZ_SECONDS ?? 20)

const image = () =>
  sequential(
    conv2d({ filters: 4, kernel: 3, padding: 'same', activation: 'relu' }),
    maxPool2d({ kernel: 2 }),
    resize({ size: 6, method: 'bilinear' }),
    slice({ begin: [0, 1, 0], size: [6, 4, 4], strides: [1, 1, 1] }),
    avgPool2d({ kernel: 2 }),
    flatten(),
    dense({ units: 3 }),
  )(input([6, 6, 2]))

async function files(): Promise<Uint8Array[]> {
  const float = new Model(image())
  const plain = new Model(sequential(conv2d({ filters: 3, kernel: 3 }), relu(), flatten(), dense({ units: 2 }))(input([5, 5, 1])))
  const int8 = await quantize(plain, { x: Float32Array.from({ length: 100 }, (_, i) => Math.sin(i)) })
  const sequence = new Model(dense({ units: 2 })(lstm({ units: 3 })(input([4, 2]))))
  return [float, int8, sequence].map(exportOnnx)
}

/** Bytes changed, cut out, put in or repeated: lengths and tags among them. */
function mutate(file: Uint8Array, random: Random): Uint8Array {
  const bytes = Array.from(file)
  for (let n = 1 + random.integer(3); n > 0; n--) {
    const at = random.integer(bytes.length)
    const kind = random.integer(6)
    if (kind === 0) bytes[at] ^= 1 << random.integer(8)
    else if (kind === 1) bytes[at] = [0, 1, 0x7f, 0x80, 0xff][random.integer(5)]
    else if (kind === 2) bytes.splice(at, 1 + random.integer(9))
    else if (kind === 3) bytes.splice(at, 0, ...Array.from({ length: 1 + random.integer(9) }, () => random.integer(256)))
    else if (kind === 4) bytes.splice(at, 0, ...bytes.slice(at, at + 1 + random.integer(40)))
    else bytes.length = Math.max(1, at)
  }
  return Uint8Array.from(bytes)
}

/** A number of a message changed: what bytes rarely hit. */
function renumber(file: Uint8Array, random: Random): Uint8Array {
  const model = readMessage<ModelProto>(MODEL, file, 'file')
  const numbers: [Record<string, unknown> | unknown[], string | number][] = []
  const walk = (v: unknown): void => {
    if (v instanceof Uint8Array || typeof v !== 'object' || v === null) return
    for (const [key, value] of Object.entries(v)) {
      if (typeof value === 'number' && key !== 'at') numbers.push([v as Record<string, unknown>, Array.isArray(v) ? +key : key])
      else if (typeof value === 'string' && random.integer(8) === 0) numbers.push([v as Record<string, unknown>, key])
      else walk(value)
    }
  }
  walk(model)
  for (let n = 1 + random.integer(2); n > 0; n--) {
    const [holder, key] = numbers[random.integer(numbers.length)]
    const of = holder as Record<string | number, unknown>
    const some = [0, -1, 1, 2, 7, 255, 65536, 2 ** 31, 2 ** 31 - 1, 2 ** 53, -(2 ** 31), 1e9]
    of[key] =
      typeof of[key] === 'string'
        ? ['', '__proto__', 'constructor', 'x', 'Relu', 'Expand'][random.integer(6)]
        : some[random.integer(some.length)]
  }
  return writeMessage(MODEL, model)
}

describe('hostile ONNX files', () => {
  it('end in a model or a clear error', async () => {
    const valid = await files()
    for (const file of valid) importOnnx(file)
    const end = Date.now() + SECONDS * 1000
    let [models, errors] = [0, 0]
    let slowest = 0
    const bugs = new Set<string>()
    for (let seed = 1; seed <= MUTANTS && Date.now() < end; seed++) {
      const random = new Random(seed, 77)
      const file = valid[seed % valid.length]
      const mutant = seed % 2 ? mutate(file, random) : renumber(file, random)
      const begin = Date.now()
      try {
        importOnnx(mutant, { source: 'm.onnx' })
        models++
      } catch (error) {
        expect(error, `seed ${seed}`).toBeInstanceOf(DunlinError)
        expect((error as Error).message, `seed ${seed}`).toMatch(/^m\.onnx: /)
        const { cause } = error as Error
        if (cause !== undefined && !(cause instanceof DunlinError))
          bugs.add(
            String((cause as Error).stack)
              .split('\n')
              .slice(0, 4)
              .join('\n'),
          )
        errors++
      }
      slowest = Math.max(slowest, Date.now() - begin)
    }
    console.log(`${models + errors} mutants: ${models} models, ${errors} errors, the slowest ${slowest} ms`)
    // What was not thrown on purpose.
    expect([...bugs].join('\n\n')).toBe('')
    expect(errors).toBeGreaterThan(0)
    expect(models).toBeGreaterThan(0)
  }, 3_600_000)

  it('leave the prototypes of all objects alone', () => {
    expect(Object.keys(Object.prototype)).toEqual([])
    expect(({} as Record<string, unknown>).opType).toBeUndefined()
  })
})
