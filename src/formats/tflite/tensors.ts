// The tensors of a subgraph, checked: their shapes, scales, and what is stored of them. Everything that a file says passes through here
// before it becomes a node or a parameter.

import { ARRAYS, type Dtype, type Param, type Quant, type Shape, size, type TypedArray } from '../../graph/node'
import { type Row, TYPE, TYPES } from './schema'

/** Most numbers of a stored list of axes, paddings or sizes. */
const MOST_NUMBERS = 1024
const MOST_ELEMENTS = 2 ** 29
const MOST_AXES = 8

/** What an operator reads or writes: a tensor, and which one it is. */
export interface Tensor extends Row<'Tensor'> {
  readonly index: number
  readonly shape: Shape
}

export class Tensors {
  /** Constants that stand for a tensor: a DEQUANTIZE of stored weights changes nothing but their type. */
  private readonly same = new Map<number, number>()
  private readonly params = new Map<string, Param>()
  /** Bytes that may still be made of constants. */
  private left: number
  /** Samples that a tensor of the file holds: the first dimension of its inputs. */
  batch = 1

  constructor(
    private readonly model: Row<'Model'>,
    private readonly graph: Row<'SubGraph'>,
    private readonly fail: (what: string) => never,
    fileBytes: number,
  ) {
    // 4 bytes for each of one bit more than int8 has is the most that a fair file asks for; shared buffers are used once each.
    this.left = 32 * fileBytes + 2 ** 20
  }

  at(index: number): Tensor {
    const row = this.graph.tensors?.[index]
    if (!row) this.fail(`it refers to tensor ${index}, the subgraph has ${this.graph.tensors?.length ?? 0}`)
    const { shape = [] } = row
    if (shape.length > MOST_AXES)
      this.fail(`tensor ${index} ("${row.name ?? ''}") has ${shape.length} axes, wanted at most ${MOST_AXES}`)
    if (!shape.every((d) => Number.isInteger(d) && d > 0) || size(shape) > MOST_ELEMENTS)
      this.fail(`tensor ${index} ("${row.name ?? ''}") has shape [${shape}], wanted sizes above 0 with a product of at most 2^29`)
    return { ...row, shape, index }
  }

  /** Makes `index`, which is computed, the same as stored tensor `of`. */
  alias(index: number, of: number): void {
    this.same.set(index, this.same.get(of) ?? of)
  }

  isConstant(index: number): boolean {
    return index >= 0 && this.bytesOf(this.at(this.same.get(index) ?? index)) !== undefined
  }

  private bytesOf(tensor: Tensor): Uint8Array | undefined {
    const buffer = this.model.buffers?.[tensor.buffer]
    if (tensor.isVariable || !buffer) return undefined
    if (buffer.offset > 1) this.fail(`tensor ${tensor.index} is stored behind the FlatBuffer, as in models above 2 GB`)
    return buffer.data?.length ? buffer.data : undefined
  }

  /** What is stored of a tensor, in its own type. */
  private stored(index: number): { tensor: Tensor; data: TypedArray | Uint16Array | BigInt64Array } {
    const tensor = this.at(this.same.get(index) ?? index)
    const bytes = this.bytesOf(tensor)
    const what = `tensor ${tensor.index} ("${tensor.name ?? ''}")`
    if (!bytes) return this.fail(`${what} is computed, and must be stored in the file`)
    if (tensor.sparsity) this.fail(`${what} is stored sparse. Convert the model without sparsity`)
    const make = STORED.get(tensor.type)
    if (!make)
      return this.fail(`${what} is stored as ${typeName(tensor.type)}; ${[...STORED.keys()].map(typeName).join(', ')} are read`)
    const count = size(tensor.shape)
    if (bytes.length !== count * make.BYTES_PER_ELEMENT)
      this.fail(`${what} of shape [${tensor.shape}] has ${bytes.length} bytes, wanted ${count * make.BYTES_PER_ELEMENT}`)
    this.spend(bytes.length)
    // A copy: the bytes in the file need not be aligned for the array. (The slice of a Node Buffer is none.)
    return { tensor, data: new make(new Uint8Array(bytes).buffer) }
  }

  private spend(bytes: number): void {
    this.left -= bytes
    if (this.left < 0) this.fail('its operators share stored tensors so often that they unfold into more than the file can mean')
  }

