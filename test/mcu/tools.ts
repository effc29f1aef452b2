// The programs of other projects that judge a module: which of them this machine has, and the line that installs what it lacks.

import { execFile } from 'node:child_process'
import { accessSync, constants } from 'node:fs'
import { delimiter, join } from 'node:path'
import { promisify } from 'node:util'

/** Each program and the Debian package that has it. */
export const PACKAGES = {
  wasm2c: 'wabt',
  'wasm-interp': 'wabt',
  gcc: 'gcc libc6-dev',
  'arm-none-eabi-gcc': 'gcc-arm-none-eabi libnewlib-arm-none-eabi',
  'qemu-system-arm': 'qemu-system-arm',
  gjs: 'gjs',
  jsc: 'libjavascriptcoregtk-4.0-bin',
} as const
export type Tool = keyof typeof PACKAGES

const has = (tool: Tool): boolean =>
  (process.env.PATH ?? '').split(delimiter).some((folder) => {
    try {
      accessSync(join(folder, tool), constants.X_OK)
      return true
    } catch {
      return false
    }
  })

/** Undefined where all of `tools` are there, or else which are not and how to get them. */
export function without(...tools: Tool[]): string | undefined {
  const missing = tools.filter((tool) => !has(tool))
  if (!missing.length) return undefined
  const packages = [...new Set(missing.map((tool) => PACKAGES[tool]))].join(' ')
  return `${missing.join(', ')} not found: apt-get install --no-install-recommends ${packages}`
}

const start = promisify(execFile)

/** Runs a program in `folder`; what it prints. An exit code that is not 0 is an error with what it printed. */
export async function run(tool: string, args: readonly string[], folder: string): Promise<string> {
  try {
    return (await start(tool, args, { cwd: folder, maxBuffer: 2 ** 28 })).stdout
  } catch (error) {
    const { stdout, stderr, message } = error as { stdout?: string; stderr?: string; message: string }
    const said = `${stdout ?? ''}${stderr ?? ''}`.slice(-2000)
    throw new Error(`${tool} in ${folder}: ${said || message}`)
  }
}
