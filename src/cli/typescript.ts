// Configurations in TypeScript. A Node that knows the language imports them itself; for one that does not, esbuild, where the user's project
// has it, makes one module of the configuration and what it imports by relative paths. Packages stay where they are, so that a
// configuration and the command line share one dunlin.

import { createRequire } from 'node:module'
import { pathToFileURL } from 'node:url'

/** What a configuration uses of esbuild's API. */
interface Esbuild {
  build(options: object): Promise<{ outputFiles: { text: string }[] }>
}

interface Resolving {
  resolve(path: string, options: object): Promise<{ path: string; external: boolean; errors: object[] }>
  onResolve(
    on: { filter: RegExp },
    answer: (asked: { path: string; kind: string; resolveDir: string; pluginData?: unknown }) => Promise<object | undefined>,
  ): void
}

/** The exports of the module at `whole`, an absolute path; undefined where there is no esbuild beside it. */
export async function importTypeScript(whole: string): Promise<Record<string, unknown> | undefined> {
  let esbuild: Esbuild
  try {
    esbuild = createRequire(whole)('esbuild')
  } catch {
    return undefined
  }
  const packages = {
    name: 'packages',
    setup(build: Resolving) {
      build.onResolve({ filter: /^[^./]/ }, async ({ path, kind, resolveDir, pluginData }) => {
        if (kind === 'entry-point' || pluginData === packages) return undefined
        const found = await build.resolve(path, { kind, resolveDir, pluginData: packages })
        // A module made of text has no folder to find packages from: they are named by where they are. Node's own stay as they are.
        return found.errors.length || found.external ? found : { path: pathToFileURL(found.path).href, external: true }
      })
    },
  }
  const { outputFiles } = await esbuild.build({
    ...{ entryPoints: [whole], bundle: true, write: false, format: 'esm', platform: 'node', logLevel: 'silent' },
    plugins: [packages],
  })
  return await import(`data:text/javascript,${encodeURIComponent(outputFiles[0].text)}`)
}
