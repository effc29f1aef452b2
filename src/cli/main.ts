// The command line: `dunlin demo | train | eval | predict | summary | build | convert`. A mistake of the user's ends in one line on stderr and exit code 1.

import { join } from 'node:path'
import { parseArgs } from 'node:util'
import type { TrainOptions } from '../deploy'
import { loadIdxFolder } from '../files'
import { DunlinError } from '../graph/error'
import { readModel } from '../node'
import { build } from './build'
import { convert } from './convert'
import { demo, heldOutDigits } from './demo'
import { readExperiment } from './experiment'
import { predict } from './predict'
import { testPart, train } from './train'

const HELP = `dunlin: train, compress and deploy small neural networks

  dunlin demo                  train the tiny CNN on handwritten digits, prune, quantize, build the module, test it
      --data DIR               a data set in MNIST's file layout instead of the digits
      --classes N              its number of classes (10)
      --epochs N               default: 100 for the digits, 5 for other data
      --seed N                 of the split, the weights and the order of the samples (0)
      --out DIR                where the artifacts go (out)
      --json                   print the results as JSON, nothing else
  dunlin train CONFIG          train a network as a configuration says, JSON or a module; after an interruption go on
      --out DIR                where model, int8 model, log, curves and checkpoints go (out/NAME)
      --epochs N, --seed N     in place of the configuration's
      --threads N              how many share the work (the cores available); the result is the same
      --fresh                  begin anew where an earlier run left checkpoints
      --json                   print the results as JSON, nothing else
  dunlin eval MODEL            its accuracy on the held-out digits, on the test part of a configuration (--config CONFIG), or on that of a
                               folder in MNIST's layout (--data DIR [--classes N]) [--seed N]
  dunlin predict MODEL FILE... what it says of images, sounds, arrays (.npy) or rows (.csv) [--json]
  dunlin summary MODEL         its layers, sizes and costs
  dunlin convert IN OUT        a model as another kind of file, by the names' ends (.safetensors, .tflite, .onnx): what became of each operator,
                               and a check that both compute the same [--seed N]
  dunlin build MODEL -o FILE   a model as one standalone .wasm, with a C header and a loader beside it; prints what it takes
      --target NAME            aot (for hosts that compile), simd, or interpreter
      --weights PLACE          flash (weights stay in the file) or ram (they are copied at the start)
      --input TYPE             u8 (bytes of a camera) or i16 (samples of a sensor): it normalizes and quantizes them itself
      --output probabilities   a softmax follows the logits
      --train LAYERS           it also learns: the last layer (last), all, or those of these names: dense or conv1/b,dense
          --optimizer NAME     sgd (the default) or momentum
          --lr RATE            the size of a step (0.005)
          --momentum SHARE     of the step before (0.9)
          --batch N            samples between two updates (1)
          --loss NAME          crossEntropy (train_step is told the class) or meanSquaredError (the host writes the target)
      --ram BYTES              refuse what takes more RAM, and say which layer it is
      --flash BYTES            refuse what takes more flash
      --json                   print the report as JSON, nothing else

MODEL is a file written by dunlin (.safetensors); predict takes a module (.wasm), too.`

const OPTIONS = {
  data: { type: 'string' },
  classes: { type: 'string' },
  epochs: { type: 'string' },
  seed: { type: 'string' },
  config: { type: 'string' },
  threads: { type: 'string' },
  fresh: { type: 'boolean' },
  out: { type: 'string', short: 'o' },
  target: { type: 'string' },
  weights: { type: 'string' },
  input: { type: 'string' },
  output: { type: 'string' },
  train: { type: 'string' },
  optimizer: { type: 'string' },
  lr: { type: 'string' },
  momentum: { type: 'string' },
  batch: { type: 'string' },
  loss: { type: 'string' },
  ram: { type: 'string' },
  flash: { type: 'string' },
  json: { type: 'boolean' },
  help: { type: 'boolean', short: 'h' },
} as const
type OptionName = keyof typeof OPTIONS
/** How a module learns. */
const LEARNING = ['optimizer', 'lr', 'momentum', 'batch', 'loss'] as const

/** Which options each command takes, and how many files (`more`: or more). */
const COMMANDS: Record<string, { options: readonly OptionName[]; files: number; more?: true }> = {
  demo: { options: ['data', 'classes', 'epochs', 'seed', 'out', 'json'], files: 0 },
  train: { options: ['out', 'epochs', 'seed', 'threads', 'fresh', 'json'], files: 1 },
  eval: { options: ['config', 'data', 'classes', 'seed'], files: 1 },
  predict: { options: ['json'], files: 2, more: true },
  summary: { options: [], files: 1 },
  build: {
    options: ['out', 'target', 'weights', 'input', 'output', 'train', ...LEARNING, 'ram', 'flash', 'json'],
    files: 1,
  },
  convert: { options: ['seed'], files: 2 },
}