  /** Stored integers: axes, paddings, sizes. */
  numbers(index: number): number[] {
    const { tensor } = { tensor: this.at(this.same.get(index) ?? index) }
    if (size(tensor.shape) > MOST_NUMBERS) this.fail(`tensor ${index} has ${size(tensor.shape)} numbers, wanted a few`)
    if (tensor.type !== TYPE.INT32 && tensor.type !== TYPE.INT64)
      this.fail(`tensor ${index} is ${typeName(tensor.type)}, wanted INT32 or INT64`)
    return Array.from(this.stored(index).data as Iterable<number | bigint>, Number)
  }

  /** The one number that all of a stored tensor is; undefined where it is several. */
  uniform(index: number): number | undefined {
    const { data } = this.stored(index)
    const [first] = data
    for (const v of data) if (v !== first) return undefined
    return Number(first)
  }

  /** Stored float or int8 values as real numbers. */
  reals(index: number): { tensor: Tensor; data: Float32Array } {
    const { tensor, data } = this.stored(index)
    if (data instanceof Float32Array) return { tensor, data }
    this.spend(4 * data.length)
    if (data instanceof Uint16Array) return { tensor, data: Float32Array.from(data, half) }
    if (!(data instanceof Int8Array || data instanceof Uint8Array))
      return this.fail(`tensor ${index} is ${typeName(tensor.type)}, wanted real numbers`)
    const { scales, zeros, axis } = this.affine(tensor)
    const inner = size(tensor.shape.slice(axis + 1))
    const of = (i: number) => (scales.length === 1 ? 0 : Math.floor(i / inner) % scales.length)
    const real = Float32Array.from(data as ArrayLike<number>, (q, i) => scales[of(i)] * (q - zeros[of(i)]))
    return { tensor, data: real }
  }

  /** Scales and zero points, as many of each, and the axis that they are along. */
  private affine(tensor: Tensor): { scales: readonly number[]; zeros: readonly number[]; axis: number } {
    const what = `tensor ${tensor.index} ("${tensor.name ?? ''}")`
    const { scale: scales = [], zeroPoint, quantizedDimension: axis = 0 } = tensor.quantization ?? {}
    const zeros: readonly number[] = zeroPoint ?? scales.map(() => 0)
    if (!scales.length) this.fail(`${what} is ${typeName(tensor.type)} without a scale`)
    const good = scales.every((s) => Number.isFinite(s) && s > 0) && zeros.length === scales.length
    if (!good || !zeros.every((z) => Number.isInteger(z) && Math.abs(z) < 2 ** 31))
      this.fail(`${what} has scales or zero points that are none`)
    if (scales.length > 1 && tensor.shape[axis] !== scales.length)
      this.fail(`${what} of shape [${tensor.shape}] has ${scales.length} scales along axis ${axis}`)
    return { scales, zeros, axis }
  }

  /** The quantization of an int8 value: one scale, and a zero point that int8 holds. UINT8 is read as int8 that is 128 less. */
  quant(tensor: Tensor): Quant {
    const { scales, zeros } = this.affine(tensor)
    const zeroPoint = zeros[0] - (tensor.type === TYPE.UINT8 ? 128 : 0)
    if (scales.length !== 1 || zeroPoint < -128 || zeroPoint > 127)
      this.fail(
        `tensor ${tensor.index} ("${tensor.name ?? ''}") has ${scales.length} scales and zero point ${zeros[0]}, wanted one scale`,
      )
    return { scale: [scales[0]], zeroPoint }
  }

  /** dunlin's type of a tensor's values. */
  dtype(tensor: Tensor): 'f32' | 'i8' {
    if (tensor.type === TYPE.FLOAT32) return 'f32'
    if (tensor.type === TYPE.INT8) return 'i8'
    return this.fail(
      `tensor ${tensor.index} ("${tensor.name ?? ''}") is ${typeName(tensor.type)}; values are FLOAT32 or INT8 (inputs and outputs of an int8 model also UINT8). Convert the model as float or as full int8`,
    )
  }

  /** A stored tensor as a float parameter that is trained, under another shape if one is given. */
  floats(index: number, shape?: Shape): Param {
    return this.once(`f32 ${this.same.get(index) ?? index} ${shape}`, () => {
      const { tensor, data } = this.reals(index)
      return this.param(tensor.name ?? '', this.reshaped(tensor, shape), 'f32', data)
    })
  }

