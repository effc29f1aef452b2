// A model is a graph and the verbs on it: predict, evaluate, summary, save, load. Its parameters' arrays are the weights; sessions
// are made when a verb needs them, and again after the weights changed.

import type { Dataset, Samples } from '../data/dataset'
import { DunlinError } from '../graph/error'
import { BYTES, type Ends, type InputAttrs, isInput, isParam, type Node, type Param, size, topological } from '../graph/node'
import { Random } from '../graph/random'
import { opOf } from '../ops'
import type { Target } from '../ops/op'
import { type ModulePlan, planInference } from '../plan/build'
import type { Plan } from '../plan/plan'
import type { Values } from '../session/door'
import type { Build } from '../session/kernels'
import { Session } from '../session/session'
import { availableThreads } from '../session/threads'
import { changeEnds } from './ends'
import { deserialize, serialize } from './file'
import { initialize } from './initialize'
import { formatTable, thousands } from './table'

export interface ModelOptions {
  /** Draws the values of parameters that have none yet. Default 0. */
  seed?: number
  name?: string
  /** What the classes are called. */
  labels?: readonly string[]
}

export interface RunOptions {
  /** Default: the best that the host runs. */
  build?: Build
  /** Default: the cores available. The result does not depend on it. */
  threads?: number
}

/** Samples computed at once: enough to keep the tiles busy, few enough to stay in the caches. */
const MAX_BATCH = 64

export class Model {
  readonly name: string
  readonly labels: readonly string[]
  readonly outputs: readonly Node[]
  /** Every node, inputs before the nodes that read them. */
  readonly nodes: readonly Node[]
  private sessions = new Map<string, Promise<Session>>()

  /** `outputs`: the node, or nodes, that the model computes. */
  constructor(outputs: Node | readonly Node[], options: ModelOptions = {}) {
    const { seed = 0, name = 'model', labels = [] } = options
    this.name = name
    this.labels = labels
    this.outputs = Array.isArray(outputs) ? outputs : [outputs as Node]
    this.nodes = topological(this.outputs)
    if (!this.nodes.some(isInput))
      throw new DunlinError(`model "${name}": its output depends on no input. Start with input(shape).`)
    nameNodes(this.nodes)
    for (const [i, p] of this.params.entries()) initialize(p, new Random(seed, i + 1))
  }

  get params(): Param[] {
    return this.nodes.filter(isParam)
  }

  get inputs(): Node<InputAttrs>[] {
    return this.nodes.filter(isInput)
  }

  /** Numbers in the parameters; a pruned weight does not count. */
  get parameterCount(): number {
    return this.params.reduce((sum, p) => sum + (p.mask ? p.mask.reduce((a, b) => a + b, 0) : size(p.shape)), 0)
  }

  /** Multiply-accumulates for one sample. */
  get macs(): number {
    return this.nodes.reduce((sum, n) => sum + macsOf(n), 0)
  }

  /**
   * The plan that computes the outputs for `batch` samples at once, in a session on up to `threads` threads or in a module (`options`: how).
   */
  plan(batch = 1, target: Target = 'session', threads = 1, options: ModulePlan = {}): Plan {
    return planInference(this.outputs, { batch, target, threads, ...options })
  }

  /** This model as a device wants it, with the same parameters: raw values at its inputs, or probabilities at its first output. */
  withEnds(ends: Ends): Model {
    const { name, labels } = this
    return new Model(changeEnds(this.outputs, ends), { name, labels })
  }

  /** A session of that plan with the weights of now; `threads`: default the cores available. Sessions are kept until the weights change. */
  session(batch = 1, build?: Build, threads = availableThreads()): Promise<Session> {
    const key = `${batch} ${build} ${threads}`
    let session = this.sessions.get(key)
    if (!session) {
      const plan = this.plan(batch, 'session', threads)
      this.sessions.set(key, (session = Session.create(plan, { build, threads })))
    }
    return session
  }

