// How close the kernels come to what this machine can do: GFLOP/s of GEMM and convolution beside a peak measured in the same run (a probe
// kernel: the tile's inner loop alone), and milliseconds of a training step. Rounds alternate over all rows and the medians
// are shown: the machine may be shared. Every row's result is checked against float64 before it is timed.
//
//   node bench/bench.mjs [--json | --explain]        (after npm run build; `npm run bench` does both)
//
// A Winograd row counts the operations of the direct algorithm, so that its GFLOP/s compare. --explain shows for each 3x3 shape what
// the table of variants (src/ops/variants.ts) picks, and what was fastest.
//
// Node 20 runs the relaxed build only with --experimental-wasm-relaxed-simd.

import { readFileSync } from 'node:fs'
import { cpus } from 'node:os'
import { adam, conv2d, input, Model, quantize, Random, Session, Trainer, tinyCnn } from '../dist/index.js'

const ROUNDS = 15
/** Each measurement repeats its call for about this long, in milliseconds. */
const SLICE = 4

const json = process.argv.includes('--json')
const explain = process.argv.includes('--explain')
const random = new Random(1)
const floats = (n) => Float32Array.from({ length: n }, () => random.uniform(-1, 1))

/** A build's raw kernels on a memory of their own, with a bump allocator. */
function open(build) {
  const bytes = readFileSync(new URL(`../dist/kernels/${build}.wasm`, import.meta.url))
  if (!WebAssembly.validate(bytes)) return undefined
  const memory = new WebAssembly.Memory({ initial: 4096 })
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(bytes), { env: { memory } })
  let end = 64
  const alloc = (n) => {
    const at = end
    end = (end + n * 4 + 79) & -64
    return at
  }
  const place = (data) => {
    const at = alloc(data.length)
    new data.constructor(memory.buffer, at, data.length).set(data)
    return at
  }
  return {
    build,
    kernels: exports,
    alloc,
    place,
    read: (at, n) => new Float32Array(memory.buffer, at, n),
    bytes: (at, n) => new Uint8Array(memory.buffer, at, n),
  }
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
  const [x, y, n] = [host.place(floats(512)), host.alloc(4), 1000]
  return { kind: 'peak', name: 'multiply-add', build: host.build, flops: n * 1920, run: () => host.kernels.peak_f32(x, y, n) }
}

function peakI8(host) {
  const [x, y, n] = [host.place(floats(512)), host.alloc(4), 1000]
  return {
    kind: 'peak_i8',
    name: 'pair dot product',
    build: host.build,
    flops: n * 4096,
    run: () => host.kernels.peak_i8(x, y, n),
  }
}

/**
 * A packed int8 kernel, one image, stride 1, padding "same": gemm is a 1x1 window on a row of pixels. Results are compared with the
 * kernel of the standalone module, which the tests compare with exact integers.
 */
