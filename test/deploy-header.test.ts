// The C header: what it says, and that a strict C compiler takes it, alone, twice and in a host that prints what it found.
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { writeHeader } from '../src/deploy/header'
import { DunlinError } from '../src/graph/error'
import { Random } from '../src/graph/random'

const nasty = [
  'plain',
  'two "words"',
  'back\\slash',
  'line\nfeed\r\t',
  'née 7',
  '雀8',
  '??/',
  '??=*/',
  '%d%s',
  '',
  '\u007f\u0001f',
  'a'.repeat(300),
]
const input = {
  name: 'x',
  address: 64,
  dtype: 'i8' as const,
  length: 36,
  batch: 1,
  shape: [3, 4, 3],
  quant: { scale: [1 / 255], zeroPoint: -128 },
  normalize: { mean: -0.5, std: 123456789 },
}
const output = { name: 'y', address: 128, dtype: 'f32' as const, length: 1, batch: 1, shape: [] }
const module = {
  name: '2nd model: "x" */ ??/',
  inputs: [input],
  outputs: [output],
  labels: nasty,
  functions: ['self_test'],
  ramBytes: 4096,
}

describe('header', () => {
  it('says what a host needs', () => {
    const header = writeHeader({ ...module, name: 'gesture', labels: ['up', 'down'] })
    expect(header.match(/^#define .*/gm)).toEqual([
      '#define GESTURE_H',
      '#define GESTURE_ABI 2',
      '#define GESTURE_RAM_BYTES 4096u',
      '#define GESTURE_INPUT_COUNT 1',
      '#define GESTURE_OUTPUT_COUNT 1',
      '#define GESTURE_INPUT_ADDRESS 64u',
      '#define GESTURE_INPUT_BYTES 36u',
      '#define GESTURE_INPUT_TYPE int8_t',
      '#define GESTURE_INPUT_LENGTH 36',
      '#define GESTURE_INPUT_RANK 3',
      '#define GESTURE_INPUT_SHAPE { 3, 4, 3 }',
      '#define GESTURE_INPUT_SCALE (0.00392156886f)',
      '#define GESTURE_INPUT_ZERO_POINT (-128)',
      '#define GESTURE_INPUT_MEAN (-0.500000000f)',
      '#define GESTURE_INPUT_STD (123456792.0f)',
      '#define GESTURE_OUTPUT_ADDRESS 128u',
      '#define GESTURE_OUTPUT_BYTES 4u',
      '#define GESTURE_OUTPUT_TYPE float',
      '#define GESTURE_OUTPUT_LENGTH 1',
      '#define GESTURE_OUTPUT_RANK 0',
      '#define GESTURE_LABEL_COUNT 2',
      '#define GESTURE_LABELS { \\',
    ])
  })

  it('lists mean and std where each channel has its own', () => {
    const normalize = { mean: [1, 2.5, -3], std: [4, 0.5, 1] }
    const header = writeHeader({ ...module, name: 'gesture', inputs: [{ ...input, normalize }] })
    expect(header.match(/^#define GESTURE_INPUT_(CHANNELS|MEAN|STD).*/gm)).toEqual([
      '#define GESTURE_INPUT_CHANNELS 3',
      '#define GESTURE_INPUT_MEAN { (1.00000000f), (2.50000000f), (-3.00000000f) }',
      '#define GESTURE_INPUT_STD { (4.00000000f), (0.500000000f), (1.00000000f) }',
    ])
  })

  it('has further ports, and says what the exports do', () => {
    const ports = { inputs: [input, { ...input, address: 256 }], outputs: [output, { ...output, address: 512 }] }
    const header = writeHeader({ ...module, ...ports, name: 'two', functions: ['reset', 'self_test', 'classify', 'other'] })
    expect(header.match(/^#define TWO_\w*(COUNT|ADDRESS) .*/gm)).toEqual([
      '#define TWO_INPUT_COUNT 2',
      '#define TWO_OUTPUT_COUNT 2',
      '#define TWO_INPUT_ADDRESS 64u',
      '#define TWO_INPUT_1_ADDRESS 256u',
      '#define TWO_OUTPUT_ADDRESS 128u',
      '#define TWO_OUTPUT_1_ADDRESS 512u',
      '#define TWO_LABEL_COUNT 12',
    ])
    expect(header.match(/^ \* +"\w+":/gm)?.map((line) => line.slice(2).trim())).toEqual([
      '"reset":',
      '"self_test":',
      '"classify":',
    ])
  })

  it.each([
    ['gesture', 'GESTURE'],
    ['my-net v2.1', 'MY_NET_V2_1'],
    ['__x__', 'X'],
    ['2nd', 'MODEL_2ND'],
    ['a*/b', 'A_B'],
  ])('turns the name %s into %s', (name, prefix) => {
    expect(writeHeader({ ...module, name })).toContain(`#ifndef ${prefix}_H\n`)
  })

  it.each(['', '雀', ' _-'])('refuses the name "%s"', (name) => {
    expect(() => writeHeader({ ...module, name })).toThrow(DunlinError)
  })
})

