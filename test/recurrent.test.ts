// Recurrent layers beyond one node's value and gradient (test/ops.test.ts): what masks, directions and kept states mean, how much memory
// a plan takes, what is refused, what a file and a module keep; and a sequence task that they learn.

import { describe, expect, it } from 'vitest'
import { makeDataset } from '../src/data/dataset'
import { buildModule, loadModule } from '../src/deploy'
import { input, type Node, param, size } from '../src/graph/node'
import { Random } from '../src/graph/random'
import { Model } from '../src/model/model'
import { sequential } from '../src/model/sequential'
import { opOf } from '../src/ops'
import { bidirectional } from '../src/ops/bidirectional'
import { dense } from '../src/ops/dense'
import { gru } from '../src/ops/gru'
import { lstm } from '../src/ops/lstm'
import { makeNode } from '../src/ops/op'
import type { Recurrent, RecurrentAttrs, RecurrentOptions } from '../src/ops/recurrent'
import { simpleRnn } from '../src/ops/simpleRnn'
import { unrolled } from '../src/plan/plan'
import { adam } from '../src/train/optimizers'
import { Trainer } from '../src/train/trainer'
import { Fenced, runNode } from './fenced'
import { builds, in_, inout } from './harness'
import { evaluate } from './reference/f32'
import { EPSILON, expectNear } from './reference/near'

const SEED = 11
const LAYERS: [string, (options: RecurrentOptions) => Recurrent][] = [
  ['simpleRnn', simpleRnn],
  ['lstm', lstm],
  ['gru', gru],
]
const floats = (random: Random, n: number) => Float32Array.from({ length: n }, () => random.uniform(-1, 1))
/** Steps [from, to) of sequences [batch][t][c]. */
const steps = (x: Float32Array, [t, c]: readonly number[], from: number, to: number) =>
  x.filter((_, i) => i % (t * c) >= from * c && i % (t * c) < to * c)
/** Sequences [batch][t][c] backwards. */
const backwards = (x: Float32Array, [t, c]: readonly number[]) =>
  x.map((_, i) => x[i - (i % (t * c)) + (t - 1 - Math.floor((i % (t * c)) / c)) * c + (i % c)])