function packed(host, kind, name, { h, w, ic, oc, window, variant = 'direct' }) {
  const depthwise = kind === 'depthwise_i8'
  const winograd = variant === 'winograd2'
  const taps = window * window
  const k = depthwise ? taps : taps * ic
  const bytes = (n) => Int8Array.from({ length: n }, () => random.integer(255) - 127)
  const ints = (value) => Int32Array.from({ length: oc }, value)
  const [x, weights] = [host.place(bytes(h * w * ic)), host.place(bytes(oc * k))]
  const bias = host.place(ints(() => random.integer(20001) - 10000))
  const multiplier = host.place(ints(() => 2 ** 30 + random.integer(2 ** 30)))
  const shift = host.place(ints(() => 6 - Math.round(Math.log2(5180 * Math.sqrt(k))) - random.integer(2)))
  const [y, exact] = [host.alloc(h * w * oc), host.alloc(h * w * oc)]
  const layout = depthwise ? [window, window, 1, oc, window * oc] : [window, window * ic, k, window * ic, 1]
  const panels = host.alloc(Math.ceil(oc / 8) * (56 + 8 * layout[0] * Math.ceil(layout[1] / 2)))
  const scratch = host.alloc(60 + 64 + window ** 2 + h * w + (h + window) * (w + window) * (depthwise ? 8 : ic))
  const sizes = [1, h, w, ic, h, w, oc, window, window, 1, 1, 1, 1, (window - 1) >> 1, (window - 1) >> 1]
  const numbers = [3, -5, -128, 127]
  const [leaf, kernel] = depthwise ? ['depthwiseConv2d_i8', 'packedDepthwiseConv2d_i8'] : ['conv2d_i8', 'packedConv2d_i8']
  let run
  if (winograd) {
    const [u, block] = [host.alloc(Math.ceil(oc / 8) * (56 + 64 * ic)), 16]
    const room = host.alloc(56 + ((h + 3) * (w + 3) * ic) / 2 + block * (8 * ic + 128) + 512)
    const geometry = [1, h, w, ic, h, w, oc, 1, 1]
    host.kernels.pack_i8_winograd(weights, bias, multiplier, shift, u, oc, ic)
    run = () => host.kernels.packedConv2d_i8_winograd(x, u, y, room, block, ...geometry, ...numbers)
  } else {
    host.kernels.pack_i8(weights, bias, multiplier, shift, panels, oc, ...layout)
    // The rows of a block as a plan of the layer has them (src/ops/depthwiseConv2d.ts).
    const block = depthwise ? [Math.min(h, Math.floor(512 / (w + window - 1)) - 2 * ((window - 1) >> 1) + 1)] : []
    run = () => host.kernels[kernel](x, panels, y, scratch, ...block, ...sizes, ...numbers)
  }
  run()
  const plain = depthwise ? sizes : [host.alloc((8 * k + 3 * window * ic) / 4 + 16), ...sizes.slice(0, 7), ...sizes.slice(6)]
  host.kernels[leaf](x, weights, bias, multiplier, shift, exact, ...plain, ...numbers)
  if (Buffer.compare(host.bytes(y, h * w * oc), host.bytes(exact, h * w * oc)))
    throw new Error(`${kind} ${name}: the packed kernel and the module's differ`)
  const shape = { h, ic, oc, variant }
  return { kind, name, ...(kind === 'conv_i8' && { shape }), build: host.build, flops: 2 * h * w * oc * k, run }
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

/** 3x3, stride 1, padding "same", one image. `kind`: undefined (direct), 'dx', 'dw', or 2 or 4: Winograd's tile. */
function conv(host, h, ic, oc, kind) {
  const [x, w, dy] = [floats(h * h * ic), floats(oc * 9 * ic), floats(h * h * oc)]
  const at = { x: host.place(x), w: host.place(w), dy: host.place(dy), y: host.alloc(h * h * oc), dx: host.alloc(h * h * ic) }
  const packed = host.alloc((Math.max(ic, oc) + 8) * (9 * Math.max(ic, oc) + 1))
  const [dw, scratch] = [host.alloc(oc * 9 * ic), host.alloc((h + 2) * (h + 2) * Math.max(ic, oc))]
  const sizes = [1, h, h, ic, h, h, oc, 3, 3, 1, 1, 1, 1, 1, 1]
  const name = `${h}x${ic}->${oc}${kind ? ` ${Number(kind) ? `winograd${kind}` : kind}` : ''}`
  const shape = { h, ic, oc, variant: Number(kind) ? `winograd${kind}` : 'direct' }
  const row = (run) => ({
    kind: 'conv',
    name,
    ...(kind !== 'dx' && kind !== 'dw' && { shape }),
    build: host.build,
    flops: 2 * h * h * oc * 9 * ic,
    run,
  })
  if (kind === 'dw') return row(() => host.kernels.conv2d_f32_dw(at.x, at.dy, dw, scratch, ...sizes, oc))
  if (kind === 'dx') {
    host.kernels.conv2d_f32_dx_pack(at.w, 0, packed, oc, 3, 3, ic, 1, 1, 1, 1)
    return row(() => host.kernels.conv2d_f32_dx(at.dy, packed, at.dx, scratch, ...sizes, -Infinity, Infinity, 1))
  }
  let run
  if (kind) {
    const tiles = Math.ceil(h / kind) ** 2
    const block = Math.min(16, tiles)
    const space = (kind * Math.ceil(h / kind) + 2) ** 2 * ic + 4 + 144 + (kind + 2) ** 2 * (block * (ic + oc + 8) + 32)
    const [u, room] = [host.alloc((kind + 2) ** 2 * (oc + 8) * (ic + 1)), host.alloc(space)]
    host.kernels.conv2d_f32_winograd_pack(at.w, u, room, kind, oc, ic, oc, 0, 9 * ic, 1, 3 * ic, ic)
    run = () =>
      host.kernels.conv2d_f32_winograd(
        at.x,
        u,
        0,
        at.y,
        room,
        kind,
        block,
        1,
        1,
        h,
        h,
        ic,
        h,
        h,
        oc,
        1,
        1,
        -Infinity,
        Infinity,
        0,
      )
  } else {
    host.kernels.pack_f32(at.w, 0, packed, oc, 9 * ic, 9 * ic, 1)
    run = () => host.kernels.conv2d_f32(at.x, packed, at.y, scratch, ...sizes, -Infinity, Infinity)
  }
  run()
  // Winograd's bound (assembly/f32/winograd.ts) with sum|w| <= 9 ic.
  check(`conv ${name}`, host.read(at.y, h * h * oc), 9 * ic * (kind === 4 ? 6 : 1), (i) => {
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

/** Depthwise 3x3, stride 1, padding "same", one image: forward, and its gradients. */
function depthwise(host, h, c, kind) {
  const [x, w] = [floats(h * h * c), floats(9 * c)]
  const [px, pw, y, border, dw] = [
    host.place(x),
    host.place(w),
    host.alloc(h * h * c),
    host.alloc((h + 1) * c + 16),
    host.alloc(9 * c),
  ]
  const sizes = [1, h, h, c, h, h, c, 3, 3, 1, 1, 1, 1, 1, 1]
  const name = `${h}x${c} depthwise${kind ? ` ${kind}` : ''}`
  const row = (run) => ({ kind: 'conv', name, build: host.build, flops: 2 * h * h * c * 9, run })
  if (kind === 'dw') return row(() => host.kernels.depthwiseConv2d_f32_dw(px, y, dw, ...sizes, c))
  const flip = kind === 'dx' ? 1 : 0
  const run = () => host.kernels.depthwiseConv2d_f32(px, pw, 0, y, border, ...sizes, -Infinity, Infinity, flip, flip)
  run()
  if (!flip) {
    check(name, host.read(y, h * h * c), 9, (i) => {
      const [o, px] = [i % c, Math.floor(i / c)]
      const [oy, ox] = [Math.floor(px / h) - 1, (px % h) - 1]
      let sum = 0
      for (let r = 0; r < 3; r++) {
        for (let s = 0; s < 3; s++) {
          if (oy + r >= 0 && oy + r < h && ox + s >= 0 && ox + s < h)
            sum += x[((oy + r) * h + ox + s) * c + o] * w[(r * 3 + s) * c + o]
        }
      }
      return sum
    })
  }
  return row(run)
}

/** One Adam step of the tiny CNN on 28x28x1, batch 64: as the trainer runs it, feeding included. Nothing where there are fewer threads. */
async function step(build, threads) {
  const batch = 64
  const model = tinyCnn({ shape: [28, 28, 1], classes: 10, normalize: { mean: 0.5, std: 0.5 } })
  const optimizer = adam()
  const trainer = new Trainer(model, { batch, optimizer, build, threads })
  const session = await Session.create(trainer.plan(), { build, threads })
  if (session.info().threads !== threads) return []
  const [x, labels, weights] = ['input', 'labels', 'weights'].map((n) => session.plan.inputs.find((p) => p.name === n))
  const images = floats(batch * 784)
  const [classes, ones] = [Int32Array.from({ length: batch }, (_, i) => i % 10), new Float32Array(batch).fill(1)]
  session.view(session.plan.state.find((r) => r.name === 'hyper')).set(optimizer.hyper(1000, optimizer.lr))
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
  const name = threads === 1 ? 'tiny CNN 28x28x1, batch 64, Adam' : `the same on ${threads} threads`
  return [{ kind: 'step', name, build, flops: 0, run }]
}

const hosts = ['scalar', 'simd', 'relaxed'].map(open).filter(Boolean)
const rows = []
for (const host of hosts) {
  if (host.build === 'scalar') continue
  rows.push(peak(host))
  for (const n of [48, 96, 192, 384, 768]) rows.push(gemm(host, n, n, n))
  rows.push(gemm(host, 64, 10, 784))
  rows.push(peakI8(host))
  for (const n of [48, 96, 192, 384, 768]) {
    rows.push(packed(host, 'gemm_i8', `${n}x${n}x${n}`, { h: 1, w: n, ic: n, oc: n, window: 1 }))
  }
  for (const [h, ic, oc] of [
    [13, 32, 64],
    [32, 16, 16],
    [16, 32, 32],
    [8, 64, 64],
  ]) {
    rows.push(packed(host, 'conv_i8', `${h}x${ic}->${oc}`, { h, w: h, ic, oc, window: 3 }))
    rows.push(packed(host, 'conv_i8', `${h}x${ic}->${oc} winograd2`, { h, w: h, ic, oc, window: 3, variant: 'winograd2' }))
  }
  for (const [h, c] of [
    [48, 32],
    [24, 64],
  ]) {
    rows.push(packed(host, 'depthwise_i8', `${h}x${h}x${c}`, { h, w: h, ic: c, oc: c, window: 3 }))
  }
  for (const shape of [
    [28, 1, 32],
    [13, 32, 64],
    [32, 16, 16],
    [16, 32, 32],
    [8, 64, 64],
    [28, 1, 8],
    [14, 8, 16],
    [32, 3, 16],
    [7, 64, 64],
    [5, 32, 32],
    [5, 8, 8],
    [2, 32, 32],
    [2, 128, 128],
  ]) {
    for (const kind of [undefined, 2, 4, 'dx', 'dw']) rows.push(conv(host, ...shape, kind))
  }
  for (const shape of [
    [48, 32],
    [24, 64],
  ])
    for (const kind of [undefined, 'dx', 'dw']) rows.push(depthwise(host, ...shape, kind))
}
for (const { build } of hosts) for (const threads of [1, 2]) rows.push(...(await step(build, threads)))

const now = () => performance.now()
/** Milliseconds of one call, the mean of row.count of them. */
const once = (row) => {
  const began = now()
  for (let i = 0; i < row.count; i++) row.run()
  return (now() - began) / row.count
}
for (const row of rows) {
  const began = now()
  row.run()
  row.run()
  row.count = Math.max(1, Math.round((2 * SLICE) / (now() - began)))
  row.times = []
  row.shares = []
}
const probeOf = ({ kind, build }) => rows.find((r) => r.kind === (kind.endsWith('_i8') ? 'peak_i8' : 'peak') && r.build === build)
for (let round = 0; round < ROUNDS; round++) {
  for (const row of rows) {
    const ms = once(row)
    row.times.push(ms)
    // The clock of a shared machine drifts: a share compares with the probe run right after.
    const probe = probeOf(row)
    if (row.flops) row.shares.push(row.flops / ms / (probe.flops / once(probe)))
  }
}

const median = (list) => [...list].sort((a, b) => a - b)[list.length >> 1]
for (const row of rows) {
  row.ms = median(row.times)
  row.gflops = row.flops / row.ms / 1e6
}
const peakOf = (kind, build) => probeOf({ kind, build })?.gflops ?? null
const result = {
  cpu: cpus()[0].model,
  node: process.version,
  build: hosts[hosts.length - 1].build,
  peak: { muladd: peakOf('', 'simd'), fma: peakOf('', 'relaxed'), i8: peakOf('_i8', 'simd') },
  rows: rows
    .filter((r) => !r.kind.startsWith('peak'))
    .map(({ kind, name, build, flops, gflops, ms, shares }) => ({
      ...{ kind, name, build },
      ...(flops && { gflops, share: median(shares) }),
      ms,
    })),
}

/** The variant that the table picks for a shape: what a plan of such a layer calls. */
async function picked({ h, ic, oc }, kind) {
  const model = new Model(conv2d({ filters: oc, kernel: 3, padding: 'same' })(input([h, h, ic])))
  const { calls } = (kind === 'conv_i8' ? await quantize(model, { x: floats(h * h * ic) }) : model).plan()
  if (calls.some((c) => c.kernel === 'packedConv2d_i8_winograd')) return 'winograd2'
  const call = calls.find((c) => c.kernel === 'conv2d_f32_winograd')
  return call ? `winograd${call.args[5]}` : 'direct'
}

if (json) console.log(JSON.stringify(result, null, 2))
else if (explain) {
  console.log('build    kernel   shape           direct  winograd2  winograd4   table picks   fastest')
  console.log('(relaxed conv_i8: where the host makes four products in a step, winograd2 is the direct kernel again)')
  for (const direct of rows.filter((r) => r.shape?.variant === 'direct')) {
    const { h, ic, oc } = direct.shape
    const same = rows.filter(
      (r) => r.build === direct.build && r.kind === direct.kind && r.shape?.h === h && r.shape.ic === ic && r.shape.oc === oc,
    )
    const fastest = same.reduce((a, b) => (b.gflops > a.gflops ? b : a)).shape.variant
    const speeds = ['direct', 'winograd2', 'winograd4'].map((variant) =>
      (same.find((r) => r.shape.variant === variant)?.gflops.toFixed(1) ?? '').padStart(9),
    )
    const choice = await picked(direct.shape, direct.kind)
    console.log(
      `${direct.build.padEnd(8)} ${direct.kind.padEnd(8)} ${direct.name.padEnd(12)} ${speeds.join('  ')}   ${choice.padEnd(12)}  ${fastest}`,
    )
  }
} else {
  const peaks = `128-bit peak ${result.peak.muladd.toFixed(1)} GFLOP/s multiply + add, ${result.peak.fma?.toFixed(1) ?? 'not available'} fused, ${result.peak.i8.toFixed(1)} GOP/s int8`
  console.log(`${result.cpu}, Node ${result.node}, one thread unless said; ${peaks}\n`)
  console.log('kind          name                              build    GFLOP/s  of peak        ms')
  for (const { kind, name, build, gflops, share, ms } of result.rows) {
    const speed =
      gflops === undefined ? ''.padStart(16) : `${gflops.toFixed(1).padStart(7)}  ${(share * 100).toFixed(0).padStart(5)} %`
    console.log(`${kind.padEnd(13)} ${name.padEnd(33)} ${build.padEnd(7)}  ${speed} ${ms.toFixed(4).padStart(9)}`)
  }
}
