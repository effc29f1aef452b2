// Plans: where buffers lie, which calls are written, and how both read as text. The snapshots are the plan's interface to a reader:
// a refactoring leaves them alone.

import { describe, expect, it } from 'vitest'
import { prune } from '../src/compress/prune'
import { DunlinError } from '../src/graph/error'
import { input, type Node } from '../src/graph/node'
import { Random } from '../src/graph/random'
import { Model } from '../src/model/model'
import { sequential } from '../src/model/sequential'
import { relu } from '../src/ops/activation'
import { add } from '../src/ops/add'
import { conv2d } from '../src/ops/conv2d'
import { dense } from '../src/ops/dense'
import { maxPool2d } from '../src/ops/pool2d'
import { flatten, reshape } from '../src/ops/reshape'
import { align, arrange, type Lifetime, lowerBound } from '../src/plan/arena'
import { planInference } from '../src/plan/build'
import { printPlan, unrolled } from '../src/plan/plan'
import { sgd } from '../src/train/optimizers'
import { Trainer } from '../src/train/trainer'
import { tinyCnn } from '../src/zoo/tinyCnn'

const overlap = (a: number, b: number, aLength: number, bLength: number) => a < b + bLength && b < a + aLength

describe('arrange', () => {
  it('keeps apart what lives at once, aligned, for random lifetimes', () => {
    for (let seed = 0; seed < 300; seed++) {
      const random = new Random(seed)
      const base = 16 * random.integer(5)
      const buffers = Array.from({ length: 1 + random.integer(40) }, (): Lifetime => {
        const first = random.integer(30) - 1
        return { bytes: 1 + random.integer(random.integer(2) ? 5000 : 60), first, last: first + random.integer(6) }
      })
      const { addresses, end } = arrange(buffers, base)
      const note = `seed ${seed}`
      expect(end, note).toBeGreaterThanOrEqual(base + lowerBound(buffers))
      expect(end % 16, note).toBe(0)
      buffers.forEach((a, i) => {
        expect(addresses[i] % 16, note).toBe(0)
        expect(addresses[i], note).toBeGreaterThanOrEqual(base)
        expect(addresses[i] + a.bytes, note).toBeLessThanOrEqual(end)
        for (let j = 0; j < i; j++) {
          const b = buffers[j]
          const together = a.first <= b.last && b.first <= a.last
          if (together)
            expect(overlap(addresses[i], addresses[j], a.bytes, b.bytes), `${note}, buffers ${j} and ${i}`).toBe(false)
        }
      })
    }
  })

  it('takes no more than the bound for a network that narrows', () => {
    for (let seed = 0; seed < 50; seed++) {
      const random = new Random(seed)
      const sizes = Array.from({ length: 2 + random.integer(10) }, () => 1 + random.integer(4000)).sort((a, b) => b - a)
      const chain = sizes.map((bytes, i) => ({ bytes, first: i - 1, last: i }))
      expect(arrange(chain, 32).end - 32, `seed ${seed}`).toBe(lowerBound(chain))
    }
  })

  it('reuses the memory of what is dead, and of nothing else', () => {
    const [a, b, c] = arrange(
      [
        { bytes: 100, first: 0, last: 1 },
        { bytes: 50, first: 1, last: 2 },
        { bytes: 90, first: 2, last: 3 },
      ],
      16,
    ).addresses
    expect([a, b, c]).toEqual([16, align(116), 16])
    expect(arrange([], 48)).toEqual({ addresses: [], end: 48 })
    expect(lowerBound([])).toBe(0)
  })
})

