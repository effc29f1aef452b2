// The kernels: every export is a function of pointers (byte addresses into the imported memory) and numbers. It never allocates, keeps no
// state and calls nothing outside this folder. asconfig.json builds three binaries from this entry: scalar, simd, relaxed.
// Names are <what>_<dtype>, gradients end in _dx or _dw; arguments in order: inputs, weights, bias, outputs, scratch, sizes (in
// elements), numbers. Buffers are 16-byte aligned; a kernel may read up to 16 bytes past an end, and never writes there.

export { gemm_f32, pack_f32 } from './f32/gemm'
export { conv2d_f32, conv2d_f32_dw, conv2d_f32_dx, conv2d_f32_dx_pack } from './f32/conv2d'
export { conv2d_f32_winograd, conv2d_f32_winograd_pack } from './f32/winograd'
export { depthwiseConv2d_f32, depthwiseConv2d_f32_dw, depthwiseConv2d_f32_dx } from './f32/depthwiseConv2d'
export * from './f32/pool2d'
export * from './f32/elementwise'
export { exp_f32_map, log1p_f32_map, log_f32_map } from './f32/math'
export * from './f32/softmax'
export * from './f32/losses'
export * from './f32/optimizer'
export * from './probe'
export { conv2d_i8 } from './i8/conv2d'
export { dense_i8 } from './i8/dense'
export { depthwiseConv2d_i8 } from './i8/depthwiseConv2d'
export { packedDepthwiseConv2d_i8 } from './i8/packedDepthwiseConv2d'
export { packedConv2d_i8 } from './i8/packedConv2d'
export { pack_i8 } from './i8/panel'
export * from './i8/elementwise'
export * from './i8/pool2d'
export { softmax_i8 } from './i8/softmax'
