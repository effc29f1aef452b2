// The tables of a .tflite file, as far as dunlin reads and writes them: for each field its number, its type and what it is where the file
// leaves it out. Facts of TensorFlow Lite's schema (tensorflow/compiler/mlir/lite/schema/schema.fbs, version 3, identifier TFL3).
// flatbuffer.ts reads and writes by these rows, so that a file and the objects made of it are the same thing twice.

/** Bytes of the scalars that fields and vectors are made of. */
export const SCALARS = { bool: 1, i8: 1, u8: 1, i32: 4, u32: 4, f32: 4, i64: 8, u64: 8 } as const

export const FILE_IDENTIFIER = 'TFL3'

export const TABLES = {
  Model: {
    version: [0, 'u32'],
    operatorCodes: [1, ['OperatorCode']],
    subgraphs: [2, ['SubGraph']],
    description: [3, 'string'],
    buffers: [4, ['Buffer']],
    signatureDefs: [7, ['SignatureDef']],
  },
  OperatorCode: {
    /** What files had before there were more than 127 operators; the larger of the two counts. */
    deprecatedBuiltinCode: [0, 'i8'],
    customCode: [1, 'string'],
    version: [2, 'i32', 1],
    builtinCode: [3, 'i32'],
  },
  SubGraph: {
    tensors: [0, ['Tensor']],
    inputs: [1, ['i32']],
    outputs: [2, ['i32']],
    operators: [3, ['Operator']],
    name: [4, 'string'],
  },
  Tensor: {
    shape: [0, ['i32']],
    type: [1, 'i8'],
    /** Index into the model's buffers; one without data means: computed. */
    buffer: [2, 'u32'],
    name: [3, 'string'],
    quantization: [4, 'Quantization'],
    isVariable: [5, 'bool'],
    sparsity: [6, 'Sparsity'],
    /** -1 where the size is free. */
    shapeSignature: [7, ['i32']],
  },
  Quantization: {
    min: [0, ['f32']],
    max: [1, ['f32']],
    scale: [2, ['f32']],
    zeroPoint: [3, ['i64']],
    quantizedDimension: [6, 'i32'],
  },
  /** Only to see that there is one. */
  Sparsity: {},
  Operator: {
    opcodeIndex: [0, 'u32'],
    /** -1: none. */
    inputs: [1, ['i32']],
    outputs: [2, ['i32']],
    /** The union's kind is in field 3. */
    options: [4, 'union'],
    mutatingVariableInputs: [6, ['bool']],
    intermediates: [7, ['i32']],
  },
  Buffer: { data: [0, ['u8']], offset: [1, 'u64'], size: [2, 'u64'] },
  SignatureDef: {
    inputs: [0, ['TensorMap']],
    outputs: [1, ['TensorMap']],
    key: [2, 'string'],
    subgraphIndex: [4, 'u32'],
  },
  TensorMap: { name: [0, 'string'], tensorIndex: [1, 'u32'] },

  Conv2D: {
    padding: [0, 'i8'],
    strideW: [1, 'i32'],
    strideH: [2, 'i32'],
    activation: [3, 'i8'],
    dilationW: [4, 'i32', 1],
    dilationH: [5, 'i32', 1],
  },
  DepthwiseConv2D: {
    padding: [0, 'i8'],
    strideW: [1, 'i32'],
    strideH: [2, 'i32'],
    depthMultiplier: [3, 'i32'],
    activation: [4, 'i8'],
    dilationW: [5, 'i32', 1],
    dilationH: [6, 'i32', 1],
  },
  Pool2D: {
    padding: [0, 'i8'],
    strideW: [1, 'i32'],
    strideH: [2, 'i32'],
    filterWidth: [3, 'i32'],
    filterHeight: [4, 'i32'],
    activation: [5, 'i8'],
  },
  SVDF: { rank: [0, 'i32'], activation: [1, 'i8'] },
  FullyConnected: { activation: [0, 'i8'], weightsFormat: [1, 'i8'], keepNumDims: [2, 'bool'] },
  Softmax: { beta: [0, 'f32'] },
  Concatenation: { axis: [0, 'i32'], activation: [1, 'i8'] },
  Add: { activation: [0, 'i8'] },
  Mul: { activation: [0, 'i8'] },
  Sub: { activation: [0, 'i8'] },
  ResizeBilinear: { alignCorners: [2, 'bool'], halfPixelCenters: [3, 'bool'] },
  ResizeNearestNeighbor: { alignCorners: [0, 'bool'], halfPixelCenters: [1, 'bool'] },
  Reshape: { newShape: [0, ['i32']] },
  Pad: {},
  PadV2: {},
  Transpose: {},
  Reducer: { keepDims: [0, 'bool'] },
  Squeeze: { squeezeDims: [0, ['i32']] },
  Slice: {},
  StridedSlice: {
    beginMask: [0, 'i32'],
    endMask: [1, 'i32'],
    ellipsisMask: [2, 'i32'],
    newAxisMask: [3, 'i32'],
    shrinkAxisMask: [4, 'i32'],
    offset: [5, 'bool'],
  },
  Split: { numSplits: [0, 'i32'] },
  SplitV: { numSplits: [0, 'i32'] },
  ExpandDims: {},
  Quantize: {},
  Dequantize: {},
  LeakyRelu: { alpha: [0, 'f32'] },
  HardSwish: {},
  UnidirectionalSequenceLSTM: {
    activation: [0, 'i8'],
    cellClip: [1, 'f32'],
    projClip: [2, 'f32'],
    timeMajor: [3, 'bool'],
    diagonalRecurrentTensors: [5, 'bool'],
  },
  CallOnce: { initSubgraphIndex: [0, 'i32'] },
  VarHandle: { container: [0, 'string'], sharedName: [1, 'string'] },
  ReadVariable: {},
  AssignVariable: {},
  Gelu: { approximate: [0, 'bool'] },
} as const

