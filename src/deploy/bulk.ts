// memory.copy and memory.fill in copied kernels, for hosts that have no bulk memory: each becomes a call of a kernel that does the same in a
// loop. The call takes the bytes that the instruction took (its index has leading zeros), so that nothing else in the body moves.

import { OPCODE, Reader, Writer } from './binary'
import { dependency, type Kernel } from './kernels'

/** What stands in for 0xfc and this number. */
const LOOPS = new Map([
  [10, 'copy_u8'],
  [11, 'fill_u8'],
])
const PREFIX = 0xfc

/** Has the kernels of a module call what they need in place of these instructions; `loop` is a kernel by its name, added where it is called. */
export function replaceBulkMemory(names: string[], kernels: Kernel[], loop: (name: string) => Kernel): void {
  for (const [i, { type, body }] of [...kernels.entries()]) {
    const patched = body.slice()
    const what = `kernel "${names[i]}"`
    dependency(body, what, (opcode, start, end) => {
      const name = opcode === PREFIX && LOOPS.get(new Reader(body, what, start + 1).u32())
      if (!name) return
      if (!names.includes(name)) {
        names.push(name)
        kernels.push(loop(name))
      }
      patched.set(call(names.indexOf(name), end - start), start)
    })
    kernels[i] = { type, body: patched }
  }
}

/** A call that is so many bytes long. */
function call(index: number, length: number): Uint8Array {
  const w = new Writer().byte(OPCODE.call)
  for (let rest = index; w.length < length; rest >>>= 7) w.byte((rest & 0x7f) | (w.length < length - 1 ? 0x80 : 0))
  return w.bytes()
}