describe('plans as text', () => {
  it('inference of the tiny CNN, one sample', () => {
    expect(printPlan(tinyCnn({ shape: [8, 8, 1], classes: 10 }).plan(1))).toMatchInlineSnapshot(`
      "memory 44176 persistent 32832 arena 11328 (live at once 11328)
      constant conv1/b f32[8] @16
      constant conv1/w f32[72] @48
      constant conv2/b f32[16] @336
      constant conv2/w f32[1152] @400
      constant dense/w f32[640] @5008
      constant dense/b f32[10] @7568
      input input f32[64] @35280
      output dense f32[10] @33088
      init
        pack_f32(48, 16, 7616, 8, 9, 9, 1)
        conv2d_f32_winograd_pack(400, 7936, 32832, 4, 16, 8, 16, 0, 72, 1, 24, 8)
        pack_f32(5008, 7568, 28672, 10, 64, 64, 1)
      calls
        conv2d_f32(35280, 7616, 32832, 34880, 1, 8, 8, 1, 8, 8, 8, 3, 3, 1, 1, 1, 1, 1, 1, 0, Infinity)
        maxPool2d_f32(32832, 43648, 1, 8, 8, 8, 4, 4, 2, 2, 2, 2, 0, 0)
        conv2d_f32_winograd(43648, 7936, 336, 42624, 32832, 4, 1, 1, 1, 4, 4, 8, 4, 4, 16, 1, 1, 0, Infinity)
        maxPool2d_f32(42624, 32832, 1, 4, 4, 16, 2, 2, 2, 2, 2, 2, 0, 0)
        gemm_f32(32832, 28672, 33088, 1, 10, 64, 64, 1, 10, -Infinity, Infinity, 0)"
    `)
  })

  it('one training step of a small network, with momentum and a mask', () => {
    const model = new Model(
      sequential(dense({ units: 3, activation: 'relu', name: 'hidden' }), dense({ units: 2, name: 'out' }))(input([4])),
    )
    const trainer = new Trainer(prune(model, { sparsity: 0.5 }), { batch: 5, optimizer: sgd({ momentum: 0.9 }) })
    expect(printPlan(trainer.plan())).toMatchInlineSnapshot(`
      "memory 800 persistent 288 arena 496 (live at once 496)
      constant hidden/w f32[12] @16
      constant hidden/b f32[3] @64
      constant out/w f32[6] @80
      constant out/b f32[2] @112
      constant hidden/w/mask u8[12] @128
      constant out/w/mask u8[6] @144
      state hyper f32[2] @160
      state hidden/w/velocity f32[12] @176
      state hidden/b/velocity f32[3] @224
      state out/w/velocity f32[6] @240
      state out/b/velocity f32[2] @272
      input input f32[20] @576
      input labels i32[5] @288
      input weights f32[5] @320
      output loss f32[1] @704
      output out f32[10] @656
      init
      calls
        pack_f32(16, 64, 352, 3, 4, 4, 1)
        gemm_f32(576, 352, 512, 5, 3, 4, 4, 1, 3, 0, Infinity, 0)
        pack_f32(80, 112, 352, 2, 3, 3, 1)
        gemm_f32(512, 352, 656, 5, 2, 3, 3, 1, 2, -Infinity, Infinity, 0)
        crossEntropy_f32(656, 288, 320, 704, 5, 2, 0, 0)
        fill_f32(352, 1, 1)
        fill_f32(720, 10, 0)
        crossEntropy_f32_dx(656, 288, 320, 352, 720, 5, 2, 0, 0)
        fill_f32(768, 2, 0)
        sumRows_f32(720, 768, 5, 2, 2)
        pack_f32(512, 0, 320, 3, 5, 1, 3)
        gemm_f32(720, 320, 288, 2, 3, 5, 1, 2, 3, -Infinity, Infinity, 0)
        pack_f32(80, 0, 384, 3, 2, 1, 3)
        gemm_f32(720, 384, 320, 5, 3, 2, 2, 1, 3, -Infinity, Infinity, 0)
        clamp_f32_mask(512, 320, 15, 0, Infinity)
        fill_f32(720, 3, 0)
        sumRows_f32(320, 720, 5, 3, 3)
        pack_f32(576, 0, 384, 4, 5, 1, 4)
        gemm_f32(320, 384, 576, 3, 4, 5, 1, 3, 4, -Infinity, Infinity, 0)
        sgd_f32(16, 576, 176, 160, 12, 1, 0.900000, 0, 0, 0)
        sgd_f32(64, 720, 224, 160, 3, 1, 0.900000, 0, 0, 0)
        sgd_f32(80, 288, 240, 160, 6, 1, 0.900000, 0, 0, 0)
        sgd_f32(112, 768, 272, 160, 2, 1, 0.900000, 0, 0, 0)
        mask_f32(16, 128, 12)
        mask_f32(80, 144, 6)"
    `)
  })

  it('says the same for the same graph', () => {
    const plan = () => printPlan(tinyCnn({ shape: [8, 8, 1], classes: 10 }).plan(3))
    expect(plan()).toBe(plan())
  })
})

