// How close the kernels come to what this machine can do: GFLOP/s of GEMM and convolution beside a peak measured in the same run (a probe
// kernel of multiply-adds in registers), and milliseconds of a training step. Rounds alternate over all rows and the medians
// are shown: the machine may be shared. Every row's result is checked against float64 before it is timed.
//
//   node bench/bench.mjs [--json]        (after npm run build; `npm run bench` does both)
//
// Node 20 runs the relaxed build only with --experimental-wasm-relaxed-simd.

import { readFileSync } from 'node:fs'
import { cpus } from 'node:os'
import { adam, Random, Session, Trainer, tinyCnn } from '../dist/index.js'

const ROUNDS = 15
/** Each measurement repeats its call for about this long, in milliseconds. */
const SLICE = 4

const json = process.argv.includes('--json')
const random = new Random(1)
const floats = (n) => Float32Array.from({ length: n }, () => random.uniform(-1, 1))

/** A build's raw kernels on a memory of their own, with a bump allocator. */
function open(build) {
  const bytes = readFileSync(new URL(`../dist/kernels/${build}.wasm`, import.meta.url))
  if (!WebAssembly.validate(bytes)) return undefined
  const memory = new WebAssembly.Memory({ initial: 1024 })
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(bytes), { env: { memory } })
  let end = 64
  const alloc = (n) => {
    const at = end
    end = (end + n * 4 + 79) & -64
    return at
  }
  const place = (data) => {
    const at = alloc(data.length)
    new Float32Array(memory.buffer, at, data.length).set(data)
    return at
  }
  return { build, kernels: exports, alloc, place, read: (at, n) => new Float32Array(memory.buffer, at, n) }
}

/** Throws unless `got` is the dot products `want(i)` at some places; k terms of magnitude up to 1 each. */
function check(name, got, k, want) {
  for (let t = 0; t < 64; t++) {
    const i = t === 0 ? got.length - 1 : random.integer(got.length)
    if (!(Math.abs(got[i] - want(i)) <= 2 ** -24 * 4 * k + 1e-6))
      throw new Error(`${name}: element ${i} is ${got[i]}, wanted ${want(i)}`)
  }
}

function peak(host) {
  const y = host.alloc(4)
  const n = 20_000
  return { kind: 'peak', name: 'multiply-add', build: host.build, flops: n * 96, run: () => host.kernels.peak_f32(y, n) }
}

function gemm(host, m, n, k) {
  const [a, b] = [floats(m * k), floats(n * k)]
  const [pa, pb, packed, c] = [host.place(a), host.place(b), host.alloc(Math.ceil(n / 8) * 8 * (k + 1)), host.alloc(m * n)]
  host.kernels.pack_f32(pb, 0, packed, n, k, k, 1)
  const run = () => host.kernels.gemm_f32(pa, packed, c, m, n, k, k, 1, n, -Infinity, Infinity, 0)
  run()
  const name = `${m}x${n}x${k}`
  check(`gemm ${name}`, host.read(c, m * n), k, (i) => {
    const [row, column] = [Math.floor(i / n), i % n]
    let sum = 0
    for (let q = 0; q < k; q++) sum += a[row * k + q] * b[column * k + q]
    return sum
  })
  return { kind: 'gemm', name, build: host.build, flops: 2 * m * n * k, run }
}

/** 3x3, stride 1, padding "same", one image. `gradient`: undefined, 'dx' or 'dw'. */
function conv(host, h, ic, oc, gradient) {
  const [x, w, dy] = [floats(h * h * ic), floats(oc * 9 * ic), floats(h * h * oc)]
  const at = { x: host.place(x), w: host.place(w), dy: host.place(dy), y: host.alloc(h * h * oc), dx: host.alloc(h * h * ic) }
  const packed = host.alloc((Math.max(ic, oc) + 8) * (9 * Math.max(ic, oc) + 1))
  const [dw, scratch] = [host.alloc(oc * 9 * ic), host.alloc((h + 2) * (h + 2) * Math.max(ic, oc))]
  const sizes = [1, h, h, ic, h, h, oc, 3, 3, 1, 1, 1, 1, 1, 1]
  const name = `${h}x${ic}->${oc}${gradient ? ` ${gradient}` : ''}`
  const row = (run) => ({ kind: 'conv', name, build: host.build, flops: 2 * h * h * oc * 9 * ic, run })
  if (gradient === 'dw') return row(() => host.kernels.conv2d_f32_dw(at.x, at.dy, dw, scratch, ...sizes))
  if (gradient === 'dx') {
    host.kernels.conv2d_f32_dx_pack(at.w, packed, oc, 3, 3, ic)
    return row(() => host.kernels.conv2d_f32_dx(at.dy, packed, at.dx, scratch, ...sizes))
  }
  host.kernels.pack_f32(at.w, 0, packed, oc, 9 * ic, 9 * ic, 1)
  const run = () => host.kernels.conv2d_f32(at.x, packed, at.y, scratch, ...sizes, -Infinity, Infinity)
  run()
  check(`conv ${name}`, host.read(at.y, h * h * oc), 9 * ic, (i) => {
    const [o, px] = [i % oc, Math.floor(i / oc)]
    const [oy, ox] = [Math.floor(px / h) - 1, (px % h) - 1]
    let sum = 0
    for (let r = 0; r < 3; r++) {
      for (let s = 0; s < 3; s++) {
        if (oy + r < 0 || oy + r >= h || ox + s < 0 || ox + s >= h) continue
        for (let c = 0; c < ic; c++) sum += x[((oy + r) * h + ox + s) * ic + c] * w[(o * 9 + r * 3 + s) * ic + c]
      }
    }
    return sum
  })
  return row(run)
}

