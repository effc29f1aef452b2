// Builds dunlin: AssemblyScript kernels -> build/*.wasm -> build/kernels.js (base64), a module's loader -> build/loader.js (text),
// then dist/ by esbuild and tsc.
// Everything it writes (build/, dist/) is derived and not in git. `node build.mjs kernels` stops before dist/.
// The AssemblyScript compile is skipped when no source is newer than its output.
import { execFile } from 'node:child_process'
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { build } from 'esbuild'

export const BUILDS = ['scalar', 'simd', 'relaxed', 'interpreter']
const newest = (paths) => Math.max(...paths.map((p) => statSync(p).mtimeMs))
const tree = (dir) => readdirSync(dir, { recursive: true }).map((f) => `${dir}/${f}`)
const node = async (...args) => {
  try {
    await promisify(execFile)(process.execPath, args)
  } catch ({ stdout, stderr }) {
    process.stderr.write(stdout + stderr)
    process.exit(1)
  }
}

/** The files of dunlin/data, of dunlin/node and of dunlin/zoo (tinyCnn is in `dunlin`, too). */
const DECODE = resolve('src/decode')
const DECODERS = readdirSync(DECODE).map((f) => join(DECODE, f))
const FOR_NODE = ['node', 'checkpoints', 'files', 'folders', 'logs', 'progress'].map((f) => resolve(`src/${f}.ts`))

const ZOO = readdirSync('src/zoo').flatMap((f) => (f === 'tinyCnn.ts' ? [] : [resolve('src/zoo', f)]))

/** Folders that are an entry. */
const ENTRIES = new Map(['zoo', 'formats'].map((entry) => [resolve('src', entry), entry]))

/** Those of dunlin/formats, and what has no state that they share. */
const FORMATS = [
  ...tree('src/formats').flatMap((f) => (f.endsWith('.ts') ? [resolve(f)] : [])),
  ...['src/graph/arithmetic.ts', 'src/graph/node.ts', 'src/model/safetensors.ts', 'src/ops/op.ts', 'src/ops/window.ts'].map((f) =>
    resolve(f),
  ),
]

/** The command line, and what of its files is no entry of its own. */
const CLI = [
  ...['src/cli', 'src/report'].flatMap((folder) => readdirSync(folder).map((f) => resolve(folder, f))),
  ...['src/graph/node.ts', 'src/model/table.ts'].map((f) => resolve(f)),
  ...FOR_NODE,
]

/** CommonJS libraries bundled into an ES module call require() for Node's own modules. */
const REQUIRE = `import { createRequire as __createRequire } from 'node:module'; const require = __createRequire(import.meta.url);`

mkdirSync('build', { recursive: true })
const sources = newest([...tree('assembly'), 'asconfig.json', 'build.mjs', 'node_modules/assemblyscript/package.json'])
const outputs = ['build/kernels.js', ...BUILDS.map((b) => `build/${b}.wasm`)]
if (!outputs.every(existsSync) || Math.min(...outputs.map((p) => statSync(p).mtimeMs)) < sources) {
  await Promise.all(
    BUILDS.map((target) => {
      const entry = `assembly/${target === 'interpreter' ? target : 'index'}.ts`
      return node('node_modules/assemblyscript/bin/asc.js', entry, '--config', 'asconfig.json', '--target', target)
    }),
  )
  const base64 = (b) => readFileSync(`build/${b}.wasm`).toString('base64')
  writeFileSync('build/kernels.js', BUILDS.map((b) => `export const ${b} = '${base64(b)}'\n`).join(''))
  writeFileSync('build/kernels.d.ts', BUILDS.map((b) => `export const ${b}: string\n`).join(''))
}

// The loader that is written beside a module: the file, small. Its one export is named at the end, where its type can stand before it.
const { outputFiles } = await build({
  ...{ entryPoints: ['src/deploy/load.ts'], bundle: true, minify: true, format: 'esm', target: 'es2022', write: false },
})
const [, code, name] = /^(.*)export\{(\w+) as load\};\s*$/s.exec(outputFiles[0].text)
const loader = `${code.trimEnd()}\n/** @type {Load} */ export const load=${name}\n`
writeFileSync('build/loader.js', `export const loader = ${JSON.stringify(loader)}\n`)
writeFileSync('build/loader.d.ts', 'export const loader: string\n')

