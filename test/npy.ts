// Reads a .npy file (NumPy format 1.0 to 3.0) of float32, int32 or int64 in C order: the values in test/fixtures.

import { readFileSync } from 'node:fs'

export interface Npy {
  shape: number[]
  data: Float32Array | Int32Array
}

export function readNpy(file: string): Npy {
  const bytes = readFileSync(file)
  if (bytes.toString('latin1', 0, 6) !== '\x93NUMPY') throw new Error(`${file}: not a .npy file.`)
  const long = bytes[6] > 1
  const start = long ? 12 : 10
  const end = start + (long ? bytes.readUInt32LE(8) : bytes.readUInt16LE(8))
  const header = bytes.toString('latin1', start, end)
  const [, dtype] = /'descr': '([^']+)'/.exec(header) ?? []
  const [, dims] = /'shape': \(([^)]*)\)/.exec(header) ?? []
  const shape = (dims ?? '')
    .split(',')
    .filter((d) => d.trim())
    .map(Number)
  const raw = new Uint8Array(bytes.subarray(end)).buffer
  if (!header.includes("'fortran_order': False")) throw new Error(`${file}: not in C order.`)
  if (dtype === '<f4') return { shape, data: new Float32Array(raw) }
  if (dtype === '<i4') return { shape, data: new Int32Array(raw) }
  if (dtype === '<i8') return { shape, data: Int32Array.from(new BigInt64Array(raw), Number) }
  throw new Error(`${file}: dtype ${dtype} is not read here.`)
}
