// Small .tflite files for tests: tensors and operators by name, written by the writer of src/formats.

import { writeModelTable } from '../src/formats/tflite/flatbuffer'
import { type Draft, OPERATORS, type OptionsDraft, TYPE } from '../src/formats/tflite/schema'

export interface TensorOf {
  shape: readonly number[]
  type?: keyof typeof TYPE
  data?: ArrayBufferView
  scale?: readonly number[]
  zeroPoint?: number
  axis?: number
  variable?: true
}

export type OperatorOf = readonly [
  operator: string,
  inputs: readonly string[],
  outputs: readonly string[],
  options?: OptionsDraft,
]

export interface GraphOf {
  tensors: Record<string, TensorOf>
  operators: readonly OperatorOf[]
  inputs: readonly string[]
  outputs: readonly string[]
}

/** The bytes of a file of these subgraphs. A tensor that is named '' is none. */
export function tflite(...graphs: readonly GraphOf[]): Uint8Array {
  const buffers: Draft<'Buffer'>[] = [{}]
  const codes: Draft<'OperatorCode'>[] = []
  const subgraphs = graphs.map(({ tensors, operators, inputs, outputs }): Draft<'SubGraph'> => {
    const names = Object.keys(tensors)
    const at = (name: string) => names.indexOf(name)
    const row = (name: string): Draft<'Tensor'> => {
      const { shape, type = 'FLOAT32', data, scale, zeroPoint = 0, axis = 0, variable } = tensors[name]
      const buffer = data ? buffers.push({ data: new Uint8Array(data.buffer, data.byteOffset, data.byteLength) }) - 1 : 0
      const quantization = scale && { scale, zeroPoint: scale.map(() => zeroPoint), quantizedDimension: axis }
      return {
        name,
        shape,
        type: TYPE[type],
        buffer,
        ...(quantization && { quantization }),
        ...(variable && { isVariable: true }),
      }
    }
    const made = operators.map(([operator, from, to, options]): Draft<'Operator'> => {
      const builtinCode = OPERATORS.indexOf(operator)
      const opcodeIndex = codes.push({ builtinCode, deprecatedBuiltinCode: Math.min(127, builtinCode) }) - 1
      return { opcodeIndex, inputs: from.map(at), outputs: to.map(at), ...(options && { options }) }
    })
    return { tensors: names.map(row), operators: made, inputs: inputs.map(at), outputs: outputs.map(at) }
  })
  return writeModelTable({ version: 3, operatorCodes: codes, subgraphs, buffers })
}
