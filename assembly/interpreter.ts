// The kernels that want another form where every instruction is interpreted: the same names, signatures and bits as in index.ts, which has
// all the others.

export { conv2d_i8, conv2dAdd_i8 } from './i8/conv2d'
