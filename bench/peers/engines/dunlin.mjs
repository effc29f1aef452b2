// dunlin, from the build in ../../../dist. The input is made an output of the plan too, so that its memory is not used again and a run
// needs no new input: the peers that keep tensors of their own are timed the same way.
import { bestBuild, planInference, Session } from '../../../dist/index.js'

export const build = bestBuild()

/** `fresh`: every run copies its input in, as with a new image. */
export async function load() {
  return async (model, batch, x, fresh) => {
    const session = await Session.create(planInference([...model.outputs, ...model.inputs], { batch }), { build })
    const { inputs, outputs } = session.plan
    session.feed(inputs[0], x)
    const live = session.view(inputs[0])
    const stored = live.slice()
    const run = () => {
      if (fresh) live.set(stored)
      session.run()
    }
    return { run, read: () => session.fetch(outputs[0]), stored }
  }
}
