// How long buildModule takes for the int8 networks of MLPerf Tiny, in Node and in a page of Chromium: the first time in a process or page,
// and the median of the next. Asked: ResNet-8 in less than 100 ms.
//
//   npm run bench:build [-- --json]

import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { cpus } from 'node:os'
import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { chromium } from 'playwright-core'
import { bundled } from './bundled.mjs'

const NETWORKS = {
  'DS-CNN': ['dsCnn', { shape: [49, 10, 1], classes: 12 }],
  'ResNet-8': ['resNet8', { shape: [32, 32, 3], classes: 10 }],
  'MobileNetV1 0.25': ['mobileNetV1', { shape: [96, 96, 3], classes: 2, width: 0.25 }],
  autoencoder: ['autoencoder', {}],
}
const BUILDS = 7
/** Processes and pages of each network, in turn: the median of their first builds, and of their later ones. */
const ROUNDS = 3

/** Milliseconds of builds of a network, in order. It is sent to a page as text: it may use nothing but its arguments. */
async function times(urls, [make, options], builds) {
  const [{ buildModule, quantize, Random }, zoo] = await Promise.all(urls.map((url) => import(url)))
  const model = zoo[make](options)
  const random = new Random(1)
  const x = Float32Array.from({ length: 4 * model.inputs[0].shape.reduce((a, b) => a * b) }, () => random.uniform(-1, 1))
  const int8 = await quantize(model, { x })
  const list = []
  for (let i = 0; i < builds; i++) {
    const began = performance.now()
    await buildModule(int8)
    list.push(performance.now() - began)
  }
  return list
}

const urls = ['dist/index.js', 'dist/zoo.js']
function inNode(network) {
  const files = urls.map((file) => pathToFileURL(resolve(file)).href)
  const code = `console.log(JSON.stringify(await (${times})(${JSON.stringify([files, network, BUILDS]).slice(1, -1)})))`
  const { stdout, stderr, status } = spawnSync(process.execPath, ['--input-type=module', '-e', code], { encoding: 'utf8' })
  if (status) throw new Error(stderr)
  return JSON.parse(stdout)
}

async function browser() {
  const { executable, WITHOUT } = await bundled('test/chromium.ts', 'chromium')
  if (!executable) return console.error(`without a page: ${WITHOUT}.`)
  const server = createServer(({ url }, response) => {
    const script = urls.find((file) => url === `/${file}`)
    response.writeHead(200, { 'content-type': script ? 'text/javascript' : 'text/html' })
    response.end(script ? readFileSync(script) : '<!doctype html><title>dunlin</title>')
  })
  await new Promise((done) => server.listen(0, '127.0.0.1', done))
  const chrome = await chromium.launch({ executablePath: executable })
  const files = urls.map((file) => `/${file}`)
  return {
    async inPage(network) {
      const page = await chrome.newPage()
      await page.goto(`http://127.0.0.1:${server.address().port}/`)
      const list = await page.evaluate(`(${times})(${JSON.stringify([files, network, BUILDS]).slice(1, -1)})`)
      await page.close()
      return list
    },
    async close() {
      await chrome.close()
      server.close()
    },
  }
}

const median = (list) => [...list].sort((a, b) => a - b)[list.length >> 1]
const page = await browser()
const hosts = { [`Node ${process.versions.node}`]: inNode, ...(page && { 'a page of Chromium': page.inPage }) }
const rows = []
for (const [network, made] of Object.entries(NETWORKS)) {
  const lists = Object.keys(hosts).map(() => [])
  for (let round = 0; round < ROUNDS; round++) {
    for (const [i, host] of Object.values(hosts).entries()) lists[i].push(await host(made))
  }
  for (const [i, host] of Object.keys(hosts).entries()) {
    const first = median(lists[i].map(([ms]) => ms))
    rows.push({ network, host, firstMs: first, nextMs: median(lists[i].flatMap(([, ...next]) => next)) })
  }
}
await page?.close()

if (process.argv.includes('--json')) console.log(JSON.stringify({ cpu: cpus()[0].model, rows }, null, 2))
else {
  console.log(`${cpus()[0].model}; milliseconds, ${ROUNDS} processes or pages\n`)
  console.log(`${'network'.padEnd(20)}${'host'.padEnd(22)}${'first'.padStart(8)}${'next'.padStart(8)}`)
  for (const r of rows)
    console.log(
      `${r.network.padEnd(20)}${r.host.padEnd(22)}${r.firstMs.toFixed(0).padStart(8)}${r.nextMs.toFixed(0).padStart(8)}`,
    )
}
