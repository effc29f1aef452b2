// Hostile ONNX files: each mutant of some valid ones ends in a model or in a DunlinError that begins with the file's name (test/mutants.ts).
// `npm run fuzz:formats` makes more of them.

import { describe, expect, it } from 'vitest'
import { exportOnnx } from '../src/formats/onnx/export'
import { importOnnx } from '../src/formats/onnx/import'
import { MODEL, type ModelProto, readMessage, writeMessage } from '../src/formats/onnx/proto'
import { input } from '../src/graph/node'
import { Model, relu } from '../src/index'
import { FORMATS, fuzz } from './mutants'

const MUTANTS = 1500
const SECONDS = 20

describe('hostile ONNX files', () => {
  it('end in a model or a clear error', async () => {
    const valid = await FORMATS.onnx.files()
    for (const file of valid.values()) importOnnx(file)
    const { models, errors, slowest } = await fuzz(FORMATS.onnx, valid, { count: MUTANTS, seconds: SECONDS })
    console.log(`${models + errors} mutants: ${models} models, ${errors} errors, the slowest ${slowest.toFixed(0)} ms`)
    expect(errors).toBeGreaterThan(0)
    expect(models).toBeGreaterThan(0)
  }, 120_000)

  it('an operator without inputs is refused', () => {
    const model = readMessage<ModelProto>(MODEL, exportOnnx(new Model(relu()(input([3])))), 'file')
    const { node } = model.graph!
    node.unshift({ ...node[0], name: 'sum', opType: 'Add', input: [], output: ['z'] })
    expect(() => importOnnx(writeMessage(MODEL, model), { source: 'm.onnx' })).toThrow(/^m\.onnx: .*Add.*has no inputs/)
  })

  it('leave the prototypes of all objects alone', () => {
    expect(Object.keys(Object.prototype)).toEqual([])
    expect(({} as Record<string, unknown>).opType).toBeUndefined()
  })
})