/** Kinds of the union of an operator's options. */
export const OPTIONS = {
  Conv2D: 1,
  DepthwiseConv2D: 2,
  Pool2D: 5,
  SVDF: 6,
  FullyConnected: 8,
  Softmax: 9,
  Concatenation: 10,
  Add: 11,
  ResizeBilinear: 15,
  Reshape: 17,
  Mul: 21,
  Pad: 22,
  Transpose: 26,
  Reducer: 27,
  Sub: 28,
  Squeeze: 30,
  StridedSlice: 32,
  Split: 35,
  Dequantize: 38,
  PadV2: 43,
  Slice: 48,
  ExpandDims: 52,
  UnidirectionalSequenceLSTM: 71,
  ResizeNearestNeighbor: 74,
  LeakyRelu: 75,
  SplitV: 79,
  Quantize: 89,
  HardSwish: 91,
  CallOnce: 103,
  VarHandle: 111,
  ReadVariable: 112,
  AssignVariable: 113,
  Gelu: 116,
} as const

type Tables = typeof TABLES
export type TableName = keyof Tables
export type OptionsName = keyof typeof OPTIONS
type Scalar = keyof typeof SCALARS

/** What a vector of `E` is read as. */
type Vector<E> = E extends 'u8'
  ? Uint8Array
  : E extends Scalar
    ? readonly number[]
    : E extends TableName
      ? readonly Row<E>[]
      : never

type Value<K> = K extends readonly [infer E]
  ? Vector<E>
  : K extends 'bool'
    ? boolean
    : K extends Scalar
      ? number
      : K extends 'string'
        ? string
        : K extends 'union'
          ? Options
          : K extends TableName
            ? Row<K>
            : never

type KindOf<F> = F extends readonly [number, infer K, ...unknown[]] ? K : never
type ScalarFields<T> = { [F in keyof T]: KindOf<T[F]> extends Scalar ? F : never }[keyof T]

/** A table as an object: a scalar always has a value, anything else is undefined where the file has none. */
export type Row<T extends TableName> = { readonly [F in ScalarFields<Tables[T]>]: Value<KindOf<Tables[T][F]>> } & {
  readonly [F in Exclude<keyof Tables[T], ScalarFields<Tables[T]>>]?: Value<KindOf<Tables[T][F]>>
}

/** A table to be written: what is left out has its default. */
export type Draft<T extends TableName> = {
  readonly [F in keyof Tables[T]]?: KindOf<Tables[T][F]> extends readonly [infer E]
    ? E extends TableName
      ? readonly Draft<E>[]
      : Vector<E>
    : KindOf<Tables[T][F]> extends TableName
      ? Draft<KindOf<Tables[T][F]>>
      : KindOf<Tables[T][F]> extends 'union'
        ? OptionsDraft
        : Value<KindOf<Tables[T][F]>>
}

/** An operator's options, or the number of a kind that no supported operator has. */
export type Options = { readonly kind: number } | { [K in OptionsName]: { readonly kind: K; readonly row: Row<K> } }[OptionsName]
export type OptionsDraft = { [K in OptionsName]: { readonly kind: K; readonly row: Draft<K> } }[OptionsName]

