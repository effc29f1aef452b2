// How fast data come in: seconds to read a set from the disk, and the share of a training in which it waited for data, in memory and
// streamed. What is read is checked before its time counts.
//
//   node bench/data.mjs [folder]        (after npm run build; `npm run bench:data` does both)
//
// `folder` holds CIFAR-10 as train.tar.gz and test.tar.gz, a folder of JPEGs for each class in each (default ../shared/data/cifar10).
// Fashion-MNIST is that of the Debian package dataset-fashion-mnist. Sets that are not there are skipped.

import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseImage, parseTar } from '../dist/data.js'
import * as d from '../dist/index.js'
import { loadIdxFolder, loadImageFolder, readBytes } from '../dist/node.js'

const ROUNDS = 3
const FASHION = '/usr/share/datasets/fashion-mnist'
const CIFAR = process.argv[2] ?? '../shared/data/cifar10'
const BATCH = 32
const SAMPLES = 3200

const seconds = async (what) => {
  const began = performance.now()
  const result = await what()
  return [(performance.now() - began) / 1000, result]
}
const median = (list) => [...list].sort((a, b) => a - b)[list.length >> 1]

async function timed(name, wanted, read, check) {
  const times = []
  for (let round = 0; round < ROUNDS; round++) {
    const [time, result] = await seconds(read)
    check(result)
    times.push(time)
  }
  console.log(`${name.padEnd(64)} ${median(times).toFixed(2)} s   (wanted: under ${wanted} s)`)
}
const expect = (what, got, wanted) => {
  if (got !== wanted) throw new Error(`${what}: got ${got}, wanted ${wanted}`)
}

console.log(`${cpus()[0].model}, ${cpus().length} cores, Node ${process.version}; medians of ${ROUNDS}\n`)

if (existsSync(FASHION)) {
  await timed(
    '60,000 + 10,000 images 28 x 28, gzipped IDX (Fashion-MNIST)',
    1.5,
    () => loadIdxFolder(FASHION),
    ({ train, test }) => expect('Fashion-MNIST', train.count + test.count, 70000),
  )
} else console.log(`skipped: Fashion-MNIST is not in ${FASHION} (Debian: apt install dataset-fashion-mnist)`)

const archive = join(CIFAR, 'test.tar.gz')
if (existsSync(archive)) {
  await timed(
    '10,000 JPEGs 32 x 32 in a .tar.gz (CIFAR-10, test)',
    10,
    () => loadImageFolder(archive),
    ({ data }) => expect('CIFAR-10', data.count, 10000),
  )
  await training()
} else console.log(`skipped: CIFAR-10 is not in ${CIFAR} (name its folder: node bench/data.mjs folder)`)

/** Epochs of a small CNN on some images, augmented, from memory and from streams. */
async function training() {
  const { data: all, files } = await loadImageFolder(archive)
  const data = d.subset(all, new d.Random(1).shuffle(Int32Array.from({ length: all.count }, (_, i) => i)).subarray(0, SAMPLES))
  const each = 3072
  const dir = mkdtempSync(join(tmpdir(), 'dunlin-bench-'))
  try {
    // Records of a label and its pixels, as CIFAR's own binary files have them.
    const records = new Uint8Array(data.count * (each + 1))
    for (let i = 0; i < data.count; i++) {
      records[i * (each + 1)] = data.y[i]
      records.set(data.x.subarray(i * each, (i + 1) * each), i * (each + 1) + 1)
    }
    const path = join(dir, 'records.bin')
    writeFileSync(path, records)
    async function* fromDisk() {
      const file = await open(path)
      try {
        for (const buffer = new Uint8Array(256 * (each + 1)); ; ) {
          const { bytesRead } = await file.read(buffer)
          if (!bytesRead) return
          for (let at = 0; at < bytesRead; at += each + 1) yield { x: buffer.subarray(at + 1, at + 1 + each), y: buffer[at] }
        }
      } finally {
        await file.close()
      }
    }
    const named = new Map((await parseTar(readBytes(archive), archive)).files.map((f) => [`${archive}/${f.name}`, f]))
    function* fromJpegs() {
      for (let i = 0; i < SAMPLES; i++) yield { x: parseImage(named.get(files[i]).read(), files[i]).data, y: all.y[i] }
    }
    const streamed = (samples) =>
      d.stream({ shape: data.shape, classes: 10, count: SAMPLES, dtype: 'u8', shuffle: 1000, samples })
    const flip = d.flip()
    const ways = {
      'in memory, mirrored': [data, flip],
      'in memory, shifted by up to 2 pixels': [data, d.shift(2)],
      'in memory, padded and cropped, mirrored': [data, d.padCrop(4, { fill: 'reflect' }), flip],
      'from a file of pixels, mixed in a buffer of 1,000, mirrored': [streamed(fromDisk), flip],
      'from JPEGs, decoded as they are used, mirrored': [streamed(fromJpegs), flip],
    }
    const results = Object.fromEntries(Object.keys(ways).map((way) => [way, []]))
    const network = d.sequential(
      ...[16, 32, 64].flatMap((filters) => [
        d.conv2d({ filters, kernel: 3, padding: 'same', activation: 'relu' }),
        d.maxPool2d({ kernel: 2 }),
      ]),
      d.flatten(),
      d.dense({ units: 10 }),
    )
    const model = new d.Model(network(d.input(data.shape, { normalize: d.channelStatistics(data) })), { seed: 1 })
    console.log(`\nA CNN of ${(model.macs / 1e6).toFixed(1)} million MACs, batches of ${BATCH}:`)
    for (let round = 0; round <= ROUNDS; round++) {
      for (const [way, [source, ...augment]] of Object.entries(ways)) {
        const trainer = new d.Trainer(model, { batch: BATCH, seed: round, augment })
        let last
        await trainer.fit(source, { epochs: 1, callbacks: [{ epochEnd: (_, progress) => void (last = progress) }] })
        if (!Number.isFinite(last.loss)) throw new Error(`${way}: the loss is ${last.loss}`)
        // The first round warms up.
        if (round) results[way].push(last)
      }
    }
    for (const [way, list] of Object.entries(results)) {
      const share = median(list.map(({ waiting, seconds }) => waiting / seconds))
      const ms = median(list.map(({ seconds, steps }) => (seconds * 1000) / steps))
      console.log(`${way.padEnd(64)} ${ms.toFixed(1)} ms a step, waits for data ${(100 * share).toFixed(1)} %`)
    }
  } finally {
    rmSync(dir, { recursive: true, force: true })
  }
}
