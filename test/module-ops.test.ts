// Every op in a module of each target, its weights in flash and in memory: the bytes are those of a session that runs the plan. float32 ops
// by the samples of test/samples.ts; int8 ones through quantize(), and those of imported models as these have them.

import { describe, expect, it } from 'vitest'
import { quantize } from '../src/compress/quantize'
import { input, isInput, type Node, type Param, param, type Quant, size, type TypedArray } from '../src/graph/node'
import { Random } from '../src/graph/random'
import { Model } from '../src/model/model'
import { nodeOf, OPS, type OpName, opOf } from '../src/ops'
import { sigmoid } from '../src/ops/activation'
import { dequantize, rescale, toInt8 } from '../src/ops/convert'
import { expectEqual } from './deployed'
import { type Sample, samples } from './samples'

/** Ops that a module has no use for as it runs: losses, which read labels. */
const isLoss = (op: OpName) => opOf(op)?.reducesBatch === true

const FLOAT = (Object.keys(OPS) as OpName[]).filter((op) => opOf(op)?.forward && !isLoss(op))

/** A model of one sample: its parameters have values. */
function modelOf({ node, given = {}, low, range = 2 }: Sample, seed: number): Model {
  const random = new Random(seed)
  const draw = () => random.uniform(low ?? -range, range)
  const inputs = node.inputs.map((x, i): Node => {
    if (!isInput(x)) {
      const data = (given[i] ?? Float32Array.from({ length: size(x.shape) }, draw)) as TypedArray
      return x.op === 'param' ? ({ ...x, name: `p${i}`, data } as Param) : x
    }
    return { ...x, name: `x${i}` }
  })
  return new Model({ ...node, inputs })
}

/** One of the small ones, one of the large ones and one between: tiles, and what remains of them. */
function some(op: OpName, can: (sample: Sample) => boolean = () => true): Sample[] {
  const of = samples[op].filter((sample) => !sample.training && can(sample))
  return [...new Set([of[0], of[Math.floor(of.length / 2)], of[of.length - 1]])]
}

describe('float32', () => {
  it.each(FLOAT)('%s', async (op) => {
    for (const sample of some(op)) {
      const { low, range = 2 } = sample
      await expectEqual(modelOf(sample, 1), `${op} ${sample.what}`, [low ?? -range, range])
    }
  })
})

describe('int8', () => {
  /** What quantize() makes none of: it reads raw values (test/module-abi.test.ts), or comes from .tflite files only (below). */
  const others: readonly OpName[] = ['normalize', 'svdf']

  it.each(FLOAT.filter((op) => opOf(op)?.int8 && !others.includes(op)))('%s', async (op) => {
    const chosen = some(op, ({ node }) => !opOf(op)?.int8?.unsupported?.(node))
    expect(chosen[0]).toBeDefined()
    for (const sample of chosen) {
      const float = modelOf(sample, 1)
      const { low, range = 2 } = sample
      const random = new Random(2)
      const x = Object.fromEntries(
        float.inputs.map(({ name, shape, dtype }) => {
          const draw = () => (dtype === 'f32' ? random.uniform(low ?? -range, range) : random.integer(3))
          return [name, Float32Array.from({ length: 8 * size(shape) }, draw)]
        }),
      )
      await expectEqual(await quantize(float, { x }), `${op} ${sample.what}`)
    }
  })

  it('what only imported models have', async () => {
    const random = new Random(3)
    const quant = (): Quant => ({ scale: [Math.fround(2 ** random.uniform(-7, -5))], zeroPoint: random.integer(60) - 30 })
    const stored = <T extends 'i8' | 'i16' | 'i32'>(name: string, shape: readonly number[], dtype: T, of?: Quant): Param => {
      const array = { i8: Int8Array, i16: Int16Array, i32: Int32Array }[dtype]
      const data = array.from(Array.from({ length: size(shape) }, () => random.integer(256) - 128))
      return { ...param(name, shape, { kind: 'zeros' }), dtype, data, ...(of && { quant: of }) }
    }
    const make = (op: OpName, attrs: object, inputs: readonly Node[]) =>
      nodeOf(op, { name: '', attrs, inputs }, { dtype: 'i8', quant: quant() })
    const step: Node = { ...input([9], { name: 'step' }), dtype: 'i8', quant: quant() }
    const units = 10
    const [f, w] = [stored('f', [2 * units, 9], 'i8', quant()), stored('w', [2 * units, 5], 'i16', quant())]
    const b = stored('b', [units], 'i32')
    const filtered = make('svdf', { rank: 2, activation: 'relu', stateScale: 2 ** -6 }, [step, f, w, b])
    const recalled = make('recall', { variable: 'v', shape: [3, units] }, [step])
    const newest = make('reshape', { shape: [1, units] }, [filtered])
    const joined = make('concat', { axis: 0 }, [recalled, newest])
    const kept = make('slice', { begin: [1, 0], size: [3, units] }, [joined])
    const remembered = make('remember', { variable: 'v' }, [joined, kept, recalled])
    const lower = make('mean', { axes: [0] }, [rescale({ quant: quant() })(remembered)])
    const repeated = make('broadcast', { shape: [4, units] }, [lower, remembered])
    const scaled = make('mul', {}, [
      repeated,
      make('broadcast', { shape: [4, units] }, [stored('s', [units], 'i8', quant()), step]),
    ])
    const clipped = nodeOf('clip', { name: '', attrs: { low: -0.5, high: 1 }, inputs: [scaled] }, scaled)
    const real = sigmoid()(dequantize()(clipped))
    await expectEqual(new Model([toInt8({ quant: quant() })(real), filtered]), 'a stream')
  })
})