describe.skipIf(spawnSync('gcc', ['--version']).error !== undefined)('header under gcc', () => {
  const folder = mkdtempSync(join(tmpdir(), 'dunlin-'))
  afterAll(() => rmSync(folder, { recursive: true }))
  const STRICT = ['-Wall', '-Wextra', '-Werror', '-std=c99', '-pedantic', '-I', folder, '-x', 'c', '-']
  const gcc = (source: string, ...more: string[]) =>
    execFileSync('gcc', [...more, ...STRICT], { input: source, stdio: ['pipe', 'pipe', 'pipe'] })

  it('compiles alone and twice, with and without labels', () => {
    for (const labels of [[], nasty]) {
      const functions = labels.length ? ['reset', 'self_test', 'classify'] : []
      writeFileSync(join(folder, 'm.h'), writeHeader({ ...module, labels, functions }))
      gcc('#include "m.h"\n', '-fsyntax-only')
      gcc('#include "m.h"\n#include "m.h"\n', '-fsyntax-only')
    }
  })

  it('gives a host the same numbers and the same bytes', () => {
    const seed = 3
    const random = new Random(seed)
    const scales = [input.quant.scale[0], 1, 3e38, 1e-45, 16777216, 1e9]
    for (let i = 0; i < 100; i++) scales.push(new Float32Array(Uint32Array.of(random.next() & 0x7f7fffff).buffer)[0] || 1)
    const quantities = scales.map((scale, i) => {
      const scaled = { ...input, quant: { scale: [scale], zeroPoint: -128 } }
      writeFileSync(join(folder, `m${i}.h`), writeHeader({ ...module, name: `m${i}`, inputs: [scaled] }))
      return `#include "m${i}.h"\n`
    })
    const source = `#include <stdio.h>
${quantities.join('')}
static const char *const labels[] = M0_LABELS;
static const int shape[M0_INPUT_RANK] = M0_INPUT_SHAPE;
static const float scales[] = { ${scales.map((_, i) => `M${i}_INPUT_SCALE`).join(', ')} };
int main(void) {
  const M0_INPUT_TYPE zero = M0_INPUT_ZERO_POINT;
  int i;
  fwrite(scales, sizeof scales, 1, stdout);
  for (i = 0; i < M0_LABEL_COUNT; i++) { fputs(labels[i], stdout); putchar(0); }
  printf("%d %d %d %d", zero, shape[0], shape[1], shape[2]);
  return 0;
}
`
    const host = join(folder, 'host')
    gcc(source, '-o', host)
    const output = execFileSync(host)
    const bytes = 4 * scales.length
    expect([...new Float32Array(Uint8Array.from(output.subarray(0, bytes)).buffer)], `Random(${seed})`).toEqual([
      ...Float32Array.from(scales),
    ])
    expect(output.subarray(bytes).toString('utf8').split('\0')).toEqual([...nasty, '-128 3 4 3'])
  })
})