/** Types of tensors, by the schema's numbers. */
export const TYPES = [
  ...['FLOAT32', 'FLOAT16', 'INT32', 'UINT8', 'INT64', 'STRING', 'BOOL', 'INT16', 'COMPLEX64', 'INT8', 'FLOAT64', 'COMPLEX128'],
  ...['UINT64', 'RESOURCE', 'VARIANT', 'UINT32', 'UINT16', 'INT4', 'BFLOAT16', 'INT2', 'UINT4', 'FLOAT8_E4M3FN', 'FLOAT8_E5M2'],
] as const
export const TYPE = { FLOAT32: 0, FLOAT16: 1, INT32: 2, UINT8: 3, INT64: 4, INT16: 7, INT8: 9, RESOURCE: 13 } as const

/** Fused activations, by the schema's numbers. */
export const ACTIVATIONS = ['NONE', 'RELU', 'RELU_N1_TO_1', 'RELU6', 'TANH', 'SIGN_BIT'] as const
export const SAME = 0
export const VALID = 1

/** Names of the operators, by the schema's numbers. */
export const OPERATORS = (
  'ADD AVERAGE_POOL_2D CONCATENATION CONV_2D DEPTHWISE_CONV_2D DEPTH_TO_SPACE DEQUANTIZE EMBEDDING_LOOKUP FLOOR FULLY_CONNECTED ' +
  'HASHTABLE_LOOKUP L2_NORMALIZATION L2_POOL_2D LOCAL_RESPONSE_NORMALIZATION LOGISTIC LSH_PROJECTION LSTM MAX_POOL_2D MUL RELU ' +
  'RELU_N1_TO_1 RELU6 RESHAPE RESIZE_BILINEAR RNN SOFTMAX SPACE_TO_DEPTH SVDF TANH CONCAT_EMBEDDINGS SKIP_GRAM CALL CUSTOM ' +
  'EMBEDDING_LOOKUP_SPARSE PAD UNIDIRECTIONAL_SEQUENCE_RNN GATHER BATCH_TO_SPACE_ND SPACE_TO_BATCH_ND TRANSPOSE MEAN SUB DIV ' +
  'SQUEEZE UNIDIRECTIONAL_SEQUENCE_LSTM STRIDED_SLICE BIDIRECTIONAL_SEQUENCE_RNN EXP TOPK_V2 SPLIT LOG_SOFTMAX DELEGATE ' +
  'BIDIRECTIONAL_SEQUENCE_LSTM CAST PRELU MAXIMUM ARG_MAX MINIMUM LESS NEG PADV2 GREATER GREATER_EQUAL LESS_EQUAL SELECT SLICE ' +
  'SIN TRANSPOSE_CONV SPARSE_TO_DENSE TILE EXPAND_DIMS EQUAL NOT_EQUAL LOG SUM SQRT RSQRT SHAPE POW ARG_MIN FAKE_QUANT ' +
  'REDUCE_PROD REDUCE_MAX PACK LOGICAL_OR ONE_HOT LOGICAL_AND LOGICAL_NOT UNPACK REDUCE_MIN FLOOR_DIV REDUCE_ANY SQUARE ' +
  'ZEROS_LIKE FILL FLOOR_MOD RANGE RESIZE_NEAREST_NEIGHBOR LEAKY_RELU SQUARED_DIFFERENCE MIRROR_PAD ABS SPLIT_V UNIQUE CEIL ' +
  'REVERSE_V2 ADD_N GATHER_ND COS WHERE RANK ELU REVERSE_SEQUENCE MATRIX_DIAG QUANTIZE MATRIX_SET_DIAG ROUND HARD_SWISH IF ' +
  'WHILE NON_MAX_SUPPRESSION_V4 NON_MAX_SUPPRESSION_V5 SCATTER_ND SELECT_V2 DENSIFY SEGMENT_SUM BATCH_MATMUL ' +
  'PLACEHOLDER_FOR_GREATER_OP_CODES CUMSUM CALL_ONCE BROADCAST_TO RFFT2D CONV_3D IMAG REAL COMPLEX_ABS HASHTABLE ' +
  'HASHTABLE_FIND HASHTABLE_IMPORT HASHTABLE_SIZE REDUCE_ALL CONV_3D_TRANSPOSE VAR_HANDLE READ_VARIABLE ASSIGN_VARIABLE ' +
  'BROADCAST_ARGS RANDOM_STANDARD_NORMAL BUCKETIZE RANDOM_UNIFORM MULTINOMIAL GELU DYNAMIC_UPDATE_SLICE RELU_0_TO_1'
).split(' ')
