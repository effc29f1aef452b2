// dunlin, from the build in ../../../dist. The input is made an output of the plan too, so that its memory is not used again and a run
// needs no new input: the peers that keep tensors of their own are timed the same way.
import { adam, bestBuild, planInference, Session, Trainer } from '../../../dist/index.js'

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

/**
 * A training step of cross entropy by Adam with its defaults, always on the same batch, `labels` class indices: `run` takes the step,
 * `read` says its loss. A step copies the batch in.
 */
export async function loadTraining() {
  return async (model, { x, labels }, rate) => {
    const optimizer = adam({ lr: rate })
    const plan = new Trainer(model, { batch: labels.length, optimizer, build, threads: 1 }).plan()
    const session = await Session.create(plan, { build, threads: 1 })
    const { state, inputs, outputs } = session.plan
    const hyper = session.view(state.find((r) => r.name === 'hyper'))
    const [loss, feeds] = [session.view(outputs[0]), [x, labels, new Float32Array(labels.length).fill(1)]]
    let step = 0
    const run = () => {
      for (const [i, values] of feeds.entries()) session.feed(inputs[i], values)
      hyper.set(optimizer.hyper(++step, rate))
      session.run()
    }
    return { run, read: () => loss[0] }
  }
}
