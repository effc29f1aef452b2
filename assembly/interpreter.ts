// The kernels that want another form where every instruction is interpreted: the same names, signatures and bits as in index.ts, which has
// all the others. INTERPRETER is 1 in this build and 0 in the others (asconfig.json).

export { conv2d_i8 } from './i8/conv2d'
export { add_i8, sub_i8 } from './i8/elementwise'
export { maxPool2d_i8 } from './i8/pool2d'