describe('planInference', () => {
  /** A network with a residual connection, planned for `batch`. */
  const residual = (batch: number) => {
    const x = input([6, 6, 2])
    const a = conv2d({ filters: 4, kernel: 3, padding: 'same', name: 'a' })(x)
    const b = conv2d({ filters: 4, kernel: 3, padding: 'same', name: 'b' })(a)
    return new Model(dense({ units: 3 })(flatten()(add()(a, b)))).plan(batch)
  }

  it('places every region inside of its memory, apart from all that must outlive a run', () => {
    for (const batch of [1, 2, 7]) {
      const plan = residual(batch)
      for (const r of [...plan.constants, ...plan.state]) expect(r.address + 4 * r.length).toBeLessThanOrEqual(plan.persistent)
      for (const p of [...plan.inputs, ...plan.outputs]) {
        expect(p.address).toBeGreaterThanOrEqual(plan.persistent)
        expect(p.address + 4 * p.length).toBeLessThanOrEqual(plan.memory - 16)
        expect(p.length).toBe(batch * p.shape.reduce((a, b) => a * b))
      }
      expect(plan.arena.bytes).toBeGreaterThanOrEqual(plan.arena.lowerBound)
      expect(Math.min(...plan.constants.map((c) => c.address))).toBe(16)
    }
  })

  it('keeps a value alive over a residual connection', () => {
    const plan = residual(1)
    const [a, b] = unrolled(plan.calls)
      .filter((c) => c.kernel === 'conv2d_f32')
      .map((c) => c.args[2])
    const sum = unrolled(plan.calls).find((c) => c.kernel === 'add_f32')
    expect(sum?.args.slice(0, 2)).toEqual([a, b])
    expect(overlap(a, b, 4 * 144, 4 * 144)).toBe(false)
  })

  it('gives a reshape no call and no memory', () => {
    const through = (...layers: ((x: Node) => Node)[]) => new Model(sequential(relu(), ...layers, relu())(input([2, 3]))).plan(1)
    const plain = through()
    const reshaped = through(reshape({ shape: [3, 2] }), reshape({ shape: [6] }), flatten())
    expect(reshaped.calls).toEqual(plain.calls)
    expect(reshaped.memory).toBe(plain.memory)
    expect(reshaped.outputs[0].shape).toEqual([6])
  })

  it('lets an output be the input, reshaped', () => {
    const plan = new Model(flatten()(input([2, 2]))).plan(4)
    expect(plan.calls).toEqual([])
    expect(plan.outputs[0].address).toBe(plan.inputs[0].address)
  })

  it('computes a value once for all of its readers', () => {
    const x = relu()(input([5]))
    const plan = new Model([add()(x, x), x]).plan(1)
    expect(unrolled(plan.calls).map((c) => c.kernel)).toEqual(['clamp_f32', 'add_f32'])
    expect(plan.outputs.length).toBe(2)
  })

  it('names what it cannot plan', () => {
    const { outputs } = tinyCnn({ shape: [8, 8, 1], classes: 10 })
    expect(() => planInference(outputs, { batch: 0 })).toThrowErrorMatchingInlineSnapshot(
      `[DunlinError: batch wants a positive integer, got 0.]`,
    )
    expect(() => planInference(outputs, { batch: 2 ** 24 })).toThrowErrorMatchingInlineSnapshot(
      `[DunlinError: The network needs 42949705808 bytes for a batch of 16777216, more than the 4 GiB of a WebAssembly memory. Use a smaller batch.]`,
    )
    expect(() => planInference([dense({ units: 2, name: 'd' })(input([3]))], { batch: 1 })).toThrowErrorMatchingInlineSnapshot(
      `[DunlinError: parameter "w": has no values yet. Make a Model of the graph first: it draws them from its seed.]`,
    )
    const alien: Node = { op: 'constructor', name: 'x', attrs: {}, inputs: [input([1])], shape: [1], dtype: 'f32', batched: true }
    expect(() => planInference([alien], { batch: 1 })).toThrowErrorMatchingInlineSnapshot(
      `[DunlinError: constructor "x": there is no such op.]`,
    )
    expect(() => planInference(outputs, { batch: 2 ** 24 })).toThrow(DunlinError)
  })
})

describe('planTraining', () => {
  const plan = (model: Model) => new Trainer(model, { batch: 4, optimizer: sgd() }).plan()
  const updates = (model: Model) => unrolled(plan(model).calls).filter((c) => c.kernel === 'sgd_f32').length

  it('updates each parameter once, also one that two layers share', () => {
    const layer = dense({ units: 4 })
    const shared = new Model(dense({ units: 2 })(layer(layer(input([4])))))
    expect(updates(shared)).toBe(4)
    expect(updates(tinyCnn({ shape: [8, 8, 1], classes: 3 }))).toBe(6)
  })

  it('masks after the update, and only what is pruned', () => {
    const model = tinyCnn({ shape: [8, 8, 1], classes: 3 })
    expect(unrolled(plan(model).calls).some((c) => c.kernel === 'mask_f32')).toBe(false)
    const masked = plan(prune(model, { sparsity: 0.5 }))
    const [calls, { constants }] = [unrolled(masked.calls), masked]
    const masks = calls.filter((c) => c.kernel === 'mask_f32')
    expect(masks.length).toBe(3)
    for (const mask of masks) {
      const weights = constants.find((c) => c.address === mask.args[0])
      expect(constants.find((c) => c.address === mask.args[1])?.name).toBe(`${weights?.name}/mask`)
      const update = calls.findIndex((c) => c.kernel === 'sgd_f32' && c.args[0] === mask.args[0])
      expect(calls.indexOf(mask)).toBeGreaterThan(update)
    }
  })

  it('starts from weights in every step: packing is part of the calls', () => {
    const { init, calls } = plan(tinyCnn({ shape: [8, 8, 1], classes: 3 }))
    expect(init).toEqual([])
    expect(unrolled(calls).some((c) => c.kernel === 'pack_f32')).toBe(true)
  })

  it('refuses a network without parameters', () => {
    expect(() => plan(new Model(flatten()(maxPool2d({ kernel: 2 })(input([4, 4, 1])))))).toThrowErrorMatchingInlineSnapshot(
      `[DunlinError: Nothing to train: the loss depends on no trainable parameter.]`,
    )
  })
})