describe.each(LAYERS)('%s', (op, make) => {
  const [t, channels, units, batch] = [6, 3, 5, 3]
  const shape = [t, channels]
  const random = new Random(SEED)
  const x = floats(random, batch * t * channels)
  /** A model of layers that all have the weights that the seed draws for the first. */
  const model = (options: Partial<RecurrentOptions>, from = input(shape), mask?: Node) =>
    new Model(make({ units, ...options })(from, mask), { seed: SEED })
  const biased = (m: Model) => {
    const r = new Random(SEED, 2)
    for (const p of m.params) if (p.shape.length === 1) p.data = floats(r, size(p.shape))
    m.changed()
    return m
  }

  it('gives after the last step what it gives of the last step', async () => {
    const all = await biased(model({ sequences: true })).predict(x)
    expect(await biased(model({})).predict(x)).toEqual(steps(all, [t, units], t - 1, t))
  })

  it('reads backwards what is turned round, and turns the outputs back', async () => {
    const forward = await biased(model({ sequences: true })).predict(backwards(x, shape))
    expect(await biased(model({ sequences: true, reverse: true })).predict(x)).toEqual(backwards(forward, [t, units]))
    expect(await biased(model({ reverse: true })).predict(x)).toEqual(steps(forward, [t, units], t - 1, t))
  })

  it('with a mask does what it does without the steps, and repeats its output meanwhile', async () => {
    const live = [1, 3, 4]
    const mask = Float32Array.from({ length: batch * t }, (_, i) => +live.includes(i % t))
    const masked = biased(model({ sequences: true }, input(shape), input([t], { name: 'mask' })))
    const got = await masked.predict({ input: x, mask })
    const short = Float32Array.from(x.filter((_, i) => live.includes(Math.floor((i % (t * channels)) / channels))))
    const want = await biased(model({ sequences: true }, input([live.length, channels]))).predict(short)
    const at = (y: Float32Array, of: number, n: number, s: number) => [...y.slice((n * of + s) * units, (n * of + s + 1) * units)]
    for (let n = 0; n < batch; n++) {
      expect(at(got, t, n, 0)).toEqual(new Array(units).fill(0))
      for (let s = 1; s < t; s++) expect(at(got, t, n, s)).toEqual(at(want, 3, n, live.filter((l) => l <= s).length - 1))
    }
  })

  it('that is stateful goes on from run to run, as if the runs were one', async () => {
    const whole = await biased(model({ sequences: true })).predict(x)
    const stateful = biased(model({ sequences: true, stateful: true }, input([2, channels])))
    const session = await stateful.session(batch)
    const [port] = session.plan.inputs
    for (let from = 0; from < t; from += 2) {
      session.feed(port, steps(x, shape, from, from + 2))
      session.run()
      expect(session.fetch(session.plan.outputs[0])).toEqual(steps(whole, [t, units], from, from + 2))
    }
    expect(session.plan.state.map((r) => [r.name, r.length])).toEqual(
      (op === 'lstm' ? ['h', 'c'] : ['h']).map((name) => [`${op}/${name}`, batch * units]),
    )
  })

  it.each(builds)('that is stateful trains from the state it has, without a gradient into the run before ($name)', (build) => {
    // From states that the test puts there, all is as with the same states given as inputs.
    const states = op === 'lstm' ? 2 : 1
    const from = input(shape)
    const initial = Array.from({ length: states }, (_, i) => input([units], { name: `state${i}` }))
    const given = make({ units })(from, undefined, initial)
    const kept = make({ units, stateful: true })(from)
    const r = new Random(SEED, 3)
    const values = given.inputs.map((n) => floats(r, size(n.shape) * (n.batched ? batch : 1)))
    const dy = floats(r, batch * units)
    const want = runNode(build, given, { batch, inputs: values, dy })
    class Kept extends Fenced {
      readonly regions: { name: string; buffer: ReturnType<Fenced['state']> }[] = []
      override state(name: string, length: number) {
        const buffer = super.state(name, length)
        this.write(buffer, values[values.length - states + this.regions.length])
        this.regions.push({ name, buffer })
        return buffer
      }
      private write(buffer: ReturnType<Fenced['state']>, data: Float32Array) {
        new Float32Array(build.memory.buffer, buffer.address, buffer.length).set(data)
      }
    }
    const e = new Kept(build, batch, 'session', true, true)
    const row = opOf(op)!
    const buffers = kept.inputs.map((node, i) => {
      const value = e.place(node.op, in_(values[i]))
      const grad = e.place('gradient', inout(new Float32Array(values[i].length)))
      e.values.set(node, value)
      e.grads.set(node, grad)
      return grad
    })
    row.forward!(e, kept)
    expect(e.read(e.value(kept))).toEqual(want.y)
    e.grads.set(kept, e.place('dy', inout(dy)))
    row.backward!(e, kept)
    e.check(op)
    expect(buffers.map((b) => e.read(b))).toEqual(want.grads.slice(0, buffers.length))
    expect(e.regions.length).toBe(states)
  })

  it('bidirectional is the sum of both ways, each with weights of its own', async () => {
    const both = biased(
      new Model(bidirectional(make({ units, sequences: true }), { merge: 'sum', name: 'sum' })(input(shape)), { seed: 1 }),
    )
    const count = both.params.length / 2
    const alone = async (reverse: boolean) => {
      const one = model({ sequences: true, reverse })
      one.params.forEach((p, i) => {
        p.data = both.params[i + (reverse ? count : 0)].data
      })
      return one.predict(x)
    }
    const [forward, backward] = [await alone(false), await alone(true)]
    expect(await both.predict(x)).toEqual(forward.map((v, i) => v + backward[i]))
    expect(new Set(both.params.map((p) => p.name)).size).toBe(2 * count)
    expect(both.params[0].data).not.toEqual(both.params[count].data)
  })

  it('applied twice shares its weights', () => {
    const layer = make({ units: channels, sequences: true })
    const gates = op === 'lstm' ? 4 : op === 'gru' ? 3 : 1
    const twice = new Model(layer(layer(input(shape))))
    expect(twice.params.length).toBe(op === 'gru' ? 4 : 3)
    expect(twice.macs).toBe(2 * t * gates * channels * 2 * channels)
  })

  it('takes no more memory for inference than the projected inputs, one state and one step', () => {
    const [long, wide] = [100, 16]
    const gates = op === 'lstm' ? 4 : op === 'gru' ? 3 : 1
    for (const size of [1, 8]) {
      const m = new Model(make({ units: wide })(input([long, channels])))
      const { arena, init, calls } = m.plan(size)
      const projected = size * long * gates * wide
      const step = size * wide * gates
      const states = size * wide * (op === 'lstm' ? 2 : 1)
      const bytes = 4 * (projected + Math.max(size * long * channels, step + states + size * wide))
      expect(arena.lowerBound, `batch ${size}`).toBe(bytes)
      expect(arena.bytes, `batch ${size}`).toBe(bytes)
      // The loop over the steps is inside of a kernel: the list does not grow with them.
      expect(unrolled(calls).map((c) => c.kernel)).toEqual([
        'gemm_f32',
        ...new Array(states / size / wide).fill('fill_f32'),
        `${op}_f32`,
      ])
      expect(init.map((c) => c.kernel)).toEqual(['pack_f32', 'pack_f32'])
    }
  })

  it('is saved and loaded, and deployed as a module, bit for bit', async () => {
    const network = biased(
      new Model(sequential(make({ units, sequences: true, reverse: true }), make({ units: 4 }))(input(shape)), { seed: SEED }),
    )
    const want = await network.predict(x, { build: 'scalar' })
    const loaded = Model.load(network.save())
    expect(await loaded.predict(x, { build: 'scalar' })).toEqual(want)
    expect(loaded.nodes.map((n) => n.attrs)).toEqual(network.nodes.map((n) => n.attrs))
    const module = await loadModule((await buildModule(loaded)).wasm)
    const each = t * channels
    for (let n = 0; n < batch; n++) {
      expect(module.predict(x.subarray(n * each, (n + 1) * each))).toEqual(want.subarray(n * 4, (n + 1) * 4))
    }
  })

  it('that is stateful is so in a module too', async () => {
    const stateful = biased(model({ stateful: true }, input([1, channels])))
    const module = await loadModule((await buildModule(stateful)).wasm)
    const want = await biased(model({ sequences: true })).predict(x.subarray(0, t * channels), { build: 'scalar' })
    for (let s = 0; s < t; s++) {
      const y = module.predict(x.subarray(s * channels, (s + 1) * channels))
      expect(y).toEqual(want.subarray(s * units, (s + 1) * units))
    }
  })

  describe('refuses', () => {
    const from = input([4, 2])
    const apply = (options: Partial<RecurrentOptions>, ...more: [Node?, Node[]?]) =>
      make({ units: 3, name: 'r', ...options })(from, ...more)
    const states = (n: number) => Array.from({ length: n }, (_, i) => input([3], { name: `state${i}` }))
    const own = op === 'lstm' ? 2 : 1

    it.each<[string, () => Node, RegExp]>([
      ['a vector', () => make({ units: 3 })(input([4])), /wants a sequence \[steps, channels\], got shape \[4\]/],
      ['no units', () => make({ units: 0 })(from), /units wants a positive integer, got 0/],
      ['a mask of another length', () => apply({}, input([3])), /"r": mask has shape \[3\], wanted \[4\]/],
      ['states of other units', () => apply({}, undefined, Array(own).fill(input([2]))), /"r": h0 has shape \[2\], wanted \[3\]/],
      [
        'a state too many',
        () => apply({}, undefined, states(own + 1)),
        new RegExp(`"r": wants .* inputs .*h0.*, got ${(op === 'gru' ? 5 : 4) + own + 1}`),
      ],
      [
        'a state for all samples',
        () => apply({}, undefined, Array(own).fill(param('s', [3], { kind: 'zeros' }))),
        /h0 \(param "s"\) is one for all samples/,
      ],
      [
        'both a kept and a given state',
        () => apply({ stateful: true }, undefined, states(own)),
        /"r": is stateful and is given its initial state/,
      ],
    ])('%s', (_, made, message) => {
      expect(made).toThrow(message)
    })

    it('what a file may say', () => {
      const { attrs, inputs } = apply({}) as Node<RecurrentAttrs>
      const remade =
        (a: object, i = inputs) =>
        () =>
          makeNode(opOf(op)!, { op, name: 'r', attrs: { ...attrs, ...a }, inputs: i })
      expect(remade({})).not.toThrow()
      expect(remade({ sequences: 1 })).toThrow(`${op} "r": sequences is 1, wanted true or false.`)
      expect(remade({ mask: true })).toThrow(/wants \d inputs \(.*mask\), got/)
      expect(remade({ mask: 'yes' })).toThrow('mask is "yes"')
      const replaced = (at: number, shape: number[]) =>
        inputs.map((n, i) => (i === at ? param('p', shape, { kind: 'zeros' }) : n))
      expect(remade({}, replaced(1, [5, 3]))).toThrow(/w has shape \[5,3\], wanted/)
      expect(remade({}, replaced(1, []))).toThrow(/w has shape \[\], wanted/)
      expect(remade({}, replaced(2, [3, 3, 1]))).toThrow(/u has shape \[3,3,1\], wanted/)
      expect(remade({}, replaced(3, [1]))).toThrow(/b has shape \[1\], wanted/)
      const each = inputs.map((n, i) => (i === 2 ? input(n.shape) : n))
      expect(remade({}, each)).toThrow(/u \(input "input"\) is one for each sample, wanted one for all samples/)
      if (op === 'simpleRnn') expect(remade({ activation: 'sinh' })).toThrow('activation is "sinh", wanted "tanh" or "relu"')
    })
  })
})

