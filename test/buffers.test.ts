// What reads bytes takes a Buffer of Node, too, which may be a piece of a larger one: its `slice` is no copy, and shares that one's memory.

import { zipSync } from 'fflate'
import { describe, expect, it } from 'vitest'
import { parseNpy, parseNpz } from '../src/decode'
import { buildModule, loadModule } from '../src/deploy'
import { exportOnnx, exportTflite, importOnnx, importTflite, readSafetensors } from '../src/formats'
import { input } from '../src/graph/node'
import { dense, Model, sequential, softmax } from '../src/index'

const model = new Model(sequential(dense({ units: 5 }), softmax())(input([3])), { seed: 1 })
const x = Float32Array.of(0.5, -1, 2)

/** [2, 3] numbers of NumPy's dtype. */
function npy(descr: string, data: Float32Array | BigInt64Array): Uint8Array {
  const header = `{'descr': '${descr}', 'fortran_order': False, 'shape': (2, 3), }`.padEnd(117)
  const head = Buffer.from(`\x93NUMPY\x01\x00${String.fromCharCode(118, 0)}${header}\n`, 'latin1')
  return new Uint8Array(Buffer.concat([head, new Uint8Array(data.buffer)]))
}

/** The bytes as a piece of a larger Buffer, where no number is aligned. */
function piece(bytes: Uint8Array): Buffer {
  const whole = Buffer.alloc(bytes.length + 64, 0x5a)
  whole.set(bytes, 13)
  return whole.subarray(13, 13 + bytes.length)
}

describe('a Buffer is read as a Uint8Array is', () => {
  it.each<[string, () => Uint8Array, (bytes: Uint8Array) => unknown]>([
    ['Model.load', () => model.save(), (bytes) => Model.load(bytes).predict(x)],
    ['readSafetensors', () => model.save(), (bytes) => readSafetensors(bytes)],
    ['importTflite', () => exportTflite(model), (bytes) => importTflite(bytes).model.predict(x)],
    ['importOnnx', () => exportOnnx(model), (bytes) => importOnnx(bytes).model.predict(x)],
    ['parseNpy, f32', () => npy('<f4', Float32Array.of(1, 2, 3, 4, 5, 6)), (bytes) => parseNpy(bytes, 'a.npy')],
    ['parseNpy, i64', () => npy('<i8', BigInt64Array.of(1n, 2n, 3n, 4n, 5n, -6n)), (bytes) => parseNpy(bytes, 'a.npy')],
    ['parseNpy, the other way round', () => npy('>f4', Float32Array.of(1, 2, 3, 4, 5, 6)), (bytes) => parseNpy(bytes, 'a.npy')],
    [
      'parseNpz, stored and packed',
      () => {
        const array = npy('<f4', Float32Array.of(1, 2, 3, 4, 5, 6))
        return zipSync({ 'a.npy': [array, { level: 0 }], 'b.npy': [array, { level: 6 }] })
      },
      (bytes) => parseNpz(bytes, 'a.npz'),
    ],
  ])('%s', async (_, bytes, read) => {
    const whole = bytes()
    const buffer = piece(whole)
    const wanted = await read(whole)
    expect(await read(buffer)).toEqual(wanted)
    expect([...buffer], 'the Buffer is as it was').toEqual([...whole])
  })

  it('loadModule', async () => {
    const { wasm } = await buildModule(model)
    const [a, b] = [await loadModule(wasm), await loadModule(piece(wasm))]
    expect(b.predict(x)).toEqual(a.predict(x))
  })
})
