// Threads: workers on the session's memory, which take parts of its split calls. The caller's thread walks the list alone; at a split
// call it offers the parts, takes what nobody else has taken, and goes on when all are done. A part is the same wherever it runs, so how
// many workers there are, and how awake, changes no result; a worker that sleeps or is slow to start is not waited for.
// The workers are one crew for all sessions of a process (of a JavaScript thread, to be exact: one of its sessions runs at a time). They
// join and leave sessions by messages, and go when the last session is gone.

import { DunlinError } from '../graph/error'
import { BOARD, CONTROL, FREE, type FromWorker, partWord, SPIN, TEXT, type ToWorker, WORKER } from './worker'

/** Cores that this process may use: how many threads a model or a trainer takes unless told otherwise. */
export function availableThreads(): number {
  const os = node()?.getBuiltinModule?.('node:os')
  const cores = os ? os.availableParallelism() : typeof navigator === 'undefined' ? 1 : navigator.hardwareConcurrency
  return Math.max(1, cores || 1)
}

/** Node, Deno or Bun: whatever has its built-in modules. */
const node = () => (typeof process === 'undefined' || !process?.versions?.node ? undefined : process)

/** Why there can be no threads here; undefined where there can. */
export function noThreads(): string | undefined {
  if (globalThis.crossOriginIsolated === false && !node())
    return 'the page is not cross-origin isolated: serve it with Cross-Origin-Opener-Policy "same-origin" and Cross-Origin-Embedder-Policy "require-corp"'
  if (typeof SharedArrayBuffer === 'undefined') return 'this host has no SharedArrayBuffer'
  if (node()) return node()?.getBuiltinModule ? undefined : 'threads want Node 20.16 or later'
  return typeof Worker === 'undefined' ? 'this host has no workers' : undefined
}

/** One worker, seen from here. */
interface Hand {
  readonly index: number
  send(message: ToWorker): void
  /** Ends it at once, whatever it does. */
  end(): void
  /** What to tell whose session it is about to join. */
  readonly joining: Map<number, (error?: string) => void>
}

/** A worker that has not said that it joined after so many milliseconds is none. */
const START = 10_000
/** A part may take so many milliseconds, or so many times what this thread's own took, before the worker that has it counts as lost. */
const PATIENCE = 5_000
const PATIENCE_FACTOR = 50
/** Milliseconds of one sleep. Time is counted in these, so that a suspended machine loses no worker. */
const SLICE = 50

class Crew {
  readonly board = new Int32Array(new SharedArrayBuffer(4 * BOARD.length))
  private readonly hands: Hand[] = []
  private readonly teams = new Map<number, Team>()
  private started = 0
  private joined = 0
  private readonly gone = new FinalizationRegistry<number>((id) => this.leave(id))

  async join(
    module: WebAssembly.Module,
    memory: WebAssembly.Memory,
    calls: { kernel: string; parts: number[][] }[],
    threads: number,
  ): Promise<Team> {
    while (this.hands.length < threads - 1) this.hands.push(this.start())
    const hands = this.hands.slice(0, threads - 1)
    const id = ++this.joined
    const most = Math.max(...calls.map(({ parts }) => parts.length))
    const control = new Int32Array(new SharedArrayBuffer(4 * partWord(most)))
    const team = new Team(this, id, control, hands)
    this.teams.set(id, team)
    let timer: ReturnType<typeof setTimeout> | undefined
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new Error(`it did not answer within ${START / 1000} s`)), START)
    })
    const joined = hands.map((hand, i) => {
      hand.send({ kind: 'join', id, module, memory, control, calls, turn: i + 1, most })
      return new Promise<void>((resolve, reject) => {
        hand.joining.set(id, (error) => (error === undefined ? resolve() : reject(new Error(error))))
      })
    })
    try {
      await Promise.race([Promise.all(joined), late])
    } catch (error) {
      this.leave(id)
      throw error
    } finally {
      // It also kept the process alive, which workers do not.
      clearTimeout(timer)
      for (const { joining } of hands) joining.delete(id)
    }
    return team
  }

  /** The team's workers leave when `session` is garbage. */
  watch(session: object, team: Team): void {
    this.gone.register(session, team.id)
  }

  /** Wakes every worker to look at the board and at its mail. */
  ring(): void {
    Atomics.add(this.board, BOARD.ticket, 1)
    if (Atomics.load(this.board, BOARD.sleepers)) Atomics.notify(this.board, BOARD.ticket)
  }

  /** Sessions of a lost worker cannot go on; new ones get another. */
  lose(hand: Hand, why: string): void {
    const at = this.hands.indexOf(hand)
    if (at >= 0) this.hands.splice(at, 1)
    for (const [, answer] of hand.joining) answer(why)
    for (const team of this.teams.values()) if (team.hands.includes(hand)) team.failure ??= `worker ${hand.index} is lost: ${why}`
  }

  private leave(id: number): void {
    const team = this.teams.get(id)
    this.teams.delete(id)
    for (const hand of team?.hands ?? []) hand.send({ kind: 'leave', id })
    if (this.teams.size === 0) for (const hand of this.hands.splice(0)) hand.send({ kind: 'quit' })
  }

  private start(): Hand {
    const index = ++this.started
    const mail = new Int32Array(new SharedArrayBuffer(4))
    const joining: Hand['joining'] = new Map()
    const port = openWorker({
      message: ({ joined, error }) => joining.get(joined)?.(error),
      lost: (why) => this.lose(hand, why),
    })
    const hand: Hand = {
      index,
      joining,
      send: (message) => {
        port.post(message)
        Atomics.add(mail, 0, 1)
        this.ring()
      },
      end: port.end,
    }
    hand.send({ kind: 'board', board: this.board, mail, index })
    return hand
  }
}

