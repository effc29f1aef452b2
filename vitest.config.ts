import { defineConfig } from 'vitest/config'

// Node 20 runs relaxed SIMD only behind a flag that later versions do not know.
const relaxed = Number(process.versions.node.split('.')[0]) < 21 ? ['--experimental-wasm-relaxed-simd'] : []

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    execArgv: relaxed,
    testTimeout: 120_000,
  },
})
