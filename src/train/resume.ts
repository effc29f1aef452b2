// What a checkpoint of a trainer holds, and whether a trainer may go on from it: only with the setting that it was made with.

import { DunlinError } from '../graph/error'
import { isParam, type Node, type Param, type TypedArray } from '../graph/node'
import { where } from '../ops/op'
import type { Region } from '../plan/plan'
import type { Build } from '../session/kernels'
import type { Session } from '../session/session'
import type { EpochResult } from './callbacks'
import { crc32, readCheckpoint, writeCheckpoint } from './checkpoint'

const VERSION = 1

/** What must be the same, by what people call it: text, numbers, or lists of them. */
export type Setting = Record<string, unknown>

/** Where a fit stands, as plain data. */
export interface KeptFit {
  first: number
  epoch: number
  step: number
  ended: boolean
  history: EpochResult[]
  tally: object
  random: readonly number[]
  callbacks: readonly object[]
  /** Of a stream: the checksum of what it gave in the epoch. */
  drawn?: number
  /** What the fit was called with. */
  setting: Setting
}

export interface Content {
  version: number
  setting: Setting
  build: Build
  steps: number
  fit?: KeptFit
}

export interface Kept {
  content: Content
  source: string
  weights: ReadonlyMap<string, TypedArray>
  /** In the order of the plan's state. */
  state: readonly TypedArray[]
}

/** A checkpoint: `weights` by parameter, and the session's state. */
export function keep(
  content: Omit<Content, 'version'>,
  session: Session,
  weights: readonly { param: Param; data: TypedArray }[],
): Uint8Array {
  const arrays = new Map(weights.map(({ param, data }) => [weightsOf(param), { dtype: param.dtype, shape: param.shape, data }]))
  for (const [i, region] of session.plan.state.entries()) {
    arrays.set(stateOf(region, i), { dtype: region.dtype, shape: [region.length], data: session.view(region) })
  }
  return writeCheckpoint({ version: VERSION, ...content }, arrays)
}

/** Reads it for a trainer with this setting, state and these parameters, all or nothing. */
export function open(
  file: Uint8Array,
  source: string,
  trainer: { setting: Setting; state: readonly Region[]; params: readonly Param[] },
): Kept {
  const { content, arrays } = readCheckpoint(file, source)
  const kept = content as Content | null
  if (kept?.version !== VERSION)
    throw new DunlinError(
      `${source}: a checkpoint of version ${kept?.version}, this dunlin reads version ${VERSION}. Begin anew.`,
    )
  expectSame(source, kept.setting, trainer.setting, 'Make model and trainer as they were, or begin anew.')
  const get = (name: string, length: number): TypedArray => {
    const data = arrays.get(name)?.data
    if (data?.length !== length || data instanceof Float64Array)
      throw new DunlinError(
        `${source}: the checkpoint has ${data?.length ?? 'no'} values of "${name}", wanted ${length}. It is of another version of dunlin: begin anew.`,
      )
    return data
  }
  return {
    content: kept,
    source,
    weights: new Map(trainer.params.map((p) => [p.name, get(weightsOf(p), p.data.length)])),
    state: trainer.state.map((region, i) => get(stateOf(region, i), region.length)),
  }
}

const weightsOf = (param: Param) => `weights ${param.name}`
/** The number: names of state need not be unique. */
const stateOf = (region: Region, i: number) => `state ${i} ${region.name}`

/** Throws what differs between the two. */
export function expectSame(source: string, kept: Setting, now: Setting, remedy: string): void {
  const text = (v: unknown) => (v === undefined ? 'none' : typeof v === 'string' ? v : JSON.stringify(v))
  const different = Object.keys(now).flatMap((key) => {
    const [is, was] = [now[key], kept?.[key]]
    if (JSON.stringify(is) === JSON.stringify(was)) return []
    if (!Array.isArray(is) || !Array.isArray(was)) return [`${key} is ${text(is)}, the checkpoint has ${text(was)}`]
    const at = Array.from({ length: Math.max(is.length, was.length) }).findIndex((_, i) => is[i] !== was[i])
    return [`${key}: number ${at + 1} is ${text(is[at])}, the checkpoint has ${text(was[at])}`]
  })
  if (different.length) throw new DunlinError(`${source}: it is of another training: ${different.join('; ')}. ${remedy}`)
}

/** Each node as text: what it computes, and of parameters which weights are pruned. */
export function describe(nodes: readonly Node[]): string[] {
  const index = new Map(nodes.map((n, i) => [n, i]))
  return nodes.map((node) => {
    const inputs = node.inputs.map((x) => index.get(x))
    const detail = isParam(node)
      ? { trainable: node.attrs.trainable, ...(node.mask && { mask: crc32(node.mask) }) }
      : { ...(node.attrs as object), inputs }
    return `${where(node)} [${node.shape}] ${JSON.stringify(detail)}`
  })
}