/** One Adam step of the tiny CNN on 28x28x1, batch 64: as the trainer runs it, feeding included. */
async function step(build) {
  const batch = 64
  const model = tinyCnn({ shape: [28, 28, 1], classes: 10, normalize: { mean: 0.5, std: 0.5 } })
  const trainer = new Trainer(model, { batch, optimizer: adam(), build })
  const session = await Session.create(trainer.plan(), { build })
  const [x, labels, weights] = ['input', 'labels', 'weights'].map((n) => session.plan.inputs.find((p) => p.name === n))
  const images = floats(batch * 784)
  const [classes, ones] = [Int32Array.from({ length: batch }, (_, i) => i % 10), new Float32Array(batch).fill(1)]
  session.view(session.plan.state.find((r) => r.name === 'hyper')).set([1e-3, 1])
  const run = () => {
    session.feed(x, images)
    session.feed(labels, classes)
    session.feed(weights, ones)
    session.run()
  }
  for (let i = 0; i < 30; i++) run()
  const [loss] = session.plan.outputs
  const before = Math.log(10)
  if (!(session.view(loss)[0] < before))
    throw new Error(`step: the loss is ${session.view(loss)[0]} after 30 steps on one batch, it began near ${before}`)
  return { kind: 'step', name: 'tiny CNN 28x28x1, batch 64, Adam', build, flops: 0, run }
}

const hosts = ['scalar', 'simd', 'relaxed'].map(open).filter(Boolean)
const rows = []
for (const host of hosts) {
  rows.push(peak(host))
  if (host.build === 'scalar') continue
  for (const n of [48, 96, 192, 384, 768]) rows.push(gemm(host, n, n, n))
  rows.push(gemm(host, 64, 10, 784))
  for (const shape of [
    [28, 1, 32],
    [13, 32, 64],
    [32, 16, 16],
    [16, 32, 32],
    [8, 64, 64],
    [28, 1, 8],
    [14, 8, 16],
  ]) {
    for (const gradient of [undefined, 'dx', 'dw']) rows.push(conv(host, ...shape, gradient))
  }
}
for (const { build } of hosts) rows.push(await step(build))

const now = () => performance.now()
for (const row of rows) {
  const began = now()
  row.run()
  row.run()
  row.count = Math.max(1, Math.round((2 * SLICE) / (now() - began)))
  row.times = []
}
for (let round = 0; round < ROUNDS; round++) {
  for (const row of rows) {
    const began = now()
    for (let i = 0; i < row.count; i++) row.run()
    row.times.push((now() - began) / row.count)
  }
}

const median = (list) => [...list].sort((a, b) => a - b)[list.length >> 1]
for (const row of rows) {
  // A peak is the best that was seen; everything else is a median.
  row.ms = row.kind === 'peak' ? Math.min(...row.times) : median(row.times)
  row.gflops = row.flops / row.ms / 1e6
}
const peakOf = (build) => rows.find((r) => r.kind === 'peak' && r.build === build)?.gflops
const result = {
  cpu: cpus()[0].model,
  node: process.version,
  build: hosts[hosts.length - 1].build,
  peak: { muladd: peakOf('simd'), fma: peakOf('relaxed') ?? null },
  rows: rows
    .filter((r) => r.kind !== 'peak')
    .map(({ kind, name, build, flops, gflops, ms }) => ({
      kind,
      name,
      build,
      ...(flops && { gflops, share: gflops / peakOf(build) }),
      ms,
    })),
}
if (json) console.log(JSON.stringify(result, null, 2))
else {
  const peaks = `128-bit peak ${result.peak.muladd.toFixed(1)} GFLOP/s multiply + add, ${result.peak.fma?.toFixed(1) ?? 'not available'} fused`
  console.log(`${result.cpu}, Node ${result.node}, one thread; ${peaks}\n`)
  console.log('kind  name                              build    GFLOP/s  of peak        ms')
  for (const { kind, name, build, gflops, share, ms } of result.rows) {
    const speed =
      gflops === undefined ? ''.padStart(16) : `${gflops.toFixed(1).padStart(7)}  ${(share * 100).toFixed(0).padStart(5)} %`
    console.log(`${kind.padEnd(5)} ${name.padEnd(33)} ${build.padEnd(7)}  ${speed} ${ms.toFixed(4).padStart(9)}`)
  }
}
