// What the benches of bench/mcu.mjs and bench/fuzz.mjs take from here and from the sources, which dist/ does not have.

export { buildModule } from '../../src/deploy'
export { kernelNames, NAIVE, withNaive } from './compare'
export { countInstructions } from './count'
export { compileFirmware, emulate, MACHINES } from './machines'
export { compileNative, fuzzNative, runNative } from './native'
export { FLOATS, NETWORKS, network, OTHERS } from './networks'
export { without } from './tools'