  /** Call after writing into a parameter's array: sessions with the old weights are dropped. */
  changed(): void {
    this.sessions.clear()
  }

  /**
   * The outputs for any number of samples. `x`: raw values, samples one after another (normalization and quantization are applied), or
   * one such array for each input by name. Returns the values of the first output, samples one after another.
   */
  async predict(x: Values | Record<string, Values>, options: RunOptions = {}): Promise<Float32Array> {
    const feeds = this.feeds(x)
    const [first] = feeds
    const count = first.values.length / size(first.node.shape)
    // The next power of two: few distinct batches, so few sessions.
    const batch = Math.min(MAX_BATCH, 2 ** Math.ceil(Math.log2(Math.max(1, count))))
    const session = await this.session(batch, options.build, options.threads)
    const { inputs, outputs } = session.plan
    const each = size(outputs[0].shape)
    const y = new Float32Array(count * each)
    for (let at = 0; at < count; at += batch) {
      const now = Math.min(batch, count - at)
      for (const { values, index } of feeds) session.feed(inputs[index], values, at, now)
      session.run()
      y.set(session.fetch(outputs[0], now), at * each)
    }
    return y
  }

  /** The share of samples whose largest output is at their label. (For other data and metrics: `Trainer.evaluate`.) */
  async evaluate(data: Dataset, options: RunOptions = {}): Promise<{ accuracy: number }> {
    if (data.target)
      throw new DunlinError(
        `model "${this.name}": evaluate wants data with labels, this has targets of shape [${data.target}]. Use the evaluate of a Trainer, with its loss and metrics.`,
      )
    const samples = this.samples(data, 'data')
    const x = Object.fromEntries(this.inputs.map(({ name }, i) => [name, samples[i].x]))
    return { accuracy: accuracy(await this.predict(x, options), data.y) }
  }

  /** The samples of a dataset for each of `inputs`. `what` names the data in errors. */
  samples(data: Dataset, what: string): Samples[] {
    const others = new Map(Object.entries(data.others ?? {}))
    const own = this.inputs.filter(({ name }) => !others.has(name))
    if (own.length !== 1 || this.inputs.length !== others.size + 1) {
      const inputs = this.inputs.map(({ name }) => `"${name}"`).join(', ')
      throw new DunlinError(
        `${what}: it has samples for ${others.size + 1} inputs, model "${this.name}" has ${inputs}. Put what goes into inputs beside that of x into "others", by their names.`,
      )
    }
    return this.inputs.map(({ name, shape, dtype }) => {
      const samples = others.get(name) ?? data
      if (String(samples.shape) !== String(shape)) {
        throw new DunlinError(
          `${what}: samples have shape [${samples.shape}], input "${name}" of model "${this.name}" wants [${shape}].`,
        )
      }
      if (dtype === 'i32' && samples.x instanceof Float32Array) {
        throw new DunlinError(
          `${what}: samples are floats, input "${name}" of model "${this.name}" wants integers. Copy them into an Int32Array.`,
        )
      }
      return samples
    })
  }

  /** A table of the layers: output shape, parameters, MACs and bytes of weights and of the value, for one sample. */
  summary(): string {
    const rows = this.nodes
      .filter((n) => !isParam(n))
      .map((n) => {
        const params = n.inputs.filter(isParam)
        const weights = params.reduce((sum, p) => sum + size(p.shape), 0)
        const bytes = params.reduce((sum, p) => sum + size(p.shape) * BYTES[p.dtype], 0)
        const cells = [weights, macsOf(n), bytes, size(n.shape) * BYTES[n.dtype]].map(thousands)
        return [n.name, n.op, `[${n.shape.join(', ')}]`, n.dtype, ...cells]
      })
    const table = formatTable(['layer', 'op', 'shape', 'dtype', 'parameters', 'MACs', 'weight bytes', 'value bytes'], rows)
    const plan = this.plan(1)
    const bytes = this.params.reduce((sum, p) => sum + size(p.shape) * BYTES[p.dtype], 0)
    return `${table}\n${this.name}: ${thousands(this.parameterCount)} parameters in ${thousands(bytes)} bytes, ${thousands(this.macs)} MACs, arena ${thousands(plan.arena.bytes)} bytes`
  }

