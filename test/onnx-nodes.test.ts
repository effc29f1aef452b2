// ONNX's own backend node tests (Debian's package libonnx-testdata; without it they are skipped): each is a model of one op with inputs
// and outputs. A test whose op dunlin reads is imported in every way that it can be: with the first axis as the samples' and as one
// sample, with all inputs computed and with the first alone. What imports has to give the outputs; what does not has to be in
// onnx-unsupported.json, with the reason.
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeEach, describe, expect, it } from 'vitest'
import { importOnnx, type OnnxOptions, onnxOps } from '../src/formats/onnx/import'
import { MODEL, type ModelProto, readMessage, TENSOR, type TensorProto, type ValueInfoProto } from '../src/formats/onnx/proto'
import { isInteger, readTensor, type Tensor } from '../src/formats/onnx/tensor'
import { reordered } from '../src/formats/onnx/value'
import { DunlinError } from '../src/graph/error'
import { Session } from '../src/session/session'

const FOLDER = process.env.DUNLIN_ONNX_TESTS ?? '/usr/share/libonnx-testdata/data'
const SETS = ['node', 'pytorch-operator', 'pytorch-converted', 'simple']

/** Why a test is not run: by its name, or by a pattern of names. */
const UNSUPPORTED: Record<string, string> = JSON.parse(readFileSync(join(import.meta.dirname, 'onnx-unsupported.json'), 'utf8'))

interface Case {
  set: string
  name: string
  model: Uint8Array
  ops: string[]
  graph: NonNullable<ModelProto['graph']>
  inputs: Map<string, Tensor>
  outputs: Map<string, Tensor>
}

const tensorOf = (file: string, name: string, type?: number): Tensor | undefined => {
  const proto = readMessage<TensorProto>(TENSOR, readFileSync(file), name)
  // bfloat16 (16) is stored as uint16 (4) there.
  if (type === 16 && proto.dataType === 4) proto.dataType = type
  return proto.dataType === 8 || proto.dataType === 0 ? undefined : readTensor(proto, name)
}

function read(set: string, name: string): Case | undefined {
  const folder = join(FOLDER, set, name)
  const model = readFileSync(join(folder, 'model.onnx'))
  const { graph } = readMessage<ModelProto>(MODEL, model, name)
  const ops = [...new Set((graph as Case['graph']).node.map((n) => n.opType))]
  if (!graph || !ops.every((op) => known.has(op))) return undefined
  const files = (kind: string, infos: ValueInfoProto[]) => {
    const tensors = new Map<string, Tensor>()
    infos.forEach((info, i) => {
      const file = join(folder, 'test_data_set_0', `${kind}_${i}.pb`)
      const t = existsSync(file) ? tensorOf(file, `${name} ${kind} ${i}`, info.type?.tensorType?.elemType) : undefined
      if (t) tensors.set(info.name, t)
    })
    return tensors
  }
  // Sequences and optionals are no tensors.
  if ([...graph.input, ...graph.output].some((v) => !v.type?.tensorType)) return undefined
  return { set, name, model, ops, graph, inputs: files('input', graph.input), outputs: files('output', graph.output) }
}

const known = new Set(onnxOps())