  /** A stored int8 (or int16) tensor with one scale, or one for each index of `axis`; symmetric. */
  weights(index: number, axis: number, shape?: Shape, dtype: 'i8' | 'i16' = 'i8'): Param {
    return this.once(`${dtype} ${this.same.get(index) ?? index} ${axis} ${shape}`, () => {
      const { tensor, data } = this.stored(index)
      const { scales, zeros, axis: along } = this.affine(tensor)
      const what = `tensor ${tensor.index} ("${tensor.name ?? ''}")`
      if (!(data instanceof ARRAYS[dtype])) return this.fail(`${what} is ${typeName(tensor.type)}, wanted ${dtype} weights`)
      if (zeros.some((z) => z !== 0)) this.fail(`${what} has a zero point of ${zeros.find((z) => z !== 0)}, weights want 0`)
      if (scales.length > 1 && along !== axis) this.fail(`${what} has its scales along axis ${along}, wanted ${axis}`)
      return this.param(tensor.name ?? '', this.reshaped(tensor, shape), dtype, data, { scale: [...scales], zeroPoint: 0 })
    })
  }

  /** A stored int8 tensor that has a scale and a zero point as values have. */
  values(index: number): Param {
    return this.once(`value ${index}`, () => {
      const { tensor, data } = this.stored(index)
      if (!(data instanceof Int8Array)) return this.fail(`tensor ${index} is ${typeName(tensor.type)}, wanted INT8 values`)
      return this.param(tensor.name ?? '', tensor.shape, 'i8', data, this.quant(tensor))
    })
  }

  /** A stored int32 bias. */
  bias(index: number, length: number): Param {
    return this.once(`bias ${index}`, () => {
      const { tensor, data } = this.stored(index)
      if (!(data instanceof Int32Array) || data.length !== length)
        return this.fail(`tensor ${index} is ${typeName(tensor.type)} [${tensor.shape}], wanted an INT32 bias [${length}]`)
      const scale = tensor.quantization?.scale
      const quant =
        scale?.length && scale.every((s) => Number.isFinite(s) && s > 0) ? { scale: [...scale], zeroPoint: 0 } : undefined
      return this.param(tensor.name ?? '', [length], 'i32', data, quant)
    })
  }

  private reshaped(tensor: Tensor, shape: Shape | undefined): Shape {
    if (shape && size(shape) !== size(tensor.shape))
      this.fail(`tensor ${tensor.index} ("${tensor.name ?? ''}") has shape [${tensor.shape}], wanted [${shape}]`)
    return shape ?? tensor.shape
  }

  /** The same parameter for the same tensor: layers that share weights go on sharing them. */
  private once(key: string, make: () => Param): Param {
    const param = this.params.get(key) ?? make()
    this.params.set(key, param)
    return param
  }

  param(name: string, shape: Shape, dtype: Dtype, data: TypedArray, quant?: Quant): Param {
    const attrs = { trainable: dtype === 'f32' }
    return { op: 'param', name, attrs, inputs: [], shape, dtype, batched: false, data, ...(quant && { quant }) }
  }

  /** The shape of one sample of a tensor, and which of its axes the first one of the sample is: 1 where axis 0 counts samples. */
  sample(tensor: Tensor): { shape: Shape; first: 0 | 1 } {
    const { shape } = tensor
    if (shape[0] === this.batch) return { shape: shape.slice(1), first: 1 }
    if (this.batch === 1) return { shape, first: 0 }
    if (!shape.length || shape[0] % this.batch)
      this.fail(
        `tensor ${tensor.index} ("${tensor.name ?? ''}") has shape [${shape}], wanted a multiple of ${this.batch} samples`,
      )
    return { shape: [shape[0] / this.batch, ...shape.slice(1)], first: 0 }
  }
}

const STORED = new Map<
  number,
  { new (buffer: ArrayBuffer): TypedArray | Uint16Array | BigInt64Array; BYTES_PER_ELEMENT: number }
>([
  [TYPE.FLOAT32, Float32Array],
  [TYPE.FLOAT16, Uint16Array],
  [TYPE.INT32, Int32Array],
  [TYPE.INT64, BigInt64Array],
  [TYPE.INT16, Int16Array],
  [TYPE.INT8, Int8Array],
  [TYPE.UINT8, Uint8Array],
])

export const typeName = (type: number): string => TYPES[type] ?? `of type ${type}`

/** A float16's bits as a number. */
function half(bits: number): number {
  const [exponent, fraction] = [(bits >> 10) & 31, bits & 1023]
  const size =
    exponent === 31
      ? fraction
        ? Number.NaN
        : Infinity
      : exponent
        ? (1 + fraction / 1024) * 2 ** (exponent - 15)
        : fraction * 2 ** -24
  return bits & 0x8000 ? -size : size
}
