// dunlin in a real browser: a page without a bundler imports dist/index.js, trains, quantizes, builds the module and runs it, and gets
// the bits that Node gets. Chromium is driven by playwright-core; where there is none the tests are skipped and say so.

import { readFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type Browser, chromium, type Page } from 'playwright-core'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import * as dunlin from '../src/index'
import { executable, WITHOUT } from './chromium'

type Dunlin = typeof dunlin
interface Options {
  build?: dunlin.Build
  threads: number
}

/** A page is cross-origin isolated, and may share memory between threads, if it comes with these. */
const ISOLATED = { 'cross-origin-opener-policy': 'same-origin', 'cross-origin-embedder-policy': 'require-corp' }
/** Its own scripts and WebAssembly, but no worker from a text. */
const STRICT = { 'content-security-policy': "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; img-src data:" }
const PAGES: Record<string, object> = { plain: {}, isolated: ISOLATED, strict: { ...ISOLATED, ...STRICT } }
const PAGE = '<!doctype html><title>dunlin</title><link rel="icon" href="data:,">'

let server: Server
let browser: Browser | undefined
beforeAll(async () => {
  if (!executable) return console.warn(`test/browser.test.ts is skipped: ${WITHOUT}`)
  const script = readFileSync('dist/index.js')
  server = createServer(({ url }, response) => {
    if (url === '/dist/index.js') return response.writeHead(200, { 'content-type': 'text/javascript' }).end(script)
    const headers = PAGES[url?.slice(1) ?? '']
    response.writeHead(headers ? 200 : 404, { 'content-type': 'text/html', ...headers }).end(PAGE)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  browser = await chromium.launch({ executablePath: executable })
})
afterAll(async () => {
  await browser?.close()
  server?.close()
})
beforeEach(({ skip }) => skip(!executable, WITHOUT))

/** Runs `exercise` in a new page. It is sent as text: it may use nothing but its arguments and what a page has. */
async function inPage<T>(
  kind: string,
  exercise: (d: Dunlin, options: Options) => Promise<T>,
  options: Options,
): Promise<{ result: T; isolated: boolean; said: string[] }> {
  const context = await browser!.newContext()
  const page: Page = await context.newPage()
  const said: string[] = []
  page.on('console', (message) => said.push(message.text()))
  page.on('pageerror', (error) => said.push(String(error)))
  await page.goto(`http://127.0.0.1:${(server.address() as AddressInfo).port}/${kind}`)
  const result = await page.evaluate<T>(`import('/dist/index.js').then((d) => (${exercise})(d, ${JSON.stringify(options)}))`)
  const isolated = await page.evaluate<boolean>('crossOriginIsolated')
  await context.close()
  return { result, isolated, said }
}

/** From a seed to a module that runs: 8 steps of the tiny CNN on 50 images (the last of an epoch is filled up), int8, module. */
async function everything(d: Dunlin, options: Options) {
  const random = new d.Random(3)
  const [count, classes, shape] = [50, 4, [12, 12, 1]]
  const y = Int32Array.from({ length: count }, (_, i) => i % classes)
  // A class is the quarter of the image that is bright.
  const bright = (label: number, at: number) => Number(at % 12 >= 6) + 2 * Number(at >= 72) === label
  const x = Float32Array.from({ length: count * 144 }, (_, i) => {
    return random.uniform() + (bright(y[Math.floor(i / 144)], i % 144) ? 0.5 : 0)
  })
  const data = d.makeDataset({ x, y, shape, classes })
  const model = d.tinyCnn({ shape, classes, normalize: d.statistics(data), seed: 5 })
  const trainer = new d.Trainer(model, { optimizer: d.adam({ lr: 1e-2 }), batch: 16, augment: [d.shift(1)], ...options })
  const losses: number[] = []
  await trainer.fit(data, { epochs: 2, callbacks: [{ step: ({ loss }) => void losses.push(loss) }] })
  const int8 = await d.quantize(model, data)
  const { wasm } = await d.buildModule(int8)
  const module = await d.loadModule(wasm)
  const samples = Array.from({ length: count }, (_, i) => x.subarray(i * 144, (i + 1) * 144))
  return {
    losses,
    weights: model.params.flatMap((p) => Array.from(p.data)),
    logits: Array.from(await model.predict(x, options)),
    int8: Array.from(await int8.predict(x, options)),
    module: samples.flatMap((sample) => Array.from(module.predict(sample))),
    wasm: Array.from(wasm),
    info: (await d.Session.create(trainer.plan(), options)).info(),
  }
}

/** Trains until a timer of the page has ticked three times: in a page that stands still it never does. */
async function responsive(d: Dunlin, options: Options) {
  const model = d.tinyCnn({ shape: [12, 12, 1], classes: 2 })
  const data = d.makeDataset({ x: new Float32Array(64 * 144), y: new Int32Array(64), shape: [12, 12, 1], classes: 2 })
  let ticks = 0
  const timer = setInterval(() => ticks++, 1)
  const epochEnd = () => (ticks >= 3 ? 'stop' : undefined)
  await new d.Trainer(model, { batch: 64, ...options }).fit(data, { epochs: 5000, callbacks: [{ epochEnd }] })
  clearInterval(timer)
  return ticks
}

describe(`in ${executable ?? 'a browser'}`, () => {
  it.each([
    ['scalar', 'plain'],
    ['simd', 'plain'],
    ['simd', 'strict'],
  ] as const)('training, quantization and the module give the bits of Node: %s, in a %s page', async (build, kind) => {
    const { result, isolated, said } = await inPage(kind, everything, { build, threads: 1 })
    const here = await everything(dunlin, { build, threads: 1 })
    expect(isolated).toBe(kind === 'strict')
    expect(result.losses.length).toBe(8)
    expect(result.losses[7]).toBeLessThan(result.losses[0])
    expect(result.module).toEqual(result.int8)
    expect(new Set(result.module).size).toBeGreaterThan(10)
    expect(result).toEqual(here)
    expect(said).toEqual([])
  })

  it('the best kernels that it runs train as well', async () => {
    const { result } = await inPage('plain', everything, { threads: 1 })
    const here = await everything(dunlin, { build: 'simd', threads: 1 })
    expect(['relaxed', 'simd']).toContain(result.info.build)
    for (const [i, loss] of here.losses.entries()) expect(Math.abs(result.losses[i] / loss - 1), `step ${i}`).toBeLessThan(1e-3)
    expect(result.module).toEqual(result.int8)
  })

  it('a page lives on while it trains', async () => {
    const { result } = await inPage('plain', responsive, { build: 'simd', threads: 1 })
    expect(result).toBeGreaterThanOrEqual(3)
  })

  describe('threads', () => {
    it.each(['scalar', 'simd'] as const)('two give the bits of one in an isolated page, %s', async (build) => {
      const { result, isolated, said } = await inPage('isolated', everything, { build, threads: 2 })
      const here = await everything(dunlin, { build, threads: 1 })
      expect(isolated).toBe(true)
      expect([result.info.threads, here.info.threads]).toEqual([2, 1])
      expect({ ...result, info: 0 }).toEqual({ ...here, info: 0 })
      expect(said).toEqual([])
    })

    it('a page lives on while two train', async () => {
      const { result } = await inPage('isolated', responsive, { build: 'simd', threads: 2 })
      expect(result).toBeGreaterThanOrEqual(3)
    })

    it.each(['plain', 'strict'])('is one in a %s page, whatever is asked for, and the page is told once', async (kind) => {
      const { result, said } = await inPage(kind, everything, { build: 'simd', threads: 2 })
      const here = await everything(dunlin, { build: 'simd', threads: 1 })
      expect([result.info.threads, here.info.threads]).toEqual([1, 1])
      expect({ ...result, info: 0 }).toEqual({ ...here, info: 0 })
      // The browser reports on its own what a policy forbids.
      expect(said.filter((text) => /thread/.test(text) && !/Content Security Policy/.test(text)).length).toBe(1)
    })
  })
})