  /** The model as a safetensors file with the graph in its metadata. */
  save(): Uint8Array {
    return serialize(this)
  }

  /** The model of such a file; `source` names it in errors. Predictions are bit-identical. */
  static load(bytes: Uint8Array, source = 'model file'): Model {
    try {
      const { outputs, name, labels } = deserialize(bytes, source)
      return new Model(outputs, { name, labels })
    } catch (cause) {
      if (cause instanceof DunlinError && cause.message.startsWith(source)) throw cause
      // A rule of an op that the graph breaks; or JSON with an object where a message prints a number, or deeper than the stack.
      throw new DunlinError(`${source}: not a valid model: ${(cause as Error).message}`, { cause })
    }
  }

  private feeds(x: Values | Record<string, Values>): { node: Node; index: number; values: Values }[] {
    const inputs = this.inputs
    const named: Record<string, Values> = isValues(x) ? { [inputs[0].name]: x } : x
    const feeds = inputs.map((node, index) => {
      const values = named[node.name]
      if (!values)
        throw new DunlinError(
          `model "${this.name}": no values for input "${node.name}"; its inputs are ${inputs.map((n) => `"${n.name}"`).join(', ')}.`,
        )
      return { node, index, values }
    })
    const counts = feeds.map(({ node, values }) => values.length / size(node.shape))
    const bad = counts.findIndex((c) => !Number.isInteger(c) || c !== counts[0] || c === 0)
    if (bad >= 0) {
      const { node, values } = feeds[bad]
      throw new DunlinError(
        `model "${this.name}": input "${node.name}" got ${values.length} values, wanted a multiple of ${size(node.shape)} (shape [${node.shape}])${bad ? `, as many samples as the first input's ${counts[0]}` : ''}.`,
      )
    }
    return feeds
  }
}

const isValues = (x: Values | Record<string, Values>): x is Values => typeof x.length === 'number'

/** The share of rows of `y` whose largest value is at the row's label. */
export function accuracy(y: Float32Array, labels: ArrayLike<number>): number {
  const each = y.length / labels.length
  let right = 0
  for (let i = 0; i < labels.length; i++) right += argmax(y, i * each, each) === labels[i] ? 1 : 0
  return right / labels.length
}

/** Index of the largest of the `count` values from `from` on; the first of equals. */
export function argmax(values: ArrayLike<number>, from = 0, count = values.length): number {
  let best = 0
  for (let i = 1; i < count; i++) if (values[from + i] > values[from + best]) best = i
  return best
}

const macsOf = (node: Node): number => opOf(node.op)?.macs?.(node) ?? 0

/** Gives nodes without a name their op's, made unique by a number; a layer's parameters are called <layer>/<parameter>. */
function nameNodes(nodes: readonly Node[]): void {
  const taken = new Set<string>()
  // Where to go on counting: a file may hold 100,000 nodes of one name.
  const numbers = new Map<string, number>()
  const unique = (base: string) => {
    let name = base
    let i = numbers.get(base) ?? 2
    while (taken.has(name)) name = `${base}_${i++}`
    numbers.set(base, i)
    taken.add(name)
    return name
  }
  for (const node of nodes) if (!isParam(node)) node.name = unique(node.name || node.op)
  const named = new Set<Node>()
  for (const node of nodes) {
    for (const p of node.inputs.filter(isParam)) {
      if (named.has(p)) continue
      named.add(p)
      p.name = unique(p.name.includes('/') ? p.name : `${node.name}/${p.name}`)
    }
  }
}