/** The workers of one session. */
export class Team {
  /** Why no run is possible any more. */
  failure?: string
  private readonly canSleep = canSleep()

  constructor(
    private readonly crew: Crew,
    readonly id: number,
    private readonly control: Int32Array,
    readonly hands: readonly Hand[],
  ) {}

  /** Before the calls of a run. */
  begin(): void {
    if (this.failure) throw this.error()
    Atomics.store(this.crew.board, BOARD.session, this.id)
  }

  /** Runs the parts of the `call`-th split call, here and in the workers, and returns when all are done. */
  run(call: number, parts: readonly (() => void)[]): void {
    const { control } = this
    Atomics.store(control, CONTROL.call, call)
    Atomics.store(control, CONTROL.done, 0)
    for (let part = 0; part < parts.length; part++) Atomics.store(control, partWord(part), FREE)
    this.crew.ring()
    const began = performance.now()
    let own = 0
    try {
      for (let part = 0; part < parts.length; part++) {
        if (Atomics.compareExchange(control, partWord(part), FREE, 0) !== FREE) continue
        parts[part]()
        own++
      }
    } catch (error) {
      this.failure ??= `a kernel failed (${(error as Error).message})`
      throw error
    }
    const others = parts.length - own
    if (Atomics.load(control, CONTROL.done) < others) this.wait(others, parts.length, performance.now() - began)
  }

  /** Until the workers have done `count` parts; `took`: milliseconds that this thread worked meanwhile. */
  private wait(count: number, parts: number, took: number): void {
    const { control } = this
    const began = performance.now()
    let slept = 0
    while (Atomics.load(control, CONTROL.done) < count) {
      const waited = performance.now() - began
      if (Atomics.load(control, CONTROL.failed)) this.fail(this.text())
      // Where it may not sleep, as on a page's main thread, it goes on looking.
      if ((this.canSleep ? slept : waited) > Math.max(PATIENCE, PATIENCE_FACTOR * took)) this.giveUp(parts)
      if (!this.canSleep || waited < SPIN) continue
      Atomics.store(control, CONTROL.waiting, 1)
      const done = Atomics.load(control, CONTROL.done)
      if (done < count && Atomics.wait(control, CONTROL.done, done, SLICE) === 'timed-out') slept += SLICE
      Atomics.store(control, CONTROL.waiting, 0)
    }
  }

  private text(): string {
    const { control } = this
    const text = String.fromCharCode(...control.subarray(CONTROL.text, CONTROL.text + TEXT)).replace(/\0.*/s, '')
    return `worker ${Atomics.load(control, CONTROL.failed)} failed: ${text}`
  }

  /** The worker that holds a part has ended, or hangs. */
  private giveUp(parts: number): never {
    const holders = Array.from({ length: parts }, (_, part) => -Atomics.load(this.control, partWord(part)))
    const hand = this.hands.find(({ index }) => holders.includes(index))
    const why = 'it took a part of a call and did not finish'
    if (hand) {
      hand.end()
      this.crew.lose(hand, why)
    }
    return this.fail(`worker ${hand?.index ?? '?'} is lost: ${why}`)
  }

  private fail(why: string): never {
    this.failure ??= why
    throw this.error()
  }

  private error(): DunlinError {
    return new DunlinError(
      `This session cannot run any more: ${this.failure}. Make a new one, with threads: 1 to do without workers.`,
    )
  }
}

/** Whether this thread may sleep: the main thread of a page may not. */
function canSleep(): boolean {
  try {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 1, 0)
    return true
  } catch {
    return false
  }
}

let crew: Crew | undefined

/** Workers for a session on `memory`, `threads` minus one; throws where they cannot be started. Call `watch` with it. */
export async function joinCrew(...work: Parameters<Crew['join']>): Promise<Team> {
  crew ??= new Crew()
  return crew.join(...work)
}

/** Lets the workers of a team go when `session` is garbage. */
export function watch(session: object, team: Team): void {
  crew?.watch(session, team)
}

interface Port {
  post(message: ToWorker): void
  end(): void
}

/** Starts a worker. `lost` is told once it is not there any more. */
function openWorker(on: { message: (message: FromWorker) => void; lost: (why: string) => void }): Port {
  const threads = node()?.getBuiltinModule?.('node:worker_threads')
  if (threads) {
    const source = `const { parentPort } = require('node:worker_threads')\nconst port = parentPort\n${WORKER}`
    const worker = new threads.Worker(source, { eval: true, execArgv: [], name: 'dunlin' })
    worker.on('message', on.message)
    worker.on('error', (error) => on.lost(error.message))
    worker.on('exit', (code) => on.lost(`it ended with code ${code}`))
    // Last: to listen is to hold the process.
    worker.unref()
    return { post: (message) => worker.postMessage(message), end: () => void worker.terminate() }
  }
  const url = URL.createObjectURL(new Blob([`const port = self\n${WORKER}`], { type: 'text/javascript' }))
  const worker = new Worker(url, { name: 'dunlin' })
  worker.onmessage = ({ data }) => {
    URL.revokeObjectURL(url)
    on.message(data)
  }
  worker.onerror = ({ message }) => on.lost(message || 'the page may not start workers from a blob (its content security policy)')
  return { post: (message) => worker.postMessage(message), end: () => worker.terminate() }
}