async function main(args: string[]): Promise<void> {
  const { values, positionals } = parse(args)
  const [name, ...files] = positionals
  if (values.help || name === undefined) {
    console.log(HELP)
    return
  }
  const command = Object.hasOwn(COMMANDS, name) && COMMANDS[name]
  if (!command)
    throw new DunlinError(`There is no command "${name}"; there are ${Object.keys(COMMANDS).join(', ')}. See dunlin --help.`)
  for (const option of Object.keys(values) as OptionName[]) {
    if (!command.options.includes(option)) throw new DunlinError(`dunlin ${name} takes no --${option}. See dunlin --help.`)
  }
  if (files.length < command.files || (files.length > command.files && !command.more)) {
    const wanted = `${command.files || 'no'} file${command.files === 1 ? '' : 's'}${command.more ? ' or more' : ''}`
    throw new DunlinError(`dunlin ${name} wants ${wanted}, got ${files.length}. See dunlin --help.`)
  }
  const classes = integer('classes', values.classes ?? '10', 2)
  const seed = integer('seed', values.seed ?? '0', 0)
  const given = (option: 'epochs' | 'seed' | 'threads', least: number) =>
    values[option] === undefined ? undefined : integer(option, values[option], least)
  if (name === 'demo') {
    await demo({
      data: values.data,
      classes,
      epochs: given('epochs', 1),
      seed,
      out: values.out ?? 'out',
      json: values.json ?? false,
    })
  } else if (name === 'train') {
    const out = values.out ?? join('out', (await readExperiment(files[0])).name)
    const numbers = { epochs: given('epochs', 1), seed: given('seed', 0), threads: given('threads', 1) }
    await train(files[0], { out, ...numbers, fresh: values.fresh ?? false, json: values.json ?? false })
  } else if (name === 'predict') {
    await predict(files[0], files.slice(1), values.json ?? false)
  } else if (name === 'convert') await convert(files[0], files[1], seed)
  else if (name === 'summary') console.log(readModel(files[0]).summary())
  else if (name === 'eval') {
    const model = readModel(files[0])
    if (values.config !== undefined && values.data !== undefined)
      throw new DunlinError('dunlin eval takes --config or --data, not both. See dunlin --help.')
    const data =
      values.config !== undefined
        ? await testPart(values.config, given('seed', 0))
        : (values.data === undefined ? heldOutDigits(seed) : loadIdxFolder(values.data, { classes })).test
    const { accuracy } = await model.evaluate(data)
    console.log(`${files[0]}: accuracy ${accuracy.toFixed(4)} on ${data.count} samples`)
  } else {
    const out = values.out ?? files[0].replace(/(\.safetensors)?$/, '.wasm')
    const target = oneOf('target', values.target ?? 'aot', ['aot', 'interpreter', 'simd'])
    const weights = oneOf('weights', values.weights ?? 'flash', ['flash', 'ram'])
    const input = values.input === undefined ? undefined : oneOf('input', values.input, ['u8', 'i16'])
    const output = values.output === undefined ? undefined : oneOf('output', values.output, ['probabilities'])
    const budget = (option: 'ram' | 'flash') => (values[option] === undefined ? undefined : integer(option, values[option], 1))
    const budgets = { ramBytes: budget('ram'), flashBytes: budget('flash') }
    const train = learning(values)
    await build(files[0], out, { target, weights, input, output, train, ...budgets }, values.json ?? false)
  }
}

/** What buildModule is told of learning; nothing when it does not learn. */
function learning(values: Partial<Record<'train' | (typeof LEARNING)[number], string>>): TrainOptions | undefined {
  const { train } = values
  if (train === undefined) {
    const stray = LEARNING.find((option) => values[option] !== undefined)
    if (stray) throw new DunlinError(`--${stray} belongs to --train. See dunlin --help.`)
    return undefined
  }
  const names = train.split(',').map((name) => name.trim())
  if (names.includes('')) throw new DunlinError(`--train wants last, all or names of layers with commas between, got "${train}".`)
  const optimizer = oneOf('optimizer', values.optimizer ?? 'sgd', ['sgd', 'momentum'])
  if (values.momentum !== undefined && optimizer !== 'momentum')
    throw new DunlinError('--momentum belongs to --optimizer momentum. See dunlin --help.')
  const loss = values.loss === undefined ? undefined : oneOf('loss', values.loss, ['crossEntropy', 'meanSquaredError'])
  return {
    layers: train === 'last' || train === 'all' ? train : names,
    optimizer,
    lr: real('lr', values.lr ?? '0.005'),
    momentum: values.momentum === undefined ? undefined : real('momentum', values.momentum, 1),
    batch: integer('batch', values.batch ?? '1', 1),
    loss,
  }
}

function parse(args: string[]) {
  try {
    return parseArgs({ args, options: OPTIONS, allowPositionals: true })
  } catch (error) {
    throw new DunlinError(`${(error as Error).message.split(/\.\s/)[0]}. See dunlin --help.`)
  }
}

function oneOf<T extends string>(option: string, text: string, names: readonly T[]): T {
  const found = names.find((name) => name === text)
  const [last, ...others] = [...names].reverse()
  const list = others.length ? `${others.reverse().join(', ')} or ${last}` : last
  if (!found) throw new DunlinError(`--${option} wants ${list}, got "${text}".`)
  return found
}

function integer(option: string, text: string, least: number): number {
  const value = /^\d+$/.test(text) ? Number(text) : Number.NaN
  if (!Number.isSafeInteger(value) || value < least)
    throw new DunlinError(`--${option} wants an integer from ${least} on, got "${text}".`)
  return value
}

function real(option: string, text: string, end = Infinity): number {
  const value = text.trim() === '' ? Number.NaN : Number(text)
  const wanted = end < Infinity ? `a number between 0 and ${end}` : 'a number above 0'
  if (!(value > 0 && value < end)) throw new DunlinError(`--${option} wants ${wanted}, got "${text}".`)
  return value
}

main(process.argv.slice(2)).catch((error: unknown) => {
  // Anything but a DunlinError is a bug of dunlin's: its stack helps to find it.
  // One line, also when the message quotes a file.
  console.error(error instanceof DunlinError ? `dunlin: ${error.message.replace(/\s*\n\s*/g, ' ')}` : error)
  process.exitCode = 1
})
