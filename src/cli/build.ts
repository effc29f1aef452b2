// `dunlin build`: a model as a module with its header and loader, and in text what it takes: flash by part, layers, and RAM drawn as bars,
// a line a layer and a line a buffer.

import { buildModule, type ModuleBuildOptions, type ModuleReport } from '../deploy'
import { writeFilesAtomic } from '../files'
import { formatTable, thousands } from '../model/table'
import { readModel } from '../node'

/** Characters of the longest bar. */
const WIDTH = 40

export async function build(file: string, out: string, options: ModuleBuildOptions, json: boolean): Promise<void> {
  const { wasm, header, loader, report } = await buildModule(readModel(file), options)
  writeFilesAtomic([
    { path: out, bytes: wasm },
    { path: out.replace(/(\.wasm)?$/, '.h'), bytes: header },
    { path: out.replace(/(\.wasm)?$/, '.mjs'), bytes: loader },
  ])
  console.log(json ? JSON.stringify(report) : `${textOf(report)}\n\n${out}: ${summary(report)}`)
}

const summary = ({ flashBytes, ramBytes, codeBytes, dataBytes, metadataBytes }: ModuleReport) =>
  `${flashBytes} bytes (code ${codeBytes}, data ${dataBytes}, metadata ${metadataBytes}), RAM ${ramBytes} bytes`

export function textOf(report: ModuleReport): string {
  const { flash, layers, buffers, peak, ramBytes } = report
  const share = (bytes: number) => `${((100 * bytes) / report.flashBytes).toFixed(1)} %`
  const parts = flash.map(({ name, bytes }) => [name, thousands(bytes), share(bytes)])
  const bar = (bytes: number) => '#'.repeat(Math.max(1, Math.round((WIDTH * bytes) / ramBytes)))
  const rows = layers.map((l) => [
    ...[
      l.name,
      l.op,
      thousands(l.macs),
      `${l.estimated ? '~' : ''}${thousands(l.instructions)}`,
      thousands(l.flashBytes),
      thousands(l.ramBytes),
    ],
    `${bar(l.ramBytes)}${l.name === peak.layer ? ' peak' : ''}`,
  ])
  // Where in RAM a buffer lies, as a piece of a line as long as RAM.
  const place = (address: number, bytes: number) => {
    const at = Math.min(WIDTH - 1, Math.floor((WIDTH * address) / ramBytes))
    return `${'.'.repeat(at)}${'#'.repeat(Math.max(1, Math.min(WIDTH - at, Math.round((WIDTH * bytes) / ramBytes))))}`.padEnd(
      WIDTH,
      '.',
    )
  }
  const lines = buffers.map(({ name, address, bytes, first, last }) => [
    ...[name, thousands(address), thousands(bytes)],
    ...[first === last ? first : `${first} .. ${last}`, place(address, bytes)],
  ])
  return [
    `flash, ${thousands(report.flashBytes)} bytes\n${formatTable(['part', 'bytes', 'share'], parts)}`,
    `layers, ${thousands(report.macs)} MACs, about ${thousands(report.instructions)} instructions of a Cortex-M4 (${report.target}; ~: estimated)\n${formatTable(
      ['layer', 'op', 'MACs', 'instructions', 'flash', 'RAM', ''],
      rows,
    )}`,
    `RAM, ${thousands(ramBytes)} bytes; at its peak, in ${peak.layer}: ${peak.buffers.map((b) => `${b.name} ${thousands(b.bytes)}`).join(', ')}\n${formatTable(
      ['buffer', 'address', 'bytes', 'layers', ''],
      lines,
    )}`,
  ].join('\n\n')
}
