// A module that learns, beyond its plan: the body of `train_step`, and how a host finds what training changes. `train_step` is a run, then the
// calls of the loss, and where that is finite those of the gradients and of the update: on the label of the sample that lies in the input.

import { BYTES } from '../graph/node'
import type { Learning } from '../plan/plan'
import { NO_RESULT, OPCODE, VALUE_TYPES, Writer } from './binary'
import type { FunctionType } from './kernels'

/** (label) -> loss. */
const TRAIN_STEP: FunctionType = { params: ['i32'], results: ['f32'] }

/** How a module learns, in its metadata. Offsets are bytes from the start of `parameters`; elements are f32, the count is i32. */
export interface TrainingMetadata {
  /** Samples between two updates. */
  batch: number
  /** 'label': train_step takes the index of the class; 'target': the host writes what the output should be at `target`. */
  truth: 'label' | 'target'
  /**
   * All that training changes, in order: each parameter that learns as `<layer>/w`, `<layer>/b`; with momentum `<parameter>/velocity`; with
   * a batch `d <parameter>`, the sum of gradients so far, and `count`, the samples in it.
   */
  parameters: { name: string; offset: number; length: number }[]
}

export function describeTraining({ batch, target, parameters }: Learning): TrainingMetadata {
  const [{ address: start }] = parameters
  return {
    batch,
    truth: target ? 'target' : 'label',
    parameters: parameters.map(({ name, address, length }) => ({ name, offset: address - start, length })),
  }
}

/** The constants that a module which learns exports beside those of any module. */
export function trainingGlobals({ parameters, target }: Learning): [name: string, value: number][] {
  const [first] = parameters
  const last = parameters[parameters.length - 1]
  return [
    ['parameters', first.address],
    ['parameters_bytes', last.address + last.length * BYTES[last.dtype] - first.address],
    ...(target
      ? ([
          ['target', target.address],
          ['target_bytes', target.length * BYTES[target.dtype]],
        ] as [string, number][])
      : []),
  ]
}

/** Its macros, after those of the header. */
export function trainingMacros(prefix: string, learning: Learning): string {
  const globals = new Map(trainingGlobals(learning))
  const macros = [...globals].map(([name, value]) => {
    const macro = name.endsWith('_bytes') ? name : `${name}_address`
    return `#define ${prefix}_${macro.toUpperCase()} ${value}u`
  })
  const how = learning.target
    ? `the output should be at ${prefix}_TARGET_ADDRESS (float, ${prefix}_TARGET_BYTES bytes), then call it with any number.`
    : 'class the sample is of, as its index.'
  return `
/* It learns: write a sample as for a run, then call "train_step" (int32_t -> float) ${learning.target ? 'after writing what' : 'with which'}
 * ${how}
 * It leaves the output as a run does, and returns the loss. A loss that is no finite number (a class that there is not, a sample that
 * overflows) changes nothing. What it changes lies at PARAMETERS_ADDRESS: copy it out to keep it, and back in after a restart. */
${macros.join('\n')}
`
}

/** Natural alignment of 4 bytes, offset 0. */
const MEMORY = [2, 0]
/** Locals: the parameter, the loss, and what counts in loops. */
const [LABEL, LOSS, COUNTER] = [0, 1, 2]

/** The function. `run` is the index of that one; `append` writes the calls from one to before another, `end` being after the last. */
export function writeTrainStep(
  { phases, label, loss, count, batch }: Learning,
  run: number,
  end: number,
  append: (code: Writer, from: number, to: number, counter: number) => number,
): { type: FunctionType; body: Uint8Array } {
  const code = new Writer()
  let loops = 0
  const calls = (from: number, to: number) => {
    // A counter that was used is not 0 any more.
    if (loops) code.raw([OPCODE.i32Const, 0, OPCODE.localSet, COUNTER])
    loops += append(code, from, to, COUNTER)
  }
  const constant = (value: number) => code.byte(OPCODE.i32Const).i32(value)
  const leave = [OPCODE.if, NO_RESULT, OPCODE.localGet, LOSS, OPCODE.return, OPCODE.end]
  code.byte(OPCODE.call).u32(run).byte(OPCODE.drop)
  // Only now: during a run its place has other uses.
  if (label) constant(label.address).raw([OPCODE.localGet, LABEL, OPCODE.i32Store, ...MEMORY])
  calls(phases.loss, phases.gradients)
  constant(loss.address).raw([OPCODE.f32Load, ...MEMORY, OPCODE.localTee, LOSS])
  // What is not finite is not 0 when taken off itself.
  code.raw([OPCODE.localGet, LOSS, OPCODE.f32Sub, OPCODE.f32Const]).f32(0).byte(OPCODE.f32Ne).raw(leave)
  calls(phases.gradients, phases.update)
  if (count) {
    constant(count.address)
    constant(count.address).raw([OPCODE.i32Load, ...MEMORY, OPCODE.i32Const, 1, OPCODE.i32Add, OPCODE.i32Store, ...MEMORY])
    constant(count.address).raw([OPCODE.i32Load, ...MEMORY])
    constant(batch).byte(OPCODE.i32LtS).raw(leave)
    constant(count.address).raw([OPCODE.i32Const, 0, OPCODE.i32Store, ...MEMORY])
  }
  calls(phases.update, end)
  code.raw([OPCODE.localGet, LOSS, OPCODE.end])
  const locals = new Writer()
    .u32(loops ? 2 : 1)
    .u32(1)
    .byte(VALUE_TYPES.f32)
  if (loops) locals.u32(1).byte(VALUE_TYPES.i32)
  return { type: TRAIN_STEP, body: locals.raw(code.bytes()).bytes() }
}
