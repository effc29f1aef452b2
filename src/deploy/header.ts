// The C header of a module: the numbers that a host needs to feed it and read it, as macros, so that nothing takes space in the
// host until it is used. Valid C99 under -Wall -Wextra -Werror -pedantic, alone and included twice.

import { DunlinError } from '../graph/error'
import { BYTES, type Dtype } from '../graph/node'
import type { Learning, Port } from '../plan/plan'
import { ABI, portName } from './abi'
import { trainingMacros } from './training'

const C_TYPES: Record<Dtype, string> = { f32: 'float', i8: 'int8_t', u8: 'uint8_t', i16: 'int16_t', i32: 'int32_t' }

/** `ramBytes` is the linear memory that the module uses; `functions` are its exported ones beside `run`. `labels` may be empty. */
export function writeHeader(module: {
  name: string
  inputs: readonly Port[]
  outputs: readonly Port[]
  labels: readonly string[]
  functions: readonly string[]
  ramBytes: number
  learning?: Learning
}): string {
  const { inputs, outputs, labels, functions, learning } = module
  const prefix = identifier(module.name)
  const ports = (kind: 'input' | 'output', list: readonly Port[]) =>
    list.map((p, i) => port(`${prefix}_${portName(kind, i).toUpperCase()}`, p))
  const more = (count: number, what: string) => (count > 1 ? ` Further ${what}s: ${what.toUpperCase()}_1 and so on.` : '')
  const says: Record<string, string> = {
    reset: '"reset": no argument, no result; the state that the model keeps from run to run is zero again.',
    self_test: '"self_test": no argument; returns 0 if the module computes here what it computed when it was built.',
    classify: '"classify": no argument; after a run, the index of the largest element of the first output.',
  }
  const known = functions.filter((f) => Object.hasOwn(says, f))
  return `/* ${prefix}: how a host runs this module (dunlin, ABI ${ABI}; docs/module.md of dunlin says it all).
 *
 * The module imports nothing. Its linear memory is the export "memory"; addresses are bytes from the start of that memory.
 *   1. Instantiate it once.
 *   2. Write ${prefix}_INPUT_BYTES bytes, elements of ${prefix}_INPUT_TYPE (little-endian), at ${prefix}_INPUT_ADDRESS.${more(inputs.length, 'input')}
 *   3. Call the export "run": no argument, returns 0.
 *   4. Read ${prefix}_OUTPUT_BYTES bytes, elements of ${prefix}_OUTPUT_TYPE, at ${prefix}_OUTPUT_ADDRESS.${more(outputs.length, 'output')}
 * Steps 2 to 4 repeat; write the whole input each time, its memory may be reused during a run.
 * Other exports:
${known
  .map(
    (f) => ` *   ${says[f]}
`,
  )
  .join('')} * Where SCALE and ZERO_POINT are defined: real = SCALE * (element - ZERO_POINT).
 * Where MEAN and STD are defined: the real input is (raw - MEAN) / STD. Where they are lists { ... }, they hold one number for each
 * channel, the last dimension of SHAPE: element i has that of channel i % CHANNELS.
 */
#ifndef ${prefix}_H
#define ${prefix}_H

#include <stdint.h>

#define ${prefix}_ABI ${ABI}
#define ${prefix}_RAM_BYTES ${module.ramBytes}u
#define ${prefix}_INPUT_COUNT ${inputs.length}
#define ${prefix}_OUTPUT_COUNT ${outputs.length}

${[...ports('input', inputs), ...ports('output', outputs)].join('\n\n')}

#define ${prefix}_LABEL_COUNT ${labels.length}
${labels.length ? `/* static const char *const labels[] = ${prefix}_LABELS; (UTF-8) */\n#define ${prefix}_LABELS { \\\n${labels.map((l) => `  ${literal(l)}`).join(', \\\n')} }\n` : ''}${learning ? trainingMacros(prefix, learning) : ''}
#endif
`
}

function port(prefix: string, p: Port): string {
  const lines: [string, string | number][] = [
    ['ADDRESS', `${p.address}u`],
    ['BYTES', `${p.length * BYTES[p.dtype]}u`],
    ['TYPE', C_TYPES[p.dtype]],
    ['LENGTH', p.length],
    ['RANK', p.shape.length],
  ]
  if (p.shape.length) lines.push(['SHAPE', `{ ${p.shape.join(', ')} }`])
  if (p.quant) lines.push(['SCALE', float(p.quant.scale[0])], ['ZERO_POINT', `(${p.quant.zeroPoint})`])
  if (p.normalize) {
    const { mean, std } = p.normalize
    const list = (v: number | readonly number[]) => (typeof v === 'number' ? float(v) : `{ ${v.map(float).join(', ')} }`)
    if (typeof mean !== 'number') lines.push(['CHANNELS', mean.length])
    lines.push(['MEAN', list(mean)], ['STD', list(std)])
  }
  return lines.map(([name, value]) => `#define ${prefix}_${name} ${value}`).join('\n')
}

/** A name as the beginning of C macros: capitals, digits and underscores. Those that begin with an underscore belong to C. */
function identifier(name: string): string {
  const id = name
    .replace(/[^A-Za-z0-9]+/g, '_')
    .replace(/^_+|_+$/g, '')
    .toUpperCase()
  if (!id) {
    throw new DunlinError(
      `module name ${JSON.stringify(name)}: no ASCII letter or digit to name C macros with. Use a name such as "gesture".`,
    )
  }
  return /^[0-9]/.test(id) ? `MODEL_${id}` : id
}

/** Nine significant digits give every float back. */
function float(value: number): string {
  const digits = Math.fround(value).toPrecision(9)
  return `(${/[.e]/.test(digits) ? digits : `${digits}.0`}f)`
}

/** A C string of the UTF-8 bytes: whatever is not a plain character is three octal digits, which cannot swallow the next one. */
function literal(text: string): string {
  // Quotes and backslashes would end the string, question marks could begin a trigraph.
  const character = (b: number) =>
    b < 0x20 || b > 0x7e || '"\\?'.includes(String.fromCharCode(b))
      ? `\\${b.toString(8).padStart(3, '0')}`
      : String.fromCharCode(b)
  return `"${Array.from(new TextEncoder().encode(text), character).join('')}"`
}
