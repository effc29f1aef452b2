// The loader that is written beside a module: the text of an ES module without dependencies, for any module of this ABI. Its code is
// that of load.ts, made small by build.mjs; before it comes a head with the types that an editor reads.

import { loader as code } from '../../build/loader'
import { ABI } from './abi'

/** A function, so that a bundle that builds no modules leaves the text out. */
export const loaderText = (): string => `// dunlin, modules of ABI ${ABI}: (await load(bytes)).predict(values)
/** @typedef {ArrayLike<number> | Record<string, ArrayLike<number>>} Sample
@typedef {{ metadata: any, ramBytes: number, exports: WebAssembly.Exports, inputs: any[], outputs: any[],
run(): void, predict(x: Sample): Float32Array, read(output: number): Float32Array, classify(x: Sample): number,
reset(): void, selfTest(): void }} Module
@typedef {(wasm: Uint8Array | ArrayBuffer, name?: string) => Promise<Module>} Load */
${code}`