it('a training step has as many calls for a long sequence as for a short one', () => {
  const calls = (t: number) =>
    unrolled(new Trainer(new Model(gru({ units: 4 })(input([t, 2])))).plan().calls).map((c) => c.kernel)
  expect(calls(200)).toEqual(calls(2))
})

describe.each(builds)('sizes drawn at random ($name)', (build) => {
  it.each(LAYERS)('%s: value, and gradients by <dy, J v> = <J^T dy, v>', (_, make) => {
    for (let seed = 500; seed < 530; seed++) {
      const random = new Random(seed)
      const between = (from: number, to: number) => from + random.integer(to - from + 1)
      const [t, channels, units, batch] = [between(1, 9), between(1, 18), between(1, 19), between(1, 9)]
      const flags = { sequences: random.integer(2) === 1, reverse: random.integer(2) === 1 }
      const node = make({ units, ...flags })(input([t, channels]))
      const inputs = node.inputs.map((n) => floats(random, size(n.shape) * (n.batched ? batch : 1)))
      const value = evaluate(node, inputs)
      const dy = floats(random, value.length)
      const { y, grads } = runNode(build, node, { batch, inputs, dy })
      // States are within [-1, 1]; an error of a step goes on into the next.
      const what = `[${t},${channels}] ${units} units batch ${batch} ${JSON.stringify(flags)} (seed ${seed})`
      const bound = t * (channels + units + 64) * EPSILON
      expectNear(y, value, bound, what)
      inputs.forEach((of, at) => {
        const v = floats(random, of.length)
        const h = 2 ** -17
        const moved = (sign: number) => {
          const there = Float64Array.from(of, (e, i) => e + sign * h * v[i])
          return evaluate(
            node,
            inputs.map((w, i) => (i === at ? there : w)),
          )
        }
        const [up, down] = [moved(1), moved(-1)]
        const want = dy.reduce((sum, d, i) => sum + (d * (up[i] - down[i])) / (2 * h), 0)
        const got = grads[at].reduce((sum, g, i) => sum + g * v[i], 0)
        const scale = grads[at].reduce((sum, g, i) => sum + Math.abs(g * v[i]), 0)
        expectNear([got], [want], bound * scale + 2 ** -26, `${what}, gradient of input ${at}`)
      })
    }
  })
})

describe('learning', () => {
  /** Sequences of +-1; the class is whether the last is the first: to be remembered over all that lies between. */
  function sameEnds(seed: number, count: number, t: number) {
    const random = new Random(seed)
    const x = Float32Array.from({ length: count * t }, () => (random.integer(2) ? 1 : -1))
    const y = Int32Array.from({ length: count }, (_, i) => +(x[i * t] === x[(i + 1) * t - 1]))
    return makeDataset({ x, y, shape: [t, 1], classes: 2 })
  }

  it.each(LAYERS.slice(1))('%s remembers a sign over 12 steps, in 99 of 100 sequences it has hardly seen', async (_, make) => {
    const model = new Model(sequential(make({ units: 16 }), dense({ units: 2 }))(input([12, 1])), { seed: 3 })
    const trainer = new Trainer(model, { optimizer: adam({ lr: 0.02 }), seed: 3 })
    await trainer.fit(sameEnds(1, 1024, 12), { epochs: 20 })
    expect((await model.evaluate(sameEnds(2, 512, 12))).accuracy).toBeGreaterThanOrEqual(0.99)
  })
})