/** Runs the model that a test becomes with these options, and compares all outputs: gives how many values these have. */
async function run(test: Case, options: OnnxOptions): Promise<number> {
  const { model, inputs, outputs } = importOnnx(test.model, { ...options, source: test.name, int8: false })
  const { samples } = options
  const first = samples === 'first'
  const given = inputs.map((port) => ({ port, tensor: test.inputs.get(port.name) as Tensor }))
  const batch = first ? given[0].tensor.dims[0] : 1
  const build = 'simd'
  const session = await Session.create(model.plan(batch), { build })
  session.plan.inputs.forEach((port) => {
    const found = given.find((g) => g.port.name === port.name) as (typeof given)[0]
    const { dims, data } = found.tensor
    const order = first ? [0, ...found.port.order] : found.port.order
    const values = reordered(Float64Array.from(data as ArrayLike<number>), dims, order.length ? order : [])
    session.feed(port, port.dtype === 'i32' ? Int32Array.from(values) : values)
  })
  session.run()
  let compared = 0
  session.plan.outputs.forEach((port, i) => {
    const { name, order, type } = outputs[i]
    const want = test.outputs.get(name)
    if (!want) return
    const got = session.fetch(port)
    const at = outputs[i].samples
    // Samples that are part of another axis, if of any, are its outer part.
    const merged = first && at === undefined
    const own = outputs[i].dims.map((d, axis) => (axis === at ? batch : d))
    const dims = merged ? [batch, ...own] : own
    const all = merged ? [0, ...order.map((a) => a + 1)] : at === undefined ? order : [at, ...order]
    const values = reordered(
      // Doubles are computed in single precision.
      Float64Array.from(want.data as ArrayLike<number>, isInteger(type) ? Number : Math.fround),
      dims,
      all,
    )
    const label = `${test.name}, output "${name}" [${want.dims}], ${JSON.stringify(samples)}`
    expect(got.length, label).toBe(values.length)
    compared += got.length
    expect(isInteger(type), `${label}, ${type} for ${want.type}`).toBe(isInteger(want.type))
    for (let j = 0; j < got.length; j++) {
      const bound = isInteger(want.type) ? 0 : 1e-6 + 1e-3 * Math.abs(values[j])
      if (!(Math.abs(got[j] - values[j]) <= bound) && got[j] !== values[j])
        expect(got[j], `${label}, element ${j}`).toBe(values[j])
    }
  })
  return compared
}

/** The ways to import a test; an input that is no first one may be computed or known. */
function ways(test: Case): OnnxOptions[] {
  const names = [...test.inputs.keys()]
  const values = (of: readonly string[]) => Object.fromEntries(of.map((n) => [n, test.inputs.get(n)!.data]))
  const rest = values(names.slice(1))
  const same = names.every((n) => test.inputs.get(n)!.dims[0] === test.inputs.get(names[0])!.dims[0])
  const some: OnnxOptions[] = [{ samples: 'whole' }, { samples: 'whole', values: rest }]
  if (names.length && test.inputs.get(names[0])!.dims.length) {
    if (same) some.push({ samples: 'first' })
    some.push({ samples: 'first', values: rest })
  }
  // The table of an embedding, the other matrix.
  for (const name of names.slice(0, 3)) {
    const others = values(names.filter((n) => n !== name))
    if (name !== names[0]) some.push({ samples: 'whole', values: others })
  }
  return some
}

const folders = SETS.filter((set) => existsSync(join(FOLDER, set)))

describe('ONNX backend node tests (libonnx-testdata)', () => {
  beforeEach(({ skip }) => skip(!folders.length, `${FOLDER} is not there: apt-get install libonnx-testdata`))

  const tally = new Map<string, { passed: number; unsupported: number }>()
  const reasons = new Map<string, string>()

  it.each(folders)(
    '%s',
    async (set) => {
      const problems: string[] = []
      for (const name of readdirSync(join(FOLDER, set)).sort()) {
        const test = read(set, name)
        if (!test) continue
        const row = tally.get(test.ops.join(' ')) ?? { passed: 0, unsupported: 0 }
        tally.set(test.ops.join(' '), row)
        let passed = 0
        const why: string[] = []
        for (const way of ways(test)) {
          try {
            await run(test, way)
            passed++
          } catch (error) {
            if (error instanceof DunlinError && error.message.startsWith(name)) why.push(error.message)
            else
              problems.push(
                `${name} ${JSON.stringify(Object.keys(way.values ?? {}))} ${way.samples}: ${(error as Error).stack?.slice(0, 700)}`,
              )
          }
        }
        if (passed) row.passed++
        else {
          row.unsupported++
          reasons.set(name, why.join(' | '))
        }
      }
      expect(problems.join('\n')).toBe('')
    },
    600_000,
  )

  it('what is not supported is listed, with the reason', () => {
    const { DUNLIN_ONNX_REASONS: file } = process.env
    if (file) writeFileSync(file, JSON.stringify(Object.fromEntries(reasons), null, 1))
    expect([...reasons.keys()].sort()).toEqual(Object.keys(UNSUPPORTED).sort())
    const lines = [...tally]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([op, { passed, unsupported }]) => `${op}: ${passed} passed, 0 failed, ${unsupported} not supported`)
    console.log(lines.join('\n'))
  })
})