if (process.argv[2] !== 'kernels') {
  rmSync('dist', { recursive: true, force: true })
  mkdirSync('dist/kernels', { recursive: true })
  for (const b of BUILDS) copyFileSync(`build/${b}.wasm`, `dist/kernels/${b}.wasm`)
  const common = { bundle: true, logLevel: 'warning', target: 'es2022', legalComments: 'eof', metafile: true }
  const universal = { ...common, entryPoints: ['src/index.ts'], platform: 'neutral', mainFields: ['module', 'main'] }
  const data = { ...universal, entryPoints: ['src/decode/index.ts'] }
  const forNode = { ...common, entryPoints: ['src/node.ts'], platform: 'node' }
  const formats = { ...universal, entryPoints: ['src/formats/index.ts'] }
  const zoo = { ...universal, entryPoints: ['src/zoo/index.ts'] }
  const [, ...bundles] = await Promise.all([
    node('node_modules/typescript/bin/tsc', '-p', 'tsconfig.types.json'),
    build({ ...universal, format: 'esm', outfile: 'dist/index.js' }),
    build({ ...universal, format: 'cjs', outfile: 'dist/index.cjs' }),
    build({ ...data, format: 'esm', outfile: 'dist/data.js', plugins: [besides(DECODERS, 'js')] }),
    build({ ...data, format: 'cjs', outfile: 'dist/data.cjs', plugins: [besides(DECODERS, 'cjs')] }),
    build({ ...forNode, format: 'esm', outfile: 'dist/node.js', plugins: [besides(FOR_NODE, 'js')], banner: { js: REQUIRE } }),
    build({
      ...{ ...forNode, format: 'cjs', outfile: 'dist/node.cjs', plugins: [besides(FOR_NODE, 'cjs')] },
      define: { 'import.meta.url': '__moduleUrl' },
      banner: { js: `const __moduleUrl = require('node:url').pathToFileURL(__filename).href;` },
    }),
    build({ ...formats, format: 'esm', outfile: 'dist/formats.js', plugins: [besides(FORMATS, 'js')] }),
    build({ ...formats, format: 'cjs', outfile: 'dist/formats.cjs', plugins: [besides(FORMATS, 'cjs')] }),
    build({ ...zoo, format: 'esm', outfile: 'dist/zoo.js', plugins: [besides(ZOO, 'js')] }),
    build({ ...zoo, format: 'cjs', outfile: 'dist/zoo.cjs', plugins: [besides(ZOO, 'cjs')] }),
    build({
      ...forNode,
      entryPoints: ['src/cli/main.ts'],
      ...{ minifyWhitespace: true, minifySyntax: true },
      format: 'esm',
      outfile: 'dist/cli.js',
      plugins: [besides(CLI, 'js')],
      banner: { js: `#!/usr/bin/env node\n${REQUIRE}` },
    }),
  ])
  writeFileSync('dist/LICENSES.txt', licenses(bundles.flatMap(({ metafile }) => Object.keys(metafile.inputs))))
  // Node's own module resolution wants whole file names in declarations; the sources leave them to the bundler.
  for (const file of tree('dist/types').filter((f) => f.endsWith('.d.ts'))) {
    const whole = (name) => (existsSync(join(dirname(file), name, 'index.d.ts')) ? `${name}/index.js` : `${name}.js`)
    const text = readFileSync(file, 'utf8')
    writeFileSync(
      file,
      text.replace(/((?:from|import)\s*\(?\s*)(['"])(\.[^'"]*)\2/g, (_, head, quote, name) => head + quote + whole(name) + quote),
    )
  }
  // The declarations name the kernels' own, at the same place relative to them as in the sources.
  mkdirSync('dist/build')
  for (const name of ['scalar', 'kernels']) copyFileSync(`build/${name}.d.ts`, `dist/build/${name}.d.ts`)
}

/** The terms of each package that is bundled, and the copyright notices in its files. */
function licenses(inputs) {
  const files = [...new Set(inputs)].filter((f) => f.includes('node_modules/')).sort()
  const folderOf = (f) => /^.*node_modules\/(?:@[^/]+\/)?[^/]+/.exec(f)[0]
  const texts = [...new Set(files.map(folderOf))].map((folder) => {
    const { name, version, license } = JSON.parse(readFileSync(`${folder}/package.json`, 'utf8'))
    const terms = readdirSync(folder).filter((f) => /^(licen[cs]e|notice)/i.test(f) && statSync(`${folder}/${f}`).isFile())
    const own = files.filter((f) => folderOf(f) === folder)
    const notices = own.flatMap((f) => readFileSync(f, 'utf8').match(/\/\*.*?\*\//gs) ?? []).filter((c) => /copyright/i.test(c))
    const parts = [...terms.map((f) => readFileSync(`${folder}/${f}`, 'utf8').trim()), ...new Set(notices)]
    return [`${name} ${version} (${license})`, ...parts].join('\n\n')
  })
  return `The files of this folder have in them:\n\n${texts.join(`\n\n${'-'.repeat(80)}\n\n`)}\n`
}

/** A bundle of its own files leaves what is universal to `dunlin`, and decoders to `dunlin/data`, so that all see the same classes. */
function besides(own, extension) {
  return {
    name: 'besides',
    setup(b) {
      b.onResolve({ filter: /^\./ }, ({ path, importer }) => {
        if (!own.includes(importer)) return
        const whole = resolve(dirname(importer), path)
        if (own.includes(`${whole}.ts`)) return
        const entry = dirname(whole) === DECODE || whole === DECODE ? 'data' : (ENTRIES.get(whole) ?? 'index')
        return { path: `./${entry}.${extension}`, external: true }
      })
    },
  }
}
