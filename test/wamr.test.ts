// The host for WAMR in examples/wamr: a strict C compiler takes it. It needs WAMR's header, so that it is skipped without WAMR_ROOT.

import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { buildModule } from '../src/deploy'
import { input } from '../src/graph/node'
import { Model } from '../src/model/model'
import { dense } from '../src/ops/dense'

const root = process.env.WAMR_ROOT
const include = join(root ?? '', 'core/iwasm/include')
const without = !root
  ? 'WAMR_ROOT is not set'
  : !existsSync(join(include, 'wasm_export.h'))
    ? `${include} has no wasm_export.h`
    : spawnSync('gcc', ['--version']).error && 'there is no gcc'

describe('examples/wamr', () => {
  it.for([0, 1])('compiles, alone and with the header of a model (CODE_IN_RAM %i)', async (copied, { skip }) => {
    skip(!!without, `${without}: set it to a checkout of wasm-micro-runtime`)
    const folder = mkdtempSync(join(tmpdir(), 'dunlin-'))
    try {
      const { header } = await buildModule(new Model(dense({ units: 2 })(input([3])), { name: 'small' }))
      writeFileSync(join(folder, 'small.h'), header)
      const strict = [
        '-std=c99',
        '-Wall',
        '-Wextra',
        '-Werror',
        '-pedantic',
        '-fsyntax-only',
        `-DCODE_IN_RAM=${copied}`,
        '-I',
        include,
      ]
      for (const more of [[], [`-DMODEL_HEADER="${join(folder, 'small.h')}"`, '-DMODEL=SMALL']]) {
        const sources = ['module.c', 'slots.c', 'host.c'].map((f) => join('examples/wamr', f))
        expect(execFileSync('gcc', [...strict, ...more, ...sources], { encoding: 'utf8' })).toBe('')
      }
    } finally {
      rmSync(folder, { recursive: true })
    }
  })
})
