// What a file is an example of, by its name: the folder that holds it, or fields of its name, as in {digit}_{speaker}_{index}.wav.

import type { Skipped } from '../data/dataset'
import { DunlinError } from '../graph/error'
import type { Archive, NamedFile } from './tar'

export interface LabelOptions {
  /**
   * How files are named, with fields in braces: `{digit}_{speaker}_{index}.wav`. A field is any text without `/`, as short as the rest of
   * the name allows. With `/` in it, the pattern is that of the last folders, too.
   */
  pattern?: string
  /**
   * The field that is the label (default: the first of the pattern), or a function that makes it of a file's path and fields. Without a
   * pattern and a label, it is the name of the folder that holds the file.
   */
  label?: string | ((file: string, fields: Readonly<Record<string, string>>) => string)
  /** Only what lies in this folder of an archive, such as `train`, is looked at. */
  within?: string
  /** Names of the classes, in the order of their numbers. Default: those found, sorted. */
  labels?: readonly string[]
  /** Goes on after what cannot be used, and lists it in `skipped`. */
  skip?: boolean
  /** What errors call the files together: a folder or archive. */
  source?: string
}

export interface Labelled {
  file: NamedFile
  /** With the source in front. */
  path: string
  label: string
  fields: Record<string, string>
}

/** The label of each file that `kind` fits, in the order of their names; what is not one is skipped. `refuse` throws, or notes. */
export function labelled(
  archive: Archive | readonly NamedFile[],
  kind: { name: RegExp; what: string },
  options: LabelOptions,
  skipped: Skipped[],
): Labelled[] {
  const { source = '', label, labels, within } = options
  const { files, folders } = part('files' in archive ? archive : { files: archive, folders: [] }, within, source)
  const match = options.pattern === undefined ? undefined : matcher(options.pattern)
  if (typeof label === 'string' && !match?.fields.includes(label)) {
    const fields = match ? `the fields of ${options.pattern} are ${match.fields.join(', ')}` : 'there is no pattern'
    throw new DunlinError(
      `label "${label}": ${fields}. Name one of a pattern, such as {speaker}_{index}.wav, or give a function.`,
    )
  }
  const byFolder = !match && label === undefined
  const found: Labelled[] = []
  // One folder for each label, or examples of different sets would be mixed.
  const folderOf = new Map<string, string>()
  for (const file of [...files].sort((a, b) => (a.name < b.name ? -1 : 1))) {
    const path = pathOf(source, file.name)
    const [folder, name] = divide(file.name)
    if (isHidden(file.name)) continue
    if (!kind.name.test(name)) {
      skipped.push({ file: path, reason: `${path}: its name is not that of a ${kind.what}.` })
      continue
    }
    attempt(options.skip, path, skipped, () => {
      const fields = match ? match.read(file.name) : {}
      if (!fields)
        throw new DunlinError(`${path}: its name does not fit ${options.pattern}. Correct the pattern or leave it out.`)
      const own = byFolder
        ? divide(folder)[1]
        : typeof label === 'function'
          ? label(file.name, fields)
          : fields[label ?? match!.fields[0]]
      if (typeof own !== 'string' || !own)
        throw new DunlinError(
          `${path}: got label ${JSON.stringify(own)}, wanted a name. Put it into the folder of its class, or set label.`,
        )
      const other = byFolder ? folderOf.get(own) : undefined
      if (other !== undefined && other !== folder) {
        const got = `class "${own}" is in two folders, ${pathOf(source, other)} and ${pathOf(source, folder)}`
        throw new DunlinError(`${path}: ${got}. Load one part of the set (option within), or set label.`)
      }
      if (labels && !labels.includes(own))
        throw new DunlinError(
          `${path}: its class "${own}" is none of the labels ${labels.join(', ')}. Add it, or leave the file out.`,
        )
      folderOf.set(own, folder)
      found.push({ file, path, label: own, fields })
    })
  }
  if (byFolder)
    for (const folder of emptyOf(folders, found)) {
      const path = pathOf(source, folder)
      attempt(options.skip, path, skipped, () => {
        throw new DunlinError(`${path}: the folder of a class has no ${kind.what}. Fill it or remove it.`)
      })
    }
  return found
}

function part({ files, folders }: Archive, within: string | undefined, source: string): Archive {
  if (within === undefined) return { files, folders }
  const start = `${within.split('/').filter(Boolean).join('/')}/`
  const inside = {
    files: files.filter(({ name }) => name.startsWith(start)),
    folders: folders.filter((f) => f.startsWith(start)),
  }
  if (!inside.files.length) {
    const tops = [...new Set([...folders].map((f) => f.split('/')[0]))].sort()
    throw new DunlinError(`${source || 'files'}: no file is within ${start}. Folders in it are ${tops.join(', ') || 'none'}.`)
  }
  return inside
}

/** Folders without folders in them that hold none of the files found. */
function emptyOf(folders: readonly string[], found: readonly Labelled[]): string[] {
  const filled = new Set(found.map(({ file }) => divide(file.name)[0]))
  const parents = new Set(folders.map((folder) => divide(folder)[0]))
  return [...folders].sort().filter((f) => !filled.has(f) && !parents.has(f) && !isHidden(f))
}

/** Runs it; an error of ours is thrown, or where one goes on, noted. */
export function attempt<T>(skip: boolean | undefined, file: string, skipped: Skipped[], what: () => T): T | undefined {
  try {
    return what()
  } catch (error) {
    if (!skip || !(error instanceof DunlinError)) throw error
    skipped.push({ file, reason: error.message })
    return undefined
  }
}

/** Of programs and systems: .DS_Store, ._0001.jpg, .git. */
const isHidden = (path: string) => path.split('/').some((part) => part.startsWith('.'))
const divide = (path: string): [folder: string, name: string] => {
  const at = path.lastIndexOf('/')
  return [path.slice(0, Math.max(0, at)), path.slice(at + 1)]
}
const pathOf = (source: string, name: string) => (source && name ? `${source}/${name}` : source || name)

/** Reads the fields of a path, as a pattern says. */
function matcher(pattern: string): { fields: string[]; read(path: string): Record<string, string> | undefined } {
  const fields: string[] = []
  const text = pattern.split(/(\{\w+\})/).map((part, i) => {
    if (i % 2 === 0) return part.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&')
    fields.push(part.slice(1, -1))
    return '([^/]+?)'
  })
  if (!fields.length || new Set(fields).size < fields.length)
    throw new DunlinError(`pattern "${pattern}": wants fields in braces, each once, such as {speaker}_{index}.wav.`)
  const expression = new RegExp(`^${text.join('')}$`)
  const depth = pattern.split('/').length
  return {
    fields,
    read(path) {
      const values = expression.exec(path.split('/').slice(-depth).join('/'))
      return values ? Object.fromEntries(fields.map((field, i) => [field, values[i + 1]])) : undefined
    },
  }
}
