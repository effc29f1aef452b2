// The kernel binaries: three builds of one AssemblyScript source, embedded as base64 so that no bundler needs configuring. The session
// takes the first that the host validates: relaxed (fused multiply-add), simd, scalar. A fourth, of kernels for hosts that interpret, is
// for modules only.

import { interpreter, relaxed, scalar, simd } from '../../build/kernels'
import { DunlinError } from '../graph/error'
import { withSharedMemory } from './sharedMemory'

export const BUILDS = ['relaxed', 'simd', 'scalar'] as const
/** Which of the three kernel binaries. int8 results are equal in all; f32 results of `relaxed` differ by fused rounding. */
export type Build = (typeof BUILDS)[number]
/** `interpreter` has only the kernels that want another form where every instruction is interpreted; scalar has the others. */
type Binary = Build | 'interpreter'

/** An object of its own, not the module's namespace: a bundler can drop it where no kernel is used. */
const base64: Record<Binary, string> = { relaxed, simd, scalar, interpreter }

const binaries = new Map<Binary, Uint8Array>()
const modules = new Map<Build, WebAssembly.Module>()
/** The same on a shared memory. */
const shared = new Map<Build, WebAssembly.Module>()
const provided = new Set<Build>()

/** The bytes of a binary. */
export function kernelBytes(build: Binary): Uint8Array {
  let bytes = binaries.get(build)
  if (!bytes) {
    const text = atob(base64[build])
    bytes = new Uint8Array(text.length)
    for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i)
    binaries.set(build, bytes)
  }
  return bytes
}

/** The best build that this host can run: of those that were provided, where some were, for it may not compile others. */
export function bestBuild(): Build {
  const given = BUILDS.find((build) => provided.has(build))
  const best = given ?? BUILDS.find((build) => modules.has(build) || WebAssembly.validate(kernelBytes(build) as BufferSource))
  if (!best)
    throw new DunlinError('This host runs no WebAssembly that dunlin can use: bulk memory and sign extension are needed.')
  return best
}

/** The compiled module of a build; compiled once per process. */
export async function kernelModule(build: Build): Promise<WebAssembly.Module> {
  let module = modules.get(build)
  if (!module) {
    try {
      module = await WebAssembly.compile(kernelBytes(build) as BufferSource)
    } catch (error) {
      throw new DunlinError(
        `This host cannot run the "${build}" kernels (${(error as Error).message}). It can run "${bestBuild()}".`,
      )
    }
    modules.set(build, module)
  }
  return module
}

/** The module of a build that wants a shared memory; undefined where the build was provided compiled, or the host has no such memory. */
export async function sharedKernelModule(build: Build): Promise<WebAssembly.Module | undefined> {
  if (provided.has(build)) return undefined
  let module = shared.get(build)
  if (!module) {
    try {
      module = await WebAssembly.compile(withSharedMemory(kernelBytes(build)))
    } catch {
      return undefined
    }
    shared.set(build, module)
  }
  return module
}

/**
 * Gives dunlin a module compiled elsewhere, for hosts that must not compile bytes at run time (a Cloudflare worker, a strict
 * content security policy): the file is `dunlin/kernels/<build>.wasm`.
 */
export function provideKernels(build: Build, module: WebAssembly.Module): void {
  modules.set(build, module)
  provided.add(build)
}
