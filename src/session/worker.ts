// What a worker runs, as text: it is started from a string, so that no bundler has to be told of a second file. It knows no network: it
// gets a module, a shared memory and lists of arguments, and takes parts of whatever call is offered.
//
// Words that all threads share. The board is one for all sessions of a process: `ticket` changes whenever there is something to look at.
// A session's control says which call is offered and, from PART on, for each of its parts whether it is there to be taken.

export const BOARD = { ticket: 0, session: 1, sleepers: 2, length: 3 } as const
export const CONTROL = { call: 0, done: 1, waiting: 2, failed: 3, text: 4 } as const
/** Longest text of a failure, in characters. */
export const TEXT = 124
/** Part p has word PART * (p + 1) + TEXT + 4: a cache line each, so that threads do not wait for each other's words. */
export const partWord = (part: number): number => CONTROL.text + TEXT + 16 * part
/** Of such a word: nobody's yet. Else the worker that has it, as a negative number, or 0: nothing to do. */
export const FREE = 1

/** Milliseconds that a thread looks for news before it goes to sleep: waking up takes about as long. */
export const SPIN = 0.05

export type ToWorker =
  | { kind: 'board'; board: Int32Array; mail: Int32Array; index: number }
  | {
      kind: 'join'
      id: number
      module: WebAssembly.Module
      memory: WebAssembly.Memory
      control: Int32Array
      /** The calls that are split. */
      calls: { kernel: string; parts: number[][] }[]
      /** The part that this worker looks at first: calls that follow each other then find their data in its cache. */
      turn: number
      most: number
    }
  | { kind: 'leave'; id: number }
  | { kind: 'quit' }

export type FromWorker = { joined: number; error?: string }

/** `port` is what the messages come from: see threads.ts for the line that goes before. */
export const WORKER = `
let board, mail, index, received = 0
const sessions = new Map()

port.onmessage = ({ data: message }) => {
  received++
  if (message.kind === 'quit') return port.close()
  if (message.kind === 'board') ({ board, mail, index } = message)
  if (message.kind === 'leave') sessions.delete(message.id)
  if (message.kind === 'join') join(message)
  serve()
}

function join({ id, module, memory, control, calls, turn, most }) {
  try {
    const { exports } = new WebAssembly.Instance(module, { env: { memory } })
    sessions.set(id, { control, calls: calls.map(({ kernel, parts }) => ({ kernel: exports[kernel], parts })), turn, most })
    port.postMessage({ joined: id })
  } catch (error) {
    port.postMessage({ joined: id, error: String(error && error.message) })
  }
}

// Takes parts until there is mail; messages come in only when this returns.
function serve() {
  while (Atomics.load(mail, 0) === received) {
    const ticket = Atomics.load(board, ${BOARD.ticket})
    const session = sessions.get(Atomics.load(board, ${BOARD.session}))
    if (session) take(session)
    if (Atomics.load(mail, 0) !== received || news(ticket)) continue
    Atomics.add(board, ${BOARD.sleepers}, 1)
    Atomics.wait(board, ${BOARD.ticket}, ticket)
    Atomics.sub(board, ${BOARD.sleepers}, 1)
  }
}

function news(ticket) {
  const until = performance.now() + ${SPIN}
  do {
    for (let i = 0; i < 64; i++) if (Atomics.load(board, ${BOARD.ticket}) !== ticket) return true
  } while (performance.now() < until)
  return false
}

function take({ control, calls, turn, most }) {
  for (let i = 0; i < most; i++) {
    const part = (turn + i) % most
    const word = ${partWord(0)} + 16 * part
    if (Atomics.load(control, word) !== ${FREE} || Atomics.compareExchange(control, word, ${FREE}, -index) !== ${FREE}) continue
    // Read only now: while a part of it is not done the call cannot change.
    const { kernel, parts } = calls[Atomics.load(control, ${CONTROL.call})]
    try {
      kernel(...parts[part])
    } catch (error) {
      const text = String(error && error.message).slice(0, ${TEXT} - 1)
      for (let j = 0; j < text.length; j++) control[${CONTROL.text} + j] = text.charCodeAt(j)
      Atomics.store(control, ${CONTROL.failed}, index)
      Atomics.notify(control, ${CONTROL.done})
      return
    }
    Atomics.store(control, word, 0)
    Atomics.add(control, ${CONTROL.done}, 1)
    if (Atomics.load(control, ${CONTROL.waiting})) Atomics.notify(control, ${CONTROL.done})
  }
}
`
