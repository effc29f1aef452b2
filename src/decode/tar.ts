// Archives: tar, plain or gzipped. tar is read by modern-tar, gzip by the host (DecompressionStream, in browsers and Node), which also checks
// its checksum. Nothing is written to a disk.

import { unpackTar } from 'modern-tar'
import { DunlinError } from '../graph/error'

/** A file of an archive or folder, by its path in it with `/`. */
export interface NamedFile {
  name: string
  read(): Uint8Array | Promise<Uint8Array>
}

export interface Archive {
  files: readonly NamedFile[]
  /** Paths of its folders, those without an entry of their own, too. */
  folders: readonly string[]
}

/** What decompressing may give: a small file may claim to hold far more. */
const MAX_BYTES = 2 ** 31

/** @throws DunlinError when the bytes are no whole gzip file, or hold more than `limit` bytes (default 2 GiB). */
export async function gunzip(bytes: Uint8Array, source: string, limit = MAX_BYTES): Promise<Uint8Array> {
  const chunks: Uint8Array[] = []
  let length = 0
  try {
    const reader = new Blob([bytes as BlobPart]).stream().pipeThrough(new DecompressionStream('gzip')).getReader()
    for (;;) {
      const { done, value } = await reader.read()
      if (done) break
      length += value.length
      if (length > limit) {
        await reader.cancel()
        break
      }
      chunks.push(value)
    }
  } catch (cause) {
    const got = `does not decompress (${(cause as Error).message})`
    throw new DunlinError(`${source}: ${got}, wanted a whole gzip file. It is cut short or damaged: copy or download it again.`, {
      cause,
    })
  }
  if (length > limit)
    throw new DunlinError(
      `${source}: holds more than ${limit} bytes, which is the limit. Unpack it, and load its parts one by one.`,
    )
  const whole = new Uint8Array(length)
  let at = 0
  for (const chunk of chunks) {
    whole.set(chunk, at)
    at += chunk.length
  }
  return whole
}

/** The files of a tar archive, gunzipped if it is gzip. Links are left out. @throws DunlinError when it is cut short or damaged. */
export async function parseTar(bytes: Uint8Array, source: string): Promise<Archive> {
  const plain = bytes[0] === 0x1f && bytes[1] === 0x8b ? await gunzip(bytes, source) : bytes
  const entries = await unpackTar(plain, { strict: true }).catch((cause: Error) => {
    const got = `is no tar archive, or not whole (${cause.message})`
    throw new DunlinError(`${source}: ${got}. Check that this is a tar file, or copy or download it again.`, { cause })
  })
  const folders = new Set<string>()
  const files: NamedFile[] = []
  for (const { header, data } of entries) {
    const parts = header.name.split('/').filter((part) => part !== '' && part !== '.')
    const isFolder = header.type === 'directory'
    for (let n = isFolder ? parts.length : parts.length - 1; n > 0; n--) folders.add(parts.slice(0, n).join('/'))
    if ((header.type ?? 'file') === 'file' && data) files.push({ name: parts.join('/'), read: () => data })
  }
  return { files, folders: [...folders] }
}
